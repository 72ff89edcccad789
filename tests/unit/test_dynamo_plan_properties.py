"""The invariants of the plan, over histories of edits, crashes, refusals and other people's doings on a model of AWS."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from dynamo_model import Aws, Index, Table
from dynamo_specs import examples, specs
from dynamo_world import Operator, differences, manifest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.dynamotable import DynamoTableSpec
from penstock.api.meta import OWNER_TAG
from penstock.dynamo.requests import scaling_targets

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
FOREIGN_TAG, FOREIGN_INDEX = "their-tag", "their-index"


def account() -> Aws:
    aws = Aws()
    aws.keys = {"alias/orders": "Enabled", "alias/aws/dynamodb": "Enabled"}
    return aws


def assert_as_desired(operator: Operator) -> None:
    spec = operator.spec
    assert differences(operator.aws, spec, operator.table, operator.owner) == []


# What somebody else does, behind the operator's back and past AWS's own rules


def _drop_index(table: Table) -> None:
    for name in sorted(n for n in table.indexes if n != FOREIGN_INDEX)[:1]:
        del table.indexes[name]
        table.ends.pop(f"index:{name}", None)
        used = {e["AttributeName"] for s in Aws._schemas(table) for e in s}
        table.types = {k: v for k, v in table.types.items() if k in used}


def _other_projection(table: Table) -> None:
    for index in table.indexes.values():
        if index.name != FOREIGN_INDEX:
            index.projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["theirs"]}


def _add_index(table: Table) -> None:
    units = (3, 3) if table.billing == "PROVISIONED" else (0, 0)
    schema = [{"AttributeName": "f0", "KeyType": "HASH"}]
    table.indexes[FOREIGN_INDEX] = Index(FOREIGN_INDEX, schema, {"ProjectionType": "ALL"}, units)
    table.types["f0"] = "S"


def _switch(table: Table) -> None:
    table.billing = "PAY_PER_REQUEST" if table.billing == "PROVISIONED" else "PROVISIONED"
    units = (9, 9) if table.billing == "PROVISIONED" else (0, 0)
    table.units, table.caps = units, (-1, -1)
    for index in table.indexes.values():
        index.units, index.caps = units, (-1, -1)


def _set(**values: Any) -> Callable[[Table], None]:
    def change(table: Table) -> None:
        vars(table).update(copy.deepcopy(values))

    return change


MEDDLING: dict[str, Callable[[Table], None]] = {
    "drop an index": _drop_index,
    "another projection": _other_projection,
    "add an index": _add_index,
    "switch the mode": _switch,
    "protect": _set(protected=True),
    "unprotect": _set(protected=False),
    "another class": _set(table_class="STANDARD_INFREQUENT_ACCESS"),
    "another stream": _set(stream="OLD_IMAGE", streams=7),
    "no stream": _set(stream=""),
    "another key": _set(key="arn:aws:kms:us-east-1:123456789012:key/theirs"),
    "another ttl": _set(ttl="theirs", ttl_status="ENABLED", ttl_changed=None),
    "no ttl": _set(ttl_status="DISABLED", ttl_changed=None),
    "no recovery": _set(pitr=False),
    "short recovery": _set(pitr=True, pitr_days=1),
    "another policy": _set(policy='{"Version": "2012-10-17", "Statement": []}'),
    "insights": _set(insights={"": "ENABLED"}),
    "add a tag": lambda table: table.tags.update({FOREIGN_TAG: "x"}),
    "another tag": lambda table: table.tags.update({k: "theirs" for k in table.tags if k != OWNER_TAG}),
    "no owner's tag": lambda table: table.tags.pop(OWNER_TAG, None),  # type: ignore[dict-item,return-value]
    "caps": _set(caps=(77, 77)),
}


def unmanaged(spec: DynamoTableSpec, table: Table, operator: Operator) -> dict[str, Any]:
    """What the spec does not name, with its value."""
    found: dict[str, Any] = {
        "foreign indexes": {n: (i.schema, i.projection) for n, i in table.indexes.items() if n == FOREIGN_INDEX},
        "foreign tags": {k: v for k, v in table.tags.items() if k not in operator.named_tags and k != OWNER_TAG},
    }
    if spec.global_indexes is None:
        found["indexes"] = {n: (i.schema, i.projection, i.warm) for n, i in table.indexes.items()}
    if spec.tags is None:
        found["tags"] = {k: v for k, v in table.tags.items() if k != OWNER_TAG}
    if spec.capacity is None:
        found["capacity"] = (table.billing, table.units, table.caps, copy.deepcopy(operator.aws.targets))
    if spec.adopt:
        named = scaling_targets(operator.desired())
        found["targets"] = {k: copy.deepcopy(t) for k, t in operator.aws.targets.items() if k not in named}
    if spec.wants_pitr is None:
        found["recovery"] = (table.pitr, table.pitr_days)
    if spec.ttl is None:
        found["ttl"] = (table.ttl, table.ttl_status)
    if spec.contributor_insights is None:
        found["insights"] = table.insights.get("", "DISABLED")
    for name, value in {
        "deletion_protection": table.protected,
        "table_class": table.table_class,
        "stream": (table.stream, table.streams),
        "encryption": table.key,
        "resource_policy": table.policy,
        "warm_throughput": table.warm,
    }.items():
        if getattr(spec, name) is None:
            found[name] = value
    return found


EVENTS = st.one_of(
    st.tuples(st.just("edit"), specs()),
    st.tuples(st.just("passes"), st.integers(1, 4)),
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("time"), st.sampled_from([1, 5, 20])),
    st.tuples(st.just("meddle"), st.sampled_from(sorted(MEDDLING))),
    st.tuples(st.just("faults"), st.integers(0, 3)),
)


def live(operator: Operator, event: str, value: Any) -> None:
    """One event of a table's life."""
    aws = operator.aws
    aws.settle()
    table = aws.tables.get("orders")
    match event:
        case "edit":
            operator.edit(value)
        case "passes":
            for _ in range(value):
                operator.one_pass()
                aws.advance(2)
        case "crash":
            operator.one_pass(crash=True)
        case "time":
            aws.advance(value)
        # Until a status names the table, its tag is all that makes it ours.
        case "meddle" if table is not None and (value != "no owner's tag" or "tableId" in operator.status):
            MEDDLING[value](table)
        case "faults":
            # Every so many-th call of the next pass fails, before or after it had its effect.
            left = [value]

            def fail(operation: str, parameters: Any) -> None:
                left[0] -= 1
                if left[0] == 0:
                    raise ClientError(
                        {
                            "Error": {"Code": "InternalServerError", "Message": ""},
                            "ResponseMetadata": {"HTTPStatusCode": 500},
                        },  # type: ignore[typeddict-item]
                        operation,
                    )

            aws.faults.append(fail)
            operator.one_pass()
            aws.faults.clear()


