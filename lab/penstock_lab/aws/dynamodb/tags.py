"""Tags of a table."""

from __future__ import annotations

from typing import Any

from ..errors import AwsError, validation
from ..request import Request
from ..settings import settings
from . import refusals
from .backend import LabDynamoDB
from .store import LabTable

_PAGE = 10


def _tagged(backend: LabDynamoDB, arn: str, *, ready: bool = True) -> LabTable:
    """The table of an ARN; with ``ready`` not one that is being made, which AWS answers is not there."""
    if not arn.startswith("arn:"):
        raise validation(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    table = backend.tables.get(arn.rpartition("/")[2])
    if table is None or (ready and table.status == "CREATING"):
        raise AwsError("ResourceNotFoundException", f"Requested resource not found: ResourcArn: {arn} not found")
    if ready and table.status == "DELETING":
        raise AwsError(
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: Table is being deleted: {table.name}",
        )
    return table


def tag_resource(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    table = _tagged(backend, parameters["ResourceArn"])
    refusals.check_tags(parameters["Tags"], table.tag_map)
    table.tag_map.update({t["Key"]: t["Value"] for t in parameters["Tags"]})
    return {}


def untag_resource(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    table = _tagged(backend, parameters["ResourceArn"])
    for key in parameters["TagKeys"]:
        table.tag_map.pop(key, None)
    return {}


def list_tags_of_resource(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """Ten tags a page. Of a table that is not there AWS answers that the caller has no right to see them.

    Measured against AWS by the public suite dynamodb-conformance.
    """
    parameters = request.parameters or {}
    arn = parameters["ResourceArn"]
    if arn.startswith("arn:") and arn.rpartition("/")[2] not in backend.tables:
        raise AwsError(
            "AccessDeniedException",
            f"User: {request.principal} is not authorized to perform: dynamodb:ListTagsOfResource on resource: {arn}",
        )
    table = _tagged(backend, arn, ready=not settings.tags_while_creating)
    keys = sorted(table.tag_map)
    start = parameters.get("NextToken") or ""
    keys = [key for key in keys if key > start]
    answer: dict[str, Any] = {"Tags": [{"Key": key, "Value": table.tag_map[key]} for key in keys[:_PAGE]]}
    if len(keys) > _PAGE:
        answer["NextToken"] = keys[_PAGE - 1]
    return answer
