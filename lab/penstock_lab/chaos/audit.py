"""What must hold when a run is over: every object's part of AWS is as declared, by itself read from AWS; nothing else of ours is there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from .hands import Hands
from .subjects import BUDGET, DRILL, TABLE, Subject, namespaces

OWNER = "penstock.dev/owner"
# An object that another one's identifier keeps from having its table or cluster.
_LOSES = ("NotOwned", "AlreadyExists")


def condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    """The condition of an object; {} until it speaks of the present generation."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    generation = found["metadata"]["generation"]
    return next((c for c in conditions if c["type"] == kind and c.get("observedGeneration") == generation), {})


def unsettled(subjects: Sequence[Subject], found: dict[tuple[str, str, str], dict[str, Any]]) -> list[str]:
    """What the objects themselves say is not as declared: a line each. found: the objects by kind, namespace and name."""
    lines = []
    winners: Counter[str] = Counter()
    for subject in subjects:
        obj = found.get((subject.kind, subject.namespace, subject.name))
        if obj is None:
            lines.append(f"{subject.title} is not there")
            continue
        if subject.kind == DRILL:
            continue
        kinds = ("WithinBudget",) if subject.kind == BUDGET else ("Ready", "Synced")
        wrong = [(kind, condition(obj, kind)) for kind in kinds if condition(obj, kind).get("status") != "True"]
        if subject.rival:
            if wrong and condition(obj, "Ready").get("reason") in _LOSES:
                continue
            winners[subject.identifier] += 1
        lines += [
            f"{subject.title}: {kind}={told.get('status')} {told.get('reason')}: {told.get('message')}"
            for kind, told in wrong
        ]
    rivals = {subject.identifier for subject in subjects if subject.rival}
    lines += [
        f"{name} belongs to {winners[name]} objects, and must to one" for name in sorted(rivals) if winners[name] != 1
    ]
    return lines


def winners(subjects: Sequence[Subject], found: dict[tuple[str, str, str], dict[str, Any]]) -> list[Subject]:
    """The tables and clusters that must be in AWS: of two objects of one identifier the one that is Ready."""
    return [
        subject
        for subject in subjects
        if subject.identifier
        and (obj := found.get((subject.kind, subject.namespace, subject.name)))
        and (not subject.rival or condition(obj, "Ready").get("reason") not in _LOSES)
    ]


