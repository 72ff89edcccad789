"""Settings of an AWS whose resources change in tenths of a second, for tests."""

from __future__ import annotations

from typing import Any

# Lifecycles long enough to be seen by an operator that looks, short enough for a test; seconds of the lab's clock.
FAST: dict[str, Any] = {
    "table_create_s": 0.6,
    "table_update_s": 0.4,
    "table_delete_s": 0.4,
    "index_allocate_s": 0.2,
    "index_create_s": 0.8,
    "index_delete_s": 0.4,
    "backup_create_s": 0.3,
    "restore_s": 0.8,
    "ttl_change_s": 0.2,
    "insights_change_s": 0.2,
    "stream_enable_s": 0.2,
    # RDS: the operator looks every two seconds while something goes on, so only what a test waits to see takes longer.
    "rds_cluster_create_s": 0.5,
    "rds_cluster_modify_s": 0.5,
    "rds_cluster_delete_s": 0.5,
    "rds_upgrade_s": 2.0,
    "rds_restore_s": 1.0,
    "rds_clone_s": 1.0,
    "rds_backup_s": 0.5,
    "rds_failover_s": 1.0,
    "rds_recovery_s": 1.0,
    "rds_stop_s": 1.0,
    "rds_start_s": 1.0,
    "rds_password_s": 0.5,
    "rds_secret_s": 0.5,
    "rds_instance_create_s": 1.5,
    "rds_instance_modify_s": 0.5,
    "rds_instance_class_s": 1.0,
    "rds_instance_delete_s": 0.5,
    "rds_reboot_s": 0.5,
    "rds_configure_s": 0.5,
    "rds_parameters_s": 0.5,
    "rds_restorable_lag_s": 1.0,
    # Databases only where a test wants them: a cluster that is tagged lab/postgres: nodes has them.
    "rds_databases": False,
    # Longer than the clocks of the probe and of AWS may differ by, as with AWS itself; else no cause would be known.
    "rds_detect_s": 3.0,
    "rds_dns_s": 0.5,
    "rds_archive_s": 2.0,
    # Clusters of tests that are over are still being taken down while the next are made.
    "rds_max_clusters": 400,
    "rds_max_instances": 1000,
    "rds_max_subnet_groups": 400,
    "rds_max_parameter_groups": 400,
    "rds_max_cluster_parameter_groups": 400,
}
