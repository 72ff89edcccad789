"""All kopf wiring, and nothing else: watch events go to the store, which puts keys on the queue.

kopf is the host of the watches. No change handlers, indexes, timers or daemons: each of them writes to the objects or grows with their number.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable
from typing import Any

import kopf
from kubernetes.aio import client

from penstock.engine.kind import Key, Kind
from penstock.engine.loop import Loop


def registry(loop: Loop, kinds: Iterable[Kind[Any, Any]], configuration: client.Configuration) -> kopf.OperatorRegistry:
    """One `on.event` handler a kind, and a login from the connection that the operator itself uses."""
    found = kopf.OperatorRegistry()

    @kopf.on.login(registry=found)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await connection(configuration)

    for kind in kinds:
        _watch(found, loop, kind)
    return found


def _watch(found: kopf.OperatorRegistry, loop: Loop, kind: Kind[Any, Any]) -> None:
    where = kind.resource

    @kopf.on.event(where.group, where.version, where.plural, registry=found, id=f"{kind.name}-event")
    async def changed(event: Any, **_: Any) -> None:
        body = event["object"]
        metadata = body["metadata"]
        key = Key(kind.name, metadata.get("namespace", ""), metadata["name"])
        loop.store.saw(
            key,
            {"apiVersion": f"{where.group}/{where.version}", "kind": kind.name, **body},
            deleted=event["type"] == "DELETED",
        )


async def connection(configuration: client.Configuration) -> kopf.ConnectionInfo:
    """kopf's credentials from the Kubernetes client's, read again at each call because tokens are renewed."""
    if configuration.refresh_api_key_hook is not None:
        hook = configuration.refresh_api_key_hook(configuration)
        if asyncio.iscoroutine(hook):
            await hook
    token = configuration.api_key.get("BearerToken") or configuration.api_key.get("authorization") or ""
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        token=token.removeprefix("Bearer ") or None,
    )


def settings() -> kopf.OperatorSettings:
    """kopf told to leave the objects alone and not to look for anything but our kinds."""
    found = kopf.OperatorSettings()
    found.scanning.disabled = True
    found.posting.enabled = False
    found.peering.standalone = True
    # Silent streams are cut and continued; a watch that dies takes the operator down, and a restart is cheap.
    found.watching.inactivity_timeout = 70
    found.watching.server_timeout = 300
    found.queueing.idle_timeout = 0.5
    found.networking.error_backoffs = copy.copy(found.networking.error_backoffs)
    return found


async def serve(
    loop: Loop,
    kinds: Iterable[Kind[Any, Any]],
    configuration: client.Configuration,
    namespaces: Iterable[str],
    stop: asyncio.Event,
    ready: asyncio.Event,
) -> None:
    """Watch until stop is set. ready is set once kopf has started. namespaces: none means the whole cluster."""
    named = tuple(namespaces)
    await kopf.operator(
        registry=registry(loop, kinds, configuration),
        settings=settings(),
        standalone=True,
        clusterwide=not named,
        namespaces=named,
        stop_flag=stop,
        ready_flag=ready,
    )
