"""Token buckets: AWS's limits hold whatever the callers do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import elapsed, run, virtual

from penstock.aws.account import LIMITS as LIMITS_OF_AWS
from penstock.aws.account import rds_limit
from penstock.engine.pacing import Limit, TokenBucket
from penstock.engine.queue import Priority

LIMITS = st.builds(
    Limit,
    rate=st.sampled_from([0.5, 2.5, 10.0, 1000.0]),
    burst=st.sampled_from([1.0, 5.0, 20.0]),
    reserve=st.sampled_from([0.0, 0.25, 0.5]),
)
CALLERS = st.lists(
    st.tuples(st.floats(0, 20, allow_nan=False), st.sampled_from(Priority), st.booleans()), min_size=1, max_size=60
)


def overruns(granted: list[float], limit: Limit) -> list[tuple[float, float, int]]:
    """Every window in which more was granted than burst + rate x length allows."""
    granted = sorted(granted)
    return [
        (granted[i], granted[j], j - i + 1)
        for i in range(len(granted))
        for j in range(i, len(granted))
        if j - i + 1 > limit.burst + limit.rate * (granted[j] - granted[i]) + 1e-6
    ]


async def _serve(limit: Limit, callers: Iterable[tuple[float, Priority, bool]]) -> list[tuple[float, Priority]]:
    bucket = TokenBucket(limit)
    granted: list[tuple[float, Priority]] = []

    async def caller(at: float, priority: Priority, waits: bool) -> None:
        await asyncio.sleep(at)
        if waits:
            await bucket.take(priority)
            granted.append((elapsed(), priority))
        elif bucket.try_take(priority):
            granted.append((elapsed(), priority))

    callers = list(callers)
    await asyncio.gather(*(caller(*c) for c in callers))
    # Nobody waits longer than all callers together need, once the reserve is filled.
    assert len([c for c in callers if c[2]]) <= len(granted)
    assert elapsed() <= 20 + (len(callers) + limit.burst) / limit.rate + 1
    return granted


# A reserve that leaves less than one token is a bucket in which background calls never fit.
@given(LIMITS.filter(lambda x: x.burst * (1 - x.reserve) >= 1), CALLERS)
@settings(deadline=None, max_examples=150)
def test_no_window_holds_more_than_the_burst_and_the_refill(
    limit: Limit, callers: list[tuple[float, Priority, bool]]
) -> None:
    granted = run(_serve(limit, callers))
    assert overruns([at for at, _ in granted], limit) == []


@virtual
async def test_a_storm_is_spread_over_the_time_that_the_rate_gives() -> None:
    bucket = TokenBucket(Limit(rate=10, burst=5))
    at: list[float] = []

    async def caller() -> None:
        await bucket.take()
        at.append(elapsed())

    await asyncio.gather(*(caller() for _ in range(105)))
    assert sum(1 for t in at if t < 0.001) == 5, "the burst goes at once"
    assert 9.9 <= max(at) <= 10.5, "a hundred more at ten a second"


@virtual
async def test_urgent_callers_go_before_those_that_came_first() -> None:
    bucket = TokenBucket(Limit(rate=1, burst=1, reserve=0))
    await bucket.take()
    order: list[str] = []

    async def caller(name: str, priority: Priority) -> None:
        await bucket.take(priority)
        order.append(name)

    waiting = [
        asyncio.create_task(caller("background", Priority.BACKGROUND)),
        asyncio.create_task(caller("normal-1", Priority.NORMAL)),
        asyncio.create_task(caller("normal-2", Priority.NORMAL)),
    ]
    await asyncio.sleep(0.5)
    waiting.append(asyncio.create_task(caller("urgent", Priority.URGENT)))
    await asyncio.gather(*waiting)
    assert order == ["urgent", "normal-1", "normal-2", "background"]


@virtual
async def test_background_calls_leave_the_reserve_to_writes() -> None:
    bucket = TokenBucket(Limit(rate=1, burst=20, reserve=0.25))
    background = 0
    while bucket.try_take(Priority.BACKGROUND):
        background += 1
    assert background == 15
    assert not bucket.affords_background
    writes = 0
    while bucket.try_take(Priority.NORMAL):
        writes += 1
    assert writes == 5
    assert not bucket.try_take(Priority.URGENT)


@virtual
async def test_an_urgent_call_need_not_wait_for_the_reserve_that_a_background_call_waits_for() -> None:
    bucket = TokenBucket(Limit(rate=1, burst=20, reserve=0.5))
    for _ in range(10):
        assert bucket.try_take(Priority.BACKGROUND)
    background = asyncio.create_task(bucket.take(Priority.BACKGROUND))
    await asyncio.sleep(0.1)
    assert not background.done()
    await bucket.take(Priority.URGENT)
    assert elapsed() < 0.2, "ten tokens are there for it"
    await background
    assert elapsed() > 1.5, "and the background call waits for the token that it took as well"


@virtual
async def test_waiting_never_lets_a_latecomer_of_the_same_priority_pass() -> None:
    bucket = TokenBucket(Limit(rate=1, burst=1, reserve=0))
    await bucket.take()
    first = asyncio.create_task(bucket.take())
    await asyncio.sleep(0.999)
    assert not bucket.try_take(), "somebody stands in front"
    await first


@virtual
async def test_a_throttle_answer_halves_the_rate_and_spends_what_was_saved() -> None:
    bucket = TokenBucket(Limit(rate=16, burst=10))
    bucket.slow_down()
    assert bucket.rate == 8
    assert not bucket.try_take(Priority.URGENT)
    bucket.slow_down()
    assert bucket.rate == 4
    for _ in range(20):
        bucket.slow_down()
    assert bucket.rate == 1, "a sixteenth is left, or nothing would ever tell that AWS is well again"


@virtual
async def test_the_rate_recovers_by_a_tenth_of_the_nominal_a_second_and_no_further() -> None:
    bucket = TokenBucket(Limit(rate=10, burst=10))
    bucket.slow_down()
    await asyncio.sleep(2)
    bucket.try_take()
    assert abs(bucket.rate - 7) < 0.01
    await asyncio.sleep(100)
    bucket.try_take()
    assert bucket.rate == 10


@virtual
async def test_waiters_are_served_more_slowly_after_a_throttle_answer() -> None:
    bucket = TokenBucket(Limit(rate=10, burst=1, reserve=0))
    for _ in range(4):
        bucket.slow_down()
    began = elapsed()
    await bucket.take()
    assert 0.5 < elapsed() - began < 1.7, "at a sixteenth of the rate, recovering"


@virtual
async def test_a_cancelled_caller_spends_nothing() -> None:
    bucket = TokenBucket(Limit(rate=1, burst=1, reserve=0))
    await bucket.take()
    impatient = [asyncio.create_task(bucket.take()) for _ in range(10)]
    await asyncio.sleep(0.1)
    patient = asyncio.create_task(bucket.take())
    await asyncio.sleep(0.1)
    for task in impatient:
        task.cancel()
    await patient
    assert elapsed() < 1.1, "the next token goes to the one that still waits"
    assert bucket.waiting == 0


def test_the_pace_for_rds_follows_its_option() -> None:
    usual = LIMITS_OF_AWS["rds"]
    assert rds_limit(usual.rate) == usual
    faster = rds_limit(2 * usual.rate)
    assert (faster.rate, faster.burst, faster.reserve) == (2 * usual.rate, 2 * usual.burst, usual.reserve)
