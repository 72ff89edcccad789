"""Taking tables down: what is kept, in which order, what blocks it, and what happens when it comes at a bad moment."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from declared import Declared, slower, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def patch(table: Declared, **spec: object) -> None:
    """An edit of an object that is being deleted; kubectl apply would complain about it."""
    table.lab.kubectl(
        "patch", "ddb", table.name, "-n", table.namespace, "--type=merge", "-p", json.dumps({"spec": spec})
    )


def test_snapshot_takes_one_final_backup_and_deletes_only_when_it_is_there(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"deletionPolicy": "Snapshot"}).settled()
    table.dynamodb.put_item(TableName=table.table, Item={"id": {"S": "kept"}})
    with slower(lab, backup_create_s=1.5, table_delete_s=1.5):
        table.delete()
        told = table.wait("Ready", "False", reason="BackingUp")
        assert f"{table.table}-final-" in told["message"]
        assert table.aws["TableStatus"] == "ACTIVE"
        (backup,) = table.aws_backups
        assert backup["BackupStatus"] == "CREATING"
        # Looks at a bad moment make no second one.
        table.annotate("reconcile-at", "1")
        table.wait("Ready", "False", reason="Deleting", words="is being deleted by AWS")
        assert table.object["metadata"]["finalizers"] == ["penstock.dev/finalizer"]
        assert table.status["finalBackup"]["arn"] == backup["BackupArn"]
        notes = {event.reason: event.note for event in table.events}
        table.gone()
    assert not table.exists
    (kept,) = table.dynamodb.list_backups(TableName=table.table)["BackupSummaries"]
    assert (kept["BackupArn"], kept["BackupStatus"]) == (backup["BackupArn"], "AVAILABLE")
    assert table.writes().count("CreateBackup") == 1
    assert table.writes()[-1] == "DeleteTable"
    assert "Taking the final backup" in notes["FinalBackup"]
    assert kept["BackupArn"] in notes["Deleting"], "the way back is told where it can be found later"


def test_delete_leaves_nothing(lab: Lab, namespace: str) -> None:
    scaled = {"mode": "Provisioned", "read": {"min": 1, "max": 9}, "write": {"units": 1}}
    table = Declared(lab, namespace, {"capacity": scaled}).settled()
    assert table.aws_scaling
    lab.kubectl("delete", "ddb", "orders", "-n", namespace, "--timeout=30s")
    assert not table.exists
    assert table.aws_backups == []
    assert table.aws_scaling == {}, "a scalable target outlives its table in AWS"


def test_retain_leaves_the_table_and_takes_the_mark_off(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"deletionPolicy": "Retain", "deletionProtection": True}).settled()
    table.delete().gone()
    assert table.aws["DeletionProtectionEnabled"] is True
    assert table.aws_tags == {"penstock.dev/adoptable-by": namespace}
    assert "stays in AWS, as deletionPolicy Retain says" in table.told("Retained")[0]


def test_deletion_protection_blocks_with_a_sentence_and_an_edit_releases_it(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"deletionProtection": True, "deletionPolicy": "Snapshot"}).settled()
    table.delete()
    told = table.wait("Ready", "False", reason="DeletionProtected")
    assert told["message"] == (
        f"Deletion waits: AWS deletion protection of table {table.table} is on; set spec.deletionProtection: false to "
        "let it go."
    )
    assert table.condition("Stalled")["status"] == "True"
    assert table.aws_backups == [], "no backup for nothing"
    patch(table, deletionProtection=False)
    table.gone()
    assert not table.exists
    assert len(table.aws_backups) == 1


def test_protection_that_somebody_set_by_hand_holds_too(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    table.by_hand(DeletionProtectionEnabled=True)
    table.delete()
    table.wait("Ready", "False", reason="DeletionProtected")
    # Taking it off by hand is as good as saying so in the spec.
    table.by_hand(DeletionProtectionEnabled=False)
    table.annotate("reconcile-at", "now").gone()


def test_the_policy_may_change_its_mind_while_deleting(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"deletionProtection": True}).settled()
    table.delete()
    table.wait("Ready", "False", reason="DeletionProtected")
    patch(table, deletionPolicy="Retain")
    table.gone()
    assert table.exists


def test_a_table_made_again_at_once_under_the_same_name(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    before = table.status["tableId"]
    lab.kubectl("delete", "ddb", "orders", "-n", namespace, "--timeout=30s")
    table.apply().settled()
    assert table.status["tableId"] != before


def test_a_deletion_is_not_slowed_by_reads_of_others(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    began = time.monotonic()
    table.delete().gone()
    assert time.monotonic() - began < 10
