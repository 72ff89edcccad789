"""Changes of the table itself: everything that UpdateTable does, in the order in which it is best done."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.api.conditions import Reason
from penstock.api.dynamotable import CapacityMode, GlobalIndex, Throughput
from penstock.aws.dynamodb import ON_DEMAND, PROVISIONED, Index, KeySchema, KmsKey, Table, Units
from penstock.dynamo import requests, scaling
from penstock.dynamo.state import Desired, Observed
from penstock.engine.plan import Effect, Refusal, Step, Wait, When, consent_hash, consents

_TYPE_WORDS = {word: str(name) for name, word in requests.TYPES.items()}


@dataclass
class Updates:
    """Steps that are all UpdateTable, what waits for consent, and what is refused."""

    steps: list[Step] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def updates(desired: Desired, observed: Observed, table: Table) -> Updates:
    """All differences that UpdateTable mends. Cheap and protective ones first, indexes last because they take longest."""
    found = Updates()
    moved = scaling.moved(desired, observed)
    found.steps += [
        *_protection(desired, table),
        *_capacity(desired, table, moved, found.refusals),
        *_caps(desired, table),
        *_warm(desired, table),
        *_encryption(desired, observed.kms, table),
        *_table_class(desired, table),
        *_stream(desired, table),
    ]
    _indexes(desired, table, found)
    return found


def unserved(desired: Desired, table: Table) -> list[str]:
    """Global indexes of the spec whose queries fail or answer otherwise: missing, still being filled, or of another shape."""
    have = {index.name: index for index in table.indexes}
    return [
        wanted.name
        for wanted in desired.spec.global_indexes or ()
        if wanted.name not in have
        or have[wanted.name].status in ("CREATING", "DELETING")
        or _differs(wanted, have[wanted.name], table)
    ]


def foreign_indexes(desired: Desired, table: Table) -> list[str]:
    """Indexes that neither the spec nor, at any time, this object asked for. They are left alone and told."""
    if desired.spec.global_indexes is None:
        return []
    wanted = {i.name for i in desired.spec.global_indexes}
    return [i.name for i in table.indexes if i.name not in wanted and not _once_named(desired, i)]


def _update(table: Table, change: dict[str, Any], summary: str, **more: Any) -> Step:
    return Step("dynamodb", "UpdateTable", {"TableName": table.name, **change}, summary, facet="table", **more)


def _drift(desired: Desired, what: str, before: object, after: object) -> str:
    """Told as an Event when the step has run, but only where somebody else made the difference."""
    return f"{what} was {before} and is set back to {after}." if desired.settled else ""


def _protection(desired: Desired, table: Table) -> list[Step]:
    wanted = desired.spec.deletion_protection
    if wanted is None or wanted == table.protected:
        return []
    words = ("off", "on") if wanted else ("on", "off")
    drift = _drift(desired, "Deletion protection", *words)
    return [_update(table, {"DeletionProtectionEnabled": wanted}, f"turn deletion protection {words[1]}", drift=drift)]


_Moved = frozenset[tuple[str, str]]


def _capacity(desired: Desired, table: Table, moved: _Moved, refusals: list[Refusal]) -> list[Step]:
    capacity = desired.spec.capacity
    if capacity is None:
        # The mode and the table's own units are not managed; what the spec says of an index is.
        return _units(desired, table, moved, refusals) if table.billing == PROVISIONED else []
    if capacity.mode is CapacityMode.ON_DEMAND:
        if table.billing == ON_DEMAND:
            return []
        drift = _drift(desired, "Capacity mode", "Provisioned", "OnDemand")
        return [_update(table, {"BillingMode": ON_DEMAND}, "switch capacity to OnDemand", drift=drift)]
    if table.billing != PROVISIONED:
        drift = _drift(desired, "Capacity mode", "OnDemand", "Provisioned")
        body = requests.switch_to_provisioned(desired, table)
        return [_update(table, body, "switch capacity to Provisioned", drift=drift)]
    return _units(desired, table, moved, refusals)


def _units(desired: Desired, table: Table, moved: _Moved, refusals: list[Refusal]) -> list[Step]:
    """Provisioned units of the table and its indexes in one request, since AWS takes them so and counts it as one change."""
    capacity = desired.spec.capacity
    body: dict[str, Any] = {}
    words: list[str] = []
    named = _wanted_units(table.units, capacity.read, capacity.write) if capacity else table.units
    wanted = scaling.unmoved(table.units, named, table.name, "", moved)
    refusals += _clashes(f"table {table.name}", table.units, named, wanted)
    if wanted != table.units:
        body["ProvisionedThroughput"] = _throughput(wanted)
        words.append(_units_words("table", table.units, wanted))
    changed = []
    for index in desired.spec.global_indexes or ():
        have = table.index(index.name)
        if have is None or have.status != "ACTIVE" or index.capacity is None:
            continue
        named = _wanted_units(have.units, index.capacity.read, index.capacity.write)
        wanted = scaling.unmoved(have.units, named, table.name, index.name, moved)
        refusals += _clashes(f"index {index.name}", have.units, named, wanted)
        if wanted != have.units:
            changed.append({"Update": {"IndexName": index.name, "ProvisionedThroughput": _throughput(wanted)}})
            words.append(_units_words(f"index {index.name}", have.units, wanted))
    if changed:
        body["GlobalSecondaryIndexUpdates"] = changed
    if not body:
        return []
    summary = f"set provisioned units: {', '.join(words)}"
    drift = (
        f"Provisioned units were changed by somebody else and are set back: {', '.join(words)}."
        if desired.settled
        else ""
    )
    return [_update(table, body, summary, drift=drift)]


def _wanted_units(have: Units, read: Throughput | None, write: Throughput | None) -> Units:
    """Where autoscaling owns a dimension its units are left alone; registering the target brings them into its range."""

    def one(units: int, throughput: Throughput | None) -> int:
        return units if throughput is None or throughput.autoscaled or throughput.units is None else throughput.units

    return Units(one(have.read, read), one(have.write, write))


def _clashes(what: str, have: Units, named: Units, wanted: Units) -> list[Refusal]:
    """What the spec names and somebody else's autoscaling keeps from being set."""
    pairs = (("Read", have.read, named.read, wanted.read), ("Write", have.write, named.write, wanted.write))
    return [scaling.clash(what, direction, now, name) for direction, now, name, want in pairs if name != want]


