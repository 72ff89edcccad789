"""A DynamoTable's manifests, the operator that carries them out on the model by plan and act, and what must hold at every step of it."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError
from dynamo_model import REGION, Aws, Table, problems
from dynamo_specs import TABLE_KEY

from penstock.api import meta
from penstock.api.dynamotable import DynamoTable, DynamoTableSpec
from penstock.api.parsing import parse
from penstock.aws import dynamodb
from penstock.aws.dynamodb import Insights, KmsKey, ScalingTarget
from penstock.aws.errors import trouble
from penstock.dynamo.kind import NAME, DynamoTables
from penstock.dynamo.requests import scaling_targets
from penstock.dynamo.state import Desired, Observed
from penstock.engine import conditions
from penstock.engine.conditions import timestamp
from penstock.engine.errors import Trouble
from penstock.engine.kind import Outcome, Report
from penstock.engine.owners import owner
from penstock.engine.plan import Effect, Plan, Step, When
from penstock.engine.queue import Priority
from penstock.engine.tenancy import Source

CLUSTER = "cluster-1"
UID = "11111111-2222-3333-4444-555555555555"
Manifest = dict[str, Any]


class ModelAccount:
    """Account over the model: the same errors, no threads. latency: seconds a call, on the loop's clock. poor: background reads find no tokens."""

    region = REGION

    def __init__(self, aws: Aws, latency: float = 0.01) -> None:
        self.aws = aws
        self.latency = latency
        self.poor = False

    async def call(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        region: str = "",
        priority: Priority = Priority.NORMAL,
    ) -> dict[str, Any]:
        await asyncio.sleep(self.latency)
        try:
            return copy.deepcopy(self.aws.call(service, operation, parameters or {}))
        except ClientError as error:
            raise trouble(error, service, operation) from error

    def affords(self, service: str, operation: str, region: str = "") -> bool:
        return not self.poor

    def close(self) -> None:
        return


def manifest(spec: Mapping[str, Any] | None = None, **more: Any) -> Manifest:
    """An object as a user writes it."""
    return {
        "apiVersion": meta.API_VERSION,
        "kind": "DynamoTable",
        "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {"key": TABLE_KEY, **(spec or {}), **more},
    }


def parsed(body: Manifest) -> DynamoTable:
    found = parse(body)
    assert isinstance(found, DynamoTable), [str(p) for p in found]
    return found


def key_of(state: str) -> KmsKey:
    return KmsKey("alias/orders", f"arn:aws:kms:{REGION}:123456789012:key/orders", state)


