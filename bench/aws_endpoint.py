"""What a request costs the lab's AWS endpoint: CPU of its process and requests a second, by operation.

    python bench/aws_endpoint.py [--tables 1000] [--connections 16]

Requests are made by hand over kept-open connections, so that the client's own work stays small. CPU is that of the
endpoint's process (user and system) over the requests of one operation.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/t-{n}"
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    (
        "CreateTable",
        {
            "TableName": "t-{n}",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "status", "AttributeType": "S"},
            ],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by-status",
                    "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            "Tags": [{"Key": "team", "Value": "shop"}],
        },
    ),
    ("DescribeTable", {"TableName": "t-{n}"}),
    ("UpdateTimeToLive", {"TableName": "t-{n}", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "at"}}),
    (
        "UpdateContinuousBackups",
        {"TableName": "t-{n}", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}},
    ),
    ("ListTagsOfResource", {"ResourceArn": ARN}),
    ("PutItem", {"TableName": "t-{n}", "Item": {"pk": {"S": "a"}, "status": {"S": "new"}, "n": {"N": "1"}}}),
    ("GetItem", {"TableName": "t-{n}", "Key": {"pk": {"S": "a"}}}),
    (
        "UpdateItem",
        {
            "TableName": "t-{n}",
            "Key": {"pk": {"S": "a"}},
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        },
    ),
    ("DeleteTable", {"TableName": "t-{n}"}),
]


class Connection:
    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, operation: str, body: bytes) -> None:
        head = (
            f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAccept-Encoding: identity\r\n"
            f"X-Amz-Target: DynamoDB_20120810.{operation}\r\nContent-Type: application/x-amz-json-1.0\r\n"
            "User-Agent: bench\r\nX-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 "
            "Credential=AKIALAB/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=0\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head_part, _, rest = answer.partition(b"\r\n\r\n")
        length = int(head_part.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        while len(rest) < length:
            rest += self._receive()
        if b" 200 " not in head_part[:20]:
            raise RuntimeError(rest.decode())

    def _receive(self) -> bytes:
        chunk = self.socket.recv(65536)
        if not chunk:
            raise RuntimeError("the endpoint closed a kept-open connection")
        return chunk


def run(port: int, operation: str, parameters: dict[str, Any], tables: int, connections: int) -> float:
    """Calls the operation once for each table, spread over the connections; gives the seconds it took."""
    text = json.dumps(parameters)
    failures: list[Exception] = []

    def work(first: int) -> None:
        try:
            connection = Connection(port)
            for n in range(first, tables, connections):
                connection.call(operation, text.replace("{n}", str(n)).encode())
        except Exception as failure:
            failures.append(failure)

    started = time.perf_counter()
    threads = [threading.Thread(target=work, args=(c,)) for c in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    from penstock_lab.aws.client import LabAWS

    endpoint = subprocess.Popen(
        [sys.executable, "-m", "penstock_lab.aws", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert endpoint.stdout is not None
    try:
        url = json.loads(endpoint.stdout.readline())["url"]
        lab, process, port = LabAWS(url), psutil.Process(endpoint.pid), int(url.rpartition(":")[2])
        lab.settings(max_control_plane_operations=options.tables, max_tables=options.tables)
        shown = Table("operation", "CPU ms a request", "requests a second")
        for operation, parameters in track(OPERATIONS, "calling", console=Console(stderr=True), transient=True):
            before = sum(process.cpu_times()[:2])
            seconds = run(port, operation, parameters, options.tables, options.connections)
            cpu = sum(process.cpu_times()[:2]) - before
            shown.add_row(operation, f"{cpu / options.tables * 1000:.2f}", f"{options.tables / seconds:.0f}")
            lab.clock(advance=10)
        Console().print(shown)
        Console().print(f"resident memory after {options.tables} tables: {process.memory_info().rss / 2**20:.0f} MB")
    finally:
        endpoint.send_signal(signal.SIGTERM)
        endpoint.wait(timeout=5)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
