"""An unextended moto server, which forgets half of what it is told: tables become Ready and go, and nothing runs hot."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from declared import Declared, adoptable_by, client, index
from test_dynamo_life import EXAMPLE

from penstock_lab import processes
from penstock_lab.deployment import OperatorProcess
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a moto server of our own."""
    port = processes.free_port()
    log = (tmp_path_factory.mktemp("moto") / "moto.log").open("w")
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            urllib.request.urlopen(f"{url}/moto-api/", timeout=1).close()
        except OSError:
            return False
        return True

    assert processes.wait_until(answers, 60)
    yield url
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="module")
def operator(lab: Lab, moto: str) -> Iterator[OperatorProcess]:
    with lab.run_operator({"AWS_ENDPOINT_URL": moto}) as running:
        running.wait_ready()
        yield running
        assert running.running
        assert "Traceback" not in running.logs()


def calls(operator: OperatorProcess) -> int:
    """How many AWS calls the operator has made, by its own metrics."""
    with urllib.request.urlopen(f"{operator.url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return int(sum(float(value) for value in re.findall(r"^penstock_aws_calls_total\{[^}]*\} (\S+)$", text, re.M)))


def exists(moto: str, table: Declared) -> bool:
    return table.table in client(moto, "dynamodb").list_tables()["TableNames"]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {**EXAMPLE, "encryption": {}, "deletionProtection": False},
        {
            "capacity": {"mode": "Provisioned", "read": {"min": 2, "max": 9}, "write": {"units": 2}},
            "globalIndexes": [index("one", capacity={"read": {"units": 2}, "write": {"units": 2}})],
            "ttl": {"attribute": "until"},
            "stream": {"view": "NewImage"},
            "tags": {"a": "b"},
        },
    ],
    ids=["smallest", "example", "provisioned"],
)
def test_a_table_becomes_ready_and_is_deleted(
    lab: Lab, namespace: str, moto: str, operator: OperatorProcess, spec: dict[str, object]
) -> None:
    table = Declared(lab, namespace, {**spec, "deletionPolicy": "Delete"})
    table.wait("Ready", timeout=60)
    assert exists(moto, table)
    before = calls(operator)
    time.sleep(8)
    assert calls(operator) - before <= 40, "no more than a few calls a second for what moto does not show"
    table.edit(tags={"team": "till"})
    table.until(lambda: table.object["metadata"]["generation"] == table.status.get("observedGeneration"))
    table.delete().gone(60)
    assert not exists(moto, table)


def test_a_final_backup_and_a_restore(lab: Lab, namespace: str, moto: str, operator: OperatorProcess) -> None:
    first = Declared(lab, namespace, {"deletionPolicy": "Snapshot"})
    first.wait("Ready", timeout=60)
    dynamodb = client(moto, "dynamodb")
    dynamodb.put_item(TableName=first.table, Item={"id": {"S": "kept"}})
    first.delete().gone(60)
    (backup,) = dynamodb.list_backups(TableName=first.table)["BackupSummaries"]
    second = Declared(lab, namespace, {"restoreFrom": {"backupArn": backup["BackupArn"]}}, name="second")
    second.wait("Ready", timeout=60)
    assert dynamodb.scan(TableName=second.table)["Count"] == 1
    second.delete().gone(60)


def test_a_name_that_is_taken(lab: Lab, namespace: str, moto: str, operator: OperatorProcess) -> None:
    table = Declared(lab, namespace, apply=False)
    client(moto, "dynamodb").create_table(
        TableName=table.table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=adoptable_by(namespace),
    )
    table.apply().wait("Ready", "False", reason="AlreadyExists")
    table.edit(adopt=True).wait("Ready", timeout=60)
