"""What stands between a plan and its steps: somebody who may keep steps back that the kind itself would run. Kinds know nothing of it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from penstock.engine.kind import Key, Money, Object, Report
from penstock.engine.plan import Plan


class Gate(Protocol):
    """The gate of one operator. Only prepare may wait; admit decides and remembers without a pause, so that no two objects pass by one another."""

    async def prepare(self, key: Key, obj: Object, plan: Plan) -> None:
        """Read what a decision on this plan needs. Raises KubeError, and then nothing may be decided."""

    def admit(self, key: Key, obj: Object, plan: Plan, money: Money | None, *, new: bool, acting: bool) -> Plan:
        """The plan as it may run.

        money: what the object costs once it is carried out; None when that is not known. new: nothing of it can exist in AWS. acting: the plan will
        be run; else nothing is set aside for it.
        """

    def tell(self, key: Key, obj: Object, report: Report, now: datetime) -> Report:
        """The report with what the gate has to say."""

    def looked(self, key: Key) -> None:
        """A pass over the object has ended, whatever came of it."""

    def forget(self, key: Key) -> None:
        """The object is gone."""


class Open:
    """A gate that lets everything through."""

    async def prepare(self, key: Key, obj: Object, plan: Plan) -> None:  # noqa: ARG002
        return None

    def admit(self, key: Key, obj: Object, plan: Plan, money: Money | None, *, new: bool, acting: bool) -> Plan:  # noqa: ARG002
        return plan

    def tell(self, key: Key, obj: Object, report: Report, now: datetime) -> Report:  # noqa: ARG002
        return report

    def looked(self, key: Key) -> None:  # noqa: ARG002
        return None

    def forget(self, key: Key) -> None:  # noqa: ARG002
        return None
