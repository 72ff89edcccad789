"""What RDS refuses in a request by its form alone, in its own codes and, where public reports quote them, its words.

Rules: RDS API reference, CreateDBCluster and CreateDBInstance; Aurora guide, "Naming constraints in Amazon Aurora" and
"Aurora Serverless v2 capacity". Sentences that badmintoncryer/cdk-preflight measured by deployments in September 2026 are
AWS's. Where no report quotes AWS's sentence it is ours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from ..errors import AwsError
from . import catalog, reserved
from .catalog import MYSQL, EngineVersion, Parameter

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_WEEK = 7 * _DAY
_LICENSES = {"aurora-postgresql": "postgresql-license", "aurora-mysql": "general-public-license"}
_KINDS = {
    "cluster": "DBClusterIdentifier",
    "instance": "DBInstanceIdentifier",
    "cluster-snapshot": "DBClusterSnapshotIdentifier",
    "snapshot": "DBClusterSnapshotIdentifier",
    "final-snapshot": "FinalDBSnapshotIdentifier",
    "subnet-group": "DBSubnetGroupName",
    "cluster-parameter-group": "DBClusterParameterGroupName",
    "parameter-group": "DBParameterGroupName",
    "subscription": "SubscriptionName",
}
# Names of groups and of snapshots may be longer than those of clusters and instances.
_LONG = (
    "DBClusterParameterGroupName",
    "DBParameterGroupName",
    "DBSubnetGroupName",
    "SubscriptionName",
    "DBClusterSnapshotIdentifier",
    "FinalDBSnapshotIdentifier",
)
# The symbols of tags beside letters, numbers and separators (RDS API reference, "Tag").
_TAG_SYMBOLS = frozenset("_.:/=+-@")


def _value(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)


def _combination(message: str) -> AwsError:
    return AwsError("InvalidParameterCombination", message)


def identifier(kind: str, value: str) -> str:
    """The identifier lower-cased, as RDS keeps it.

    ``kind`` is the parameter's name, such as ``DBClusterIdentifier``, or what it names: ``cluster``, ``instance``,
    ``snapshot``, ``final-snapshot``, ``subnet-group``, ``cluster-parameter-group``, ``parameter-group``, ``subscription``.
    """
    kind = _KINDS.get(kind, kind)
    if not value:
        raise _value(f"The parameter {kind} must be provided and must not be blank.")
    longest = 255 if kind in _LONG else 63
    if kind == "DBSubnetGroupName":
        # Subnet groups alone may hold periods, underscores and spaces.
        right = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]*", value) and value.lower() != "default"
    elif kind in _LONG and value.lower().startswith("default."):
        right = re.fullmatch(r"[A-Za-z][A-Za-z0-9.-]*", value)
    else:
        right = re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", value) and "--" not in value and not value.endswith("-")
    if not right and kind == "DBSubnetGroupName":
        raise _value(
            "Subnet group name default is reserved. Please specify another name."
            if value.lower() == "default"
            else f"Invalid subnet group name:  {value}"
        )
    if not right:
        raise _value(
            f"The parameter {kind} is not a valid identifier. Identifiers must begin with a letter; must contain only "
            "ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens."
        )
    if len(value) > longest:
        raise _value(f"The parameter {kind} is not a valid identifier because it is longer than {longest} characters.")
    return value.lower()


def password(value: str) -> None:
    """A master password: 8 to 41 printable ASCII characters other than ``/``, ``@``, ``"`` and the space."""
    what = "The parameter MasterUserPassword is not a valid password"
    if len(value) < 8:
        raise _value(f"{what} because it is shorter than 8 characters.")
    if len(value) > 41:
        raise _value(f"{what} because it is longer than 41 characters.")
    if any(not "!" <= character <= "~" or character in '/@"' for character in value):
        raise _value(f"{what}. Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.")


def username(engine: str, value: str) -> None:
    """A master user: begins with a letter; up to 63 characters for PostgreSQL, 32 for MySQL; no reserved word."""
    if not value:
        raise _value("The parameter MasterUsername must be provided and must not be blank.")
    longest = 32 if engine == MYSQL else 63
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) or len(value) > longest:
        raise _value("Invalid master user name")
    if reserved.user(engine, value):
        raise _value(f"MasterUsername {value} cannot be used as it is a reserved word used by the engine")


