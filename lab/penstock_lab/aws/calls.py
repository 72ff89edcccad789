"""What was asked of the endpoint: counts by operation and code, and a bounded log in order."""

from __future__ import annotations

import collections
import threading
from typing import Any

from .request import Request
from .settings import settings


class Calls:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._log: collections.deque[tuple[float, str, str, int, str, str]] = collections.deque()
        self._counts: collections.Counter[str] = collections.Counter()
        self._errors: collections.Counter[str] = collections.Counter()

    def record(self, at: float, request: Request, status: int, code: str) -> None:
        name = request.name
        with self._lock:
            self._counts[name] += 1
            if code:
                self._errors[f"{name} {code}"] += 1
            self._log.append((at, name, request.key, status, code, request.access_key))
            while len(self._log) > settings.request_log_size:
                self._log.popleft()

    def as_dict(self, *, log: bool = False) -> dict[str, Any]:
        """``counts`` by "service.Operation", ``errors`` by "service.Operation Code", ``total``, and the ``log``.

        In the log ``by`` is the access key.
        """
        with self._lock:
            answer: dict[str, Any] = {
                "total": sum(self._counts.values()),
                "counts": dict(sorted(self._counts.items())),
                "errors": dict(sorted(self._errors.items())),
            }
            if log:
                answer["log"] = [
                    {"time": at, "operation": name, "key": key, "status": status, "code": code, "by": by}
                    for at, name, key, status, code, by in self._log
                ]
            return answer

    def reset(self) -> None:
        with self._lock:
            self._log.clear()
            self._counts.clear()
            self._errors.clear()


calls = Calls()
