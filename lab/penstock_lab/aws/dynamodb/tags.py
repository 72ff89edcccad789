"""Tags of a table."""

from __future__ import annotations

from typing import Any

from ..errors import AwsError
from ..request import Request
from . import refusals
from .backend import LabDynamoDB
from .store import LabTable

_PAGE = 10


def _tagged(backend: LabDynamoDB, arn: str) -> LabTable:
    if not arn.startswith("arn:"):
        raise refusals.validation(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    try:
        return backend.get_table(arn)
    except AwsError:
        raise AwsError(
            "ResourceNotFoundException", f"Requested resource not found: ResourcArn: {arn} not found"
        ) from None


def tag_resource(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    table = _tagged(backend, parameters["ResourceArn"])
    refusals.check_tags(parameters["Tags"], table.tag_map)
    if table.status in ("CREATING", "DELETING"):
        raise AwsError(
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: Table is being {table.status.lower()[:-3]}ed: "
            f"{table.name}",
        )
    table.tag_map.update({t["Key"]: t["Value"] for t in parameters["Tags"]})
    return {}


def untag_resource(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    table = _tagged(backend, parameters["ResourceArn"])
    for key in parameters["TagKeys"]:
        table.tag_map.pop(key, None)
    return {}


def list_tags_of_resource(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """Ten tags a page."""
    parameters = request.parameters or {}
    table = _tagged(backend, parameters["ResourceArn"])
    keys = sorted(table.tag_map)
    start = parameters.get("NextToken") or ""
    keys = [key for key in keys if key > start]
    answer: dict[str, Any] = {"Tags": [{"Key": key, "Value": table.tag_map[key]} for key in keys[:_PAGE]]}
    if len(keys) > _PAGE:
        answer["NextToken"] = keys[_PAGE - 1]
    return answer
