"""CreateTable, DescribeTable, UpdateTable, DeleteTable, ListTables and their lifecycles."""

from __future__ import annotations

import functools
from typing import Any

from .. import kms
from ..clock import clock
from ..errors import AwsError, validation
from ..request import Request
from ..settings import settings
from . import policies, refusals
from .backend import LabDynamoDB
from .size import item_size
from .store import LabIndex, LabTable, holds, projected_names


def describe(table: LabTable, now: float) -> dict[str, Any]:
    """A TableDescription; what AWS leaves out of it for such a table is left out."""
    answer: dict[str, Any] = {
        "AttributeDefinitions": table.attr,
        "TableName": table.name,
        "KeySchema": table.schema,
        "TableStatus": table.status,
        "CreationDateTime": table.created,
        "ProvisionedThroughput": table.history.describe(table.provisioned, now),
        "TableSizeBytes": table.bytes,
        "ItemCount": table.count,
        "TableArn": table.table_arn,
        "TableId": table.id,
        "DeletionProtectionEnabled": table.deletion_protection_enabled,
        "WarmThroughput": warm_throughput(table.warm, table.provisioned, table.on_demand_mode, table.status),
    }
    if table.on_demand_since is not None or table.on_demand_mode:
        answer["BillingModeSummary"] = {"BillingMode": table.billing_mode}
        if table.on_demand_since is not None:
            answer["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"] = table.on_demand_since
    if table.indexes:
        answer["LocalSecondaryIndexes"] = [_local(table, index) for index in table.indexes]
    if table.global_indexes:
        answer["GlobalSecondaryIndexes"] = [describe_index(index, now) for index in table.global_indexes]
    if table.stream_specification and table.stream_specification.get("StreamEnabled"):
        answer["StreamSpecification"] = table.stream_specification
    if table.latest_stream_label:
        answer["LatestStreamLabel"] = table.latest_stream_label
        answer["LatestStreamArn"] = f"{table.table_arn}/stream/{table.latest_stream_label}"
    if table.sse is not None:
        answer["SSEDescription"] = table.sse
    if table.table_class_named:
        answer["TableClassSummary"] = {"TableClass": table.table_class}
        if table.class_updated is not None:
            answer["TableClassSummary"]["LastUpdateDateTime"] = table.class_updated
    if table.on_demand is not None and table.on_demand_mode:
        answer["OnDemandThroughput"] = _caps(table.on_demand)
    if table.restore is not None:
        answer["RestoreSummary"] = table.restore
    return answer


def describe_index(index: LabIndex, now: float) -> dict[str, Any]:
    count, size = index.visible(now)
    table = index.table
    answer: dict[str, Any] = {
        "IndexName": index.name,
        "KeySchema": index.schema,
        "Projection": _projection(index.projection),
        "IndexStatus": index.status,
        "ProvisionedThroughput": index.throughput_history.describe(index.provisioned, now),
        "IndexSizeBytes": size,
        "ItemCount": count,
        "IndexArn": index.arn,
        "WarmThroughput": warm_throughput(index.warm, index.provisioned, table.on_demand_mode, index.status),
    }
    if index.status == "CREATING" and table.status != "CREATING":
        answer["Backfilling"] = now >= index.backfill_from
    if index.on_demand is not None and table.on_demand_mode:
        answer["OnDemandThroughput"] = _caps(index.on_demand)
    return answer


def _local(table: LabTable, index: Any) -> dict[str, Any]:
    held = [item for item in table.each_item() if holds(index, item)]
    names = projected_names(index)
    return {
        "IndexName": index.name,
        "KeySchema": index.schema,
        "Projection": _projection(index.projection),
        "IndexSizeBytes": sum(item_size(item, names) for item in held),
        "ItemCount": len(held),
        "IndexArn": f"{table.table_arn}/index/{index.name}",
    }


def _projection(projection: dict[str, Any]) -> dict[str, Any]:
    """A projection as AWS shows it: its attributes are a set, so their order is not the one they were given in.

    The order of a Java HashSet gives three of the four orders in public reports (terraform-provider-aws 3807,
    aws-sdk-java 1145, cdk-real-drift 328); no caller can rely on more than that it is another one.
    """
    extra = projection.get("NonKeyAttributes")
    return {**projection, "NonKeyAttributes": sorted(extra, key=_bucket)} if extra else projection


def _bucket(name: str) -> int:
    """The bucket of sixteen that Java's HashSet puts a string into."""
    code = functools.reduce(lambda code, c: (31 * code + ord(c)) & 0xFFFFFFFF, name, 0)
    return (code ^ code >> 16) & 15


def warm_throughput(warm: dict[str, int], provisioned: dict[str, int], on_demand: bool, status: str) -> dict[str, Any]:
    own = refusals.floor(provisioned, on_demand)
    return {
        "ReadUnitsPerSecond": max(own["ReadUnitsPerSecond"], warm.get("ReadUnitsPerSecond", 0)),
        "WriteUnitsPerSecond": max(own["WriteUnitsPerSecond"], warm.get("WriteUnitsPerSecond", 0)),
        "Status": status if status in ("CREATING", "UPDATING", "DELETING") else "ACTIVE",
    }


def _caps(caps: dict[str, int]) -> dict[str, int]:
    return {
        "MaxReadRequestUnits": caps.get("MaxReadRequestUnits", -1),
        "MaxWriteRequestUnits": caps.get("MaxWriteRequestUnits", -1),
    }