@dataclass
class Operator:
    """Plan and act for one object, without queue or memory.

    approves: whoever owns the object consents to every plan. named_…: what ever stood in the spec. kept_…: what of it is in AWS and was told in a
    status. refused: what AWS refused in the last pass. performed: every step that AWS took.
    """

    aws: Aws
    body: Manifest
    status: dict[str, Any] = field(default_factory=dict)
    generation: int = 1
    approved: str = ""
    deleted_at: str = ""
    uid: str = UID
    approves: bool = True
    named_indexes: set[str] = field(default_factory=set)
    named_tags: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    performed: list[Step] = field(default_factory=list)
    kept_indexes: set[str] = field(default_factory=set)
    kept_tags: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.kind = DynamoTables(ModelAccount(self.aws), CLUSTER)  # type: ignore[arg-type]
        self._name()

    def _name(self) -> None:
        spec = self.spec = parsed(self.body).spec
        self.named_indexes |= {i.name for i in spec.global_indexes or ()}
        self.named_tags |= set(spec.tags or ())

    @property
    def obj(self) -> dict[str, Any]:
        metadata = {**self.body["metadata"], "uid": self.uid, "generation": self.generation, "resourceVersion": "1"}
        if self.approved:
            metadata["annotations"] = {meta.APPROVE: self.approved}
        if self.deleted_at:
            metadata["deletionTimestamp"] = self.deleted_at
        return {**self.body, "metadata": metadata, "status": self.status}

    @property
    def owner(self) -> str:
        return owner(CLUSTER, NAME, self.obj)

    @property
    def table(self) -> Table:
        return self.aws.tables[self.spec.table_name or self.body["metadata"]["name"]]

    def edit(self, spec: Mapping[str, Any]) -> None:
        self.body = {**self.body, "spec": dict(spec)}
        self.generation += 1
        self._name()

    def delete(self) -> None:
        self.deleted_at = timestamp(self.aws.clock())
        self.generation += 1

    def desired(self) -> Desired:
        return self.kind.desired(self.obj)

    def observed(self, desired: Desired) -> Observed:
        """Everything that can be seen, read at once."""
        self.aws.settle()
        named = desired.spec.encryption.kms_key if desired.spec.encryption else None
        kms = KmsKey(named, self.aws._key_arn(named), self.aws.keys.get(named, "Missing")) if named else None
        table = self.aws.tables.get(desired.table_name)
        if table is None:
            return Observed(kms=kms, source=Source("table", "source", {}) if desired.spec.restore_from else None)
        name, arn = {"TableName": table.name}, {"ResourceArn": table.arn}
        backup = next((b for b in self.aws.backups.values() if b["BackupName"] == desired.final_backup_name), None)
        return Observed(
            table=dynamodb.table(self.aws.describe(table)),
            ttl=dynamodb.time_to_live(self.aws._DescribeTimeToLive(name)["TimeToLiveDescription"]),
            backups=dynamodb.continuous_backups(
                self.aws._DescribeContinuousBackups(name)["ContinuousBackupsDescription"]
            ),
            tags={t["Key"]: t["Value"] for t in self.aws._ListTagsOfResource(arn)["Tags"]},
            policy=table.policy,
            insights=Insights(dict(table.insights)),
            scaling=self._targets(),
            kms=kms,
            final_backup=dynamodb.backup(backup) if backup else None,
            final_backup_read=True,
        )

    def _targets(self) -> tuple[ScalingTarget, ...]:
        base = f"table/{self.spec.table_name or self.body['metadata']['name']}"
        resources = {r for r, _ in self.aws.targets if r == base or r.startswith(f"{base}/index/")}
        targets = self.aws._DescribeScalableTargets({"ResourceIds": resources})["ScalableTargets"]
        policies = [
            p for r in resources for p in self.aws._DescribeScalingPolicies({"ResourceId": r})["ScalingPolicies"]
        ]
        actions = [
            a for r in resources for a in self.aws._DescribeScheduledActions({"ResourceId": r})["ScheduledActions"]
        ]
        return dynamodb.scaling_targets(targets, policies, actions)

    def look(self) -> tuple[Desired, Observed, Plan]:
        """One plan, with everything that must hold of it."""
        desired = self.desired()
        observed = self.observed(desired)
        plan = self.kind.plan(desired, observed, self.aws.clock())
        self._hold(plan, desired, observed)
        return desired, observed, plan

    def _hold(self, plan: Plan, desired: Desired, observed: Observed) -> None:
        now = [s for s in plan.steps if s.when is When.NOW]
        assert sum(s.operation == "UpdateTable" for s in now) <= 1, [s.summary for s in now]
        for step in plan.steps:
            wrong = problems(step.service, step.operation, step.parameters)
            # A table that is not there yet has no ARN; such a step is shown and never sent.
            assert not wrong or step.when is When.LATER, (step.summary, wrong)
            assert_managed(step, desired)
            self._hold_deletion(step, desired)

    def _hold_deletion(self, step: Step, desired: Desired) -> None:
        for update in step.parameters.get("GlobalSecondaryIndexUpdates", ()):
            if "Delete" not in update:
                continue
            name = update["Delete"]["IndexName"]
            assert name in self.named_indexes, f"index {name} never stood in the spec"
            if name in {i.name for i in desired.spec.global_indexes or ()}:
                assert step.effect is Effect.REPLACE
                assert step.when is not When.NOW or desired.approved, "replaced without consent"
            else:
                assert step.effect is Effect.DESTROY
        if step.operation == "UntagResource":
            allowed = self.named_tags | ({meta.OWNER_TAG} if desired.absent else set())
            assert set(step.parameters["TagKeys"]) <= allowed
        if step.operation in ("DeleteTable", "CreateBackup"):
            assert desired.absent
            assert self.table.tags.get(meta.OWNER_TAG) == self.owner or self.table.id == desired.status.table_id

    def one_pass(self, crash: bool = False) -> tuple[Plan, Report]:
        """Rounds of plan and act as the loop makes them, then the report. crash: the process dies before the status is written."""
        self.refused = []
        met: Trouble | None = None
        done: list[Step] = []
        for _ in range(6):
            desired, observed, plan = self.look()
            runnable = [s for s in plan.runnable if s.id not in self.refused]
            if not runnable:
                break
            for step in runnable:
                if step.intent is not None:
                    self.status = {**self.status, **step.intent}
                try:
                    self.aws.call(step.service, step.operation, step.parameters)
                    done.append(step)
                except ClientError as error:
                    met = met or trouble(error, step.service, step.operation)
                    self.refused.append(step.id)
        self.performed += done
        report = self.kind.report(self.obj, desired, Outcome(observed, plan, met, tuple(done)), self.aws.clock())
        if crash:
            return plan, report
        self.status = self.told(report)
        self._keep(desired)
        if self.approves and "hash" in self.status.get("plan", {}):
            self.approved = self.status["plan"]["hash"]
        return plan, report

    def _keep(self, desired: Desired) -> None:
        table = self.aws.tables.get(desired.table_name)
        if table is not None and "tableArn" in self.status:
            self.kept_indexes |= {i.name for i in desired.spec.global_indexes or ()}
            self.kept_indexes &= set(table.indexes)
            self.kept_tags |= set(desired.spec.tags or ())
            self.kept_tags &= set(table.tags)

    def left_over(self) -> set[str]:
        """Indexes and tags that left the spec and should have left AWS with it."""
        spec = self.spec
        found: set[str] = set()
        if spec.global_indexes is not None:
            found |= self.kept_indexes & set(self.table.indexes) - {i.name for i in spec.global_indexes}
        if spec.tags is not None:
            found |= self.kept_tags & set(self.table.tags) - set(spec.tags)
        return found

    def told(self, report: Report) -> dict[str, Any]:
        return {
            **report.fields,
            "observedGeneration": self.generation,
            "conditions": conditions.merge(
                self.status.get("conditions", ()), report.conditions, self.generation, self.aws.clock()
            ),
        }

    def converge_or_stand(self, passes: int = 6) -> Plan:
        """Passes until nothing more is done, though something may be refused."""
        for _ in range(passes):
            plan, _ = self.one_pass()
            self.aws.advance(30)
        assert not plan.runnable
        return plan

    def converge(self, hours: float = 6) -> Plan:
        """Passes until nothing is left to do. Fails when that takes longer than so many hours of the model's time."""
        end = self.aws.clock() + timedelta(hours=hours)
        wait, acted = 1.0, 0
        while self.aws.clock() < end:
            plan, _ = self.one_pass()
            if plan.gone:
                return plan
            if plan.empty:
                # What AWS still turns on or off ends by itself; then the plan must still be empty.
                self.aws.advance(60)
                if self.look()[2].empty:
                    return plan
            # Look again soon while things move, later when AWS only refuses.
            wait = 2.0 if len(self.performed) > acted else min(600.0, wait * 2)
            acted = len(self.performed)
            self.aws.advance(wait)
        raise AssertionError(
            f"no end: {[s.summary for s in plan.steps]} {[w.sentence for w in plan.waits]} {[r.sentence for r in plan.refusals]}"
            f" refused: {self.refused}"
        )


