"""Whatever is asked for in whatever order: no internal error, one writer at most, and everything comes to rest."""

from __future__ import annotations

import random
from typing import Any

import pytest

from penstock_lab.aws.clock import clock
from penstock_lab.aws.errors import AwsError
from penstock_lab.aws.query import QueryProtocol
from penstock_lab.aws.rds.operations import OPERATIONS, Regions, handlers
from penstock_lab.aws.rds.steer import actions
from penstock_lab.aws.request import Request

RESTING = {"available", "stopped"}
PROTOCOL = QueryProtocol("rds")
CHANGES: list[dict[str, Any]] = [
    {"EngineVersion": "15.12"},
    {"EngineVersion": "15.13"},
    {"EngineVersion": "16.8", "AllowMajorVersionUpgrade": True},
    {"BackupRetentionPeriod": 5},
    {"StorageType": "aurora-iopt1"},
    {"StorageType": "aurora"},
    {"MasterUserPassword": "battery-staple"},
    {"ManageMasterUserPassword": True},
    {"ManageMasterUserPassword": False, "MasterUserPassword": "correct-horse"},
    {"RotateMasterUserPassword": True, "ApplyImmediately": True},
    {"EnableIAMDatabaseAuthentication": True},
    {"Port": 6000},
    {"EnablePerformanceInsights": True},
    {"CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["postgresql"]}},
    {"PreferredMaintenanceWindow": "wed:12:00-wed:12:45"},
    {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4}},
    {"NewDBClusterIdentifier": "c0"},
    {"NewDBClusterIdentifier": "c3"},
    {"EngineVersion": "16.8", "AllowMajorVersionUpgrade": True, "DBClusterParameterGroupName": "pg16"},
]


class World:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.regions = Regions()
        self.handlers = handlers(self.regions)
        self.steering = actions(self.regions, OPERATIONS)
        self.asked: list[tuple[str, Any]] = []

    def call(self, operation: str, **parameters: Any) -> Any:
        """The answer, which must also be one that can be written; None when it was refused."""
        self.asked.append((operation, parameters))
        request = Request("POST", "/", "", {}, b"", service="rds", operation=operation, parameters=parameters)
        try:
            answer = self.handlers["rds", operation](request)
        except AwsError:
            return None
        assert PROTOCOL.answer(operation, answer or {}, "id")
        return answer

    def steer(self, action: str, **body: Any) -> None:
        self.asked.append((action, body))
        try:
            self.steering[action](body)
        except (AwsError, ValueError, LookupError):
            return

    def clusters(self) -> list[dict[str, Any]]:
        return self.call("DescribeDBClusters")["DBClusters"]

    def instances(self) -> list[dict[str, Any]]:
        return self.call("DescribeDBInstances")["DBInstances"]

    def step(self) -> None:
        pick, number = self.random.choice, self.random.randrange
        cluster = f"c{number(4)}"
        instance = f"{cluster}-{number(4)}"
        now = pick((True, False))
        match number(17):
            case 0:
                self.call("CreateDBCluster", DBClusterIdentifier=cluster, Engine="aurora-postgresql",
                          EngineVersion="15.10", MasterUsername="postgres", MasterUserPassword="correct-horse")  # fmt: skip
            case 1 | 2 | 3:
                self.call("CreateDBInstance", DBInstanceIdentifier=instance, DBClusterIdentifier=cluster,
                          DBInstanceClass="db.r6g.large", Engine="aurora-postgresql", PromotionTier=number(3))  # fmt: skip
            case 4 | 5 | 6:
                self.call(
                    "ModifyDBCluster", **({"DBClusterIdentifier": cluster, "ApplyImmediately": now} | pick(CHANGES))
                )
            case 7:
                change = pick(
                    (
                        {"DBInstanceClass": "db.r6g.xlarge"},
                        {"PromotionTier": 0},
                        {"PubliclyAccessible": True},
                        {"NewDBInstanceIdentifier": f"c{number(4)}-{number(4)}"},
                        {"DBInstanceClass": "db.r6g.large", "NewDBInstanceIdentifier": f"c{number(4)}-{number(4)}"},
                    )
                )
                self.call("ModifyDBInstance", DBInstanceIdentifier=instance, ApplyImmediately=now, **change)
            case 8:
                self.call("RebootDBInstance", DBInstanceIdentifier=instance)
            case 9:
                self.call("DeleteDBInstance", DBInstanceIdentifier=instance)
            case 10:
                self.call("DeleteDBCluster", DBClusterIdentifier=cluster, SkipFinalSnapshot=True,
                          DeleteAutomatedBackups=now)  # fmt: skip
            case 11:
                self.call("FailoverDBCluster", DBClusterIdentifier=cluster)
            case 12:
                self.call(pick(("StopDBCluster", "StartDBCluster")), DBClusterIdentifier=cluster)
            case 13:
                self.steer("rds/crash", instance=instance)
            case 14:
                self.call("CreateDBClusterSnapshot", DBClusterIdentifier=cluster,
                          DBClusterSnapshotIdentifier=f"s{number(1000)}")  # fmt: skip
            case 15:
                self.call("RestoreDBClusterToPointInTime", DBClusterIdentifier=cluster, UseLatestRestorableTime=True,
                          SourceDBClusterIdentifier=f"c{number(4)}", RestoreType="copy-on-write")  # fmt: skip
            case 16:
                self.group()
        clock.set(advance=pick((0, 0, 0.7, 1.5, 3, 20, 86400)))

    def group(self) -> None:
        """A parameter group for a major upgrade comes, or goes where nothing uses it."""
        one = {"DBClusterParameterGroupName": "pg16"}
        family = {"DBParameterGroupFamily": "aurora-postgresql16", "Description": "x"}
        if self.call("CreateDBClusterParameterGroup", **one, **family) is None:
            self.call("DeleteDBClusterParameterGroup", **one)

    def check(self) -> None:
        known = {one["DBInstanceIdentifier"]: one for one in self.instances()}
        assert len({one["DbiResourceId"] for one in known.values()}) == len(known)
        clusters = self.clusters()
        assert len({cluster["DbClusterResourceId"] for cluster in clusters}) == len(clusters)
        listed: list[str] = []
        for cluster in clusters:
            assert {m["DBInstanceIdentifier"] for m in cluster["DBClusterMembers"]} == {
                name for name, one in known.items() if one["DBClusterIdentifier"] == cluster["DBClusterIdentifier"]
            }, self.asked
            writers = [m for m in cluster["DBClusterMembers"] if m["IsClusterWriter"]]
            assert len(writers) <= 1, self.asked
            listed += [m["DBInstanceIdentifier"] for m in cluster["DBClusterMembers"]]
            if cluster["Status"] == "available" and any(
                known[m["DBInstanceIdentifier"]]["DBInstanceStatus"] == "available" for m in cluster["DBClusterMembers"]
            ):
                assert writers, self.asked
        assert sorted(listed) == sorted(known), self.asked


@pytest.mark.parametrize("seed", [*range(12), 43])
def test_any_order(seed):
    world = World(seed)
    for _ in range(150):
        world.step()
        world.check()
    clock.set(advance=3600)
    world.check()
    states = [c["Status"] for c in world.clusters()] + [i["DBInstanceStatus"] for i in world.instances()]
    assert set(states) <= RESTING, (states, world.asked)
    stopped = {c["DBClusterIdentifier"] for c in world.clusters() if c["Status"] == "stopped"}
    for one in world.instances():
        assert (one["DBInstanceStatus"] == "stopped") == (one["DBClusterIdentifier"] in stopped)
