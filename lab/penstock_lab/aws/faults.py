"""Faults on demand: rules that make requests slow, refused, lost, outdated or denied."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import random
import threading
import time
from typing import Any

KINDS = ("throttle", "error", "latency", "drop", "stale", "deny")


@dataclasses.dataclass
class Rule:
    """One rule.

    kind: throttle, error, latency, drop, stale or deny. service and operation are globs, as in ``dynamodb`` and
    ``Describe*``; key is a glob on the resource's name (a table, say). rate is the share of matching requests that are
    hit. count ends the rule after that many hits, expires after that many real seconds. seconds is the added latency
    or how far a stale answer lies back. status and code replace the answer's own. when is ``before`` or ``after``: a
    request dropped, failed or delayed ``after`` has taken effect.
    """

    kind: str
    service: str = "*"
    operation: str = "*"
    key: str = "*"
    rate: float = 1.0
    seconds: float = 1.0
    count: int | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    expires: float | None = None
    when: str = "before"
    id: str = ""
    hits: int = 0
    deadline: float | None = dataclasses.field(default=None, repr=False)

    def as_dict(self) -> dict[str, Any]:
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None and k != "deadline"}


class Faults:
    """The rules in force. Matching is cheap when there are none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._ids = itertools.count(1)
        self.random = random.Random(20120810)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, spec: dict[str, Any]) -> Rule:
        """Adds a rule. Raises ValueError with a sentence that says what to write instead."""
        allowed = {f.name for f in dataclasses.fields(Rule)} - {"id", "hits", "deadline"}
        if unknown := sorted(set(spec) - allowed):
            raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(allowed))}")
        if spec.get("kind") not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        for name, low, high in (("rate", 0, 1), ("seconds", 0, 86400), ("count", 1, 10**9), ("expires", 0, 10**9)):
            value = spec.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise ValueError(f"{name} must be a number")
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be between {low} and {high}")
        if spec.get("status") is not None and not 400 <= spec["status"] <= 599:
            raise ValueError("status must be an HTTP error status, 400 to 599")
        if spec.get("when", "before") not in ("before", "after"):
            raise ValueError("when must be before or after")
        rule = Rule(**{k: v for k, v in spec.items() if v is not None})
        if rule.expires is not None:
            rule.deadline = time.monotonic() + rule.expires
        with self._lock:
            rule.id = f"fault-{next(self._ids)}"
            self._rules.append(rule)
        return rule

    def rules(self) -> list[Rule]:
        with self._lock:
            self._drop_ended()
            return list(self._rules)

    def clear(self, rule_id: str | None = None) -> int:
        """Ends one rule, or all. Says how many it ended."""
        with self._lock:
            before = len(self._rules)
            self._rules = [r for r in self._rules if rule_id is not None and r.id != rule_id]
            return before - len(self._rules)

    def hit(self, service: str, operation: str, key: str) -> list[Rule]:
        """The rules that this request runs into, counted."""
        hits = []
        with self._lock:
            self._drop_ended()
            for rule in self._rules:
                if (
                    fnmatch.fnmatchcase(service, rule.service)
                    and fnmatch.fnmatchcase(operation, rule.operation)
                    and fnmatch.fnmatchcase(key, rule.key)
                    and (rule.rate >= 1 or self.random.random() < rule.rate)
                ):
                    rule.hits += 1
                    hits.append(rule)
            self._drop_ended()
        return hits

    def stale(self, service: str) -> list[Rule]:
        """The stale rules for a service, uncounted: writes look ahead to them."""
        return [r for r in self._rules if r.kind == "stale" and fnmatch.fnmatchcase(service, r.service)]

    def _drop_ended(self) -> None:
        now = time.monotonic()
        self._rules = [
            r for r in self._rules if (r.count is None or r.hits < r.count) and (r.deadline is None or now < r.deadline)
        ]


faults = Faults()
