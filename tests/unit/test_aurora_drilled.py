"""While a drill runs, nothing else disturbs its cluster."""

from __future__ import annotations

import pytest

from penstock.aurora.drilled import held
from penstock.engine.plan import Effect, Plan, Step, When


def step(operation: str, effect: Effect = Effect.IMMEDIATE, when: When = When.NOW) -> Step:
    return Step("rds", operation, {}, f"{operation} it", effect, when)


@pytest.mark.parametrize(
    "disturbing",
    [
        step("RebootDBInstance", Effect.RESTART),
        step("FailoverDBCluster", Effect.FAILOVER),
        step("ModifyDBInstance", Effect.RESTART),
        step("DeleteDBInstance", Effect.DESTROY),
        step("StopDBCluster"),
    ],
    ids=lambda s: s.operation,
)
def test_what_would_disturb_a_drill_waits_and_the_rest_goes_on(disturbing: Step) -> None:
    quiet = step("AddTagsToResource")
    found = held(Plan((disturbing, quiet)), "weekly")
    assert [s.operation for s in found.runnable] == ["AddTagsToResource"]
    assert len(found.steps) == 2
    assert found.waits[0].sentence.startswith("FailoverDrill weekly runs on the cluster")


def test_without_a_drill_or_without_anything_that_disturbs_the_plan_is_as_it_was() -> None:
    plan = Plan((step("RebootDBInstance", Effect.RESTART),))
    assert held(plan, "") is plan
    quiet = Plan((step("AddTagsToResource"), step("ModifyDBCluster", Effect.RESTART, When.MAINTENANCE_WINDOW)))
    assert held(quiet, "weekly") is quiet
