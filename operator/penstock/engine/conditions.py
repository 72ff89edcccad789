"""Conditions as metav1.Condition: their time moves only when their status does, and an unchanged condition is left exactly as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# metav1.Condition bounds message at 32768 characters; one sentence that a person reads needs far less.
MESSAGE_LIMIT = 1024


@dataclass(frozen=True)
class Condition:
    """One condition as a kind wants it: type, status (True, False or None for Unknown), reason (CamelCase) and one sentence."""

    type: str
    status: bool | None
    reason: str
    message: str


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(
    previous: Iterable[Mapping[str, Any]], wanted: Iterable[Condition], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """status.conditions from what stands there and what is wanted now.

    Types that are no longer wanted disappear; the order is that of `wanted`, so that a status that says the same is byte for byte the same.
    """
    known = {c.get("type"): c for c in previous if isinstance(c, Mapping)}
    merged = []
    for condition in wanted:
        status = {True: "True", False: "False", None: "Unknown"}[condition.status]
        before = known.get(condition.type)
        moved = before is None or before.get("status") != status
        merged.append(
            {
                "type": condition.type,
                "status": status,
                "reason": str(condition.reason),
                "message": condition.message[:MESSAGE_LIMIT],
                "observedGeneration": generation,
                "lastTransitionTime": timestamp(now)
                if moved or before is None
                else before.get("lastTransitionTime", timestamp(now)),
            }
        )
    return merged


def find(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """The condition of that type in a status, or None."""
    for condition in status.get("conditions") or ():
        if isinstance(condition, Mapping) and condition.get("type") == kind:
            return condition
    return None
