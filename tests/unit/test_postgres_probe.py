"""The probe's pace, against sockets of our own; what it makes of a real database is tested with the lab's."""

from __future__ import annotations

import asyncio

import pytest

from penstock.engine.kind import Key
from penstock.postgres.probe import Endpoint, Prober, Target

KEY = Key("AuroraCluster", "shop", "ledger")


async def _password(_: bool) -> tuple[str, str]:
    return "owner", "secret"


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
