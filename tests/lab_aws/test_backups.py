"""Point-in-time recovery, backups and what a restore brings back."""

from __future__ import annotations

import datetime
from typing import Any

from .conftest import schema


def put(ddb: Any, name: str, *keys: str) -> None:
    for key in keys:
        ddb.put_item(TableName=name, Item={"pk": {"S": key}, "v": {"S": key}})


def keys(ddb: Any, name: str) -> set[str]:
    return {i["pk"]["S"] for i in ddb.scan(TableName=name)["Items"]}


def recovery(ddb: Any, name: str) -> dict[str, Any]:
    answer = ddb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    return answer["PointInTimeRecoveryDescription"]


def enable(ddb: Any, name: str, **more: Any) -> dict[str, Any]:
    return ddb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True} | more
    )


def test_the_recovery_window_moves(ddb, client, lab, make, refused, name):
    refused("ContinuousBackupsUnavailableException", _enable_new, ddb=ddb, name=name)
    lab.clock(advance=11)
    enable(ddb, name, RecoveryPeriodInDays=1)
    first = recovery(ddb, name)
    assert first["RecoveryPeriodInDays"] == 1
    assert first["EarliestRestorableDateTime"] == first["LatestRestorableDateTime"]
    lab.clock(advance=1000)
    later = recovery(ddb, name)
    assert later["EarliestRestorableDateTime"] == first["EarliestRestorableDateTime"]
    gained = (later["LatestRestorableDateTime"] - first["LatestRestorableDateTime"]).total_seconds()
    assert 695 < gained < 760
    lab.clock(advance=2 * 86400)
    assert recovery(ddb, name)["EarliestRestorableDateTime"] > first["EarliestRestorableDateTime"]
    unchecked = client(validate=False)
    for days in (0, 36):
        assert "recoveryPeriodInDays" in refused(
            "ValidationException",
            unchecked.update_continuous_backups,
            TableName=name,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": days},
        )
    ddb.delete_table(TableName=name)
    lab.clock(advance=11)
    refused("TableNotFoundException", ddb.describe_continuous_backups, TableName=name)


def _enable_new(ddb: Any, name: str) -> None:
    ddb.create_table(TableName=name, **schema())
    enable(ddb, name)


def test_a_restore_goes_back_to_the_second(ddb, lab, make, refused):
    lab.settings(pitr_lag_s=0, restore_s=10)
    name = make()
    target = f"{name}-then"
    refused(
        "PointInTimeRecoveryUnavailableException",
        ddb.restore_table_to_point_in_time,
        SourceTableName=name,
        TargetTableName=target,
        UseLatestRestorableTime=True,
    )
    put(ddb, name, "before")
    enable(ddb, name)
    lab.clock(advance=100)
    put(ddb, name, "kept", "changed")
    lab.clock(advance=100)
    then = datetime.datetime.fromtimestamp(int(lab.clock()["now"]), datetime.UTC)
    lab.clock(advance=100)
    put(ddb, name, "late")
    ddb.delete_item(TableName=name, Key={"pk": {"S": "before"}})
    ddb.put_item(TableName=name, Item={"pk": {"S": "changed"}, "v": {"S": "other"}})
    for wrong in (then - datetime.timedelta(days=1), then + datetime.timedelta(days=1)):
        refused(
            "InvalidRestoreTimeException",
            ddb.restore_table_to_point_in_time,
            SourceTableName=name,
            TargetTableName=target,
            RestoreDateTime=wrong,
        )
    refused(
        "TableAlreadyExistsException",
        ddb.restore_table_to_point_in_time,
        SourceTableName=name,
        TargetTableName=name,
        UseLatestRestorableTime=True,
    )
    made = ddb.restore_table_to_point_in_time(SourceTableName=name, TargetTableName=target, RestoreDateTime=then)
    assert made["TableDescription"]["TableStatus"] == "CREATING"
    assert made["TableDescription"]["RestoreSummary"]["RestoreInProgress"] is True
    assert made["TableDescription"]["RestoreSummary"]["RestoreDateTime"] == then
    lab.clock(advance=11)
    table = ddb.describe_table(TableName=target)["Table"]
    assert table["RestoreSummary"]["RestoreInProgress"] is False
    assert (table["TableStatus"], table["ItemCount"]) == ("ACTIVE", 3)
    assert keys(ddb, target) == {"before", "kept", "changed"}
    assert ddb.get_item(TableName=target, Key={"pk": {"S": "changed"}})["Item"]["v"] == {"S": "changed"}
    ddb.delete_table(TableName=target)


def test_the_journal_is_bounded(ddb, lab, make):
    lab.settings(pitr_lag_s=0, pitr_journal_max=10)
    name = make()
    enable(ddb, name)
    first = recovery(ddb, name)["EarliestRestorableDateTime"]
    lab.clock(advance=60)
    put(ddb, name, *(str(n) for n in range(30)))
    assert recovery(ddb, name)["EarliestRestorableDateTime"] > first


