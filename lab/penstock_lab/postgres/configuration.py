"""The configuration files of one node, as text.

They lie beside the data directory, not in it: pg_basebackup and pg_rewind copy everything inside from the source.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

# Aurora's superuser of the service itself; nobody else's connections may use the name.
SUPERUSER = "rdsadmin"
WAL_SEGMENT_MB = 4

# Sized for sixteen nodes on 2 cores and 4 GiB. fsync stays on: what is acknowledged is on disk, as users expect.
_BASE: dict[str, object] = {
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "wal_level": "replica",
    # Both are files under the data directory then: a kill -9 leaves nothing in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "16MB",
    "wal_buffers": "1MB",
    "work_mem": "2MB",
    "maintenance_work_mem": "16MB",
    "max_worker_processes": 2,
    "max_parallel_workers": 0,
    "max_locks_per_transaction": 32,
    "autovacuum_naptime": "30s",
    "jit": False,
    "max_wal_senders": 40,
    "max_replication_slots": 4,
    "wal_keep_size": "128MB",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "checkpoint_timeout": "5min",
    "hot_standby": True,
    "hot_standby_feedback": True,
    # pg_rewind needs the first block images that they make.
    "wal_log_hints": True,
    "full_page_writes": True,
    "synchronous_commit": True,
    "wal_receiver_status_interval": "1s",
    "wal_receiver_timeout": "5s",
    "wal_sender_timeout": "5s",
    "wal_retrieve_retry_interval": "100ms",
    "recovery_target_timeline": "latest",
    "log_min_messages": "warning",
    "log_destination": "stderr",
    "logging_collector": False,
    "log_line_prefix": "%m [%p] %u@%d ",
    "max_stack_depth": "2MB",
}
# What a parameter group may set here: sessions' and the planner's settings. The rest concerns Aurora's own storage,
# replication or memory, which the lab does not have.
PARAMETERS = frozenset(
    (
        "autovacuum",
        "autovacuum_analyze_scale_factor",
        "autovacuum_vacuum_scale_factor",
        "client_connection_check_interval",
        "datestyle",
        "deadlock_timeout",
        "default_statistics_target",
        "default_transaction_isolation",
        "default_transaction_read_only",
        "effective_io_concurrency",
        "enable_hashjoin",
        "enable_nestloop",
        "enable_seqscan",
        "hash_mem_multiplier",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "lock_timeout",
        "log_autovacuum_min_duration",
        "log_connections",
        "log_disconnections",
        "log_lock_waits",
        "log_min_duration_statement",
        "log_statement",
        "random_page_cost",
        "seq_page_cost",
        "statement_timeout",
        "tcp_keepalives_count",
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "timezone",
        "track_activities",
        "track_functions",
        "track_io_timing",
    )
)


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Where a reader streams from; a `port` of None is a writer that cannot be reached (a partition)."""

    port: int | None
    password: str = dataclasses.field(repr=False)


@dataclasses.dataclass(slots=True)
class NodeConfiguration:
    """What differs between nodes, or changes while they run."""

    port: int
    application: str
    instance: str
    aurora_version: str
    archive: Path
    certificate: Path
    key: Path
    max_connections: int = 1200
    source: Source | None = None
    # The readers of which one must have a commit before it is acknowledged; none: nobody is waited for.
    synchronous: tuple[str, ...] = ()
    apply_delay_ms: int = 0
    force_tls: bool = False
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    preload: tuple[str, ...] = ()
    restore_until: str | None = None
    archiving: bool = True
    # Whether the server speaks TLS itself.
    tls: bool = True

    @property
    def cut_off(self) -> bool:
        return self.source is not None and self.source.port is None

    def text(self, hba: Path) -> str:
        """postgresql.conf."""
        values: dict[str, object] = {
            **_BASE,
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "hba_file": str(hba),
            "max_connections": self.max_connections,
            "superuser_reserved_connections": 10,
            "synchronous_standby_names": self._synchronous(),
            "recovery_min_apply_delay": f"{self.apply_delay_ms}ms",
            # Standbys archive too: what a writer had not archived when it was killed is archived by those that have it.
            "archive_mode": "always" if self.archiving else "off",
            "archive_command": _archive_command(self.archive),
            # Who is cut off from the writer is so from the archive too, and shall not catch up by it.
            "restore_command": "" if self.cut_off else f'cp "{self.archive}/%f" "%p" 2>/dev/null',
            "primary_conninfo": self._conninfo(),
            # Read by aurora_version() and aurora_db_instance_identifier().
            "rds.aurora_version": self.aurora_version,
            "rds.instance": self.instance,
        }
        if self.tls:
            values |= {"ssl": True, "ssl_cert_file": str(self.certificate), "ssl_key_file": str(self.key)}
        if self.preload:
            values["shared_preload_libraries"] = ",".join(self.preload)
        if self.restore_until is not None:
            values["recovery_target_time"] = self.restore_until
            values["recovery_target_action"] = "promote"
        values |= {name: value for name, value in self.parameters.items() if name in PARAMETERS}
        return "".join(f"{name} = {_quoted(value)}\n" for name, value in values.items())

    def hba(self) -> str:
        """pg_hba.conf: everybody by password, in the clear only where rds.force_ssl is off."""
        lines = [
            f"host replication {SUPERUSER} 127.0.0.1/32 scram-sha-256",
            f"host all {SUPERUSER} 127.0.0.1/32 scram-sha-256",
        ]
        if self.tls:
            lines.append("hostssl all all 127.0.0.0/8 scram-sha-256")
        refused = self.force_tls and self.tls
        lines.append(f"hostnossl all all 127.0.0.0/8 {'reject' if refused else 'scram-sha-256'}")
        return "\n".join(lines) + "\n"

    def _synchronous(self) -> str:
        names = ", ".join(f'"{name}"' for name in self.synchronous)
        return f"ANY 1 ({names})" if names else ""

    def _conninfo(self) -> str:
        if self.source is None or self.source.port is None:
            return ""
        return (
            f"host=127.0.0.1 port={self.source.port} user={SUPERUSER} password={self.source.password} "
            f"application_name={self.application} sslmode=disable connect_timeout=2"
        )


def _archive_command(archive: Path) -> str:
    # Several nodes archive the same segment: the first that has it whole puts it there.
    return f'test -f "{archive}/%f" || (cp "%p" "{archive}/.%f.$$" && mv "{archive}/.%f.$$" "{archive}/%f")'


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
