"""A cluster that hibernates: stopped and started by the clock, woken by an annotation, and never waited for where nobody would come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from aurora_world import NAME, TICK, Operator, settled
from aurora_world import spec as good
from cost_specs import cluster as priced
from hypothesis import given, settings
from hypothesis import strategies as st
from test_aurora_report import Told, said

from penstock.api.auroracluster import Hibernation
from penstock.api.hibernation import HibernationStatus
from penstock.aurora import costing
from penstock.cost.prices import bundled
from penstock.engine import hibernation
from penstock.engine.hibernation import problems, rest
from penstock.engine.plan import When

NIGHTS = {"schedule": "0 20 * * 1-5", "wake": "0 7 * * 1-5"}
HOURS = Hibernation.model_validate(NIGHTS)
# 2026-11-02 is a Monday.
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
EVENING, NIGHT, MORNING = (NOON.replace(hour=20), NOON.replace(hour=23), datetime(2026, 11, 3, 7, tzinfo=UTC))


def hibernating(**fields: Any) -> Operator:
    """At noon, running."""
    operator = settled(hibernation=NIGHTS, **fields)
    operator.now = NOON
    operator.converge()
    return operator


def state(operator: Operator) -> str:
    assert operator.world.cluster is not None
    return operator.world.cluster.status


def started_by_aws(operator: Operator) -> None:
    world = operator.world
    assert world.cluster is not None
    instances = {n: replace(i, status="available") for n, i in world.instances.items()}
    operator.world = replace(world, cluster=replace(world.cluster, status="available"), instances=instances)


def test_it_stops_and_wakes_by_the_clock_and_aws_cannot_keep_it_awake() -> None:
    operator = hibernating()
    assert operator.plan().empty
    operator.now = EVENING - timedelta(seconds=1)
    assert operator.plan().empty
    operator.now = EVENING
    (step,) = operator.plan().steps
    assert (step.operation, step.when, step.drift) == ("StopDBCluster", When.NOW, "")
    assert step.told == ("Stopping", f"Stopping cluster {NAME}, it hibernates until Tue 2026-11-03 07:00 UTC.")
    operator.converge()
    assert state(operator) == "stopped"
    assert operator.status["hibernation"] == {"state": "Hibernating", "until": "2026-11-03T07:00:00Z"}
    assert operator.plan().empty
    operator.now = NIGHT
    started_by_aws(operator)
    assert [s.summary for s in operator.plan().steps] == [f"stop cluster {NAME} again"]
    operator.converge()
    assert state(operator) == "stopped"
    operator.now = MORNING
    (step,) = operator.plan().steps
    assert step.operation == "StartDBCluster"
    operator.converge()
    assert (state(operator), operator.status["hibernation"]["state"]) == ("available", "Awake")
    assert operator.status["hibernation"]["until"] == "2026-11-03T20:00:00Z"


def test_an_annotation_wakes_it_and_counts_once() -> None:
    operator = hibernating()
    operator.now = NIGHT
    operator.converge()
    operator.wake = "2h"
    (step,) = operator.plan().steps
    assert step.told is not None
    assert "penstock.dev/wake keeps it awake until Tue 2026-11-03 01:" in step.told[1]
    operator.converge()
    assert state(operator) == "available"
    until = datetime.fromisoformat(operator.status["hibernation"]["wakeUntil"])
    operator.now = until - timedelta(seconds=1)
    assert operator.plan().empty
    operator.now = until
    operator.converge()
    assert state(operator) == "stopped"
    # The same value again says nothing new; another does.
    assert operator.plan().empty
    operator.wake = "3h"
    assert [s.operation for s in operator.plan().steps] == ["StartDBCluster"]
    operator.converge()
    operator.wake = ""
    assert [s.operation for s in operator.plan().steps] == ["StopDBCluster"]


@pytest.mark.parametrize(
    ("word", "until"),
    [
        ("2026-11-03T03:30:00+02:00", "2026-11-03T01:30:00Z"),
        ("2026-11-03T03:30:00", "2026-11-03T03:30:00Z"),
        ("90m", "2026-11-03T00:30:00Z"),
        # Any other word: until the hours begin the next time.
        ("please", "2026-11-03T20:00:00Z"),
        ("2026-13-45", "2026-11-03T20:00:00Z"),
        # For ever, and no year in which no calendar knows the next evening.
        ("99999999h", "2126-11-03T23:00:00Z"),
        ("9999-12-31T23:59:59Z", "2126-11-03T23:00:00Z"),
        ("9999-12-31T23:59:59-12:00", "2126-11-03T23:00:00Z"),
    ],
)
def test_what_the_annotation_may_say(word: str, until: str) -> None:
    found = rest(HOURS, word, None, NIGHT)
    if found.asleep:
        raise AssertionError(word)
    assert found.as_status()["wakeUntil"] == until
    assert found.until is not None


def test_a_time_that_is_over_wakes_nobody() -> None:
    assert rest(HOURS, "2026-11-01T00:00:00Z", None, NIGHT).asleep
    assert rest(HOURS, "0001-01-01T00:00:00+14:00", None, NIGHT).asleep


def test_hours_that_are_taken_out_of_the_spec_leave_nothing_stopped() -> None:
    operator = hibernating()
    operator.now = NIGHT
    operator.converge()
    operator.change(hibernation=None)
    assert [s.operation for s in operator.plan().steps] == ["StartDBCluster"]
    operator.converge()
    assert state(operator) == "available"
    assert "hibernation" not in operator.status
    # And one that somebody stops from now on stays stopped.
    operator.change(hibernation=NIGHTS)
    operator.now = NIGHT
    operator.converge()
    operator.change(hibernation=None, stopped=True)
    assert operator.plan().empty


def test_it_is_made_whole_before_it_rests_for_the_first_time() -> None:
    operator = Operator(good(hibernation=NIGHTS), now=NIGHT)
    operator.converge()
    done = [s.operation for s in operator.done]
    assert done[-1] == "StopDBCluster"
    assert done.count("CreateDBInstance") == 2
    assert state(operator) == "stopped"


def test_it_is_deleted_although_it_sleeps() -> None:
    operator = hibernating(deletionPolicy="Delete")
    operator.now = NIGHT
    operator.converge()
    operator.absent = True
    assert [s.operation for s in operator.plan().steps] == ["StartDBCluster"]
    assert operator.converge().gone


def test_an_edit_waits_for_the_morning_and_says_so() -> None:
    operator = hibernating()
    operator.now = NIGHT
    operator.converge()
    operator.change(backup={"retentionDays": 9})
    found = operator.plan()
    assert [(s.operation, s.when) for s in found.steps] == [("ModifyDBCluster", When.LATER)]
    assert found.waits[0].reason == "Hibernating"
    assert "is stopped, as spec.hibernation says, until Tue 2026-11-03 07:00" in found.waits[0].sentence
    assert found.waits[0].sentence.endswith("wakes it now; 1 change waits until it runs.")


def test_a_window_that_is_always_slept_through_is_told() -> None:
    # The window of the fixture is Sunday 05:00, at which it never runs.
    operator = hibernating()
    operator.change(instances={"class": "db.r6g.large", "readers": 1})
    assert any("by spec.hibernation the cluster is then always stopped" in w.sentence for w in operator.plan().waits)
    operator.change(hibernation={"schedule": "0 20 * * 1-5", "wake": "0 4 * * *"})
    assert not any("always stopped" in w.sentence for w in operator.plan().waits)


def test_what_people_see() -> None:
    told = Told(hibernating())
    told.status = dict(told.operator.status)
    found = told.look()
    assert said(found)["Ready"][:2] == (True, "Available")
    told.operator.now = NIGHT
    told.operator.converge()
    found = told.look()
    assert said(found)["Ready"] == (
        False,
        "Hibernating",
        f"Cluster {NAME} is stopped, as spec.hibernation says, until Tue 2026-11-03 07:00 UTC; "
        "kubectl annotate -n shop auroracluster ledger penstock.dev/wake=2h --overwrite wakes it now.",
    )
    assert said(found)["Synced"][0] is True
    assert [n for n in found.notes if n.warning] == []
    writes = told.writes
    for _ in range(3):
        told.operator.now += timedelta(minutes=1)
        told.look()
    assert told.writes == writes


def test_the_next_look_does_not_miss_the_change() -> None:
    told = Told(hibernating())
    told.status = dict(told.operator.status)
    told.operator.now = EVENING - timedelta(seconds=30)
    assert told.look().again == 30
    told.operator.now = EVENING - timedelta(hours=3)
    assert told.look().again > 60


moments = st.datetimes(datetime(2026, 3, 20), datetime(2026, 4, 10)).map(lambda t: t.replace(tzinfo=UTC))
words = st.sampled_from(["", "2h", "30m", "now", "2026-03-29T04:00:00Z", "2026-03-30T04:00:00+02:00"])


@settings(max_examples=150, deadline=None)
@given(moments, words, st.sampled_from(["Europe/Berlin", "America/New_York", None]))
def test_it_changes_when_it_says_and_not_before(now: datetime, word: str, zone: str | None) -> None:
    asked = Hibernation.model_validate({**NIGHTS, "timezone": zone})
    found = rest(asked, word, None, now)
    before = HibernationStatus.model_validate(found.as_status())
    if found.until is None:
        raise AssertionError("these hours always change")
    assert found.until > now
    at = rest(asked, word, before, found.until)
    earlier = rest(asked, word, before, max(now, found.until - timedelta(seconds=1)))
    assert at.asleep is not found.asleep
    assert earlier.asleep is found.asleep


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60 * 30), words), min_size=1, max_size=8))
def test_whatever_the_clock_does_it_is_where_its_hours_say(moves: list[tuple[int, str]]) -> None:
    operator = hibernating()
    for minutes, word in moves:
        operator.now += timedelta(minutes=minutes)
        operator.wake = word
        operator.converge()
        found = rest(HOURS, word, operator.desired.status.hibernation, operator.now)
        assert (state(operator) == "stopped") is found.asleep
        # A look that comes at the end of a tick may be the first of the next hours.
        operator.now += TICK


# What it saves


def test_the_saving_is_in_the_estimate() -> None:
    # Two db.t4g.medium at 0.073, of which the nights and weekends are not paid: 103 of 168 hours.
    awake = priced(good())
    asleep = priced(good(hibernation=NIGHTS))
    assert awake.monthly == Decimal("106.58")
    assert asleep.monthly == Decimal("41.24")
    assert any("282.4 of 730 hours a month, which saves $65.34" in a for a in asleep.assumptions)


def test_a_stop_and_a_start_change_no_estimate() -> None:
    operator = hibernating()
    for moment, operation in ((NIGHT, "StopDBCluster"), (MORNING, "StartDBCluster")):
        operator.now = moment
        observed = operator.observe()
        found = costing.priced(operator.plan(), operator.desired, observed, bundled("us-east-1"), moment.date())
        assert [(s.operation, s.cost) for s in found.steps] == [(operation, "")]
        operator.converge()
        shown = costing.estimate(operator.desired, operator.observe(), bundled("us-east-1"), moment.date())
        assert shown.monthly == Decimal("41.24")


# What is wrong


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"timezone": "Europe/Berlim"},
            "spec.hibernation.timezone: 'Europe/Berlim' is no time zone that the IANA knows; write one such as Europe/Berlin",
        ),
        ({"wake": "0 0 31 2 *"}, "spec.hibernation.wake: '0 0 31 2 *' is no time that comes"),
        ({"schedule": "0 20 * * 5-1"}, "spec.hibernation.schedule: '0 20 * * 5-1' is no time that comes"),
        ({"wake": "00 20 * * MON-FRI"}, "spec.hibernation.schedule: never lets it hibernate"),
        ({"schedule": "0 7 * * 1"}, "spec.hibernation.schedule: never lets it hibernate"),
    ],
)
def test_what_no_pattern_can_tell_gets_a_sentence(asked: dict[str, str], says: str) -> None:
    found = problems(Hibernation.model_validate({**NIGHTS, **asked}))
    assert any(says in str(p) for p in found), [str(p) for p in found]


def test_awake_without_hours() -> None:
    assert hibernation.awake(None) == 1