def test_backups_outlive_their_table(ddb, lab, make, refused):
    lab.settings(backup_create_s=10, restore_s=10)
    name = make(
        Tags=[{"Key": "a", "Value": "b"}],
        TableClass="STANDARD_INFREQUENT_ACCESS",
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/lab"},
    )
    put(ddb, name, "one", "two")
    made = ddb.create_backup(TableName=name, BackupName="final")["BackupDetails"]
    assert (made["BackupStatus"], made["BackupType"]) == ("CREATING", "USER")
    arn = made["BackupArn"]
    refused("BackupInUseException", ddb.delete_backup, BackupArn=arn)
    lab.clock(advance=11)
    put(ddb, name, "later")
    described = ddb.describe_backup(BackupArn=arn)["BackupDescription"]
    assert described["BackupDetails"]["BackupStatus"] == "AVAILABLE"
    assert described["SourceTableDetails"]["ItemCount"] == 2
    ddb.delete_table(TableName=name)
    lab.clock(advance=11)
    assert [b["BackupArn"] for b in ddb.list_backups(TableName=name)["BackupSummaries"]] == [arn]
    back = ddb.restore_table_from_backup(BackupArn=arn, TargetTableName=name)["TableDescription"]
    assert back["RestoreSummary"]["SourceBackupArn"] == arn
    refused("TableAlreadyExistsException", ddb.restore_table_from_backup, BackupArn=arn, TargetTableName=name)
    refused("BackupInUseException", ddb.delete_backup, BackupArn=arn)
    lab.clock(advance=11)
    table = ddb.describe_table(TableName=name)["Table"]
    assert keys(ddb, name) == {"one", "two"}
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["SSEDescription"]["Status"] == "ENABLED"
    assert ddb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == []
    assert ddb.delete_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "DELETED"
    refused("BackupNotFoundException", ddb.describe_backup, BackupArn=arn)
    refused("BackupNotFoundException", ddb.restore_table_from_backup, BackupArn=arn, TargetTableName="another")
    refused("TableNotFoundException", ddb.create_backup, TableName="nothing-here", BackupName="final")


def test_a_restore_takes_overrides(ddb, lab, make, refused):
    name = make(
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "v", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-v",
                "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    put(ddb, name, "one")
    arn = ddb.create_backup(TableName=name, BackupName="base")["BackupDetails"]["BackupArn"]
    lab.clock(advance=11)
    override = {"BillingModeOverride": "PROVISIONED", "GlobalSecondaryIndexOverride": []}
    assert "ReadCapacityUnits" in refused(
        "ValidationException",
        ddb.restore_table_from_backup,
        BackupArn=arn,
        TargetTableName=f"{name}-r",
        BillingModeOverride="PROVISIONED",
        ProvisionedThroughputOverride={"ReadCapacityUnits": 2, "WriteCapacityUnits": 3},
    )
    ddb.restore_table_from_backup(
        BackupArn=arn,
        TargetTableName=f"{name}-r",
        **override,
        ProvisionedThroughputOverride={"ReadCapacityUnits": 2, "WriteCapacityUnits": 3},
        SSESpecificationOverride={"Enabled": True, "SSEType": "KMS"},
    )
    lab.clock(advance=11)
    table = ddb.describe_table(TableName=f"{name}-r")["Table"]
    assert table["ProvisionedThroughput"]["WriteCapacityUnits"] == 3
    assert "GlobalSecondaryIndexes" not in table
    assert table["AttributeDefinitions"] == [{"AttributeName": "pk", "AttributeType": "S"}]
    assert table["SSEDescription"]["SSEType"] == "KMS"
    ddb.delete_table(TableName=f"{name}-r")


def test_deleting_a_table_with_recovery_leaves_a_system_backup(ddb, lab, make):
    name = make()
    enable(ddb, name)
    put(ddb, name, "one")
    ddb.delete_table(TableName=name)
    lab.clock(advance=11)
    assert ddb.list_backups(TableName=name)["BackupSummaries"] == []
    (backup,) = ddb.list_backups(TableName=name, BackupType="ALL")["BackupSummaries"]
    assert (backup["BackupType"], backup["BackupName"]) == ("SYSTEM", f"{name}$DeletedTableBackup")
    assert 34 < (backup["BackupExpiryDateTime"] - backup["BackupCreationDateTime"]).days < 36
    lab.clock(advance=36 * 86400)
    assert ddb.list_backups(TableName=name, BackupType="SYSTEM")["BackupSummaries"] == []


def test_backups_are_listed_in_pages(ddb, lab, make):
    name = make()
    arns = [ddb.create_backup(TableName=name, BackupName=f"number-{n}")["BackupDetails"]["BackupArn"] for n in range(5)]
    first = ddb.list_backups(TableName=name, Limit=2)
    rest = ddb.list_backups(TableName=name, ExclusiveStartBackupArn=first["LastEvaluatedBackupArn"])
    assert [b["BackupArn"] for b in first["BackupSummaries"] + rest["BackupSummaries"]] == arns
    lab.clock(advance=11)
