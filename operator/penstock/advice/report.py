"""What is advised, as it stands on an object and as the command prints it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from penstock.advice.measures import ENOUGH
from penstock.cost.estimate import money

# What saves less is not worth a restart.
WORTH: Final = Decimal("0.01")
LEAST: Final = Decimal("0.50")


@dataclass(frozen=True)
class Advice:
    """One shape that costs less. monthly and saving: US dollars. patch: a JSON merge patch of the object."""

    kind: str
    summary: str
    monthly: Decimal
    saving: Decimal
    risk: str
    checked: tuple[str, ...]
    patch: Mapping[str, Any]

    def as_status(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "summary": self.summary,
            "monthly": money(self.monthly),
            "saving": money(self.saving),
            "risk": self.risk,
            "checked": list(self.checked),
            "patch": json.dumps(self.patch),
        }


@dataclass(frozen=True)
class Findings:
    """All that is advised for one object. monthly: what its present shape costs. why: why nothing is advised, '' when something is looked for."""

    basis: str
    monthly: Decimal | None = None
    items: tuple[Advice, ...] = ()
    notes: tuple[str, ...] = ()
    why: str = ""
    breaks: tuple[str, ...] = field(default=())

    @property
    def saving(self) -> Decimal:
        """What the best of them saves a month."""
        return max((item.saving for item in self.items), default=Decimal(0))

    @property
    def summary(self) -> str:
        """In one sentence."""
        if self.why:
            return self.why
        broken = f" The present shape does not keep: {'; '.join(self.breaks)}." if self.breaks else ""
        if self.items:
            best = self.items[0]
            return f"{best.summary} saves ${money(best.saving)} a month.{broken}"
        return f"No other shape that keeps the objectives and carries the load costs less.{broken}"

    def as_status(self) -> dict[str, Any]:
        """The findings as status.advice."""
        found: dict[str, Any] = {"summary": self.summary, "basis": self.basis}
        if self.monthly is not None:
            found["monthly"] = money(self.monthly)
        if self.items:
            found["saving"] = money(self.saving)
            found["items"] = [item.as_status() for item in self.items]
        if self.notes:
            found["notes"] = list(self.notes)
        return found


def worth(saving: Decimal, monthly: Decimal) -> bool:
    """Whether a saving is worth telling: at least a hundredth of the cost, and half a dollar."""
    return saving >= max(monthly * WORTH, LEAST)


NOTHING_YET: Final = Findings("", why=f"Nothing is advised yet: it takes {ENOUGH.days} days of metrics.")
"""What every object says from its first status on, so that saying it costs no write of its own."""


def told(found: Findings, known: Mapping[str, Any] | None) -> dict[str, Any]:
    """status.advice: the findings, or what stands there as long as it says the same shapes and no amount moved by more than 1 %."""
    fresh = found.as_status()
    if not known or not _alike(fresh, known):
        return fresh
    return dict(known)


def _alike(fresh: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    before, after = known.get("items") or [], fresh.get("items") or []
    if not isinstance(before, list) or not all(isinstance(item, Mapping) for item in before):
        return False
    if [_shape(i) for i in before] != [_shape(i) for i in after] or known.get("notes", []) != fresh.get("notes", []):
        return False
    if not after and known.get("summary") != fresh.get("summary"):
        return False
    if known.get("basis") != fresh.get("basis"):
        return False
    pairs = [(known.get("monthly"), fresh.get("monthly"))]
    pairs += [(b.get(name), a.get(name)) for b, a in zip(before, after, strict=True) for name in ("monthly", "saving")]
    return all(_near(b, a) for b, a in pairs)


def _shape(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return item.get("kind"), item.get("summary"), item.get("patch")


def _near(before: Any, after: Any) -> bool:
    if before is None or after is None:
        return before is after
    try:
        was, now = Decimal(str(before)), Decimal(str(after))
    except ArithmeticError:
        return False
    return abs(now - was) <= max(abs(was) * WORTH, Decimal("0.01"))


def joined(parts: Sequence[str]) -> str:
    """Clauses as one, the first with a capital letter and a point at the end; '' of none."""
    if not parts:
        return ""
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
