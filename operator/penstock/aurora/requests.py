"""Request parameters for the RDS and Application Auto Scaling APIs, from the spec. Shapes as in the API references; no decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from penstock.api.auroracluster import AuroraClusterSpec, PerformanceInsights, Serverless
from penstock.api.meta import OWNER_TAG
from penstock.aurora.state import PASSWORD, Desired, Scaling
from penstock.aws.rds import Instance

DIMENSION = "rds:cluster:ReadReplicaCount"
POLICY_NAME = "penstock-reader-cpu"
"""What the target-tracking policy is called where there is none of METRIC yet; one that is there keeps its name."""
METRIC = "RDSReaderAverageCPUUtilization"


def tags(found: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(found.items())]


def wanted_tags(desired: Desired) -> dict[str, str]:
    """The spec's tags and our mark."""
    return {**(desired.spec.tags or {}), OWNER_TAG: desired.owner}


def create_cluster(
    desired: Desired, version: str, subnet_group: str | None, parameter_group: str | None
) -> dict[str, Any]:
    """CreateDBCluster."""
    spec = desired.spec
    found = _common(desired, subnet_group, parameter_group)
    found |= {
        "Engine": spec.engine.aws_name,
        "EngineVersion": version or None,
        "MasterUsername": spec.master_username,
        "DatabaseName": spec.database_name,
        "BackupRetentionPeriod": spec.backup.retention_days if spec.backup else None,
        "PreferredBackupWindow": spec.backup.window if spec.backup else None,
        "PreferredMaintenanceWindow": _lower(spec.maintenance.window if spec.maintenance else None),
        "StorageEncrypted": True,
    }
    found |= {"MasterUserPassword": PASSWORD} if spec.password_secret else {"ManageMasterUserPassword": True}
    return _told(found)


def restore_cluster(
    desired: Desired, subnet_group: str | None, parameter_group: str | None
) -> tuple[str, dict[str, Any], str]:
    """The operation, its parameters and the source for people. A restore takes no password, windows or retention; they are changed afterwards."""
    source = desired.spec.restore_from
    assert source is not None
    found = _common(desired, subnet_group, parameter_group)
    if source.snapshot_identifier:
        found |= {
            "SnapshotIdentifier": source.snapshot_identifier,
            "Engine": desired.spec.engine.aws_name,
            "EngineVersion": desired.spec.engine.version,
        }
        return "RestoreDBClusterFromSnapshot", _told(found), f"snapshot {source.snapshot_identifier}"
    found |= {"SourceDBClusterIdentifier": source.cluster_identifier, "RestoreType": "full-copy"}
    found |= (
        {"RestoreToTime": datetime.fromisoformat(source.time)} if source.time else {"UseLatestRestorableTime": True}
    )
    moment = f" at {source.time}" if source.time else ""
    return "RestoreDBClusterToPointInTime", _told(found), f"cluster {source.cluster_identifier}{moment}"


def _common(desired: Desired, subnet_group: str | None, parameter_group: str | None) -> dict[str, Any]:
    spec, network = desired.spec, desired.spec.network
    return {
        "DBClusterIdentifier": desired.identifier,
        "DBSubnetGroupName": subnet_group,
        "DBClusterParameterGroupName": parameter_group,
        "VpcSecurityGroupIds": list(network.security_group_ids) if network and network.security_group_ids else None,
        "Port": network.port if network else None,
        "KmsKeyId": spec.encryption.kms_key if spec.encryption else None,
        "EnableIAMDatabaseAuthentication": spec.credentials.iam_authentication if spec.credentials else None,
        "EnableCloudwatchLogsExports": sorted(spec.logs) if spec.logs else None,
        "DeletionProtection": spec.deletion_protection,
        # What a snapshot is of must be known to whoever pays for it.
        "CopyTagsToSnapshot": True,
        # "aurora" is what AWS takes anyway.
        "StorageType": spec.storage_type if spec.storage_type != "aurora" else None,
        "ServerlessV2ScalingConfiguration": serverless(spec.instances.serverless),
        "Tags": tags(wanted_tags(desired)),
    }


