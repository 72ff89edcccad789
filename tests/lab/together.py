"""Scenarios that mostly wait run at the same time: each is a test of its own, in a thread and a namespace of its own.

    @scenario
    def test_a_reader_is_added(lab: Lab, namespace: str) -> None: ...

The first of them begins all that were selected, and no other test of the run begins before they are over. None may change what the
others see: no settings and no clock of the lab, and no fault but of its own cluster.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from declared_cluster import abandon

from penstock_lab.lab import Lab

Scenario = Callable[[Lab, str], None]
# The operator may ask RDS 5.5 times a second in the long run, so that many more would only wait for each other.
_AT_ONCE = 12


def scenario(function: Scenario) -> Callable[[Together], None]:
    """A test that runs beside all other scenarios."""

    def test(together: Together) -> None:
        together.outcome(function)

    test.__name__, test.__doc__, test.__module__ = function.__name__, function.__doc__, function.__module__
    test.scenario = function  # type: ignore[attr-defined]
    return test


class Together:
    """The scenarios of a run. outcome(function) waits for one, and raises what it raised."""

    def __init__(self, lab: Lab, scenarios: Sequence[Scenario]) -> None:
        self._lab = lab
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="scenario")
        self._running: dict[Scenario, Future[None]] = {s: self._pool.submit(self._run, s) for s in scenarios}

    def outcome(self, function: Scenario) -> None:
        self._running[function].result()

    def close(self) -> None:
        """Wait for those that still run; those that have not begun never do."""
        self._pool.shutdown(cancel_futures=True)

    def _run(self, function: Scenario) -> None:
        namespace = f"t-{uuid.uuid4().hex[:8]}"
        self._lab.kubectl("create", "namespace", namespace)
        try:
            function(self._lab, namespace)
        finally:
            abandon(self._lab, [namespace])
