"""How long things take and where the limits lie; read and written at ``/lab/settings``."""

from __future__ import annotations

import dataclasses
from typing import Any

# Requests a second that AWS accepts from an account, from the service model's documentation of each operation.
AWS_RATE_LIMITS = {
    "CreateBackup": 50.0,
    "DeleteBackup": 10.0,
    "DescribeBackup": 10.0,
    "DescribeContinuousBackups": 10.0,
    "ListBackups": 5.0,
    "ListTagsOfResource": 10.0,
    "RestoreTableFromBackup": 10.0,
    "RestoreTableToPointInTime": 10.0,
    "TagResource": 5.0,
    "UntagResource": 5.0,
}


@dataclasses.dataclass
class Settings:
    """Durations are seconds of the lab's clock. Limits are AWS's defaults unless the comment says otherwise."""

    table_create_s: float = 3.0
    table_update_s: float = 2.0
    table_delete_s: float = 2.0
    # An index is CREATING for index_create_s, of which the first index_allocate_s hold the whole table UPDATING.
    index_allocate_s: float = 1.0
    index_create_s: float = 4.0
    index_delete_s: float = 2.0
    # 0: the time does not depend on the items; else the backfill takes at least items / rate.
    backfill_items_per_s: float = 0.0
    backup_create_s: float = 1.0
    restore_s: float = 4.0
    restore_items_per_s: float = 0.0
    # After a table becomes ACTIVE AWS refuses UpdateContinuousBackups for a while ("Backups are being enabled").
    backups_enable_s: float = 0.0
    # Whether the tags of a table that is being made can be read; AWS has been seen to answer that it is not there.
    tags_while_creating: bool = True
    ttl_change_s: float = 1.0
    # A second change of the TTL inside this interval is refused (AWS: about an hour).
    ttl_interval_s: float = 3600.0
    # Expired items go within this time (AWS: within a few days, typically much sooner).
    ttl_delete_s: float = 30.0
    insights_change_s: float = 1.0
    stream_enable_s: float = 1.0
    pitr_lag_s: float = 300.0
    # Changes kept a table so that a restore can go back; when it is full the earliest restorable time moves up.
    pitr_journal_max: int = 200_000
    system_backup_days: float = 35.0
    burst_s: float = 300.0
    throttle_provisioned: bool = True
    # On-demand tables throttle above twice the peak of the last 30 minutes (never below the warm throughput).
    throttle_previous_peak: bool = False
    max_tables: int = 2500
    max_control_plane_operations: int = 500
    max_gsi: int = 20
    max_lsi: int = 5
    max_tags: int = 50
    max_billing_switches: int = 4
    max_class_updates: int = 2
    table_max_read_units: int = 40_000
    table_max_write_units: int = 40_000
    # Operation name to requests a second, in real time. {} is off; "aws" takes the published limits.
    rate_limits: dict[str, float] = dataclasses.field(default_factory=dict)
    autoscaling_enabled: bool = True
    autoscaling_period_s: float = 60.0
    # How long the measured utilisation must be above or below the target before a scaling action (AWS: 2 and 15 min).
    autoscaling_out_after_s: float = 120.0
    autoscaling_in_after_s: float = 900.0
    # RDS. Clusters.
    rds_cluster_create_s: float = 2.0
    rds_cluster_modify_s: float = 1.0
    rds_cluster_delete_s: float = 2.0
    rds_upgrade_s: float = 3.0
    rds_restore_s: float = 3.0
    # A copy-on-write clone copies nothing.
    rds_clone_s: float = 2.0
    rds_backup_s: float = 1.0
    rds_failover_s: float = 1.5
    # How long a crashed instance needs that no reader takes over from.
    rds_recovery_s: float = 2.0
    rds_stop_s: float = 2.0
    rds_start_s: float = 3.0
    rds_password_s: float = 1.0
    rds_secret_s: float = 1.0
    # Instances.
    rds_instance_create_s: float = 4.0
    rds_instance_modify_s: float = 1.0
    rds_instance_class_s: float = 2.0
    rds_instance_delete_s: float = 2.0
    rds_reboot_s: float = 1.0
    # configuring-log-exports, configuring-iam-database-auth, configuring-enhanced-monitoring.
    rds_configure_s: float = 1.0
    # How long dynamic parameters are "applying".
    rds_parameters_s: float = 1.0
    # Whether new clusters of Aurora PostgreSQL get databases, in a lab that has PostgreSQL. One that is tagged lab/postgres
    # gets what the tag says: nodes, or none.
    rds_databases: bool = True
    # With databases behind RDS: how long one does not answer before AWS takes it for dead, how long the names of a cluster
    # still lead to the old writer (the TTL of Aurora's names is 5 s), and how often what was committed becomes restorable.
    rds_detect_s: float = 5.0
    rds_dns_s: float = 5.0
    rds_archive_s: float = 60.0
    # How far the latest restorable time lies behind now (AWS: usually within five minutes), without databases.
    rds_restorable_lag_s: float = 300.0
    # AWS starts a cluster that has been stopped for seven days.
    rds_stopped_at_most_s: float = 7 * 86400.0
    # A cluster is moved to I/O-optimised storage once in this time.
    rds_iopt_interval_s: float = 30 * 86400.0
    rds_max_clusters: int = 40
    rds_max_instances: int = 40
    rds_max_readers: int = 15
    rds_max_subnet_groups: int = 50
    rds_max_parameter_groups: int = 50
    rds_max_cluster_parameter_groups: int = 50
    rds_max_snapshots: int = 100
    rds_max_subscriptions: int = 20
    # Requests a second that RDS accepts from an account and region, and how many at once; in real time, 0 is off
    # (AWS: 12 and 300, RDS guide, "Amazon RDS API throttling").
    rds_requests_per_s: float = 0.0
    rds_request_burst: int = 300
    request_log_size: int = 20_000

    def update(self, values: dict[str, Any]) -> None:
        """Sets what is named. Raises ValueError with a sentence for an unknown name or a value of the wrong kind."""
        known = {f.name: f for f in dataclasses.fields(self)}
        checked: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"there is no setting {name!r}; there are {', '.join(sorted(known))}")
            checked[name] = _checked(name, getattr(self, name), value)
        for name, value in checked.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _checked(name: str, current: Any, value: Any) -> Any:
    if isinstance(current, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false")
        return value
    if isinstance(current, dict):
        if value == "aws":
            return dict(AWS_RATE_LIMITS)
        if not isinstance(value, dict) or not all(isinstance(v, int | float) and v > 0 for v in value.values()):
            raise ValueError(f'{name} must be "aws" or map an operation to requests a second above 0')
        return {str(k): float(v) for k, v in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{name} must be a number of at least 0")
    return int(value) if isinstance(current, int) else float(value)


settings = Settings()