def settled(spec: dict[str, Any], **more: Any) -> Operator:
    """A table that is as this spec says, and told so."""
    aws = Aws()
    aws.keys = {"alias/orders": "Enabled", "alias/other": "Enabled", "alias/aws/dynamodb": "Enabled"}
    operator = Operator(aws, manifest(spec, **more), approves=False)
    operator.converge()
    aws.advance(7200)
    operator.one_pass()
    operator.performed.clear()
    return operator


def planned(operator: Operator) -> Plan:
    return operator.look()[2]


def only(plan: Plan) -> Step:
    assert len(plan.steps) == 1, [s.summary for s in plan.steps]
    return plan.steps[0]


def assert_managed(step: Step, desired: Desired) -> None:
    """The step changes only what the spec names."""
    spec, body = desired.spec, step.parameters
    indexes = spec.global_indexes or ()
    if desired.absent or step.operation in ("CreateTable", "RestoreTableFromBackup", "RestoreTableToPointInTime"):
        return
    match step.operation:
        case "UpdateTable":
            allowed = {
                "DeletionProtectionEnabled": spec.deletion_protection is not None,
                "BillingMode": spec.capacity is not None,
                "ProvisionedThroughput": spec.capacity is not None,
                "OnDemandThroughput": spec.capacity is not None,
                "WarmThroughput": spec.warm_throughput is not None,
                "SSESpecification": spec.encryption is not None,
                "TableClass": spec.table_class is not None,
                "StreamSpecification": spec.stream is not None,
                "GlobalSecondaryIndexUpdates": spec.global_indexes is not None or "BillingMode" in body,
                "AttributeDefinitions": spec.global_indexes is not None,
                "TableName": True,
            }
            assert all(allowed[name] for name in body), f"{step.summary}: an unset field is touched"
        case "UpdateTimeToLive":
            assert spec.ttl is not None
        case "UpdateContinuousBackups":
            assert spec.point_in_time_recovery is not None or not spec.adopt
        case "PutResourcePolicy" | "DeleteResourcePolicy":
            assert spec.resource_policy is not None
        case "UpdateContributorInsights":
            named = {i.name for i in indexes if i.contributor_insights is not None}
            named |= {""} if spec.contributor_insights is not None else set()
            assert body.get("IndexName", "") in named
        case "RegisterScalableTarget" | "PutScalingPolicy":
            named = {(key[0], key[1]) for key in scaling_targets(desired)}
            assert (body["ResourceId"], body["ScalableDimension"]) in named
        case "DeleteScalingPolicy" | "DeregisterScalableTarget":
            assert spec.capacity is not None
        case "TagResource":
            assert {t["Key"] for t in body["Tags"]} <= {*(spec.tags or ()), meta.OWNER_TAG}
        case "UntagResource":
            assert spec.tags is not None
        case other:
            raise AssertionError(f"{other} is no step of a table that stays")


