"""The login of a pod: a token file that is renewed, no user, no home; the watches log in as the operator's own requests do."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import pwd
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.config import incluster_config

from penstock.engine.kind import Kind
from penstock.engine.kube import Kube, KubeError, Resource
from penstock.handlers import Watches
from penstock_lab.pki import Authority

TABLES = Resource("penstock.dev", "v1alpha1", "dynamotables")
# What kopf looks for before it watches anything.
DISCOVERY = {
    "/api/v1": ("namespaces", "events"),
    "/apis/apiextensions.k8s.io/v1": ("customresourcedefinitions",),
    "/apis/penstock.dev/v1alpha1": ("dynamotables",),
}
GROUPS = [
    {"name": name, "versions": [{"version": version}], "preferredVersion": {"version": version}}
    for name, version in (path.split("/")[2:] for path in DISCOVERY if path.startswith("/apis/"))
]
LIST = "/apis/penstock.dev/v1alpha1/dynamotables"


class Server:
    """An API server that knows one token at a time, and serves one kind: its list, its watch, and nothing else."""

    def __init__(self) -> None:
        self.token = "first"
        self.refused = 0
        self.watchers: list[asyncio.Queue[dict[str, Any] | None]] = []
        self.since: list[str] = []

    @web.middleware
    async def authenticate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.headers.get("Authorization") not in (f"Bearer {self.token}", f"bearer {self.token}"):
            self.refused += 1
            return web.json_response({"kind": "Status", "code": 401, "message": "Unauthorized"}, status=401)
        return await handler(request)

    async def discover(self, request: web.Request) -> web.Response:
        names = DISCOVERY.get(request.path, ())
        verbs = ["list", "watch", "patch"]
        return web.json_response(
            {
                "resources": [
                    {"name": n, "kind": n, "singularName": n, "namespaced": True, "verbs": verbs} for n in names
                ]
            }
        )

    async def objects(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") != "true":
            return web.json_response({"items": [], "metadata": {"resourceVersion": "1"}})
        events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.since.append(request.query["resourceVersion"])
        self.watchers.append(events)
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await events.get()) is not None:
            await response.write(json.dumps(event).encode() + b"\n")
        return response


def _answering(body: dict[str, Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(body)

    return answer


@asynccontextmanager
async def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Server, Path]]:
    """The server, and the token file of a pod that finds it as pods do."""
    authority = Authority(folder / "pki")
    pair = authority.issue("apiserver", "kube-apiserver", ips=("127.0.0.1",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    server = Server()
    app = web.Application(middlewares=[server.authenticate])
    app.router.add_get("/api", _answering({"versions": ["v1"]}))
    app.router.add_get("/apis", _answering({"groups": GROUPS}))
    for path in DISCOVERY:
        app.router.add_get(path, server.discover)
    app.router.add_get(LIST, server.objects)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    token = folder / "token"
    token.write_text("first")
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority.cert))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
    try:
        yield server, token
    finally:
        for watcher in server.watchers:
            watcher.put_nowait(None)
        await runner.cleanup()


@pytest.fixture(autouse=True)
def no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the image: no HOME, no USER, no passwd entry."""
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "KUBECONFIG", "POD_ID"):
        monkeypatch.delenv(name, raising=False)

    def nobody(uid: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    assert os.path.expanduser("~") == "~"


async def _until(check: Callable[[], Any], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.02)


def _added(name: str, version: str) -> dict[str, Any]:
    return {
        "type": "ADDED",
        "object": {"metadata": {"name": name, "namespace": "a", "uid": name, "resourceVersion": version}},
    }


async def test_a_request_takes_the_renewed_token_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path, monkeypatch) as (server, token):
        kube = await Kube.connect()
        try:
            await kube.request("GET", TABLES)
            token.write_text("second")
            server.token = "second"
            await kube.request("GET", TABLES)
            server.token = "third"
            with pytest.raises(KubeError) as refused:
                await kube.request("GET", TABLES)
            assert refused.value.status == 401
        finally:
            await kube.close()


async def test_the_login_of_another_cluster_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody pointed the kubeconfig elsewhere while the process runs."""
    async with serving(tmp_path, monkeypatch) as (server, token):
        kube = await Kube.connect()
        try:
            token.write_text("second")
            server.token = "second"
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
            with pytest.raises(KubeError) as refused:
                await kube.request("GET", TABLES)
            assert refused.value.status == 401
        finally:
            await kube.close()


async def test_watches_log_in_again_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    store = SimpleNamespace(saw=lambda key, obj, deleted: seen.append(key.name))
    loop: Any = SimpleNamespace(store=store)
    kind: Any = SimpleNamespace(name="DynamoTable", resource=TABLES)
    kinds: list[Kind[Any, Any]] = [kind]
    async with serving(tmp_path, monkeypatch) as (server, token):
        kube = await Kube.connect()
        watches = Watches(loop, kinds, kube, (), "penstock-0")
        serve = asyncio.create_task(watches.serve())
        try:
            await _until(lambda: server.watchers or serve.done())
            server.watchers[-1].put_nowait(_added("one", "7"))
            await _until(lambda: seen == ["one"])
            # An hour later: the old token is refused, and the new one is in the file a moment after the watch ended.
            server.token = "second"
            refused = server.refused
            server.watchers[-1].put_nowait(None)
            await _until(lambda: server.refused > refused or serve.done())
            await asyncio.sleep(0.3)
            assert not serve.done()
            token.write_text("second")
            await _until(lambda: len(server.watchers) == 2 or serve.done())
            assert server.since == ["1", "7"], "it goes on from the last event that it had"
            server.watchers[-1].put_nowait(_added("two", "8"))
            await _until(lambda: seen == ["one", "two"])
        finally:
            watches.stop()
            for watcher in server.watchers:
                watcher.put_nowait(None)
            await asyncio.wait({serve}, timeout=20)
            await kube.close()
        assert serve.done()
        assert serve.exception() is None
