"""Random edits, drift, faults, kills and outages with fixed seeds: afterwards everything is as declared. The long one is bench/chaos.py."""

from __future__ import annotations

import pytest

from penstock_lab.chaos.run import Chaos
from penstock_lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.slow]


# Seen once in three runs, and not mended yet: the run goes on to be made, and what it finds is printed.
ORPHAN = pytest.mark.xfail(
    strict=False, reason="a parameter group of the loser of one identifier may stay when it is deleted"
)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [pytest.param(1, marks=ORPHAN), 2])
def test_after_chaos_everything_is_as_declared(lab: Lab, seed: int) -> None:
    outcome = Chaos(lab, seed=seed, objects=30, seconds=30, per_minute=80).run(settle_s=150)
    broken = {promise: lines for promise, lines in outcome.problems.items() if lines}
    assert not broken, "\n".join([str(broken), *outcome.steps])
