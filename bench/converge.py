"""How fast, and with how many calls, many tables converge: from the first apply until all are Ready, against a plain script (floor.py).

    python bench/converge.py [--sizes 1,100,1000] [--idle SECONDS] [--out FILE.json]

Each table: on demand, one global index, TTL, point-in-time recovery, a tag. The lab's AWS endpoint makes a table in its default time. Figures
are of one run each, on whatever machine this is: ratios between lines of one run mean more than the lines. AWS calls are counted by the endpoint,
Kubernetes requests by the API server's audit log, CPU and memory by the kernel for the operator's process.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import yaml
from rich.console import Console
from rich.table import Table

from penstock_lab.lab import Lab

HERE = Path(__file__).parent
PATH = "/apis/penstock.dev/v1alpha1/namespaces/default/dynamotables"
# What issue #3 and the design promise at 1,000 tables.
TARGETS = {"ratio": 1.5, "awsCallsPerTable": 7, "kubernetesWritesPerTable": 4, "peakMegabytes": 250}
console = Console(highlight=False)


class Api:
    """The lab's API server by its admin kubeconfig: raw JSON, one connection a thread."""

    def __init__(self, kubeconfig: Path) -> None:
        loaded = yaml.safe_load(kubeconfig.read_text())
        cluster, user = loaded["clusters"][0]["cluster"], loaded["users"][0]["user"]
        self._address = urlsplit(cluster["server"]).netloc
        self._context = ssl.create_default_context(cafile=_path(cluster, "certificate-authority", kubeconfig))
        self._context.load_cert_chain(
            _path(user, "client-certificate", kubeconfig), _path(user, "client-key", kubeconfig)
        )
        self._local = threading.local()

    def connect(self, timeout: float) -> HTTPSConnection:
        return HTTPSConnection(self._address, context=self._context, timeout=timeout)

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None or time.monotonic() - self._local.used > 30:
            # The API server closes connections that have been idle for a while.
            connection = self._local.connection = self.connect(timeout=60)
        self._local.used = time.monotonic()
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": kind})
        answer = connection.getresponse()
        data = json.loads(answer.read())
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data.get('message')}")
        return data


def _path(entry: dict[str, str], field: str, kubeconfig: Path) -> str:
    """A file that a kubeconfig names, or its inline data put into a file beside it."""
    if field in entry:
        return str(kubeconfig.parent / entry[field])
    import base64

    inline = kubeconfig.parent / f"bench-{field}.pem"
    inline.write_bytes(base64.b64decode(entry[f"{field}-data"]))
    return str(inline)


def manifest(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "DynamoTable",
        "metadata": {"name": name},
        "spec": {
            "deletionPolicy": "Delete",
            "key": {"partition": {"name": "pk", "type": "String"}, "sort": {"name": "sk", "type": "Number"}},
            "capacity": {"mode": "OnDemand"},
            "globalIndexes": [
                {
                    "name": "by-status",
                    "partition": {"name": "status", "type": "String"},
                    "projection": {"type": "All"},
                }
            ],
            "ttl": {"attribute": "exp"},
            "pointInTimeRecovery": {"enabled": True},
            "tags": {"team": "bench"},
        },
    }


def converge(lab: Lab, api: Api, prefix: str, count: int) -> dict[str, Any]:
    """Apply, wait until all are Ready, and account for it."""
    pid = lab.operator_pid
    assert pid is not None
    process = psutil.Process(pid)
    lab.aws.reset_calls()
    requests, spent_cpu, by_process = kubernetes(lab), cpu(process), programs(lab)
    began = time.monotonic()
    names = [f"{prefix}{number:05d}" for number in range(count)]
    with Watch(api, prefix) as watch:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: api("POST", PATH, manifest(name)), names))
        applied = time.monotonic() - began
        until(lambda: len(watch.ready) == count, 600, f"{count} tables to be Ready")
        seconds = watch.last - began
    spent_by = {name: round(now - by_process[name], 2) for name, now in programs(lab).items() if name in by_process}
    time.sleep(1)
    spent = {verb: number - requests[verb] for verb, number in kubernetes(lab).items() if number != requests[verb]}
    calls = lab.aws.calls()["counts"]
    writes = sum(
        number
        for verb, number in spent.items()
        if not verb.startswith(("get ", "list ", "watch ")) and "leases" not in verb
    )
    return {
        "tables": count,
        "applySeconds": round(applied, 2),
        "seconds": round(seconds, 2),
        "awsCalls": dict(sorted(calls.items())),
        "awsCallsPerTable": round(sum(calls.values()) / count, 2),
        "kubernetes": dict(sorted(spent.items())),
        "kubernetesWritesPerTable": round(writes / count, 2),
        "cpuSeconds": round(cpu(process) - spent_cpu, 2),
        "cpuSecondsByProcess": spent_by,
        "peakMegabytes": peak(pid),
    }


