"""One DynamoTable as a user has it: declared with kubectl, watched on the API server, compared with what AWS holds."""

from __future__ import annotations

import copy
import functools
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import ClientError

from penstock_lab.lab import Lab

ACCESS = {"aws_access_key_id": "penstock-lab", "aws_secret_access_key": "penstock-lab"}
KEY = {"partition": {"name": "id", "type": "String"}}
_WRITES = ("Create", "Update", "Delete", "Restore", "Tag", "Untag", "Put", "Register", "Deregister")


def adoptable_by(namespace: str) -> list[dict[str, str]]:
    """The tag with which somebody lets a namespace take a resource over or restore from it."""
    return [{"Key": "penstock.dev/adoptable-by", "Value": namespace}]


def index(name: str, attribute: str = "", projection: Any = None, **more: Any) -> dict[str, Any]:
    """A global index on one String attribute, by default named as the index."""
    return {
        "name": name,
        "partition": {"name": attribute or name, "type": "String"},
        "projection": projection or {"type": "KeysOnly"},
        **more,
    }


@functools.cache
def client(url: str, service: str) -> Any:
    """A boto3 client of the endpoint at the URL; making one takes longer than most of its calls."""
    return boto3.session.Session(**ACCESS, region_name="us-east-1").client(service, endpoint_url=url)


class Event(NamedTuple):
    """A Kubernetes Event on the object."""

    type: str
    reason: str
    note: str


