"""Tables that somebody else made, changes, restores or wants too: by object, by hand, by name."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from declared import Declared, adoptable_by, apply_all, client, fault, index
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

READ, WRITE = "dynamodb:table:ReadCapacityUnits", "dynamodb:table:WriteCapacityUnits"
PROVISIONED = {
    "BillingMode": "PROVISIONED",
    "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
}


def by_hand(table: Declared, attributes: str = "id", **more: Any) -> Declared:
    """The table as somebody with a console makes it."""
    table.dynamodb.create_table(
        **{
            "TableName": table.table,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in attributes.split()],
            "BillingMode": "PAY_PER_REQUEST",
            "Tags": adoptable_by(table.namespace),
            **more,
        }
    )
    return table.until(lambda: table.aws["TableStatus"] == "ACTIVE")


def scaling(lab: Lab) -> Any:
    return client(lab.aws_url, "application-autoscaling")


def console(table: Declared, direction: str) -> str:
    """Autoscaling as the console sets it up; the name of its policy."""
    where = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": f"table/{table.table}",
        "ScalableDimension": f"dynamodb:table:{direction}CapacityUnits",
    }
    scaling(table.lab).register_scalable_target(**where, MinCapacity=5, MaxCapacity=50)
    metric = f"DynamoDB{direction}CapacityUtilization"
    name = f"{metric}:table/{table.table}"
    scaling(table.lab).put_scaling_policy(
        **where,
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 50.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            "ScaleInCooldown": 45,
        },
    )
    return name


def policies(table: Declared) -> dict[str, float]:
    answer = scaling(table.lab).describe_scaling_policies(
        ServiceNamespace="dynamodb", ResourceId=f"table/{table.table}"
    )
    return {
        p["PolicyName"]: p["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] for p in answer["ScalingPolicies"]
    }


# Autoscaling


@scenario
def test_the_consoles_autoscaling_is_taken_over_in_place(lab: Lab, namespace: str) -> None:
    range_ = {"min": 5, "max": 100, "targetUtilization": 70}
    spec = {"adopt": True, "capacity": {"mode": "Provisioned", "read": range_, "write": range_}}
    table = by_hand(Declared(lab, namespace, spec, apply=False), **PROVISIONED)
    names = [console(table, direction) for direction in ("Read", "Write")]
    table.apply().settled()
    assert policies(table) == dict.fromkeys(names, 70.0)
    assert table.aws_scaling == {" ReadCapacityUnits": (5, 100), " WriteCapacityUnits": (5, 100)}
    puts = table.writes().count("PutScalingPolicy")
    table.look().look().settled()
    assert table.writes().count("PutScalingPolicy") == puts


@scenario
def test_autoscaling_that_the_spec_does_not_name_is_left_alone(lab: Lab, namespace: str) -> None:
    capacity = {"mode": "Provisioned", "read": {"units": 9}, "write": {"units": 7}}
    table = by_hand(Declared(lab, namespace, {"adopt": True, "capacity": capacity}, apply=False), **PROVISIONED)
    name = console(table, "Read")
    told = table.apply().wait("Synced", "False", words="autoscaling that is not in the spec moves them")
    assert told["message"].startswith(f"Read units of table {table.table} are 5, not 9")
    table.wait("Ready")
    throughput = table.aws["ProvisionedThroughput"]
    assert (throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]) == (5, 7)
    assert policies(table) == {name: 50.0}
    table.edit(capacity=None).settled()
    assert policies(table) == {name: 50.0}


@scenario
def test_autoscaling_that_aws_denies_leaves_the_table_ready(lab: Lab, namespace: str) -> None:
    capacity = {"mode": "Provisioned", "read": {"min": 2, "max": 9}, "write": {"units": 2}}
    table = Declared(lab, namespace, {"capacity": capacity}, apply=False)
    with fault(lab, kind="deny", operation="RegisterScalableTarget", key=table.table):
        table.apply().wait("Synced", "False", reason="AccessDenied")
        table.wait("Ready")
    table.look().settled()


# What is for ever


@scenario
def test_an_index_of_several_attributes_is_named_and_left_alone(lab: Lab, namespace: str) -> None:
    spec = {"adopt": True, "globalIndexes": [index("by-region", "region")]}
    table = Declared(lab, namespace, spec, apply=False)
    roles = (("tournament", "HASH"), ("region", "HASH"), ("round", "RANGE"), ("match", "RANGE"))
    schema = [{"AttributeName": name, "KeyType": role} for name, role in roles]
    keys = {"IndexName": "by-region", "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}
    by_hand(table, "id tournament region round match", GlobalSecondaryIndexes=[keys])
    told = table.apply().wait("Synced", "False", reason="Invalid")
    assert "(tournament (S), region (S); round (S), match (S)), which Penstock does not support yet" in told["message"]
    assert table.aws_indexes["by-region"]["KeySchema"] == schema
    table.edit(globalIndexes=[index("by-city", "city")]).settled(60)
    assert table.aws_indexes["by-region"]["KeySchema"] == schema
    assert "index by-region is not in the spec and is left alone" in table.condition("Synced")["message"]


@scenario
def test_local_indexes_of_another_type_are_not_adopted(lab: Lab, namespace: str) -> None:
    local = {"name": "by-day", "sort": {"name": "day", "type": "Number"}, "projection": {"type": "All"}}
    key = {"partition": {"name": "id", "type": "String"}, "sort": {"name": "at", "type": "String"}}
    table = Declared(lab, namespace, {"adopt": True, "key": key, "localIndexes": [local]}, apply=False)
    schema = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]
    ours = [schema[0], {"AttributeName": "day", "KeyType": "RANGE"}]
    by_hand(
        table,
        "id at day",
        KeySchema=schema,
        LocalSecondaryIndexes=[{"IndexName": "by-day", "KeySchema": ours, "Projection": {"ProjectionType": "ALL"}}],
    )
    written = table.writes()
    told = table.apply().wait("Ready", "False", reason="Invalid")["message"]
    assert "(by-day: id (S) + day (S), ALL) than spec.localIndexes (by-day: id (S) + day (N), ALL)" in told
    assert table.writes() == written


@scenario
def test_what_aws_refuses_can_be_edited_until_the_table_exists(lab: Lab, namespace: str) -> None:
    taken = by_hand(Declared(lab, namespace, apply=False, name="taken"))
    table = Declared(lab, namespace, table=taken.table, name="late")
    table.wait("Ready", "False", reason="AlreadyExists")
    table.table = f"{taken.table}-free"
    key = {"partition": {"name": "at", "type": "String"}}
    table.edit(tableName=table.table, key=key).settled()
    assert table.aws["KeySchema"][0]["AttributeName"] == "at"
    with pytest.raises(Exception, match="the key of a table is for ever"):
        table.edit(key={"partition": {"name": "id", "type": "String"}})
    assert "penstock.dev/owner" not in taken.aws_tags


@scenario
def test_what_was_to_be_restored_is_made_empty_with_consent_only(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"restoreFrom": {"tableName": f"{namespace}-typo"}})
    table.wait("Ready", "False", words=f"{namespace}-typo")
    table.edit(restoreFrom=None)
    told = table.wait("Ready", "False", reason="WaitingForConsent")
    assert f"was removed before table {table.table} was restored from {namespace}-typo" in told["message"]
    table.look()
    assert not table.exists
    table.annotate("approve", table.plan["hash"]).settled()


# One name and several objects


def _pair(lab: Lab, namespace: str, spec: dict[str, Any], table: str = "") -> tuple[Declared, Declared]:
    """Two objects of two namespaces that name one table; the namespaces' names run into each other."""
    other = f"{namespace}-b"
    lab.kubectl("create", "namespace", other)
    name = table or f"{namespace}-{uuid.uuid4().hex[:6]}"
    first, second = (
        Declared(lab, n, {**spec, "tags": {f"by-{n}": "x"}}, name=o, table=name, apply=False)
        for n, o in ((namespace, "b-c"), (other, "c"))
    )
    return first, second


