"""Tags, by ARN, on everything that has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import AwsError
from ..request import Request
from ..settings import settings
from . import validate
from .refusals import bad_value, fault
from .store import Store

_NOT_FOUND = {
    "cluster": "DBClusterNotFoundFault",
    "db": "DBInstanceNotFoundFault",
    "cluster-snapshot": "DBSnapshotNotFoundFault",
}


def from_list(tags: Sequence[dict[str, str]] | None) -> dict[str, str]:
    """Checked. Raises AwsError for what RDS refuses."""
    return validate.tags(tags or ())


def to_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _owner(store: Store, arn: str) -> dict[str, str]:
    parts = arn.split(":", 6)
    if len(parts) < 7 or parts[2] != "rds":
        raise bad_value(f"Invalid resource name: {arn}")
    kind, name = parts[5], parts[6]
    if parts[3] != store.region or parts[4] != store.account:
        raise bad_value(f"The specified resource name does not match an RDS resource in this region: {arn}")
    holders: dict[str, Mapping[str, Any]] = {
        "cluster": store.clusters,
        "db": store.instances,
        "cluster-snapshot": store.snapshots,
        "subgrp": store.subnet_groups,
        "es": store.subscriptions,
        "cluster-pg": {name: one for (level, name), one in store.parameter_groups.items() if level == "cluster"},
        "pg": {name: one for (level, name), one in store.parameter_groups.items() if level == "instance"},
    }
    if kind not in holders:
        raise bad_value(f"Invalid resource name: {arn}")
    found = holders[kind].get(name)
    if found is None:
        if kind in _NOT_FOUND:
            raise fault(_NOT_FOUND[kind], f"{name} not found")
        # The tag operations declare no code for the others.
        raise bad_value(f"The resource {arn} was not found.")
    tags: dict[str, str] = found.tags
    return tags


def add_tags(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    owned = _owner(store, spec["ResourceName"])
    added = from_list(spec["Tags"])
    if len(owned.keys() | added.keys()) > settings.max_tags:
        raise AwsError("InvalidParameterValue", f"The number of tags exceeds the limit of {settings.max_tags}.")
    owned |= added
    return {}


def remove_tags(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    owned = _owner(store, spec["ResourceName"])
    for key in spec["TagKeys"]:
        owned.pop(key, None)
    return {}


def list_tags(store: Store, request: Request) -> dict[str, Any]:
    return {"TagList": to_list(_owner(store, (request.parameters or {})["ResourceName"]))}
