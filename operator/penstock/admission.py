"""The optional admission webhook: `kubectl apply` of what a budget would hold is refused with the sum. A courtesy; the loop's check is the truth.

Only creations are judged, by what the manifest alone declares; everything else, and every doubt, is let through. Behind the Service any replica may
be asked, so every replica judges: the one that leads by what it knows, the others by what they read.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from penstock.engine.kube import KubeError

log = logging.getLogger(__name__)

# Seconds: certificates that are renewed in their Secret are taken up within this time.
_RELOAD = 3600.0
# Seconds: the API server waits for three.
_PATIENCE = 2.5
Judge = Callable[[str, dict[str, Any]], Awaitable[str]]
"""(kind, object) → the sentence that refuses it; ''."""


async def review(body: Any, judge: Judge) -> dict[str, Any]:
    """The AdmissionReview (admission.k8s.io/v1) that answers one. What cannot be judged is let through, since the loop judges it anyway.

    Raises ValueError for what is no AdmissionReview.
    """
    request = body.get("request") if isinstance(body, Mapping) else None
    if not isinstance(request, Mapping) or not isinstance(request.get("uid"), str):
        raise ValueError("this is no AdmissionReview with a request")
    sentence, obj = "", request.get("object")
    if request.get("operation") == "CREATE" and isinstance(obj, dict):
        try:
            metadata = {**(obj.get("metadata") or {}), "namespace": request.get("namespace", "")}
            # With generateName the API server has not chosen one yet.
            metadata.setdefault("name", metadata.get("generateName", ""))
            async with asyncio.timeout(_PATIENCE):
                sentence = await judge(str((request.get("kind") or {}).get("kind", "")), {**obj, "metadata": metadata})
        except (KubeError, TimeoutError) as error:
            log.warning("an admission was not judged, and let through: %s", error or "it took too long")
        except Exception:
            log.exception("an admission was not judged, and let through")
    response: dict[str, Any] = {"uid": request["uid"], "allowed": not sentence}
    if sentence:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": sentence}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


class Admission:
    """Serves POST /admit on host:port with TLS. certificates: a folder with tls.crt and tls.key."""

    def __init__(self, host: str, port: int, certificates: Path, judge: Judge) -> None:
        self._host, self._port, self._folder, self._judge = host, port, certificates, judge
        self._runner: web.AppRunner | None = None
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)

    async def start(self) -> None:
        """Raises OSError when the certificates or the port are not to be had."""
        self._load()
        app = web.Application()
        app.router.add_post("/admit", self._admit)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, ssl_context=self._context).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def keep(self) -> None:
        """Take up renewed certificates, for ever."""
        while True:
            await asyncio.sleep(_RELOAD)
            try:
                self._load()
            except OSError as error:
                log.warning("the webhook's certificates were not read anew: %s", error)

    def _load(self) -> None:
        self._context.load_cert_chain(self._folder / "tls.crt", self._folder / "tls.key")

    async def _admit(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(await review(await request.json(), self._judge))
        except ValueError as error:
            return web.json_response({"message": str(error)}, status=400)
