"""Tables that somebody else made or changes too: autoscaling of the console, keys of another shape, facets that AWS refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from dynamo_model import Aws, refuse
from dynamo_world import ModelAccount, Operator, manifest, settled
from virtual_time import virtual

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.aws.errors import trouble
from penstock.dynamo.act import _refine
from penstock.dynamo.memory import Memory
from penstock.dynamo.observe import Observer
from penstock.dynamo.ownership import Claim, claim
from penstock.engine.conditions import timestamp
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Look, Outcome, Report
from penstock.engine.plan import Refusal, Step
from penstock.engine.queue import Priority

READ, WRITE = "dynamodb:table:ReadCapacityUnits", "dynamodb:table:WriteCapacityUnits"
FIXED = {"mode": "Provisioned", "read": {"units": 5}, "write": {"units": 4}}
SCALED = {"mode": "Provisioned", "read": {"min": 5, "max": 100}, "write": {"min": 5, "max": 100}}


def tracking(direction: str, target: float = 50.0) -> dict[str, Any]:
    metric = {"PredefinedMetricType": f"DynamoDB{direction}CapacityUtilization"}
    return {"TargetValue": target, "PredefinedMetricSpecification": metric, "ScaleInCooldown": 60}


def console(direction: str, target: float = 50.0) -> dict[str, Any]:
    """A scalable target with the policy that the AWS console makes."""
    name = f"DynamoDB{direction}CapacityUtilization:table/orders"
    return {"MinCapacity": 3, "MaxCapacity": 30, "policies": {name: tracking(direction, target)}}


def adopted(spec: dict[str, Any], targets: dict[tuple[str, str], dict[str, Any]], **theirs: Any) -> Operator:
    """A provisioned table of somebody else, adopted."""
    maker = settled({"capacity": FIXED, **theirs})
    maker.table.tags = {}
    maker.aws.targets = targets
    operator = Operator(maker.aws, manifest(spec, adopt=True), approves=False, uid="another")
    operator.converge()
    return operator


def report(operator: Operator) -> Report:
    return operator.one_pass()[1]


def condition(told: Report, kind: str) -> tuple[bool | None, str, str]:
    return next((c.status, str(c.reason), c.message) for c in told.conditions if c.type == kind)


# Autoscaling is known by what it tracks


def test_the_consoles_policy_is_changed_in_place_under_its_own_name() -> None:
    aimed = {direction: {"min": 5, "max": 100, "targetUtilization": 70} for direction in ("read", "write")}
    targets = {("table/orders", READ): console("Read"), ("table/orders", WRITE): console("Write", 70.0)}
    operator = adopted({"capacity": {"mode": "Provisioned", **aimed}}, targets)
    (put,) = operator.aws.of("PutScalingPolicy")
    assert put["PolicyName"] == "DynamoDBReadCapacityUtilization:table/orders"
    assert put["TargetTrackingScalingPolicyConfiguration"] == {**tracking("Read", 70.0)}, "its cooldown stays"
    assert [t["MaxCapacity"] for t in operator.aws.targets.values()] == [100, 100]
    assert condition(report(operator), "Synced")[0] is True


def test_a_target_utilisation_that_an_adopting_manifest_does_not_name_stays() -> None:
    operator = adopted({"capacity": SCALED}, {("table/orders", READ): console("Read")})
    policies = operator.aws.targets["table/orders", READ]["policies"]
    assert policies == {"DynamoDBReadCapacityUtilization:table/orders": tracking("Read")}
    assert operator.aws.of("PutScalingPolicy")[0]["ScalableDimension"] == WRITE, "where there is none it is made"


@pytest.mark.parametrize("spec", [{}, {"capacity": FIXED}])
def test_autoscaling_that_the_spec_does_not_name_is_left_alone(spec: dict[str, Any]) -> None:
    operator = adopted(spec, {("table/orders", READ): console("Read")})
    assert operator.aws.targets == {("table/orders", READ): console("Read")}
    operator.table.units = (17, 4)
    operator.converge_or_stand()
    assert operator.table.units == (17, 4), "two that set the same units would never end"
    ready, synced = condition(report(operator), "Ready"), condition(report(operator), "Synced")
    assert ready[0] is True
    if spec:
        assert synced[:2] == (False, "OutOfSync")
        assert "Read units of table orders are 17, not 5: autoscaling that is not in the spec moves them" in synced[2]


def test_what_is_not_ours_beside_our_policy_stays_and_is_named() -> None:
    theirs = {"MinCapacity": 5, "MaxCapacity": 100, "scheduled": ["night"]}
    other = {"TargetValue": 9.0, "CustomizedMetricSpecification": {"MetricName": "m"}}
    policies = {**console("Read", 70.0)["policies"], "by-queue": other}
    operator = adopted({"capacity": SCALED}, {("table/orders", READ): {**theirs, "policies": policies}})
    assert condition(report(operator), "Synced") == (
        True,
        "InSync",
        "AWS is as the spec says; scaling policy by-queue of table/orders ReadCapacityUnits; "
        "scheduled action night of table/orders ReadCapacityUnits are not in the spec and are left alone.",
    )
    operator.edit(manifest({"capacity": FIXED}, adopt=True)["spec"])
    operator.converge_or_stand()
    assert operator.aws.targets["table/orders", READ]["policies"] == {"by-queue": other}, "only our own policy goes"
    assert ("table/orders", WRITE) not in operator.aws.targets


def test_autoscaling_that_left_the_spec_is_taken_away_though_the_console_made_it() -> None:
    operator = adopted({"capacity": SCALED}, {("table/orders", READ): console("Read")})
    operator.edit(manifest({"capacity": FIXED}, adopt=True)["spec"])
    operator.converge()
    assert operator.aws.targets == {}


def test_autoscaling_of_an_index_goes_with_the_index() -> None:
    units = {"read": {"min": 2, "max": 9}, "write": {"units": 2}}
    index = {
        "name": "by-status",
        "partition": {"name": "status", "type": "String"},
        "projection": {"type": "All"},
        "capacity": units,
    }
    operator = settled({"capacity": FIXED, "globalIndexes": [index]})
    assert list(operator.aws.targets) == [("table/orders/index/by-status", "dynamodb:index:ReadCapacityUnits")]
    operator.edit(manifest({"capacity": FIXED, "globalIndexes": []})["spec"])
    operator.converge()
    assert operator.aws.targets == {}


def test_targets_of_a_table_that_is_gone_are_taken_over_by_the_next_of_its_name() -> None:
    aws = Aws()
    aws.targets = {("table/orders", READ): console("Read")}
    operator = Operator(aws, manifest(capacity=SCALED), approves=False)
    operator.converge()
    assert list(aws.targets["table/orders", READ]["policies"]) == ["DynamoDBReadCapacityUtilization:table/orders"]


# Ready says whether it serves


@pytest.mark.parametrize(
    ("operation", "spec"),
    [
        ("PutScalingPolicy", {"capacity": SCALED}),
        ("RegisterScalableTarget", {"capacity": SCALED}),
        ("UpdateTimeToLive", {"ttl": {"attribute": "until"}}),
        ("UpdateContinuousBackups", {}),
        ("PutResourcePolicy", {"resourcePolicy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}}),
        ("UpdateContributorInsights", {"contributorInsights": True}),
        ("TagResource", {"tags": {"team": "shop"}}),
    ],
)
@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException", "LimitExceededException"])
def test_a_facet_that_aws_refuses_decides_synced_and_not_ready(operation: str, spec: dict[str, Any], code: str) -> None:
    operator = settled({"capacity": FIXED}, pointInTimeRecovery={"enabled": False})
    operator.table.tags = {OWNER_TAG: operator.owner}
    # Never Ready before.
    operator.status = {k: v for k, v in operator.status.items() if k != "conditions"}
    operator.edit(manifest({"capacity": FIXED, **spec})["spec"])

    def fail(asked: str, parameters: Any) -> None:
        if asked == operation:
            refuse(code, "", asked)

    operator.aws.faults.append(fail)
    told = report(operator)
    assert condition(told, "Ready")[:2] == (True, "Available")
    assert condition(told, "Synced")[0] is False
    assert code in condition(told, "Synced")[2] or operation in condition(told, "Synced")[2]
    assert not condition(told, "Synced")[2].rstrip().endswith(":"), "an answer without words is told with its code"


def test_a_facet_that_cannot_be_read_decides_synced_and_not_ready() -> None:
    operator = settled({"capacity": SCALED})
    operator.status = {k: v for k, v in operator.status.items() if k != "conditions"}
    desired, observed, _ = operator.look()
    sentence = "AWS refuses application-autoscaling:DescribeScalableTargets: ValidationException, without a message"
    unread = replace(observed, scaling=None, unread=((str(Reason.REFUSED), sentence),))
    plan = operator.kind.plan(desired, unread, operator.aws.clock())
    told = operator.kind.report(operator.obj, desired, Outcome(unread, plan), operator.aws.clock())
    assert condition(told, "Ready")[:2] == (True, "Available")
    assert condition(told, "Synced") == (False, "Refused", sentence)


# What can never change is compared completely


LOCAL = {"name": "by-day", "sort": {"name": "day", "type": "String"}, "projection": {"type": "All"}}


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        (
            {"type": "Number"},
            LOCAL,
            "(by-day: pk (S) + day (N), ALL) than spec.localIndexes (by-day: pk (S) + day (S), ALL)",
        ),
        ({}, {**LOCAL, "projection": {"type": "KeysOnly"}}, "pk (S) + day (S), KEYS_ONLY"),
        ({}, {**LOCAL, "name": "by-date"}, "by-date: pk (S) + day (S), ALL"),
    ],
)
def test_local_indexes_are_compared_with_types_and_projections(
    theirs: dict[str, Any], ours: dict[str, Any], words: str
) -> None:
    maker = settled({"localIndexes": [{**LOCAL, "sort": {**LOCAL["sort"], **theirs}}]})  # type: ignore[dict-item]
    maker.table.tags = {}
    calls = len(maker.aws.writes)
    operator = Operator(maker.aws, manifest(adopt=True, localIndexes=[ours], tags={"a": "b"}), uid="another")
    for _ in range(3):
        told = report(operator)
    assert condition(told, "Ready")[:2] == (False, "Invalid")
    assert words in condition(told, "Ready")[2]
    assert len(maker.aws.writes) == calls


# Keys of several attributes


SEVERAL = [
    {"AttributeName": "tournamentId", "KeyType": "HASH"},
    {"AttributeName": "region", "KeyType": "HASH"},
    {"AttributeName": "round", "KeyType": "RANGE"},
    {"AttributeName": "matchId", "KeyType": "RANGE"},
]
NAMED = {
    "name": "by-region",
    "partition": {"name": "region", "type": "String"},
    "sort": {"name": "matchId", "type": "String"},
    "projection": {"type": "All"},
}


def tournament() -> Operator:
    maker = settled({"globalIndexes": [NAMED]})
    maker.table.indexes["by-region"].schema = SEVERAL
    maker.table.types |= {"tournamentId": "S", "round": "S"}
    return maker


def test_an_index_of_several_attributes_is_never_taken_for_a_shorter_one() -> None:
    maker = tournament()
    maker.table.tags = {}
    calls = len(maker.aws.writes)
    operator = Operator(maker.aws, manifest(adopt=True, globalIndexes=[NAMED]), uid="another")
    for _ in range(4):
        told = report(operator)
        operator.aws.advance(5)
    assert condition(told, "Synced")[:2] == (False, "Invalid")
    assert condition(told, "Ready")[:2] == (False, "Invalid")
    words = "Index by-region has a key of several attributes (tournamentId (S), region (S); round (S), matchId (S))"
    assert words in condition(told, "Synced")[2]
    assert "does not support yet" in condition(told, "Synced")[2]
    assert set(maker.aws.writes[calls:]) <= {"TagResource"}
    assert maker.table.indexes["by-region"].schema == SEVERAL


@pytest.mark.parametrize("indexes", [None, []])
def test_an_index_of_several_attributes_that_the_spec_does_not_name_is_left_alone(indexes: Any) -> None:
    operator = tournament()
    operator.edit(manifest({} if indexes is None else {"globalIndexes": indexes})["spec"])
    operator.converge()
    assert operator.table.indexes["by-region"].schema == SEVERAL
    # Another index can be made beside it: AWS wants the types of all its attributes with the request.
    other = {**NAMED, "name": "by-day", "partition": {"name": "day", "type": "String"}}
    operator.edit(manifest(globalIndexes=[other])["spec"])
    operator.converge()
    assert set(operator.table.indexes) == {"by-day", "by-region"}


# Whose it is


def test_a_stranger_under_the_name_of_a_table_that_is_gone_is_never_ours() -> None:
    operator = settled({"tags": {"team": "shop"}})
    before = operator.table.id
    del operator.aws.tables["orders"]
    Operator(operator.aws, manifest(), uid="another").converge()
    operator.table.tags = {}
    calls = len(operator.aws.writes)
    told = report(operator)
    ready = condition(told, "Ready")
    assert ready[:2] == (False, "AlreadyExists")
    assert (
        "is not the one that this object had: that one was deleted, and somebody made another under its name "
        in ready[2]
    )
    assert f"(AWS's id of it is {operator.table.id}, not {before})" in ready[2]
    assert operator.status["tableId"] == before, "it is not ours to describe"
    operator.delete()
    assert operator.one_pass()[0].gone
    assert "orders" in operator.aws.tables
    assert len(operator.aws.writes) == calls


def test_an_adopting_object_shows_the_stranger_before_it_takes_it_over() -> None:
    operator = settled({})
    operator.edit(manifest(adopt=True)["spec"])
    operator.converge()
    del operator.aws.tables["orders"]
    Operator(operator.aws, manifest(), uid="another").converge()
    operator.table.tags = {}
    plan, _ = operator.one_pass()
    assert plan.runnable == ()
    assert [w.reason for w in plan.waits] == ["Updating"]
    operator.converge()
    assert operator.table.tags[OWNER_TAG] == operator.owner


@pytest.mark.parametrize(
    ("source", "seconds", "ours"),
    [
        ("source", 3, True),
        ("source", -60, True),
        ("source", 3600, False),
        ("source", -3600, False),
        ("other", 3, False),
    ],
)
def test_a_restore_that_was_asked_for_claims_only_a_table_of_its_source_and_moment(
    source: str, seconds: int, ours: bool
) -> None:
    maker = Operator(Aws(), {**manifest(pointInTimeRecovery={}), "metadata": {"name": source, "namespace": "shop"}})
    maker.converge()
    aws = maker.aws
    asked = aws.clock() - timedelta(seconds=seconds)
    aws.call(
        "dynamodb",
        "RestoreTableToPointInTime",
        {"SourceTableName": source, "TargetTableName": "orders", "UseLatestRestorableTime": True},
    )
    operator = Operator(aws, manifest(restoreFrom={"tableName": "source"}), approves=False)
    operator.status = {"restore": {"source": "source", "startedAt": timestamp(asked)}}
    aws.advance(600)
    writes = len(aws.writes)
    told = report(operator)
    if ours:
        assert aws.of("TagResource")[-1]["Tags"] == [{"Key": OWNER_TAG, "Value": operator.owner}]
        operator.converge()
        assert operator.status["tableId"] == operator.table.id
    else:
        assert condition(told, "Ready")[:2] == (False, "AlreadyExists")
        assert len(aws.writes) == writes
        operator.delete()
        assert operator.one_pass()[0].gone
        assert "orders" in aws.tables


def test_a_restore_whose_answer_this_process_lost_is_known_whatever_the_clocks() -> None:
    maker = Operator(Aws(), {**manifest(pointInTimeRecovery={}), "metadata": {"name": "source", "namespace": "shop"}})
    maker.converge()
    asked = maker.aws.clock() - timedelta(hours=1)
    wanted = {"SourceTableName": "source", "TargetTableName": "orders", "UseLatestRestorableTime": True}
    maker.aws.call("dynamodb", "RestoreTableToPointInTime", wanted)
    operator = Operator(maker.aws, manifest(restoreFrom={"tableName": "source"}), approves=False)
    operator.status = {"restore": {"source": "source", "startedAt": timestamp(asked)}}
    desired = operator.desired()
    observed = operator.observed(desired)
    assert isinstance(claim(desired, observed), Refusal)
    assert claim(desired, replace(observed, lost=True)) is Claim.RESTORED
    assert isinstance(claim(desired, replace(observed, lost=True, refused=True)), Refusal)


def test_a_restore_that_aws_refused_claims_nothing_afterwards() -> None:
    operator = Operator(Aws(), manifest(restoreFrom={"tableName": "source"}), approves=False)
    operator.one_pass()
    desired, observed, plan = operator.look()
    assert desired.status.restore is not None
    refused = replace(observed, refused=True)
    told = operator.kind.report(operator.obj, desired, Outcome(refused, plan), operator.aws.clock())
    assert told.fields["restore"] == {"source": "source"}


def test_a_table_is_made_empty_instead_of_restored_only_with_consent() -> None:
    operator = Operator(Aws(), manifest(restoreFrom={"tableName": "source"}), approves=False)
    operator.one_pass()
    operator.edit(manifest()["spec"])
    told = report(operator)
    assert operator.aws.tables == {}
    synced = condition(told, "Ready")
    assert synced[:2] == (False, "WaitingForConsent")
    assert "spec.restoreFrom was removed before table orders was restored from source." in synced[2]
    assert f"penstock.dev/approve={operator.status['plan']['hash']}" in synced[2]
    operator.approved = operator.status["plan"]["hash"]
    operator.converge()
    assert "orders" in operator.aws.tables


def test_a_final_backup_of_an_earlier_table_is_none_of_this_one() -> None:
    backups = [{"BackupName": "n", "BackupArn": "arn:1", "BackupStatus": "AVAILABLE", "TableId": "id-other"}]

    class Account(ModelAccount):
        async def call(self, service: str, operation: str, *_: Any, **__: Any) -> dict[str, Any]:
            return {"BackupSummaries": backups}

    operator = settled({})
    operator.delete()
    desired = operator.desired()
    backups[0]["BackupName"] = desired.final_backup_name
    table = operator.observed(desired).table
    assert table is not None
    read = Observer(Account(operator.aws))._final_backup(desired, Memory(), table)  # type: ignore[arg-type]
    assert asyncio.run(read) is None


# Tags


def crowded(count: int, spec: dict[str, Any], tags: dict[str, str] | None = None) -> Operator:
    maker = settled({})
    maker.table.tags = {f"t{n:02}": "x" for n in range(count)} | (tags or {})
    return Operator(maker.aws, manifest(spec, adopt=True), uid="another", approves=False)


def test_a_table_without_room_for_our_mark_is_not_taken_over() -> None:
    operator = crowded(50, {"deletionProtection": True})
    calls = len(operator.aws.writes)
    for _ in range(3):
        told = report(operator)
    assert condition(told, "Ready")[:2] == (False, "LimitReached")
    assert (
        "Table orders has 50 tags, as many as AWS allows, so there is no room for penstock.dev/owner"
        in condition(told, "Ready")[2]
    )
    assert len(operator.aws.writes) == calls


def test_tags_of_aws_itself_take_no_room() -> None:
    operator = crowded(49, {}, {"aws:cloudformation:stack-name": "x"})
    operator.converge()
    assert operator.table.tags[OWNER_TAG] == operator.owner


def test_tags_that_do_not_fit_are_told_and_the_others_are_done() -> None:
    operator = crowded(49, {"tags": {"team": "shop"}, "deletionProtection": True})
    operator.converge_or_stand()
    assert operator.table.tags[OWNER_TAG] == operator.owner
    assert operator.table.protected
    synced = condition(report(operator), "Synced")
    assert synced[:2] == (False, "LimitReached")
    assert "Tags team do not fit on table orders" in synced[2]
    assert condition(report(operator), "Ready")[0] is True


# Words of AWS decide what is said


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        (
            "Subscriber limit exceeded: Provisioned throughput for a table exceeds the limit of 40000 ReadCapacityUnits",
            '"Table-level read throughput limit"',
        ),
        (
            "Subscriber limit exceeded: The maximum provisioned write throughput for the account is reached",
            '"Account-level write throughput limit (Provisioned mode)"',
        ),
        (
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day.",
            "a decrease of capacity",
        ),
        ("Subscriber limit exceeded: Only 10 tables can be updated simultaneously", "does not allow this change now"),
    ],
)
def test_a_limit_is_told_by_what_aws_says_it_is(detail: str, words: str) -> None:
    step = Step("dynamodb", "UpdateTable", {"ProvisionedThroughput": {}}, "set provisioned units: table 5/5 to 41000/5")
    met = Trouble(Meaning.BUSY, Reason.LIMIT_REACHED, "A limit.", code="LimitExceededException", detail=detail)
    sentence = _refine(step, met).sentence
    assert words in sentence
    assert ("decrease" in sentence) == ("decrease" in detail)


# What is read


class Gone(ModelAccount):
    """AWS while a table goes: DescribeTable still shows it once, its tags are denied as AWS denies those of a table that is not there."""

    shows = 1

    async def call(self, service: str, operation: str, parameters: Any = None, **more: Any) -> dict[str, Any]:
        if operation == "ListTagsOfResource":
            refused = {"Error": {"Code": "AccessDeniedException", "Message": "User: x is not authorized to perform"}}
            raise trouble(ClientError(refused, operation), service, operation)  # type: ignore[arg-type]
        if operation == "DescribeTable":
            self.shows -= 1
            if self.shows < 0:
                self.aws.tables.clear()
        return await super().call(service, operation, parameters, **more)


@pytest.mark.parametrize("absent", [False, True])
@virtual
async def test_before_rights_are_blamed_it_is_looked_whether_the_table_is_there(absent: bool) -> None:
    operator = settled({"tags": {"team": "shop"}})
    if absent:
        operator.delete()
    operator.status = {**operator.status, "conditions": []}
    desired = operator.desired()
    observed = await Observer(Gone(operator.aws)).observe(desired, Memory(), Look())  # type: ignore[arg-type]
    assert observed.table is None
    assert observed.unread == ()


@virtual
async def test_rights_are_blamed_where_the_table_is_there() -> None:
    operator = settled({"tags": {"team": "shop"}})
    operator.status = {**operator.status, "conditions": []}
    account = Gone(operator.aws)
    account.shows = 9
    observed = await Observer(account).observe(operator.desired(), Memory(), Look())  # type: ignore[arg-type]
    assert observed.table is not None
    assert [reason for reason, _ in observed.unread] == ["AccessDenied"]


@virtual
async def test_a_forced_look_reads_the_key_anew() -> None:
    operator = settled({"encryption": {"kmsKey": "alias/orders"}})
    observer = Observer(ModelAccount(operator.aws))  # type: ignore[arg-type]
    memory, desired = Memory(), operator.desired()
    await observer.observe(desired, memory, Look())
    reads = len(operator.aws.of("DescribeKey"))
    await observer.observe(desired, memory, Look())
    assert len(operator.aws.of("DescribeKey")) == reads
    await observer.observe(desired, memory, Look(fresh=True))
    assert len(operator.aws.of("DescribeKey")) == reads + 1


@virtual
async def test_a_forced_look_without_tokens_for_the_tags_leaves_them_to_the_next_one() -> None:
    """Many objects are forced at once: their tags are read as AWS's limit allows, and until then nothing is taken to be in sync."""
    operator = settled({"tags": {"team": "shop"}})
    account = ModelAccount(operator.aws)
    observer = Observer(account)  # type: ignore[arg-type]
    memory, desired = Memory(), operator.desired()
    account.poor = True
    for look in (Look(fresh=True, priority=Priority.BACKGROUND), Look(priority=Priority.BACKGROUND)):
        observed = await observer.observe(desired, memory, look)
        assert observed.partial
        assert observed.unread == (), "what is not read yet is not what AWS lacks"
    account.poor = False
    observed = await observer.observe(desired, memory, Look(priority=Priority.BACKGROUND))
    assert not observed.partial
    assert observed.tags is not None
    assert observed.tags["team"] == "shop"


@virtual
async def test_leftovers_of_application_auto_scaling_that_may_not_be_listed_keep_nothing_back() -> None:
    operator = settled({"capacity": SCALED})

    def deny(operation: str, parameters: Any) -> None:
        if operation == "DescribeScheduledActions":
            refuse("AccessDeniedException", "", operation)

    operator.aws.faults.append(deny)
    observed = await Observer(ModelAccount(operator.aws)).observe(operator.desired(), Memory(), Look())  # type: ignore[arg-type]
    assert [t.tracking is not None for t in observed.scaling or ()] == [True, True]
    assert observed.unread == ()
