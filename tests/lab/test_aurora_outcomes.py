"""What a cluster achieves, on its object: failovers with cause and cost, replica lag, objectives, and what cannot be measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from bound import Bound
from declared import unharmed
from declared_cluster import DeclaredCluster
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab
OBJECTIVES = {"availability": "99.99", "failover": "60s", "replicaLag": "100ms", "connect": "2s", "queryP95": "1s"}


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab, same_process=False):
        yield


class Writer:
    """An application of its own that commits without end, and knows for how long it could not."""

    def __init__(self, bound: Bound, rate: float = 30) -> None:
        self.commits: list[float] = []
        self._uri, self._ca = bound.data["uri"], str(bound.mounted() / "ca.crt")
        self._pause, self._over = 1 / rate, threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _work(self) -> None:
        while not self._over.is_set():
            with (
                suppress(psycopg.Error),
                psycopg.connect(self._uri, sslrootcert=self._ca, connect_timeout=2, autocommit=True) as db,
            ):
                db.execute("create table if not exists felt (at timestamptz)")
                while not self._over.is_set():
                    db.execute("insert into felt values (now())")
                    self.commits.append(time.time())
                    time.sleep(self._pause)
            time.sleep(0.05)

    def felt(self, since: float) -> float:
        """The longest time between two commits since a moment."""
        found = [c for c in self.commits if c > since]
        return max(b - a for a, b in pairwise(found))


def proven(lab: Lab, namespace: str, readers: int, **spec: Any) -> Bound:
    spec = {"instances": {"readers": readers}, "objectives": OBJECTIVES, "probe": {"interval": "500ms"}, **spec}
    bound = Bound(lab, namespace, spec).ready()
    bound.until("select true", "it serves")
    return bound


def probing(cluster: DeclaredCluster) -> None:
    cluster.until(lambda: cluster.status.get("probe") == {"state": "Probing"}, "the database is asked")
    cluster.until(lambda: "lag" in cluster.status, "and says who it is and who follows")


def last(cluster: DeclaredCluster, before: int, *, explained: bool = True) -> dict[str, Any]:
    """The failover that is over and was not among so many, once its cause is known: AWS's events, which tell it, are read every ten seconds."""

    def over() -> bool:
        found = cluster.status.get("failovers", [])
        known = not explained or found[0]["cause"] != "Unknown"
        return len(found) > before and "finishedAt" in found[0] and known

    cluster.until(over, "a failover that is over")
    return dict(cluster.status["failovers"][0])


@scenario
def test_each_failover_is_told_with_its_cause_and_with_what_an_application_felt(lab: Lab, namespace: str) -> None:
    bound = proven(lab, namespace, 2)
    cluster = bound.cluster
    probing(cluster)
    with Writer(bound) as writer:
        cluster.until(lambda: len(writer.commits) > 50, "the application writes")
        for number, cause in enumerate(("Unknown", "User", "AWS")):
            old, began = cluster.writer, time.time()
            if cause == "Unknown":
                # The cut follows AWS's event by less than clocks may differ: who called for it is not known for sure.
                cluster.by_hand("failover_db_cluster")
            elif cause == "User":
                cluster.annotate("failover-to", "any")
            else:
                lab.aws.postgres("fault", cluster=cluster.cluster, kind="kill")
            cluster.until(lambda old=old: cluster.writer not in ("", old), "AWS has another writer")  # type: ignore[misc]
            described = time.time()
            cluster.until(lambda: cluster.status["writer"] == cluster.writer, "the object has it")
            assert time.time() - described < 10
            failover = last(cluster, number, explained=cause != "Unknown")
            commits = len(writer.commits)
            cluster.until(lambda n=commits: len(writer.commits) > n + 5, "the application writes again")  # type: ignore[misc]
            assert (failover["from"], failover["to"], failover["cause"]) == (old, cluster.writer, cause), (
                cluster.status["failovers"]
            )
            assert failover["measuredBy"] == "Probe"
            assert abs(failover["outageSeconds"] - writer.felt(began - 1)) < 1, (failover, writer.felt(began - 1))
            cluster.look().settled()
    assert len(cluster.told("FailoverStarted")) == len(cluster.told("FailoverFinished")) == 3
    for cause in ("for an unknown reason", "asked for by somebody", "because the writer was lost or maintained by AWS"):
        assert any(f"{cause}; no write was taken for" in told for told in cluster.told("FailoverFinished")), cause
    annotation = cluster.object["metadata"]["annotations"]["penstock.dev/last-failover"]
    failovers = cluster.status["failovers"]
    assert annotation.startswith(f"{failovers[0]['finishedAt']} {failovers[0]['from']} -> {failovers[0]['to']} AWS ")
    budget = cluster.status["availability"]
    assert budget["downSeconds"] == pytest.approx(sum(f["outageSeconds"] for f in failovers), abs=1)
    assert budget["budgetLeftSeconds"] == pytest.approx(259.2 - budget["downSeconds"], abs=0.1)
    judged = {o["name"]: o for o in cluster.status["objectives"]}
    assert judged["failover"]["met"] is True
    cluster.wait("ObjectivesMet", reason="ObjectivesReached")


