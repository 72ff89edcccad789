"""Kubernetes Events, folded: the same thing said again raises a count instead of making another object.

events.k8s.io/v1 with `series`, as client-go's recorder does it. A repeat is written at most every five minutes, so a storm costs one write.
Telling never delays doing: while all workers are busy, Events wait for their turn, a few seconds at most.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from penstock.engine.kube import EVENTS, Kube, KubeError

log = logging.getLogger(__name__)

# Between two writes of the same repeated Event, in seconds.
FOLD_SECONDS = 300.0
REMEMBERED = 10_000
# events.k8s.io refuses a longer note; bytes, not characters (Kubernetes API reference, Event v1: 1 kB).
NOTE_LIMIT = 1000
# Seconds that an Event waits at most for workers that are busy, and how many may wait; the oldest are dropped, as client-go's recorder does.
HOLD_SECONDS = 15.0
WAITING = 10_000


@dataclass(frozen=True)
class Note:
    """Something to tell on an object. warning: type Warning instead of Normal. action: what the operator did or tried, CamelCase."""

    reason: str
    sentence: str
    warning: bool = False
    action: str = "Reconcile"


@dataclass
class _Told:
    name: str
    count: int
    written: datetime


class Recorder:
    """Writes Events about objects. Never raises: a lost Event must not fail a pass. clock: returns the present time, for tests."""

    def __init__(self, kube: Kube, instance: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._kube = kube
        self._instance = instance[:128]
        self._clock = clock
        self._told: OrderedDict[tuple[str, str, str], _Told] = OrderedDict()
        self._waiting: deque[tuple[float, datetime, Mapping[str, Any], Note]] = deque(maxlen=WAITING)
        self._arrived: asyncio.Event | None = None

    async def tell(self, regarding: Mapping[str, Any], note: Note) -> None:
        """Record the note on the object (a Kubernetes object as read from the API): at once, or in its turn while run() is running."""
        if self._arrived is None:
            await self._write(regarding, note, self._clock())
            return
        self._waiting.append((asyncio.get_running_loop().time(), self._clock(), regarding, note))
        self._arrived.set()

    async def run(self, busy: Callable[[], bool]) -> None:
        """Write what was told, in its order, for ever. busy: whether there is more urgent work. Cancel it, then flush()."""
        arrived = self._arrived = asyncio.Event()
        time = asyncio.get_running_loop().time
        try:
            while True:
                arrived.clear()
                while self._waiting:
                    if busy() and time() - self._waiting[0][0] < HOLD_SECONDS:
                        await asyncio.sleep(0.1)
                        continue
                    _, told_at, regarding, note = self._waiting[0]
                    await self._write(regarding, note, told_at)
                    self._waiting.popleft()
                await arrived.wait()
        finally:
            self._arrived = None

    async def flush(self, seconds: float) -> None:
        """Write what is still waiting, for at most so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while self._waiting:
                    _, told_at, regarding, note = self._waiting.popleft()
                    await self._write(regarding, note, told_at)
        except TimeoutError:
            log.warning("%d Events were not written before the process ended", len(self._waiting) + 1)

    async def _write(self, regarding: Mapping[str, Any], note: Note, now: datetime) -> None:
        meta = regarding["metadata"]
        sentence = _bounded(note.sentence)
        identity = (meta["uid"], note.reason, sentence)
        told = self._told.get(identity)
        try:
            if told is not None:
                told.count += 1
                if (now - told.written).total_seconds() < FOLD_SECONDS:
                    return
                series = {"count": told.count, "lastObservedTime": _micro(now)}
                try:
                    await self._kube.merge_patch(EVENTS, meta["namespace"], told.name, {"series": series})
                    told.written = now
                    return
                except KubeError as error:
                    # Events expire (an hour by default); then it is a new one.
                    if error.status != 404:
                        raise
            digest = hashlib.sha256("\0".join([*identity, _micro(now)]).encode()).hexdigest()[:12]
            # A name that is cut after a '-' or '.' would be no DNS name.
            name = f"{meta['name'][:200].rstrip('-.')}.{digest}"
            await self._kube.request(
                "POST", EVENTS, meta["namespace"], body=self._event(regarding, note, sentence, name, now)
            )
            self._told[identity] = _Told(name, 1, now)
            self._told.move_to_end(identity)
            while len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        except KubeError as error:
            # A namespace that is going away takes no Events; that is no news. A right that is missing is.
            going = error.status == 404 or (error.status == 403 and "being terminated" in str(error))
            log.log(
                logging.DEBUG if going else logging.WARNING,
                "event %s not written: %s",
                note.reason,
                error,
            )

    def _event(
        self, regarding: Mapping[str, Any], note: Note, sentence: str, name: str, now: datetime
    ) -> dict[str, Any]:
        meta = regarding["metadata"]
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": meta["namespace"]},
            "eventTime": _micro(now),
            "reportingController": "penstock.dev/operator",
            "reportingInstance": self._instance,
            "action": note.action,
            "reason": note.reason,
            "type": "Warning" if note.warning else "Normal",
            "note": sentence,
            "regarding": {
                "apiVersion": regarding["apiVersion"],
                "kind": regarding["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
                "resourceVersion": meta.get("resourceVersion"),
            },
        }


def _bounded(sentence: str) -> str:
    encoded = sentence.encode()
    return sentence if len(encoded) <= NOTE_LIMIT else encoded[: NOTE_LIMIT - 3].decode(errors="ignore") + "…"


def _micro(moment: datetime) -> str:
    """metav1.MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
