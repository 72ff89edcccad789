"""What the operator can do without is started again and never ends the process."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from prometheus_client import REGISTRY
from virtual_time import elapsed, virtual

from penstock.engine.supervisor import supervised


def restarts(name: str) -> float:
    return REGISTRY.get_sample_value("penstock_task_restarts_total", {"task": name}) or 0.0


@virtual
async def test_a_task_that_crashes_is_started_again_ever_more_rarely() -> None:
    began: list[float] = []

    async def crashes() -> None:
        began.append(elapsed())
        raise LookupError("one unrelated record")

    task = asyncio.create_task(supervised("spend", crashes))
    await asyncio.sleep(3600)
    assert not task.done()
    assert [b - a for a, b in itertools.pairwise(began)][:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert restarts("spend") == len(began)
    task.cancel()


@virtual
async def test_one_that_ran_well_for_long_is_started_again_at_once() -> None:
    began: list[float] = []

    async def lasts() -> None:
        began.append(elapsed())
        await asyncio.sleep(0 if len(began) < 6 else 700)

    task = asyncio.create_task(supervised("prices", lasts))
    await asyncio.sleep(3000)
    assert began[6] - began[5] == 701
    task.cancel()


@virtual
async def test_it_ends_when_it_is_cancelled() -> None:
    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            ended.set()

    task = asyncio.create_task(supervised("bills", waits))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
