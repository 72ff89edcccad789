"""What this month has cost, as the object tells it, against what the requests cost by AWS's published rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from declared import Declared, client, index
from declared_cluster import DeclaredCluster
from mixed import INDEX, load
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

OFF = {"pointInTimeRecovery": {"enabled": False}}


def spent(declared: Declared) -> dict[str, Decimal]:
    return {line["name"]: Decimal(line["amount"]) for line in declared.status["cost"].get("spent", ())}


@scenario
def test_on_demand_cost_follows_what_was_used(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": [index(INDEX, "kind")], **OFF})
    table.settled()
    units = load(client(lab.aws_url, "dynamodb"), table.table, 4000, threads=4)
    table.look()
    table.until(lambda: "monthToDate" in table.status["cost"], "what was spent is told")
    lines = spent(table)
    used = sum(amount for name, amount in lines.items() if name.startswith("on-demand"))
    # Amounts are told to a millionth of a dollar; the sum of some thousand requests is some thousandths.
    assert used == pytest.approx(units.usd, rel=Decimal("0.02"))
    assert lines["on-demand writes of global indexes"] > 0
    assert table.status["cost"]["spendSource"] == "CloudWatch"
    # Four metrics, once an hour: 2,920 a month at a thousandth of a cent.
    assert table.status["cost"]["watching"] == "0.0292"


@scenario
def test_a_table_that_nobody_uses_is_told_nothing_and_its_provisioned_units_go_by_the_hour(
    lab: Lab, namespace: str
) -> None:
    units = {"mode": "Provisioned", "read": {"units": 10}, "write": {"units": 10}}
    table = Declared(lab, namespace, {"capacity": units, **OFF})
    table.settled()
    assert "monthToDate" not in table.status["cost"]
    table.look()
    assert table.status["cost"]["spendSource"] == "Hours"
    assert "watching" not in table.status["cost"]


@scenario
def test_a_cluster_costs_its_hours_its_capacity_and_what_cloudwatch_counts(lab: Lab, namespace: str) -> None:
    serverless = {"class": "db.serverless", "serverless": {"minCapacity": 1, "maxCapacity": 4}, "readers": 0}
    cluster = DeclaredCluster(lab, namespace, {"network": None, "requireTLS": False, "instances": serverless})
    cluster.settled()
    of = [{"Name": "DBClusterIdentifier", "Value": cluster.cluster}]
    now = datetime.now(UTC) - timedelta(seconds=30)

    def metric(name: str, value: float) -> dict[str, Any]:
        return {"MetricName": name, "Dimensions": of, "Timestamp": now, "Value": value}

    client(lab.aws_url, "cloudwatch").put_metric_data(
        Namespace="AWS/RDS", MetricData=[metric("VolumeReadIOPs", 3e6), metric("VolumeWriteIOPs", 2e6)]
    )
    cluster.look()
    cluster.until(lambda: "monthToDate" in cluster.status["cost"], "what was spent is told")
    lines = spent(cluster)
    assert lines["I/O requests"] == Decimal("1.00"), "5 million at $0.20"
    assert lines[f"capacity of {cluster.instance(1)}"] <= Decimal("0.01")
    assert Decimal(cluster.status["cost"]["monthToDate"]) == pytest.approx(Decimal("1.00"), abs=Decimal("0.02"))
