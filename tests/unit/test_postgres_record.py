"""From single answers of a database to outages and uptime: what is down, what is not known, and clocks that jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.postgres.record import Day, Ledger

NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
TODAY = "2026-11-28"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def asked(ledger: Ledger, *moments: float, who: str = "a") -> None:
    for moment in moments:
        ledger.success(moment, at(moment), who)


def test_an_outage_lasts_from_the_last_success_to_the_next():
    ledger = Ledger()
    asked(ledger, 0, 1, 2)
    assert ledger.failure(3.0, None, 5.5, at(5.5)), "it is news"
    assert not ledger.failure(5.5, None, 6.0, at(6.0)), "once"
    assert ledger.lasting is not None
    assert (ledger.lasting.started, ledger.lasting.noticed, ledger.serving) == (at(2), at(3), "")
    asked(ledger, 8, who="b")
    (outage,) = ledger.outages
    assert (outage.seconds, outage.ended, outage.before, outage.after) == (6, at(8), "a", "b")
    assert ledger.uptime.days == {TODAY: Day(8, 6)}


def test_a_cut_is_timed_when_it_happens():
    ledger = Ledger()
    asked(ledger, 0, 1)
    ledger.failure(1.4, 1.4, 1.4, at(1.4))
    asked(ledger, 1.9)
    (outage,) = ledger.outages
    assert outage.seconds == pytest.approx(0.5)
    assert ledger.uptime.days[TODAY].down == pytest.approx(0.5)


def test_what_never_answered_is_not_down():
    ledger = Ledger()
    for moment in range(100):
        assert not ledger.failure(moment, None, moment + 0.5, at(moment + 0.5))
    assert not ledger.reached
    assert ledger.outages == ()
    assert ledger.uptime.days == {}
    asked(ledger, 120)
    (outage,) = ledger.outages
    assert outage.seconds == 120, "a failover that an earlier process saw begin may end with it"
    assert ledger.uptime.days == {}, "nobody is charged for it"
    assert ledger.found_down == at(0)
    ledger.failure(130, None, 131, at(131))
    assert ledger.found_down == at(0), "later ones began with a success before"


def test_what_lets_nobody_in_was_not_found_down():
    ledger = Ledger()
    ledger.failure(0, None, 1, at(1))
    ledger.blind(2, at(2))
    asked(ledger, 100)
    assert ledger.found_down is None


def test_what_is_not_asked_any_more_is_not_reached():
    # A failover must not wait for the answer of a probe that reaches nothing since it was resumed.
    ledger = Ledger()
    asked(ledger, 0, 1)
    ledger.blind(2, at(2))
    assert not ledger.reached
    ledger.failure(100, None, 101, at(101))
    assert not ledger.reached
    assert ledger.found_down is None, "it had answered this process before"
    asked(ledger, 102)
    assert ledger.reached


def test_a_database_that_lets_nobody_in_ends_an_outage_and_is_not_known_from_then_on():
    ledger = Ledger()
    asked(ledger, 0)
    ledger.failure(1, None, 1.5, at(1.5))
    assert ledger.blind(3, at(3))
    assert ledger.lasting is None
    asked(ledger, 1000)
    assert ledger.uptime.days == {TODAY: Day(3, 3)}


def test_a_process_that_was_held_up_takes_it_for_nothing():
    ledger = Ledger()
    asked(ledger, 0, 1)
    ledger.resume(600)
    asked(ledger, 600.5)
    assert ledger.outages == ()
    assert ledger.uptime.days == {TODAY: Day(1.5, 0)}


def test_another_instance_that_answers_without_a_cut_is_an_outage_of_at_most_the_time_between():
    ledger = Ledger()
    asked(ledger, 0, 1)
    assert ledger.success(2, at(2), "b")
    (outage,) = ledger.outages
    assert (outage.seconds, outage.before, outage.after) == (1, "a", "b")


def test_a_time_of_day_that_jumps_makes_no_outage_and_no_uptime():
    ledger = Ledger()
    for moment, jump in ((0.0, 0), (1.0, 3600), (2.0, -7200), (3.0, 0)):
        ledger.success(moment, at(moment + jump), "a")
    assert ledger.outages == ()
    assert sum(d.probed for d in ledger.uptime.days.values()) == pytest.approx(3)


def test_only_the_last_outages_are_kept_and_all_are_counted():
    ledger = Ledger()
    for n in range(100):
        asked(ledger, 10.0 * n)
        ledger.failure(10 * n + 1, 10 * n + 1, 10 * n + 1, at(10 * n + 1))
        asked(ledger, 10 * n + 2)
    assert len(ledger.outages) == 20
    assert ledger.uptime.days[TODAY].down == pytest.approx(100)


@given(st.lists(st.tuples(st.floats(0.01, 30), st.sampled_from(["ok", "fail", "cut", "blind", "stall"])), max_size=60))
def test_never_more_is_counted_than_has_passed(story):
    ledger, now = Ledger(), 0.0
    for pause, what in story:
        now += pause
        if what == "ok":
            ledger.success(now, at(now), "a")
        elif what == "blind":
            ledger.blind(now, at(now))
        elif what == "stall":
            ledger.resume(now)
        else:
            ledger.failure(now - pause / 2, now if what == "cut" else None, now, at(now))
    days = ledger.uptime.days.values()
    assert 0 <= sum(d.down for d in days) <= sum(d.probed for d in days) + 1e-6 <= now + 1e-5
    assert all(o.seconds >= 0 for o in ledger.outages)
