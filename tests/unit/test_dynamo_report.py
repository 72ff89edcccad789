"""What the object says: the right condition, a sentence that helps, and nothing that moves by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dynamo_model import Aws
from dynamo_specs import examples, specs
from dynamo_world import Operator, key_of, manifest
from fake_kube import crd_schema, prune
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from test_dynamo_plan_properties import EVENTS, live

from penstock.api.conditions import ConditionType, Reason
from penstock.api.meta import OWNER_TAG
from penstock.aws.dynamodb import ContinuousBackups
from penstock.dynamo.kind import parse_status
from penstock.dynamo.report import binary_size, decreases_left
from penstock.dynamo.state import Held, Observed
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Outcome, Report
from penstock.engine.plan import Plan, When

SCHEMA = crd_schema("dynamotables")["properties"]["status"]
VALIDATOR = Draft202012Validator(SCHEMA)
INDEX = {"name": "by-status", "partition": {"name": "status", "type": "String"}, "projection": {"type": "All"}}
THROTTLED = Trouble(Meaning.THROTTLED, Reason.THROTTLED, "AWS throttles dynamodb:DescribeTable.")
DENIED = Trouble(
    Meaning.DENIED, Reason.ACCESS_DENIED, "AWS denies dynamodb:UpdateTable.", operation="UpdateTable", request_id="R"
)


def fresh(spec: dict[str, Any] | None = None, **more: Any) -> Operator:
    aws = Aws()
    aws.keys["alias/orders"] = "Enabled"
    return Operator(aws, manifest(spec, **more), approves=False)


def settled(spec: dict[str, Any] | None = None, **more: Any) -> Operator:
    operator = fresh(spec, **more)
    operator.converge()
    operator.aws.advance(60)
    operator.one_pass()
    return operator


def said(report: Report) -> dict[str, tuple[bool | None, str, str]]:
    return {str(c.type): (c.status, str(c.reason), c.message) for c in report.conditions}


def report_of(
    operator: Operator, trouble: Trouble | None = None, seen: bool = True, plan: Plan | None = None
) -> Report:
    """The report of a pass that only looked, or met a trouble. seen: whether AWS could be read."""
    desired, observed, planned = operator.look()
    outcome: Outcome[Observed] = Outcome(observed if seen else None, plan or (planned if seen else Plan()), trouble)
    return operator.kind.report(operator.obj, desired, outcome, operator.aws.clock())


def assert_valid(status: dict[str, Any]) -> None:
    assert [e.message for e in VALIDATOR.iter_errors(status)] == []
    assert prune(status, SCHEMA) == status, "the API server would drop what is not in the schema"


# The situations that people meet


def test_creating() -> None:
    operator = fresh()
    _, report = operator.one_pass()
    found = said(report)
    assert found["Ready"] == (False, "Creating", "Table orders is being created by AWS.")
    assert found["Synced"][:2] == (False, "Creating")
    assert found["Reconciling"][:2] == (True, "Progressing")
    assert found["Stalled"][0] is False
    assert report.again == 1.0
    assert [s["when"] for s in operator.status["plan"]["steps"]] == [When.LATER]


def test_creating_for_unusually_long_says_for_how_long() -> None:
    operator = fresh()
    operator.one_pass()
    desired, observed, _ = operator.look()
    late = replace(observed, since=operator.aws.clock() - timedelta(minutes=42))
    plan = operator.kind.plan(desired, late, operator.aws.clock())
    assert plan.waits[0].sentence == "Table orders is being created by AWS, 42 min so far, longer than usual."
    assert plan.waits[0].poll == 20.0


def test_ready() -> None:
    operator = settled()
    _, report = operator.one_pass()
    found = said(report)
    assert found["Ready"] == (True, "Available", "Table orders serves requests.")
    assert found["Synced"] == (True, "InSync", "AWS is as the spec says.")
    assert found["Reconciling"][0] is False
    assert found["Stalled"][0] is False
    assert found["Recoverable"][:2] == (True, "RestorePointFresh")
    assert [str(c.type) for c in report.conditions] == ["Ready", "Synced", "Reconciling", "Stalled", "Recoverable"]
    assert 390 < report.again < 450
    assert report.notes == ()
    status = operator.status
    assert status["tableStatus"] == "Active"
    assert status["mode"] == "OnDemand"
    assert (status["itemCount"], status["sizeBytes"], status["size"]) == (0, 0, "0")
    assert "plan" not in status


def test_ready_only_when_everything_was_done_once_and_from_then_on_while_it_serves() -> None:
    operator = fresh(ttl={"attribute": "exp"})
    operator.aws.faults.append(lambda operation, parameters: None)
    operator.one_pass()
    operator.aws.advance(30)
    desired, observed, plan = operator.look()
    assert plan.steps
    report = operator.kind.report(operator.obj, desired, Outcome(observed, plan), operator.aws.clock())
    assert said(report)["Ready"][:2] == (False, "Creating")
    assert "turn TTL on (exp)" in said(report)["Ready"][2]
    operator.converge()
    operator.one_pass()
    operator.edit(manifest(ttl={"attribute": "exp"}, deletionProtection=True)["spec"])
    report = report_of(operator)
    assert said(report)["Ready"][:2] == (True, "Available")
    assert said(report)["Synced"] == (False, "OutOfSync", "To do: turn deletion protection on.")


def test_backfilling_says_which_index() -> None:
    operator = settled()
    operator.edit(manifest(globalIndexes=[INDEX])["spec"])
    operator.one_pass()
    operator.aws.advance(5)
    _, report = operator.one_pass()
    found = said(report)
    assert found["Ready"][0] is True
    assert found["Synced"][:2] == (False, "Backfilling")
    assert "Index by-status is being filled from the table" in found["Synced"][2]
    assert found["Reconciling"][0] is True
    (index,) = operator.status["indexes"]
    assert (index["name"], index["state"], index["backfilling"]) == ("by-status", "Creating", True)
    since = index["since"]
    operator.aws.advance(2)
    operator.one_pass()
    assert operator.status["indexes"][0]["since"] == since, "the same state began when it began"
    operator.converge()
    operator.one_pass()
    assert operator.status["indexes"][0]["state"] == "Active"
    assert operator.status["indexes"][0]["since"] != since


def test_waiting_for_consent_says_the_command() -> None:
    operator = settled(globalIndexes=[INDEX])
    operator.edit(manifest(globalIndexes=[{**INDEX, "projection": {"type": "KeysOnly"}}])["spec"])
    _, report = operator.one_pass()
    found = said(report)
    assert found["Ready"][0] is True
    assert found["Synced"][:2] == (False, "WaitingForConsent")
    command = f"kubectl annotate dynamotable orders penstock.dev/approve={operator.status['plan']['hash']} --overwrite"
    assert command in found["Synced"][2]
    assert found["Stalled"][:2] == (True, "WaitingForConsent")
    assert found["Reconciling"][0] is False
    assert operator.status["plan"]["steps"][0]["effect"] == "Replace"
    assert operator.status["plan"]["steps"][0]["when"] == "AfterConsent"


@pytest.mark.parametrize(("tag", "reason"), [("other/a/DynamoTable/b/c", "NotOwned"), ("", "AlreadyExists")])
def test_a_table_of_somebody_else_is_told_without_its_particulars(tag: str, reason: str) -> None:
    maker = settled()
    maker.table.tags = {OWNER_TAG: tag} if tag else {}
    operator = Operator(maker.aws, manifest(), uid="another")
    _, report = operator.one_pass()
    found = said(report)
    assert found["Ready"][:2] == (False, reason)
    assert found["Stalled"][:2] == (True, reason)
    assert found["Synced"][:2] == (False, reason)
    # What it would cost is worked out from the spec alone.
    assert set(report.fields) == {"plan", "cost"}
    assert report.fields["plan"] == {"refused": [found["Ready"][2]]}


def test_denied() -> None:
    operator = settled()
    operator.edit(manifest(deletionProtection=True)["spec"])
    report = report_of(operator, DENIED)
    found = said(report)
    assert found["Ready"][0] is True
    assert found["Synced"] == (False, "AccessDenied", DENIED.sentence)
    assert found["Stalled"] == (True, "AccessDenied", DENIED.sentence)
    (note,) = report.notes
    assert (note.reason, note.sentence, note.warning, note.action) == (
        "AccessDenied",
        DENIED.sentence,
        True,
        "UpdateTable",
    )


def test_denied_before_there_is_a_table() -> None:
    operator = fresh()
    found = said(report_of(operator, DENIED))
    assert found["Ready"] == (False, "AccessDenied", DENIED.sentence)
    assert found["Stalled"][0] is True


def test_a_step_that_was_refused_is_told_while_it_rests() -> None:
    operator = settled()
    operator.edit(manifest(deletionProtection=True)["spec"])
    desired, observed, plan = operator.look()
    now = operator.aws.clock()
    for stalled, reconciling in ((True, False), (False, False)):
        held = Held("LimitReached", "AWS does not allow it now.", now + timedelta(seconds=90), stalled=stalled)
        resting = replace(observed, held={plan.steps[0].id: held})
        rested = operator.kind.plan(desired, resting, now)
        report = operator.kind.report(operator.obj, desired, Outcome(resting, rested), now)
        found = said(report)
        assert found["Synced"] == (False, "LimitReached", "AWS does not allow it now.")
        assert found["Stalled"][0] is stalled
        assert found["Reconciling"][0] is reconciling
        assert report.again <= 91


def test_throttled_for_long_leaves_what_served_ready() -> None:
    operator = settled(tags={"team": "shop"})
    before = dict(operator.status)
    report = report_of(operator, THROTTLED, seen=False)
    found = said(report)
    assert found["Ready"][:2] == (True, "Available")
    assert found["Synced"] == (False, "Throttled", THROTTLED.sentence)
    assert found["Reconciling"][0] is True, "it goes on by itself"
    assert found["Stalled"][0] is False
    for name in ("tableArn", "managed", "restorable", "tableStatus"):
        assert report.fields[name] == before[name], "what is not observed anew goes on being told"


def test_throttled_before_it_was_ever_ready() -> None:
    found = said(report_of(fresh(), THROTTLED, seen=False))
    assert found["Ready"] == (False, "Throttled", THROTTLED.sentence)


def test_deleting() -> None:
    operator = settled(deletionPolicy="Delete")
    operator.delete()
    operator.one_pass()
    _, report = operator.one_pass()
    found = said(report)
    assert found["Ready"] == (False, "Deleting", "Table orders is being deleted by AWS.")
    assert found["Synced"][:2] == (False, "Deleting")
    assert found["Reconciling"][0] is True


def test_the_final_backup_is_told_before_the_table_goes() -> None:
    operator = settled()
    operator.delete()
    operator.one_pass()
    _, report = operator.one_pass()
    assert said(report)["Ready"][:2] == (False, "BackingUp")
    (arn,) = operator.aws.backups
    assert operator.status["finalBackup"]["arn"] == arn
    assert (
        operator.status["finalBackup"]["createdAt"]
        == "2026-11-01T12:" + operator.status["finalBackup"]["createdAt"][14:]
    )


def test_protected() -> None:
    operator = settled(deletionProtection=True)
    operator.delete()
    _, report = operator.one_pass()
    found = said(report)
    assert found["Ready"][:2] == (False, "DeletionProtected")
    assert "spec.deletionProtection: false" in found["Ready"][2]
    assert found["Stalled"][0] is True


@pytest.mark.parametrize("state", ["Disabled", "Missing"])
def test_a_key_that_cannot_be_used(state: str) -> None:
    operator = fresh(encryption={"kmsKey": "alias/orders"})
    desired = operator.desired()
    observed = Observed(kms=key_of(state))
    plan = operator.kind.plan(desired, observed, operator.aws.clock())
    found = said(operator.kind.report(operator.obj, desired, Outcome(observed, plan), operator.aws.clock()))
    assert found["Ready"][:2] == (False, "WaitingForDependency")
    assert "alias/orders" in found["Ready"][2]
    assert found["Stalled"][0] is True


def test_a_table_that_lost_its_key_no_longer_serves_and_that_is_an_event() -> None:
    operator = settled()
    operator.table.status = "INACCESSIBLE_ENCRYPTION_CREDENTIALS"
    report = report_of(operator)
    found = said(report)
    assert found["Ready"][:2] == (False, "WaitingForDependency")
    assert "enable the key or its grant" in found["Ready"][2]
    assert any(n.warning and n.reason == "WaitingForDependency" for n in report.notes)
    assert report.fields["tableStatus"] == "InaccessibleEncryptionCredentials"
    assert_valid(operator.told(report))


def test_what_is_not_ours_is_named_and_left_alone() -> None:
    operator = settled(globalIndexes=[], tags={"team": "shop"})
    operator.table.tags["theirs"] = "x"
    found = said(report_of(operator))
    assert found["Synced"][0] is True
    assert "tag theirs is not in the spec and is left alone" in found["Synced"][2]


def test_settings_that_are_still_to_be_read_are_no_agreement_yet() -> None:
    operator = settled()
    operator.edit(manifest(ttl={"attribute": "exp"})["spec"])
    desired, observed, _ = operator.look()
    partial = replace(observed, ttl=None, partial=True)
    plan = operator.kind.plan(desired, partial, operator.aws.clock())
    report = operator.kind.report(operator.obj, desired, Outcome(partial, plan), operator.aws.clock())
    assert said(report)["Synced"][:2] == (None, "Progressing")
    assert report.again == 20.0


@pytest.mark.parametrize(
    ("backups", "status", "reason"),
    [
        (ContinuousBackups(False), False, "PointInTimeRecoveryDisabled"),
        (ContinuousBackups(True, 7), True, "RestorePointFresh"),
    ],
)
def test_recoverable(backups: ContinuousBackups, status: bool, reason: str) -> None:
    operator = settled(pointInTimeRecovery={"enabled": backups.enabled})
    desired, observed, _ = operator.look()
    seen = replace(observed, backups=backups)
    plan = operator.kind.plan(desired, seen, operator.aws.clock())
    found = said(operator.kind.report(operator.obj, desired, Outcome(seen, plan), operator.aws.clock()))
    assert found["Recoverable"][:2] == (status, reason)


def test_a_restore_point_that_stays_behind_is_told() -> None:
    operator = settled()
    operator.aws.advance(10 * 3600)
    desired, observed, plan = operator.look()
    assert observed.backups is not None
    stuck = replace(observed, backups=replace(observed.backups, latest=operator.aws.clock() - timedelta(hours=2)))
    found = said(operator.kind.report(operator.obj, desired, Outcome(stuck, plan), operator.aws.clock()))
    assert found["Recoverable"][:2] == (False, "RestorePointStale")


@pytest.mark.parametrize("field", ["tags", "globalIndexes"])
def test_what_left_the_spec_is_kept_in_mind_until_aws_is_rid_of_it(field: str) -> None:
    """A pass that only looks, or fails, must not forget what is still to be removed."""
    operator = settled(tags={"team": "shop"}, globalIndexes=[INDEX])
    kept = dict(operator.status["managed"])
    spec = {"tags": {"team": "shop"}, "globalIndexes": [INDEX]} | {field: [] if field == "globalIndexes" else {}}
    operator.edit(manifest(spec)["spec"])
    for trouble in (None, THROTTLED, DENIED):
        operator.status = operator.told(report_of(operator, trouble))
        assert operator.status["managed"] == kept
    operator.converge()
    operator.one_pass()
    word = "indexes" if field == "globalIndexes" else "tags"
    assert operator.status["managed"] == {k: v for k, v in kept.items() if k != word}
    assert operator.left_over() == set()
    assert set(operator.table.tags) - {OWNER_TAG} == ({"team"} if field == "globalIndexes" else set())


# What moves, and what must not


def test_the_restorable_window_is_written_at_most_every_six_hours() -> None:
    operator = settled()
    first = operator.status["restorable"]
    operator.aws.advance(6 * 3600 - 400)
    operator.one_pass()
    assert operator.status["restorable"] == first
    operator.aws.advance(800)
    operator.one_pass()
    assert operator.status["restorable"] != first
    assert operator.status["restorable"]["latest"] > first["latest"]


def test_a_window_that_shrank_is_told_at_once() -> None:
    operator = settled()
    operator.status["restorable"] = {"earliest": "2026-11-01T10:00:00Z", "latest": "2027-01-01T00:00:00Z"}
    operator.one_pass()
    assert operator.status["restorable"]["latest"].startswith("2026-11-01")


def test_the_window_goes_with_point_in_time_recovery() -> None:
    operator = settled()
    operator.edit(manifest(pointInTimeRecovery={"enabled": False})["spec"])
    operator.converge()
    operator.one_pass()
    assert "restorable" not in operator.status
    condition = next(c for c in operator.status["conditions"] if c["type"] == ConditionType.RECOVERABLE)
    assert (condition["status"], condition["reason"]) == ("False", "PointInTimeRecoveryDisabled")


def test_transition_times_move_only_with_the_status() -> None:
    operator = settled()
    before = {c["type"]: c["lastTransitionTime"] for c in operator.status["conditions"]}
    operator.aws.advance(3600)
    operator.edit(manifest(deletionProtection=True)["spec"])
    operator.status = operator.told(report_of(operator))
    after = {c["type"]: c["lastTransitionTime"] for c in operator.status["conditions"]}
    moved = {kind for kind in before if before[kind] != after[kind]}
    assert moved == {"Synced", "Reconciling"}


def test_notes_are_told_when_they_begin() -> None:
    operator = settled()
    operator.edit(manifest(deletionProtection=True)["spec"])
    first = report_of(operator, DENIED)
    operator.status = operator.told(first)
    again = report_of(operator, DENIED)
    assert (len(first.notes), len(again.notes)) == (1, 0)


@given(specs(), st.lists(EVENTS, max_size=6), st.booleans())
@examples(40)
def test_every_status_fits_the_crd_and_the_same_state_says_the_same(
    spec: dict[str, Any], history: list[tuple[str, Any]], deleted: bool
) -> None:
    operator = fresh(spec)
    for event, value in history:
        live(operator, event, value)
        assert_valid(operator.status)
    if deleted:
        operator.delete()
    for trouble in (None, THROTTLED, DENIED):
        for seen in (True, False) if trouble else (True,):
            first = operator.told(report_of(operator, trouble, seen))
            assert_valid(first)
            operator.status = first
            second = operator.told(report_of(operator, trouble, seen))
            assert second == first
    # A minute later nothing is different that is worth a write, unless AWS has changed something meanwhile.
    if not operator.look()[2].waits:
        operator.status = operator.told(report_of(operator))
        unchanged = dict(operator.status)
        operator.aws.advance(60)
        operator.status = operator.told(report_of(operator))
        assert operator.status == unchanged or operator.look()[2].steps


@given(specs(), st.lists(EVENTS, max_size=4))
@examples(15)
def test_a_status_reads_back_as_it_was_written(spec: dict[str, Any], history: list[tuple[str, Any]]) -> None:
    """What the plan relies on after a restart (ids, managed names, the restore) is all in the status."""
    operator = fresh(spec)
    for event, value in history:
        live(operator, event, value)
    operator.one_pass()
    read = parse_status(operator.status)
    assert read.table_id == operator.status.get("tableId")
    assert read.table_arn == operator.status.get("tableArn")
    managed = operator.status.get("managed", {})
    assert list(read.managed.indexes if read.managed else ()) == managed.get("indexes", [])
    assert list(read.managed.tags if read.managed else ()) == managed.get("tags", [])


def test_a_status_of_another_version_counts_as_none() -> None:
    assert parse_status({"tableId": {"not": "text"}}).table_id is None
    assert parse_status({"tableId": "x", "future": 1}).table_id == "x"


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0"), (512, "512"), (1536, "1.5Ki"), (20 * 2**20, "20Mi"), (3 * 2**40, "3Ti"), (2**53, "8192Ti")],
)
def test_sizes_are_kubernetes_quantities(size: int, words: str) -> None:
    assert binary_size(size) == words


def test_decreases_left_today() -> None:
    midnight, noon = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert decreases_left(0, midnight) == 4
    assert decreases_left(4, midnight) == 0
    assert decreases_left(4, noon) == 4
    assert decreases_left(27, noon) == 0
    assert decreases_left(26, noon.replace(hour=23)) == 1


def test_provisioned_tables_tell_their_units_and_decreases() -> None:
    operator = settled(capacity={"mode": "Provisioned", "read": {"units": 5}, "write": {"units": 4}})
    assert operator.status["mode"] == "Provisioned"
    assert operator.status["capacityDecreasesLeft"] == 4
    assert operator.status["observed"] | {"readUnits": 5, "writeUnits": 4} == operator.status["observed"]


def test_objectives_that_nobody_measures_are_told_as_such() -> None:
    operator = settled({"objectives": {"readP95": "9ms", "writeP95": "9ms"}})
    status, reason, sentence = said(report_of(operator))["ObjectivesMet"]
    assert (status, reason) == (None, "NotMeasured")
    assert "objectives.readP95 and objectives.writeP95 are not measured" in sentence
    one = said(report_of(settled({"objectives": {"readP95": "9ms"}})))["ObjectivesMet"][2]
    assert "objectives.readP95 is not measured" in one
    assert "ObjectivesMet" not in said(report_of(settled({"objectives": {}})))
    assert "ObjectivesMet" not in said(report_of(settled()))
