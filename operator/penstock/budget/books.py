"""What every object of the operator counts for, and the gate that budgets put between plans and their steps.

Nothing of this is stored: a position is what the last pass found, and before the first pass what the object itself says. So that nothing slips by
while that is not known, the budgets of a namespace are listed before a costly plan is judged (the list is newer than the object), and objects that
were there when the process began must have been looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from penstock.api import meta
from penstock.api.conditions import ConditionType, Reason
from penstock.api.costbudget import CostBudget, Policy, Selector
from penstock.api.parsing import parse_as
from penstock.budget import hold, sums
from penstock.budget.hold import ZERO, Position, Room, Subject
from penstock.budget.selector import selects
from penstock.cost.estimate import GIGABYTE_MONTH, amount_told, moved
from penstock.engine import conditions, metrics
from penstock.engine.conditions import Condition
from penstock.engine.informer import relist
from penstock.engine.kind import Key, Money, Object, Report
from penstock.engine.kube import Kube, Resource, version
from penstock.engine.plan import Plan, Step, Wait, When
from penstock.engine.queue import WorkQueue
from penstock.engine.store import Store

NAME: Final = "CostBudget"
RESOURCE: Final = Resource(meta.GROUP, meta.VERSION, "costbudgets")
# Seconds: what many objects changed at the same moment is summed up once.
_SOON = 1.0
_ASIDE = frozenset(("held", "heldStorage"))
# What a status names of AWS once something is there.
_MADE = ("tableArn", "clusterArn")


def _nobody(key: Key, delay: float) -> None:
    """Nobody to wake yet."""


@dataclass(frozen=True)
class _Known:
    generation: int
    uid: str
    budget: CostBudget | None


class Books:
    """Positions of all objects by key. costed: the kinds that cost something, by name."""

    def __init__(self, kube: Kube, costed: Mapping[str, Resource]) -> None:
        self._kube = kube
        self._costed = dict(costed)
        self._positions: dict[Key, Position] = {}
        self._sentences: dict[Key, str] = {}
        self._uids: dict[Key, str] = {}
        self._budgets: dict[Key, _Known] = {}
        self._listed: dict[str, int] = {}
        self._surveyed: set[str] = set()
        self._looked: set[Key] = set()
        self._unlooked: set[Key] = set()
        self._store: Store | None = None
        self._wake: Callable[[Key, float], None] = _nobody

    def attach(self, store: Store, wake: Callable[[Key, float], None]) -> None:
        """store: the objects. wake(key, seconds): has an object looked at."""
        self._store, self._wake = store, wake

    @classmethod
    async def read(cls, kube: Kube, costed: Mapping[str, Resource], namespace: str) -> Books:
        """What the objects of a namespace say now, for a process that watches none. Raises KubeError."""
        books, store = cls(kube, costed), Store(WorkQueue())
        books.attach(store, _nobody)
        await relist(kube, store, NAME, RESOURCE, namespace)
        if books._holds(namespace):
            for kind, resource in costed.items():
                await relist(kube, store, kind, resource, namespace)
        return books

    # The gate

    async def prepare(self, key: Key, obj: Object, plan: Plan) -> None:
        if key.kind not in self._costed or not plan.steps or not _costly(plan):
            return
        assert self._store is not None
        namespace = key.namespace
        if self._listed.get(namespace, -1) < version(obj):
            # A watch may tell of a budget after it told of an object that was made later.
            listed = await relist(self._kube, self._store, NAME, RESOURCE, namespace)
            self._listed[namespace] = max(self._listed.get(namespace, -1), listed)
        if namespace in self._surveyed or not self._holds(namespace):
            return
        for kind, resource in self._costed.items():
            await relist(self._kube, self._store, kind, resource, namespace)
        for kind in self._costed:
            for other, found in self._objects(kind, namespace):
                # What this process let through itself is known without a look, and its pass may be long.
                known = other in self._looked or other in self._positions
                if not known and meta.FINALIZER in (found["metadata"].get("finalizers") or ()):
                    self._unlooked.add(other)
        self._surveyed.add(namespace)

    def admit(self, key: Key, obj: Object, plan: Plan, money: Money | None, *, new: bool, acting: bool) -> Plan:
        if key.kind not in self._costed or (money is None and not _costly(plan)):
            return plan
        if self._uids.setdefault(key, obj["metadata"]["uid"]) != obj["metadata"]["uid"]:
            # The same name is another object now, and what its predecessor was let grow to is gone with it.
            self._drop(key)
            self._uids[key] = obj["metadata"]["uid"]
        before = self.position(key, obj)
        # What costs nothing more is never kept back, and a sum over all objects for each of a thousand is much.
        rooms = list(self._rooms(key, obj)) if _costly(plan) else []
        waits = [b for b, unlooked in rooms if unlooked]
        subject = self._subject(key, obj, new=new, acting=acting)
        if waits:
            if money is not None:
                self._put(key, hold.unjudged(subject, plan, money, before), "")
            sentence = f"Waiting until all that CostBudget {waits[0].budget} covers has been looked at."
            steps = tuple(replace(s, when=When.LATER) if s.when is When.NOW else s for s in plan.steps)
            return replace(plan, steps=steps, waits=(Wait(Reason.PROGRESSING, sentence, 1.0), *plan.waits))
        verdict = hold.judge(subject, plan, money or Money(None, ""), before, [r for r, _ in rooms])
        self._put(key, verdict.position if money is not None else before, verdict.sentence)
        return verdict.plan

    def tell(self, key: Key, obj: Object, report: Report, now: datetime) -> Report:  # noqa: ARG002
        if key.kind not in self._costed:
            return report
        fields = dict(report.fields)
        cost, aside = dict(fields.get("cost") or {}), self._aside(key)
        if aside or _ASIDE & cost.keys():
            cost = {k: v for k, v in cost.items() if k not in _ASIDE} | aside
            fields["cost"] = cost
        condition = self._condition(key, obj, cost)
        told = (*report.conditions, condition) if condition is not None else report.conditions
        return replace(report, fields=fields, conditions=told)

    def looked(self, key: Key) -> None:
        self._looked.add(key)
        self._unlooked.discard(key)

    def forget(self, key: Key) -> None:
        self._budgets.pop(key, None)
        self._uids.pop(key, None)
        self._drop(key)
        if key.kind == NAME:
            self.changed(key.namespace)

    def _drop(self, key: Key) -> None:
        self._looked.discard(key)
        self._unlooked.discard(key)
        self._sentences.pop(key, None)
        if self._positions.pop(key, None) is not None:
            self._moved(key.namespace, room=True)

    def refuses(self, key: Key, obj: Object, money: Money) -> str:
        """Why the creation of an object with this cost would be held, as a sentence; ''. Nothing is set aside, and an approval counts.

        In any other mode than Reconcile nothing is made, and its plan may be what somebody wants to see.
        """
        if (obj["metadata"].get("annotations") or {}).get(meta.MODE, meta.Mode.RECONCILE) != meta.Mode.RECONCILE:
            return ""
        step = Step("", "Create", {}, "make it", cost_delta=money.monthly if not money.missing else None)
        subject = self._subject(key, obj, new=True, acting=False)
        rooms = [room for room, _ in self._rooms(key, obj)]
        return hold.judge(subject, Plan((step,)), money, Position(), rooms).sentence

    # What budgets see

    def position(self, key: Key, obj: Object) -> Position:
        """What the object counts for, from its last pass or else from what it says itself."""
        found = self._positions.get(key)
        return found if found is not None else said(obj)

    def covered(self, namespace: str, selector: Selector | None) -> Iterator[tuple[Key, Position]]:
        """The objects of a namespace that a selector selects, with what they count for."""
        for kind in self._costed:
            for key, obj in self._objects(kind, namespace):
                if selects(selector, obj["metadata"].get("labels") or {}):
                    yield key, self.position(key, obj)

    def changed(self, namespace: str) -> None:
        """A budget is another: who is held is judged anew."""
        for key in self._held(namespace):
            self._wake(key, 0.0)

    def flipped(self, namespace: str, selector: Selector | None) -> None:
        """A budget is over its limit, or no longer: all that it covers tell so."""
        for key, _ in self.covered(namespace, selector):
            self._wake(key, _SOON)

    def measure(self) -> None:
        """Set the metrics; to be called before they are read."""
        metrics.COST_MONTHLY.clear()
        totals: dict[tuple[str, str], Decimal] = {}
        for key, position in self._positions.items():
            totals[key.kind, key.namespace] = totals.get((key.kind, key.namespace), ZERO) + position.counted
        for (kind, namespace), total in totals.items():
            metrics.COST_MONTHLY.labels(kind, namespace).set(float(total))

    @staticmethod
    def _subject(key: Key, obj: Object, *, new: bool, acting: bool) -> Subject:
        return Subject(
            who="/".join(key),
            command=f"kubectl -n {key.namespace} annotate {key.kind.lower()} {key.name}",
            approved=(obj["metadata"].get("annotations") or {}).get(meta.APPROVE, ""),
            new=new,
            acting=acting,
        )

    def _rooms(self, key: Key, obj: Object) -> Iterator[tuple[Room, bool]]:
        """The budgets that hold and cover the object, and whether some of what they cover was not looked at yet."""
        for name, budget in self._within(key.namespace):
            selector = budget.spec.selector
            if budget.spec.policy is not Policy.HOLD or not selects(selector, obj["metadata"].get("labels") or {}):
                continue
            others = [(k, p) for k, p in self.covered(key.namespace, selector) if k != key]
            limit, storage = budget.spec.monthly_limit, budget.spec.storage_limit
            room = Room(
                name.name,
                limit.value if limit is not None else None,
                storage.value if storage is not None else None,
                sum((p.counted for _, p in others), ZERO),
                sum((p.storage for _, p in others), ZERO),
            )
            yield room, any(k in self._unlooked for k, _ in others)

    def _holds(self, namespace: str) -> bool:
        return any(b.spec.policy is Policy.HOLD for _, b in self._within(namespace))

    def _within(self, namespace: str) -> Iterator[tuple[Key, CostBudget]]:
        for key, obj in self._objects(NAME, namespace):
            generation, uid = obj["metadata"].get("generation", 0), obj["metadata"]["uid"]
            known = self._budgets.get(key)
            if known is None or known.generation != generation or known.uid != uid:
                found = parse_as(CostBudget, {**obj, "status": {}})
                known = self._budgets[key] = _Known(generation, uid, None if isinstance(found, list) else found)
            if known.budget is not None and "deletionTimestamp" not in obj["metadata"]:
                yield key, known.budget

    def _condition(self, key: Key, obj: Object, cost: Mapping[str, Any]) -> Condition | None:
        labels = obj["metadata"].get("labels") or {}
        budgets = [n for n, b in self._within(key.namespace) if selects(b.spec.selector, labels)]
        over = [b.name for b in budgets if self._over(b)]
        own = amount_told(((obj.get("spec") or {}).get("cost") or {}).get("monthlyBudget"))
        held = self._sentences.get(key, "")
        if own is None and not budgets:
            return None
        return sums.within(held, own, cost, [b.name for b in budgets], over)

    def _over(self, key: Key) -> bool:
        obj = self._store.get(key) if self._store is not None else None
        found = conditions.find((obj or {}).get("status") or {}, ConditionType.WITHIN_BUDGET) or {}
        return found.get("status") == "False"

    def _aside(self, key: Key) -> dict[str, str]:
        """What of the object's estimate it does not count for, as status.cost tells it."""
        found = self._positions.get(key, Position())
        amounts = {"held": found.kept or found.planned, "heldStorage": found.more_storage}
        return {name: f"{amount:.2f}" for name, amount in amounts.items() if amount}

    def _held(self, namespace: str) -> list[Key]:
        return [k for k, p in self._positions.items() if k.namespace == namespace and self._sentences.get(k)]

    def _put(self, key: Key, position: Position, sentence: str) -> None:
        before = self._positions.get(key)
        if before is not None and not moved(before.beyond, position.beyond):
            # It moves with every reading; what is held names sums of it.
            position = replace(position, beyond=before.beyond)
        self._positions[key] = position
        was = self._sentences.get(key, "")
        if sentence:
            self._sentences[key] = sentence
        else:
            self._sentences.pop(key, None)
        if before is None or bool(was) != bool(sentence) or _differs(before, position):
            self._moved(key.namespace, room=before is not None and position.counted < before.counted)

    def _moved(self, namespace: str, *, room: bool) -> None:
        for key, _ in self._objects(NAME, namespace):
            self._wake(key, _SOON)
        if room:
            for key in self._held(namespace):
                self._wake(key, _SOON)

    def _objects(self, kind: str, namespace: str) -> Iterable[tuple[Key, Object]]:
        return self._store.within(kind, namespace) if self._store is not None else ()


