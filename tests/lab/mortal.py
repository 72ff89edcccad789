"""An operator that a test may kill -9 and start again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock_lab.deployment import OperatorProcess
from penstock_lab.lab import Lab


class Mortal:
    """An operator in the place of the pods; the first one took it, and close() gives it back.

    Without the Lease, which would keep the next process waiting for fifteen seconds; takeovers have tests of their own.
    """

    def __init__(self, lab: Lab, environment: Mapping[str, str] | None = None, args: Sequence[str] = ()) -> None:
        self.lab = lab
        self._environment, self._args = environment, ["--no-leader-elect", *args]
        self._first = self.operator = self._run()

    def _run(self) -> OperatorProcess:
        return self.lab.run_operator(self._environment, self._args)

    def start(self) -> None:
        """The next process; it may be killed again before it is ready."""
        self.operator = self._run()

    def kill(self) -> None:
        self.operator.kill()
        self.operator.wait()

    def close(self) -> None:
        self.operator.stop()
        self._first.__exit__(None, None, None)
        self.lab.wait_operator()
