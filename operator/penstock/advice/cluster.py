"""What is advised for a cluster: the cheapest shape, what can be had by one change alone, and what fits a budget. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from penstock.advice import changes, clusters
from penstock.advice.classes import ACU_MEMORY, SERVERLESS, facts
from penstock.advice.clusters import Choice, Cost, Demand, Load, Question, Sleep
from penstock.advice.promises import demoted, promises
from penstock.advice.report import Advice, Findings, joined, worth
from penstock.api.auroracluster import MAX_READERS, AuroraClusterSpec
from penstock.cost.aurora import ClusterShape
from penstock.cost.estimate import money
from penstock.cost.prices import Catalogue
from penstock.engine import hibernation

WORKING_HOURS: Final = Sleep("0 20 * * 1-5", "0 7 * * 1-5", Decimal(65) / 168)
"""Nights and weekends, as an offer to who has named no hours."""


def expected(spec: AuroraClusterSpec) -> Demand:
    """The load as far as the spec tells it; what it does not tell refuses nothing."""
    usage = spec.cost.expected_usage if spec.cost else None
    range_, known = spec.instances.serverless, facts(spec.instances.instance_class or "")
    ceiling = Decimal(1)
    if range_ is not None:
        ceiling = Decimal(str(range_.max_capacity))
    elif known is not None:
        # What is declared may be used: a serverless instance must be able to grow to it.
        ceiling = Decimal(known.memory) / ACU_MEMORY
    writer = None
    if usage is not None and usage.average_capacity is not None:
        mean = Decimal(str(usage.average_capacity))
        writer = Load(capacity=mean, capacity_mean=mean)
    return Demand(
        writer,
        storage=Decimal(usage.storage.value) if usage and usage.storage else None,
        io=Decimal(str(usage.io_per_second)) if usage and usage.io_per_second is not None else None,
        ceiling=ceiling,
    )


def present(spec: AuroraClusterSpec, shape: ClusterShape) -> Choice | None:
    """The declared shape as a choice; None while it has no instances, or one of a class that is not known."""
    classes = list(shape.classes.values())
    own = spec.instances.instance_class or (max(set(classes), key=classes.count) if classes else "")
    if not classes or not own:
        return None
    asked = spec.hibernation
    sleep = None
    if asked is not None:
        sleep = Sleep(asked.schedule, asked.wake, hibernation.awake(asked), asked.timezone or "UTC")
    serverless = SERVERLESS in classes
    readers = spec.instances.readers if spec.instances.readers is not None else len(classes) - 1
    return Choice(own, readers, shape.io_optimized, shape.capacity if serverless else None, sleep)


def question(spec: AuroraClusterSpec, demand: Demand, catalogue: Catalogue, today: date) -> Question:
    """What is asked of the search. Instances that spec.instances.overrides give a class of their own keep it."""
    fixed = {o.ordinal: o.instance_class for o in spec.instances.overrides if o.instance_class}
    return Question(spec, promises(spec), demand, catalogue, today, fixed)


def advise(asked: Question, now: Choice, basis: str) -> Findings:
    """What is advised for a cluster that has the shape `now`."""
    paid = asked.cost(now)
    if paid is None:
        return Findings(basis, why=f"Nothing is advised: {unpriced(asked, now)}.")
    lacking = lacks(asked, now)
    best = next(_all(asked, now), None)
    items = []
    if best is not None:
        items = [_advice("Cheapest", asked, now, paid, best)]
    items += [_advice(kind, asked, now, paid, found) for kind, found in _each(asked, now)]
    kept: dict[Choice, Advice] = {}
    for choice, item in items:
        if worth(item.saving, paid.total) and choice not in kept:
            kept[choice] = item
    notes = []
    broken = asked.lacks(now)
    if broken and best is not None and best[1].total >= paid.total:
        more = money(best[1].total - paid.total)
        notes.append(
            f"To keep all of it: {changes.words(best[0])}, ${money(best[1].total)} a month, ${more} more than now."
        )
    elif broken and best is None:
        notes.append("No shape of this region keeps all of it.")
    return Findings(basis, paid.total, tuple(kept.values()), tuple(notes), breaks=lacking)


def lacks(asked: Question, now: Choice) -> tuple[str, ...]:
    """What the present shape breaks or cannot carry, each as a clause. The tiers of readers cost nothing: every patch mends them."""
    found = asked.lacks(now)
    if demoted(asked.asked, asked.spec, now.readers):
        found.append(
            f"{asked.asked.tier} needs a reader of promotion tier 0 or 1: write promotionTier: 1 for ordinal 2 in spec.instances.overrides"
        )
    return tuple(dict.fromkeys(found))


def unpriced(asked: Question, choice: Choice) -> str:
    """Why the cost of a choice is not known, as a clause."""
    if asked.supported and choice.capacity is not None:
        return f"version {asked.version} is in extended support, whose price for serverless instances is not known"
    return f"no price of {changes.words(choice)} is known in {asked.catalogue.region}"


def _advice(kind: str, asked: Question, now: Choice, paid: Cost, found: tuple[Choice, Cost]) -> tuple[Choice, Advice]:
    choice, cost = found
    return choice, Advice(
        kind,
        f"{changes.words(choice)} in place of {changes.words(now)}",
        cost.total,
        paid.total - cost.total,
        joined(changes.risk(asked, now, choice)),
        changes.checked(asked, choice),
        changes.patch(asked, now, choice),
    )


def _all(asked: Question, now: Choice) -> Iterator[tuple[Choice, Cost]]:
    most = asked.spec.instances.reader_autoscaling.max if asked.spec.instances.reader_autoscaling else MAX_READERS
    where = clusters.space(asked.catalogue, range(most + 1), sleeps=_sleeps(asked, now))
    yield from clusters.search(asked, where)


def _sleeps(asked: Question, now: Choice) -> tuple[Sleep | None, ...]:
    """Hours that somebody named are kept; others may be taken up."""
    if now.sleep is not None or asked.demand.sleep is None:
        return (now.sleep,)
    return (None, asked.demand.sleep)


def _each(asked: Question, now: Choice) -> Iterator[tuple[str, tuple[Choice, Cost]]]:
    """The cheapest by each change alone."""
    where = clusters.space(asked.catalogue, (now.readers,), storages=(now.io_optimized,), sleeps=(now.sleep,))
    fixed, serverless = replace(where, serverless=False), replace(where, classes=())
    known = facts(now.instance_class)
    ways: list[tuple[str, Iterable[tuple[Choice, Cost]]]] = []
    if known is not None and not known.graviton:
        alike = tuple(c for c in where.classes if (f := facts(c)) and f.graviton and _alike(f, known))
        ways.append(("Graviton", clusters.search(asked, replace(fixed, classes=alike))))
    ways.append(("Provisioned" if now.capacity is not None else "Class", clusters.search(asked, fixed)))
    ways.append(("Serverless", clusters.search(asked, serverless)))
    ways.append(("Storage", _ranked(asked, [replace(now, io_optimized=not now.io_optimized)])))
    ways.append(("Readers", _ranked(asked, (replace(now, readers=n) for n in range(now.readers)))))
    if asked.demand.sleep is not None and now.sleep is None:
        ways.append(("Hours", _ranked(asked, [replace(now, sleep=asked.demand.sleep)])))
    for kind, found in ways:
        best = next(iter(found), None)
        if best is not None:
            yield kind, best


def _alike(one: object, other: object) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in ("processors", "memory", "baseline"))


def _ranked(asked: Question, choices: Iterable[Choice]) -> list[tuple[Choice, Cost]]:
    found = [(c, cost) for c in choices if (cost := asked.cost(c)) is not None and not asked.lacks(c)]
    return sorted(found, key=lambda one: one[1].total)


# What fits a budget


@dataclass(frozen=True)
class Gives:
    """What would make a shape fit. what: the objective that is given up, or what else, as a clause. fits: whether it is then within the budget."""

    what: str
    choice: Choice
    cost: Cost
    fits: bool


@dataclass(frozen=True)
class Fit:
    """What fits a budget.

    shapes: those that do, the cheapest first, one of each class. nearest: the cheapest that keeps the objectives, whether it fits or not; None when
    none keeps them. gives: what would have to give when none fits. awake: a shape that pauses, and the most capacity units that an instance of it may
    have on average to fit; None when none may pause or the load is told.
    """

    shapes: tuple[tuple[Choice, Cost], ...]
    nearest: tuple[Choice, Cost] | None
    gives: tuple[Gives, ...]
    awake: tuple[Choice, Decimal] | None = None


def fit(asked: Question, now: Choice | None, budget: Decimal | None, storage_budget: Decimal | None) -> Fit:
    """Which shapes keep the objectives within the budget. budget: US dollars a month for all, storage_budget: for storage alone; None: any."""
    start = now or Choice(SERVERLESS, 0, False, (clusters.LEAST, Decimal(1)))
    found = list(_all(asked, start))
    fitting = [(c, cost) for c, cost in found if within(cost, budget, storage_budget)]
    shown: dict[tuple[object, ...], tuple[Choice, Cost]] = {}
    for choice, cost in fitting:
        shown.setdefault((choice.instance_class, choice.pauses, choice.io_optimized), (choice, cost))
    nearest = found[0] if found else None
    gives = () if fitting else tuple(_gives(asked, start, budget, storage_budget))
    awake = None if fitting or budget is None else _awake(asked, found, budget, storage_budget)
    return Fit(tuple(shown.values()), nearest, gives, awake)


def _awake(
    asked: Question, found: Iterable[tuple[Choice, Cost]], budget: Decimal, storage_budget: Decimal | None
) -> tuple[Choice, Decimal] | None:
    if asked.demand.writer is not None:
        return None
    for choice, cost in found:
        if not choice.pauses or (storage_budget is not None and cost.storage > storage_budget):
            continue
        # What the instances cost now is for the least that is awake, half a unit each.
        left = budget - (cost.total - cost.instances)
        mean = (left / cost.instances * clusters.LEAST).quantize(Decimal("0.01"), ROUND_FLOOR)
        return (choice, mean) if mean > 0 else None
    return None


def within(cost: Cost, budget: Decimal | None, storage_budget: Decimal | None) -> bool:
    """Whether a cost is within both budgets."""
    return (budget is None or cost.total <= budget) and (storage_budget is None or cost.storage <= storage_budget)


def _gives(asked: Question, now: Choice, budget: Decimal | None, storage_budget: Decimal | None) -> Iterator[Gives]:
    """The cheapest shape without each objective, without all of them, and with nights and weekends off."""
    objectives = asked.spec.objectives
    ways: list[tuple[str, Question, Choice]] = []
    names = [
        n
        for n in ("availability", "failover", "replica_lag", "connect", "query_p95", "recovery_point")
        if objectives and getattr(objectives, n)
    ]
    for name in names if objectives else ():
        less = (
            asked.spec.model_copy(update={"objectives": objectives.model_copy(update={name: None})})
            if objectives
            else asked.spec
        )
        told = next(n for n in asked.asked.names if n.startswith(_ALIASES.get(name, name)))
        ways.append((f"without {told}", replace(asked, spec=less, asked=promises(less)), now))
    if len(names) > 1:
        none = asked.spec.model_copy(update={"objectives": None})
        ways.append(("without these objectives", replace(asked, spec=none, asked=promises(none)), now))
    if now.sleep is None and not asked.asked.always:
        ways.append(("stopped at night and on weekends", asked, replace(now, sleep=WORKING_HOURS)))
    before = next(_all(asked, now), None)
    for what, other, start in ways:
        best = next(_all(other, start), None)
        if best is not None and (before is None or best[1].total < before[1].total):
            yield Gives(what, best[0], best[1], within(best[1], budget, storage_budget))


_ALIASES: Final = {"query_p95": "queryP95", "replica_lag": "replicaLag", "recovery_point": "recoveryPoint"}
