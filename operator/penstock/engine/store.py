"""The objects as the watch last told them, and which of their changes are worth a pass.

kopf's own index grows with the square of the objects at start-up; a dictionary that is fed from `kopf.on.event` does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from penstock.api import meta
from penstock.engine import metrics
from penstock.engine.kind import Key, Object
from penstock.engine.queue import Priority, WorkQueue

_WATCHED_ANNOTATIONS = (meta.MODE, meta.RECONCILE_AT, meta.APPROVE, meta.FAILOVER_TO, meta.WAKE)


class Store:
    """The newest known state of every object, by key. Puts keys on the queue when something changed that a pass would act on."""

    def __init__(self, queue: WorkQueue[Key]) -> None:
        self._queue = queue
        self._objects: dict[Key, Object] = {}
        self._places: dict[tuple[str, str], dict[Key, None]] = {}
        self._awaited: dict[Key, tuple[int, float]] = {}
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

    def saw(self, key: Key, body: Object, *, deleted: bool = False) -> None:
        """What the watch told: an added, changed, listed or deleted object."""
        self._told = asyncio.get_running_loop().time()
        if deleted:
            self.remove(key)
            return
        before = self._objects.get(key)
        awaited = self._awaited.get(key)
        if awaited is not None and version(body) >= awaited[0]:
            del self._awaited[key]
        if (
            before is not None
            and before["metadata"]["uid"] == body["metadata"]["uid"]
            and version(body) < version(before)
        ):
            return
        self._objects[key] = _lean(body)
        if before is None:
            self._places.setdefault((key.kind, key.namespace), {})[key] = None
            # A restart lists everything; what was settled can wait for what was not.
            settled = (body.get("status") or {}).get("observedGeneration") == body["metadata"].get("generation")
            self._queue.add(key, 0, _priority(body, settled))
        elif _fingerprint(before) != _fingerprint(body) or _undone(before, body):
            self._queue.add(key, 0, _priority(body, False))

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

    def remove(self, key: Key) -> None:
        self._awaited.pop(key, None)
        if self._objects.pop(key, None) is not None:
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


def version(body: Object) -> int:
    """resourceVersions of one resource compare as integers (Kubernetes API concepts, since 1.35; etcd revisions before)."""
    try:
        return int(body["metadata"]["resourceVersion"])
    except (KeyError, ValueError):
        return 0


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
