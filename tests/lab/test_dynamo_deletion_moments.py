"""Deletions at a bad moment: during a creation or a backfill, twice at once, denied, half answered, a whole namespace."""

from __future__ import annotations

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
