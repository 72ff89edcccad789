"""Mixed reads and writes of mixed sizes, and what they cost by DynamoDB's published rules, worked out beside the lab and the operator.

Rules: DynamoDB developer guide, "Read and write capacity mode" (a write unit is 1 KiB, a read unit 4 KiB, eventually consistent reads are half, what
is transactional is double) and "DynamoDB item sizes and formats" (names count, in UTF-8).
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

WRITE, READ = Decimal("0.625") / 10**6, Decimal("0.125") / 10**6
INDEX = "by-kind"
_SIZES = (40, 200, 900, 1000, 1100, 3900, 4200, 9000)


@dataclass
class Units:
    """Request units, exact."""

    writes: Decimal = Decimal(0)
    index_writes: Decimal = Decimal(0)
    reads: Decimal = Decimal(0)
    operations: int = 0

    def __iadd__(self, other: Units) -> Units:
        self.writes += other.writes
        self.index_writes += other.index_writes
        self.reads += other.reads
        self.operations += other.operations
        return self

    @property
    def usd(self) -> Decimal:
        return (self.writes + self.index_writes) * WRITE + self.reads * READ


def _steps(size: int, step: int) -> int:
    return max(1, -(-size // step))


def _item(number: str, size: int, indexed: bool) -> tuple[dict[str, Any], int]:
    """An item of about that size, and its exact size."""
    item = {"id": {"S": number}, "data": {"S": "x" * size}}
    bytes_ = 2 + len(number) + 4 + size
    if indexed:
        item["kind"] = {"S": "k"}
        bytes_ += 4 + 1
    return item, bytes_


def load(client: Any, table: str, operations: int, seed: int = 1, threads: int = 8, indexed: bool = True) -> Units:
    """Writes and reads about that many items, half and half, on demand. Items with a `kind` are in a keys-only index."""
    share = operations // threads
    with ThreadPoolExecutor(threads) as pool:
        parts = pool.map(
            lambda n: _part(client, table, share, random.Random(seed + n), f"{seed}-{n}", indexed), range(threads)
        )
        total = Units()
        for part in parts:
            total += part
    return total


def _part(client: Any, table: str, operations: int, rng: random.Random, prefix: str, indexed: bool) -> Units:
    units, number, known = Units(), 0, []
    while units.operations < operations:
        batch = []
        transactional = rng.random() < 0.1
        for _ in range(rng.randint(10, 25)):
            in_index = indexed and rng.random() < 0.5
            item, size = _item(f"{prefix}-{number}", rng.choice(_SIZES), in_index)
            number += 1
            batch.append(item)
            known.append((item["id"], size))
            units.writes += _steps(size, 1024) * (2 if transactional else 1)
            # Keys and nothing else are copied: less than 1 KiB. A transaction does not double it.
            units.index_writes += 1 if in_index else 0
        if transactional:
            client.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": i}} for i in batch])
        else:
            client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": i}} for i in batch]})
        units.operations += len(batch)
        keys = rng.sample(known[-200:], min(len(known), rng.randint(10, 40)))
        consistent = rng.random() < 0.5
        client.batch_get_item(
            RequestItems={table: {"Keys": [{"id": key} for key, _ in keys], "ConsistentRead": consistent}}
        )
        factor = Decimal(1) if consistent else Decimal("0.5")
        units.reads += sum((_steps(size, 4096) * factor for _, size in keys), Decimal(0))
        units.operations += len(keys)
    return units