@scenario
def test_replication_that_is_delayed_is_on_the_object_and_misses_its_objective(lab: Lab, namespace: str) -> None:
    bound = proven(lab, namespace, 1)
    cluster = bound.cluster
    with Writer(bound, 50):
        cluster.wait("ObjectivesMet", reason="ObjectivesReached")
        assert "lagMilliseconds" in cluster.status["members"][1]
        began = time.monotonic()
        lab.aws.postgres("fault", cluster=cluster.cluster, kind="delay", seconds=0.5)
        told = cluster.wait("ObjectivesMet", "False", reason="ObjectiveMissed")
        assert time.monotonic() - began < 20
    assert "objectives.replicaLag is missed: replica lag is 5" in told["message"]
    assert cluster.status["members"][1]["lagMilliseconds"] >= 450
    assert cluster.status["lag"] == f"{cluster.status['members'][1]['lagMilliseconds']}ms"
    assert cluster.told("ObjectiveMissed")


@scenario
def test_a_database_that_lets_nobody_in_is_not_down_and_says_what_to_do(lab: Lab, namespace: str) -> None:
    bound = proven(lab, namespace, 0, objectives={"availability": "99.9", "queryP95": "1s"})
    cluster = bound.cluster
    cluster.wait("ObjectivesMet", reason="ObjectivesReached")
    right = lab.aws.rds_password(cluster.cluster)
    uri, authorities = bound.data["uri"], str(bound.mounted() / "ca.crt")
    with psycopg.connect(uri, sslrootcert=authorities, autocommit=True) as db:
        db.execute("alter role postgres password 'another-one'")
        db.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'penstock-probe'")
        told = cluster.wait("ObjectivesMet", "Unknown", reason="ProbeFailing")
        assert "refuses the password" in told["message"]
        assert cluster.status["probe"]["state"] == "Failing"
        assert cluster.condition("Ready")["status"] == "True"
        assert "failovers" not in cluster.status
        db.execute(f"alter role postgres password '{right}'")
    cluster.wait("ObjectivesMet", reason="ObjectivesReached")
    assert cluster.status["availability"]["downSeconds"] < 5


@scenario
def test_a_shape_that_cannot_attain_its_objective_is_told_before_anything_is_made(lab: Lab, namespace: str) -> None:
    spec = {"instances": {"readers": 0}, "objectives": {"availability": "99.99", "failover": "60s"}}
    cluster = DeclaredCluster.small(lab, namespace, spec, annotations={"penstock.dev/mode": "Plan"})
    cluster.until(lambda: cluster.plan.get("notes"), "the plan says it")
    (note,) = cluster.plan["notes"]
    assert note.startswith("objectives.availability: 99.99 and objectives.failover: 60s cannot be attained without a")
    assert cluster.plan["steps"]
    assert cluster.wait("ObjectivesMet", "False", reason="ObjectiveUnreachable")["message"] == note
    assert not cluster.exists


def test_an_operator_that_is_killed_in_the_middle_of_a_failover_leaves_one_right_record(
    lab: Lab, namespace: str
) -> None:
    bound = proven(lab, namespace, 1)
    cluster = bound.cluster
    probing(cluster)
    old = cluster.writer
    lab.aws.postgres("fault", cluster=cluster.cluster, kind="kill")
    cluster.until(lambda: cluster.status.get("failovers"), "it is told that one began")
    pid = lab.kill_operator()
    lab.wait_operator(other_than=pid)
    failover = last(cluster, 0)
    cluster.look().settled()
    assert len(cluster.status["failovers"]) == 1
    assert (failover["from"], failover["to"], failover["cause"]) == (old, cluster.writer, "AWS")
    began, ended = (datetime.fromisoformat(failover[n]) for n in ("startedAt", "finishedAt"))
    assert (ended - began).total_seconds() >= failover["outageSeconds"] - 1.5
    assert ended <= datetime.now(UTC)
    assert len(cluster.told("FailoverFinished")) == 1


def test_a_database_that_slept_is_asked_again_so_that_its_next_failover_is_measured(lab: Lab, namespace: str) -> None:
    # Not beside the scenarios: two writers that die in one zone at the same moment are a loss of the zone.
    now, day = datetime.now(UTC), "{0.minute} {0.hour} * * *"
    asleep = {"schedule": day.format(now - timedelta(hours=1)), "wake": day.format(now + timedelta(hours=3))}
    bound = proven(lab, namespace, 1)
    cluster = bound.cluster

    def measured(number: int) -> None:
        probing(cluster)
        old = cluster.writer
        lab.aws.postgres("fault", cluster=cluster.cluster, kind="kill")
        failover = last(cluster, number)
        assert (failover["from"], failover["to"]) == (old, cluster.writer)
        assert failover["measuredBy"] == "Probe"
        assert failover["outageSeconds"] > 1
        assert cluster.status["availability"]["downSeconds"] > 1
        cluster.look().settled()

    probing(cluster)
    cluster.edit(hibernation=asleep)
    cluster.wait("Ready", "False", reason="Hibernating")
    cluster.until(lambda: cluster.status["probe"]["state"] == "Off", "nobody asks while it sleeps")
    cluster.annotate("wake", "30m")
    cluster.wait("Ready", "True", reason="Available")
    measured(0)
    cluster.edit(probe={"enabled": False})
    cluster.until(lambda: cluster.status["probe"]["message"] == "spec.probe.enabled is false.", "nobody asks")
    cluster.edit(probe={"interval": "500ms"})
    measured(1)
