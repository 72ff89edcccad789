"""An upgrade with live objects: what an earlier version made is taken over as it is, without a write to AWS.

`recorded/` holds what that version really did, in a lab: its objects with their statuses, and its requests to AWS in order. Both are put into this
lab with other names and ids while no operator runs; then the operator of this checkout starts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from declared import client, now

from penstock_lab import deployment
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

RECORDED = Path(__file__).parent / "recorded" / "1971b68.json"
# The namespace of the recording; what belongs to it in AWS begins with it.
NAMESPACE = "upgraded"
PLURALS = {
    "DynamoTable": "dynamotables",
    "AuroraCluster": "auroraclusters",
    "CostBudget": "costbudgets",
    "FailoverDrill": "failoverdrills",
}
# What AWS chooses: another in each lab.
_IDS = ("TableId", "LatestStreamArn", "LatestStreamLabel", "DbClusterResourceId", "KmsKeyId", "Endpoint")
_READS = ("Describe", "List", "Get", "Receive")
_BUSY = ("ResourceInUseException", "InvalidDBClusterStateFault", "ContinuousBackupsUnavailableException")


class Upgraded:
    """The recorded installation in this lab."""

    def __init__(self, lab: Lab, namespace: str) -> None:
        self.lab, self.namespace = lab, namespace
        self._recorded = json.loads(RECORDED.read_text().replace(NAMESPACE, namespace))
        self._ids: dict[str, str] = {}
        self._apply()
        self._make()
        self._write_statuses()

    @property
    def objects(self) -> list[dict[str, Any]]:
        kinds = ",".join(PLURALS.values())
        found: list[dict[str, Any]] = json.loads(
            self.lab.kubectl("get", kinds, "-n", self.namespace, "-o", "json").stdout
        )["items"]
        return found

    def _known(self, value: Any) -> Any:
        """With the ids of this lab."""
        text = json.dumps(value)
        for old, new in self._ids.items():
            text = text.replace(old, new)
        return json.loads(text)

    def _apply(self) -> None:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "catalogue-master", "namespace": self.namespace},
            "stringData": {"password": "Correct-Horse-7"},
        }
        items = [
            {key: obj[key] for key in ("apiVersion", "kind", "metadata", "spec")} for obj in self._recorded["objects"]
        ]
        for item in items:
            kept = ("name", "namespace", "annotations", "finalizers")
            item["metadata"] = {key: value for key, value in item["metadata"].items() if key in kept}
        listed = {"apiVersion": "v1", "kind": "List", "items": [secret, *items]}
        self.lab.kubectl("apply", "-f", "-", input=json.dumps(listed))
        uids = {(obj["kind"], obj["metadata"]["name"]): obj["metadata"]["uid"] for obj in self.objects}
        for obj in self._recorded["objects"]:
            self._ids[obj["metadata"]["uid"]] = uids[obj["kind"], obj["metadata"]["name"]]
        answer: Any = self.lab.api.json("/api/v1/namespaces/kube-system")
        self._ids[self._recorded["cluster"]] = answer["metadata"]["uid"]
        answer = self.lab.api.json(f"/api/v1/namespaces/{self.namespace}/secrets/catalogue-master")
        self._ids[self._recorded["secretVersion"]] = (
            f"{answer['metadata']['uid']}/{answer['metadata']['resourceVersion']}"
        )

    def _make(self) -> None:
        """The requests of the earlier version, each as soon as AWS takes it."""
        key = client(self.lab.aws_url, "kms").describe_key(KeyId="alias/lab")["KeyMetadata"]["Arn"]
        self._ids[self._recorded["facts"][f"cluster {self.namespace}-ledger"]["KmsKeyId"]] = key
        for service, operation, parameters in self._recorded["requests"]:
            boto = client(self.lab.aws_url, service)
            method = {name: method for method, name in boto.meta.method_to_api_mapping.items()}[operation]
            _patiently(lambda boto=boto, method=method, given=parameters: getattr(boto, method)(**self._known(given)))
        for name, before in self._recorded["facts"].items():
            after = self._settled(name)
            self._ids |= {before[field]: after[field] for field in _IDS if field in before}
            if "MasterUserSecret" in before:
                self._ids[before["MasterUserSecret"]["SecretArn"]] = after["MasterUserSecret"]["SecretArn"]
        self._ids = {old: new for old, new in self._ids.items() if old != new}

    def _settled(self, resource: str) -> dict[str, Any]:
        """A table or cluster once AWS is done with it."""
        kind, _, name = resource.partition(" ")
        deadline = time.monotonic() + 30
        while True:
            found: dict[str, Any]
            if kind == "table":
                found = client(self.lab.aws_url, "dynamodb").describe_table(TableName=name)["Table"]
                busy = {found["TableStatus"], *(i["IndexStatus"] for i in found.get("GlobalSecondaryIndexes", ()))} != {
                    "ACTIVE"
                }
            else:
                rds = client(self.lab.aws_url, "rds")
                found = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
                mine = rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [name]}])["DBInstances"]
                busy = {found["Status"], *(i["DBInstanceStatus"] for i in mine)} != {"available"}
            if not busy:
                return found
            assert time.monotonic() < deadline, f"{resource} is not there: {found}"
            time.sleep(0.2)

    def _write_statuses(self) -> None:
        for obj in self._recorded["objects"]:
            body = json.dumps({"status": self._known(obj["status"])})
            where = (PLURALS[obj["kind"]], obj["metadata"]["name"], "-n", self.namespace)
            self.lab.kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", body)

    def writes(self) -> list[tuple[str, str]]:
        """What was asked of AWS about them, reads apart."""
        return [
            (entry["operation"], entry["key"])
            for entry in self.lab.aws.calls(log=True)["log"]
            if self.namespace in entry["key"] and not entry["operation"].partition(".")[2].startswith(_READS)
        ]

    def groups(self) -> set[str]:
        """Subnet and parameter groups of their clusters."""
        rds = client(self.lab.aws_url, "rds")
        kinds = {
            "DBSubnetGroup": rds.describe_db_subnet_groups,
            "DBClusterParameterGroup": rds.describe_db_cluster_parameter_groups,
            "DBParameterGroup": rds.describe_db_parameter_groups,
        }
        names = [group[f"{kind}Name"] for kind, read in kinds.items() for group in read(MaxRecords=100)[f"{kind}s"]]
        return {name for name in names if self.namespace in name}


def _patiently(call: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            call()
        except ClientError as error:
            if error.response["Error"]["Code"] not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


@pytest.fixture
def upgraded(lab: Lab, namespace: str) -> Iterator[Upgraded]:
    replicas = deployment.scale(lab, 0)
    try:
        yield Upgraded(lab, namespace)
    finally:
        deployment.scale(lab, replicas)


def conditions(obj: dict[str, Any]) -> dict[str, tuple[str, str]]:
    found = (obj.get("status") or {}).get("conditions") or ()
    return {c["type"]: (c["status"], c["message"]) for c in found if c["type"] in ("Ready", "Synced", "Stalled")}


def events(lab: Lab, namespace: str, since: str) -> list[str]:
    answer: Any = lab.api.json(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events?limit=1000")
    return [f"{e['regarding']['name']} {e['reason']}: {e['note']}" for e in answer["items"] if e["eventTime"] > since]


def test_what_an_earlier_version_made_is_taken_over_without_a_write(
    lab: Lab, upgraded: Upgraded, wait_for: Callable[..., Any]
) -> None:
    groups = upgraded.groups()
    assert len(groups) > 5, "the recorded clusters have groups of their own"
    lab.aws.reset_calls()
    began = now()
    deployment.scale(lab, 1)
    lab.wait_operator()
    for plural in ("dynamotables", "auroraclusters"):
        mark = "penstock.dev/reconcile-at=upgraded"
        lab.kubectl("annotate", plural, "--all", "-n", upgraded.namespace, mark)

    def all_read() -> bool:
        both = [obj for obj in upgraded.objects if obj["kind"] in ("DynamoTable", "AuroraCluster")]
        return all(obj["status"].get("lastReconcileAt") == "upgraded" for obj in both)

    wait_for(all_read, 60)
    # Long enough for a second reconciliation, which would act on what the first one learnt.
    time.sleep(5)
    for obj in upgraded.objects:
        told = conditions(obj)
        assert told["Ready"][0] == "True", (obj["metadata"]["name"], told)
        assert told.get("Synced", ("True",))[0] == "True", (obj["metadata"]["name"], told)
        assert "plan" not in obj["status"], "nothing is to be done, and nothing waits for consent"
    assert upgraded.writes() == []
    # Connection Secrets are no part of the recording, so that they are made again.
    assert [e for e in events(lab, upgraded.namespace, began) if "Connection Secret" not in e] == []
    assert upgraded.groups() == groups, "no group was made or exchanged"
    # What it made under its names goes with its objects.
    table = json.dumps({"spec": {"deletionProtection": False}})
    lab.kubectl("patch", "ddb", "orders", "-n", upgraded.namespace, "--type=merge", "-p", table)
    lab.kubectl("delete", ",".join(PLURALS.values()), "--all", "-n", upgraded.namespace, "--wait=false")
    wait_for(lambda: not upgraded.objects, 120)
    assert upgraded.groups() == set()
