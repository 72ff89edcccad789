"""The control API under ``/lab/`` on the endpoint's own address."""

from __future__ import annotations

import json
import os
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from .calls import calls
from .clock import clock
from .errors import AwsError
from .faults import faults
from .settings import settings

_STARTED = time.monotonic()
# What a service adds under /lab/: a path, such as "rds/failover", to what answers a POST of a JSON object.
actions: dict[str, Callable[[dict[str, Any]], Any]] = {}


def handle(method: str, path: str, query: str, body: bytes) -> tuple[int, bytes]:
    """Status and JSON body. A request that makes no sense gets 400 and ``{"error": sentence}``."""
    try:
        return 200, json.dumps(_answer(method, path, query, body)).encode()
    except LookupError as error:
        return 404, json.dumps({"error": str(error.args[0])}).encode()
    except (ValueError, AwsError) as error:
        return 400, json.dumps({"error": str(error)}).encode()


def _answer(method: str, path: str, query: str, body: bytes) -> Any:
    parameters = dict(urllib.parse.parse_qsl(query))
    match method, path.removeprefix("/lab/").rstrip("/"):
        case "GET", "health":
            return {"status": "ok", "pid": os.getpid(), "uptime": round(time.monotonic() - _STARTED, 3)}
        case "GET", "faults":
            return {"faults": [rule.as_dict() for rule in faults.rules()]}
        case "POST", "faults":
            return faults.add(_object(body)).as_dict()
        case "DELETE", "faults":
            return {"cleared": faults.clear(parameters.get("id"))}
        case "DELETE", one if one.startswith("faults/"):
            return {"cleared": faults.clear(one.removeprefix("faults/"))}
        case "GET", "clock":
            return {"now": clock.now(), "speed": clock.speed}
        case "POST", "clock":
            wanted = _object(body)
            if not wanted.keys() <= {"speed", "advance"} or not all(_number(v) for v in wanted.values()):
                raise ValueError('write {"speed": factor} or {"advance": seconds}')
            clock.set(speed=wanted.get("speed"), advance=wanted.get("advance") or 0.0)
            return {"now": clock.now(), "speed": clock.speed}
        case "GET", "calls":
            return calls.as_dict(log=parameters.get("log", "0") not in ("", "0"))
        case "DELETE", "calls":
            calls.reset()
            return {}
        case "GET", "settings":
            return settings.as_dict()
        case "POST", "settings":
            settings.update(_object(body))
            return settings.as_dict()
        case "POST", action if action in actions:
            return actions[action](_object(body))
    there = ", ".join(("health", "faults", "clock", "calls", "settings", *actions))
    raise LookupError(f"there is no {method} {path}; there are /lab/{there}")


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError("the body must be a JSON object")
    return value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
