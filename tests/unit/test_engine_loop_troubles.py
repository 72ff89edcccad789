"""The loop in trouble: AWS, the API server or a kind fails, and nothing is lost, hammered or told too early."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_harness import Bench, Things, failing, operating
from fake_kube import Network
from virtual_time import virtual

from penstock.api.conditions import Reason
from penstock.api.meta import FINALIZER
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.loop import PATIENCE


def throttled() -> Trouble:
    return Trouble(Meaning.THROTTLED, Reason.THROTTLED, "AWS throttles; the operator slows down.")


def denied() -> Trouble:
    return Trouble(Meaning.DENIED, Reason.ACCESS_DENIED, "AWS denies it: allow it.")


@virtual
async def test_a_passing_trouble_is_retried_and_not_told() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        written = len(bench.kube.writes)
        failing(things, "observe", throttled(), times=PATIENCE - 1)
        bench.annotate("a", reconcile_at="now")
        await asyncio.sleep(30)
        assert len(bench.kube.writes) == written + 1, "only the answer to the forced pass"
        assert bench.ready("a")


@virtual
async def test_a_trouble_that_lasts_is_told_and_is_over_when_it_is_over() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        failing(things, "observe", throttled())
        bench.set_spec("a", value="two")
        await asyncio.sleep(600)
        assert bench.condition("a")[1] == "Throttled"
        tries = things.did("observe")
        await asyncio.sleep(600)
        assert 8 <= things.did("observe") - tries <= 14, "about once a minute, the ceiling of its pace"
        things.hook = lambda what, name: None
        await asyncio.sleep(90)
        assert bench.ready("a")
        failing(things, "observe", throttled(), times=1)
        bench.set_spec("a", value="three")
        await asyncio.sleep(3)
        assert bench.ready("a"), "the pace begins anew"


@virtual
async def test_a_pass_that_got_further_is_no_repeated_failure() -> None:
    things = Things()
    parts = "".join(f"+{n}" for n in range(8))
    async with operating(Bench([things])) as bench:
        missing = [f"Set-{n}" for n in range(8)]

        def hook(what: str, name: str) -> None:
            if what in missing[1:2]:
                del missing[:1]
                raise throttled()

        things.hook = hook
        bench.create("a", {"value": "one" + parts})
        await asyncio.sleep(30)
        assert bench.ready("a"), "eight failures, each after something was done: the delays do not grow"


@virtual
async def test_a_new_object_learns_of_its_trouble_at_once() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        failing(things, "observe", throttled())
        bench.create("a")
        await asyncio.sleep(0.5)
        assert bench.condition("a")[1] == "Throttled"


@virtual
async def test_a_trouble_says_when_it_ends() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        failing(
            things,
            "observe",
            Trouble(Meaning.BUSY, Reason.LIMIT_REACHED, "One an hour.", retry_after=1000.0),
            times=1,
        )
        bench.create("a")
        await asyncio.sleep(850)
        assert things.did("observe") == 1
        await asyncio.sleep(300)
        assert bench.ready("a")


@virtual
async def test_a_denied_step_keeps_no_other_step_from_being_done() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        failing(things, "Set-x", denied())
        bench.create("a", {"value": "one+x+y"})
        await asyncio.sleep(3)
        assert things.did("Set-x") >= 1
        assert things.did("Set-y") >= 1
        assert things.world == {"a": "one+x+y"}


@virtual
async def test_a_throttled_step_ends_the_pass() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        failing(things, "Set-x", throttled(), times=1)
        bench.create("a", {"value": "one+x+y"})
        await asyncio.sleep(0.45)
        assert things.did("Set-x") == 1
        assert things.did("Set-y") == 0
        await asyncio.sleep(5)
        assert things.world == {"a": "one+x+y"}


@virtual
async def test_a_plan_that_never_ends_does_not_keep_the_worker() -> None:
    things = Things()
    things.again = 1.0

    async def act(desired: Any, step: Any) -> None:
        things._at("act", desired.name)

    things.act = act  # type: ignore[method-assign]
    async with operating(Bench([things], workers=1)) as bench:
        bench.create("a")
        bench.create("b")
        await asyncio.sleep(5)
        assert things.did("act", "b") > 0
        assert things.did("act", "a") <= 36
        assert bench.condition("a")[1] == "Creating"


# Failures of the operator itself


@pytest.mark.parametrize("what", ["desired", "observe", "plan", "act", "report"])
def test_an_exception_in_a_kind_neither_ends_the_operator_nor_keeps_others_waiting(what: str) -> None:
    @virtual
    async def scenario() -> None:
        things = Things()
        async with operating(Bench([things], workers=1)) as bench:
            failing(things, what, ZeroDivisionError("what"), name="bad")
            bench.create("bad")
            for number in range(10):
                bench.create(f"good-{number}")
            await asyncio.sleep(60)
            assert all(bench.ready(f"good-{n}") for n in range(10))
            tries = things.did(what, "bad")
            assert 3 <= tries <= 10, "retried, and ever more rarely"
            await asyncio.sleep(3600)
            assert things.did(what, "bad") - tries <= 20
            things.hook = lambda at, name: None
            await asyncio.sleep(400)
            assert bench.ready("bad")

    scenario()


@virtual
async def test_with_the_api_server_away_nothing_is_lost_and_nothing_is_hammered() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        for number in range(5):
            bench.create(f"a-{number}")
        await asyncio.sleep(2)
        bench.kube.network = Network(refuses=True)
        for number in range(5):
            bench.set_spec(f"a-{number}", value="two")
        sent = len(bench.kube.sent)
        await asyncio.sleep(120)
        assert len(bench.kube.sent) - sent <= 5 * 20, "the tries become rarer"
        bench.kube.network = Network()
        await asyncio.sleep(75)
        assert all(bench.ready(f"a-{n}") for n in range(5))
        assert things.world == {f"a-{n}": "two" for n in range(5)}


@virtual
async def test_a_lost_answer_of_the_api_server_is_no_second_deed() -> None:
    things = Things()
    async with operating(Bench([things])) as bench:
        bench.create("a")
        bench.kube.network = Network(loses_answers=True)
        await asyncio.sleep(70)
        bench.kube.network = Network()
        await asyncio.sleep(75)
        assert bench.ready("a")
        assert bench.get("a")["metadata"]["finalizers"] == [FINALIZER]
        assert things.did("Set") == 1


@virtual
async def test_two_writers_of_finalizers_do_not_lose_each_others() -> None:
    things = Things()
    bench = Bench([things])
    bench.create("a")
    await asyncio.sleep(0.1)
    bench.deaf = True
    bench.edit("a", lambda obj: obj["metadata"].update(finalizers=["somebody/else"]))
    async with operating(bench):
        await asyncio.sleep(5)
    assert bench.get("a")["metadata"]["finalizers"] == ["somebody/else", FINALIZER]
    assert bench.ready("a")


@virtual
async def test_a_status_is_never_written_to_another_object_of_the_same_name() -> None:
    things = Things(takes=1)
    async with operating(Bench([things])) as bench:
        first = bench.create("a", {"value": "one", "annotations": "x"})
        await asyncio.sleep(1.5)
        bench.cluster.objects.clear()
        second = bench.create("a", {"value": "other"})
        assert first["metadata"]["uid"] != second["metadata"]["uid"]
        await asyncio.sleep(20)
        assert bench.get("a")["status"]["value"] == "other"
        assert bench.ready("a")
