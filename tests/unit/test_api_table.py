"""DynamoTable as a model: the whole example of the API's docs, what absent fields mean, and that nothing makes it raise."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bad_tables import cases
from penstock.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from penstock.api.dynamotable import DynamoTable, DynamoTableSpec, Stream, TimeToLive, validate_table
from penstock.api.dynamotable_status import DynamoTableStatus
from penstock.api.meta import Mode, ObjectMeta
from penstock.api.model import refused_changes
from penstock.api.parsing import parse

WHOLE: dict[str, Any] = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "DynamoTable",
    "metadata": {"name": "orders", "namespace": "shop", "annotations": {"penstock.dev/mode": "Plan"}},
    "spec": {
        "region": "us-east-1",
        "tableName": "shop-orders",
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
                "warmThroughput": {"readUnits": 12000},
                "contributorInsights": False,
            }
        ],
        "localIndexes": [],
        "ttl": {"attribute": "expiresAt"},
        "stream": {"view": "NewAndOldImages"},
        "pointInTimeRecovery": {"enabled": True, "days": 35},
        "encryption": {"kmsKey": "alias/orders"},
        "tableClass": "Standard",
        "contributorInsights": True,
        "warmThroughput": {"readUnits": 12000, "writeUnits": 4000},
        "resourcePolicy": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": "*"}],
        },
        "tags": {"team": "shop"},
        "restoreFrom": {"tableName": "old-orders", "time": "2026-11-01T12:00:00Z"},
        "objectives": {"readP95": "9ms", "writeP95": "9ms"},
        "cost": {
            "monthlyBudget": "20",
            "expectedUsage": {"readsPerSecond": 50, "writesPerSecond": 0.5, "itemSize": "1Ki", "storage": "10Gi"},
        },
    },
}


def table(**spec: Any) -> DynamoTable:
    """The smallest table with these fields."""
    key = {"partition": {"name": "id", "type": "String"}}
    found = parse({"metadata": {"name": "orders"}, "spec": {"key": key, **spec}})
    assert isinstance(found, DynamoTable), found
    return found


def test_the_whole_example_passes_and_goes_back_unchanged() -> None:
    found = parse(WHOLE)
    assert isinstance(found, DynamoTable), found
    assert validate_table(found.spec) == []
    assert found.metadata.mode is Mode.PLAN
    again = found.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    # Only what has a default of its own is added.
    expected = copy.deepcopy(WHOLE["spec"])
    expected["ttl"]["enabled"] = expected["stream"]["enabled"] = True
    assert again == expected


def test_absent_is_not_none() -> None:
    spec = table().spec
    for field in DynamoTableSpec.model_fields.keys() - {"key", "adopt", "deletion_policy"}:
        assert getattr(spec, field) is None, field


@pytest.mark.parametrize(
    ("spec", "wants"),
    [
        ({}, True),
        ({"adopt": True}, None),
        ({"pointInTimeRecovery": {}}, True),
        ({"pointInTimeRecovery": {"enabled": False}}, False),
        ({"adopt": True, "pointInTimeRecovery": {"days": 7}}, True),
    ],
)
def test_recovery_is_on_unless_it_is_off_or_an_adopted_table_does_not_say(
    spec: dict[str, Any], wants: bool | None
) -> None:
    assert table(**spec).spec.wants_pitr is wants


def test_off_can_be_said() -> None:
    spec = table(
        ttl={"attribute": "x", "enabled": False},
        stream={"enabled": False},
        encryption={},
        tags={},
        resourcePolicy={},
        globalIndexes=[],
        contributorInsights=False,
        capacity={"mode": "OnDemand", "maxReadUnits": -1},
    ).spec
    assert spec.ttl == TimeToLive(attribute="x", enabled=False)
    assert spec.stream == Stream(enabled=False)
    assert spec.encryption is not None
    assert spec.encryption.kms_key is None
    assert spec.tags == {}
    assert spec.global_indexes == ()
    assert spec.resource_policy is not None
    assert spec.resource_policy.document is None


def test_a_policy_is_given_as_it_was_written() -> None:
    found = parse(WHOLE)
    assert isinstance(found, DynamoTable)
    assert found.spec.resource_policy is not None
    assert found.spec.resource_policy.document == WHOLE["spec"]["resourcePolicy"]


def test_a_mode_that_is_no_mode_is_not_reconcile() -> None:
    assert ObjectMeta(name="x", annotations={"penstock.dev/mode": "paused"}).mode is None
    assert ObjectMeta(name="x").mode is Mode.RECONCILE


def test_a_status_of_another_version_does_not_make_the_object_wrong() -> None:
    for status in ({"itemCount": "many"}, {"conditions": [{"type": "New"}]}, None, {"fresh": {"field": 1}}):
        assert isinstance(parse({**WHOLE, "status": status}), DynamoTable)


def test_a_status_goes_to_kubernetes_and_back() -> None:
    now = datetime(2026, 11, 23, 12, 0, 1, 999_999, UTC)
    ready = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.TRUE,
        observed_generation=3,
        last_transition_time=now,
        reason=Reason.AVAILABLE,
        message="The table is active.",
    )
    written = DynamoTableStatus(observed_generation=3, conditions=(ready,), item_count=0).manifest()
    assert written["conditions"] == [
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 3,
            "lastTransitionTime": "2026-11-23T12:00:01Z",
            "reason": "Available",
            "message": "The table is active.",
        }
    ]
    assert written["itemCount"] == 0
    read = parse({**WHOLE, "status": written})
    assert isinstance(read, DynamoTable)
    assert read.status.manifest() == written


def test_indexes_that_merely_change_their_order_are_the_same() -> None:
    locals_ = [
        {"name": name, "sort": {"name": name, "type": "Number"}, "projection": {"type": "All"}}
        for name in ("aaa", "b-b")
    ]
    key = {"partition": {"name": "id", "type": "String"}, "sort": {"name": "at", "type": "Number"}}
    one, other = table(key=key, localIndexes=locals_), table(key=key, localIndexes=locals_[::-1])
    assert all(rule.keeps(one.spec, other.spec) for rule in one.spec.rules if rule.keeps)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    (*("spec",), *path)
    for path in (
        (),
        ("key",),
        ("key", "partition"),
        ("key", "sort", "type"),
        ("capacity",),
        ("capacity", "maxReadUnits"),
        ("globalIndexes",),
        ("ttl",),
        ("stream",),
        ("tags",),
        ("tags", "team"),
        ("resourcePolicy",),
        ("resourcePolicy", "Statement"),
        ("restoreFrom",),
        ("cost",),
        ("cost", "expectedUsage", "readsPerSecond"),
        ("objectives", "readP95"),
    )
] + [("metadata",), ("metadata", "annotations"), ("apiVersion",), ("kind",), ("status",)]


@settings(deadline=None)
@given(path=st.sampled_from(PATHS), value=JSON)
def test_no_manifest_makes_the_reader_raise(path: tuple[str, ...], value: Any) -> None:
    manifest = copy.deepcopy(WHOLE)
    place = manifest
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    found = parse(manifest)
    if not isinstance(found, DynamoTable):
        assert found
        assert all(problem.sentence for problem in found)


@pytest.mark.parametrize("manifest", [{}, {"spec": None}, {"metadata": 3, "spec": []}, {"kind": "DynamoTable"}])
def test_what_is_hardly_a_manifest_gets_sentences(manifest: dict[str, Any]) -> None:
    found = parse(manifest)
    assert not isinstance(found, DynamoTable)
    assert any("spec" in str(problem) for problem in found)


def test_the_table_of_wrong_manifests_is_as_long_as_it_says() -> None:
    assert len(cases("create")) + len(cases("update")) >= 90
    names = [case.name for case in cases("create") + cases("update")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("status", [{}, {"conditions": [], "tableName": "orders"}])
def test_until_the_table_exists_what_aws_settles_can_be_edited(status: dict[str, Any]) -> None:
    key = {"partition": {"name": "id", "type": "String"}}

    def manifest(**spec: Any) -> dict[str, Any]:
        return {"kind": "DynamoTable", "metadata": {"name": "orders"}, "spec": {"key": key, **spec}, "status": status}

    def changed(new: dict[str, Any], old: dict[str, Any]) -> list[Any]:
        models = [DynamoTable.model_validate(one) for one in (new, old)]
        return list(refused_changes(*models))

    local = {"name": "by-day", "sort": {"name": "day", "type": "String"}, "projection": {"type": "All"}}
    sorted_key = {**key, "sort": {"name": "at", "type": "String"}}
    refused = {"tableName": "taken", "region": "eu-west-9", "restoreFrom": {"tableName": "typo"}}
    edited = {"tableName": "free", "region": "eu-west-1", "restoreFrom": {"tableName": "source"}}
    settled = {"key": sorted_key, "localIndexes": [local]}
    for before, after in ((refused, edited), (refused, {}), ({}, edited), ({}, settled), (settled, {})):
        assert changed(manifest(**after), manifest(**before)) == []
