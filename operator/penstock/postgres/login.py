"""Logging in to PostgreSQL with TLS that is verified, and what a refused login means.

libpq tells no SQLSTATE of a connection that was not made, so a refusal is known by the server's words (PostgreSQL's src/backend/libpq and
src/backend/utils/init, libpq's fe-connect.c and fe-secure-openssl.c). Aurora speaks English unless lc_messages was changed.
"""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass, field
from typing import Any

import psycopg

from penstock.api.conditions import Reason

_TRUST_STORE = "system"


@dataclass(frozen=True)
class Login:
    """Where to log in, and as whom. ca_file: a PEM file of the authorities that are trusted; '' for the system's trust store."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    database: str = "postgres"
    ca_file: str = ""


async def connect(login: Login, *, timeout: float, application: str) -> psycopg.AsyncConnection[tuple[Any, ...]]:  # noqa: ASYNC109
    """A connection in autocommit mode, over TLS whose certificate and name are verified. Close it.

    timeout: seconds for all of it. application: the application_name that others see in pg_stat_activity. Raises psycopg.Error, or TimeoutError;
    refusal() says what each means.
    """
    async with asyncio.timeout(timeout):
        return await psycopg.AsyncConnection.connect(
            host=login.host,
            port=login.port,
            user=login.username,
            password=login.password,
            dbname=login.database,
            sslmode="verify-full",
            sslrootcert=login.ca_file or _TRUST_STORE,
            # Neither a file of the account that the operator runs in nor a ticket of somebody else decides who logs in.
            passfile="/dev/null",
            gssencmode="disable",
            application_name=application,
            # psycopg's own bound is in whole seconds, two at least; ours ends the attempt sooner.
            connect_timeout=max(2, math.ceil(timeout)),
            autocommit=True,
        )


_SLOW = "does not answer in time; look at security groups, routes and, in Kubernetes, network policies between the operator and the database"
_CA = (
    "give its authority to the operator with --database-ca (chart value database.ca); for RDS that is the bundle"
    " https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem, which no system trusts by itself"
)
# What the server or libpq says, what it means, and what to do. The first that fits decides.
_MEANINGS: tuple[tuple[str, Reason, str], ...] = (
    (
        r"password authentication failed|no password supplied|empty password",
        Reason.LOGIN_FAILED,
        "refuses the password; if somebody changed it beside the operator, set it again or let AWS manage it (spec.credentials)",
    ),
    (
        r'role ".*" does not exist|role ".*" is not permitted to log in',
        Reason.LOGIN_FAILED,
        "knows no user of that name that may log in",
    ),
    (
        r"PAM authentication failed",
        Reason.LOGIN_FAILED,
        "refuses the IAM token: the user has the role rds_iam, which takes no password",
    ),
    (
        r"certificate verify failed|unable to get local issuer|self.signed certificate|root certificate file|could not read root certificate",
        Reason.TLS_NOT_VERIFIED,
        f"shows a certificate that is not trusted: {_CA}",
    ),
    (
        r"server certificate for .* does not match host name|host name must be specified",
        Reason.TLS_NOT_VERIFIED,
        "shows a certificate of another host: connect to the name that AWS gives for the endpoint",
    ),
    (
        r"server does not support SSL|SSL error|no pg_hba\.conf entry .*no encryption|certificate has expired|tlsv1 alert",
        Reason.TLS_NOT_VERIFIED,
        "makes no TLS connection that can be verified; look at its certificate and at rds.force_ssl",
    ),
    (
        r"too many connections|too many clients|remaining connection slots are reserved",
        Reason.TOO_MANY_CONNECTIONS,
        "has no connection left; close idle ones, use a pool, or choose a larger class",
    ),
    (
        r'database ".*" does not exist',
        Reason.DATABASE_MISSING,
        "has no database of that name; make it, or write another spec.databaseName",
    ),
    (
        r"permission denied|must be superuser|insufficient privilege|no pg_hba\.conf entry|User does not have CONNECT privilege",
        Reason.RIGHTS_MISSING,
        "does not give the user the right that this needs",
    ),
    (
        r"the database system is (starting up|shutting down|in recovery mode|not yet accepting connections)|terminating connection",
        Reason.DATABASE_UNREACHABLE,
        "is starting or stopping; this passes",
    ),
    (
        r"Name or service not known|failed to resolve host|nodename nor servname|could not translate host name|Temporary failure in name resolution",
        Reason.DATABASE_UNREACHABLE,
        "has a name that cannot be resolved; look at DNS, and whether the operator runs in a network that sees the database's",
    ),
    (
        r"invalid response to SSL negotiation|expected authentication request from server",
        Reason.DATABASE_UNREACHABLE,
        "is no PostgreSQL: something else answers there; look at proxies and at the port",
    ),
    (
        r"Connection refused|server closed the connection unexpectedly|Connection reset|connection is closed|the connection is lost|SSL SYSCALL",
        Reason.DATABASE_UNREACHABLE,
        "takes no connection at the moment",
    ),
    (r"timeout|timed out|No route to host|Network is unreachable", Reason.DATABASE_UNREACHABLE, _SLOW),
)
_STATES: dict[str, str] = {
    "28P01": "password authentication failed",
    "28000": 'role "" is not permitted to log in',
    "53300": "too many connections",
    "3D000": 'database "" does not exist',
    "42501": "permission denied",
    "57P01": "terminating connection",
    "57P02": "terminating connection",
    "57P03": "the database system is starting up",
}


def refusal(error: BaseException, login: Login | None = None) -> tuple[Reason, str]:
    """What an error of connect(), or of a query on its connection, means: a reason, and a sentence that says what to do.

    login: names the server and the user in the sentence; the password is in none.
    """
    where = f"The database at {login.host}:{login.port}" if login is not None else "The database"
    whom = f" (user {login.username}, database {login.database})" if login is not None else ""
    if isinstance(error, TimeoutError):
        return Reason.DATABASE_UNREACHABLE, f"{where} {_SLOW}."
    told = _STATES.get(getattr(error, "sqlstate", None) or "", "") or str(error)
    for pattern, reason, what in _MEANINGS:
        if re.search(pattern, told, re.IGNORECASE):
            who = whom if reason in (Reason.LOGIN_FAILED, Reason.DATABASE_MISSING, Reason.RIGHTS_MISSING) else ""
            return reason, f"{where} {what}{who}."
    words = " ".join(str(error).split())[:300] or type(error).__name__
    return Reason.DATABASE_UNREACHABLE, f"{where} cannot be used: {words}."
