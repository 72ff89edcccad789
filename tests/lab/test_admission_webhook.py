"""The webhook of budgets on a lab of its own: the real API server asks the operator, as the chart sets it up."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock_lab.deployment import NAMESPACE
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def asked(labs_root: Path) -> Iterator[Lab]:
    """A lab whose API server asks on a port of the host: no Service is routed there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = f"webhook-{os.getpid()}"
    values = {
        "admission": {"enabled": True, "port": port, "url": f"https://127.0.0.1:{port}/admit"},
        "extraEnv": [{"name": "PENSTOCK_ADMISSION_HOST", "value": "127.0.0.1"}],
    }
    try:
        yield Lab.up(name, root=labs_root, values=values, owner=os.getpid())
    finally:
        if (labs_root / name / "state.json").exists():
            Lab.load(name, labs_root).down()


def table(name: str, units: int, **metadata: Any) -> str:
    capacity = {"mode": "Provisioned", "read": {"units": units}, "write": {"units": units}}
    return json.dumps(
        {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "DynamoTable",
            "metadata": {"name": name, **metadata},
            "spec": {
                "deletionPolicy": "Delete",
                "key": {"partition": {"name": "id", "type": "String"}},
                "capacity": capacity,
                "pointInTimeRecovery": {"enabled": False},
            },
        }
    )


def test_what_a_budget_would_hold_is_refused_with_the_sum_when_it_is_applied(asked: Lab, wait_for: Any) -> None:
    budget = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "CostBudget",
        "metadata": {"name": "lab"},
        "spec": {"monthlyLimit": "10", "policy": "Hold"},
    }
    asked.kubectl("apply", "-f", "-", input=json.dumps(budget))

    def apply(manifest: str, *more: str) -> str:
        answer = asked.kubectl("apply", *more, "-f", "-", input=manifest, check=False)
        return " ".join((answer.stdout + answer.stderr).split())

    # 20 units of each are 1.898 and 9.49. The webhook is in force, and the budget known to it, a moment after they were made.
    refused = wait_for(
        lambda: next((w for w in [apply(table("large", 20), "--dry-run=server")] if "denied the request" in w), "")
    )
    assert "CostBudget lab allows $10.00 a month and this would bring it to $11.39: $0.00 is there" in refused
    assert "denied the request" in apply(table("large", 20))
    assert asked.kubectl("get", "ddb", "large", check=False).returncode != 0, "nothing is stored"
    assert "created" in apply(table("small", 10))
    # What is there counts: another 5.69 do not fit.
    wait_for(lambda: "bring it to $11.38: $5.69 is there" in apply(table("other", 10), "--dry-run=server"))
    token = apply(table("other", 10)).partition("approve=")[2].split()[0]
    assert "created" in apply(table("other", 10, annotations={"penstock.dev/approve": token}))
    wait_for(
        lambda: (
            asked.kubectl("wait", "--for=condition=Ready", "ddb/other", "--timeout=20s", check=False).returncode == 0
        )
    )


def test_a_standby_judges_as_well(asked: Lab, wait_for: Any, tmp_path: Path) -> None:
    """The Service selects every replica; here the API server asks only the one that does not lead."""
    secret = json.loads(asked.kubectl("get", "secret", "penstock-admission", "-n", NAMESPACE, "-o", "json").stdout)
    # A pod's user reads them.
    tmp_path.chmod(0o755)
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_bytes(base64.b64decode(secret["data"][name]))
    asked.kubectl("create", "namespace", "standby")
    budget = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "CostBudget",
        "metadata": {"name": "lab", "namespace": "standby"},
        "spec": {"monthlyLimit": "10", "policy": "Hold"},
    }
    asked.kubectl("apply", "-f", "-", input=json.dumps(budget))
    with asked.run_operator({"PENSTOCK_ADMISSION_CERTIFICATES": ""}, name="leader") as leader:
        wait_for(lambda: asked.operator_pid == leader.pid)
        with asked.run_operator({"PENSTOCK_ADMISSION_CERTIFICATES": str(tmp_path)}, name="standby") as standby:
            standby.wait_ready()

            def apply(name: str, units: int) -> str:
                manifest = table(name, units, namespace="standby")
                answer = asked.kubectl("apply", "-f", "-", input=manifest, check=False)
                return " ".join((answer.stdout + answer.stderr).split())

            assert "bring it to $11.39: $0.00 is there" in apply("large", 20)
            assert "created" in apply("small", 10)
            wait_for(lambda: "bring it to $11.38: $5.69 is there" in apply("other", 10))
            assert asked.operator_pid == leader.pid
