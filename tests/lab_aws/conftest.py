"""The endpoint as a process of its own, its clock and its faults, and clients whose every answer is checked."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from penstock_lab.aws.client import LabAWS, LabAWSError

from .answers import problems

QUICK = {
    "table_create_s": 10.0,
    "table_update_s": 10.0,
    "table_delete_s": 10.0,
    "index_allocate_s": 10.0,
    "index_create_s": 40.0,
    "index_delete_s": 10.0,
    "rds_cluster_create_s": 10.0,
    "rds_cluster_modify_s": 10.0,
    "rds_cluster_delete_s": 10.0,
    "rds_upgrade_s": 10.0,
    "rds_restore_s": 10.0,
    "rds_clone_s": 10.0,
    "rds_backup_s": 10.0,
    "rds_failover_s": 10.0,
    "rds_recovery_s": 10.0,
    "rds_stop_s": 10.0,
    "rds_start_s": 10.0,
    "rds_password_s": 10.0,
    "rds_secret_s": 10.0,
    "rds_instance_create_s": 10.0,
    "rds_instance_modify_s": 10.0,
    "rds_instance_class_s": 10.0,
    "rds_instance_delete_s": 10.0,
    "rds_reboot_s": 10.0,
    "rds_configure_s": 10.0,
    "rds_parameters_s": 10.0,
}
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock_lab.aws", "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
        assert process.poll() is None, "the endpoint ended during the tests"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


@pytest.fixture(scope="session")
def baseline(endpoint: str) -> dict[str, Any]:
    return LabAWS(endpoint).settings()


@pytest.fixture
def lab(endpoint: str, baseline: dict[str, Any]) -> Iterator[LabAWS]:
    """Everything takes ten seconds of a clock that the test moves itself."""
    control = LabAWS(endpoint)
    control.settings(**QUICK)
    control.reset_calls()
    yield control
    control.clear_faults()
    control.clock(speed=1)
    control.settings(**baseline)


class Answers:
    """What was wrong with the answers of a test."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.operations: set[str] = set()

    def check(self, model: Any, http_response: Any, **_: Any) -> None:
        self.operations.add(f"{model.service_model.service_name}.{model.name}")
        self.problems += problems(model, http_response.status_code, http_response.headers, http_response.content)


@pytest.fixture
def client(endpoint: str, lab: LabAWS) -> Iterator[Callable[..., Any]]:
    """Makes clients that never retry and whose answers are held against the service's model."""
    answers = Answers()

    def make(service: str = "dynamodb", *, retries: int = 1, **kwargs: Any) -> Any:
        made = boto3.client(
            service,
            endpoint_url=endpoint,
            region_name=kwargs.pop("region_name", "us-east-1"),
            aws_access_key_id=kwargs.pop("key", "AKIALAB"),
            aws_secret_access_key="lab",
            config=Config(
                retries={"total_max_attempts": retries, "mode": "standard"},
                parameter_validation=kwargs.pop("validate", True),
                read_timeout=20,
                max_pool_connections=32,
            ),
            **kwargs,
        )
        made.meta.events.register("after-call.*.*", answers.check)
        return made

    yield make
    assert not answers.problems, "\n".join(dict.fromkeys(answers.problems))


@pytest.fixture
def ddb(client: Callable[..., Any]) -> Any:
    return client()


@pytest.fixture
def name() -> str:
    return f"table-{next(_numbers)}"


def schema(**extra: Any) -> dict[str, Any]:
    """The arguments of an on-demand table with a partition key."""
    return {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    } | extra


@pytest.fixture
def make(ddb: Any, lab: LabAWS) -> Iterator[Callable[..., str]]:
    """Makes an ACTIVE table; it is gone after the test."""
    made: list[str] = []

    def create(table: str | None = None, **extra: Any) -> str:
        table = table or f"table-{next(_numbers)}"
        ddb.create_table(TableName=table, **schema(**extra))
        made.append(table)
        lab.clock(advance=11)
        assert ddb.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE"
        return table

    yield create
    lab.clear_faults()
    lab.settings(rate_limits={})
    lab.clock(advance=4000)
    for table in made:
        try:
            ddb.update_table(TableName=table, DeletionProtectionEnabled=False)
            ddb.delete_table(TableName=table)
        except ddb.exceptions.ResourceNotFoundException:
            continue
    lab.clock(advance=11)


