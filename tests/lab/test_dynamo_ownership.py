"""Whose table it is: names that are taken, adoption, one table and two objects, and letting go."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from declared import Declared, adoptable_by, index, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def made_by_hand(table: Declared, key: str = "id", adoptable: bool = True, **more: Any) -> Declared:
    table.dynamodb.create_table(
        **{
            "TableName": table.table,
            "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "Tags": adoptable_by(table.namespace) if adoptable else [],
            **more,
        }
    )
    return table.until(lambda: table.aws["TableStatus"] == "ACTIVE")


def test_a_name_that_is_taken_is_told_and_never_touched(lab: Lab, namespace: str) -> None:
    table = made_by_hand(Declared(lab, namespace, {"tags": {"team": "shop"}}, apply=False))
    before, made = table.aws, table.writes()
    table.apply()
    told = table.wait("Ready", "False", reason="AlreadyExists")
    assert told["message"] == (
        f"Table {table.table} exists already and was made by somebody else: set spec.adopt: true to take it over, "
        "or delete this object, which leaves the table alone, and make it with another spec.tableName."
    )
    assert table.wait("Stalled", "True", reason="AlreadyExists")
    assert table.condition("Synced")["status"] == "False"
    assert "tableArn" not in table.status, "it is not ours to describe"
    table.until(lambda: table.told("AlreadyExists"), "an Event")
    table.look()
    assert table.writes() == made
    assert table.aws == before
    table.delete().gone()
    assert table.exists
    assert list(table.aws_tags) == ["penstock.dev/adoptable-by"]


def test_adoption_shows_its_plan_first_and_changes_only_what_the_spec_names(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"tags": {"team": "shop"}, "deletionProtection": True, "adopt": True}, apply=False)
    made_by_hand(table, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    table.dynamodb.put_item(TableName=table.table, Item={"id": {"S": "1"}})
    made = len(table.writes())
    table.apply()
    table.wait("Synced", "False", words=f"Taking over table {table.table}: this plan is carried out next.")
    assert table.steps == ["set tags penstock.dev/owner, team", "turn deletion protection on"]
    assert table.writes()[made:] == []
    table.settled()
    assert table.writes()[made:] == ["TagResource", "TagResource", "UpdateTable"], "the mark alone comes first"
    assert table.told("Adopted") == [f"Took over table {table.table}."]
    assert table.aws_tags["penstock.dev/owner"].endswith(f"{namespace}/DynamoTable/orders/{table.uid}")
    assert table.aws["StreamSpecification"]["StreamEnabled"]
    assert table.aws_recovery["PointInTimeRecoveryStatus"] == "DISABLED"
    assert not table.told("DriftCorrected"), "an adoption is no drift"
    assert table.dynamodb.scan(TableName=table.table)["Count"] == 1
    table.edit(deletionProtection=False).settled()


def test_adoption_in_mode_plan_stays_a_plan(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"adopt": True}, annotations={"penstock.dev/mode": "Plan"}, apply=False)
    made_by_hand(table)
    made = table.writes(only_done=False)
    table.apply().until(lambda: table.steps == ["set tags penstock.dev/owner"])
    table.look().look()
    assert table.writes(only_done=False) == made
    assert list(table.aws_tags) == ["penstock.dev/adoptable-by"]


def test_adopting_what_does_not_exist_makes_it(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"adopt": True}).settled()
    assert "CreateTable" in table.writes()


def test_adopting_a_table_with_another_key_is_refused(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"adopt": True, "tags": {"team": "shop"}}, apply=False)
    made_by_hand(table, key="customer")
    made = table.writes()
    told = table.apply().wait("Ready", "False", reason="Invalid")
    assert f"Table {table.table} has the key" in told["message"]
    assert "customer" in told["message"]
    assert "but spec.key says" in told["message"]
    assert table.condition("Stalled")["status"] == "True"
    assert table.writes() == made
    assert list(table.aws_tags) == ["penstock.dev/adoptable-by"]


def test_adopting_a_table_with_other_local_indexes_is_refused(lab: Lab, namespace: str) -> None:
    spec = {
        "adopt": True,
        "key": {"partition": {"name": "id", "type": "String"}, "sort": {"name": "at", "type": "String"}},
        "localIndexes": [{"name": "ours", "sort": {"name": "x", "type": "String"}, "projection": {"type": "All"}}],
    }
    table = Declared(lab, namespace, spec, apply=False)
    made_by_hand(
        table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("id", "at")],
    )
    told = table.apply().wait("Ready", "False", reason="Invalid")
    assert "has other local indexes (none) than spec.localIndexes" in told["message"]


def test_an_adopted_index_that_differs_waits_for_consent(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"adopt": True, "globalIndexes": [index("one", "town")]}, apply=False)
    made_by_hand(
        table,
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("id", "city")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "one",
                "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    table.apply().wait("Synced", "False", reason="WaitingForConsent")
    assert table.aws_indexes["one"]["KeySchema"][0]["AttributeName"] == "city"


def test_one_table_and_two_objects(lab: Lab, namespace: str) -> None:
    first = Declared(lab, namespace, {"tags": {"team": "first"}}).settled()
    second = Declared(lab, namespace, {"tags": {"team": "second"}}, name="second", table=first.table)
    told = second.wait("Ready", "False", reason="NotOwned")
    cluster = first.aws_tags["penstock.dev/owner"].split("/")[0]
    assert told["message"] == (
        f"Table {first.table} belongs to DynamoTable {namespace}/orders of cluster {cluster}: delete that object with "
        "deletionPolicy Retain, or delete this one, which leaves the table alone, and make it with another spec.tableName."
    )
    # Not even adoption takes a table from an object that has it.
    second.edit(adopt=True).look()
    second.wait("Ready", "False", reason="NotOwned")
    first.look().settled()
    assert first.aws_tags["team"] == "first"
    second.delete().gone()
    assert first.exists
    first.settled()


def test_two_objects_that_race_for_a_name(lab: Lab, namespace: str) -> None:
    other = f"{namespace}-b"
    lab.kubectl("create", "namespace", other)
    pair = [Declared(lab, n, {"tags": {"by": n}}, table=f"{namespace}-race", apply=False) for n in (namespace, other)]
    threads = [threading.Thread(target=t.apply) for t in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pair[0].until(lambda: any(t.condition()["status"] == "True" for t in pair), "one is Ready")
    winner, loser = sorted(pair, key=lambda t: t.condition()["status"], reverse=True)
    loser.wait("Ready", "False", reason="NotOwned")
    winner.settled()
    assert winner.aws_tags["by"] == winner.namespace
    # The loser gets its table once the winner has gone.
    winner.delete().gone()
    loser.look().settled(timeout=60)
    assert loser.aws_tags["by"] == loser.namespace
    lab.kubectl("delete", "namespace", other, "--wait=false")


def test_retained_and_then_adopted_by_another_object(lab: Lab, namespace: str) -> None:
    first = Declared(lab, namespace, {"deletionPolicy": "Retain", "tags": {"team": "shop"}}).settled()
    first.dynamodb.put_item(TableName=first.table, Item={"id": {"S": "kept"}})
    first.delete().gone()
    handed_back = {"team": "shop", "penstock.dev/adoptable-by": namespace}
    assert first.aws_tags == handed_back, "our mark has gone, and the namespace may take it over again"
    second = Declared(lab, namespace, {"tags": {"team": "till"}}, name="second", table=first.table)
    second.wait("Ready", "False", reason="AlreadyExists")
    second.edit(adopt=True).settled()
    assert second.aws_tags["team"] == "till"
    assert second.dynamodb.scan(TableName=second.table)["Count"] == 1


def test_an_object_made_again_under_its_name_needs_adopt_too(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    # Somebody takes the finalizer off: the object goes and the table stays, with the mark of an object that is no more.
    table.annotate("mode", "Paused")
    table.wait("Synced", "False", reason="Paused")
    table.delete()
    lab.kubectl("patch", "ddb", "orders", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    table.gone()
    table.annotations = {}
    table.apply()
    told = table.wait("Ready", "False", reason="AlreadyExists")
    assert "was made by an earlier object of this name" in told["message"]
    table.edit(adopt=True).settled()
    assert table.aws_tags["penstock.dev/owner"].endswith(table.uid)


def test_a_table_that_another_cluster_marked_is_let_be(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"tags": {"team": "shop"}}).settled()
    owner = [{"Key": "penstock.dev/owner", "Value": "elsewhere/shop/DynamoTable/orders/1234"}]
    table.dynamodb.tag_resource(ResourceArn=table.aws["TableArn"], Tags=owner)
    made = len(table.writes())
    table.look()
    told = table.wait("Ready", "False", reason="NotOwned")
    assert "belongs to DynamoTable shop/orders of cluster elsewhere" in told["message"]
    table.edit(tags={"team": "till"})
    table.wait("Ready", "False", reason="NotOwned")
    assert len(table.writes()) == made
    table.delete().gone()
    assert table.exists
