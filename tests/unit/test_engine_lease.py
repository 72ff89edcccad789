"""Leadership: takeover in time, and never two leaders, whatever the network does."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from dynamo_specs import examples
from fake_kube import Cluster, FakeKube, Network
from hypothesis import example, given
from hypothesis import strategies as st
from virtual_time import elapsed, run, virtual

from penstock.engine import lease as lease_module
from penstock.engine.kube import LEASES, KubeError, Resource
from penstock.engine.lease import LeadershipLost, Lease

LOST = pytest.raises(LeadershipLost)


def candidate(cluster: Cluster, name: str) -> tuple[Lease, FakeKube]:
    kube = FakeKube(cluster)
    return Lease(kube, "penstock-system", "penstock-operator", name), kube


def spec(cluster: Cluster) -> dict[str, object]:
    found: dict[str, object] = cluster.get(LEASES, "penstock-system", "penstock-operator")["spec"]
    return found


@dataclass
class Watched:
    """Who leads, by their own belief; two at a time is the failure that a Lease is for."""

    leading: set[str] = field(default_factory=set)
    terms: list[tuple[str, float, float]] = field(default_factory=list)

    @contextlib.contextmanager
    def term(self, name: str) -> Iterator[None]:
        assert not self.leading, f"{name} leads at {elapsed():.2f} s beside {self.leading}"
        self.leading.add(name)
        began = elapsed()
        try:
            yield
        finally:
            self.leading.discard(name)
            self.terms.append((name, began, elapsed()))


async def operate(lease: Lease, watched: Watched) -> None:
    """One process: lead until the Lease is lost, or the process is cancelled, which stands for SIGKILL."""
    await lease.acquire()
    with watched.term(lease.identity):
        await lease.keep()


@virtual
async def test_the_first_one_makes_the_lease_and_leads_at_once() -> None:
    cluster = Cluster()
    lease, _ = candidate(cluster, "one")
    await lease.acquire()
    assert lease.held
    assert elapsed() < 0.1
    found = spec(cluster)
    assert (found["holderIdentity"], found["leaseDurationSeconds"], found["leaseTransitions"]) == ("one", 15, 0)


@virtual
async def test_the_second_one_waits_while_the_first_renews() -> None:
    cluster, watched = Cluster(), Watched()
    first, _ = candidate(cluster, "one")
    second, _ = candidate(cluster, "two")
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    waiting = asyncio.create_task(operate(second, watched))
    await asyncio.sleep(600)
    assert not waiting.done()
    assert not keeping.done()
    assert watched.terms == []
    keeping.cancel()
    waiting.cancel()


@pytest.mark.parametrize("silence", [n / 8 for n in range(17)])
def test_a_silent_death_is_taken_over_within_17_seconds(silence: float) -> None:
    """At whatever moment between two renewals the process dies; the second one polls at moments of its own."""

    async def scenario() -> float:
        cluster, watched = Cluster(), Watched()
        first, _ = candidate(cluster, "one")
        process = asyncio.create_task(operate(first, watched))
        await asyncio.sleep(1)
        second, _ = candidate(cluster, "two")
        asyncio.create_task(operate(second, watched))  # noqa: RUF006
        await asyncio.sleep(30 + silence)
        process.cancel()
        died = elapsed()
        while "two" not in watched.leading:
            await asyncio.sleep(0.05)
        return elapsed() - died

    for _ in range(3):
        assert run(scenario()) <= 17.0


@virtual
async def test_a_released_lease_is_taken_over_within_3_seconds() -> None:
    for _ in range(20):
        cluster = Cluster()
        first, _ = candidate(cluster, "one")
        second, _ = candidate(cluster, "two")
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(20)
        keeping = asyncio.create_task(first.keep())
        await asyncio.sleep(5)
        keeping.cancel()
        released = elapsed()
        await first.release()
        await waiting
        assert second.held
        assert not first.held
        assert elapsed() - released <= 3


@virtual
async def test_the_transitions_are_counted_over_releases_and_deaths() -> None:
    cluster = Cluster()
    for number in range(4):
        lease, _ = candidate(cluster, f"process-{number}")
        await lease.acquire()
        assert spec(cluster)["leaseTransitions"] == number
        assert spec(cluster)["holderIdentity"] == f"process-{number}"
        if number % 2:
            await lease.release()


@virtual
async def test_a_release_whose_last_renewal_was_cut_off_still_gives_the_lease_back() -> None:
    cluster = Cluster()
    first, kube = candidate(cluster, "one")
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    kube.network = Network(after=1)
    await asyncio.sleep(2.5)
    keeping.cancel()
    kube.network = Network()
    await first.release()
    assert spec(cluster)["holderIdentity"] == ""


@virtual
async def test_a_release_that_fails_does_not_raise() -> None:
    cluster = Cluster()
    lease, kube = candidate(cluster, "one")
    await lease.release()
    await lease.acquire()
    kube.network = Network(loses_requests=True)
    await lease.release()
    assert not lease.held


@virtual
async def test_a_release_never_takes_the_lease_from_another() -> None:
    cluster = Cluster()
    first, _ = candidate(cluster, "one")
    second, _ = candidate(cluster, "two")
    await first.acquire()
    await second.acquire()
    assert spec(cluster)["holderIdentity"] == "two"
    await first.release()
    assert spec(cluster)["holderIdentity"] == "two"


@virtual
async def test_whoever_finds_another_holder_has_lost() -> None:
    cluster = Cluster()
    first, _ = candidate(cluster, "one")
    await first.acquire()
    stored = cluster.get(LEASES, "penstock-system", "penstock-operator")
    cluster.replace(
        LEASES,
        "penstock-system",
        "penstock-operator",
        {**stored, "spec": {**stored["spec"], "holderIdentity": "usurper"}},
    )
    with LOST as raised:
        await first.keep()
    assert "usurper" in str(raised.value)
    assert not first.held


@pytest.mark.parametrize(
    "network",
    [Network(refuses=True), Network(loses_requests=True), Network(loses_answers=True), Network(before=9)],
    ids=["refused", "requests lost", "answers lost", "too slow"],
)
def test_whoever_cannot_renew_gives_up_before_anybody_may_take_over(network: Network) -> None:
    @virtual
    async def scenario() -> None:
        lease, kube = candidate(Cluster(), "one")
        await lease.acquire()
        kube.network = network
        began = elapsed()
        with LOST:
            await lease.keep()
        assert 8 <= elapsed() - began <= 13

    scenario()


@virtual
async def test_a_short_outage_costs_no_leadership() -> None:
    cluster, watched = Cluster(), Watched()
    lease, kube = candidate(cluster, "one")
    process = asyncio.create_task(operate(lease, watched))
    for _ in range(10):
        await asyncio.sleep(20)
        kube.network = Network(loses_answers=True)
        await asyncio.sleep(4)
        kube.network = Network()
    assert not process.done()
    process.cancel()


@virtual
async def test_somebody_who_only_touches_the_lease_takes_nothing() -> None:
    """An annotation changes the resourceVersion, and with it the next renewal conflicts."""
    cluster = Cluster()
    lease, _ = candidate(cluster, "one")
    await lease.acquire()
    keeping = asyncio.create_task(lease.keep())
    for number in range(20):
        await asyncio.sleep(3)
        stored = cluster.get(LEASES, "penstock-system", "penstock-operator")
        stored["metadata"]["annotations"] = {"touched": str(number)}
        cluster.replace(LEASES, "penstock-system", "penstock-operator", stored)
    assert not keeping.done()
    assert lease.held
    keeping.cancel()


@virtual
async def test_a_lease_that_somebody_deleted_is_made_again() -> None:
    cluster = Cluster()
    lease, _ = candidate(cluster, "one")
    await lease.acquire()
    keeping = asyncio.create_task(lease.keep())
    await asyncio.sleep(10)
    cluster.delete(LEASES, "penstock-system", "penstock-operator")
    await asyncio.sleep(10)
    assert spec(cluster)["holderIdentity"] == "one"
    assert not keeping.done()
    keeping.cancel()


@virtual
async def test_waiting_for_the_lease_outlasts_every_error() -> None:
    cluster = Cluster()
    lease, kube = candidate(cluster, "one")

    def forbidden(verb: str, resource: Resource, name: str) -> None:
        raise KubeError(403, "Forbidden", "leases is forbidden")

    kube.faults.append(forbidden)
    acquiring = asyncio.create_task(lease.acquire())
    await asyncio.sleep(100)
    kube.faults.clear()
    kube.network = Network(refuses=True)
    await asyncio.sleep(100)
    assert not acquiring.done()
    kube.network = Network()
    await asyncio.sleep(3)
    assert acquiring.done()


@virtual
async def test_a_leader_that_was_long_in_starting_up_does_not_believe_an_old_lease() -> None:
    """Between acquire and keep a process may hang (a slow API server); the time counts from the last renewal, not from keep."""
    cluster = Cluster()
    first, _ = candidate(cluster, "one")
    second, _ = candidate(cluster, "two")
    await first.acquire()
    await second.acquire()
    began = elapsed()
    with LOST:
        await first.keep()
    assert elapsed() - began < 0.1


@virtual
async def test_a_process_may_write_from_its_acquisition_until_its_last_renewal_is_ten_seconds_old() -> None:
    lease, _ = candidate(Cluster(), "one")
    assert not lease.valid
    await lease.acquire()
    assert lease.valid
    await asyncio.sleep(9.9)
    assert lease.valid
    await asyncio.sleep(0.2)
    assert not lease.valid, "nobody has taken it, but somebody may soon"
    assert lease.held


@pytest.mark.parametrize("clock", [0, 1], ids=["a machine that slept", "a machine that was restored from its snapshot"])
def test_time_that_the_loop_did_not_see_counts(clock: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """CLOCK_MONOTONIC, which the loop goes by, stands still while a machine sleeps."""
    readings = [100.0, 100.0]
    monkeypatch.setattr(lease_module, "clocks", lambda: tuple(readings))

    @virtual
    async def scenario() -> None:
        cluster = Cluster()
        first, kube = candidate(cluster, "one")
        second, _ = candidate(cluster, "two")
        await first.acquire()
        readings[clock] += 30
        assert not first.valid
        await second.acquire()
        kube.sent.clear()
        with LOST as raised:
            await first.keep()
        assert "suspended" in str(raised.value)
        assert kube.sent == [], "it does not even ask"
        assert spec(cluster)["holderIdentity"] == "two"

    scenario()


@virtual
async def test_whoever_gave_the_lease_back_may_not_write() -> None:
    lease, _ = candidate(Cluster(), "one")
    await lease.acquire()
    await lease.release()
    assert not lease.valid


FULL_PIPE = """
import logging, os, threading, time
from penstock.engine import lease

