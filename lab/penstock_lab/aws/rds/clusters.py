"""Clusters: their creation, what a describe shows of them, and their end."""

from __future__ import annotations

import secrets
import string
from typing import Any

from .. import kms
from ..clock import clock
from ..errors import AwsError
from ..request import Request
from ..settings import settings
from . import catalog, network, pages, parametergroups, subnetgroups, tags, validate, windows
from .dataplane import Origin
from .refusals import bad_combination, bad_value, fault
from .store import Cluster, Instance, Secret, Store, SubnetGroup, short_name

_PORTS = {"aurora-postgresql": 5432, "aurora-mysql": 3306}
_ZONES = 3
_HOSTED_ZONE = "Z2R2ITUGPM61AM"
_INSIGHTS_DAYS = (7, *range(31, 714, 31), 731)
_MONITORING = (0, 1, 5, 10, 15, 30, 60)
_FILTERS = ("clone-group-id", "db-cluster-id", "db-cluster-resource-id", "domain", "engine")
# Printable without the characters that a master password must not have, nor those that a shell would take.
_PASSWORD = string.ascii_letters + string.digits + "!#$%&()*+,-.:;<=>?[]^_{|}~"


def generated_password() -> str:
    return "".join(secrets.choice(_PASSWORD) for _ in range(32))


# What a request gives, checked; creation and restores share it.


def engine_of(engine: str, version: str | None) -> catalog.EngineVersion:
    if engine not in catalog.ENGINES:
        raise bad_value(f"Invalid DB engine: {engine}")
    found = catalog.find(engine, version)
    if found is None:
        raise bad_combination(f"Cannot find version {version} for {engine}")
    return found


def new_name(store: Store, identifier: str) -> str:
    """Raises AwsError for a name that is none, is taken, or is one too many."""
    name = validate.identifier("DBClusterIdentifier", identifier)
    check_name(store, name)
    if len(store.clusters) >= settings.rds_max_clusters:
        raise fault("DBClusterQuotaExceededFault", "The request would exceed the quota of DB clusters.")
    return name


def check_name(store: Store, name: str) -> None:
    """Raises AwsError where a cluster has the name, or is being renamed to it."""
    renamed = (one for one in store.clusters.values() if one.status == "renaming")
    if name in store.clusters or any(one.pending.get("NewDBClusterIdentifier") == name for one in renamed):
        raise fault("DBClusterAlreadyExistsFault", "DB Cluster already exists")


def zones_of(store: Store, group: SubnetGroup, wanted: list[str]) -> list[str]:
    """The three zones of the cluster's storage: those wanted, then those of the subnets, then others of the region.

    Aurora keeps six copies in three zones whatever the subnets cover (Aurora guide, "Overview of Aurora storage").
    """
    if len(wanted) > _ZONES:
        raise bad_value(f"You cannot specify more than {_ZONES} availability zones.")
    if wrong := sorted(set(wanted) - set(group.zones)):
        zones, are = ("zone", "is") if len(wrong) == 1 else ("zones", "are")
        raise fault(
            "InvalidVPCNetworkStateFault",
            f"Availability {zones} '[{', '.join(wrong)}]' {are} unavailable in this region, please choose another zone "
            "set.",
        )
    return sorted(list(dict.fromkeys([*wanted, *group.zones, *network.zones(store.region)]))[:_ZONES])


def security_groups(store: Store, given: list[str] | None, group: SubnetGroup) -> list[str]:
    if not given:
        if network.security_group(store.account, store.region, network.SECURITY_GROUP) == group.vpc:
            return [network.SECURITY_GROUP]
        return [network.default_security_group(store.account, store.region, group.vpc)]
    for one in given:
        vpc = network.security_group(store.account, store.region, one)
        if vpc is None:
            raise bad_value(f"Invalid security group , groupId= {one}, groupName=.")
        if vpc != group.vpc:
            raise bad_combination(
                f"The DB instance and EC2 security group are in different VPCs. The DB instance is in {group.vpc} and the "
                f"EC2 security group is in {vpc}"
            )
    return list(dict.fromkeys(given))


def key_of(store: Store, key: str | None, alias: str = "alias/aws/rds") -> str:
    """The ARN of a usable key. Raises AwsError KMSKeyNotAccessibleFault."""
    if not key:
        return kms.managed_key(store.account, store.region, alias)
    try:
        return kms.usable_key(store.account, store.region, key)
    except AwsError:
        raise fault(
            "KMSKeyNotAccessibleFault",
            f"The specified KMS key [{key}] does not exist, is not enabled or you do not have permissions to access it.",
        ) from None


