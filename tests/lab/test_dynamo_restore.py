"""Tables from a backup and from another table's past: the same items, our mark, and what the spec says on top."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from declared import Declared, adoptable_by, fault, index, slower, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab, same_process=False):
        yield


def put(table: Declared, *names: str, **more: str) -> None:
    for name in names:
        item = {"id": {"S": name}, **{k: {"S": v} for k, v in more.items()}}
        table.dynamodb.put_item(TableName=table.table, Item=item)


def items(table: Declared) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.dynamodb.scan(TableName=table.table)["Items"]
    return sorted(found, key=lambda item: str(item["id"]["S"]))


def backup_of(table: Declared) -> str:
    details = table.dynamodb.create_backup(TableName=table.table, BackupName="by-hand")["BackupDetails"]
    table.until(lambda: table.aws_backups[0]["BackupStatus"] == "AVAILABLE")
    return str(details["BackupArn"])


def restored(table: Declared) -> list[str]:
    return [o for o in table.writes() if o.startswith(("Restore", "Create"))]


def filled(lab: Lab, namespace: str, count: int = 20) -> Declared:
    table = Declared(lab, namespace, {"globalIndexes": [index("city")]}, name="source").settled()
    put(table, *(f"item-{n}" for n in range(count)), city="Basel")
    return table


@pytest.fixture(scope="module")
def shared(lab: Lab) -> Iterator[Declared]:
    """A table with items that the tests only read."""
    namespace = f"t-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", namespace)
    yield filled(lab, namespace)
    lab.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def backup(shared: Declared) -> str:
    return backup_of(shared)


@pytest.fixture
def source(shared: Declared, namespace: str) -> Declared:
    """The table, offered to the test's namespace."""
    shared.dynamodb.tag_resource(ResourceArn=shared.aws["TableArn"], Tags=adoptable_by(namespace))
    return shared


@pytest.fixture
def arn(source: Declared, backup: str) -> str:
    """A backup of it."""
    return backup


def test_from_a_backup(lab: Lab, namespace: str) -> None:
    source = filled(lab, namespace)
    arn = backup_of(source)
    before = items(source)
    put(source, "too-late")
    copy = Declared(
        lab,
        namespace,
        {
            "restoreFrom": {"backupArn": arn},
            "globalIndexes": [index("city"), index("more")],
            "ttl": {"attribute": "until"},
            "tags": {"team": "shop"},
            "deletionProtection": True,
            "stream": {"view": "NewImage"},
        },
        name="copy",
    )
    told = copy.wait("Ready", "False", reason="Restoring")
    assert f"Table {copy.table} is being restored by AWS" in told["message"]
    copy.settled()
    assert items(copy) == before
    assert copy.aws_tags["penstock.dev/owner"].endswith(copy.uid)
    assert copy.aws_tags["team"] == "shop"
    assert copy.aws_indexes.keys() == {"city", "more"}
    assert copy.aws["DeletionProtectionEnabled"] is True
    assert copy.aws["StreamSpecification"]["StreamEnabled"] is True
    assert copy.aws_ttl["AttributeName"] == "until"
    assert copy.aws_recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    assert restored(copy) == ["RestoreTableFromBackup"]
    assert copy.told("Restoring") == [f"Restoring table {copy.table} from {arn}."]
    assert copy.status["restore"]["source"] == arn
    assert not copy.told("DriftCorrected")
    # The field may be left in the manifest, and taken out: neither restores again.
    copy.edit(restoreFrom=None, deletionProtection=False).settled()
    assert restored(copy) == ["RestoreTableFromBackup"]
    assert items(copy) == before


def test_from_a_final_backup_under_the_old_name(lab: Lab, namespace: str) -> None:
    first = Declared(lab, namespace, {"deletionPolicy": "Snapshot"}).settled()
    put(first, "one", "two")
    before = items(first)
    first.delete().gone()
    arn = first.aws_backups[0]["BackupArn"]
    second = Declared(lab, namespace, {"restoreFrom": {"backupArn": arn}}, table=first.table).settled()
    assert items(second) == before
    assert second.aws_tags["penstock.dev/owner"].endswith(second.uid)


def test_from_the_past_of_a_table(lab: Lab, namespace: str) -> None:
    source = filled(lab, namespace)
    before = items(source)
    time.sleep(1.1)
    then = datetime.fromtimestamp(lab.aws.clock()["now"], UTC)
    time.sleep(1.1)
    put(source, "too-late")
    source.dynamodb.delete_item(TableName=source.table, Key={"id": {"S": "item-3"}})
    lab.aws.clock(advance=400)
    moment = then.strftime("%Y-%m-%dT%H:%M:%SZ")
    copy = Declared(lab, namespace, {"restoreFrom": {"tableName": source.table, "time": moment}}, name="copy").settled()
    assert items(copy) == before
    assert restored(copy) == ["RestoreTableToPointInTime"]
    assert copy.aws_tags["penstock.dev/owner"].endswith(copy.uid)
    assert len(items(source)) == 20, "the source goes on"


