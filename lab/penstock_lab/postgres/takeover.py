"""A reader becomes the writer: asked for, or because the writer is dead. No acknowledged commit is lost on the way."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

from .cluster import TROUBLE, DatabaseCluster, Member
from .configuration import Source
from .election import Candidate, choose, way
from .node import NodeFailed

# A reader that is well answers in milliseconds; beside fifteen others that start up, on a busy machine, it may take a second.
_ASK_S = 3.0
_CATCH_UP_S = 5.0
_TRIES = 3
_BACK_S = 30.0


async def fail_over(cluster: DatabaseCluster, wanted: str | None, *, leaves: str | None = None) -> str | None:
    """Makes the reader ``wanted`` the writer, or whichever is due; gives who is the writer then.

    With ``leaves`` nothing is done once another one than that is the writer. Where ``wanted`` could not take over at once another did,
    and hands over to it.
    """
    for _ in range(_TRIES):
        async with cluster.topology:
            if cluster.gone or cluster.stopped or cluster.current is None:
                return cluster.writer
            if cluster.writer == wanted and cluster.current.node.running:
                return wanted
            if leaves is not None and cluster.writer != leaves:
                return cluster.writer
            try:
                await _take_over(cluster, wanted)
            except TROUBLE as failure:
                print(f"{cluster.given.identifier} fails over again: {failure}", file=sys.stderr, flush=True)
                await asyncio.sleep(0.2)
                continue
        if wanted is None or wanted not in cluster.members or cluster.writer == wanted:
            break
        await _back(cluster, wanted)
    return cluster.writer


async def _back(cluster: DatabaseCluster, wanted: str) -> None:
    """Waits for the one that is to take over to be a reader of the one that did."""
    deadline = time.monotonic() + _BACK_S
    while time.monotonic() < deadline and not cluster.gone and not cluster.stopped:
        member = cluster.members.get(wanted)
        if member is None or (member.joined and not member.rejoining and member.node.running):
            return
        await asyncio.sleep(0.1)


async def _take_over(cluster: DatabaseCluster, wanted: str | None) -> None:
    old = cluster.current
    assert old is not None
    alive = await _answers(old)
    readers = [one for one in cluster.readers() if not one.rejoining]
    asked = await asyncio.gather(*(_can_be_asked(one) for one in readers))
    answering = {one.key: answers for one, answers in zip(readers, asked, strict=True)}
    how = way(alive=alive, protected=cluster.protected, readers=answering)
    readers = [one for one in readers if answering[one.key]]
    if how == "stay":
        raise NodeFailed("no reader can be asked")
    if how == "recover":
        # What it acknowledged may be on its disk alone.
        await old.node.kill()
        await cluster.recover(old)
        readers = await _wait_for_readers(cluster)
        if not readers:
            return
        how = "orderly"
    cluster.protected = False
    if how == "orderly":
        await _flush(cluster, old, readers)
        await old.node.stop()
    else:
        await old.node.kill()
    # Not before: who connects anew at once would be served by the old writer for another moment.
    cluster.writer_proxy.cut()
    old.node.wanted = False
    try:
        at_least = await _last(old) if how == "orderly" else 0
        winner = await _winner(cluster, [one for one in readers if one.node.running], wanted, at_least)
    except TROUBLE:
        # Nobody has everything: the one that has goes on.
        await cluster.recover(old)
        raise
    await promote(cluster, old, winner)


async def _last(old: Member) -> int:
    """The byte of WAL that a reader must have passed to have all of the writer that was just stopped. Raises NodeFailed."""
    clean, position = await old.node.control()
    if not clean:
        raise NodeFailed(f"{old.identifier} did not stop in an orderly way")
    return position


async def promote(cluster: DatabaseCluster, old: Member, winner: Member) -> None:
    """``winner`` is the writer from now on, the others follow it. Nobody asks here what it lacks."""
    others = [one for one in cluster.readers() if one is not winner and one.node.running and not one.rejoining]
    # With others to wait for, its first commit waits for one already.
    winner.node.configuration.synchronous = tuple(sorted(one.key for one in others if not one.partitioned))
    winner.node.configuration.source = Source(None, winner.node.password)
    winner.node.configuration.apply_delay_ms = 0
    winner.node.reload()
    await winner.node.promote()
    cluster.writer = winner.key
    winner.lag_ms = None
    for one in others:
        if not one.partitioned:
            one.node.follow(winner.port)
    cluster.point(moved=True)
    cluster.background(_settle(cluster, old), f"{old.identifier} becomes a reader")


async def _settle(cluster: DatabaseCluster, old: Member) -> None:
    with contextlib.suppress(*TROUBLE):
        async with cluster.topology:
            await cluster.protect()
    if old.key in cluster.members and old.joined:
        await cluster.rejoin(old)


async def _answers(member: Member) -> bool:
    if not member.node.running or member.partitioned or member.node.frozen:
        return False
    with contextlib.suppress(*TROUBLE):
        return bool(await member.node.ask("select true", _ASK_S))
    return False


async def _can_be_asked(member: Member) -> bool:
    """Every reader has to be asked what it has: one that hangs or is down is started anew for it."""
    for _ in range(2):
        if member.node.running:
            with contextlib.suppress(*TROUBLE):
                if not await member.node.ask("select pg_is_in_recovery()", _ASK_S):
                    # A failover that broke off had promoted it.
                    return False
                member.received = await member.node.received(_ASK_S)
                return True
        with contextlib.suppress(*TROUBLE):
            await member.node.kill()
            await member.node.start(10)
    return False


async def _wait_for_readers(cluster: DatabaseCluster) -> list[Member]:
    """The readers that stream from the writer again, after up to some seconds."""
    deadline = time.monotonic() + 10
    while True:
        found = []
        for one in cluster.readers():
            with contextlib.suppress(*TROUBLE):
                if not one.rejoining and one.node.running and await one.node.streaming():
                    found.append(one)
        if len(found) == len([one for one in cluster.readers() if not one.rejoining]) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.1)


async def _flush(cluster: DatabaseCluster, old: Member, readers: list[Member]) -> None:
    """Before it is asked to end: less to write then, and to send."""
    if readers:
        with contextlib.suppress(*TROUBLE):
            await old.node.ask("checkpoint", 10)


async def _winner(cluster: DatabaseCluster, readers: list[Member], wanted: str | None, at_least: int) -> Member:
    """Who takes over, with everything that any reader has, and that is more than ``at_least``. Raises NodeFailed."""
    await _drained(readers)
    received = await asyncio.gather(*(one.node.received(_ASK_S) for one in readers))
    for one, position in zip(readers, received, strict=True):
        one.received = position
    choice = choose([Candidate(one.key, one.tier, one.received) for one in readers], wanted)
    if choice is None or choice.at_least < at_least:
        raise NodeFailed("no reader has all that was committed")
    winner = cluster.members[choice.winner]
    if choice.catch_up_from is None:
        return winner
    source = cluster.members[choice.catch_up_from]
    winner.node.follow(source.port)
    deadline = time.monotonic() + _CATCH_UP_S
    while await winner.node.received() < choice.at_least:
        if time.monotonic() > deadline:
            # It takes too long: the one that has everything does it, and hands over.
            return source
        await asyncio.sleep(0.01)
    winner.node.follow(None)
    return winner


async def _drained(readers: list[Member]) -> None:
    """Until what the dead writer had still sent is read: no reader receives any more."""
    deadline = time.monotonic() + 2

    async def quiet(one: Member) -> None:
        while time.monotonic() < deadline and await one.node.streaming(_ASK_S):
            await asyncio.sleep(0.01)

    await asyncio.gather(*(quiet(one) for one in readers))
