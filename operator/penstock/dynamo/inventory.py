"""What is read for all tables of a region at once: which exist (ListTables) and their tags (Resource Groups Tagging API), in pages of 100.

DynamoDB has no batch describe. A listing every minute costs ten calls for a thousand tables and tells of a deletion within that minute; tags by
page cost ten calls where one ListTagsOfResource a table would cost a thousand, at ten a second for the whole account.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.aws.account import Account
from penstock.aws.errors import UNSUPPORTED
from penstock.dynamo.memory import MISSING, Memory
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


class Inventory:
    """Runs until cancelled; wakes the objects whose table is gone or whose tags changed."""

    def __init__(self, account: Account, cycles: InventoryCycles) -> None:
        self._account = account
        self._cycles = cycles

    async def list_once(self, known: Iterable[Known]) -> list[Key]:
        """One ListTables of every region with enough tables; the keys of objects whose table is no longer there."""
        woken = []
        for region, tables in _by_region(known).items():
            if len(tables) < self._cycles.few:
                continue
            began = asyncio.get_running_loop().time()
            names = await self._names(region)
            for table in tables:
                # What was described after the listing began is newer than the listing.
                described = table.memory.facets.get("table")
                if (
                    table.name not in names
                    and described is not None
                    and described[0] is not None
                    and described[1] < began
                ):
                    table.memory.drop("table", "partial")
                    woken.append(table.key)
        return woken

    async def tags_once(self, known: Iterable[Known]) -> list[Key]:
        """One reading of all tags; the keys of objects whose table's tags are not what was remembered."""
        woken = []
        for region, tables in _by_region(known).items():
            began = asyncio.get_running_loop().time()
            try:
                tags = await self._tags(region)
            except Trouble as trouble:
                if trouble.meaning is not Meaning.DENIED and trouble.code != UNSUPPORTED:
                    raise
                # Without the tagging API each table's tags are read again with its next pass, paced by their own bucket.
                for table in tables:
                    table.memory.expire("tags")
                continue
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