def _units_words(what: str, have: Units, wanted: Units) -> str:
    return f"{what} {have.read}/{have.write} to {wanted.read}/{wanted.write} read/write"


def _throughput(units: Units) -> dict[str, int]:
    return {"ReadCapacityUnits": units.read, "WriteCapacityUnits": units.write}


def _caps(desired: Desired, table: Table) -> list[Step]:
    capacity = desired.spec.capacity
    if table.billing != ON_DEMAND or (capacity is not None and capacity.mode is not CapacityMode.ON_DEMAND):
        return []
    body: dict[str, Any] = {}
    words: list[str] = []
    named = requests.caps(capacity)
    if _caps_differ(named, table.caps):
        body["OnDemandThroughput"] = named
        words.append(_caps_words("table", named, table.caps))
    changed = []
    for index in desired.spec.global_indexes or ():
        have, named = table.index(index.name), requests.caps(index.capacity)
        if have is not None and have.status == "ACTIVE" and _caps_differ(named, have.caps):
            changed.append({"Update": {"IndexName": index.name, "OnDemandThroughput": named}})
            words.append(_caps_words(f"index {index.name}", named, have.caps))
    if changed:
        body["GlobalSecondaryIndexUpdates"] = changed
    if not body:
        return []
    drift = (
        f"On-demand caps were changed by somebody else and are set back: {', '.join(words)}." if desired.settled else ""
    )
    return [_update(table, body, f"set on-demand caps: {', '.join(words)}", drift=drift)]


def _caps_differ(named: dict[str, int], have: Units) -> bool:
    return (
        named.get("MaxReadRequestUnits", have.read) != have.read
        or named.get("MaxWriteRequestUnits", have.write) != have.write
    )


def _caps_words(what: str, named: dict[str, int], have: Units) -> str:
    def word(units: int) -> str:
        return "none" if units == -1 else str(units)

    read, write = named.get("MaxReadRequestUnits", have.read), named.get("MaxWriteRequestUnits", have.write)
    return f"{what} {word(have.read)}/{word(have.write)} to {word(read)}/{word(write)} read/write"


def _warm(desired: Desired, table: Table) -> list[Step]:
    """Warm throughput only grows: AWS refuses a decrease, and raises it itself with traffic, so more than asked is as asked."""
    body: dict[str, Any] = {}
    words: list[str] = []
    grown = _grown(requests.warm(desired.spec.warm_throughput), table.warm)
    if grown:
        body["WarmThroughput"] = grown
        words.append("table")
    changed = []
    for index in desired.spec.global_indexes or ():
        have = table.index(index.name)
        grown = (
            _grown(requests.warm(index.warm_throughput), have.warm)
            if have is not None and have.status == "ACTIVE"
            else {}
        )
        if grown:
            changed.append({"Update": {"IndexName": index.name, "WarmThroughput": grown}})
            words.append(f"index {index.name}")
    if changed:
        body["GlobalSecondaryIndexUpdates"] = changed
    return [_update(table, body, f"raise warm throughput of {', '.join(words)}")] if body else []


