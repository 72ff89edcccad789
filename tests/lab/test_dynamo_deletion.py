"""Taking tables down: what is kept, in which order, what blocks it, and what happens when it comes at a bad moment."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import pytest
from declared import Declared, fault, index, slower, unharmed

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
    assert table.aws_tags == {}
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


def test_deleted_while_it_is_created(lab: Lab, namespace: str) -> None:
    with slower(lab, table_create_s=2.0):
        table = Declared(lab, namespace, {"deletionPolicy": "Snapshot"})
        table.until(lambda: table.aws["TableStatus"] == "CREATING")
        table.delete()
        table.wait("Ready", "False", words="Deletion waits: table")
        table.gone()
    assert not table.exists


def test_deleted_before_anything_was_done(lab: Lab, namespace: str) -> None:
    manifests = [Declared(lab, namespace, name=f"quick-{n}", apply=False) for n in range(5)]
    for table in manifests:
        table.apply().delete()
    for table in manifests:
        table.gone()
        assert not table.exists


def test_deleted_while_an_index_backfills(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": []}).settled()
    with slower(lab, index_create_s=1.5):
        table.edit(globalIndexes=[index("one")])
        table.wait("Synced", "False", reason="Backfilling")
        table.delete().gone()
    assert not table.exists


def test_deleted_by_hand_while_the_deletion_goes_on(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"deletionPolicy": "Snapshot"}).settled()
    with slower(lab, backup_create_s=2.0):
        table.delete()
        table.wait("Ready", "False", reason="BackingUp")
        # AWS refuses to delete a table that is being backed up; as soon as it is not, somebody is faster than we are.
        with fault(lab, kind="error", operation="DescribeBackup", code="InternalServerError", status=500):
            table.until(lambda: table.aws_backups[0]["BackupStatus"] == "AVAILABLE")
            table.by_hand("delete_table")
            table.until(lambda: not table.exists)
        table.gone(60)
    assert table.writes().count("DeleteTable") == 1


def test_a_table_that_was_gone_before_its_object(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"deletionPolicy": "Snapshot"}).settled()
    table.by_hand("delete_table")
    table.until(lambda: not table.exists)
    table.delete().gone()
    assert "CreateBackup" not in table.writes()


@pytest.mark.parametrize("operation", ["DeleteTable", "CreateBackup"])
def test_a_denied_deletion_says_which_action_and_goes_on_when_it_is_allowed(
    lab: Lab, namespace: str, operation: str
) -> None:
    table = Declared(lab, namespace, {"deletionPolicy": "Snapshot"}).settled()
    with fault(lab, kind="deny", operation=operation, key=table.table):
        table.delete()
        told = table.wait("Ready", "False", reason="AccessDenied")
        assert f"AWS denies dynamodb:{operation}: allow it in the operator's IAM policy." in told["message"]
        assert table.condition("Stalled")["status"] == "True"
        assert table.exists
    table.annotate("reconcile-at", "now").gone()
    assert len(table.aws_backups) == 1


def test_a_lost_answer_of_the_backup_makes_no_second_one(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"deletionPolicy": "Snapshot"}).settled()
    with fault(lab, kind="drop", operation="CreateBackup", key=table.table, when="after", count=1):
        table.delete().gone()
    assert len(table.aws_backups) == 1


def test_the_namespace_goes_and_takes_its_tables_along(lab: Lab) -> None:
    namespace = f"t-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", namespace)
    tables = [Declared(lab, namespace, {"deletionPolicy": "Snapshot"}, name=f"n{n}") for n in range(3)]
    for table in tables:
        table.settled()
    lab.kubectl("delete", "namespace", namespace, "--timeout=40s")
    for table in tables:
        assert not table.exists
        assert len(table.aws_backups) == 1


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
