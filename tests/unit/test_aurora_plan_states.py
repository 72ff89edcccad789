"""The plan in states that no history need lead to: pure, lawful, and never more than one disturbance."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from aurora_specs import FOREIGN, add, specs
from aurora_world import MONDAY, OWNER, Operator, cuts, settled
from dynamo_records import problems
from dynamo_specs import examples
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.aurora import states
from penstock.aurora.plan import plan
from penstock.aurora.state import Engine, Observed, Password, Scaling
from penstock.aws.rds import AVAILABLE, MasterSecret, Serverless, Snapshot
from penstock.engine.holds import Held, rests
from penstock.engine.plan import Effect, When

STATUSES = (*states.USUAL, *states.BROKEN, "stopped", "storage-full", "what-comes-next-year", "")
CALM = (AVAILABLE, AVAILABLE, AVAILABLE)


@cache
def _base() -> Operator:
    found = settled(
        network={"subnetIds": ["subnet-a", "subnet-b"]},
        instances={"class": "db.t4g.medium", "readers": 2, "readerAutoscaling": {"max": 3}},
        parameters={"rds.logical_replication": "1", "max_connections": "9"},
    )
    found.world = add(found.world, FOREIGN)
    return found


@st.composite
def seen(draw: st.DrawFn) -> Observed:
    """Something that was seen, likely or not."""
    base = _base().observe()
    cluster = base.cluster
    assert cluster is not None
    names = draw(st.lists(st.sampled_from(sorted(base.instances)), unique=True))
    present = {
        n: replace(
            base.instances[n],
            status=draw(st.sampled_from([*CALM, *STATUSES])),
            instance_class=draw(st.sampled_from(["db.t4g.medium", "db.r6g.large", ""])),
            parameter_apply_status=draw(st.sampled_from(["in-sync", "pending-reboot", ""])),
            parameter_group=draw(st.sampled_from(["", "default.aurora-postgresql15", "theirs"])),
            tier=draw(st.sampled_from([None, 0, 15])),
        )
        for n in names
    }
    members = [m for m in cluster.members if draw(st.booleans())]
    writer = draw(st.sampled_from(["", *(m.identifier for m in members)]))
    changed = replace(
        cluster,
        status=draw(st.sampled_from([*CALM, *STATUSES])),
        version=draw(st.sampled_from(["15.10", "15.4", "14.9", "16.6", "", "odd"])),
        engine=draw(st.sampled_from(["", "aurora-postgresql", "aurora-postgresql", "aurora-mysql"])),
        members=tuple(replace(m, writer=m.identifier == writer) for m in members),
        tags=draw(st.sampled_from([{OWNER_TAG: OWNER}, {OWNER_TAG: OWNER}, {}, {OWNER_TAG: "a/b/c/d/e"}, {"x": "y"}])),
        parameter_group=draw(st.sampled_from(["", "theirs", "default.aurora-postgresql15", cluster.parameter_group])),
        maintenance_window=draw(st.sampled_from(["", "odd", "mon:11:00-mon:13:00"])),
        deletion_protection=draw(st.sampled_from([None, True, False])),
        master_secret=draw(st.sampled_from([None, MasterSecret("arn:s")])),
        serverless=draw(st.sampled_from([None, Serverless(1, 2)])),
        retention_days=draw(st.sampled_from([None, 1])),
        arn=draw(st.sampled_from(["", cluster.arn])),
    )
    return replace(
        base,
        cluster=draw(st.sampled_from([changed, changed, changed, None])),
        instances=present,
        engine=draw(st.sampled_from([None, Engine("15.4", "aurora-postgresql15", (("16.6", True),))])),
        families=draw(st.sampled_from([base.families, {}])),
        groups=draw(st.sampled_from([base.groups, {}])),
        subnet_groups=draw(st.sampled_from([base.subnet_groups, dict.fromkeys(base.subnet_groups), {}])),
        scaling=draw(st.sampled_from([None, (), (Scaling(0, 9),)])),
        password=draw(st.sampled_from([None, Password("v"), Password("v", "It is too short."), Password("", "Gone.")])),
        snapshot=draw(st.sampled_from([None, Snapshot("s", status="creating"), Snapshot("s", status="available")])),
        snapshot_read=draw(st.booleans()),
        since=draw(st.sampled_from([None, MONDAY, MONDAY - timedelta(hours=9)])),
        unread=draw(st.sampled_from([(), ((str(Reason.ACCESS_DENIED), "No."), (str(Reason.UNAVAILABLE), "Not now."))])),
    )


HELD = st.builds(
    Held,
    st.just(Reason.INVALID),
    st.just("AWS says no."),
    st.sampled_from([MONDAY + timedelta(hours=1), MONDAY - timedelta(hours=1)]),
    st.integers(1, 3),
    accepted=st.booleans(),
)


@given(
    specs("AuroraPostgreSQL"),
    seen(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.lists(st.none() | HELD, max_size=4),
)
@examples(80)
def test_whatever_is_seen_the_plan_is_lawful(
    wanted: dict[str, Any], observed: Observed, absent: bool, known: bool, is_settled: bool, held: list[Held | None]
) -> None:
    operator = Operator(wanted, status=_base().status if known else {}, absent=absent, settled=is_settled)
    desired = operator.desired
    free = plan(desired, observed, MONDAY).steps
    observed = replace(observed, held={s.id: entry for s, entry in zip(free, held, strict=False) if entry})
    found = plan(desired, observed, MONDAY)
    assert plan(desired, observed, MONDAY) == found, "the same answer to the same question"
    cluster = observed.cluster
    for step in found.steps:
        wrong = problems(step.service, step.operation, step.parameters)
        assert not wrong, (step.operation, wrong)
        assert step.summary
    ids = [s.id for s in found.steps]
    assert len(set(ids)) == len(ids), "what rests is known by its id"
    for step in found.runnable:
        assert not rests(step, observed.held, MONDAY)
    disturbing = [s for s in found.runnable if cuts(s)]
    assert len(disturbing) <= 1
    for step in disturbing:
        assert step.effect in (Effect.RESTART, Effect.FAILOVER)
        assert cluster is not None
        assert cluster.status == AVAILABLE
    assert all(s.effect in (Effect.RESTART, Effect.FAILOVER) for s in found.steps if s.when is When.MAINTENANCE_WINDOW)
    for told in (*found.waits, *found.refusals):
        Reason(told.reason)
        assert told.sentence.strip()
    foreign = cluster is not None and cluster.tags.get(OWNER_TAG) == "a/b/c/d/e"
    if foreign and cluster is not None and cluster.status != "deleting":
        # What this object created before the other one got the cluster goes with the object.
        assert not absent or all(s.operation.startswith("Delete") and "Group" in s.operation for s in found.steps)
        assert absent or found.steps == ()
    if not absent:
        assert not found.gone
        deletions = [s for s in found.steps if s.operation.startswith("Delete")]
        assert all(s.operation == "DeleteDBInstance" for s in deletions)
        assert not [s for s in deletions if cluster and s.parameters["DBInstanceIdentifier"] == cluster.writer]
    if not (found.steps or found.waits or found.refusals or found.gone):
        assert cluster is not None, "there is nothing, and nothing to do"
