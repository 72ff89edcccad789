"""From a request to an answer: credentials, rate limits, faults, then our own handlers or moto."""

from __future__ import annotations

import base64
import datetime
import fnmatch
import json
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable
from typing import Any

import orjson

from . import control
from .calls import calls
from .clock import clock
from .errors import AwsError, json_error, query_error, rest_xml_error
from .faults import Rule, faults
from .query import QueryProtocol
from .request import Request, parse, request_id
from .settings import settings

Handler = Callable[[Request], dict[str, Any] | None]
Answer = tuple[int, list[tuple[str, str]], bytes]

_NAMESPACES = {
    "dynamodb": "com.amazonaws.dynamodb.v20120810",
    "dynamodbstreams": "com.amazonaws.dynamodb.v20120810",
}
# What a throttled caller is told; codes as SDKs know them.
_THROTTLE = {"rds": "Throttling", "ec2": "RequestLimitExceeded", "sts": "Throttling", "s3": "SlowDown"}
# What an RDS operation's name says it is about, as ARNs call it.
_RDS_KINDS = (
    ("DBClusterParameterGroup", "cluster-pg"),
    ("DBClusterSnapshot", "cluster-snapshot"),
    ("DBParameterGroup", "pg"),
    ("DBSubnetGroup", "subgrp"),
    ("Subscription", "es"),
    ("DBInstance", "db"),
)
_DATA_PLANE = ("*Item", "*Items", "Query", "Scan")


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class Dispatcher:
    """Answers requests. ``handlers`` maps (service, operation); ``fallback`` is moto.

    A handler of a service in ``query`` is given its parameters parsed, as the handlers of JSON services are.
    """

    def __init__(
        self,
        handlers: dict[tuple[str, str], Handler],
        fallback: Callable[[Request], Answer],
        query: dict[str, QueryProtocol] | None = None,
    ) -> None:
        self.handlers = handlers
        self.fallback = fallback
        self.query = query or {}
        # Called with a request before a write that a stale rule may later hide.
        self.before_write: Callable[[Request, list[Rule]], None] | None = None
        self.stale_answer: Callable[[Request, Rule], dict[str, Any] | None] | None = None
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, query: str, headers: dict[bytes, bytes], body: bytes) -> Answer:
        """Raises Dropped when the connection is to be closed instead."""
        if path.startswith("/lab/"):
            status, content = control.handle(method, path, query, body)
            return status, [("Content-Type", "application/json")], content
        if path.startswith("/moto-api"):
            return self.fallback(Request(method, path, query, headers, body))
        try:
            request = parse(method, path, query, headers, body)
        except AwsError as error:
            request = Request(method, path, query, headers, body, protocol="json", id=request_id())
            return self._error(request, error)
        try:
            answer = self._guarded(request)
        except AwsError as error:
            calls.record(clock.now(), request, error.status, error.code)
            return self._error(request, error)
        except Dropped:
            calls.record(clock.now(), request, 0, "Dropped")
            raise
        except Exception as failure:
            # Never a traceback to the caller; the lab's own log gets it.
            print(f"internal error in {request.name}: {failure!r}", file=sys.stderr)
            traceback.print_exc()
            error = AwsError("InternalServerError", "Internal server error", 500)
            calls.record(clock.now(), request, 500, error.code)
            return self._error(request, error)
        return answer

    def _guarded(self, request: Request) -> Answer:
        _check_credentials(request)
        if settings.rate_limits and (rate := settings.rate_limits.get(request.operation)) is not None:
            self._check_rate(request.operation, rate, max(rate, 1.0))
        if request.service == "rds" and settings.rds_requests_per_s:
            where = f"rds/{request.account}/{request.region}"
            self._check_rate(where, settings.rds_requests_per_s, settings.rds_request_burst)
        late = _run_faults(request) if faults else []
        answer = self._answered(request, late)
        for rule in late:
            if rule.when == "after" and rule.kind != "latency":
                _fail(request, rule)
        calls.record(clock.now(), request, answer[0], "" if answer[0] < 400 else _code(answer))
        for rule in late:
            if rule.kind == "latency":
                time.sleep(rule.seconds)
        return answer

    def _answered(self, request: Request, late: list[Rule]) -> Answer:
        handler = self.handlers.get((request.service, request.operation))
        query = self.query.get(request.service) if request.protocol == "query" else None
        if handler is None or (request.protocol != "json" and query is None):
            return self.fallback(request)
        if query is not None:
            request.parameters = query.parameters(request.operation, request.parameters or {})
        content = None
        for rule in late:
            if rule.kind == "stale" and self.stale_answer:
                content = self.stale_answer(request, rule)
        if faults and self.before_write and (rules := faults.stale(request.service)):
            self.before_write(request, rules)
        if content is None:
            content = handler(request)
        if content is None:
            # A handler that leaves a request to moto answers None.
            return self.fallback(request)
        if query is None:
            return self._json(request, 200, _dumps(content))
        body = query.answer(request.operation, content, request.id)
        return 200, [("Content-Type", "text/xml"), ("x-amzn-RequestId", request.id)], body

    def _check_rate(self, what: str, rate: float, burst: float) -> None:
        now = time.monotonic()
        with self._lock:
            tokens, since = self._buckets.get(what, (burst, now))
            tokens = min(burst, tokens + (now - since) * rate)
            self._buckets[what] = (tokens - 1 if tokens >= 1 else tokens, now)
        if tokens < 1:
            raise AwsError("ThrottlingException", "Rate exceeded")

    def _json(self, request: Request, status: int, body: bytes) -> Answer:
        kind = request.headers.get(b"Content-Type", b"").decode("latin-1")
        if not kind.startswith("application/x-amz-json"):
            kind = "application/x-amz-json-1.0"
        return status, [("Content-Type", kind), ("x-amzn-RequestId", request.id)], body

    def _error(self, request: Request, error: AwsError) -> Answer:
        if request.protocol == "json":
            body = json_error(error, _NAMESPACES.get(request.service, ""))
            return self._json(request, error.status, body)
        if request.protocol == "query":
            status, body = query_error(error, request.id)
            return status, [("Content-Type", "text/xml"), ("x-amzn-RequestId", request.id)], body
        headers = [("x-amzn-RequestId", request.id), ("x-amzn-ErrorType", error.code)]
        if request.protocol == "cbor":
            body = json_error(error, "")
            return error.status, [*headers, ("Content-Type", "application/json")], body
        if request.service == "s3" or not request.service:
            body = rest_xml_error(error, request.id)
            return error.status, [*headers, ("Content-Type", "application/xml")], body
        body = json.dumps({"message": error.message}).encode()
        return error.status, [*headers, ("Content-Type", "application/json")], body


