"""The probe's pace, against sockets of our own; what it makes of a real database is tested with the lab's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from penstock.engine.kind import Key
from penstock.postgres.probe import Endpoint, Prober, Target
from penstock.postgres.record import Picture

KEY = Key("AuroraCluster", "shop", "ledger")


async def _password(_: bool) -> tuple[str, str]:
    return "owner", "secret"


@asynccontextmanager
async def _probing() -> AsyncIterator[tuple[Prober, Target, list[float]]]:
    """A prober that runs, a database that hangs up on everybody, and when it was tried."""
    tried: list[float] = []

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.append(asyncio.get_running_loop().time())
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    prober = Prober("", lambda *_: None, lambda _: None)
    running = asyncio.create_task(prober.run())
    await asyncio.sleep(0)
    try:
        yield prober, Target(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]), interval=0.1), tried
    finally:
        running.cancel()
        server.close()


async def _tried_again(tried: list[float]) -> bool:
    """Whether somebody tries within two seconds from now."""
    tried.clear()
    deadline = asyncio.get_running_loop().time() + 2
    while not tried and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
    return bool(tried)


@pytest.mark.parametrize("pauses", [1, 3])
def test_what_was_paused_is_asked_again(pauses):
    # A night of hibernation, a stop and start, a broken state, spec.probe.enabled off and on.
    async def asked() -> bool:
        async with _probing() as (prober, target, tried):
            prober.watch(KEY, target, _password)
            assert await _tried_again(tried)
            for _ in range(pauses):
                prober.pause(KEY, "The cluster is stopped.")
                assert prober.picture(KEY).off
                assert not await _tried_again(tried)
                prober.watch(KEY, target, _password)
            assert not prober.picture(KEY).off
            return await _tried_again(tried)

    assert asyncio.run(asked())


def test_what_was_paused_before_it_was_ever_asked_is_asked():
    async def asked() -> bool:
        async with _probing() as (prober, target, tried):
            prober.pause(KEY, "There is no database yet.")
            prober.watch(KEY, target, _password)
            return await _tried_again(tried)

    assert asyncio.run(asked())


def test_a_task_that_ended_is_started_again():
    async def unlucky(_: bool) -> tuple[str, str]:
        unlucky_once.append(1)
        if len(unlucky_once) == 1:
            # A read that is shared with others was cancelled.
            raise asyncio.CancelledError
        return "owner", "secret"

    async def asked() -> bool:
        async with _probing() as (prober, target, tried):
            prober.watch(KEY, target, unlucky)
            return await _tried_again(tried)

    unlucky_once: list[int] = []
    assert asyncio.run(asked())


def test_what_was_measured_outlives_a_pause_and_not_the_object():
    async def kept() -> list[Picture]:
        prober, now = Prober("", lambda *_: None, lambda _: None), asyncio.get_running_loop().time()
        prober.watch(KEY, Target(Endpoint("127.0.0.1", 9)), _password)
        ledger = prober._databases[KEY].ledger
        ledger.success(now - 10, datetime.now(UTC), "ledger-1")
        ledger.success(now, datetime.now(UTC), "ledger-1")
        prober.pause(KEY, "spec.probe.enabled is false.")
        paused = prober.picture(KEY)
        prober.forget(KEY)
        return [paused, prober.picture(KEY)]

    paused, forgotten = asyncio.run(kept())
    assert sum(d.probed for d in paused.uptime.days.values()) == pytest.approx(10, abs=1)
    assert not paused.reached, "nobody asks"
    assert forgotten == Picture()


async def _attempts(seconds: float) -> int:
    """How often a database is tried that hangs up on everybody."""
    tried = 0

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    prober = Prober("", lambda *_: None, lambda _: None)
    prober.watch(KEY, Target(Endpoint("127.0.0.1", port)), _password)
    running = asyncio.create_task(prober.run())
    try:
        await asyncio.sleep(seconds)
        assert not prober.picture(KEY).reached
        return tried
    finally:
        running.cancel()
        server.close()


def test_what_has_only_begun_not_to_answer_is_tried_often():
    # A process that begins in the middle of a failover must see its end when it comes.
    assert asyncio.run(_attempts(8)) >= 8


def test_a_password_that_is_doubted_while_the_others_are_asked_ends_no_question():
    async def asked() -> frozenset[str]:
        prober = Prober("", lambda *_: None, lambda _: None)
        nobody = Endpoint("127.0.0.1", 9)
        prober.watch(KEY, Target(nobody, instances=(("ledger-1", nobody),)), _password)
        database = prober._databases[KEY]
        database._login = ("owner", "secret")
        asking = asyncio.create_task(database._others_answer())
        asyncio.get_running_loop().call_soon(setattr, database, "_login", None)
        prober._connecting = asyncio.Semaphore(1)
        await asking
        return prober.picture(KEY).deaf

    assert asyncio.run(asked()) == {"ledger-1"}


@pytest.mark.parametrize(("databases", "pause"), [(1, 0.5), (100, 0.5), (1000, 5.0)])
def test_many_that_do_not_answer_are_tried_two_hundred_times_a_second_at_most(databases, pause):
    async def patience() -> float:
        prober = Prober("", lambda *_: None, lambda _: None)
        for number in range(databases):
            prober.watch(Key("AuroraCluster", "shop", f"c{number}"), Target(Endpoint("127.0.0.1", 9)), _password)
        return prober.patience

    assert asyncio.run(patience()) == pytest.approx(pause)
