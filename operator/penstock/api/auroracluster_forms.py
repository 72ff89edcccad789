"""The rules of AuroraCluster on single values, each once: as CEL for the API server and as Python for everything else.

Limits are those of the Amazon RDS API reference (CreateDBCluster, CreateDBInstance, ServerlessV2ScalingConfiguration)
unless a comment says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from penstock.api import windows
from penstock.api.forms import kms_key, lasting
from penstock.api.model import Says, between, matching

LONGEST_IDENTIFIER: Final = 63
IDENTIFIER: Final = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"

CLUSTER_IDENTIFIER = Says(
    f"size(self) <= {LONGEST_IDENTIFIER} && self.matches('^{IDENTIFIER}$')",
    lambda text: len(text) <= LONGEST_IDENTIFIER and re.fullmatch(IDENTIFIER, text) is not None,
    "must be 1 to 63 lower-case letters, digits and single hyphens, begin with a letter and not end with a hyphen, "
    'as RDS allows, for example "shop-ledger"',
)
NOT_EC2 = Says(
    "self.startsWith('db.')",
    lambda text: text.startswith("db."),
    'must begin with "db.", for example "db.r6g.large": RDS has instance classes of its own, not the types of EC2',
)
# Aurora user guide, "DB instance class types": Aurora has burstable (t) and memory-optimized (r, x) classes, and db.serverless.
_CLASS: Final = r"db\.(serverless|[trx][0-9]{1,2}[a-z]{0,5}\.(small|medium|large|[0-9]{0,2}xlarge))"
INSTANCE_CLASS = Says(
    "!self.startsWith('db.') || self.matches('^" + _CLASS.replace("\\", "\\\\") + "$')",
    lambda text: not text.startswith("db.") or re.fullmatch(_CLASS, text) is not None,
    'must be a class that Aurora has: "db.serverless", or a size of a t, r or x class, '
    'for example "db.t4g.medium" or "db.r6g.large"; Aurora has no m and no c classes',
)


def _halves(units: Any) -> bool:
    return not 0 <= units <= 256 or float(units * 2).is_integer()


ACU = Says(
    "self >= 0.0 && self <= 256.0",
    lambda units: 0 <= units <= 256,
    "must be from 0 to 256 Aurora capacity units",
)
ACU_STEPS = Says(
    "self < 0.0 || self > 256.0 || self * 2.0 == double(int(self * 2.0))",
    _halves,
    "must be in steps of a half Aurora capacity unit, for example 0.5, 1 or 1.5",
)


AUTO_PAUSE = lasting("5m", "24h", 'must be from 5 minutes to 24 hours, for example "10m"')
PROBE_INTERVAL = lasting("100ms", "1m", 'must be from 100 milliseconds to 1 minute, for example "1s"')

READERS = between(
    0, 15, "must be from 0 to 15: Aurora has at most 15 readers beside the writer, which is not counted here"
)
TARGET_CPU = between(10, 90, "must be from 10 to 90 percent of processor time")
ZONE = matching(
    r"[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}[a-z]",
    'must be an availability zone: a region and a letter, for example "us-east-1c"',
)
SUBNET = matching(r"subnet-[a-z0-9-]{1,40}", 'must be the id of a subnet, for example "subnet-0a1b2c3d4e5f67890"')
SUBNETS = Says(
    "size(self) >= 2",
    lambda subnets: len(subnets) >= 2,
    "must name at least two subnets, in two availability zones: Aurora needs them to fail over",
)
SECURITY_GROUP = matching(r"sg-[a-z0-9-]{1,40}", 'must be the id of a security group, for example "sg-0a1b2c3d"')
SECURITY_GROUPS = Says(
    "size(self) >= 1",
    lambda groups: len(groups) >= 1,
    "must name at least one security group; leave it out for the VPC's own",
)
PORT = between(1150, 65535, "must be from 1150 to 65535, as Aurora allows")
GROUP_NAME = matching(
    r"[a-zA-Z][a-zA-Z0-9._-]{0,254}", "must be the name of a group: a letter, then letters, digits, '-', '.' and '_'"
)
# RDS API reference, DBSubnetGroupName: letters, digits, periods, underscores, spaces and hyphens.
SUBNET_GROUP = matching(
    r"[a-zA-Z0-9][a-zA-Z0-9._ -]{0,254}",
    "must be the name of a subnet group: letters, digits, '-', '.', '_' and spaces",
)
OBJECT_NAME = matching(
    r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?",
    "must be the name of a Secret: lower-case letters, digits, '-' and '.'",
)
SECRET_KEY = matching(r"[a-zA-Z0-9._-]{1,253}", "must be a key of a Secret: letters, digits, '-', '_' and '.'")
USERNAME = matching(
    r"[a-zA-Z][a-zA-Z0-9_]{0,62}",
    "must be 1 to 63 letters, digits and '_' (32 for MySQL), and begin with a letter, as RDS allows",
)
DATABASE_NAME = matching(
    r"[a-zA-Z][a-zA-Z0-9_]{0,63}",
    "must be 1 to 63 letters, digits and '_' (64 for MySQL), and begin with a letter, as RDS allows",
)
KMS_KEY = kms_key("alias/ledger", 'the key that AWS manages ("alias/aws/rds")')
ENCRYPTED = Says(
    "self",
    lambda encrypted: encrypted is True,
    "must be true or left out: Penstock makes no cluster without encryption, and AWS cannot add it later",
)
RETENTION = between(
    1, 35, "must be from 1 to 35 days: Aurora's backups cannot be turned off, and AWS keeps them for 35 days at most"
)

BACKUP_WINDOW = matching(windows.DAILY, 'must be a daily window in UTC as hh:mm-hh:mm, for example "03:00-04:00"')
MAINTENANCE_WINDOW = matching(
    windows.WEEKLY,
    "must be a weekly window in UTC as ddd:hh:mm-ddd:hh:mm with days mon, tue, wed, thu, fri, sat or sun, "
    'for example "sun:05:00-sun:06:00"',
)


def _number(text: str, at: int) -> str:
    return f"int({text}.substring({at}, {at + 2}))"


def _clock(text: str, at: int) -> str:
    return f"({_number(text, at)} * 60 + {_number(text, at + 3)})"


def daily_start(text: str) -> str:
    """CEL: the minute of the day at which a daily window opens."""
    return _clock(text, 0)


def daily_length(text: str) -> str:
    """CEL: the minutes that a daily window is open."""
    return f"(({_clock(text, 6)} - {_clock(text, 0)} + {windows.DAY}) % {windows.DAY})"


def weekly_start(text: str) -> str:
    """CEL: the minute of the day at which a weekly window opens."""
    return _clock(text, 4)


def weekly_clock_length(text: str) -> str:
    """CEL: the minutes from a weekly window's opening time to its closing time, whatever the days."""
    return f"(({_clock(text, 14)} - {_clock(text, 4)} + {windows.DAY}) % {windows.DAY})"


