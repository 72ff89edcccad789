"""Steers a running endpoint: faults, clock, settings, and what was asked of it."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from typing import Any


class LabAWSError(Exception):
    """The endpoint refused a control request; the message is its sentence."""


class LabAWS:
    """The control API of the AWS endpoint at ``url`` (``http://127.0.0.1:PORT``)."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout

    def health(self) -> dict[str, Any]:
        return self._call("GET", "/lab/health")

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force, with ``id`` and ``hits``."""
        return self._call("GET", "/lab/faults")["faults"]

    def add_fault(self, **rule: Any) -> dict[str, Any]:
        """Adds a rule, see :class:`penstock_lab.aws.faults.Rule`. Gives it back with its ``id``."""
        return self._call("POST", "/lab/faults", rule)

    def clear_faults(self, rule_id: str | None = None) -> int:
        """Ends one rule, or all. Gives how many."""
        return self._call("DELETE", "/lab/faults" + (f"?id={rule_id}" if rule_id else ""))["cleared"]

    def clock(self, *, speed: float | None = None, advance: float | None = None) -> dict[str, Any]:
        """``{"now": epoch seconds, "speed": x}``, after setting the speed and jumping ahead where given."""
        body = {k: v for k, v in (("speed", speed), ("advance", advance)) if v is not None}
        return self._call("POST", "/lab/clock", body) if body else self._call("GET", "/lab/clock")

    def calls(self, *, log: bool = False) -> dict[str, Any]:
        """``counts`` by "service.Operation", ``errors``, ``total``; with ``log`` the last requests in order."""
        return self._call("GET", "/lab/calls" + ("?log=1" if log else ""))

    def reset_calls(self) -> None:
        self._call("DELETE", "/lab/calls")

    def settings(self, **values: Any) -> dict[str, Any]:
        """All settings, after changing those given."""
        return self._call("POST", "/lab/settings", values) if values else self._call("GET", "/lab/settings")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 (the lab's own loopback address)
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            with contextlib.suppress(ValueError, KeyError):
                text = json.loads(text)["error"]
            raise LabAWSError(f"{method} {path}: {text}") from None
