"""Steers a running endpoint: faults, clock, settings, and what was asked of it."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from typing import Any

# Faults of databases do something, such as open a thousand connections, before they are answered.
_DATABASES_S = 90.0


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

    # What AWS, or somebody else, does to RDS.

    def rds_failover(self, cluster: str, target: str | None = None, **where: str) -> str:
        """AWS fails a cluster over. Gives the instance that becomes the writer; ``where`` is account and region."""
        body = {"cluster": cluster, **({"target": target} if target else {}), **where}
        return str(self._call("POST", "/lab/rds/failover", body)["writer"])

    def rds_crash(self, instance: str | None = None, *, cluster: str | None = None, **where: str) -> str | None:
        """An instance, or a cluster's writer, dies. Gives who takes over; None when it recovers by itself."""
        body = {k: v for k, v in (("instance", instance), ("cluster", cluster)) if v} | where
        writer = self._call("POST", "/lab/rds/crash", body)["writer"]
        return None if writer is None else str(writer)

    def rds_upgrade(self, cluster: str, version: str | None = None, **where: str) -> str:
        """AWS upgrades the engine's minor version by itself, now. Gives the version it goes to."""
        body = {"cluster": cluster, **({"version": version} if version else {}), **where}
        return str(self._call("POST", "/lab/rds/upgrade", body)["version"])

    def rds_backup(self, cluster: str, **where: str) -> str:
        """AWS Backup takes a snapshot of the cluster. Gives its identifier, ``awsbackup:job-…``."""
        return str(self._call("POST", "/lab/rds/backup", {"cluster": cluster, **where})["snapshot"])

    def rds_call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Somebody else's call: no fault hits it and nothing counts it. Times in and out are epoch seconds."""
        return dict(self._call("POST", "/lab/rds/call", {"operation": operation, "parameters": parameters}))

    def rds_password(self, cluster: str, **where: str) -> str:
        """The master password in force."""
        return str(self._call("POST", "/lab/rds/password", {"cluster": cluster, **where})["password"])

    def rds_status(self, name: str, status: str, **where: str) -> None:
        """Holds a cluster or an instance in a status until the next call; ``available`` lets it go."""
        self._call("POST", "/lab/rds/status", {"name": name, "status": status, **where})

    def postgres(self, action: str, **body: Any) -> Any:
        """``fault`` (cluster, kind, instance, seconds), ``heal`` or ``nodes`` of a cluster's databases."""
        given = {k: v for k, v in body.items() if v is not None}
        return self._call("POST", f"/lab/postgres/{action}", given, seconds=_DATABASES_S)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, seconds: float | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 (the lab's own loopback address)
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds or self.timeout) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            with contextlib.suppress(ValueError, KeyError):
                text = json.loads(text)["error"]
            raise LabAWSError(f"{method} {path}: {text}") from None
