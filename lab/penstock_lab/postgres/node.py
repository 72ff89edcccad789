"""One PostgreSQL server: made, cloned, started, stopped, killed, frozen, promoted, rewound.

A node is known by its folder: `data` is PostgreSQL's, beside it lie its configuration, certificate and log. Every process of it
has `data` as its working directory, by which what a `kill -9` left is found (:func:`end_all`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg

from ..processes import MARK, die_with_parent
from .binaries import Binaries, CommandFailed, environment
from .configuration import SUPERUSER, WAL_SEGMENT_MB, NodeConfiguration, Source

_START_S = 60.0
_STOP_S = 20.0
T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


class NodeFailed(Exception):
    """A node did not do what it was told; the text says what, and ends with its log."""


class Node:
    """A server in `folder`. Methods that wait are coroutines; all are called from one event loop's thread."""

    def __init__(self, folder: Path, binaries: Binaries, configuration: NodeConfiguration, password: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "postgres.log"
        self.binaries = binaries
        self.configuration = configuration
        self.password = password
        # Whether it shall run; one that ends against it has crashed.
        self.wanted = False
        self._process: subprocess.Popen[bytes] | None = None

    # Files.

    def write_configuration(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = [self.folder]
        for name, text in (
            ("pg_hba.conf", self.configuration.hba()),
            ("postgresql.conf", self.configuration.text(self.folder / "pg_hba.conf")),
        ):
            path = self.folder / name
            new = path.with_suffix(".new")
            new.touch(mode=0o600)
            new.write_text(text)
            self.binaries.own(new)
            new.replace(path)
        self.binaries.own(*own)

    def install_certificate(self, cert: Path, key: Path) -> None:
        """Copies of the pair, the key readable by the server alone as it wants it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for source, target in ((cert, self.configuration.certificate), (key, self.configuration.key)):
            target.unlink(missing_ok=True)
            target.touch(mode=0o600)
            target.write_bytes(source.read_bytes())
            self.binaries.own(target)

    async def _run(self, name: str, *arguments: str, env: dict[str, str] | None = None, seconds: float = 120) -> str:
        return await asyncio.to_thread(self.binaries.run, name, *arguments, cwd=self.folder, env=env, timeout=seconds)

    async def initialise(self) -> None:
        """A new, empty data directory whose superuser has the node's password."""
        self.write_configuration()
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        self.binaries.own(secret)
        try:
            await self._run(
                "initdb",
                *("-D", str(self.data), "-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-instructions", f"--wal-segsize={WAL_SEGMENT_MB}"),
            )
        finally:
            secret.unlink()

    async def clone(self, port: int) -> None:
        """A base backup of the running server at `port`, in place of what is here; it starts as a reader of it."""
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self.data, ignore_errors=True)
        self.write_configuration()
        await self._run(
            "pg_basebackup",
            *("-h", "127.0.0.1", "-p", str(port), "-U", SUPERUSER, "-w", "-D", str(self.data)),
            *("-X", "stream", "-c", "fast", "--no-sync", "--no-manifest"),
            env=self._login(),
        )
        self.make_reader()

    async def back_up(self, target: Path) -> None:
        """A base backup of this running server that needs no archive, owned by the server's account."""
        await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
        target.mkdir(parents=True, mode=0o700)
        self.binaries.own(target)
        await self._run(
            "pg_basebackup",
            *("-h", "127.0.0.1", "-p", str(self.configuration.port), "-U", SUPERUSER, "-w", "-D", str(target)),
            *("-X", "stream", "-c", "fast", "--no-sync", "--no-manifest"),
            env=self._login(),
        )

    async def rewind(self, source: Node) -> None:
        """Makes the stopped or killed node's data a past of the running `source`; it starts as a reader of it.

        Raises CommandFailed when they have no common past.
        """
        # pg_rewind first lets a killed server recover by itself, which one that stands by does not do.
        (self.data / "standby.signal").unlink(missing_ok=True)
        # Before 16 pg_rewind takes the timeline from the source's last checkpoint, and would find nothing to do.
        await source.ask("checkpoint", 60)
        port = source.configuration.port
        self.release()
        self.write_configuration()
        await self._run(
            "pg_rewind",
            *("-D", str(self.data), f"--config-file={self.folder / 'postgresql.conf'}", "--no-sync"),
            f"--source-server=host=127.0.0.1 port={port} user={SUPERUSER} dbname=postgres sslmode=disable",
            env=self._login(),
            seconds=60,
        )
        self.make_reader()

    def make_reader(self) -> None:
        """From its next start on it stands by and follows its configured source."""
        path = self.data / "standby.signal"
        path.touch(mode=0o600)
        self.binaries.own(path)

    def make_writer(self) -> None:
        """From its next start on it is nobody's reader."""
        (self.data / "standby.signal").unlink(missing_ok=True)
        self.configuration.source = None

    def _login(self) -> dict[str, str]:
        return {"PGPASSWORD": self.password, "PGSSLMODE": "disable", "PGCONNECT_TIMEOUT": "5"}

    # Life.

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def frozen(self) -> bool:
        if not self.running or self._process is None:
            return False
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED
        return False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self.running else None

    async def start(self, seconds: float = _START_S, hopeless: Callable[[], bool] = lambda: False) -> None:
        """Returns when it takes connections. Raises NodeFailed when it does not, or once ``hopeless()``."""
        if self.running:
            return
        self.release()
        self.write_configuration()
        self.wanted = True
        # It dies with the thread that starts it, which is the loop's: a killed lab takes its databases along.
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # type: ignore[call-overload]  # noqa: ASYNC220 - its parent is to be this thread
                [
                    self.binaries.program("postgres"),
                    *("-D", str(self.data), "-c", f"config_file={self.folder / 'postgresql.conf'}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment(self.folder),
                start_new_session=True,
                preexec_fn=die_with_parent,
                **self.binaries.privileges(),
            )
        deadline = time.monotonic() + seconds
        while not self._says_ready():
            if not self.running:
                raise NodeFailed(f"PostgreSQL in {self.folder.name} did not start:\n{self.tail()}")
            if time.monotonic() > deadline or hopeless():
                raise NodeFailed(
                    f"PostgreSQL in {self.folder.name} was not ready after {seconds:.0f} s:\n{self.tail()}"
                )
            await asyncio.sleep(0.02)

    def _says_ready(self) -> bool:
        """By the eighth line of postmaster.pid, which pg_ctl reads too (PostgreSQL, utils/pidfile.h)."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return (
            len(lines) >= 8
            and self._process is not None
            and lines[0].strip() == str(self._process.pid)
            and lines[7].strip() in ("ready", "standby")
        )

    async def stop(self, *, immediate: bool = False, seconds: float = _STOP_S) -> None:
        """Cuts connections and ends; a writer that is not stopped immediately sends its readers all it has first."""
        self.wanted = False
        if not self.running or self._process is None:
            return
        self.thaw()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        if self.running:
            await self.kill()

    def _family(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        with contextlib.suppress(psutil.Error):
            postmaster = psutil.Process(self._process.pid)
            return [postmaster, *postmaster.children(recursive=True)]
        return []

    def _signal(self, signum: int) -> None:
        # The first is the postmaster: nothing it has can be restarted by it once it is signalled.
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                process.send_signal(signum)

    async def kill(self) -> None:
        """kill -9 of the server and all its backends: nothing of it answers any more when this returns."""
        self._signal(signal.SIGKILL)
        # Also those that no postmaster knows any more: one that is in a commit would still acknowledge it.
        await asyncio.to_thread(end_all, self.folder)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)

    def strike(self) -> None:
        """kill -9 as a stranger would: nothing is waited for, and nothing here knows of it."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """Writes the configuration and has the server read it."""
        self.write_configuration()
        if self.running and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    def follow(self, port: int | None) -> None:
        """Streams from the server at `port` from now on; from none when it is None."""
        self.configuration.source = Source(port, self.password)
        self.configuration.synchronous = ()
        self.reload()

    async def promote(self, seconds: float = 30) -> None:
        """Returns when it takes writes. Raises NodeFailed."""
        deadline = time.monotonic() + seconds
        async with await self.connect() as connection:
            await connection.execute("select pg_promote(false)")
            while await one(connection, "select pg_is_in_recovery()"):
                if time.monotonic() > deadline:
                    raise NodeFailed(f"PostgreSQL in {self.folder.name} did not become the writer:\n{self.tail()}")
                await asyncio.sleep(0.01)
        self.configuration.source = None

    def release(self) -> None:
        """Deletes what a killed server left for its successor to stumble over: its pid file and its System V memory."""
        path = self.data / "postmaster.pid"
        if not self.running and path.exists():
            release_memory(path)
            path.unlink(missing_ok=True)

    async def destroy(self) -> None:
        """Kills it and deletes its folder."""
        self.wanted = False
        await self.kill()
        self.release()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def tail(self, lines: int = 6) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    # Asking it.

    async def connect(self, database: str = "postgres", seconds: float = 5) -> psycopg.AsyncConnection[Any]:
        """As superuser, in autocommit. Raises psycopg.OperationalError, also when `seconds` pass."""
        return await psycopg.AsyncConnection.connect(
            host="127.0.0.1",
            port=self.configuration.port,
            user=SUPERUSER,
            password=self.password,
            dbname=database,
            sslmode="disable",
            application_name="rdsadmin",
            connect_timeout=max(2, int(seconds)),
            autocommit=True,
            prepare_threshold=None,
        )

    async def ask(self, query: str, seconds: float = 5) -> Any:
        """The first column of the first row. Raises psycopg.Error or TimeoutError."""

        async def ask() -> Any:
            async with await self.connect(seconds=seconds) as connection:
                return await one(connection, query)

        return await bounded(ask(), seconds)

    async def received(self, seconds: float = 2) -> int:
        """Up to which byte of the WAL this reader has everything on disk."""
        return int(
            await self.ask(
                "select greatest(pg_wal_lsn_diff(coalesce(pg_last_wal_receive_lsn(), '0/0'), '0/0'),"
                " pg_wal_lsn_diff(coalesce(pg_last_wal_replay_lsn(), '0/0'), '0/0'))::bigint",
                seconds,
            )
        )

    async def control(self) -> tuple[bool, int]:
        """Of a stopped server: whether it was shut down, not killed, and the byte of WAL of its last checkpoint. Raises NodeFailed."""
        text = await self._run("pg_controldata", "-D", str(self.data))
        facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
        try:
            high, low = facts["Latest checkpoint location"].split("/")
        except (KeyError, ValueError):
            raise NodeFailed(f"pg_controldata says nothing of {self.folder.name}:\n{text}") from None
        return facts.get("Database cluster state") == "shut down", (int(high, 16) << 32) + int(low, 16)

    async def streaming(self, seconds: float = 2) -> bool:
        return bool(
            await self.ask("select exists (select from pg_stat_wal_receiver where status = 'streaming')", seconds)
        )


async def bounded(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """What ``work`` gives. Raises TimeoutError at once when the time is up: psycopg asks a frozen server to cancel, and waits."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        task.cancel()
        raise TimeoutError(f"no answer within {seconds:g} s")
    return task.result()


async def one(connection: psycopg.AsyncConnection[Any], query: Any) -> Any:
    cursor = await connection.execute(query)
    row = await cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def end_all(folder: Path) -> int:
    """Kills every PostgreSQL process that works in `folder` or below, and what it had started; how many there were."""
    doomed: set[int] = set()
    for _ in range(400):
        found = [process.pid for process in psutil.process_iter() if _works_in(process, folder)]
        if not found:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        doomed.update(found)
        time.sleep(0.005)
    return len(doomed)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        # A zombie has no folder any more, whether anybody waits for it or not.
        here = os.readlink(f"/proc/{process.pid}/cwd").removesuffix(" (deleted)")
        if not Path(here).is_relative_to(folder):
            return False
        name = os.readlink(f"/proc/{process.pid}/exe").removesuffix(" (deleted)").rpartition("/")[2]
        if name.startswith(("postgres", "pg_", "initdb")):
            return True
        # The shell of an archive_command, frozen with its server. Somebody's own shell in the folder has no mark.
        return f"{MARK}=".encode() in Path(f"/proc/{process.pid}/environ").read_bytes()
    except OSError:
        return False


def release_memory(pid_file: Path) -> None:
    """Removes the System V segment that postmaster.pid's seventh line names, unless something is attached to it."""
    if sys.platform != "linux":
        return
    try:
        lines = pid_file.read_text().splitlines()
        segment = int(lines[6].split()[1])
    except (OSError, IndexError, ValueError):
        return
    # IPC_RMID marks it; the kernel frees it when the last process that is attached leaves.
    _libc.shmctl(segment, 0, None)


def clear(folder: Path) -> None:
    """Ends and deletes everything under `folder`: the databases of a lab that was killed."""
    end_all(folder)
    for pid_file in folder.glob("**/postmaster.pid"):
        release_memory(pid_file)
    shutil.rmtree(folder, ignore_errors=True)


__all__ = ["CommandFailed", "Node", "NodeFailed", "clear", "end_all", "one", "release_memory"]

if os.name != "posix":
    raise ImportError("the lab's databases need a POSIX system")
