"""A small asynchronous Kubernetes client for the lab's node: JSON in, JSON out, watches that say when they end."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import aiohttp

Object = dict[str, Any]
MERGE_PATCH = "application/merge-patch+json"


class ApiError(Exception):
    """The API server's refusal, with its HTTP status and its own message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Expired(ApiError):
    """A watch that must begin anew with a list (410 Gone)."""


class Api:
    """A client of one API server, logged in by the certificate of a lab's kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        self.server: str = config["clusters"][0]["cluster"]["server"]
        self.ca = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        user = config["users"][0]["user"]
        self._ssl = ssl.create_default_context(cadata=self.ca)
        # The ssl module takes a client's certificate from files only.
        with NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            self._ssl.load_cert_chain(pair.name)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Api:
        connector = aiohttp.TCPConnector(ssl=self._ssl, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=15))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def request(
        self, method: str, path: str, body: Object | None = None, *, kind: str = "application/json", **params: str
    ) -> Object:
        """One call. Raises ApiError for a refusal, aiohttp.ClientError or TimeoutError when nobody answers."""
        assert self._session is not None
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": kind} if data else {}
        async with self._session.request(
            method, self.server + path, data=data, headers=headers, params=params
        ) as answer:
            content = await answer.json(content_type=None)
            if answer.status >= 400:
                message = content.get("message", "") if isinstance(content, dict) else str(content)
                raise ApiError(answer.status, message)
            return dict(content)

    async def get(self, path: str, **params: str) -> Object:
        return await self.request("GET", path, **params)

    async def find(self, path: str) -> Object | None:
        """As get, but None for what is not there."""
        try:
            return await self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def post(self, path: str, body: Object) -> Object:
        return await self.request("POST", path, body)

    async def merge(self, path: str, body: Object) -> Object:
        return await self.request("PATCH", path, body, kind=MERGE_PATCH, fieldManager="penstock-lab-node")

    async def delete(self, path: str, body: Object | None = None) -> Object:
        return await self.request("DELETE", path, body)

    async def watch(
        self, path: str, version: str, params: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[str, Object]]:
        """(type, object) for each event since `version`. Ends when the server ends it; raises Expired for a version too old."""
        assert self._session is not None
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": "300",
        } | dict(params or {})
        # The server sends a bookmark about every minute: a silent connection is a dead one.
        timeout = aiohttp.ClientTimeout(total=None, sock_read=120, connect=10)
        async with self._session.get(self.server + path, params=query, timeout=timeout) as answer:
            if answer.status >= 400:
                text = await answer.text()
                raise (Expired if answer.status == 410 else ApiError)(answer.status, text)
            buffer = b""
            async for chunk in answer.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise (Expired if status.get("code") == 410 else ApiError)(
                            status.get("code", 500), status.get("message", "")
                        )
                    yield event["type"], event["object"]
