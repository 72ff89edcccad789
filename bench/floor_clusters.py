"""The floor of bench/clusters: a plain boto3 script that makes the same clusters by the same writes, and nothing else.

    python bench/floor_clusters.py --endpoint URL < shapes.json

shapes.json: {"cluster": readers, …}. It sends at most six requests a second, as the operator does, and asks for all clusters at once. Then it deletes
everything, unmeasured. Prints one JSON object: seconds, and how many calls of each operation it made.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import boto3

RATE, BURST = 5.5, 30
TAGS = [{"Key": "team", "Value": "bench"}]


class Pace:
    """A token bucket, as AWS meters an account."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens, self._at = float(BURST), time.monotonic()

    def take(self) -> None:
        with self._lock:
            now = time.monotonic()
            self._tokens = min(BURST, self._tokens + (now - self._at) * RATE) - 1
            self._at = now
            wait = max(0.0, -self._tokens / RATE)
        time.sleep(wait)


class Account:
    """RDS by boto3, paced and counted."""

    def __init__(self, endpoint: str) -> None:
        self.rds = boto3.client(
            "rds",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="bench",
            aws_secret_access_key="bench",
        )
        self.counts: collections.Counter[str] = collections.Counter()
        self._pace = Pace()

    def __call__(self, operation: str, **parameters: object) -> dict:
        self._pace.take()
        self.counts[operation] += 1
        return getattr(self.rds, operation)(**parameters)

    def every(self, operation: str, key: str) -> list[dict]:
        found: list[dict] = []
        more: dict[str, str] = {}
        while True:
            answer = self(operation, **more)
            found += answer[key]
            if not answer.get("Marker"):
                return found
            more = {"Marker": answer["Marker"]}


def make(account: Account, name: str) -> None:
    account(
        "create_db_subnet_group",
        DBSubnetGroupName=name,
        DBSubnetGroupDescription="bench",
        SubnetIds=["subnet-a", "subnet-b", "subnet-c"],
        Tags=TAGS,
    )
    # TLS is required of every cluster, and Aurora's default for this version does not ask for it.
    group = {"DBClusterParameterGroupName": name}
    account(
        "create_db_cluster_parameter_group",
        **group,
        DBParameterGroupFamily="aurora-postgresql15",
        Description="bench",
        Tags=TAGS,
    )
    parameter = {"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}
    account("modify_db_cluster_parameter_group", **group, Parameters=[parameter])
    account(
        "create_db_cluster",
        **group,
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        EngineVersion="15.10",
        MasterUsername="postgres",
        ManageMasterUserPassword=True,
        DBSubnetGroupName=name,
        VpcSecurityGroupIds=["sg-lab"],
        BackupRetentionPeriod=7,
        StorageEncrypted=True,
        Tags=TAGS,
    )


def fill(account: Account, name: str, readers: int) -> None:
    for number in range(readers + 1):
        account(
            "create_db_instance",
            DBInstanceIdentifier=f"{name}-{number + 1}",
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            DBInstanceClass="db.t4g.medium",
            Tags=TAGS,
        )


def converge(account: Account, shapes: dict[str, int]) -> float:
    """Make everything; seconds until all instances are available."""
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(make, account, name) for name in shapes]
        filled: set[str] = set()
        while len(filled) < len(shapes):
            time.sleep(1)
            for cluster in account.every("describe_db_clusters", "DBClusters"):
                name = cluster["DBClusterIdentifier"]
                if name in shapes and name not in filled and cluster["Status"] == "available":
                    filled.add(name)
                    jobs.append(pool.submit(fill, account, name, shapes[name]))
        for job in jobs:
            job.result()
    count = sum(shapes.values()) + len(shapes)
    while True:
        found = [i for i in account.every("describe_db_instances", "DBInstances") if i["DBClusterIdentifier"] in shapes]
        if len(found) == count and all(i["DBInstanceStatus"] == "available" for i in found):
            return time.monotonic() - began
        time.sleep(1)


def remove(account: Account, shapes: dict[str, int]) -> None:
    rds = account.rds
    for name, readers in shapes.items():
        for number in range(readers + 1, 0, -1):
            # The writer, which is the first, goes last: a cluster that fails over takes no other deletion.
            rds.delete_db_instance(DBInstanceIdentifier=f"{name}-{number}")
    while any(i["DBClusterIdentifier"] in shapes for i in rds.describe_db_instances()["DBInstances"]):
        time.sleep(1)
    for name in shapes:
        rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    while any(c["DBClusterIdentifier"] in shapes for c in rds.describe_db_clusters()["DBClusters"]):
        time.sleep(1)
    for name in shapes:
        rds.delete_db_subnet_group(DBSubnetGroupName=name)
        rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName=name)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--endpoint", required=True)
    account = Account(options.parse_args().endpoint)
    shapes: dict[str, int] = json.load(sys.stdin)
    seconds = converge(account, shapes)
    measured = dict(account.counts)
    remove(account, shapes)
    print(json.dumps({"seconds": round(seconds, 2), "calls": measured}))


if __name__ == "__main__":
    main()