@pytest.fixture
def rds(client: Callable[..., Any]) -> Any:
    return client("rds")


@pytest.fixture
def cluster(rds: Any, lab: LabAWS) -> Iterator[Callable[..., str]]:
    """Makes an available Aurora cluster with ``instances`` (``NAME-1`` is the writer); it is gone after the test."""
    made: list[str] = []
    group = "lab-net"

    def create(name: str | None = None, *, instances: int = 1, db_class: str = "db.r6g.large", **extra: Any) -> str:
        name = name or f"cluster-{next(_numbers)}"
        with contextlib.suppress(rds.exceptions.DBSubnetGroupAlreadyExistsFault):
            rds.create_db_subnet_group(
                DBSubnetGroupName=group, DBSubnetGroupDescription="x", SubnetIds=["subnet-a", "subnet-b", "subnet-c"]
            )
        rds.create_db_cluster(**aurora(name, **extra))
        made.append(name)
        for number in range(1, instances + 1):
            rds.create_db_instance(**member(name, number, DBInstanceClass=db_class))
        lab.clock(advance=35)
        assert rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["Status"] == "available"
        return name

    create.made = made  # type: ignore[attr-defined]
    yield create
    lab.clear_faults()
    lab.settings(rate_limits={}, rds_requests_per_s=0)
    lab.clock(advance=35)
    for name in made:
        _remove(lab, name)
    lab.clock(advance=60)


def _remove(lab: LabAWS, name: str) -> None:
    try:
        shown = lab.rds_call("DescribeDBClusters", DBClusterIdentifier=name)["DBClusters"][0]
    except LabAWSError:
        return
    if shown["Status"] == "stopped":
        lab.rds_call("StartDBCluster", DBClusterIdentifier=name)
        lab.clock(advance=11)
    if shown["DeletionProtection"]:
        lab.rds_call("ModifyDBCluster", DBClusterIdentifier=name, DeletionProtection=False)
    for one in shown["DBClusterMembers"]:
        with contextlib.suppress(LabAWSError):
            lab.rds_call("DeleteDBInstance", DBInstanceIdentifier=one["DBInstanceIdentifier"])
    lab.clock(advance=35)
    with contextlib.suppress(LabAWSError):
        lab.rds_call("DeleteDBCluster", DBClusterIdentifier=name, SkipFinalSnapshot=True)


def aurora(name: str, **extra: Any) -> dict[str, Any]:
    """The arguments of a cluster."""
    given = {
        "DBClusterIdentifier": name,
        "Engine": "aurora-postgresql",
        "EngineVersion": "15.10",
        "MasterUsername": "postgres",
        "MasterUserPassword": "correct-horse",
        "DBSubnetGroupName": "lab-net",
        "VpcSecurityGroupIds": ["sg-lab"],
        "StorageEncrypted": True,
        "PreferredBackupWindow": "03:00-03:30",
        "PreferredMaintenanceWindow": "sun:05:00-sun:06:00",
    } | extra
    return {key: value for key, value in given.items() if value is not None}


def member(cluster: str, number: int, **extra: Any) -> dict[str, Any]:
    """The arguments of an instance ``CLUSTER-NUMBER``."""
    return {
        "DBInstanceIdentifier": f"{cluster}-{number}",
        "DBClusterIdentifier": cluster,
        "DBInstanceClass": "db.r6g.large",
        "Engine": "aurora-postgresql",
        "PreferredMaintenanceWindow": "sun:05:00-sun:06:00",
    } | extra


@pytest.fixture
def refused() -> Callable[..., str]:
    """Calls what must be refused with ``code``; gives the sentence."""
    from botocore.exceptions import ClientError

    def call(code: str, function: Any, **arguments: Any) -> str:
        with pytest.raises(ClientError) as caught:
            function(**arguments)
        error = caught.value.response["Error"]
        assert error["Code"] == code, error
        return str(error["Message"])

    return call
