"""What a kind gives to the loop: observe, plan, act and report. A second kind is one more folder with these four."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from penstock.api.model import Problem
from penstock.engine.conditions import Condition
from penstock.engine.errors import Trouble
from penstock.engine.events import Note
from penstock.engine.kube import Resource
from penstock.engine.money import Money
from penstock.engine.plan import Plan, Step
from penstock.engine.queue import Priority

__all__ = ["D", "Invalid", "Key", "Kind", "Look", "Money", "O", "Object", "Outcome", "Report"]

Object = dict[str, Any]
"""A Kubernetes object as read from the API, without managedFields."""

D = TypeVar("D")
O = TypeVar("O")  # noqa: E741


class Key(NamedTuple):
    """What the queue holds: an object's kind, namespace and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


class Invalid(Exception):  # noqa: N818
    """The spec cannot be carried out; problems say what to write instead."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(p) for p in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Look:
    """How to observe.

    fresh: forget what is known and read everything (a forced pass). priority: whose tokens the reads may take. only: the plan will not be run, so
    nothing may be assumed that running it would find out.
    """

    fresh: bool = False
    priority: Priority = Priority.NORMAL
    only: bool = False


@dataclass(frozen=True)
class Outcome(Generic[O]):
    """What a pass came to. observed is None when AWS could not be read. trouble: the first thing that failed. done: the steps that ran."""

    observed: O | None
    plan: Plan
    trouble: Trouble | None = None
    done: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Report:
    """What goes onto the object.

    conditions: in the order in which they are shown. fields: the rest of the status; a key that is absent is removed. notes: Events. again:
    seconds until the next look when nothing happens before. annotations: those that the kind wants on the object, beside what it costs; None removes
    one. They change seldom: each change is a write of its own.
    """

    conditions: tuple[Condition, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    again: float = 300.0
    annotations: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The one sentence of the pass: the message of the first condition, which every kind makes Ready."""
        return self.conditions[0].message if self.conditions else ""


class Kind(Protocol[D, O]):
    """A kind. Everything but observe and act is pure."""

    name: str
    resource: Resource

    def desired(self, obj: Object) -> D:
        """What the object asks for, deletion included. Raises Invalid; never for an object that is being deleted and has made nothing."""

    def owns_nothing(self, obj: Object) -> bool:
        """Whether nothing can exist in AWS for this object, so that even an invalid one may be deleted at once."""

    async def observe(self, desired: D, look: Look) -> O:
        """Read what is stale. Raises Trouble."""

    def plan(self, desired: D, observed: O, now: datetime) -> Plan:
        """Decide."""

    async def act(self, desired: D, step: Step) -> str | None:
        """Perform one step; idempotent. Returns AWS's request id, or None when the look was stale and nothing was done. Raises Trouble."""

    def report(self, obj: Object, desired: D, outcome: Outcome[O], now: datetime) -> Report:
        """Tell."""

    def money(self, desired: D, observed: O, now: datetime) -> Money | None:
        """What the object costs as it is declared; None when there is nothing to tell, so that what was told stays."""

    def forget(self, key: Key) -> None:
        """Drop what was remembered of an object that is gone."""
