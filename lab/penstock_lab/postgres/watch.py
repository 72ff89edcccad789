"""Watches a cluster's nodes: who answers, how far each reader is, and that commits wait for readers while there are any."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import time
from collections.abc import Callable
from typing import Any

import psycopg

from .cluster import TROUBLE, DatabaseCluster, Member
from .node import Node, bounded

_TICK_S = 0.5
_ANSWER_S = 1.0
# A reader that has not been streaming for so long is built anew; less than that it mends by itself.
_HEAL_S = 20.0
# Without any reader that streams commits wait so long, and then for none.
_DEGRADE_S = 3.0
_CLOSE_S = 0.05
_TELL_AGAIN_S = 15.0
# The control plane's word for the writer lags behind while it fails over; for longer it is wrong.
_DIFFERS_S = 2.0


class Watch:
    """Looks at one cluster about twice a second.

    ``lost`` is called with an instance's resource id, in a thread; so is ``reconcile``, where ``differs()`` says for some time that
    the control plane names another writer than there is.
    """

    def __init__(
        self,
        cluster: DatabaseCluster,
        detect_s: Callable[[], float],
        lost: Callable[[str], None],
        differs: Callable[[], bool],
        reconcile: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._detect_s = detect_s
        self._lost = lost
        self._differs = differs
        self._reconcile = reconcile
        self._differs_since: float | None = None
        self._connections: dict[str, psycopg.AsyncConnection[Any]] = {}
        self._alone_since: float | None = None
        self._behind_since: dict[str, float] = {}

    async def run(self) -> None:
        try:
            while not self._cluster.gone:
                began = time.monotonic()
                if not self._cluster.stopped:
                    with contextlib.suppress(*TROUBLE):
                        await self._look()
                await asyncio.sleep(max(0.05, _TICK_S - (time.monotonic() - began)))
        finally:
            for key in list(self._connections):
                await self._drop(key)

    async def _look(self) -> None:
        members = [one for one in self._cluster.members.values() if one.joined and not one.rejoining]
        for key in self._connections.keys() - {one.key for one in members}:
            await self._drop(key)
        position = await self._writer_position()
        await asyncio.gather(*(self._look_at(one, position) for one in members))
        self._write_status(members)
        for one in members:
            if self._is_lost(one):
                one.reported = time.monotonic()
                self._cluster.background(self._tell(one), f"{one.identifier} is lost")
        if not self._cluster.topology.locked():
            await self._keep_protected()
            self._cluster.point()
            await self._keep_told()

    def _is_lost(self, member: Member) -> bool:
        """It has not answered for long enough, and nothing is being done about it, or was without success."""
        if member.failing_since is None or member.rejoining or self._cluster.topology.locked():
            return False
        if member.partitioned and member.key != self._cluster.writer:
            return False
        now = time.monotonic()
        if member.reported is not None and now - member.reported < _TELL_AGAIN_S + self._detect_s():
            return False
        return now - member.failing_since >= self._detect_s()

    async def _keep_told(self) -> None:
        """The control plane's writer is the real one: a failover may not have reached whom it was to reach."""
        if not self._differs():
            self._differs_since = None
            return
        self._differs_since = self._differs_since or time.monotonic()
        if time.monotonic() - self._differs_since > _DIFFERS_S:
            await asyncio.to_thread(self._reconcile)

    async def _tell(self, member: Member) -> None:
        try:
            await asyncio.to_thread(self._lost, member.key)
        except Exception:
            # The control plane is in the middle of something; it is told again.
            await asyncio.sleep(0.5)
            member.reported = None
            raise

    async def _writer_position(self) -> int | None:
        writer = self._cluster.current
        if writer is None:
            return None
        with contextlib.suppress(*TROUBLE):
            row = await self._ask(writer.key, writer.node, _WRITER)
            writer.received = writer.replayed = int(row[0])
            writer.sessions = int(row[1])
            return writer.received
        return None

    async def _look_at(self, member: Member, position: int | None) -> None:
        try:
            if member.partitioned:
                raise TimeoutError
            if member.key != self._cluster.writer:
                await self._measure(member, position)
            elif position is None:
                raise TimeoutError
        except TROUBLE:
            if not member.node.wanted and not member.node.running and self._cluster.stopped:
                return
            member.failing_since = member.failing_since or time.monotonic()
        else:
            member.failing_since, member.reported = None, None

    async def _measure(self, member: Member, position: int | None) -> None:
        """The lag: how long until the reader shows what the writer had; measured up to some milliseconds, then reckoned."""
        began = time.monotonic()
        while True:
            received, replayed, age, sessions = await self._ask(member.key, member.node, _READER)
            member.received, member.replayed, member.sessions = int(received), int(replayed), int(sessions)
            elapsed = time.monotonic() - began
            if position is None:
                return
            if member.replayed >= position:
                member.lag_ms, member.caught_up = elapsed * 1000, time.monotonic()
                return
            if elapsed > _CLOSE_S:
                break
            await asyncio.sleep(0.004)
        since = time.monotonic() - member.caught_up
        member.lag_ms = 1000 * (min(since, float(age)) if age is not None else since)

    async def _ask(self, key: str, node: Node, query: str) -> tuple[Any, ...]:
        if not node.running:
            await self._drop(key)
            raise TimeoutError
        try:
            row = await bounded(self._row(key, node, query), _ANSWER_S)
        except TROUBLE:
            await self._drop(key)
            raise
        assert row is not None
        return tuple(row)

    async def _row(self, key: str, node: Node, query: str) -> Any:
        connection = self._connections.get(key)
        if connection is None or connection.closed or connection.info.port != node.configuration.port:
            connection = self._connections[key] = await node.connect(seconds=2)
        return await (await connection.execute(query)).fetchone()

    async def _drop(self, key: str) -> None:
        connection = self._connections.pop(key, None)
        if connection is not None:
            # Not closed in words: a frozen server would be waited for.
            connection.pgconn.finish()

    async def _keep_protected(self) -> None:
        cluster = self._cluster
        writer = cluster.current
        if writer is None or not writer.node.running or writer.failing_since is not None:
            return
        with contextlib.suppress(*TROUBLE):
            (streams,) = await self._ask(writer.key, writer.node, _STREAMING)
            now = time.monotonic()
            names = set(streams or ())
            for one in cluster.readers():
                if one.key in names or one.rejoining or one.partitioned:
                    self._behind_since.pop(one.key, None)
                elif now - self._behind_since.setdefault(one.key, now) > _HEAL_S and one.node.running:
                    self._behind_since.pop(one.key, None)
                    cluster.background(cluster.rejoin(one), f"{one.identifier} is built anew")
            if names & {one.key for one in cluster.readers()}:
                self._alone_since = None
                if not cluster.protected or writer.node.configuration.synchronous != cluster.synchronous_names():
                    async with cluster.topology:
                        if cluster.current is writer:
                            await cluster.protect()
            elif cluster.protected or writer.node.configuration.synchronous:
                self._alone_since = self._alone_since or now
                if now - self._alone_since > _DEGRADE_S:
                    cluster.unprotect(writer)

    def _write_status(self, members: list[Member]) -> None:
        """What aurora_replica_status() reads. Byte positions stand for Aurora's log sequence numbers."""
        now = datetime.datetime.now(datetime.UTC).isoformat()
        rows = []
        for one in members:
            writes = one.key == self._cluster.writer
            lag = None if writes else one.lag_ms
            rows.append(
                {
                    "server_id": one.identifier,
                    "session_id": "MASTER_SESSION_ID" if writes else one.key.removeprefix("db-").lower(),
                    "durable_lsn": one.received,
                    "highest_lsn_rcvd": one.received,
                    "current_read_lsn": one.replayed,
                    "cur_replay_latency_in_usec": None if lag is None else int(lag * 1000),
                    "active_txns": one.sessions,
                    "is_current": one.failing_since is None,
                    "last_transport_error": 0,
                    "last_error_timestamp": None,
                    "last_update_timestamp": now,
                    "replica_lag_in_msec": lag,
                }
            )
        path = self._cluster.status_file
        new = path.with_suffix(".new")
        new.write_text(json.dumps(rows))
        new.chmod(0o644)
        new.replace(path)


_ACTIVE = "(select count(*) from pg_stat_activity where state = 'active' and backend_type = 'client backend')"
_WRITER = f"select pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint, {_ACTIVE}"
_READER = (
    "select greatest(pg_wal_lsn_diff(coalesce(pg_last_wal_receive_lsn(), '0/0'), '0/0'), 0)::bigint,"  # noqa: S608
    " greatest(pg_wal_lsn_diff(coalesce(pg_last_wal_replay_lsn(), '0/0'), '0/0'), 0)::bigint,"
    f" extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8, {_ACTIVE}"
)
_STREAMING = "select array_agg(application_name) from pg_stat_replication where state = 'streaming'"
