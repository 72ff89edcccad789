"""The cheaper shape on a real API server: from metrics that the lab's CloudWatch has, by a patch that kubectl takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from declared import Declared, fault, index
from declared_cluster import NOW, DeclaredCluster

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

HOURS = 14 * 24 - 2


def put(lab: Lab, space: str, dimensions: dict[str, str], **values: float | Callable[[datetime], float]) -> None:
    """A value of each metric for every hour of the last two weeks."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    named = [{"Name": k, "Value": v} for k, v in dimensions.items()]
    data: list[dict[str, Any]] = [
        {"MetricName": name, "Dimensions": named, "Timestamp": at, "Value": value(at) if callable(value) else value}
        for name, value in values.items()
        for at in (now - timedelta(hours=n) for n in range(1, HOURS))
    ]
    cloudwatch = lab.boto("cloudwatch")
    for first in range(0, len(data), 500):
        cloudwatch.put_metric_data(Namespace=space, MetricData=data[first : first + 500])


def advice(declared: Declared) -> dict[str, Any]:
    found: dict[str, Any] = declared.status.get("advice") or {}
    return found


def patched(declared: Declared, kind: str) -> None:
    """What the docs tell to run: the patch of an item as kubectl takes it from the status."""
    number = [i["kind"] for i in advice(declared)["items"]].index(kind)
    where = ("get", declared.plural, declared.name, "-n", declared.namespace)
    patch = declared.lab.kubectl(*where, "-o", f"jsonpath={{.status.advice.items[{number}].patch}}").stdout
    declared.lab.kubectl("patch", *where[1:], "--type", "merge", "--patch", patch)


def test_what_is_too_large_is_told_with_the_patch_that_kubectl_takes(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(
        lab,
        namespace,
        {"instances": {"class": "db.r6g.large", "readers": 1}, "objectives": {"availability": "99.99"}, **NOW},
    )
    table = Declared(
        lab, namespace, {"capacity": {"mode": "Provisioned", "read": {"units": 900}, "write": {"units": 900}}}
    )
    for name in (cluster.instance(1), cluster.instance(2)):
        put(
            lab,
            "AWS/RDS",
            {"DBInstanceIdentifier": name},
            CPUUtilization=lambda at: 12 if at.hour == 9 else 4,
            DatabaseConnections=20,
            FreeableMemory=9 * 2**30,
        )
    put(lab, "AWS/DynamoDB", {"TableName": table.table}, ConsumedReadCapacityUnits=600, ConsumedWriteCapacityUnits=300)
    for one in (cluster, table):
        # Metrics are asked for at once where somebody asks for a look; else a minute after the object came.
        one.look()
    for one in (cluster, table):
        one.until(lambda one=one: "saves $" in advice(one).get("summary", ""), "it is advised", timeout=200)  # type: ignore[misc]
    found = {i["kind"]: i for i in advice(cluster)["items"]}
    # Two at 0.26 in place of two at 0.073, 730 hours; it may not lose its reader.
    assert found["Class"]["saving"] == "273.02"
    assert "1 reader in other zones" in found["Class"]["checked"][0]
    assert "Readers" not in found
    assert advice(cluster)["basis"].startswith("metrics of 1")
    assert float(advice(table)["saving"]) > 400
    assert advice(table)["items"][0]["summary"].endswith("in place of provisioned with 900 reads and 900 writes")

    patched(cluster, "Class")
    cluster.until(
        lambda: "Class" not in [i["kind"] for i in advice(cluster).get("items", ())],
        "nothing is left to save there",
        timeout=60,
    )
    assert cluster.object["spec"]["instances"] == {"class": "db.t4g.medium", "readers": 1}
    cluster.settled()
    assert {i["DBInstanceClass"] for i in cluster.aws_instances.values()} == {"db.t4g.medium"}
    patched(table, "Cheapest")
    table.settled()


def test_too_little_is_said_and_so_is_a_denial(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": [index("by-status")]})
    table.until(lambda: advice(table), "it is looked at", timeout=60)
    assert advice(table)["summary"] == "Nothing is advised yet: it takes 3 days of metrics."
    with fault(lab, kind="deny", service="cloudwatch", operation="GetMetricData"):
        table.look()
        table.until(lambda: "AWS denies cloudwatch:GetMetricData" in advice(table)["summary"], "it is told", timeout=60)
    table.wait("Ready")
    table.wait("Synced")
    table.look()
    table.until(lambda: "Nothing is advised yet" in advice(table)["summary"], "it goes on", timeout=60)
