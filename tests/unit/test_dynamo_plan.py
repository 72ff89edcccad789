"""Field by field: what an edit of the spec, or somebody else's change, becomes."""

from __future__ import annotations

from typing import Any

import pytest
from dynamo_model import Aws
from dynamo_specs import POLICY
from dynamo_world import Operator, key_of, manifest, only, planned, settled

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.dynamo.state import Observed
from penstock.engine.plan import Effect, When

ON_DEMAND = {"mode": "OnDemand"}
UNITS = {"mode": "Provisioned", "read": {"units": 5}, "write": {"units": 4}}
SCALED = {"mode": "Provisioned", "read": {"units": 6, "min": 5, "max": 50}, "write": {"units": 4}}
INDEX = {"name": "by-status", "partition": {"name": "status", "type": "String"}, "projection": {"type": "All"}}
UNITS_INDEX = {**INDEX, "capacity": {"read": {"units": 2}, "write": {"units": 2}}}


def gsi(**change: Any) -> dict[str, Any]:
    return {"GlobalSecondaryIndexUpdates": [change]}


# name: before, after, operation, parameters (without the table's name), words of the summary, effect
EDITS: dict[str, tuple[dict[str, Any], dict[str, Any], str, dict[str, Any], str, Effect]] = {
    "protect": (
        {},
        {"deletionProtection": True},
        "UpdateTable",
        {"DeletionProtectionEnabled": True},
        "turn deletion protection on",
        Effect.IMMEDIATE,
    ),
    "unprotect": (
        {"deletionProtection": True},
        {"deletionProtection": False},
        "UpdateTable",
        {"DeletionProtectionEnabled": False},
        "turn deletion protection off",
        Effect.IMMEDIATE,
    ),
    "to on demand": (
        {"capacity": UNITS},
        {"capacity": ON_DEMAND},
        "UpdateTable",
        {"BillingMode": "PAY_PER_REQUEST"},
        "switch capacity to OnDemand",
        Effect.IMMEDIATE,
    ),
    "to provisioned": (
        {"capacity": ON_DEMAND, "globalIndexes": [INDEX]},
        {"capacity": UNITS, "globalIndexes": [UNITS_INDEX]},
        "UpdateTable",
        {
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 4},
            **gsi(
                Update={
                    "IndexName": "by-status",
                    "ProvisionedThroughput": {"ReadCapacityUnits": 2, "WriteCapacityUnits": 2},
                }
            ),
        },
        "switch capacity to Provisioned",
        Effect.IMMEDIATE,
    ),
    "units": (
        {"capacity": UNITS},
        {"capacity": {**UNITS, "read": {"units": 9}}},
        "UpdateTable",
        {"ProvisionedThroughput": {"ReadCapacityUnits": 9, "WriteCapacityUnits": 4}},
        "set provisioned units: table 5/4 to 9/4 read/write",
        Effect.IMMEDIATE,
    ),
    "units of an index": (
        {"capacity": UNITS, "globalIndexes": [UNITS_INDEX]},
        {"capacity": UNITS, "globalIndexes": [{**INDEX, "capacity": {"read": {"units": 2}, "write": {"units": 8}}}]},
        "UpdateTable",
        gsi(
            Update={
                "IndexName": "by-status",
                "ProvisionedThroughput": {"ReadCapacityUnits": 2, "WriteCapacityUnits": 8},
            }
        ),
        "index by-status 2/2 to 2/8",
        Effect.IMMEDIATE,
    ),
    "caps": (
        {"capacity": ON_DEMAND},
        {"capacity": {**ON_DEMAND, "maxReadUnits": 100, "maxWriteUnits": 50}},
        "UpdateTable",
        {"OnDemandThroughput": {"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": 50}},
        "set on-demand caps: table none/none to 100/50 read/write",
        Effect.IMMEDIATE,
    ),
    "no cap any more": (
        {"capacity": {**ON_DEMAND, "maxReadUnits": 100}},
        {"capacity": {**ON_DEMAND, "maxReadUnits": -1}},
        "UpdateTable",
        {"OnDemandThroughput": {"MaxReadRequestUnits": -1}},
        "table 100/none to none/none",
        Effect.IMMEDIATE,
    ),
    "caps of an index": (
        {"capacity": ON_DEMAND, "globalIndexes": [INDEX]},
        {"capacity": ON_DEMAND, "globalIndexes": [{**INDEX, "capacity": {"maxWriteUnits": 7}}]},
        "UpdateTable",
        gsi(Update={"IndexName": "by-status", "OnDemandThroughput": {"MaxWriteRequestUnits": 7}}),
        "index by-status none/none to none/7",
        Effect.IMMEDIATE,
    ),
    "warm throughput": (
        {},
        {"warmThroughput": {"readUnits": 20000}},
        "UpdateTable",
        {"WarmThroughput": {"ReadUnitsPerSecond": 20000, "WriteUnitsPerSecond": 4000}},
        "raise warm throughput of table",
        Effect.IMMEDIATE,
    ),
    "warm throughput of an index": (
        {"globalIndexes": [INDEX]},
        {"globalIndexes": [{**INDEX, "warmThroughput": {"writeUnits": 9000}}]},
        "UpdateTable",
        gsi(
            Update={
                "IndexName": "by-status",
                "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 9000},
            }
        ),
        "raise warm throughput of index by-status",
        Effect.IMMEDIATE,
    ),
    "a customer key": (
        {},
        {"encryption": {"kmsKey": "alias/orders"}},
        "UpdateTable",
        {"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/orders"}},
        "encrypt with alias/orders",
        Effect.IMMEDIATE,
    ),
    "another customer key": (
        {"encryption": {"kmsKey": "alias/orders"}},
        {"encryption": {"kmsKey": "alias/other"}},
        "UpdateTable",
        {"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/other"}},
        "encrypt with alias/other",
        Effect.IMMEDIATE,
    ),
    "the AWS managed key": (
        {"encryption": {"kmsKey": "alias/orders"}},
        {"encryption": {"kmsKey": "alias/aws/dynamodb"}},
        "UpdateTable",
        {"SSESpecification": {"Enabled": True, "SSEType": "KMS"}},
        "encrypt with the AWS managed key",
        Effect.IMMEDIATE,
    ),
    "the AWS owned key": (
        {"encryption": {"kmsKey": "alias/orders"}},
        {"encryption": {}},
        "UpdateTable",
        {"SSESpecification": {"Enabled": False}},
        "encrypt with the AWS owned key",
        Effect.IMMEDIATE,
    ),
    "table class": (
        {},
        {"tableClass": "StandardInfrequentAccess"},
        "UpdateTable",
        {"TableClass": "STANDARD_INFREQUENT_ACCESS"},
        "change the table class to StandardInfrequentAccess",
        Effect.IMMEDIATE,
    ),
    "stream on": (
        {},
        {"stream": {"view": "NewAndOldImages"}},
        "UpdateTable",
        {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}},
        "turn on the stream with NEW_AND_OLD_IMAGES",
        Effect.IMMEDIATE,
    ),
    "stream off": (
        {"stream": {"view": "KeysOnly"}},
        {"stream": {"enabled": False}},
        "UpdateTable",
        {"StreamSpecification": {"StreamEnabled": False}},
        "turn off the stream",
        Effect.IMMEDIATE,
    ),
    "another view": (
        {"stream": {"view": "KeysOnly"}},
        {"stream": {"view": "NewImage"}},
        "UpdateTable",
        {"StreamSpecification": {"StreamEnabled": False}},
        "turned on again with the other view, as a new stream",
        Effect.REPLACE,
    ),
    "a new index": (
        {},
        {"globalIndexes": [{**INDEX, "projection": {"type": "Include", "attributes": ["b", "a"]}}]},
        "UpdateTable",
        {
            **gsi(
                Create={
                    "IndexName": "by-status",
                    "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]},
                }
            ),
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "N"},
                {"AttributeName": "status", "AttributeType": "S"},
            ],
        },
        "create index by-status",
        Effect.IMMEDIATE,
    ),
    "one index less": (
        {"globalIndexes": [INDEX]},
        {"globalIndexes": []},
        "UpdateTable",
        gsi(Delete={"IndexName": "by-status"}),
        "delete index by-status",
        Effect.DESTROY,
    ),
    "ttl on": (
        {},
        {"ttl": {"attribute": "exp"}},
        "UpdateTimeToLive",
        {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "exp"}},
        "turn TTL on (exp)",
        Effect.IMMEDIATE,
    ),
    "ttl off": (
        {"ttl": {"attribute": "exp"}},
        {"ttl": {"attribute": "exp", "enabled": False}},
        "UpdateTimeToLive",
        {"TimeToLiveSpecification": {"Enabled": False, "AttributeName": "exp"}},
        "turn TTL off (exp)",
        Effect.IMMEDIATE,
    ),
    "ttl of another attribute": (
        {"ttl": {"attribute": "exp"}},
        {"ttl": {"attribute": "due"}},
        "UpdateTimeToLive",
        {"TimeToLiveSpecification": {"Enabled": False, "AttributeName": "exp"}},
        "turned on again for due, after AWS's hour",
        Effect.IMMEDIATE,
    ),
    "recovery on": (
        {"pointInTimeRecovery": {"enabled": False}},
        {},
        "UpdateContinuousBackups",
        {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}},
        "turn point-in-time recovery on",
        Effect.IMMEDIATE,
    ),
    "recovery off": (
        {},
        {"pointInTimeRecovery": {"enabled": False}},
        "UpdateContinuousBackups",
        {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}},
        "turn point-in-time recovery off",
        Effect.IMMEDIATE,
    ),
    "recovery days": (
        {},
        {"pointInTimeRecovery": {"days": 7}},
        "UpdateContinuousBackups",
        {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7}},
        "turn point-in-time recovery on for 7 days",
        Effect.IMMEDIATE,
    ),
    "insights on": (
        {},
        {"contributorInsights": True},
        "UpdateContributorInsights",
        {"ContributorInsightsAction": "ENABLE"},
        "turn Contributor Insights on",
        Effect.IMMEDIATE,
    ),
    "insights of an index off": (
        {"globalIndexes": [{**INDEX, "contributorInsights": True}]},
        {"globalIndexes": [{**INDEX, "contributorInsights": False}]},
        "UpdateContributorInsights",
        {"ContributorInsightsAction": "DISABLE", "IndexName": "by-status"},
        "turn Contributor Insights off for index by-status",
        Effect.IMMEDIATE,
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_becomes_one_step(name: str) -> None:
    before, after, operation, parameters, words, effect = EDITS[name]
    operator = settled(before)
    operator.edit(manifest(after)["spec"])
    step = only(planned(operator))
    assert step.operation == operation
    assert {k: v for k, v in step.parameters.items() if k != "TableName"} == parameters
    assert step.parameters["TableName"] == "orders"
    assert words in step.summary
    assert (step.effect, step.when) == (effect, When.NOW)
    assert step.drift == "", "an edit is no drift"


@pytest.mark.parametrize("name", EDITS)
def test_leaving_a_field_out_again_changes_nothing(name: str) -> None:
    _, after, *_ = EDITS[name]
    if name == "recovery off":
        pytest.skip("without the field point-in-time recovery is on, as the API says")
    operator = settled(after)
    operator.edit(manifest()["spec"])
    assert planned(operator).empty


def test_tags_are_set_and_removed_by_their_own_calls() -> None:
    operator = settled({"tags": {"team": "shop", "env": "prod", "old": "x"}})
    operator.edit(manifest(tags={"team": "shop", "env": "test", "new": "y"})["spec"])
    change, removal = planned(operator).steps
    assert (change.operation, change.parameters["Tags"]) == (
        "TagResource",
        [{"Key": "env", "Value": "test"}, {"Key": "new", "Value": "y"}],
    )
    assert change.parameters["ResourceArn"] == operator.table.arn
    assert (removal.operation, removal.parameters["TagKeys"]) == ("UntagResource", ["old"])


def test_a_policy_is_put_and_deleted_and_its_spelling_does_not_matter() -> None:
    operator = settled({"resourcePolicy": POLICY})
    operator.table.policy = operator.table.policy.replace(",", " ,\n ")
    assert planned(operator).empty
    operator.edit(manifest(resourcePolicy={})["spec"])
    assert only(planned(operator)).operation == "DeleteResourcePolicy"
    operator.converge()
    operator.edit(manifest(resourcePolicy=POLICY)["spec"])
    assert only(planned(operator)).operation == "PutResourcePolicy"


def test_autoscaling_is_registered_followed_and_taken_away() -> None:
    operator = settled({"capacity": UNITS})
    operator.edit(manifest(capacity=SCALED)["spec"])
    plan = planned(operator)
    assert [s.operation for s in plan.steps] == ["RegisterScalableTarget", "PutScalingPolicy"]
    register, follow = plan.steps
    assert register.parameters == {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/orders",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
        "MinCapacity": 5,
        "MaxCapacity": 50,
    }
    configuration = follow.parameters["TargetTrackingScalingPolicyConfiguration"]
    assert configuration["TargetValue"] == 70.0
    assert configuration["PredefinedMetricSpecification"] == {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"}
    operator.converge()
    operator.table.units = (33, 4)
    assert planned(operator).empty, "autoscaling owns the units"
    operator.edit(manifest(capacity={**SCALED, "read": {"min": 5, "max": 60, "targetUtilization": 50}})["spec"])
    assert [s.operation for s in planned(operator).steps] == ["RegisterScalableTarget", "PutScalingPolicy"]
    operator.converge()
    operator.edit(manifest(capacity={**UNITS, "read": {"units": 33}})["spec"])
    assert only(planned(operator)).operation == "DeregisterScalableTarget"


# What somebody else changed: the field on the model, the words of the Event


DRIFTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "protection": (
        {"deletionProtection": True},
        {"protected": False},
        "Deletion protection was off and is set back to on.",
    ),
    "class": ({"tableClass": "Standard"}, {"table_class": "STANDARD_INFREQUENT_ACCESS"}, "set back to STANDARD"),
    "stream": ({"stream": {"view": "NewImage"}}, {"stream": ""}, "The stream was off and is set back to NEW_IMAGE"),
    "ttl": ({"ttl": {"attribute": "exp"}}, {"ttl_status": "DISABLED"}, "TTL was off and is set back to on (exp)"),
    "recovery": ({}, {"pitr": False}, "Point-in-time recovery was off and is set back to on"),
    "units": ({"capacity": UNITS}, {"units": (1, 4)}, "changed by somebody else and are set back: table 1/4 to 5/4"),
    "mode": ({"capacity": ON_DEMAND}, {"billing": "PROVISIONED", "units": (1, 1)}, "Capacity mode was Provisioned"),
    "caps": ({"capacity": {**ON_DEMAND, "maxReadUnits": 9}}, {"caps": (-1, -1)}, "On-demand caps were changed"),
    "key": ({"encryption": {"kmsKey": "alias/orders"}}, {"key": ""}, "The encryption key was the AWS owned key"),
    "policy": ({"resourcePolicy": POLICY}, {"policy": ""}, "The resource policy was gone"),
    "insights": ({"contributorInsights": True}, {"insights": {}}, "Contributor Insights was disabled"),
    "index": ({"globalIndexes": [INDEX]}, {"indexes": {}, "types": {"pk": "S", "sk": "N"}}, "Index by-status was gone"),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_somebody_elses_change_is_taken_back_and_told(name: str) -> None:
    spec, change, words = DRIFTS[name]
    operator = settled(spec)
    vars(operator.table).update(change)
    step = only(planned(operator))
    assert words in step.drift
    assert step.when is When.NOW
    operator.converge()
    assert planned(operator).empty


def test_a_tag_that_somebody_changed_is_told_with_before_and_after() -> None:
    operator = settled({"tags": {"team": "shop"}})
    operator.table.tags["team"] = "other"
    assert "team=other and is set back to team=shop" in only(planned(operator)).drift


@pytest.mark.parametrize("name", DRIFTS)
def test_a_change_of_a_field_that_the_spec_leaves_out_is_left_alone(name: str) -> None:
    _, change, _ = DRIFTS[name]
    if name == "recovery":
        pytest.skip("managed even when left out")
    operator = settled({})
    vars(operator.table).update(change)
    assert planned(operator).empty


def test_warm_throughput_that_aws_raised_by_itself_is_as_asked() -> None:
    operator = settled({"warmThroughput": {"readUnits": 13000, "writeUnits": 4000}})
    operator.table.warm = (90000, 90000)
    assert planned(operator).empty


def test_caps_of_an_index_are_held_where_the_capacity_of_the_table_is_not_managed() -> None:
    capped = {**INDEX, "capacity": {"maxReadUnits": 10}}
    operator = settled({"globalIndexes": [capped]})
    operator.edit(manifest(globalIndexes=[{**INDEX, "capacity": {"maxReadUnits": 20}}])["spec"])
    assert only(planned(operator)).summary == "set on-demand caps: index by-status 10/none to 20/none read/write"


# Creation


def test_a_table_is_made_with_everything_that_one_call_can_carry() -> None:
    spec = {
        "capacity": {**ON_DEMAND, "maxReadUnits": 10, "maxWriteUnits": -1},
        "globalIndexes": [INDEX],
        "localIndexes": [
            {"name": "by-total", "sort": {"name": "total", "type": "Number"}, "projection": {"type": "KeysOnly"}}
        ],
        "stream": {"view": "KeysOnly"},
        "encryption": {"kmsKey": "alias/orders"},
        "tableClass": "StandardInfrequentAccess",
        "deletionProtection": True,
        "warmThroughput": {"readUnits": 13000},
        "resourcePolicy": POLICY,
        "tags": {"team": "shop"},
        "ttl": {"attribute": "exp"},
        "contributorInsights": True,
        "pointInTimeRecovery": {"days": 7},
    }
    aws = Aws()
    aws.keys["alias/orders"] = "Enabled"
    operator = Operator(aws, manifest(spec))
    plan = planned(operator)
    first, *later = plan.steps
    assert first.operation == "CreateTable"
    body = first.parameters
    assert body["OnDemandThroughput"] == {"MaxReadRequestUnits": 10}, "there is no cap to take away yet"
    assert [i["IndexName"] for i in body["GlobalSecondaryIndexes"]] == ["by-status"]
    assert [i["IndexName"] for i in body["LocalSecondaryIndexes"]] == ["by-total"]
    assert body["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    assert body["SSESpecification"]["KMSMasterKeyId"] == "alias/orders"
    assert (body["TableClass"], body["DeletionProtectionEnabled"]) == ("STANDARD_INFREQUENT_ACCESS", True)
    assert {t["Key"]: t["Value"] for t in body["Tags"]} == {"team": "shop", OWNER_TAG: operator.owner}
    assert [d["AttributeName"] for d in body["AttributeDefinitions"]] == ["pk", "sk", "status", "total"]
    assert (first.when, first.effect, first.told) == (
        When.NOW,
        Effect.IMMEDIATE,
        ("Creating", "Creating table orders (on demand, 1 global index, 1 local index)."),
    )
    assert {s.operation for s in later} == {"UpdateContinuousBackups", "UpdateTimeToLive", "UpdateContributorInsights"}
    assert {s.when for s in later} == {When.LATER}
    operator.converge()
    assert aws.writes.count("CreateTable") == 1
    assert len(aws.writes) == 4, "nothing that the first call carried is said again"


def test_a_provisioned_table_is_made_with_units() -> None:
    operator = Operator(Aws(), manifest(capacity=SCALED, globalIndexes=[UNITS_INDEX]))
    body = planned(operator).steps[0].parameters
    assert body["BillingMode"] == "PROVISIONED"
    assert body["ProvisionedThroughput"] == {"ReadCapacityUnits": 6, "WriteCapacityUnits": 4}
    assert body["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"] == {
        "ReadCapacityUnits": 2,
        "WriteCapacityUnits": 2,
    }


def test_a_table_that_somebody_deleted_is_made_again_and_told() -> None:
    operator = settled({})
    operator.aws.tables.clear()
    step = planned(operator).steps[0]
    assert step.told is not None
    assert step.told[0] == "Recreating"
    assert "was gone" in step.told[1]


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion", "Missing", "PendingImport"])
def test_a_key_that_cannot_be_used_is_told_before_aws_is_asked(state: str) -> None:
    aws = Aws()
    operator = Operator(aws, manifest(encryption={"kmsKey": "alias/orders"}))
    plan = operator.kind.plan(operator.desired(), Observed(kms=key_of(state)), aws.clock())
    assert plan.steps == ()
    (refusal,) = plan.refusals
    assert refusal.reason == Reason.WAITING_FOR_DEPENDENCY
    assert "alias/orders" in refusal.sentence
    assert {"Disabled": "enable it", "PendingDeletion": "cancel", "Missing": "create it", "PendingImport": "enable"}[
        state
    ] in refusal.sentence


def test_a_key_that_cannot_be_used_keeps_nothing_else_of_a_table_from_being_done() -> None:
    operator = settled({"encryption": {"kmsKey": "alias/orders"}})
    operator.edit(manifest(encryption={"kmsKey": "alias/other"}, ttl={"attribute": "exp"})["spec"])
    operator.aws.keys["alias/other"] = "Disabled"
    plan = planned(operator)
    assert [s.operation for s in plan.steps] == ["UpdateTimeToLive"]
    assert "alias/other is disabled" in plan.refusals[0].sentence


RESTORES = {
    "backup": (
        {"backupArn": "arn:aws:dynamodb:us-east-1:123456789012:table/old/backup/01489602797149-73d8d5bc"},
        "RestoreTableFromBackup",
        {"BackupArn": "arn:aws:dynamodb:us-east-1:123456789012:table/old/backup/01489602797149-73d8d5bc"},
    ),
    "latest": (
        {"tableName": "old"},
        "RestoreTableToPointInTime",
        {"SourceTableName": "old", "UseLatestRestorableTime": True},
    ),
    "time": (
        {"tableName": "old", "time": "2026-11-01T12:00:00Z"},
        "RestoreTableToPointInTime",
        {"SourceTableName": "old", "RestoreDateTime": "2026-11-01T12:00:00Z"},
    ),
}


@pytest.mark.parametrize("name", RESTORES)
def test_a_restore_names_its_source_and_leaves_word_first(name: str) -> None:
    source, operation, parameters = RESTORES[name]
    aws = Aws()
    aws.keys["alias/orders"] = "Enabled"
    spec = {"restoreFrom": source, "capacity": UNITS, "encryption": {"kmsKey": "alias/orders"}}
    step = planned(Operator(aws, manifest(spec))).steps[0]
    assert step.operation == operation
    assert step.parameters == {
        "TargetTableName": "orders",
        "SSESpecificationOverride": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/orders"},
        **parameters,
    }
    assert step.intent is not None
    assert step.intent["restore"]["source"] in source.values()
