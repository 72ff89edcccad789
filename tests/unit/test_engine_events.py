"""Kubernetes Events: folded, counted, and never the reason that a pass fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_kube import Cluster, FakeKube, Network
from virtual_time import now, virtual

from penstock.engine import events
from penstock.engine.events import Note, Recorder
from penstock.engine.kube import EVENTS, KubeError, Resource

ORDERS = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "DynamoTable",
    "metadata": {"name": "orders", "namespace": "shop", "uid": "u1", "resourceVersion": "7"},
}
CREATING = Note("Creating", "Creating table orders.", action="CreateTable")


def stored(kube: FakeKube) -> list[dict[str, Any]]:
    return [obj for (plural, _, _), obj in kube.cluster.objects.items() if plural == "events"]


@virtual
async def test_an_event_says_who_what_and_about_which_object() -> None:
    kube = FakeKube()
    await Recorder(kube, "penstock-0", now).tell(ORDERS, CREATING)
    (event,) = stored(kube)
    assert event["metadata"]["namespace"] == "shop"
    assert event["metadata"]["name"].startswith("orders.")
    assert event["regarding"] == {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "DynamoTable",
        "namespace": "shop",
        "name": "orders",
        "uid": "u1",
        "resourceVersion": "7",
    }
    assert (event["reason"], event["note"], event["type"], event["action"]) == (
        "Creating",
        "Creating table orders.",
        "Normal",
        "CreateTable",
    )
    assert (event["reportingController"], event["reportingInstance"]) == ("penstock.dev/operator", "penstock-0")
    assert event["eventTime"] == "2026-11-01T12:00:00.000000Z"


@virtual
async def test_a_warning_is_of_type_warning() -> None:
    kube = FakeKube()
    await Recorder(kube, "x", now).tell(ORDERS, Note("Refused", "No.", warning=True))
    assert stored(kube)[0]["type"] == "Warning"


@virtual
async def test_the_same_said_again_within_five_minutes_costs_nothing() -> None:
    kube = FakeKube()
    recorder = Recorder(kube, "x", now)
    for _ in range(100):
        await recorder.tell(ORDERS, CREATING)
        await asyncio.sleep(2)
    assert len(kube.writes) == 1


@virtual
async def test_afterwards_it_raises_the_count_of_the_same_event() -> None:
    kube = FakeKube()
    recorder = Recorder(kube, "x", now)
    for _ in range(8):
        await recorder.tell(ORDERS, CREATING)
        await asyncio.sleep(100)
    (event,) = stored(kube)
    assert event["series"]["count"] == 7, "written at 0, 300 and 600 s; the seventh telling is at 600 s"
    assert event["series"]["lastObservedTime"].startswith("2026-11-01T12:10:00.")
    assert [w[0] for w in kube.writes] == ["POST", "PATCH", "PATCH"]


@virtual
async def test_another_sentence_reason_or_object_is_another_event() -> None:
    kube = FakeKube()
    recorder = Recorder(kube, "x", now)
    again = {**ORDERS, "metadata": {**ORDERS["metadata"], "uid": "u2"}}
    for obj, note in [
        (ORDERS, CREATING),
        (again, CREATING),
        (ORDERS, Note("Creating", "Creating table orders, again.")),
        (ORDERS, Note("Recreating", "Creating table orders.")),
    ]:
        await recorder.tell(obj, note)
    assert len(stored(kube)) == 4


@virtual
async def test_an_event_that_expired_is_made_anew() -> None:
    kube = FakeKube()
    recorder = Recorder(kube, "x", now)
    await recorder.tell(ORDERS, CREATING)
    kube.cluster.objects.clear()
    await asyncio.sleep(3700)
    await recorder.tell(ORDERS, CREATING)
    (event,) = stored(kube)
    assert "series" not in event
    await asyncio.sleep(301)
    await recorder.tell(ORDERS, CREATING)
    assert stored(kube)[0]["series"]["count"] == 2


@pytest.mark.parametrize("status", [0, 403, 404, 409, 422, 429, 500])
@pytest.mark.parametrize("first", [True, False])
def test_it_never_raises(status: int, first: bool) -> None:
    @virtual
    async def scenario() -> None:
        kube = FakeKube()
        recorder = Recorder(kube, "x", now)
        if not first:
            await recorder.tell(ORDERS, CREATING)
            await asyncio.sleep(400)

        def fault(verb: str, resource: Resource, name: str) -> None:
            raise KubeError(status, "Reason", "no")

        kube.faults.append(fault)
        await recorder.tell(ORDERS, CREATING)
        kube.faults.clear()
        kube.network = Network(loses_requests=True)
        await recorder.tell(ORDERS, Note("Other", "Other."))

    scenario()


@virtual
async def test_an_event_that_could_not_be_written_is_written_when_it_is_told_again() -> None:
    kube = FakeKube(network=Network(refuses=True))
    recorder = Recorder(kube, "x", now)
    await recorder.tell(ORDERS, CREATING)
    kube.network = Network()
    await recorder.tell(ORDERS, CREATING)
    assert len(stored(kube)) == 1


@pytest.mark.parametrize("letter", ["x", "ü", "長"])
def test_a_long_sentence_is_cut_to_the_bytes_that_the_api_takes(letter: str) -> None:
    @virtual
    async def scenario() -> None:
        kube = FakeKube()
        await Recorder(kube, "i" * 500, now).tell(ORDERS, Note("Long", letter * 5000))
        (event,) = stored(kube)
        assert 900 < len(event["note"].encode()) <= 1024
        assert event["note"].endswith("…")
        assert len(event["reportingInstance"]) <= 128

    scenario()


@pytest.mark.parametrize("name", ["a" * 253, "a" * 199 + "-" + "b" * 50, "a" * 198 + ".-" + "b" * 50])
def test_the_name_of_an_event_is_a_dns_name_for_every_object(name: str) -> None:
    @virtual
    async def scenario() -> None:
        kube = FakeKube()
        await Recorder(kube, "x", now).tell({**ORDERS, "metadata": {**ORDERS["metadata"], "name": name}}, CREATING)
        made = stored(kube)[0]["metadata"]["name"]
        assert len(made) <= 253
        assert all(part and part[0].isalnum() and part[-1].isalnum() for part in made.split("."))

    scenario()


@virtual
async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 3)
    kube = FakeKube(Cluster())
    recorder = Recorder(kube, "x", now)
    for number in range(10):
        await recorder.tell(ORDERS, Note("Reason", f"Sentence {number}."))
    for number in (9, 8, 7):
        await recorder.tell(ORDERS, Note("Reason", f"Sentence {number}."))
    assert len(stored(kube)) == 10
    assert EVENTS.plural == "events"
    await recorder.tell(ORDERS, Note("Reason", "Sentence 0."))
    assert len(stored(kube)) == 11


@virtual
async def test_waits_for_busy_workers_in_order_and_not_for_ever() -> None:
    kube = FakeKube()
    recorder = Recorder(kube, "x", now)
    busy = True
    running = asyncio.create_task(recorder.run(lambda: busy))
    await asyncio.sleep(0)
    for number in range(3):
        await recorder.tell(ORDERS, Note("Reason", f"Sentence {number}."))
    await asyncio.sleep(1)
    assert stored(kube) == []
    await asyncio.sleep(events.HOLD_SECONDS)
    assert [e["note"] for e in stored(kube)] == ["Sentence 0.", "Sentence 1.", "Sentence 2."]
    await recorder.tell(ORDERS, Note("Reason", "Sentence 3."))
    await asyncio.sleep(1)
    assert len(stored(kube)) == 3
    busy = False
    await asyncio.sleep(1)
    assert len(stored(kube)) == 4
    running.cancel()


@virtual
async def test_what_still_waits_at_the_end_is_written_once() -> None:
    kube = FakeKube()
    recorder = Recorder(kube, "x", now)
    running = asyncio.create_task(recorder.run(lambda: True))
    await asyncio.sleep(0)
    await recorder.tell(ORDERS, CREATING)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await recorder.flush(1)
    await recorder.flush(1)
    assert len(stored(kube)) == 1
