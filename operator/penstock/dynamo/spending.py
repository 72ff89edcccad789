"""What of a table is paid by use, and the metrics that tell of it (DynamoDB guide, "DynamoDB metrics and dimensions"). Pure."""

from __future__ import annotations

from penstock.aws.dynamodb import PROVISIONED, Table
from penstock.aws.series import Query
from penstock.cost.dynamo import INFREQUENT_ACCESS
from penstock.cost.spend import DAY, How, Meter

_NAMESPACE = "AWS/DynamoDB"
_KINDS = (
    ("writes", "write-request", "ConsumedWriteCapacityUnits"),
    ("reads", "read-request", "ConsumedReadCapacityUnits"),
)


def meters(table: Table) -> tuple[Meter, ...]:
    """The requests of a table on demand and of its indexes; provisioned units are paid by the hour, used or not."""
    if table.billing == PROVISIONED:
        return ()
    prefix = f"dynamodb.{'infrequent-access' if table.table_class == INFREQUENT_ACCESS else 'standard'}"
    name = ("TableName", table.name)
    indexes = [(name, ("GlobalSecondaryIndexName", i.name)) for i in table.indexes if i.status != "DELETING"]
    found = []
    for words, key, metric in _KINDS:
        # What a local index consumes is in the table's own figure.
        found.append(Meter(f"on-demand {words}", f"{prefix}.{key}", (_query(metric, (name,)),), How.COUNT))
        if indexes:
            queries = tuple(_query(metric, dimensions) for dimensions in indexes)
            found.append(Meter(f"on-demand {words} of global indexes", f"{prefix}.{key}", queries, How.COUNT))
    return tuple(found)


def _query(metric: str, dimensions: tuple[tuple[str, str], ...]) -> Query:
    return Query(_NAMESPACE, metric, dimensions, "Sum", DAY)
