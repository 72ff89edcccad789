"""What is read for all tables of a region at once: which exist (ListTables) and their tags (Resource Groups Tagging API), in pages of 100.

DynamoDB has no batch describe. A listing every minute costs ten calls for a thousand tables and tells of a deletion within that minute; tags by
page cost ten calls where one ListTagsOfResource a table would cost a thousand, at ten a second for the whole account.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from penstock.aws.account import Account
from penstock.aws.errors import UNSUPPORTED
from penstock.dynamo.memory import MISSING, Memory
from penstock.engine import metrics
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Key
from penstock.engine.queue import Priority

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """One table that some object has: where it is and what is remembered of it."""

    key: Key
    region: str
    name: str
    arn: str
    memory: Memory


@dataclass(frozen=True)
class InventoryCycles:
    """Seconds between two listings and between two readings of the tags.

    few: with fewer tables their own passes are as cheap, and no listing is made."""

    listing: float = 60.0
    tags: float = 660.0
    few: int = 20


Read = Callable[[str, "list[Known]"], Awaitable["list[Key]"]]


class Inventory:
    """What is read of a region is read for all of its tables. A region that fails keeps no other one waiting."""

    def __init__(self, account: Account, cycles: InventoryCycles) -> None:
        self._account = account
        self._cycles = cycles
        # By read and region: since when it is read, or when its last good read began; and why the last one failed.
        self._read_at: dict[tuple[str, str], float] = {}
        self._failures: dict[tuple[str, str], str] = {}

    async def list_once(self, known: Iterable[Known]) -> list[Key]:
        """One ListTables of every region with enough tables; the keys of objects whose table is no longer there."""
        regions = {region: tables for region, tables in _by_region(known).items() if len(tables) >= self._cycles.few}
        return await self._each("tables", regions, self._listed)

    async def tags_once(self, known: Iterable[Known]) -> list[Key]:
        """One reading of all tags; the keys of objects whose table's tags are not what was remembered."""
        return await self._each("tags", _by_region(known), self._tagged)

    def measure(self) -> None:
        """Set the metrics; to be called before they are read."""
        now = asyncio.get_running_loop().time()
        for (read, region), at in self._read_at.items():
            metrics.INVENTORY_AGE.labels(region, read).set(now - at)

    async def _each(self, name: str, regions: Mapping[str, list[Known]], read: Read) -> list[Key]:
        for gone in [k for k in self._read_at if k[0] == name and k[1] not in regions]:
            del self._read_at[gone]
            self._failures.pop(gone, None)
        found = await asyncio.gather(*(self._one(name, region, tables, read) for region, tables in regions.items()))
        return [key for keys in found for key in keys]

    async def _one(self, name: str, region: str, tables: list[Known], read: Read) -> list[Key]:
        began = asyncio.get_running_loop().time()
        self._read_at.setdefault((name, region), began)
        try:
            woken = await read(region, tables)
        except Trouble as trouble:
            if self._failures.get((name, region)) != trouble.reason:
                log.warning("%s of %s were not read: %s", name, region, trouble.sentence)
            self._failures[name, region] = trouble.reason
            return []
        except Exception:
            log.exception("%s of %s were not read", name, region)
            return []
        if self._failures.pop((name, region), None):
            log.info("%s of %s are read again", name, region)
        self._read_at[name, region] = began
        return woken

    async def _listed(self, region: str, tables: list[Known]) -> list[Key]:
        woken = []
        began = asyncio.get_running_loop().time()
        names = await self._names(region)
        for table in tables:
            # What was described after the listing began is newer than the listing.
            described = table.memory.facets.get("table")
            if table.name not in names and described is not None and described[0] is not None and described[1] < began:
                table.memory.drop("table", "partial")
                woken.append(table.key)
        return woken

    async def _tagged(self, region: str, tables: list[Known]) -> list[Key]:
        woken = []
        began = asyncio.get_running_loop().time()
        try:
            tags = await self._tags(region)
        except Trouble as trouble:
            if trouble.meaning is Meaning.DENIED or trouble.code == UNSUPPORTED:
                # Without the tagging API each table's tags are read again with its next pass, paced by their own bucket.
                for table in tables:
                    table.memory.expire("tags")
            raise
        for table in tables:
            if table.arn not in tags or table.memory.age("tags", began) < 0:
                continue
            before = table.memory.get("tags")
            if before is MISSING or dict(before or {}) != tags[table.arn]:
                # The tagging API lags; a change is read again from the table itself before anything is decided.
                if before is MISSING:
                    table.memory.put("tags", tags[table.arn], began)
                else:
                    table.memory.expire("tags")
                woken.append(table.key)
            else:
                table.memory.put("tags", before, began)
        return woken

    async def _names(self, region: str) -> set[str]:
        names: set[str] = set()
        more: dict[str, str] = {}
        while True:
            answer = await self._account.call(
                "dynamodb", "ListTables", more, region=region, priority=Priority.BACKGROUND
            )
            names.update(answer.get("TableNames") or ())
            if not answer.get("LastEvaluatedTableName"):
                return names
            more = {"ExclusiveStartTableName": answer["LastEvaluatedTableName"]}

    async def _tags(self, region: str) -> Mapping[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        parameters: dict[str, object] = {"ResourceTypeFilters": ["dynamodb:table"], "ResourcesPerPage": 100}
        while True:
            answer = await self._account.call(
                "resourcegroupstaggingapi", "GetResources", parameters, region=region, priority=Priority.BACKGROUND
            )
            for entry in answer.get("ResourceTagMappingList") or ():
                found[entry["ResourceARN"]] = {t["Key"]: t["Value"] for t in entry.get("Tags") or ()}
            if not answer.get("PaginationToken"):
                return found
            parameters["PaginationToken"] = answer["PaginationToken"]

    def next_listing(self) -> float:
        return self._cycles.listing * random.uniform(0.9, 1.1)

    def next_tags(self) -> float:
        return self._cycles.tags * random.uniform(0.9, 1.1)


def _by_region(known: Iterable[Known]) -> dict[str, list[Known]]:
    regions: dict[str, list[Known]] = {}
    for table in known:
        regions.setdefault(table.region, []).append(table)
    return regions
