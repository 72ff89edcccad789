"""The loop: what holds for every kind, whatever the kind does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from engine_harness import Bench, Things, Wish, failing, killed, operating
from fake_kube import Cluster, merge_patch
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import elapsed, virtual

from penstock.api.conditions import Reason
from penstock.api.meta import FINALIZER
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kube import KubeError, Resource
from penstock.engine.loop import SOON, merge_difference
from penstock.engine.plan import Plan, Step, Wait
from penstock.engine.queue import Priority


def throttled() -> Trouble:
    return Trouble(Meaning.THROTTLED, Reason.THROTTLED, "AWS throttles; the operator slows down.")


def denied() -> Trouble:
    return Trouble(Meaning.DENIED, Reason.ACCESS_DENIED, "AWS denies it: allow it.")


# The ordinary life of an object


@virtual
async def test_an_object_is_made_told_and_left_alone() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        assert things.world == {"a": "one"}
        assert bench.ready("a")
        obj = bench.get("a")
        assert obj["status"]["observedGeneration"] == 1
        assert obj["status"]["value"] == "one"
        assert obj["metadata"]["finalizers"] == [FINALIZER]
        assert bench.events("Setting") == ["set a."]
        written = len(bench.kube.writes)
        await asyncio.sleep(7200)
        assert len(bench.kube.writes) == written, "an idle operator makes no Kubernetes writes"
        assert 20 <= things.did("observe") <= 30, "and looks every five minutes"


@virtual
async def test_the_finalizer_is_there_before_the_first_write_to_aws() -> None:
    things = Things()
    bench = Bench([things])

    def check(what: str, name: str) -> None:
        if what == "act":
            assert FINALIZER in bench.get(name)["metadata"]["finalizers"]

    things.hook = check
    async with operating(bench):
        bench.create("a", finalizers=["somebody/else"])
        await asyncio.sleep(2)
    assert bench.ready("a")
    assert bench.get("a")["metadata"]["finalizers"] == ["somebody/else", FINALIZER]


@virtual
async def test_a_finalizer_that_was_taken_away_comes_back_though_there_is_nothing_to_do() -> None:
    things = Things()
    bench = Bench([things])
    async with operating(bench):
        bench.create("a")
        await asyncio.sleep(2)
        acts = things.did("act")
        bench.edit("a", lambda obj: obj["metadata"].update(finalizers=[]))
        await asyncio.sleep(2)
    assert things.did("act") == acts
    assert bench.get("a")["metadata"]["finalizers"] == [FINALIZER]


@virtual
async def test_what_was_made_is_taken_down_before_the_object_goes() -> None:
    things = Things()
    bench = Bench([things])
    async with operating(bench):
        bench.create("a", finalizers=["somebody/else"])
        await asyncio.sleep(2)
        bench.delete("a")
        await asyncio.sleep(0.1)
        assert bench.exists("a")
        await asyncio.sleep(2)
        assert things.world == {}
        assert bench.get("a")["metadata"]["finalizers"] == ["somebody/else"], "only ours is ours to remove"
        bench.edit("a", lambda obj: obj["metadata"].update(finalizers=[]))
        await asyncio.sleep(1)
        assert things.forgotten[-1].name == "a"
        assert len(bench.loop.store) == 0
        assert len(bench.loop.queue) == 0


@virtual
async def test_the_finalizer_stays_until_aws_says_that_it_is_gone() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        failing(things, "Remove", denied())
        bench.delete("a")
        await asyncio.sleep(3600)
        assert bench.exists("a")
        assert things.world == {"a": "one"}
        assert bench.condition("a")[1] == "AccessDenied"
        things.hook = lambda what, name: None
        await asyncio.sleep(400)
        assert not bench.exists("a")


@virtual
async def test_an_object_without_our_finalizer_is_let_go_without_a_look() -> None:
    things = Things({"a": "somebody's"})
    async with operating(Bench([things])) as bench:
        bench.create("a", finalizers=["somebody/else"], deletionTimestamp="x")
        bench.delete("a")
        await asyncio.sleep(5)
        assert things.did("Remove") == 0
        assert things.world == {"a": "somebody's"}


@pytest.mark.parametrize("status", [404, 409])
def test_an_object_that_went_before_it_got_its_finalizer_makes_nothing(status: int) -> None:
    """Otherwise what is made would be an orphan: nobody is left whose deletion takes it down."""

    @virtual
    async def scenario() -> None:
        things = Things()
        bench = Bench([things])
        bench.create("a")
        await asyncio.sleep(0.1)
        bench.deaf = True
        if status == 404:
            bench.delete("a")
        else:
            bench.edit("a", lambda obj: obj["metadata"].update(labels={"x": "y"}))
            fails = iter([True])

            def conflict(verb: str, resource: Resource, name: str) -> None:
                if verb == "PATCH" and next(fails, False):
                    raise KubeError(409, "Conflict", "the object has been modified")

            bench.kube.faults.append(conflict)
        async with operating(bench):
            await asyncio.sleep(0.5)
            assert things.did("act") == 0
            await asyncio.sleep(5)
        assert things.did("act") == (0 if status == 404 else 1)

    scenario()


@virtual
async def test_an_edit_is_acted_on_at_once() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(100)
        bench.set_spec("a", value="two")
        await asyncio.sleep(1)
        assert things.world == {"a": "two"}
        assert bench.get("a")["status"]["observedGeneration"] == 2


@virtual
async def test_an_edit_during_a_pass_is_seen_by_the_next_pass() -> None:
    things = Things(takes=5)
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(7)
        bench.set_spec("a", value="two")
        await asyncio.sleep(40)
        assert things.world == {"a": "two"}
        assert bench.ready("a")


@virtual
async def test_an_intent_is_on_the_object_before_the_step_runs() -> None:
    things = Things()
    bench = Bench([things])

    def check(what: str, name: str) -> None:
        if what == "Set":
            assert bench.get(name)["status"]["intends"] == "one"

    things.hook = check
    async with operating(bench):
        bench.create("a")
        await asyncio.sleep(2)
    assert things.did("Set") == 1


# Modes


@virtual
async def test_plan_shows_the_plan_and_runs_none_of_it() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a", annotations={"penstock.dev/mode": "Plan"})
        await asyncio.sleep(600)
        assert things.did("act") == 0
        assert "finalizers" not in bench.get("a")["metadata"]
        status = bench.get("a")["status"]
        assert status["plan"]["steps"][0]["summary"] == "set a"
        assert bench.condition("a", "Synced")[:2] == ("False", "Planned")
        assert "1 step planned and not run" in bench.condition("a", "Synced")[2]
        assert bench.condition("a", "Reconciling")[0] == "False"
        assert bench.events() == []
        assert all(look.only for look in things.looks)
        bench.annotate("a", mode=None)
        await asyncio.sleep(2)
        assert bench.ready("a")
        assert "plan" not in bench.get("a")["status"]


@virtual
async def test_observe_plans_nothing_and_lets_a_deleted_object_go() -> None:
    things = Things({"a": "theirs"})
    async with operating(Bench([things])) as bench:
        bench.create("a", annotations={"penstock.dev/mode": "Observe"}, finalizers=[FINALIZER])
        await asyncio.sleep(600)
        assert "plan" not in bench.get("a")["status"]
        assert bench.get("a")["status"]["value"] == "theirs"
        assert bench.condition("a", "Synced")[1] == "Observing"
        bench.delete("a")
        await asyncio.sleep(2)
        assert not bench.exists("a")
        assert things.world == {"a": "theirs"}
        assert things.did("act") == 0


@virtual
async def test_paused_does_not_even_look() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        bench.annotate("a", mode="Paused")
        await asyncio.sleep(1)
        looks = things.did("observe")
        bench.set_spec("a", value="two")
        bench.annotate("a", reconcile_at="now")
        await asyncio.sleep(7200)
        assert things.did("observe") == looks
        assert things.world == {"a": "one"}
        assert bench.condition("a")[:2] == ("True", "Paused"), "what was ready stays so"
        assert bench.get("a")["status"]["value"] == "one", "and what was seen is still told"
        bench.delete("a")
        await asyncio.sleep(10)
        assert bench.exists("a")
        assert "Deletion waits" in bench.condition("a", "Synced")[2]
        bench.annotate("a", mode="Reconcile")
        await asyncio.sleep(2)
        assert not bench.exists("a")


@virtual
async def test_a_mode_that_is_none_is_told_and_nothing_is_done() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a", annotations={"penstock.dev/mode": "pausd"})
        await asyncio.sleep(10)
        assert things.did("observe") == 0
        status, reason, sentence = bench.condition("a", "Stalled")
        assert (status, reason) == ("True", "Invalid")
        assert "'pausd'" in sentence
        for mode in ("Reconcile", "Plan", "Observe", "Paused"):
            assert mode in sentence
        bench.annotate("a", mode=None)
        await asyncio.sleep(2)
        assert bench.ready("a")


# Forced passes


@virtual
async def test_a_forced_pass_reads_everything_once_and_says_that_it_did() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        assert not any(look.fresh for look in things.looks)
        things.looks.clear()
        bench.annotate("a", reconcile_at="tuesday")
        await asyncio.sleep(2)
        assert [look.fresh for look in things.looks] == [True]
        assert bench.get("a")["status"]["lastReconcileAt"] == "tuesday"
        things.looks.clear()
        await asyncio.sleep(1000)
        assert not any(look.fresh for look in things.looks)
        bench.annotate("a", reconcile_at="wednesday")
        await asyncio.sleep(2)
        assert bench.get("a")["status"]["lastReconcileAt"] == "wednesday"


@virtual
async def test_a_forced_pass_that_failed_is_not_said_to_be_done() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        failing(things, "observe", denied())
        bench.annotate("a", reconcile_at="tuesday")
        await asyncio.sleep(4)
        assert "lastReconcileAt" not in bench.get("a")["status"]
        things.hook = lambda what, name: None
        await asyncio.sleep(60)
        assert bench.get("a")["status"]["lastReconcileAt"] == "tuesday"


# Invalid objects


@virtual
async def test_an_invalid_object_is_told_what_to_write_and_is_mended_by_an_edit() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a", {})
        await asyncio.sleep(10)
        assert bench.condition("a") == ("False", "Invalid", "spec.value: is missing and required")
        assert bench.condition("a", "Stalled")[0] == "True"
        assert things.did("observe") == 0
        bench.set_spec("a", value="one")
        await asyncio.sleep(2)
        assert bench.ready("a")


@virtual
async def test_an_invalid_object_that_made_nothing_may_go() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a", {}, finalizers=[FINALIZER])
        await asyncio.sleep(2)
        bench.delete("a")
        await asyncio.sleep(2)
        assert not bench.exists("a")


@virtual
async def test_an_invalid_object_that_made_something_waits_for_an_edit() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        bench.set_spec("a")
        await asyncio.sleep(2)
        assert bench.condition("a")[:2] == ("True", "Invalid"), "it still serves"
        bench.delete("a")
        await asyncio.sleep(10)
        assert bench.exists("a")
        bench.set_spec("a", value="one")
        await asyncio.sleep(2)
        assert not bench.exists("a")
        assert things.world == {}


# Workers, restarts, the end


@virtual
async def test_never_two_passes_on_one_object_and_as_many_at_once_as_there_are_workers() -> None:
    things = Things(takes=1)
    most = [0]
    things.hook = lambda what, name: most.__setitem__(0, max(most[0], len(bench.loop.running)))
    bench = Bench([things], workers=3)
    async with operating(bench):
        for number in range(9):
            bench.create(f"a-{number}")
        for second in range(20):
            await asyncio.sleep(0.5)
            for number in range(9):
                bench.annotate(f"a-{number}", reconcile_at=str(second))
        await asyncio.sleep(30)
    assert most[0] == 3
    assert all(bench.ready(f"a-{n}") for n in range(9))


class Slow(Things):
    """Making one takes AWS five seconds."""

    def __init__(self) -> None:
        super().__init__(takes=1)
        self.again = SOON
        self.made: dict[str, float] = {}
        self.early = 0

    async def act(self, desired: Wish, step: Step) -> str | None:
        self.made[desired.name] = elapsed()
        return await super().act(desired, step)

    def plan(self, desired: Wish, observed: dict[str, str], now: datetime) -> Plan:
        if desired.name not in self.made:
            found = super().plan(desired, observed, now)
            # An intent would be a first status.
            return replace(found, steps=tuple(replace(step, intent=None) for step in found.steps))
        if elapsed() >= self.made[desired.name] + 5:
            return Plan()
        self.early += 1
        return Plan(waits=(Wait("Creating", "It is being made."),))


@virtual
async def test_one_new_object_is_looked_at_again_at_once_and_those_of_a_crowd_later() -> None:
    one, crowd = Slow(), Slow()
    async with operating(Bench([one], workers=4)) as bench:
        bench.create("a")
        await asyncio.sleep(SOON + 4.3)
        assert bench.condition("a")[1] == "Creating"
    async with operating(Bench([crowd], workers=4)) as bench:
        for number in range(40):
            bench.create(f"a-{number}")
        await asyncio.sleep(120)
        assert all(bench.ready(f"a-{n}") for n in range(40))
    assert one.early >= 2, "after it was asked for, and while it is being made"
    assert crowd.early < 1.3 * 40, "one look at each that found it unfinished, right after it was asked for"


@virtual
async def test_what_was_begun_is_finished_while_a_crowd_waits_to_begin() -> None:
    things = Slow()
    async with operating(Bench([things], workers=4)) as bench:
        for number in range(200):
            bench.create(f"a-{number}")
        await asyncio.sleep(20)
        assert things.did("act") < 100, "the crowd still waits"
        assert sum(bench.ready(f"a-{n}") for n in range(200)) >= 4


@virtual
async def test_a_deletion_goes_before_a_crowd() -> None:
    things = Things(takes=1)
    async with operating(Bench([things], workers=1)) as bench:
        bench.create("first")
        await asyncio.sleep(5)
        for number in range(30):
            bench.create(f"a-{number}")
        await asyncio.sleep(1)
        bench.delete("first")
        await asyncio.sleep(8)
        assert not bench.exists("first")
        assert not bench.exists("a-29") or not bench.ready("a-29")


@virtual
async def test_whatever_the_moment_of_a_kill_the_next_process_ends_the_same_work() -> None:
    for moment in range(40):
        things, cluster = Things(), Cluster()
        first = Bench([things], cluster)
        first.create("a")
        await killed(first, moment / 40)
        second = Bench([things], cluster)
        async with operating(second):
            await asyncio.sleep(3)
            assert second.ready("a"), moment
            second.delete("a")
        third = Bench([things], cluster)
        await killed(third, moment / 40)
        async with operating(Bench([things], cluster)) as fourth:
            await asyncio.sleep(3)
            assert not fourth.exists("a"), moment
            assert things.world == {}, moment


@virtual
async def test_a_restart_looks_at_what_is_not_settled_first() -> None:
    things, cluster = Things(takes=1), Cluster()
    bench = Bench([things], cluster, workers=8)
    async with operating(bench):
        for number in range(8):
            bench.create(f"settled-{number}")
        await asyncio.sleep(20)
    bench.create("new")
    things.log.clear()
    async with operating(Bench([things], cluster, workers=1)):
        await asyncio.sleep(30)
    assert next(name for what, name in things.log if what == "observe") == "new"
    assert Priority.BACKGROUND in {look.priority for look in things.looks}


@virtual
async def test_at_the_end_running_passes_are_let_end_and_no_other_begins() -> None:
    things = Things(takes=2)
    bench = Bench([things], workers=1)
    stop = asyncio.Event()
    running = asyncio.create_task(bench.loop.run(stop, 10))
    bench.create("a")
    bench.create("b")
    await asyncio.sleep(3)
    stop.set()
    asked = elapsed()
    await running
    assert elapsed() - asked < 10
    assert things.world == {"a": "one"}, "the step that ran was finished"
    assert things.did("observe", "b") == 0


@virtual
async def test_at_the_end_the_step_that_runs_is_finished_and_none_begins() -> None:
    things = Things(takes=1)
    bench = Bench([things], workers=1)
    stop = asyncio.Event()
    running = asyncio.create_task(bench.loop.run(stop, 10))
    bench.create("a", {"value": "one+a+b+c"})
    await asyncio.sleep(1.5)
    assert things.did("act") == 1
    stop.set()
    await running
    assert things.did("act") == 1
    assert bench.condition("a")[1] == "Creating", "the pass ends with its report"


@virtual
async def test_a_pass_that_does_not_end_is_cut_off() -> None:
    things = Things(takes=1000)
    bench = Bench([things])
    stop = asyncio.Event()
    running = asyncio.create_task(bench.loop.run(stop, 5))
    bench.create("a")
    await asyncio.sleep(3)
    stop.set()
    asked = elapsed()
    await running
    assert 4.9 <= elapsed() - asked <= 5.5


# The patch of a status

JSON = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from("abcde"), JSON, max_size=5)


@given(OBJECTS, OBJECTS)
def test_applying_the_difference_gives_the_target(before: dict[str, Any], after: dict[str, Any]) -> None:
    patch = merge_difference(before, after)
    assert merge_patch(before, patch) == after
    assert (patch == {}) == (before == after)


@given(OBJECTS)
def test_what_did_not_change_is_not_in_the_patch(same: dict[str, Any]) -> None:
    assert merge_difference({**same, "x": {"y": 1, "z": 2}}, {**same, "x": {"y": 1, "z": 3}}) == {"x": {"z": 3}}