@given(specs(), st.lists(EVENTS, max_size=8), specs())
@examples(40)
def test_whatever_happened_plan_and_act_reach_the_spec_and_touch_nothing_else(
    first: dict[str, Any], history: list[tuple[str, Any]], last: dict[str, Any]
) -> None:
    operator = Operator(account(), manifest(first))
    for event, value in history:
        live(operator, event, value)
    operator.edit(last)
    operator.one_pass()
    operator.aws.advance(120)
    operator.aws.settle()
    spec = operator.spec
    before = unmanaged(spec, operator.table, operator)
    operator.converge()
    assert_as_desired(operator)
    assert unmanaged(spec, operator.table, operator) == before
    assert operator.left_over() == set()


@given(specs(), st.lists(st.sampled_from(sorted(MEDDLING)), max_size=5), specs(adopt=True))
@examples(20)
def test_an_adopted_table_becomes_what_the_spec_says_and_nothing_else_of_it_changes(
    theirs: dict[str, Any], meddling: list[str], ours: dict[str, Any]
) -> None:
    aws = account()
    maker = Operator(aws, manifest(theirs), uid="another")
    maker.converge()
    for change in meddling:
        MEDDLING[change](maker.table)
    del maker.table.tags
    maker.table.tags = {"their-tag": "x", "team": "theirs"}
    operator = Operator(aws, manifest(ours))
    spec = operator.spec
    theirs_indexes = set(operator.table.indexes) - operator.named_indexes
    for key, target in aws.targets.items():
        if key not in scaling_targets(operator.desired()):
            # One that moves units which the spec fixes has a test of its own: both would not come to an end.
            target["policies"] = {}
    before = unmanaged(spec, operator.table, operator)
    calls = len(aws.calls)
    plan, _ = operator.one_pass()
    assert plan.runnable == (), "the first pass only shows"
    assert len(aws.calls) == calls
    operator.converge()
    assert_as_desired(operator)
    assert unmanaged(spec, operator.table, operator) == before
    assert theirs_indexes <= set(operator.table.indexes), "their indexes never stood in our spec"


