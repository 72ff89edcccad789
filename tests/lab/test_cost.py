"""What kubectl and GitOps see of the cost of tables and clusters."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from declared import Declared, index, unharmed
from declared_cluster import NOW, DeclaredCluster

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

COSTS = ("penstock.dev/monthly-cost-usd", "penstock.dev/cost-basis", "penstock.dev/cost-delta-usd")


def costs(declared: Declared) -> tuple[str | None, ...]:
    found = declared.object["metadata"].get("annotations") or {}
    return tuple(found.get(name) for name in COSTS)


def column(declared: Declared) -> str:
    """The Cost/mo column of kubectl get."""
    told = declared.lab.kubectl("get", declared.plural, declared.name, "-n", declared.namespace).stdout.splitlines()
    head, row = told[0], told[1]
    begin = head.index("COST/MO")
    return row[begin:].split(maxsplit=1)[0]


def managers(declared: Declared, field: str) -> set[str]:
    """Who manages a field of the object's metadata."""
    text = declared.lab.kubectl(
        "get", declared.plural, declared.name, "-n", declared.namespace, "--show-managed-fields", "-o", "json"
    ).stdout
    entries = json.loads(text)["metadata"]["managedFields"]
    return {e["manager"] for e in entries if field in json.dumps(e["fieldsV1"])}


def writes(lab: Lab, namespace: str) -> list[str]:
    """What the operator wrote in a namespace so far, Events too, from the audit log."""
    found = []
    for log in sorted(lab.state.logs.glob("audit*.log")):
        for line in log.read_text().splitlines(keepends=True):
            if not line.endswith("\n") or f'"namespace":"{namespace}"' not in line:
                continue
            told = json.loads(line)
            if (
                told["verb"] in ("create", "patch", "update", "delete")
                and "penstock-system" in told["user"]["username"]
            ):
                target = told["objectRef"]
                found.append(f"{told['verb']} {target['resource']}/{target.get('subresource', '')}")
    return found


def test_a_table_shows_its_cost_with_four_writes_at_most_and_nothing_more_at_rest(lab: Lab, namespace: str) -> None:
    spec = {
        "globalIndexes": [index("by-status")],
        "ttl": {"attribute": "exp"},
        "pointInTimeRecovery": {"enabled": True},
        "tags": {"team": "shop"},
        "cost": {"expectedUsage": {"readsPerSecond": 50, "writesPerSecond": 10, "itemSize": "1Ki", "storage": "10G"}},
    }
    with unharmed(lab):
        table = Declared(lab, namespace, spec)
        table.settled()
        # reads 131.4 M x 0.125 = 16.425, writes 26.28 M x 0.625 = 16.425 and as much for the index, 10 GB x 0.25 and x 0.20
        assert costs(table) == ("53.78", "Estimate", None)
        assert column(table) == "53.78"
        cost = table.status["cost"]
        assert cost["monthlyEstimate"] == "53.78"
        assert cost["priceSource"].startswith("PriceList 20")
        assert sum(float(item["monthly"]) for item in cost["breakdown"]) == pytest.approx(53.775)
        assert managers(table, "f:penstock.dev/monthly-cost-usd") == {"penstock"}
        made = writes(lab, namespace)
        assert 2 <= len(made) <= 4, made
        # Another apply of the manifest, which names no cost, leaves it; so does a pass that reads everything.
        table.apply()
        table.look()
        assert costs(table)[0] == "53.78"
        assert "plan" not in table.status
        # Twice the writes: the column says so at once, the annotations within the hour.
        table.edit(cost={"expectedUsage": {**spec["cost"]["expectedUsage"], "writesPerSecond": 20}})
        table.until(lambda: column(table) == "86.63", "the column follows")
        assert costs(table)[0] == "53.78"
        table.delete().gone()


def test_a_plan_that_is_not_run_tells_what_it_would_add(lab: Lab, namespace: str) -> None:
    capacity = {"mode": "Provisioned", "read": {"units": 10}, "write": {"units": 10}}
    table = Declared(lab, namespace, {"capacity": capacity}, annotations={"penstock.dev/mode": "Plan"})
    # 10 x 730 x (0.00065 + 0.00013)
    table.until(lambda: costs(table) == ("5.69", "Estimate", "+5.69"), "the cost is told")
    steps = table.status["plan"]["steps"]
    assert [s.get("costDelta") for s in steps if s["summary"].startswith("create table")] == ["+$5.69/month"]
    table.delete().gone()


def test_a_cluster_shows_its_cost_and_each_step_what_it_adds(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster(lab, namespace, {**NOW, "cost": {"expectedUsage": {"storage": "100Gi"}}})
    cluster.wait()
    cluster.settled()
    # 2 x 730 x 0.073 and 100 GiB x 0.10
    assert costs(cluster)[:2] == ("116.58", "Estimate")
    assert column(cluster) == "116.58"
    made = writes(lab, namespace)
    assert 2 <= len(made) <= 6, made
    cluster.annotate("mode", "Plan")
    cluster.edit(instances={**cluster.spec["instances"], "readers": 2})
    cluster.until(lambda: (cluster.status.get("plan") or {}).get("steps"), "the plan is told")
    (step,) = cluster.status["plan"]["steps"]
    assert step["costDelta"] == "+$53.29/month"
    assert cluster.status["cost"]["monthlyEstimate"] == "169.87"
    cluster.delete()


def test_the_command_sums_what_the_objects_tell(lab: Lab, namespace: str) -> None:
    capacity = {"mode": "Provisioned", "read": {"units": 10}, "write": {"units": 10}}
    tables = [
        Declared(lab, namespace, {"capacity": capacity}, name=name, annotations={"penstock.dev/mode": "Plan"})
        for name in ("one", "two")
    ]
    lab.kubectl("label", "ddb", "one", "-n", namespace, "team=a")
    for table in tables:
        table.until(lambda table=table: table.status.get("cost"), "the cost is told")

    def penstock(*options: str) -> str:
        command = [sys.executable, "-m", "penstock.cli", "cost", "-n", namespace, *options]
        environment = {**os.environ, **lab.env}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout

    assert "total" in penstock()
    found = json.loads(penstock("-o", "json"))
    assert found["sums"] == [
        {
            "namespace": namespace,
            "kind": "DynamoTable",
            "objects": 2,
            # 2 x 5.69, and neither is made in this mode: an object shows cents, and so does their sum
            "monthlyEstimate": "0.00",
            "held": "11.38",
            "incomplete": 0,
        }
    ]
    assert [line.split(",")[2] for line in penstock("-o", "csv", "-l", "team=a").splitlines()] == ["name", "one"]
    for table in tables:
        table.delete().gone()
