"""Resource Groups Tagging API for tables: pages of up to 100, filtered by tag, without a scan of moto's services."""

from __future__ import annotations

import bisect
from typing import Any

from .errors import AwsError
from .request import Request

_TYPES = {"dynamodb", "dynamodb:table"}


def get_resources(backend: Any, request: Request) -> dict[str, Any] | None:
    """None, so that moto answers, when more than tables is asked for."""
    parameters = request.parameters or {}
    arns = parameters.get("ResourceARNList") or []
    types = set(parameters.get("ResourceTypeFilters") or [])
    if not (types and types <= _TYPES) and not (arns and all(":dynamodb:" in arn for arn in arns)):
        return None
    per_page = parameters.get("ResourcesPerPage", 50)
    if not 1 <= per_page <= 100:
        raise AwsError("InvalidParameterException", "ResourcesPerPage must be between 1 and 100")
    filters = [(f["Key"], set(f.get("Values") or ())) for f in parameters.get("TagFilters") or ()]
    if arns:
        if filters or types:
            raise AwsError("InvalidParameterException", "ResourceARNList cannot be combined with other filters")
        names = sorted({arn.rpartition("/")[2] for arn in arns} & backend.tables.keys())
    else:
        names = sorted(backend.tables)
    token = parameters.get("PaginationToken") or ""
    rows: list[dict[str, Any]] = []
    for name in names[bisect.bisect_right(names, token) if token else 0 :]:
        table = backend.tables[name]
        # A resource that never had a tag is not known to this service.
        if not table.tag_map or not all(
            key in table.tag_map and (not values or table.tag_map[key] in values) for key, values in filters
        ):
            continue
        if len(rows) == per_page:
            return {"ResourceTagMappingList": rows, "PaginationToken": rows[-1]["ResourceARN"].rpartition("/")[2]}
        rows.append(
            {"ResourceARN": table.table_arn, "Tags": [{"Key": k, "Value": v} for k, v in table.tag_map.items()]}
        )
    return {"ResourceTagMappingList": rows, "PaginationToken": ""}
