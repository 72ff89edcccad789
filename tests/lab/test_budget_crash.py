"""kill -9 of the operator while a budget holds: nothing slips under the limit across a restart, and what was let through or approved is not lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from declared import Declared, apply_all
from mortal import Mortal

from penstock_lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# 10 RCU and 10 WCU are 0.949 and 4.745; recovery is off.
TABLE: dict[str, Any] = {
    "capacity": {"mode": "Provisioned", "read": {"units": 10}, "write": {"units": 10}},
    "pointInTimeRecovery": {"enabled": False},
}
# Of 5.69 each, three fit.
LIMIT, FIT = "20", 3
TABLES = 10
# Less than the time for which the operator waits for an answer.
HELD = 12.0


class Rig(Mortal):
    """An operator that can be killed, and tables under one budget."""

    def __init__(self, lab: Lab, namespace: str) -> None:
        super().__init__(lab)
        self.namespace = namespace
        body = {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "CostBudget",
            "metadata": {"name": "lab", "namespace": namespace},
            "spec": {"monthlyLimit": LIMIT, "policy": "Hold"},
        }
        lab.kubectl("apply", "-f", "-", input=json.dumps(body))
        self.tables = [Declared(lab, namespace, TABLE, name=f"t{n}", apply=False) for n in range(TABLES)]

    def there(self) -> list[Declared]:
        return [table for table in self.tables if table.exists]

    def held(self) -> list[Declared]:
        return [t for t in self.tables if t.condition().get("reason") == "OverBudget"]

    def settles(self, there: int, held: int, most: int) -> None:
        """Wait for so many tables in AWS and so many that are held; never are there more in AWS than `most`."""
        deadline = time.monotonic() + 60
        while True:
            found = len(self.there())
            assert found <= most, "more than the budget allows"
            if found == there and len(self.held()) == held:
                return
            assert time.monotonic() < deadline, (found, [t.name for t in self.held()])
            time.sleep(0.1)


@pytest.fixture
def rig(lab: Lab, namespace: str) -> Iterator[Rig]:
    found = Rig(lab, namespace)
    yield found
    lab.aws.clear_faults()
    found.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_of_many_made_at_once_only_those_that_fit_pass_though_the_operator_is_killed(rig: Rig, when: str) -> None:
    # The creations that pass are held back on the wire, before AWS has them or with the answer lost, until the kill.
    key = f"*{rig.namespace}*"
    rig.lab.aws.add_fault(
        service="dynamodb", operation="CreateTable", key=key, kind="latency", seconds=HELD, when=when, count=FIT
    )
    apply_all(rig.lab, rig.tables)
    rig.tables[0].until(lambda: not rig.lab.aws.faults(), "as many as fit are asked for", HELD)
    rig.tables[0].until(lambda: len(rig.held()) > 0, "some are held", HELD)
    time.sleep(0.2)
    rig.kill()
    assert len(rig.there()) == (FIT if when == "after" else 0)
    rig.lab.aws.clear_faults()
    rig.start()
    rig.settles(FIT, TABLES - FIT, FIT)

    # One is approved while nobody listens; another goes. Both are seen, whatever the first pass of the next process looks at.
    approved, gone = rig.held()[0], rig.there()[0]
    words = approved.condition("WithinBudget")["message"].partition("let it pass: ")[2].split()
    rig.kill()
    rig.lab.kubectl(*words[1:])
    rig.start()
    rig.tables[0].until(lambda: approved.exists, "it is made", 60)
    rig.settles(FIT + 1, TABLES - FIT - 1, FIT + 1)
    rig.kill()
    rig.lab.kubectl("-n", rig.namespace, "delete", "ddb", gone.name, approved.name, "--wait=false")
    rig.start()
    rig.held()[0].until(lambda: gone.found is None and approved.found is None, "they are gone", 60)
    rig.tables = [table for table in rig.tables if table not in (gone, approved)]
    rig.settles(FIT, TABLES - FIT - 2, FIT)


def test_of_many_made_while_no_operator_runs_only_those_that_fit_pass(rig: Rig) -> None:
    rig.kill()
    apply_all(rig.lab, rig.tables)
    for seconds in (0.3, 0.6, 1.0, 1.5, 2.5):
        rig.start()
        time.sleep(seconds)
        rig.kill()
        assert len(rig.there()) <= FIT
    rig.start()
    rig.settles(FIT, TABLES - FIT, FIT)
