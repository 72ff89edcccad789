"""From one shape of a cluster to another: the words, the risk and the patch. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from penstock.advice.classes import SERVERLESS, facts
from penstock.advice.clusters import Choice, Cost, Question, Sleep
from penstock.advice.promises import demoted
from penstock.api.auroracluster import Override
from penstock.cost.estimate import money, plain
from penstock.cost.prices import HOURS

_PAUSE = "10m"
_FIRST_READER = 2
_NOT_TOLD = "not told"


def words(choice: Choice) -> str:
    """A shape in words: "2 × db.t4g.medium, I/O-Optimized"."""
    parts = [f"{choice.readers + 1} × {choice.instance_class}"]
    if choice.capacity is not None:
        low, high = (number(c) for c in choice.capacity)
        parts.append(f"{low}–{high} ACUs" + (", pausing" if choice.pauses else ""))
    if choice.io_optimized:
        parts.append("I/O-Optimized")
    if choice.sleep is not None:
        parts.append(f"stopped from {choice.sleep.schedule} to {choice.sleep.wake}")
    return ", ".join(parts)


def number(value: Decimal) -> str:
    """A number without zeros at its end."""
    return plain(value)


def patch(question: Question, before: Choice, after: Choice) -> dict[str, Any]:
    """The JSON merge patch of the object that turns one shape into the other; null takes a field away."""
    spec = question.spec
    instances: dict[str, Any] = {}
    if after.instance_class != before.instance_class:
        instances["class"] = after.instance_class
    if after.capacity is not None and after.capacity != before.capacity:
        low, high = after.capacity
        instances["serverless"] = {"minCapacity": _json(low), "maxCapacity": _json(high)}
        pause = spec.instances.serverless.auto_pause if spec.instances.serverless else None
        if after.pauses:
            instances["serverless"]["autoPause"] = str(pause or _PAUSE)
        elif pause is not None:
            instances["serverless"]["autoPause"] = None
    if after.capacity is None and spec.instances.serverless is not None and not _serverless(spec.instances.overrides):
        instances["serverless"] = None
    if after.readers != before.readers:
        instances["readers"] = after.readers
    if demoted(question.asked, spec, after.readers):
        instances["overrides"] = [_promoted(o) for o in spec.instances.overrides]
    found: dict[str, Any] = {"instances": instances} if instances else {}
    if after.io_optimized != before.io_optimized:
        found["storage"] = {"type": "IOOptimized" if after.io_optimized else "Standard"}
    if after.sleep is not None and after.sleep != before.sleep:
        found["hibernation"] = hibernation(after.sleep)
    return {"spec": found}


def _promoted(override: Override) -> dict[str, Any]:
    """An override as the manifest has it; that of the first reader with the tier of one that takes over."""
    body = override.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {**body, "promotionTier": 1} if override.ordinal == _FIRST_READER else body


def hibernation(sleep: Sleep) -> dict[str, str]:
    """The hours as spec.hibernation writes them."""
    return {"schedule": sleep.schedule, "wake": sleep.wake, "timezone": sleep.timezone}


def risk(question: Question, before: Choice, after: Choice) -> list[str]:
    """What may be worse with the other shape, in clauses."""
    found = []
    old, new = facts(before.instance_class), facts(after.instance_class)
    if after.instance_class != before.instance_class:
        found.append("each instance restarts once, readers first and then a failover, in the maintenance window")
    if old is not None and new is not None:
        if new.memory < old.memory:
            found.append(
                f"{new.memory} GiB in place of {old.memory}: what the page cache no longer holds is read from storage"
            )
        if new.processors < old.processors:
            found.append(f"{new.processors} vCPUs in place of {old.processors}")
        if new.graviton and not old.graviton:
            found.append("the processor is Arm, which clients do not notice")
    if new is not None and new.burstable and (old is None or not old.burstable):
        found.append(
            f"a burstable class: beyond {number(new.steady.normalize())} vCPUs on average CPU credits are paid for, $0.09 a vCPU-hour"
        )
    if after.capacity is not None and before.capacity != after.capacity:
        found += _serverless_risk(question, after)
    if after.capacity is None and before.capacity is not None:
        found.append("the capacity no longer follows the load")
    if after.readers < before.readers:
        gone = before.readers - after.readers
        found.append(
            f"{gone} reader{'s' if gone > 1 else ''} less: what {'they' if gone > 1 else 'it'} carried moves to the rest"
        )
        if after.readers == 0:
            found.append("without a reader a failure lasts until the instance is back, up to ten minutes")
    if after.readers > before.readers:
        found.append("more and smaller instances: one query has less to run on")
    if after.io_optimized != before.io_optimized:
        found.append(
            "I/O is included from then on; AWS allows the change once in 30 days"
            if after.io_optimized
            else "I/O is paid for by the request from then on: a busy month costs more; AWS allows the way back once in 30 days"
        )
    if after.sleep is not None and before.sleep is None:
        found.append("nobody can connect in these hours; penstock.dev/wake wakes it, which takes minutes")
    return found


def _serverless_risk(question: Question, after: Choice) -> list[str]:
    assert after.capacity is not None
    key = "aurora-io-optimized.serverless" if after.io_optimized else "aurora.serverless"
    price = question.catalogue.price(key)
    found = []
    if price is not None:
        dearest = (after.readers + 1) * after.capacity[1] * HOURS * after.awake * price.each
        found.append(
            f"the cost follows the load: at {number(after.capacity[1])} ACUs all month the instances cost ${money(dearest)}"
        )
    if after.pauses:
        found.append(
            "the first connection after a pause waits about 15 seconds, and anything that keeps a connection keeps it awake"
        )
    return found


def checked(question: Question, choice: Choice) -> tuple[str, ...]:
    """What the shape was checked against: each objective and what keeps it, and the load."""
    found = [f"{name}: {_kept(question, choice, name)}" for name in question.asked.names]
    each = question.demand.each(choice.readers)
    known = facts(choice.instance_class)
    if each is not None:
        room = (
            f"{known.processors} vCPUs, {known.memory} GiB"
            if known is not None
            else f"at most {number(choice.capacity[1])} ACUs"
            if choice.capacity
            else ""
        )
        loads = [
            f"{_short(each.cpu)} vCPUs" if each.cpu else "",
            f"{_short(each.capacity)} ACUs" if each.capacity and not each.cpu else "",
            f"{_short(each.connections)} connections" if each.connections else "",
        ]
        found.append(f"load: {' and '.join(x for x in loads if x) or 'next to nothing'} at peak, of {room}")
    return tuple(found)


def _kept(question: Question, choice: Choice, name: str) -> str:
    word = name.split()[0]
    readers = f"{choice.readers} reader{'s' if choice.readers != 1 else ''}"
    only = f"; whether it is kept only {'a drill' if word == 'failover' else 'the probe'} shows"
    measured = only if name in question.asked.measured else ""
    if word in ("availability", "failover") and choice.readers:
        return f"{readers}{' in other zones' if question.asked.zones else ' to take over'}{measured}"
    if word == "replicaLag":
        return f"{readers}{measured}"
    if word in ("connect", "queryP95"):
        return f"{'it allows the 15 seconds after a pause' if choice.pauses else 'it never pauses'}{measured}"
    if word == "recoveryPoint":
        return "Aurora restores up to about five minutes ago"
    return "one instance is enough"


def arithmetic(question: Question, choice: Choice, cost: Cost) -> dict[str, str]:
    """How the amounts come about: of the instances, the storage and the I/O."""
    prefix = "aurora-io-optimized" if choice.io_optimized else "aurora"
    hours = number((HOURS * choice.awake).quantize(Decimal("0.1")).normalize())
    parts = []
    for cls, count in question.classes(choice).items():
        price = question.catalogue.price(f"{prefix}.serverless" if cls == SERVERLESS else f"{prefix}.instance.{cls}")
        units = f" × {number(question.units(choice) or Decimal(0))} ACUs" if cls == SERVERLESS else ""
        parts.append(f"{count}{units} × {number(price.amount) if price else '?'} × {hours} h")
    storage = question.catalogue.price(f"{prefix}.storage")
    size = (question.demand.storage or Decimal(0)) / 2**30
    return {
        "instances": f"{' + '.join(parts)} = {money(cost.instances)}",
        "storage": f"{number(size.quantize(Decimal('0.1')).normalize())} GiB × {number(storage.amount) if storage else '?'} = {money(cost.storage)}"
        if question.demand.storage is not None
        else _NOT_TOLD,
        "io": "included" if choice.io_optimized else money(cost.io) if question.demand.io is not None else _NOT_TOLD,
    }


def _serverless(overrides: tuple[Override, ...]) -> bool:
    return any(o.instance_class == SERVERLESS for o in overrides)


def _json(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _short(value: Decimal) -> str:
    return number(value.quantize(Decimal("0.01")).normalize()) if value % 1 else number(value.to_integral_value())
