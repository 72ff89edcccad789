"""Global indexes: added and removed one at a time, replaced after consent, and everything else goes on meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from declared import Declared, index, slower, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def test_two_new_indexes_are_made_one_after_the_other_and_told(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": []}).settled()
    for n in range(30):
        table.dynamodb.put_item(TableName=table.table, Item={"id": {"S": str(n)}, "one": {"S": "x"}, "two": {"S": "y"}})
    seen: set[tuple[tuple[str, str], ...]] = set()
    with slower(lab, index_allocate_s=0.3, index_create_s=2.0):
        table.edit(globalIndexes=[index("one"), index("two")])
        table.wait("Synced", "False", reason="Backfilling", words="Index one is being filled from the table")
        assert table.condition("Reconciling")["status"] == "True"
        assert table.condition("Ready")["status"] == "True"
        assert table.plan["steps"] == [{"summary": "create index two", "effect": "Immediate", "when": "Later"}]
        (one,) = table.status["indexes"]
        assert (one["name"], one["state"], one["backfilling"]) == ("one", "Creating", True)

        def both() -> bool:
            states = {name: i["IndexStatus"] for name, i in table.aws_indexes.items()}
            seen.add(tuple(sorted(states.items())))
            return states == {"one": "ACTIVE", "two": "ACTIVE"}

        table.until(both, "both indexes are there")
        table.settled()
    assert all([state for _, state in states].count("CREATING") <= 1 for states in seen), seen
    assert [i["state"] for i in table.status["indexes"]] == ["Active", "Active"]
    found = table.dynamodb.query(
        TableName=table.table,
        IndexName="two",
        KeyConditionExpression="two = :y",
        ExpressionAttributeValues={":y": {"S": "y"}},
    )
    assert found["Count"] == 30
    assert table.writes().count("UpdateTable") == 2


def test_other_edits_do_not_wait_for_a_backfill(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": []}).settled()
    with slower(lab, index_allocate_s=0.3, index_create_s=12.0):
        table.edit(globalIndexes=[index("slow")])
        table.wait("Synced", "False", reason="Backfilling")
        table.edit(
            tags={"a": "b"},
            ttl={"attribute": "until"},
            deletionProtection=True,
            stream={"view": "NewImage"},
            pointInTimeRecovery={"days": 3},
        )
        table.until(lambda: table.aws_tags.get("a") == "b", "tags")
        table.until(lambda: table.aws_ttl["TimeToLiveStatus"] in ("ENABLING", "ENABLED"), "TTL")
        table.until(lambda: table.aws["DeletionProtectionEnabled"], "deletion protection")
        table.until(lambda: (table.aws.get("StreamSpecification") or {}).get("StreamEnabled"), "the stream")
        table.until(lambda: table.aws_recovery["RecoveryPeriodInDays"] == 3, "recovery")
        assert table.aws_indexes["slow"]["IndexStatus"] == "CREATING", "all of it while the index backfills"
        # Another index has to wait, and that is told.
        table.edit(globalIndexes=[index("slow"), index("next")])
        table.until(lambda: "create index next" in table.steps, "the plan tells of the next index")
        assert "next" not in table.aws_indexes
    lab.aws.clock(advance=15)
    table.settled()
    assert table.aws_indexes.keys() == {"slow", "next"}
    table.edit(deletionProtection=False).settled()


def test_indexes_are_removed_one_at_a_time(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": [index("one"), index("two"), index("three")]}).settled()
    with slower(lab, index_delete_s=1.0):
        table.edit(globalIndexes=[index("three")])
        table.until(lambda: any(s.startswith("delete index") for s in table.steps), "the second is planned")
        assert [i["state"] for i in table.status["indexes"]].count("Deleting") <= 1
        table.settled()
    assert table.aws_indexes.keys() == {"three"}
    assert table.writes().count("UpdateTable") == 2
    assert table.status["managed"]["indexes"] == ["three"]
    definitions = {a["AttributeName"] for a in table.aws["AttributeDefinitions"]}
    assert definitions == {"id", "three"}


def test_an_edit_that_takes_an_index_back_while_it_is_made(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": []}).settled()
    with slower(lab, index_create_s=2.0):
        table.edit(globalIndexes=[index("oops")])
        table.wait("Synced", "False", reason="Backfilling")
        table.edit(globalIndexes=[])
        table.settled()
    assert table.aws_indexes == {}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (index("one", "city"), index("one", "town"), "(city, KEYS_ONLY) to (town, KEYS_ONLY)"),
        (
            index("one", "city"),
            index("one", "city", {"type": "Include", "attributes": ["size"]}),
            "(city, KEYS_ONLY) to (city, INCLUDE size)",
        ),
        (
            index("one", "size"),
            {**index("one", "size"), "partition": {"name": "size", "type": "Number"}},
            "(size:String, KEYS_ONLY) to (size:Number, KEYS_ONLY)",
        ),
    ],
    ids=["key", "projection", "type"],
)
def test_a_changed_index_is_replaced_only_after_consent(
    lab: Lab, namespace: str, before: dict[str, object], after: dict[str, object], words: str
) -> None:
    table = Declared(lab, namespace, {"globalIndexes": [before]}).settled()
    made = len(table.writes())
    table.edit(globalIndexes=[after])
    told = table.wait("Synced", "False", reason="WaitingForConsent")
    token = table.plan["hash"]
    command = f"kubectl annotate dynamotable orders penstock.dev/approve={token} --overwrite"
    assert command in told["message"]
    (step,) = table.plan["steps"]
    assert (step["effect"], step["when"]) == ("Replace", "AfterConsent")
    assert words in step["summary"]
    assert "queries of it fail until it is filled again" in step["summary"]
    assert table.condition("Stalled")["reason"] == "WaitingForConsent", "only a person can let it go on"
    assert table.condition("Ready")["status"] == "True"

    # Neither a wrong word nor another edit lets it through.
    table.annotate("approve", "yes").look()
    assert table.writes()[made:] == []
    table.edit(tags={"a": "b"})
    table.until(lambda: table.aws_tags.get("a") == "b")
    assert table.plan["hash"] == token, "an unrelated edit does not void the token"
    assert "UpdateTable" not in table.writes()[made:]

    words_of_the_sentence = command.split()[1:]
    lab.kubectl(*words_of_the_sentence, "-n", namespace)
    table.settled()
    assert table.writes()[made:].count("UpdateTable") == 2
    have = table.aws_indexes["one"]
    assert have["KeySchema"][0]["AttributeName"] == after["partition"]["name"]  # type: ignore[index]
    assert have["Projection"].get("NonKeyAttributes", []) == after["projection"].get("attributes", [])  # type: ignore[attr-defined]
    assert any("Approved: replace index one" in note for note in table.told("Replacing"))
    assert not table.told("DriftCorrected"), "what was consented to is no drift"

    # The consent was for this change only.
    table.edit(globalIndexes=[index("one", "country")])
    assert table.wait("Synced", "False", reason="WaitingForConsent")
    assert table.plan["hash"] != token


def test_two_replacements_are_consented_to_together(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": [index("one"), index("two")]}).settled()
    table.edit(globalIndexes=[index("one", "uno"), index("two", "duo"), index("three")])
    told = table.wait("Synced", "False", reason="WaitingForConsent")
    assert "Replacing index one, two needs consent" in told["message"]
    table.until(lambda: "three" in table.aws_indexes, "the new index waits for no consent")
    table.until(lambda: len(table.plan.get("steps", ())) == 2)
    table.annotate("approve", table.plan["hash"])
    table.settled()
    keys = {name: i["KeySchema"][0]["AttributeName"] for name, i in table.aws_indexes.items()}
    assert keys == {"one": "uno", "two": "duo", "three": "three"}


def test_taking_the_change_back_needs_no_consent(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": [index("one", "city")]}).settled()
    made = len(table.writes())
    table.edit(globalIndexes=[index("one", "town")])
    table.wait("Synced", "False", reason="WaitingForConsent")
    table.edit(globalIndexes=[index("one", "city")]).settled()
    assert table.writes()[made:] == []
    assert "plan" not in table.status


def test_a_renamed_index_is_one_more_and_one_less(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": [index("old-name", "city")]}).settled()
    table.edit(globalIndexes=[index("new-name", "city")]).settled()
    assert table.aws_indexes.keys() == {"new-name"}


def test_indexes_of_a_provisioned_table(lab: Lab, namespace: str) -> None:
    units = {"read": {"units": 2}, "write": {"units": 3}}
    table = Declared(
        lab, namespace, {"capacity": {"mode": "Provisioned", **units}, "globalIndexes": [index("one", capacity=units)]}
    ).settled()
    table.edit(
        globalIndexes=[
            index("one", capacity={"read": {"units": 5}, "write": {"units": 3}}),
            index("two", capacity={"read": {"min": 2, "max": 20}, "write": {"units": 1}}),
        ]
    ).settled()
    have = {
        name: (i["ProvisionedThroughput"]["ReadCapacityUnits"], i["ProvisionedThroughput"]["WriteCapacityUnits"])
        for name, i in table.aws_indexes.items()
    }
    assert have == {"one": (5, 3), "two": (2, 1)}
    assert table.aws_scaling == {"/index/two ReadCapacityUnits": (2, 20)}
    table.edit(globalIndexes=[index("one", capacity={"read": {"units": 5}, "write": {"units": 3}})]).settled()
    assert table.aws_scaling == {}, "the target of an index that is gone would stay in AWS for ever"


def test_replace_is_printed_by_kubectl_describe(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": [index("one", "city")]}).settled()
    table.edit(globalIndexes=[index("one", "town")])
    table.wait("Synced", "False", reason="WaitingForConsent")
    text = " ".join(lab.kubectl("describe", "ddb", "orders", "-n", namespace).stdout.split())
    assert "needs consent: kubectl annotate dynamotable orders" in text
    assert json.loads(lab.kubectl("get", "ddb", "orders", "-n", namespace, "-o", "json").stdout)["status"]["plan"]
