"""Continuous backups, point-in-time recovery, on-demand and system backups, and restores of all three."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from ..clock import clock
from ..errors import AwsError, invalid, validation
from ..request import Request
from ..settings import settings
from . import refusals
from .backend import LabDynamoDB
from .store import LabTable, Pitr
from .tables import begin_creation, check_room, describe, encryption
from .ttl import describe as describe_ttl


def _table(backend: LabDynamoDB, name: str) -> LabTable:
    """For the operations on backups, which say TableNotFoundException where others say ResourceNotFoundException."""
    try:
        table = backend.get_table(name)
    except AwsError:
        raise AwsError("TableNotFoundException", f"Table not found: {name.rpartition('/')[2]}") from None
    if table.status == "DELETING":
        raise AwsError("TableNotFoundException", f"Table not found: {table.name}")
    return table


def describe_continuous_backups(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    table = _table(backend, request.parameters["TableName"])
    return {"ContinuousBackupsDescription": _continuous(table, clock.now())}


def _continuous(table: LabTable, now: float) -> dict[str, Any]:
    recovery: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
    if table.pitr is not None:
        earliest, latest = table.pitr.window(table, now)
        recovery = {
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": table.pitr.days,
            "EarliestRestorableDateTime": earliest,
            "LatestRestorableDateTime": latest,
        }
    return {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}


def update_continuous_backups(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters, now = request.parameters or {}, clock.now()
    wanted = parameters["PointInTimeRecoverySpecification"]
    days = wanted.get("RecoveryPeriodInDays")
    if days is not None and not 1 <= days <= 35:
        raise refusals.constraint(
            days,
            "pointInTimeRecoverySpecification.recoveryPeriodInDays",
            f"Member must have value {'less' if days > 35 else 'greater'} than or equal to {35 if days > 35 else 1}",
        )
    table = _table(backend, parameters["TableName"])
    if table.status == "CREATING" or now < (table.active_since or 0.0) + settings.backups_enable_s:
        raise AwsError(
            "ContinuousBackupsUnavailableException",
            f"Backups are being enabled for the table: {table.name}. Please retry later",
        )
    if not wanted.get("PointInTimeRecoveryEnabled"):
        if days is not None:
            raise invalid("RecoveryPeriodInDays cannot be specified when PointInTimeRecoveryEnabled is false")
        table.pitr = None
        table.journal.clear()
        table.journal_from = None
    elif table.pitr is None:
        table.pitr = Pitr(now, days or 35)
        table.journal_from = now
    elif days is not None:
        table.pitr.days = days
    return {"ContinuousBackupsDescription": _continuous(table, now)}


@dataclasses.dataclass
class Saved:
    """What a backup or a moment of a table holds: the definition it had and its items."""

    name: str
    arn: str
    id: str
    spec: dict[str, Any]
    created: float
    items: list[Any]
    bytes: int
    ttl: dict[str, str]
    sse: dict[str, Any] | None
    provisioned: dict[str, int]


@dataclasses.dataclass
class Backup:
    arn: str
    name: str
    kind: str
    status: str
    created: float
    expires: float | None
    saved: Saved


def save(table: LabTable, items: list[Any]) -> Saved:
    spec: dict[str, Any] = {
        "KeySchema": table.schema,
        "AttributeDefinitions": table.attr,
        "BillingMode": table.billing_mode,
        "ProvisionedThroughput": table.provisioned,
        "GlobalSecondaryIndexes": [
            {
                "IndexName": i.name,
                "KeySchema": i.schema,
                "Projection": i.projection,
                **({} if table.on_demand_mode else {"ProvisionedThroughput": i.provisioned}),
                **({"OnDemandThroughput": i.on_demand} if i.on_demand else {}),
            }
            for i in table.global_indexes
            if i.status != "DELETING"
        ],
        "LocalSecondaryIndexes": [
            {"IndexName": i.name, "KeySchema": i.schema, "Projection": i.projection} for i in table.indexes
        ],
    }
    if table.on_demand:
        spec["OnDemandThroughput"] = table.on_demand
    if table.table_class_named:
        spec["TableClass"] = table.table_class
    if table.stream_specification and table.stream_specification.get("StreamEnabled"):
        spec["StreamSpecification"] = table.stream_specification
    return Saved(
        table.name,
        table.table_arn,
        table.id,
        spec,
        table.created,
        items,
        table.bytes,
        describe_ttl(table),
        table.sse,
        table.provisioned,
    )


def create_backup(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters, now = request.parameters or {}, clock.now()
    refusals.check_name(parameters["BackupName"], "backupName")
    table = _table(backend, parameters["TableName"])
    if table.status == "CREATING":
        raise AwsError(
            "ContinuousBackupsUnavailableException",
            f"Backups are being enabled for the table: {table.name}. Please retry later",
        )
    backup = _new(backend, table, parameters["BackupName"], "USER", now, None)
    backup.status = "CREATING"

    def available(_: float) -> None:
        if backup.status == "CREATING":
            backup.status = "AVAILABLE"

    backend.at(now + settings.backup_create_s, available)
    return {"BackupDetails": _details(backup)}


def system_backup(backend: LabDynamoDB, table: LabTable, now: float) -> Backup:
    """Made when a table with point-in-time recovery is deleted; kept for 35 days, free of charge."""
    return _new(
        backend, table, f"{table.name}$DeletedTableBackup", "SYSTEM", now, now + settings.system_backup_days * 86400
    )


def _new(backend: LabDynamoDB, table: LabTable, name: str, kind: str, now: float, expires: float | None) -> Backup:
    arn = f"{table.table_arn}/backup/{int(now * 1000):014d}-{uuid.uuid4().hex[:8]}"
    backup = Backup(arn, name, kind, "AVAILABLE", now, expires, save(table, list(table.each_item())))
    backend.backups_by_arn[arn] = backup
    if expires is not None:
        backend.at(expires, lambda _: backend.backups_by_arn.pop(arn, None))
    return backup


def _details(backup: Backup) -> dict[str, Any]:
    answer = {
        "BackupArn": backup.arn,
        "BackupName": backup.name,
        "BackupSizeBytes": backup.saved.bytes,
        "BackupStatus": backup.status,
        "BackupType": backup.kind,
        "BackupCreationDateTime": backup.created,
    }
    if backup.expires is not None:
        answer["BackupExpiryDateTime"] = backup.expires
    return answer


def _description(backup: Backup) -> dict[str, Any]:
    saved = backup.saved
    source: dict[str, Any] = {
        "TableName": saved.name,
        "TableId": saved.id,
        "TableArn": saved.arn,
        "TableSizeBytes": saved.bytes,
        "KeySchema": saved.spec["KeySchema"],
        "TableCreationDateTime": saved.created,
        "ProvisionedThroughput": saved.provisioned,
        "ItemCount": len(saved.items),
        "BillingMode": saved.spec["BillingMode"],
    }
    if saved.spec.get("OnDemandThroughput"):
        source["OnDemandThroughput"] = saved.spec["OnDemandThroughput"]
    features: dict[str, Any] = {"TimeToLiveDescription": saved.ttl}
    for name in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        if saved.spec[name]:
            features[name] = saved.spec[name]
    if "StreamSpecification" in saved.spec:
        features["StreamDescription"] = saved.spec["StreamSpecification"]
    if saved.sse is not None:
        features["SSEDescription"] = saved.sse
    return {"BackupDetails": _details(backup), "SourceTableDetails": source, "SourceTableFeatureDetails": features}


def _backup(backend: LabDynamoDB, arn: str) -> Backup:
    backup = backend.backups_by_arn.get(arn)
    if backup is None:
        raise AwsError("BackupNotFoundException", f"Backup not found: {arn}")
    return backup


def describe_backup(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    return {"BackupDescription": _description(_backup(backend, request.parameters["BackupArn"]))}


def delete_backup(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    backup = _backup(backend, request.parameters["BackupArn"])
    if backup.status == "CREATING":
        raise AwsError("BackupInUseException", f"Backup is being created: {backup.arn}")
    if backup.arn in backend.restoring.values():
        raise AwsError("BackupInUseException", f"Backup is being used for a restore: {backup.arn}")
    del backend.backups_by_arn[backup.arn]
    backup.status = "DELETED"
    return {"BackupDescription": _description(backup)}


def list_backups(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """In the order of their making; ``BackupType`` USER unless told otherwise, as the service has it."""
    parameters = request.parameters or {}
    limit = parameters.get("Limit", 100)
    if not 1 <= limit <= 100:
        raise refusals.constraint(limit, "limit", "Member must have value between 1 and 100")
    kind = parameters.get("BackupType", "USER")
    name = parameters.get("TableName")
    low, high = parameters.get("TimeRangeLowerBound"), parameters.get("TimeRangeUpperBound")
    found = [
        b
        for b in backend.backups_by_arn.values()
        if kind in ("ALL", b.kind)
        and (name is None or name in (b.saved.name, b.saved.arn))
        and (low is None or b.created >= low)
        and (high is None or b.created < high)
    ]
    start = parameters.get("ExclusiveStartBackupArn")
    if start is not None:
        place = next((n for n, b in enumerate(found) if b.arn == start), None)
        if place is None:
            raise invalid("ExclusiveStartBackupArn is not a backup of this list")
        found = found[place + 1 :]
    answer: dict[str, Any] = {"BackupSummaries": [_summary(b) for b in found[:limit]]}
    if len(found) > limit:
        answer["LastEvaluatedBackupArn"] = found[limit - 1].arn
    return answer


def _summary(backup: Backup) -> dict[str, Any]:
    saved = backup.saved
    return {"TableName": saved.name, "TableId": saved.id, "TableArn": saved.arn, **_details(backup)}


def restore_table_from_backup(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    refusals.check_name(parameters["TargetTableName"], "targetTableName")
    backup = _backup(backend, parameters["BackupArn"])
    if backup.status == "CREATING":
        raise AwsError("BackupInUseException", f"Backup is being created: {backup.arn}")
    return _restore(backend, parameters, backup.saved, backup.created, {"SourceBackupArn": backup.arn})


def restore_table_to_point_in_time(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters, now = request.parameters or {}, clock.now()
    refusals.check_name(parameters["TargetTableName"], "targetTableName")
    name = parameters.get("SourceTableName") or parameters.get("SourceTableArn")
    if not name:
        raise validation("Either SourceTableName or SourceTableArn must be specified")
    try:
        table = backend.get_table(name)
    except AwsError:
        raise AwsError("TableNotFoundException", f"Table not found: {name.rpartition('/')[2]}") from None
    if table.pitr is None:
        raise AwsError(
            "PointInTimeRecoveryUnavailableException", f"Point in time recovery is not enabled for table '{table.name}'"
        )
    when, latest_wanted = parameters.get("RestoreDateTime"), parameters.get("UseLatestRestorableTime")
    if (when is None) == (not latest_wanted):
        raise validation("Exactly one of RestoreDateTime or UseLatestRestorableTime must be specified")
    earliest, latest = table.pitr.window(table, now)
    at = latest if when is None else float(when)
    # The request carries whole seconds; the second in which recovery began can be restored.
    if at < int(earliest) or at > latest:
        raise AwsError(
            "InvalidRestoreTimeException",
            "An invalid restore time was specified. RestoreDateTime must be between EarliestRestorableDateTime and "
            f"LatestRestorableDateTime: {earliest:.3f} to {latest:.3f}",
        )
    items = table.items_at(max(at, earliest))
    return _restore(backend, parameters, save(table, items), at, {})


def _restore(
    backend: LabDynamoDB, parameters: dict[str, Any], saved: Saved, at: float, source: dict[str, str]
) -> dict[str, Any]:
    """A new table; tags, TTL, stream, policies, alarms, autoscaling and recovery settings are not restored."""
    name, now = parameters["TargetTableName"], clock.now()
    if name in backend.tables:
        raise AwsError("TableAlreadyExistsException", f"Table already exists: {name}")
    check_room(backend, new_table=True)
    spec = _restored_spec(saved, parameters)
    sse_spec = parameters.get("SSESpecificationOverride")
    sse = saved.sse if sse_spec is None else encryption(backend, sse_spec)
    table = LabTable(backend, name, spec, now)
    table.sse = sse
    table.fill(saved.items)
    table.restore = {
        **source,
        "SourceTableArn": saved.arn,
        "RestoreDateTime": at,
        "RestoreInProgress": True,
    }
    backend.tables[name] = table
    seconds = settings.restore_s
    if settings.restore_items_per_s:
        seconds = max(seconds, len(saved.items) / settings.restore_items_per_s)
    begin_creation(backend, table, now, seconds)
    if "SourceBackupArn" in source:
        backend.restoring[name] = source["SourceBackupArn"]
        backend.at(now + seconds, lambda _: backend.restoring.pop(name, None))
    return {"TableDescription": describe(table, now)}


def _restored_spec(saved: Saved, parameters: dict[str, Any]) -> dict[str, Any]:
    spec = dict(saved.spec)
    spec.pop("StreamSpecification", None)
    mode = parameters.get("BillingModeOverride")
    refusals.check_enum(mode, "billingModeOverride", refusals.BILLING_MODES)
    if mode:
        spec["BillingMode"] = mode
    for override, member in (
        ("GlobalSecondaryIndexOverride", "GlobalSecondaryIndexes"),
        ("LocalSecondaryIndexOverride", "LocalSecondaryIndexes"),
    ):
        if override in parameters:
            known = {i["IndexName"]: i for i in saved.spec[member]}
            for index in parameters[override]:
                if known.get(index["IndexName"], {}).get("KeySchema") != index["KeySchema"]:
                    raise invalid(
                        f"{member} of a restored table must be among those of the source table: {index['IndexName']}"
                    )
            spec[member] = parameters[override]
    if "OnDemandThroughputOverride" in parameters:
        spec["OnDemandThroughput"] = parameters["OnDemandThroughputOverride"]
    on_demand = spec["BillingMode"] == "PAY_PER_REQUEST"
    if "ProvisionedThroughputOverride" in parameters:
        spec["ProvisionedThroughput"] = parameters["ProvisionedThroughputOverride"]
    if on_demand:
        spec["ProvisionedThroughput"] = None
        spec["GlobalSecondaryIndexes"] = [
            {k: v for k, v in i.items() if k != "ProvisionedThroughput"} for i in spec["GlobalSecondaryIndexes"]
        ]
    else:
        refusals.check_capacity(spec.get("ProvisionedThroughput"), on_demand=False)
        spec.pop("OnDemandThroughput", None)
        for index in spec["GlobalSecondaryIndexes"]:
            if not (index.get("ProvisionedThroughput") or {}).get("ReadCapacityUnits"):
                raise invalid(
                    "ReadCapacityUnits and WriteCapacityUnits must both be specified for index: " + index["IndexName"]
                )
    # An index that is left out takes its attribute definitions along.
    used = {e["AttributeName"] for e in spec["KeySchema"]}
    for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        used |= {e["AttributeName"] for i in spec[member] for e in i["KeySchema"]}
    spec["AttributeDefinitions"] = [a for a in spec["AttributeDefinitions"] if a["AttributeName"] in used]
    return spec
