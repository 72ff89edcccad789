"""DB subnet groups: at least two zones of one VPC."""

from __future__ import annotations

from typing import Any

from ..request import Request
from ..settings import settings
from . import network, pages, tags, validate
from .refusals import fault
from .store import Store, SubnetGroup

DEFAULT = "default"
MOST_SUBNETS = 20
"""Aurora guide, "Quotas in Amazon Aurora": subnets per DB subnet group."""
# What the lab's VPC has; the group that AWS makes of a default VPC's subnets.
_LAB_SUBNETS = ("subnet-a", "subnet-b", "subnet-c")


def find(store: Store, name: str | None) -> SubnetGroup:
    """The group of that name; the default VPC's without one. Raises AwsError DBSubnetGroupNotFoundFault."""
    name = (name or DEFAULT).lower()
    found = store.subnet_groups.get(name)
    if found is None and name == DEFAULT:
        vpc, subnets = _looked_up(store, list(_LAB_SUBNETS))
        found = SubnetGroup(DEFAULT, "default", vpc, subnets, store.arn("subgrp", DEFAULT))
        store.subnet_groups[DEFAULT] = found
    if found is None:
        raise fault("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.")
    return found


def describe(group: SubnetGroup) -> dict[str, Any]:
    return {
        "DBSubnetGroupName": group.name,
        "DBSubnetGroupDescription": group.description,
        "VpcId": group.vpc,
        "SubnetGroupStatus": "Complete",
        "Subnets": [
            {
                "SubnetIdentifier": subnet,
                "SubnetAvailabilityZone": {"Name": zone},
                "SubnetOutpost": {},
                "SubnetStatus": "Active",
            }
            for subnet, zone in group.subnets.items()
        ],
        "DBSubnetGroupArn": group.arn,
        "SupportedNetworkTypes": ["IPV4"],
    }


def create_db_subnet_group(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    name = validate.identifier("DBSubnetGroupName", spec["DBSubnetGroupName"])
    given = tags.from_list(spec.get("Tags"))
    validate.description("DBSubnetGroupDescription", spec["DBSubnetGroupDescription"])
    if name in store.subnet_groups:
        raise fault("DBSubnetGroupAlreadyExistsFault", f"The DB subnet group '{name}' already exists.")
    if len([one for one in store.subnet_groups if one != DEFAULT]) >= settings.rds_max_subnet_groups:
        raise fault("DBSubnetGroupQuotaExceededFault", "The request would exceed the quota of DB subnet groups.")
    vpc, subnets = _looked_up(store, spec["SubnetIds"])
    group = SubnetGroup(name, spec["DBSubnetGroupDescription"], vpc, subnets, store.arn("subgrp", name), given)
    store.subnet_groups[name] = group
    return {"DBSubnetGroup": describe(group)}


def modify_db_subnet_group(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    group = find(store, spec["DBSubnetGroupName"])
    vpc, subnets = _looked_up(store, spec["SubnetIds"])
    if vpc != group.vpc:
        raise fault("InvalidSubnet", "The new Subnets are not in the same Vpc as the existing subnet group")
    used = {
        instance.zone
        for cluster in store.clusters.values()
        if cluster.subnet_group == group.name
        for instance in store.members(cluster)
    }
    if missing := sorted(used - set(subnets.values())):
        gone = sorted(one for one, zone in group.subnets.items() if zone in missing)
        raise fault("SubnetAlreadyInUse", f"Some of the subnets to be deleted are currently in use: {', '.join(gone)}")
    validate.description("DBSubnetGroupDescription", spec.get("DBSubnetGroupDescription", ""))
    group.subnets = subnets
    group.description = spec.get("DBSubnetGroupDescription", group.description)
    return {"DBSubnetGroup": describe(group)}


def delete_db_subnet_group(store: Store, request: Request) -> None:
    name = (request.parameters or {})["DBSubnetGroupName"].lower()
    group = find(store, name)
    if name == DEFAULT:
        raise fault("InvalidDBSubnetGroupStateFault", "The default DB subnet group cannot be deleted.")
    for cluster in store.clusters.values():
        if cluster.subnet_group == group.name:
            what, who = "database instance", next(iter(cluster.members), None)
            if who is None:
                what, who = "database cluster", cluster.identifier
            raise fault(
                "InvalidDBSubnetGroupStateFault",
                f"Cannot delete the subnet group '{name}' because at least one {what}: {who} is still using it.",
            )
    del store.subnet_groups[name]


def describe_db_subnet_groups(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    if spec.get("DBSubnetGroupName"):
        return {"DBSubnetGroups": [describe(find(store, spec["DBSubnetGroupName"]))]}
    shown, marker = pages.named_page(sorted(store.subnet_groups), spec)
    return {"Marker": marker, "DBSubnetGroups": [describe(store.subnet_groups[name]) for name in shown]}


def _looked_up(store: Store, ids: list[str]) -> tuple[str, dict[str, str]]:
    """The VPC and each subnet's zone. Raises AwsError in RDS's words."""
    if not ids:
        raise fault("InvalidSubnet", "Subnet IDs are required.")
    if len(ids) > MOST_SUBNETS:
        raise fault("DBSubnetQuotaExceededFault", f"A DB subnet group may have at most {MOST_SUBNETS} subnets.")
    network.provide(store.account, store.region)
    found = {one: network.subnet(store.account, store.region, one) for one in ids}
    if missing := [one for one, place in found.items() if place is None]:
        raise fault("InvalidSubnet", f"Some input subnets in :[{', '.join(missing)}] are invalid.")
    vpcs = {place[0] for place in found.values() if place}
    if len(vpcs) > 1:
        raise fault("InvalidSubnet", "The subnets must all be in one VPC; they are in " + ", ".join(sorted(vpcs)) + ".")
    subnets = {one: place[1] for one, place in found.items() if place}
    if len(set(subnets.values())) < 2:
        raise fault(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: "
            f"{', '.join(sorted(set(subnets.values())))}. Add subnets to cover at least 2 AZs.",
        )
    return vpcs.pop(), subnets
