"""Processes of a lab: each in a session of its own, remembered by pid and start time, ended without a trace.

A pid alone names nobody: after a reboot, or a day, it may belong to a stranger. A process is therefore remembered with its start
time (field 22 of proc(5) `/proc/PID/stat`, clock ticks since boot) and the boot's id, and only a process that matches all three is
signalled. Every process also carries its lab's id in its environment (`MARK`), so that what was started in the moment before a
`kill -9` could be written down is found all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

MARK = "PENSTOCK_LAB_ID"
POD_MARK = "PENSTOCK_LAB_POD"
_ROLE = "PENSTOCK_LAB_ROLE"
_PORTS = range(
    20000, 32000
)  # below the ephemeral range: nobody's outgoing connection takes a port that a stopped lab comes back to
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Process:
    """One started process. `started` is in clock ticks since `boot`; `port` is the TCP port it must own, if it has one."""

    name: str
    pid: int
    started: int
    boot: str
    log: str
    port: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Process:
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def alive(self) -> bool:
        return self.boot == boot_id() and start_ticks(self.pid) == self.started


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[str] | None:
    try:
        # The command's name may hold spaces and brackets; the fields begin behind its last one.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_ticks(pid: int) -> int | None:
    """When the process started, in ticks since boot; None when it is gone or a zombie (nothing that could still do anything)."""
    fields = _stat(pid)
    # While other threads of a killed program still leave, its first is a zombie already and its ports are open.
    if fields is None or (fields[0] in "ZX" and int(fields[17]) <= 1):
        return None
    return int(fields[19])


def is_frozen(pid: int) -> bool:
    fields = _stat(pid)
    return fields is not None and fields[0] in "Tt"


def describe(name: str, pid: int, log: Path, port: int | None = None) -> Process:
    return Process(name, pid, start_ticks(pid) or 0, boot_id(), str(log), port)


def start(
    name: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path, port: int | None = None
) -> Process:
    """Start a process that outlives this one, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**env, _ROLE: name},
            cwd=cwd,
            start_new_session=True,
        )
    return describe(name, child.pid, log, port)


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills the child when the thread that started it ends, even by kill -9."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def outlive(owner: tuple[int, int], folder: Path) -> None:
    """When the process that owns the lab (a test run) is gone without a word, the lab goes after it. owner: pid and start."""
    pid, started = owner
    while start_ticks(pid) == started:
        await asyncio.sleep(1)
    logging.getLogger("node").warning("the owner of this lab, process %d, is gone: taking the lab down", pid)
    env = {key: value for key, value in os.environ.items() if key != MARK} | {"PENSTOCK_LAB_DIR": str(folder.parent)}
    subprocess.Popen(  # noqa: ASYNC220 (not waited for: it ends this process)
        [sys.executable, "-m", "penstock_lab", "down", "--name", folder.name], env=env, start_new_session=True
    )


def clean_environment(lab_id: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment for the lab's own processes: nothing of the caller's AWS, Kubernetes or proxy settings."""
    kept = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER", "XDG_CACHE_HOME", "PYTHONDONTWRITEBYTECODE")
    env = {key: os.environ[key] for key in kept if key in os.environ}
    return env | {MARK: lab_id, "PYTHONUNBUFFERED": "1"} | dict(extra or {})


def free_port(host: str = "127.0.0.1", wanted: int | None = None) -> int:
    """A TCP port free on `host`: `wanted` if it is, else a random one below the ephemeral range.

    Raises OSError when fifty in a row are taken.
    """
    for port in ([wanted] if wanted else []) + random.sample(_PORTS, 50):
        with socket.socket() as probe, contextlib.suppress(OSError):
            # Servers set it too: without it a port in TIME_WAIT from the run before would look taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return port
    raise OSError(f"no free TCP port found on {host} between {_PORTS.start} and {_PORTS.stop}")


def listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def owns_port(pid: int, port: int) -> bool:
    """Whether this very process listens there, in whichever network it is; another server on the same port would answer for it, wrongly."""
    listening = set()
    try:
        for table in ("tcp", "tcp6"):
            # proc(5): local address, state (0A is LISTEN) and inode are the fields 1, 3 and 9.
            for fields in map(str.split, Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]):
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    listening.add(f"socket:[{fields[9]}]")
        return any(_link(descriptor) in listening for descriptor in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _link(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:
        return ""


def send(process: Process, signum: int) -> bool:
    """Signal the process and its session's group; False when it is no longer the one that was started."""
    if not process.alive:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)
        return True
    return False


def stop(processes: Iterable[Process], grace: float) -> None:
    """SIGTERM them all, SIGKILL after `grace` seconds what is left (also helpers left in a session whose leader is gone)."""
    targets = [process for process in processes if process.alive]
    for process in targets:
        # A frozen process takes no SIGTERM before it is continued.
        send(process, signal.SIGTERM if grace else signal.SIGKILL)
        send(process, signal.SIGCONT)
    wait_gone(targets, grace)
    for process in targets:
        send(process, signal.SIGKILL)
    wait_gone(targets, 5)


def wait_gone(processes: Sequence[Process], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(process.alive for process in processes):
        for process in processes:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)  # ours when this very process started it
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def marked(lab_id: str, mark: str = MARK) -> list[psutil.Process]:
    """Every process of this user that carries the lab's id in its environment, this one and its ancestors excepted."""
    me = psutil.Process()
    family = {me.pid} | {parent.pid for parent in me.parents()}
    found = []
    for candidate in psutil.process_iter():
        if candidate.pid in family:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            env = candidate.environ()
            if env.get(MARK) == lab_id and mark in env and candidate.status() != psutil.STATUS_ZOMBIE:
                found.append(candidate)
    return found


def sweep(lab_id: str, mark: str = MARK) -> int:
    """SIGKILL whatever carries the lab's id; the number of processes ended. For what no record could name."""
    for _ in range(5):
        left = marked(lab_id, mark)
        if not left:
            return 0
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=2)
    return len(marked(lab_id, mark))


def end_strays(lab_id: str, recorded: set[int]) -> None:
    """Kill the lab's own programs that no record names: started in the moment before `up` itself was killed."""
    for process in marked(lab_id, _ROLE):
        if process.pid not in recorded:
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(5)


def end_squatters(folder: Path) -> None:
    """Kill the programs of a lab whose record is lost: they carry a lab's mark and were started in its folder."""
    me = psutil.Process()
    family = {me.pid} | {parent.pid for parent in me.parents()}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            inside = Path(process.cwd().removesuffix(" (deleted)")).is_relative_to(folder)
            if inside and process.pid not in family and MARK in process.environ():
                process.kill()
                process.wait(5)


def wait_until(check: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def tail(log: Path, lines: int = 8) -> str:
    """The end of a log, for a sentence that says why something did not start."""
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return ""