def said(obj: Object) -> Position:
    """What an object counts for by its own words: its status, or the annotation that went with its finalizer when it was let through."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    cost: Mapping[str, Any] = status.get("cost") or {}
    through = meta.FINALIZER in (metadata.get("finalizers") or ())
    begun = through or any(status.get(name) for name in _MADE)
    estimate, kept = amount_told(cost.get("monthlyEstimate")), amount_told(cost.get("held")) or ZERO
    spent, forecast = amount_told(cost.get("monthToDate")), amount_told(cost.get("forecast"))
    if estimate is not None:
        if through and kept >= estimate:
            # Nothing of it was let through when that was told; the finalizer came later.
            kept = ZERO
        stored = sum(
            (
                amount_told(i.get("monthly")) or ZERO
                for i in cost.get("breakdown") or ()
                if i.get("unit") == GIGABYTE_MONTH
            ),
            ZERO,
        )
        more = (amount_told(cost.get("heldStorage")) or ZERO) if kept else ZERO
        pace = amount_told(cost.get("pace")) or ZERO
        return Position(
            max(estimate - kept, ZERO) if begun else ZERO,
            max(stored - more, ZERO) if begun else ZERO,
            kept,
            cost.get("basis") == "Partial",
            max(pace - estimate, ZERO),
            spent,
            forecast,
        )
    annotated = amount_told((metadata.get("annotations") or {}).get(meta.MONTHLY_COST))
    if annotated is not None and through:
        return Position(max(annotated, ZERO))
    return Position()


def _costly(plan: Plan) -> bool:
    """Whether a step adds to the cost, or may."""
    return any(s.cost_delta is None or s.cost_delta > 0 for s in plan.steps)


def _differs(before: Position, after: Position) -> bool:
    return (
        any(
            moved(getattr(before, name), getattr(after, name))
            for name in ("monthly", "storage", "kept", "beyond", "spent", "forecast")
        )
        or before.incomplete != after.incomplete
    )