def find(backend: LabDynamoDB, name: str) -> LabTable:
    """The table of that name or ARN. Raises AwsError ResourceNotFoundException in DescribeTable's words."""
    try:
        return backend.get_table(name)
    except AwsError:
        short = name.rpartition("/")[2]
        raise AwsError("ResourceNotFoundException", f"Requested resource not found: Table: {short} not found") from None


def check_idle(table: LabTable) -> None:
    """Raises AwsError ResourceInUseException while AWS is making, changing or deleting the table."""
    doing = {"CREATING": "created", "UPDATING": "updated", "DELETING": "deleted"}.get(table.status)
    if doing:
        raise AwsError(
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: Table is being {doing}: {table.name}",
        )


def check_room(backend: LabDynamoDB, *, new_table: bool) -> None:
    """Raises AwsError LimitExceededException at the account's limits."""
    if new_table and len(backend.tables) >= settings.max_tables:
        raise AwsError(
            "LimitExceededException",
            f"Subscriber limit exceeded: There is a limit of {settings.max_tables} tables per subscriber",
        )
    if len(backend.in_progress) >= settings.max_control_plane_operations:
        raise AwsError(
            "LimitExceededException",
            "Subscriber limit exceeded: There is a limit of "
            f"{settings.max_control_plane_operations} simultaneous table operations per subscriber",
        )


def create_table(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    refusals.check_new_table(spec)
    name, now = spec["TableName"], clock.now()
    if name in backend.tables:
        raise AwsError("ResourceInUseException", f"Table already exists: {name}")
    check_room(backend, new_table=True)
    sse = encryption(backend, spec.get("SSESpecification"))
    if spec.get("ResourcePolicy"):
        policies.check_policy(spec["ResourcePolicy"])
    table = LabTable(backend, name, spec, now)
    table.sse = sse
    if spec.get("ResourcePolicy"):
        table.policy = (spec["ResourcePolicy"], policies.new_revision(now))
    stream = spec.get("StreamSpecification")
    if stream and stream.get("StreamEnabled"):
        table.start_stream(stream, now)
    backend.tables[name] = table
    begin_creation(backend, table, now, settings.table_create_s)
    return {"TableDescription": describe(table, now)}


def begin_creation(backend: LabDynamoDB, table: LabTable, now: float, seconds: float) -> None:
    """The table and its indexes are CREATING for that long."""
    table.status = "CREATING"
    for index in table.global_indexes:
        index.status = "CREATING"
        index.backfill_from = index.backfill_until = now + seconds
    backend.in_progress.add(table.name)

    def created(due: float) -> None:
        backend.in_progress.discard(table.name)
        if table.status != "CREATING":
            return
        table.status = "ACTIVE"
        table.active_since = due
        if table.on_demand_mode and table.on_demand_since is None:
            table.on_demand_since = due
        for index in table.global_indexes:
            index.status = "ACTIVE"
        if table.restore is not None:
            table.restore = {**table.restore, "RestoreInProgress": False}

    backend.at(now + seconds, created)


def encryption(backend: LabDynamoDB, spec: dict[str, Any] | None) -> dict[str, Any] | None:
    """The SSEDescription for a specification; None for the key that AWS owns. Raises AwsError for a bad key."""
    refusals.check_sse(spec)
    if not spec or not spec.get("Enabled"):
        return None
    key_id = spec.get("KMSMasterKeyId")
    if key_id is None or key_id == "alias/aws/dynamodb":
        arn = kms.aws_managed_key(backend.account_id, backend.region_name)
    else:
        arn = kms.usable_key(backend.account_id, backend.region_name, key_id)
    return {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": arn}


def describe_table(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    return {"Table": describe(find(backend, request.parameters["TableName"]), clock.now())}


def list_tables(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    limit = parameters.get("Limit", 100)
    if not 1 <= limit <= 100:
        raise refusals.constraint(limit, "limit", "Member must have value between 1 and 100")
    start = parameters.get("ExclusiveStartTableName", "")
    names = sorted(name for name in backend.tables if name > start)
    answer: dict[str, Any] = {"TableNames": names[:limit]}
    if len(names) > limit:
        answer["LastEvaluatedTableName"] = names[limit - 1]
    return answer


def delete_table(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    now = clock.now()
    table = find(backend, request.parameters["TableName"])
    if table.status == "DELETING":
        return {"TableDescription": _deleting(table, now)}
    check_idle(table)
    if any(index.status == "CREATING" for index in table.global_indexes):
        raise AwsError(
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: Table is being updated: {table.name}",
        )
    if table.deletion_protection_enabled:
        raise validation(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    check_room(backend, new_table=False)
    if table.pitr is not None:
        from .backups import system_backup

        system_backup(backend, table, now)
    table.status = "DELETING"
    backend.in_progress.add(table.name)

    def deleted(_: float) -> None:
        backend.in_progress.discard(table.name)
        if backend.tables.get(table.name) is table:
            del backend.tables[table.name]
            if table.table_arn in backend.resource_policies:
                del backend.resource_policies[table.table_arn]

    backend.at(now + settings.table_delete_s, deleted)
    return {"TableDescription": _deleting(table, now)}


def _deleting(table: LabTable, now: float) -> dict[str, Any]:
    # While a table goes AWS tells only this much of it.
    full = describe(table, now)
    kept = (
        "TableName",
        "TableStatus",
        "ProvisionedThroughput",
        "TableSizeBytes",
        "ItemCount",
        "TableArn",
        "TableId",
        "BillingModeSummary",
        "DeletionProtectionEnabled",
    )
    return {name: full[name] for name in kept if name in full}
