"""What goes onto a drill: conditions, history, what was skipped, and that an idle drill says the same again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from drill_world import NOW, desired, going, observed, result, run, subject

from penstock.api.failoverdrill_status import FailoverDrillStatus, Phase, Verdict
from penstock.drill.plan import plan
from penstock.drill.report import Written, report
from penstock.drill.state import Desired, Observed
from penstock.engine import conditions
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Outcome


def told(
    wanted: Desired,
    seen: Observed | None,
    status: dict[str, Any] | None = None,
    trouble: Trouble | None = None,
    after: float = 0,
) -> Written:
    now = NOW + timedelta(seconds=after)
    obj = {"metadata": {"name": "weekly", "generation": 1}, "status": status or {}}
    decided = plan(wanted, seen, now) if seen is not None else plan(wanted, observed(None), now)
    return report(obj, wanted, Outcome(seen, decided, trouble), now)


def condition(written: Written, kind: str = "Ready") -> tuple[bool | None, str, str]:
    found = next(c for c in written.told.conditions if c.type == kind)
    return found.status, found.reason, found.message


def test_a_run_that_ends_goes_into_the_history_and_is_told_once() -> None:
    wanted = desired({"run": run(Phase.CLEANING_UP), "verdict": "Running"})
    over = result(Verdict.FAILED, outage_seconds=7.25, commits_lost=3, from_="a", to="b")
    written = told(wanted, observed(going=going(Phase.CLEANING_UP, result=over)))
    fields = written.told.fields
    assert "run" not in fields
    assert (fields["verdict"], fields["outage"], fields["commitsLost"]) == ("Failed", "7.2s", 3)
    assert [past["uid"] for past in fields["history"]] == ["r1"]
    assert fields["report"]["finishedAt"] == conditions.timestamp(NOW)
    assert [note.reason for note in written.told.notes] == ["DrillFailed"]
    assert condition(written)[:2] == (False, "DrillFailed")
    assert condition(written, "Passed")[:2] == (False, "DrillFailed")
    assert condition(written, "Stalled")[:2] == (True, "DrillFailed")
    again = told(desired(fields), observed(), {**fields, "conditions": []})
    assert again.told.notes == ()
    assert again.told.fields == fields


def test_a_run_is_not_over_while_something_is_left_of_it() -> None:
    wanted = desired({"run": run(Phase.CLEANING_UP), "verdict": "Running"})
    dirty = observed(going=going(Phase.CLEANING_UP, result=result(Verdict.ABORTED, clean=False)))
    written = told(wanted, dirty)
    assert written.ended is None
    assert written.told.fields["run"]["phase"] == "CleaningUp"
    assert written.told.fields["verdict"] == "Running"


def test_a_run_of_a_dead_process_is_told_as_aborted_with_how_far_it_was() -> None:
    before = told(desired({"run": run()}), observed(cleaned=True))
    assert before.ended is not None
    assert (
        before.ended.sentence == "Aborted: the operator ended before the failover was asked for. Its table is dropped."
    )
    moved = told(desired({"run": run(requested_at=NOW, from_="shop-ledger-9")}), observed(cleaned=True))
    assert moved.ended is not None
    assert "which went from shop-ledger-9 to shop-ledger-1" in moved.ended.sentence
    gone = told(desired({"run": run()}), observed(None))
    assert gone.ended is not None
    assert gone.ended.sentence.endswith("Its table is gone with the database.")
    assert [note.reason for note in gone.told.notes] == ["DrillAborted"]


def test_a_guard_is_told_once_and_kept_quiet_about_afterwards() -> None:
    first = told(desired(), observed(None))
    assert condition(first)[:2] == (False, "Guarded")
    assert [note.reason for note in first.told.notes] == ["Guarded"]
    status = {
        **first.told.fields,
        "conditions": [{"type": "Ready", "reason": "Guarded", "status": "False", "message": condition(first)[2]}],
    }
    second = told(desired(first.told.fields), observed(None), status, after=10)
    assert second.told.notes == ()
    assert second.told.fields == first.told.fields


def test_a_password_that_does_not_log_in_is_what_the_drill_waits_for() -> None:
    trouble = Trouble(Meaning.DENIED, "LoginFailed", "The database refuses the password.")
    written = told(desired(), observed(), trouble=trouble)
    assert condition(written) == (False, "LoginFailed", "The database refuses the password.")
    assert condition(written, "Passed")[:2] == (None, "NotDrilled")
    assert "history" not in written.told.fields


def test_an_idle_schedule_says_the_same_until_its_time() -> None:
    status = {"lastScheduledAt": "2026-11-01T04:00:00Z", "schedule": "0 4 * * 0 UTC"}
    first = told(desired(status, schedule="0 4 * * 0"), observed())
    assert condition(first)[:2] == (True, "Scheduled")
    assert first.told.fields["nextRun"] == "2026-11-08T04:00:00Z"
    assert (
        told(desired(first.told.fields, schedule="0 4 * * 0"), observed(), after=3600).told.fields == first.told.fields
    )
    assert first.told.again <= 3600


def test_a_time_that_passed_is_skipped_once_with_what_kept_it() -> None:
    waiting = {"type": "Ready", "reason": "Guarded", "status": "False", "message": "Cluster ledger is stopped."}
    wanted = desired({"due": "2026-11-01T04:00:00Z", "schedule": "0 4 * * 0 UTC"}, schedule="0 4 * * 0")
    written = told(wanted, observed(subject(None)), {"conditions": [waiting]}, after=600)
    (past,) = written.told.fields["history"]
    assert past["verdict"] == "Skipped"
    assert "It waited for this: Cluster ledger is stopped." in past["sentence"]
    assert written.told.fields["lastScheduledAt"] == "2026-11-01T04:00:00Z"
    assert [note.reason for note in written.told.notes] == ["DrillSkipped"]
    assert "due" not in written.told.fields
    again = told(desired(written.told.fields, schedule="0 4 * * 0"), observed(subject(None)), after=700)
    assert again.told.notes == ()
    assert again.told.fields == written.told.fields


def test_an_operator_that_was_away_makes_up_for_nothing_but_the_newest() -> None:
    wanted = desired({"lastScheduledAt": "2026-10-01T04:00:00Z", "schedule": "0 4 * * 0 UTC"}, schedule="0 4 * * 0")
    written = told(wanted, observed(), after=86400)
    (past,) = written.told.fields["history"]
    assert "nobody looked at it in time" in past["sentence"]
    assert past["scheduledFor"] == "2026-11-01T04:00:00Z"


def test_a_slot_that_the_next_one_overtakes_is_skipped_and_the_next_waits() -> None:
    wanted = desired({"due": "2026-11-01T03:59:00Z", "schedule": "* * * * * UTC"}, schedule="* * * * *")
    written = told(wanted, observed(subject(None)))
    assert [past["scheduledFor"] for past in written.told.fields["history"]] == ["2026-11-01T03:59:00Z"]
    assert written.told.fields["due"] == "2026-11-01T04:00:00Z"
    assert condition(written)[1] == "Guarded"


def test_the_history_is_bounded_and_a_skipped_run_keeps_no_one_from_the_next() -> None:
    history = [
        {"uid": f"r{n}", "verdict": "Passed", "sentence": "Passed.", "startedAt": "2026-10-01T04:00:00Z"}
        for n in range(9)
    ]
    wanted = desired({"run": run(), "history": history}, historyLimit=3)
    written = told(wanted, observed(going=going(result=result())))
    assert [past["uid"] for past in written.told.fields["history"]] == ["r1", "r0", "r2"]


def test_the_status_can_be_read_back() -> None:
    wanted = desired({"run": run(Phase.CHECKING)})
    written = told(wanted, observed(going=going(Phase.CHECKING)))
    assert FailoverDrillStatus.model_validate(written.told.fields).run is not None