def _grown(named: dict[str, int], have: Units) -> dict[str, int]:
    if named.get("ReadUnitsPerSecond", 0) <= have.read and named.get("WriteUnitsPerSecond", 0) <= have.write:
        return {}
    # AWS wants no figure below the present one, and takes both together.
    return {
        "ReadUnitsPerSecond": max(named.get("ReadUnitsPerSecond", 0), have.read),
        "WriteUnitsPerSecond": max(named.get("WriteUnitsPerSecond", 0), have.write),
    }


def _encryption(desired: Desired, kms: KmsKey | None, table: Table) -> list[Step]:
    wanted = desired.spec.encryption
    if wanted is None or table.sse_status == "UPDATING":
        return []
    if wanted.kms_key is None:
        if not table.sse_type:
            return []
        after = "the AWS owned key"
    elif wanted.kms_key.endswith(requests.AWS_MANAGED_KEY):
        if table.sse_type == "KMS" and (
            kms is None or kms.state == "Missing" or not table.sse_key or table.sse_key == kms.arn
        ):
            return []
        after = "the AWS managed key"
    else:
        # Without the key's ARN nothing can be compared; a key that cannot be used is refused elsewhere.
        if kms is None or kms.state != "Enabled" or table.sse_key == kms.arn:
            return []
        after = wanted.kms_key
    before = table.sse_key or "the AWS owned key"
    body = {"SSESpecification": requests.encryption(wanted.kms_key)}
    return [_update(table, body, f"encrypt with {after}", drift=_drift(desired, "The encryption key", before, after))]


def _table_class(desired: Desired, table: Table) -> list[Step]:
    if desired.spec.table_class is None:
        return []
    wanted = requests.aws_word(desired.spec.table_class)
    if wanted == table.table_class:
        return []
    drift = _drift(desired, "Table class", table.table_class, wanted)
    return [
        _update(table, {"TableClass": wanted}, f"change the table class to {desired.spec.table_class}", drift=drift)
    ]


def _stream(desired: Desired, table: Table) -> list[Step]:
    """A view changes by turning the stream off and on again: AWS refuses both a second on and a change."""
    stream = desired.spec.stream
    if stream is None:
        return []
    wanted = requests.aws_word(stream.view) if stream.enabled and stream.view else ""
    if wanted == table.stream_view:
        return []
    drift = _drift(desired, "The stream", table.stream_view or "off", wanted or "off")
    if table.stream_view:
        again = " (it is turned on again with the other view, as a new stream)" if wanted else ""
        effect = Effect.REPLACE if wanted else Effect.IMMEDIATE
        body = {"StreamSpecification": {"StreamEnabled": False}}
        return [_update(table, body, f"turn off the stream{again}", effect=effect, drift=drift)]
    on: dict[str, Any] = {"StreamEnabled": True, "StreamViewType": wanted}
    return [_update(table, {"StreamSpecification": on}, f"turn on the stream with {wanted}", drift=drift)]


def _indexes(desired: Desired, table: Table, found: Updates) -> None:
    wanted = desired.spec.global_indexes
    if wanted is None:
        return
    provisioned = table.billing == PROVISIONED
    names = {i.name for i in wanted}
    removals = [i for i in table.indexes if i.name not in names and _once_named(desired, i) and i.status == "ACTIVE"]
    found.steps += [
        _index_step(table, {"Delete": {"IndexName": i.name}}, f"delete index {i.name}", effect=Effect.DESTROY)
        for i in removals
    ]
    missing: list[Step] = []
    replacements: list[Step] = []
    for index in wanted:
        have = table.index(index.name)
        clash = _clash(desired, index, table) or _several(index, table)
        if clash is not None:
            # Before anything is deleted for a replacement that AWS would then refuse to make.
            found.refusals.append(clash)
        elif have is None:
            body = {"Create": requests.global_index(index, provisioned)}
            drift = f"Index {index.name} was gone and is made again." if desired.settled else ""
            step = _index_step(table, body, f"create index {index.name}", drift=drift)
            types = {**_used_types(table), **requests.types_of(iter(a for a in (index.partition, index.sort) if a))}
            missing.append(
                replace(step, parameters={**step.parameters, "AttributeDefinitions": requests.definitions(types)})
            )
        elif have.status != "DELETING" and _differs(index, have, table):
            replacements.append(_replacement(table, index, have))
    _consent(desired, replacements, found)
    found.steps += missing


