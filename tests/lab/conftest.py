"""One lab a test run: brought up when a test first asks for it, gone at the end whatever happens."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from together import Together

from penstock_lab.aws.fast import FAST
from penstock_lab.lab import Lab, LabError

T = TypeVar("T")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and {"lab", "labs", "namespace"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("lab")
    # All scenarios of the run go on at the same time; what changes the lab for everybody comes when they are over.
    # What takes the lab's clock far into the future comes last: what others made would have expired.
    items.sort(
        key=lambda item: (
            item.get_closest_marker("leaps") is not None,
            not hasattr(getattr(item, "function", None), "scenario"),
        )
    )


@pytest.fixture(scope="session")
def labs_root() -> Iterator[Path]:
    """A folder for the labs of this run, short enough for every path in it."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def lab(labs_root: Path) -> Iterator[Lab]:
    """The run's lab, with the operator installed from the chart. A run that is killed takes it along (`owner`)."""
    name = f"test-{os.getpid()}"
    try:
        # AWS's limit is an account's; most of the time of these tests would be waiting for tokens.
        values = {"aws": {"rdsRequestsPerSecond": 40}}
        yield Lab.up(name, root=labs_root, aws_settings=FAST, values=values, owner=os.getpid())
    finally:
        if (labs_root / name / "state.json").exists():
            Lab.load(name, labs_root).down()


@pytest.fixture
def namespace(lab: Lab) -> Iterator[str]:
    """A namespace of the test's own. Its deletion is begun at the end and not waited for: use unique table names."""
    yield from _namespace(lab)


@pytest.fixture
def another(lab: Lab) -> Iterator[str]:
    """A second namespace, as another tenant's."""
    yield from _namespace(lab)


def _namespace(lab: Lab) -> Iterator[str]:
    name = f"t-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", name)
    yield name
    lab.kubectl("delete", "namespace", name, "--wait=false", check=False)


@pytest.fixture(scope="session")
def together(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Together]:
    """The selected scenarios (see together.py), running."""
    functions = [getattr(item, "function", None) for item in request.session.items]
    running = Together(lab, [f.scenario for f in functions if hasattr(f, "scenario")])
    yield running
    running.close()


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., Any]:
    """`wait_for(fn, timeout=30)`: until fn gives something true, and that. An AssertionError in fn means not yet."""

    def wait(check: Callable[[], T], timeout: float = 30, pause: float = 0.1) -> T:
        deadline = time.monotonic() + timeout
        while True:
            try:
                last: Any = check()
            except (AssertionError, LabError) as error:
                last = error
            else:
                if last:
                    return last
            if time.monotonic() > deadline:
                raise AssertionError(f"not so within {timeout:g} s; at last: {last!r}")
            time.sleep(pause)

    return wait
