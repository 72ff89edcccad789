"""Master secrets, as a client of Secrets Manager sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import moto
import pytest
from botocore.exceptions import ClientError
from moto.core import DEFAULT_ACCOUNT_ID

from penstock_lab.aws.rds.secrets import MasterSecrets

REGION = "us-east-1"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "lab")
    with moto.mock_aws():
        yield boto3.client("secretsmanager", region_name=REGION)


@pytest.fixture
def secrets(client: Any) -> MasterSecrets:
    return MasterSecrets(DEFAULT_ACCOUNT_ID, REGION)


def value(client: Any, arn: str, **which: str) -> dict[str, str]:
    return json.loads(client.get_secret_value(SecretId=arn, **which)["SecretString"])


def test_a_secret_holds_user_and_password_and_says_whose_it_is(client: Any, secrets: MasterSecrets) -> None:
    arn = secrets.create("ledger", "cluster-ABC", "postgres", "first-password", None)
    assert value(client, arn) == {"username": "postgres", "password": "first-password"}
    shown = client.describe_secret(SecretId=arn)
    assert shown["Name"].startswith("rds!cluster-")
    assert {t["Key"]: t["Value"] for t in shown["Tags"]} == {
        "aws:rds:primaryDBClusterArn": f"arn:aws:rds:{REGION}:{DEFAULT_ACCOUNT_ID}:cluster:ledger",
        "aws:secretsmanager:owningService": "rds",
    }
    assert shown["OwningService"] == "rds"
    assert shown["RotationEnabled"]
    assert secrets.create("ledger", "cluster-ABC", "postgres", "another", None) == arn
    assert secrets.create("ledger", "cluster-DEF", "postgres", "another", "arn:aws:kms:::key/1") != arn


def test_rotation_keeps_the_password_before(client: Any, secrets: MasterSecrets) -> None:
    arn = secrets.create("ledger", "cluster-ABC", "postgres", "first-password", None)
    for word, before in (("second-password", "first-password"), ("third-password", "second-password")):
        secrets.rotate(arn, word)
        assert secrets.password(arn) == word
        assert value(client, arn) == {"username": "postgres", "password": word}
        assert value(client, arn, VersionStage="AWSCURRENT")["password"] == word
        assert value(client, arn, VersionStage="AWSPREVIOUS")["password"] == before
    stages = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
    assert sorted(map(tuple, stages.values())) == [("AWSCURRENT",), ("AWSPREVIOUS",)]


def test_users_may_not_write_or_delete_it(client: Any, secrets: MasterSecrets) -> None:
    arn = secrets.create("ledger", "cluster-ABC", "postgres", "first-password", None)
    for call in (
        lambda: client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True),
        lambda: client.put_secret_value(SecretId=arn, SecretString="{}"),
        lambda: client.update_secret(SecretId=arn, SecretString="{}"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "InvalidRequestException"
    assert secrets.password(arn) == "first-password"
    own = client.create_secret(Name="own", SecretString="x")["ARN"]
    client.put_secret_value(SecretId=own, SecretString="y")
    client.delete_secret(SecretId="own", ForceDeleteWithoutRecovery=True)


def test_deleting(client: Any, secrets: MasterSecrets) -> None:
    arn = secrets.create("ledger", "cluster-ABC", "postgres", "first-password", None)
    secrets.delete(arn)
    secrets.delete(arn)
    with pytest.raises(KeyError):
        secrets.password(arn)
    with pytest.raises(ClientError):
        client.get_secret_value(SecretId=arn)
