"""ModifyDBCluster: at once, pending, in the window; upgrades; refusals."""

from __future__ import annotations

from typing import Any

import pytest

from .test_rds_clusters import instance, shown


def modify(rds: Any, name: str, **changes: Any) -> dict[str, Any]:
    return rds.modify_db_cluster(DBClusterIdentifier=name, **changes)["DBCluster"]


def test_an_upgrade_waits_for_the_maintenance_window(rds, lab, cluster):
    name = cluster(instances=2)
    pending = modify(rds, name, EngineVersion="15.12")
    assert (pending["Status"], pending["EngineVersion"]) == ("available", "15.10")
    assert pending["PendingModifiedValues"] == {"EngineVersion": "15.12"}
    lab.clock(advance=8 * 86400)
    done = shown(rds, name)
    assert done["EngineVersion"] == "15.12"
    assert "PendingModifiedValues" not in done
    assert instance(rds, f"{name}-2")["EngineVersion"] == "15.12"


def test_an_upgrade_at_once(rds, lab, cluster, refused):
    name = cluster(instances=2)
    assert modify(rds, name, EngineVersion="15.12", ApplyImmediately=True)["Status"] == "upgrading"
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "upgrading"
    refused("InvalidDBClusterStateFault", rds.failover_db_cluster, DBClusterIdentifier=name)
    refused("InvalidDBClusterStateFault", rds.modify_db_cluster, DBClusterIdentifier=name, EngineVersion="15.13")
    lab.clock(advance=11)
    assert shown(rds, name)["Status"] == "available"
    assert (shown(rds, name)["EngineVersion"], instance(rds, f"{name}-1")["EngineVersion"]) == ("15.12", "15.12")
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "available"


def test_a_major_upgrade_wants_consent_and_groups(rds, lab, cluster, refused):
    group = {"DBParameterGroupFamily": "aurora-postgresql15", "Description": "x"}
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName="own15", **group)
    name = cluster(DBClusterParameterGroupName="own15")
    one = {"DBClusterIdentifier": name, "EngineVersion": "16.8", "ApplyImmediately": True}
    message = refused("InvalidParameterCombination", rds.modify_db_cluster, **one)
    assert message == "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
    one["AllowMajorVersionUpgrade"] = True
    assert "is custom" in refused("InvalidParameterCombination", rds.modify_db_cluster, **one)
    rds.modify_db_cluster(**one, DBClusterParameterGroupName="default.aurora-postgresql16")
    lab.clock(advance=11)
    made = shown(rds, name)
    assert (made["EngineVersion"], made["DBClusterParameterGroup"]) == ("16.8", "default.aurora-postgresql16")
    groups = instance(rds, f"{name}-1")["DBParameterGroups"]
    assert groups == [{"DBParameterGroupName": "default.aurora-postgresql16", "ParameterApplyStatus": "in-sync"}]
    rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName="own15")


def test_aws_upgrades_a_minor_version_by_itself(rds, lab, cluster):
    name = cluster()
    actions = rds.describe_pending_maintenance_actions(ResourceIdentifier=shown(rds, name)["DBClusterArn"])
    (action,) = actions["PendingMaintenanceActions"][0]["PendingMaintenanceActionDetails"]
    assert action["Action"] == "system-update"
    version = lab.rds_upgrade(name)
    assert shown(rds, name)["Status"] == "upgrading"
    lab.clock(advance=11)
    assert shown(rds, name)["EngineVersion"] == version > "15.10"


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("InvalidParameterCombination", {"EngineVersion": "15.8"}),
        ("InvalidParameterCombination", {"EngineVersion": "14.17", "AllowMajorVersionUpgrade": True}),
        ("InvalidParameterCombination", {"EngineVersion": "15.99"}),
        ("InvalidParameterValue", {"BackupRetentionPeriod": 36}),
        ("InvalidParameterValue", {"PreferredBackupWindow": "05:10-05:50"}),
        ("InvalidParameterValue", {"MasterUserPassword": "short"}),
        ("InvalidParameterCombination", {"CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["audit"]}}),
        ("InvalidParameterCombination", {"DBClusterParameterGroupName": "default.aurora-postgresql16"}),
        ("InvalidParameterCombination", {"RotateMasterUserPassword": True, "ApplyImmediately": True}),
        ("InvalidParameterCombination", {"DBInstanceParameterGroupName": "default.aurora-postgresql15"}),
        ("InvalidParameterCombination", {"StorageType": "gp2"}),
    ],
)
def test_refused_changes(rds, cluster, refused, code, changes):
    name = cluster(instances=0)
    before = shown(rds, name)
    refused(code, rds.modify_db_cluster, DBClusterIdentifier=name, **changes)
    after = shown(rds, name)
    for moving in ("LatestRestorableTime", "EarliestRestorableTime"):
        before.pop(moving), after.pop(moving)
    assert after == before


def test_a_cluster_that_is_not_there(rds, refused):
    refused("DBClusterNotFoundFault", rds.modify_db_cluster, DBClusterIdentifier="none", BackupRetentionPeriod=3)


