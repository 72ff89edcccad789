"""Whoever has lost the Lease writes nothing more to AWS: taken away with work in flight, and after a suspension."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from declared import fault

from penstock_lab import deployment, processes
from penstock_lab.deployment import OperatorProcess
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

# The endpoint's log tells the processes apart by their access keys.
OLD, NEW = "AKIAOLDLEADER", "AKIANEWLEADER"
READS = ("Describe", "List", "Get", "Receive")


def operator(lab: Lab, key: str) -> OperatorProcess:
    return lab.run_operator({"AWS_ACCESS_KEY_ID": key}, name=key.lower())


@pytest.fixture
def leader(lab: Lab) -> Iterator[OperatorProcess]:
    with operator(lab, OLD) as process:
        lab.wait_operator()
        process.wait_ready()
        yield process
    lab.wait_operator()


def declare(lab: Lab, namespace: str, count: int) -> list[str]:
    """Tables that each need several writes, some of which AWS paces."""
    tables = [f"{namespace}-{n}" for n in range(count)]
    items = [
        {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "DynamoTable",
            "metadata": {"name": f"t{n}", "namespace": namespace},
            "spec": {
                "tableName": name,
                "deletionPolicy": "Delete",
                "key": {"partition": {"name": "id", "type": "String"}},
                "ttl": {"attribute": "until"},
            },
        }
        for n, name in enumerate(tables)
    ]
    lab.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return tables


def writes(lab: Lab, by: str, namespace: str = "") -> list[dict[str, Any]]:
    """Of one process; with a namespace only to the tables of that."""
    log = lab.aws.calls(log=True)["log"]
    of = [e for e in log if e["by"] == by and e["key"].startswith(namespace)]
    return [e for e in of if not e["operation"].partition(".")[2].startswith(READS)]


def all_ready(lab: Lab, namespace: str, count: int) -> bool:
    found = json.loads(lab.kubectl("get", "dynamotables", "-n", namespace, "-o", "json").stdout)["items"]
    conditions = [{c["type"]: c["status"] for c in (o.get("status") or {}).get("conditions") or ()} for o in found]
    return len(found) == count and all(c.get("Ready") == "True" for c in conditions)


def test_a_process_whose_lease_somebody_took_ends_in_the_middle_of_its_work(
    lab: Lab, namespace: str, leader: OperatorProcess, wait_for: Callable[..., Any]
) -> None:
    with fault(lab, service="dynamodb", operation="CreateTable", kind="latency", seconds=4):
        declare(lab, namespace, 40)
        wait_for(lambda: "finalizer" in lab.kubectl("get", "dynamotables", "-n", namespace, "-o", "yaml").stdout)
        time.sleep(1)
        body = json.dumps({"spec": {"holderIdentity": "somebody_0_else"}})
        lab.kubectl("patch", "lease", deployment.LEASE, "-n", deployment.NAMESPACE, "--type=merge", "-p", body)
        assert leader.wait(10) == 1
        last = leader.logs().strip().splitlines()[-1]
        assert "leadership is lost" in last, "nothing went on after that"
        assert "somebody_0_else" in last
        ended = writes(lab, OLD)
        # What was sent before is still answered; nothing follows it.
        time.sleep(6)
        creations = [e["operation"] for e in writes(lab, OLD)[len(ended) :]]
        assert set(creations) <= {"dynamodb.CreateTable"}
        assert len(creations) <= 16, "one for each thread of the old process"


def test_a_process_that_was_suspended_writes_nothing_once_another_leads(
    lab: Lab, namespace: str, leader: OperatorProcess, wait_for: Callable[..., Any]
) -> None:
    with operator(lab, NEW) as successor:
        # From when it first sees the Lease it waits for fifteen seconds.
        successor.wait_ready()
        declare(lab, namespace, 60)
        wait_for(lambda: len(writes(lab, OLD, namespace)) >= 20)
        leader.kill(signal.SIGSTOP)
        try:
            stopped = time.monotonic()
            assert len(writes(lab, OLD, namespace)) < 180, "there is work left: three writes for each table"
            lab.wait_operator(other_than=leader.pid, seconds=30)
            time.sleep(max(0.0, stopped + 30 - time.monotonic()))
            before = len(writes(lab, OLD))
        finally:
            leader.kill(signal.SIGCONT)
        assert leader.wait(5) == 1
        time.sleep(1)
        assert writes(lab, OLD)[before:] == []
        assert "leadership is lost" in leader.logs().strip().splitlines()[-1]
        wait_for(lambda: all_ready(lab, namespace, 60), 120)
        assert processes.start_ticks(successor.pid) is not None
