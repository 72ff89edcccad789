"""A table outside its hours: what is wanted of it then, and what must be undone when it wakes. Pure.

A table cannot be stopped. It goes down to a floor: provisioned units that are fixed to it, autoscaling to a range of nothing else, on demand to caps.
The plan then finds differences as it does after any edit, so nothing else knows of hibernation.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from penstock.api.dynamotable import CapacityMode, DynamoTableSpec, Hibernation, IndexCapacity, Throughput
from penstock.dynamo.state import Desired
from penstock.engine import hibernation
from penstock.engine.hibernation import AWAKE, HIBERNATING, Rest

_UNCAPPED = -1


def rest(desired: Desired, now: datetime) -> Rest | None:
    """Whether the table hibernates; None when its spec has no hours, or it is to go."""
    asked = desired.spec.hibernation
    if asked is None or desired.absent:
        return None
    return hibernation.rest(asked, desired.wake, desired.status.hibernation, now)


def wanted(desired: Desired, now: datetime) -> Desired:
    """What is wanted of the table at this moment. What the clock changed since the last look is nobody's drift."""
    found = rest(desired, now)
    if found is None and not leaves(desired):
        return desired
    state = HIBERNATING if found is not None and found.asleep else AWAKE
    before = desired.status.hibernation
    spec = _asleep(desired.spec) if found is not None and found.asleep else _awake(desired.spec)
    return replace(desired, spec=spec, settled=desired.settled and before is not None and before.state == state)


def changes(desired: Desired, now: datetime) -> bool:
    """Whether the clock has just changed what is wanted: its steps then cost nothing that the estimate does not have already."""
    found, before = rest(desired, now), desired.status.hibernation
    return found is not None and before is not None and (before.state == HIBERNATING) is not found.asleep


def leaves(desired: Desired) -> bool:
    """Whether hours that were taken out of the spec may have left a floor behind."""
    before = desired.status.hibernation
    return (
        desired.spec.hibernation is None
        and not desired.absent
        and desired.spec.capacity is not None
        and before is not None
    )


def _asleep(spec: DynamoTableSpec) -> DynamoTableSpec:
    asked = spec.hibernation
    if asked is None or spec.capacity is None:
        return spec
    if spec.capacity.mode is CapacityMode.ON_DEMAND:
        capped = {"max_read_units": asked.read_units or 1, "max_write_units": asked.write_units or 1}
        return _with_caps(spec, capped)
    capacity = spec.capacity.model_copy(update=_floor(spec.capacity, asked))
    indexes = spec.global_indexes and tuple(
        i
        if i.capacity is None
        else i.model_copy(update={"capacity": i.capacity.model_copy(update=_floor(i.capacity, asked))})
        for i in spec.global_indexes
    )
    return spec.model_copy(update={"capacity": capacity, "global_indexes": indexes})


def _floor(capacity: IndexCapacity, asked: Hibernation) -> dict[str, Throughput | None]:
    return {"read": _down(capacity.read, asked.read_units), "write": _down(capacity.write, asked.write_units)}


def _down(throughput: Throughput | None, units: int | None) -> Throughput | None:
    if throughput is None:
        return None
    floor = throughput.floor(units)
    if throughput.autoscaled:
        return throughput.model_copy(update={"units": None, "min": floor, "max": floor})
    return throughput.model_copy(update={"units": floor})


def _awake(spec: DynamoTableSpec) -> DynamoTableSpec:
    """On demand the caps of the night must be taken away again, where the spec has none of its own."""
    if spec.capacity is None or spec.capacity.mode is not CapacityMode.ON_DEMAND:
        return spec
    return _with_caps(spec, {"max_read_units": _UNCAPPED, "max_write_units": _UNCAPPED}, keep=True)


def _with_caps(spec: DynamoTableSpec, caps: dict[str, int], *, keep: bool = False) -> DynamoTableSpec:
    """keep: a cap that the spec has stays."""

    def capped(capacity: IndexCapacity) -> dict[str, int]:
        return {name: cap for name, cap in caps.items() if not keep or getattr(capacity, name) is None}

    assert spec.capacity is not None
    indexes = spec.global_indexes and tuple(
        i.model_copy(update={"capacity": (c := i.capacity or IndexCapacity()).model_copy(update=capped(c))})
        for i in spec.global_indexes
    )
    capacity = spec.capacity.model_copy(update=capped(spec.capacity))
    return spec.model_copy(update={"capacity": capacity, "global_indexes": indexes})
