"""The error budget, kept by one process after another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bound import Bound
from declared import slower, unharmed
from declared_cluster import DeclaredCluster

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab, same_process=False):
        yield


def test_an_outage_is_charged_whose_end_the_operator_did_not_live_to_see(lab: Lab, namespace: str) -> None:
    objectives = {"availability": "99.9"}
    cluster = (
        Bound(lab, namespace, {"instances": {"readers": 0}, "objectives": objectives, "probe": {"interval": "500ms"}})
        .ready()
        .cluster
    )
    cluster.until(lambda: "availability" in cluster.status, "the database is asked")
    assert cluster.status["availability"]["downSeconds"] == 0
    with slower(lab, rds_detect_s=20.0):
        lab.aws.postgres("fault", cluster=cluster.cluster, kind="freeze")
        cluster.until(lambda: "downSince" in cluster.status["availability"], "it is told that it is down")
        pid = lab.kill_operator()
    lab.aws.postgres("heal", cluster=cluster.cluster)
    lab.wait_operator(other_than=pid)
    cluster.until(lambda: "downSince" not in cluster.status["availability"], "it serves, and the next operator says so")
    charged = cluster.status["availability"]
    assert 5 <= charged["downSeconds"] <= 60
    assert charged["budgetLeftSeconds"] == pytest.approx(charged["budgetSeconds"] - charged["downSeconds"], abs=0.1)
    cluster.look().settled()
    assert cluster.status["availability"]["downSeconds"] == charged["downSeconds"], "and charged once"


def test_a_writer_that_is_lost_with_everything_in_its_zone_is_told_as_that(lab: Lab, namespace: str) -> None:
    # In a zone of their own: an instance of another test that answers there would prove that the zone is not lost.
    # The lab's network is there with the first subnet group.
    rds = lab.boto("rds")
    rds.create_db_subnet_group(
        DBSubnetGroupName=namespace, DBSubnetGroupDescription="first", SubnetIds=["subnet-a", "subnet-b"]
    )
    rds.delete_db_subnet_group(DBSubnetGroupName=namespace)
    ec2 = lab.boto("ec2")
    network = ec2.describe_subnets(SubnetIds=["subnet-a"])["Subnets"][0]["VpcId"]
    made = ec2.create_subnet(VpcId=network, CidrBlock="10.77.64.0/20", AvailabilityZone="us-east-1d")
    own = made["Subnet"]["SubnetId"]

    def placed(name: str, *zones: str) -> DeclaredCluster:
        overrides = [{"ordinal": n, "zone": f"us-east-1{zone}"} for n, zone in enumerate(zones, 1)]
        spec = {
            "instances": {"readers": 1, "overrides": overrides},
            "network": {"subnetIds": ["subnet-a", "subnet-b", own]},
        }
        return Bound(lab, namespace, spec, name=name).cluster

    clusters = placed("ledger", "d", "a"), placed("orders", "b", "d")
    for cluster in clusters:
        cluster.settled(200)
        cluster.until(lambda one=cluster: "lag" in one.status, "the database is asked")
    ledger, orders = clusters
    assert ledger.writer.endswith("-1")
    with slower(lab, rds_detect_s=8.0):
        for cluster, instance in ((ledger, f"{ledger.cluster}-1"), (orders, f"{orders.cluster}-2")):
            lab.aws.postgres("fault", cluster=cluster.cluster, kind="partition", instance=instance)
        ledger.until(lambda: ledger.status.get("failovers", [{}])[0].get("finishedAt"), "another one writes", 60)
    try:
        ledger.until(lambda: ledger.status["failovers"][0]["cause"] == "ZoneLoss", "and it is told why")
        ledger.until(lambda: ledger.told("FailoverFinished"), "in an Event as well")
        (told,) = ledger.told("FailoverFinished")
        assert "because its availability zone was lost" in told
        assert orders.status.get("failovers") is None
    finally:
        for cluster in clusters:
            lab.aws.postgres("heal", cluster=cluster.cluster)
