"""kill -9 of the operator between every two AWS writes of a cluster: always the same end, nothing twice, nothing left.

Each write of a story is met twice, on a cluster of its own: once lost before AWS got it, once done with its answer lost. The endpoint holds that
request back, all clusters of a story wait at their own point at once, and then the operator is killed and started again.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from declared import apply_all, slower, unharmed
from declared_cluster import DeclaredCluster
from mortal import Mortal

from penstock_lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# Less than the time for which the operator waits for an answer, or it would take the request for lost and ask again.
HELD = 18.0
QUICK = {
    **dict.fromkeys(("rds_cluster_create_s", "rds_instance_create_s", "rds_restore_s"), 0.4),
    **dict.fromkeys(("rds_cluster_modify_s", "rds_instance_modify_s", "rds_instance_class_s", "rds_reboot_s"), 0.3),
    **dict.fromkeys(("rds_cluster_delete_s", "rds_instance_delete_s", "rds_backup_s", "rds_failover_s"), 0.3),
    **dict.fromkeys(("rds_password_s", "rds_secret_s", "rds_configure_s", "rds_parameters_s"), 0.3),
    **dict.fromkeys(("rds_start_s", "rds_stop_s", "rds_upgrade_s"), 0.4),
}
QUOTAS = {
    f"rds_max_{name}": 500
    for name in ("clusters", "instances", "subnet_groups", "cluster_parameter_groups", "snapshots")
}
SHARED = "shared-by-crashes"
NOW = {"maintenance": {"apply": "Immediately"}}
# What may be asked twice, after its answer was lost: it says how things shall be, and saying it again changes nothing.
REPEATABLE = (
    "AddTagsToResource",
    "RemoveTagsFromResource",
    "ModifyDBClusterParameterGroup",
    "ResetDBClusterParameterGroup",
    "RegisterScalableTarget",
    "PutScalingPolicy",
)


@dataclass(frozen=True)
class Point:
    """A write, lost before or after it takes effect. whose: what follows the cluster's identifier in the name of the instance that it is about."""

    operation: str
    when: str
    whose: str = ""


def both(*writes: str) -> list[Point]:
    """Points from "Operation" or "Operation-1", the instance's ordinal."""
    found = []
    for write in writes:
        operation, dash, ordinal = write.partition("-")
        found += [Point(operation, when, dash + ordinal) for when in ("before", "after")]
    return found


Story = dict[Point, DeclaredCluster]


