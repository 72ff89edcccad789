"""Faults, limits, counting and steering of RDS; operations that nobody has."""

from __future__ import annotations

import concurrent.futures
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from penstock_lab.aws.client import LabAWSError

from .conftest import aurora
from .test_rds_clusters import instance, shown


def test_an_operation_that_the_lab_lacks_is_an_rds_error(rds, refused):
    message = refused("InvalidAction", rds.describe_blue_green_deployments)
    assert "DescribeBlueGreenDeployments" in message
    refused("InvalidAction", rds.describe_option_groups)


def test_throttling_and_denial(rds, lab, cluster, refused):
    name = cluster(instances=0)
    rule = lab.add_fault(kind="throttle", service="rds", operation="DescribeDBClusters", count=1)
    assert refused("Throttling", rds.describe_db_clusters) == "Rate exceeded"
    rds.describe_db_clusters()
    lab.clear_faults(rule["id"])
    lab.add_fault(kind="deny", service="rds", operation="ModifyDBCluster", key=name)
    message = refused("AccessDenied", rds.modify_db_cluster, DBClusterIdentifier=name, BackupRetentionPeriod=2)
    assert f"rds:ModifyDBCluster on resource: arn:aws:rds:us-east-1:123456789012:cluster:{name}" in message
    errors = lab.calls()["errors"]
    assert errors["rds.DescribeDBClusters Throttling"] == errors["rds.ModifyDBCluster AccessDeniedException"] == 1


def test_a_failure_after_the_call_has_had_its_effect(rds, lab, cluster):
    cluster(instances=0)
    lab.add_fault(kind="drop", service="rds", operation="CreateDBCluster", when="after", count=1)
    cluster.made.append("dropped")
    with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
        rds.create_db_cluster(**aurora("dropped"))
    assert shown(rds, "dropped")["Status"] == "creating"


def test_the_accounts_rate(rds, lab, refused):
    lab.settings(rds_requests_per_s=0.5, rds_request_burst=3)
    answers = []
    for _ in range(8):
        try:
            rds.describe_db_clusters()
            answers.append("")
        except ClientError as error:
            answers.append(error.response["Error"]["Code"])
    assert answers[:3] == ["", "", ""]
    assert answers[-1] == "Throttling"
    lab.settings(rds_requests_per_s=0)


def test_stale_reads_show_what_was(rds, lab, cluster):
    name = cluster(instances=0, BackupRetentionPeriod=2)
    lab.add_fault(kind="stale", service="rds", operation="Describe*", seconds=3600)
    rds.modify_db_cluster(DBClusterIdentifier=name, BackupRetentionPeriod=9, ApplyImmediately=True)
    cluster.made.append("unseen")
    rds.create_db_cluster(**aurora("unseen"))
    assert shown(rds, name)["BackupRetentionPeriod"] == 2
    with pytest.raises(ClientError, match="DBClusterNotFoundFault"):
        shown(rds, "unseen")
    assert "unseen" not in [c["DBClusterIdentifier"] for c in rds.describe_db_clusters()["DBClusters"]]
    lab.clear_faults()
    assert shown(rds, name)["BackupRetentionPeriod"] == 9
    assert shown(rds, "unseen")["Status"] == "creating"


def test_stale_reads_follow(rds, lab, cluster):
    name = cluster(instances=0, BackupRetentionPeriod=2)
    lab.add_fault(kind="stale", service="rds", operation="Describe*", seconds=0.5)
    rds.modify_db_cluster(DBClusterIdentifier=name, BackupRetentionPeriod=9, ApplyImmediately=True)
    assert shown(rds, name)["BackupRetentionPeriod"] == 2
    deadline = time.monotonic() + 30
    while shown(rds, name)["BackupRetentionPeriod"] != 9 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert shown(rds, name)["BackupRetentionPeriod"] == 9


def test_a_status_can_be_held(rds, lab, cluster, refused):
    name = cluster()
    lab.rds_status(name, "inaccessible-encryption-credentials")
    lab.clock(advance=86400)
    assert shown(rds, name)["Status"] == "inaccessible-encryption-credentials"
    refused("InvalidDBClusterStateFault", rds.modify_db_cluster, DBClusterIdentifier=name, BackupRetentionPeriod=4)
    lab.rds_status(name, "available")
    lab.rds_status(f"{name}-1", "failed")
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "failed"
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda lab: lab.rds_failover("none"), "DBClusterNotFoundFault"),
        (lambda lab: lab.rds_crash("none"), "DBInstanceNotFound"),
        (lambda lab: lab.rds_crash(), "cluster"),
        (lambda lab: lab.rds_call("NoSuchThing"), "NoSuchThing"),
        (lambda lab: lab.rds_call("DescribeDBClusters", DBClusterIdentifier="none"), "DBClusterNotFoundFault"),
        (lambda lab: lab._call("POST", "/lab/rds/failover", {"clutser": "x"}), "clutser"),
        (lambda lab: lab._call("POST", "/lab/rds/dance", {}), "rds/failover"),
    ],
)
def test_steering_that_makes_no_sense_gets_a_sentence(lab, call: Any, word: str):
    with pytest.raises(LabAWSError, match=word):
        call(lab)


def test_of_many_at_once_one_wins(rds, cluster):
    cluster(instances=0)
    cluster.made.append("wanted")

    def create(_: int) -> str:
        try:
            rds.create_db_cluster(**aurora("wanted"))
        except rds.exceptions.DBClusterAlreadyExistsFault:
            return "taken"
        return "made"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == ["made"] + ["taken"] * 7


def test_regions_are_apart(client, rds, cluster, refused):
    name = cluster(instances=0)
    elsewhere = client("rds", region_name="eu-west-1")
    refused("DBClusterNotFoundFault", elsewhere.describe_db_clusters, DBClusterIdentifier=name)
    assert elsewhere.describe_db_clusters()["DBClusters"] == []
