"""A third of all AWS calls fails, or AWS enforces its limits: nothing is done twice, and no limit is overrun."""

from __future__ import annotations

import collections
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from declared import Declared, apply_all, fault, index, unharmed

from penstock.aws.account import LIMITS, OPERATION_LIMITS
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

SPEC = {
    "globalIndexes": [index("one")],
    "ttl": {"attribute": "until"},
    "pointInTimeRecovery": {"days": 35},
    "tags": {"team": "shop"},
}


@pytest.fixture
def crowd(lab: Lab) -> Iterator[list[Declared]]:
    """A hundred manifests, not yet applied."""
    namespace = f"t-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", namespace)
    yield [Declared(lab, namespace, SPEC, name=f"c{n:03}", apply=False) for n in range(100)]
    lab.kubectl("delete", "namespace", namespace, "--wait=false")


def ready(tables: Sequence[Declared], kind: str = "Ready") -> int:
    """How many of the tables (of one namespace) have the condition for their present generation."""
    path = f"/apis/penstock.dev/v1alpha1/namespaces/{tables[0].namespace}/dynamotables"
    found: Any = tables[0].lab.api.json(path) or {}
    return sum(
        any(
            c["type"] == kind and c["status"] == "True" and c.get("observedGeneration") == o["metadata"]["generation"]
            for c in (o.get("status") or {}).get("conditions") or ()
        )
        for o in found.get("items", ())
    )


def all_ready(tables: Sequence[Declared], timeout: float, kind: str = "Ready") -> None:
    deadline = time.monotonic() + timeout
    while (count := ready(tables, kind)) < len(tables):
        assert time.monotonic() < deadline, f"{count} of {len(tables)} are {kind} after {timeout:g} s"
        time.sleep(0.5)


def written(lab: Lab, tables: Sequence[Declared]) -> dict[str, collections.Counter[str]]:
    """The writes that AWS carried out, by table and operation."""
    names = {table.table for table in tables}
    found: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in names}
    for entry in lab.aws.calls(log=True)["log"]:
        if entry["key"] in names and 200 <= entry["status"] < 400 and "Describe" not in entry["operation"]:
            found[entry["key"]][entry["operation"].partition(".")[2]] += 1
    return found


def overruns(log: Sequence[dict[str, Any]]) -> list[str]:
    """Windows in which an operation came faster than its bucket gives tokens: more than its burst and its refill."""
    times: dict[tuple[str, str], list[float]] = collections.defaultdict(list)
    for entry in log:
        service, _, operation = entry["operation"].partition(".")
        times[service, operation].append(entry["time"])
        times[service, ""].append(entry["time"])
    found = []
    for (service, operation), moments in times.items():
        limit = OPERATION_LIMITS.get((service, operation)) if operation else LIMITS.get(service)
        if limit is None:
            continue
        # A leaky bucket that may never hold more than the burst; a call takes its token a little before it arrives.
        level, last = 0.0, moments[0]
        for moment in moments:
            level = max(0.0, level - (moment - last) * limit.rate) + 1
            last = moment
            if level > limit.burst + 2:
                found.append(f"{service} {operation}: {level:.0f} above the burst of {limit.burst:g}")
                break
    return found


@pytest.mark.timeout(600)
def test_a_hundred_tables_while_a_third_of_the_calls_fails(lab: Lab, crowd: list[Declared]) -> None:
    with unharmed(lab), ExitStack() as faults:
        for kind in ("throttle", "error", "drop"):
            faults.enter_context(fault(lab, kind=kind, rate=0.1))
        faults.enter_context(fault(lab, kind="drop", when="after", rate=0.02))
        lab.aws.reset_calls()
        apply_all(lab, crowd)
        all_ready(crowd, 280)
        log = lab.aws.calls(log=True)["log"]
        failed = sum(entry["status"] >= 400 for entry in log)
        assert failed > len(log) / 20, "the faults were real"
        assert overruns(log) == []
    all_ready(crowd, 60, "Synced")
    for name, writes in written(lab, crowd).items():
        # An answer that was lost after it had its effect is not counted by the endpoint.
        assert writes["CreateTable"] <= 1, name
        assert writes["UpdateTimeToLive"] <= 1, name
        assert writes["UpdateTable"] == writes["DeleteTable"] == 0, name
    for table in crowd[::20]:
        assert table.aws_ttl["AttributeName"] == "until"
        assert table.aws_recovery["PointInTimeRecoveryStatus"] == "ENABLED"
        assert [e for e in table.events if e.reason == "DriftCorrected"] == []


def test_the_published_limits_of_aws_are_never_reached(lab: Lab, crowd: list[Declared]) -> None:
    """With AWS's real caps an operator that sends too fast is throttled; this one is not, not even by its own burst."""
    before = lab.aws.settings()["rate_limits"]
    lab.aws.settings(rate_limits="aws")
    try:
        with unharmed(lab):
            lab.aws.reset_calls()
            apply_all(lab, crowd)
            all_ready(crowd, 90)
            lab.kubectl("delete", "ddb", "--all", "-n", crowd[0].namespace, "--timeout=90s", timeout=100)
            errors = lab.aws.calls()["errors"]
            assert not [name for name in errors if "Throttling" in name], errors
    finally:
        lab.aws.settings(rate_limits=before)
