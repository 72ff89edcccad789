"""What an instance class is: processors, memory, connections. Pure.

Figures are those of the Aurora user guide, "Hardware specifications for DB instance classes for Aurora" and "Maximum connections to an Aurora
PostgreSQL (MySQL) DB instance"; CPU credits of the EC2 user guide, "Burstable performance instances".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from penstock.api import engine_version

SERVERLESS: Final = "db.serverless"
ACU_MEMORY: Final = Decimal(2)
"""GiB of an Aurora capacity unit (Aurora guide, "Aurora Serverless v2 capacity")."""
ACU_PROCESSOR: Final = Decimal("0.25")
"""vCPUs of one, since an r class of 4 ACUs' memory has one (aws/agent-toolkit-for-aws, acu_calculator.py)."""
_GIB = 2**30
# GiB for each vCPU; a family that is not here has no known figures and is never advised.
_FAMILIES: Final = (
    {"t3": None, "t4g": None} | {f"r{n}": 8 for n in ("4", "5", "6g", "6i", "7g", "7i", "8g")} | {"x2g": 16}
)
_BURSTABLE: Final = {"medium": (2, 4, Decimal("0.20")), "large": (2, 8, Decimal("0.30"))}
# PostgreSQL: DBInstanceClassMemory / 9531392, at most 5000.
_BYTES_A_CONNECTION, _MOST_CONNECTIONS = 9531392, 5000
_MYSQL_CONNECTIONS: Final = (
    (512, 7000),
    (384, 6000),
    (256, 6000),
    (192, 5000),
    (128, 4000),
    (64, 3000),
    (32, 2000),
    (16, 1000),
    (8, 135),
    (4, 90),
)
# From which minor on each major has a family, and pauses: Aurora guide, "Supported DB engines for DB instance classes" and "Scaling to zero". A
# family that is not here runs with every version.
_SINCE: Final[dict[tuple[str, str], dict[str, int]]] = {
    ("aurora-postgresql", "r7g"): {"13": 10, "14": 7, "15": 2},
    ("aurora-postgresql", "r8g"): {"13": 15, "14": 12, "15": 7, "16": 3},
    ("aurora-postgresql", "pause"): {"13": 15, "14": 12, "15": 7, "16": 3},
    ("aurora-mysql", "r7g"): {"3": 3},
    ("aurora-mysql", "r8g"): {"3": 8},
    ("aurora-mysql", "pause"): {"3": 8},
}
_OLDEST: Final = {"aurora-postgresql": 13, "aurora-mysql": 3}


@dataclass(frozen=True)
class Facts:
    """A class. memory: GiB. baseline: the part of each vCPU that it may use for ever; 1 where nothing is borrowed. graviton: its processor is Arm."""

    name: str
    processors: int
    memory: int
    baseline: Decimal = Decimal(1)
    graviton: bool = False

    @property
    def steady(self) -> Decimal:
        """vCPUs that it may use all the time."""
        return self.processors * self.baseline

    @property
    def burstable(self) -> bool:
        return self.baseline < 1


@cache
def facts(name: str) -> Facts | None:
    """What is known of a class; None when nothing is, as of db.serverless."""
    found = re.fullmatch(r"db\.([a-z][0-9][a-z]*)\.([0-9]*x?large|medium)", name)
    if found is None or found[1] not in _FAMILIES:
        return None
    family, size = found[1], found[2]
    graviton = family.endswith("g")
    ratio = _FAMILIES[family]
    if ratio is None:
        known = _BURSTABLE.get(size)
        return Facts(name, known[0], known[1], known[2], graviton) if known else None
    if size == "medium":
        return None
    times = size.removesuffix("large")
    cores = 2 if times == "" else 4 if times == "x" else 4 * int(times.removesuffix("x"))
    return Facts(name, cores, cores * ratio, graviton=graviton)


def connections(engine: str, memory: Decimal) -> int:
    """Connections that an instance with so much memory (GiB) takes by default."""
    if engine == "aurora-postgresql":
        return min(_MOST_CONNECTIONS, int(memory * _GIB / _BYTES_A_CONNECTION))
    return next((count for size, count in _MYSQL_CONNECTIONS if memory >= size), 45)


def offered(engine: str, version: str, what: str) -> bool:
    """Whether a version has a family ("r8g"), or pauses ("pause"). A bare major stands for its newest minor; of an unknown version all is said."""
    since = _SINCE.get((engine, what))
    if since is None or not version:
        return True
    if engine == "aurora-mysql":
        told = re.search(r"mysql_aurora\.(\d+)\.(\d+)", version)
        return told is None or (int(told[1]), int(told[2])) >= (3, since["3"])
    try:
        engine_version.parse(version)
    except ValueError:
        return True
    major, _, minor = version.partition(".")
    if int(major) < _OLDEST[engine]:
        return False
    return not minor or int(minor) >= since.get(major, 0)
