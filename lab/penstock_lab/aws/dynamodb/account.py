"""What DynamoDB says about the account and the endpoint."""

from __future__ import annotations

from typing import Any

from ..request import Request
from ..settings import settings
from .backend import LabDynamoDB
from .tables import find


def describe_limits(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    return {
        "AccountMaxReadCapacityUnits": 2 * settings.table_max_read_units,
        "AccountMaxWriteCapacityUnits": 2 * settings.table_max_write_units,
        "TableMaxReadCapacityUnits": settings.table_max_read_units,
        "TableMaxWriteCapacityUnits": settings.table_max_write_units,
    }


def describe_endpoints(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    host = request.headers.get(b"Host", b"").decode("latin-1") or f"dynamodb.{backend.region_name}.amazonaws.com"
    return {"Endpoints": [{"Address": host, "CachePeriodInMinutes": 1440}]}


def no_kinesis_destinations(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """The lab has no Kinesis; a table that exists has no destinations."""
    table = find(backend, request.parameters["TableName"])
    return {"TableName": table.name, "KinesisDataStreamDestinations": []}