def logs_of(version: catalog.EngineVersion, wanted: list[str] | None) -> list[str]:
    if wrong := [f"'{one}'" for one in wanted or () if one not in version.logs]:
        raise bad_combination(
            f"You cannot use the log types {', '.join(wrong)} with engine version {version.engine} {version.version}. For "
            "supported log types, see the documentation."
        )
    return sorted(dict.fromkeys(wanted or ()))


def storage_of(version: catalog.EngineVersion, value: str | None) -> str:
    if value not in (None, "", "aurora", "aurora-iopt1"):
        raise bad_combination(f"You can't use the {value} storage type.")
    if value == "aurora-iopt1" and not version.io_optimized:
        raise bad_combination(f"You can't use the {value} storage type with {version.engine} {version.version}.")
    return value or "aurora"


def insights_of(
    store: Store, enabled: bool | None, days: int | None, key: str | None, current: Cluster | Instance | None = None
) -> tuple[bool, int | None, str | None]:
    on = enabled if enabled is not None else bool(current and current.insights)
    if not on:
        if days is not None or key:
            raise bad_combination("To enable Performance Insights, EnablePerformanceInsights must be set to 'true'")
        return False, None, None
    days = days if days is not None else (current and current.insights_days) or 7
    if days not in _INSIGHTS_DAYS:
        raise bad_value(f"Invalid Performance Insights retention period. Valid values are: {list(_INSIGHTS_DAYS)}")
    known = current.insights_key if current else None
    if known and key and key_of(store, key) != known:
        raise bad_combination("The Performance Insights KMS key cannot be changed.")
    return True, days, known or key_of(store, key)


def check_insights_mode(mode: str, days: int | None) -> None:
    """``days`` is how long Performance Insights keeps its data, None while it is off."""
    if mode not in ("standard", "advanced"):
        raise bad_value("Invalid DatabaseInsightsMode. Valid values are standard, advanced.")
    if mode == "advanced" and (days or 0) < _INSIGHTS_DAYS[1]:
        raise bad_combination(
            "You can't enable the Advanced mode of Database Insights until you enable Performance Insights and set the "
            f"retention period for Performance Insights to at least {_INSIGHTS_DAYS[1]} days."
        )


def network_of(value: str | None) -> str:
    if value not in (None, "", "IPV4"):
        raise fault("NetworkTypeNotSupported", f"Network type {value} is not supported by the DB subnet group.")
    return "IPV4"


def monitoring_of(interval: int | None, role: str | None) -> tuple[int, str | None]:
    if interval not in (None, *_MONITORING):
        raise bad_value(f"Invalid monitoring interval, please enter a value in {list(_MONITORING)}")
    if interval and not role:
        raise bad_combination(
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0."
        )
    if role and not interval:
        raise bad_combination(
            "A MonitoringInterval value greater than 0 is required if you specify a MonitoringRoleARN."
        )
    return interval or 0, role if interval else None


def scaling_of(version: catalog.EngineVersion, given: dict[str, Any] | None, current: dict[str, Any] | None) -> Any:
    """A checked ServerlessV2ScalingConfiguration over the current one; None without any."""
    if given is None:
        return current
    merged = {**(current or {}), **{k: v for k, v in given.items() if v is not None}}
    if merged.get("MinCapacity", 1) != 0:
        if given.get("SecondsUntilAutoPause") is None:
            merged.pop("SecondsUntilAutoPause", None)
    elif "SecondsUntilAutoPause" not in merged:
        merged["SecondsUntilAutoPause"] = 300
    validate.serverless(
        merged.get("MinCapacity"), merged.get("MaxCapacity"), merged.get("SecondsUntilAutoPause"), version
    )
    return merged


def settle_windows(identifier: str, backup: str | None, maintenance: str | None) -> tuple[str, str]:
    backup, maintenance = validate.windows(backup, maintenance)
    backup = backup or windows.default_backup(identifier)
    maintenance = maintenance or windows.default_maintenance(identifier)
    try:
        validate.windows(backup, maintenance)
    except AwsError:
        # The one that was left to RDS gives way to the one that was given.
        backup = windows.default_backup(identifier + "/")
        validate.windows(backup, maintenance)
    return backup, maintenance


