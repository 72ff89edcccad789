"""What Aurora offers: engine versions and their upgrades, instance classes and zones, default parameters.

Versions are those that AWS released (Aurora's release notes; aws-cloudformation/cfn-lint keeps the list as AWS answers it).
Which minor is the default moves with time on AWS; here it stands still, below the newest, so that there is something to
upgrade to. Older minors, retired by AWS by now, are kept for the limits that newer ones no longer have.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from .parameters import CLUSTER, INSTANCE, Parameter, families, parameters

__all__ = [
    "CLUSTER",
    "ENGINES",
    "INSTANCE",
    "EngineVersion",
    "Orderable",
    "Parameter",
    "Target",
    "families",
    "find",
    "orderable",
    "parameters",
    "versions",
]

POSTGRESQL = "aurora-postgresql"
MYSQL = "aurora-mysql"
ENGINES = (POSTGRESQL, MYSQL)

_POSTGRESQL_MINORS = {
    13: (9, 12, 13, 14, 15, 16, 18, 20, 21, 22, 23),
    14: (6, 9, 10, 11, 12, 13, 15, 17, 18, 19, 20),
    15: (2, 4, 5, 6, 7, 8, 10, 12, 13, 14, 15),
    16: (1, 2, 3, 4, 6, 8, 9, 10, 11),
    17: (4, 5, 6, 7),
}
_POSTGRESQL_DEFAULTS = {13: 20, 14: 17, 15: 12, 16: 8, 17: 5}
# PostgreSQL releases a minor of each major on the same day; with these added, minors of one day have one number.
_SAME_DAY = {13: 0, 14: 3, 15: 8, 16: 12, 17: 16}
# The minor of major 13 released together with the first ones that may pause at 0 ACUs: 13.15, 14.12, 15.7, 16.3.
_POSTGRESQL_PAUSE = 15
# The same for 256 ACUs: 13.13, 14.10, 15.5, 16.1.
_POSTGRESQL_LARGE = 13
# The same for aurora-iopt1: 13.10, 14.7, 15.2, 16.1 (Aurora guide, "Storage configurations for Aurora DB clusters").
_POSTGRESQL_IO_OPTIMIZED = 10

# Aurora MySQL release, the community release that it speaks.
_MYSQL = {
    "3.04.0": "8.0.28",
    "3.04.1": "8.0.28",
    "3.04.2": "8.0.28",
    "3.04.3": "8.0.28",
    "3.04.4": "8.0.28",
    "3.05.2": "8.0.32",
    "3.06.0": "8.0.34",
    "3.06.1": "8.0.34",
    "3.07.0": "8.0.36",
    "3.07.1": "8.0.36",
    "3.08.0": "8.0.39",
    "3.08.1": "8.0.39",
    "3.08.2": "8.0.39",
    "3.09.0": "8.0.40",
    "3.10.0": "8.0.42",
    "3.10.1": "8.0.42",
}
_MYSQL_DEFAULT = "3.08.2"

_ZONES = "abcdf"
_X86 = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge")
_GRAVITON = _X86[:-1]
# Class, sizes, zones of us-east-1, first PostgreSQL release (as a minor of 13, see above), first Aurora MySQL release.
# us-east-1e has old hardware alone; a few classes miss one more.
_CLASSES = (
    ("db.t3", ("medium", "large"), "abcdef", 0, "3.04"),
    ("db.t4g", ("medium", "large"), _ZONES, 0, "3.04"),
    ("db.r5", _X86, "abcdef", 0, "3.04"),
    ("db.r6g", _GRAVITON, _ZONES, 0, "3.04"),
    ("db.r6i", (*_X86, "32xlarge"), _ZONES, 0, "3.04"),
    ("db.r7g", _GRAVITON, _ZONES, 10, "3.04"),
    ("db.r7i", (*_X86, "48xlarge"), "abcd", 13, "3.05"),
    ("db.r8g", (*_X86, "48xlarge"), _ZONES, 15, "3.04"),
    ("db.x2g", _GRAVITON, "acdf", 0, "3.04"),
)


@dataclass(frozen=True)
class Target:
    """A version that a cluster can be upgraded to: ``auto`` where RDS goes there by itself in the maintenance window."""

    version: str
    auto: bool
    major: bool


@dataclass(frozen=True)
class EngineVersion:
    """An engine version: ``version`` as in EngineVersion (``15.10``, ``8.0.mysql_aurora.3.08.2``), ``major`` as ``15`` or ``8.0``."""

    engine: str
    version: str
    family: str
    major: str
    is_default: bool
    """Whether it is what its major version alone stands for."""
    upgrade_targets: tuple[Target, ...]
    serverless_v2: bool
    auto_pause: bool
    """Whether serverless instances may pause, that is, have a least capacity of 0."""
    description: str = ""
    max_capacity: float = 256.0
    """ACUs that a serverless instance may have at most."""

    io_optimized: bool = True
    """Whether the storage type aurora-iopt1 can be had."""

    @property
    def logs(self) -> tuple[str, ...]:
        """The log types that can be exported to CloudWatch Logs (API reference, CreateDBCluster).

        ``instance`` says why an instance does not pause (Aurora guide, "Aurora PostgreSQL database log files"), so that a
        version that cannot pause has none.
        """
        own = ("postgresql",) if self.engine == POSTGRESQL else ("audit", "error", "general", "slowquery")
        return (*own, *(("instance",) if self.auto_pause else ()), "iam-db-auth-error")


@dataclass(frozen=True)
class Orderable:
    """A class that can be had with a version: ``zones`` by full name, ``storage_types`` as in StorageType."""

    db_instance_class: str
    zones: tuple[str, ...]
    storage_types: tuple[str, ...]
    supports_performance_insights: bool


@functools.cache
def versions(engine: str) -> tuple[EngineVersion, ...]:
    """An engine's versions, oldest first. An engine that is not Aurora's raises KeyError."""
    if engine == POSTGRESQL:
        return tuple(_postgresql())
    if engine == MYSQL:
        return tuple(_mysql())
    raise KeyError(engine)


def find(engine: str, version: str | None) -> EngineVersion | None:
    """The version of that name; a bare major (``15``, ``8.0``) stands for its default minor, None for the engine's default."""
    if engine not in ENGINES:
        return None
    if version is None:
        return [v for v in versions(engine) if v.is_default][-1]
    return next((v for v in versions(engine) if v.version == version or (v.is_default and v.major == version)), None)


