"""The rules of DynamoTable, each once: as CEL for the API server and as Python for everything else.

Limits are those of the DynamoDB API reference and of "Quotas in Amazon DynamoDB". The Python takes the models of
`dynamotable.py`, which carry these rules.
"""

from __future__ import annotations

from typing import Any, Final

from penstock.api.forms import kms_key
from penstock.api.model import Rule, Says, between, matching, of_spec, once_created

NAME = matching(
    r"[a-zA-Z0-9_.-]{3,255}",
    "must be 3 to 255 characters of a-z, A-Z, 0-9, '_', '-' and '.', as DynamoDB allows",
)
CAP = Says(
    "self >= 1 || self == -1",
    lambda units: units >= 1 or units == -1,
    "must be at least 1; leave the field out for no cap, or write -1 to remove a cap that was set before",
)
UNITS = between(1, None, "must be at least 1 capacity unit")
KMS_KEY = kms_key("alias/orders", "the key that AWS owns")
BACKUP_ARN = matching(
    r"arn:aws[a-z-]{0,20}:dynamodb:[a-z0-9-]{1,30}:[0-9]{12}:table/[a-zA-Z0-9_.-]{3,255}/backup/[a-zA-Z0-9_.-]{1,64}"
    r"|arn:aws[a-z-]{0,20}:backup:[a-z0-9-]{1,30}:[0-9]{12}:recovery-point:[a-zA-Z0-9-]{1,64}",
    "must be the ARN of a DynamoDB backup, "
    'for example "arn:aws:dynamodb:us-east-1:123456789012:table/orders/backup/01489602797149-73d8d5bc"',
)
_DISTINCT = Rule(
    "must be another attribute than the partition key's",
    cel="!has(self.sort) || self.sort.name != self.partition.name",
    holds=lambda key: key.sort is None or key.sort.name != key.partition.name,
    at="sort",
)
KEY = (_DISTINCT,)

THROUGHPUT = (
    Rule(
        "must say units, or min and max for autoscaling",
        cel="has(self.units) || has(self.min) || has(self.max)",
        holds=lambda t: t.units is not None or t.min is not None or t.max is not None,
    ),
    Rule(
        "must have both min and max for autoscaling, or neither for a fixed number of units",
        cel="has(self.min) == has(self.max)",
        holds=lambda t: (t.min is None) == (t.max is None),
    ),
    Rule(
        "must not be more than max",
        cel="!has(self.min) || !has(self.max) || self.min <= self.max",
        holds=lambda t: t.min is None or t.max is None or t.min <= t.max,
        at="min",
    ),
    Rule(
        "must lie between min and max",
        cel="!has(self.units) || !has(self.min) || !has(self.max)"
        " || self.min > self.max || (self.min <= self.units && self.units <= self.max)",
        holds=lambda t: t.units is None or t.min is None or t.max is None or t.min > t.max or t.min <= t.units <= t.max,
        at="units",
    ),
    Rule(
        "is for autoscaling only: write min and max as well, or leave it out",
        cel="!has(self.targetUtilization) || has(self.min) || has(self.max)",
        holds=lambda t: t.target_utilization is None or t.min is not None or t.max is not None,
        at="targetUtilization",
    ),
)

CAPACITY = (
    Rule(
        "is missing: capacity mode Provisioned needs it, for example {units: 5}",
        cel="self.mode != 'Provisioned' || has(self.read)",
        holds=lambda c: c.mode != "Provisioned" or c.read is not None,
        at="read",
    ),
    Rule(
        "is missing: capacity mode Provisioned needs it, for example {units: 5}",
        cel="self.mode != 'Provisioned' || has(self.write)",
        holds=lambda c: c.mode != "Provisioned" or c.write is not None,
        at="write",
    ),
    Rule(
        "read and write units belong to mode Provisioned; on demand use maxReadUnits and maxWriteUnits, "
        "or nothing for no cap",
        cel="self.mode != 'OnDemand' || (!has(self.read) && !has(self.write))",
        holds=lambda c: c.mode != "OnDemand" or not c.has_units,
    ),
    Rule(
        "maxReadUnits and maxWriteUnits belong to mode OnDemand; in mode Provisioned use read.max and write.max",
        cel="self.mode != 'Provisioned' || (!has(self.maxReadUnits) && !has(self.maxWriteUnits))",
        holds=lambda c: c.mode != "Provisioned" or not c.has_caps,
    ),
)

