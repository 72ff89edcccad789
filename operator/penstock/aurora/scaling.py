"""Reader autoscaling: the target and the policy in Application Auto Scaling. Pure.

Both are known by the cluster's identifier and are settings of the cluster: who owns the cluster owns them, whoever registered them.
"""

from __future__ import annotations

from penstock.aurora import requests
from penstock.aurora.state import Desired, Observed
from penstock.engine.plan import Step

_SERVICE = "application-autoscaling"


def steps(desired: Desired, observed: Observed) -> list[Step]:
    """Register, correct or deregister the readers. Nothing when the facet was not read."""
    wanted, known = desired.spec.instances.reader_autoscaling, observed.scaling
    if known is None:
        return []
    where = requests.scaling_resource(desired.identifier)
    if wanted is None:
        once = desired.status.managed is not None and desired.status.managed.reader_autoscaling
        return deregistration(desired, observed) if once else []
    have = known[0] if known else None
    least, most = desired.spec.instances.readers or 0, wanted.max
    found = []
    if have is None or (have.minimum, have.maximum) != (least, most):
        before = f"{have.minimum}–{have.maximum} → " if have else ""
        found.append(
            Step(
                _SERVICE,
                "RegisterScalableTarget",
                {**where, "MinCapacity": least, "MaxCapacity": most},
                f"let autoscaling keep {before}{least}–{most} readers",
                facet="scaling",
                before=have and (have.minimum, have.maximum),
                drift=f"Reader autoscaling was changed; set back to {least}–{most} readers." if desired.settled else "",
            )
        )
    if have is None or have.target != float(wanted.target):
        found.append(
            Step(
                _SERVICE,
                "PutScalingPolicy",
                {**where, **requests.scaling_policy(wanted.target, have)},
                f"aim at {wanted.target} % of the readers' processor time",
                facet="scaling",
                before=have and have.target,
            )
        )
    return found


def deregistration(desired: Desired, observed: Observed) -> list[Step]:
    """End the autoscaling, and with it the policy; the readers that it made stay until they are scaled in."""
    if not observed.scaling:
        return []
    where = requests.scaling_resource(desired.identifier)
    return [Step(_SERVICE, "DeregisterScalableTarget", where, "end reader autoscaling", facet="scaling")]
