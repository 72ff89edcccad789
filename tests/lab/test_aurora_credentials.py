"""The master password: kept by AWS, or in a Secret that is watched by its content; and what is told while the Secret is wrong."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
from declared import operator_logs, unharmed
from declared_cluster import DeclaredCluster
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

REFERENCE = {"credentials": {"passwordSecretRef": {"name": "master", "key": "password"}}}


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def in_force(cluster: DeclaredCluster) -> str:
    return cluster.lab.aws.rds_password(cluster.cluster)


def new_password() -> str:
    return secrets.token_urlsafe(18)


@scenario
def test_aws_keeps_the_password_and_may_rotate_it(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace).settled()
    arn = cluster.status["credentials"]["secretArn"]
    manager = lab.boto("secretsmanager")

    def kept() -> dict[str, str]:
        found: dict[str, str] = json.loads(manager.get_secret_value(SecretId=arn)["SecretString"])
        return found

    assert kept() == {"username": "postgres", "password": in_force(cluster)}
    before, written = kept()["password"], cluster.writes()
    cluster.by_hand(RotateMasterUserPassword=True, ApplyImmediately=True)
    cluster.until(lambda: kept()["password"] != before, "AWS rotates it")
    cluster.until(lambda: cluster.aws["Status"] == "available")
    cluster.look().settled()
    assert cluster.status["credentials"] == {"secretArn": arn, "masterUsername": "postgres"}
    assert cluster.writes() == [*written, "ModifyDBCluster"], "whoever rotated it wrote, and nobody else"


@scenario
def test_another_content_of_the_secret_is_a_rotation_and_nothing_else_is(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, REFERENCE, apply=False)
    first, second = new_password(), new_password()
    cluster.secret("master", password=first, other="1")
    cluster.apply().settled()
    assert in_force(cluster) == first
    assert "MasterUserSecret" not in cluster.aws
    version = cluster.status["credentials"]["secretVersion"]
    written = cluster.writes()
    # The same password in another version of the Secret.
    cluster.secret("master", password=first, other="2")
    cluster.until(lambda: cluster.status["credentials"]["secretVersion"] != version, "the new version is known")
    assert cluster.writes() == written
    assert not cluster.told("PasswordChanged")
    cluster.secret("master", password=second, other="2")
    cluster.until(lambda: in_force(cluster) == second, "the new password is in force")
    cluster.until(lambda: cluster.told("PasswordChanged"), "it is told")
    cluster.settled()
    assert cluster.told("PasswordChanged") == ["The master password is now that of Secret master."]
    assert cluster.writes() == [*written, "ModifyDBCluster"]
    # Neither password is anywhere but in the Secret.
    seen = json.dumps(cluster.object) + json.dumps(cluster.events)
    seen += "".join(log.read_text(errors="replace") for log in operator_logs(lab))
    assert first not in seen
    assert second not in seen


@scenario
def test_a_secret_that_is_missing_is_waited_for(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, REFERENCE)
    told = cluster.wait("Ready", "False", reason="WaitingForSecret")
    assert told["message"] == (
        f"Secret master does not exist in namespace {namespace}: create it with the master password under key password, "
        f"for example with `kubectl -n {namespace} create secret generic master --from-literal=password=…`."
    )
    assert "CreateDBCluster" not in cluster.writes(only_done=False)
    assert cluster.steps, "what will be done is on the status meanwhile"
    password = new_password()
    cluster.secret("master", password=password)
    cluster.settled()
    assert in_force(cluster) == password


@scenario
def test_a_secret_that_aws_would_refuse_is_told_until_it_is_mended(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, REFERENCE, apply=False)
    wrong = {
        "has no key password: add it": {"pasword": "long-enough"},
        "has a length that AWS refuses": {"password": "short"},
        "write a password of 8 to 41 characters": {"password": "x" * 42},
        'AWS takes printable ASCII characters except "/"': {"password": "with/a/slash"},
        "ends with a line break": {"password": "long-enough\n"},
        "AWS takes printable ASCII characters alone": {"password": "pässwörter"},
    }
    cluster.secret("master", password="")
    cluster.apply().wait("Ready", "False", reason="SecretInvalid", words="key password is empty")
    for words, data in wrong.items():
        lab.kubectl("delete", "secret", "master", "-n", namespace)
        cluster.secret("master", **data)
        told = cluster.annotate("reconcile-at", words.split()[1] + str(len(words))).wait("Ready", "False", words=words)
        assert told["reason"] == "SecretInvalid"
        assert cluster.condition("Stalled")["status"] == "True"
    assert "CreateDBCluster" not in cluster.writes(only_done=False)
    password = new_password()
    cluster.secret("master", password=password)
    cluster.settled()
    assert in_force(cluster) == password
    # Once it runs, a wrong Secret keeps nothing else from being done, and mended it is a rotation.
    lab.kubectl("delete", "secret", "master", "-n", namespace)
    cluster.edit(backup={"retentionDays": 5})
    cluster.wait("Synced", "False", reason="WaitingForSecret", words="Secret master does not exist")
    cluster.until(lambda: cluster.aws["BackupRetentionPeriod"] == 5, "the rest is done")
    assert cluster.condition()["status"] == "True"
    cluster.secret("master", password=new_password())
    cluster.settled()
    assert in_force(cluster) != password


@scenario
def test_from_a_secret_to_aws_and_back(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, REFERENCE, apply=False)
    password = new_password()
    cluster.secret("master", password=password)
    cluster.apply().settled()
    cluster.edit(credentials={"managed": True}).settled()
    assert cluster.aws["MasterUserSecret"]["SecretArn"] == cluster.status["credentials"]["secretArn"]
    assert in_force(cluster) != password
    cluster.edit(**REFERENCE).settled()
    assert in_force(cluster) == password
    assert "MasterUserSecret" not in cluster.aws
    assert "secretArn" not in cluster.status["credentials"]