def _clash(desired: Desired, index: GlobalIndex, table: Table) -> Refusal | None:
    """One attribute has one type in a table; an index that somebody else made keeps the one that it has."""
    for foreign in (table.index(name) for name in foreign_indexes(desired, table)):
        for attribute in (a for a in (index.partition, index.sort) if a is not None):
            kind = table.types.get(attribute.name, "")
            if foreign is not None and attribute.name in foreign.key.names and kind != requests.TYPES[attribute.type]:
                return Refusal(
                    Reason.INVALID,
                    f"Index {index.name} cannot have {attribute.name} as {attribute.type}: index {foreign.name}, which is not in the spec, "
                    f"has it as {kind}; write that type or another attribute, or add {foreign.name} to spec.globalIndexes.",
                )
    return None


def _several(index: GlobalIndex, table: Table) -> Refusal | None:
    """AWS allows up to four attributes in each part of an index's key; the spec can name one."""
    have = table.index(index.name)
    if have is None or not have.key.several:
        return None
    return Refusal(
        Reason.INVALID,
        f"Index {index.name} has a key of several attributes ({key_words(have.key, table.types)}), which Penstock does not support yet. "
        "Take it out of spec.globalIndexes, which leaves the index alone, or give spec.globalIndexes another name for a new index.",
    )


def key_words(key: KeySchema, types: Mapping[str, str]) -> str:
    """A key for people: its attributes with their types, the partition's and the sort's apart."""
    parts = [", ".join(f"{n} ({types.get(n, '?')})" for n in part) for part in (key.partition, key.sort) if part]
    return ("; " if key.several else " + ").join(parts)


def _replacement(table: Table, index: GlobalIndex, have: Index) -> Step:
    types = requests.types_of(iter(a for a in (index.partition, index.sort) if a))
    differ = {name for name, kind in types.items() if table.types.get(name, kind) != kind}
    before = _words(have.key.names, table.types, differ, f"{have.projection}{_list(sorted(have.attributes))}")
    projection = f"{requests.aws_word(index.projection.type)}{_list(sorted(index.projection.attributes))}"
    change = f"{before} to {_words(tuple(types), types, differ, projection)}"
    summary = f"replace index {index.name}: {change}; queries of it fail until it is filled again"
    old = [[n, table.types.get(n)] for n in have.key.names] + [[have.projection, *sorted(have.attributes)]]
    new = [*types.items(), requests.projection(index.projection)]
    return _index_step(
        table,
        {"Delete": {"IndexName": index.name}},
        summary,
        effect=Effect.REPLACE,
        when=When.AFTER_CONSENT,
        # The deletion alone does not say what comes instead.
        subject=json.dumps([index.name, old, new], sort_keys=True),
    )


def _consent(desired: Desired, replacements: list[Step], found: Updates) -> None:
    if not replacements:
        return
    subjects = [s.approval for s in replacements]
    token = consent_hash(subjects)
    if consents(desired.approved, subjects):
        found.steps += [replace(s, when=When.NOW, told=("Replacing", f"Approved: {s.summary}.")) for s in replacements]
        return
    found.steps += replacements
    names = ", ".join(s.parameters["GlobalSecondaryIndexUpdates"][0]["Delete"]["IndexName"] for s in replacements)
    sentence = f"Replacing index {names} needs consent: kubectl annotate dynamotable {desired.name} penstock.dev/approve={token} --overwrite"
    found.waits.append(Wait(Reason.WAITING_FOR_CONSENT, sentence))


def _index_step(table: Table, change: dict[str, Any], summary: str, **more: Any) -> Step:
    return _update(table, {"GlobalSecondaryIndexUpdates": [change]}, summary, **more)


def _differs(index: GlobalIndex, have: Index, table: Table) -> bool:
    types = requests.types_of(iter(a for a in (index.partition, index.sort) if a))
    return (
        requests.key_schema(index) != have.key
        or requests.aws_word(index.projection.type) != have.projection
        or frozenset(index.projection.attributes) != have.attributes
        or any(table.types.get(name, kind) != kind for name, kind in types.items())
    )


def _used_types(table: Table) -> dict[str, str]:
    """AWS refuses definitions of attributes that no key uses, so those of a deleted index must not be sent along."""
    used = {name for key in (table.key, *(i.key for i in (*table.indexes, *table.local_indexes))) for name in key.names}
    return {name: kind for name, kind in table.types.items() if name in used}


def _once_named(desired: Desired, index: Index) -> bool:
    """Whether the spec ever named the index. One with a key that no spec can name is somebody else's under its name."""
    return desired.status.managed is not None and index.name in desired.status.managed.indexes and not index.key.several


def _words(names: tuple[str, ...], types: Mapping[str, str], differ: Collection[str], projection: str) -> str:
    """An index for people: its key, with types only where they are what differs, and what it copies."""
    key = "+".join(f"{n}:{_TYPE_WORDS.get(types[n], types[n])}" if n in differ else n for n in names if n)
    return f"({key}, {projection})"


def _list(names: list[str]) -> str:
    return f" {','.join(names)}" if names else ""
