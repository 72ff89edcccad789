"""The parameters of Aurora's parameter groups: those that people set, and a few that nobody may set."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from . import parameters_mysql, parameters_postgresql

CLUSTER = "cluster"
INSTANCE = "instance"


@dataclass(frozen=True)
class Parameter:
    """One parameter as DescribeDBClusterParameters and DescribeDBParameters give it.

    ``value`` is None where the engine's own default holds; ``source`` is ``system`` or ``engine-default`` (``user`` is the
    store's to say); ``apply_type`` is ``static`` or ``dynamic``; ``data_type`` one of string, integer, float, boolean,
    list; ``allowed`` is AWS's notation: ``0,1``, ``6-262143``, or empty where everything goes.
    """

    name: str
    value: str | None
    description: str
    source: str
    apply_type: str
    data_type: str
    allowed: str
    modifiable: bool


@functools.cache
def parameters(family: str, level: str) -> Mapping[str, Parameter]:
    """The defaults of a family's groups by name, sorted: ``level`` is ``cluster`` or ``instance``.

    A cluster group has every parameter, an instance group those that may differ between instances
    (Aurora guide, "Amazon Aurora PostgreSQL parameters" and "Aurora MySQL configuration parameters").
    A family that does not exist raises KeyError.
    """
    if level not in (CLUSTER, INSTANCE):
        raise ValueError(f"level is {level!r}; it is {CLUSTER!r} or {INSTANCE!r}")
    table, major = _family(family)
    found = {p.name: p for scope, p in _rows(table, major) if level == CLUSTER or scope == "both"}
    return MappingProxyType(dict(sorted(found.items())))


def families() -> tuple[str, ...]:
    return (*(f"aurora-postgresql{major}" for major in range(13, 18)), "aurora-mysql8.0")


def _family(family: str) -> tuple[str, int]:
    if family not in families():
        raise KeyError(family)
    if family.startswith("aurora-mysql"):
        return parameters_mysql.TABLE, 8
    return parameters_postgresql.TABLE, int(family.removeprefix("aurora-postgresql"))


def _rows(table: str, major: int) -> Iterator[tuple[str, Parameter]]:
    for line in table.strip().splitlines():
        name, value, kind, data_type, allowed, scope, description = (cell.strip() for cell in line.split("|"))
        scope, _, span = scope.partition(" ")
        first, _, last = span.partition("-")
        if first and not int(first) <= major <= int(last or 99):
            continue
        yield (
            scope,
            Parameter(
                name=name,
                value=value or None,
                description=description,
                source="system" if value else "engine-default",
                apply_type=kind.removesuffix("!"),
                data_type=data_type,
                allowed=allowed,
                modifiable=not kind.endswith("!"),
            ),
        )