def database_name(engine: str, value: str) -> None:
    """The first database: begins with a letter; up to 63 characters for PostgreSQL, 64 for MySQL; no reserved word."""
    longest = 64 if engine == MYSQL else 63
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value):
        raise _value("DatabaseName must begin with a letter and contain only alphanumeric characters.")
    if len(value) > longest:
        raise _value(f"DatabaseName must be between 1 and {longest} characters long.")
    if reserved.database(engine, value):
        raise _value(f"DatabaseName {value} cannot be used as it is a reserved word used by the engine")


def windows(backup: str | None, maintenance: str | None) -> tuple[str | None, str | None]:
    """Both windows, the days lower-cased as RDS gives them back; of an update, pass the one that stays as well.

    ``hh24:mi-hh24:mi`` each day and ``ddd:hh24:mi-ddd:hh24:mi`` each week, in UTC, each at least 30 minutes long and
    less than a day, and never at the same time.
    """
    if backup is not None:
        start, end = _daily(backup)
        if (end - start) % _DAY < 30:
            raise _value("Backup window must be at least 30 minutes.")
    if maintenance is not None:
        maintenance = maintenance.lower()
        begins, ends = _weekly(maintenance)
        if (ends - begins) % _WEEK < 30:
            raise _value("Maintenance window must be at least 30 minutes.")
        if (ends - begins) % _WEEK >= _DAY:
            raise _value("Maintenance window must be less than 24 hours.")
    if backup is not None and maintenance is not None and _overlap(_daily(backup), _weekly(maintenance)):
        raise _value("The backup window and maintenance window must not overlap.")
    return backup, maintenance


def _daily(window: str) -> tuple[int, int]:
    start, _, end = window.partition("-")
    found = _minute(start), _minute(end)
    for text, minute in zip((start, end), found, strict=True):
        if minute is None:
            raise _value(
                f"Invalid backup window time '{text}' specified. Should be specified as a time hh24:mi (24H Clock UTC). Example: 03:15"
            )
    return found  # type: ignore[return-value]


def _weekly(window: str) -> tuple[int, int]:
    found = []
    start, _, end = window.partition("-")
    for text in (start, end):
        day, _, time = text.partition(":")
        minute = _minute(time)
        if day not in _DAYS or minute is None:
            raise _value(
                f"Invalid maintenance window time '{text}' specified. "
                "Should be specified as a time ddd:hh24:mi (24H Clock UTC). Example: Mon:00:15"
            )
        found.append(_DAYS.index(day) * _DAY + minute)
    return found[0], found[1]


def _minute(text: str) -> int | None:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        return None
    return int(text[:2]) * 60 + int(text[3:])


def _overlap(daily: tuple[int, int], weekly: tuple[int, int]) -> bool:
    """Whether a daily window and a weekly one ever coincide; either may go past midnight, the weekly past Sunday."""
    begins, long = weekly[0], (weekly[1] - weekly[0]) % _WEEK
    lasts = (daily[1] - daily[0]) % _DAY
    for day in range(7):
        start = day * _DAY + daily[0]
        if (start - begins) % _WEEK < long or (begins - start) % _WEEK < lasts:
            return True
    return False


def description(kind: str, value: str) -> None:
    """Printable ASCII, and nothing else; ``kind`` is the parameter's name."""
    if any(not " " <= character <= "~" for character in value):
        raise _value(f"The parameter {kind} must not contain non-printable control characters.")


def retention(days: int) -> None:
    if not 1 <= days <= 35:
        raise _value(f"Invalid backup retention period: {days}. Retention period must be between 1 and 35.")


def port(value: int) -> None:
    if not 1150 <= value <= 65535:
        raise _value(f"Invalid endpoint port {value}. Valid range is: 1150-65535")


