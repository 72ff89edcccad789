"""The objects as a watch or a list last told them, and which of their changes are worth a pass.

kopf's own index grows with the square of the objects at start-up; a dictionary that is fed from `kopf.on.event` does not. Events, list pages and
answers to writes come in any order, so nothing older replaces or removes anything newer: resourceVersions of one resource are in the order in which
things happened, whichever object of a name they are of. What was deleted is remembered for a while, or a page of a list that began before
would bring it back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator
from typing import Any

from penstock.api import meta
from penstock.engine import metrics
from penstock.engine.kind import Key, Object
from penstock.engine.kube import version
from penstock.engine.queue import Priority, WorkQueue

log = logging.getLogger(__name__)

# Seconds: longer than any list takes. The API server keeps the versions of an unfinished list for five minutes.
_REMEMBERED = 600.0
_WATCHED_ANNOTATIONS = (meta.MODE, meta.RECONCILE_AT, meta.APPROVE, meta.FAILOVER_TO, meta.WAKE)


class Store:
    """The newest known state of every object, by key. Puts keys on the queue when something changed that a pass would act on."""

    def __init__(self, queue: WorkQueue[Key]) -> None:
        self._queue = queue
        self._objects: dict[Key, Object] = {}
        self._places: dict[tuple[str, str], dict[Key, None]] = {}
        self._awaited: dict[Key, tuple[int, float]] = {}
        # Of what is deleted: the newest version that is known to be over, and when that became known.
        self._tombstones: dict[Key, tuple[int, float]] = {}
        self._told = asyncio.get_running_loop().time()

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[tuple[Key, Object]]:
        return iter(list(self._objects.items()))

    def get(self, key: Key) -> Object | None:
        return self._objects.get(key)

    def within(self, kind: str, namespace: str) -> list[tuple[Key, Object]]:
        """The objects of a kind in a namespace."""
        return [(key, self._objects[key]) for key in self._places.get((kind, namespace), ())]

    def count(self, kind: str, namespace: str = "") -> int:
        """How many objects of a kind there are. namespace: '' for all."""
        return sum(len(keys) for (k, ns), keys in self._places.items() if k == kind and namespace in ("", ns))

    def saw(self, key: Key, body: Object, *, deleted: bool = False, listed: float | None = None) -> None:
        """An object that was added, changed, listed or deleted. listed: when the list began that has it, as a time of the event loop."""
        if listed is None:
            self._told = asyncio.get_running_loop().time()
        before, new = self._objects.get(key), version(body)
        if before is not None and new < version(before):
            return
        if deleted:
            self.remove(key, new)
            return
        if before is None and self._over(key, new, listed):
            return
        awaited = self._awaited.get(key)
        # Only the watch shows that the watch is alive.
        if listed is None and awaited is not None and new >= awaited[0]:
            del self._awaited[key]
        self._objects[key] = _lean(body)
        if before is None:
            self._places.setdefault((key.kind, key.namespace), {})[key] = None
            # A restart lists everything; what was settled can wait for what was not.
            settled = (body.get("status") or {}).get("observedGeneration") == body["metadata"].get("generation")
            self._queue.add(key, 0, _priority(body, settled))
        elif _fingerprint(before) != _fingerprint(body) or _undone(before, body):
            self._queue.add(key, 0, _priority(body, False))

    def keep(self, kind: str, namespace: str, listed: Collection[Key], newest: int) -> None:
        """A complete list has these, and is of this version: forget what it does not have, unless it was created later."""
        for (of, place), keys in list(self._places.items()):
            if of == kind and namespace in ("", place):
                for key in [k for k in keys if k not in listed and version(self._objects[k]) <= newest]:
                    log.info("the watch has not told that %s is deleted", "/".join(key))
                    self.remove(key, newest)
        now = asyncio.get_running_loop().time()
        self._tombstones = {k: t for k, t in self._tombstones.items() if now - t[1] < _REMEMBERED}

    def _over(self, key: Key, version: int, listed: float | None) -> bool:
        """Whether what is told of an object is from before its deletion. What is in a list that began after it exists."""
        gone = self._tombstones.get(key)
        return gone is not None and version <= gone[0] and (listed is None or listed <= gone[1])

    def wrote(self, key: Key, body: Object) -> Object:
        """An answer to a write of our own: newer than what the watch has told so far. Returns what is stored."""
        known = self._objects.get(key)
        if known is None:
            return _lean(body)
        if known["metadata"]["uid"] == body["metadata"]["uid"] and version(body) > version(known):
            changed = _fingerprint(known) != _fingerprint(body)
            self._objects[key] = _lean(body)
            self._awaited[key] = (version(body), asyncio.get_running_loop().time())
            if changed:
                self._queue.add(key, 0, _priority(body, False))
        return self._objects[key]

    def missing(self, key: Key, obj: Object) -> None:
        """The API server does not find an object that somebody wants to write."""
        known = self._objects.get(key)
        if known is not None and known["metadata"]["uid"] == obj["metadata"]["uid"]:
            self.remove(key)

    def remove(self, key: Key, newest: int = 0) -> None:
        """Forget an object. newest: up to which version all that is told of that name is over; at least to the known one."""
        known = self._objects.pop(key, None)
        gone = self._tombstones.get(key, (0, 0.0))[0]
        newest = max(gone, newest, version(known) if known is not None else 0)
        self._tombstones[key] = (newest, asyncio.get_running_loop().time())
        self._awaited.pop(key, None)
        if known is not None:
            place = self._places[key.kind, key.namespace]
            del place[key]
            if not place:
                del self._places[key.kind, key.namespace]
            # One last pass, so that the kind forgets it too.
            self._queue.forget(key)
            self._queue.add(key)

    @property
    def silence(self) -> float:
        """Seconds since the watch last told anything."""
        return asyncio.get_running_loop().time() - self._told

    @property
    def echo_overdue(self) -> float:
        """Seconds for which the oldest write of our own has not come back through the watch; a living watch returns it within one."""
        now = asyncio.get_running_loop().time()
        return max((now - since for _, since in self._awaited.values()), default=0.0)

    def measure(self) -> None:
        """Set the gauges that a scrape reads."""
        metrics.WATCH_AGE.set(self.silence)
        metrics.ECHO_AGE.set(self.echo_overdue)
        counts: dict[tuple[str, str], int] = {}
        for key, obj in self._objects.items():
            ready = next(
                (
                    c.get("status", "Unknown")
                    for c in (obj.get("status") or {}).get("conditions") or ()
                    if c.get("type") == "Ready"
                ),
                "Unknown",
            )
            counts[key.kind, ready] = counts.get((key.kind, ready), 0) + 1
        metrics.OBJECTS.clear()
        for (kind, ready), count in counts.items():
            metrics.OBJECTS.labels(kind, ready).set(count)


def _fingerprint(body: Object) -> tuple[Any, ...]:
    """What a pass depends on. Our own status writes and finalizer are not in it, so their echo costs nothing."""
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    return (
        metadata["uid"],
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        *(annotations.get(name) for name in _WATCHED_ANNOTATIONS),
    )


def _undone(before: Object, body: Object) -> bool:
    """Whether somebody took away what we wrote: without the finalizer a deletion would leave the table behind, unknown to anybody.

    Our own writes are stored before their echo comes, and take the finalizer only from an object that is being deleted.
    """
    if "deletionTimestamp" in body["metadata"]:
        return False
    held, holds = (meta.FINALIZER in (o["metadata"].get("finalizers") or ()) for o in (before, body))
    return (held and not holds) or (bool(before.get("status")) and not body.get("status"))


def _priority(body: Object, settled: bool) -> Priority:
    if "deletionTimestamp" in body["metadata"]:
        return Priority.URGENT
    return Priority.BACKGROUND if settled else Priority.NORMAL


def _lean(body: Object) -> Object:
    """Without managedFields, which are most of an object's size and read by nobody here."""
    metadata = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
    annotations = metadata.get("annotations")
    if annotations and "kubectl.kubernetes.io/last-applied-configuration" in annotations:
        metadata["annotations"] = {
            k: v for k, v in annotations.items() if k != "kubectl.kubernetes.io/last-applied-configuration"
        }
    return {**body, "metadata": metadata}