def test_what_waits_and_what_does_not(rds, lab, cluster):
    name = cluster()
    changed = modify(
        rds,
        name,
        BackupRetentionPeriod=9,
        StorageType="aurora-iopt1",
        EnableIAMDatabaseAuthentication=True,
        DeletionProtection=True,
    )
    assert changed["DeletionProtection"] is True
    assert changed["PendingModifiedValues"] == {
        "BackupRetentionPeriod": 9,
        "StorageType": "aurora-iopt1",
        "IAMDatabaseAuthenticationEnabled": True,
    }
    assert (changed["BackupRetentionPeriod"], changed["IAMDatabaseAuthenticationEnabled"]) == (1, False)
    # A later call that applies immediately applies what waits as well.
    assert modify(rds, name, ApplyImmediately=True, DeletionProtection=False)["Status"] == "modifying"
    lab.clock(advance=25)
    done = shown(rds, name)
    assert "PendingModifiedValues" not in done
    assert (done["BackupRetentionPeriod"], done["StorageType"]) == (9, "aurora-iopt1")
    assert done["IAMDatabaseAuthenticationEnabled"] is True
    modify(rds, name, EnableIAMDatabaseAuthentication=False, StorageType="aurora", ApplyImmediately=True)
    lab.clock(advance=25)
    done = shown(rds, name)
    assert done["IAMDatabaseAuthenticationEnabled"] is False
    assert "StorageType" not in done


def test_io_optimised_once_in_thirty_days(rds, lab, cluster, refused):
    name = cluster(instances=0, StorageType="aurora-iopt1")
    modify(rds, name, StorageType="aurora", ApplyImmediately=True)
    lab.clock(advance=11)
    again = {"DBClusterIdentifier": name, "StorageType": "aurora-iopt1", "ApplyImmediately": True}
    refused("InvalidParameterCombination", rds.modify_db_cluster, **again)
    lab.clock(advance=31 * 86400)
    assert modify(rds, name, StorageType="aurora-iopt1", ApplyImmediately=True)["Status"] == "modifying"


def test_log_exports_on_and_off(rds, lab, cluster):
    name = cluster(EnableCloudwatchLogsExports=["postgresql"])
    assert (
        modify(rds, name, CloudwatchLogsExportConfiguration={"DisableLogTypes": ["postgresql"]})["Status"]
        == "modifying"
    )
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "configuring-log-exports"
    lab.clock(advance=11)
    assert "EnabledCloudwatchLogsExports" not in shown(rds, name)
    modify(rds, name, CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]})
    lab.clock(advance=11)
    assert shown(rds, name)["EnabledCloudwatchLogsExports"] == ["postgresql"]
    assert instance(rds, f"{name}-1")["EnabledCloudwatchLogsExports"] == ["postgresql"]


def test_performance_insights_of_the_cluster_are_those_of_its_instances(rds, lab, cluster):
    name = cluster()
    modify(rds, name, EnablePerformanceInsights=True, PerformanceInsightsRetentionPeriod=31)
    lab.clock(advance=11)
    assert shown(rds, name)["PerformanceInsightsRetentionPeriod"] == 31
    assert instance(rds, f"{name}-1")["PerformanceInsightsRetentionPeriod"] == 31


def test_a_new_password(rds, lab, cluster):
    name = cluster()
    changed = modify(rds, name, MasterUserPassword="battery-staple")
    assert changed["Status"] == "resetting-master-credentials"
    assert changed["PendingModifiedValues"] == {"MasterUserPassword": "****"}
    assert lab.rds_password(name) == "correct-horse"
    lab.clock(advance=11)
    assert lab.rds_password(name) == "battery-staple"
    assert "PendingModifiedValues" not in shown(rds, name)


def test_capacity_port_and_security_groups(rds, lab, cluster):
    name = cluster()
    scaling = {"MinCapacity": 0.5, "MaxCapacity": 8}
    assert modify(rds, name, ServerlessV2ScalingConfiguration=scaling)["ServerlessV2ScalingConfiguration"] == scaling
    lab.clock(advance=11)
    asleep = modify(rds, name, ServerlessV2ScalingConfiguration={"MinCapacity": 0})["ServerlessV2ScalingConfiguration"]
    assert asleep == {"MinCapacity": 0.0, "MaxCapacity": 8.0, "SecondsUntilAutoPause": 300}
    lab.clock(advance=11)
    assert modify(rds, name, Port=6000)["Status"] == "modifying"
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "rebooting"
    lab.clock(advance=11)
    assert (shown(rds, name)["Port"], instance(rds, f"{name}-1")["Endpoint"]["Port"]) == (6000, 6000)


def test_a_new_name(rds, lab, cluster):
    name = cluster()
    assert modify(rds, name, NewDBClusterIdentifier=f"{name}-b", ApplyImmediately=True)["Status"] == "renaming"
    lab.clock(advance=11)
    cluster.made.append(f"{name}-b")
    made = shown(rds, f"{name}-b")
    assert made["Endpoint"].startswith(f"{name}-b.")
    assert instance(rds, f"{name}-1")["DBClusterIdentifier"] == f"{name}-b"


def test_somebody_elses_change(rds, lab, cluster):
    name = cluster()
    lab.reset_calls()
    lab.rds_call("ModifyDBCluster", DBClusterIdentifier=name, BackupRetentionPeriod=5, ApplyImmediately=True)
    assert lab.calls()["total"] == 0
    assert shown(rds, name)["BackupRetentionPeriod"] == 5


def test_a_clock_that_jumps_over_years_comes_back_soon(rds, lab, cluster):
    name = cluster(BackupRetentionPeriod=1)
    modify(rds, name, EngineVersion="15.12")
    rds.modify_db_instance(DBInstanceIdentifier=f"{name}-1", DBInstanceClass="db.r6g.xlarge")
    lab.rds_status(name, "modifying")
    lab.clock(advance=3 * 366 * 86400)
    assert shown(rds, name)["EngineVersion"] == "15.10"
    assert instance(rds, f"{name}-1")["DBInstanceClass"] == "db.r6g.xlarge"
    lab.rds_status(name, "available")
    lab.clock(advance=8 * 86400)
    assert shown(rds, name)["EngineVersion"] == "15.12"
