"""One lab with a real kubelet for all of these tests, gone at the end whatever happens; where none can be had they are skipped, and say why."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from penstock_lab import processes
from penstock_lab.kubelet import requirements
from penstock_lab.kubelet.node import cgroup
from penstock_lab.lab import Lab, LabError

T = TypeVar("T")
# The databases have tests of their own.
SETTINGS = {
    "rds_databases": False,
    "table_create_s": 0.5,
    "rds_cluster_create_s": 0.5,
    "rds_instance_create_s": 1.0,
}


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab whose pods are containers of the Dockerfile's image, with the chart as it is."""
    try:
        requirements.ensure(print)
    except LabError as error:
        pytest.skip(str(error))
    root = Path(tempfile.mkdtemp(prefix="penstock-node-"))
    name = "node"
    try:
        yield Lab.up(
            name, root=root, kubelet=True, postgres=False, aws_settings=SETTINGS, owner=os.getpid(), tell=print
        )
    finally:
        if (root / name / "state.json").exists():
            up = Lab.load(name, root)
            up.down()
            _nothing_is_left(up.state.id, root)
        shutil.rmtree(root, ignore_errors=True)


def _nothing_is_left(lab: str, root: Path) -> None:
    assert not processes.marked(lab)
    assert not list(Path("/sys/fs/cgroup").glob(f"*{cgroup(lab)}"))
    assert str(root) not in Path("/proc/self/mountinfo").read_text()
    assert not root.exists(), "the folder of all labs goes with the last"


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., Any]:
    """`wait_for(fn, timeout=60)`: until fn gives something true, and that. An AssertionError in fn means not yet."""

    def wait(check: Callable[[], T], timeout: float = 60, pause: float = 0.2) -> T:
        deadline = time.monotonic() + timeout
        while True:
            last: Any
            try:
                last = check()
            except (AssertionError, LabError) as error:
                last = error
            else:
                if last:
                    return last
            if time.monotonic() > deadline:
                raise AssertionError(f"not so within {timeout:g} s; at last: {last!r}")
            time.sleep(pause)

    return wait
