"""What AWS offers in a region, the same for every cluster there: versions of the engines and the parameters of each family. Read once a day."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from penstock.aurora.state import Engine, Family
from penstock.aurora.versions import family as family_of
from penstock.aws import rds
from penstock.aws.account import Account
from penstock.aws.errors import UNSUPPORTED
from penstock.aws.rds import Parameter
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.queue import Priority

# New versions and parameters come every few weeks.
_DAY = 86400.0
_PAGE = 100
# An answer has no more pages than this, or its markers go round in circles.
_PAGES = 100


class Catalogue:
    """One for an operator. Whoever asks while the same is being read waits for that one read."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._known: dict[tuple[str, ...], tuple[Any, float]] = {}
        self._reading: dict[tuple[str, ...], asyncio.Task[Any]] = {}

    async def default(self, region: str, engine: str, priority: Priority = Priority.NORMAL) -> Engine:
        """AWS's default version of an engine; Engine("", "") where the endpoint cannot tell. Raises Trouble."""

        async def read() -> Engine:
            found = await self._version(region, {"Engine": engine, "DefaultOnly": True}, priority)
            return found or Engine("", "")

        default: Engine = await self._once((region, "default", engine), read)
        return default

    async def version(
        self, region: str, engine: str, version: str, priority: Priority = Priority.NORMAL
    ) -> Engine | None:
        """What AWS tells of one version; None where the endpoint cannot tell. Raises Trouble."""

        async def read() -> Engine | None:
            return await self._version(region, {"Engine": engine, "EngineVersion": version}, priority)

        found: Engine | None = await self._once((region, "version", engine, version), read)
        return found

    async def family(self, region: str, name: str, priority: Priority = Priority.NORMAL) -> Family:
        """The parameters of a family. Raises Trouble."""

        async def read() -> Family:
            try:
                of_cluster = await self._parameters("DescribeEngineDefaultClusterParameters", region, name, priority)
                of_instance = await self._parameters("DescribeEngineDefaultParameters", region, name, priority)
            except Trouble as trouble:
                # A family that AWS does not know is told where a group of it is made.
                if trouble.code == UNSUPPORTED or trouble.meaning in (Meaning.INVALID, Meaning.MISSING):
                    return Family(name, known=False)
                raise
            return Family(name, of_cluster, of_instance, known=bool(of_cluster))

        found: Family = await self._once((region, "family", name), read)
        return found

    async def _version(self, region: str, parameters: Mapping[str, Any], priority: Priority) -> Engine | None:
        try:
            answer = await self._account.call(
                "rds", "DescribeDBEngineVersions", parameters, region=region, priority=priority
            )
        except Trouble as trouble:
            if trouble.code == UNSUPPORTED:
                return None
            raise
        found: Mapping[str, Any] = next(iter(answer.get("DBEngineVersions") or ()), {})
        version = str(found.get("EngineVersion") or "")
        if not version:
            return None
        targets = (
            (str(t["EngineVersion"]), bool(t.get("IsMajorVersionUpgrade")))
            for t in found.get("ValidUpgradeTarget") or ()
            if t.get("EngineVersion")
        )
        family = str(found.get("DBParameterGroupFamily") or "") or family_of(str(parameters["Engine"]), version)
        return Engine(version, family, tuple(targets))

    async def _parameters(self, operation: str, region: str, family: str, priority: Priority) -> dict[str, Parameter]:
        found: dict[str, Parameter] = {}
        asked: dict[str, Any] = {"DBParameterGroupFamily": family, "MaxRecords": _PAGE}
        for _ in range(_PAGES):
            answer = await self._account.call("rds", operation, asked, region=region, priority=priority)
            defaults = answer.get("EngineDefaults") or {}
            found.update((p.name, p) for p in map(rds.parameter, defaults.get("Parameters") or ()))
            marker = defaults.get("Marker")
            if not marker or marker == asked.get("Marker"):
                break
            asked = {**asked, "Marker": marker}
        return found

    async def _once(self, key: tuple[str, ...], read: Callable[[], Awaitable[Any]]) -> Any:
        known = self._known.get(key)
        now = asyncio.get_running_loop().time()
        if known is not None and now - known[1] < _DAY:
            return known[0]
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(key, read))
        # Whoever is cancelled must not take the read from the others.
        return await asyncio.shield(task)

    async def _read(self, key: tuple[str, ...], read: Callable[[], Awaitable[Any]]) -> Any:
        try:
            value = await read()
            self._known[key] = (value, asyncio.get_running_loop().time())
            return value
        finally:
            self._reading.pop(key, None)