def _decided(pair: tuple[Declared, Declared]) -> tuple[Declared, Declared]:
    """The winner and the loser, once both have come to an end."""
    for one in pair:
        one.uid = one.object["metadata"]["uid"]
    pair[0].until(lambda: sorted(t.condition()["status"] for t in pair) == ["False", "True"], "one has it", 60)
    loser, winner = sorted(pair, key=lambda t: t.condition()["status"])
    winner.settled()
    loser.wait("Ready", "False", reason="NotOwned", timeout=90)
    return winner, loser


@scenario
def test_two_that_are_applied_together_and_a_winner_that_retains(lab: Lab, namespace: str) -> None:
    pair = _pair(lab, namespace, {"deletionPolicy": "Retain", "ttl": {"attribute": "until"}})
    apply_all(lab, pair)
    winner, loser = _decided(pair)
    assert f"by-{loser.namespace}" not in winner.aws_tags
    written = len(winner.writes())
    loser.edit(ttl={"attribute": "other"}, contributorInsights=True, deletionProtection=True).look()
    assert len(winner.writes()) == written
    winner.delete().gone()
    loser.look().wait("Ready", "False", reason="AlreadyExists")
    assert f"by-{loser.namespace}" not in loser.aws_tags
    loser.delete().gone()
    assert loser.exists
    lab.kubectl("delete", "namespace", pair[1].namespace, "--wait=false")


