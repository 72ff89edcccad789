"""Versions of Aurora's engines: what AWS's text for one means, and which of two is lower.

Aurora PostgreSQL counts like PostgreSQL: major 15, minor 10 (`15.10`). Aurora MySQL names the MySQL series and its own
version: major 8.0, minor 3.08.0 (`8.0.mysql_aurora.3.08.0`). A major alone (`15`, `8.0`) means any minor of it.
Source: Aurora user guide, "Amazon Aurora versions".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_MYSQL = re.compile(r"([0-9]+)\.([0-9]+)(?:\.mysql_aurora\.([0-9]+)\.([0-9]+)(?:\.([0-9]+))?)?(?:[.-].+)?")
_POSTGRESQL = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:[.-].+)?")
# Aurora began with PostgreSQL 9.6; MySQL's series are 5.6, 5.7, 8.0 and 8.4.
_FIRST_POSTGRESQL = 9


@dataclass(frozen=True, order=True)
class EngineVersion:
    """A version: ordered by major, then minor; an empty minor means any. text: as AWS writes it."""

    major: tuple[int, ...]
    minor: tuple[int, ...] = ()
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text

    @property
    def major_text(self) -> str:
        """The major as AWS writes it: "15", "8.0"."""
        return ".".join(map(str, self.major))

    @property
    def exact(self) -> bool:
        """Whether a minor is named."""
        return bool(self.minor)


def parse(text: str) -> EngineVersion:
    """The version that AWS or a user wrote. Raises ValueError with a sentence when it has no such form."""
    found = re.match(r"[0-9]+", text)
    mysql = "mysql_aurora" in text or (found is not None and int(found[0]) < _FIRST_POSTGRESQL)
    parts = (_MYSQL if mysql else _POSTGRESQL).fullmatch(text)
    if parts is None:
        raise ValueError(
            f'{text!r} is no version of an Aurora engine, which are written like "15.10" or "8.0.mysql_aurora.3.08.0"'
        )
    numbers = [int(part) for part in parts.groups() if part is not None]
    split = 2 if mysql else 1
    return EngineVersion(tuple(numbers[:split]), tuple(numbers[split:]), text)


def same_major(one: str, other: str) -> bool:
    """Whether going from one to the other is no major upgrade."""
    return parse(one).major == parse(other).major


def is_lower(one: str, other: str) -> bool:
    """Whether `one` is certainly lower than `other`: "15" is lower than "16.1", and neither than "15.10" nor "15"."""
    mine, its = parse(one), parse(other)
    if mine.major != its.major:
        return mine.major < its.major
    return mine.exact and its.exact and mine.minor < its.minor


def satisfies(running: str, wanted: str) -> bool:
    """Whether what runs is what is wanted, or a higher minor of the same major: minors are followed upwards, never down."""
    return same_major(running, wanted) and not is_lower(running, wanted)
