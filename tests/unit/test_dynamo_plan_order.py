"""What must wait, what needs consent, what is refused, and how a table is taken down."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from dynamo_model import Aws, Index
from dynamo_world import manifest, only, planned, settled

from penstock.api.conditions import Reason
from penstock.api.meta import ADOPTABLE_BY, OWNER_TAG
from penstock.dynamo.plan import poll
from penstock.dynamo.state import Held, Observed
from penstock.engine.plan import Effect, When

SCALED = {"mode": "Provisioned", "read": {"units": 6, "min": 5, "max": 50}, "write": {"units": 4}}
INDEX = {"name": "by-status", "partition": {"name": "status", "type": "String"}, "projection": {"type": "All"}}


# Replacement and consent


def test_a_changed_projection_waits_for_consent_to_exactly_this_replacement() -> None:
    operator = settled({"globalIndexes": [INDEX]})
    operator.edit(manifest(globalIndexes=[{**INDEX, "projection": {"type": "KeysOnly"}}])["spec"])
    plan = planned(operator)
    step = only(plan)
    assert (step.effect, step.when) == (Effect.REPLACE, When.AFTER_CONSENT)
    assert "(status, ALL) to (status, KEYS_ONLY)" in step.summary
    assert plan.hash in plan.waits[0].sentence
    assert plan.waits[0].reason == Reason.WAITING_FOR_CONSENT
    operator.approved = "something-else"
    assert only(planned(operator)).when is When.AFTER_CONSENT
    operator.approved = plan.hash
    approved = only(planned(operator))
    assert (approved.when, approved.parameters["GlobalSecondaryIndexUpdates"]) == (
        When.NOW,
        [{"Delete": {"IndexName": "by-status"}}],
    )
    operator.edit(manifest(globalIndexes=[{**INDEX, "projection": {"type": "Include", "attributes": ["x"]}}])["spec"])
    assert only(planned(operator)).when is When.AFTER_CONSENT, "consent to one change is none to another"


def test_an_attribute_gets_another_type_by_replacing_the_index() -> None:
    operator = settled({"globalIndexes": [INDEX]})
    operator.edit(manifest(globalIndexes=[{**INDEX, "partition": {"name": "status", "type": "Number"}}])["spec"])
    operator.approved = planned(operator).hash
    operator.converge()
    assert operator.table.types["status"] == "N"


@pytest.mark.parametrize("exists", [True, False])
def test_a_type_that_somebody_elses_index_forbids_is_refused_before_anything_is_deleted(exists: bool) -> None:
    operator = settled({"globalIndexes": [INDEX] if exists else []})
    theirs = [{"AttributeName": "status", "KeyType": "HASH"}]
    operator.table.indexes["theirs"] = Index("theirs", theirs, {"ProjectionType": "ALL"})
    operator.table.types["status"] = "S"
    operator.edit(manifest(globalIndexes=[{**INDEX, "partition": {"name": "status", "type": "Number"}}])["spec"])
    plan = planned(operator)
    assert plan.steps == ()
    assert plan.refusals[0].reason == Reason.INVALID
    assert "index theirs, which is not in the spec, has it as S" in plan.refusals[0].sentence


def test_an_unrelated_edit_does_not_void_an_approval() -> None:
    operator = settled({"globalIndexes": [INDEX]})
    replaced = [{**INDEX, "projection": {"type": "KeysOnly"}}]
    operator.edit(manifest(globalIndexes=replaced)["spec"])
    operator.approved = planned(operator).hash
    operator.edit(manifest(globalIndexes=replaced, deletionProtection=True)["spec"])
    steps = {s.summary.split(":")[0]: s.when for s in planned(operator).steps}
    assert steps == {"turn deletion protection on": When.NOW, "replace index by-status": When.LATER}


def test_other_changes_do_not_wait_for_consent() -> None:
    operator = settled({"globalIndexes": [INDEX]})
    operator.edit(
        manifest(
            globalIndexes=[{**INDEX, "projection": {"type": "KeysOnly"}}],
            ttl={"attribute": "exp"},
            stream={"view": "KeysOnly"},
        )["spec"]
    )
    now = {s.operation for s in planned(operator).runnable}
    assert now == {"UpdateTimeToLive", "UpdateTable"}


def test_two_replacements_are_approved_at_once_and_carried_out_one_after_the_other() -> None:
    second = {**INDEX, "name": "by-owner", "partition": {"name": "owner", "type": "String"}}
    operator = settled({"globalIndexes": [INDEX, second]})
    keys_only = {"type": "KeysOnly"}
    operator.edit(
        manifest(globalIndexes=[{**INDEX, "projection": keys_only}, {**second, "projection": keys_only}])["spec"]
    )
    operator.one_pass()
    operator.approved = operator.status["plan"]["hash"].split(".")[0]
    assert planned(operator).runnable == (), "half an approval is none"
    operator.approved = operator.status["plan"]["hash"]
    operator.converge()
    assert all(i.projection["ProjectionType"] == "KEYS_ONLY" for i in operator.table.indexes.values())


# What must wait


def test_indexes_are_made_one_at_a_time() -> None:
    operator = settled({})
    names = ["by-a", "by-b", "by-c"]
    wanted = [{**INDEX, "name": n, "partition": {"name": n[-1], "type": "String"}} for n in names]
    operator.edit(manifest(globalIndexes=wanted)["spec"])
    assert [s.when for s in planned(operator).steps] == [When.NOW, When.LATER, When.LATER]
    operator.one_pass()
    plan = planned(operator)
    assert [s.when for s in plan.steps] == [When.LATER, When.LATER]
    assert (plan.waits[0].reason, plan.waits[0].poll) == (Reason.BACKFILLING, 1.0)
    assert "by-a is being created" in plan.waits[0].sentence
    operator.aws.advance(5)
    assert "by-a is being filled from the table" in planned(operator).waits[0].sentence


def test_other_settings_change_while_an_index_is_filled() -> None:
    operator = settled({})
    operator.edit(manifest(globalIndexes=[INDEX])["spec"])
    operator.one_pass()
    operator.edit(manifest(globalIndexes=[INDEX], stream={"view": "KeysOnly"}, ttl={"attribute": "exp"})["spec"])
    allocating = {s.operation: s.when for s in planned(operator).steps}
    assert allocating == {"UpdateTimeToLive": When.NOW, "UpdateTable": When.LATER}
    operator.aws.advance(5)
    filling = {s.operation: s.when for s in planned(operator).steps}
    assert filling == {"UpdateTimeToLive": When.NOW, "UpdateTable": When.NOW}


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        ("CREATING", Reason.CREATING, "is being created by AWS"),
        ("DELETING", Reason.DELETING, "is being deleted by somebody; it is made again afterwards"),
        ("UPDATING", Reason.UPDATING, "is being updated by AWS"),
        ("ARCHIVED", Reason.ARCHIVED, "restore it from the backup"),
        ("INACCESSIBLE_ENCRYPTION_CREDENTIALS", Reason.WAITING_FOR_DEPENDENCY, "cannot reach its KMS key"),
    ],
)
def test_a_table_that_is_not_at_rest_is_waited_for(status: str, reason: Reason, words: str) -> None:
    operator = settled({})
    operator.table.status = status
    operator.edit(manifest(deletionProtection=True, stream={"view": "KeysOnly"})["spec"])
    plan = planned(operator)
    assert all(s.when is When.LATER for s in plan.steps if s.operation == "UpdateTable")
    assert plan.waits[0].reason == reason
    assert words in plan.waits[0].sentence


def test_a_step_that_aws_refused_rests_and_leaves_its_place_to_the_next() -> None:
    operator = settled({})
    operator.edit(manifest(deletionProtection=True, stream={"view": "KeysOnly"})["spec"])
    desired, observed, plan = operator.look()
    first, second = plan.steps
    assert (first.when, second.when) == (When.NOW, When.LATER)
    now = operator.aws.clock()
    held = Held("AccessDenied", "AWS denies it.", now + timedelta(seconds=30), stalled=True)
    rested = operator.kind.plan(desired, replace(observed, held={first.id: held}), now)
    assert [(s.summary, s.when) for s in rested.steps] == [(second.summary, When.NOW), (first.summary, When.LATER)]
    (refusal,) = rested.refusals
    assert (refusal.reason, refusal.sentence, refusal.blocking, refusal.again) == (
        "AccessDenied",
        "AWS denies it.",
        True,
        30.0,
    )
    later = operator.kind.plan(desired, replace(observed, held={first.id: held}), now + timedelta(seconds=30))
    assert later == plan, "after its rest it is tried again"


def test_a_step_that_aws_took_and_does_not_show_is_not_repeated_at_once() -> None:
    operator = settled({})
    operator.edit(manifest(deletionProtection=True)["spec"])
    desired, observed, plan = operator.look()
    now = operator.aws.clock()
    step = only(plan).id
    once = Held("OutOfSync", "AWS accepted.", now + timedelta(seconds=5), 1, accepted=True)
    waiting = operator.kind.plan(desired, replace(observed, held={step: once}), now)
    assert waiting.runnable == ()
    assert (waiting.waits[0].poll, waiting.refusals) == (5.0, ())
    often = replace(once, count=3)
    told = operator.kind.plan(desired, replace(observed, held={step: often}), now)
    assert (told.steps, told.waits) == ((), ())
    assert (told.refusals[0].reason, told.refusals[0].blocking) == ("OutOfSync", False)


# Refusals


def test_another_key_than_the_tables_is_refused_with_both() -> None:
    operator = settled({})
    operator.table.types["sk"] = "S"
    (refusal,) = planned(operator).refusals
    assert refusal.reason == Reason.INVALID
    assert "pk (S) + sk (S), but spec.key says pk (S) + sk (N)" in refusal.sentence


def test_other_local_indexes_than_the_tables_are_refused() -> None:
    local = {"name": "by-total", "sort": {"name": "total", "type": "Number"}, "projection": {"type": "All"}}
    operator = settled({"localIndexes": [local]})
    assert planned(operator).empty
    operator.edit(manifest(localIndexes=[{**local, "name": "by-sum"}])["spec"])
    (refusal,) = planned(operator).refusals
    assert "by-total" in refusal.sentence
    assert planned(operator).steps == ()


@pytest.mark.parametrize(
    ("tag", "reason", "words"),
    [
        ("", "AlreadyExists", "made by somebody else: set spec.adopt: true"),
        ("cluster-1/shop/DynamoTable/orders/earlier", "AlreadyExists", "an earlier object of this name"),
        ("cluster-1/shop/DynamoTable/others/u", "NotOwned", "belongs to DynamoTable shop/others of cluster cluster-1"),
        ("cluster-9/shop/DynamoTable/orders/u", "NotOwned", "of cluster cluster-9"),
        ("free text", "NotOwned", "free text"),
    ],
)
def test_a_name_that_is_taken_says_by_whom_and_what_to_do(tag: str, reason: str, words: str) -> None:
    operator = settled({})
    operator.table.tags = {OWNER_TAG: tag} if tag else {}
    operator.status = {}
    plan = planned(operator)
    assert plan.steps == ()
    (refusal,) = plan.refusals
    assert refusal.reason == reason
    assert words in refusal.sentence


def test_an_earlier_self_may_be_taken_over_but_nobody_elses_table() -> None:
    operator = settled({})
    operator.edit(manifest(adopt=True)["spec"])
    operator.status = {}
    operator.table.tags[OWNER_TAG] = "cluster-1/shop/DynamoTable/orders/earlier"
    assert planned(operator).refusals == ()
    operator.table.tags[OWNER_TAG] = "cluster-1/shop/DynamoTable/others/other"
    assert planned(operator).refusals[0].reason == Reason.NOT_OWNED


def test_adoption_shows_its_plan_before_it_does_anything() -> None:
    operator = settled({})
    operator.table.tags, operator.table.protected = {}, False
    operator.status = {}
    operator.edit(manifest(adopt=True, deletionProtection=True)["spec"])
    plan = planned(operator)
    assert [s.operation for s in plan.steps] == ["TagResource", "UpdateTable"], "our mark comes first"
    assert {s.when for s in plan.steps} == {When.LATER}
    assert "Taking over table orders" in plan.waits[0].sentence
    assert plan.steps[0].told == ("Adopted", "Took over table orders.")
    operator.one_pass()
    (mark,) = planned(operator).runnable
    assert [t["Key"] for t in mark.parameters["Tags"]] == [OWNER_TAG], "nothing before the mark is read back"
    operator.aws.call(mark.service, mark.operation, mark.parameters)
    assert [s.operation for s in planned(operator).runnable] == ["UpdateTable"]


# Removal


def test_a_table_is_taken_down_step_by_step() -> None:
    operator = settled({"capacity": SCALED, "deletionProtection": False})
    operator.table.protected = True
    operator.delete()
    order = []
    for _ in range(30):
        plan, _ = operator.one_pass()
        order += [s.operation for s in operator.performed]
        operator.performed.clear()
        if plan.gone:
            break
        operator.aws.advance(3)
    assert order == ["CreateBackup", "UpdateTable", "DeregisterScalableTarget", "DeleteTable"]
    (backup,) = operator.aws.backups.values()
    assert re.fullmatch(r"orders-final-[0-9a-f]{16}-11111111-\d{14}", backup["BackupName"])


def test_without_a_backup_nothing_comes_before_the_deletion() -> None:
    operator = settled({"deletionPolicy": "Delete"})
    operator.delete()
    step = only(planned(operator))
    assert (step.operation, step.effect) == ("DeleteTable", Effect.DESTROY)
    assert step.told is not None
    assert "without a final backup" in step.told[1]


def test_protection_that_the_spec_does_not_lift_keeps_the_table() -> None:
    for spec in ({"deletionProtection": True}, {}):
        operator = settled(spec)
        operator.table.protected = True
        operator.delete()
        plan = planned(operator)
        assert plan.steps == ()
        assert plan.refusals[0].reason == Reason.DELETION_PROTECTED
        assert "spec.deletionProtection: false" in plan.refusals[0].sentence


def test_retain_takes_only_our_mark() -> None:
    operator = settled({"deletionPolicy": "Retain", "tags": {"team": "shop"}, "deletionProtection": True})
    operator.delete()
    handed_back, step = planned(operator).steps
    assert handed_back.parameters["Tags"] == [{"Key": ADOPTABLE_BY, "Value": "shop"}]
    assert (step.operation, step.parameters["TagKeys"]) == ("UntagResource", [OWNER_TAG])
    operator.one_pass()
    assert planned(operator).gone
    assert operator.table.tags == {"team": "shop", ADOPTABLE_BY: "shop"}


@pytest.mark.parametrize("status", ["CREATING", "UPDATING", "DELETING"])
def test_a_table_that_is_changing_is_not_deleted_yet(status: str) -> None:
    operator = settled({"deletionPolicy": "Delete"})
    operator.table.status = status
    operator.delete()
    plan = planned(operator)
    assert plan.steps == ()
    assert plan.waits[0].reason == Reason.DELETING
    assert not plan.gone


def test_a_backup_that_was_not_looked_for_is_not_made_twice() -> None:
    operator = settled({})
    operator.delete()
    observed = replace(operator.observed(operator.desired()), final_backup_read=False)
    plan = operator.kind.plan(operator.desired(), observed, operator.aws.clock())
    assert plan.steps == ()
    assert plan.waits[0].reason == Reason.BACKING_UP


def test_a_transition_is_looked_at_at_three_quarters_of_what_it_took_so_far() -> None:
    now = Aws().clock()
    seen = [poll(Observed(since=now - timedelta(seconds=s)), now) for s in (0, 1, 4, 8, 3600)]
    assert seen == [1.0, 1.0, 3.0, 6.0, 20.0]
    assert poll(Observed(), now) == 1.0
