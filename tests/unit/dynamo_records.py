"""What the model of DynamoDB keeps of a table, and how every request to it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NoReturn

import botocore.session
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

ACCOUNT, REGION = "123456789012", "us-east-1"
WARM_ON_DEMAND = (12000, 4000)
# Seconds that things take.
CREATING, UPDATING, ALLOCATING, BACKFILLING, DELETING, BACKING_UP, RESTORING, SETTLING = 8, 5, 3, 12, 4, 6, 20, 3

SETTLED = {"ENABLING": "ENABLED", "DISABLING": "DISABLED"}


_judged: dict[str, str] = {}


@cache
def _service(name: str) -> Any:
    return botocore.session.get_session().get_service_model(name)


def problems(service: str, operation: str, parameters: Mapping[str, Any]) -> str:
    """What botocore finds wrong with a request; '' when it is good."""
    key = f"{service} {operation} {parameters!r}"
    if key not in _judged:
        shape = _service(service).operation_model(operation).input_shape
        _judged[key] = str(ParamValidator().validate(dict(parameters), shape).generate_report())
    return _judged[key]


def refuse(code: str, message: str, operation: str) -> NoReturn:
    raise ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation
    )  # type: ignore[typeddict-item]


@dataclass
class Index:
    name: str
    schema: list[dict[str, str]]
    projection: dict[str, Any]
    units: tuple[int, int] = (0, 0)
    caps: tuple[int, int] = (-1, -1)
    warm: tuple[int, int] = WARM_ON_DEMAND
    status: str = "ACTIVE"
    backfilling: bool = False


@dataclass
class Table:
    """One table and everything around it. ends: when its transitions end, by what they are of ('' is the table itself)."""

    name: str
    id: str
    created: datetime
    types: dict[str, str]
    schema: list[dict[str, str]]
    billing: str = "PAY_PER_REQUEST"
    units: tuple[int, int] = (0, 0)
    caps: tuple[int, int] = (-1, -1)
    warm: tuple[int, int] = WARM_ON_DEMAND
    indexes: dict[str, Index] = field(default_factory=dict)
    local_indexes: dict[str, Index] = field(default_factory=dict)
    stream: str = ""
    streams: int = 0
    key: str = ""
    table_class: str = "STANDARD"
    protected: bool = False
    status: str = "CREATING"
    tags: dict[str, str] = field(default_factory=dict)
    ttl: str = ""
    ttl_status: str = "DISABLED"
    ttl_changed: datetime | None = None
    pitr: bool = False
    pitr_days: int = 35
    policy: str = ""
    insights: dict[str, str] = field(default_factory=dict)
    restored: dict[str, Any] | None = None
    decreases: int = 0
    on_demand_since: datetime | None = None
    ends: dict[str, datetime] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{self.name}"


def units(body: Mapping[str, Any]) -> tuple[int, int]:
    return body["ReadCapacityUnits"], body["WriteCapacityUnits"]


def names(schema: list[dict[str, str]]) -> set[str]:
    return {entry["AttributeName"] for entry in schema}