@functools.cache
def orderable(engine: str, version: str, region: str = "us-east-1") -> tuple[Orderable, ...]:
    """The classes that can be had with a version, in the zones of a region. A version that does not exist raises KeyError.

    Another region has three zones, a, b and c, in which everything can be had.
    """
    found = find(engine, version)
    if found is None:
        raise KeyError(version)
    storage = ("aurora", "aurora-iopt1") if found.io_optimized else ("aurora",)
    offers = []
    if found.serverless_v2:
        offers.append(Orderable("db.serverless", _zones(region, _ZONES), storage, True))
    for family, sizes, zones, postgresql, mysql in _CLASSES:
        if engine == POSTGRESQL:
            major, _, minor = found.version.partition(".")
            offered = int(minor) + _SAME_DAY[int(major)] >= postgresql
        else:
            offered = _release(found.version) >= _release(mysql)
        if not offered:
            continue
        for size in sizes:
            # Performance Insights is not to be had on Aurora MySQL's burstable classes (Aurora guide, "Amazon Aurora
            # DB engine, Region, and instance class support for Performance Insights").
            insights = engine == POSTGRESQL or not family.startswith("db.t")
            offers.append(Orderable(f"{family}.{size}", _zones(region, zones), storage, insights))
    return tuple(offers)


def _zones(region: str, letters: str) -> tuple[str, ...]:
    return tuple(f"{region}{letter}" for letter in (letters if region == "us-east-1" else "abc"))


def _postgresql() -> Iterator[EngineVersion]:
    for major, minors in _POSTGRESQL_MINORS.items():
        for minor in minors:
            day = minor + _SAME_DAY[major]
            yield EngineVersion(
                engine=POSTGRESQL,
                version=f"{major}.{minor}",
                family=f"{POSTGRESQL}{major}",
                major=str(major),
                is_default=minor == _POSTGRESQL_DEFAULTS[major],
                upgrade_targets=tuple(_postgresql_targets(major, minor)),
                serverless_v2=True,
                auto_pause=day >= _POSTGRESQL_PAUSE,
                description=f"Aurora PostgreSQL (Compatible with PostgreSQL {major}.{minor})",
                max_capacity=256.0 if day >= _POSTGRESQL_LARGE else 128.0,
                io_optimized=day >= _POSTGRESQL_IO_OPTIMIZED,
            )


def _postgresql_targets(major: int, minor: int) -> Iterator[Target]:
    """Newer minors, and minors of newer majors that are not older than this one: pg_upgrade goes no way back."""
    for other, minors in _POSTGRESQL_MINORS.items():
        for candidate in minors:
            if other == major and candidate > minor:
                yield Target(f"{other}.{candidate}", candidate == _POSTGRESQL_DEFAULTS[major], False)
            elif other > major and candidate + _SAME_DAY[other] >= minor + _SAME_DAY[major]:
                yield Target(f"{other}.{candidate}", False, True)


def _mysql() -> Iterator[EngineVersion]:
    for release, community in _MYSQL.items():
        newer = [other for other in _MYSQL if _release(other) > _release(release)]
        yield EngineVersion(
            engine=MYSQL,
            version=f"8.0.mysql_aurora.{release}",
            family="aurora-mysql8.0",
            major="8.0",
            is_default=release == _MYSQL_DEFAULT,
            # 3.04 has long-term support: AWS moves nobody off it.
            upgrade_targets=tuple(
                Target(
                    f"8.0.mysql_aurora.{other}",
                    auto=other == ("3.04.4" if release.startswith("3.04.") else _MYSQL_DEFAULT),
                    major=False,
                )
                for other in newer
            ),
            serverless_v2=True,
            auto_pause=_release(release) >= (3, 8),
            description=f"Aurora MySQL {release} (compatible with MySQL {community})",
            max_capacity=256.0 if _release(release) >= (3, 6) else 128.0,
        )


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("8.0.mysql_aurora.").split("."))