# What a table must be, read off the spec without the plan's help


def differences(aws: Aws, spec: DynamoTableSpec, table: Table, owner: str) -> list[str]:
    """Where the model's table is not as the spec says."""
    found = [f"{what}: {have!r} instead of {want!r}" for what, have, want in _pairs(aws, spec, table) if have != want]
    if table.tags.get(meta.OWNER_TAG) != owner:
        found.append("the owner's tag")
    return found


def _word(value: Any) -> str:
    return {
        "KeysOnly": "KEYS_ONLY",
        "NewImage": "NEW_IMAGE",
        "OldImage": "OLD_IMAGE",
        "NewAndOldImages": "NEW_AND_OLD_IMAGES",
        "StandardInfrequentAccess": "STANDARD_INFREQUENT_ACCESS",
    }.get(str(value), str(value).upper())


def _pairs(aws: Aws, spec: DynamoTableSpec, table: Table) -> Iterator[tuple[str, Any, Any]]:
    """What, as it is, as it must be."""
    yield from _surroundings(spec, table)
    yield from _warm_pairs("warm", table.warm, spec.warm_throughput)
    yield from _capacity_pairs(aws, spec, table)
    if spec.deletion_protection is not None:
        yield "protection", table.protected, spec.deletion_protection
    if spec.table_class is not None:
        yield "class", table.table_class, _word(spec.table_class)
    if spec.stream is not None:
        yield "stream", table.stream, _word(spec.stream.view) if spec.stream.enabled else ""
    if spec.encryption is not None:
        name = spec.encryption.kms_key
        yield "key", table.key, aws._key_arn(name) if name else ""
    yield from _index_pairs(spec, table)


def _surroundings(spec: DynamoTableSpec, table: Table) -> Iterator[tuple[str, Any, Any]]:
    if spec.ttl is not None:
        yield "ttl", table.ttl_status, "ENABLED" if spec.ttl.enabled else "DISABLED"
        if spec.ttl.enabled:
            yield "ttl attribute", table.ttl, spec.ttl.attribute
    if spec.wants_pitr is not None:
        yield "pitr", table.pitr, spec.wants_pitr
        if spec.wants_pitr and spec.pitr_days:
            yield "pitr days", table.pitr_days, spec.pitr_days
    if spec.resource_policy is not None:
        yield "policy", json.loads(table.policy or "null"), spec.resource_policy.document
    if spec.contributor_insights is not None:
        yield "insights", table.insights.get("", "DISABLED") == "ENABLED", spec.contributor_insights
    for key, value in (spec.tags or {}).items():
        yield f"tag {key}", table.tags.get(key), value


