"""What an AuroraCluster says: the right condition, a sentence that helps, and nothing that moves by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from aurora_model import World
from aurora_world import NAME, TICK, Operator, settled, spec
from fake_kube import crd_schema, prune
from jsonschema import Draft202012Validator

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.aurora.kind import parse_status
from penstock.aurora.ownership import claim
from penstock.aurora.plan import plan
from penstock.aurora.report import report
from penstock.aurora.state import Binding, Observed, Password, Proof, Stand
from penstock.engine import conditions
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.events import Note
from penstock.engine.kind import Outcome, Report
from penstock.engine.plan import Plan, Refusal

SCHEMA = crd_schema("auroraclusters")["properties"]["status"]
VALIDATOR = Draft202012Validator(SCHEMA)
ONE, TWO = f"{NAME}-1", f"{NAME}-2"
THROTTLED = Trouble(Meaning.THROTTLED, Reason.THROTTLED, "AWS throttles rds:DescribeDBClusters.")


@dataclass
class Told:
    """An object whose status is kept as the loop keeps it. writes: how often it changed."""

    operator: Operator
    status: dict[str, Any] = field(default_factory=dict)
    writes: int = 0

    def look(self, trouble: Trouble | None = None, *, seen: bool = True, **changed: Any) -> Report:
        """One report without acting. seen: whether AWS could be read. changed: fields of what was observed."""
        operator = self.operator
        operator.status = {
            k: v for k, v in self.status.items() if k not in ("conditions", "observedGeneration", "plan")
        }
        desired = operator.desired
        observed = replace(operator.observe(), **changed)
        found = plan(desired, observed, operator.now) if seen else Plan()
        outcome: Outcome[Observed] = Outcome(observed if seen else None, found, trouble)
        return self.keep(report({"status": self.status}, desired, outcome, operator.now))

    def keep(self, told: Report) -> Report:
        status = {
            **told.fields,
            "observedGeneration": self.operator.generation,
            "conditions": conditions.merge(
                self.status.get("conditions") or (), told.conditions, self.operator.generation, self.operator.now
            ),
        }
        assert [e.message for e in VALIDATOR.iter_errors(status)] == []
        assert prune(status, SCHEMA) == status, "the API server would drop what is not in the schema"
        self.writes += status != self.status
        self.status = status
        return told

    def on_cluster(self, **values: Any) -> None:
        world = self.operator.world
        assert world.cluster is not None
        self.operator.world = replace(world, cluster=replace(world.cluster, **values))

    def on_instance(self, name: str, **values: Any) -> None:
        world = self.operator.world
        changed = replace(world.instances[name], **values)
        self.operator.world = replace(world, instances={**world.instances, name: changed})


def said(told: Report) -> dict[str, tuple[bool | None, str, str]]:
    return {str(c.type): (c.status, str(c.reason), c.message) for c in told.conditions}


def serving(**fields: Any) -> Told:
    """An object that is Ready and in sync."""
    told = Told(settled(**fields))
    told.status = dict(told.operator.status)
    found = said(told.look())
    assert found["Ready"] == (True, "Available", f"Cluster {NAME} serves; its writer is {ONE}.")
    assert found["Synced"] == (True, "InSync", "AWS is as the spec says.")
    return told


# The life of a cluster


def test_a_cluster_becomes_ready_once_and_says_little_on_the_way() -> None:
    told = Told(Operator())
    reasons = []
    for _ in range(40):
        told.operator.status = {k: v for k, v in told.status.items() if k not in ("conditions", "plan")}
        told.operator.status.pop("observedGeneration", None)
        told.operator.one_pass()
        reasons.append(said(told.look())["Ready"][:2])
        told.operator.time()
    assert set(reasons) == {(False, "Creating"), (True, "Available")}
    assert reasons == sorted(reasons, key=lambda r: bool(r[0])), "once Ready, always Ready"
    # The finalizer and one Event come on top: six Kubernetes requests are the bound.
    assert told.writes <= 4


def test_the_connection_secret_is_no_change_of_aws_and_stands_in_no_plan_that_is_told() -> None:
    told = serving()
    due = Binding(Stand.ABSENT, ("password",), proof=Proof(True))
    found = plan(told.operator.desired, replace(told.operator.observe(), binding=due), told.operator.now)
    assert [s.summary for s in found.runnable] == ["hand out connection Secret ledger-binding"]
    report = told.look(binding=due)
    assert "plan" not in told.status
    assert said(report)["Synced"][:2] == (True, "InSync")
    assert report.again == 1.0, "what was not done is done soon all the same"
    told.operator.change(instances={"class": "db.r6g.large", "readers": 1}, maintenance={"apply": "Immediately"})
    told.look(binding=due)
    summaries = [s["summary"] for s in told.status["plan"]["steps"]]
    assert summaries
    assert not [s for s in summaries if "Secret" in s]


def test_an_idle_cluster_is_written_no_more() -> None:
    told = serving()
    told.writes = 0
    for _ in range(50):
        told.operator.now += TICK
        latest = told.operator.now - timedelta(minutes=4)
        told.on_cluster(earliest_restorable=told.operator.now - timedelta(days=1), latest_restorable=latest)
        told.look(since=told.operator.now, age=3.0)
    assert told.writes == 1, "the restorable window, once"


def test_the_restorable_window_is_told_anew_after_hours() -> None:
    told = serving()
    begin = told.operator.now
    for hours in (0, 5, 7):
        told.operator.now = begin + timedelta(hours=hours)
        told.on_cluster(earliest_restorable=begin - timedelta(days=1), latest_restorable=told.operator.now)
        told.look()
        assert told.status["restorable"]["latest"] == conditions.timestamp(begin + timedelta(hours=hours // 6 * 7))


def test_a_failover_that_nobody_asked_for() -> None:
    told = serving()
    told.on_cluster(status="failing-over")
    found = said(told.look(since=told.operator.now))
    assert found["Ready"][:2] == (False, "FailingOver")
    since = conditions.timestamp(told.operator.now)
    assert told.status["transition"] == {"state": "failing-over", "since": since, "usual": "1m"}
    cluster = told.operator.world.cluster
    assert cluster is not None
    members = tuple(replace(m, writer=m.identifier == TWO) for m in cluster.members)
    told.on_cluster(status="available", members=tuple(sorted(members, key=lambda m: not m.writer)))
    told.on_instance(ONE, status="rebooting")
    report_ = told.look()
    # It serves, so it is Ready, although the old writer is not back yet.
    assert said(report_)["Ready"] == (True, "Degraded", f"Cluster {NAME} serves, but reader {ONE} is rebooting.")
    assert told.status["writer"] == TWO
    assert [m["role"] for m in told.status["members"]] == ["Writer", "Reader"]
    assert told.look().notes == (), "an Event is told once"


@pytest.mark.parametrize(
    ("values", "reason", "words"),
    [
        ({"status": "upgrading"}, "Upgrading", "being upgraded"),
        ({"status": "stopping"}, "Stopping", "stopping"),
        ({"status": "starting"}, "Starting", "starting"),
        ({"members": ()}, "FailingOver", "has no instance yet"),
        ({"status": "inaccessible-encryption-credentials"}, "Degraded", "KMS key"),
    ],
)
def test_what_does_not_serve(values: dict[str, Any], reason: str, words: str) -> None:
    told = serving()
    told.on_cluster(**values)
    ready = said(told.look())["Ready"]
    assert ready[0] is False
    if reason != "FailingOver":
        assert ready[1] == reason
    assert words in ready[2]


@pytest.mark.parametrize("state", ["backing-up", "modifying", "maintenance", "configuring-log-exports"])
def test_what_serves_on(state: str) -> None:
    told = serving()
    told.on_cluster(status=state)
    told.on_instance(ONE, status=state)
    found = said(told.look())
    assert found["Ready"][:2] == (True, "Available"), found["Ready"]
    assert found["Synced"][0] is False


def test_a_stopped_cluster_says_who_wanted_it_and_is_no_warning() -> None:
    told = serving()
    told.operator.change(stopped=True)
    told.on_cluster(status="stopped")
    for name in (ONE, TWO):
        told.on_instance(name, status="stopped")
    found = told.look()
    assert said(found)["Ready"] == (
        False,
        "Stopped",
        f"Cluster {NAME} is stopped, as spec.stopped says; set spec.stopped: false to start it.",
    )
    assert found.notes == ()
    assert told.status["stoppedAt"] == conditions.timestamp(told.operator.now)
    first = told.status["stoppedAt"]
    told.operator.now += timedelta(days=1)
    told.look()
    assert told.status["stoppedAt"] == first


def test_a_transition_that_is_slower_than_usual_says_so_and_keeps_its_beginning() -> None:
    told = serving()
    begin = told.operator.now
    told.on_cluster(status="upgrading")
    told.look(since=begin)
    told.operator.now += timedelta(minutes=31)
    # Another process has seen it for a minute only.
    found = said(told.look(since=begin))
    assert found["Synced"][1] == "SlowerThanUsual"
    assert "30 min" in found["Synced"][2]
    told.look(since=told.operator.now)
    assert told.status["transition"]["since"] == conditions.timestamp(begin)


# What cannot be read


def test_what_served_serves_on_when_aws_cannot_be_asked() -> None:
    told = serving()
    found = said(told.look(THROTTLED, seen=False))
    assert found["Ready"] == (True, "Available", f"Cluster {NAME} serves; its writer is {ONE}.")
    assert found["Synced"] == (False, "Throttled", THROTTLED.sentence)
    assert told.status["writer"] == ONE


def test_old_knowledge_is_told_without_a_clock_in_it() -> None:
    told = serving()
    told.writes = 0
    last = told.operator.now
    for minutes in range(2, 30):
        told.operator.now = last + timedelta(minutes=minutes)
        found = said(told.look(age=minutes * 60.0))
        assert found["Synced"][:2] == (None, "ObservationStale")
        assert f"{last:%H:%M} UTC" in found["Synced"][2]
    assert told.writes == 1


# Others


def test_somebody_elses_cluster_gives_nothing_away() -> None:
    told = Told(Operator(world=settled().world))
    told.on_cluster(tags={})
    found = said(told.look())
    assert found["Ready"][:2] == (False, "AlreadyExists")
    assert found["Stalled"][:2] == (True, "AlreadyExists")
    assert "clusterArn" not in told.status


def test_adoption_takes_over_the_instances_that_are_there() -> None:
    theirs = settled().world
    assert theirs.cluster is not None
    bare = replace(
        theirs,
        cluster=replace(theirs.cluster, tags={}),
        instances={n: replace(i, tags={}) for n, i in theirs.instances.items()},
    )
    told = Told(Operator(spec(adopt=True), world=bare))
    told.look()
    assert told.status["managed"]["instances"] == [ONE, TWO]
    assert "resourceId" not in told.status, "the id is a claim, and the cluster is not marked yet"
    told.on_cluster(tags={OWNER_TAG: told.operator.desired.owner})
    told.look()
    assert told.status["resourceId"] == theirs.cluster.resource_id


def test_an_adopted_cluster_is_ready_while_its_changes_wait() -> None:
    told = Told(Operator(spec(adopt=True, parameters={"log_min_duration_statement": "500"})))
    made = settled()
    told.operator.world = made.world
    told.on_cluster(created=told.operator.now - timedelta(days=1), tags={})
    assert said(told.look())["Ready"][0] is False, "it is taken over first"
    told.on_cluster(tags={OWNER_TAG: told.operator.desired.owner})
    found = said(told.look())
    assert found["Ready"][:2] == (True, "Available"), found["Ready"]
    assert found["Synced"][0] is False


@pytest.mark.parametrize("mode", ["Plan", "Observe"])
def test_a_takeover_that_is_only_looked_at_leaves_no_claim(mode: str) -> None:
    # Else the same object without adopt, in no mode, would own somebody's cluster, and delete it.
    operator = Operator(spec(adopt=True), world=settled().world)
    desired, observed = replace(operator.desired, mode=mode), operator.observe()
    assert observed.cluster is not None
    observed = replace(observed, cluster=replace(observed.cluster, tags={}))
    found = plan(desired, observed, operator.now)
    told = report({"status": {}}, desired, Outcome(observed, found), operator.now)
    assert told.fields["clusterIdentifier"] == NAME
    assert "resourceId" not in told.fields
    later = Operator(spec(), world=operator.world)
    status = parse_status(dict(told.fields))
    assert isinstance(claim(replace(later.desired, status=status), observed), Refusal)


def test_an_instance_of_somebody_else_is_named_and_not_managed() -> None:
    told = serving(instances={"class": "db.t4g.medium"})
    other = replace(told.operator.world.instances[ONE], identifier="report-1", tags={})
    cluster = told.operator.world.cluster
    assert cluster is not None
    member = replace(cluster.members[0], identifier="report-1", writer=False)
    told.operator.world = replace(
        told.operator.world,
        instances={**told.operator.world.instances, "report-1": other},
        cluster=replace(cluster, members=(*cluster.members, member)),
    )
    found = said(told.look())
    assert found["Synced"] == (
        True,
        "InSync",
        "AWS is as the spec says; so is instance report-1, which somebody else made.",
    )
    assert "report-1" not in told.status["managed"]["instances"]
    assert "ordinal" not in told.status["members"][-1]


# Fields


def test_pending_values_are_text_and_no_secret() -> None:
    told = serving()
    told.on_cluster(pending={"MasterUserPassword": "hunter-hunter-2", "EngineVersion": "15.12", "Port": 6000})
    told.on_instance(TWO, pending={"DBInstanceClass": "db.r6g.large"})
    told.look()
    assert told.status["pending"] == {
        "EngineVersion": "15.12",
        "MasterUserPassword": "(not shown)",
        "Port": "6000",
        f"{TWO}/DBInstanceClass": "db.r6g.large",
    }
    assert "hunter" not in json.dumps(told.status)


def test_the_version_of_the_secret_is_told_once_aws_has_its_password() -> None:
    told = serving(credentials={"passwordSecretRef": {"name": "master"}})
    assert told.look().again <= 20, "a Secret that changes must be seen"
    told.look(password=Password("u/2", same=True))
    assert told.status["credentials"]["secretVersion"] == "u/2"
    told.look(password=Password("u/3", same=False))
    assert told.status["credentials"]["secretVersion"] == "u/2"


def test_parameter_status_is_the_one_that_waits_longest() -> None:
    told = serving()
    told.on_instance(TWO, parameter_apply_status="pending-reboot")
    told.look()
    assert [m.get("parameterStatus") for m in told.status["members"]] == ["in-sync", "pending-reboot"]


def test_what_the_report_does_not_know_stays() -> None:
    told = serving()
    kept = {
        "failovers": [{"startedAt": "2026-11-01T00:00:00Z", "from": ONE, "to": TWO}],
        "finalSnapshot": {"identifier": "final"},
        "lag": "12ms",
        "lastReconcileAt": "7",
    }
    told.status |= kept
    told.look()
    assert {k: told.status[k] for k in kept} == kept


def test_what_was_managed_is_remembered_while_it_is_there() -> None:
    told = serving(tags={"team": "shop"}, logs=["postgresql"])
    told.operator.change(tags=None, logs=None)
    told.look()
    assert told.status["managed"]["tags"] == ["team"]
    assert told.status["managed"]["logs"] == ["postgresql"]
    told.on_cluster(tags={OWNER_TAG: told.operator.owner}, log_exports=())
    told.look()
    assert not {"tags", "logs"} & set(told.status["managed"])


@pytest.mark.parametrize(
    ("minutes", "objective", "word"),
    [(4, None, True), (14, None, True), (16, None, False), (30, "1h", True), (80, "1h", False)],
)
def test_recoverable_by_the_objective(minutes: int, objective: str | None, word: bool) -> None:
    told = serving(objectives={"recoveryPoint": objective} if objective else None)
    now = told.operator.now
    told.on_cluster(earliest_restorable=now - timedelta(days=2), latest_restorable=now - timedelta(minutes=minutes))
    assert said(told.look())["Recoverable"][0] is word


def test_a_restore_point_that_never_moved_is_an_emulators() -> None:
    told = serving()
    old = told.operator.now - timedelta(days=2)
    told.on_cluster(earliest_restorable=old, latest_restorable=old)
    assert said(told.look())["Recoverable"][0] is True


def test_deleting_keeps_the_snapshots_name() -> None:
    told = serving()
    told.operator.absent = True
    told.operator.world = World()
    told.status["finalSnapshot"] = {"identifier": "final"}
    found = said(told.look())
    assert found["Ready"][:2] == (False, "Deleting")
    assert told.status["finalSnapshot"] == {"identifier": "final"}
    assert "Recoverable" not in found


def test_a_trouble_is_an_event_with_its_operation() -> None:
    denied = Trouble(
        Meaning.DENIED, Reason.ACCESS_DENIED, "AWS denies rds:ModifyDBCluster.", operation="ModifyDBCluster"
    )
    found = serving().look(denied)
    assert Note(Reason.ACCESS_DENIED, denied.sentence, warning=True, action="ModifyDBCluster") in found.notes
    assert said(found)["Stalled"][:2] == (True, "AccessDenied")
