"""Autoscaling of a provisioned table and its indexes: what is the spec's, what was ours, and what somebody else set up. Pure.

A policy is known by what it tracks, never by its name: the console names them otherwise, and AWS allows one of a metric. What the spec does not
name and this object never made stays as it is: targets, step policies, policies of other metrics, scheduled actions.
"""

from __future__ import annotations

from penstock.api.conditions import Reason
from penstock.aws.dynamodb import ScalingTarget, Table, Units
from penstock.dynamo import requests
from penstock.dynamo.state import Desired, Observed
from penstock.engine.plan import Refusal, Step

_SERVICE = "application-autoscaling"
# Somebody has to act before it is worth another look.
_LATER = 300.0


def steps(desired: Desired, have: tuple[ScalingTarget, ...] | None, table: Table) -> list[Step]:
    """What makes autoscaling as the spec names it, and takes away what the spec once named."""
    if have is None or desired.spec.capacity is None:
        return []
    wanted = requests.scaling_targets(desired)
    known = {target.key: target for target in have}
    found: list[Step] = []
    for key, target in wanted.items():
        gone = "/index/" in target.resource and table.index(target.resource.rsplit("/", 1)[1]) is None
        if not gone or table.status == "CREATING":
            found += _wanted(desired, target, known.get(key))
    for left in have:
        if left.key not in wanted and _ours(desired, left):
            found += _removal(left)
    return found


def removal(observed: Observed) -> list[Step]:
    """Scalable targets outlive their table in AWS, so all of it are deregistered before it goes."""
    return [_deregister(target) for target in observed.scaling or ()]


def leftovers(desired: Desired, observed: Observed) -> list[str]:
    """Autoscaling that the spec does not name and that is left alone, for people."""
    wanted = requests.scaling_targets(desired)
    found = []
    for target in observed.scaling or ():
        if target.key in wanted:
            found += [f"{other} of {_words(target)}" for other in target.others]
        elif not _ours(desired, target) or target.others:
            found.append(f"autoscaling of {_words(target)}")
    return found


def moved(desired: Desired, observed: Observed) -> frozenset[tuple[str, str]]:
    """Dimensions whose units somebody else's autoscaling moves. To set them as well would be a fight without an end."""
    wanted = requests.scaling_targets(desired)
    return frozenset(
        target.key
        for target in observed.scaling or ()
        if target.key not in wanted and (target.others or (target.tracking is not None and not _ours(desired, target)))
    )


def clash(what: str, direction: str, have: int, wanted: int) -> Refusal:
    """Units that the spec names and that autoscaling of somebody else moves."""
    return Refusal(
        Reason.OUT_OF_SYNC,
        f"{direction} units of {what} are {have}, not {wanted}: autoscaling that is not in the spec moves them, so they are left alone. "
        "Set min and max instead of units, or deregister the scalable target (aws application-autoscaling deregister-scalable-target).",
        blocking=False,
        again=_LATER,
    )


def key(table: str, index: str, direction: str) -> tuple[str, str]:
    """Resource id and dimension. index: '' for the table itself. direction: Read or Write."""
    resource = f"table/{table}/index/{index}" if index else f"table/{table}"
    return resource, f"dynamodb:{'index' if index else 'table'}:{direction}CapacityUnits"


def unmoved(have: Units, wanted: Units, table: str, index: str, others: frozenset[tuple[str, str]]) -> Units:
    """The wanted units, except where somebody else's autoscaling moves them."""
    return Units(
        have.read if key(table, index, "Read") in others else wanted.read,
        have.write if key(table, index, "Write") in others else wanted.write,
    )


def managed(desired: Desired, observed: Observed) -> list[str]:
    """What came from the spec and is, or may still be, in AWS."""
    before = desired.status.managed.scaling if desired.status.managed else ()
    have = None if observed.scaling is None else {_label(target.key) for target in observed.scaling}
    wanted = {_label(key) for key in requests.scaling_targets(desired)}
    return sorted(wanted | {label for label in before if have is None or label in have})


def resources(desired: Desired, table: Table) -> list[str]:
    """What may have scalable targets of this object: the table, its indexes, and those that the spec names or once named."""
    before = desired.status.managed.scaling if desired.status.managed else ()
    base = f"table/{table.name}"
    indexes = [*(i.name for i in table.indexes), *(i.name for i in desired.spec.global_indexes or ())]
    found = [base, *(f"{base}/index/{name}" for name in indexes), *(label.rpartition(" ")[0] for label in before)]
    return [r for r in dict.fromkeys(found) if r == base or r.startswith(f"{base}/index/")]


def _wanted(desired: Desired, target: requests.Autoscaled, have: ScalingTarget | None) -> list[Step]:
    found = []
    what = f"{target.resource} {target.dimension.split(':')[-1]}"
    where = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": target.resource,
        "ScalableDimension": target.dimension,
    }
    if have is None or (have.minimum, have.maximum) != (target.minimum, target.maximum):
        before = f"{have.minimum}–{have.maximum}" if have else "off"
        found.append(
            Step(
                _SERVICE,
                "RegisterScalableTarget",
                {**where, "MinCapacity": target.minimum, "MaxCapacity": target.maximum},
                f"autoscale {what} between {target.minimum} and {target.maximum}",
                facet="scaling",
                drift=_drift(desired, f"Autoscaling of {what}", before, f"{target.minimum}–{target.maximum}"),
            )
        )
    policy = have.tracking if have is not None else None
    if policy is None or (target.target is not None and policy.target != target.target):
        found.append(
            Step(
                _SERVICE,
                "PutScalingPolicy",
                requests.scaling_policy(target, policy),
                f"track {target.aim:g} % utilisation of {what}",
                facet="scaling",
                drift=_drift(desired, f"Target utilisation of {what}", f"{policy.target:g} %", f"{target.aim:g} %")
                if policy is not None
                else "",
            )
        )
    return found


def _removal(target: ScalingTarget) -> list[Step]:
    """A target takes all its policies and scheduled actions along, so where some are not ours only our policy goes."""
    if not target.others:
        return [_deregister(target)]
    if target.tracking is None:
        return []
    parameters = {**_where(target), "PolicyName": target.tracking.name}
    return [
        Step(
            _SERVICE,
            "DeleteScalingPolicy",
            parameters,
            f"stop tracking utilisation of {_words(target)}",
            facet="scaling",
        )
    ]


def _deregister(target: ScalingTarget) -> Step:
    summary = f"stop autoscaling of {_words(target)}"
    return Step(_SERVICE, "DeregisterScalableTarget", _where(target), summary, facet="scaling")


def _ours(desired: Desired, target: ScalingTarget) -> bool:
    """Whether this object set it up: its status says so or, where the status may be older, the name that only Penstock gives to a policy.

    On an adopted table that name may be of the object that had it before.
    """
    before = desired.status.managed.scaling if desired.status.managed else ()
    named = any(p.name == requests.POLICY_NAME for p in target.policies)
    return _label(target.key) in before or (named and not desired.spec.adopt)


def _where(target: ScalingTarget) -> dict[str, str]:
    return {"ServiceNamespace": "dynamodb", "ResourceId": target.resource, "ScalableDimension": target.dimension}


def _label(key: tuple[str, str]) -> str:
    return " ".join(key)


def _words(target: ScalingTarget) -> str:
    return f"{target.resource} {target.dimension.split(':')[-1]}"


def _drift(desired: Desired, what: str, before: object, after: object) -> str:
    return f"{what} was {before} and is set back to {after}." if desired.settled else ""
