"""What is read of a region for all of its tables: a region that fails keeps no other one waiting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import REGISTRY
from virtual_time import virtual

from penstock.api.conditions import Reason
from penstock.dynamo.inventory import Inventory, InventoryCycles, Known
from penstock.dynamo.memory import Memory
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Key

# The one that fails comes first.
BAD, GOOD = "ap-east-1", "eu-west-1"
UNAVAILABLE = Trouble(Meaning.UNAVAILABLE, Reason.UNAVAILABLE, "AWS cannot be reached.")


class Regions:
    """Regions without tables and with one tag on each; one of them fails."""

    def __init__(self, error: Exception) -> None:
        self.errors: dict[str, Exception] = {BAD: error}

    async def call(
        self, service: str, operation: str, parameters: Mapping[str, Any], *, region: str, **_: Any
    ) -> dict[str, Any]:
        if region in self.errors:
            await asyncio.sleep(20)
            raise self.errors[region]
        if operation == "ListTables":
            return {"TableNames": []}
        tags = [{"Key": "team", "Value": "b"}]
        return {"ResourceTagMappingList": [{"ResourceARN": f"arn:{region}", "Tags": tags}]}


def tables() -> list[Known]:
    found = []
    for region in (BAD, GOOD):
        memory = Memory()
        memory.put("table", {"TableName": "a"}, 0)
        memory.put("tags", {"team": "a"}, 0)
        found.append(Known(Key("DynamoTable", "shop", region), region, "a", f"arn:{region}", memory))
    return found


def age(inventory: Inventory, region: str, read: str) -> float | None:
    inventory.measure()
    return REGISTRY.get_sample_value("penstock_inventory_age_seconds", {"region": region, "read": read})


@pytest.mark.parametrize("read", ["tables", "tags"])
@pytest.mark.parametrize("error", [UNAVAILABLE, RuntimeError("a defect")], ids=["trouble", "defect"])
def test_a_region_that_fails_keeps_no_other_one_waiting(
    read: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @virtual
    async def scenario() -> None:
        account = Regions(error)
        inventory = Inventory(account, InventoryCycles(few=1))  # type: ignore[arg-type]
        once = {"tables": inventory.list_once, "tags": inventory.tags_once}[read]
        known = tables()
        assert [key.name for key in await once(known)] == [GOOD]
        assert f"{read} of {BAD} were not read" in caplog.text
        await asyncio.sleep(1000)
        await once(known)
        assert (age(inventory, BAD, read) or 0) > 1000
        assert (age(inventory, GOOD, read) or 0) <= 20
        account.errors.clear()
        assert BAD in [key.name for key in await once(known)]
        assert age(inventory, BAD, read) == 0

    scenario()


@virtual
async def test_a_region_without_tables_is_no_longer_measured() -> None:
    from penstock.engine import metrics

    inventory = Inventory(Regions(UNAVAILABLE), InventoryCycles(few=1))  # type: ignore[arg-type]
    await inventory.list_once(tables())
    assert age(inventory, BAD, "tables") is not None
    await inventory.list_once([])
    metrics.INVENTORY_AGE.clear()
    assert age(inventory, BAD, "tables") is None
