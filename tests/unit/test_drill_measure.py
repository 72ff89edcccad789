"""From what writers saw to figures and a verdict: what is lost, what an outage is, and that a drill can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drill_world import desired
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.failoverdrill_status import Moment, Verdict
from penstock.drill.measure import NUMBERS, Figures, Log, judge, moments, outage, series

GOOD = Figures(
    outages={1: 1.2, 2: 1.4},
    acknowledged=1000,
    lost=0,
    unknown=2,
    unknown_found=1,
    cuts=2,
    ended=True,
    waited=30,
    from_="ledger-1",
    to="ledger-2",
)
SPEC = desired(limits={"outage": "10s"}).spec


def test_a_run_that_holds_its_limits_passes_with_its_figures() -> None:
    verdict, sentence = judge(SPEC, GOOD)
    assert verdict is Verdict.PASSED
    assert sentence == (
        "Passed: ledger-1 handed over to ledger-2; a writer waited 1.4s at most (limit 10s), 0 of 1000 acknowledged commits were lost (limit 0)."
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"outages": {1: 1.2, 2: 12.3}}, "the outage was 12.3s, limits.outage is 10s"),
        (
            {"lost": 1, "examples": ("2/17",)},
            "1 of 1000 acknowledged commits were lost (writer/commit 2/17), limits.commitsLost is 0",
        ),
        ({"lost": None}, "could not be read back"),
        ({"outages": {1: 1.2, 2: None}}, "1 of 2 writers never committed again"),
        ({"ended": False, "waited": 301.0}, "the failover had not ended after 5m1s, limits.failover is 5m"),
    ],
)
def test_each_limit_can_fail_and_is_named_with_its_figure(changed: dict[str, object], words: str) -> None:
    verdict, sentence = judge(SPEC, replace(GOOD, **changed))  # type: ignore[arg-type]
    assert verdict is Verdict.FAILED
    assert words in sentence


def test_all_limits_that_failed_are_named() -> None:
    _, sentence = judge(SPEC, replace(GOOD, outages={1: 11.0}, lost=5))
    assert "limits.outage is 10s; 5 of 1000" in sentence


def committing(log: Log, times: list[float], *, since: float | None, moved: bool = False, first: int = 1) -> None:
    for number, at in enumerate(times, first):
        log.acknowledged(number, at, since=since, moved=moved)


def test_an_outage_is_the_longest_wait_for_a_commit_after_the_request() -> None:
    log = Log(1)
    committing(log, [0.0, 5.0, 5.1], since=None)
    log.acknowledged(4, 5.2, since=5.15, moved=False)
    log.cut(5.3, since=5.15, number=5)
    log.acknowledged(6, 8.2, since=5.15, moved=True)
    log.acknowledged(7, 8.3, since=5.15, moved=True)
    assert outage(log, 5.15, 8.3) == pytest.approx(3.0)
    assert log.ranges == [[1, 4], [6, 7]]
    assert (log.count, log.unknown, log.cuts, log.back_at) == (6, [5], 1, 8.2)


def test_a_writer_that_never_came_back_has_no_outage_that_ended() -> None:
    log = Log(1)
    committing(log, [0.0, 0.1], since=None)
    log.cut(0.2, since=0.15)
    assert outage(log, 0.15, 60.0) is None


def test_moments_are_in_order_and_count_from_the_request() -> None:
    seen = {Moment.FIRST_COMMIT: 12.0, Moment.OLD_WRITER_GONE: 10.5, Moment.REQUESTED: 10.0}
    assert moments(seen, 10.0) == ((Moment.REQUESTED, 0.0), (Moment.OLD_WRITER_GONE, 0.5), (Moment.FIRST_COMMIT, 2.0))


@given(
    writers=st.integers(1, 32),
    before=st.floats(0.5, 40),
    gap=st.floats(0.1, 300),
    after=st.floats(0.5, 1800),
)
def test_a_series_stays_small_and_keeps_every_commit_of_its_window(
    writers: int, before: float, gap: float, after: float
) -> None:
    requested = 1000.0
    logs = []
    for number in range(writers):
        log = Log(number + 1)
        committing(log, [requested - before, requested - 0.2], since=None)
        log.acknowledged(3, requested + gap, since=requested, moved=True)
        log.acknowledged(4, requested + gap + after, since=requested, moved=True)
        logs.append(log)
    found = series(logs, requested, requested + gap + after)
    assert found is not None
    numbers = [count for writer in found.writers for count in writer.counts]
    assert len(numbers) <= NUMBERS
    assert len({len(writer.counts) for writer in found.writers}) == 1
    inside = 2 + (before <= 9.9) + (after <= 9.8)
    assert sum(numbers) >= inside * writers - writers * 0


def test_without_a_commit_there_is_no_series() -> None:
    assert series([Log(1)], 0.0, 10.0) is None
