"""What the control plane tells the databases behind it, in this process: order, addresses, and waiting for them."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_lab.aws.clock import clock
from penstock_lab.aws.rds.dataplane import Address, DataPlane
from penstock_lab.aws.rds.operations import Regions, handlers
from penstock_lab.aws.request import Request


class Recorder(DataPlane):
    """Notes what it is told; what is in ``busy`` is not ready."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.busy: set[str] = set()

    def ready(self, what: Any) -> bool:
        return what.identifier not in self.busy

    def cluster_address(self, cluster: Any, role: str) -> Address:
        return Address("127.1.0.1" if role == "writer" else "127.1.0.2", 7000)

    def cluster_created(self, cluster: Any, origin: Any) -> None:
        self.told.append(("cluster_created", origin.mode if origin else cluster.password))

    def instance_created(self, cluster: Any, instance: Any) -> None:
        self.told.append(("instance_created", instance.identifier))

    def instance_deleted(self, cluster: Any, instance: Any) -> None:
        self.told.append(("instance_deleted", instance.identifier))

    def failing_over(self, cluster: Any, old: Any, new: Any) -> None:
        self.told.append(("failing_over", f"{old.identifier} {new.identifier}"))

    def failed_over(self, cluster: Any, new: Any) -> None:
        self.told.append(("failed_over", new.identifier))

    def password_changed(self, cluster: Any) -> None:
        self.told.append(("password_changed", cluster.password))

    def snapshot_taken(self, cluster: Any, snapshot: Any) -> None:
        self.told.append(("snapshot_taken", snapshot.kind))

    def cluster_deleted(self, cluster: Any, *, keep_backups: bool) -> None:
        self.told.append(("cluster_deleted", str(keep_backups)))


@pytest.fixture
def plane() -> Recorder:
    return Recorder()


@pytest.fixture
def call(plane: Recorder) -> Any:
    known = handlers(Regions(plane))

    def run(operation: str, **parameters: Any) -> Any:
        request = Request("POST", "/", "", {}, b"", service="rds", operation=operation, parameters=parameters)
        return known["rds", operation](request)

    return run


def cluster(call: Any, status: str = "") -> dict[str, Any]:
    shown = call("DescribeDBClusters", DBClusterIdentifier="one")["DBClusters"][0]
    assert shown["Status"] == status or not status
    return shown


def make(call: Any, instances: int) -> None:
    call(
        "CreateDBCluster",
        DBClusterIdentifier="one",
        Engine="aurora-postgresql",
        MasterUsername="postgres",
        MasterUserPassword="correct-horse",
    )
    for number in range(1, instances + 1):
        call(
            "CreateDBInstance",
            DBInstanceIdentifier=f"one-{number}",
            DBClusterIdentifier="one",
            DBInstanceClass="db.r6g.large",
            Engine="aurora-postgresql",
        )
    clock.set(advance=30)
    cluster(call, "available")


def test_what_is_told_in_which_order(call, plane):
    make(call, 2)
    call("ModifyDBCluster", DBClusterIdentifier="one", MasterUserPassword="battery-staple")
    clock.set(advance=30)
    call("FailoverDBCluster", DBClusterIdentifier="one")
    clock.set(advance=30)
    call("RestoreDBClusterToPointInTime", DBClusterIdentifier="two", SourceDBClusterIdentifier="one",
         RestoreType="copy-on-write", UseLatestRestorableTime=True)  # fmt: skip
    for number in (1, 2):
        call("DeleteDBInstance", DBInstanceIdentifier=f"one-{number}")
    clock.set(advance=30)
    call("DeleteDBCluster", DBClusterIdentifier="one", SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    clock.set(advance=30)
    call("DescribeDBClusters")
    assert plane.told == [
        ("cluster_created", "correct-horse"),
        ("instance_created", "one-1"),
        ("instance_created", "one-2"),
        ("snapshot_taken", "automated"),
        ("password_changed", "battery-staple"),
        ("failing_over", "one-1 one-2"),
        ("failed_over", "one-2"),
        ("cluster_created", "copy-on-write"),
        ("snapshot_taken", "automated"),
        ("instance_deleted", "one-1"),
        ("instance_deleted", "one-2"),
        ("cluster_deleted", "True"),
    ]


def test_addresses_are_the_planes(call):
    make(call, 0)
    shown = cluster(call)
    assert (shown["Endpoint"], shown["ReaderEndpoint"], shown["Port"]) == ("127.1.0.1", "127.1.0.2", 7000)


def test_a_transition_waits_for_the_plane(call, plane):
    make(call, 2)
    plane.busy = {"one"}
    call("FailoverDBCluster", DBClusterIdentifier="one")
    clock.set(advance=3600)
    assert cluster(call, "failing-over")["DBClusterMembers"][0]["IsClusterWriter"] is True
    plane.busy = set()
    clock.set(advance=1)
    assert cluster(call, "available")["DBClusterMembers"][1]["IsClusterWriter"] is True
