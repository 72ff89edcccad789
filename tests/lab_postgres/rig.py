"""Clusters of the lab's Aurora as a user has them: by boto3 and psycopg, through the endpoints that RDS tells."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
import psycopg
from botocore.config import Config

from penstock_lab.aws.client import LabAWS
from penstock_lab.postgres import ledger

T = TypeVar("T")
QUICK = {
    "rds_cluster_create_s": 0.1,
    "rds_cluster_modify_s": 0.1,
    "rds_cluster_delete_s": 0.1,
    "rds_restore_s": 0.1,
    "rds_clone_s": 0.1,
    "rds_backup_s": 0.1,
    "rds_failover_s": 0.1,
    "rds_recovery_s": 0.1,
    "rds_stop_s": 0.1,
    "rds_start_s": 0.1,
    "rds_password_s": 0.1,
    "rds_secret_s": 0.1,
    "rds_instance_create_s": 0.1,
    "rds_instance_modify_s": 0.1,
    "rds_instance_delete_s": 0.1,
    "rds_reboot_s": 0.1,
    "rds_detect_s": 1.0,
    "rds_dns_s": 0.0,
    "rds_archive_s": 2.0,
}
PASSWORD = "Correct-Horse-7"


def wait_for(check: Callable[[], T], timeout: float = 60, pause: float = 0.1) -> T:
    """Until ``check`` gives something true, and that; what it raises of psycopg or asserts means not yet."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            last: Any = check()
            if last:
                return last
        except (AssertionError, psycopg.Error) as error:
            last = error
        assert time.monotonic() < deadline, f"not so within {timeout:g} s; at last: {last!r}"
        time.sleep(pause)


class Rig:
    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.control = LabAWS(url)
        self.rds = self.client("rds")
        self._made: list[str] = []

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"max_attempts": 0}),
        )

    def lab(self, action: str, **body: Any) -> Any:
        """What a POST to /lab/postgres/… answers."""
        request = urllib.request.Request(
            f"{self.url}/lab/postgres/{action}", data=json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def cluster(self, readers: int = 0, tiers: list[int] | None = None, **options: Any) -> Aurora:
        name = f"c{uuid.uuid4().hex[:8]}"
        self._made.append(name)
        made = Aurora(self, name)
        login = {} if "ManageMasterUserPassword" in options else {"MasterUserPassword": PASSWORD}
        self.rds.create_db_cluster(
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            MasterUsername="boss",
            DatabaseName="shop",
            **(login | options),
        )
        for number in range(readers + 1):
            made.add(number, tiers[number] if tiers else 1)
        made.wait()
        return made

    def adopt(self, name: str) -> Aurora:
        """A cluster that a test made itself; it is deleted in the end."""
        self._made.append(name)
        return Aurora(self, name)

    def clear(self) -> None:
        for name in self._made:
            with contextlib.suppress(Exception):
                Aurora(self, name).delete()


class Aurora:
    """One cluster."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.rig = rig
        self.name = name

    def add(self, number: int, tier: int = 1) -> str:
        instance = f"{self.name}-{number}"
        self.rig.rds.create_db_instance(
            DBInstanceIdentifier=instance,
            DBClusterIdentifier=self.name,
            Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large",
            PromotionTier=tier,
        )
        return instance

    @property
    def facts(self) -> dict[str, Any]:
        return self.rig.rds.describe_db_clusters(DBClusterIdentifier=self.name)["DBClusters"][0]

    @property
    def instances(self) -> list[dict[str, Any]]:
        wanted = [{"Name": "db-cluster-id", "Values": [self.name]}]
        return self.rig.rds.describe_db_instances(Filters=wanted)["DBInstances"]

    @property
    def writer(self) -> str | None:
        members = self.facts["DBClusterMembers"]
        return next((one["DBInstanceIdentifier"] for one in members if one["IsClusterWriter"]), None)

    def events(self) -> list[str]:
        """The messages of the cluster's events of category failover of the last hour, oldest first."""
        found = self.rig.rds.describe_events(
            SourceType="db-cluster", SourceIdentifier=self.name, EventCategories=["failover"]
        )
        return [event["Message"] for event in found["Events"]]

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        return {one["instance"]: one for one in self.rig.lab("nodes", cluster=self.name)["nodes"]}

    @property
    def protected(self) -> bool:
        return self.rig.lab("nodes", cluster=self.name)["protected"]

    def wait(self, timeout: float = 90) -> None:
        """Until the cluster and all its instances are available and their nodes serve."""

        def calm() -> bool:
            assert self.facts["Status"] == "available"
            assert all(one["DBInstanceStatus"] == "available" for one in self.instances)
            nodes = self.nodes
            assert all(one["joined"] and one["answers"] for one in nodes.values()), nodes
            assert len(nodes) < 2 or self.protected
            return True

        wait_for(calm, timeout)

    def login(self, role: str = "writer", password: str = PASSWORD) -> dict[str, Any]:
        """Of the writer's endpoint, the ``reader``'s, or that of an instance by its name."""
        facts = self.facts
        host, port = facts["Endpoint" if role != "reader" else "ReaderEndpoint"], facts["Port"]
        if role not in ("writer", "reader"):
            address = next(one["Endpoint"] for one in self.instances if one["DBInstanceIdentifier"] == role)
            host, port = address["Address"], address["Port"]
        return {
            "host": host,
            "port": port,
            "user": "boss",
            "password": password,
            "dbname": "shop",
            "sslmode": "verify-full",
            "sslrootcert": str(self.rig.folder / "pki" / "ca.crt"),
        }

    def connect(self, role: str = "writer", password: str = PASSWORD, **options: Any) -> psycopg.Connection[Any]:
        """By the same names."""
        return psycopg.connect(**(self.login(role, password) | {"connect_timeout": 3, "autocommit": True} | options))

    def ask(self, query: str, role: str = "writer", **options: Any) -> Any:
        with self.connect(role, **options) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else None

    def delete(self) -> None:
        """Begins the deletion of everything, readers first, and waits for none of it but the last instance's."""
        rds = self.rig.rds
        writer = self.writer
        names = [one["DBInstanceIdentifier"] for one in self.instances]
        for name in sorted(names, key=lambda name: name == writer):
            wait_for(lambda name=name: self._deletes(name), 60)
        rds.delete_db_cluster(DBClusterIdentifier=self.name, SkipFinalSnapshot=True)

    def _deletes(self, instance: str) -> bool:
        try:
            self.rig.rds.delete_db_instance(DBInstanceIdentifier=instance)
        except self.rig.rds.exceptions.DBInstanceNotFoundFault:
            return True
        except self.rig.rds.exceptions.ClientError:
            return False
        return True


class Ledger(ledger.Ledger):
    """The ledger of a cluster's master user, at its writer endpoint."""

    def __init__(self, aurora: Aurora, table: str = "ledger") -> None:
        super().__init__(aurora.login(), table)
        self.aurora = aurora
