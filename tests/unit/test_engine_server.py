"""Health, readiness and metrics: when a process is to be restarted, and what a probe is told."""

from __future__ import annotations

import asyncio
import json
import socket

import aiohttp
import pytest

from penstock.engine.server import ECHO_LIMIT, PASS_LIMIT, Server, Vitals, unhealthy

WELL = Vitals(leading=True, synced=True, echo=1, longest_pass=10, overdue=3, since_activity=1)

ILL = {
    "the watch is dead": (Vitals(leading=True, synced=True, echo=ECHO_LIMIT + 1), "own write"),
    "a pass hangs": (Vitals(leading=True, synced=True, longest_pass=PASS_LIMIT + 1), "a pass has been running"),
    "no worker moves": (Vitals(leading=True, synced=True, overdue=1, since_activity=PASS_LIMIT + 1), "1 keys are due"),
}


@pytest.mark.parametrize("name", ILL)
def test_a_leader_that_is_stuck_says_why(name: str) -> None:
    vitals, words = ILL[name]
    (reason,) = unhealthy(vitals)
    assert words in reason


@pytest.mark.parametrize(
    "vitals",
    [
        WELL,
        Vitals(leading=True, synced=False),
        Vitals(leading=True, synced=True, since_activity=1e6),
        Vitals(leading=False, synced=False, echo=1e6, longest_pass=1e6, overdue=5, since_activity=1e6),
    ],
    ids=["busy", "starting", "idle", "standby"],
)
def test_nobody_else_is_restarted(vitals: Vitals) -> None:
    assert unhealthy(vitals) == []


@pytest.mark.parametrize(
    ("vitals", "health", "readiness"),
    [
        (WELL, 200, 200),
        (ILL["a pass hangs"][0], 503, 200),
        (Vitals(leading=True, synced=False), 200, 503),
        (Vitals(leading=False, synced=False), 200, 200),
    ],
    ids=["well", "ill", "not synced", "standby"],
)
async def test_probes_are_answered(vitals: Vitals, health: int, readiness: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    measured: list[bool] = []
    server = Server("127.0.0.1", port, lambda: vitals, lambda: measured.append(True))
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/healthz") as answer:
                assert answer.status == health
                assert json.loads(await answer.text())["healthy"] is (health == 200)
            async with session.get("/readyz") as answer:
                assert answer.status == readiness
            async with session.get("/metrics") as answer:
                assert "penstock_queue_depth" in await answer.text()
        assert measured == [True]
    finally:
        await asyncio.wait_for(server.stop(), 10)
