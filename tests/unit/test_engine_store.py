"""The store: which of the watch's tellings are worth a pass, and which are an echo of our own."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from prometheus_client import REGISTRY
from virtual_time import virtual

from penstock.api import meta
from penstock.engine.kind import Key
from penstock.engine.queue import Priority, WorkQueue
from penstock.engine.store import Store

KEY = Key("Thing", "shop", "a")


def told(version: int, *, uid: str = "u1", generation: int = 1, **more: Any) -> dict[str, Any]:
    """An object as the watch tells it. metadata=…: more metadata; anything else: more of the object."""
    metadata = {"name": "a", "namespace": "shop", "uid": uid, "generation": generation, "resourceVersion": str(version)}
    return {"metadata": {**metadata, **more.pop("metadata", {})}, "spec": {}, **more}


def uid(store: Store) -> str:
    found = store.get(KEY)
    return "" if found is None else str(found["metadata"]["uid"])


async def woken(queue: WorkQueue[Key]) -> Priority | None:
    """The priority with which a key is handed out now, or None."""
    try:
        async with asyncio.timeout(0.001):
            key, priority = await queue.get()
    except TimeoutError:
        return None
    queue.done(key)
    return priority


def fresh() -> tuple[Store, WorkQueue[Key]]:
    queue: WorkQueue[Key] = WorkQueue()
    return Store(queue), queue


@virtual
async def test_a_new_object_is_worth_a_pass() -> None:
    store, queue = fresh()
    store.saw(KEY, told(1))
    assert await woken(queue) is Priority.NORMAL
    assert store.get(KEY) == told(1)
    assert dict(store) == {KEY: told(1)}


@virtual
async def test_a_settled_object_waits_behind_the_others_after_a_restart() -> None:
    store, queue = fresh()
    store.saw(KEY, told(1, generation=3, status={"observedGeneration": 3}))
    assert await woken(queue) is Priority.BACKGROUND


@virtual
async def test_an_object_whose_edit_was_not_seen_before_a_restart_does_not() -> None:
    store, queue = fresh()
    store.saw(KEY, told(1, generation=4, status={"observedGeneration": 3}))
    assert await woken(queue) is Priority.NORMAL


CHANGES = {
    "edit": (told(2, generation=2), Priority.NORMAL),
    "mode": (told(2, metadata={"annotations": {meta.MODE: "Plan"}}), Priority.NORMAL),
    "forced": (told(2, metadata={"annotations": {meta.RECONCILE_AT: "now"}}), Priority.NORMAL),
    "approval": (told(2, metadata={"annotations": {meta.APPROVE: "abc"}}), Priority.NORMAL),
    "deletion": (told(2, metadata={"deletionTimestamp": "2026-11-01T12:00:00Z"}), Priority.URGENT),
    "another object": (told(2, uid="u2"), Priority.NORMAL),
    "status": (told(2, status={"value": "x"}), None),
    "finalizers": (told(2, metadata={"finalizers": ["x"]}), None),
    "labels": (told(2, metadata={"labels": {"x": "y"}}), None),
    "another annotation": (told(2, metadata={"annotations": {"x": "y"}}), None),
    "nothing": (told(1), None),
}


@pytest.mark.parametrize("name", CHANGES)
def test_only_what_a_pass_depends_on_wakes_it(name: str) -> None:
    body, priority = CHANGES[name]

    @virtual
    async def scenario() -> None:
        store, queue = fresh()
        store.saw(KEY, told(1))
        await woken(queue)
        store.saw(KEY, body)
        assert await woken(queue) is priority
        assert store.get(KEY) == body, "but the newest is always kept"

    scenario()


@virtual
async def test_an_older_telling_never_replaces_a_newer() -> None:
    store, queue = fresh()
    store.saw(KEY, told(10, generation=2))
    await woken(queue)
    store.saw(KEY, told(9, generation=1))
    assert store.get(KEY) == told(10, generation=2)
    assert await woken(queue) is None


@virtual
async def test_versions_compare_as_numbers() -> None:
    store, _ = fresh()
    store.saw(KEY, told(9))
    store.saw(KEY, told(10, status={"new": True}))
    found = store.get(KEY)
    assert found is not None
    assert found["status"] == {"new": True}


@virtual
async def test_an_object_of_the_same_name_replaces_its_predecessor_and_never_the_other_way_round() -> None:
    store, queue = fresh()
    store.saw(KEY, told(10))
    await woken(queue)
    store.saw(KEY, told(12, uid="u2"))
    assert uid(store) == "u2"
    assert await woken(queue) is Priority.NORMAL
    store.saw(KEY, told(11))
    assert uid(store) == "u2"
    assert await woken(queue) is None


@virtual
async def test_a_late_deletion_of_the_predecessor_does_not_remove_the_new_object() -> None:
    store, queue = fresh()
    store.saw(KEY, told(10))
    store.saw(KEY, told(12, uid="u2"))
    await woken(queue)
    store.saw(KEY, told(11), deleted=True)
    assert uid(store) == "u2"
    assert await woken(queue) is None
    store.saw(KEY, told(13, uid="u2"), deleted=True)
    assert store.get(KEY) is None


@virtual
async def test_what_was_deleted_is_not_brought_back_by_anything_older() -> None:
    store, queue = fresh()
    began = asyncio.get_running_loop().time()
    store.saw(KEY, told(10))
    store.saw(KEY, told(12), deleted=True)
    await woken(queue)
    store.saw(KEY, told(11))
    assert store.get(KEY) is None, "a late event"
    store.saw(KEY, told(10), listed=began)
    assert store.get(KEY) is None, "a page of a list that began before"
    assert await woken(queue) is None
    store.saw(KEY, told(13, uid="u2"), listed=began)
    assert uid(store) == "u2", "the next object of that name"


@virtual
async def test_a_deletion_that_is_told_before_the_list_that_has_the_object_counts() -> None:
    store, _ = fresh()
    began = asyncio.get_running_loop().time()
    store.saw(KEY, told(12), deleted=True)
    store.saw(KEY, told(10), listed=began)
    assert store.get(KEY) is None


@virtual
async def test_an_object_that_was_missing_by_mistake_comes_back_with_the_next_list() -> None:
    """An API server that starts answers 404 for a moment."""
    store, _ = fresh()
    store.saw(KEY, told(10))
    store.missing(KEY, told(10))
    assert store.get(KEY) is None
    await asyncio.sleep(1)
    store.saw(KEY, told(10), listed=asyncio.get_running_loop().time())
    assert store.get(KEY) == told(10)


@virtual
async def test_a_write_that_meets_a_missing_predecessor_does_not_remove_the_new_object() -> None:
    store, _ = fresh()
    store.saw(KEY, told(12, uid="u2"))
    store.missing(KEY, told(10))
    assert uid(store) == "u2"


@virtual
async def test_a_whole_list_removes_what_it_does_not_have_unless_it_was_created_later() -> None:
    store, queue = fresh()
    other, elsewhere = KEY._replace(name="b"), KEY._replace(namespace="lab")
    for key, version in ((KEY, 10), (other, 21), (elsewhere, 10), (KEY._replace(kind="Other"), 10)):
        store.saw(key, told(version))
    while await woken(queue) is not None:
        pass
    store.keep("Thing", "shop", set(), 20)
    assert {key for key, _ in store} == {other, elsewhere, KEY._replace(kind="Other")}
    assert await woken(queue) is Priority.NORMAL, "one last reconciliation, so that the kind forgets it"
    store.keep("Thing", "", {elsewhere}, 30)
    assert {key for key, _ in store} == {elsewhere, KEY._replace(kind="Other")}
    assert (store.count("Thing"), store.count("Thing", "shop"), store.count("Other")) == (1, 0, 1)


@virtual
async def test_deletions_are_not_remembered_for_ever() -> None:
    store, _ = fresh()
    for number in range(100):
        store.saw(KEY._replace(name=str(number)), told(number), deleted=True)
    await asyncio.sleep(700)
    store.keep("Thing", "", set(), 200)
    assert len(store._tombstones) == 0


@virtual
async def test_a_list_is_no_sign_that_the_watch_is_alive() -> None:
    store, _ = fresh()
    store.saw(KEY, told(1))
    store.wrote(KEY, told(2))
    await asyncio.sleep(100)
    store.saw(KEY, told(2), listed=asyncio.get_running_loop().time())
    assert store.echo_overdue > 99
    assert store.silence > 99


@virtual
async def test_the_answer_to_a_write_is_newer_than_the_watch_and_its_echo_wakes_nobody() -> None:
    store, queue = fresh()
    store.saw(KEY, told(1))
    await woken(queue)
    assert store.wrote(KEY, told(2, status={"value": "x"})) == told(2, status={"value": "x"})
    assert store.get(KEY) == told(2, status={"value": "x"})
    store.saw(KEY, told(1))
    assert store.get(KEY) == told(2, status={"value": "x"}), "what the watch tells late is not believed"
    store.saw(KEY, told(2, status={"value": "x"}))
    assert await woken(queue) is None


@virtual
async def test_a_finalizer_or_a_status_that_somebody_took_away_is_worth_a_pass() -> None:
    store, queue = fresh()
    whole = {"metadata": {"finalizers": [meta.FINALIZER]}, "status": {"value": "x"}}
    store.saw(KEY, told(1, **copy.deepcopy(whole)))
    await woken(queue)
    store.saw(KEY, told(2, status={"value": "x"}))
    assert await woken(queue) is Priority.NORMAL
    store.saw(KEY, told(3, **copy.deepcopy(whole)))
    assert await woken(queue) is None
    store.saw(KEY, told(4, metadata={"finalizers": [meta.FINALIZER]}))
    assert await woken(queue) is Priority.NORMAL


@virtual
async def test_an_answer_that_shows_an_edit_wakes_without_waiting_for_the_watch() -> None:
    store, queue = fresh()
    store.saw(KEY, told(1))
    await woken(queue)
    store.wrote(KEY, told(2, generation=2))
    assert await woken(queue) is Priority.NORMAL


@virtual
async def test_an_answer_about_a_predecessor_or_from_before_is_not_kept() -> None:
    store, _ = fresh()
    store.saw(KEY, told(5, uid="u2"))
    assert store.wrote(KEY, told(9, uid="u1")) == told(5, uid="u2")
    assert store.wrote(KEY, told(4, uid="u2")) == told(5, uid="u2")
    assert store.get(KEY) == told(5, uid="u2")


@virtual
async def test_an_answer_about_an_object_that_is_gone_brings_it_not_back() -> None:
    store, _ = fresh()
    store.wrote(KEY, told(5))
    assert store.get(KEY) is None
    assert len(store) == 0


@virtual
async def test_a_deleted_object_gets_one_last_pass() -> None:
    store, queue = fresh()
    store.saw(KEY, told(1))
    await woken(queue)
    queue.add(KEY, 1000)
    store.saw(KEY, told(2), deleted=True)
    assert store.get(KEY) is None
    assert await woken(queue) is Priority.NORMAL
    assert len(queue) == 0
    store.saw(KEY, told(2), deleted=True)
    assert await woken(queue) is None


@virtual
async def test_what_nobody_reads_is_not_kept() -> None:
    store, _ = fresh()
    last = "kubectl.kubernetes.io/last-applied-configuration"
    body = told(1, metadata={"managedFields": [{"manager": "x"}], "annotations": {last: "{…}", meta.MODE: "Plan"}})
    store.saw(KEY, body)
    found = store.get(KEY)
    assert found is not None
    assert "managedFields" not in found["metadata"]
    assert found["metadata"]["annotations"] == {meta.MODE: "Plan"}
    assert last in body["metadata"]["annotations"], "the caller's object is left as it is"


@virtual
async def test_a_watch_that_stopped_telling_shows_by_our_own_writes() -> None:
    store, _ = fresh()
    store.saw(KEY, told(1))
    await asyncio.sleep(500)
    assert store.echo_overdue == 0, "a quiet watch is no dead watch"
    assert abs(store.silence - 500) < 0.01
    store.wrote(KEY, told(2))
    await asyncio.sleep(100)
    assert abs(store.echo_overdue - 100) < 0.01
    store.saw(KEY, told(1))
    assert store.echo_overdue > 99, "an older telling is no echo"
    store.saw(KEY, told(3))
    assert store.echo_overdue == 0
    store.wrote(KEY, told(4))
    store.saw(KEY, told(4), deleted=True)
    await asyncio.sleep(100)
    assert store.echo_overdue == 0, "of an object that is gone no echo comes"


@virtual
async def test_objects_are_counted_by_readiness() -> None:
    store, _ = fresh()
    conditions = {"conditions": [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True"}]}
    store.saw(KEY, told(1, status=conditions))
    store.saw(KEY._replace(name="b"), told(2))
    store.measure()
    values = {
        ready: REGISTRY.get_sample_value("penstock_objects", {"kind": "Thing", "ready": ready})
        for ready in ("True", "Unknown")
    }
    assert values == {"True": 1, "Unknown": 1}
