"""A FailoverDrill as a user has it, and a cluster with real PostgreSQL behind it to drill."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import psycopg
from declared import Declared
from declared_cluster import DeclaredCluster

from penstock_lab.lab import Lab

PASSWORD = "Correct-Horse-7"
TINY = {"writers": 2, "duration": "5s"}


class DrilledCluster(DeclaredCluster):
    """A cluster with databases, whose master password the test knows."""

    def __init__(self, lab: Lab, namespace: str, *, readers: int = 1, name: str = "ledger", **spec: Any) -> None:
        super().__init__(
            lab,
            namespace,
            {
                "network": None,
                "instances": {"readers": readers},
                "tags": {"lab/postgres": "nodes"},
                "credentials": {"passwordSecretRef": {"name": f"{name}-master"}},
                **spec,
            },
            name=name,
            apply=False,
        )
        self.secret(f"{name}-master", password=PASSWORD)
        self.apply()

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """By the cluster endpoint, as the master user."""
        facts = self.aws
        given = {
            "host": facts["Endpoint"],
            "port": facts["Port"],
            "user": "postgres",
            "password": PASSWORD,
            "dbname": "postgres",
        }
        tls = {"sslmode": "verify-full", "sslrootcert": str(self.lab.state.folder / "database-ca.crt")}
        return psycopg.connect(**{**given, **tls, "connect_timeout": 3, "autocommit": True, **options})

    @property
    def schemas(self) -> list[str]:
        """What drills left in the database."""
        with self.connect() as connection:
            rows = connection.execute("select nspname from pg_namespace where nspname like 'penstock%'").fetchall()
        return sorted(row[0] for row in rows)

    @property
    def drilling(self) -> int:
        """Connections of drills."""
        with self.connect() as connection:
            query = "select count(*) from pg_stat_activity where application_name = 'penstock-drill'"
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0


class DeclaredDrill(Declared):
    """A FailoverDrill object with a small load, of the cluster `ledger` unless the spec says otherwise."""

    kind, plural = "FailoverDrill", "failoverdrills"

    def __init__(
        self,
        lab: Lab,
        namespace: str,
        spec: Mapping[str, Any] | None = None,
        *,
        name: str = "drill",
        apply: bool = True,
    ) -> None:
        self.lab, self.namespace, self.name = lab, namespace, name
        self.spec: dict[str, Any] = {"clusterRef": {"name": "ledger"}, "load": TINY, **copy.deepcopy(dict(spec or {}))}
        self.annotations: dict[str, str] = {}
        self.uid = ""
        if apply:
            self.apply()

    @property
    def report(self) -> dict[str, Any]:
        return self.status.get("report") or {}

    @property
    def phase(self) -> str:
        return str((self.status.get("run") or {}).get("phase", ""))

    def ended(self, verdict: str, timeout: float = 60) -> dict[str, Any]:
        """Until the last run came to that; its report."""
        self.until(
            lambda: self.status.get("verdict") == verdict and "run" not in self.status, f"verdict {verdict}", timeout
        )
        return self.report

    def reached(self, *phases: str, timeout: float = 60) -> DeclaredDrill:
        self.until(lambda: self.phase in phases, f"phase {' or '.join(phases)}", timeout)
        return self
