"""The drills of a cluster: newest first, bounded, one entry a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from penstock.engine.kind import Key
from penstock.proof.drillbook import KEPT, DrillBook, DrillResult

LEDGER, OTHER = Key("AuroraCluster", "shop", "ledger"), Key("AuroraCluster", "shop", "other")
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def result(number: int, verdict: str = "Passed") -> DrillResult:
    began = NOON + timedelta(hours=number)
    ended = None if verdict == "Running" else began + timedelta(minutes=1)
    return DrillResult("weekly", f"run-{number}", began, ended, verdict)


def test_the_newest_come_first_whatever_the_order_in_which_they_were_told() -> None:
    book = DrillBook()
    for number in (3, 1, 2):
        book.record(LEDGER, result(number))
    assert [r.uid for r in book.of(LEDGER)] == ["run-3", "run-2", "run-1"]
    assert book.of(OTHER) == ()


def test_only_so_many_are_kept_and_the_oldest_go() -> None:
    book = DrillBook()
    for number in range(KEPT + 5):
        book.record(LEDGER, result(number))
    assert [r.uid for r in book.of(LEDGER)] == [f"run-{n}" for n in reversed(range(5, KEPT + 5))]


def test_a_run_that_ended_takes_its_own_place() -> None:
    book = DrillBook()
    book.record(LEDGER, result(1, "Running"))
    running = book.running(LEDGER)
    assert running is not None
    assert running.uid == "run-1"
    assert book.running(OTHER) is None
    book.record(LEDGER, result(1, "Failed"))
    assert book.running(LEDGER) is None
    assert [r.verdict for r in book.of(LEDGER)] == ["Failed"]


def test_a_run_that_came_to_nothing_leaves_nothing() -> None:
    book = DrillBook()
    book.record(LEDGER, result(1, "Running"))
    book.forget(LEDGER, "run-1")
    book.forget(LEDGER, "run-1")
    assert book.of(LEDGER) == ()