def tags(given: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags as ``{"Key": …, "Value": …}``; gives them as a mapping.

    At most 50; keys of 1 to 128 and values of up to 256 characters, of letters, numbers, separators and a few symbols;
    what begins with ``aws:`` or ``rds:`` is refused (RDS API reference, "Tag").
    """
    found: dict[str, str] = {}
    for tag in given:
        key, value = tag.get("Key", ""), tag.get("Value") or ""
        if not 1 <= len(key) <= 128:
            raise _value("Tag keys must be between 1 and 128 characters long.")
        if len(value) > 256:
            raise _value(f"The value of the tag {key} must not be longer than 256 characters.")
        for what, text in (("keys", key), ("values", value)):
            if any(one not in _TAG_SYMBOLS and unicodedata.category(one)[0] not in "LNZ" for one in text):
                # The backslash is AWS's.
                raise _value(
                    f"Tag {what} may only contain unicode letters, digits, whitespace, or one of these symbols: "
                    "_ . : / = + \\ - @"
                )
            if text.lower().startswith(("aws:", "rds:")):
                raise _value(f"Tag {what} must not begin with aws: or rds:.")
        if key in found:
            raise _value(f"The tag key {key} was given more than once.")
        found[key] = value
    if len(found) > 50:
        raise _value("A resource may have at most 50 tags.")
    return found


def parameter(definition: Parameter, value: str) -> None:
    """A value for a parameter of a group: one that may be set, to one of its allowed values."""
    if not definition.modifiable:
        raise _value(f"The parameter {definition.name} cannot be modified.")
    if not _allowed(definition, value):
        raise _value(
            f"Invalid parameter value: {value} for: {definition.name} allowed values are: {definition.allowed}"
        )


def _allowed(definition: Parameter, value: str) -> bool:
    number = _number(value) if definition.data_type in ("integer", "float") else None
    if definition.data_type == "integer" and number is not None and number != int(number):
        return False
    if definition.data_type in ("integer", "float") and number is None:
        # A formula, such as {DBInstanceClassMemory/9531392} or LEAST(…), is worked out when the group is applied.
        return re.fullmatch(r"\{.*\}|(LEAST|GREATEST|SUM)\(.*\)", value) is not None
    if not definition.allowed:
        return True
    if definition.data_type == "list":
        choices = definition.allowed.split(",")
        return all(item.strip() in choices for item in value.split(",") if item.strip())
    return any(_matches(part, value, number) for part in definition.allowed.split(","))


def _matches(part: str, value: str, number: Decimal | None) -> bool:
    if number is None:
        return part == value
    span = re.fullmatch(r"(-?[\d.]+(?:e[+-]?\d+)?)-(-?[\d.]+(?:e[+-]?\d+)?)", part)
    if span is None:
        return _number(part) == number
    return Decimal(span[1]) <= number <= Decimal(span[2])


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def serverless(
    minimum: float | None, maximum: float | None, pause: int | None = None, version: EngineVersion | None = None
) -> None:
    """A ServerlessV2ScalingConfiguration: ACUs in half steps, ``pause`` in seconds; without a version the newest one's limits hold."""
    if minimum is None or maximum is None:
        raise _value("Set the Serverless v2 minimum capacity and maximum capacity, both.")
    largest = version.max_capacity if version else 256.0
    least = 0.0 if version is None or version.auto_pause else 0.5
    for capacity in (minimum, maximum):
        if capacity * 2 != int(capacity * 2):
            raise _value(f"Serverless v2 capacity value {capacity:g} is not valid. It must be a multiple of 0.5.")
        if not least <= capacity <= largest:
            raise _value(
                f"Serverless v2 capacity value {float(capacity)} is not valid. The valid scaling range for this cluster is "
                f"{least} to {largest}."
            )
    if maximum < 1:
        raise _value(
            f"Serverless v2 maximum capacity {maximum:g} isn't valid. The maximum capacity must be at least 1."
        )
    if minimum > maximum:
        raise _combination(
            f"Serverless v2 maximum capacity {maximum:g} isn't valid. It must be at least the minimum capacity, {minimum:g}."
        )
    if pause is not None:
        if minimum != 0:
            raise _value("SecondsUntilAutoPause can only be specified when minimum capacity is 0.")
        if not 300 <= pause <= 86400:
            raise _value(f"SecondsUntilAutoPause {pause} isn't valid. It must be between 300 and 86400.")


def version_for(engine: str, version: str | None) -> EngineVersion:
    """The engine's version of that name, as ``catalog.find``."""
    if engine not in catalog.ENGINES:
        raise _value(f"Invalid DB engine: {engine}")
    found = catalog.find(engine, version)
    if found is None:
        raise _combination(f"Cannot find version {version} for {engine}")
    return found


def class_for(engine: str, version: str, cls: str, zone: str | None = None) -> None:
    """A class that can be had with the version, and in the zone if one is given (``us-east-1a``)."""
    region = zone[:-1] if zone else "us-east-1"
    offers = catalog.orderable(engine, version_for(engine, version).version, region)
    offer = next((o for o in offers if o.db_instance_class == cls), None)
    if not cls.startswith("db."):
        raise _value(f"Invalid DB Instance class: {cls}")
    if offer is None or (zone is not None and zone not in offer.zones):
        where = f", AvailabilityZone={zone}" if offer is not None else ""
        raise _combination(
            "RDS does not support creating a DB instance with the following combination: "
            f"DBInstanceClass={cls}, Engine={engine}, EngineVersion={version}, LicenseModel={_LICENSES[engine]}{where}. "
            "For supported combinations of instance class and database engine version, see the documentation."
        )
