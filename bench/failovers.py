"""What failovers of the lab's Aurora cost its users: commits lost, outages as writers felt them, connections through one.

    python bench/failovers.py [--failovers N] [--parts failovers,readers,connections,control] [--operator] [--out FILE.json]

failovers: N failovers in a row (default 20) of a cluster with a writer and two readers, under the load of four writers that commit without pause:
by FailoverDBCluster and by kill -9 of the writer in turn. For each: the outage that each writer felt, from its last acknowledged commit before to
its first one after; at the end every acknowledged commit is looked for.
readers: from none to fifteen and back to one under the same load, with a failover in between; each reader must have answered reads.
connections: a thousand connections to the writer endpoint, a failover, a thousand again; how long connecting took (p50, p95).
control: a reader that was cut off is promoted although it lacks commits; they must be found lost, or the counts above prove nothing.

--operator: the cluster is an AuroraCluster object. Each failover must then be on the object within ten seconds of the new writer, with from, to and
cause, and an outage that is within a second of what the writers felt.

The lab takes its default times: five seconds until a dead writer is noticed, five until the endpoints' names lead to the new one.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import platform
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from penstock_lab.lab import Lab
from penstock_lab.postgres.ledger import Ledger

PARTS = ("failovers", "readers", "connections", "control")
WRITERS = 4
CONNECTIONS = 1000
AT_ONCE = 10
# What issue #5 promises.
TARGETS = {
    "commitsLost": 0,
    "connectP95Milliseconds": 500,
    "objectSeconds": 10,
    "objectOutageOffSeconds": 1,
}
console = Console(highlight=False)


def until(check: Callable[[], Any], seconds: float, what: str, pause: float = 0.1) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = check()
        except psycopg.OperationalError:
            found = None
        if found:
            return found
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)


class Cluster:
    """The cluster under test, made and scaled through RDS, or as an object where there is an operator."""

    def __init__(self, lab: Lab, name: str, readers: int, *, operator: bool) -> None:
        self.lab, self.name, self.operator = lab, name, operator
        self.rds = lab.boto("rds")
        self.password = f"Bench-{uuid.uuid4().hex}"
        self.made = 0
        if operator:
            self._apply(readers)
        else:
            self.rds.create_db_cluster(
                DBClusterIdentifier=name,
                Engine="aurora-postgresql",
                MasterUsername="boss",
                MasterUserPassword=self.password,
                DatabaseName="bench",
            )
            self._add(readers + 1)
        self.wait(readers + 1)

    def _apply(self, readers: int) -> None:
        objects = [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": f"{self.name}-master"},
                "stringData": {"password": self.password},
            },
            {
                "apiVersion": "penstock.dev/v1alpha1",
                "kind": "AuroraCluster",
                "metadata": {"name": self.name},
                "spec": {
                    "clusterIdentifier": self.name,
                    "deletionPolicy": "Delete",
                    "engine": {"type": "AuroraPostgreSQL", "version": "15.10"},
                    "instances": {"class": "db.r6g.large", "readers": readers},
                    "network": {"subnetIds": ["subnet-a", "subnet-b", "subnet-c"], "securityGroupIds": ["sg-lab"]},
                    "credentials": {
                        "masterUsername": "boss",
                        "passwordSecretRef": {"name": f"{self.name}-master", "key": "password"},
                    },
                    "databaseName": "bench",
                    "probe": {"enabled": True, "interval": "1s"},
                },
            },
        ]
        self.lab.kubectl("apply", "-f", "-", input="\n---\n".join(map(json.dumps, objects)))

    def _add(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            self.rds.create_db_instance(
                DBInstanceIdentifier=f"{self.name}-{self.made}",
                DBClusterIdentifier=self.name,
                Engine="aurora-postgresql",
                DBInstanceClass="db.r6g.large",
            )

    def scale(self, readers: int) -> None:
        """To so many readers; the writer stays, whoever it is."""
        if self.operator:
            self._apply(readers)
        elif (count := len(self.instances)) <= readers:
            self._add(readers + 1 - count)
        else:
            idle = [one for one in self.instances if one != self.writer]
            for one in idle[readers:]:
                self.rds.delete_db_instance(DBInstanceIdentifier=one)
        self.wait(readers + 1)

    @property
    def facts(self) -> dict[str, Any]:
        return self.rds.describe_db_clusters(DBClusterIdentifier=self.name)["DBClusters"][0]

    @property
    def instances(self) -> list[str]:
        return sorted(one["DBInstanceIdentifier"] for one in self.facts["DBClusterMembers"])

    @property
    def writer(self) -> str | None:
        members = self.facts["DBClusterMembers"]
        return next((one["DBInstanceIdentifier"] for one in members if one["IsClusterWriter"]), None)

    @property
    def nodes(self) -> dict[str, Any]:
        return self.lab.aws.postgres("nodes", cluster=self.name)

    def wait(self, instances: int, seconds: float = 600) -> None:
        """Until so many instances serve, each has joined the others, and commits wait for a reader where there is one."""

        def calm() -> bool:
            listed = self.rds.describe_db_clusters()["DBClusters"]
            if self.name not in {one["DBClusterIdentifier"] for one in listed} or self.facts["Status"] != "available":
                return False
            wanted = [{"Name": "db-cluster-id", "Values": [self.name]}]
            listed = self.rds.describe_db_instances(Filters=wanted)["DBInstances"]
            if any(one["DBInstanceStatus"] != "available" for one in listed) or not self._calm_object():
                return False
            found = self.nodes
            serving = [one for one in found["nodes"] if one["joined"] and one["answers"]]
            real = next((one["instance"] for one in found["nodes"] if one["role"] == "writer"), None)
            return (
                len(serving) == len(found["nodes"]) == len(self.instances) == instances
                and real == self.writer
                and (instances < 2 or found["protected"])
            )

        until(calm, seconds, f"{instances} instances of {self.name} to serve", 0.2)

    def _calm_object(self) -> bool:
        if not self.operator:
            return True
        told = json.loads(self.lab.kubectl("get", "aurora", self.name, "-o", "json").stdout)
        conditions = {one["type"]: one for one in told.get("status", {}).get("conditions", ())}
        generation = told["metadata"]["generation"]
        return all(
            conditions.get(kind, {}).get("status") == "True"
            and conditions[kind].get("observedGeneration") == generation
            for kind in ("Ready", "Synced")
        )

    def login(self, role: str = "writer") -> dict[str, Any]:
        facts = self.facts
        return {
            "host": facts["Endpoint" if role == "writer" else "ReaderEndpoint"],
            "port": facts["Port"],
            "user": "boss",
            "password": self.password,
            "dbname": "bench",
            "sslmode": "verify-full",
            "sslrootcert": str(self.lab.database_ca),
        }

    @contextmanager
    def load(self, table: str) -> Iterator[list[Ledger]]:
        with ExitStack() as stack:
            yield [
                stack.enter_context(Ledger(self.login(), table, first=1 + number * 10**9)) for number in range(WRITERS)
            ]

    def fail_over(self) -> None:
        self.rds.failover_db_cluster(DBClusterIdentifier=self.name)

    def kill(self, **which: str) -> None:
        self.lab.aws.postgres("fault", cluster=self.name, kind="kill", **which)

    def told(self) -> list[dict[str, Any]]:
        """status.failovers, newest first."""
        text = self.lab.kubectl("get", "aurora", self.name, "-o", "json").stdout
        return json.loads(text).get("status", {}).get("failovers", [])

    def delete(self) -> None:
        if self.operator:
            self.lab.kubectl("delete", "aurora", self.name, "--timeout=180s", timeout=200)
            return
        for one in sorted(self.instances, key=lambda one: one == self.writer):
            self.rds.delete_db_instance(DBInstanceIdentifier=one)
        self.rds.delete_db_cluster(DBClusterIdentifier=self.name, SkipFinalSnapshot=True)


def failovers(cluster: Cluster, count: int) -> dict[str, Any]:
    runs = []
    with cluster.load("failovers") as ledgers:
        for number in range(count):
            how = "FailoverDBCluster" if number % 2 == 0 else "kill -9"
            runs.append(one_failover(cluster, ledgers, how))
            run = runs[-1]
            seen = f", on the object after {run['object']['seconds']} s" if "object" in run else ""
            console.print(
                f"  {number + 1:2} {how:17} {run['from']} → {run['to']}, outage {run['outageSeconds']} s{seen}"
            )
        time.sleep(1)
    lost = sum(len(ledger.lost()) for ledger in ledgers)
    outages = [run["outageSeconds"] for run in runs]
    return {
        "runs": runs,
        "acknowledgedCommits": sum(len(ledger.acknowledged) for ledger in ledgers),
        "unknownCommits": sum(len(ledger.unknown) for ledger in ledgers),
        "commitsLost": lost,
        "outageSeconds": {
            how: spread([run["outageSeconds"] for run in runs if run["how"] == how])
            for how in ("FailoverDBCluster", "kill -9")
        }
        | {"all": spread(outages)},
    }


def one_failover(cluster: Cluster, ledgers: Sequence[Ledger], how: str) -> dict[str, Any]:
    before = cluster.writer
    began, began_at = time.monotonic(), datetime.datetime.now(datetime.UTC)
    if how == "kill -9":
        cluster.kill()
    else:
        cluster.fail_over()
    after = until(lambda: (now := cluster.writer) != before and now, 120, "another writer")
    named = time.monotonic() - began
    for ledger in ledgers:
        until(lambda ledger=ledger: ledger.acknowledged[-1][0] > began + 0.5, 60, "commits", 0.05)
        ledger.more(5, 60)
    felt = [round(ledger.outage(began), 3) for ledger in ledgers]
    resumed = min(ledger.resumed(began) or began for ledger in ledgers)
    run = {
        "how": how,
        "from": before,
        "to": after,
        "outageSeconds": max(felt),
        "feltByEachWriter": felt,
        "namedAfterSeconds": round(named, 3),
    }
    if cluster.operator:
        run["object"] = on_the_object(cluster, run, began_at, resumed)
    cluster.wait(len(cluster.instances))
    return run


def on_the_object(cluster: Cluster, run: dict[str, Any], began: datetime.datetime, resumed: float) -> dict[str, Any]:
    """What the object tells of the failover, and how long after the first commit at the new writer."""

    cause = "User" if run["how"] == "FailoverDBCluster" else "AWS"

    def record() -> dict[str, Any] | None:
        for one in cluster.told():
            started = datetime.datetime.fromisoformat(one["startedAt"])
            if started >= began - datetime.timedelta(seconds=3) and one.get("finishedAt"):
                return one
        return None

    def caused() -> bool:
        return (record() or {}).get("cause") == cause or time.monotonic() - resumed > 30

    try:
        found = until(record, 120, "the failover to be on the object")
    except SystemExit:
        console.print_json(json.dumps(cluster.told()))
        raise
    seconds = round(time.monotonic() - resumed, 1)
    # What AWS's events add, the cause above all, may come with the next look at them.
    until(caused, 60, "the cause to be on the object")
    found = record() or found
    outage = float(found.get("outageSeconds", "nan"))
    return {
        "secondsToTheRecord": seconds,
        "seconds": round(time.monotonic() - resumed, 1),
        "told": found,
        "rightFromAndTo": (found.get("from"), found.get("to")) == (run["from"], run["to"]),
        "cause": found.get("cause"),
        "expectedCause": cause,
        "outageOffSeconds": round(abs(outage - run["outageSeconds"]), 3),
    }


def readers(cluster: Cluster) -> dict[str, Any]:
    began = time.monotonic()
    with cluster.load("readers") as ledgers:
        cluster.scale(15)
        grown = time.monotonic() - began
        served = reads(cluster, 15)
        before = cluster.writer
        cluster.kill()
        until(lambda: cluster.writer != before, 120, "another writer")
        for ledger in ledgers:
            ledger.more(10, 60)
        cluster.wait(16)
        writer = cluster.writer
        after = reads(cluster, 15)
        cluster.scale(1)
        for ledger in ledgers:
            ledger.more(10, 60)
        kept = cluster.writer == writer
    return {
        "secondsToFifteen": round(grown, 1),
        "readersThatAnswered": len(served),
        "readersThatAnsweredAfterTheFailover": len(after),
        "writerKept": kept,
        "acknowledgedCommits": sum(len(ledger.acknowledged) for ledger in ledgers),
        "commitsLost": sum(len(ledger.lost()) for ledger in ledgers),
        "outageSeconds": max(ledger.outage() for ledger in ledgers),
        "seconds": round(time.monotonic() - began, 1),
    }


def reads(cluster: Cluster, wanted: int) -> set[str]:
    """The instances that answered at the reader endpoint."""
    answered: set[str] = set()

    def ask() -> bool:
        with psycopg.connect(**cluster.login("reader"), connect_timeout=5) as connection:
            row = connection.execute("select aurora_db_instance_identifier(), pg_is_in_recovery()").fetchone()
        if row and row[1]:
            answered.add(row[0])
        return len(answered) == wanted

    until(ask, 60, f"{wanted} readers to answer, not {len(answered)}", 0)
    return answered


def connections(cluster: Cluster) -> dict[str, Any]:
    login = cluster.login()

    async def connect(many: asyncio.Semaphore, times: list[float]) -> psycopg.AsyncConnection[Any]:
        async with many:
            while True:
                began = time.monotonic()
                try:
                    made = await psycopg.AsyncConnection.connect(**login, connect_timeout=30, autocommit=True)
                    row = await (await made.execute("select pg_is_in_recovery()")).fetchone()
                except psycopg.Error:
                    await asyncio.sleep(0.05)
                    continue
                if row != (False,):
                    # The names still lead to the old writer, which is a reader now.
                    await made.close()
                    await asyncio.sleep(0.05)
                    continue
                times.append(time.monotonic() - began)
                return made

    def leads() -> bool:
        with psycopg.connect(**login, connect_timeout=5) as connection:
            row = connection.execute("select not pg_is_in_recovery()").fetchone()
        return row == (True,)

    async def served(held: list[psycopg.AsyncConnection[Any]]) -> int:
        answered = 0
        for one in held:
            try:
                await one.execute("select 1")
            except psycopg.Error:
                continue
            answered += 1
        return answered

    async def run() -> dict[str, Any]:
        before: list[float] = []
        after: list[float] = []
        many = asyncio.Semaphore(AT_ONCE)
        held = await asyncio.gather(*(connect(many, before) for _ in range(CONNECTIONS)))
        served_before = await served(held)
        old = cluster.writer
        cluster.fail_over()
        await asyncio.to_thread(until, lambda: cluster.writer != old, 120, "another writer")
        await asyncio.to_thread(until, leads, 60, "the endpoint to lead to it")
        cut = CONNECTIONS - await served(held)
        for one in held:
            await one.close()
        began = time.monotonic()
        again = await asyncio.gather(*(connect(many, after) for _ in range(CONNECTIONS)))
        seconds = time.monotonic() - began
        served_after = await served(again)
        for one in again:
            await one.close()
        return {
            "connections": CONNECTIONS,
            "atOnce": AT_ONCE,
            "servedBefore": served_before,
            "cutByTheFailover": cut,
            "servedAfter": served_after,
            "connectMillisecondsBefore": milliseconds(before),
            "connectMillisecondsAfter": milliseconds(after),
            "secondsUntilAllWereBack": round(seconds, 2),
        }

    return asyncio.run(run())


def control(cluster: Cluster) -> dict[str, Any]:
    """Leaves the cluster with less than its users wrote: comes last."""
    stale = next(one for one in cluster.instances if one != cluster.writer)
    with cluster.load("control") as ledgers:
        cluster.lab.aws.postgres("fault", cluster=cluster.name, kind="partition", instance=stale)
        for ledger in ledgers:
            ledger.more(200, 60)
        cluster.lab.aws.postgres("fault", cluster=cluster.name, kind="stale", instance=stale)
        for ledger in ledgers:
            ledger.more(5, 60)
    return {"promoted": stale, "commitsLost": sum(len(ledger.lost()) for ledger in ledgers)}


def spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {
        "min": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "max": round(max(values), 3),
    }


def milliseconds(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {name: round(1000 * ordered[int(len(ordered) * share)], 1) for name, share in (("p50", 0.5), ("p95", 0.95))}


def judge(results: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """(what, measured, to reach, reached)."""
    rows = []
    if part := results.get("failovers"):
        rows.append(("commits lost in failovers", part["commitsLost"], "0", part["commitsLost"] == 0))
        told = [run["object"] for run in part["runs"] if "object" in run]
        if told:
            right = sum(one["rightFromAndTo"] and one["cause"] == one["expectedCause"] for one in told)
            slowest, off = max(one["seconds"] for one in told), max(one["outageOffSeconds"] for one in told)
            rows.append(("failovers right on the object", f"{right} of {len(told)}", "all", right == len(told)))
            rows.append(("seconds until on the object, slowest", slowest, "10", slowest <= TARGETS["objectSeconds"]))
            rows.append(("outage on the object, off by s", off, "1", off <= TARGETS["objectOutageOffSeconds"]))
    if part := results.get("readers"):
        rows.append(("commits lost while readers came and went", part["commitsLost"], "0", part["commitsLost"] == 0))
        rows.append(("the writer stayed when readers went", part["writerKept"], "True", part["writerKept"]))
        answered = min(part["readersThatAnswered"], part["readersThatAnsweredAfterTheFailover"])
        rows.append(("readers that answered", answered, "15", answered == 15))
    if part := results.get("connections"):
        both = min(part["servedBefore"], part["servedAfter"])
        p95 = max(part[f"connectMilliseconds{when}"]["p95"] for when in ("Before", "After"))
        rows.append(("connections served before and after", both, str(CONNECTIONS), both == CONNECTIONS))
        rows.append(("connect, p95 ms", p95, "< 500", p95 < TARGETS["connectP95Milliseconds"]))
    if part := results.get("control"):
        rows.append(("control: commits lost by a stale promotion", part["commitsLost"], "> 0", part["commitsLost"] > 0))
    return [(what, str(measured), wanted, bool(reached)) for what, measured, wanted, reached in rows]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--failovers", type=int, default=20)
    options.add_argument("--parts", default=",".join(PARTS), help="which of them, by commas")
    options.add_argument("--operator", action="store_true", help="as an object, which must tell each failover")
    options.add_argument(
        "--setting", action="append", default=[], metavar="NAME=SECONDS", help="such as rds_detect_s=1"
    )
    options.add_argument("--out", type=Path, default=None)
    told = options.parse_args()
    parts = told.parts.split(",")
    if wrong := sorted(set(parts) - set(PARTS)):
        options.error(f"there is no part {', '.join(wrong)}; there are {', '.join(PARTS)}")
    lab = Lab.up(
        f"bench-failovers-{os.getpid()}",
        operator=told.operator,
        owner=os.getpid(),
        tell=lambda line: console.print(f"[dim]{line}[/]"),
    )
    try:
        changed = {name: float(value) for name, _, value in (one.partition("=") for one in told.setting)}
        settings = lab.aws.settings(**changed)
        results: dict[str, Any] = {
            "targets": TARGETS,
            "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "writers": WRITERS},
            "settings": {name: settings[name] for name in ("rds_detect_s", "rds_dns_s", "rds_failover_s")},
            "operator": told.operator,
        }
        began = time.monotonic()
        if {"failovers", "connections", "control"} & set(parts):
            cluster = Cluster(lab, "bench", 2, operator=told.operator)
            if "failovers" in parts:
                console.print(f"[bold]{told.failovers} failovers in a row[/]")
                results["failovers"] = failovers(cluster, told.failovers)
            if "connections" in parts:
                console.print(f"[bold]{CONNECTIONS} connections through a failover[/]")
                results["connections"] = connections(cluster)
                cluster.wait(3)
            if "control" in parts:
                console.print("[bold]the control: a stale reader is promoted[/]")
                results["control"] = control(cluster)
                cluster.wait(3)
            cluster.delete()
        if "readers" in parts:
            console.print("[bold]readers 0 → 15 → 1, with a failover in between[/]")
            results["readers"] = readers(Cluster(lab, "bench-readers", 0, operator=told.operator))
        results["seconds"] = round(time.monotonic() - began, 1)
    finally:
        lab.down()
    if told.out:
        told.out.write_text(json.dumps(results, indent=2) + "\n")
    rows = judge(results)
    table = Table(title="Failovers")
    for column in ("what", "measured", "to reach", ""):
        table.add_column(column)
    for what, measured, wanted, reached in rows:
        table.add_row(what, measured, wanted, "yes" if reached else "NO")
    console.print(table)
    console.print_json(json.dumps({name: part for name, part in results.items() if name not in ("targets",)}))
    return 0 if all(reached for *_, reached in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
