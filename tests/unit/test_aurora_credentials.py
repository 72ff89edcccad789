"""The master password as it is in force: how often it is read, when a rotation is seen, and what is said when it cannot be known."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from aurora_world import NAME, Operator, spec
from fake_kube import FakeKube
from virtual_time import virtual

from penstock.api.conditions import Reason
from penstock.aurora.credentials import CHECKED, CredentialReader
from penstock.aurora.password import SECRETS
from penstock.aws.rds import Cluster, MasterSecret
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.queue import Priority

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-1"
MANAGED = Cluster(NAME, master_username="postgres", master_secret=MasterSecret(ARN, "active"))
PLAIN = Cluster(NAME, master_username="boss")


class SecretsManager:
    """One secret, as RDS keeps it."""

    def __init__(self) -> None:
        self.version, self.content = "v1", json.dumps({"username": "postgres", "password": "first-one"})
        self.asked: list[str] = []
        self.trouble: Trouble | None = None

    async def call(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        region: str = "",
        priority: Priority = Priority.NORMAL,
    ) -> dict[str, Any]:
        assert (service, dict(parameters or {})) == ("secretsmanager", {"SecretId": ARN})
        self.asked.append(operation)
        if self.trouble is not None:
            raise self.trouble
        if operation == "DescribeSecret":
            return {"VersionIdsToStages": {"v0": ["AWSPREVIOUS"], self.version: ["AWSCURRENT"]}}
        return {"SecretString": self.content, "VersionId": self.version}

    def rotate(self) -> None:
        self.version, self.content = "v2", json.dumps({"username": "postgres", "password": "second-one"})


def reader(manager: SecretsManager, kube: FakeKube | None = None) -> CredentialReader:
    return CredentialReader(manager, kube)  # type: ignore[arg-type]


@virtual
async def test_the_password_is_read_once_and_then_its_version_alone() -> None:
    manager = SecretsManager()
    reads, desired = reader(manager), Operator().desired
    for _ in range(30):
        found = await reads.read(desired, MANAGED)
        assert (found.username, found.password, found.version) == ("postgres", "first-one", "v1")
        await asyncio.sleep(10)
    assert manager.asked[0] == "GetSecretValue"
    assert set(manager.asked[1:]) == {"DescribeSecret"}
    assert len(manager.asked) - 1 <= 300 / CHECKED
    assert "first-one" not in repr(found) + found.source


@virtual
async def test_a_rotation_is_seen_within_a_minute_and_at_once_by_whoever_failed_to_log_in() -> None:
    manager = SecretsManager()
    reads, desired = reader(manager), Operator().desired
    old = await reads.read(desired, MANAGED)
    manager.rotate()
    await asyncio.sleep(CHECKED - 1)
    assert await reads.read(desired, MANAGED) == old
    await asyncio.sleep(1)
    assert (await reads.read(desired, MANAGED)).password == "second-one"

    manager = SecretsManager()
    reads = reader(manager)
    old = await reads.read(desired, MANAGED)
    manager.rotate()
    await asyncio.sleep(5)
    reads.doubt(old)
    assert (await reads.read(desired, MANAGED)).password == "second-one"
    # A password that is wrong for good is not asked for with every connection.
    for _ in range(50):
        reads.doubt(await reads.read(desired, MANAGED))
        await asyncio.sleep(0.1)
    assert len(manager.asked) <= 5


@virtual
async def test_those_who_come_together_share_one_read() -> None:
    manager = SecretsManager()
    reads, desired = reader(manager), Operator().desired
    found = await asyncio.gather(*(reads.read(desired, MANAGED) for _ in range(20)))
    assert len(set(found)) == 1
    assert manager.asked == ["GetSecretValue"]


@virtual
async def test_the_secret_of_kubernetes_with_the_name_of_the_user_as_aws_has_it() -> None:
    kube = FakeKube()
    desired = Operator(spec(credentials={"passwordSecretRef": {"name": "master"}})).desired
    reads = reader(SecretsManager(), kube)
    with pytest.raises(Trouble, match="Secret master does not exist") as missing:
        await reads.read(desired, PLAIN)
    assert (missing.value.reason, missing.value.meaning) == (Reason.WAITING_FOR_SECRET, Meaning.MISSING)
    body = {"metadata": {"name": "master"}, "data": {"password": "Q29ycmVjdC1Ib3JzZQ=="}}
    kube.cluster.create(SECRETS, "shop", body)
    found = await reads.read(desired, PLAIN)
    assert (found.username, found.password) == ("boss", "Correct-Horse")
    with pytest.raises(Trouble) as alone:
        await reader(SecretsManager()).read(desired, PLAIN)
    assert alone.value.reason == Reason.WAITING_FOR_SECRET


@virtual
async def test_a_password_that_nobody_told_and_a_secret_that_says_something_else() -> None:
    manager = SecretsManager()
    reads, desired = reader(manager), Operator().desired
    with pytest.raises(Trouble, match=r"credentials\.managed: true") as unknown:
        await reads.read(desired, PLAIN)
    assert unknown.value.reason == Reason.PASSWORD_UNKNOWN
    manager.content = "plain-password"
    with pytest.raises(Trouble, match="does not hold JSON") as odd:
        await reads.read(desired, MANAGED)
    assert odd.value.reason == Reason.SECRET_INVALID
    assert odd.value.__cause__ is None
    assert "plain-password" not in str(odd.value)
    manager.trouble = Trouble(Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "gone", code="ResourceNotFoundException")
    with pytest.raises(Trouble, match="is not in Secrets Manager") as gone:
        await reads.read(desired, MANAGED)
    assert gone.value.reason == Reason.PASSWORD_UNKNOWN
