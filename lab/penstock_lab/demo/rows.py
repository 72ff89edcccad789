"""Rows of the demo's cluster: asked as an application would, with the password that AWS keeps and TLS verified."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg

from .stage import Stage

_PATIENCE_S = 30.0


def ask(stage: Stage, cluster: dict[str, Any], sql: str) -> list[tuple[Any, ...]]:
    """Run one statement at the writer endpoint of a cluster that DescribeDBClusters told; its rows. Printed as what it stands for.

    Tries again for half a minute: right after a restore or a failover connections may still be refused. Raises psycopg.Error.
    """

    def once() -> list[tuple[Any, ...]]:
        secret = cluster["MasterUserSecret"]["SecretArn"]
        told = stage.lab.boto("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
        with psycopg.connect(
            host=cluster["Endpoint"],
            port=cluster["Port"],
            user=cluster["MasterUsername"],
            password=json.loads(told)["password"],
            dbname=cluster["DatabaseName"],
            sslmode="verify-full",
            sslrootcert=str(stage.lab.database_ca),
            connect_timeout=3,
            autocommit=True,
        ) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def patiently() -> list[tuple[Any, ...]]:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return once()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    return stage.python(
        f'psycopg.connect("host={cluster["Endpoint"]} sslmode=verify-full …").execute("{sql}")', patiently
    )
