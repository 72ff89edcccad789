"""One container of a pod as a local process: started, probed, restarted with back-off, ended gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import probe, processes
from .podspec import Object, Unresolvable

if TYPE_CHECKING:
    from .pod import Pod

_BACKOFF_FIRST, _BACKOFF_MOST, _BACKOFF_RESET = 1.0, 10.0, 30.0  # seconds; the kubelet's are 10, 300 and 600


def now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Container:
    """One container: `state` and `last` are ContainerState objects as the API has them."""

    pod: Pod
    spec: Object
    restarts: int = 0
    ready: bool = False
    started: bool = False
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Object = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    recorded: processes.Process | None = None
    env: dict[str, str] = field(default_factory=dict)
    _unhealthy: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def log(self) -> Path:
        return self.pod.folder / f"{self.name}-{self.restarts}.log"

    def status(self) -> Object:
        digest = f"penstock-lab://{self.pod.uid}/{self.name}/{self.restarts}"
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": "",
            "containerID": digest,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last,
        }

    async def run(self, restart: str) -> int:
        """Run until the pod ends or the restart policy (Always, OnFailure, Never) is done with it; the last exit code."""
        pause, code = _BACKOFF_FIRST, 0
        while not self.pod.ending:
            began = time.monotonic()
            try:
                code = await self._once()
            except Unresolvable as error:
                self._wait("CreateContainerConfigError", str(error))
                await self.pod.sleep(1)
                continue
            except OSError as error:
                code = 128
                self._ended(code, now(), "StartError", str(error))
            if self.pod.ending or restart == "Never" or (restart == "OnFailure" and code == 0):
                break
            if time.monotonic() - began > _BACKOFF_RESET:
                pause = _BACKOFF_FIRST
            self.last = self.state
            self._wait("CrashLoopBackOff", f"back-off {pause:.0f}s restarting failed container={self.name}")
            await self.pod.sleep(pause)
            pause = min(pause * 2, _BACKOFF_MOST)
            self.restarts += 1
        return code

    def _wait(self, reason: str, message: str) -> None:
        self.state = {"waiting": {"reason": reason, "message": message}}
        self.ready = self.started = False
        self.pod.changed()

    def _ended(self, code: int, since: str, reason: str, message: str = "") -> None:
        self.state = {
            "terminated": {
                "exitCode": code,
                "reason": reason,
                "message": message,
                "startedAt": since,
                "finishedAt": now(),
            }
        }
        self.ready = self.started = False
        self.pod.changed()

    async def _once(self) -> int:
        argv, self.env = await self.pod.configuration(self.spec)
        if self.pod.ending:
            return 0
        since = now()
        with self.log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self.env,
                cwd=self.pod.home,
                start_new_session=True,
                preexec_fn=processes.die_with_parent,
            )
        self.recorded = processes.describe(self.name, self.process.pid, self.log)
        self.state = {"running": {"startedAt": since}}
        self._unhealthy.clear()
        self.started = "startupProbe" not in self.spec
        self.ready = self.started and "readinessProbe" not in self.spec
        self.pod.changed()
        code = await self._live(self.process)
        reason = "Completed" if code == 0 else "Error"
        self._ended(code, since, reason, "a liveness or startup probe failed" if self._unhealthy.is_set() else "")
        return code

    async def _live(self, process: asyncio.subprocess.Process) -> int:
        """Until the process is gone: by itself, by the pod's end, or by a probe's verdict."""
        probing = asyncio.create_task(self._probe())
        exited = asyncio.create_task(process.wait())
        reasons = {exited, asyncio.create_task(self.pod.stop.wait()), asyncio.create_task(self._unhealthy.wait())}
        try:
            await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
            if not exited.done():
                await self._end(process, exited)
        finally:
            for task in (probing, *reasons):
                task.cancel()
            # What it left in its session goes with it, as a container's processes go with its first.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        code = await process.wait()
        return code if code >= 0 else 128 - code

    async def _end(self, process: asyncio.subprocess.Process, exited: asyncio.Task[int]) -> None:
        """SIGTERM, then SIGKILL when the grace period is over; a preStop sleep or command comes first, within it."""
        deadline = time.monotonic() + self.pod.grace
        hook = ((self.spec.get("lifecycle") or {}).get("preStop")) or {}
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(self.pod.grace):
                if seconds := (hook.get("sleep") or {}).get("seconds"):
                    await asyncio.sleep(seconds)
                elif command := (hook.get("exec") or {}).get("command"):
                    await self._execute(command)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        while not exited.done() and time.monotonic() < deadline and not self.pod.gone:
            await asyncio.wait({exited}, timeout=0.1)
            # A second deletion may have shortened the grace period.
            deadline = min(deadline, time.monotonic() + self.pod.grace)

    async def _execute(self, command: Sequence[str]) -> int:
        child = await asyncio.create_subprocess_exec(
            *await self.pod.inside(self.spec, command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=self.env,
            cwd=self.pod.home,
            start_new_session=True,
            preexec_fn=processes.die_with_parent,
        )
        try:
            return await child.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()

    async def _probe(self) -> None:
        async def watch(kind: str, tell: Any) -> None:
            if found := probe.Probe.of(self.spec.get(kind)):
                await probe.watch(found, lambda: probe.once(found, self.spec, self.pod.ip, self._execute), tell)

        if "startupProbe" in self.spec:
            begun = asyncio.Event()
            startup = asyncio.create_task(
                watch("startupProbe", lambda ok: begun.set() if ok else self._unhealthy.set())
            )
            try:
                await begun.wait()
            finally:
                startup.cancel()
            self.started = True
            self.ready = "readinessProbe" not in self.spec
            self.pod.changed()

        def readiness(ok: bool) -> None:
            self.ready = ok
            self.pod.changed()

        def liveness(ok: bool) -> None:
            if not ok:
                self._unhealthy.set()

        await asyncio.gather(watch("readinessProbe", readiness), watch("livenessProbe", liveness))
