"""The floor of bench/converge: a plain boto3 script with 16 threads that makes the same tables by the same writes, and nothing else.

    python bench/floor.py --endpoint URL --prefix NAME --count N

Prints one JSON object: seconds, CPU seconds, and how many calls of each operation it made.
"""

from __future__ import annotations

import argparse
import collections
import json
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

THREADS = 16


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--endpoint", required=True)
    options.add_argument("--prefix", required=True)
    options.add_argument("--count", type=int, required=True)
    options.add_argument("--delete", action="store_true", help="delete the tables instead, unmeasured")
    told = options.parse_args()
    client = boto3.client(
        "dynamodb",
        endpoint_url=told.endpoint,
        region_name="us-east-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
        config=Config(max_pool_connections=THREADS),
    )
    counts: collections.Counter[str] = collections.Counter()
    lock = threading.Lock()

    def call(operation: str, **parameters: object) -> dict:
        while True:
            with lock:
                counts[operation] += 1
            try:
                return getattr(client, operation)(**parameters)
            except client.exceptions.LimitExceededException:
                # DynamoDB allows 500 tables in transition at once.
                time.sleep(0.5)

    def delete(name: str) -> None:
        call("delete_table", TableName=name)

    def create(name: str) -> float:
        call(
            "create_table",
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "N"},
                {"AttributeName": "status", "AttributeType": "S"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-status",
                    "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            Tags=[{"Key": "team", "Value": "bench"}],
        )
        return time.monotonic()

    def finish(name: str, made: float) -> None:
        # No thread waits for one table while another could be made: the floor is bound by its calls, not by AWS's lifecycle.
        time.sleep(max(0.0, made + 1.0 - time.monotonic()))
        while call("describe_table", TableName=name)["Table"]["TableStatus"] != "ACTIVE":
            time.sleep(0.5)
        call("update_time_to_live", TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "exp"})
        call(
            "update_continuous_backups",
            TableName=name,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        )

    names = [f"{told.prefix}{number:05d}" for number in range(told.count)]
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        if told.delete:
            list(pool.map(delete, names))
        else:
            made = list(pool.map(create, names))
            list(pool.map(finish, names, made))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": round(time.monotonic() - began, 2),
                "cpuSeconds": round(usage.ru_utime + usage.ru_stime, 2),
                "calls": dict(sorted(counts.items())),
            }
        )
    )


if __name__ == "__main__":
    main()
