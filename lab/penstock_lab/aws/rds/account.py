"""What an account may have, which certificates there are, and what maintenance is pending."""

from __future__ import annotations

import hashlib
from typing import Any

from ..clock import clock
from ..request import Request
from ..settings import settings
from . import catalog, pages, subnetgroups, windows
from .refusals import bad_value, fault
from .store import Cluster, Instance, Store

_CERTIFICATE_FROM = 1_621_875_000.0  # 2021-05-24
_YEAR = 365.25 * windows.DAY
CERTIFICATES = {"rds-ca-rsa2048-g1": 40, "rds-ca-rsa4096-g1": 100, "rds-ca-ecc384-g1": 100}


def describe_account_attributes(store: Store, request: Request) -> dict[str, Any]:
    """Names from the API reference, AccountQuota."""
    manual = sum(1 for one in store.snapshots.values() if one.kind == "manual")
    of_level = {"cluster": 0, "instance": 0}
    for (level, _), group in store.parameter_groups.items():
        of_level[level] += not group.default
    rows = (
        ("DBInstances", len(store.instances), settings.rds_max_instances),
        ("DBClusters", len(store.clusters), settings.rds_max_clusters),
        ("DBParameterGroups", of_level["instance"], settings.rds_max_parameter_groups),
        ("DBClusterParameterGroups", of_level["cluster"], settings.rds_max_cluster_parameter_groups),
        ("DBSubnetGroups", len(store.subnet_groups), settings.rds_max_subnet_groups),
        ("ManualClusterSnapshots", manual, settings.rds_max_snapshots),
        ("EventSubscriptions", len(store.subscriptions), settings.rds_max_subscriptions),
        ("AllocatedStorage", len(store.clusters), 100_000),
        (
            "SubnetsPerDBSubnetGroup",
            max((len(g.subnets) for g in store.subnet_groups.values()), default=0),
            subnetgroups.MOST_SUBNETS,
        ),
        (
            "ReadReplicasPerMaster",
            max((len(c.members) - 1 for c in store.clusters.values() if c.members), default=0),
            settings.rds_max_readers,
        ),
    )
    return {"AccountQuotas": [{"AccountQuotaName": name, "Used": used, "Max": most} for name, used, most in rows]}


def describe_certificates(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    wanted = spec.get("CertificateIdentifier")
    if wanted and wanted not in CERTIFICATES:
        raise fault("CertificateNotFoundFault", f"Certificate not found: {wanted}")
    rows = [
        {
            "CertificateIdentifier": name,
            "CertificateType": "CA",
            "Thumbprint": hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(),
            "ValidFrom": _CERTIFICATE_FROM,
            "ValidTill": _CERTIFICATE_FROM + years * _YEAR,
            "CertificateArn": f"arn:aws:rds:{store.region}::cert:{name}",
            "CustomerOverride": False,
        }
        for name, years in CERTIFICATES.items()
        if wanted in (None, name)
    ]
    shown, marker = pages.page(rows, spec)
    return {
        "DefaultCertificateForNewLaunches": "rds-ca-rsa2048-g1",
        "Certificates": list(shown),
        "Marker": marker,
    }


def automatic_target(cluster: Cluster) -> str | None:
    """The version that RDS would go to by itself: the newest one marked so."""
    version = catalog.find(cluster.engine, cluster.version)
    targets = [t.version for t in version.upgrade_targets if t.auto and not t.major] if version else []
    return targets[-1] if targets else None


def describe_pending_maintenance_actions(store: Store, request: Request) -> dict[str, Any]:
    """A change of engine version that waits for the window, and automatic upgrades that could be had."""
    spec = request.parameters or {}
    wanted = pages.filters(spec, ("db-cluster-id", "db-instance-id"))
    rows = []
    for cluster in store.clusters.values():
        actions = _actions(cluster)
        if actions and _asked(spec, wanted, "db-cluster-id", cluster, cluster.arn):
            rows.append({"ResourceIdentifier": cluster.arn, "PendingMaintenanceActionDetails": actions})
    shown, marker = pages.page(rows, spec)
    return {"Marker": marker, "PendingMaintenanceActions": list(shown)}


def _asked(spec: dict[str, Any], wanted: dict[str, set[str]], kind: str, what: Cluster | Instance, arn: str) -> bool:
    if spec.get("ResourceIdentifier"):
        if not spec["ResourceIdentifier"].startswith("arn:"):
            raise bad_value(f"Invalid resource identifier: {spec['ResourceIdentifier']}")
        return bool(spec["ResourceIdentifier"] == arn)
    if not wanted:
        return True
    return kind in wanted and bool(wanted[kind] & {what.identifier, arn.lower()})


def _actions(cluster: Cluster) -> list[dict[str, Any]]:
    target = automatic_target(cluster)
    if target is None or not cluster.auto_minor:
        return []
    at = windows.next_start(cluster.maintenance_window, clock.now())
    return [
        {
            "Action": "system-update",
            "Description": f"Automatic minor version upgrade to {target}",
            "CurrentApplyDate": at,
        }
    ]
