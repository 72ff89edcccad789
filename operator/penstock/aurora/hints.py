"""RDS events that EventBridge, or an event subscription through SNS, puts into an SQS queue: each is a hint to read the inventory of its region now.

The describe answer stays the truth: what a message says is not used, and one that is lost costs a few seconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from penstock.aws.account import Account
from penstock.engine.errors import Trouble
from penstock.engine.queue import Priority

log = logging.getLogger(__name__)

# SQS API reference, ReceiveMessage: the longest poll and the most messages of one answer.
_POLL = 20
_MOST = 10
# Seconds to the next poll: after an answer that came at once with nothing in it, after the first failure, and at most.
_EMPTY = 1.0
_FIRST, _CEILING = 1.0, 60.0
# Seconds to look again whether there is any object to poll for.
_NOBODY = 5.0
_HOST = re.compile(r"//(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com")


def queue_region(url: str, default: str) -> str:
    """The region that a queue's URL names; the default where it names none (an emulator's)."""
    found = _HOST.search(url)
    return (found[1] or found[2]) if found else default


def region_of(body: str) -> str | None:
    """The region of the RDS event that a message's body holds; None when it holds none.

    Three shapes: EventBridge's event (source aws.rds), RDS's own notification (its "Source ARN"), and SNS's envelope around either.
    """
    message = _object(body)
    if isinstance(message.get("Message"), str) and "TopicArn" in message:
        message = _object(message["Message"])
    if message.get("source") == "aws.rds":
        region = message.get("region")
        return region if isinstance(region, str) and region else None
    parts = str(message.get("Source ARN", "")).split(":")
    return parts[3] if len(parts) >= 6 and parts[2] == "rds" and parts[3] else None


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class Hints:
    """Polls one queue for as long as run() runs. wanted: whether anything is to be known at all. tell: called with the region of an event."""

    def __init__(
        self, account: Account, queue_url: str, wanted: Callable[[], bool], tell: Callable[[str], None]
    ) -> None:
        self._account = account
        self._url = queue_url
        self._region = queue_region(queue_url, account.region)
        self._wanted = wanted
        self._tell = tell

    async def run(self) -> None:
        """Poll until cancelled. The queue may be missing, denied or unreachable: the cycles go on without it."""
        delay = 0.0
        while True:
            if not self._wanted():
                await asyncio.sleep(_NOBODY)
                continue
            try:
                found = await self._poll()
            except Trouble as trouble:
                if not delay:
                    log.warning("the events queue was not read: %s", trouble.sentence)
                delay = min(_CEILING, delay * 2 or _FIRST)
                await asyncio.sleep(delay)
                continue
            except Exception:
                # The queue only makes reads sooner: nothing about it may end the process.
                log.exception("the events queue was not read")
                delay = _CEILING
                await asyncio.sleep(delay)
                continue
            if delay:
                log.info("the events queue is read again")
            delay = 0.0
            if not found:
                await asyncio.sleep(_EMPTY)

    async def _poll(self) -> bool:
        answer = await self._call(
            "ReceiveMessage", QueueUrl=self._url, MaxNumberOfMessages=_MOST, WaitTimeSeconds=_POLL
        )
        messages = answer.get("Messages") or ()
        for region in self._regions(messages):
            self._tell(region)
        entries = [
            {"Id": str(number), "ReceiptHandle": m["ReceiptHandle"]}
            for number, m in enumerate(messages)
            if m.get("ReceiptHandle")
        ]
        if entries:
            # What is not deleted comes again, and is one more hint.
            await self._call("DeleteMessageBatch", QueueUrl=self._url, Entries=entries)
        return bool(messages)

    def _regions(self, messages: Iterable[Mapping[str, Any]]) -> set[str]:
        regions = set()
        for message in messages:
            body = str(message.get("Body") or "")
            region = region_of(body)
            if region is None:
                log.warning("a message of the events queue is no RDS event, and is dropped: %.200r", body)
            else:
                regions.add(region)
        return regions

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self._account.call("sqs", operation, parameters, region=self._region, priority=Priority.BACKGROUND)