PROJECTION = (
    Rule(
        "is missing: projection type Include needs at least one attribute; for none use type KeysOnly",
        cel="self.type != 'Include' || (has(self.attributes) && size(self.attributes) > 0)",
        holds=lambda p: p.type != "Include" or bool(p.attributes),
        at="attributes",
    ),
    Rule(
        "belongs to projection type Include only; leave it out or change the type",
        cel="self.type == 'Include' || !has(self.attributes) || size(self.attributes) == 0",
        holds=lambda p: p.type == "Include" or not p.attributes,
        at="attributes",
    ),
)

WARM_THROUGHPUT = (
    Rule(
        "must say readUnits, writeUnits or both",
        cel="has(self.readUnits) || has(self.writeUnits)",
        holds=lambda w: w.read_units is not None or w.write_units is not None,
    ),
)

STREAM = (
    Rule(
        "is missing: say KeysOnly, NewImage, OldImage or NewAndOldImages, or enabled: false for no stream",
        cel="has(self.view) || (has(self.enabled) && !self.enabled)",
        holds=lambda s: s.view is not None or not s.enabled,
        at="view",
    ),
)

POLICY = (
    Rule(
        'needs both Version ("2012-10-17") and Statement (a list); leave both out for no policy',
        cel="has(self.Version) == has(self.Statement)",
        holds=lambda p: (p.version is None) == (p.statement is None),
    ),
)

RESTORE = (
    Rule(
        "must name exactly one source: backupArn, or tableName with an optional time",
        cel="has(self.backupArn) != has(self.tableName)",
        holds=lambda r: (r.backup_arn is None) != (r.table_name is None),
    ),
    Rule(
        "belongs to tableName: a backup has its own time",
        cel="!has(self.time) || has(self.tableName) || !has(self.backupArn)",
        holds=lambda r: r.time is None or r.table_name is not None or r.backup_arn is None,
        at="time",
    ),
)


def _agree(one: str, other: str) -> str:
    """CEL: two key attributes are not one attribute with two types. Pairs, because CEL's cost estimate has no bound
    for joined lists."""
    return f"({one}.name != {other}.name || {one}.type == {other}.type)"


_GLOBALS_AGREE: Final = (
    "!has(self.globalIndexes) || self.globalIndexes.all(g,"
    f" {_agree('g.partition', 'self.key.partition')}"
    f" && (!has(self.key.sort) || {_agree('g.partition', 'self.key.sort')})"
    f" && (!has(g.sort) || {_agree('g.sort', 'self.key.partition')})"
    f" && (!has(g.sort) || !has(self.key.sort) || {_agree('g.sort', 'self.key.sort')})"
    " && self.globalIndexes.all(h,"
    f" {_agree('g.partition', 'h.partition')}"
    f" && (!has(h.sort) || {_agree('g.partition', 'h.sort')})"
    f" && (!has(g.sort) || !has(h.sort) || {_agree('g.sort', 'h.sort')})))"
)
_LOCALS_AGREE: Final = (
    "!has(self.localIndexes) || self.localIndexes.all(l,"
    f" self.localIndexes.all(m, {_agree('l.sort', 'm.sort')})"
    " && (!has(self.globalIndexes) || self.globalIndexes.all(g,"
    f" {_agree('l.sort', 'g.partition')} && (!has(g.sort) || {_agree('l.sort', 'g.sort')}))))"
)


