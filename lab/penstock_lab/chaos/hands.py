"""What others do in AWS behind the operator's back: to what belongs to objects, and with things of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ..aws.client import LabAWSError
from ..lab import Lab
from .subjects import SUBNETS, TABLE, Subject

# Faults hit these requests as well; what fails all the same is not done.
_PATIENT = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=20)
RENAMED = "-moved"
# What somebody may change of their own table or cluster, and what AWS counts by itself.
_VOLATILE = (
    "ResponseMetadata",
    "ItemCount",
    "TableSizeBytes",
    "LatestRestorableTime",
    "EarliestRestorableTime",
    "LatestRestorableDateTime",
    "EarliestRestorableDateTime",
)


class Hands:
    """Clients of the lab's AWS, and what is done with them by hand. Methods raise ClientError or LabAWSError where AWS refuses."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.dynamodb = lab.boto("dynamodb", config=_PATIENT)
        self.scaling = lab.boto("application-autoscaling", config=_PATIENT)
        self.cloudwatch = lab.boto("cloudwatch", config=_PATIENT)

    def rds(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """A call to RDS that no fault hits."""
        return self._lab.aws.rds_call(operation, **parameters)

    def listed(self, operation: str, field: str) -> Iterator[dict[str, Any]]:
        """All that a reading operation of RDS gives, over its pages."""
        marker: dict[str, str] = {}
        while True:
            answer = self.rds(operation, **marker)
            yield from answer[field]
            if not answer.get("Marker"):
                return
            marker = {"Marker": answer["Marker"]}

    def drift(self, subject: Subject, what: str, number: int) -> str:
        """Change something that the object declares; what came of it."""
        try:
            if subject.kind == TABLE:
                self._table_drift(subject.identifier, what, number)
            else:
                self._cluster_drift(subject.identifier, what, number)
        except (ClientError, BotoCoreError, LabAWSError, LookupError) as error:
            return f"not possible: {error}"
        return "done"

    # ---- tables

    def _table_drift(self, name: str, what: str, number: int) -> None:
        client = self.dynamodb
        facts = client.describe_table(TableName=name)["Table"]
        if what == "tags":
            tags = [{"Key": "team", "Value": f"stranger-{number}"}, {"Key": "stranger", "Value": str(number)}]
            client.tag_resource(ResourceArn=facts["TableArn"], Tags=tags)
        elif what == "untag":
            client.untag_resource(ResourceArn=facts["TableArn"], TagKeys=["team"])
        elif what == "protection":
            client.update_table(TableName=name, DeletionProtectionEnabled=not facts.get("DeletionProtectionEnabled"))
        elif what == "ttl":
            now = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"]
            wanted = {"Enabled": now != "ENABLED", "AttributeName": "until"}
            client.update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)
        elif what == "recovery":
            wanted = {"PointInTimeRecoveryEnabled": False}
            client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=wanted)
        elif what == "stream":
            client.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
        elif what == "index":
            index = facts["GlobalSecondaryIndexes"][0]["IndexName"]
            client.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": index}}])
        else:
            client.delete_table(TableName=name)

    # ---- clusters

    def _cluster_drift(self, name: str, what: str, number: int) -> None:
        if what == "rename back":
            self._rename(name + RENAMED, name)
            return
        facts = self.rds("DescribeDBClusters", DBClusterIdentifier=name)["DBClusters"][0]
        where = {"DBClusterIdentifier": name}
        if what == "tags":
            tags = [{"Key": "team", "Value": f"stranger-{number}"}, {"Key": "stranger", "Value": str(number)}]
            self.rds("AddTagsToResource", ResourceName=facts["DBClusterArn"], Tags=tags)
        elif what == "untag":
            self.rds("RemoveTagsFromResource", ResourceName=facts["DBClusterArn"], TagKeys=["team"])
        elif what == "protection":
            self.rds("ModifyDBCluster", **where, DeletionProtection=not facts.get("DeletionProtection"))
        elif what == "retention":
            self.rds("ModifyDBCluster", **where, BackupRetentionPeriod=1 + number % 35)
        elif what == "parameters":
            group = facts["DBClusterParameterGroup"]
            if group.startswith("default."):
                raise LookupError("the cluster has no group of its own")
            parameter = {"ParameterName": "work_mem", "ParameterValue": str(5000 + number), "ApplyMethod": "immediate"}
            self.rds("ModifyDBClusterParameterGroup", DBClusterParameterGroupName=group, Parameters=[parameter])
        elif what == "instance":
            self.rds("DeleteDBInstance", DBInstanceIdentifier=facts["DBClusterMembers"][-1]["DBInstanceIdentifier"])
        elif what == "failover":
            self._lab.aws.rds_failover(name)
        elif what == "rename":
            self._rename(name, name + RENAMED)
        else:
            for member in facts["DBClusterMembers"]:
                with contextlib.suppress(LabAWSError):
                    self.rds("DeleteDBInstance", DBInstanceIdentifier=member["DBInstanceIdentifier"])
            self.rds("DeleteDBCluster", **where, SkipFinalSnapshot=True)

    def renamed(self) -> list[str]:
        """The clusters that do not have their own names yet; give each its name back."""
        there = [c["DBClusterIdentifier"] for c in self.listed("DescribeDBClusters", "DBClusters")]
        moved = [name for name in there if name.endswith(RENAMED)]
        for name in moved:
            # AWS refuses while it is busy with the cluster.
            with contextlib.suppress(LabAWSError):
                self._rename(name, name.removesuffix(RENAMED))
        return moved

    def _rename(self, old: str, new: str) -> None:
        self.rds("ModifyDBCluster", DBClusterIdentifier=old, NewDBClusterIdentifier=new, ApplyImmediately=True)


