"""What goes onto the object after a pass: pure, and written so that a tired person knows what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from penstock.api.conditions import ConditionType, Reason
from penstock.aws.dynamodb import ON_DEMAND, Table
from penstock.dynamo import changes, facets, hibernation, scaling
from penstock.dynamo import plan as planning
from penstock.dynamo.ownership import Claim, claim, identity, shown, unread
from penstock.dynamo.state import Desired, Observed
from penstock.engine import conditions
from penstock.engine.conditions import Condition, timestamp
from penstock.engine.errors import Trouble
from penstock.engine.kind import Object, Outcome, Report
from penstock.engine.plan import Plan, Refusal, Wait
from penstock.engine.reporting import first, notes, reconciling, stalled, todo

# AWS keeps LatestRestorableTime about five minutes behind the present; it moves with every read, so it is written at most this often.
RESTORABLE_EVERY = timedelta(hours=6)
_LATE = timedelta(minutes=15)
# A repeated read of these costs a write when they move; AWS itself counts them about every six hours.
# Fields of the status by which a table is this object's. A takeover that is only shown must not leave them, since it may be called off.
_CLAIMS = ("tableArn", "tableId", "createdAt", "managed")
_SERVING = ("ACTIVE", "UPDATING")
_OF_INDEXES = (Reason.INVALID, Reason.BACKFILLING, Reason.WAITING_FOR_CONSENT)
_STATES = {"INACCESSIBLE_ENCRYPTION_CREDENTIALS": "InaccessibleEncryptionCredentials"}


def report(obj: Object, desired: Desired, outcome: Outcome[Observed], now: datetime, next_look: float) -> Report:
    """next_look: seconds until a table that is as desired is looked at again."""
    observed, plan, trouble = outcome.observed, outcome.plan, outcome.trouble
    status: Mapping[str, Any] = obj.get("status") or {}
    table = observed.table if observed is not None else None
    ours = table is not None and observed is not None and _ours(desired, observed)
    state = _ready(desired, status, observed if ours else None, plan, trouble)
    resting = hibernation.rest(desired, now)
    again = min(_again(observed, plan, next_look), resting.seconds(now) if resting is not None else next_look)
    if resting is not None and resting.asleep and state.status is True and state.reason == Reason.AVAILABLE:
        sentence = (
            f"Table {desired.table_name} hibernates until {resting.local}: it serves requests as far as its floor goes."
        )
        state = replace(state, reason=Reason.HIBERNATING, message=sentence)
    fields = _fields(
        desired, status, observed if ours or (observed and table is None and not observed.assumed) else None, plan, now
    )
    told = (
        state,
        _synced(desired, status, observed, plan, trouble, ours, state),
        reconciling(plan, trouble),
        stalled(plan, trouble),
        *_recoverable(desired, status, observed, ours, now),
        *_objectives(desired),
    )
    return Report(told, fields, notes(status, state, plan, trouble), again)


def _objectives(desired: Desired) -> tuple[Condition, ...]:
    """ObjectivesMet: latencies of tables are objectives that nobody measures, and the object must not pass for one that was judged."""
    wanted = desired.spec.objectives
    named = (
        [] if wanted is None else [n for n, v in (("readP95", wanted.read_p95), ("writeP95", wanted.write_p95)) if v]
    )
    if not named or desired.absent:
        return ()
    verb, they = ("are", "they are") if len(named) > 1 else ("is", "it is")
    sentence = (
        f"objectives.{' and objectives.'.join(named)} {verb} not measured by Penstock, so nobody says whether {they} reached: "
        "see SuccessfulRequestLatency of the table in CloudWatch."
    )
    return (Condition(ConditionType.OBJECTIVES_MET, None, Reason.NOT_MEASURED, sentence),)


def _ours(desired: Desired, observed: Observed) -> bool:
    if unread(desired, observed):
        return observed.table is not None and observed.table.arn == desired.status.table_arn
    return not isinstance(claim(desired, observed), Refusal)


def _ready(
    desired: Desired, status: Mapping[str, Any], observed: Observed | None, plan: Plan, trouble: Trouble | None
) -> Condition:
    """True from when the table first serves requests with the indexes of the spec, for as long as it serves.

    The first settings are waited for as long as they come. What AWS refuses of them or does not tell is Synced's to say, for the table serves
    without. observed: None where the table is not ours.
    """
    kind = ConditionType.READY
    table = observed.table if observed is not None else None
    known = conditions.find(status, kind)
    was_ready = known is not None and known.get("status") == "True"
    if desired.absent:
        reason, sentence = first(plan, trouble) or (
            Reason.DELETING,
            f"Table {desired.table_name} is being taken down.",
        )
        return Condition(kind, False, reason, sentence)
    if table is None or table.status not in _SERVING:
        if trouble is not None and table is None:
            # AWS could not be asked; what served a minute ago serves most likely still.
            return Condition(
                kind,
                was_ready,
                trouble.reason if not was_ready else Reason.AVAILABLE,
                trouble.sentence if not was_ready else _serves(desired),
            )
        reason, sentence = first(plan, trouble) or (
            Reason.CREATING,
            f"Table {desired.table_name} is about to be made.",
        )
        return Condition(kind, False, reason, sentence)
    assert observed is not None
    mismatch = planning.other_for_ever(desired, table)
    if mismatch is not None:
        return Condition(kind, False, mismatch.reason, mismatch.sentence)
    missing = changes.unserved(desired, table)
    coming = bool(plan.runnable) and trouble is None
    claimed = _settled(desired, observed)
    if not claimed or (not was_ready and (missing or coming)):
        reason, sentence = (
            _of_index(missing, plan)
            or first(plan, trouble)
            or (
                Reason.CREATING,
                f"Table {table.name} is there; its settings are being made: {todo(plan)}.",
            )
        )
        return Condition(kind, False, reason, sentence)
    return Condition(kind, True, Reason.AVAILABLE, _serves(desired))


def _settled(desired: Desired, observed: Observed) -> bool:
    """Whether the table is this object's beyond doubt; where an endpoint has no tags, from when its takeover was shown."""
    if unread(desired, observed):
        return True
    adopts = observed.tags is None and shown(desired, observed)
    return claim(desired, observed) is Claim.OURS or adopts


