"""Breaking nodes on purpose. Everything happens in the databases' loop; what was broken heals after its time, or when told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import psycopg

from . import takeover
from .cluster import TROUBLE, DatabaseCluster, Member

_FILLERS = 8
_CUT_S = 5.0


class Faults:
    """Faults of all clusters' nodes. Coroutines give what was hit, in words for JSON; ValueError where there is nothing to hit."""

    def __init__(self) -> None:
        self._held: dict[str, list[psycopg.AsyncConnection[Any]]] = {}

    async def add(
        self, cluster: DatabaseCluster, kind: str, instance: str | None, seconds: float | None
    ) -> dict[str, Any]:
        if kind == "delay":
            # For a delay the time is the fault itself: it lasts until it is cleared.
            for one in cluster.readers():
                if instance in (None, one.identifier):
                    one.node.configuration.apply_delay_ms = round(1000 * (seconds or 0))
                    one.node.reload()
            return {"kind": kind, "cluster": cluster.given.identifier, "seconds": seconds or 0}
        member = self._member(cluster, kind, instance)
        if kind == "kill":
            member.node.strike()
        elif kind == "freeze":
            member.node.freeze()
        elif kind == "partition":
            self._partition(cluster, member, True)
            await self._cut(cluster.readers() if member is cluster.current else [member])
        elif kind == "connections":
            await self._fill(cluster, member)
        elif kind == "stale":
            await self._promote_stale(cluster, member)
        if seconds and kind in ("freeze", "partition", "connections"):
            cluster.background(self._later(cluster, member, seconds), f"end of {kind}")
        return {"kind": kind, "cluster": cluster.given.identifier, "instance": member.identifier}

    async def clear(self, cluster: DatabaseCluster, instance: str | None) -> dict[str, Any]:
        """Thaws, connects and lets go of what was frozen, partitioned, filled or delayed."""
        healed = []
        for member in list(cluster.members.values()):
            if instance in (None, member.identifier):
                await self._heal(cluster, member)
                healed.append(member.identifier)
        return {"cluster": cluster.given.identifier, "healed": sorted(healed)}

    async def show(self, cluster: DatabaseCluster) -> dict[str, Any]:
        """The nodes as they are: pids, ports, addresses, positions."""
        return {
            "cluster": cluster.given.identifier,
            "writer": cluster.current.identifier if cluster.current else None,
            "protected": cluster.protected,
            "writer_endpoint": f"{cluster.writer_proxy.host}:{cluster.writer_proxy.port}",
            "reader_endpoint": f"{cluster.reader_proxy.host}:{cluster.reader_proxy.port}",
            "nodes": [
                {
                    "instance": one.identifier,
                    "endpoint": f"{one.proxy.host}:{one.proxy.port}",
                    "port": one.port,
                    "pid": one.node.pid,
                    "role": "writer" if one.key == cluster.writer else "reader",
                    "joined": one.joined and not one.rejoining,
                    "answers": one.failing_since is None,
                    "frozen": one.node.frozen,
                    "partitioned": one.partitioned,
                    "received": one.received,
                    "lag_ms": one.lag_ms,
                }
                for one in list(cluster.members.values())
            ],
        }

    @staticmethod
    def _member(cluster: DatabaseCluster, kind: str, instance: str | None) -> Member:
        if instance is not None:
            found = next((one for one in cluster.members.values() if one.identifier == instance), None)
            if found is None:
                raise ValueError(f"{cluster.given.identifier} has no instance {instance}")
            return found
        readers = sorted(cluster.readers(), key=lambda one: (-one.tier, one.identifier))
        found = next(iter(readers), None) if kind in ("partition", "stale") else cluster.current
        if found is None:
            raise ValueError(f"{cluster.given.identifier} has no instance for that")
        return found

    @staticmethod
    async def _cut(readers: list[Member]) -> None:
        """Until none of them receives any more: the fault has happened when it is told to have."""
        deadline = time.monotonic() + _CUT_S
        for one in readers:
            with contextlib.suppress(*TROUBLE):
                while time.monotonic() < deadline and await one.node.streaming():
                    await asyncio.sleep(0.02)

    @staticmethod
    def _partition(cluster: DatabaseCluster, member: Member, away: bool) -> None:
        member.partitioned = away
        member.proxy.silence(away)
        writer = cluster.current
        if member is writer:
            for reader in cluster.readers():
                reader.node.follow(None if away else member.port)
        elif writer is not None:
            member.node.follow(None if away else writer.port)
        cluster.point()

    async def _fill(self, cluster: DatabaseCluster, member: Member) -> None:
        """Takes slots until PostgreSQL refuses, all but those that are reserved for the superuser."""
        held = self._held.setdefault(member.key, [])
        node = member.node
        writer = cluster.current
        if writer is None or not writer.node.running:
            raise ValueError(f"{cluster.given.identifier} has no writer that could make the role for that")
        async with await writer.node.connect() as connection:
            await connection.execute("do $$ begin create role rds_filler login; exception when others then end $$")
            await connection.execute(f"alter role rds_filler password '{node.password}'")
        for _ in range(100):
            if await node.ask(
                "select exists (select from pg_authid where rolname = 'rds_filler' and rolpassword <> '')"
            ):
                break
            await asyncio.sleep(0.05)
        # Without TLS where that is not refused: there are many.
        mode = "require" if node.configuration.force_tls and node.configuration.tls else "disable"

        async def take() -> None:
            while True:
                try:
                    held.append(
                        await psycopg.AsyncConnection.connect(
                            host="127.0.0.1",
                            port=member.port,
                            user="rds_filler",
                            password=node.password,
                            dbname="postgres",
                            sslmode=mode,
                            connect_timeout=5,
                            autocommit=True,
                        )
                    )
                except psycopg.Error:
                    return

        await asyncio.gather(*(take() for _ in range(_FILLERS)))

    async def _promote_stale(self, cluster: DatabaseCluster, member: Member) -> None:
        """What a failover must never do: the writer dies, and who lacks some of its commits takes over."""
        async with cluster.topology:
            old = cluster.current
            if old is None or old is member:
                raise ValueError(f"{member.identifier} is the writer")
            cluster.protected = False
            await old.node.kill()
            old.node.wanted = False
            self._heal_partition(member)
            await takeover.promote(cluster, old, member)

    @staticmethod
    def _heal_partition(member: Member) -> None:
        if member.partitioned:
            member.partitioned = False
            member.proxy.silence(False)

    async def _later(self, cluster: DatabaseCluster, member: Member, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._heal(cluster, member)

    async def _heal(self, cluster: DatabaseCluster, member: Member) -> None:
        member.node.thaw()
        for connection in self._held.pop(member.key, []):
            with contextlib.suppress(*TROUBLE):
                await connection.close()
        if member.partitioned:
            self._partition(cluster, member, False)
        if member.node.configuration.apply_delay_ms:
            member.node.configuration.apply_delay_ms = 0
            member.node.reload()
