"""The network that the lab's databases live in: subnets and a security group under names that manifests can know.

Kept in moto's EC2, so that DescribeSubnets and the rest show them. There are

- ``subnet-a``, ``subnet-b`` and ``subnet-c`` in the region's first three zones, and ``sg-lab``, in one VPC with an internet
  gateway;
- ``subnet-other`` in the first zone, in a second VPC without one.
"""

from __future__ import annotations

from typing import Any

import moto.ec2.models as models
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend, Zone
from moto.ec2.models.security_groups import SecurityGroup
from moto.ec2.models.subnets import Subnet

SUBNETS = ("subnet-a", "subnet-b", "subnet-c")
OTHER_SUBNET = "subnet-other"
SECURITY_GROUP = "sg-lab"


def provide(account: str, region: str) -> None:
    """Makes the network of the region once; asked again it is a look-up or two."""
    backend: Any = models.ec2_backends[account][region]
    zones = _zones(region)
    if SUBNETS[0] in backend.subnets.get(zones[0].name, {}):
        return
    vpc = backend.create_vpc("10.77.0.0/16", tags=[{"Key": "Name", "Value": "lab"}])
    vpc.enable_dns_hostnames = True
    backend.attach_internet_gateway(backend.create_internet_gateway().id, vpc.id)
    other = backend.create_vpc("10.78.0.0/16", tags=[{"Key": "Name", "Value": "other"}])
    for number, (name, zone) in enumerate(zip(SUBNETS, zones, strict=True)):
        _subnet(backend, name, vpc.id, f"10.77.{number * 16}.0/20", zone)
    _subnet(backend, OTHER_SUBNET, other.id, "10.78.0.0/20", zones[0])
    backend.groups[vpc.id][SECURITY_GROUP] = SecurityGroup(
        backend, SECURITY_GROUP, "lab", "Databases of the lab", vpc_id=vpc.id
    )


def subnet(account: str, region: str, subnet_id: str) -> tuple[str, str] | None:
    """A subnet's VPC and zone, whoever made it; None where there is none of that id."""
    backend: Any = models.ec2_backends[account][region]
    for zone, subnets in backend.subnets.items():
        if subnet_id in subnets:
            return subnets[subnet_id].vpc_id, zone
    return None


def zones(region: str) -> list[str]:
    """The names of the region's first three zones."""
    return [zone.name for zone in _zones(region)]


def has_internet_gateway(account: str, region: str, vpc: str) -> bool:
    backend: Any = models.ec2_backends[account][region]
    return any(gateway.vpc is not None and gateway.vpc.id == vpc for gateway in backend.internet_gateways.values())


def has_dns_names(account: str, region: str, vpc: str) -> bool:
    """Whether the VPC gives its hosts names and resolves them, as a public endpoint needs it."""
    backend: Any = models.ec2_backends[account][region]
    found = backend.get_vpc(vpc)
    return bool(found and found.enable_dns_support and found.enable_dns_hostnames)


def security_group(account: str, region: str, group_id: str) -> str | None:
    """A security group's VPC, whoever made it; None where there is none of that id."""
    backend: Any = models.ec2_backends[account][region]
    return next((vpc for vpc, groups in backend.groups.items() if group_id in groups), None)


def default_security_group(account: str, region: str, vpc: str) -> str:
    """The id of the group named ``default`` that every VPC has."""
    backend: Any = models.ec2_backends[account][region]
    return str(backend.get_security_group_by_name_or_id("default", vpc).id)


def _zones(region: str) -> list[Zone]:
    """Three zones of the region; those of one that moto does not know are made up, as RDS's clients would name them."""
    zones = list(RegionsAndZonesBackend.zones.get(region, ()))
    letters = [Zone(region_name=region, name=f"{region}{x}", zone_id=f"{region}-az{n}") for n, x in enumerate("abc", 1)]
    return (zones + letters[len(zones) :])[:3]


def _subnet(backend: Any, subnet_id: str, vpc_id: str, cidr: str, zone: Zone) -> None:
    # moto's own create_subnet picks the id.
    backend.subnets[zone.name][subnet_id] = Subnet(backend, subnet_id, vpc_id, cidr, None, zone, False, False)
    backend.associate_default_network_acl_with_subnet(subnet_id, vpc_id)
