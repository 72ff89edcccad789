"""What a cluster's objectives ask of its shape, before anything is made. Pure.

Aurora's service level agreement gives 99.99 % to a cluster with instances in two zones or more and 99.9 % to one with a single instance; a failover
to a reader takes less than 60 seconds as a rule, the recovery of a single instance up to ten minutes (Aurora guide, "High availability for Aurora").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from penstock.api.auroracluster import AuroraClusterSpec, Objectives

_ALONE, _BEST = Decimal("99.9"), Decimal("99.99")
_RECOVERY: Final = timedelta(minutes=10)
# "Usually less than 60 seconds, and often less than 30", says the same page.
_OFTEN: Final = timedelta(seconds=30)
# A paused instance is back after about 15 seconds, after a day of rest 30 or more (Aurora guide, "Scaling to zero").
_RESUMES: Final = timedelta(seconds=30)
# Aurora guide, "Backing up and restoring": the latest restorable time is within the last five minutes.
_RESTORABLE: Final = timedelta(minutes=5)
# A tier from which on a reader does not follow the writer's capacity, and takes over when none before it can.
_SECOND: Final = 2


@dataclass(frozen=True)
class Promises:
    """What the shape must have. Each is named by the objective that asks for it, or '' when none does.

    reader: a reader, in another zone when zones. tier: one of tier 0 or 1, which is of the writer's size. awake: it never pauses. always: it is never
    stopped. impossible: what no shape of one region reaches, as a sentence. names: every objective that was looked at. measured: those of which AWS
    promises nothing, whatever the shape.
    """

    reader: str = ""
    zones: bool = False
    tier: str = ""
    awake: str = ""
    always: str = ""
    impossible: str = ""
    names: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()


def promises(spec: AuroraClusterSpec) -> Promises:
    """What the objectives of a spec ask for."""
    asked = spec.objectives
    probed = spec.probe is not None and spec.probe.enabled
    awake = "spec.probe, whose connection keeps it awake" if probed else ""
    if asked is None:
        return Promises(awake=awake)
    names, reader, zones, lagging, always, impossible = [], "", False, "", "", ""
    if asked.availability is not None:
        told = f"availability {asked.availability} %"
        names.append(told)
        always = told
        if Decimal(asked.availability) > _ALONE:
            reader, zones = told, True
        if Decimal(asked.availability) > _BEST:
            impossible = f"{told} is more than Aurora promises in one region (99.99 %): write at most 99.99, or add a global database"
    if asked.failover is not None:
        told = f"failover {asked.failover}"
        names.append(told)
        if asked.failover.value < _RECOVERY:
            reader, zones = reader or told, True
    if asked.replica_lag is not None:
        told = f"replicaLag {asked.replica_lag}"
        names.append(told)
        lagging = told
    for name, target in (("connect", asked.connect), ("queryP95", asked.query_p95)):
        if target is not None:
            names.append(f"{name} {target}")
            if target.value < _RESUMES:
                awake = awake or f"{name} {target}"
            if name == "connect":
                always = always or f"{name} {target}"
    if asked.recovery_point is not None:
        told = f"recoveryPoint {asked.recovery_point}"
        names.append(told)
        if asked.recovery_point.value < _RESTORABLE:
            impossible = (
                impossible
                or f"{told} is less than any cluster has: Aurora restores up to about five minutes ago, write 5m or more"
            )
    return Promises(reader or lagging, zones, reader, awake, always, impossible, tuple(names), _measured(asked))


def _measured(asked: Objectives) -> tuple[str, ...]:
    quick = asked.failover if asked.failover is not None and asked.failover.value < _OFTEN else None
    told = (
        ("failover", quick),
        ("replicaLag", asked.replica_lag),
        ("connect", asked.connect),
        ("queryP95", asked.query_p95),
    )
    return tuple(f"{name} {target}" for name, target in told if target is not None)


def breaches(asked: Promises, spec: AuroraClusterSpec, readers: int, *, pauses: bool, hibernates: bool) -> list[str]:
    """Which of them a shape breaks, each as a clause that says what it would need."""
    found = []
    if asked.impossible:
        found.append(asked.impossible)
    if asked.reader and readers == 0:
        where = " in another zone" if asked.zones else ""
        found.append(f"{asked.reader} needs a reader{where}")
    elif asked.zones and len(_zones(spec, readers)) == 1:
        found.append(f"{asked.reader} needs a reader in another zone, and spec.instances.overrides put all into one")
    if asked.awake and pauses:
        found.append(f"{asked.awake} needs a cluster that does not pause")
    if asked.always and hibernates:
        found.append(f"{asked.always} needs a cluster that is not stopped")
    return found


def demoted(asked: Promises, spec: AuroraClusterSpec, readers: int) -> bool:
    """Whether a reader is needed that takes over before others, and spec.instances.overrides put all of them behind."""
    return bool(asked.tier) and readers > 0 and not any(_tier(spec, n) < _SECOND for n in range(2, readers + 2))


def _zones(spec: AuroraClusterSpec, readers: int) -> set[str]:
    """The zones of the instances; one of its own for each whose zone AWS chooses, since it spreads them."""
    return {spec.instances.override(n).zone or f"?{n}" for n in range(1, readers + 2)}


def _tier(spec: AuroraClusterSpec, ordinal: int) -> int:
    told = spec.instances.override(ordinal).promotion_tier
    # What AWS takes when nothing is said.
    return 1 if told is None else told