def _weekly_length(text: str) -> str:
    """CEL: the minutes that a weekly window is open. Days by patterns: the place in a list costs more than CEL grants."""

    def minute(before: str, at: int) -> str:
        found = "".join(
            f"{text}.matches('{before}[{day[0].upper()}{day[0]}]{day[1:]}') ? {number} : "
            for number, day in enumerate(windows.DAYS[:-1])
        )
        return f"(({found}{len(windows.DAYS) - 1}) * {windows.DAY} + {_clock(text, at)})"

    return f"(({minute('-', 14)} - {minute('^', 4)} + {windows.WEEK}) % {windows.WEEK})"


def _as_long_as(text: str, parse: Callable[[str], windows.Window], low: int, high: int) -> bool:
    try:
        return low <= parse(text).length < high
    except ValueError:
        return True


BACKUP_WINDOW_LENGTH = Says(
    f"!{BACKUP_WINDOW.cel} || {daily_length('self')} >= {windows.SHORTEST}",
    lambda text: _as_long_as(text, windows.daily, windows.SHORTEST, windows.DAY),
    'must be at least 30 minutes long, for example "03:00-03:30"',
)
# The RDS user guide gives no upper bound; AWS answers "Maintenance window must be less than 24 hours".
MAINTENANCE_WINDOW_LENGTH = Says(
    f"!{MAINTENANCE_WINDOW.cel}"
    f" || ({_weekly_length('self')} >= {windows.SHORTEST} && {_weekly_length('self')} < {windows.DAY})",
    lambda text: _as_long_as(text, windows.weekly, windows.SHORTEST, windows.DAY),
    'must be at least 30 minutes and less than 24 hours long, for example "sun:05:00-sun:05:30"',
)

INSIGHTS_RETENTION = Says(
    "self == 7 || self == 731 || (self >= 31 && self <= 713 && self % 31 == 0)",
    lambda days: days in (7, 731) or (31 <= days <= 713 and days % 31 == 0),
    "must be 7 days, a multiple of 31 up to 713, or 731",
)
SNAPSHOT = matching(
    r"(rds:|awsbackup:)?[a-zA-Z][a-zA-Z0-9-]{0,254}"
    r"|arn:aws[a-z-]{0,20}:rds:[a-z0-9-]{1,30}:[0-9]{12}:cluster-snapshot:(rds:|awsbackup:)?[a-zA-Z0-9-]{1,255}",
    "must be the identifier or the ARN of a cluster snapshot, "
    'for example "shop-ledger-final" or "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:shop-ledger-final"',
)
NO_RDS_TAGS = Says(
    "self.all(k, !k.startsWith('rds:'))",
    lambda tags: not any(key.startswith("rds:") for key in tags),
    'must not have keys that begin with "rds:": AWS keeps that prefix for itself',
)
PARAMETERS = (
    Says(
        "self.all(k, size(k) >= 1 && size(k) <= 255)",
        lambda parameters: all(1 <= len(key) <= 255 for key in parameters),
        "must have names of 1 to 255 characters",
    ),
    Says(
        "self.all(k, size(self[k]) >= 1)",
        lambda parameters: all(parameters.values()),
        "must not have empty values; leave a parameter out for its default",
    ),
)