def idle(lab: Lab, api: Api, seconds: float, count: int) -> dict[str, Any]:
    """What an idle operator does: its Kubernetes writes (its Lease apart) and its DynamoDB calls."""
    process = psutil.Process(lab.operator_pid)
    lab.aws.reset_calls()
    requests, spent_cpu = kubernetes(lab), cpu(process)
    version = api("GET", PATH + "?limit=1")["metadata"]["resourceVersion"]
    time.sleep(seconds)
    spent = {verb: number - requests[verb] for verb, number in kubernetes(lab).items() if number != requests[verb]}
    moved = [
        o["metadata"]["name"] for o in api("GET", PATH)["items"] if int(o["metadata"]["resourceVersion"]) > int(version)
    ]
    calls = lab.aws.calls()["counts"]
    dynamo = sum(number for operation, number in calls.items() if operation.startswith("dynamodb."))
    return {
        "seconds": seconds,
        "tables": count,
        "kubernetesWrites": {
            v: n for v, n in spent.items() if not v.startswith(("get ", "list ", "watch ")) and "leases" not in v
        },
        "objectsMoved": len(moved),
        "awsCalls": dict(sorted(calls.items())),
        "dynamoCallsPerTableHour": round(dynamo / count * 3600 / seconds, 2),
        "cpuPercent": round(100 * (cpu(process) - spent_cpu) / seconds, 2),
    }


def come_back(lab: Lab, name: str) -> float:
    """Delete a table behind the operator's back; seconds until it is there again."""
    client = lab.boto("dynamodb")
    old = client.describe_table(TableName=name)["Table"]["TableId"]
    client.delete_table(TableName=name)
    began = time.monotonic()

    def back() -> bool:
        try:
            found = client.describe_table(TableName=name)["Table"]
        except client.exceptions.ResourceNotFoundException:
            return False
        return found["TableId"] != old and found["TableStatus"] == "ACTIVE"

    until(back, 660, f"table {name} to come back")
    return round(time.monotonic() - began, 1)


def remove(api: Api, prefix: str, count: int) -> float:
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: api("DELETE", f"{PATH}/{prefix}{n:05d}"), range(count)))
    until(lambda: not api("GET", PATH + "?limit=1")["items"], 600, "the tables to be deleted")
    return round(time.monotonic() - began, 2)


def floor(lab: Lab, prefix: str, count: int) -> dict[str, Any]:
    command = [
        sys.executable,
        str(HERE / "floor.py"),
        "--endpoint",
        lab.aws_url,
        "--prefix",
        prefix,
        "--count",
        str(count),
    ]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    subprocess.run([*command, "--delete"], check=True, capture_output=True)
    time.sleep(5)
    return found