@given(specs(), specs(), st.sampled_from(["", "cluster-2/shop/DynamoTable/orders/1234"]))
@examples(10)
def test_a_table_that_is_not_ours_is_never_touched(theirs: dict[str, Any], ours: dict[str, Any], tag: str) -> None:
    aws = account()
    maker = Operator(aws, manifest(theirs), uid="another")
    maker.converge()
    maker.table.tags = {OWNER_TAG: tag} if tag else {}
    before = copy.deepcopy(maker.table)
    operator = Operator(aws, manifest(ours, adopt=True) if tag else manifest(ours))
    for _ in range(3):
        plan, report = operator.one_pass()
        assert plan.steps == ()
        assert plan.refusals
        assert report.conditions[0].reason == ("NotOwned" if tag else "AlreadyExists")
    operator.delete()
    plan, _ = operator.one_pass()
    assert plan.gone
    assert plan.steps == ()
    assert maker.table == before


@pytest.mark.parametrize("policy", ["Snapshot", "Retain", "Delete"])
@given(data=st.data())
@examples(8)
def test_removal_keeps_what_must_be_kept_and_ends(policy: str, data: st.DataObject) -> None:
    aws = account()
    operator = Operator(aws, manifest(data.draw(specs(deletionPolicy=policy))))
    for event, value in data.draw(st.lists(EVENTS.filter(lambda e: e[0] != "edit"), max_size=5)):
        live(operator, event, value)
    aws.settle()
    existed = "orders" in aws.tables
    operator.delete()
    spec = operator.spec

    def guard(operation: str, parameters: Any) -> None:
        if operation != "DeleteTable":
            return
        assert policy != "Retain"
        if policy == "Snapshot":
            states = [b["BackupStatus"] for b in aws.backups.values()]
            assert "AVAILABLE" in states, "deleted before the final backup was there"

    aws.faults.append(guard)
    protected = existed and operator.table.protected and spec.deletion_protection is not False and policy != "Retain"
    for attempt in range(60):
        plan, _ = operator.one_pass(crash=attempt % 3 == 1)
        if plan.gone:
            break
        if protected and not plan.waits:
            assert [r.reason for r in plan.refusals] == ["DeletionProtected"]
            assert plan.steps == ()
            operator.table.protected = protected = False
        aws.advance(2)
    assert plan.gone
    if not existed:
        assert aws.backups == {}
    elif policy == "Retain":
        assert OWNER_TAG not in operator.table.tags
        assert aws.backups == {}
    else:
        assert "orders" not in aws.tables
        assert aws.targets == {}, "scalable targets outlive their table in AWS"
        assert len(aws.backups) == (policy == "Snapshot")


@given(specs(), specs(), st.sampled_from(["Backup", "Time"]), st.booleans())
@examples(12)
def test_a_restored_table_becomes_what_its_spec_says(
    source: dict[str, Any], spec: dict[str, Any], kind: str, crash: bool
) -> None:
    aws = account()
    maker = Operator(
        aws, {**manifest(source, pointInTimeRecovery={}), "metadata": {"name": "source", "namespace": "shop"}}
    )
    maker.converge()
    if kind == "Backup":
        aws.call("dynamodb", "CreateBackup", {"TableName": "source", "BackupName": "one"})
        aws.advance(60)
        origin = {"backupArn": next(iter(aws.backups))}
    else:
        origin = {"tableName": "source", "time": "2026-11-01T12:00:30Z"}
    operator = Operator(aws, manifest(spec, restoreFrom=origin))
    # The process dies after AWS was asked: nothing but the intent tells that the table is ours.
    operator.one_pass(crash=crash)
    operator.converge()
    assert_as_desired(operator)
    assert aws.writes.count("RestoreTableFromBackup") + aws.writes.count("RestoreTableToPointInTime") == 1


def test_a_table_that_came_by_in_the_meantime_is_not_taken_for_the_restored_one() -> None:
    aws = account()
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/backup/01489602797149-73d8d5bc"
    operator = Operator(aws, manifest(restoreFrom={"backupArn": arn}))
    operator.one_pass()
    assert "restore" in operator.status, "the intent is written before AWS is asked"
    assert aws.tables == {}, "there is no such backup"
    Operator(aws, manifest(), uid="another").converge()
    aws.tables["orders"].tags = {}
    plan, _ = operator.one_pass()
    assert plan.steps == ()
    assert [r.reason for r in plan.refusals] == ["AlreadyExists"]
    operator.delete()
    assert operator.one_pass()[0].gone
    assert "orders" in aws.tables