AVAILABILITY = matching(
    r"[0-9]{1,2}(\.[0-9]{1,6})?", 'must be a percentage below 100 in digits and in quotes, for example "99.99"'
)
POSTGRESQL_VERSION: Final = r"[1-9][0-9](\.[0-9]{1,2})?"
MYSQL_VERSION: Final = r"[58]\.[0-9](\.mysql_aurora\.[0-9]\.[0-9]{2}\.[0-9]{1,2})?"

POSTGRESQL_LOGS: Final = ("postgresql", "instance", "iam-db-auth-error")
MYSQL_LOGS: Final = ("audit", "error", "general", "slowquery", "instance", "iam-db-auth-error")

# PostgreSQL manual, appendix "SQL Key Words", column "reserved".
_POSTGRESQL_WORDS = (
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check "
    "collate collation column concurrently constraint create cross current_catalog current_date "
    "current_role current_schema current_time current_timestamp current_user default deferrable desc "
    "distinct do else end except false fetch for foreign freeze from full grant group having ilike in "
    "initially inner intersect into is isnull join lateral leading left like limit localtime "
    "localtimestamp natural not notnull null offset on only or order outer overlaps placing primary "
    "references returning right select session_user similar some symmetric system_user table tablesample "
    "then to trailing true union unique user using variadic verbose when where window with"
)
# MySQL 8.0 reference manual, "Keywords and Reserved Words", those that are reserved.
_MYSQL_WORDS = (
    "accessible add all alter analyze and as asc asensitive before between bigint binary blob both by "
    "call cascade case change char character check collate column condition constraint continue convert "
    "create cross cube cume_dist current_date current_time current_timestamp current_user cursor database "
    "databases day_hour day_microsecond day_minute day_second dec decimal declare default delayed delete "
    "dense_rank desc describe deterministic distinct distinctrow div double drop dual each else elseif "
    "empty enclosed escaped except exists exit explain false fetch first_value float for force foreign "
    "from fulltext function generated get grant group grouping groups having high_priority "
    "hour_microsecond hour_minute hour_second if ignore in index infile inner inout insensitive insert "
    "int integer intersect interval into is iterate join json_table key keys kill lag last_value lateral "
    "lead leading leave left like limit linear lines load localtime localtimestamp lock long longblob "
    "longtext loop low_priority match maxvalue mediumblob mediumint mediumtext minute_microsecond "
    "minute_second mod modifies natural not nth_value ntile null numeric of on optimize optimizer_costs "
    "option optionally or order out outer outfile over partition percent_rank precision primary procedure "
    "purge range rank read reads real recursive references regexp release rename repeat replace require "
    "resignal restrict return revoke right rlike row row_number rows schema schemas second_microsecond "
    "select sensitive separator set show signal smallint spatial specific sql sqlexception sqlstate "
    "sqlwarning ssl starting stored straight_join system table terminated then tinyblob tinyint tinytext "
    "to trailing trigger true undo union unique unlock unsigned update usage use using utc_date utc_time "
    "utc_timestamp values varbinary varchar varying virtual when where while window with write xor "
    "year_month zerofill"
)
# What RDS keeps for itself besides (RDS user guide, "Master user account privileges"). That AWS refuses admin for PostgreSQL
# and takes it for MySQL was tried by aws-cloudformation/cfn-lint, pull request 4425.
POSTGRESQL_USERS: Final = (
    *_POSTGRESQL_WORDS.split(),
    "admin",
    "public",
    "none",
    "rdsadmin",
    "rdsrepladmin",
    "rdstopmgr",
)
MYSQL_USERS: Final = (*_MYSQL_WORDS.split(), "root", "rdsadmin", "rdsproxyadmin", "rdsrepladmin")
POSTGRESQL_DATABASES: Final = (*_POSTGRESQL_WORDS.split(), "template0", "template1", "rdsadmin")
MYSQL_DATABASES: Final = (
    *_MYSQL_WORDS.split(),
    *("mysql", "sys", "information_schema", "performance_schema", "innodb", "tmp"),
)
POSTGRESQL_PREFIXES: Final = ("pg_", "rds_")
"""Roles that begin so are PostgreSQL's own and those of RDS."""
