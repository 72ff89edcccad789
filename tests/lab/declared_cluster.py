"""One AuroraCluster as a user has it: declared with kubectl, watched on the API server, compared with what AWS holds."""

from __future__ import annotations

import copy
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from declared import Declared, adoptable_by, client

from penstock_lab.lab import Lab

ENGINE = {"type": "AuroraPostgreSQL", "version": "15.10"}
SUBNETS = ["subnet-a", "subnet-b", "subnet-c"]
NOW: dict[str, Any] = {"maintenance": {"apply": "Immediately"}}
_WRITES = (
    "Create",
    "Modify",
    "Delete",
    "Restore",
    "Add",
    "Remove",
    "Reset",
    "Reboot",
    "Failover",
    "Start",
    "Stop",
    "Register",
    "Deregister",
    "Put",
)


def weekly(hours: float) -> str:
    """A maintenance window of two hours that opens so many hours from now."""
    opens = datetime.now(UTC) + timedelta(hours=hours)
    return f"{opens:%a:%H:%M}-{opens + timedelta(hours=2):%a:%H:%M}".lower()


def daily(hours: float) -> str:
    """A backup window of an hour that opens so many hours from now."""
    opens = datetime.now(UTC) + timedelta(hours=hours)
    return f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"


class DeclaredCluster(Declared):
    """An AuroraCluster object. `name` is the object's, `cluster` the identifier in AWS, unique in the lab unless it is given."""

    kind, plural = "AuroraCluster", "auroraclusters"
    declared: ClassVar[list[DeclaredCluster]] = []

    def __init__(
        self,
        lab: Lab,
        namespace: str,
        spec: Mapping[str, Any] | None = None,
        *,
        name: str = "ledger",
        cluster: str = "",
        annotations: Mapping[str, str] | None = None,
        apply: bool = True,
    ) -> None:
        self.lab, self.namespace, self.name = lab, namespace, name
        self.cluster = cluster or f"c{uuid.uuid4().hex[:6]}-{name}"
        given = copy.deepcopy(dict(spec or {}))
        instances = {"class": "db.t4g.medium", "readers": 1, **given.pop("instances", {})}
        self.spec: dict[str, Any] = {
            "clusterIdentifier": self.cluster,
            "deletionPolicy": "Delete",
            "engine": ENGINE,
            "network": {"subnetIds": SUBNETS, "securityGroupIds": ["sg-lab"]},
            **given,
            "instances": {k: v for k, v in instances.items() if v is not None},
        }
        self.spec = {k: copy.deepcopy(v) for k, v in self.spec.items() if v is not None}
        self.annotations = dict(annotations or {})
        self.uid = ""
        self.declared.append(self)
        if apply:
            self.apply()

    @classmethod
    def small(cls, lab: Lab, namespace: str, spec: Mapping[str, Any] | None = None, **more: Any) -> DeclaredCluster:
        """One writer, and no group of its own: the operator may ask RDS a few times a second, and tests share that."""
        lean = {"network": None, "requireTLS": False, **(spec or {})}
        return cls(lab, namespace, {**lean, "instances": {"readers": 0, **lean.get("instances", {})}}, **more)

    def until(self, check: Callable[[], Any], what: str = "", timeout: float = 90) -> DeclaredCluster:
        """As Declared.until; by default for longer, since the scenarios of a module share what RDS takes in a second."""
        super().until(check, what, timeout)
        return self

    def wait(self, kind: str = "Ready", status: str = "True", **more: Any) -> dict[str, Any]:
        return super().wait(kind, status, **{"timeout": 90, **more})

    def settled(self, timeout: float = 90) -> DeclaredCluster:
        super().settled(timeout)
        return self

    def gone(self, timeout: float = 90) -> DeclaredCluster:
        super().gone(timeout)
        return self

    def secret(self, name: str, **data: str) -> None:
        """Make or change a Secret beside the object."""
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
        self.lab.kubectl("apply", "-n", self.namespace, "-f", "-", input=json.dumps(body))

    def patch(self, **spec: Any) -> DeclaredCluster:
        """An edit of an object that is being deleted; kubectl apply would complain about it."""
        body = json.dumps({"spec": spec})
        self.lab.kubectl("patch", "aurora", self.name, "-n", self.namespace, "--type=merge", "-p", body)
        return self

    @property
    def members(self) -> dict[str, dict[str, Any]]:
        """status.members by name."""
        return {m["name"]: m for m in self.status.get("members", ())}

    def instances(self, **fields: Any) -> DeclaredCluster:
        """Edit spec.instances; None takes a field out."""
        merged = {**self.spec["instances"], **fields}
        self.edit(instances={k: v for k, v in merged.items() if v is not None})
        return self

    def instance(self, ordinal: int) -> str:
        return f"{self.cluster}-{ordinal}"

    @property
    def own_group(self) -> str:
        """The name of its subnet group, and the beginning of those of its parameter groups."""
        return f"penstock-{self.cluster}-{hashlib.sha256(self.uid.encode()).hexdigest()[:8]}"

    @property
    def rds(self) -> Any:
        return client(self.lab.aws_url, "rds")

    @property
    def aws(self) -> dict[str, Any]:
        """DescribeDBClusters. Raises ClientError when there is no cluster."""
        found: dict[str, Any] = self.rds.describe_db_clusters(DBClusterIdentifier=self.cluster)["DBClusters"][0]
        return found

    @property
    def exists(self) -> bool:
        try:
            return bool(self.aws)
        except ClientError as error:
            if error.response["Error"]["Code"] != "DBClusterNotFoundFault":
                raise
            return False

    @property
    def aws_instances(self) -> dict[str, dict[str, Any]]:
        """By identifier, without those that are being deleted."""
        answer = self.rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [self.cluster]}])
        return {i["DBInstanceIdentifier"]: i for i in answer["DBInstances"] if i["DBInstanceStatus"] != "deleting"}

    @property
    def writer(self) -> str:
        return next((m["DBInstanceIdentifier"] for m in self.aws["DBClusterMembers"] if m["IsClusterWriter"]), "")

    @property
    def aws_tags(self) -> dict[str, str]:
        return {t["Key"]: t["Value"] for t in self.aws["TagList"]}

    @property
    def cluster_parameters(self) -> dict[str, str]:
        """What a user set in the cluster's parameter group."""
        answer = self.rds.describe_db_cluster_parameters(
            DBClusterParameterGroupName=self.aws["DBClusterParameterGroup"], Source="user"
        )
        return {p["ParameterName"]: p["ParameterValue"] for p in answer["Parameters"]}

    def by_hand(self, operation: str = "modify_db_cluster", **parameters: Any) -> dict[str, Any]:
        """What somebody with an AWS console does to the cluster; nothing is waited for."""
        answer: dict[str, Any] = getattr(self.rds, operation)(DBClusterIdentifier=self.cluster, **parameters)
        return answer

    def writes(self, only_done: bool = True) -> list[str]:
        """The writing operations on this cluster, its instances and groups, in the order in which AWS got them."""
        return [operation for operation, _ in self.written(only_done)]

    def written(self, only_done: bool = True) -> list[tuple[str, str]]:
        """As writes, with what each was about: "1" for the first instance, "" for the cluster, a group's name in full."""
        return [
            (entry["operation"].partition(".")[2], entry["key"].removeprefix(self.cluster).removeprefix("-"))
            for entry in self.lab.aws.calls(log=True)["log"]
            if self.cluster in entry["key"]
            and entry["operation"].partition(".")[2].startswith(_WRITES)
            and (not only_done or 200 <= entry["status"] < 400)
        ]


