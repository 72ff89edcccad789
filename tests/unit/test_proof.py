"""Objectives and availability: what can be attained, what is reached, and figures that write nothing for noise."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.auroracluster import Objectives
from penstock.api.conditions import Reason
from penstock.postgres.record import Day, Outage, Uptime
from penstock.proof import availability, objectives
from penstock.proof.objectives import Damper, Measured, Shape

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
BUDGET = pytest.approx(259.2)


def wanted(**fields: str) -> Objectives:
    return Objectives.model_validate(fields)


def outage(began: float, ended: float | None = None) -> Outage:
    start = NOW + timedelta(seconds=began)
    return Outage(start, start, None if ended is None else NOW + timedelta(seconds=ended))


def kept(seen: Uptime, before: dict[str, Any] | None = None, now: datetime = NOW, **others: Any) -> dict[str, Any]:
    found = availability.told(before or {}, others.pop("base", {}), seen, others.pop("outage", None), 99.99, now)
    assert found is not None
    return found


def test_an_outage_is_taken_from_the_budget_and_survives_the_process():
    seen = Uptime(since=NOW - timedelta(hours=10))
    seen.add(NOW, 36000, down=False)
    first = kept(seen)
    assert (first["attained"], first["budgetLeftSeconds"], first["downSeconds"]) == ("100", BUDGET, 0)
    seen.add(NOW + timedelta(seconds=60), 12.5, down=True)
    told = kept(seen, first)
    assert (told["downSeconds"], told["budgetLeftSeconds"]) == (12.5, pytest.approx(246.7))
    again = Uptime(since=NOW + timedelta(hours=1))
    again.add(NOW + timedelta(hours=2), 3600, down=False)
    again.add(NOW + timedelta(hours=2), 1.5, down=True)
    after = kept(again, told, NOW + timedelta(hours=2), base=availability.days_of(told))
    assert (after["downSeconds"], after["since"]) == (14.0, first["since"])


def test_time_alone_is_written_ever_more_rarely():
    seen = Uptime(since=NOW)
    seen.add(NOW - timedelta(seconds=1), 5, down=False)
    assert availability.told({}, {}, seen, None, 99.99, NOW) is None, "too little to say anything"
    told: dict[str, Any] = {}
    writes = []
    for minute in range(48 * 60):
        now = NOW + timedelta(minutes=minute)
        seen.add(now, 60, down=False)
        after = kept(seen, told, now)
        if after != told:
            writes.append(minute)
        told = after
    assert len(writes) <= 12
    assert all(b - a >= 360 for a, b in pairwise(writes[5:]))


def test_an_outage_that_lasts_is_told_each_time_it_has_doubled_and_taken_back_when_it_ends():
    seen = Uptime(since=NOW - timedelta(days=1))
    seen.add(NOW, 3600, down=False)
    told = kept(seen)
    assert kept(seen, told, NOW + timedelta(seconds=3), outage=outage(0)) == told
    lasting = kept(seen, told, NOW + timedelta(seconds=9), outage=outage(0))
    assert (lasting["downSince"], lasting["downForSeconds"]) == ("2026-11-28T12:00:00Z", 9)
    assert (lasting["downSeconds"], lasting["budgetLeftSeconds"]) == (9, pytest.approx(250.2))
    assert kept(seen, lasting, NOW + timedelta(seconds=17), outage=outage(0)) == lasting
    longer = kept(seen, lasting, NOW + timedelta(seconds=19), outage=outage(0))
    assert (longer["downForSeconds"], longer["days"]) == (19, told["days"])
    seen.add(NOW + timedelta(seconds=30), 30, down=True)
    over = kept(seen, longer, NOW + timedelta(seconds=31))
    assert not {"downSince", "downForSeconds"} & over.keys()
    assert over["downSeconds"] == 30


def test_a_database_that_goes_down_as_soon_as_it_is_asked_is_told_as_down():
    seen = Uptime(since=NOW - timedelta(seconds=2))
    seen.add(NOW, 2, down=False)
    assert availability.told({}, {}, seen, outage(0), 99.99, NOW + timedelta(seconds=3)) is None
    told = kept(seen, {}, NOW + timedelta(seconds=9), outage=outage(0))
    assert (told["downSince"], told["downSeconds"]) == ("2026-11-28T12:00:00Z", 9)


def test_an_outage_that_lasts_for_hours_uses_the_budget_up_while_it_does_and_is_written_six_times_an_hour():
    seen = Uptime(since=NOW - timedelta(days=1))
    seen.add(NOW, 3600, down=False)
    told = kept(seen)
    writes, minute = 0, 0.0
    while minute < 180:
        now = NOW + timedelta(minutes=minute)
        after = kept(seen, told, now, outage=outage(0))
        writes += after != told
        told = after
        due = availability.again(told, outage(0), now)
        assert due is not None
        minute += due / 60
    assert writes <= 25
    assert told["budgetLeftSeconds"] < 259.2 - 3 * 3600 + 600
    assert told["burnRate"] > 1


@pytest.mark.parametrize(
    ("first", "found_down", "failed_over", "charged"),
    [
        # The process after it found the database up, soon enough: it was down until then at most, and that counts.
        (60, None, None, 60),
        # AWS says when the failover was over.
        (60, None, 42, 42),
        # It was still down, and somebody saw its end.
        (300, 70, None, 300),
        (300, 70, 42, 300),
        # Nobody asked for a day: only what was seen counts, and what was seen again.
        (86400, None, None, 20),
        (86400, 86000, None, 420),
        # Nobody asks any more.
        (None, None, None, 20),
        # Clocks that were set back.
        (-50, None, None, 20),
    ],
)
def test_an_outage_whose_end_its_process_did_not_live_to_see_is_charged(first, found_down, failed_over, charged):
    def at(seconds: int | None) -> datetime | None:
        return None if seconds is None else NOW + timedelta(seconds=seconds)

    told = {"downSince": "2026-11-28T12:00:00Z", "downForSeconds": 20}
    left = availability.left(told)
    assert left is not None
    assert availability.settled(left, at(first), at(found_down), at(failed_over)).total_seconds() == charged


@pytest.mark.parametrize(
    "status", [{}, {"downSince": None}, {"downSince": "now"}, {"downSince": 3, "downForSeconds": "x"}]
)
def test_a_status_that_tells_of_no_outage_leaves_none(status):
    assert availability.left(status) is None


def test_what_is_older_than_the_window_is_forgiven_and_no_more_than_31_days_are_kept():
    seen = Uptime(since=NOW - timedelta(days=90))
    for day in range(80):
        at = NOW - timedelta(days=79 - day)
        seen.add(at, 40000, down=False)
        seen.add(at, 1, down=True)
    told = kept(seen)
    assert len(told["days"]) == 31
    assert told["downSeconds"] == 31


def test_seconds_are_divided_at_midnight():
    seen = Uptime()
    seen.add(datetime(2026, 11, 28, 0, 0, 10, tzinfo=UTC), 30, down=True)
    assert {d: round(v.down) for d, v in seen.days.items()} == {"2026-11-27": 20, "2026-11-28": 10}


def test_nothing_is_told_of_a_database_that_never_answered():
    assert availability.told({}, {}, Uptime(), None, 99.9, NOW) is None


@pytest.mark.parametrize(("value", "text"), [(100, "100"), (99.99999, "99.9999"), (90.0, "90"), (0, "0")])
def test_nines_are_never_rounded_up(value, text):
    assert availability.percent(value) == text


def test_the_burn_rate_is_one_when_the_budget_lasts_exactly_as_long_as_the_window():
    days = {"2026-11-28": Day(86400, 86400 * 0.0001)}
    assert availability.burn_rate(days, 99.99, NOW) == pytest.approx(1)


@pytest.mark.parametrize(
    ("spec", "shape", "words"),
    [
        ({"availability": "99.99"}, Shape(0), "without a reader"),
        ({"failover": "60s"}, Shape(0), "instances.readers: 1 or more"),
        ({"failover": "60s"}, Shape(1, frozenset({"us-east-1a"}), (1,), True), "all instances in zone us-east-1a"),
        ({"availability": "99.95"}, Shape(2, frozenset({"a", "b"}), (2, 15), True), "promotion tier 0 or 1"),
        ({"connect": "500ms"}, Shape(0, pauses=True), "pauses"),
        ({"queryP95": "50ms"}, Shape(0, pauses=True), "autoPause"),
        ({"recoveryPoint": "1m"}, Shape(0), "write 5m or more"),
        ({"replicaLag": "100ms"}, Shape(0), "instances.readers"),
    ],
)
def test_a_shape_that_cannot_attain_an_objective_is_told_with_what_to_write_instead(spec, shape, words):
    (sentence,) = objectives.unattainable(wanted(**spec), shape)
    assert words in sentence
    assert next(iter(spec)) in sentence
    met = objectives.condition(objectives.judge(wanted(**spec), Measured()), (sentence,), "")
    assert met is not None
    assert (met.status, met.reason, met.message) == (False, Reason.OBJECTIVE_UNREACHABLE, sentence)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ({"availability": "99.9"}, Shape(0)),
        ({"availability": "99.99", "failover": "60s"}, Shape(1, frozenset({"a", "b"}), (1,), True)),
        ({"failover": "60s"}, Shape(1)),
        ({"connect": "20s", "recoveryPoint": "5m"}, Shape(0, pauses=True)),
        ({}, Shape(0)),
    ],
)
def test_a_shape_that_can_is_told_nothing(spec, shape):
    assert objectives.unattainable(wanted(**spec), shape) == ()
    assert objectives.unattainable(None, shape) == ()


def test_the_condition_names_the_objective_the_figure_and_what_to_do():
    judged = objectives.judge(wanted(replicaLag="100ms"), Measured(lag=0.512))
    met = objectives.condition(judged, (), "")
    assert met is not None
    assert (met.status, met.reason) == (False, Reason.OBJECTIVE_MISSED)
    assert met.message.startswith("objectives.replicaLag is missed: replica lag is 512ms, and 100ms is asked for; look")


def test_availability_says_that_the_budget_is_judged_and_since_when_the_percentage_was_observed():
    # 78.4 % beside met: true would read as a contradiction.
    young = {"attained": "78.4", "budgetSeconds": 1296.0, "budgetLeftSeconds": 1235.5, "since": "2026-11-28T11:55:00Z"}
    young["days"] = [{"day": "2026-11-28"}]
    (judged,) = objectives.judge(wanted(availability="99.95"), Measured(availability=young))
    assert judged.as_status() == {
        "name": "availability",
        "target": "99.95",
        "judged": "error budget of 30 days: 60s of 1296s spent",
        "observed": "78.4",
        "since": "2026-11-28T11:55:00Z",
        "met": True,
    }
    met = objectives.condition((judged,), (), "")
    assert met is not None
    assert met.message == "Every objective is reached, and 1236 s of the error budget of 30 days are left."
    old = {**young, "budgetLeftSeconds": -204.0, "since": "2026-09-01T00:00:00Z", "days": [{"day": "2026-10-29"}]}
    (judged,) = objectives.judge(wanted(availability="99.95"), Measured(availability=old))
    met = objectives.condition((judged,), (), "")
    assert met is not None
    assert met.message.startswith(
        "objectives.availability is missed: error budget of 30 days: 1500s of 1296s spent; writes were possible in 78.4 % of the probed time "
        "since 2026-10-29T00:00:00Z, and 99.95 % is asked for; see status.failovers"
    )


def test_what_cannot_be_measured_is_unknown_and_says_why():
    judged = objectives.judge(wanted(availability="99.99", failover="60s"), Measured(problem="It does not answer."))
    met = objectives.condition(judged, (), "It does not answer.")
    assert met is not None
    assert (met.status, met.reason) == (None, Reason.PROBE_FAILING)
    assert met.message == "availability cannot be measured: It does not answer."


def test_all_reached():
    measured = Measured(
        lag=0.01, connect=0.02, query=0.003, availability={"budgetLeftSeconds": 200, "attained": "99.9977"}
    )
    spec = wanted(availability="99.99", failover="60s", replicaLag="100ms", connect="500ms", queryP95="50ms")
    judged = objectives.judge(spec, measured)
    assert [(j.name, j.observed, j.met) for j in judged] == [
        ("availability", "99.9977", True),
        ("failover", None, None),
        ("replicaLag", "10ms", True),
        ("connect", "20ms", True),
        ("queryP95", "3ms", True),
    ]
    met = objectives.condition(judged, (), "")
    assert met is not None
    assert met.status is True
    assert "a FailoverDrill would prove it" in met.message


def test_what_nothing_shows_is_not_said_to_be_reached():
    spec = wanted(failover="60s")
    met = objectives.condition(objectives.judge(spec, Measured()), (), "", off="The cluster is stopped.")
    assert met is not None
    assert (met.status, met.reason) == (None, Reason.NOT_PROVEN)
    assert "a FailoverDrill would" in met.message
    met = objectives.condition(objectives.judge(spec, Measured(failover=12.0)), (), "")
    assert met is not None
    assert met.status is True


def test_a_failover_that_takes_too_long_is_missed_while_it_lasts():
    (judged,) = objectives.judge(wanted(failover="30s"), Measured(failing_for=31, proven=2.5))
    assert (judged.observed, judged.met, judged.proven) == ("over 30s", False, "2.5s")


def test_without_objectives_there_is_no_condition():
    assert objectives.condition((), ("anything",), "problem") is None


def test_noise_is_never_written_and_a_jump_is_within_seconds():
    damper, noise = Damper(), random.Random(4)
    told = {damper.stands("lag", noise.uniform(0.002, 0.03), True, float(s)) for s in range(0, 880, 2)}
    assert len(told) == 1
    assert damper.stands("lag", 0.5, False, 900.0) == 0.5
    assert damper.stands("lag", 0.01, True, 902.0) == 0.01


@given(st.lists(st.floats(0.001, 3), min_size=50, max_size=50))
def test_whatever_a_figure_does_it_is_written_once_in_minutes(figures):
    damper = Damper()
    shown = [damper.stands("query", f, None, n * 2.0) for n, f in enumerate(figures * 6)]
    changes = sum(1 for a, b in pairwise(shown) if a != b)
    # Ten minutes of the worst: it goes up by leaps and down once in five minutes.
    assert changes <= 14


def test_p95():
    assert objectives.p95([], 1) is None
    assert objectives.p95([1.0], 3) is None
    assert objectives.p95([float(n) for n in range(1, 101)], 1) == 95.0
