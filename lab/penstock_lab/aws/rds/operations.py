"""RDS's operations by name, each run under its region's lock once the clock has been caught up with."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import botocore.session

from ..clock import clock
from ..dispatch import Handler
from ..errors import AwsError
from ..request import Request
from . import (
    account,
    clusterchanges,
    clusters,
    events,
    failover,
    instancechanges,
    instances,
    offers,
    parametergroups,
    power,
    removal,
    restores,
    secrets,
    snapshots,
    subnetgroups,
    subscriptions,
    tags,
)
from .dataplane import DataPlane
from .store import Store

Operation = Callable[[Store, Request], dict[str, Any] | None]

OPERATIONS: dict[str, Operation] = {
    "CreateDBCluster": clusters.create_db_cluster,
    "DescribeDBClusters": clusters.describe_db_clusters,
    "ModifyDBCluster": clusterchanges.modify_db_cluster,
    "DeleteDBCluster": removal.delete_db_cluster,
    "StopDBCluster": power.stop_db_cluster,
    "StartDBCluster": power.start_db_cluster,
    "RebootDBCluster": power.reboot_db_cluster,
    "FailoverDBCluster": failover.failover_db_cluster,
    "CreateDBInstance": instances.create_db_instance,
    "DescribeDBInstances": instances.describe_db_instances,
    "ModifyDBInstance": instancechanges.modify_db_instance,
    "RebootDBInstance": instances.reboot_db_instance,
    "DeleteDBInstance": instances.delete_db_instance,
    "StopDBInstance": power.refuse_instance_power,
    "StartDBInstance": power.refuse_instance_power,
    "CreateDBSubnetGroup": subnetgroups.create_db_subnet_group,
    "DescribeDBSubnetGroups": subnetgroups.describe_db_subnet_groups,
    "ModifyDBSubnetGroup": subnetgroups.modify_db_subnet_group,
    "DeleteDBSubnetGroup": subnetgroups.delete_db_subnet_group,
    "CreateDBClusterParameterGroup": parametergroups.create,
    "DescribeDBClusterParameterGroups": parametergroups.describe_groups,
    "DescribeDBClusterParameters": parametergroups.describe_parameters,
    "ModifyDBClusterParameterGroup": parametergroups.modify,
    "ResetDBClusterParameterGroup": parametergroups.reset,
    "DeleteDBClusterParameterGroup": parametergroups.delete,
    "CreateDBParameterGroup": parametergroups.create,
    "DescribeDBParameterGroups": parametergroups.describe_groups,
    "DescribeDBParameters": parametergroups.describe_parameters,
    "ModifyDBParameterGroup": parametergroups.modify,
    "ResetDBParameterGroup": parametergroups.reset,
    "DeleteDBParameterGroup": parametergroups.delete,
    "DescribeEngineDefaultClusterParameters": parametergroups.describe_defaults,
    "DescribeEngineDefaultParameters": parametergroups.describe_defaults,
    "CreateDBClusterSnapshot": snapshots.create_db_cluster_snapshot,
    "DescribeDBClusterSnapshots": snapshots.describe_db_cluster_snapshots,
    "DeleteDBClusterSnapshot": snapshots.delete_db_cluster_snapshot,
    "DescribeDBClusterAutomatedBackups": snapshots.describe_automated_backups,
    "DeleteDBClusterAutomatedBackup": snapshots.delete_automated_backup,
    "RestoreDBClusterFromSnapshot": restores.restore_from_snapshot,
    "RestoreDBClusterToPointInTime": restores.restore_to_point_in_time,
    "DescribeDBEngineVersions": offers.describe_db_engine_versions,
    "DescribeOrderableDBInstanceOptions": offers.describe_orderable_db_instance_options,
    "AddTagsToResource": tags.add_tags,
    "RemoveTagsFromResource": tags.remove_tags,
    "ListTagsForResource": tags.list_tags,
    "DescribeEvents": events.describe_events,
    "DescribeEventCategories": events.describe_event_categories,
    "CreateEventSubscription": subscriptions.create,
    "DescribeEventSubscriptions": subscriptions.describe_all,
    "ModifyEventSubscription": subscriptions.modify,
    "DeleteEventSubscription": subscriptions.delete,
    "AddSourceIdentifierToSubscription": subscriptions.add_source,
    "RemoveSourceIdentifierFromSubscription": subscriptions.remove_source,
    "DescribeAccountAttributes": account.describe_account_attributes,
    "DescribeCertificates": account.describe_certificates,
    "DescribePendingMaintenanceActions": account.describe_pending_maintenance_actions,
}


class Regions:
    """The store of each account and region, made at its first use; all have the same ``plane`` behind them."""

    def __init__(self, plane: DataPlane | None = None) -> None:
        self._plane = plane or DataPlane()
        self._lock = threading.Lock()
        self._stores: dict[tuple[str, str], Store] = {}

    def use(self, plane: DataPlane) -> None:
        """Puts databases behind regions; before any is used."""
        if self._stores:
            raise RuntimeError("regions are in use already")
        self._plane = plane

    def get(self, account_id: str, region: str) -> Store:
        found = self._stores.get((account_id, region))
        if found is None:
            with self._lock:
                found = self._stores.setdefault((account_id, region), Store(account_id, region, self._plane))
            secrets.rotated_by(account_id, region, functools.partial(_rotate, found))
        return found

    def __iter__(self) -> Any:
        return iter(list(self._stores.values()))

    def settle(self) -> None:
        """Lets everywhere happen what is due."""
        for store in self:
            with store.lock:
                store.settle(clock.now())


def _rotate(store: Store, arn: str) -> None:
    with store.lock:
        store.settle(clock.now())
        clusterchanges.rotate_secret(store, arn)


def handlers(regions: Regions) -> dict[tuple[str, str], Handler]:
    """Every operation of the service. moto has none: what it knows of clusters and instances would be another truth."""
    names = botocore.session.get_session().get_service_model("rds").operation_names
    return {("rds", name): _handler(regions, OPERATIONS[name]) if name in OPERATIONS else _unknown for name in names}


def _handler(regions: Regions, operation: Operation) -> Handler:
    def handle(request: Request) -> dict[str, Any]:
        store = regions.get(request.account, request.region)
        with store.lock:
            store.settle(clock.now())
            return operation(store, request) or {}

    return handle


def _unknown(request: Request) -> dict[str, Any]:
    raise AwsError("InvalidAction", f"The lab does not have the operation {request.operation}.")
