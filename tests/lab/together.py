"""Scenarios that mostly wait run at the same time: each is a test of its own, in a thread and a namespace of its own.

    @scenario
    def test_a_reader_is_added(lab: Lab, namespace: str) -> None: ...

The first of a module's scenarios begins all that were selected. None may change what the others see: no settings and no clock of
the lab, and no fault but of its own cluster.
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
    """A test that runs beside the other scenarios of its module."""

    def test(together: Together) -> None:
        together.outcome(function)

    test.__name__, test.__doc__, test.__module__ = function.__name__, function.__doc__, function.__module__
    test.scenario = function  # type: ignore[attr-defined]
    return test


class Together:
    """The scenarios of one module. outcome(function) waits for one, and raises what it raised."""

    def __init__(self, lab: Lab, scenarios: Sequence[Scenario]) -> None:
        self._lab = lab
        self._namespaces: list[str] = []
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="scenario")
        self._running: dict[Scenario, Future[None]] = {s: self._pool.submit(self._run, s) for s in scenarios}

    def outcome(self, function: Scenario) -> None:
        self._running[function].result()

    def close(self) -> None:
        """Wait for those that still run, and begin to take everything down."""
        self._pool.shutdown(cancel_futures=True)
        if self._namespaces:
            abandon(self._lab, self._namespaces)

    def _run(self, function: Scenario) -> None:
        namespace = f"t-{uuid.uuid4().hex[:8]}"
        self._lab.kubectl("create", "namespace", namespace)
        self._namespaces.append(namespace)
        function(self._lab, namespace)