class Strangers:
    """Tables, clusters and groups of somebody else's, with names like those of the objects."""

    def __init__(self, hands: Hands, prefix: str, count: int) -> None:
        self._hands = hands
        self.tables = [f"{prefix}-s{number:02}" for number in range(count)]
        self.clusters = [f"{prefix}-sc{number:02}" for number in range(max(1, count // 2))]
        self.group = f"penstock-{prefix}-s"
        self._make()
        self._before: dict[str, Any] = {}

    def _make(self) -> None:
        tags = [{"Key": "team", "Value": "somebody-else"}]
        for name in self.tables:
            self._hands.dynamodb.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                Tags=tags,
            )
        rds = self._hands.rds
        rds("CreateDBSubnetGroup", DBSubnetGroupName=self.group, DBSubnetGroupDescription="theirs", SubnetIds=SUBNETS)
        family = {"DBParameterGroupFamily": "aurora-postgresql15", "Description": "theirs"}
        rds("CreateDBClusterParameterGroup", DBClusterParameterGroupName=self.group, **family)
        for name in self.clusters:
            rds(
                "CreateDBCluster",
                DBClusterIdentifier=name,
                Engine="aurora-postgresql",
                EngineVersion="15.10",
                MasterUsername="theirs",
                ManageMasterUserPassword=True,
                DBSubnetGroupName=self.group,
                DBClusterParameterGroupName=self.group,
                Tags=tags,
            )

    def remember(self) -> None:
        """From now on they must stay as they are."""
        self._before = self.facts()

    def changes(self) -> list[str]:
        """What is not as it was."""
        now = self.facts()
        return [
            f"{name} of somebody else was changed: {before} → {now.get(name)}"
            for name, before in self._before.items()
            if now.get(name) != before
        ]

    def facts(self) -> dict[str, Any]:
        """Everything that AWS tells of them."""
        client, rds = self._hands.dynamodb, self._hands.rds
        found: dict[str, Any] = {}
        for name in self.tables:
            table = client.describe_table(TableName=name)["Table"]
            reads: dict[str, Callable[[], Any]] = {
                "table": lambda table=table: table,
                "ttl": lambda name=name: client.describe_time_to_live(TableName=name),
                "recovery": lambda name=name: client.describe_continuous_backups(TableName=name),
                "tags": lambda table=table: client.list_tags_of_resource(ResourceArn=table["TableArn"]),
            }
            found |= {f"{read} of table {name}": _steady(call()) for read, call in reads.items()}
        for name in self.clusters:
            found[f"cluster {name}"] = _steady(rds("DescribeDBClusters", DBClusterIdentifier=name)["DBClusters"][0])
        found["subnet group"] = rds("DescribeDBSubnetGroups", DBSubnetGroupName=self.group)["DBSubnetGroups"]
        where = {"DBClusterParameterGroupName": self.group, "Source": "user"}
        found["parameter group"] = rds("DescribeDBClusterParameters", **where)["Parameters"]
        return found


def _steady(value: Any) -> Any:
    """Without what moves by itself."""
    if isinstance(value, dict):
        return {k: _steady(v) for k, v in value.items() if k not in _VOLATILE}
    return [_steady(v) for v in value] if isinstance(value, list) else value
