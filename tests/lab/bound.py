"""A cluster with databases and its connection Secret, as an application has them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import psycopg
from declared_cluster import DeclaredCluster

from penstock_lab.lab import Lab

DATABASES = {"databaseName": "ledger", "tags": {"lab/postgres": "nodes"}}


class Bound:
    """A cluster and its connection Secret, as an application has it."""

    def __init__(self, lab: Lab, namespace: str, spec: dict[str, Any] | None = None, **more: Any) -> None:
        self.lab, self.namespace = lab, namespace
        self.cluster = DeclaredCluster.small(lab, namespace, {**DATABASES, **(spec or {})}, **more)

    @property
    def name(self) -> str:
        return str(self.cluster.status["binding"]["name"])

    @property
    def secret(self) -> dict[str, Any]:
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{self.cluster.name}-binding"
        found: Any = self.lab.api.json(path)
        assert found is not None, "there is no Secret"
        return dict(found)

    @property
    def data(self) -> dict[str, str]:
        return {k: base64.b64decode(v).decode() for k, v in self.secret["data"].items()}

    def ready(self, reason: str = "Bound") -> Bound:
        """A server that is made takes its time where many are made at once."""
        self.cluster.settled(200)
        self.cluster.wait("Bound", reason=reason, timeout=60)
        return self

    def ask(self, sql: str, data: dict[str, str] | None = None, uri: str = "uri") -> list[tuple[Any, ...]]:
        """Log in with what the Secret holds and nothing else, as a mounted folder gives it."""
        data = data or self.data
        authorities = self.mounted(data) / "ca.crt"
        with psycopg.connect(data[uri], sslrootcert=str(authorities), connect_timeout=3, autocommit=True) as db:
            cursor = db.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def until(self, sql: str, what: str) -> Bound:
        """Until the statement gives true; while no writer answers, or there is no such table, it does not."""

        def true() -> bool:
            try:
                return self.ask(sql) == [(True,)]
            except psycopg.Error as error:
                raise AssertionError(str(error)) from error

        self.cluster.until(true, what)
        return self

    def mounted(self, data: dict[str, str] | None = None) -> Path:
        """The Secret as the kubelet mounts it: a folder with a file for each key."""
        folder = Path(self.lab.state.folder) / "bindings" / self.namespace / self.cluster.name
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in (data or self.data).items():
            (folder / key).write_text(value)
        return folder

    def patch(self, body: dict[str, Any]) -> None:
        self.lab.kubectl("patch", "secret", self.name, "-n", self.namespace, "--type=merge", "-p", json.dumps(body))