def _keys(*keys: Any) -> list[Any]:
    """The attributes of keys."""
    return [attribute for key in keys for attribute in (key.partition, key.sort) if attribute]


def _one_type_each(attributes: list[Any]) -> bool:
    return len({a.name for a in attributes}) == len({(a.name, a.type) for a in attributes})


def _locals_agree(spec: Any) -> bool:
    others = [*_keys(*(spec.global_indexes or ())), *(index.sort for index in spec.local_indexes or ())]
    return all(
        index.sort.name != other.name or index.sort.type == other.type
        for index in spec.local_indexes or ()
        for other in others
    )


def _same_locals(new: Any, old: Any) -> bool:
    return {i.name: i for i in new.local_indexes or ()} == {i.name: i for i in old.local_indexes or ()}


# AWS settles these when it makes the table. Before that, the value may be the very one that AWS refuses.
_SETTLED = (
    Rule(
        "must be unchanged: the region of a table is for ever; make another DynamoTable in the other region",
        cel="has(self.region) == has(oldSelf.region) && (!has(self.region) || self.region == oldSelf.region)",
        keeps=lambda new, old: new.region == old.region,
        at="region",
    ),
    Rule(
        "must be unchanged: the key of a table is for ever; make another DynamoTable and copy the items",
        cel="self.key == oldSelf.key",
        keeps=lambda new, old: new.key == old.key,
        at="key",
    ),
    Rule(
        "must be unchanged: DynamoDB makes local indexes only together with the table; use a global index",
        cel="(has(self.localIndexes) && size(self.localIndexes) > 0)"
        " == (has(oldSelf.localIndexes) && size(oldSelf.localIndexes) > 0)"
        " && (!has(self.localIndexes) || !has(oldSelf.localIndexes) || self.localIndexes == oldSelf.localIndexes)",
        keeps=_same_locals,
        at="localIndexes",
    ),
    Rule(
        "may be removed, but not added or changed: it is read only when the table is made; "
        "make another DynamoTable to restore into",
        cel="!has(self.restoreFrom) || (has(oldSelf.restoreFrom) && self.restoreFrom == oldSelf.restoreFrom)",
        keeps=lambda new, old: new.restore_from is None or new.restore_from == old.restore_from,
        at="restoreFrom",
    ),
)

