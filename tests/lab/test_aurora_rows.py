"""What becomes of rows: the sample application keeps its ledger through a failover, and a restore brings back what was deleted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from bound import DATABASES, Bound
from declared import unharmed
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

APP = Path(__file__).parents[2] / "manifests" / "samples" / "app" / "ledger_app.py"
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


@scenario
def test_the_sample_application_keeps_its_ledger_when_the_writer_dies(lab: Lab, namespace: str) -> None:
    bound = Bound(lab, namespace, {"instances": {"readers": 1}}).ready()
    folder = bound.mounted()
    writer = bound.cluster.writer
    env = {**os.environ, "SERVICE_BINDING_ROOT": str(folder.parent), "BINDING": folder.name, "PAUSE": "0.01"}
    with subprocess.Popen(
        [sys.executable, str(APP)], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as app:
        bound.until("select count(*) > 20 from entries", "it writes")
        lab.aws.postgres("fault", cluster=bound.cluster.cluster, kind="kill")
        bound.cluster.until(lambda: bound.cluster.writer not in ("", writer), "another writer")
        bound.until("select not pg_is_in_recovery()", "it answers")
        booked = bound.ask("select max(number) from entries")[0][0]
        bound.until(f"select max(number) > {booked} + 20 from entries", "it goes on")
        app.send_signal(signal.SIGTERM)
        said, _ = app.communicate(timeout=30)
    assert app.returncode == 0, said
    assert re.search(r"^[0-9:]+ no writer: ", said, re.M), said
    assert re.search(r" a writer again after [0-9.]+ s$", said, re.M), said
    assert re.search(r"reader \S+ has \d+$", said, re.M), said
    told = re.search(r"(\d+) entries were acknowledged, 0 of them are missing", said)
    assert told is not None, said
    assert bound.ask("select count(*), max(number) from entries") == [(int(told[1]), int(told[1]))], (
        "no gap, nothing twice"
    )
    bound.cluster.until(lambda: bound.cluster.status["writer"] == bound.cluster.writer, "the object names it")


@scenario
def test_the_application_without_its_secret_says_what_to_mount(lab: Lab, namespace: str) -> None:
    env = {**os.environ, "SERVICE_BINDING_ROOT": "/no/such/folder"}
    ended = subprocess.run([sys.executable, str(APP)], env=env, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert ended.stderr.strip() == (
        "/no/such/folder/ledger/uri is not there: mount the cluster's connection Secret at /no/such/folder/ledger"
    )


@scenario
def test_a_row_that_was_deleted_is_back_in_the_cluster_restored_to_a_second_before(lab: Lab, namespace: str) -> None:
    source = Bound(lab, namespace, name="source").ready()
    source.ask("create table shelf (what text); insert into shelf values ('kept'), ('deleted')")
    time.sleep(2)
    source.ask("delete from shelf where what = 'deleted'")
    at: datetime = source.ask("select clock_timestamp()")[0][0]
    time.sleep(2)
    source.ask("insert into shelf values ('later')")
    source.cluster.until(lambda: source.cluster.aws["LatestRestorableTime"] > at + SECOND, "that moment is restorable")
    age = datetime.now(at.tzinfo) - source.cluster.aws["LatestRestorableTime"]
    assert age < timedelta(minutes=5), "what is restorable is never older than that"

    def restored(name: str, moment: datetime) -> Bound:
        origin = {"clusterIdentifier": source.cluster.cluster, "time": moment.isoformat()}
        spec = {**DATABASES, "databaseName": None, "restoreFrom": origin, "credentials": {"managed": True}}
        return Bound(lab, namespace, spec, name=name)

    before, after = restored("before", at - SECOND), restored("after", at + SECOND)
    for found, rows in ((before, ["deleted", "kept"]), (after, ["kept"])):
        found.ready()
        # By the password of its own that AWS made for it.
        assert [row[0] for row in found.ask("select what from shelf order by what")] == rows
        assert found.data["password"] != source.data["password"]
    assert source.ask("select count(*) from shelf") == [(2,)]