def _of_index(missing: list[str], plan: Plan) -> tuple[str, str] | None:
    """What the plan says of indexes while one is missing, before what it says of anything else."""
    told: list[Refusal | Wait] = [*plan.refusals, *plan.waits] if missing else []
    return next(((one.reason, one.sentence) for one in told if one.reason in _OF_INDEXES), None)


def _serves(desired: Desired) -> str:
    return f"Table {desired.table_name} serves requests."


def _synced(
    desired: Desired,
    status: Mapping[str, Any],
    observed: Observed | None,
    plan: Plan,
    trouble: Trouble | None,
    ours: bool,
    ready: Condition,
) -> Condition:
    kind = ConditionType.SYNCED
    if trouble is not None and (observed is None or (ours and not desired.absent)):
        return Condition(kind, False, trouble.reason, trouble.sentence)
    if desired.absent or not ours:
        return Condition(kind, False, ready.reason, ready.message)
    if plan.empty:
        known = conditions.find(status, kind)
        if (
            observed is not None
            and observed.partial
            and not (desired.settled and known and known.get("status") == "True")
        ):
            return Condition(kind, None, Reason.PROGRESSING, "Some settings are still to be read from AWS.")
        return Condition(kind, True, Reason.IN_SYNC, _in_sync(desired, observed))
    told = first(plan, None)
    if told is None:
        return Condition(kind, False, Reason.OUT_OF_SYNC, f"To do: {todo(plan)}.")
    return Condition(kind, False, told[0], told[1])


def _in_sync(desired: Desired, observed: Observed | None) -> str:
    extra = []
    if observed is not None and observed.table is not None:
        indexes = changes.foreign_indexes(desired, observed.table)
        extra += [f"index {', '.join(indexes)}"] if indexes else []
        tags = facets.foreign_tags(desired, observed) if desired.spec.tags is not None else []
        extra += [f"tag {', '.join(tags[:5])}"] if tags else []
        extra += scaling.leftovers(desired, observed)[:5]
    if not extra:
        return "AWS is as the spec says."
    verb = "is" if len(extra) == 1 else "are"
    return f"AWS is as the spec says; {'; '.join(extra)} {verb} not in the spec and {verb} left alone."


