"""The operator's HTTP side: /healthz (is it alive), /readyz (may it be counted on), /metrics (Prometheus)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

# A watch that is alive returns our own writes at once; kopf reconnects a silent one after 70 s.
ECHO_LIMIT = 180.0
# A pass ends within its AWS calls' time-outs; one that runs this long hangs.
PASS_LIMIT = 900.0


@dataclass(frozen=True)
class Vitals:
    """What health is judged by; times in seconds.

    leading: this process works. synced: it has listed its objects. echo: the oldest own write that the watch has not told. longest_pass: the oldest
    running pass. overdue: keys that are due and wait for a worker. since_activity: since a worker last took or finished a key.
    """

    leading: bool
    synced: bool
    echo: float = 0.0
    longest_pass: float = 0.0
    overdue: int = 0
    since_activity: float = 0.0


def unhealthy(vitals: Vitals) -> list[str]:
    """Reasons to restart the process; empty when it is well. A standby is well as long as it answers."""
    if not vitals.leading:
        return []
    reasons = []
    if vitals.echo > ECHO_LIMIT:
        reasons.append(f"the watch has not told of an own write for {vitals.echo:.0f} s")
    if vitals.longest_pass > PASS_LIMIT:
        reasons.append(f"a pass has been running for {vitals.longest_pass:.0f} s")
    if vitals.overdue and vitals.since_activity > PASS_LIMIT:
        reasons.append(f"no worker has moved for {vitals.since_activity:.0f} s while {vitals.overdue} keys are due")
    return reasons


class Server:
    """Serves on host:port until stop(). vitals: reads the present state. measure: sets gauges before a scrape."""

    def __init__(self, host: str, port: int, vitals: Callable[[], Vitals], measure: Callable[[], None]) -> None:
        self._host, self._port = host, port
        self._vitals, self._measure = vitals, measure
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        vitals = self._vitals()
        reasons = unhealthy(vitals)
        body = {
            "healthy": not reasons,
            "reasons": reasons,
            "leading": vitals.leading,
            "watchEchoSeconds": round(vitals.echo, 1),
        }
        return web.Response(
            text=json.dumps(body) + "\n", content_type="application/json", status=503 if reasons else 200
        )

    async def _readyz(self, _: web.Request) -> web.Response:
        vitals = self._vitals()
        # A standby is ready to lead; a leader is ready once it has seen its objects.
        ready = not vitals.leading or vitals.synced
        body = {"ready": ready, "leading": vitals.leading}
        return web.Response(text=json.dumps(body) + "\n", content_type="application/json", status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        self._measure()
        text = await asyncio.to_thread(generate_latest)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})
