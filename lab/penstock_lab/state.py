"""What a lab remembers between commands: one folder, one JSON file, one lock."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .processes import Process

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


class LabError(Exception):
    """Something the person at the keyboard can act on; its text is a sentence that says what to do."""


def checkout() -> Path:
    """The checkout that this package belongs to (the lab is not part of the wheel)."""
    return Path(__file__).resolve().parents[2]


def labs_folder() -> Path:
    """Where labs keep their state: PENSTOCK_LAB_DIR, else `.lab` of the checkout that the current folder is in, else `.lab` here."""
    if chosen := os.environ.get("PENSTOCK_LAB_DIR"):
        return Path(chosen).expanduser().resolve()
    here = Path.cwd()
    return (checkout() if here.is_relative_to(checkout()) else here) / ".lab"


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise LabError(
            f"{name!r} cannot name a lab: use lower case letters, digits and hyphens, at most 40, such as demo-2."
        )
    return name


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """A reader sees the old content or the new, never a part, whenever the writer dies."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.touch(mode=mode)
    new.write_text(text)
    new.replace(path)


@dataclass
class State:
    """One lab's record.

    `cluster` is `built` (our control plane) or `given` (the user's kubeconfig); `node` is `process` (pods are processes of this machine) or
    `kubelet` (pods are containers).
    """

    name: str
    folder: Path
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    cluster: str = "built"
    node: str = "process"
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    operator: dict[str, Any] = field(default_factory=dict)
    # The folder of its databases; None where Aurora has none behind it.
    postgres: str | None = None
    owner: dict[str, Any] | None = None

    @property
    def file(self) -> Path:
        return self.folder / "state.json"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def database_ca(self) -> Path:
        """What clients of the databases trust (sslrootcert)."""
        return self.folder / "database-ca.crt"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def aws_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['aws']}" if "aws" in self.ports else ""

    @property
    def kubernetes_url(self) -> str:
        return f"https://127.0.0.1:{self.ports['apiserver']}" if "apiserver" in self.ports else ""

    def alive(self, name: str) -> bool:
        return name in self.processes and self.processes[name].alive

    def save(self) -> None:
        data = asdict(self)
        del data["folder"]
        data["processes"] = {name: process.to_json() for name, process in self.processes.items()}
        write_atomically(self.file, json.dumps(data, indent=2) + "\n", 0o600)

    @classmethod
    def load(cls, name: str, root: Path | None = None) -> State | None:
        """The lab's record, or None when there is none (or only the ruins of one, which `up` clears away)."""
        folder = (root or labs_folder()) / check_name(name)
        try:
            data = json.loads((folder / "state.json").read_text())
            processes = {key: Process.from_json(value) for key, value in data.pop("processes").items()}
            return cls(folder=folder, processes=processes, **data)
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
            return None

    def remove(self) -> None:
        """Delete the folder, and the folder of all labs when this was the last."""
        # The state goes first: what dies half-way through leaves no record that points at deleted files.
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()


def names(root: Path | None = None) -> list[str]:
    folder = root or labs_folder()
    return sorted(entry.parent.name for entry in folder.glob("*/state.json")) if folder.is_dir() else []


@contextlib.contextmanager
def locked(folder: Path, timeout: float = 300) -> Iterator[None]:
    """One command at a time changes a lab. The lock lives in the lab's folder and goes with it."""
    path = folder / ".lock"
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            raise LabError(
                f"Another command has been changing the lab {folder.name} for {timeout:.0f} s; see what it does, or end it."
            ) from None
        except FileNotFoundError:
            continue
        if path.exists():
            break
        lock.release()  # `down` deleted the folder while we waited
    try:
        yield
    finally:
        lock.release()