SPEC = (
    Rule(
        "needs capacity: only units and caps that are managed can go down and come back; say its mode",
        cel="!has(self.hibernation) || has(self.capacity)",
        holds=lambda s: s.hibernation is None or s.capacity is not None,
        at="hibernation",
    ),
    Rule(
        "must not give one attribute two types: it has the same type in the table's key and in every index",
        cel=_GLOBALS_AGREE,
        holds=lambda s: _one_type_each(_keys(s.key, *(s.global_indexes or ()))),
        at="globalIndexes",
    ),
    Rule(
        "must not give one attribute two types: it has the same type in the table's key and in every index",
        cel=_LOCALS_AGREE,
        holds=_locals_agree,
        at="localIndexes",
    ),
    Rule(
        "must not be part of the table's key: items would expire by their identity; use another attribute",
        cel="!has(self.ttl) || (self.ttl.attribute != self.key.partition.name"
        " && (!has(self.key.sort) || self.ttl.attribute != self.key.sort.name))",
        holds=lambda s: (
            s.ttl is None or s.ttl.attribute not in {s.key.partition.name, s.key.sort.name if s.key.sort else ""}
        ),
        at="ttl",
    ),
    Rule(
        "must each have capacity.read and capacity.write: the table's capacity mode is Provisioned",
        cel="!has(self.capacity) || self.capacity.mode != 'Provisioned' || !has(self.globalIndexes)"
        " || self.globalIndexes.all(i, has(i.capacity) && has(i.capacity.read) && has(i.capacity.write))",
        holds=lambda s: (
            s.capacity_mode != "Provisioned"
            or all(i.capacity and i.capacity.read and i.capacity.write for i in s.global_indexes or ())
        ),
        at="globalIndexes",
    ),
    Rule(
        "must not have capacity.read or capacity.write: the table's capacity mode is OnDemand; "
        "use capacity.maxReadUnits and capacity.maxWriteUnits",
        cel="!has(self.capacity) || self.capacity.mode != 'OnDemand' || !has(self.globalIndexes)"
        " || self.globalIndexes.all(i, !has(i.capacity) || (!has(i.capacity.read) && !has(i.capacity.write)))",
        holds=lambda s: s.capacity_mode != "OnDemand" or not any(c.has_units for c in s.index_capacities()),
        at="globalIndexes",
    ),
    Rule(
        "must not have capacity.maxReadUnits or capacity.maxWriteUnits: the table's capacity mode is Provisioned; "
        "use capacity.read.max and capacity.write.max",
        cel="!has(self.capacity) || self.capacity.mode != 'Provisioned' || !has(self.globalIndexes)"
        " || self.globalIndexes.all(i, !has(i.capacity)"
        " || (!has(i.capacity.maxReadUnits) && !has(i.capacity.maxWriteUnits)))",
        holds=lambda s: s.capacity_mode != "Provisioned" or not any(c.has_caps for c in s.index_capacities()),
        at="globalIndexes",
    ),
    Rule(
        "need a table with a sort key: add key.sort, or use globalIndexes",
        cel="!has(self.localIndexes) || size(self.localIndexes) == 0 || has(self.key.sort)",
        holds=lambda s: not s.local_indexes or s.key.sort is not None,
        at="localIndexes",
    ),
    Rule(
        "must each sort by another attribute than the keys of the table",
        cel="!has(self.localIndexes) || self.localIndexes.all(i, i.sort.name != self.key.partition.name"
        " && (!has(self.key.sort) || i.sort.name != self.key.sort.name))",
        holds=lambda s: all(
            i.sort.name not in {s.key.partition.name, s.key.sort.name if s.key.sort else ""}
            for i in s.local_indexes or ()
        ),
        at="localIndexes",
    ),
    Rule(
        "must not have the name of a global index: all indexes of a table share one set of names",
        cel="!has(self.localIndexes) || !has(self.globalIndexes)"
        " || !self.localIndexes.exists(l, self.globalIndexes.exists(g, g.name == l.name))",
        holds=lambda s: not {i.name for i in s.local_indexes or ()} & {i.name for i in s.global_indexes or ()},
        at="localIndexes",
    ),
    Rule(
        "includes more than 100 attributes over all indexes; use projection type All where an index needs most of them",
        cel="(has(self.globalIndexes) ? self.globalIndexes.map(i, has(i.projection.attributes)"
        " ? size(i.projection.attributes) : 0).sum() : 0)"
        " + (has(self.localIndexes) ? self.localIndexes.map(i, has(i.projection.attributes)"
        " ? size(i.projection.attributes) : 0).sum() : 0) <= 100",
        holds=lambda s: s.included() <= 100,
    ),
)


_NAME = Rule(
    "must be unchanged: the name of a table is for ever; make another DynamoTable",
    cel="(has(self.spec.tableName) ? self.spec.tableName : self.metadata.name)"
    " == (has(oldSelf.spec.tableName) ? oldSelf.spec.tableName : oldSelf.metadata.name)",
    keeps=lambda new, old: new.table_name == old.table_name,
    at="spec.tableName",
)

TABLE = (
    *once_created("tableArn", _NAME, *map(of_spec, _SETTLED)),
    Rule(
        "is too short to be the table's name: DynamoDB needs at least 3 characters; set spec.tableName",
        cel="has(self.spec.tableName) || size(self.metadata.name) >= 3",
        holds=lambda t: t.spec.table_name is not None or len(t.metadata.name) >= 3,
        at="metadata.name",
    ),
)
