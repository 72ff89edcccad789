"""kill -9 of the operator between every two AWS writes: always the same end, nothing twice, nothing left.

Each write of a story is met twice, on a table of its own: once with the request still unsent to AWS, once done with its answer lost. The endpoint
holds that request back, all tables of a story wait at their own point at once, and then the operator is killed and started again.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from declared import Declared, index
from mortal import Mortal

from penstock_lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.slow]

HELD = 12.0
KEY = {"partition": {"name": "id", "type": "String"}}
AUTOSCALED = {"min": 2, "max": 8, "targetUtilization": 60}
FULL = {
    "capacity": {"mode": "Provisioned", "read": AUTOSCALED, "write": {"units": 3}},
    "ttl": {"attribute": "expires"},
    "tags": {"team": "shop"},
    "contributorInsights": True,
}
# What may be asked twice: it says how things shall be, and saying it again changes nothing. A request that was held back
# still has its effect after its sender's death.
REPEATABLE = {
    "TagResource",
    "UntagResource",
    "UpdateContinuousBackups",
    "UpdateContributorInsights",
    "PutResourcePolicy",
    "RegisterScalableTarget",
    "PutScalingPolicy",
    "DeregisterScalableTarget",
}


@dataclass(frozen=True)
class Point:
    """The n-th request of an operation, held back before or after it takes effect."""

    operation: str
    when: str


def both(*operations: str) -> list[Point]:
    return [Point(operation, when) for operation in operations for when in ("before", "after")]


class Rig(Mortal):
    """An operator that can be killed, and the tables of one story."""

    def __init__(self, lab: Lab, namespace: str) -> None:
        super().__init__(lab, {"PENSTOCK_RESYNC_SECONDS": "5"}, ["--workers=48"])
        self.operator.wait_ready()
        self.namespace = namespace

    def crash(self, story: dict[Point, Declared], begin: Callable[[Declared], Any]) -> None:
        """Begin all, wait until each is held at its point, kill -9, and start again."""
        self.lab.aws.reset_calls()
        for point, table in story.items():
            service = "application-autoscaling" if "Scal" in point.operation else "dynamodb"
            key = "*" if service != "dynamodb" else f"*{table.table}*"
            rule = {"kind": "latency", "seconds": HELD, "when": point.when, "count": 1}
            self.lab.aws.add_fault(service=service, operation=point.operation, key=key, **rule)
        for table in story.values():
            begin(table)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.lab.aws.faults():
            time.sleep(0.1)
        missed = [(f["operation"], f.get("when"), f["key"]) for f in self.lab.aws.faults()]
        assert not missed, f"these writes never came: {missed}"
        time.sleep(0.2)
        self.kill()
        self.lab.aws.clear_faults()
        self.start()
        self.operator.wait_ready()

    def writes(self, table: Declared) -> collections.Counter[str]:
        """The successful writes to one table, by operation."""
        found: collections.Counter[str] = collections.Counter()
        for call in self.lab.aws.calls(log=True)["log"]:
            operation = call["operation"].partition(".")[2]
            if (
                call["status"] < 400
                and table.table in call["key"]
                and not operation.startswith(("Describe", "List", "Get"))
            ):
                found[operation] += 1
        return found


@pytest.fixture
def rig(lab: Lab, namespace: str) -> Iterator[Rig]:
    found = Rig(lab, namespace)
    yield found
    lab.aws.clear_faults()
    found.close()


def declare(rig: Rig, points: list[Point], spec: dict[str, Any], apply: bool) -> dict[Point, Declared]:
    return {
        point: Declared(rig.lab, rig.namespace, spec, name=f"t{number:02d}-{point.when}", apply=apply)
        for number, point in enumerate(points)
    }


def nothing_twice(rig: Rig, story: dict[Point, Declared]) -> None:
    twice = {
        (point, operation): count
        for point, table in story.items()
        for operation, count in rig.writes(table).items()
        # UpdateTable stands for several changes; its repetition shows in the table's state, which is compared.
        if count > 1 and operation not in REPEATABLE and operation != "UpdateTable"
    }
    assert not twice


def test_a_creation_ends_alike(rig: Rig) -> None:
    points = both("CreateTable", "UpdateContinuousBackups", "UpdateTimeToLive", "UpdateContributorInsights")
    story = declare(
        rig,
        points,
        {**FULL, "globalIndexes": [index("status", capacity={"read": {"units": 1}, "write": {"units": 1}})]},
        False,
    )
    rig.crash(story, lambda table: table.apply())
    for table in story.values():
        table.settled(60)
        assert table.aws_ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
        assert table.aws_recovery["PointInTimeRecoveryStatus"] == "ENABLED"
        assert table.aws_tags["team"] == "shop"
        assert list(table.aws_indexes) == ["status"]
        assert rig.writes(table)["CreateTable"] == 1
    nothing_twice(rig, story)


def test_autoscaling_ends_alike(rig: Rig) -> None:
    for point in both("RegisterScalableTarget", "PutScalingPolicy"):
        story = declare(rig, [point], FULL, False)
        (table,) = story.values()
        table.name = f"{table.name}-{point.operation[:3].lower()}"
        rig.crash(story, lambda found: found.apply())
        table.settled(60)
        client = rig.lab.boto("application-autoscaling")
        targets = client.describe_scalable_targets(ServiceNamespace="dynamodb", ResourceIds=[f"table/{table.table}"])
        assert [(t["MinCapacity"], t["MaxCapacity"]) for t in targets["ScalableTargets"]] == [(2, 8)]
        policies = client.describe_scaling_policies(ServiceNamespace="dynamodb", ResourceId=f"table/{table.table}")
        assert len(policies["ScalingPolicies"]) == 1


def test_an_update_ends_alike(rig: Rig) -> None:
    before = {"globalIndexes": [index("old")], "tags": {"gone": "1"}, "stream": {"view": "NewImage"}}
    after = {
        "globalIndexes": [index("new")],
        "tags": {"here": "2"},
        "stream": {"view": "OldImage"},
        "ttl": {"attribute": "expires"},
        "pointInTimeRecovery": {"enabled": True, "days": 9},
        "deletionProtection": True,
        "resourcePolicy": {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "dynamodb:GetItem", "Resource": "*"}
            ],
        },
    }
    points = both(
        "UpdateTable",
        "TagResource",
        "UntagResource",
        "UpdateTimeToLive",
        "UpdateContinuousBackups",
        "PutResourcePolicy",
    )
    story = declare(rig, points, before, True)
    for table in story.values():
        table.settled()
    rig.crash(story, lambda table: table.edit(**after))
    for table in story.values():
        table.settled(90)
        assert list(table.aws_indexes) == ["new"]
        tags = {k: v for k, v in table.aws_tags.items() if not k.startswith("penstock.dev/")}
        assert tags == {"here": "2"}
        assert table.aws["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"}
        assert table.aws["DeletionProtectionEnabled"]
        assert table.aws_recovery["RecoveryPeriodInDays"] == 9
        assert table.aws_ttl["AttributeName"] == "expires"
        # One off and one on of the stream, one index deleted and one made, and the protection.
        assert rig.writes(table)["UpdateTable"] == 5
    nothing_twice(rig, story)


def test_a_deletion_ends_alike(rig: Rig) -> None:
    points = both("UpdateTable", "CreateBackup", "DeleteTable")
    story = declare(rig, points, {**FULL, "deletionProtection": True, "deletionPolicy": "Snapshot"}, True)
    for table in story.values():
        table.settled(60)
        table.dynamodb.put_item(TableName=table.table, Item={"id": {"S": "one"}})
    names = {point: table.table for point, table in story.items()}

    def take_down(table: Declared) -> None:
        table.delete()
        table.lab.kubectl(
            *(
                "patch",
                "ddb",
                table.name,
                "-n",
                table.namespace,
                "--type=merge",
                "-p",
                '{"spec":{"deletionProtection":false}}',
            )
        )

    rig.crash(story, take_down)
    for point, table in story.items():
        table.gone(60)
        assert not table.exists
        backups = table.dynamodb.list_backups(TableName=names[point], BackupType="USER")["BackupSummaries"]
        assert [b["BackupStatus"] for b in backups] == ["AVAILABLE"], (point, backups)
        targets = rig.lab.boto("application-autoscaling").describe_scalable_targets(
            ServiceNamespace="dynamodb", ResourceIds=[f"table/{names[point]}"]
        )
        assert targets["ScalableTargets"] == []
    nothing_twice(rig, story)


def test_a_restore_ends_alike(rig: Rig) -> None:
    source = Declared(rig.lab, rig.namespace, name="source").settled()
    source.dynamodb.put_item(TableName=source.table, Item={"id": {"S": "kept"}})
    arn = source.dynamodb.create_backup(TableName=source.table, BackupName="before")["BackupDetails"]["BackupArn"]
    source.until(
        lambda: (
            source.dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"]
            == "AVAILABLE"
        )
    )
    points = both("RestoreTableFromBackup", "TagResource", "UpdateContinuousBackups")
    story = declare(rig, points, {"restoreFrom": {"backupArn": arn}, "tags": {"from": "backup"}}, False)
    rig.crash(story, lambda table: table.apply())
    for table in story.values():
        table.settled(60)
        items = table.dynamodb.scan(TableName=table.table)["Items"]
        assert items == [{"id": {"S": "kept"}}]
        assert table.aws_tags["from"] == "backup"
        assert table.aws_tags["penstock.dev/owner"].endswith(table.uid)
    nothing_twice(rig, story)
