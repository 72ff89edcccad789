"""DynamoDB's operations by name, each run under its backend's lock once the clock has been caught up with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.session
from moto.core.base_backend import BackendDict

from ..clock import clock
from ..dispatch import Handler
from ..errors import AwsError, validation
from ..metrics import metrics
from ..request import Request
from . import account, backups, insights, items, partiql, policies, tables, tags, ttl, updates
from .backend import LabDynamoDB

Operation = Callable[[LabDynamoDB, Request], dict[str, Any]]

OPERATIONS: dict[str, Operation] = {
    "CreateTable": tables.create_table,
    "DescribeTable": tables.describe_table,
    "UpdateTable": updates.update_table,
    "DeleteTable": tables.delete_table,
    "ListTables": tables.list_tables,
    "DescribeLimits": account.describe_limits,
    "DescribeEndpoints": account.describe_endpoints,
    "UpdateTimeToLive": ttl.update_time_to_live,
    "DescribeTimeToLive": ttl.describe_time_to_live,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "ListTagsOfResource": tags.list_tags_of_resource,
    "PutResourcePolicy": policies.put_resource_policy,
    "GetResourcePolicy": policies.get_resource_policy,
    "DeleteResourcePolicy": policies.delete_resource_policy,
    "UpdateContributorInsights": insights.update_contributor_insights,
    "DescribeContributorInsights": insights.describe_contributor_insights,
    "ListContributorInsights": insights.list_contributor_insights,
    "DescribeContinuousBackups": backups.describe_continuous_backups,
    "UpdateContinuousBackups": backups.update_continuous_backups,
    "CreateBackup": backups.create_backup,
    "DescribeBackup": backups.describe_backup,
    "DeleteBackup": backups.delete_backup,
    "ListBackups": backups.list_backups,
    "RestoreTableFromBackup": backups.restore_table_from_backup,
    "RestoreTableToPointInTime": backups.restore_table_to_point_in_time,
    "DescribeKinesisStreamingDestination": account.no_kinesis_destinations,
    "GetItem": items.single(items.get_item, "GetItem"),
    "PutItem": items.single(items.put_item, "PutItem"),
    "UpdateItem": items.single(items.update_item, "UpdateItem"),
    "DeleteItem": items.single(items.delete_item, "DeleteItem"),
    "Query": items.single(items.query, "Query"),
    "Scan": items.single(items.scan, "Scan"),
    "BatchGetItem": items.batch_get_item,
    "BatchWriteItem": items.batch_write_item,
    "TransactGetItems": items.transact_get_items,
    "ExecuteStatement": partiql.execute_statement,
    "BatchExecuteStatement": partiql.batch_execute_statement,
    "ExecuteTransaction": partiql.execute_transaction,
    "TransactWriteItems": items.transact_write_items,
}


def handlers(backends: BackendDict[LabDynamoDB]) -> dict[tuple[str, str], Handler]:
    model = botocore.session.get_session().get_service_model("dynamodb")
    answer: dict[tuple[str, str], Handler] = {}
    for name, operation in OPERATIONS.items():
        required = tuple(model.operation_model(name).input_shape.required_members)
        answer["dynamodb", name] = _handler(backends, operation, required)
    return answer


def _handler(backends: BackendDict[LabDynamoDB], operation: Operation, required: tuple[str, ...]) -> Handler:
    known: dict[tuple[str, str], LabDynamoDB] = {}

    def handle(request: Request) -> dict[str, Any]:
        parameters = request.parameters or {}
        for name in required:
            if parameters.get(name) is None:
                if request.operation == "CreateTable" and name == "TableName":
                    # Measured against AWS by the public suite dynamodb-conformance.
                    raise validation("The parameter 'TableName' is required but was not present in the request")
                member = name[:1].lower() + name[1:]
                raise validation(
                    f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: "
                    "Member must not be null"
                )
        where = (request.account, request.region)
        backend = known.get(where)
        if backend is None:
            backend = known[where] = backends[request.account][request.region]
        with backend.lock:
            now = clock.now()
            backend.settle(now)
            try:
                return operation(backend, request)
            except AwsError as error:
                if request.key in backend.tables:
                    _count(backend.region_name, request, error, now)
                raise

    return handle


# Developer guide, "DynamoDB metrics and dimensions".
_COUNTED = {
    "ProvisionedThroughputExceededException": "ThrottledRequests",
    "ThrottlingException": "ThrottledRequests",
    "ConditionalCheckFailedException": "ConditionalCheckFailedRequests",
    "TransactionConflictException": "TransactionConflict",
}


def _count(region: str, request: Request, error: AwsError, now: float) -> None:
    name = _COUNTED.get(error.code, "UserErrors" if error.status < 500 else "SystemErrors")
    dimensions: dict[str, str] = {}
    if name != "UserErrors":
        dimensions["TableName"] = request.key
    if name in ("ThrottledRequests", "SystemErrors"):
        dimensions["Operation"] = request.operation
    metrics.add(region, "AWS/DynamoDB", name, dimensions, 1.0, now)