def crc32(body: bytes) -> str:
    """DynamoDB's checksum header; SDKs verify it."""
    return str(zlib.crc32(body) & 0xFFFFFFFF)


def _dumps(content: Any) -> bytes:
    return orjson.dumps(content, default=_default, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _default(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.UTC).timestamp()
    raise TypeError(f"{type(value).__name__} cannot be answered as JSON")


def _check_credentials(request: Request) -> None:
    """The answers of AWS's front end, see "Common errors" in any API reference."""
    if not request.signed:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token")
    if request.access_key.startswith("AKIAEXPIRED"):
        raise AwsError("ExpiredTokenException", "The security token included in the request is expired")
    if request.access_key.startswith("AKIAUNKNOWN"):
        raise AwsError("UnrecognizedClientException", "The security token included in the request is invalid.")


def _run_faults(request: Request) -> list[Rule]:
    """Runs the rules that act before the request; gives back those that act on or after it."""
    late = []
    for rule in faults.hit(request.service, request.operation, request.key):
        if rule.kind == "latency" and rule.when == "before":
            time.sleep(rule.seconds)
        elif rule.kind == "stale" or rule.when == "after":
            late.append(rule)
        else:
            _fail(request, rule)
    return late


def _fail(request: Request, rule: Rule) -> None:
    match rule.kind:
        case "drop":
            raise Dropped
        case "throttle":
            code = rule.code or _throttle_code(request)
            message = rule.message or (
                "Rate exceeded"
                if code != "ProvisionedThroughputExceededException"
                else "The level of configured provisioned throughput for the table was exceeded. "
                "Consider increasing your provisioning level with the UpdateTable API."
            )
            raise AwsError(code, message, rule.status or (503 if code == "SlowDown" else 400))
        case "error":
            code = rule.code or ("InternalServerError" if request.service.startswith("dynamodb") else "InternalFailure")
            raise AwsError(code, rule.message or "Internal server error", rule.status or 500)
        case "deny":
            resource = _arn(request)
            raise AwsError(
                rule.code or "AccessDeniedException",
                rule.message
                or f"User: {request.principal} is not authorized to perform: "
                f"{request.service}:{request.operation} on resource: {resource} because no identity-based policy "
                f"allows the {request.service}:{request.operation} action",
                rule.status or 400,
            )


def _throttle_code(request: Request) -> str:
    if request.service in _THROTTLE:
        return _THROTTLE[request.service]
    if request.service == "dynamodb" and any(fnmatch.fnmatchcase(request.operation, p) for p in _DATA_PLANE):
        return "ProvisionedThroughputExceededException"
    return "ThrottlingException"


def _arn(request: Request) -> str:
    if request.service == "dynamodb" and request.key:
        return f"arn:aws:dynamodb:{request.region}:{request.account}:table/{request.key}"
    if request.service == "rds":
        kind = next((kind for word, kind in _RDS_KINDS if word in request.operation), "cluster")
        return f"arn:aws:rds:{request.region}:{request.account}:{kind}:{request.key or '*'}"
    return "*"


def _code(answer: Answer) -> str:
    """The error code in an answer that moto made."""
    body = answer[2][:4096]
    try:
        content = json.loads(body)
        return str(content.get("__type", content.get("code", ""))).rpartition("#")[2] or str(answer[0])
    except (ValueError, AttributeError):
        start, end = body.find(b"<Code>"), body.find(b"</Code>")
        return body[start + 6 : end].decode("latin-1") if 0 <= start < end else str(answer[0])
