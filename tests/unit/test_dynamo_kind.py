"""DynamoTable through the whole loop, on a model of AWS and of the API server, in virtual time: hours take milliseconds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from dynamo_model import Aws, refuse
from dynamo_specs import POLICY
from dynamo_world import CLUSTER, ModelAccount, differences, manifest, parsed
from engine_harness import Bench, killed, operating
from fake_kube import Cluster, crd_schema, prune
from jsonschema import Draft202012Validator
from virtual_time import elapsed, now, virtual

from penstock.api.meta import FINALIZER, OWNER_TAG
from penstock.dynamo.inventory import InventoryCycles
from penstock.dynamo.kind import NAME, RESOURCE, DynamoTables
from penstock.engine.owners import owner

SCHEMA = crd_schema("dynamotables")["properties"]["status"]
INDEX = {"name": "by-status", "partition": {"name": "status", "type": "String"}, "projection": {"type": "All"}}
FULL = {
    "globalIndexes": [INDEX],
    "ttl": {"attribute": "exp"},
    "tags": {"team": "shop"},
    "capacity": {"mode": "OnDemand"},
}
SCALED = {
    "capacity": {"mode": "Provisioned", "read": {"min": 1, "max": 9}, "write": {"units": 4}},
    "resourcePolicy": POLICY,
    "stream": {"view": "NewImage"},
    "ttl": {"attribute": "exp"},
    "globalIndexes": [
        {**INDEX, "name": "by-owner", "capacity": {"read": {"units": 2}, "write": {"units": 2}}},
    ],
}


def account() -> Aws:
    return Aws(clock=now)


class Tables(Bench):
    """A bench for DynamoTables. Every status that is written is checked against the CRD as the API server would."""

    def __init__(self, aws: Aws, cluster: Cluster | None = None, workers: int = 4) -> None:
        self.aws = aws
        self.account = ModelAccount(aws)
        inventory = InventoryCycles(few=1)
        self.tables = DynamoTables(self.account, CLUSTER, inventory=inventory)  # type: ignore[arg-type]
        self.tables._observer.clock = now
        self.tables._actor.clock = now
        super().__init__([self.tables], cluster, workers, RESOURCE)
        self.cluster.changed.append(_check)

    def make(self, name: str = "orders", spec: Mapping[str, Any] | None = None, **more: Any) -> None:
        self.create(name, manifest(spec, **more)["spec"])

    def as_desired(self, name: str = "orders") -> bool:
        self.aws.settle()
        obj = self.get(name)
        spec = parsed({**obj, "status": {}}).spec
        return differences(self.aws, spec, self.aws.tables[name], owner(CLUSTER, NAME, obj)) == []


def _check(plural: str, event: str, obj: dict[str, Any]) -> None:
    if plural == RESOURCE.plural and "status" in obj:
        status = obj["status"]
        assert prune(status, SCHEMA) == status, "the API server would drop fields, and the operator write them for ever"
        assert list(Draft202012Validator(SCHEMA).iter_errors(status)) == []


@virtual
async def test_a_table_is_made_with_few_calls_and_few_writes() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(60)
        assert bench.ready("orders")
        assert bench.condition("orders", "Synced")[0] == "True"
        assert bench.as_desired()
        assert bench.aws.writes.count("CreateTable") == 1
        assert len(bench.aws.writes) == 3, "the table, TTL and recovery"
        assert len(bench.aws.calls) <= 12
        assert len(bench.writes()) <= 4, bench.writes()
        status = bench.get("orders")["status"]
        assert status["tableArn"] == bench.aws.tables["orders"].arn
        assert status["managed"] == {"indexes": ["by-status"], "tags": ["team"]}
        assert "plan" not in status


@virtual
async def test_an_idle_table_costs_no_kubernetes_write_and_few_calls() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(900)
        written, called = len(bench.kube.writes), len(bench.aws.calls)
        await asyncio.sleep(3600)
        assert len(bench.kube.writes) == written
        assert len(bench.aws.calls) - called < 20
        await asyncio.sleep(24 * 3600)
        assert len(bench.kube.writes) - written <= 5, "only the restorable window, every six hours"


@virtual
async def test_a_restart_of_a_settled_operator_writes_nothing() -> None:
    aws, cluster = account(), Cluster()
    bench = Tables(aws, cluster)
    async with operating(bench):
        for number in range(10):
            bench.make(f"t-{number:03}", FULL)
        await asyncio.sleep(120)
    version, written = cluster.version, len(aws.writes)
    second = Tables(aws, cluster)
    async with operating(second):
        await asyncio.sleep(600)
        assert (cluster.version, len(aws.writes)) == (version, written)
        assert all(second.ready(f"t-{n:03}") for n in range(10))


@virtual
async def test_a_table_that_somebody_deleted_is_back_within_ten_minutes() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(400)
        bench.aws.tables.clear()
        gone = elapsed()
        while "orders" not in bench.aws.tables:
            await asyncio.sleep(1)
        assert elapsed() - gone <= 600
        await asyncio.sleep(60)
        assert bench.ready("orders")
        assert bench.as_desired()
        assert bench.events("Recreating")


@virtual
async def test_the_inventory_tells_of_a_deletion_and_of_a_changed_tag_sooner() -> None:
    bench = Tables(account())
    watching = asyncio.create_task(bench.tables.watch(lambda key: bench.loop.queue.add(key)))
    async with operating(bench):
        for name in ("one", "two"):
            bench.make(f"table-{name}", FULL)
        await asyncio.sleep(100)
        del bench.aws.tables["table-one"]
        await asyncio.sleep(75)
        assert "table-one" in bench.aws.tables
        bench.aws.tables["table-two"].tags["team"] = "theirs"
        await asyncio.sleep(800)
        assert bench.aws.tables["table-two"].tags["team"] == "shop"
    watching.cancel()


@virtual
async def test_drift_is_told_with_before_and_after_and_once() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(60)
        bench.aws.tables["orders"].tags["team"] = "theirs"
        bench.aws.tables["orders"].pitr = False
        bench.annotate("orders", reconcile_at="1")
        await asyncio.sleep(10)
        assert bench.as_desired()
        told = bench.events("DriftCorrected")
        assert len(told) == 2
        assert any("team=theirs and is set back to team=shop" in note for note in told)
        assert any("Point-in-time recovery was off and is set back to on" in note for note in told)
        assert bench.ready("orders")


@virtual
async def test_an_edit_is_no_drift() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(60)
        bench.set_spec(
            "orders", **manifest(FULL, tags={"team": "other"}, pointInTimeRecovery={"enabled": False})["spec"]
        )
        await asyncio.sleep(30)
        assert bench.as_desired()
        assert bench.events("DriftCorrected") == []


@virtual
async def test_a_table_goes_with_its_final_backup() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(60)
        bench.delete("orders")
        await asyncio.sleep(5)
        assert bench.condition("orders")[1] in ("BackingUp", "Deleting")
        assert "arn" in bench.get("orders")["status"]["finalBackup"]
        await asyncio.sleep(60)
        assert not bench.exists("orders")
        assert bench.aws.tables == {}
        assert [b["BackupStatus"] for b in bench.aws.backups.values()] == ["AVAILABLE"]
        assert bench.aws.writes[-2:] == ["CreateBackup", "DeleteTable"]


@virtual
async def test_a_restored_table_has_everything_that_a_restore_leaves_out() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(60)
        bench.delete("orders")
        await asyncio.sleep(60)
        (arn,) = bench.aws.backups
        bench.make("again", FULL, restoreFrom={"backupArn": arn})
        await asyncio.sleep(3)
        assert bench.condition("again")[1] == "Restoring"
        await asyncio.sleep(120)
        assert bench.ready("again")
        assert bench.as_desired("again")
        assert bench.aws.writes.count("RestoreTableFromBackup") == 1


def moments(count: int, until: float) -> Iterator[float]:
    for number in range(count):
        yield until * number / count


@pytest.mark.parametrize("spec", [FULL, SCALED], ids=["on demand", "provisioned"])
def test_whatever_the_moment_of_a_kill_there_is_one_table_and_at_last_none(spec: dict[str, Any]) -> None:
    @virtual
    async def scenario(moment: float) -> None:
        aws, cluster = account(), Cluster()
        bench = Tables(aws, cluster)
        bench.make(spec=spec)
        await killed(bench, moment)
        bench = Tables(aws, cluster)
        async with operating(bench):
            await asyncio.sleep(120)
            assert bench.ready("orders")
            assert bench.as_desired()
            bench.set_spec(
                "orders", **manifest(spec, deletionProtection=False, tags={"x": "y"}, globalIndexes=[])["spec"]
            )
        bench = Tables(aws, cluster)
        await killed(bench, moment)
        bench = Tables(aws, cluster)
        async with operating(bench):
            await asyncio.sleep(120)
            assert bench.as_desired()
            assert aws.tables["orders"].indexes == {}
            assert set(aws.tables["orders"].tags) == {"x", OWNER_TAG}
            bench.delete("orders")
        bench = Tables(aws, cluster)
        await killed(bench, moment)
        bench = Tables(aws, cluster)
        async with operating(bench):
            await asyncio.sleep(120)
            assert not bench.exists("orders")
            assert aws.tables == {}
            assert aws.targets == {}
            assert len(aws.backups) == 1, "one deletion, one backup"
            assert aws.writes.count("CreateTable") == 1
            assert aws.writes.count("DeleteTable") == 1

    for moment in moments(12, 0.6):
        scenario(moment)


@virtual
async def test_with_a_third_of_all_calls_failing_every_table_becomes_ready_all_the_same() -> None:
    bench = Tables(account(), workers=16)
    chance = random.Random(7)

    def fail(operation: str, parameters: Mapping[str, Any]) -> None:
        if chance.random() < 0.3:
            refuse(chance.choice(["ThrottlingException", "InternalServerError", "ServiceUnavailable"]), "", operation)

    bench.aws.faults.append(fail)
    async with operating(bench):
        for number in range(16):
            bench.make(f"t-{number:03}", FULL if number % 2 else SCALED)
        names = [f"t-{n:03}" for n in range(16)]

        # Every pass needs several calls, so the last of them takes its time.
        # Ready says that a table serves; Synced that all its settings were taken.
        def lacking() -> list[str]:
            return [n for n in names if not bench.ready(n) or bench.condition(n, "Synced")[0] != "True"]

        while lacking() and elapsed() < 4 * 3600:
            await asyncio.sleep(60)
        assert lacking() == []
        # What was asked for last takes AWS some seconds to show.
        await asyncio.sleep(60)
        assert all(bench.as_desired(f"t-{n:03}") for n in range(16))
        for number in range(16):
            bench.delete(f"t-{number:03}")
        while bench.aws.tables and elapsed() < 8 * 3600:
            await asyncio.sleep(60)
        assert bench.aws.tables == {}
        assert len(bench.aws.backups) == 16


@virtual
async def test_a_call_whose_answer_is_lost_is_not_done_twice() -> None:
    """The worst kind of failure: AWS did it, and the operator does not know."""
    bench = Tables(account())
    lost = {"CreateTable", "UpdateTimeToLive", "UpdateContinuousBackups", "CreateBackup", "DeleteTable"}
    call = bench.account.call

    async def lossy(service: str, operation: str, *rest: Any, **more: Any) -> dict[str, Any]:
        answer = await call(service, operation, *rest, **more)
        if operation in lost:
            lost.discard(operation)
            bench.aws.faults.append(_once)
            try:
                await call(service, operation, *rest, **more)
            finally:
                bench.aws.faults.clear()
        return answer

    def _once(operation: str, parameters: Mapping[str, Any]) -> None:
        refuse("InternalServerError", "the answer was lost", operation)

    bench.account.call = lossy  # type: ignore[method-assign]
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(120)
        assert bench.ready("orders")
        bench.delete("orders")
        await asyncio.sleep(120)
        assert not bench.exists("orders")
    assert lost == set()
    assert bench.aws.writes.count("CreateTable") == 1
    assert bench.aws.writes.count("DeleteTable") == 1
    assert len(bench.aws.backups) == 1


@virtual
async def test_one_denied_action_keeps_nothing_else_from_being_done_and_is_told() -> None:
    bench = Tables(account())

    def deny(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation == "UpdateTimeToLive":
            refuse("AccessDeniedException", "User: penstock is not authorized", operation)

    bench.aws.faults.append(deny)
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(120)
        assert bench.aws.tables["orders"].pitr
        assert bench.condition("orders")[:2] == ("True", "Available"), "it serves without"
        status, reason, sentence = bench.condition("orders", "Synced")
        assert (status, reason) == ("False", "AccessDenied")
        assert "dynamodb:UpdateTimeToLive" in sentence
        assert bench.condition("orders", "Stalled")[0] == "True"
        assert any("UpdateTimeToLive" in note for note in bench.events("AccessDenied"))
        tried = len(bench.aws.calls)
        await asyncio.sleep(3600)
        assert len(bench.aws.calls) - tried < 120, "at a pace that a person's mending needs"
        bench.aws.faults.clear()
        await asyncio.sleep(400)
        assert bench.ready("orders")
        assert bench.condition("orders", "Stalled")[0] == "False"


@virtual
async def test_a_change_that_aws_accepts_and_does_not_show_is_no_storm_of_writes() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(60)
        change = bench.aws._UpdateTable
        bench.aws._UpdateTable = lambda body: {"TableDescription": bench.aws.describe(bench.aws.tables["orders"])}  # type: ignore[method-assign]
        bench.set_spec("orders", **manifest(FULL, deletionProtection=True)["spec"])
        await asyncio.sleep(3600)
        assert 3 <= bench.aws.writes.count("UpdateTable") <= 20
        assert bench.condition("orders", "Synced")[:2] == ("False", "OutOfSync")
        said = bench.condition("orders", "Synced")[2]
        assert "requests to turn deletion protection on, but does not show the change yet" in said
        bench.aws._UpdateTable = change  # type: ignore[method-assign]
        await asyncio.sleep(400)
        assert bench.as_desired()
        await asyncio.sleep(400)
        assert bench.condition("orders", "Synced")[0] == "True"


@virtual
async def test_credentials_that_fail_are_told_and_a_ready_table_stays_ready() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(60)
        bench.aws.faults.append(lambda operation, parameters: refuse("ExpiredTokenException", "expired", operation))
        bench.annotate("orders", reconcile_at="1")
        await asyncio.sleep(20)
        assert bench.condition("orders")[0] == "True", "what served a minute ago serves most likely still"
        assert bench.condition("orders", "Synced")[:2] == ("False", "CredentialsExpired")
        bench.aws.faults.clear()
        await asyncio.sleep(400)
        assert bench.condition("orders", "Synced")[0] == "True"


@virtual
async def test_ttl_of_another_attribute_waits_for_awss_hour_and_comes_on_again() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(60)
        bench.set_spec("orders", **manifest(FULL, ttl={"attribute": "due"}, deletionProtection=True)["spec"])
        await asyncio.sleep(60)
        assert bench.aws.tables["orders"].protected, "nothing else waits for it"
        assert bench.condition("orders", "Synced")[1] == "LimitReached"
        assert "one TTL change an hour" in bench.condition("orders", "Synced")[2]
        await asyncio.sleep(3 * 3600)
        table = bench.aws.tables["orders"]
        assert (table.ttl, table.ttl_status) == ("due", "ENABLED")
        assert bench.condition("orders", "Synced")[0] == "True"


@virtual
async def test_an_endpoint_that_lacks_operations_and_ids_makes_and_removes_tables_too() -> None:
    aws = account()
    aws.ids = False
    aws.unsupported = {
        "UpdateContributorInsights",
        "DescribeContributorInsights",
        "DescribeScalableTargets",
        "GetResourcePolicy",
        "PutResourcePolicy",
    }
    bench = Tables(aws)
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(120)
        assert bench.ready("orders")
    second = Tables(aws, bench.cluster)
    async with operating(second):
        await asyncio.sleep(60)
        assert second.ready("orders")
        second.delete("orders")
        await asyncio.sleep(60)
        assert not second.exists("orders")
        assert aws.tables == {}


@virtual
async def test_a_name_that_is_taken_is_left_to_whoever_has_it() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.aws.call(
            "dynamodb",
            "CreateTable",
            {
                "TableName": "orders",
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            },
        )
        await asyncio.sleep(30)
        written = len(bench.aws.writes)
        bench.make(spec=FULL)
        await asyncio.sleep(120)
        assert bench.condition("orders")[:2] == ("False", "AlreadyExists")
        assert bench.condition("orders", "Stalled")[0] == "True"
        assert "spec.adopt: true" in bench.condition("orders")[2]
        assert "tableArn" not in bench.get("orders")["status"]
        bench.delete("orders")
        await asyncio.sleep(30)
        assert not bench.exists("orders")
        assert "orders" in bench.aws.tables
        assert len(bench.aws.writes) == written


@virtual
async def test_a_takeover_that_is_only_looked_at_leaves_no_claim() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL, deletionPolicy="Retain")
        await asyncio.sleep(60)
        bench.delete("orders")
        await asyncio.sleep(30)
        wanted = manifest(FULL, adopt=True, deletionPolicy="Delete", deletionProtection=False)["spec"]
        bench.create("orders", wanted, annotations={"penstock.dev/mode": "Plan"})
        await asyncio.sleep(60)
        assert bench.get("orders")["status"]["tableName"] == "orders"
        assert "tableId" not in bench.get("orders")["status"]
        bench.set_spec("orders", **{k: v for k, v in wanted.items() if k != "adopt"})
        bench.annotate("orders", mode=None)
        await asyncio.sleep(60)
        assert bench.condition("orders")[1] == "AlreadyExists"
        bench.delete("orders")
        await asyncio.sleep(60)
        assert not bench.exists("orders")
        assert "orders" in bench.aws.tables
        assert "DeleteTable" not in bench.aws.writes


@virtual
async def test_adoption_shows_its_plan_and_then_carries_it_out() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL, deletionPolicy="Retain")
        await asyncio.sleep(60)
        bench.delete("orders")
        await asyncio.sleep(30)
        assert not bench.exists("orders")
        assert OWNER_TAG not in bench.aws.tables["orders"].tags
        plans: list[dict[str, Any]] = []
        bench.cluster.changed.append(lambda plural, event, obj: plans.append(obj.get("status", {}).get("plan", {})))
        bench.make(spec=FULL, adopt=True, deletionProtection=True)
        await asyncio.sleep(60)
        assert any(len(p.get("steps", ())) == 2 for p in plans), "shown before it ran"
        assert bench.ready("orders")
        assert bench.as_desired()
        assert bench.events("Adopted") == ["Took over table orders."]
        assert bench.aws.writes.count("CreateTable") == 1


@virtual
async def test_a_replacement_waits_for_the_annotation() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(60)
        bench.set_spec(
            "orders", **manifest(FULL, globalIndexes=[{**INDEX, "projection": {"type": "KeysOnly"}}])["spec"]
        )
        await asyncio.sleep(600)
        assert bench.condition("orders")[0] == "True", "the table serves all the while"
        assert bench.condition("orders", "Synced")[1] == "WaitingForConsent"
        assert bench.condition("orders", "Stalled")[:2] == ("True", "WaitingForConsent")
        bench.annotate("orders", approve=bench.get("orders")["status"]["plan"]["hash"])
        await asyncio.sleep(120)
        assert bench.condition("orders", "Synced")[0] == "True"
        assert bench.aws.tables["orders"].indexes["by-status"].projection == {"ProjectionType": "KEYS_ONLY"}


@virtual
async def test_plan_mode_reads_the_table_and_writes_nothing_to_aws() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.create("orders", manifest(FULL)["spec"], annotations={"penstock.dev/mode": "Plan"})
        await asyncio.sleep(120)
        assert bench.aws.writes == []
        steps = [s["summary"] for s in bench.get("orders")["status"]["plan"]["steps"]]
        assert steps[0].startswith("create table orders")
        assert FINALIZER not in bench.get("orders")["metadata"].get("finalizers", ())


@virtual
async def test_background_looks_without_tokens_read_no_slow_facet_and_lose_nothing() -> None:
    bench = Tables(account())
    async with operating(bench):
        bench.make(spec=FULL)
        await asyncio.sleep(60)
    second = Tables(bench.aws, bench.cluster)
    second.account.poor = True
    version, seen = second.cluster.version, len(bench.aws.calls)
    async with operating(second):
        await asyncio.sleep(10)
        assert {operation for operation, _ in bench.aws.calls[seen:]} == {"DescribeTable"}
        assert second.ready("orders")
        assert second.condition("orders", "Synced")[0] == "True"
        await asyncio.sleep(60)
        assert {operation for operation, _ in bench.aws.calls[seen:]} >= {"DescribeTimeToLive"}, "read a little later"
        assert second.cluster.version == version


@virtual
async def test_a_key_that_is_enabled_again_lets_the_table_be_made() -> None:
    bench = Tables(account())
    bench.aws.keys["alias/orders"] = "Disabled"
    async with operating(bench):
        bench.make(encryption={"kmsKey": "alias/orders"})
        await asyncio.sleep(120)
        assert bench.condition("orders")[:2] == ("False", "WaitingForDependency")
        assert "enable it" in bench.condition("orders")[2]
        assert bench.aws.writes == []
        bench.aws.keys["alias/orders"] = "Enabled"
        await asyncio.sleep(60)
        assert bench.ready("orders")
