"""The annotation penstock.dev/failover-to: which requests are carried out, which are refused in which words, and what a crash leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aurora_world import MONDAY, NAME, OWNER, Operator, spec

from penstock.api.auroracluster_status import FailoverRequest
from penstock.api.meta import OWNER_TAG
from penstock.aurora import handover
from penstock.aurora.plan import plan
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import Cluster, Instance, Member
from penstock.engine.plan import When

ONE, TWO, THREE = (f"{NAME}-{n}" for n in (1, 2, 3))


def cluster(*members: Member, status: str = "available") -> Cluster:
    found = members or (
        Member(ONE, writer=True),
        Member(TWO, writer=False, tier=1),
        Member(THREE, writer=False, tier=0),
    )
    return Cluster(
        NAME, resource_id="cluster-1", status=status, engine="aurora-postgresql", version="15.10", members=found,
        tags={OWNER_TAG: OWNER},
    )  # fmt: skip


def seen(found: Cluster | None = None, **states: str) -> Observed:
    """states: by the number in the instance's name."""
    found = found or cluster()
    named = {m.identifier: "available" for m in found.members} | {f"{NAME}-{n[1:]}": s for n, s in states.items()}
    instances = {n: Instance(n, status=s, instance_class="db.t4g.medium") for n, s in named.items()}
    return Observed(found, instances)


def asking(value: str, *, request: dict[str, Any] | None = None, **fields: Any) -> Desired:
    found = Operator(spec(instances={"class": "db.t4g.medium", "readers": 2})).desired
    status = found.status
    if request is not None:
        parsed = FailoverRequest.model_validate({"message": "AWS is asked.", "at": MONDAY.isoformat(), **request})
        status = status.model_copy(update={"last_failover_to": request["value"], "failover_request": parsed})
    return replace(found, failover_to=value, status=status, **fields)


def targets(desired: Desired, observed: Observed, later: timedelta = timedelta(0)) -> list[str]:
    steps = plan(desired, observed, MONDAY + later).steps
    return [
        s.parameters["TargetDBInstanceIdentifier"]
        for s in steps
        if s.operation == "FailoverDBCluster" and s.when is When.NOW
    ]


@pytest.mark.parametrize(
    ("value", "observed", "to"),
    [
        ("any", seen(), THREE),
        ("Any", seen(), THREE),
        ("any@2026-11-01", seen(), THREE),
        ("any", seen(_3="rebooting"), TWO),
        (TWO, seen(), TWO),
        (f"{TWO}@again", seen(), TWO),
        (TWO.upper(), seen(), TWO),
        (TWO, seen(_1="rebooting"), TWO),
    ],
)
def test_a_request_is_one_step_with_a_target_and_an_intent(value: str, observed: Observed, to: str) -> None:
    steps = plan(asking(value), observed, MONDAY).steps
    (step,) = (s for s in steps if s.when is When.NOW)
    assert step.parameters == {"DBClusterIdentifier": NAME, "TargetDBInstanceIdentifier": to}
    assert step.summary == f"fail over from {ONE} to {to}, as the annotation asks"
    assert step.intent is not None
    assert step.intent["lastFailoverTo"] == value
    assert step.intent["failoverRequest"] == {
        "value": value,
        "result": "Asked",
        "from": ONE,
        "to": to,
        "message": f"AWS is asked to fail over from {ONE} to {to}.",
        "at": "2026-11-02T12:00:00Z",
    }
    assert handover.answer(asking(value), observed, MONDAY) is None