def _recoverable(
    desired: Desired, status: Mapping[str, Any], observed: Observed | None, ours: bool, now: datetime
) -> tuple[Condition, ...]:
    kind = ConditionType.RECOVERABLE
    known = conditions.find(status, kind)
    backups = observed.backups if observed is not None and ours else None
    if backups is None:
        if known is None or desired.absent:
            return ()
        return (
            Condition(
                kind, {"True": True, "False": False}.get(known.get("status", "")), known["reason"], known["message"]
            ),
        )
    if not backups.enabled:
        return (
            Condition(
                kind,
                False,
                Reason.POINT_IN_TIME_RECOVERY_DISABLED,
                "Point-in-time recovery is off: only backups can be restored.",
            ),
        )
    if (
        backups.latest is not None
        and backups.earliest is not None
        and backups.latest > backups.earliest
        and now - backups.latest > _LATE + timedelta(hours=1)
    ):
        return (
            Condition(
                kind, False, Reason.RESTORE_POINT_STALE, f"The latest restorable time is {timestamp(backups.latest)}."
            ),
        )
    days = f" up to {backups.days} days back" if backups.days else ""
    return (
        Condition(
            kind, True, Reason.RESTORE_POINT_FRESH, f"Any second{days} can be restored, up to about five minutes ago."
        ),
    )


def _again(observed: Observed | None, plan: Plan, next_look: float) -> float:
    soon = [w.poll for w in plan.waits if w.poll is not None] + [r.again for r in plan.refusals]
    if soon:
        return max(1.0, min(soon))
    if plan.waits:
        return 60.0
    if observed is not None and observed.partial:
        return 20.0
    if observed is not None and observed.assumed and not plan.runnable:
        return 30.0
    return 1.0 if plan.runnable else next_look


def _fields(
    desired: Desired, status: Mapping[str, Any], observed: Observed | None, plan: Plan, now: datetime
) -> dict[str, Any]:
    kept = {k: v for k, v in status.items() if k not in ("conditions", "observedGeneration", "plan")}
    table = observed.table if observed is not None else None
    found: dict[str, Any] = kept
    if observed is not None and table is not None and not _settled(desired, observed):
        if claim(desired, observed) is Claim.ADOPT:
            shown_now = _table_fields(desired, status, observed, table, now)
            found = {**kept, **{k: v for k, v in shown_now.items() if k not in _CLAIMS}}
            found["adoption"] = {"table": identity(table), "generation": desired.generation}
    elif observed is not None and table is not None:
        found = _table_fields(desired, status, observed, table, now)
        for name in ("lastReconcileAt", "restore", "finalBackup"):
            if name in kept:
                found[name] = kept[name]
        if observed.final_backup is not None:
            backup = observed.final_backup
            found["finalBackup"] = {
                "arn": backup.arn,
                "name": backup.name,
                **({"createdAt": timestamp(backup.created_at)} if backup.created_at else {}),
            }
    found = _with_restore(desired, observed, found)
    resting = hibernation.rest(desired, now)
    if resting is not None:
        found = {**found, "hibernation": resting.as_status()}
    elif hibernation.leaves(desired) and not plan.empty:
        # Until its capacity is what the spec says, that it may be less must be known.
        found = {**found, "hibernation": kept["hibernation"]}
    else:
        found.pop("hibernation", None)
    told = plan.as_status()
    return {**found, "plan": told} if told is not None else found


def _with_restore(desired: Desired, observed: Observed | None, found: dict[str, Any]) -> dict[str, Any]:
    """What the table is to be restored from, from when it was first said; not since when, once AWS refused."""
    known = found.get("restore") or {}
    if observed is not None and observed.refused:
        known = {k: v for k, v in known.items() if k != "startedAt"}
    wanted = desired.spec.restore_from
    if wanted is not None and not found.get("tableArn") and "startedAt" not in known:
        known = {"source": wanted.backup_arn or wanted.table_name}
    return {**found, "restore": known} if known else found


