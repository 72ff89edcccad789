"""A small application that keeps a ledger in an AuroraCluster, and keeps it through failovers and rotations.

It finds the database as the Service Binding specification says: in the folder $SERVICE_BINDING_ROOT/$BINDING, where the cluster's
connection Secret is mounted. Entries have numbers without gaps. A commit whose answer was lost is sent again under its number: if
it had been committed the database says so, and nothing is booked twice. Reads go to the reader endpoint.

    SERVICE_BINDING_ROOT=/bindings BINDING=ledger python ledger_app.py [ENTRIES]

Ends after so many entries, or with SIGTERM, and then says whether the database has every entry that was acknowledged.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psycopg

# A server that is frozen, or gone without a word, must not keep us waiting for its answer.
PATIENCE = {
    "connect_timeout": 2,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 3000,
    "options": "-c statement_timeout=3000",
}
PAUSE = float(os.environ.get("PAUSE", "0.05"))


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Binding:
    """The mounted Secret. It is read anew with every connection: a rotated password is in it before the old one is of no use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def connect(self, uri: str, **more: str) -> psycopg.Connection[tuple[object, ...]]:
        ca = self.folder / "ca.crt"
        return psycopg.connect(
            (self.folder / uri).read_text(),
            sslrootcert=str(ca) if ca.exists() else "system",
            autocommit=True,
            **PATIENCE,
            **more,
        )


class Ledger:
    """The entries, through one connection that is made again whenever it breaks."""

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self.writer: psycopg.Connection[tuple[object, ...]] | None = None
        self.reader: psycopg.Connection[tuple[object, ...]] | None = None

    def _write(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        if self.writer is None or self.writer.closed:
            # The endpoint may still lead to the old writer, which is a reader by now.
            self.writer = self.binding.connect("uri", target_session_attrs="read-write")
        cursor = self.writer.execute(sql, values)
        return cursor.fetchall() if cursor.description else []

    def patiently(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """One statement that may be repeated, until the database answers it."""
        began, told = time.monotonic(), False
        while True:
            try:
                answer = self._write(sql, *values)
            except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as error:
                if not told:
                    say(f"no writer: {' '.join(str(error).split())[:120]}")
                    told = True
                self.close(self.writer)
                self.writer = None
                time.sleep(0.1)
                continue
            if told:
                say(f"a writer again after {time.monotonic() - began:.1f} s")
            return answer

    def begin(self) -> int:
        """Make the table; the number of the last entry."""
        self.patiently("create table if not exists entries (number bigint primary key, cents bigint not null)")
        return int(str(self.patiently("select coalesce(max(number), 0) from entries")[0][0]))

    def book(self, number: int) -> None:
        """Commit one entry exactly once."""
        insert = "insert into entries values (%s, %s) on conflict (number) do nothing returning number"
        if not self.patiently(insert, number, number * 100):
            say(f"entry {number} had been committed, though the answer was lost")

    def seen(self) -> tuple[int, str]:
        """How many entries a reader has, and which instance it is; (-1, why) when none answers."""
        try:
            if self.reader is None or self.reader.closed:
                self.reader = self.binding.connect("reader-uri")
            row = self.reader.execute("select count(*), aurora_db_instance_identifier() from entries").fetchone()
        except psycopg.Error as error:
            self.close(self.reader)
            self.reader = None
            return -1, " ".join(str(error).split())[:120]
        assert row is not None
        return int(str(row[0])), str(row[1])

    def missing(self, first: int, last: int) -> int:
        """How many of the acknowledged entries the database does not have."""
        found = self.patiently("select count(*) from entries where number between %s and %s", first, last)
        return last - first + 1 - int(str(found[0][0]))

    @staticmethod
    def close(connection: psycopg.Connection[tuple[object, ...]] | None) -> None:
        if connection is not None:
            connection.close()


def main() -> int:
    folder = Path(os.environ.get("SERVICE_BINDING_ROOT", "/bindings")) / os.environ.get("BINDING", "ledger")
    if not (folder / "uri").exists():
        print(f"{folder}/uri is not there: mount the cluster's connection Secret at {folder}", file=sys.stderr)
        return 2
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else None
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    ledger = Ledger(Binding(folder))
    first = number = ledger.begin()
    say(f"the ledger has {number} entries")
    told = time.monotonic()
    while not ended and (wanted is None or number - first < wanted):
        ledger.book(number + 1)
        number += 1
        if time.monotonic() - told >= 1:
            told = time.monotonic()
            count, who = ledger.seen()
            say(f"entry {number} is booked; reader {who} has {count}" if count >= 0 else f"no reader: {who}")
        time.sleep(PAUSE)
    missing = ledger.missing(first + 1, number)
    say(f"{number - first} entries were acknowledged, {missing} of them are missing")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
