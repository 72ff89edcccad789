"""The AWS endpoint as a process of its own with PostgreSQL behind its Aurora, one a test run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_lab.aws.client import LabAWS
from penstock_lab.postgres import node as nodes
from penstock_lab.postgres.binaries import CHOICE, PostgresMissing, find
from penstock_lab.processes import MARK, sweep

from .rig import QUICK, Rig

try:
    find()
except PostgresMissing as missing:
    collect_ignore_glob = ["test_*.py"]
    print(f"tests/lab_postgres is left out: {missing}", file=sys.stderr)


@pytest.fixture(scope="session")
def databases() -> Iterator[Path]:
    """A folder that the servers' account reaches."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-postgres-"))
    folder.chmod(0o711)
    yield folder
    nodes.clear(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def endpoint(databases: Path) -> Iterator[str]:
    mark = uuid.uuid4().hex
    log = (databases / "aws.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock_lab.aws", "--port", "0", "--postgres", str(databases / "data")],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={"PATH": "/usr/bin:/bin", MARK: mark} | {key: value for key, value in os.environ.items() if key == CHOICE},
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
        assert process.poll() is None, "the endpoint ended during the tests"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        finally:
            process.kill()
            sweep(mark)
            print((databases / "aws.log").read_text()[-4000:])
    assert process.returncode == 0


@pytest.fixture
def rig(endpoint: str, databases: Path) -> Iterator[Rig]:
    LabAWS(endpoint).settings(**QUICK)
    made = Rig(endpoint, databases / "data")
    yield made
    made.clear()
