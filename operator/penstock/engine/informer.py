"""The store as the API server has it: a list that replaces what is known, beside the watch that kopf hosts.

kopf tells of no deletion that happened while its watch was interrupted (410 Gone, then a new list). So every kind is listed once before the operator
counts as ready, listed again whenever the API server has another number of objects than the store, and in any case every ten minutes.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.api import meta
from penstock.engine.kind import Key
from penstock.engine.kube import Kube, KubeError, Resource
from penstock.engine.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InformerCycles:
    """Seconds: between two comparisons of the number of objects, between two lists, and before a failed first list is repeated."""

    compare: float = 15.0
    resync: float = 600.0
    retry: float = 1.0


async def relist(kube: Kube, store: Store, kind: str, resource: Resource, namespace: str = "") -> int:
    """Have the store know exactly what there is of a kind. namespace: '' for all. Returns the list's version. Raises KubeError."""
    began, listed, newest = asyncio.get_running_loop().time(), set(), 0
    async for page in kube.pages(resource, namespace):
        for item in page.items:
            key = Key(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
            listed.add(key)
            store.saw(key, {"apiVersion": meta.API_VERSION, "kind": kind, **item}, listed=began)
        newest = page.version
    store.keep(kind, namespace, listed, newest)
    return newest


class Informer:
    """Runs for ever. kinds: by name. namespaces: those that are watched, none for all."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        kinds: Mapping[str, Resource],
        namespaces: Iterable[str] = (),
        cycles: InformerCycles | None = None,
    ) -> None:
        self._kube = kube
        self._store = store
        self._scopes = [(kind, resource, ns) for kind, resource in kinds.items() for ns in (tuple(namespaces) or ("",))]
        self._cycles = cycles or InformerCycles()
        self._unlisted = len(self._scopes)

    @property
    def listed(self) -> bool:
        """Whether every kind was listed once."""
        return not self._unlisted

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for scope in self._scopes:
                tasks.create_task(self._follow(*scope))

    async def _follow(self, kind: str, resource: Resource, namespace: str) -> None:
        due, first, failing = 0.0, True, False
        now = asyncio.get_running_loop().time
        while True:
            try:
                if now() >= due or await self._kube.count(resource, namespace) != self._store.count(kind, namespace):
                    await relist(self._kube, self._store, kind, resource, namespace)
                    due = now() + self._cycles.resync * random.uniform(0.9, 1.1)
                    self._unlisted -= first
                    first = False
                failing = False
            except KubeError as error:
                if not failing:
                    log.warning("%s are not listed, and deletions may go unnoticed: %s", resource.plural, error)
                failing = True
            await asyncio.sleep(self._cycles.retry if first else self._cycles.compare * random.uniform(0.9, 1.1))
