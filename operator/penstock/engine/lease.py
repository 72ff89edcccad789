"""Leadership by a coordination.k8s.io Lease, with client-go's figures: 15 s lease, 10 s renew deadline, 2 s retry.

The process that loses the Lease ends at once: two leaders would both write to AWS, and calls that run in threads cannot be cancelled. Before each
write it asks `valid`, because a process that was suspended and goes on may write before its renewal notices. A graceful exit gives the Lease back, so
the next process takes over within one retry period instead of a whole lease. The Kubernetes package's own LeaseLock neither releases nor counts
transitions.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from penstock.engine import metrics
from penstock.engine.kube import LEASES, Kube, KubeError

log = logging.getLogger(__name__)

# Seconds that a last log line may take: a full pipe must not keep a process alive that has lost the Lease.
_LAST_WORDS = 1.0
# CLOCK_MONOTONIC stands still while the machine sleeps (clock_gettime(2)); other systems than Linux have nothing better.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def end_process(why: str) -> NoReturn:
    """End this process now, from any thread: one log line, and nothing is awaited or cleaned up."""
    words = threading.Thread(target=log.error, args=("leadership is lost, so this process ends: %s", why), daemon=True)
    words.start()
    words.join(_LAST_WORDS)
    os._exit(1)


def clocks() -> tuple[float, float]:
    """Seconds of two clocks. The first goes on while a process is stopped or the machine sleeps, the second also over a snapshot of the machine."""
    return time.clock_gettime(_BOOTTIME), time.time()


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds. A holder that could not renew for `renew_deadline` has lost; others wait `duration` from the last change they saw themselves."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0


class LeadershipLost(Exception):  # noqa: N818
    """This process no longer holds the Lease and must exit."""


class Lease:
    """One Lease and this process's identity.

    Clocks of different nodes are never compared: a rival's Lease expires `duration` after this process last saw its resourceVersion change.
    """

    def __init__(self, kube: Kube, namespace: str, name: str, identity: str, times: LeaseTimes | None = None) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._times = times or LeaseTimes()
        self._loop = asyncio.get_running_loop()
        self._version = ""
        self._seen = 0.0
        self._expires_after = self._times.duration
        self._renewed: tuple[float, ...] = (0.0, 0.0, 0.0)
        self._spec: dict[str, Any] = {}
        self.held = False

    @property
    def valid(self) -> bool:
        """Whether this process may write: it holds the Lease, and nobody can have taken it since it was last renewed. For any thread."""
        return self.held and self._silence < self._times.renew_deadline

    async def acquire(self) -> None:
        """Return when this process is the leader. Waits for ever, and says once for whom it is waiting."""
        told = ""
        while True:
            try:
                holder = await self._try()
                if self.held:
                    log.info("leading as %s", self.identity)
                    metrics.LEADER.set(1)
                    return
                if holder != told:
                    log.info("standing by: %s leads", holder)
                    told = holder
            except KubeError as error:
                if str(error.status) != told:
                    log.warning("cannot read the Lease: %s", error)
                    told = str(error.status)
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Until the next look at somebody else's Lease: the retry period, or its expiry when that comes first, so that no death lasts longer."""
        pause = self._times.retry * random.uniform(0.7, 0.9)
        remaining = self._seen + self._expires_after - asyncio.get_running_loop().time()
        return min(pause, remaining + 0.001) if remaining > 0 else pause

    async def keep(self) -> None:
        """Renew until it fails for renew_deadline seconds or somebody else holds the Lease; then raises LeadershipLost.

        The deadline counts from when the last successful renewal was sent: its effect, from which rivals count, may be as old as that.
        """
        deadline = self._times.renew_deadline
        while True:
            remaining = deadline - self._silence
            # A last try at the very deadline, but no storm of tries just before it.
            await asyncio.sleep(min(self._times.retry, max(0.1, remaining)) if remaining > 0 else 0.0)
            if self._silence >= self._times.duration:
                self._lose(
                    f"nothing was renewed for {self._silence:.0f} s, as if the process or its machine was suspended"
                )
            try:
                async with asyncio.timeout(max(0.5, deadline - self._silence)):
                    holder = await self._try()
                if not self.held:
                    self._lose(f"{holder} took the Lease")
            except (KubeError, TimeoutError) as error:
                silent = self._silence
                if silent >= deadline:
                    self._lose(f"the Lease could not be renewed for {silent:.0f} s: {error}")
                log.warning("the Lease was not renewed: %s", error)

    def _lose(self, why: str) -> NoReturn:
        self.held = False
        metrics.LEADER.set(0)
        raise LeadershipLost(why)

    async def release(self) -> None:
        """Give the Lease up, so that another process can lead within one retry period. Never raises."""
        if not self.held:
            return
        self.held = False
        metrics.LEADER.set(0)
        released = {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            try:
                await self._put({**self._spec, **released, "renewTime": _now()}, self._version)
            except KubeError as error:
                if error.status != 409:
                    raise
                # A renewal may have had its effect although its answer was not waited for.
                lease = await self._kube.request("GET", LEASES, self._namespace, self._name, seconds=5)
                spec = lease.get("spec") or {}
                if spec.get("holderIdentity") == self.identity:
                    await self._put({**spec, **released, "renewTime": _now()}, lease["metadata"]["resourceVersion"])
        except KubeError as error:
            log.warning("the Lease was not released: %s", error)

    @property
    def _silence(self) -> float:
        """Seconds since the last successful write was sent, by the clock that counts most."""
        return max(now - then for now, then in zip(self._clocks(), self._renewed, strict=True))

    def _clocks(self) -> tuple[float, ...]:
        return (self._loop.time(), *clocks())

    async def _try(self) -> str:
        """Take or renew. Returns the holder; self.held tells whether that is us."""
        loop = asyncio.get_running_loop()
        if self.held and self._spec:
            try:
                await self._put({**self._spec, "renewTime": _now()}, self._version)
                return self.identity
            except KubeError as error:
                # Somebody touched it: read before deciding anything.
                if error.status not in (404, 409):
                    raise
        try:
            lease = await self._kube.request("GET", LEASES, self._namespace, self._name, seconds=5)
        except KubeError as error:
            if error.status != 404:
                raise
            await self._create()
            return self.identity
        spec = lease.get("spec") or {}
        version = lease["metadata"]["resourceVersion"]
        if version != self._version:
            self._version, self._seen = version, loop.time()
        holder = str(spec.get("holderIdentity") or "")
        self._expires_after = float(spec.get("leaseDurationSeconds") or self._times.duration)
        if holder and holder != self.identity and loop.time() - self._seen < self._expires_after:
            self.held = False
            return holder
        renewed: dict[str, Any] = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._times.duration),
            "renewTime": _now(),
        }
        if holder != self.identity:
            renewed["acquireTime"] = _now()
            renewed["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        try:
            await self._put({**spec, **renewed}, version)
        except KubeError as error:
            if error.status == 409:
                self.held = False
                return "somebody else"
            raise
        self.held = True
        return self.identity

    async def _create(self) -> None:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": int(self._times.duration),
                "acquireTime": _now(),
                "renewTime": _now(),
                "leaseTransitions": 0,
            },
        }
        sent = self._clocks()
        lease = await self._kube.request("POST", LEASES, self._namespace, body=body, seconds=5)
        self._renewed = sent
        self._version, self._spec, self.held = lease["metadata"]["resourceVersion"], lease["spec"], True

    async def _put(self, spec: dict[str, Any], version: str) -> None:
        sent = self._clocks()
        lease = await self._kube.request(
            "PUT",
            LEASES,
            self._namespace,
            self._name,
            body={
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace, "resourceVersion": version},
                "spec": spec,
            },
            seconds=5,
        )
        self._version, self._spec = lease["metadata"]["resourceVersion"], lease["spec"]
        self._seen, self._renewed = asyncio.get_running_loop().time(), sent


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
