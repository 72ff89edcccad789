"""The keyed work queue: what every pass relies on."""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from virtual_time import VirtualLoop, elapsed, virtual

from penstock.engine.queue import Priority, WorkQueue

NOTHING = None


async def taken(queue: WorkQueue[str], within: float = 0.0) -> str | None:
    """The key that is handed out within so many seconds, or None."""
    try:
        async with asyncio.timeout(within + 1e-6):
            return (await queue.get())[0]
    except TimeoutError:
        return NOTHING


@virtual
async def test_a_key_that_is_added_many_times_is_handed_out_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(5):
        queue.add("a")
    assert len(queue) == 1
    assert await taken(queue) == "a"
    queue.done("a")
    assert await taken(queue, 1000) is NOTHING


@virtual
async def test_a_key_that_is_worked_on_is_not_handed_out_a_second_time() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await taken(queue) == "a"
    queue.add("a")
    queue.add("a", priority=Priority.URGENT)
    assert await taken(queue, 1000) is NOTHING, "two passes on one key"
    queue.done("a")
    assert await queue.get() == ("a", Priority.URGENT)
    queue.done("a")
    assert await taken(queue, 1000) is NOTHING, "handed out once afterwards, not once for every add"


@virtual
async def test_a_delay_that_is_asked_for_during_a_pass_counts_from_when_it_was_asked_for() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a", 60)
    await asyncio.sleep(20)
    queue.done("a")
    assert await taken(queue, 39) is NOTHING
    assert await taken(queue, 1) == "a"
    assert abs(elapsed() - 60) < 0.01


@virtual
async def test_the_shortest_delay_that_is_asked_for_during_a_pass_wins() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a", 300, Priority.BACKGROUND)
    queue.add("a", 5)
    queue.add("a", 100)
    queue.done("a")
    assert await taken(queue, 4.9) is NOTHING
    assert await taken(queue, 0.2) == "a"


@virtual
async def test_a_delay_is_waited_for_exactly() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 30)
    assert await queue.get() == ("a", Priority.NORMAL)
    assert abs(elapsed() - 30) < 0.001


@virtual
async def test_a_shorter_delay_wins_and_a_longer_one_never_postpones() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 100)
    queue.add("a", 10)
    queue.add("a", 500)
    assert await queue.get() == ("a", Priority.NORMAL)
    assert abs(elapsed() - 10) < 0.001
    queue.done("a")
    assert await taken(queue, 1000) is NOTHING, "the superseded delays are forgotten"


@virtual
async def test_a_waiting_worker_is_woken_by_a_nearer_key() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("late", 100)
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    queue.add("soon", 2)
    assert (await worker)[0] == "soon"
    assert abs(elapsed() - 3) < 0.001


@virtual
async def test_the_higher_priority_wins_whatever_was_asked_first() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 50, Priority.BACKGROUND)
    queue.add("a", 80, Priority.URGENT)
    assert await queue.get() == ("a", Priority.URGENT)
    assert abs(elapsed() - 50) < 0.001


@virtual
async def test_urgent_keys_go_first_then_normal_then_background_each_in_order_of_arrival() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for number in range(3):
        queue.add(f"background-{number}", priority=Priority.BACKGROUND)
        queue.add(f"normal-{number}")
        queue.add(f"urgent-{number}", priority=Priority.URGENT)
    handed = [(await queue.get())[0] for _ in range(9)]
    assert handed == [f"{p}-{n}" for p in ("urgent", "normal", "background") for n in range(3)]


@virtual
async def test_what_was_due_first_goes_first_even_if_it_was_asked_for_last() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("later", 2)
    queue.add("sooner", 1)
    await asyncio.sleep(3)
    queue.add("now")
    assert [(await queue.get())[0] for _ in range(3)] == ["sooner", "later", "now"]


@virtual
async def test_what_was_begun_can_be_had_before_everything_that_waits_to_begin() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for number in range(50):
        queue.add(f"new-{number}")
    queue.add("begun", 1, begun=True)
    finisher = asyncio.create_task(queue.get(begun=True))
    await asyncio.sleep(0.9)
    assert not finisher.done(), "no new one is handed to who finishes"
    await asyncio.sleep(0.2)
    assert (await finisher)[0] == "begun"
    queue.done("begun")
    handed = [await taken(queue) for _ in range(51)]
    assert handed == [*(f"new-{n}" for n in range(50)), NOTHING], "and to nobody a second time"


@virtual
async def test_what_was_begun_is_had_by_everybody_and_is_begun_only_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a", 1, begun=True)
    queue.done("a")
    await asyncio.sleep(2)
    assert await taken(queue) == "a"
    queue.add("a")
    queue.done("a")
    finisher = asyncio.create_task(queue.get(begun=True))
    await asyncio.sleep(10)
    assert not finisher.done()
    assert await taken(queue) == "a"
    queue.add("a", 5, begun=True)
    queue.forget("a")
    queue.done("a")
    await asyncio.sleep(10)
    assert not finisher.done()
    finisher.cancel()


