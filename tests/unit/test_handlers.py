"""The host of the watches: a watch that dies is told, whatever kopf still waits for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import kopf
import pytest

from penstock.handlers import Watches


def test_a_watch_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dies(*, stop_flag: Any, **_: Any) -> None:
        # As kopf does it: the flag is waited for in a thread that no cancellation reaches.
        asyncio.get_running_loop().run_in_executor(None, stop_flag.wait)
        await asyncio.sleep(0.05)
        raise LookupError("404 page not found")

    async def scenario() -> None:
        monkeypatch.setattr(kopf, "operator", dies)
        loop: Any = SimpleNamespace(store=None)
        kube: Any = None
        watches = Watches(loop, [], kube, (), "penstock-0")
        try:
            with pytest.raises(RuntimeError, match=r"the watches ended: .*404 page not found"):
                await asyncio.wait_for(watches.serve(), 30)
        finally:
            watches.stop()

    asyncio.run(scenario())