@pytest.mark.parametrize(
    ("value", "observed", "words"),
    [
        ("any", seen(cluster(Member(ONE, writer=True))), "has no reader that could take over; spec.instances.readers: 1 adds one"),
        ("any", seen(_2="creating", _3="rebooting"), f"has no reader that is available: {TWO} is creating, {THREE} is rebooting"),
        (ONE, seen(), f"{ONE} is the writer already; the readers are {TWO}, {THREE}"),
        ("other-1", seen(), f"other-1 is no instance of cluster {NAME}; its readers are {TWO}, {THREE}"),
        (TWO, seen(_2="rebooting"), f"Reader {TWO} is rebooting, and AWS fails over only to one that is available"),
        ("any", seen(cluster(status="modifying")), "is modifying, and AWS fails over only what is available"),
        ("any", seen(cluster(status="stopped")), "is stopped, and AWS"),
        ("any", seen(cluster(status="failing-over")), "is failing-over, and AWS"),
        ("any", seen(cluster(Member(ONE, writer=False), Member(TWO, writer=False))), "has no writer at the moment"),
        ("@now", seen(), f"names no instance: write one of {TWO}, {THREE}, or any"),
        ("any", replace(seen(), drill="weekly"), f"FailoverDrill weekly runs on cluster {NAME}, and fails it over itself"),
        ("any", Observed(), f"There is no cluster {NAME} yet"),
        ("any", seen(replace(cluster(), tags={})), f"Cluster {NAME} is not managed by this object"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_now_is_refused_once_in_words_that_help(value: str, observed: Observed, words: str) -> None:
    desired = asking(value)
    assert not targets(desired, observed)
    answer = handover.answer(desired, observed, MONDAY)
    assert answer is not None
    request = answer.fields["failoverRequest"]
    assert words in request["message"]
    assert request["message"].endswith("@2.")
    assert (request["result"], answer.fields["lastFailoverTo"]) == ("Refused", value)
    assert answer.warning == ("FailoverRefused", request["message"])
    told = replace(desired, status=desired.status.model_copy(update={"last_failover_to": value}))
    assert handover.answer(told, seen(), MONDAY) is None
    assert not targets(told, seen()), "what was refused is not made up for"


@pytest.mark.parametrize("mode", ["Plan", "Observe"])
def test_where_nothing_may_be_done_nothing_is_answered(mode: str) -> None:
    assert handover.answer(asking(ONE, mode=mode), seen(), MONDAY) is None
    refused = plan(asking(ONE, mode=mode), seen(), MONDAY).refusals
    assert [r.reason for r in refused] == (["FailoverRefused"] if mode == "Plan" else [])
    assert targets(asking(TWO, mode=mode), seen()) == [TWO], "it is shown, and the loop runs no plan"


ASKED = {"value": "any", "result": "Asked", "from": ONE, "to": TWO}
MOVED = cluster(Member(TWO, writer=True), Member(ONE, writer=False), Member(THREE, writer=False))


@pytest.mark.parametrize(
    ("observed", "later", "sent", "result"),
    [
        # Killed between the intent and the call: it is sent, to the very instance that was noted, though another comes first.
        (seen(), 1, [TWO], None),
        (seen(_2="rebooting"), 1, [], None),
        (seen(cluster(status="failing-over")), 1, [], None),
        (seen(MOVED), 1, [], "Done"),
        (seen(cluster(Member(THREE, writer=True), Member(ONE, writer=False))), 1, [], "Done"),
        (seen(), 301, [], "Failed"),
        (seen(cluster(status="failing-over")), 301, [], "Failed"),
    ],
)
def test_what_a_crash_leaves_is_carried_on_and_never_done_twice(
    observed: Observed, later: float, sent: list[str], result: str | None
) -> None:
    desired = asking("any", request=ASKED)
    assert targets(desired, observed, timedelta(seconds=later)) == sent
    answer = handover.answer(desired, observed, MONDAY + timedelta(seconds=later))
    assert (None if answer is None else answer.fields["failoverRequest"]["result"]) == result
    if answer is not None:
        assert answer.fields["failoverRequest"]["at"] == "2026-11-02T12:00:00Z"
        assert (answer.warning is not None) == (result == "Failed")


def test_a_step_that_is_sent_again_keeps_what_was_written_before_it() -> None:
    desired = asking("any", request=ASKED)
    (step,) = (s for s in plan(desired, seen(), MONDAY + timedelta(minutes=1)).steps if s.when is When.NOW)
    assert step.intent is not None
    assert step.intent["failoverRequest"]["at"] == "2026-11-02T12:00:00Z"


def test_it_waits_for_no_window_and_the_rest_waits_for_it() -> None:
    desired = replace(
        asking("any"), spec=Operator(spec(instances={"class": "db.r6g.large", "readers": 2})).desired.spec
    )
    found = plan(desired, seen(), MONDAY)
    now = [s.operation for s in found.steps if s.when is When.NOW]
    assert now == ["FailoverDBCluster"]
    assert len(found.steps) > 1
    assert any("class" in s.summary for s in found.steps)
