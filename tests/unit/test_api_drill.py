"""FailoverDrill as a model: what absent fields mean, and when schedules come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.api.failoverdrill import FailoverDrill
from penstock.api.parsing import parse_as
from penstock.api.schedules import Schedule


def drill(**spec: Any) -> FailoverDrill:
    manifest = {
        "kind": "FailoverDrill",
        "metadata": {"name": "weekly", "namespace": "shop"},
        "spec": {"clusterRef": {"name": "ledger"}, **spec},
    }
    found = parse_as(FailoverDrill, manifest)
    assert isinstance(found, FailoverDrill), found
    return found


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_what_absent_fields_mean() -> None:
    spec = drill().spec
    assert (spec.writers, spec.load_duration, spec.lead) == (4, timedelta(minutes=2), timedelta(seconds=30))
    assert (spec.outage_limit, spec.commits_lost_limit) == (timedelta(seconds=60), 0)
    assert spec.failover_limit == timedelta(minutes=5)
    assert (spec.healthy_readers, spec.replica_lag, spec.not_within) == (1, timedelta(seconds=1), timedelta(0))
    assert (spec.only_in_window, spec.needs_error_budget) == (False, True)
    assert (spec.wanted_target, spec.history_kept) == ("", 5)


def test_the_lead_is_a_quarter_of_the_load_and_half_a_minute_at_most() -> None:
    assert drill(load={"duration": "8s"}).spec.lead == timedelta(seconds=2)
    assert drill(load={"duration": "30m"}).spec.lead == timedelta(seconds=30)


def test_forced_and_any_are_said_in_the_spec() -> None:
    assert drill(guards={"errorBudgetLeft": False}).spec.needs_error_budget is False
    assert drill(target="Any").spec.wanted_target == ""
    assert drill(target="ledger-2").spec.wanted_target == "ledger-2"


@pytest.mark.parametrize(
    ("moment", "last", "after"),
    [
        ("2026-11-01T04:00:00", "2026-11-01T04:00:00", "2026-11-08T04:00:00"),
        ("2026-11-01T04:00:59", "2026-11-01T04:00:00", "2026-11-08T04:00:00"),
        ("2026-11-01T03:59:59", "2026-10-25T04:00:00", "2026-11-01T04:00:00"),
        ("2026-11-04T12:00:00", "2026-11-01T04:00:00", "2026-11-08T04:00:00"),
    ],
)
def test_a_schedule_came_last_and_comes_next(moment: str, last: str, after: str) -> None:
    schedule = Schedule("0 4 * * 0")
    assert schedule.last(at(moment)) == at(last)
    assert schedule.after(at(moment)) == at(after)


def test_a_schedule_keeps_to_the_clock_of_its_zone_when_that_changes() -> None:
    berlin = Schedule("0 4 * * *", "Europe/Berlin")
    assert berlin.after(at("2026-10-24T00:00:00")) == at("2026-10-24T02:00:00")
    assert berlin.after(at("2026-10-25T00:00:00")) == at("2026-10-25T03:00:00")


def test_what_comes_in_the_hour_that_is_there_twice_comes_once() -> None:
    berlin = Schedule("30 2 * * *", "Europe/Berlin")
    first = berlin.after(at("2026-10-24T23:00:00"))
    assert berlin.after(first) - first >= timedelta(hours=24)


@pytest.mark.parametrize(
    ("cron", "zone", "sentence"),
    [
        ("0 0 30 2 *", "", "is no time that comes"),
        ("5-1 * * * *", "", "is no time that comes"),
        ("0 4 * * 0", "Europe/Atlantis", "is no time zone that the IANA knows"),
        ("0 4 * * 0", "posixrules/..", "is no time zone that the IANA knows"),
    ],
)
def test_what_no_rule_can_see_gets_a_sentence(cron: str, zone: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Schedule(cron, zone)
