"""A cluster's backups: base backups and the archived WAL between them, and new data directories made of both.

PostgreSQL's manual, "Continuous Archiving and Point-in-Time Recovery (PITR)". A cluster's first base backup is its data directory
before it ever ran, so every moment since its creation can be gone back to.
"""

from __future__ import annotations

import asyncio
import datetime
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from .binaries import Binaries
from .configuration import WAL_SEGMENT_MB
from .node import Node, NodeFailed

_ARCHIVE_S = 30.0
_RECOVERY_S = 600.0
_SEGMENT = WAL_SEGMENT_MB << 20
# A segment begins with a header of this size, behind which the next record goes (PostgreSQL, access/xlog_internal.h).
_HEADER = 40
# Of a data directory: what belongs to a server that runs, or ran, and not to its data (pg_basebackup leaves the same out).
_RUNNING = ("postmaster.pid", "postmaster.opts", "standby.signal", "recovery.signal")


@dataclass(frozen=True, slots=True)
class Base:
    """A base backup; a restore to any time from `ended` on (epoch seconds, the machine's clock) can begin with it."""

    folder: Path
    ended: float


def copy_data(source: Path, target: Path) -> None:
    """A data directory whose server does not run, or a base backup, as a data directory of its own."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    for name in _RUNNING:
        (target / name).unlink(missing_ok=True)


def own_tree(binaries: Binaries, folder: Path) -> None:
    if binaries.account is None:
        return
    binaries.own(folder, *folder.rglob("*"))
    folder.chmod(0o700)


class Archive:
    """`folder/wal` is where the nodes of one cluster archive to; `folder/base-N` are its base backups."""

    def __init__(self, folder: Path, binaries: Binaries) -> None:
        self.folder = folder
        self.wal = folder / "wal"
        self.binaries = binaries
        self.bases: list[Base] = []
        # Up to when every commit is in the archive, by the lab's clock and the machine's; and the WAL's end then.
        self.restorable: float | None = None
        self.last_commit: float | None = None
        # Where the first segment begins that is not known to be archived.
        self._next = -1
        self._lock = asyncio.Lock()

    def prepare(self) -> None:
        self.wal.mkdir(parents=True, exist_ok=True)
        self.binaries.own(self.folder, self.wal)

    async def add_base(self, data: Path) -> None:
        """A base backup of a data directory whose server does not run."""
        target = self.folder / f"base-{len(self.bases)}"
        await asyncio.to_thread(copy_data, data, target)
        self.bases.append(Base(target, time.time()))

    async def flush(self, writer: Node, virtual: float) -> None:
        """Has everything that was committed until now archived; `virtual` is now by the lab's clock.

        Raises NodeFailed when the archiving does not come to an end, psycopg.Error when the writer does not answer.
        """
        async with self._lock:
            real = time.time()
            async with await writer.connect() as connection:
                if not 0 <= await _position(connection, "pg_current_wal_insert_lsn()") - self._next <= _HEADER:
                    # A commit after the moment: recovery stops at the first that is later than its target.
                    await connection.execute("select txid_current()")
                    ended = await _position(connection, "pg_switch_wal()")
                    # What comes in while this is archived lies behind it, and is for the next time.
                    following = -(-ended // _SEGMENT) * _SEGMENT
                    segment = await _text(connection, f"select pg_walfile_name('0/0'::pg_lsn + {following - 1})")
                    await self._archived(str(segment), writer)
                    self._next = following
                    self.last_commit = real
            self.restorable = virtual

    async def _archived(self, segment: str, writer: Node) -> None:
        deadline = time.monotonic() + _ARCHIVE_S
        while not (self.wal / segment).exists():
            if time.monotonic() > deadline or not writer.running:
                raise NodeFailed(f"the WAL segment {segment} was not archived:\n{writer.tail()}")
            await asyncio.sleep(0.05)

    def target(self, real: float) -> str | None:
        """recovery_target_time for a restore to `real`; None where nothing was committed later: all of the archive."""
        if self.last_commit is None or real >= self.last_commit:
            return None
        return datetime.datetime.fromtimestamp(real, datetime.UTC).isoformat(sep=" ", timespec="microseconds")

    def base_for(self, real: float) -> Base:
        """The newest that a restore to `real` can begin with, else the first of all."""
        usable = [base for base in self.bases if base.ended <= real]
        return max(usable, key=lambda base: base.ended) if usable else self.bases[0]

    async def restore(self, node: Node, real: float) -> None:
        """Fills a node with the data as it was at `real`, and leaves it running as a writer."""
        base = self.base_for(real)
        await asyncio.to_thread(copy_data, base.folder, node.data)
        await asyncio.to_thread(own_tree, self.binaries, node.data)
        (node.data / "recovery.signal").touch(mode=0o600)
        self.binaries.own(node.data / "recovery.signal")
        node.configuration.archive = self.wal
        node.configuration.archiving = False
        node.configuration.restore_until = self.target(real)
        await recovered(node)
        node.configuration.restore_until = None

    def destroy(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


async def recovered(node: Node, seconds: float = _RECOVERY_S) -> None:
    """Starts a node on restored data and returns when it is a writer. Raises NodeFailed."""
    await node.start(seconds)
    deadline = time.monotonic() + seconds
    while await node.ask("select pg_is_in_recovery()"):
        if time.monotonic() > deadline or not node.running:
            raise NodeFailed(f"the restore did not come to its end:\n{node.tail()}")
        await asyncio.sleep(0.05)


async def _position(connection: object, function: str) -> int:
    """In bytes."""
    return int(await _text(connection, f"select pg_wal_lsn_diff({function}, '0/0')::bigint") or 0)


async def _text(connection: object, query: str) -> str | None:
    from .node import one

    value = await one(connection, query)  # type: ignore[arg-type]
    return None if value is None else str(value)