class Audit:
    """Reads AWS whole."""

    def __init__(self, hands: Hands, prefix: str, strangers: Sequence[str]) -> None:
        self._hands, self._prefix, self._strangers = hands, prefix, set(strangers)
        self._namespaces = namespaces(prefix)

    def differences(self, subjects: Sequence[Subject], uids: dict[str, str]) -> list[str]:
        """What is not as declared, a line each. uids: of the objects, by title."""
        lines = []
        for subject in subjects:
            judge = self._table if subject.kind == TABLE else self._cluster
            try:
                wrong = [*judge(subject, uids[subject.title])]
            except (ClientError, LookupError) as error:
                wrong = [str(error)]
            lines += [f"{subject.title}, {subject.identifier} in AWS: {one}" for one in wrong]
        return lines

    def _table(self, subject: Subject, uid: str) -> Iterator[str]:
        client, spec, name = self._hands.dynamodb, subject.spec, subject.identifier
        facts = client.describe_table(TableName=name)["Table"]
        if facts["TableStatus"] != "ACTIVE":
            yield f"is {facts['TableStatus']}"
        tags = client.list_tags_of_resource(ResourceArn=facts["TableArn"])["Tags"]
        yield from _tags(spec, {t["Key"]: t["Value"] for t in tags}, uid)
        ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"]
        recovery = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        days = recovery["PointInTimeRecoveryDescription"].get("RecoveryPeriodInDays", 0)
        yield from _same("TTL is on", spec["ttl"].get("enabled", True), ttl.startswith("ENABL"))
        yield from _same("recovery days", spec["pointInTimeRecovery"]["days"], days)
        yield from _same("protection", spec["deletionProtection"], facts.get("DeletionProtectionEnabled", False))
        indexes = {i["IndexName"] for i in facts.get("GlobalSecondaryIndexes") or ()}
        yield from _same("indexes", {i["name"] for i in spec.get("globalIndexes", ())}, indexes)
        if "stream" in spec:
            view = "".join(word.capitalize() for word in facts.get("StreamSpecification", {}).get("StreamViewType", "").split("_"))  # fmt: skip
            yield from _same("stream", spec["stream"]["view"], view)
        capacity = spec["capacity"]
        if "maxReadUnits" in capacity:
            cap = facts.get("OnDemandThroughput", {}).get("MaxReadRequestUnits")
            yield from _same("read cap", capacity["maxReadUnits"], cap)
        if "write" in capacity:
            yield from _same(
                "write units", capacity["write"]["units"], facts["ProvisionedThroughput"]["WriteCapacityUnits"]
            )
        wanted = [(capacity["read"]["min"], capacity["read"]["max"])] if "read" in capacity else []
        yield from self._scaling(f"table/{name}", wanted)

    def _cluster(self, subject: Subject, uid: str) -> Iterator[str]:
        rds, spec, name = self._hands.rds, subject.spec, subject.identifier
        facts = rds("DescribeDBClusters", DBClusterIdentifier=name)["DBClusters"][0]
        if facts["Status"] != "available":
            yield f"is {facts['Status']}"
        yield from _tags(spec, {t["Key"]: t["Value"] for t in facts["TagList"]}, uid)
        yield from _same("retention", spec["backup"]["retentionDays"], facts["BackupRetentionPeriod"])
        yield from _same("protection", spec["deletionProtection"], facts.get("DeletionProtection", False))
        yield from _same("window", spec["maintenance"]["window"], facts["PreferredMaintenanceWindow"])
        where = [{"Name": "db-cluster-id", "Values": [name]}]
        instances = rds("DescribeDBInstances", Filters=where)["DBInstances"]
        least = spec["instances"]["readers"] + 1
        # Autoscaling adds readers while an instance is missing, and takes its time to remove them.
        most = max(least, spec["instances"].get("readerAutoscaling", {}).get("max", 0) + 1)
        if not least <= len(instances) <= most:
            yield f"instances: declared {least} to {most}, found {len(instances)}"
        yield from _same("classes", {spec["instances"]["class"]}, {i["DBInstanceClass"] for i in instances})
        yield from _same("instances' states", {"available"}, {i["DBInstanceStatus"] for i in instances})
        if "parameters" in spec:
            group = facts["DBClusterParameterGroup"]
            values = rds("DescribeDBClusterParameters", DBClusterParameterGroupName=group, Source="user")["Parameters"]
            have = {p["ParameterName"]: p["ParameterValue"] for p in values}
            yield from _same("parameters", spec["parameters"], {n: have.get(n) for n in spec["parameters"]})
        scaling = spec["instances"].get("readerAutoscaling")
        yield from self._scaling(f"cluster:{name}", [(spec["instances"]["readers"], scaling["max"])] if scaling else [])

    def _scaling(self, resource: str, wanted: list[tuple[int, int]]) -> Iterator[str]:
        found = [
            (t["MinCapacity"], t["MaxCapacity"])
            for t in self._targets()
            if t["ResourceId"] == resource or t["ResourceId"].startswith(f"{resource}/")
        ]
        yield from _same("scalable targets", wanted, found)
        policies = sum(p["ResourceId"] == resource for p in self._policies())
        yield from _same("scaling policies", len(wanted), policies)

    def _targets(self) -> list[dict[str, Any]]:
        return self._scaled("describe_scalable_targets", "ScalableTargets")

    def _policies(self) -> list[dict[str, Any]]:
        return self._scaled("describe_scaling_policies", "ScalingPolicies")

    def _scaled(self, operation: str, field: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for service in ("dynamodb", "rds"):
            for page in self._hands.scaling.get_paginator(operation).paginate(ServiceNamespace=service):
                found += page[field]
        mine = (f"table/{self._prefix}", f"cluster:{self._prefix}")
        return [entry for entry in found if entry["ResourceId"].startswith(mine)]

    def leftovers(self, subjects: Sequence[Subject], uids: dict[str, str]) -> list[str]:
        """What is in AWS of this run and belongs to none of these: tables, clusters, instances, groups, targets, policies, alarms."""
        kept = {s.identifier for s in subjects}
        lines: list[str] = []
        names: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
            "table": self._tables,
            "cluster": lambda: self._listed("DescribeDBClusters", "DBClusters", "DBClusterIdentifier"),
            "instance": lambda: self._listed("DescribeDBInstances", "DBInstances", "DBInstanceIdentifier", "DBClusterIdentifier"),
            "snapshot": lambda: self._listed(
                "DescribeDBClusterSnapshots", "DBClusterSnapshots", "DBClusterSnapshotIdentifier", "DBClusterIdentifier"
            ),
            "scalable target": lambda: ((t["ResourceId"], t["ResourceId"]) for t in self._targets()),
            "scaling policy": lambda: ((p["PolicyName"], p["ResourceId"]) for p in self._policies()),
            "alarm": self._alarms,
        }  # fmt: skip
        for what, read in names.items():
            for name, of in read():
                if self._prefix in of and not any(k in of for k in kept) and name not in self._strangers:
                    lines.append(f"{what} {name} of {of} is left and belongs to no object")
        return [*lines, *self._groups(set(uids.values()))]

    def _groups(self, uids: set[str]) -> Iterator[str]:
        """Subnet and parameter groups of this run whose owner is not there, or that nothing uses."""
        used = {
            name
            for cluster in self._hands.listed("DescribeDBClusters", "DBClusters")
            for name in (cluster["DBSubnetGroup"], cluster["DBClusterParameterGroup"])
        }
        used |= {
            group["DBParameterGroupName"]
            for instance in self._hands.listed("DescribeDBInstances", "DBInstances")
            for group in instance["DBParameterGroups"]
        }
        for kind in ("DBSubnetGroup", "DBClusterParameterGroup", "DBParameterGroup"):
            for group in self._hands.listed(f"Describe{kind}s", f"{kind}s"):
                name = group[f"{kind}Name"]
                if name.startswith("default") or name in self._strangers:
                    continue
                tags = self._hands.rds("ListTagsForResource", ResourceName=group[f"{kind}Arn"])["TagList"]
                owner = next((t["Value"].split("/") for t in tags if t["Key"] == OWNER), [])
                if len(owner) == 5 and owner[1] in self._namespaces and (owner[4] not in uids or name not in used):
                    yield f"{kind} {name} of {owner[1]}/{owner[3]} is left and belongs to no object"

    def _tables(self) -> Iterator[tuple[str, str]]:
        for page in self._hands.dynamodb.get_paginator("list_tables").paginate():
            yield from ((name, name) for name in page["TableNames"])

    def _listed(self, operation: str, field: str, name: str, of: str = "") -> Iterator[tuple[str, str]]:
        for entry in self._hands.listed(operation, field):
            # A system's snapshot goes with its cluster.
            if entry.get("SnapshotType") != "automated":
                yield entry[name], entry.get(of or name, "")

    def _alarms(self) -> Iterator[tuple[str, str]]:
        for page in self._hands.cloudwatch.get_paginator("describe_alarms").paginate():
            yield from ((a["AlarmName"], a["AlarmName"]) for a in page["MetricAlarms"])

    def duplicates(self) -> list[str]:
        """Owner tags that stand on more than one table or cluster."""
        owned: dict[str, list[str]] = defaultdict(list)
        for name, _ in self._tables():
            if name.startswith(self._prefix):
                arn = self._hands.dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
                for tag in self._hands.dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]:
                    if tag["Key"] == OWNER:
                        owned[tag["Value"]].append(f"table {name}")
        for cluster in self._hands.listed("DescribeDBClusters", "DBClusters"):
            for tag in cluster["TagList"]:
                if tag["Key"] == OWNER:
                    owned[tag["Value"]].append(f"cluster {cluster['DBClusterIdentifier']}")
        return [f"{' and '.join(names)} have one owner, {owner}" for owner, names in owned.items() if len(names) > 1]


def _same(what: str, declared: Any, found: Any) -> Iterator[str]:
    if declared != found:
        yield f"{what}: declared {declared}, found {found}"


def _tags(spec: dict[str, Any], tags: dict[str, str], uid: str) -> Iterator[str]:
    declared = spec["tags"]
    yield from _same("tags", declared, {name: tags.get(name) for name in declared})
    if not tags.get(OWNER, "").endswith(f"/{uid}"):
        yield f"owner tag: {tags.get(OWNER)}, of the object {uid}"
