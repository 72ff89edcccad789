"""The plan in states that no history need lead to: pure, lawful, and never in the way of somebody else's table."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dynamo_model import Aws
from dynamo_specs import POLICY, examples, specs
from dynamo_world import UID, ModelAccount, Operator, assert_managed, differences, manifest, parsed
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.meta import OWNER_TAG
from penstock.aws.dynamodb import (
    Backup,
    ContinuousBackups,
    Insights,
    KeySchema,
    KmsKey,
    ScalingPolicy,
    ScalingTarget,
    TimeToLive,
    Units,
)
from penstock.aws.dynamodb import Index as SeenIndex
from penstock.aws.dynamodb import Table as SeenTable
from penstock.dynamo.kind import DynamoTables
from penstock.dynamo.state import Held, Observed
from penstock.engine.plan import When

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
FOREIGN_TAG, FOREIGN_INDEX = "their-tag", "their-index"


def account() -> Aws:
    aws = Aws()
    aws.keys = {"alias/orders": "Enabled", "alias/aws/dynamodb": "Enabled"}
    return aws


def assert_as_desired(operator: Operator) -> None:
    spec = operator.spec
    assert differences(operator.aws, spec, operator.table, operator.owner) == []


READ, CONSOLE = "dynamodb:table:ReadCapacityUnits", "DynamoDBReadCapacityUtilization:table/orders"
STATES = ["CREATING", "ACTIVE", "UPDATING", "DELETING", "ARCHIVED", "ARCHIVING", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"]
NUMBERS = st.builds(Units, st.integers(0, 50), st.integers(0, 50))
SEEN_INDEX = st.builds(
    SeenIndex,
    name=st.sampled_from(["ix-a", "ix-b", "ix-c", "ix-z"]),
    key=st.sampled_from([KeySchema(("a0",)), KeySchema(("a1",), ("pk",)), KeySchema(("pk", "a1"), ("a0",))]),
    projection=st.sampled_from(["ALL", "KEYS_ONLY", "INCLUDE"]),
    attributes=st.sampled_from([frozenset(), frozenset(["n1"])]),
    status=st.sampled_from(["ACTIVE", "ACTIVE", "CREATING", "DELETING", "UPDATING"]),
    backfilling=st.booleans(),
    units=NUMBERS,
    caps=NUMBERS,
    warm=NUMBERS,
)
SEEN_TABLE = st.builds(
    SeenTable,
    name=st.just("orders"),
    arn=st.just("arn:aws:dynamodb:us-east-1:123456789012:table/orders"),
    id=st.sampled_from(["", "id-1"]),
    status=st.sampled_from([*STATES, "ACTIVE", "UPDATING"]),
    created_at=st.sampled_from([None, NOON]),
    key=st.sampled_from([KeySchema(("pk",), ("sk",)), KeySchema(("pk",), ("sk",)), KeySchema(("pk",))]),
    types=st.sampled_from([{"pk": "S", "sk": "N", "a0": "S"}, {"pk": "S", "sk": "N"}, {"pk": "N", "sk": "N"}]),
    billing=st.sampled_from(["PAY_PER_REQUEST", "PROVISIONED"]),
    units=NUMBERS,
    caps=NUMBERS,
    warm=NUMBERS,
    decreases_today=st.integers(0, 30),
    indexes=st.lists(SEEN_INDEX, max_size=4, unique_by=lambda i: i.name).map(tuple),
    stream_view=st.sampled_from(["", "NEW_IMAGE", "KEYS_ONLY"]),
    sse_type=st.sampled_from(["", "KMS"]),
    sse_key=st.sampled_from(["", "arn:aws:kms:us-east-1:123456789012:key/orders"]),
    sse_status=st.sampled_from(["", "ENABLED", "UPDATING"]),
    table_class=st.sampled_from(["STANDARD", "STANDARD_INFREQUENT_ACCESS"]),
    protected=st.booleans(),
    restored_from=st.sampled_from(["", "arn:x"]),
    restoring=st.booleans(),
)
OWNER = f"cluster-1/shop/DynamoTable/orders/{UID}"
SEEN = st.builds(
    Observed,
    table=st.one_of(st.none(), SEEN_TABLE, SEEN_TABLE, SEEN_TABLE),
    assumed=st.just(False),
    ttl=st.one_of(
        st.none(),
        st.builds(
            TimeToLive,
            st.sampled_from(["ENABLED", "ENABLING", "DISABLED", "DISABLING"]),
            st.sampled_from(["", "exp", "x"]),
        ),
    ),
    backups=st.one_of(st.none(), st.builds(ContinuousBackups, st.booleans(), st.sampled_from([0, 7, 35]))),
    tags=st.one_of(
        st.none(),
        st.just({OWNER_TAG: OWNER}),
        st.just({OWNER_TAG: OWNER, "team": "x", "foreign": "y"}),
        st.just({"foreign": "y"}),
        st.just({OWNER_TAG: "a/b/c/d/e"}),
        st.just({OWNER_TAG: OWNER.replace(UID, "earlier")}),
    ),
    policy=st.sampled_from([None, "", "{}", "no json"]),
    insights=st.one_of(
        st.none(),
        st.builds(
            Insights,
            st.dictionaries(
                st.sampled_from(["", "ix-a"]), st.sampled_from(["ENABLED", "ENABLING", "DISABLED", "FAILED"])
            ),
        ),
    ),
    scaling=st.sampled_from(
        [
            None,
            (),
            (ScalingTarget("table/orders", READ, 1, 9, (ScalingPolicy("theirs", "", {"TargetValue": 50.0}),)),),
            (
                ScalingTarget(
                    "table/orders",
                    READ,
                    1,
                    9,
                    (
                        ScalingPolicy("alarm"),
                        ScalingPolicy(CONSOLE, "DynamoDBReadCapacityUtilization", {"TargetValue": 50.0}),
                    ),
                    ("night",),
                ),
            ),
        ]
    ),
    kms=st.one_of(
        st.none(),
        st.builds(
            KmsKey,
            st.just("alias/orders"),
            st.just("arn:k"),
            st.sampled_from(["Enabled", "Disabled", "PendingDeletion", "Missing"]),
        ),
    ),
    final_backup=st.one_of(
        st.none(), st.builds(Backup, st.just("arn:b"), st.just("b"), st.sampled_from(["CREATING", "AVAILABLE"]))
    ),
    final_backup_read=st.booleans(),
    since=st.sampled_from([None, NOON - timedelta(hours=1)]),
    partial=st.booleans(),
)
HELD = st.builds(
    Held,
    st.just("Refused"),
    st.just("no"),
    st.sampled_from([NOON - timedelta(1), NOON + timedelta(1)]),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
STATUSES = st.sampled_from(
    [
        {},
        {"tableId": "id-1", "tableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/orders"},
        {"tableId": "id-1", "tableArn": "arn:x", "managed": {"indexes": ["ix-a", "ix-z"], "tags": ["team", "gone"]}},
        {"restore": {"source": "arn:x", "startedAt": "2026-11-01T12:00:00Z"}},
    ]
)


@given(
    specs(),
    SEEN,
    STATUSES,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["Snapshot", "Retain", "Delete"]),
    st.lists(st.none() | HELD, max_size=4),
)
@examples(150)
def test_a_plan_is_pure_and_lawful_in_every_state(
    spec: dict[str, Any],
    observed: Observed,
    status: dict[str, Any],
    absent: bool,
    adopt: bool,
    policy: str,
    held: list[Held | None],
) -> None:
    operator = Operator(account(), manifest(spec, adopt=adopt, deletionPolicy=policy), status=status)
    operator.named_indexes |= {"ix-a", "ix-z"}
    operator.named_tags |= {"team", "gone"}
    if absent:
        operator.delete()
    desired = operator.desired()
    free = operator.kind.plan(desired, observed, NOON).steps
    observed = replace(observed, held={s.id: entry for s, entry in zip(free, held, strict=False) if entry})
    before = copy.deepcopy((desired, observed))
    plan = operator.kind.plan(desired, observed, NOON)
    assert (desired, observed) == before
    assert plan == operator.kind.plan(desired, observed, NOON)
    another = DynamoTables(ModelAccount(operator.aws), "cluster-1")  # type: ignore[arg-type]
    assert plan == another.plan(another.desired(operator.obj), copy.deepcopy(observed), NOON)
    table = observed.table
    updates = [s for s in plan.steps if s.operation == "UpdateTable" and s.when is When.NOW]
    assert len(updates) <= 1
    if updates and not absent:
        assert table is not None
        assert table.status in ("ACTIVE", "UPDATING")
    for step in plan.steps:
        assert_managed(step, desired)
        if step.when is When.NOW:
            held = observed.held.get(step.id)
            assert absent or held is None or held.until <= NOON, "a step that rests must not run"
    if table is not None:
        _lawful_for_somebody_elses(operator, observed, plan)
    if absent:
        _lawful_removal(policy, observed, plan)


def _lawful_for_somebody_elses(operator: Operator, observed: Observed, plan: Any) -> None:
    tag = (observed.tags or {}).get(OWNER_TAG)
    if tag is not None and tag not in (OWNER, OWNER.replace(UID, "earlier")):
        assert plan.steps == (), "it belongs to another object"
        # One that AWS is deleting is only waited for.
        assert plan.gone or plan.refusals or observed.table.status == "DELETING"


def _lawful_removal(policy: str, observed: Observed, plan: Any) -> None:
    deletes = [s for s in plan.runnable if s.operation == "DeleteTable"]
    if policy == "Retain":
        assert {s.operation for s in plan.steps} <= {"TagResource", "UntagResource"}
    if deletes:
        assert observed.table is not None
        assert observed.table.status not in ("CREATING", "UPDATING", "DELETING")
        assert not observed.table.protected
        assert not observed.scaling
        # Of an archived table AWS has taken the backup itself.
        if policy == "Snapshot" and observed.table.status != "ARCHIVED":
            assert observed.final_backup is not None
            assert observed.final_backup.status == "AVAILABLE"
    if observed.table is None:
        assert plan.gone


def test_tags_that_could_not_be_read_are_no_proof_that_a_table_is_not_ours() -> None:
    """A deletion that meets an empty bucket must not let go of the object, or the table is orphaned."""
    operator = Operator(account(), manifest())
    operator.converge()
    operator.delete()
    observed = operator.observed(operator.desired())
    # The status that names the table was never written; a background pass found no token to read the tags with.
    operator.status = {}
    unread = replace(observed, tags=None, partial=True, final_backup=None, final_backup_read=False)
    plan = operator.kind.plan(operator.desired(), unread, NOON)
    assert not plan.gone
    assert plan.waits
    operator.deleted_at = ""
    plan = operator.kind.plan(operator.desired(), unread, NOON)
    assert plan.refusals == (), "nor that it is somebody else's"
    assert plan.waits


def test_policies_of_the_strategies_are_good() -> None:
    assert parsed(manifest(resourcePolicy=POLICY)).spec.resource_policy is not None
