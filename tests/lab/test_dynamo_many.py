"""Three hundred objects applied, edited and deleted at once: all end right, the queue drains, the memory stays small."""

from __future__ import annotations

import re
import time
import urllib.request
import uuid

import pytest
from declared import Declared, apply_all, index, kubernetes_writes, unharmed
from test_dynamo_faults import all_ready, overruns, written

from penstock_lab import deployment
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

COUNT = 300


def gauge(lab: Lab, name: str) -> float:
    leader = deployment.leader(lab)
    assert leader is not None
    (pod,) = (p for p in lab.pods(deployment.NAMESPACE) if p["pid"] == leader[1])
    with urllib.request.urlopen(f"{pod['url']}/metrics", timeout=10) as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.M)
    assert found is not None, name
    return float(found[1])


def peak_memory(pid: int) -> int:
    """Bytes, the most that the process ever had resident."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def test_three_hundred_at_once(lab: Lab) -> None:
    namespace = f"t-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", namespace)
    spec = {"globalIndexes": [index("one")], "tags": {"team": "shop"}, "ttl": {"attribute": "until"}}
    tables = [Declared(lab, namespace, spec, name=f"m{n:03}", apply=False) for n in range(COUNT)]
    before = lab.aws.settings()["request_log_size"]
    lab.aws.settings(request_log_size=50_000)
    with unharmed(lab):
        lab.aws.reset_calls()
        began, kube = time.monotonic(), kubernetes_writes(lab)
        apply_all(lab, tables)
        all_ready(tables, 120)
        made = time.monotonic() - began
        all_ready(tables, 60, "Synced")
        assert kubernetes_writes(lab) - kube <= COUNT * 5
        # A storm of edits, the second while the first is being carried out.
        for view in ("NewImage", "KeysOnly"):
            for number, table in enumerate(tables):
                table.spec["stream"] = {"view": view}
                table.spec["contributorInsights"] = True
                if number % 3 == 0:
                    table.spec["deletionProtection"] = True
                if number % 10 == 0:
                    table.spec["globalIndexes"] = [index("one"), index("two")]
                    table.spec["tags"] = {"team": "till"}
            apply_all(lab, tables)
        all_ready(tables, 120, "Synced")
        for table in tables[::30]:
            assert table.aws_indexes.keys() == {"one", "two"}
            assert table.aws["DeletionProtectionEnabled"] is True
            assert table.aws_tags["team"] == "till"
        for table in tables[::7]:
            assert table.aws["StreamSpecification"]["StreamViewType"] == "KEYS_ONLY"
        for name, writes in written(lab, tables).items():
            assert writes["CreateTable"] == 1, (name, writes)
            assert writes["UpdateTimeToLive"] == 1, (name, writes)
            assert writes["UpdateContributorInsights"] == 1, (name, writes)
        # Everything goes; the protected wait until they may.
        lab.kubectl("delete", "ddb", "--all", "-n", namespace, "--wait=false", timeout=60)
        protected = tables[::3]
        protected[0].wait("Ready", "False", reason="DeletionProtected", timeout=120)
        for table in tables:
            table.spec["deletionProtection"] = False
        lab.kubectl(
            "patch",
            "ddb",
            *(t.name for t in protected),
            "-n",
            namespace,
            "--type=merge",
            "-p",
            '{"spec":{"deletionProtection":false}}',
            check=False,
            timeout=60,
        )
        lab.kubectl("wait", "--for=delete", "ddb", "--all", "-n", namespace, "--timeout=150s", timeout=160)
        names = {t.table for t in tables}
        left = [n for page in _pages(lab) for n in page if n in names]
        assert left == []
        tables[0].until(lambda: gauge(lab, "penstock_queue_overdue") == 0, "the queue has drained")
        assert overruns(lab.aws.calls(log=True)["log"]) == []
        pid = lab.operator_pid
        assert pid is not None
        memory = peak_memory(pid)
        assert memory < 250_000_000
    lab.aws.settings(request_log_size=before)
    lab.kubectl("delete", "namespace", namespace, "--wait=false")
    print(f"{COUNT} tables ready in {made:.1f} s, at most {memory / 1e6:.0f} MB")


def _pages(lab: Lab) -> list[list[str]]:
    return [page["TableNames"] for page in lab.boto("dynamodb").get_paginator("list_tables").paginate()]
