"""Outcomes on the object: Ready and Stalled through a failover, figures that do not move by themselves, and Events told once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from aurora_world import NAME, settled, spec
from fake_kube import crd_schema, prune
from jsonschema import Draft202012Validator
from test_aurora_report import said

from penstock.api.meta import LAST_FAILOVER
from penstock.aurora import outcomes
from penstock.aurora.outcomes import Achieved, Seen
from penstock.aurora.plan import plan
from penstock.aurora.report import report
from penstock.aurora.watching import target
from penstock.engine import conditions
from penstock.engine.kind import Outcome, Report
from penstock.postgres.record import Ledger, Picture

SCHEMA = crd_schema("auroraclusters")["properties"]["status"]
ONE, TWO = f"{NAME}-1", f"{NAME}-2"
OBJECTIVES = {"availability": "99.99", "failover": "60s", "replicaLag": "100ms"}


@dataclass
class Life:
    """An object with a database that is asked. clock: seconds since it began."""

    operator: Any
    ledger: Ledger = field(default_factory=Ledger)
    memory: Achieved = field(default_factory=Achieved)
    clock: float = 0.0
    status: dict[str, Any] = field(default_factory=dict)
    lags: dict[str, float] = field(default_factory=lambda: {TWO: 0.01})
    connect: float | None = 0.012
    notes: list[str] = field(default_factory=list)
    writes: int = 0
    begin: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.begin = self.operator.now
        self.status = dict(self.operator.status)
        for second in range(20):
            self.ledger.success(second, self.begin + timedelta(seconds=second), ONE)
        self.clock = 20.0

    @property
    def now(self) -> datetime:
        return self.begin + timedelta(seconds=self.clock)

    def look(self, picture: Picture | None = None) -> Report:
        operator = self.operator
        operator.status = {
            k: v for k, v in self.status.items() if k not in ("conditions", "observedGeneration", "plan")
        }
        desired = replace(operator.desired, created_at=self.begin.isoformat())
        observed = replace(operator.observe(), read_at=self.now)
        found = picture or Picture(
            reached=True,
            outages=self.ledger.outages,
            serving=self.ledger.serving,
            uptime=self.ledger.uptime,
            lags=self.lags,
            found_down=self.ledger.found_down,
            connect=self.connect,
        )
        obj = {"status": self.status}
        first = report(obj, desired, Outcome(observed, plan(desired, observed, self.now)), self.now)
        told, _ = outcomes.added(first, obj, desired, observed, Seen(found, self.now, self.clock), self.memory)
        status = {
            **told.fields,
            "observedGeneration": operator.generation,
            "conditions": conditions.merge(
                self.status.get("conditions") or (), told.conditions, operator.generation, self.now
            ),
        }
        assert [e.message for e in Draft202012Validator(SCHEMA).iter_errors(status)] == []
        assert prune(status, SCHEMA) == status
        self.writes += status != self.status
        self.status = status
        self.notes += [n.reason for n in told.notes]
        return told

    def on_cluster(self, writer: str = ONE, **values: Any) -> None:
        world = self.operator.world
        members = tuple(replace(m, writer=m.identifier == writer) for m in world.cluster.members)
        cluster = replace(world.cluster, members=tuple(sorted(members, key=lambda m: not m.writer)), **values)
        self.operator.world = replace(world, cluster=cluster)


def alive(objectives: dict[str, str] | None = None) -> Life:
    operator = settled(objectives=objectives or OBJECTIVES)
    instances = {
        name: replace(i, zone=f"us-east-1{zone}")
        for (name, i), zone in zip(operator.world.instances.items(), "ab", strict=True)
    }
    operator.world = replace(operator.world, instances=instances)
    life = Life(operator)
    life.look()
    return life


def test_idle_looks_write_nothing_whatever_the_noise() -> None:
    life = alive()
    assert said(life.look())["ObjectivesMet"][:2] == (True, "ObjectivesReached")
    before = life.writes
    for n in range(100):
        life.clock += 2
        life.ledger.success(life.clock, life.now, ONE)
        life.lags = {TWO: 0.003 + 0.02 * (n % 7) / 7}
        life.look()
    assert life.writes == before
    assert life.status["lag"] == "10ms"
    assert life.status["members"][1]["lagMilliseconds"] == 10


def test_a_failover_from_the_cut_to_the_annotation() -> None:
    life = alive()
    life.clock = 30
    life.ledger.failure(29.5, 29.5, 30, life.now)
    told = life.look(Picture(reached=True, outages=life.ledger.outages, claimed=TWO, uptime=life.ledger.uptime))
    ready = said(told)["Ready"]
    assert ready[:2] == (False, "FailingOver")
    assert f"fails over from {ONE}" in ready[2]
    assert told.again <= 2
    life.on_cluster(TWO)
    life.clock = 33
    assert said(life.look())["Ready"][:2] == (False, "FailingOver"), "its endpoint does not lead to it yet"
    life.clock = 36
    life.ledger.success(36, life.now, TWO)
    told = life.look()
    life.clock = 49
    life.ledger.success(49, life.now, TWO)
    told = life.look()
    assert said(told)["Ready"][0] is True
    (failover,) = life.status["failovers"]
    assert (failover["from"], failover["to"], failover["outageSeconds"]) == (ONE, TWO, 6.5)
    assert life.notes.count("FailoverStarted") == life.notes.count("FailoverFinished") == 1
    assert "FailingOver" not in life.notes
    assert str(told.annotations[LAST_FAILOVER]).endswith(f"{ONE} -> {TWO} Unknown 6.5s")
    assert life.status["availability"]["downSeconds"] == 6.5
    judged = {o["name"]: o for o in life.status["objectives"]}
    assert (judged["failover"]["observed"], judged["failover"]["met"]) == ("6.5s", True)
    before = dict(life.status)
    life.look()
    assert life.status == before


def test_a_failover_that_does_not_end_is_stalled_after_its_limit_and_told_once() -> None:
    life = alive()
    life.on_cluster(status="failing-over")
    life.clock = 30
    life.ledger.failure(30, 30, 30, life.now)
    for seconds in range(0, 300, 10):
        life.clock = 30 + seconds
        stalled = said(life.look())["Stalled"]
        assert stalled[0] is (seconds > 120), seconds
        met = said(life.look())["ObjectivesMet"]
        assert (met[0], met[1]) == ((False, "ObjectiveMissed") if seconds > 60 else (True, "ObjectivesReached"))
    assert "does not end" in stalled[2]
    assert life.notes.count("FailoverStalled") == 1
    assert life.notes.count("FailoverStarted") == 1


def test_a_database_that_takes_no_write_is_not_said_to_serve_because_aws_says_so() -> None:
    life = alive()
    life.clock = 30
    life.ledger.failure(29.5, None, 30, life.now)

    def picture(problem: str = "") -> Picture:
        return Picture(reached=True, outages=life.ledger.outages, uptime=life.ledger.uptime, problem=problem)

    assert "serves" in said(life.look(picture()))["Ready"][2], "a blink is none"
    life.clock = 70
    ready = said(life.look(picture("The database at x:5432 does not answer.")))["Ready"]
    assert ready[:2] == (True, "Available")
    assert "no write taken since" in ready[2]
    assert ready[2].endswith("The database at x:5432 does not answer.")
    met = said(life.look(picture("The database at x:5432 does not answer.")))["ObjectivesMet"]
    assert met[:2] == (None, "ProbeFailing")
    assert met[2] == (
        "No write is taken since 2026-11-02T12:03:19Z, which counts against the availability; replicaLag cannot be measured: "
        "The database at x:5432 does not answer."
    )
    life.ledger.success(80, life.now, ONE)
    assert "serves" in said(life.look())["Ready"][2]


def test_what_is_measured_again_after_a_trouble_is_worth_a_look() -> None:
    life = alive({"queryP95": "1s"})
    desired = replace(life.operator.desired, created_at=life.begin.isoformat())

    def measured(**more: Any) -> Picture:
        return Picture(reached=True, uptime=life.ledger.uptime, serving=ONE, **more)

    life.look(measured(query=0.004))
    assert not outcomes.moves(desired, measured(query=0.004), life.memory, life.clock)
    life.look(measured(problem="The database refuses the password."))
    life.clock += 5
    assert said(life.look(measured()))["ObjectivesMet"][1] == "Measuring"
    life.clock += 5
    assert outcomes.moves(desired, measured(query=0.004), life.memory, life.clock)


def test_the_time_to_connect_is_told_without_an_objective_and_only_when_it_is_another_order() -> None:
    life = alive()
    assert life.status["connect"] == "12ms"
    writes = life.writes
    for life.connect in (0.02, 0.09, 0.005, None):
        life.clock += 2
        life.look()
    assert (life.writes, life.status["connect"]) == (writes, "12ms")
    life.connect = 0.4
    life.look()
    assert (life.writes, life.status["connect"]) == (writes + 1, "400ms")
    restarted(life)
    life.ledger.success(life.clock, life.now, ONE)
    life.connect = 0.3
    life.look()
    assert life.status["connect"] == "400ms", "a restart alone writes nothing"
    life.connect = 0.01
    life.look()
    assert life.status["connect"] == "10ms"
    life.connect = 0.3
    life.look()
    life.connect = 0.01
    life.look()
    assert life.status["connect"] == "300ms", "what falls may rise again"
    life.clock += 301
    life.ledger.success(life.clock, life.now, ONE)
    life.look()
    assert life.status["connect"] == "10ms"
    life.look(Picture(off="spec.probe.enabled is false."))
    assert "connect" not in life.status


def down(*clocks: float) -> Life:
    """A database that was cut off at 29.5, and looked at since."""
    life = alive()
    life.clock = 30
    life.ledger.failure(29.5, 29.5, 30, life.now)
    for clock in clocks:
        life.clock = clock
        life.look()
    return life


def restarted(life: Life) -> None:
    """The operator was killed, and another process has begun."""
    life.ledger, life.memory = Ledger(), Achieved()


def test_an_outage_that_ends_while_the_operator_is_away_is_charged_by_the_next_one() -> None:
    life = down(30, 36, 44)
    stood = life.status["availability"]
    assert (stood["downForSeconds"], stood["downSeconds"]) == (14.5, 14.5)
    restarted(life)
    life.clock = 55
    life.look()
    assert life.status["availability"] == stood, "nobody knows more yet"
    life.clock = 56
    life.ledger.success(56, life.now, ONE)
    life.look()
    over = life.status["availability"]
    assert "downSince" not in over
    assert over["downSeconds"] == 27, "the object has whole seconds, cut off"
    assert over["budgetLeftSeconds"] == 259.2 - 27
    life.clock = 60
    life.ledger.success(60, life.now, ONE)
    life.look()
    restarted(life)
    life.ledger.success(70, life.now, ONE)
    life.clock = 70
    life.look()
    assert life.status["availability"]["downSeconds"] == 27, "once"


def test_an_outage_that_goes_on_through_a_restart_counts_as_one() -> None:
    life = down(30, 36)
    restarted(life)
    for clock in (50, 400, 800):
        life.clock = clock
        life.ledger.failure(clock - 1, None, clock, life.now)
        life.look()
        assert life.status["availability"]["downForSeconds"] == clock - 29
    life.clock = 900
    life.ledger.success(900, life.now, ONE)
    life.look()
    over = life.status["availability"]
    assert (over["downSeconds"], "downSince" in over) == (871, False)


def test_an_outage_of_what_nobody_asks_any_more_is_charged_as_far_as_it_was_seen() -> None:
    life = down(30, 36)
    restarted(life)
    life.clock = 500
    life.look(Picture(off="spec.probe.enabled is false."))
    over = life.status["availability"]
    assert (over["downSeconds"], "downSince" in over) == (6.5, False)


def test_what_cannot_be_asked_says_why_and_changes_nothing_else() -> None:
    life = alive()
    life.look()
    told = life.look(Picture(problem="The database refuses the password.", reached=True, uptime=life.ledger.uptime))
    assert said(told)["ObjectivesMet"][:2] == (None, "ProbeFailing")
    assert said(told)["Ready"][0] is True
    assert life.status["probe"] == {"state": "Failing", "message": "The database refuses the password."}


def test_who_is_asked() -> None:
    operator = settled()
    desired, observed = operator.desired, operator.observe()
    cluster = observed.cluster
    assert "is stopped" in str(target(desired, observed, replace(cluster, status="stopped")))
    assert "no database yet" in str(target(desired, observed, None))
    serverless = {"class": "db.serverless", "readers": 1}
    pausing = {"serverless": {"minCapacity": 0, "maxCapacity": 2, "autoPause": "10m"}}
    operator.wanted = spec(instances={**serverless, **pausing})
    assert "keep the cluster from pausing" in str(target(operator.desired, observed, cluster))
    operator.wanted = spec(instances={**serverless, **pausing}, probe={"enabled": True})
    assert "pausing" not in str(target(operator.desired, observed, cluster))
    operator.wanted = spec(probe={"enabled": False})
    assert target(operator.desired, observed, cluster) == "spec.probe.enabled is false."
    operator.wanted = spec(engine={"type": "AuroraMySQL", "version": "8.0"})
    assert "MySQL" in str(target(operator.desired, observed, cluster))