class Stuck(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), flush=True)
        time.sleep(60)

logging.basicConfig(handlers=[Stuck()])
# Threads that go on for ever, and one more that nobody waits for: what calls to AWS are.
for _ in range(3):
    threading.Thread(target=lambda: [time.sleep(0.01) for _ in range(10**6)]).start()
lease.end_process("somebody took the Lease")
"""


def test_the_process_ends_at_once_whatever_runs_and_even_if_nobody_reads_its_log() -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", FULL_PIPE], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stdout == "leadership is lost, so this process ends: somebody took the Lease\n"
    assert time.monotonic() - began < 10


PHASES = st.lists(
    st.tuples(
        st.floats(0.5, 25),
        st.one_of(
            st.just(Network()),
            st.builds(Network, before=st.floats(0, 6), after=st.floats(0, 6)),
            st.just(Network(loses_requests=True)),
            st.just(Network(loses_answers=True)),
            st.just(Network(refuses=True)),
        ),
    ),
    min_size=1,
    max_size=8,
)
PROCESSES = st.lists(st.tuples(st.floats(0, 5), PHASES), min_size=2, max_size=3)


@given(PROCESSES)
# A renewal that takes effect and is answered late, then lost requests, then refused ones: the answer's time would be too late to count from.
@example(
    [
        (
            0.0,
            [
                (0.5, Network()),
                (2.0, Network(after=4.9)),
                (9.0, Network(loses_requests=True)),
                (5.0, Network(refuses=True)),
                (25.0, Network(loses_requests=True)),
            ],
        ),
        (2.02, [(1.0, Network())]),
    ]
)
@examples(40)
def test_there_are_never_two_leaders_and_at_last_there_is_one(
    processes: list[tuple[float, list[tuple[float, Network]]]],
) -> None:
    async def scenario() -> None:
        cluster, watched = Cluster(), Watched()

        async def process(number: int, begins: float, phases: list[tuple[float, Network]]) -> None:
            await asyncio.sleep(begins)
            network = Network()

            async def weather() -> None:
                for seconds, state in phases:
                    network.__dict__.update(state.__dict__)
                    await asyncio.sleep(seconds)
                network.__dict__.update(Network().__dict__)

            blowing = asyncio.create_task(weather())
            for restart in range(1000):
                kube = FakeKube(cluster, network)
                lease = Lease(kube, "penstock-system", "penstock-operator", f"{number}-{restart}")
                with contextlib.suppress(LeadershipLost):
                    await operate(lease, watched)
            await blowing

        running = [asyncio.create_task(process(n, *p)) for n, p in enumerate(processes)]
        await asyncio.sleep(260)
        for task in running:
            if task.done():
                task.result()
        assert len(watched.leading) == 1, "with the network well again, somebody leads"
        for task in running:
            task.cancel()

    run(scenario())
