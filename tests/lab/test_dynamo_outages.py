"""AWS throttles, fails, loses answers or is away: the tables stay Ready, long trouble is told, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from declared import Declared, fault, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab, same_process=False):
        yield


def test_long_throttling_is_told_and_the_table_stays_ready(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    with fault(lab, kind="throttle", key=table.table):
        table.annotate("reconcile-at", "1")
        told = table.wait("Synced", "False", reason="Throttled", timeout=40)
        assert told["message"].startswith("AWS throttles dynamodb:")
        assert told["message"].endswith("the operator slows down and goes on by itself.")
        assert table.condition("Ready")["status"] == "True"
        assert table.condition("Stalled")["status"] == "False"
        assert table.condition("Reconciling")["status"] == "True"
    table.settled(timeout=40)
    assert not table.told("Recreating")


def test_aws_is_away_and_comes_back(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    new = Declared(lab, namespace, name="new", apply=False)
    with fault(lab, kind="drop", key=f"{namespace}*"):
        table.edit(tags={"a": "b"}).annotate("reconcile-at", "1")
        new.apply()
        told = table.wait("Synced", "False", reason="Unavailable", timeout=40)
        assert told["message"].startswith("AWS cannot be reached (dynamodb:")
        assert told["message"].endswith("the operator keeps trying.")
        assert table.condition("Ready")["status"] == "True", "it serves most likely still"
        assert new.wait("Ready", "False", reason="Unavailable", timeout=40)
    table.settled(timeout=60)
    new.settled(timeout=60)
    assert table.aws_tags["a"] == "b"
    assert table.status["tableId"] == table.aws["TableId"]


@pytest.mark.parametrize("kind", ["throttle", "error", "drop"])
def test_one_failure_is_no_news(lab: Lab, namespace: str, kind: str) -> None:
    table = Declared(lab, namespace).settled()
    with fault(lab, kind=kind, operation="DescribeTable", key=table.table, count=1):
        table.look()
    assert table.condition("Synced")["status"] == "True"
    assert [e for e in table.events if e.type == "Warning"] == []


@pytest.mark.parametrize(
    "operation", ["CreateTable", "UpdateTable", "UpdateTimeToLive", "UpdateContinuousBackups", "TagResource"]
)
def test_a_write_whose_answer_is_lost_is_not_made_twice(lab: Lab, namespace: str, operation: str) -> None:
    table = Declared(lab, namespace, apply=False)
    with fault(lab, kind="drop", operation=operation, key=table.table, when="after", count=1):
        table.apply().settled()
        table.edit(ttl={"attribute": "until"}, tags={"a": "b"}, stream={"view": "NewImage"}).settled()
    done = table.writes()
    assert done.count(operation) <= 1, done
    assert table.aws_ttl["AttributeName"] == "until"


@pytest.mark.parametrize("operation", ["DescribeTimeToLive", "UpdateTimeToLive"])
def test_one_operation_that_fails_for_long_keeps_nothing_else_from_being_done(
    lab: Lab, namespace: str, operation: str
) -> None:
    table = Declared(lab, namespace, {"ttl": {"attribute": "until"}}, apply=operation.startswith("Describe"))
    if operation.startswith("Describe"):
        table.settled()
    with fault(lab, kind="error", operation=operation, key=table.table):
        table.spec |= {"contributorInsights": True, "stream": {"view": "NewImage"}}
        table.apply().annotate("reconcile-at", "1")
        table.wait("Synced", "False", reason="Unavailable", words=f"dynamodb:{operation}")
        table.until(lambda: table.aws_insights() == "ENABLED", "insights")
        table.until(lambda: table.aws["StreamSpecification"]["StreamEnabled"], "the stream")
    table.annotate("reconcile-at", "2").settled()
    assert table.aws_ttl["AttributeName"] == "until"
