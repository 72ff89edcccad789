"""The annotation penstock.dev/mode: what is shown, what is not done, and that taking it away lets the work go on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from declared import Declared, index, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def mode(word: str) -> dict[str, str]:
    return {"penstock.dev/mode": word}


def calls(table: Declared) -> list[str]:
    return [e["operation"] for e in table.lab.aws.calls(log=True)["log"] if e["key"] == table.table]


def test_a_new_table_is_planned_shown_and_only_then_made(lab: Lab, namespace: str) -> None:
    spec = {"globalIndexes": [index("one")], "ttl": {"attribute": "until"}}
    table = Declared(lab, namespace, spec, annotations=mode("Plan"))
    told = table.wait("Synced", "False", reason="Planned")
    assert told["message"] == "3 steps planned and not run: the annotation penstock.dev/mode says Plan."
    assert [s["summary"] for s in table.plan["steps"]] == [
        f"create table {table.table} (on demand, 1 global index)",
        "turn point-in-time recovery on",
        "turn TTL on (until)",
    ]
    assert table.condition("Ready")["status"] == "False"
    assert table.writes(only_done=False) == []
    assert not table.exists
    assert table.events == []
    table.annotate("mode", None).settled()
    assert table.exists
    assert "plan" not in table.status


def test_a_plan_that_is_only_shown_costs_next_to_nothing(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, annotations=mode("Plan"))
    table.wait("Synced", "False", reason="Planned")
    before, version = len(calls(table)), table.object["metadata"]["resourceVersion"]
    time.sleep(4)
    assert len(calls(table)) - before <= 1
    assert table.object["metadata"]["resourceVersion"] == version


def test_an_edit_is_planned_and_not_done(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"tags": {"team": "shop"}}).settled()
    made = table.writes(only_done=False)
    table.annotate("mode", "Plan")
    table.edit(tags={"team": "till"}, stream={"view": "NewImage"}, globalIndexes=[index("one")])
    table.wait("Synced", "False", reason="Planned")
    assert table.steps == ["set tags team", "turn on the stream with NEW_IMAGE", "create index one"]
    assert table.condition("Ready")["status"] == "True"
    assert table.condition("Stalled")["status"] == "False"
    assert table.writes(only_done=False) == made
    table.edit(tags={"team": "shop"}, stream=None, globalIndexes=None)
    table.until(lambda: "plan" not in table.status)
    assert table.condition("Synced")["status"] == "True"
    table.annotate("mode", None).settled()
    assert table.writes(only_done=False) == made


def test_a_plan_looks_for_a_table_of_somebody_else(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, annotations=mode("Plan"), apply=False)
    table.dynamodb.create_table(
        TableName=table.table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.apply()
    table.until(lambda: "exists already" in table.plan["refused"][0], "the plan says that it exists")
    assert table.condition("Ready")["reason"] == "AlreadyExists"


def test_a_plan_notices_drift_and_leaves_it(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"deletionProtection": False}).settled()
    table.annotate("mode", "Plan")
    table.by_hand(DeletionProtectionEnabled=True)
    table.look()
    table.until(lambda: table.steps == ["turn deletion protection off"])
    assert table.aws["DeletionProtectionEnabled"] is True
    table.annotate("mode", None)
    table.until(lambda: table.aws["DeletionProtectionEnabled"] is False)


def test_observe_reports_and_changes_nothing(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"tags": {"team": "shop"}}).settled()
    made = table.writes(only_done=False)
    table.annotate("mode", "Observe")
    table.edit(tags={"team": "till"})
    told = table.wait("Synced", "False", reason="Observing")
    assert told["message"] == "Observed only, as the annotation penstock.dev/mode says; nothing is changed."
    assert "plan" not in table.status
    assert table.condition("Ready")["status"] == "True"
    assert table.writes(only_done=False) == made
    # What it sees is told all the same.
    table.by_hand(BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 2, "WriteCapacityUnits": 2})
    table.look()
    table.until(lambda: table.status["mode"] == "Provisioned")


def test_observe_makes_no_table(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, annotations=mode("Observe"))
    table.wait("Synced", "False", reason="Observing")
    assert not table.exists
    assert table.writes(only_done=False) == []
    assert not table.object["metadata"].get("finalizers")


def test_paused_leaves_the_object_alone(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"tags": {"team": "shop"}}).settled()
    table.annotate("mode", "Paused")
    table.wait("Synced", "False", reason="Paused")
    before = calls(table)
    table.edit(tags={"team": "till"})
    told = table.wait("Synced", "False", reason="Paused")
    assert told["message"] == "Paused by the annotation penstock.dev/mode; remove it to go on."
    table.annotate("reconcile-at", "1")
    time.sleep(1)
    assert calls(table) == before, "not even a read"
    assert table.condition("Ready")["status"] == "True", "it serves as before"
    table.annotate("mode", None).settled()
    assert table.aws_tags["team"] == "till"


def test_a_word_that_is_no_mode(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, annotations=mode("paused"))
    told = table.wait("Stalled", "True", reason="Invalid")
    assert told["message"] == (
        "The annotation penstock.dev/mode says 'paused'; write one of Reconcile, Plan, Observe, Paused, or remove it. "
        "Nothing is done until then."
    )
    assert not table.exists
    table.annotate("mode", "Reconcile").settled()


def test_deletion_waits_while_it_is_only_planned(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"deletionPolicy": "Delete"}).settled()
    made = table.writes(only_done=False)
    table.annotate("mode", "Plan").delete()
    table.until(lambda: table.steps == [f"delete table {table.table}"], "the deletion is planned")
    assert table.plan["steps"][0]["effect"] == "Destroy"
    time.sleep(1)
    assert table.writes(only_done=False) == made
    table.annotate("mode", None).gone()
    assert not table.exists


def test_deletion_waits_while_paused_and_says_so(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    table.annotate("mode", "Paused").delete()
    table.wait("Synced", "False", words="Deletion waits: the object is paused by the annotation penstock.dev/mode")
    assert table.exists
    table.annotate("mode", None).gone()
    assert not table.exists


def test_deletion_waits_while_the_mode_is_nonsense(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    table.annotate("mode", "off").delete()
    table.wait("Stalled", "True", words="says 'off'")
    assert table.exists
    table.annotate("mode", None).gone()
    assert not table.exists


def test_an_observed_object_goes_and_its_table_stays(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    table.annotate("mode", "Observe")
    table.wait("Reconciling", "False", words="Observed only")
    table.delete().gone()
    assert table.exists


@pytest.mark.parametrize("word", ["Plan", "Paused", "Observe", "nonsense"])
def test_an_object_that_made_nothing_goes_at_once_in_every_mode(lab: Lab, namespace: str, word: str) -> None:
    table = Declared(lab, namespace, annotations=mode(word))
    table.until(lambda: table.condition("Synced"))
    table.delete().gone(5)
