"""Replica lag as the object tells it, under 300 commits a second.

    python bench/lag.py [--rate 300] [--seconds 90] [--out FILE.json]

A cluster with two readers as an AuroraCluster object with objectives; four writers commit at the rate together. Told: commits a second that were
reached, `status.lag`, the observed figure and verdict of the objective replicaLag (p95), and ObjectivesMet, read every two seconds.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

from failovers import Cluster, console, until
from penstock_lab.lab import Lab

WRITERS = 4
TARGET_MILLISECONDS = 100


def write(dsn: dict[str, Any], rate: float, stop: threading.Event, counts: list[int], index: int) -> None:
    """Commit by the clock, so that a slow commit is made up for."""
    with psycopg.connect(**dsn, autocommit=True) as connection:
        began = time.monotonic()
        while not stop.is_set():
            connection.execute("insert into lag_bench default values")
            counts[index] += 1
            time.sleep(max(0.0, began + counts[index] / rate - time.monotonic()))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rate", type=float, default=300)
    options.add_argument("--seconds", type=float, default=90)
    options.add_argument("--out", type=Path, default=None)
    told = options.parse_args()
    lab = Lab.up("bench-lag", tell=lambda line: console.print(f"[dim]{line}[/]"))
    try:
        cluster = Cluster(lab, "bench", 2, operator=True)
        patch = {"spec": {"objectives": {"replicaLag": f"{TARGET_MILLISECONDS}ms"}}}
        lab.kubectl("patch", "aurora", "bench", "--type=merge", "-p", json.dumps(patch))

        def status() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(lab.kubectl("get", "aurora", "bench", "-o", "json").stdout)["status"]
            return found

        endpoint = until(lambda: status().get("endpoint"), 60, "the endpoint")
        dsn = {
            "host": endpoint["host"],
            "port": endpoint["port"],
            "user": "boss",
            "password": cluster.password,
            "dbname": "bench",
            "sslmode": "require",
        }
        with psycopg.connect(**dsn, autocommit=True) as connection:
            connection.execute("create table lag_bench (id bigserial primary key, at timestamptz default now())")
        stop, counts = threading.Event(), [0] * WRITERS
        threads = [
            threading.Thread(target=write, args=(dsn, told.rate / WRITERS, stop, counts, n), daemon=True)
            for n in range(WRITERS)
        ]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        seen: list[dict[str, Any]] = []
        while time.monotonic() - began < told.seconds:
            time.sleep(2)
            found = status()
            objective = next((o for o in found.get("objectives") or () if o["name"] == "replicaLag"), {})
            met = next((c["status"] for c in found["conditions"] if c["type"] == "ObjectivesMet"), "")
            seen.append(
                {
                    "second": round(time.monotonic() - began, 1),
                    "lag": found.get("lag"),
                    "observed": objective.get("observed"),
                    "met": objective.get("met"),
                    "ObjectivesMet": met,
                }
            )
        stop.set()
        for thread in threads:
            thread.join(10)
        result = {
            "targetMilliseconds": TARGET_MILLISECONDS,
            "asked": told.rate,
            "commitsPerSecond": round(sum(counts) / (time.monotonic() - began), 1),
            "seen": [now for before, now in zip([{}, *seen], seen, strict=False) if _moved(before, now)] + seen[-1:],
        }
    finally:
        lab.down()
    console.print_json(json.dumps(result))
    if told.out:
        told.out.write_text(json.dumps(result, indent=2) + "\n")


def _moved(before: dict[str, Any], now: dict[str, Any]) -> bool:
    return any(before.get(name) != value for name, value in now.items() if name != "second")


if __name__ == "__main__":
    main()