class Rig(Mortal):
    """An operator that can be killed, and the clusters of one story."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, args=["--workers=32"])
        self.operator.wait_ready()
        self.namespace = ""
        self.clusters: list[DeclaredCluster] = []

    def declare(self, points: list[Point], spec: Mapping[str, Any], *, apply: bool = True) -> Story:
        """A cluster for each point; made already, unless its creation is the story."""
        named = {
            point: DeclaredCluster(self.lab, self.namespace, spec, name=f"n{n:02}", apply=False)
            for n, point in enumerate(points, len(self.clusters))
        }
        self.clusters += named.values()
        if apply:
            self.apply(named)
            for cluster in named.values():
                cluster.settled(60)
        return named

    def apply(self, story: Story) -> None:
        apply_all(self.lab, list(story.values()))
        for cluster in story.values():
            cluster.uid = cluster.object["metadata"]["uid"]

    def crash(self, story: Story, begin: Callable[[], Any]) -> None:
        """Begin all, wait until each is held at its point, kill -9, and start again."""
        self.lab.aws.reset_calls()
        for point, cluster in story.items():
            service = "application-autoscaling" if "Scal" in point.operation else "rds"
            key = f"*{cluster.cluster}{point.whose}" + ("" if point.whose else "*")
            rule = {"service": service, "operation": point.operation, "key": key, "count": 1}
            self.lab.aws.add_fault(kind="latency", seconds=HELD, when=point.when, **rule)
            if point.when == "before":
                # A dead process's request does not arrive late.
                self.lab.aws.add_fault(kind="drop", **rule)
        begin()
        deadline = time.monotonic() + HELD
        while time.monotonic() < deadline and self.lab.aws.faults():
            time.sleep(0.1)
        missed = [(f["operation"], f["when"], f["key"]) for f in self.lab.aws.faults()]
        assert not missed, f"these writes never came: {missed}"
        time.sleep(0.2)
        self.kill()
        self.start()
        self.operator.wait_ready()

    def writes(self, cluster: DeclaredCluster) -> dict[str, int]:
        """How often each write was carried out for a cluster, by operation and whose it was."""
        found: collections.Counter[str] = collections.Counter()
        for call in self.lab.aws.calls(log=True)["log"]:
            operation = call["operation"].partition(".")[2]
            if (
                200 <= call["status"] < 400
                and cluster.cluster in call["key"]
                and not operation.startswith(("Describe", "List"))
            ):
                found[operation + call["key"].partition(cluster.cluster)[2]] += 1
        return dict(found)

    def once(self, story: Story, *, times: Mapping[str, int] | None = None) -> None:
        """Every write of the story was carried out once on each cluster, or as often as times says by operation and whose."""
        for point, cluster in story.items():
            for write, count in self.writes(cluster).items():
                expected = (times or {}).get(write, 1)
                again = write.startswith(REPEATABLE) and write.startswith(point.operation) and point.when == "after"
                assert count <= expected + again, (point, write, count, self.writes(cluster))

    def leave(self) -> None:
        """The objects go and leave their clusters; to have the operator delete them would take a minute, and is a story of its own."""
        there = ("-n", self.namespace, "--all")
        self.lab.kubectl("annotate", "auroraclusters", *there, "penstock.dev/mode=Observe", "--overwrite", check=False)
        self.lab.kubectl("delete", "auroraclusters", *there, "--timeout=20s", check=False)
        for cluster in self.clusters:
            if cluster.exists:
                self.lab.aws.rds_call("ModifyDBCluster", DBClusterIdentifier=cluster.cluster, DeletionProtection=False)
                for name in sorted(cluster.aws_instances, key=lambda i, writer=cluster.writer: i == writer):
                    self.lab.aws.rds_call("DeleteDBInstance", DBInstanceIdentifier=name)
        time.sleep(2 * QUICK["rds_instance_delete_s"])
        for cluster in self.clusters:
            if cluster.exists:
                self.lab.aws.rds_call("DeleteDBCluster", DBClusterIdentifier=cluster.cluster, SkipFinalSnapshot=True)


@pytest.fixture(scope="module")
def killable(lab: Lab) -> Iterator[Rig]:
    """One operator beside the pods for all stories, and a subnet group for all that does not make its own."""
    lab.boto("rds").create_db_subnet_group(
        DBSubnetGroupName=SHARED, DBSubnetGroupDescription="Shared", SubnetIds=["subnet-a", "subnet-b"]
    )
    with slower(lab, **QUICK, **QUOTAS), unharmed(lab, same_process=False):
        found = Rig(lab)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture
def rig(killable: Rig, namespace: str) -> Iterator[Rig]:
    killable.namespace, killable.clusters = namespace, []
    try:
        yield killable
    finally:
        killable.lab.aws.clear_faults()
        killable.leave()


def small(**spec: Any) -> dict[str, Any]:
    """A cluster that is made with three writes; not to require TLS is the default of its engine, and takes no group."""
    return {"requireTLS": False, "network": {"subnetGroup": SHARED, "securityGroupIds": ["sg-lab"]}, **NOW, **spec}


def ends_alike(story: Story, timeout: float = 60) -> None:
    """Every cluster settles, and AWS holds the same for all but for names and times."""
    for cluster in story.values():
        cluster.settled(timeout)
    ends: dict[str, list[Point]] = collections.defaultdict(list)
    for point, cluster in story.items():
        ends[end(cluster)].append(point)
    assert len(ends) == 1, "\n".join(f"{points}:\n{found}" for found, points in ends.items())


def end(cluster: DeclaredCluster) -> str:
    """What AWS holds of the cluster, without what differs from cluster to cluster."""
    found = cluster.aws
    instances = {
        name: {
            **{k: i.get(k) for k in ("DBInstanceStatus", "DBInstanceClass", "PromotionTier", "AvailabilityZone")},
            **{k: i.get(k) for k in ("PerformanceInsightsEnabled", "PendingModifiedValues", "DBParameterGroups")},
            "tags": {t["Key"]: t["Value"] for t in i["TagList"]},
        }
        for name, i in cluster.aws_instances.items()
    }
    kept = {
        **{
            k: found.get(k)
            for k in ("Status", "Engine", "EngineVersion", "BackupRetentionPeriod", "DeletionProtection")
        },
        **{
            k: found.get(k)
            for k in ("DBSubnetGroup", "DBClusterParameterGroup", "PendingModifiedValues", "StorageType")
        },
        **{k: found.get(k) for k in ("EnabledCloudwatchLogsExports", "ServerlessV2ScalingConfiguration", "Port")},
        "members": sorted(found["DBClusterMembers"], key=lambda m: m["DBInstanceIdentifier"]),
        "instances": instances,
        "parameters": {} if found["DBClusterParameterGroup"].startswith("default.") else cluster.cluster_parameters,
        "tags": {t["Key"]: t["Value"] for t in found["TagList"]},
    }
    text = json.dumps(kept, sort_keys=True, default=str, indent=1)
    # What tells the object's groups from those of another one.
    part = hashlib.sha256(cluster.uid.encode()).hexdigest()[:8]
    text = text.replace(cluster.cluster, "C").replace(f"C-{part}", "C-PART")
    return text.replace(cluster.uid, "UID").replace(f"/{cluster.name}/", "/NAME/")


def test_a_creation_ends_alike(rig: Rig) -> None:
    writes = ("CreateDBSubnetGroup", "CreateDBClusterParameterGroup", "ModifyDBClusterParameterGroup")
    points = both(*writes, "CreateDBCluster", "CreateDBInstance-1", "CreateDBInstance-2")
    spec = {"parameters": {"log_min_duration_statement": "500"}, "tags": {"team": "till"}}
    story = rig.declare(points, spec, apply=False)
    rig.crash(story, lambda: rig.apply(story))
    ends_alike(story)
    rig.once(story)
    for cluster in story.values():
        assert cluster.aws_instances.keys() == {cluster.instance(1), cluster.instance(2)}
        assert cluster.cluster_parameters == {"log_min_duration_statement": "500", "rds.force_ssl": "1"}
        assert cluster.aws_tags["penstock.dev/owner"].endswith(cluster.uid)


def test_new_settings_end_alike(rig: Rig) -> None:
    points = both("ModifyDBCluster", "AddTagsToResource", "AddTagsToResource-1", "RemoveTagsFromResource")
    points += both("ModifyDBInstance-1")
    spec = small(tags={"old": "1"}, performanceInsights={"enabled": False}, instances={"readers": 0})
    story = rig.declare(points, spec)
    after = {
        "tags": {"new": "2"},
        "backup": {"retentionDays": 9},
        "logs": ["postgresql"],
        "performanceInsights": {"enabled": True},
        "deletionProtection": True,
    }
    for cluster in story.values():
        cluster.spec |= after
    rig.crash(story, lambda: rig.apply(story))
    ends_alike(story)
    rig.once(story)
    for cluster in story.values():
        assert cluster.aws["BackupRetentionPeriod"] == 9
        assert {k: v for k, v in cluster.aws_tags.items() if not k.startswith("penstock.dev/")} == {"new": "2"}
        assert [e.note for e in cluster.events if e.reason == "DriftCorrected"] == []


def test_a_new_static_parameter_ends_alike(rig: Rig) -> None:
    before = {"parameters": {"log_min_duration_statement": "500"}}
    writes = (
        "ModifyDBClusterParameterGroup",
        "ResetDBClusterParameterGroup",
        "RebootDBInstance-2",
        "FailoverDBCluster",
    )
    story = rig.declare(both(*writes), small(**before))
    for cluster in story.values():
        cluster.spec["parameters"] = {"autovacuum_freeze_max_age": "300000000"}
    rig.crash(story, lambda: rig.apply(story))
    ends_alike(story)
    rig.once(story)
    for cluster in story.values():
        assert cluster.cluster_parameters == {"autovacuum_freeze_max_age": "300000000"}
        assert {m["DBClusterParameterGroupStatus"] for m in cluster.aws["DBClusterMembers"]} == {"in-sync"}
        assert rig.writes(cluster)["RebootDBInstance-2"] == rig.writes(cluster)["FailoverDBCluster"] == 1
        assert cluster.writer == cluster.instance(2)


def test_a_new_class_ends_alike(rig: Rig) -> None:
    story = rig.declare(both("ModifyDBInstance-2", "FailoverDBCluster", "ModifyDBInstance-1"), small())
    for cluster in story.values():
        cluster.spec["instances"] = {"class": "db.r6g.large", "readers": 1}
    rig.crash(story, lambda: rig.apply(story))
    ends_alike(story)
    for cluster in story.values():
        assert {i["DBInstanceClass"] for i in cluster.aws_instances.values()} == {"db.r6g.large"}
        assert cluster.writer == cluster.instance(2)
        written = {"ModifyDBInstance-1": 1, "ModifyDBInstance-2": 1, "FailoverDBCluster": 1}
        assert rig.writes(cluster) == written


def test_a_failover_that_somebody_asks_for_ends_alike(rig: Rig) -> None:
    story = rig.declare(both("FailoverDBCluster"), small())
    rig.crash(story, lambda: [cluster.annotate("failover-to", "any") for cluster in story.values()])
    for cluster in story.values():
        cluster.until(lambda c=cluster: c.status["failoverRequest"]["result"] == "Done", "it is answered", 60)
    ends_alike(story)
    for cluster in story.values():
        assert cluster.writer == cluster.instance(2)
        assert rig.writes(cluster) == {"FailoverDBCluster": 1}, "neither forgotten nor done twice"
        assert cluster.status["lastFailoverTo"] == "any"


def test_other_numbers_of_readers_and_a_new_password_end_alike(rig: Rig) -> None:
    more = rig.declare(both("CreateDBInstance-3", "CreateDBInstance-4"), small(), apply=False)
    fewer = rig.declare(both("DeleteDBInstance-3", "DeleteDBInstance-2"), small(instances={"readers": 2}), apply=False)
    secret(rig, "first-password-1")
    credentials = {"masterUsername": "app", "passwordSecretRef": {"name": "master", "key": "password"}}
    rotated = rig.declare(both("ModifyDBCluster"), small(credentials=credentials), apply=False)
    story = {**more, **fewer, **rotated}
    rig.apply(story)
    for cluster in story.values():
        cluster.settled(60)

    def begin() -> None:
        for point, cluster in more.items():
            cluster.spec["instances"]["readers"] = 3 if point.whose else 1
        for cluster in fewer.values():
            cluster.spec["instances"]["readers"] = 0
        rig.apply({**more, **fewer})
        secret(rig, "second-password-2")
        # What tells of a changed Secret is its content, which is looked at every few seconds; this only looks sooner.
        for cluster in rotated.values():
            cluster.annotate("reconcile-at", "now")

    rig.crash(story, begin)
    for cluster in rotated.values():
        # A Secret that changed is told by nothing but its content.
        cluster.until(lambda c=cluster: rig.lab.aws.rds_password(c.cluster) == "second-password-2", "the password")
        cluster.until(lambda c=cluster: c.aws["Status"] == "available", "the password is in force")
    for part in (more, fewer, rotated):
        ends_alike(part)
    rig.once({**more, **fewer})
    for cluster in more.values():
        assert sorted(cluster.aws_instances) == [cluster.instance(n) for n in (1, 2, 3, 4)]
    for cluster in fewer.values():
        assert list(cluster.aws_instances) == [cluster.instance(1)]
    for point, cluster in rotated.items():
        # AWS does not tell which password it has, so one whose answer was lost is given again.
        assert rig.writes(cluster) == {"ModifyDBCluster": 2 if point.when == "after" else 1}


def test_a_restore_ends_alike(rig: Rig) -> None:
    rds = rig.lab.boto("rds")
    (source,) = rig.declare([Point("", "")], small(instances={"readers": 0})).values()
    snapshot = f"{source.cluster}-kept"
    rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=snapshot, DBClusterIdentifier=source.cluster)

    def kept() -> bool:
        (found,) = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot)["DBClusterSnapshots"]
        return bool(found["Status"] == "available")

    source.until(kept, "the snapshot is available")
    spec = small(instances={"readers": 0}, backup={"retentionDays": 9}, restoreFrom={"snapshotIdentifier": snapshot})
    points = both("RestoreDBClusterFromSnapshot", "ModifyDBCluster", "CreateDBInstance-1")
    story = rig.declare(points, spec, apply=False)
    rig.crash(story, lambda: rig.apply(story))
    ends_alike(story)
    rig.once(story, times={"ModifyDBCluster": 2})
    for cluster in story.values():
        assert cluster.aws["BackupRetentionPeriod"] == 9
        assert cluster.aws_tags["penstock.dev/owner"].endswith(cluster.uid)


def test_a_deletion_ends_alike(rig: Rig) -> None:
    rds = rig.lab.boto("rds")
    spec = {"deletionPolicy": "Snapshot", "deletionProtection": True}
    of_cluster = ("ModifyDBCluster", "DeleteDBInstance-2", "DeleteDBInstance-1", "DeleteDBCluster")
    story = rig.declare(both(*of_cluster), small(**spec), apply=False)
    own = {**spec, "instances": {"readers": 0}, "network": {"subnetIds": ["subnet-a", "subnet-b"]}}
    story |= rig.declare(both("DeleteDBClusterParameterGroup", "DeleteDBSubnetGroup"), own, apply=False)
    rig.apply(story)
    for cluster in story.values():
        cluster.settled(60)

    def take_down() -> None:
        names = [cluster.name for cluster in story.values()]
        there = ("-n", rig.namespace)
        allow = '{"spec":{"deletionProtection":false}}'
        rig.lab.kubectl("delete", "auroraclusters", *names, *there, "--wait=false")
        rig.lab.kubectl("patch", "auroraclusters", *names, *there, "--type=merge", "-p", allow)

    rig.crash(story, take_down)
    for point, cluster in story.items():
        cluster.gone(60)
        assert not cluster.exists
        snapshots = rds.describe_db_cluster_snapshots(DBClusterIdentifier=cluster.cluster, SnapshotType="manual")
        assert [s["Status"] for s in snapshots["DBClusterSnapshots"]] == ["available"], point
    rig.once(story)
    mine = tuple(cluster.cluster for cluster in story.values())
    left = [i["DBInstanceIdentifier"] for i in rds.describe_db_instances()["DBInstances"]]
    left += [g["DBSubnetGroupName"] for g in rds.describe_db_subnet_groups()["DBSubnetGroups"]]
    groups = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    left += [g["DBClusterParameterGroupName"] for g in groups]
    assert [name for name in left if any(c in name for c in mine)] == []


def secret(rig: Rig, password: str) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "master", "namespace": rig.namespace},
        "data": {"password": base64.b64encode(password.encode()).decode()},
    }
    rig.lab.kubectl("apply", "-f", "-", input=json.dumps(manifest))