def serverless(wanted: Serverless | None) -> dict[str, Any] | None:
    """ServerlessV2ScalingConfiguration."""
    if wanted is None:
        return None
    return _told(
        {
            "MinCapacity": float(wanted.min_capacity),
            "MaxCapacity": float(wanted.max_capacity),
            "SecondsUntilAutoPause": wanted.seconds_until_auto_pause,
        }
    )


def create_instance(
    desired: Desired, name: str, zone: str | None, parameter_group: str | None, writer: Instance | None = None
) -> dict[str, Any]:
    """CreateDBInstance of a member of the cluster. What the spec does not say is as with the writer, whose part it may have to take."""
    spec, network = desired.spec, desired.spec.network
    ordinal = desired.ordinal(name)
    override = spec.instances.override(ordinal) if ordinal is not None else None
    return _told(
        {
            "DBInstanceIdentifier": name,
            "DBClusterIdentifier": desired.identifier,
            "Engine": spec.engine.aws_name,
            "DBInstanceClass": spec.instances.class_of_new(ordinal, writer.instance_class if writer else ""),
            "PromotionTier": override.promotion_tier if override else None,
            "AvailabilityZone": zone,
            **_as_writer(spec, writer),
            **_told(
                {
                    "PubliclyAccessible": network.publicly_accessible if network else None,
                    "DBParameterGroupName": parameter_group,
                }
            ),
            **insights(spec.performance_insights),
            "Tags": tags(wanted_tags(desired)),
        }
    )


def _as_writer(spec: AuroraClusterSpec, writer: Instance | None) -> dict[str, Any]:
    """What the writer has and is not AWS's default. Who looks at it afterwards expects a reader to be like it."""
    if writer is None:
        return {}
    watched, role = writer.performance_insights, writer.monitoring_role
    found: dict[str, Any] = {
        "PubliclyAccessible": writer.publicly_accessible or None,
        "DBParameterGroupName": writer.parameter_group if not writer.parameter_group.startswith("default.") else None,
        "CACertificateIdentifier": writer.ca,
        "AutoMinorVersionUpgrade": None if writer.auto_minor_upgrade is not False else False,
    }
    if spec.performance_insights is None and watched is not None and watched.enabled:
        found |= {
            "EnablePerformanceInsights": True,
            "PerformanceInsightsRetentionPeriod": watched.retention,
            "PerformanceInsightsKMSKeyId": watched.kms_key,
        }
    if writer.monitoring_interval and role:
        found |= {"MonitoringInterval": writer.monitoring_interval, "MonitoringRoleArn": role}
    return {name: value for name, value in found.items() if value not in (None, "")}


def insights(wanted: PerformanceInsights | None) -> dict[str, Any]:
    """Performance Insights of an instance, as CreateDBInstance and ModifyDBInstance take it."""
    if wanted is None:
        return {}
    if not wanted.enabled:
        return {"EnablePerformanceInsights": False}
    return _told({"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": wanted.retention_days})


def parameters(values: Mapping[str, str], static: Iterable[str]) -> list[dict[str, str]]:
    """Parameters of ModifyDBClusterParameterGroup and ModifyDBParameterGroup. static: names that take effect with a reboot only."""
    rebooting = set(static)
    return [
        {
            "ParameterName": name,
            "ParameterValue": value,
            "ApplyMethod": "pending-reboot" if name in rebooting else "immediate",
        }
        for name, value in sorted(values.items())
    ]


def scaling_resource(identifier: str) -> dict[str, str]:
    """What Application Auto Scaling knows the readers by."""
    return {"ServiceNamespace": "rds", "ResourceId": f"cluster:{identifier}", "ScalableDimension": DIMENSION}


def scaling_policy(target: int, have: Scaling | None) -> dict[str, Any]:
    """PutScalingPolicy's target tracking of the readers' processor time. have: what is there; its cooldowns stay."""
    return {
        "PolicyName": (have.policy if have else "") or POLICY_NAME,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            **(have.tracking if have else {}),
            "TargetValue": float(target),
            "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
        },
    }


def _lower(text: str | None) -> str | None:
    return text.lower() if text else None


def _told(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}
