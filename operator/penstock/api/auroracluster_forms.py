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

LONGEST_IDENTIFIER: Final = 60
"""RDS allows 63 characters, of which an instance's name needs three for "-16"."""
IDENTIFIER: Final = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"

CLUSTER_IDENTIFIER = Says(
    f"size(self) <= {LONGEST_IDENTIFIER} && self.matches('^{IDENTIFIER}$')",
    lambda text: len(text) <= LONGEST_IDENTIFIER and re.fullmatch(IDENTIFIER, text) is not None,
    "must be 1 to 60 lower-case letters, digits and single hyphens, begin with a letter and not end with a hyphen, "
    'as RDS allows (63, of which "-16" is for the instances), for example "shop-ledger"',
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
OBJECT_NAME = matching(
    r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?",
    "must be the name of a Secret: lower-case letters, digits, '-' and '.'",
)
SECRET_KEY = matching(r"[a-zA-Z0-9._-]{1,253}", "must be a key of a Secret: letters, digits, '-', '_' and '.'")
USERNAME = matching(
    r"[a-zA-Z][a-zA-Z0-9_]{0,15}",
    "must be 1 to 16 letters, digits and '_', and begin with a letter, as RDS allows",
)
DATABASE_NAME = matching(
    r"[a-zA-Z][a-zA-Z0-9_]{0,62}",
    "must be 1 to 63 letters, digits and '_', and begin with a letter, as RDS allows",
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
    r"(rds:)?[a-zA-Z][a-zA-Z0-9-]{0,254}"
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

# PostgreSQL manual, appendix "SQL Key Words": what is reserved in PostgreSQL. Prefixes and the rest: AWS's refusals.
_POSTGRESQL_RESERVED = (
    "admin all analyse analyze and any array as asc asymmetric both case cast check collate column constraint "
    "create default deferrable desc distinct do else end except false fetch for foreign from grant group having "
    "in initially intersect into lateral leading limit not null offset on only or order placing primary public "
    "references returning select some symmetric table then to trailing true union unique user using variadic when "
    "where window with"
)
# MySQL 8.0 reference manual, "Keywords and Reserved Words": of these the ones that people take for a user. AWS refuses
# the rest, and the operator then says so. `root` and the rds users belong to AWS.
_MYSQL_RESERVED = (
    "root mysql all analyze and as asc both by case change character check column condition constraint create "
    "cross database databases default delete desc describe distinct drop each else exists explain false fetch for "
    "foreign from fulltext function generated grant group groups having if ignore in index infile inner insert "
    "into is join key keys kill lead leading leave left like limit lines load lock loop match natural not null of "
    "on optimize option or order out outer over partition primary procedure purge range rank read reads real "
    "recursive references release rename repeat replace require restrict return revoke right row rows schema "
    "schemas select separator set show signal spatial sql ssl starting stored system table then to trailing "
    "trigger true undo union unique unlock unsigned update usage use using values virtual when where while window "
    "with write"
)
POSTGRESQL_RESERVED: Final = tuple(_POSTGRESQL_RESERVED.split())
MYSQL_RESERVED: Final = tuple(_MYSQL_RESERVED.split())
POSTGRESQL_DATABASES: Final = ("template0", "template1", "rdsadmin")
MYSQL_DATABASES: Final = ("mysql", "sys", "information_schema", "performance_schema", "innodb", "rdsadmin")


def reserved_user(postgresql: bool, name: str) -> bool:
    """Whether AWS refuses a master user of that name."""
    low = name.lower()
    return low.startswith(("rds", "pg_")) or low in (POSTGRESQL_RESERVED if postgresql else MYSQL_RESERVED)
