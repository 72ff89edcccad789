"""What a failover drill keeps waiting: while one runs, nothing else may disturb the cluster, or nobody could say what was measured. Pure."""

from __future__ import annotations

from dataclasses import replace

from penstock.api.conditions import Reason
from penstock.engine.plan import Effect, Plan, Step, Wait, When

_DISTURBING = (Effect.RESTART, Effect.FAILOVER, Effect.REPLACE, Effect.DESTROY)
# Operations that do not say of themselves what they do to connections.
_ALSO = ("StopDBCluster", "FailoverDBCluster", "RebootDBInstance", "DeleteDBInstance", "CreateDBInstance")
_POLL = 5.0


def held(plan: Plan, drill: str) -> Plan:
    """The plan while the drill runs: what would disturb the cluster or give it another shape comes later. drill: its name, '' when none runs."""
    if not drill or not any(_disturbs(step) for step in plan.steps):
        return plan
    steps = tuple(replace(step, when=When.LATER) if _disturbs(step) else step for step in plan.steps)
    sentence = f"FailoverDrill {drill} runs on the cluster; what would disturb it waits until that is over."
    return replace(plan, steps=steps, waits=(Wait(Reason.DRILLING, sentence, _POLL), *plan.waits))


def _disturbs(step: Step) -> bool:
    return step.when is When.NOW and (step.effect in _DISTURBING or step.operation in _ALSO)
