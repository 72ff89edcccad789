"""What a drill does inside the database: its schema and table, the replicas' lag, reading the acknowledged commits back, and dropping it all.

Everything is in a schema of the run's own, so that one DROP leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql

from penstock.drill.measure import Log

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
APPLICATION = "penstock-drill"
GONE = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
"""The table is not there: a failover lost even that."""
# Lost commits that a report names; the rest is a number.
_EXAMPLES = 5


@dataclass(frozen=True)
class ReadBack:
    """What was found of the commits. lost: acknowledged and not there. found: of unknown outcome, and there. examples: some lost, "writer/number"."""

    lost: int
    found: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Server:
    """Whom a connection reached. instance: '' where the database has no Aurora functions."""

    instance: str
    writes: bool


def insert(schema: str) -> sql.Composed:
    """The statement of one commit; parameters: writer, number."""
    return sql.SQL("insert into {}.commits (writer, number) values (%s, %s)").format(sql.Identifier(schema))


async def make(connection: Connection, schema: str) -> None:
    """The schema and the table; safe to repeat."""
    name = sql.Identifier(schema)
    await connection.execute(sql.SQL("create schema if not exists {}").format(name))
    await connection.execute(
        sql.SQL(
            "create table if not exists {}.commits (writer int, number bigint, primary key (writer, number))"
        ).format(name)
    )


async def drop(connection: Connection, schema: str) -> None:
    """Everything that make() made; safe to repeat. Waits five seconds at most for a lock that somebody holds."""
    await connection.execute("set lock_timeout = '5s'")
    await connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))


async def may_create(connection: Connection) -> bool:
    """Whether the user may make a schema in this database."""
    row = await (
        await connection.execute(
            "select has_database_privilege(current_database(), 'CREATE') and not pg_is_in_recovery()"
        )
    ).fetchone()
    return bool(row and row[0])


async def server(connection: Connection) -> Server:
    """Whom this connection reached (Aurora guide, "Aurora PostgreSQL functions reference")."""
    try:
        answer = await connection.execute("select aurora_db_instance_identifier(), not pg_is_in_recovery()")
    except psycopg.errors.UndefinedFunction:
        answer = await connection.execute("select '', not pg_is_in_recovery()")
    row = await answer.fetchone()
    return Server(str(row[0] or ""), bool(row[1])) if row else Server("", False)


async def lag(connection: Connection) -> timedelta | None:
    """How far the slowest reader is behind; None where the database does not tell, or has no reader."""
    try:
        answer = await connection.execute(
            "select max(replica_lag_in_msec) from aurora_replica_status() where session_id <> 'MASTER_SESSION_ID'"
        )
    except psycopg.errors.UndefinedFunction:
        return None
    row = await answer.fetchone()
    return timedelta(milliseconds=float(row[0])) if row and row[0] is not None else None


async def read_back(connection: Connection, schema: str, logs: Iterable[Log]) -> ReadBack:
    """Count what is there of the acknowledged commits, range by range. A table that is gone lost them all."""
    table = sql.Identifier(schema, "commits")
    lost, found, examples = 0, 0, list[str]()
    try:
        for log in logs:
            for first, last in log.ranges:
                there = await _one(
                    connection,
                    sql.SQL("select count(*) from {} where writer = %s and number between %s and %s").format(table),
                    (log.writer, first, last),
                )
                missing = last - first + 1 - there
                lost += missing
                if missing and len(examples) < _EXAMPLES:
                    examples += await _missing(connection, table, log.writer, first, last)
            if log.unknown:
                found += await _one(
                    connection,
                    sql.SQL("select count(*) from {} where writer = %s and number = any(%s)").format(table),
                    (log.writer, log.unknown),
                )
    except GONE:
        return ReadBack(sum(log.count for log in logs), 0)
    return ReadBack(lost, found, tuple(examples[:_EXAMPLES]))


async def _one(connection: Connection, query: sql.Composed, parameters: tuple[Any, ...]) -> int:
    row = await (await connection.execute(query, parameters)).fetchone()
    return int(row[0]) if row else 0


async def _missing(connection: Connection, table: sql.Identifier, writer: int, first: int, last: int) -> list[str]:
    query = sql.SQL(
        "select n from generate_series(%s::bigint, %s) n where not exists (select from {} where writer = %s and number = n) limit 5"
    )
    rows = await (await connection.execute(query.format(table), (first, last, writer))).fetchall()
    return [f"{writer}/{row[0]}" for row in rows]
