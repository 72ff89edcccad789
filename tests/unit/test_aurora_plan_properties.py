"""The invariants of the plan of an Aurora cluster, over histories of edits, refusals and other people's doings on a model of RDS.

Every step that runs is watched (aurora_world.Operator): the writer is never removed by scaling in, nothing is disturbed while something is not
available, nor two things at once, nothing is deleted that the spec did not ask for, and a step that rests does not run.
"""

from __future__ import annotations

from typing import Any

from aurora_specs import MEDDLING, meddle, specs
from aurora_world import IN_WINDOW, MONDAY, Operator, differences
from dynamo_specs import examples
from hypothesis import given
from hypothesis import strategies as st

from penstock.api import engine_version

EVENTS = st.one_of(
    st.tuples(st.just("edit"), st.integers(0, 2)),
    st.tuples(st.just("passes"), st.integers(1, 4)),
    st.tuples(st.just("time"), st.integers(1, 6)),
    st.tuples(st.just("meddle"), st.sampled_from(sorted(MEDDLING))),
    st.tuples(st.just("refuse"), st.integers(1, 3)),
    st.tuples(st.just("secret"), st.sampled_from(["secret/2", "secret/3"])),
    st.tuples(st.just("window"), st.booleans()),
)


def _immediate(wanted: dict[str, Any]) -> dict[str, Any]:
    """Nothing waits for a window; and it runs, since AWS changes nothing of a stopped cluster."""
    return {**wanted, "stopped": False, "maintenance": {**wanted["maintenance"], "apply": "Immediately"}}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[tuple[str, Any]]]:
    """Specs of one cluster's life, the last of which is to be reached, and what happens in it."""
    engine = draw(st.sampled_from(["AuroraPostgreSQL", "AuroraPostgreSQL", "AuroraMySQL"]))
    found = draw(st.lists(specs(engine), min_size=2, max_size=3))
    return [*found[:-1], _immediate(found[-1])], draw(st.lists(EVENTS, max_size=8))


def live(operator: Operator, known: list[dict[str, Any]], event: str, value: Any) -> None:
    """One event of a cluster's life."""
    match event:
        case "edit":
            operator.edit(known[value % len(known)])
        case "passes":
            for _ in range(value):
                operator.one_pass()
                operator.time()
        case "time":
            operator.time(value)
        case "meddle":
            operator.world = meddle(operator.world, value)
        case "refuse":
            runnable = operator.plan().runnable
            operator.refusing = {s.summary: value for s in runnable[:2] if not s.operation.startswith("AddTags")}
            operator.one_pass()
        case "secret":
            operator.secret = value
        case "window":
            operator.now = max(operator.now, IN_WINDOW if value else MONDAY)


def _never_lowered(operator: Operator, before: str) -> str:
    cluster = operator.world.cluster
    if cluster is None:
        return before
    assert not before or not engine_version.is_lower(cluster.version, before)
    return cluster.version


def _reachable(operator: Operator, wanted: dict[str, Any]) -> dict[str, Any]:
    """The spec without what AWS can do no more: a lower version than the one that runs."""
    cluster, version = operator.world.cluster, wanted["engine"].get("version")
    if cluster is None or not version or not engine_version.is_lower(version, cluster.version):
        return wanted
    return {**wanted, "engine": {"type": wanted["engine"]["type"]}}


@given(histories())
@examples(60)
def test_whatever_happened_plan_and_act_reach_the_spec(
    history: tuple[list[dict[str, Any]], list[tuple[str, Any]]],
) -> None:
    known, events = history
    operator = Operator(known[0], consent=True)
    version = ""
    for event, value in events:
        live(operator, known, event, value)
        version = _never_lowered(operator, version)
    operator.refusing.clear()
    operator.edit(_reachable(operator, known[-1]))
    found = operator.converge()
    assert found.empty, found
    assert differences(operator) == []
    _never_lowered(operator, version)
    assert operator.one_pass().empty
    operator.change(stopped=True)
    operator.converge()
    assert operator.world.cluster is not None
    assert operator.world.cluster.status == "stopped"
