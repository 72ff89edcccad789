"""What AWS settled when it made the cluster and the spec says otherwise, and what a cluster is made of when restoreFrom is taken away."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aurora_model import World
from aurora_world import NAME, Operator, settled, spec

from penstock.api.conditions import Reason
from penstock.aurora import fields
from penstock.aurora.plan import plan
from penstock.aurora.report import report
from penstock.engine.kind import Outcome
from penstock.engine.plan import When

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
OTHER = KEY.replace("1111", "9999")


def foreign(**cluster: Any) -> World:
    """A cluster that somebody else made."""
    world = settled().world
    assert world.cluster is not None
    instances = {n: replace(i, tags={}) for n, i in world.instances.items()}
    found = replace(world.cluster, tags={}, master_username="postgres", subnet_group="legacy", **cluster)
    return replace(world, cluster=found, instances=instances)


def adopting(world: World, **fields_: Any) -> Operator:
    return Operator(spec(adopt=True, **fields_), world=world)


CASES = {
    "user": (
        {"credentials": {"masterUsername": "someoneelse"}},
        {},
        ["spec.credentials.masterUsername says someoneelse", "has postgres: write postgres or leave it out"],
    ),
    "database": (
        {"databaseName": "nosuchdb"},
        {"database_name": "books"},
        ["spec.databaseName says nosuchdb", "has books: write books or leave it out"],
    ),
    "no database": (
        {"databaseName": "nosuchdb"},
        {},
        ["spec.databaseName says nosuchdb", "has none: leave it out, and make the database in SQL"],
    ),
    "subnet group": (
        {"network": {"subnetGroup": "default"}},
        {},
        ["spec.network.subnetGroup says default", "is in legacy: write legacy or leave it out"],
    ),
    "subnets": (
        {"network": {"subnetIds": ["subnet-a", "subnet-b"]}},
        {},
        ["spec.network.subnetIds says subnet-a, subnet-b", "is in subnet group legacy"],
    ),
    "no encryption": (
        {"encryption": {"kmsKey": "alias/lab"}},
        {"encrypted": False},
        ["spec.encryption.kmsKey says alias/lab", "is not encrypted"],
    ),
    "encryption without a key": (
        {"encryption": {"encrypted": True}},
        {"encrypted": False},
        ["spec.encryption.encrypted says true", "is not encrypted"],
    ),
    "another key": (
        {"encryption": {"kmsKey": OTHER}},
        {"kms_key": KEY},
        [f"spec.encryption.kmsKey says {OTHER}", f"has {KEY}: write {KEY} or leave it out"],
    ),
    "another key's id": (
        {"encryption": {"kmsKey": OTHER.rpartition("/")[2]}},
        {"kms_key": KEY},
        [f"has {KEY}: write {KEY} or leave it out"],
    ),
    "zone": (
        {"instances": {"class": "db.t4g.medium", "readers": 1, "overrides": [{"ordinal": 2, "zone": "us-east-1f"}]}},
        {},
        ["zone us-east-1f for ordinal 2", f"instance {NAME}-2 is in us-east-1a"],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_nothing_is_adopted_that_can_never_become_what_the_spec_says(case: tuple[Any, Any, list[str]]) -> None:
    asked, have, says = case
    operator = adopting(foreign(**have), **asked)
    found = operator.plan()
    assert found.steps == ()
    (refusal,) = found.refusals
    assert refusal.reason == Reason.INVALID
    for words in says:
        assert words in refusal.sentence
    obj = {"metadata": {"name": "ledger", "namespace": "shop", "uid": "u-1", "generation": 1}, "spec": {}}
    told = report(obj, operator.desired, Outcome(operator.observe(), found), NOW)
    # Otherwise the API server would refuse the very edit that the message asks for.
    assert "resourceId" not in told.fields
    assert {(c.type, c.status, c.reason) for c in told.conditions} >= {
        ("Ready", False, "Invalid"),
        ("Synced", False, "Invalid"),
        ("Stalled", True, "Invalid"),
    }


@pytest.mark.parametrize(
    ("asked", "have"),
    [
        ({"credentials": {"masterUsername": "Postgres"}}, {}),
        ({"databaseName": "books"}, {"database_name": "books"}),
        ({"network": {"subnetGroup": "Legacy"}}, {}),
        ({"encryption": {"kmsKey": KEY}}, {"kms_key": KEY}),
        ({"encryption": {"kmsKey": KEY.rpartition("/")[2]}}, {"kms_key": KEY}),
        ({"encryption": {"kmsKey": "alias/lab"}}, {"kms_key": KEY}),
        ({"encryption": {"kmsKey": "alias/lab"}}, {"encrypted": None}),
    ],
)
def test_what_is_as_aws_has_it_or_not_known_is_adopted(asked: dict[str, Any], have: dict[str, Any]) -> None:
    assert adopting(foreign(**have), **asked).plan().refusals == ()


@pytest.mark.parametrize(("points_to", "refused"), [(KEY, False), (OTHER, True), ("", True)])
def test_an_alias_is_compared_by_the_key_that_it_points_to(points_to: str, refused: bool) -> None:
    operator = adopting(foreign(kms_key=KEY), encryption={"kmsKey": "alias/lab"})
    found = plan(operator.desired, replace(operator.observe(), kms_key=points_to), NOW)
    assert bool(found.refusals) is refused
    if refused:
        assert (points_to or "no key") in found.refusals[0].sentence


def test_of_a_cluster_that_is_ours_the_rest_goes_on_and_the_difference_is_told() -> None:
    operator = settled()
    operator.change(credentials={"masterUsername": "boss"}, tags={"team": "shop"})
    found = operator.one_pass()
    assert [r.reason for r in found.refusals] == [Reason.INVALID]
    assert operator.world.cluster is not None
    assert operator.world.cluster.tags["team"] == "shop"


def test_no_subnet_group_is_made_beside_the_one_that_the_cluster_is_in() -> None:
    operator = settled()
    assert operator.world.cluster is not None
    operator.world = replace(operator.world, cluster=replace(operator.world.cluster, subnet_group="legacy"))
    operator.change(network={"subnetIds": ["subnet-a", "subnet-b"]})
    operator.one_pass()
    assert operator.world.subnet_groups == {}


@pytest.mark.parametrize(("wanted", "newer"), [("15.4", True), ("15.10", False), ("15", False), (None, False)])
def test_a_version_that_aws_has_gone_beyond_is_left_and_told(wanted: str | None, newer: bool) -> None:
    operator = settled()
    engine = {"type": "AuroraPostgreSQL"} | ({"version": wanted} if wanted else {})
    operator.change(engine=engine)
    found = operator.plan()
    assert found.empty
    obj = {"metadata": {"name": "ledger", "namespace": "shop", "uid": "u-1", "generation": 1}, "spec": {}}
    conditions = report(obj, operator.desired, Outcome(operator.observe(), found), NOW).conditions
    (synced,) = [c.message for c in conditions if c.type == "Synced"]
    assert ("runs 15.10, which is newer than 15.4" in synced) is newer


RESTORE = {"snapshotIdentifier": "typo-in-name"}


def refused_restore() -> Operator:
    operator = Operator(spec(restoreFrom=RESTORE))
    found = operator.plan()
    assert [s.operation for s in found.runnable] == ["RestoreDBClusterFromSnapshot"]
    operator.status = fields.fields(operator.desired, {}, operator.observe(), None, False, NOW)
    assert operator.status["restoreFrom"] == RESTORE
    return operator


def test_what_was_to_be_restored_is_made_empty_with_consent_only() -> None:
    operator = refused_restore()
    operator.change(restoreFrom=None, network={"subnetIds": ["subnet-a", "subnet-b"]})
    found = operator.plan()
    assert found.runnable == ()
    (create,) = [s for s in found.steps if s.operation == "CreateDBCluster"]
    assert create.when is When.AFTER_CONSENT
    assert "empty instead of restored from typo-in-name" in create.summary
    assert [w.reason for w in found.waits] == [Reason.WAITING_FOR_CONSENT]
    assert found.hash in found.waits[0].sentence
    # The intent outlasts the status's next write.
    again = fields.fields(operator.desired, operator.status, operator.observe(), None, False, NOW)
    assert again["restoreFrom"] == RESTORE
    operator.approved = found.hash
    operator.converge()
    assert operator.world.cluster is not None


def test_another_source_needs_no_consent() -> None:
    operator = refused_restore()
    operator.change(restoreFrom={"clusterIdentifier": "books"})
    assert [s.operation for s in operator.plan().runnable] == ["RestoreDBClusterToPointInTime"]


def test_an_empty_cluster_that_was_asked_for_at_once_needs_no_consent() -> None:
    assert [s.operation for s in Operator(spec()).plan().steps if s.when is When.AFTER_CONSENT] == []
