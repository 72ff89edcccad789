"""As many readers and connections as Aurora has, on a small machine."""

from __future__ import annotations

import concurrent.futures
import time

import psycopg
import pytest

from .rig import PASSWORD, Ledger, Rig, wait_for

pytestmark = pytest.mark.slow


def test_fifteen_readers_under_load_with_a_failover_in_between(rig: Rig) -> None:
    aurora = rig.cluster()
    with Ledger(aurora) as ledger:
        names = [aurora.add(number) for number in range(1, 16)]
        aurora.wait(240)
        served = {aurora.ask("select aurora_db_instance_identifier()", "reader")[0][0] for _ in range(45)}
        assert served == set(names)
        rig.lab("fault", cluster=aurora.name, kind="kill")
        ledger.more(30, 120)
        wait_for(lambda: aurora.writer in names, 120)
        aurora.wait(240)
        writer = aurora.writer
        for one in [f"{aurora.name}-0", *names]:
            if one != writer:
                wait_for(lambda one=one: aurora._deletes(one), 60)
        wait_for(lambda: len(aurora.nodes) == 1, 120)
        assert aurora.writer == writer
        ledger.more()
    assert ledger.lost() == []


def test_a_thousand_connections_through_a_failover(rig: Rig) -> None:
    aurora = rig.cluster(readers=1)
    facts = aurora.facts
    target = {"host": facts["Endpoint"], "port": facts["Port"], "user": "boss", "dbname": "shop", "password": PASSWORD}

    def connect(_: int) -> tuple[float, psycopg.Connection]:
        began = time.monotonic()
        deadline = began + 60
        while True:
            try:
                made = psycopg.connect(**target, sslmode="require", connect_timeout=30, autocommit=True)
                made.execute("select 1")
            except psycopg.Error:
                if time.monotonic() > deadline:
                    raise
                continue
            return time.monotonic() - began, made

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        before = list(pool.map(connect, range(1000)))
        assert len(before) == 1000
        rig.rds.failover_db_cluster(DBClusterIdentifier=aurora.name)
        wait_for(lambda: aurora.writer == f"{aurora.name}-1")
        for _, old in before:
            with pytest.raises(psycopg.Error):
                old.execute("select 1")
        after = list(pool.map(connect, range(1000)))
        times = sorted(took for took, _ in after)
        print(f"connect p50 {times[500]:.3f} s, p95 {times[950]:.3f} s")
        for _, one in after:
            assert one.execute("select pg_is_in_recovery()").fetchone() == (False,)
            one.close()
    assert aurora.ask("select aurora_db_instance_identifier()") == [(f"{aurora.name}-1",)]
