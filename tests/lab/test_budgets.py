"""Budgets as finance and a team see them: what is held says the sum, what fits passes, and nothing slips by."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from declared import Declared
from declared_cluster import DeclaredCluster
from together import scenario

from penstock_lab.lab import Lab
from penstock_lab.state import checkout

pytestmark = pytest.mark.lab

USAGE = {"cost": {"expectedUsage": {"storage": "10Gi", "ioPerSecond": 5}}}
# Two db.t4g.medium are 106.58, the storage 1.00 and 13.14 million I/O requests 2.63.
NAIVE: dict[str, Any] = {"instances": {"readers": 1}, **USAGE}
# One db.t4g.medium is 53.29.
SINGLE: dict[str, Any] = {"instances": {"readers": 0}, **USAGE}
# 10 RCU and 10 WCU are 0.949 and 4.745; recovery is off.
TABLE: dict[str, Any] = {
    "capacity": {"mode": "Provisioned", "read": {"units": 10}, "write": {"units": 10}},
    "pointInTimeRecovery": {"enabled": False},
}


def budget(lab: Lab, namespace: str, limit: str = "80", name: str = "lab", **spec: Any) -> None:
    body = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "CostBudget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"monthlyLimit": limit, "policy": "Hold", **spec},
    }
    lab.kubectl("apply", "-f", "-", input=json.dumps(body))


def told(lab: Lab, namespace: str, name: str = "lab") -> dict[str, Any]:
    answer = lab.kubectl("-n", namespace, "get", "costbudget", name, "-o", "json").stdout
    found: dict[str, Any] = json.loads(answer).get("status") or {}
    return found


def condition(status: dict[str, Any], kind: str = "WithinBudget") -> dict[str, Any]:
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), {})


def events(lab: Lab, namespace: str, reason: str) -> list[str]:
    answer = lab.kubectl("-n", namespace, "get", "events.events.k8s.io", "-o", "json").stdout
    return [e["note"] for e in json.loads(answer)["items"] if e["reason"] == reason]


@scenario
def test_the_naive_shape_is_held_with_the_sum_and_passes_when_somebody_approves(lab: Lab, namespace: str) -> None:
    budget(lab, namespace, storageLimit="20", alertAt=[50, 100])
    naive = DeclaredCluster(lab, namespace, NAIVE, name="naive")
    naive.wait("Stalled")
    refused = naive.wait("WithinBudget", "False")
    assert (
        "allows $80.00 a month and this would bring it to $110.21: $0.00 is there and this adds $110.21"
        in refused["message"]
    )
    assert naive.status["plan"]["refused"] == [refused["message"]]
    steps = naive.status["plan"]["steps"]
    assert {s["when"] for s in steps} == {"AfterConsent"}
    assert sorted(s["costDelta"] for s in steps if "costDelta" in s) == [
        "+$3.63/month",
        "+$53.29/month",
        "+$53.29/month",
    ]
    assert not naive.exists
    assert naive.writes() == [], "nothing of it is begun"
    assert "finalizers" not in naive.object["metadata"]
    naive.until(lambda: told(lab, namespace).get("holding") == ["AuroraCluster/naive"], "the budget names it")
    # The command that the sentence gives.
    words = refused["message"].partition("let it pass: ")[2].split()
    assert words[0] == "kubectl"
    lab.kubectl(*words[1:])
    naive.until(lambda: naive.exists, "it is made")
    naive.until(lambda: told(lab, namespace).get("used") == "137 %", "the budget counts it")
    naive.until(lambda: len(events(lab, namespace, "BudgetAlert")) == 2, "both thresholds are told")
    assert condition(told(lab, namespace))["message"] == "The estimate is $110.21 of $80.00 a month."


@scenario
def test_the_samples_lab_fits_its_budget_and_the_naive_one_does_not(lab: Lab, namespace: str) -> None:
    for name in ("lab-budget", "lab-naive", "lab-ledger"):
        manifest = (checkout() / "manifests" / "samples" / f"{name}.yaml").read_text(encoding="utf-8")
        lab.kubectl("-n", namespace, "apply", "-f", "-", input=manifest)

    def cluster(name: str) -> dict[str, Any]:
        found: dict[str, Any] = (
            json.loads(lab.kubectl("-n", namespace, "get", "aurora", name, "-o", "json").stdout).get("status") or {}
        )
        return found

    wait_until(lambda: told(lab, namespace).get("spending", {}).get("estimate") == "48.86")
    budgeted = told(lab, namespace)
    assert budgeted["holding"] == ["AuroraCluster/lab-naive"]
    # 2 × 0.073 × 730 h × 65/168 = 41.24, 50 GB × 0.10, 13.14 million I/O × 0.20.
    assert Decimal(budgeted["spending"]["estimate"]) <= 80
    assert Decimal(budgeted["spending"]["storage"]) == 5
    assert condition(budgeted)["status"] == "True"
    wait_until(lambda: condition(cluster("lab-ledger")).get("status") == "True")
    held = condition(cluster("lab-naive"))
    assert "bring it to $163.07: $48.86 is there and this adds $114.21" in held["message"] or (
        "bring it to $114.21" in held["message"]
    )


def wait_until(check: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@scenario
def test_an_enlargement_is_held_while_everything_else_goes_on(lab: Lab, namespace: str) -> None:
    budget(lab, namespace)
    cluster = DeclaredCluster(lab, namespace, SINGLE, name="ledger")
    cluster.settled()
    cluster.edit(tags={"team": "shop"}, instances={**cluster.spec["instances"], "readers": 1})
    held = cluster.wait("WithinBudget", "False")
    assert "bring it to $110.21: $56.92 is there and this adds $53.29" in held["message"]
    cluster.until(lambda: cluster.aws_tags.get("team") == "shop", "the tag is set")
    assert cluster.condition("Ready")["status"] == "True", "what runs serves on"
    assert len(cluster.aws_instances) == 1
    # What somebody deletes is made again: it was let through before.
    cluster.rds.delete_db_instance(DBInstanceIdentifier=cluster.instance(1))
    cluster.until(lambda: cluster.instance(1) not in cluster.aws_instances, "it is gone")
    cluster.until(lambda: len(cluster.aws_instances) == 1, "it is made again")
    assert cluster.condition("WithinBudget")["status"] == "False"
    budget(lab, namespace, "200")
    cluster.until(lambda: len(cluster.aws_instances) == 2, "there is room now")
    cluster.until(lambda: cluster.condition("WithinBudget")["reason"] == "BudgetKept", "and it is told")


@scenario
def test_of_tables_made_at_the_same_instant_only_those_that_fit_pass(lab: Lab, namespace: str) -> None:
    budget(lab, namespace, "20")
    tables = [Declared(lab, namespace, TABLE, name=f"t{n}", apply=False) for n in range(6)]
    lab.kubectl(
        "apply",
        "-f",
        "-",
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": [t.manifest for t in tables]}),
    )
    for table in tables:
        table.until(lambda table=table: table.condition("WithinBudget"), "it is judged", 60)

    # 5.69 each: three fit into 20.
    def verdicts() -> list[str]:
        return sorted(t.condition("WithinBudget")["status"] for t in tables)

    tables[0].until(lambda: verdicts() == ["False"] * 3 + ["True"] * 3, "as many pass as fit", 75)
    assert sum(t.exists for t in tables) == 3
    passed = next(t for t in tables if t.exists)
    lab.kubectl("-n", namespace, "delete", "ddb", passed.name, "--wait=false")
    passed.until(lambda: sum(t.exists for t in tables if t is not passed) == 3, "the place is taken", 60)


@scenario
def test_a_budget_that_selects_nothing_says_so(lab: Lab, namespace: str) -> None:
    budget(lab, namespace, "1", selector={"matchLabels": {"env": "lab"}})
    table = Declared(lab, namespace, TABLE)
    table.settled()
    table.until(lambda: condition(told(lab, namespace), "Ready").get("reason") == "NothingSelected", "it is told")
    assert not table.condition("WithinBudget")