@virtual
async def test_a_key_that_becomes_urgent_overtakes_the_others() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("first")
    queue.add("second")
    queue.add("second", priority=Priority.URGENT)
    assert (await queue.get())[0] == "second"
    assert (await queue.get())[0] == "first"
    queue.done("first")
    queue.done("second")
    assert await taken(queue, 1000) is NOTHING


@virtual
async def test_a_forgotten_key_is_not_handed_out() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("due")
    queue.add("later", 5)
    queue.add("active")
    queue.add("active", priority=Priority.URGENT)
    assert (await queue.get())[0] == "active"
    queue.add("active")
    for key in ("due", "later", "active", "never-added"):
        queue.forget(key)
    queue.done("active")
    assert len(queue) == 0
    assert await taken(queue, 1000) is NOTHING


@virtual
async def test_a_key_that_is_added_after_it_was_forgotten_is_handed_out_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.forget("a")
    queue.add("a")
    assert await taken(queue) == "a"
    queue.done("a")
    assert await taken(queue, 1000) is NOTHING


@virtual
async def test_a_thousand_keys_and_sixteen_workers() -> None:
    queue: WorkQueue[int] = WorkQueue()
    active: set[int] = set()
    worked: list[int] = []

    async def worker(begun: bool) -> None:
        while True:
            key, _ = await queue.get(begun=begun)
            assert key not in active
            active.add(key)
            if key % 3 == 0 and worked.count(key) == 0:
                queue.add(key, 1)
            await asyncio.sleep(0.1)
            worked.append(key)
            active.discard(key)
            queue.done(key)

    workers = [asyncio.create_task(worker(begun=n >= 12)) for n in range(16)]
    for key in range(1000):
        queue.add(key, (key % 7) / 10)
        queue.add(key, (key % 5) / 10, Priority(key % 3), begun=key % 2 == 0)
    await asyncio.sleep(60)
    assert not any(w.done() for w in workers)
    for w in workers:
        w.cancel()
    assert sorted(worked) == sorted([*range(1000), *range(0, 1000, 3)])
    assert len(queue) == 0
    assert queue.overdue == 0


@virtual
async def test_a_cancelled_worker_takes_no_key_with_it() -> None:
    queue: WorkQueue[str] = WorkQueue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    first.cancel()
    queue.add("a")
    assert (await second)[0] == "a"


@virtual
async def test_what_metrics_read() -> None:
    queue: WorkQueue[str] = WorkQueue()
    assert (len(queue), queue.overdue, queue.oldest_wait) == (0, 0, 0.0)
    queue.add("a")
    queue.add("b", 10)
    queue.add("c", 100)
    await asyncio.sleep(15)
    assert (len(queue), queue.overdue) == (3, 2)
    assert abs(queue.oldest_wait - 15) < 0.001
    await queue.get()
    assert abs(queue.last_activity - asyncio.get_running_loop().time()) < 0.001
    queue.add("a", 1)
    assert len(queue) == 3, "a key that is to be repeated counts"


class QueueBesideAModel(RuleBasedStateMachine):
    """The queue beside a dictionary of what is due when, with a clock that the machine moves."""

    KEYS = st.sampled_from("abcd")

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.queue: WorkQueue[str] = self._on_loop(lambda: WorkQueue())
        self.due: dict[str, tuple[float, Priority]] = {}
        self.again: dict[str, tuple[float, Priority]] = {}
        self.active: set[str] = set()

    def teardown(self) -> None:
        self.loop.close()

    def _on_loop(self, call):
        async def inner():
            return call()

        return self.loop.run_until_complete(inner())

    @rule(key=KEYS, delay=st.sampled_from([0, 0, 1, 3, 10]), priority=st.sampled_from(Priority))
    def add(self, key: str, delay: float, priority: Priority) -> None:
        self._on_loop(lambda: self.queue.add(key, delay, priority))
        place = self.again if key in self.active else self.due
        asked = (self.loop.time() + delay, priority)
        known = place.get(key, asked)
        place[key] = (min(asked[0], known[0]), min(asked[1], known[1]))

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self._on_loop(lambda: self.queue.forget(key))
        self.due.pop(key, None)
        self.again.pop(key, None)

    @rule(seconds=st.sampled_from([1, 2, 5]))
    def wait(self, seconds: int) -> None:
        self.loop.moment += seconds

    @rule()
    def get(self) -> None:
        ready = {k: p for k, (due, p) in self.due.items() if due <= self.loop.time() + 1e-9}
        found = self.loop.run_until_complete(taken(self.queue))
        if not ready:
            assert found is None
            return
        assert found is not None
        assert found not in self.active
        assert ready[found] == min(ready.values()), "the most urgent first"
        del self.due[found]
        self.active.add(found)

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.active)))
        self._on_loop(lambda: self.queue.done(key))
        self.active.discard(key)
        if key in self.again:
            self.due[key] = self.again.pop(key)

    @invariant()
    def counts(self) -> None:
        assert len(self.queue) == len(self.due) + len(self.again)
        late = [due for due, _ in self.due.values() if due <= self.loop.time()]
        assert self._on_loop(lambda: self.queue.overdue) == len(late)


TestQueueBesideAModel = QueueBesideAModel.TestCase
TestQueueBesideAModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