def test_from_the_latest_moment_of_a_table(lab: Lab, namespace: str, source: Declared) -> None:
    lab.aws.clock(advance=400)
    copy = Declared(lab, namespace, {"restoreFrom": {"tableName": source.table}}, name="copy").settled()
    assert items(copy) == items(source)


def test_provisioned_from_an_on_demand_backup(lab: Lab, namespace: str, source: Declared, arn: str) -> None:
    units = {"read": {"units": 7}, "write": {"units": 5}}
    spec = {
        "restoreFrom": {"backupArn": arn},
        "capacity": {"mode": "Provisioned", **units},
        "globalIndexes": [index("city", capacity=units)],
    }
    copy = Declared(lab, namespace, spec, name="copy").settled()
    assert copy.aws["ProvisionedThroughput"]["ReadCapacityUnits"] == 7
    assert copy.aws_indexes["city"]["ProvisionedThroughput"]["WriteCapacityUnits"] == 5
    assert items(copy) == items(source)


def test_a_key_that_is_not_the_sources_is_told(lab: Lab, namespace: str, arn: str) -> None:
    spec = {"restoreFrom": {"backupArn": arn}, "key": {"partition": {"name": "other", "type": "String"}}}
    copy = Declared(lab, namespace, spec, name="copy")
    told = copy.wait("Ready", "False", reason="Invalid")
    assert "has the key" in told["message"]


def test_a_missing_backup_is_told(lab: Lab, namespace: str) -> None:
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/nowhere/backup/01489602797149-73d8d5bc"
    copy = Declared(lab, namespace, {"restoreFrom": {"backupArn": arn}})
    told = copy.wait("Ready", "False", reason="WaitingForDependency")
    assert "There is nothing to restore from" in told["message"]
    assert "check spec.restoreFrom" in told["message"]
    assert not copy.exists
    copy.delete().gone()


def test_a_source_that_appears_later_is_found(lab: Lab, namespace: str) -> None:
    name = f"{namespace}-later"
    copy = Declared(lab, namespace, {"restoreFrom": {"tableName": name}}, name="copy")
    copy.wait("Ready", "False", reason="WaitingForDependency")
    source = Declared(lab, namespace, name="later", table=name).settled()
    put(source, "one")
    lab.aws.clock(advance=400)
    copy.settled(timeout=60)
    assert items(copy) == items(source)


def test_a_source_without_recovery_is_told_and_mended(lab: Lab, namespace: str) -> None:
    source = Declared(lab, namespace, name="source").settled()
    source.edit(pointInTimeRecovery={"enabled": False}).settled()
    copy = Declared(lab, namespace, {"restoreFrom": {"tableName": source.table}}, name="copy")
    told = copy.wait("Ready", "False", reason="WaitingForDependency")
    assert "enable point-in-time recovery of its source" in told["message"]
    source.edit(pointInTimeRecovery={"enabled": True}).settled()
    lab.aws.clock(advance=400)
    copy.annotate("reconcile-at", "now").settled()


def test_a_lost_answer_of_the_restore(lab: Lab, namespace: str, source: Declared, arn: str) -> None:
    copy = Declared(lab, namespace, {"restoreFrom": {"backupArn": arn}}, name="copy", apply=False)
    with fault(lab, kind="drop", operation="Restore*", key=copy.table, when="after", count=1):
        copy.apply().settled()
    assert items(copy) == items(source)
    assert copy.aws_tags["penstock.dev/owner"].endswith(copy.uid)


def test_a_restore_is_deleted_while_it_runs(lab: Lab, namespace: str, source: Declared, arn: str) -> None:
    with slower(lab, restore_s=2.0):
        copy = Declared(lab, namespace, {"restoreFrom": {"backupArn": arn}}, name="copy")
        copy.until(lambda: copy.exists)
        copy.delete().gone()
    assert not copy.exists


def test_a_crash_between_the_restore_and_our_mark(lab: Lab, namespace: str, source: Declared, arn: str) -> None:
    """AWS cannot tag a table in the call that restores it: what tells the next process that it is ours is on the object."""
    before = items(source)
    with lab.run_operator() as first, slower(lab, restore_s=3.0):
        first.wait_ready()
        copy = Declared(lab, namespace, {"restoreFrom": {"backupArn": arn}}, name="copy")
        copy.until(lambda: restored(copy) == ["RestoreTableFromBackup"])
        first.kill()
        first.wait()
        assert "penstock.dev/owner" not in copy.aws_tags
        assert copy.object["status"]["restore"]["source"] == arn
        with lab.run_operator() as second:
            copy.settled(timeout=60)
            assert items(copy) == before
            assert restored(copy) == ["RestoreTableFromBackup"]
            assert copy.aws_tags["penstock.dev/owner"].endswith(copy.uid)
            assert "Traceback" not in second.logs()
