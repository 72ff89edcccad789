"""Pages and filters of describe operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ..errors import AwsError
from .refusals import bad_value

_Row = TypeVar("_Row")


def page(rows: Sequence[_Row], spec: Mapping[str, Any]) -> tuple[Sequence[_Row], str | None]:
    """One page by position, and the marker of the next. Raises AwsError for a MaxRecords outside 20 to 100."""
    limit = page_size(spec)
    try:
        start = int(spec.get("Marker") or 0)
    except ValueError:
        raise bad_value(f"Invalid marker: {spec['Marker']}") from None
    shown = rows[start : start + limit]
    return shown, str(start + limit) if len(rows) > start + limit else None


def named_page(names: Sequence[str], spec: Mapping[str, Any]) -> tuple[Sequence[str], str | None]:
    """One page of sorted names; the marker is the last name shown, so that what comes and goes shifts nothing."""
    limit = page_size(spec)
    marker = spec.get("Marker")
    if marker:
        names = [name for name in names if name > marker]
    shown = names[:limit]
    return shown, shown[-1] if len(names) > limit else None


def page_size(spec: Mapping[str, Any]) -> int:
    limit = spec.get("MaxRecords")
    if limit is None:
        return 100
    if not 20 <= limit <= 100:
        raise bad_value(f"Invalid value {limit} for MaxRecords. Must be between 20 and 100")
    return int(limit)


def filters(spec: Mapping[str, Any], known: Sequence[str]) -> dict[str, set[str]]:
    """Filter name to wanted values, all in lower case. Raises AwsError for an unknown name or a filter without values."""
    found: dict[str, set[str]] = {}
    for one in spec.get("Filters") or ():
        if one["Name"] not in known:
            raise bad_value(f"Unrecognized filter name: {one['Name']}")
        if not one["Values"]:
            raise AwsError("InvalidParameterCombination", f"Filter {one['Name']} has no values.")
        found[one["Name"]] = {value.lower() for value in one["Values"]}
    return found