class Watch:
    """Which objects are Ready, as a watch tells it: listing a thousand objects again and again would be most of the API server's work."""

    def __init__(self, api: Api, prefix: str, path: str = PATH) -> None:
        self.ready: set[str] = set()
        self.last = time.monotonic()
        self._api, self._prefix, self._path = api, prefix, path
        self._version = api("GET", path + "?limit=1")["metadata"]["resourceVersion"]
        self._closed = False
        self._connection = self._open()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _open(self) -> HTTPSConnection:
        connection = self._api.connect(timeout=600)
        connection.request("GET", f"{self._path}?watch=true&resourceVersion={self._version}")
        return connection

    def _read(self) -> None:
        while not self._closed:
            try:
                for line in self._connection.getresponse():
                    self._saw(json.loads(line)["object"])
            except (OSError, ValueError, AttributeError, HTTPException):
                pass
            if not self._closed:
                # The API server ends the watch of a reader that is too slow for it; what it missed comes again from the last version on.
                time.sleep(0.1)
                self._connection = self._open()

    def _saw(self, found: dict[str, Any]) -> None:
        self._version = found["metadata"]["resourceVersion"]
        name = found["metadata"]["name"]
        conditions = found.get("status", {}).get("conditions", ())
        if name.startswith(self._prefix) and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            if name not in self.ready:
                self.last = time.monotonic()
            self.ready.add(name)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)


def kubernetes(lab: Lab) -> collections.Counter[str]:
    counts: collections.Counter[str] = collections.Counter()
    for (user, verb, resource), number in lab.kubernetes_calls().items():
        if "penstock" in user:
            counts[f"{verb} {resource}"] += number
    return counts


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def programs(lab: Lab) -> dict[str, float]:
    """CPU seconds of each program that shares the machine with the operator, the bench itself included."""
    found = {name: cpu(psutil.Process(process.pid)) for name, process in lab.state.processes.items() if process.alive}
    return {**found, "bench": cpu(psutil.Process())}


def peak(pid: int) -> float:
    """The kernel's high-water mark of resident memory, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def until(holds: Callable[[], bool], seconds: float, what: str, pause: float = 0.5) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", default="1,100,1000")
    options.add_argument("--idle", type=float, default=0, help="also watch the last size idle for so many seconds")
    options.add_argument(
        "--come-back", action="store_true", help="also delete a table behind the operator's back (up to ten minutes)"
    )
    options.add_argument("--out", type=Path, default=None)
    told = options.parse_args()
    results: dict[str, Any] = {"targets": TARGETS, "runs": []}
    sizes = [int(size) for size in told.sizes.split(",")]
    lab = Lab.up("bench", postgres=False, tell=lambda line: console.print(f"[dim]{line}[/]"))
    try:
        api = Api(lab.kubeconfig)
        for index, size in enumerate(sizes):
            console.print(f"[bold]{size} tables[/]: the floor …")
            before = floor(lab, f"floor{index}a-", size)
            console.print(f"  {before['seconds']} s; the operator …")
            run = converge(lab, api, f"bench{index}-", size)
            run["floor"] = before
            run["ratio"] = round(run["seconds"] / before["seconds"], 2)
            console.print(f"  {run['seconds']} s, {run['ratio']} times the floor")
            if index == len(sizes) - 1:
                if told.idle:
                    console.print(f"idle for {told.idle:.0f} s …")
                    time.sleep(20)
                    results["idle"] = idle(lab, api, told.idle, size)
                if told.come_back:
                    results["comeBackSeconds"] = come_back(lab, f"bench{index}-00000")
            run["deleteSeconds"] = remove(api, f"bench{index}-", size)
            results["runs"].append(run)
    finally:
        lab.down()
    if told.out:
        told.out.write_text(json.dumps(results, indent=2) + "\n")
    _show(results)


def _show(results: dict[str, Any]) -> None:
    table = Table(title="Convergence, from the first apply until all are Ready")
    for column in (
        "tables",
        "floor s",
        "penstock s",
        "ratio",
        "AWS calls/table",
        "K8s writes/table",
        "CPU s",
        "peak MB",
        "delete s",
    ):
        table.add_column(column, justify="right")
    for run in results["runs"]:
        table.add_row(
            str(run["tables"]),
            str(run["floor"]["seconds"]),
            str(run["seconds"]),
            str(run["ratio"]),
            str(run["awsCallsPerTable"]),
            str(run["kubernetesWritesPerTable"]),
            str(run["cpuSeconds"]),
            str(run["peakMegabytes"]),
            str(run["deleteSeconds"]),
        )
    console.print(table)
    for name in ("idle", "comeBackSeconds"):
        if name in results:
            console.print(f"{name}: {json.dumps(results[name])}")


if __name__ == "__main__":
    main()
