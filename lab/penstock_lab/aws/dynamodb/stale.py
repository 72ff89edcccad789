"""Stale reads: what a read would have answered a moment ago, before the writes that followed.

A describe, list or tag read answers from before the latest write when that lies less than ``seconds`` back. An
eventually consistent read of items sees them as they were ``seconds`` ago.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ..errors import AwsError
from ..faults import Rule
from ..request import ACCOUNT, Request

_READS = ("Describe", "List", "Get", "Query", "Scan", "BatchGet", "TransactGet")
# The reads that can be taken ahead of a write from the table's name alone.
_BY_NAME = ("DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups", "DescribeContributorInsights")
_BY_ARN = ("ListTagsOfResource", "GetResourcePolicy")

Answer = dict[str, Any] | AwsError


class Past:
    """Keeps what reads answered before the latest write to each table."""

    def __init__(
        self,
        handlers: dict[tuple[str, str], Callable[[Request], dict[str, Any] | None]],
        keep_journals: Callable[[Request], None],
    ) -> None:
        self._handlers = handlers
        self._keep_journals = keep_journals
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str, str], tuple[float, Answer]] = {}

    def before_write(self, request: Request, rules: list[Rule]) -> None:
        """Takes the reads that a stale rule may be asked for, just before a write changes them."""
        if request.service != "dynamodb" or request.operation.startswith(_READS):
            return
        if request.operation.endswith(("Item", "Items")):
            self._keep_journals(request)
            return
        now = time.monotonic()
        keep = max(rule.seconds for rule in rules)
        for operation in (*_BY_NAME, *_BY_ARN, "ListTables"):
            key = (request.region, operation, "" if operation == "ListTables" else request.key)
            with self._lock:
                known = self._answers.get(key)
                # The oldest answer inside the window is the one that a lagging replica would still give.
                if known is not None and now - known[0] < keep:
                    continue
                self._answers[key] = (now, self._read(operation, request))

    def _read(self, operation: str, request: Request) -> Answer:
        arn = f"arn:aws:dynamodb:{request.region}:{request.account or ACCOUNT}:table/{request.key}"
        parameters = {"TableName": request.key} if operation in _BY_NAME else {"ResourceArn": arn}
        if operation == "ListTables":
            parameters = {}
        read = Request(
            "POST",
            "/",
            "",
            {},
            b"",
            service="dynamodb",
            operation=operation,
            protocol="json",
            region=request.region,
            account=request.account,
            parameters=parameters,
            key=request.key,
        )
        try:
            return self._handlers["dynamodb", operation](read) or {}
        except AwsError as error:
            return error

    def answer(self, request: Request, rule: Rule) -> dict[str, Any] | None:
        """The old answer, or None when nothing has changed within the rule's seconds. Raises an old AwsError."""
        if request.operation in ("GetItem", "Query", "Scan"):
            if not (request.parameters or {}).get("ConsistentRead"):
                request.lag = rule.seconds
            return None
        key = (request.region, request.operation, "" if request.operation == "ListTables" else request.key)
        with self._lock:
            known = self._answers.get(key)
        if known is None or time.monotonic() - known[0] >= rule.seconds:
            return None
        if isinstance(known[1], AwsError):
            raise known[1]
        return known[1]
