"""What the probe costs the operator: processor time and memory of one process that asks N databases once a second.

    python bench/probe.py [--databases 100,500,1000] [--closed 1000] [--seconds 30] [--out FILE.json]

Real: a lab's PostgreSQL behind its writer endpoint, over TLS that is verified; all N ask the same one, each on a connection of its own, as N clusters
would ask theirs. Closed: N endpoints of which none ever answers. The process does nothing else, so all that it takes is the probe's. The first
connections are measured apart from the time after them. The endpoint is a proxy and a server on the same machine; their time is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from penstock.engine.kind import Key
from penstock.postgres.probe import Endpoint, Prober, Target

PASSWORD = "Correct-Horse-7"


def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory() -> int:
    """Resident kilobytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def ask(host: str, port: int, ca: str, databases: int, seconds: float, *, closed: bool) -> dict[str, Any]:
    prober = Prober(ca, lambda *_: None, lambda _: None)

    async def credentials(_: bool) -> tuple[str, str]:
        return "boss", PASSWORD

    before = memory()
    task = asyncio.create_task(prober.run())
    keys = [Key("AuroraCluster", "bench", str(n)) for n in range(databases)]
    began, used = time.monotonic(), spent()
    for key in keys:
        prober.watch(key, Target(Endpoint(host, port), None, ((key.name, Endpoint(host, port)),), 1.0), credentials)
    while not closed and sum(prober.picture(k).reached for k in keys) < databases:
        await asyncio.sleep(0.2)
        if time.monotonic() - began > 180:
            raise SystemExit(f"only {sum(prober.picture(k).reached for k in keys)} of {databases} answered")
    first = {"seconds": round(time.monotonic() - began, 1), "cpuSeconds": round(spent() - used, 2)}
    await asyncio.sleep(15 if not closed else 60)
    began, used = time.monotonic(), spent()
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - began
    share = (spent() - used) / elapsed
    reached = sum(prober.picture(k).reached for k in keys)
    rounds = [q for k in keys if (q := prober.picture(k).query) is not None]
    outages = sum(len(prober.picture(k).outages) for k in keys)
    task.cancel()
    return {
        "databases": databases,
        "first": first,
        "cpuPercentOfACore": round(100 * share, 2),
        "microsecondsADatabaseAndSecond": round(1e6 * share / databases),
        "kilobytesADatabase": round((memory() - before) / databases, 1),
        "reached": reached,
        "falseOutages": outages,
        "roundTripP95Milliseconds": round(1000 * sorted(rounds)[len(rounds) * 95 // 100], 1) if rounds else None,
    }


def alone(queue: Any, *args: Any, **more: Any) -> None:
    """In a process of its own, so that each count is measured from nothing."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        queue.put(runner.run(ask(*args, **more)))


def measured(*args: Any, **more: Any) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=alone, args=(queue, *args), kwargs=more)
    process.start()
    found: dict[str, Any] = queue.get(timeout=600)
    process.join(10)
    return found


@contextmanager
def endpoint() -> Iterator[tuple[str, int, str]]:
    """The lab's AWS endpoint alone, with PostgreSQL behind it: the cluster's host and port, and the file of its authority."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    folder.chmod(0o711)
    command = [sys.executable, "-m", "penstock_lab.aws", "--port", "0", "--postgres", str(folder / "data")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        rds = boto3.client(
            "rds", endpoint_url=url, region_name="us-east-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="x"
        )
        made = {"DBClusterIdentifier": "bench-probe", "Engine": "aurora-postgresql"}
        rds.create_db_cluster(**made, MasterUsername="boss", MasterUserPassword=PASSWORD)
        rds.create_db_instance(**made, DBInstanceIdentifier="bench-probe-1", DBInstanceClass="db.r6g.4xlarge")
        rds.get_waiter("db_instance_available").wait(
            DBInstanceIdentifier="bench-probe-1", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
        cluster = rds.describe_db_clusters(DBClusterIdentifier="bench-probe")["DBClusters"][0]
        yield cluster["Endpoint"], cluster["Port"], str(folder / "data" / "pki" / "ca.crt")
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--databases", default="100,500,1000")
    options.add_argument("--closed", type=int, default=1000)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--out", type=Path)
    told = options.parse_args()
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load": os.getloadavg()[0],
    }
    if told.closed:
        results["closed"] = measured("127.0.0.1", 9, "", told.closed, told.seconds, closed=True)
    with endpoint() as (host, port, ca):
        counts = [int(n) for n in told.databases.split(",")]
        results["real"] = [measured(host, port, ca, n, told.seconds, closed=False) for n in counts]
    text = json.dumps(results, indent=2)
    print(text)
    if told.out is not None:
        told.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
