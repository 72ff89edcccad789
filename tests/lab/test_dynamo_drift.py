"""What somebody changes in AWS behind the operator's back: set back and told where the spec speaks of it, left alone elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from declared import Declared, adoptable_by, apply_all, client, index, slower, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "dynamodb:GetItem", "Resource": "*"}],
}
ON_DEMAND = {"mode": "OnDemand", "maxReadUnits": 70, "maxWriteUnits": 30}
UNITS = {"mode": "Provisioned", "read": {"units": 6}, "write": {"units": 3}}
SCALED = {"mode": "Provisioned", "read": {"min": 5, "max": 50}, "write": {"units": 3}}


@dataclass(frozen=True)
class Drift:
    """A spec, what somebody does to the table, and the words of the Event that takes it back: what was, and what is again."""

    name: str
    spec: dict[str, Any]
    hand: Callable[[Declared], Any]
    words: tuple[str, ...]
    holds: Callable[[Declared], Any]


def _scaling(table: Declared) -> Any:
    return client(table.lab.aws_url, "application-autoscaling")


def _target(table: Declared) -> dict[str, str]:
    return {
        "ServiceNamespace": "dynamodb",
        "ResourceId": f"table/{table.table}",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
    }


def _other_utilisation(table: Declared) -> None:
    _scaling(table).put_scaling_policy(
        PolicyName="penstock-target-tracking",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 30.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
        },
        **_target(table),
    )


def _utilisation(table: Declared) -> float:
    found = _scaling(table).describe_scaling_policies(ServiceNamespace="dynamodb", ResourceId=f"table/{table.table}")[
        "ScalingPolicies"
    ]
    return float(found[0]["TargetTrackingScalingPolicyConfiguration"]["TargetValue"])


def _tag(**tags: str) -> Callable[[Declared], Any]:
    return lambda t: t.dynamodb.tag_resource(
        ResourceArn=t.aws["TableArn"], Tags=[{"Key": k, "Value": v} for k, v in tags.items()]
    )


def _update(**parameters: Any) -> Callable[[Declared], Any]:
    return lambda t: t.by_hand(**parameters)


def _ttl_off(table: Declared) -> None:
    spec = {"Enabled": False, "AttributeName": "until"}
    table.by_hand("update_time_to_live", TimeToLiveSpecification=spec)
    table.until(lambda: table.aws_ttl["TimeToLiveStatus"] == "DISABLED")


def _insights_off(table: Declared) -> None:
    table.until(lambda: table.aws_insights() == "ENABLED")
    table.by_hand("update_contributor_insights", ContributorInsightsAction="DISABLE")
    table.until(lambda: table.aws_insights() == "DISABLED")


def _recovery(enabled: bool, days: int | None = None) -> Callable[[Declared], Any]:
    wanted = {"PointInTimeRecoveryEnabled": enabled, **({"RecoveryPeriodInDays": days} if days else {})}
    return lambda t: t.by_hand("update_continuous_backups", PointInTimeRecoverySpecification=wanted)


def _units(read: int, write: int) -> dict[str, int]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def _caps(table: Declared) -> Any:
    return table.aws["OnDemandThroughput"] == {"MaxReadRequestUnits": 70, "MaxWriteRequestUnits": 30}


DRIFTS = [
    Drift(
        "caps",
        {"capacity": ON_DEMAND},
        _update(OnDemandThroughput={"MaxReadRequestUnits": 999, "MaxWriteRequestUnits": -1}),
        ("999/none", "70/30"),
        _caps,
    ),
    Drift(
        "capacity mode",
        {"capacity": ON_DEMAND},
        _update(BillingMode="PROVISIONED", ProvisionedThroughput=_units(4, 4)),
        ("Capacity mode was Provisioned and is set back to OnDemand.",),
        lambda t: t.aws["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST",
    ),
    Drift(
        "units",
        {"capacity": UNITS},
        _update(ProvisionedThroughput=_units(60, 3)),
        ("60/3", "6/3"),
        lambda t: t.aws["ProvisionedThroughput"]["ReadCapacityUnits"] == 6,
    ),
    Drift(
        "autoscaling deregistered",
        {"capacity": SCALED},
        lambda t: _scaling(t).deregister_scalable_target(**_target(t)),
        ("Autoscaling of", "off", "5–50"),
        lambda t: t.aws_scaling == {" ReadCapacityUnits": (5, 50)} and _utilisation(t) == 70,
    ),
    Drift(
        "autoscaling range",
        {"capacity": SCALED},
        lambda t: _scaling(t).register_scalable_target(MinCapacity=1, MaxCapacity=9, **_target(t)),
        ("Autoscaling of", "1–9", "5–50"),
        lambda t: t.aws_scaling == {" ReadCapacityUnits": (5, 50)},
    ),
    Drift(
        "autoscaling target",
        {"capacity": SCALED},
        _other_utilisation,
        ("30 %", "70 %"),
        lambda t: _utilisation(t) == 70,
    ),
    Drift(
        "TTL",
        {"ttl": {"attribute": "until"}},
        _ttl_off,
        ("TTL was off and is set back to on (until).",),
        lambda t: t.aws_ttl["TimeToLiveStatus"] == "ENABLED",
    ),
    Drift(
        "stream",
        {"stream": {"view": "NewImage"}},
        _update(StreamSpecification={"StreamEnabled": False}),
        ("The stream was off and is set back to NEW_IMAGE.",),
        lambda t: t.aws["StreamSpecification"]["StreamEnabled"],
    ),
    Drift(
        "point-in-time recovery",
        {},
        _recovery(False),
        ("Point-in-time recovery was off and is set back to on.",),
        lambda t: t.aws_recovery["PointInTimeRecoveryStatus"] == "ENABLED",
    ),
    Drift(
        "days of recovery",
        {"pointInTimeRecovery": {"days": 20}},
        _recovery(True, 2),
        ("on for 2 days", "on for 20 days"),
        lambda t: t.aws_recovery["RecoveryPeriodInDays"] == 20,
    ),
    Drift(
        "encryption",
        {"encryption": {"kmsKey": "alias/lab"}},
        _update(SSESpecification={"Enabled": False}),
        ("The encryption key was the AWS owned key and is set back to alias/lab.",),
        lambda t: t.aws["SSEDescription"]["Status"] == "ENABLED",
    ),
    Drift(
        "table class",
        {"tableClass": "Standard"},
        _update(TableClass="STANDARD_INFREQUENT_ACCESS"),
        ("Table class was STANDARD_INFREQUENT_ACCESS and is set back to STANDARD.",),
        lambda t: t.aws["TableClassSummary"]["TableClass"] == "STANDARD",
    ),
    Drift(
        "deletion protection",
        {"deletionProtection": True},
        _update(DeletionProtectionEnabled=False),
        ("Deletion protection was off and is set back to on.",),
        lambda t: t.aws["DeletionProtectionEnabled"],
    ),
    Drift(
        "a changed tag",
        {"tags": {"team": "shop"}},
        _tag(team="other"),
        ("team=other", "team=shop"),
        lambda t: t.aws_tags["team"] == "shop",
    ),
    Drift(
        "a removed tag",
        {"tags": {"team": "shop"}},
        lambda t: t.dynamodb.untag_resource(ResourceArn=t.aws["TableArn"], TagKeys=["team"]),
        ("team=(none)", "team=shop"),
        lambda t: t.aws_tags["team"] == "shop",
    ),
    Drift(
        "the owner tag",
        {},
        lambda t: t.dynamodb.untag_resource(ResourceArn=t.aws["TableArn"], TagKeys=["penstock.dev/owner"]),
        ("penstock.dev/owner=(none)",),
        lambda t: t.aws_tags["penstock.dev/owner"].endswith(t.uid),
    ),
    Drift(
        "a removed policy",
        {"resourcePolicy": POLICY},
        lambda t: t.dynamodb.delete_resource_policy(ResourceArn=t.aws["TableArn"]),
        ("The resource policy was gone and is set back to the spec's.",),
        lambda t: t.aws_policy == POLICY,
    ),
    Drift(
        "a policy where there must be none",
        {"resourcePolicy": {}},
        lambda t: t.dynamodb.put_resource_policy(
            ResourceArn=t.aws["TableArn"],
            Policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"dynamodb:*","Resource":"*"}]}',
        ),
        ("The resource policy was there and is set back to none.",),
        lambda t: t.aws_policy is None,
    ),
    Drift(
        "insights",
        {"contributorInsights": True},
        _insights_off,
        ("Contributor Insights was disabled and is set back to on.",),
        lambda t: t.aws_insights() == "ENABLED",
    ),
    Drift(
        "a deleted index",
        {"globalIndexes": [index("one")]},
        lambda t: (
            t.by_hand(GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "one"}}]),
            t.until(lambda: t.aws_indexes == {}),
        ),
        ("Index one was gone and is made again.",),
        lambda t: t.aws_indexes["one"]["IndexStatus"] == "ACTIVE",
    ),
]


@pytest.fixture(scope="module")
def drifted(lab: Lab) -> Iterator[dict[str, Declared]]:
    """All tables, made together, drifted by hand, and then looked at together."""
    namespace = f"t-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", namespace)
    with unharmed(lab, same_process=False), slower(lab, ttl_interval_s=0.0):
        tables = {d.name: Declared(lab, namespace, d.spec, name=f"d{n}", apply=False) for n, d in enumerate(DRIFTS)}
        apply_all(lab, list(tables.values()))
        for table in tables.values():
            table.settled(timeout=60)
            table.uid = table.object["metadata"]["uid"]
        for drift in DRIFTS:
            drift.hand(tables[drift.name])
        lab.kubectl("annotate", "ddb", "--all", "-n", namespace, "penstock.dev/reconcile-at=now")
        yield tables
    tables["deletion protection"].edit(deletionProtection=False)
    lab.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift.name)
def test_drift_is_set_back_and_told_with_before_and_after(drifted: dict[str, Declared], drift: Drift) -> None:
    table = drifted[drift.name]
    table.until(lambda: table.status.get("lastReconcileAt") == "now")
    table.settled()
    table.until(lambda: drift.holds(table), drift.name)
    notes = table.told("DriftCorrected")
    assert len(notes) == 1, notes
    assert all(word in notes[0] for word in drift.words), notes
    assert table.condition("Ready")["status"] == "True"


def test_what_the_spec_does_not_name_is_never_touched(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    made = table.writes()
    table.by_hand("update_time_to_live", TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"})
    table.by_hand(StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    table.by_hand(BillingMode="PROVISIONED", ProvisionedThroughput=_units(4, 4))
    table.by_hand(TableClass="STANDARD_INFREQUENT_ACCESS")
    table.by_hand(DeletionProtectionEnabled=True)
    table.by_hand(SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/lab"})
    table.by_hand("update_contributor_insights", ContributorInsightsAction="ENABLE")
    table.dynamodb.put_resource_policy(
        ResourceArn=table.aws["TableArn"],
        Policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"dynamodb:*","Resource":"*"}]}',
    )
    _tag(team="other")(table)
    table.by_hand(
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("id", "city")],
        GlobalSecondaryIndexUpdates=[
            {
                "Create": {
                    "IndexName": "theirs",
                    "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                    "ProvisionedThroughput": _units(1, 1),
                }
            }
        ],
    )
    theirs = len(table.writes())
    table.look().look()
    table.settled()
    assert len(table.writes()) == theirs > len(made)
    assert not table.told("DriftCorrected")
    assert table.condition("Synced")["message"] == "AWS is as the spec says."
    table.edit(deletionProtection=False).settled()


def test_a_foreign_index_is_left_alone_and_told(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": [index("ours")]}).settled()
    table.by_hand(
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("id", "ours", "city")],
        GlobalSecondaryIndexUpdates=[
            {
                "Create": {
                    "IndexName": "theirs",
                    "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            }
        ],
    )
    table.look().settled()
    assert "index theirs is not in the spec and is left alone" in table.condition("Synced")["message"]
    # And also when ours go:
    table.edit(globalIndexes=[]).settled()
    assert table.aws_indexes.keys() == {"theirs"}
    # Naming it takes it over without a change.
    table.edit(globalIndexes=[index("theirs", "city", {"type": "All"})]).settled()
    assert table.status["managed"]["indexes"] == ["theirs"]
    table.edit(globalIndexes=[]).settled()
    assert table.aws_indexes == {}


def test_a_deleted_table_is_back_and_told(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"tags": {"team": "shop"}, "ttl": {"attribute": "until"}}).settled()
    before = table.status["tableId"]
    table.by_hand("delete_table")
    table.until(lambda: not table.exists)
    table.look().settled()
    assert table.status["tableId"] == table.aws["TableId"] != before
    assert table.told("Recreating") == [f"Table {table.table} was gone; making it again, empty."]
    assert table.aws_ttl["AttributeName"] == "until"
    assert table.aws_recovery["PointInTimeRecoveryStatus"] == "ENABLED"


def test_a_table_that_is_just_being_deleted_is_waited_for(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    with slower(lab, table_delete_s=2.0):
        table.by_hand("delete_table")
        table.annotate("reconcile-at", "1")
        told = table.wait("Ready", "False", reason="Deleting")
        assert "is being deleted by somebody; it is made again afterwards" in told["message"]
        table.settled()
    assert table.writes().count("CreateTable") == 2


def test_a_table_that_somebody_made_anew_is_not_taken_for_ours(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    table.by_hand("delete_table")
    table.until(lambda: not table.exists)
    table.dynamodb.create_table(
        TableName=table.table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=adoptable_by(namespace),
    )
    made = len(table.writes())
    table.look()
    told = table.wait("Ready", "False", reason="AlreadyExists")
    assert "Set spec.adopt: true to take it over" in told["message"]
    assert len(table.writes()) == made
    table.edit(adopt=True).settled()
    table.dynamodb.describe_table(TableName=table.table)


def test_the_cycles_find_what_nobody_tells(lab: Lab) -> None:
    """Without a forced pass: a deletion by the listing, tags by their pages, TTL with the facets, the rest by DescribeTable."""
    namespace = f"t-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", namespace)
    cycles = {
        "PENSTOCK_RESYNC_SECONDS": "4",
        "PENSTOCK_FACET_RESYNC_SECONDS": "4",
        "PENSTOCK_LISTING_SECONDS": "2",
    }
    spec = {"tags": {"team": "shop"}, "ttl": {"attribute": "until"}, "deletionProtection": False}
    tables = [Declared(lab, namespace, spec, name=f"c{n}", apply=False) for n in range(22)]
    with lab.run_operator(cycles) as operator, slower(lab, ttl_interval_s=0.0):
        operator.wait_ready()
        apply_all(lab, tables)
        for table in tables:
            table.settled(timeout=60)
        gone, tagged, ttl, protected, *_ = tables
        gone.by_hand("delete_table")
        _tag(team="other")(tagged)
        _ttl_off(ttl)
        protected.by_hand(DeletionProtectionEnabled=True)
        gone.until(lambda: gone.aws["TableStatus"] == "ACTIVE" and gone.writes().count("CreateTable") == 2)
        tagged.until(lambda: tagged.aws_tags["team"] == "shop")
        ttl.until(lambda: ttl.aws_ttl["TimeToLiveStatus"] in ("ENABLING", "ENABLED"))
        protected.until(lambda: protected.aws["DeletionProtectionEnabled"] is False)
        assert "Traceback" not in operator.logs()
    lab.kubectl("delete", "namespace", namespace, "--wait=false")
