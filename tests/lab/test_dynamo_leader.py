"""One operator leads: takeover after a death and after a good-bye, one writer at any time, upgrades that lose nothing."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest
from declared import Declared, index, unharmed

from penstock_lab import deployment, processes
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def two(lab: Lab) -> Iterator[None]:
    """Two replicas while this module runs."""
    lab.install_operator(replicas=2)
    lab.wait_operator()
    with unharmed(lab, same_process=False):
        yield
    lab.install_operator()
    lab.wait_operator()


class Stream:
    """Tables that are declared one after the other, and edited, for as long as the block runs."""

    def __init__(self, lab: Lab, namespace: str) -> None:
        self.tables: list[Declared] = []
        self._lab, self._namespace = lab, namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.3):
            spec = {"globalIndexes": [index("one")], "ttl": {"attribute": "until"}}
            self.tables.append(Declared(self._lab, self._namespace, spec, name=f"s{len(self.tables)}"))
            if len(self.tables) > 2:
                self.tables[-3].edit(globalIndexes=[index("one"), index("two")], tags={"a": "b"})

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def end_well(self) -> None:
        """All as declared, and every write made once."""
        for table in self.tables:
            table.settled(timeout=60)
            writes = table.writes()
            assert writes.count("CreateTable") == 1, (table.name, writes)
            assert writes.count("UpdateTimeToLive") == 1, (table.name, writes)
            assert writes.count("UpdateContinuousBackups") == 1, (table.name, writes)
            assert writes.count("UpdateTable") <= len(table.spec["globalIndexes"]) - 1, (table.name, writes)
            assert table.aws_indexes.keys() == {i["name"] for i in table.spec["globalIndexes"]}


def taken_over(lab: Lab, old: int, bound: float) -> float:
    began = time.monotonic()
    lab.wait_operator(other_than=old, seconds=bound + 5)
    return time.monotonic() - began


def test_one_leads_and_the_other_stands_by(lab: Lab) -> None:
    pods = lab.pods(deployment.NAMESPACE)
    assert len(pods) == 2
    assert all(pod["ready"] for pod in pods), "who stands by is ready to"
    leader = deployment.leader(lab)
    assert leader is not None
    assert leader[1] in {pod["pid"] for pod in pods}


def test_takeover_after_a_death(lab: Lab, namespace: str) -> None:
    with Stream(lab, namespace) as stream:
        time.sleep(2)
        old = lab.kill_operator()
        seconds = taken_over(lab, old, 20)
        time.sleep(1)
    assert seconds <= 20, f"{seconds:.1f} s"
    stream.end_well()


def test_takeover_after_a_good_bye(lab: Lab, namespace: str) -> None:
    with Stream(lab, namespace) as stream:
        time.sleep(2)
        began = time.monotonic()
        old = lab.kill_operator(signal.SIGTERM)
        seconds = taken_over(lab, old, 10)
        assert processes.wait_until(lambda: processes.start_ticks(old) is None, 10), "it has left within ten seconds"
        left = time.monotonic() - began
        time.sleep(1)
    assert left <= 10
    assert seconds <= 5 + left, f"{seconds:.1f} s, of which {left:.1f} s for the passes that were running"
    stream.end_well()


def test_a_rolling_restart_loses_nothing(lab: Lab, namespace: str) -> None:
    with Stream(lab, namespace) as stream:
        time.sleep(1)
        lab.kubectl("rollout", "restart", "deployment/penstock", "-n", deployment.NAMESPACE)
        lab.kubectl("rollout", "status", "deployment/penstock", "-n", deployment.NAMESPACE, "--timeout=60s", timeout=70)
        lab.wait_operator()
    stream.end_well()


def test_an_upgrade_by_helm_loses_nothing(lab: Lab, namespace: str) -> None:
    with Stream(lab, namespace) as stream:
        time.sleep(1)
        lab.install_operator({"workers": 8, "logLevel": "debug"}, replicas=2)
        lab.wait_operator()
    stream.end_well()
    assert any("--workers=8" in part for part in _command(lab))


def _command(lab: Lab) -> list[str]:
    pid = lab.operator_pid
    with open(f"/proc/{pid}/cmdline") as line:
        return line.read().split("\0")