def _table_fields(
    desired: Desired, status: Mapping[str, Any], observed: Observed, table: Table, now: datetime
) -> dict[str, Any]:
    managed = _managed(desired, observed, table)
    named: dict[str, Any] = {
        "tableName": table.name,
        "tableArn": table.arn,
        "tableId": table.id,
        "tableStatus": _STATES.get(table.status, table.status.capitalize()),
        "createdAt": timestamp(table.created_at) if table.created_at else None,
        "mode": "OnDemand" if table.billing == ON_DEMAND else "Provisioned",
        "itemCount": table.items,
        "sizeBytes": table.size,
        "size": binary_size(table.size),
        "indexes": _indexes(status, table, now) or None,
        "restorable": _restorable(status, observed),
        "lastBillingModeSwitch": timestamp(table.on_demand_since) if table.on_demand_since else None,
        "capacityDecreasesLeft": None if table.billing == ON_DEMAND else decreases_left(table.decreases_today, now),
        "streamArn": table.stream_arn,
        "observed": _observed(status, table, observed),
        "managed": managed or None,
    }
    return {k: v for k, v in named.items() if v not in (None, "")}


def _managed(desired: Desired, observed: Observed, table: Table) -> dict[str, list[str]]:
    """What came from the spec and is, or may still be, in AWS."""
    before = desired.status.managed
    indexes = {i.name for i in desired.spec.global_indexes or ()}
    indexes |= {n for n in (before.indexes if before else ()) if table.index(n) is not None}
    tags = set(desired.spec.tags or ())
    tags |= {k for k in (before.tags if before else ()) if observed.tags is None or k in observed.tags}
    found = {"indexes": sorted(indexes), "tags": sorted(tags), "scaling": scaling.managed(desired, observed)}
    return {k: v for k, v in found.items() if v}


def _indexes(status: Mapping[str, Any], table: Table, now: datetime) -> list[dict[str, Any]]:
    known = {i.get("name"): i for i in status.get("indexes") or ()}
    found = []
    for index in table.indexes:
        state = index.status.capitalize()
        before = known.get(index.name) or {}
        entry: dict[str, Any] = {"name": index.name, "state": state, "itemCount": index.items, "sizeBytes": index.size}
        if index.backfilling:
            entry["backfilling"] = True
        entry["since"] = before["since"] if before.get("state") == state and "since" in before else timestamp(now)
        found.append(entry)
    return sorted(found, key=lambda i: str(i["name"]))


def _restorable(status: Mapping[str, Any], observed: Observed) -> dict[str, str] | None:
    """The window moves with every read; it is told anew only now and then, or an idle table would be written for ever."""
    backups, before = observed.backups, status.get("restorable")
    if backups is None:
        return before
    if not backups.enabled or backups.earliest is None or backups.latest is None:
        return None
    fresh = {"earliest": timestamp(backups.earliest), "latest": timestamp(backups.latest)}
    if not isinstance(before, Mapping) or "latest" not in before or "earliest" not in before:
        return fresh
    moved = datetime.fromisoformat(fresh["latest"]) - datetime.fromisoformat(before["latest"])
    return dict(before) if timedelta(0) <= moved < RESTORABLE_EVERY else fresh


def _observed(status: Mapping[str, Any], table: Table, observed: Observed) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    if table.billing != ON_DEMAND:
        found |= {"readUnits": table.units.read, "writeUnits": table.units.write}
    if table.warm.read or table.warm.write:
        found |= {"warmReadUnits": table.warm.read, "warmWriteUnits": table.warm.write}
    if table.sse_key:
        found["kmsKeyArn"] = table.sse_key
    if table.table_class != "STANDARD":
        found["tableClass"] = table.table_class
    # What was not read yet goes on being told, or every restart would write every status twice.
    known = (status.get("observed") or {}).get("ttlAttribute") if observed.ttl is None else observed.ttl.attribute
    if known:
        found["ttlAttribute"] = known
    return found or None


def decreases_left(today: int, now: datetime) -> int:
    """Decreases of provisioned units still allowed: four at the start of a UTC day, one more an hour, at most four banked, 27 a day.

    Source: "Quotas in Amazon DynamoDB", decreasing provisioned throughput. AWS tells only how many were made, so this is a bound, not a promise.
    """
    return max(0, min(4, 27 - today, 4 + now.hour - today))


def binary_size(size: int) -> str:
    """Bytes as a Kubernetes quantity for people: 0, 512, 1.5Ki, 20Mi."""
    value = float(size)
    for unit in ("", "Ki", "Mi", "Gi", "Ti"):
        if value < 1024 or unit == "Ti":
            return f"{value:.1f}".rstrip("0").rstrip(".") + unit
        value /= 1024
    return str(size)
