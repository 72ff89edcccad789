"""All kopf wiring, and nothing else: watch events go to the store, which puts keys on the queue.

kopf is the host of the watches. No change handlers, indexes, timers or daemons: each of them writes to the objects or grows with their number.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any

import kopf
import uvloop

from penstock.engine.kind import Key, Kind
from penstock.engine.kube import Kube
from penstock.engine.loop import Loop


def registry(
    loop: Loop, kinds: Iterable[Kind[Any, Any]], kube: Kube, main: asyncio.AbstractEventLoop
) -> kopf.OperatorRegistry:
    """One `on.event` handler a kind, and a login by the operator's own connection. main: the loop that the store lives in."""
    found = kopf.OperatorRegistry()

    @kopf.on.login(registry=found)
    async def login(**_: Any) -> kopf.AiohttpSession:
        # kopf fixes a token for the life of its own session, and ends when the next one that it gets is the same.
        return kopf.AiohttpSession(server=kube.server, aiohttp_session=kube.session(patient=True))

    for kind in kinds:
        _watch(found, loop, kind, main)
    return found


def _watch(found: kopf.OperatorRegistry, loop: Loop, kind: Kind[Any, Any], main: asyncio.AbstractEventLoop) -> None:
    where = kind.resource

    @kopf.on.event(where.group, where.version, where.plural, registry=found, id=f"{kind.name}-event")
    async def changed(event: Any, **_: Any) -> None:
        body = event["object"]
        metadata = body["metadata"]
        key = Key(kind.name, metadata.get("namespace", ""), metadata["name"])
        full = {"apiVersion": f"{where.group}/{where.version}", "kind": kind.name, **body}
        main.call_soon_threadsafe(partial(loop.store.saw, key, full, deleted=event["type"] == "DELETED"))


class _NoDiff(kopf.DiffBaseStorage):
    """kopf copies and compares every object for handlers that do not exist here; that was a third of its work."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Without handlers that retry there is no progress to keep on an object."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


def settings() -> kopf.OperatorSettings:
    """kopf told to leave the objects alone and not to look for anything but our kinds."""
    found = kopf.OperatorSettings()
    found.scanning.disabled = True
    found.posting.enabled = False
    found.peering.standalone = True
    found.persistence.diffbase_storage = _NoDiff()
    found.persistence.progress_storage = _NoProgress()
    # Silent streams are cut and continued; a watch that dies takes the operator down, and a restart is cheap.
    found.watching.inactivity_timeout = 70
    found.watching.server_timeout = 300
    # Otherwise a list of all objects is in memory at once.
    found.watching.chunk_size = 250
    found.queueing.idle_timeout = 0.5
    return found


class Watches:
    """kopf in a thread with an event loop of its own: on its way out it cancels every task of its loop and takes over the signals.

    What it tells is handed to the operator's loop. serve() returns when kopf has ended, which without stop() is a failure.
    """

    def __init__(
        self,
        loop: Loop,
        kinds: Iterable[Kind[Any, Any]],
        kube: Kube,
        namespaces: Iterable[str],
        identity: str,
    ) -> None:
        self._loop = loop
        self._kinds = tuple(kinds)
        self._kube = kube
        self._identity = identity
        self._namespaces = tuple(namespaces)
        self._stop = threading.Event()
        self._ready = threading.Event()

    @property
    def ready(self) -> bool:
        """Whether kopf has started."""
        return self._ready.is_set()

    def stop(self) -> None:
        self._stop.set()

    async def serve(self) -> None:
        """Watch until stop(). Raises what ended kopf."""
        here = asyncio.get_running_loop()
        ended: asyncio.Future[None] = here.create_future()

        def finish(error: BaseException | None) -> None:
            if not ended.done():
                if error is None:
                    ended.set_result(None)
                else:
                    ended.set_exception(RuntimeError(f"the watches ended: {error!r}"))

        def host() -> None:
            error: BaseException | None = None
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(self._operate(here))
            except BaseException as raised:
                error = raised
            # The operator's loop may be gone already when the process is leaving.
            with contextlib.suppress(RuntimeError):
                here.call_soon_threadsafe(finish, error)

        threading.Thread(target=host, name="kopf", daemon=True).start()
        await ended

    async def _operate(self, main: asyncio.AbstractEventLoop) -> None:
        try:
            await kopf.operator(
                registry=registry(self._loop, self._kinds, self._kube, main),
                settings=settings(),
                # Else kopf asks for the user's name, and in the image there is no user.
                identity=self._identity,  # type: ignore[arg-type]  # a name for str that kopf does not export
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=self._stop,
                ready_flag=self._ready,
            )
        finally:
            # kopf waits for the flag in a thread, and closing this loop waits for that thread: a dead watch would never be told.
            self._stop.set()