def _index_pairs(spec: DynamoTableSpec, table: Table) -> Iterator[tuple[str, Any, Any]]:
    for index in spec.global_indexes or ():
        have = table.indexes.get(index.name)
        yield f"index {index.name}", have is not None and have.status, "ACTIVE"
        if have is None:
            continue
        want = [{"AttributeName": index.partition.name, "KeyType": "HASH"}]
        want += [{"AttributeName": index.sort.name, "KeyType": "RANGE"}] if index.sort else []
        yield f"key of {index.name}", have.schema, want
        for attribute in (index.partition, index.sort):
            if attribute:
                yield f"type of {attribute.name}", table.types.get(attribute.name), attribute.type[0]
        yield f"projection of {index.name}", have.projection["ProjectionType"], _word(index.projection.type)
        included = sorted(have.projection.get("NonKeyAttributes", ()))
        yield f"attributes of {index.name}", included, sorted(index.projection.attributes)
        yield from _warm_pairs(f"warm {index.name}", have.warm, index.warm_throughput)
        if index.contributor_insights is not None:
            on = table.insights.get(index.name, "DISABLED") == "ENABLED"
            yield f"insights of {index.name}", on, index.contributor_insights


def _warm_pairs(what: str, have: tuple[int, int], want: Any) -> Iterator[tuple[str, Any, Any]]:
    if want is not None:
        enough = have[0] >= (want.read_units or 0) and have[1] >= (want.write_units or 0)
        yield what, enough, True


def _capacity_pairs(aws: Aws, spec: DynamoTableSpec, table: Table) -> Iterator[tuple[str, Any, Any]]:
    if spec.capacity is None:
        return
    provisioned = spec.capacity.mode == "Provisioned"
    yield "mode", table.billing, "PROVISIONED" if provisioned else "PAY_PER_REQUEST"
    holders: list[tuple[str, str, Any, Any]] = [(f"table/{table.name}", "table", spec.capacity, table)]
    for index in spec.global_indexes or ():
        if index.capacity is not None and index.name in table.indexes:
            resource = f"table/{table.name}/index/{index.name}"
            holders.append((resource, "index", index.capacity, table.indexes[index.name]))
    scaled = {}
    for resource, scope, capacity, have in holders:
        if not provisioned:
            for number, cap in enumerate((capacity.max_read_units, capacity.max_write_units)):
                if cap is not None:
                    yield f"cap {number} of {resource}", have.caps[number], cap
            continue
        for number, (direction, throughput) in enumerate((("Read", capacity.read), ("Write", capacity.write))):
            if throughput.min is not None:
                unnamed = spec.adopt and throughput.target_utilization is None
                target = {"TargetValue": None if unnamed else float(throughput.target_utilization or 70)}
                scaled[resource, f"dynamodb:{scope}:{direction}CapacityUnits"] = throughput.min, throughput.max, target
            else:
                yield f"{direction} units of {resource}", have.units[number], throughput.units
    have_scaled = {
        key: (
            t["MinCapacity"],
            t["MaxCapacity"],
            {"TargetValue": _tracked(key[1], t["policies"])},
        )
        for key, t in aws.targets.items()
        if f"{key[0]}/".startswith(f"table/{table.name}/")
    }
    if spec.adopt:
        # What an adopting manifest does not name is as it was.
        have_scaled = {key: one for key, one in have_scaled.items() if key in scaled}
        named = {key for key, (_, _, tracking) in scaled.items() if tracking["TargetValue"] is not None}
        have_scaled = {k: one if k in named else (*one[:2], scaled[k][2]) for k, one in have_scaled.items()}
    yield "autoscaling", have_scaled, scaled


def _tracked(dimension: str, policies: Mapping[str, Any]) -> Any:
    """The target of the policy that tracks the dimension's utilisation, whatever its name."""
    metric = f"DynamoDB{'Read' if 'Read' in dimension else 'Write'}CapacityUtilization"
    tracking = [
        p for p in policies.values() if p.get("PredefinedMetricSpecification") == {"PredefinedMetricType": metric}
    ]
    return tracking[0]["TargetValue"] if tracking else None
