"""The list beside the watch: nothing that was deleted stays, and no page is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from engine_harness import THINGS, Bench, Things, operating
from fake_kube import Cluster, FakeKube, Network
from virtual_time import elapsed, virtual

from penstock.api import meta
from penstock.engine.informer import Informer, relist
from penstock.engine.kind import Key
from penstock.engine.kube import KubeError, Resource
from penstock.engine.queue import WorkQueue
from penstock.engine.store import Store

OTHERS = Resource(meta.GROUP, meta.VERSION, "others")


def create(cluster: Cluster, name: str, namespace: str = "shop", resource: Resource = THINGS) -> None:
    cluster.create(resource, namespace, {"metadata": {"name": name}, "spec": {"value": "one"}})


def names(store: Store) -> set[str]:
    return {key.name for key, _ in store}


async def follow(kube: FakeKube, store: Store, **scope: Any) -> tuple[Informer, asyncio.Task[None]]:
    informer = Informer(kube, store, scope.pop("kinds", {"Thing": THINGS}), **scope)
    return informer, asyncio.create_task(informer.run())


@virtual
async def test_a_deletion_that_the_watch_missed_is_noticed_without_a_restart() -> None:
    things, cluster = Things(), Cluster()
    bench = Bench([things], cluster)
    async with operating(bench):
        _, task = await follow(bench.kube, bench.loop.store)
        for name in "abc":
            bench.create(name, annotations={meta.MODE: "Plan"})
        await asyncio.sleep(60)
        bench.deaf = True
        bench.delete("a")
        bench.delete("b")
        bench.create("d")
        bench.create("e")
        bench.deaf = False
        # As many as before: kopf's own list tells of the new ones, which the fake watch does not.
        await asyncio.sleep(60)
        assert names(bench.loop.store) >= {"c"}
        await asyncio.sleep(700)
        assert names(bench.loop.store) == {"c", "d", "e"}
        assert {key.name for key in things.forgotten} == {"a", "b"}
        task.cancel()


@virtual
async def test_the_last_object_of_a_kind_goes_too() -> None:
    """After a 410 kopf lists, and of an empty list it tells nothing."""
    cluster = Cluster()
    create(cluster, "a")
    kube, store = FakeKube(cluster), Store(WorkQueue())
    _, task = await follow(kube, store)
    await asyncio.sleep(1)
    assert names(store) == {"a"}
    cluster.delete(THINGS, "shop", "a")
    await asyncio.sleep(20)
    assert names(store) == set()
    task.cancel()


@virtual
async def test_it_is_listed_once_every_kind_was() -> None:
    cluster = Cluster()
    create(cluster, "a")
    kube, store = FakeKube(cluster), Store(WorkQueue())

    def fault(verb: str, resource: Resource, name: str) -> None:
        if resource is OTHERS and elapsed() < 30:
            raise KubeError(503, "Unavailable", "not yet")

    kube.faults.append(fault)
    informer, task = await follow(kube, store, kinds={"Thing": THINGS, "Other": OTHERS})
    await asyncio.sleep(29)
    assert names(store) == {"a"}
    assert not informer.listed
    await asyncio.sleep(3)
    assert informer.listed
    task.cancel()


@virtual
async def test_only_the_namespaces_that_are_watched_are_listed() -> None:
    cluster = Cluster()
    for namespace in ("shop", "lab", "other"):
        create(cluster, namespace, namespace)
    kube, store = FakeKube(cluster), Store(WorkQueue())
    informer, task = await follow(kube, store, namespaces=("shop", "lab"))
    await asyncio.sleep(1)
    assert informer.listed
    assert names(store) == {"shop", "lab"}
    task.cancel()


@virtual
async def test_an_outage_of_the_api_server_removes_nothing() -> None:
    cluster = Cluster()
    create(cluster, "a")
    kube, store = FakeKube(cluster), Store(WorkQueue())
    _, task = await follow(kube, store)
    await asyncio.sleep(1)
    kube.network = Network(refuses=True)
    await asyncio.sleep(1000)
    assert names(store) == {"a"}
    cluster.delete(THINGS, "shop", "a")
    kube.network = Network()
    await asyncio.sleep(20)
    assert names(store) == set()
    task.cancel()


@virtual
async def test_while_nothing_happens_one_object_of_a_kind_is_read_four_times_a_minute() -> None:
    cluster = Cluster()
    for number in range(600):
        create(cluster, f"t{number}")
    kube, store = FakeKube(cluster), Store(WorkQueue())
    _, task = await follow(kube, store)
    await asyncio.sleep(10)
    assert len(kube.sent) == 3
    kube.sent.clear()
    await asyncio.sleep(500)
    assert 30 <= len(kube.sent) <= 38
    task.cancel()


def paged(cluster: Cluster, meanwhile: Callable[[FakeKube], None]) -> FakeKube:
    """A connection on which something happens before the second page of a list."""
    kube = FakeKube(cluster)
    for number in range(600):
        create(cluster, f"t{number:03}")
    count = [0]

    def fault(verb: str, resource: Resource, name: str) -> None:
        count[0] += 1
        if count[0] == 2:
            meanwhile(kube)

    kube.faults.append(fault)
    return kube


@virtual
async def test_a_list_has_all_of_its_pages() -> None:
    kube = paged(Cluster(), lambda _: None)
    assert len(await kube.list_all(THINGS)) == 600
    assert len(kube.sent) == 3


@virtual
async def test_a_list_that_took_too_long_is_begun_anew() -> None:
    kube = paged(Cluster(), lambda kube: kube.cluster.lists.clear())
    assert len(await kube.list_all(THINGS)) == 600
    assert len(kube.sent) == 5


@virtual
async def test_what_is_deleted_while_pages_are_read_stays_deleted_and_what_is_created_stays() -> None:
    """The pages are of the moment of the first one; the watch tells of both before the list ends."""
    store = Store(WorkQueue())

    def meanwhile(kube: FakeKube) -> None:
        for name in ("t001", "t500"):
            obj = kube.cluster.get(THINGS, "shop", name)
            kube.cluster.delete(THINGS, "shop", name)
            obj["metadata"]["resourceVersion"] = str(kube.cluster.version)
            store.saw(Key("Thing", "shop", name), obj, deleted=True)
        create(kube.cluster, "new")
        store.saw(Key("Thing", "shop", "new"), kube.cluster.get(THINGS, "shop", "new"))

    kube = paged(Cluster(), meanwhile)
    await relist(kube, store, "Thing", THINGS)
    assert names(store) == {f"t{n:03}" for n in range(600) if n not in (1, 500)} | {"new"}


@virtual
async def test_pages_that_repeat_are_no_list() -> None:
    kube = FakeKube(Cluster())

    async def same(*_: Any, **__: Any) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": "5", "continue": "again"}, "items": []}

    kube.request = same  # type: ignore[method-assign]
    with pytest.raises(KubeError, match="pages repeat"):
        await kube.list_all(THINGS)


@virtual
async def test_an_object_whose_status_cannot_be_written_because_it_is_gone_is_forgotten() -> None:
    things = Things()
    bench = Bench([things])
    async with operating(bench):
        bench.create("a", annotations={meta.MODE: "Plan"})
        await asyncio.sleep(10)
        bench.deaf = True
        bench.delete("a")
        things.world["a"] = "one"
        bench.loop.queue.add(bench.key("a"))
        await asyncio.sleep(10)
        assert names(bench.loop.store) == set()
        assert {key.name for key in things.forgotten} == {"a"}