def abandon(lab: Lab, namespaces: Sequence[str]) -> None:
    """Let go of all clusters of the namespaces, and take them down beside the operator: what it may ask of RDS is for the tests."""
    mine = [c for c in DeclaredCluster.declared if c.lab is lab and c.namespace in namespaces]
    for namespace in namespaces:
        observe = ("annotate", "aurora", "--all", "-n", namespace, "--overwrite", "penstock.dev/mode=Observe")
        lab.kubectl(*observe, check=False)
    lab.kubectl("delete", "namespace", *namespaces, "--wait=false", check=False)
    for cluster in mine:
        DeclaredCluster.declared.remove(cluster)
        with suppress(ClientError):
            if cluster.aws["DeletionProtection"]:
                cluster.by_hand(DeletionProtection=False, ApplyImmediately=True)
            for instance in cluster.aws_instances:
                cluster.rds.delete_db_instance(DBInstanceIdentifier=instance)
            cluster.by_hand("delete_db_cluster", SkipFinalSnapshot=True)


def made_by_hand(
    cluster: DeclaredCluster, instances: Sequence[str] = ("",), adoptable: bool = True, **more: Any
) -> DeclaredCluster:
    """What somebody made with an AWS console: a cluster of that identifier with its instances, ready. "": the usual first name.

    adoptable: the namespace may take it over.
    """
    cluster.rds.create_db_cluster(
        **{
            "DBClusterIdentifier": cluster.cluster,
            "Engine": "aurora-postgresql",
            "EngineVersion": "15.10",
            "MasterUsername": "postgres",
            "ManageMasterUserPassword": True,
            "Tags": adoptable_by(cluster.namespace) if adoptable else [],
            "CopyTagsToSnapshot": True,
            **more,
        }
    )
    for name in instances:
        cluster.rds.create_db_instance(
            DBInstanceIdentifier=name or cluster.instance(1),
            DBClusterIdentifier=cluster.cluster,
            Engine="aurora-postgresql",
            DBInstanceClass="db.t4g.medium",
        )

    def serves() -> bool:
        return {i["DBInstanceStatus"] for i in cluster.aws_instances.values()} <= {"available"}

    return cluster.until(lambda: cluster.aws["Status"] == "available" and serves(), "it is there", 30)
