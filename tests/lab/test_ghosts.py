"""Objects whose deletion no watch told of: the API server restarts while the operator does not watch, and answers 410 afterwards."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from declared import Declared
from mortal import Mortal

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

# 10 RCU and 10 WCU are 5.69 a month; recovery is off.
TABLE: dict[str, Any] = {
    "capacity": {"mode": "Provisioned", "read": {"units": 10}, "write": {"units": 10}},
    "pointInTimeRecovery": {"enabled": False},
}


@pytest.fixture
def mortal(lab: Lab) -> Iterator[Mortal]:
    """Without the Lease, so that the process may be suspended."""
    process = Mortal(lab)
    process.operator.wait_ready()
    yield process
    process.close()


def objects(mortal: Mortal, kind: str) -> float:
    with urllib.request.urlopen(f"{mortal.operator.url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f'penstock_objects{{kind="{kind}"'))


def test_what_was_deleted_while_nobody_watched_is_forgotten_without_a_restart(
    lab: Lab, namespace: str, mortal: Mortal, wait_for: Callable[..., Any]
) -> None:
    body = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "CostBudget",
        "metadata": {"name": "lab", "namespace": namespace},
        "spec": {"monthlyLimit": "1", "policy": "Hold"},
    }
    lab.kubectl("apply", "-f", "-", input=json.dumps(body))
    planned = Declared(lab, namespace, TABLE, name="planned", annotations={"penstock.dev/mode": "Plan"})
    held = Declared(lab, namespace, TABLE, name="held")
    wait_for(lambda: "CostBudget lab allows $1.00" in held.condition("WithinBudget").get("message", ""))
    planned.until(lambda: planned.condition("Ready"), "it has a status")
    tables, budgets = objects(mortal, "DynamoTable"), objects(mortal, "CostBudget")

    pid = mortal.operator.pid
    with lab.api_away():
        # Suspended with its connections gone: what the API server tells now is in no buffer.
        time.sleep(1)
        mortal.operator.kill(signal.SIGSTOP)
    try:
        lab.kubectl("delete", "costbudget", "lab", "-n", namespace)
        lab.kubectl("delete", "dynamotable", "planned", "-n", namespace)
        # Its watch cache begins anew, so a watch from an older version is 410 Gone.
        with lab.api_away():
            pass
    finally:
        mortal.operator.kill(signal.SIGCONT)

    wait_for(lambda: objects(mortal, "CostBudget") == budgets - 1, 60)
    wait_for(lambda: objects(mortal, "DynamoTable") == tables - 1, 30)
    held.settled(timeout=60)
    assert mortal.operator.running
    assert mortal.operator.pid == pid
