"""Stale reads of RDS: describe and list operations answered from the region as it was some seconds ago.

While a stale rule for RDS is in force the regions are copied a few times a second, and before the first write after the
rule. A read answers from the newest copy that is at least ``seconds`` old, else from the oldest.
"""

from __future__ import annotations

import collections
import copy
import time
from typing import TYPE_CHECKING, Any

from ..clock import clock
from ..faults import Rule, faults
from ..request import Request
from .events import EventLog
from .store import Store

if TYPE_CHECKING:
    from .operations import Operation, Regions

_EVERY_S = 0.2
_MOST = 600
_READS = ("Describe", "List")


class Past:
    def __init__(self, regions: Regions, operations: dict[str, Operation]) -> None:
        self._regions = regions
        self._operations = operations
        self._copies: dict[tuple[str, str], collections.deque[tuple[float, Store]]] = {}
        self._rules: set[str] = set()

    def tick(self) -> None:
        """Copies what is due, and forgets everything when the last rule has ended."""
        rules = faults.stale("rds")
        self._follow(rules)
        if not rules:
            return
        keep = max(rule.seconds for rule in rules)
        for store in self._regions:
            with store.lock:
                store.settle(clock.now())
                self._copy(store, keep)

    def before_write(self, request: Request, rules: list[Rule]) -> None:
        self._follow(rules)
        where = (request.account, request.region)
        if request.service != "rds" or request.operation.startswith(_READS) or self._copies.get(where):
            return
        store = self._regions.get(*where)
        with store.lock:
            store.settle(clock.now())
            self._copy(store, max(rule.seconds for rule in rules))

    def answer(self, request: Request, rule: Rule) -> dict[str, Any] | None:
        """The old answer; None when there is no copy yet. Raises an old AwsError."""
        if rule.id not in self._rules:
            return None
        copies = self._copies.get((request.account, request.region))
        if not copies or not request.operation.startswith(_READS) or request.operation not in self._operations:
            return None
        store = self._regions.get(request.account, request.region)
        with store.lock:
            then = time.monotonic() - rule.seconds
            old = next((one for at, one in reversed(copies) if at <= then), copies[0][1])
            return self._operations[request.operation](old, request) or {}

    def _follow(self, rules: list[Rule]) -> None:
        """What was copied for rules that have all ended is no answer for a new one."""
        ids = {rule.id for rule in rules}
        if not ids & self._rules:
            self._copies = {}
        self._rules = ids

    def _copy(self, store: Store, keep: float) -> None:
        copies = self._copies.setdefault((store.account, store.region), collections.deque(maxlen=_MOST))
        now = time.monotonic()
        if copies and now - copies[-1][0] < max(_EVERY_S, keep / _MOST):
            return
        # One copy older than what is asked for stays: it is the answer.
        while len(copies) > 1 and now - copies[1][0] > keep:
            copies.popleft()
        copies.append((now, _frozen(store)))


def _frozen(store: Store) -> Store:
    old = copy.copy(store)
    old.events = EventLog(old)
    old.events.take_over(store.events)
    for name in (
        "clusters",
        "instances",
        "subnet_groups",
        "parameter_groups",
        "snapshots",
        "kept_backups",
        "subscriptions",
    ):
        setattr(old, name, {key: _copied(one) for key, one in getattr(store, name).items()})
    return old


def _copied(one: Any) -> Any:
    """A record with its own lists and dicts; what those hold is replaced, never changed, except for a secret."""
    new = copy.copy(one)
    for name in ("members", "tags", "pending", "values", "sources", "subnets"):
        value = getattr(new, name, None)
        if isinstance(value, list | dict):
            setattr(new, name, copy.copy(value))
    if getattr(new, "secret", None) is not None:
        new.secret = copy.copy(new.secret)
    return new
