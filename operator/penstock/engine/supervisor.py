"""Tasks that the operator can do without for a while: they are started again after a crash, and never end the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from penstock.engine import metrics

log = logging.getLogger(__name__)

# Seconds until the next start: first, and at most; and how long a task must have run for the first delay to count again.
_FIRST, _CEILING, _WELL = 1.0, 300.0, 600.0


async def supervised(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run for ever, again after each crash, ever more rarely. run: of what is never to end; also ended without an error it is run again."""
    delay = _FIRST
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        error: BaseException | None = None
        try:
            await run()
        except Exception as raised:
            error = raised
        if clock() - began >= _WELL:
            delay = _FIRST
        log.error(
            "the task %s ended, and is started again in %.0f s; everything else goes on", name, delay, exc_info=error
        )
        metrics.TASK_RESTARTS.labels(name).inc()
        await asyncio.sleep(delay)
        delay = min(_CEILING, delay * 2)
