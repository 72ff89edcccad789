"""A table as the API's example declares it: made, ready, told on the object, and then left in peace."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from declared import Declared, index, slower, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

EXAMPLE: dict[str, Any] = {
    "region": "us-east-1",
    "adopt": False,
    "deletionPolicy": "Snapshot",
    "deletionProtection": True,
    "key": {
        "partition": {"name": "customerId", "type": "String"},
        "sort": {"name": "placedAt", "type": "Number"},
    },
    "capacity": {"mode": "OnDemand", "maxReadUnits": 2000, "maxWriteUnits": 500},
    "globalIndexes": [
        {
            "name": "by-status",
            "partition": {"name": "status", "type": "String"},
            "sort": {"name": "placedAt", "type": "Number"},
            "projection": {"type": "Include", "attributes": ["total"]},
        }
    ],
    "localIndexes": [],
    "ttl": {"attribute": "expiresAt"},
    "stream": {"view": "NewAndOldImages"},
    "pointInTimeRecovery": {"enabled": True, "days": 35},
    "encryption": {"kmsKey": "alias/lab"},
    "tableClass": "Standard",
    "contributorInsights": True,
    "warmThroughput": {"readUnits": 13000, "writeUnits": 5000},
    "resourcePolicy": {},
    "tags": {"team": "shop"},
    "objectives": {"readP95": "9ms", "writeP95": "9ms"},
    "cost": {
        "monthlyBudget": "20",
        "expectedUsage": {"readsPerSecond": 50, "writesPerSecond": 10, "itemSize": "1Ki", "storage": "10Gi"},
    },
}


@pytest.fixture(scope="module")
def orders(lab: Lab) -> Iterator[Declared]:
    """The example, ready."""
    lab.kubectl("create", "namespace", "life-orders")
    with unharmed(lab):
        table = Declared(lab, "life-orders", EXAMPLE)
        lab.kubectl("wait", "-n", table.namespace, "--for=condition=Ready", "ddb/orders", "--timeout=30s")
        yield table.settled()
    table.edit(deletionProtection=False)
    lab.kubectl("delete", "namespace", "life-orders", "--wait=false")


def test_every_declared_field_is_in_aws(orders: Declared) -> None:
    aws = orders.aws
    assert aws["TableStatus"] == "ACTIVE"
    assert aws["KeySchema"] == [
        {"AttributeName": "customerId", "KeyType": "HASH"},
        {"AttributeName": "placedAt", "KeyType": "RANGE"},
    ]
    assert {a["AttributeName"]: a["AttributeType"] for a in aws["AttributeDefinitions"]} == {
        "customerId": "S",
        "placedAt": "N",
        "status": "S",
    }
    assert aws["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert aws["OnDemandThroughput"] == {"MaxReadRequestUnits": 2000, "MaxWriteRequestUnits": 500}
    assert aws["DeletionProtectionEnabled"] is True
    assert aws["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert (aws["WarmThroughput"]["ReadUnitsPerSecond"], aws["WarmThroughput"]["WriteUnitsPerSecond"]) == (13000, 5000)
    assert aws.get("TableClassSummary", {}).get("TableClass", "STANDARD") == "STANDARD"
    key = orders.lab.boto("kms").describe_key(KeyId="alias/lab")["KeyMetadata"]["Arn"]
    assert (aws["SSEDescription"]["SSEType"], aws["SSEDescription"]["KMSMasterKeyArn"]) == ("KMS", key)
    (gsi,) = aws["GlobalSecondaryIndexes"]
    assert gsi["IndexName"] == "by-status"
    assert [e["AttributeName"] for e in gsi["KeySchema"]] == ["status", "placedAt"]
    assert gsi["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["total"]}
    assert orders.aws_ttl["AttributeName"] == "expiresAt"
    assert orders.aws_ttl["TimeToLiveStatus"] in ("ENABLING", "ENABLED")
    assert orders.aws_recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    assert orders.aws_recovery["RecoveryPeriodInDays"] == 35
    assert orders.aws_insights() in ("ENABLING", "ENABLED")
    assert orders.aws_policy is None
    assert orders.aws_tags["team"] == "shop"


def test_the_owner_tag_names_cluster_namespace_kind_name_and_uid(orders: Declared) -> None:
    cluster = json.loads(orders.lab.kubectl("get", "namespace", "kube-system", "-o", "json").stdout)["metadata"]["uid"]
    assert orders.aws_tags["penstock.dev/owner"] == f"{cluster}/life-orders/DynamoTable/orders/{orders.uid}"


def test_the_status_tells_what_aws_chose(orders: Declared) -> None:
    aws, status = orders.aws, orders.status
    assert status["tableArn"] == aws["TableArn"]
    assert status["tableId"] == aws["TableId"]
    assert status["tableName"] == orders.table
    assert (status["tableStatus"], status["mode"]) == ("Active", "OnDemand")
    assert (status["itemCount"], status["sizeBytes"], status["size"]) == (0, 0, "0")
    assert status["streamArn"] == aws["LatestStreamArn"]
    assert datetime.fromisoformat(status["createdAt"]).timestamp() == int(aws["CreationDateTime"].timestamp())
    assert datetime.fromisoformat(status["restorable"]["earliest"])
    assert datetime.fromisoformat(status["restorable"]["latest"])
    (told,) = status["indexes"]
    assert (told["name"], told["state"]) == ("by-status", "Active")
    assert status["observed"]["kmsKeyArn"] == aws["SSEDescription"]["KMSMasterKeyArn"]
    assert status["managed"] == {"indexes": ["by-status"], "tags": ["team"]}
    assert status["observedGeneration"] == orders.object["metadata"]["generation"]
    assert "plan" not in status


def test_conditions_are_those_of_kstatus(orders: Declared) -> None:
    found = {c["type"]: c for c in orders.status["conditions"]}
    assert {k: (c["status"], c["reason"]) for k, c in found.items()} == {
        "Ready": ("True", "Available"),
        "Synced": ("True", "InSync"),
        "Reconciling": ("False", "NotProgressing"),
        "Stalled": ("False", "NotStalled"),
        "Recoverable": ("True", "RestorePointFresh"),
        # The example costs more than its own budget of $20.
        "WithinBudget": ("False", "OverBudget"),
        "ObjectivesMet": ("Unknown", "NotMeasured"),
    }
    generation = orders.object["metadata"]["generation"]
    for condition in found.values():
        assert condition["observedGeneration"] == generation
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", condition["lastTransitionTime"])
        assert condition["message"].endswith("."), "a sentence"


def test_columns_tell_a_tired_person_what_matters(orders: Declared) -> None:
    header, row = orders.lab.kubectl("get", "ddb", "-n", orders.namespace).stdout.splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "MODE", "ITEMS", "SIZE", "COST/MO", "AGE"]
    assert row.split()[:6] == ["orders", "True", "Available", "OnDemand", "0", "0"]
    wide = orders.lab.kubectl("get", "penstock", "-n", orders.namespace, "-o", "wide").stdout
    assert f"Table {orders.table} serves requests." in wide


def test_describe_shows_the_events(orders: Declared) -> None:
    text = orders.lab.kubectl("describe", "ddb", "orders", "-n", orders.namespace).stdout
    events = text.partition("Events:")[2]
    assert f"Creating table {orders.table} (on demand, 1 global index)." in " ".join(events.split())
    assert "penstock.dev/operator" in events


def test_only_the_finalizer_and_the_cost_are_written_outside_the_status(orders: Declared) -> None:
    metadata = orders.object["metadata"]
    assert metadata["finalizers"] == ["penstock.dev/finalizer"]
    ours = [m for m in metadata["managedFields"] if m["manager"] == "penstock"]
    fields = {key for m in ours for key in m["fieldsV1"]}
    assert fields == {"f:metadata", "f:status"}
    written = [m["fieldsV1"]["f:metadata"] for m in ours if "f:metadata" in m["fieldsV1"]]
    assert {k for fields in written for k in fields} == {"f:annotations", "f:finalizers"}
    annotations = {k for fields in written for k in fields.get("f:annotations", {})} - {"."}
    assert annotations == {"f:penstock.dev/monthly-cost-usd", "f:penstock.dev/cost-basis"}


def test_a_table_as_declared_is_left_in_peace(orders: Declared) -> None:
    # Whatever was still to be read after the creation has been read by now.
    orders.until(lambda: "advice" in orders.status, "what it was used for is told")
    time.sleep(2)
    version, writes, told = orders.object["metadata"]["resourceVersion"], orders.writes(), orders.events
    time.sleep(20)
    assert orders.object["metadata"]["resourceVersion"] == version
    assert orders.writes() == writes
    assert orders.events == told


def test_applying_the_same_again_and_forced_looks_change_nothing(orders: Declared) -> None:
    writes = orders.writes()
    orders.apply().look()
    before = orders.object["metadata"]["resourceVersion"]
    orders.apply()
    time.sleep(1)
    assert orders.object["metadata"]["resourceVersion"] == before
    assert orders.writes() == writes
    assert orders.condition("Synced")["status"] == "True"


def test_the_writes_of_a_creation_are_few_and_each_is_made_once(orders: Declared) -> None:
    assert sorted(orders.writes()) == [
        "CreateTable",
        "UpdateContinuousBackups",
        "UpdateContributorInsights",
        "UpdateTimeToLive",
    ] + ["UpdateTable"] * orders.writes().count("UpdateTable")
    assert "UpdateTable" not in orders.writes(), "CreateTable carries all that it can"


def test_provisioned_with_autoscaling_local_index_and_policy(lab: Lab, namespace: str) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "dynamodb:GetItem", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    table = Declared(
        lab,
        namespace,
        {
            "key": {"partition": {"name": "id", "type": "String"}, "sort": {"name": "at", "type": "Number"}},
            "capacity": {
                "mode": "Provisioned",
                "read": {"min": 5, "max": 100, "targetUtilization": 60},
                "write": {"units": 4},
            },
            "globalIndexes": [index("by-city", "city", capacity={"read": {"units": 3}, "write": {"min": 2, "max": 8}})],
            "localIndexes": [
                {"name": "by-size", "sort": {"name": "size", "type": "Number"}, "projection": {"type": "All"}}
            ],
            "resourcePolicy": policy,
            "encryption": {},
        },
    ).settled()
    aws = table.aws
    assert (aws["ProvisionedThroughput"]["ReadCapacityUnits"], aws["ProvisionedThroughput"]["WriteCapacityUnits"]) == (
        5,
        4,
    )
    assert [i["IndexName"] for i in aws["LocalSecondaryIndexes"]] == ["by-size"]
    assert table.aws_policy == policy
    assert table.aws_scaling == {" ReadCapacityUnits": (5, 100), "/index/by-city WriteCapacityUnits": (2, 8)}
    policies = lab.boto("application-autoscaling").describe_scaling_policies(
        ServiceNamespace="dynamodb", ResourceId=f"table/{table.table}"
    )["ScalingPolicies"]
    assert [p["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] for p in policies] == [60.0]
    assert table.status["mode"] == "Provisioned"
    assert table.status["capacityDecreasesLeft"] == 4
    assert table.aws_recovery["PointInTimeRecoveryStatus"] == "ENABLED", "on, although the spec does not speak of it"


def test_the_smallest_table(lab: Lab, namespace: str) -> None:
    manifest = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "DynamoTable",
        "metadata": {"name": f"{namespace}-small", "namespace": namespace},
        "spec": {"deletionPolicy": "Delete", "key": {"partition": {"name": "id", "type": "Binary"}}},
    }
    lab.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    table = Declared(lab, namespace, name=f"{namespace}-small", table=f"{namespace}-small", apply=False)
    table.settled()
    assert table.aws["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table.aws_recovery["PointInTimeRecoveryStatus"] == "ENABLED"


def test_a_slow_creation_is_told_as_it_goes_on(lab: Lab, namespace: str) -> None:
    # An object that is Ready within its first second is told once, so AWS takes longer here.
    with slower(lab, table_create_s=4.0):
        table = Declared(lab, namespace)
        creating = table.wait("Ready", "False", reason="Creating")
        assert table.table in creating["message"]
        assert table.condition("Reconciling")["status"] == "True"
        assert table.condition("Stalled")["status"] == "False"
        table.settled()