def create_db_cluster(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    _refuse_what_is_not_aurora(spec)
    version = engine_of(spec["Engine"], spec.get("EngineVersion"))
    name = new_name(store, spec["DBClusterIdentifier"])
    managed = bool(spec.get("ManageMasterUserPassword"))
    username, password = spec.get("MasterUsername"), spec.get("MasterUserPassword")
    if not username:
        raise bad_value("The parameter MasterUsername must be provided and must not be blank.")
    validate.username(version.engine, username)
    if managed and password:
        raise bad_combination(
            "MasterUserPassword and ManageMasterUserPassword are mutually exclusive. Specify only one of these parameters."
        )
    if not managed:
        if not password:
            raise bad_value("The parameter MasterUserPassword must be provided and must not be blank.")
        validate.password(password)
        if spec.get("MasterUserSecretKmsKeyId"):
            raise bad_combination("MasterUserSecretKmsKeyId can be specified only with ManageMasterUserPassword.")
    database = spec.get("DatabaseName")
    if database:
        validate.database_name(version.engine, database)
    cluster = build(store, request, name, version, username, password or generated_password())
    cluster.database = database
    cluster.encrypted = spec.get("StorageEncrypted", bool(spec.get("KmsKeyId")))
    if spec.get("KmsKeyId") and not cluster.encrypted:
        raise bad_combination("KmsKeyId can be specified only for an encrypted cluster: set StorageEncrypted.")
    cluster.key = key_of(store, spec.get("KmsKeyId")) if cluster.encrypted else None
    secret_key = key_of(store, spec.get("MasterUserSecretKmsKeyId"), "alias/aws/secretsmanager") if managed else None
    begin(store, cluster, settings.rds_cluster_create_s, None)
    if secret_key:
        manage_secret(store, cluster, secret_key, cluster.created)
    return {"DBCluster": describe(store, cluster)}


def build(
    store: Store, request: Request, name: str, version: catalog.EngineVersion, username: str, password: str
) -> Cluster:
    """A cluster by what creation and restores have in common. Nothing is kept yet."""
    spec = request.parameters or {}
    group = subnetgroups.find(store, spec.get("DBSubnetGroupName"))
    parameter_group = parametergroups.of_family(
        store, "cluster", spec.get("DBClusterParameterGroupName"), version.family
    )
    retention = spec.get("BackupRetentionPeriod", 1)
    validate.retention(retention)
    port = spec.get("Port", _PORTS[version.engine])
    validate.port(port)
    backup, maintenance = settle_windows(
        name, spec.get("PreferredBackupWindow"), spec.get("PreferredMaintenanceWindow")
    )
    cluster = Cluster(
        identifier=name,
        account=store.account,
        region=store.region,
        engine=version.engine,
        version=version.version,
        family=version.family,
        username=username,
        password=password,
        port=port,
        subnet_group=group.name,
        parameter_group=parameter_group.name,
        security_groups=security_groups(store, spec.get("VpcSecurityGroupIds"), group),
        zones=zones_of(store, group, spec.get("AvailabilityZones") or []),
        retention=retention,
        backup_window=backup,
        maintenance_window=maintenance,
        created=clock.now(),
        tags=tags.from_list(spec.get("Tags")),
        iam=bool(spec.get("EnableIAMDatabaseAuthentication")),
        logs=logs_of(version, spec.get("EnableCloudwatchLogsExports")),
        deletion_protection=bool(spec.get("DeletionProtection")),
        copy_tags=bool(spec.get("CopyTagsToSnapshot")),
        auto_minor=spec.get("AutoMinorVersionUpgrade", True),
        http_endpoint=bool(spec.get("EnableHttpEndpoint")),
        storage=storage_of(version, spec.get("StorageType")),
        serverless=scaling_of(version, spec.get("ServerlessV2ScalingConfiguration"), None),
        insights_mode=spec.get("DatabaseInsightsMode") or "standard",
        network=network_of(spec.get("NetworkType")),
        lifecycle_support=spec.get("EngineLifecycleSupport") or "open-source-rds-extended-support",
    )
    cluster.table_names = parametergroups.table_names(parameter_group)
    cluster.insights, cluster.insights_days, cluster.insights_key = insights_of(
        store,
        spec.get("EnablePerformanceInsights"),
        spec.get("PerformanceInsightsRetentionPeriod"),
        spec.get("PerformanceInsightsKMSKeyId"),
    )
    check_insights_mode(cluster.insights_mode, cluster.insights_days)
    cluster.monitoring_interval, cluster.monitoring_role = monitoring_of(
        spec.get("MonitoringInterval"), spec.get("MonitoringRoleArn")
    )
    if cluster.storage == "aurora-iopt1":
        cluster.storage_changed = cluster.created
    return cluster


def begin(store: Store, cluster: Cluster, seconds: float, origin: Origin | None) -> None:
    """The cluster is there from now on, creating for ``seconds``."""
    store.clusters[cluster.identifier] = cluster
    cluster.restoring = (cluster.created, seconds) if origin else None
    store.plane.cluster_created(cluster, origin)

    def created(at: float) -> None:
        cluster.earliest = at
        cluster.restoring = None
        store.events.emit("RDS-EVENT-0170", cluster.identifier, at, tags=cluster.tags)
        from . import snapshots

        snapshots.first_backup(store, cluster, at)

    store.during(cluster, "creating", seconds, created)


def manage_secret(store: Store, cluster: Cluster, key: str, at: float) -> None:
    """Puts the master's password into a secret of its own, active after a moment."""
    from .secrets import MasterSecrets

    held = MasterSecrets(store.account, store.region)
    arn = held.create(cluster.identifier, cluster.resource, cluster.username, cluster.password, key)
    secret = cluster.secret = Secret(arn, "creating", key)

    def active(_: float) -> None:
        secret.status = "active"

    store.at(at + settings.rds_secret_s, active)


def _refuse_what_is_not_aurora(spec: dict[str, Any]) -> None:
    if spec["Engine"] in ("mysql", "postgres"):
        raise bad_combination("The lab has Aurora clusters alone; Multi-AZ DB clusters are not offered.")
    if spec.get("EngineMode") not in (None, "provisioned"):
        raise bad_combination(f"The engine mode {spec['EngineMode']} you requested is currently unavailable.")
    for name in ("GlobalClusterIdentifier", "ReplicationSourceIdentifier", "DBSystemId"):
        if spec.get(name):
            raise bad_combination(f"{name} is not offered by the lab.")
    for name in ("AllocatedStorage", "DBClusterInstanceClass", "Iops", "PubliclyAccessible"):
        if spec.get(name) is not None:
            raise bad_combination(f"{name} isn't supported for DB engine {spec['Engine']}.")


# What a describe shows.


def describe(store: Store, cluster: Cluster, now: float | None = None) -> dict[str, Any]:
    now = clock.now() if now is None else now
    members = store.members(cluster)
    earliest, latest = restorable(store, cluster, now)
    answer: dict[str, Any] = {
        "AllocatedStorage": 1,
        "AvailabilityZones": cluster.zones,
        "BackupRetentionPeriod": cluster.retention,
        "DatabaseName": cluster.database,
        "DBClusterIdentifier": cluster.identifier,
        "DBClusterParameterGroup": cluster.parameter_group,
        "DBSubnetGroup": cluster.subnet_group,
        "Status": cluster.status,
        "EarliestRestorableTime": earliest,
        "LatestRestorableTime": latest,
        "Endpoint": store.plane.cluster_address(cluster, "writer").host,
        "ReaderEndpoint": store.plane.cluster_address(cluster, "reader").host,
        "MultiAZ": len({member.zone for member in members}) > 1,
        "Engine": cluster.engine,
        "EngineVersion": cluster.version,
        "Port": store.plane.cluster_address(cluster, "writer").port or cluster.port,
        "MasterUsername": cluster.username,
        "PreferredBackupWindow": cluster.backup_window,
        "PreferredMaintenanceWindow": cluster.maintenance_window,
        "ReadReplicaIdentifiers": [],
        "DBClusterMembers": [
            {
                "DBInstanceIdentifier": member.identifier,
                "IsClusterWriter": member.identifier == cluster.writer,
                "DBClusterParameterGroupStatus": member.cluster_parameters,
                "PromotionTier": member.tier,
            }
            for member in members
        ],
        "VpcSecurityGroups": [{"VpcSecurityGroupId": one, "Status": "active"} for one in cluster.security_groups],
        "HostedZoneId": _HOSTED_ZONE,
        "StorageEncrypted": cluster.encrypted,
        "KmsKeyId": cluster.key,
        "DbClusterResourceId": cluster.resource,
        "DBClusterArn": cluster.arn,
        "AssociatedRoles": [],
        "IAMDatabaseAuthenticationEnabled": cluster.iam,
        "CloneGroupId": cluster.clone_group,
        "ClusterCreateTime": cluster.created,
        "EngineMode": "provisioned",
        # AWS leaves the standard storage type out.
        "StorageType": "aurora-iopt1" if cluster.storage == "aurora-iopt1" else None,
        "AutoMinorVersionUpgrade": cluster.auto_minor,
        "DeletionProtection": cluster.deletion_protection,
        "HttpEndpointEnabled": cluster.http_endpoint,
        "ActivityStreamStatus": "stopped",
        "CopyTagsToSnapshot": cluster.copy_tags,
        "CrossAccountClone": False,
        "DomainMemberships": [],
        "TagList": tags.to_list(cluster.tags),
        "GlobalWriteForwardingRequested": False,
        "NetworkType": cluster.network,
        "DatabaseInsightsMode": cluster.insights_mode,
        "EngineLifecycleSupport": cluster.lifecycle_support,
    }
    if cluster.logs:
        answer["EnabledCloudwatchLogsExports"] = cluster.logs
    if cluster.storage_changed is not None:
        answer["IOOptimizedNextAllowedModificationTime"] = cluster.storage_changed + settings.rds_iopt_interval_s
    if cluster.serverless:
        answer["ServerlessV2ScalingConfiguration"] = cluster.serverless
    if cluster.insights:
        answer["PerformanceInsightsEnabled"] = True
        answer["PerformanceInsightsKMSKeyId"] = cluster.insights_key
        answer["PerformanceInsightsRetentionPeriod"] = cluster.insights_days
    if cluster.monitoring_interval:
        answer["MonitoringInterval"] = cluster.monitoring_interval
        answer["MonitoringRoleArn"] = cluster.monitoring_role
    if cluster.secret:
        answer["MasterUserSecret"] = {
            "SecretArn": cluster.secret.arn,
            "SecretStatus": cluster.secret.status,
            "KmsKeyId": cluster.secret.key,
        }
    if cluster.pending:
        answer["PendingModifiedValues"] = pending(cluster)
    if cluster.restoring is not None:
        begun, seconds = cluster.restoring
        answer["PercentProgress"] = str(min(99, int(100 * (now - begun) / max(seconds, 0.001))))
    if cluster.restart_at is not None:
        answer["AutomaticRestartTime"] = cluster.restart_at
    return answer


def pending(cluster: Cluster) -> dict[str, Any]:
    shown = dict(cluster.pending)
    if "NewDBClusterIdentifier" in shown:
        shown["DBClusterIdentifier"] = shown.pop("NewDBClusterIdentifier")
    if "EnableIAMDatabaseAuthentication" in shown:
        shown["IAMDatabaseAuthenticationEnabled"] = shown.pop("EnableIAMDatabaseAuthentication")
    return shown


def restorable(store: Store, cluster: Cluster, now: float) -> tuple[float | None, float | None]:
    """The earliest and the latest moment that a restore can go back to; None before the first backup."""
    if cluster.earliest is None:
        return None, None
    latest = store.plane.latest_restorable(cluster)
    if latest is None:
        latest = (cluster.stopped_at or now) - settings.rds_restorable_lag_s
    latest = max(cluster.earliest, latest)
    return min(latest, max(cluster.earliest, now - cluster.retention * windows.DAY)), latest


def describe_db_clusters(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    wanted = pages.filters(spec, _FILTERS)
    one = spec.get("DBClusterIdentifier")
    names = [store.cluster(one).identifier] if one else sorted(store.clusters)
    if wanted:
        names = [name for name in names if _fits(store.clusters[name], wanted)]
    shown, marker = pages.named_page(names, spec)
    now = clock.now()
    return {"Marker": marker, "DBClusters": [describe(store, store.clusters[name], now) for name in shown]}


def _fits(cluster: Cluster, wanted: dict[str, set[str]]) -> bool:
    for name, values in wanted.items():
        own = {
            "clone-group-id": (cluster.clone_group or "").lower(),
            "db-cluster-id": cluster.identifier,
            "db-cluster-resource-id": cluster.resource.lower(),
            "domain": "",
            "engine": cluster.engine,
        }[name]
        if own not in ({short_name(v) for v in values} if name == "db-cluster-id" else values):
            return False
    return True