class Declared:
    """A DynamoTable object. `name` is the object's, `table` the name in AWS, unique in the lab unless it is given.

    The spec is kept as it was last applied; edit() changes it and applies it again, as a user with a manifest does.
    """

    kind, plural = "DynamoTable", "dynamotables"

    def __init__(
        self,
        lab: Lab,
        namespace: str,
        spec: Mapping[str, Any] | None = None,
        *,
        name: str = "orders",
        table: str = "",
        annotations: Mapping[str, str] | None = None,
        apply: bool = True,
    ) -> None:
        self.lab, self.namespace, self.name = lab, namespace, name
        self.table = table or f"{namespace}-{name}-{uuid.uuid4().hex[:4]}"
        self.spec: dict[str, Any] = {
            "tableName": self.table,
            "deletionPolicy": "Delete",
            "key": copy.deepcopy(KEY),
            **copy.deepcopy(dict(spec or {})),
        }
        self.annotations = dict(annotations or {})
        self.uid = ""
        if apply:
            self.apply()

    # ---- what a user does

    @property
    def manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": self.name, "namespace": self.namespace, "annotations": self.annotations},
            "spec": self.spec,
        }

    def apply(self) -> Declared:
        self.lab.kubectl("apply", "-f", "-", input=json.dumps(self.manifest))
        self.uid = self.object["metadata"]["uid"]
        return self

    def edit(self, **fields: Any) -> Declared:
        """Set top-level fields of the spec; None takes a field out of the manifest."""
        for name, value in fields.items():
            if value is None:
                self.spec.pop(name, None)
            else:
                self.spec[name] = copy.deepcopy(value)
        return self.apply()

    def annotate(self, name: str, value: str | None) -> Declared:
        word = f"penstock.dev/{name}-" if value is None else f"penstock.dev/{name}={value}"
        self.lab.kubectl("annotate", self.plural, self.name, "-n", self.namespace, "--overwrite", word)
        return self

    def delete(self) -> Declared:
        """Ask for the deletion; nothing is waited for."""
        self.lab.kubectl("delete", self.plural, self.name, "-n", self.namespace, "--wait=false")
        return self

    def look(self) -> Declared:
        """Force a pass that reads everything, and wait until it has been answered."""
        token = uuid.uuid4().hex[:8]
        self.annotate("reconcile-at", token)
        return self.until(lambda: self.status.get("lastReconcileAt") == token, "the forced pass is answered")

    # ---- what a user sees

    @property
    def found(self) -> dict[str, Any] | None:
        path = f"/apis/penstock.dev/v1alpha1/namespaces/{self.namespace}/{self.plural}/{self.name}"
        answer: Any = self.lab.api.json(path)
        return answer

    @property
    def object(self) -> dict[str, Any]:
        found = self.found
        assert found is not None, f"{self.namespace}/{self.name} is gone"
        return found

    @property
    def status(self) -> dict[str, Any]:
        return self.object.get("status") or {}

    @property
    def plan(self) -> dict[str, Any]:
        return self.status.get("plan") or {}

    @property
    def steps(self) -> list[str]:
        """The summaries of the planned steps."""
        return [step["summary"] for step in self.plan.get("steps", ())]

    def condition(self, kind: str = "Ready") -> dict[str, Any]:
        return next((c for c in self.status.get("conditions") or () if c["type"] == kind), {})

    @property
    def events(self) -> list[Event]:
        answer: Any = self.lab.api.json(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events?limit=1000")
        mine = [e for e in (answer or {}).get("items", ()) if e["regarding"].get("uid") == self.uid]
        return [Event(e["type"], e["reason"], e["note"]) for e in sorted(mine, key=lambda e: e["eventTime"])]

    def told(self, reason: str) -> list[str]:
        return [event.note for event in self.events if event.reason == reason]

    # ---- waiting

    def until(self, check: Callable[[], Any], what: str = "", timeout: float = 30) -> Declared:
        """Until check() is true; a missing object or table means not yet."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                if check():
                    return self
                problem = ""
            except (AssertionError, KeyError, IndexError, ClientError) as error:
                problem = f"{error!r}"
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout:g} s: {what} {problem}\n{self.picture()}")
            time.sleep(0.1)

    def wait(
        self, kind: str = "Ready", status: str = "True", *, reason: str = "", words: str = "", timeout: float = 30
    ) -> dict[str, Any]:
        """Until the condition is so for the present generation; the condition."""

        def so() -> bool:
            found, generation = self.condition(kind), self.object["metadata"]["generation"]
            return (
                found.get("status") == status
                and found.get("observedGeneration") == generation
                and reason in ("", found["reason"])
                and words in found["message"]
            )

        self.until(so, f"{kind}={status} {reason} {words!r}", timeout)
        return self.condition(kind)

    def settled(self, timeout: float = 30) -> Declared:
        """Until Ready and in sync for the present generation."""
        self.wait("Synced", timeout=timeout)
        self.wait("Ready", timeout=timeout)
        return self

    def gone(self, timeout: float = 30) -> Declared:
        return self.until(lambda: self.found is None, "the object is gone", timeout)

    def picture(self) -> str:
        """What a failed assertion needs to be understood."""
        found = self.found
        if found is None:
            return "the object is gone"
        status = found.get("status") or {}
        lines = [
            f"{c['type']}={c['status']} {c['reason']} (generation {c.get('observedGeneration')} of "
            f"{found['metadata']['generation']}): {c['message']}"
            for c in status.get("conditions") or ()
        ]
        lines.append(f"plan: {json.dumps(status.get('plan'))}")
        lines += [f"event: {e.reason} {e.note}" for e in self.events[-8:]]
        return "\n".join(lines)

    # ---- what AWS holds

    @property
    def dynamodb(self) -> Any:
        return client(self.lab.aws_url, "dynamodb")

    @property
    def aws(self) -> dict[str, Any]:
        """DescribeTable. Raises ClientError when there is no table."""
        table: dict[str, Any] = self.dynamodb.describe_table(TableName=self.table)["Table"]
        return table

    @property
    def exists(self) -> bool:
        try:
            return bool(self.aws)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return False

    @property
    def aws_indexes(self) -> dict[str, dict[str, Any]]:
        return {i["IndexName"]: i for i in self.aws.get("GlobalSecondaryIndexes") or ()}

    @property
    def aws_tags(self) -> dict[str, str]:
        tags = self.dynamodb.list_tags_of_resource(ResourceArn=self.aws["TableArn"])["Tags"]
        return {t["Key"]: t["Value"] for t in tags}

    @property
    def aws_ttl(self) -> dict[str, Any]:
        ttl: dict[str, Any] = self.dynamodb.describe_time_to_live(TableName=self.table)["TimeToLiveDescription"]
        return ttl

    @property
    def aws_recovery(self) -> dict[str, Any]:
        answer = self.dynamodb.describe_continuous_backups(TableName=self.table)["ContinuousBackupsDescription"]
        recovery: dict[str, Any] = answer["PointInTimeRecoveryDescription"]
        return recovery

    @property
    def aws_policy(self) -> Any:
        try:
            return json.loads(self.dynamodb.get_resource_policy(ResourceArn=self.aws["TableArn"])["Policy"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "PolicyNotFoundException":
                raise
            return None

    def aws_insights(self, index: str = "") -> str:
        where = {"TableName": self.table, **({"IndexName": index} if index else {})}
        try:
            return str(self.dynamodb.describe_contributor_insights(**where)["ContributorInsightsStatus"])
        except ClientError:
            return "DISABLED"

    @property
    def aws_scaling(self) -> dict[str, tuple[int, int]]:
        """Scalable targets: resource and dimension to minimum and maximum."""
        scaling = client(self.lab.aws_url, "application-autoscaling")
        found = scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]
        return {
            f"{t['ResourceId'].removeprefix('table/' + self.table)} {t['ScalableDimension'].rpartition(':')[2]}": (
                t["MinCapacity"],
                t["MaxCapacity"],
            )
            for t in found
            if t["ResourceId"].split("/")[1] == self.table
        }

    @property
    def aws_backups(self) -> list[dict[str, Any]]:
        answer = self.dynamodb.list_backups(TableName=self.table)
        backups: list[dict[str, Any]] = answer["BackupSummaries"]
        return backups

    def by_hand(self, operation: str = "update_table", **parameters: Any) -> dict[str, Any]:
        """What somebody with an AWS console does to the table; waits until AWS has done it."""
        answer: dict[str, Any] = getattr(self.dynamodb, operation)(TableName=self.table, **parameters)
        if operation != "delete_table":
            self.until(lambda: self.aws["TableStatus"] == "ACTIVE", "the table is ACTIVE")
        return answer

    def writes(self, only_done: bool = True) -> list[str]:
        """The writing operations on this table, in the order in which AWS got them."""
        return [
            entry["operation"].partition(".")[2]
            for entry in self.lab.aws.calls(log=True)["log"]
            if entry["key"] == self.table
            and entry["operation"].partition(".")[2].startswith(_WRITES)
            and (not only_done or 200 <= entry["status"] < 400)
        ]


# ---- the lab around it


@contextmanager
def fault(lab: Lab, **rule: Any) -> Iterator[dict[str, Any]]:
    """A fault of the AWS endpoint for as long as the block runs."""
    made = lab.aws.add_fault(**rule)
    try:
        yield made
    finally:
        lab.aws.clear_faults(made["id"])


@contextmanager
def slower(lab: Lab, **settings: Any) -> Iterator[None]:
    """Other durations of the AWS endpoint for as long as the block runs."""
    before = lab.aws.settings()
    lab.aws.settings(**settings)
    try:
        yield
    finally:
        lab.aws.settings(**{name: before[name] for name in settings})


def operator_logs(lab: Lab) -> list[Path]:
    """The logs of the pods and of the operators beside them."""
    return [*lab.operator_logs(), *(lab.state.folder / "operators").glob("*/operator.log")]


@contextmanager
def unharmed(lab: Lab, *, same_process: bool = True) -> Iterator[None]:
    """Nothing inside makes an operator write a traceback or, unless it is meant, end."""
    before = {log: log.stat().st_size for log in operator_logs(lab)}
    pid = lab.operator_pid
    yield
    for log in operator_logs(lab):
        if log.exists():
            with log.open(errors="replace") as lines:
                lines.seek(before.get(log, 0))
                text = lines.read()
            assert "Traceback" not in text, f"{log}: {text[text.index('Traceback') - 300 :][:3000]}"
    if same_process:
        assert lab.operator_pid == pid, "the operator ended"


def kubernetes_writes(lab: Lab) -> int:
    """Writing requests of the operators so far, the Lease's apart."""
    return sum(
        count
        for (user, verb, resource), count in lab.kubernetes_calls().items()
        if "penstock-system" in user and verb in ("create", "patch", "update", "delete") and resource != "leases"
    )


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def apply_all(lab: Lab, tables: Sequence[Declared]) -> None:
    """Many objects with one kubectl."""
    listed = {"apiVersion": "v1", "kind": "List", "items": [t.manifest for t in tables]}
    lab.kubectl("apply", "-f", "-", input=json.dumps(listed), timeout=120)
