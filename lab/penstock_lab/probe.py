"""Liveness, readiness and startup probes, as kubernetes.io/docs/concepts/workloads/pods/probes has them.

One difference: until a probe first succeeds it is asked every half second at most, its failures counted by the time that has gone
by, so that a lab is ready when its operator is and not a period later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

_EAGER_SECONDS = 0.5


@dataclass(frozen=True)
class Probe:
    """One probe with the API's defaults filled in; times in seconds."""

    spec: Mapping[str, Any]
    delay: float
    period: float
    timeout: float
    failures: int
    successes: int

    @classmethod
    def of(cls, spec: Mapping[str, Any] | None) -> Probe | None:
        if not spec:
            return None
        return cls(
            spec,
            float(spec.get("initialDelaySeconds", 0)),
            float(spec.get("periodSeconds", 10)),
            float(spec.get("timeoutSeconds", 1)),
            int(spec.get("failureThreshold", 3)),
            int(spec.get("successThreshold", 1)),
        )


def port_number(container: Mapping[str, Any], port: int | str) -> int:
    if isinstance(port, int):
        return port
    named = (item["containerPort"] for item in container.get("ports") or () if item.get("name") == port)
    return int(next(named, 0))


async def once(
    probe: Probe, container: Mapping[str, Any], ip: str, run: Callable[[Sequence[str]], Awaitable[int]]
) -> bool:
    """Ask once. `run` executes an exec probe's command in the container's environment and gives its exit code."""
    spec = probe.spec
    try:
        async with asyncio.timeout(probe.timeout):
            if http := spec.get("httpGet"):
                port = port_number(container, http["port"])
                scheme = http.get("scheme", "HTTP").lower()
                url = f"{scheme}://{http.get('host') or ip}:{port}{http.get('path') or '/'}"
                headers = {item["name"]: item["value"] for item in http.get("httpHeaders") or ()}
                async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=False) as answer:
                    return 200 <= answer.status < 400
            if tcp := spec.get("tcpSocket"):
                _, writer = await asyncio.open_connection(tcp.get("host") or ip, port_number(container, tcp["port"]))
                writer.close()
                return True
            if command := spec.get("exec"):
                return await run(command["command"]) == 0
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False
    return True  # a kind the node does not know says nothing against the container


async def watch(probe: Probe, ask: Callable[[], Awaitable[bool]], tell: Callable[[bool], None]) -> None:
    """Ask for ever; `tell` hears each time that the verdict is reached anew (True after successes, False after failures)."""
    await asyncio.sleep(probe.delay)
    began = time.monotonic()
    verdict: bool | None = None
    good = bad = 0
    while True:
        answer = await ask()
        good, bad = (good + 1, 0) if answer else (0, bad + 1)
        if answer and verdict is not True and good >= probe.successes:
            verdict = True
            tell(True)
        elif not answer:
            waited_out = time.monotonic() - began >= probe.failures * probe.period
            if (verdict is True and bad >= probe.failures) or (verdict is not True and waited_out):
                verdict, began, bad = False, time.monotonic(), 0
                tell(False)
        await asyncio.sleep(probe.period if verdict is True else min(probe.period, _EAGER_SECONDS))
