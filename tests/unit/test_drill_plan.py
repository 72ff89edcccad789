"""What a drill does next: guards, order, what a crash leaves, and that nothing runs twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from drill_world import INSPECTED, LEDGER, NOW, conditions, desired, going, observed, result, run, subject

from penstock.api.conditions import Reason
from penstock.api.failoverdrill_status import Phase, Verdict
from penstock.aws.rds import Member
from penstock.drill import plan as planning
from penstock.drill.guards import seconds, unmet
from penstock.drill.kind import parse_status
from penstock.drill.plan import BEGIN, CLEAN, FAILOVER, INSPECT, RESERVE, STOP, outlook, plan


def operations(*arguments: Any) -> list[str]:
    return [step.operation for step in plan(*arguments, NOW).runnable]


def sentences(wanted: Any, seen: Any) -> str:
    return " ".join(u.sentence for u in unmet(wanted, seen, NOW))


def test_it_looks_then_reserves_then_begins_and_writes_the_run_down_first() -> None:
    assert operations(desired(), observed()) == [INSPECT]
    assert operations(desired(), observed(inspection=INSPECTED)) == [RESERVE]
    found = plan(desired(), observed(inspection=INSPECTED, reserved=True), NOW)
    (begin,) = found.runnable
    assert begin.operation == BEGIN
    assert begin.intent is not None
    written = begin.intent["run"]
    assert written["phase"] == "Preparing"
    assert written["schema"] == planning.schema(written["uid"])
    assert (written["from"], written["clusterUid"]) == ("shop-ledger-1", "c1")


def test_the_failover_is_asked_for_once_and_only_when_the_writers_have_written() -> None:
    wanted = desired({"run": run()}, target="shop-ledger-3")
    assert operations(wanted, observed(going=going())) == []
    (step,) = plan(wanted, observed(going=going(ready=True)), NOW).runnable
    assert step.operation == FAILOVER
    assert step.parameters == {"DBClusterIdentifier": "shop-ledger", "TargetDBInstanceIdentifier": "shop-ledger-3"}
    assert step.intent is not None
    assert step.intent["run"]["requestedAt"]
    assert operations(wanted, observed(going=going(ready=True, asked=True))) == []
    assert operations(wanted, observed(going=going(Phase.FAILING_OVER, ready=True, asked=True))) == []


def test_a_guard_that_breaks_just_before_stops_the_run() -> None:
    wanted = desired({"run": run()}, guards={"maxReplicaLag": "1s"})
    slow = going(ready=True, lag=timedelta(seconds=3))
    (step,) = plan(wanted, observed(going=slow), NOW).runnable
    assert step.operation == STOP
    assert "guards.maxReplicaLag is 1s" in step.parameters["why"]


def test_what_the_run_itself_holds_back_does_not_stop_it_but_what_aws_does_is() -> None:
    wanted = desired({"run": run()})
    edited = subject(stale=True, conditions=conditions(Reconciling="True"))
    assert operations(wanted, observed(edited, going=going(ready=True))) == [FAILOVER]
    rebooting = subject(instances={"shop-ledger-3": "rebooting"})
    assert operations(wanted, observed(rebooting, going=going(ready=True))) == [STOP]


@pytest.mark.parametrize("forged", ["public", "penstock_drill_r2", 'x"; drop schema public'])
def test_the_schema_that_is_dropped_is_never_one_that_the_status_names(forged: str) -> None:
    wanted = desired({"run": run(schema_=forged)})
    (left,) = plan(wanted, observed(), NOW).runnable
    unclean = going(result=result(clean=False))
    (ended,) = plan(wanted, observed(going=unclean), NOW).runnable
    for step in (left, ended):
        assert (step.operation, step.parameters) == (CLEAN, {"schema": "penstock_drill_r1"})


@pytest.mark.parametrize("uid", ["", "r1 cascade", "../r1", "R1", "r1_other", "0123456789abc"])
def test_a_run_whose_id_was_never_the_operators_is_none(uid: str) -> None:
    assert parse_status({"run": {**run(), "uid": uid}}).run is None


def test_what_a_dead_process_left_is_dropped_and_only_then_over() -> None:
    wanted = desired({"run": run()})
    assert operations(wanted, observed()) == [CLEAN]
    assert plan(wanted, observed(), NOW).runnable[0].parameters == {"schema": "penstock_drill_r1"}
    assert operations(wanted, observed(cleaned=True)) == []
    assert operations(wanted, observed(None)) == []
    assert operations(wanted, observed(subject(replace(LEDGER, status="deleting")))) == []


def test_a_deleted_drill_stops_cleans_and_is_gone() -> None:
    assert plan(desired(absent=True), observed(), NOW).gone
    wanted = desired({"run": run()}, absent=True)
    assert operations(wanted, observed(going=going())) == [STOP]
    assert operations(wanted, observed(going=going(stopping=True))) == []
    assert not plan(wanted, observed(going=going(stopping=True)), NOW).gone
    assert operations(wanted, observed(going=going(result=result(clean=False)))) == [CLEAN]
    assert plan(wanted, observed(going=going(result=result())), NOW).gone
    assert operations(wanted, observed()) == [CLEAN]
    assert plan(wanted, observed(cleaned=True), NOW).gone


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (None, "was deleted"),
        (subject(deleting=True), "is being deleted"),
        (subject(None), "is gone from AWS"),
        (subject(replace(LEDGER, status="stopping")), "is stopping"),
    ],
)
def test_a_cluster_that_goes_away_stops_the_run(seen: Any, words: str) -> None:
    (step,) = plan(desired({"run": run()}), observed(seen, going=going(Phase.FAILING_OVER)), NOW).runnable
    assert step.operation == STOP
    assert words in step.parameters["why"]


def test_another_cluster_of_the_same_name_stops_the_run() -> None:
    wanted = desired({"run": run(cluster_uid="another")})
    assert operations(wanted, observed(going=going())) == [STOP]


@pytest.mark.parametrize("verdict", [Verdict.PASSED, Verdict.FAILED, Verdict.ABORTED])
def test_once_is_once(verdict: Verdict) -> None:
    assert plan(desired({"verdict": verdict}), observed(), NOW).empty


LAST = "2026-11-01T04:00:00Z"


@pytest.mark.parametrize(
    ("status", "spec", "begins"),
    [
        ({}, {}, True),
        ({"lastScheduledAt": LAST}, {}, False),
        ({"lastScheduledAt": "2026-10-25T04:00:00Z", "schedule": "0 4 * * 0 UTC"}, {}, True),
        # Edited a moment ago: what is past of the new schedule was never asked for.
        ({"lastScheduledAt": "2026-10-25T03:00:00Z", "schedule": "0 3 * * 0 UTC"}, {}, False),
        ({}, {"schedule": "0 5 * * 0"}, False),
        # Half a minute late, and only so much is allowed.
        ({}, {"startingDeadline": "20s"}, False),
        ({"verdict": "Failed"}, {}, True),
    ],
)
def test_a_schedule_is_due_once_and_in_time(status: dict[str, Any], spec: dict[str, Any], begins: bool) -> None:
    wanted = desired(status, **{"schedule": "0 4 * * 0", **spec})
    assert operations(wanted, observed()) == ([INSPECT] if begins else [])


def test_a_drill_that_was_made_after_its_time_waits_for_the_next() -> None:
    assert operations(desired(schedule="0 4 * * 0", made=timedelta(seconds=10)), observed()) == []


GUARDS = [
    (None, {}, "does not exist in namespace shop"),
    (subject(None), {}, "is not there in AWS yet"),
    (subject(deleting=True), {}, "is being deleted"),
    (subject(mode="Paused"), {}, "is to be left alone: its annotation penstock.dev/mode says Paused"),
    (subject(replace(LEDGER, engine="aurora-mysql")), {}, "only clusters of AuroraPostgreSQL"),
    (subject(replace(LEDGER, status="stopped")), {}, "is stopped; the drill waits until it runs"),
    (subject(replace(LEDGER, status="modifying")), {}, "is modifying in AWS"),
    (subject(conditions=conditions(Ready="False")), {}, "is not Ready: Ready is False."),
    (subject(conditions=conditions(Reconciling="True")), {}, "is being changed"),
    (subject(stale=True), {}, "was just edited"),
    (subject(instances={"shop-ledger-3": "rebooting"}), {}, "shop-ledger-3 is rebooting"),
    (subject(replace(LEDGER, members=(Member("shop-ledger-1", True),))), {}, "has no reader"),
    (subject(), {"guards": {"minHealthyReaders": 3}}, "has 2 available readers; guards.minHealthyReaders is 3"),
    (subject(), {"target": "shop-ledger-1"}, "is the writer of cluster ledger already"),
    (
        subject(),
        {"target": "orders-2"},
        "has no instance orders-2; write one of its readers (shop-ledger-2, shop-ledger-3)",
    ),
    (subject(), {"guards": {"inMaintenanceWindow": True}}, "it opens 2026-11-01 05:00 UTC"),
    (subject(availability={"budgetLeftSeconds": -12}), {}, "is used up (12s over)"),
    (
        subject(failovers=[{"startedAt": "2026-10-31T12:00:00Z", "finishedAt": "2026-10-31T12:00:10Z"}]),
        {"guards": {"notWithin": "24h"}},
        "guards.notWithin 24h is over 2026-11-01 12:00:10 UTC",
    ),
]


@pytest.mark.parametrize(("seen", "spec", "words"), GUARDS, ids=[words for *_, words in GUARDS])
def test_a_guard_that_does_not_hold_is_a_sentence_and_no_step(seen: Any, spec: dict[str, Any], words: str) -> None:
    wanted, all_seen = desired(**spec), observed(seen)
    found = plan(wanted, all_seen, NOW)
    assert not found.steps
    told = [*(w.sentence for w in found.waits), *(r.sentence for r in found.refusals)]
    assert words in " ".join(told)
    assert {w.reason for w in found.waits} | {r.reason for r in found.refusals} == {Reason.GUARDED}


def test_the_other_side_of_each_guard() -> None:
    assert sentences(desired(), observed()) == ""
    assert sentences(desired(), observed(subject(conditions=conditions(Synced="False")))) == ""
    assert (
        sentences(desired(guards={"errorBudgetLeft": False}), observed(subject(availability={"budgetLeftSeconds": 0})))
        == ""
    )
    assert sentences(desired(), observed(subject(availability={"budgetLeftSeconds": 1}))) == ""
    old = subject(failovers=[{"startedAt": "2026-10-30T12:00:00Z"}])
    assert sentences(desired(guards={"notWithin": "24h"}), observed(old)) == ""
    assert sentences(desired(guards={"notWithin": "24h"}), observed(last_drill=NOW - timedelta(hours=1))) != ""
    assert sentences(desired(target="shop-ledger-2"), observed()) == ""
    assert "FailoverDrill other runs" in sentences(desired(), observed(others=("other",)))


def test_lengths_of_time_are_written_as_the_api_writes_them() -> None:
    told = [seconds(value) for value in (0.012, 0.9996, 7.3, 60, 90, 3600, 86400, 3661)]
    assert told == ["12ms", "1000ms", "7.3s", "1m", "1m30s", "1h", "24h", "1h1m1s"]


def test_what_is_said_of_a_drill_that_begins_nothing_now() -> None:
    run = {"run": {"uid": "r1", "phase": "Writing", "startedAt": "2026-11-01T04:00:00Z"}}
    (running,) = outlook(desired(run), observed(), NOW)
    assert "A run goes on since 2026-11-01 04:00:00 UTC (Writing)" in running
    past = {"uid": "r1", "verdict": "Passed", "sentence": "Passed: fast.", "startedAt": "2026-11-01T04:00:00Z"}
    (over,) = outlook(desired({"verdict": "Passed", "history": [past]}), observed(), NOW)
    assert over.endswith("Passed: fast.")
    weekly = desired(schedule="0 4 * * 0", target="shop-ledger-1")
    coming, kept = outlook(weekly, observed(), NOW)
    assert coming == "It runs next 2026-11-08 04:00 UTC."
    assert "shop-ledger-1 is the writer" in kept
    assert outlook(desired(), observed(), NOW) == ()
