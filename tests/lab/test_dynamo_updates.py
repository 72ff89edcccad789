"""Every edit of a table's settings, each on a table of its own; all are applied at once and watched one by one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from declared import Declared, apply_all, index, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

ON_DEMAND = {"mode": "OnDemand"}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "dynamodb:GetItem", "Resource": "*"}],
}


def provisioned(read: Any, write: Any) -> dict[str, Any]:
    return {"mode": "Provisioned", "read": read, "write": write}


def units(read: int, write: int) -> dict[str, Any]:
    return provisioned({"units": read}, {"units": write})


@dataclass(frozen=True)
class Change:
    """A table before an edit, the edit, the AWS writes that it may take, and what AWS must hold afterwards."""

    name: str
    before: dict[str, Any]
    after: dict[str, Any]
    writes: tuple[str, ...]
    holds: Callable[[Declared], Any]
    also: dict[str, Any] = field(default_factory=dict)


def caps(table: Declared) -> tuple[int, int]:
    found = table.aws.get("OnDemandThroughput") or {}
    return found.get("MaxReadRequestUnits", -1), found.get("MaxWriteRequestUnits", -1)


def has_units(table: Declared) -> tuple[int, int]:
    found = table.aws["ProvisionedThroughput"]
    return found["ReadCapacityUnits"], found["WriteCapacityUnits"]


def billing(table: Declared) -> str:
    return str((table.aws.get("BillingModeSummary") or {}).get("BillingMode", "PROVISIONED"))


def key_of(table: Declared) -> str:
    return str((table.aws.get("SSEDescription") or {}).get("KMSMasterKeyArn", ""))


def arn_of(table: Declared, alias: str) -> str:
    return str(table.lab.boto("kms").describe_key(KeyId=alias)["KeyMetadata"]["Arn"])


def stream(table: Declared) -> str:
    return str((table.aws.get("StreamSpecification") or {}).get("StreamViewType", "off"))


def warm(table: Declared) -> tuple[int, int]:
    found = table.aws["WarmThroughput"]
    return found["ReadUnitsPerSecond"], found["WriteUnitsPerSecond"]


def own_tags(table: Declared) -> dict[str, str]:
    return {k: v for k, v in table.aws_tags.items() if k != "penstock.dev/owner"}


def class_of(table: Declared) -> str:
    return str((table.aws.get("TableClassSummary") or {}).get("TableClass", "STANDARD"))


ONE, SCALE = ("UpdateTable",), ("RegisterScalableTarget", "PutScalingPolicy")
CHANGES = [
    Change(
        "caps are set",
        {},
        {"capacity": {**ON_DEMAND, "maxReadUnits": 70, "maxWriteUnits": 30}},
        ONE,
        lambda t: caps(t) == (70, 30),
    ),
    Change(
        "one cap is lowered and the other left alone",
        {"capacity": {**ON_DEMAND, "maxReadUnits": 70, "maxWriteUnits": 30}},
        {"capacity": {**ON_DEMAND, "maxReadUnits": 7}},
        ONE,
        lambda t: caps(t) == (7, 30),
    ),
    Change(
        "caps are removed by -1",
        {"capacity": {**ON_DEMAND, "maxReadUnits": 70, "maxWriteUnits": 30}},
        {"capacity": {**ON_DEMAND, "maxReadUnits": -1, "maxWriteUnits": -1}},
        ONE,
        lambda t: caps(t) == (-1, -1),
    ),
    Change(
        "an index gets a cap",
        {"capacity": ON_DEMAND, "globalIndexes": [index("one")]},
        {"globalIndexes": [index("one", capacity={"maxReadUnits": 9})]},
        ONE,
        lambda t: t.aws_indexes["one"]["OnDemandThroughput"]["MaxReadRequestUnits"] == 9,
    ),
    Change(
        "on demand to provisioned, the index too",
        {"capacity": ON_DEMAND, "globalIndexes": [index("one")]},
        {
            "capacity": units(6, 3),
            "globalIndexes": [index("one", capacity={"read": {"units": 2}, "write": {"units": 4}})],
        },
        ONE,
        lambda t: (
            billing(t) == "PROVISIONED"
            and has_units(t) == (6, 3)
            and t.aws_indexes["one"]["ProvisionedThroughput"]["WriteCapacityUnits"] == 4
        ),
    ),
    Change(
        "fixed units to autoscaling",
        {"capacity": units(6, 3)},
        {"capacity": provisioned({"min": 6, "max": 60}, {"min": 3, "max": 30, "targetUtilization": 50})},
        SCALE * 2,
        lambda t: t.aws_scaling == {" ReadCapacityUnits": (6, 60), " WriteCapacityUnits": (3, 30)},
    ),
    Change(
        "autoscaling gets another range",
        {"capacity": provisioned({"min": 6, "max": 60}, {"units": 3})},
        {"capacity": provisioned({"min": 6, "max": 90}, {"units": 3})},
        ("RegisterScalableTarget",),
        lambda t: t.aws_scaling == {" ReadCapacityUnits": (6, 90)},
    ),
    Change(
        "autoscaling to fixed units",
        {"capacity": provisioned({"min": 6, "max": 60}, {"units": 3})},
        {"capacity": units(20, 3)},
        ("DeregisterScalableTarget", "UpdateTable"),
        lambda t: t.aws_scaling == {} and has_units(t) == (20, 3),
    ),
    Change(
        "autoscaling to on demand",
        {"capacity": provisioned({"min": 6, "max": 60}, {"units": 3})},
        {"capacity": ON_DEMAND},
        ("DeregisterScalableTarget", "UpdateTable"),
        lambda t: t.aws_scaling == {} and billing(t) == "PAY_PER_REQUEST",
    ),
    Change(
        "units go up",
        {"capacity": units(2, 2)},
        {"capacity": units(9, 8)},
        ONE,
        lambda t: has_units(t) == (9, 8) and t.status["capacityDecreasesLeft"] == 4,
    ),
    Change(
        "units go down, which AWS counts",
        {"capacity": units(9, 8)},
        {"capacity": units(3, 8)},
        ONE,
        lambda t: has_units(t) == (3, 8) and t.status["capacityDecreasesLeft"] <= 4,
    ),
    Change(
        "TTL on",
        {},
        {"ttl": {"attribute": "until"}},
        ("UpdateTimeToLive",),
        lambda t: t.aws_ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"},
    ),
    Change("a stream is turned on", {}, {"stream": {"view": "NewImage"}}, ONE, lambda t: stream(t) == "NEW_IMAGE"),
    Change(
        "a stream is turned off",
        {"stream": {"view": "NewImage"}},
        {"stream": {"enabled": False}},
        ONE,
        lambda t: stream(t) == "off" and "streamArn" not in t.status,
    ),
    Change(
        "a stream gets another view, as a new stream",
        {"stream": {"view": "NewImage"}},
        {"stream": {"view": "KeysOnly"}},
        ONE * 2,
        lambda t: stream(t) == "KEYS_ONLY" and t.status["streamArn"] == t.aws["LatestStreamArn"],
    ),
    Change(
        "recovery gets fewer days",
        {},
        {"pointInTimeRecovery": {"days": 7}},
        ("UpdateContinuousBackups",),
        lambda t: t.aws_recovery["RecoveryPeriodInDays"] == 7,
    ),
    Change(
        "recovery is turned off, and the object says so",
        {},
        {"pointInTimeRecovery": {"enabled": False}},
        ("UpdateContinuousBackups",),
        lambda t: (
            t.aws_recovery["PointInTimeRecoveryStatus"] == "DISABLED"
            and t.condition("Recoverable")["reason"] == "PointInTimeRecoveryDisabled"
            and "restorable" not in t.status
        ),
    ),
    Change(
        "a customer key",
        {},
        {"encryption": {"kmsKey": "alias/lab"}},
        ONE,
        lambda t: key_of(t) == arn_of(t, "alias/lab") == t.status["observed"]["kmsKeyArn"],
    ),
    Change(
        "the key that AWS manages",
        {"encryption": {"kmsKey": "alias/lab"}},
        {"encryption": {"kmsKey": "alias/aws/dynamodb"}},
        ONE,
        lambda t: key_of(t) == arn_of(t, "alias/aws/dynamodb"),
    ),
    Change(
        "back to the key that AWS owns",
        {"encryption": {"kmsKey": "alias/lab"}},
        {"encryption": {}},
        ONE,
        lambda t: key_of(t) == "",
    ),
    Change(
        "the cheap table class",
        {},
        {"tableClass": "StandardInfrequentAccess"},
        ONE,
        lambda t: class_of(t) == "STANDARD_INFREQUENT_ACCESS",
    ),
    Change(
        "deletion protection on",
        {},
        {"deletionProtection": True},
        ONE,
        lambda t: t.aws["DeletionProtectionEnabled"] is True,
    ),
    Change(
        "deletion protection off",
        {"deletionProtection": True},
        {"deletionProtection": False},
        ONE,
        lambda t: t.aws["DeletionProtectionEnabled"] is False,
    ),
    Change(
        "tags are added, changed and removed",
        {"tags": {"team": "shop", "env": "dev"}},
        {"tags": {"team": "till", "cost": "7"}},
        ("TagResource", "UntagResource"),
        lambda t: own_tags(t) == {"team": "till", "cost": "7"},
    ),
    Change(
        "all tags are removed",
        {"tags": {"team": "shop"}},
        {"tags": {}},
        ("UntagResource",),
        lambda t: own_tags(t) == {} and "penstock.dev/owner" in t.aws_tags,
    ),
    Change(
        "a resource policy is set",
        {},
        {"resourcePolicy": POLICY},
        ("PutResourcePolicy",),
        lambda t: t.aws_policy == POLICY,
    ),
    Change(
        "a resource policy is changed",
        {"resourcePolicy": POLICY},
        {"resourcePolicy": {**POLICY, "Id": "second"}},
        ("PutResourcePolicy",),
        lambda t: t.aws_policy["Id"] == "second",
    ),
    Change(
        "a resource policy is removed",
        {"resourcePolicy": POLICY},
        {"resourcePolicy": {}},
        ("DeleteResourcePolicy",),
        lambda t: t.aws_policy is None,
    ),
    Change(
        "insights of the table and of an index",
        {"globalIndexes": [index("one")]},
        {"contributorInsights": True, "globalIndexes": [index("one", contributorInsights=True)]},
        ("UpdateContributorInsights",) * 2,
        lambda t: t.aws_insights() == "ENABLED" and t.aws_insights("one") == "ENABLED",
    ),
    Change(
        "insights off, just after they were turned on",
        {"contributorInsights": True},
        {"contributorInsights": False},
        ("UpdateContributorInsights",),
        lambda t: t.aws_insights() == "DISABLED",
    ),
    Change(
        "warm throughput is raised",
        {"warmThroughput": {"readUnits": 13000}},
        {"warmThroughput": {"readUnits": 15000, "writeUnits": 6000}},
        ONE,
        lambda t: warm(t) == (15000, 6000),
    ),
    Change(
        "several settings at once",
        {},
        {
            "deletionProtection": True,
            "stream": {"view": "OldImage"},
            "tableClass": "StandardInfrequentAccess",
            "capacity": {**ON_DEMAND, "maxReadUnits": 4},
            "tags": {"a": "b"},
        },
        ("TagResource", *ONE * 4),
        lambda t: (
            t.aws["DeletionProtectionEnabled"]
            and stream(t) == "OLD_IMAGE"
            and class_of(t) == "STANDARD_INFREQUENT_ACCESS"
            and caps(t) == (4, -1)
            and own_tags(t) == {"a": "b"}
        ),
    ),
]


# What is taken out of the manifest is no longer managed, so it stays as it was: no write at all.
FORGOTTEN: list[Change] = [
    Change(f"{name} is no longer spoken of", {name: value}, {name: None}, (), holds)
    for name, value, holds in [
        ("capacity", units(6, 3), lambda t: has_units(t) == (6, 3)),
        ("globalIndexes", [index("one")], lambda t: "one" in t.aws_indexes),
        ("ttl", {"attribute": "until"}, lambda t: t.aws_ttl["AttributeName"] == "until"),
        ("stream", {"view": "NewImage"}, lambda t: stream(t) == "NEW_IMAGE"),
        ("encryption", {"kmsKey": "alias/lab"}, lambda t: key_of(t) == arn_of(t, "alias/lab")),
        ("deletionProtection", True, lambda t: t.aws["DeletionProtectionEnabled"] is True),
        ("tags", {"team": "shop"}, lambda t: own_tags(t) == {"team": "shop"}),
        ("resourcePolicy", POLICY, lambda t: t.aws_policy == POLICY),
        ("contributorInsights", True, lambda t: t.aws_insights() == "ENABLED"),
        ("tableClass", "StandardInfrequentAccess", lambda t: class_of(t) == "STANDARD_INFREQUENT_ACCESS"),
        ("warmThroughput", {"readUnits": 13000}, lambda t: warm(t)[0] == 13000),
    ]
]
ALL = [*CHANGES, *FORGOTTEN]


@dataclass
class Edited:
    table: Declared
    made: int
    """How many writes had made the table before it was edited."""


@pytest.fixture(scope="module")
def edited(lab: Lab) -> Iterator[dict[str, Edited]]:
    """All tables, made together and then edited together."""
    namespace = f"t-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", namespace)
    with unharmed(lab):
        tables = {c.name: Declared(lab, namespace, c.before, name=f"c{n}", apply=False) for n, c in enumerate(ALL)}
        apply_all(lab, list(tables.values()))
        for table in tables.values():
            table.settled(timeout=60)
        found = {name: Edited(table, len(table.writes())) for name, table in tables.items()}
        for change in ALL:
            table = tables[change.name]
            table.spec = {k: v for k, v in {**table.spec, **change.after}.items() if v is not None}
        apply_all(lab, list(tables.values()))
        yield found
    for table in tables.values():
        table.spec["deletionProtection"] = False
    apply_all(lab, list(tables.values()))
    lab.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize("change", ALL, ids=lambda change: change.name)
def test_an_edit_becomes_so_with_no_more_writes_than_it_needs(edited: dict[str, Edited], change: Change) -> None:
    table = edited[change.name].table
    table.settled()
    table.until(lambda: change.holds(table), change.name, timeout=10)
    assert sorted(table.writes()[edited[change.name].made :]) == sorted(change.writes), table.picture()
    assert not table.told("DriftCorrected"), "an edit is no drift"


@pytest.mark.parametrize("change", ALL, ids=lambda change: change.name)
def test_it_stays_ready_during_the_edit(edited: dict[str, Edited], change: Change) -> None:
    table = edited[change.name].table
    table.settled()
    ready, created = table.condition("Ready"), table.object["metadata"]["creationTimestamp"]
    assert ready["status"] == "True"
    transitions = [e for e in table.events if e.type == "Warning"]
    assert not transitions, transitions
    assert ready["lastTransitionTime"] >= created


def test_foreign_tags_survive_and_are_told(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"tags": {"team": "shop"}}).settled()
    table.dynamodb.tag_resource(ResourceArn=table.aws["TableArn"], Tags=[{"Key": "billing", "Value": "77"}])
    table.look().edit(tags={"team": "till"}).settled()
    assert own_tags(table) == {"team": "till", "billing": "77"}
    assert "tag billing is not in the spec and is left alone" in table.condition("Synced")["message"]
    # Also a tag of ours that somebody else has given another value since it left the spec stays managed until then.
    table.edit(tags={}).settled()
    assert own_tags(table) == {"billing": "77"}


def test_a_second_ttl_change_within_the_hour_waits_for_it(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"ttl": {"attribute": "until"}}).settled()
    table.edit(ttl={"attribute": "expires"})
    told = table.wait("Synced", "False", reason="LimitReached")
    assert told["message"] == "AWS allows one TTL change an hour; the operator tries again until the hour is over."
    assert table.condition("Ready")["status"] == "True"
    assert table.aws_ttl["AttributeName"] == "until"
    # Other edits go on meanwhile.
    table.edit(tags={"a": "b"})
    table.until(lambda: own_tags(table) == {"a": "b"})
    assert any("turn TTL off (until)" in step for step in table.steps)
    lab.aws.clock(advance=3700)
    table.annotate("reconcile-at", "hour-1")
    table.until(lambda: table.aws_ttl["TimeToLiveStatus"] == "DISABLED", "TTL is off")
    table.wait("Synced", "False", reason="LimitReached")
    lab.aws.clock(advance=3700)
    table.annotate("reconcile-at", "hour-2")
    table.settled()
    assert table.aws_ttl["AttributeName"] == "expires"
    assert table.writes().count("UpdateTimeToLive") == 3


def test_ttl_off_and_its_plan_is_visible(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"ttl": {"attribute": "until"}}).settled()
    lab.aws.clock(advance=3700)
    table.edit(ttl={"attribute": "until", "enabled": False}).settled()
    table.until(lambda: table.aws_ttl["TimeToLiveStatus"] == "DISABLED")


def test_more_decreases_than_a_day_allows_are_told_and_the_rest_goes_on(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"capacity": units(50, 5)}).settled()
    for read in (40, 30, 20, 10):
        table.edit(capacity=units(read, 5)).settled()
    # In the first hour of a UTC day the fifth decrease is refused; later in the day AWS has saved up some.
    for read in range(9, 0, -1):
        table.edit(capacity=units(read, 5))
        table.until(
            lambda: table.condition("Synced").get("observedGeneration") == table.object["metadata"]["generation"]
        )
        table.until(
            lambda: (
                table.condition("Synced")["status"] == "True" or table.condition("Synced")["reason"] == "LimitReached"
            )
        )
        if table.condition("Synced")["reason"] == "LimitReached":
            break
    else:
        pytest.fail("AWS never refused a decrease")
    assert "a decrease of capacity" in table.condition("Synced")["message"]
    assert table.condition("Ready")["status"] == "True"
    table.edit(tags={"still": "works"})
    table.until(lambda: own_tags(table) == {"still": "works"})