@scenario
def test_two_that_take_over_one_table_together(lab: Lab, namespace: str) -> None:
    pair = _pair(lab, namespace, {"adopt": True, "deletionPolicy": "Retain"})
    names = f"{pair[0].namespace} {pair[1].namespace}"
    by_hand(pair[0], Tags=[{"Key": "penstock.dev/adoptable-by", "Value": names}])
    apply_all(lab, pair)
    winner, loser = _decided(pair)
    assert set(winner.aws_tags) == {"penstock.dev/owner", "penstock.dev/adoptable-by", f"by-{winner.namespace}"}
    assert winner.aws_tags["penstock.dev/owner"].endswith(winner.uid)
    loser.delete().gone()
    winner.look().settled()
    lab.kubectl("delete", "namespace", pair[1].namespace, "--wait=false")


@scenario
def test_two_that_restore_into_one_name_together(lab: Lab, namespace: str) -> None:
    source = Declared(lab, namespace, {"pointInTimeRecovery": {}}, name="source").settled()
    arn, names = source.aws["TableArn"], f"{namespace} {namespace}-b"
    source.dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "penstock.dev/adoptable-by", "Value": names}])
    pair = _pair(lab, namespace, {"restoreFrom": {"tableName": source.table}})
    apply_all(lab, pair)
    winner, loser = _decided(pair)
    assert f"by-{loser.namespace}" not in winner.aws_tags
    loser.delete().gone()
    winner.look().settled()
    lab.kubectl("delete", "namespace", pair[1].namespace, "--wait=false")


# Deleted outside, and made again under the same name


@scenario
def test_a_stranger_under_the_name_stays_when_the_object_goes(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"tags": {"team": "shop"}}).settled()
    backup = table.dynamodb.create_backup(TableName=table.table, BackupName="mine")["BackupDetails"]["BackupArn"]
    before = table.status["tableId"]
    table.annotate("mode", "Paused").wait("Synced", "False", reason="Paused")
    table.by_hand("delete_table")
    table.until(lambda: not table.exists)
    table.dynamodb.restore_table_from_backup(TargetTableName=table.table, BackupArn=backup)
    table.until(lambda: table.aws["TableStatus"] == "ACTIVE", "restored by hand")
    table.annotate("mode", None)
    told = table.wait("Ready", "False", reason="AlreadyExists")["message"]
    assert f"AWS's id of it is {table.aws['TableId']}, not {before}" in told
    written = len(table.writes())
    table.look()
    assert len(table.writes()) == written
    assert table.aws_tags == {}
    table.delete().gone()
    assert table.exists


# Tags, quotas and keys


@scenario
def test_a_table_without_room_for_the_mark_is_not_taken_over(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"adopt": True, "deletionProtection": True}, apply=False)
    tags = [*adoptable_by(namespace), *({"Key": f"t{n}", "Value": "x"} for n in range(49))]
    by_hand(table, Tags=tags)
    written = table.writes()
    told = table.apply().wait("Ready", "False", reason="LimitReached")["message"]
    assert "there is no room for penstock.dev/owner" in told
    assert table.writes() == written
    table.dynamodb.untag_resource(ResourceArn=table.aws["TableArn"], TagKeys=["t7"])
    table.look().settled()
    table.edit(deletionProtection=False).settled()


@scenario
def test_units_over_a_quota_are_told_as_such(lab: Lab, namespace: str) -> None:
    capacity = {"mode": "Provisioned", "read": {"units": 5}, "write": {"units": 5}}
    table = Declared(lab, namespace, {"capacity": capacity}).settled()
    table.edit(capacity={**capacity, "read": {"units": 41_000}})
    told = table.wait("Synced", "False", reason="LimitReached")["message"]
    assert '"Table-level read throughput limit"' in told
    assert "decrease" not in told
    table.wait("Ready")


@scenario
def test_an_alias_that_points_to_another_key_is_seen_when_asked_for(lab: Lab, namespace: str) -> None:
    kms, alias = client(lab.aws_url, "kms"), f"alias/{namespace}"
    first, second = (kms.create_key()["KeyMetadata"] for _ in range(2))
    kms.create_alias(AliasName=alias, TargetKeyId=first["KeyId"])
    table = Declared(lab, namespace, {"encryption": {"kmsKey": alias}}).settled()
    assert table.aws["SSEDescription"]["KMSMasterKeyArn"] == first["Arn"]
    kms.update_alias(AliasName=alias, TargetKeyId=second["KeyId"])
    table.look()
    table.until(lambda: table.aws["SSEDescription"]["KMSMasterKeyArn"] == second["Arn"], "the other key")
