"""What an Aurora database has and PostgreSQL has not: its roles and its functions, as SQL.

Functions: Aurora guide, "Aurora PostgreSQL functions reference". Roles: "Master user account privileges".
"""

from __future__ import annotations

from pathlib import Path

from psycopg import sql

# Databases that have the functions; every new one is copied from template1.
DATABASES = ("template1", "postgres")

_REPLICA_STATUS = """
  server_id text, session_id text, durable_lsn bigint, highest_lsn_rcvd bigint, current_read_lsn bigint,
  cur_replay_latency_in_usec integer, active_txns integer, is_current boolean, last_transport_error integer,
  last_error_timestamp timestamptz, last_update_timestamp timestamptz, feedback_xmin bigint, feedback_epoch integer,
  replica_lag_in_msec double precision, log_stream_speed_in_kib_per_second double precision,
  log_buffer_sequence_number bigint, oldest_read_view_trx_id bigint, oldest_read_view_lsn bigint,
  pending_read_ios integer, read_ios integer, iops integer, cpu double precision
"""
_FUNCTIONS = """
create or replace function pg_catalog.aurora_version() returns text
language sql stable as $$ select current_setting('rds.aurora_version') $$;

create or replace function pg_catalog.aurora_db_instance_identifier() returns text
language sql stable as $$ select current_setting('rds.instance') $$;

create or replace function pg_catalog.aurora_replica_status() returns table ({columns})
language sql volatile security definer set search_path = pg_catalog as $$
  select r.* from jsonb_to_recordset(coalesce(pg_read_file({file}, 0, 1000000, true), '[]')::jsonb) as r ({columns})
$$;
"""

ROLES = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'rds_superuser') then
    create role rds_superuser nologin;
    create role rds_replication nologin;
    create role rds_iam nologin;
    create role rds_password nologin;
    grant pg_monitor, pg_signal_backend, pg_checkpoint, rds_password, rds_replication to rds_superuser with admin option;
  end if;
end $$;
"""


def functions(status_file: Path) -> sql.Composed:
    """Aurora's functions. A reader knows no other reader: all read a file that the lab keeps up to date."""
    columns = sql.SQL(_REPLICA_STATUS)
    return sql.SQL(_FUNCTIONS).format(columns=columns, file=sql.Literal(str(status_file)))


def master(username: str, password: str) -> list[sql.Composed]:
    """Makes the master user what it is on Aurora, or gives the one there is its password."""
    name = sql.Identifier(username)
    return [
        sql.SQL(
            "do $do$ begin if not exists (select from pg_roles where rolname = {text}) then "
            "create role {name} login createdb createrole; grant rds_superuser to {name} with admin option; "
            "alter database postgres owner to {name}; "
            "end if; end $do$"
        ).format(text=sql.Literal(username), name=name),
        sql.SQL("alter role {} password {}").format(name, sql.Literal(password)),
    ]


def database(name: str, owner: str) -> sql.Composed:
    return sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(owner))
