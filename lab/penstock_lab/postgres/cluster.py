"""One Aurora cluster: a volume, its writer and its readers, its endpoints. All of it in one event loop.

Invariants:
- The writer acknowledges a commit only when a reader has it on disk too, as long as any reader streams (`protected`).
- At no time are two nodes writers: an old writer is dead before a new one is promoted.
- A reader is promoted only when it has all that any reader has (:mod:`.election`).
- Without instances the data lies in `volume`; with instances it is the writer's.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from .. import processes
from ..pki import Pair
from . import schema
from .archive import Archive, copy_data, own_tree, recovered
from .binaries import Binaries, CommandFailed
from .configuration import NodeConfiguration, Source
from .node import Node, NodeFailed, bounded
from .node import one as first
from .proxy import Proxy

TROUBLE = (NodeFailed, CommandFailed, psycopg.Error, OSError, TimeoutError)
_TRIES = 5
# A reader is brought back through further failovers: each may take away what it was to follow.
_REJOIN_TRIES = 40
_STREAMING_S = 15.0
_PROTECT_S = 3.0


@dataclass(slots=True)
class Given:
    """What the control plane says of a cluster; changes with it."""

    identifier: str
    username: str
    password: str = field(repr=False)
    database: str | None
    version: str
    force_tls: bool = False
    max_connections: int = 1200
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Member:
    """An instance: its node and its endpoint."""

    key: str
    identifier: str
    tier: int
    node: Node
    proxy: Proxy
    # In the cluster: it was started as a reader or the writer. Before, it is being cloned.
    joined: bool = False
    # Out of it for a while, to be rewound or cloned anew.
    rejoining: bool = False
    partitioned: bool = False
    failing_since: float | None = None
    reported: float | None = None
    lag_ms: float | None = None
    received: int = 0
    replayed: int = 0
    sessions: int = 0
    caught_up: float = field(default_factory=time.monotonic)
    task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return self.node.configuration.port


class DatabaseCluster:
    """``key`` is the cluster's resource id. Coroutines are called in the order in which the control plane says things."""

    def __init__(
        self,
        key: str,
        folder: Path,
        binaries: Binaries,
        given: Given,
        superuser_password: str,
        archive: Archive,
        pair: Pair,
        making: asyncio.Semaphore,
        writer_proxy: Proxy,
        reader_proxy: Proxy,
    ) -> None:
        self.key = key
        self.folder = folder
        self.binaries = binaries
        self.given = given
        self.archive = archive
        self.pair = pair
        # Bounds how many data directories are made at a time.
        self._making = making
        self.writer_proxy = writer_proxy
        self.reader_proxy = reader_proxy
        self.members: dict[str, Member] = {}
        self.writer: str | None = None
        self.stopped = False
        self.protected = False
        # The address of a writer that has changed is told this much later, as names are resolved anew only then.
        self.dns_delay = 0.0
        self.topology = asyncio.Lock()
        self.seeded = asyncio.Event()
        self.gone = False
        self._superuser_password = superuser_password
        self._background: set[asyncio.Task[Any]] = set()
        self._names_held_until = 0.0

    # Parts.

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    @property
    def status_file(self) -> Path:
        return self.folder / "replica-status.json"

    def node(self, name: str, instance: str) -> Node:
        folder = self.folder / name
        configuration = NodeConfiguration(
            port=processes.free_port(),
            application=name,
            instance=instance,
            aurora_version=self.given.version,
            archive=self.archive.wal,
            certificate=folder / "server.crt",
            key=folder / "server.key",
            max_connections=self.given.max_connections,
            force_tls=self.given.force_tls,
            parameters=self.given.parameters,
            tls=self.binaries.tls,
            preload=("pg_stat_statements",) if self.binaries.contrib else (),
        )
        node = Node(folder, self.binaries, configuration, self._superuser_password)
        node.install_certificate(self.pair.cert, self.pair.key)
        return node

    @property
    def current(self) -> Member | None:
        return self.members.get(self.writer or "")

    def readers(self) -> list[Member]:
        return [one for one in self.members.values() if one.key != self.writer and one.joined]

    def background(self, work: Any, what: str) -> asyncio.Task[Any]:
        """Runs a coroutine by itself; what it fails with is told on standard error."""

        async def run() -> None:
            try:
                await work
            except asyncio.CancelledError:
                raise
            except Exception as failure:
                print(f"{self.given.identifier}: {what}: {failure!r}", file=sys.stderr, flush=True)

        task = asyncio.ensure_future(run())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    # The volume.

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)
        self.archive.prepare()
        self.status_file.write_text("[]")

    async def create(self) -> None:
        """An empty database with Aurora's roles and functions, the master user and its database."""
        self.prepare()
        node = self.node("volume-maker", self.given.identifier)
        node.configuration.archiving = False
        async with self._making:
            await node.initialise()
            await node.start()
            await self._seed(node)

    async def restore(self, archive: Archive, real: float) -> None:
        """The data of another cluster as it was at ``real``, by the machine's clock."""
        self.prepare()
        node = self.node("volume-maker", self.given.identifier)
        async with self._making:
            await archive.restore(node, real)
            await self._seed(node)

    async def copy(self, backup: Path) -> None:
        """The data of a base backup, or of a server that does not run."""
        self.prepare()
        node = self.node("volume-maker", self.given.identifier)
        node.configuration.archiving = False
        async with self._making:
            await asyncio.to_thread(copy_data, backup, node.data)
            await asyncio.to_thread(own_tree, self.binaries, node.data)
            await recovered(node)
            await self._seed(node)

    async def _seed(self, node: Node) -> None:
        """What runs in ``node`` becomes the cluster's volume, and its first base backup."""
        await self._dress(node)
        await node.stop()
        node.data.rename(self.volume)
        await node.destroy()
        await self.archive.add_base(self.volume)
        self.seeded.set()

    async def _dress(self, node: Node) -> None:
        """Puts Aurora's functions, roles and the master user where they are not yet."""
        given = self.given
        for database in schema.DATABASES:
            async with await node.connect(database) as connection:
                await connection.execute(schema.functions(self.status_file))
        async with await node.connect() as connection:
            await connection.execute(schema.ROLES)
            for statement in schema.master(given.username, given.password):
                await connection.execute(statement)
            if (
                given.database
                and not await (
                    await connection.execute("select 1 from pg_database where datname = %s", [given.database])
                ).fetchone()
            ):
                await connection.execute(schema.database(given.database, given.username))

    async def set_password(self, username: str, password: str) -> None:
        async with self.topology:
            self.given.username, self.given.password = username, password
            if self.current is not None and self.current.node.running:
                await self._tell_password(self.current.node)

    async def _tell_password(self, node: Node) -> None:
        async with await node.connect() as connection:
            for statement in schema.master(self.given.username, self.given.password):
                await connection.execute(statement)

    # Instances.

    async def add(self, member: Member) -> None:
        """The instance joins: the first with the volume as the writer, the others as readers that are cloned."""
        member.task = asyncio.current_task()
        try:
            await self._add(member)
        except asyncio.CancelledError:
            return
        finally:
            member.task = None

    async def _add(self, member: Member) -> None:
        await self.seeded.wait()
        for attempt in range(_TRIES):
            async with self.topology:
                if self.writer is None:
                    await asyncio.to_thread(_move, self.volume, member.node.data)
                    self.writer = member.key
                    if not self.stopped:
                        await member.node.start()
                        await self._tell_password(member.node)
                    member.joined = True
                    self.point()
                    return
            try:
                await self.clone(member)
                return
            except TROUBLE as failure:
                if attempt == _TRIES - 1 or self.gone:
                    raise
                print(f"{member.identifier} is cloned again: {failure}", file=sys.stderr, flush=True)
                await asyncio.sleep(0.5 * (attempt + 1))

    async def clone(self, member: Member) -> None:
        """A new reader, from the writer that there is."""
        writer = self.current
        if writer is None or not writer.node.running:
            raise NodeFailed("there is no writer to clone")
        member.node.configuration.source = Source(writer.port, self._superuser_password)
        async with self._making:
            await member.node.clone(writer.port)
        await self._join(member)

    async def _join(self, member: Member) -> None:
        """Starts a reader on data that the writer can continue. Raises NodeFailed when it does not come to stream.

        Does not hold the topology's lock while it waits: a failover never waits for a reader that waits for the dead writer.
        That failover may also make this very reader the writer, after which nothing here may touch it.
        """
        async with self.topology:
            writer = self.current
            if writer is None or writer is member or self.stopped:
                raise NodeFailed("there is no writer to follow")
            # Never a second writer: data that was one's and cannot follow fails to stream, and is rewound.
            member.node.make_reader()
            member.node.follow(writer.port)

        def hopeless() -> bool:
            return self.gone or self.stopped or self.current is not writer or not writer.node.running

        await member.node.start(hopeless=hopeless)
        await self.until_streaming(member, hopeless=hopeless)
        async with self.topology:
            if hopeless() or member.key not in self.members:
                if self.current is not member:
                    await member.node.kill()
                raise NodeFailed("the writer has changed meanwhile")
            member.joined, member.rejoining, member.failing_since, member.reported = True, False, None, None
            with contextlib.suppress(*TROUBLE):
                await self.protect()
            self.point()

    async def until_streaming(
        self, member: Member, seconds: float = _STREAMING_S, hopeless: Callable[[], bool] = lambda: False
    ) -> None:
        deadline = time.monotonic() + seconds
        while not await member.node.streaming():
            if time.monotonic() > deadline or hopeless():
                raise NodeFailed(f"{member.identifier} does not stream:\n{member.node.tail()}")
            await asyncio.sleep(0.03)

    async def rejoin(self, member: Member) -> None:
        """A node that was the writer, or fell behind for good, becomes a reader: rewound, else cloned."""
        if member.rejoining:
            return
        member.rejoining = True
        # What it alone acknowledged goes with its data: until others are known to have it, the writer must not be given up.
        self.protected = False
        try:
            await self._rejoin(member)
        finally:
            member.rejoining = False

    async def _rejoin(self, member: Member) -> None:
        for attempt in range(_REJOIN_TRIES):
            if self.gone or member.key not in self.members:
                return
            try:
                async with self.topology:
                    writer = self.current
                    if self.stopped or writer is None or writer is member:
                        return
                    await member.node.kill()
                    member.node.configuration.source = Source(writer.port, self._superuser_password)
                    member.node.configuration.synchronous = ()
                if not writer.node.running:
                    raise NodeFailed("the writer does not run")
                if attempt % 4 < 2:
                    await member.node.rewind(writer.node)
                    await self._join(member)
                else:
                    await self.clone(member)
                return
            except TROUBLE as failure:
                print(f"{member.identifier} rejoins again: {failure}", file=sys.stderr, flush=True)
                await asyncio.sleep(min(2.0, 0.3 * (attempt + 1)))

    async def remove(self, key: str) -> None:
        """The instance goes; the last one leaves its data as the volume."""
        member = self.members.get(key)
        if member is None:
            return
        if member.task is not None:
            member.task.cancel()
        deadline = time.monotonic() + 60
        while key == self.writer and self.readers() and time.monotonic() < deadline:
            if all(one.rejoining for one in self.readers()):
                await asyncio.sleep(0.2)
                continue
            from .takeover import fail_over

            await fail_over(self, None, leaves=key)
        async with self.topology:
            # Replaced, not changed: other threads look at it.
            self.members = {other: one for other, one in self.members.items() if other != key}
            if key == self.writer:
                await self._keep_volume(member)
            else:
                with contextlib.suppress(*TROUBLE):
                    await self.protect()
            self.point()
            await member.node.destroy()
            member.proxy.close()

    async def _keep_volume(self, member: Member) -> None:
        """The last instance's data stays, with everything of it in the archive."""
        self.writer, self.protected = None, False
        if not member.node.running:
            with contextlib.suppress(*TROUBLE):
                await member.node.start()
        if member.node.running:
            self.unprotect(member)
            with contextlib.suppress(*TROUBLE):
                await self.flush(member.node)
            await member.node.stop(seconds=60)
        member.node.release()
        await asyncio.to_thread(_move, member.node.data, self.volume)

    async def flush(self, node: Node) -> None:
        from ..aws.clock import clock

        await self.archive.flush(node, clock.now())

    async def restart(self, key: str) -> None:
        """A reboot, or recovery from a crash. The writer stays the writer."""
        member = self.members.get(key)
        if member is None or not member.joined:
            return
        async with self.topology:
            if self.stopped or member.rejoining:
                return
            await member.node.stop(seconds=10)
            if key == self.writer:
                await self.recover(member)
                return
        await self.resume(member)

    async def recover(self, member: Member) -> None:
        """Starts the writer where it stopped or crashed. Readers find it again by themselves."""
        member.node.make_writer()
        await member.node.start()
        member.failing_since, member.reported = None, None
        await self._tell_password(member.node)
        self.point()

    async def resume(self, member: Member) -> None:
        """Starts a reader where it stopped; one that can no longer follow is rewound or cloned."""
        if self.current is None or self.stopped or member.key not in self.members or member.rejoining:
            return
        try:
            await self._join(member)
        except TROUBLE:
            await self.rejoin(member)

    async def crash(self, key: str) -> None:
        """The instance dies. What follows, recovery or a takeover, is the control plane's to say."""
        member = self.members.get(key)
        if member is None:
            return
        member.node.wanted = False
        member.node.strike()
        async with self.topology:
            if not member.node.wanted:
                await member.node.kill()

    # The whole cluster.

    async def stop(self) -> None:
        """The writer first: it ends only when its readers have all it has."""
        async with self.topology:
            self.stopped = True
            writer = self.current
            if writer is not None and writer.node.running:
                with contextlib.suppress(*TROUBLE):
                    await self.flush(writer.node)
                await writer.node.stop(seconds=60)
            await asyncio.gather(*(one.node.stop() for one in self.members.values() if one is not writer))
            self.protected = False

    async def start(self) -> None:
        async with self.topology:
            self.stopped = False
            writer = self.current
            if writer is None:
                return
            # Its readers are not there yet, and its first commits must not wait for them.
            writer.node.configuration.synchronous = ()
            await self.recover(writer)
        await asyncio.gather(*(self.resume(one) for one in self.readers()))

    async def close(self) -> None:
        """Everything that runs ends, everything but the archive is deleted."""
        self.gone = True
        for task in list(self._background):
            if task is not asyncio.current_task():
                task.cancel()
        for member in list(self.members.values()):
            if member.task is not None:
                member.task.cancel()
            await member.node.destroy()
            member.proxy.close()
        self.members = {}
        self.writer_proxy.close()
        self.reader_proxy.close()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    # Endpoints and synchronous replication.

    def point(self, *, moved: bool = False) -> None:
        """Points the endpoints to the nodes. That the writer ``moved`` is known under the cluster's names after a while."""
        for proxy in (self.writer_proxy, self.reader_proxy, *(one.proxy for one in self.members.values())):
            proxy.force_tls = self.given.force_tls
        for member in self.members.values():
            member.proxy.point([member.port])
        if moved and self.dns_delay > 0:
            self._names_held_until = time.monotonic() + self.dns_delay
            self.background(self._point_later(), "its names")
        if time.monotonic() < self._names_held_until:
            return
        writer = self.current
        own = [writer.port] if writer is not None and writer.joined else []
        self.writer_proxy.point(own)
        self.writer_proxy.silence(writer is not None and writer.partitioned)
        self.reader_proxy.point([one.port for one in self.readers() if self._serves(one)] or own)

    async def _point_later(self) -> None:
        await asyncio.sleep(self.dns_delay + 0.001)
        self.point()

    @staticmethod
    def _serves(member: Member) -> bool:
        return member.node.running and not member.rejoining and not member.partitioned and member.failing_since is None

    async def protect(self) -> None:
        """Commits wait for a reader from now on if one streams; ``protected`` says that all since then did.

        Raises what TROUBLE names, after some seconds at most: who holds the topology's lock must not wait for a frozen writer.
        """
        writer = self.current
        if writer is None or not writer.node.running:
            self.protected = False
            return
        try:
            await bounded(self._protect(writer), _PROTECT_S)
        except TROUBLE:
            self.protected = False
            raise

    async def _protect(self, writer: Member) -> None:
        names = self.synchronous_names()
        async with await writer.node.connect(seconds=_PROTECT_S) as connection:
            query = "select application_name from pg_stat_replication where state = 'streaming'"
            attached = {row[0] for row in await (await connection.execute(query)).fetchall()} & set(names)
            if not attached:
                self.unprotect(writer)
                return
            if self.protected and writer.node.configuration.synchronous == names:
                return
            self.protected = False
            writer.node.configuration.synchronous = names
            writer.node.reload()
            # This session takes the setting, and so does the checkpointer by the same signal, which puts it in force for all.
            await asyncio.sleep(0.2)
            position = await first(connection, "select pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint")
            while True:
                cursor = await connection.execute(
                    "select 1 from pg_stat_replication where state = 'streaming' and sync_state = 'quorum'"
                    " and application_name = any(%s) and pg_wal_lsn_diff(flush_lsn, '0/0') >= %s",
                    [list(names), position],
                )
                if await cursor.fetchone():
                    self.protected = True
                    return
                await asyncio.sleep(0.03)

    def synchronous_names(self) -> tuple[str, ...]:
        """Of whom one has each commit: only those that a failover asks. One that still joins is nobody's witness."""
        return tuple(sorted(reader.key for reader in self.readers() if not reader.rejoining))

    def unprotect(self, writer: Member) -> None:
        """Commits wait for nobody: the writer alone has them."""
        self.protected = False
        if writer.node.configuration.synchronous:
            writer.node.configuration.synchronous = ()
            writer.node.reload()

    # Backups.

    async def back_up(self, target: Path) -> None:
        """A base backup that needs nothing else: of the writer, or of the data where nothing runs."""
        await self.seeded.wait()
        for attempt in range(_TRIES):
            try:
                if self.stopped or self.writer is None:
                    async with self.topology:
                        if self.stopped or self.current is None:
                            source = self.volume if self.current is None else self.current.node.data
                            await asyncio.to_thread(copy_data, source, target)
                            return
                writer = self.current
                if writer is None or not writer.node.running:
                    raise NodeFailed("there is no writer to back up")
                async with self._making:
                    await writer.node.back_up(target)
                return
            except TROUBLE:
                if self.gone:
                    return
                if attempt == _TRIES - 1:
                    raise
                await asyncio.sleep(0.5 * (attempt + 1))


def _move(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
