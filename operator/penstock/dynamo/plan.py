"""What to do about a DynamoTable: a pure function of what is wanted, what was seen, and the time.

Invariants (tests/unit/test_dynamo_plan.py holds them over random states): repeated plan and act reach an empty plan; nothing is deleted that the
spec did not once name; an unset field is never touched; at most one UpdateTable runs at a time, as AWS asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from penstock.api.conditions import Reason
from penstock.aws.dynamodb import ON_DEMAND, PROVISIONED, KeySchema, Table
from penstock.dynamo import changes, facets, removal, requests
from penstock.dynamo.ownership import Claim, claim, shown, unread
from penstock.dynamo.state import Desired, Observed
from penstock.engine.holds import rest, rests
from penstock.engine.plan import Plan, Refusal, Step, Wait, When, consent_hash, consents

# AWS tells no end of a transition; looking again after this share of the time that it has taken so far costs few calls and little delay.
_SHARE, _SOONEST, _LATEST = 0.75, 1.0, 20.0
# Why a facet cannot be read now that ends by itself.
_PASSING = (Reason.UNAVAILABLE, Reason.THROTTLED, Reason.BUSY)
# Longer than this, in seconds, is told: tables usually take seconds to a minute.
UNUSUAL = 600


def plan(desired: Desired, observed: Observed, now: datetime) -> Plan:
    """The plan for one table. See engine.plan for its parts."""
    if unread(desired, observed):
        sentence = f"Reading whose table {desired.table_name} is."
        return Plan(waits=(Wait(Reason.PROGRESSING, sentence, poll(observed, now)),))
    if desired.absent:
        removed = removal.plan(desired, observed, poll(observed, now))
        return rest(removed.steps, observed.held, now, removed.waits, removed.refusals) if removed.steps else removed
    if observed.table is None:
        return _creation(desired, observed, now)
    claimed = claim(desired, observed)
    if isinstance(claimed, Refusal) and observed.table.status == "DELETING":
        sentence = f"An older table {observed.table.name} is still being deleted by AWS; this one is made afterwards."
        return Plan(waits=(Wait(Reason.DELETING, sentence, poll(observed, now)),))
    if isinstance(claimed, Refusal):
        return Plan(refusals=(claimed,))
    mismatch = other_for_ever(desired, observed.table)
    if mismatch is not None:
        return Plan(refusals=(mismatch,))
    return _present(desired, observed, observed.table, claimed, now)


def poll(observed: Observed, now: datetime) -> float:
    """Seconds until a transition is looked at again."""
    elapsed = (now - observed.since).total_seconds() if observed.since else 0.0
    return min(_LATEST, max(_SOONEST, elapsed * _SHARE))


def _creation(desired: Desired, observed: Observed, now: datetime) -> Plan:
    refusal = _key_refusal(observed)
    if refusal is not None:
        return Plan(refusals=(refusal,), waits=())
    source = desired.spec.restore_from
    if source is not None:
        if observed.source is None:
            sentence = "Reading whose the source of the restore is."
            return Plan(waits=(Wait(Reason.PROGRESSING, sentence, poll(observed, now)),))
        forbidden = desired.tenancy.refusal(desired.owner, observed.source, "restore from")
        if forbidden is not None:
            return Plan(refusals=(forbidden,))
        operation, parameters = requests.restore_table(desired)
        origin = source.backup_arn or f"table {source.table_name}" + (f" at {source.time}" if source.time else "")
        first = Step(
            "dynamodb",
            operation,
            parameters,
            f"restore table {desired.table_name} from {origin}",
            facet="table",
            told=("Restoring", f"Restoring table {desired.table_name} from {origin}."),
            # AWS gives a restored table no tags, so the mark that it is ours must be on the object before it exists.
            intent={"restore": {"source": source.backup_arn or source.table_name, "startedAt": _stamp(now)}},
        )
    elif desired.status.restore is not None and not desired.status.table_arn:
        return _empty_instead(desired, observed, desired.status.restore.source, now)
    else:
        gone = (
            f"Table {desired.table_name} was gone; making it again, empty."
            if desired.settled and desired.status.table_arn
            else ""
        )
        first = _create(desired)
        if gone:
            first = replace(first, told=("Recreating", gone))
    steps = [first, *(replace(s, when=When.LATER) for s in facets.after_creation(desired))]
    return rest(steps, observed.held, now)


def _create(desired: Desired) -> Step:
    return Step(
        "dynamodb",
        "CreateTable",
        requests.create_table(desired),
        f"create table {desired.table_name}{_shape(desired)}",
        facet="table",
        told=("Creating", f"Creating table {desired.table_name}{_shape(desired)}."),
    )


def _empty_instead(desired: Desired, observed: Observed, source: str, now: datetime) -> Plan:
    """The spec no longer names what the table was to be restored from, before it was: an application may take the empty one for its data."""
    create = replace(
        _create(desired),
        subject=json.dumps(["empty instead of restored", desired.table_name, source]),
    )
    later = [replace(s, when=When.LATER) for s in facets.after_creation(desired)]
    if consents(desired.approved, [create.approval]):
        return rest([create, *later], observed.held, now)
    sentence = (
        f"spec.restoreFrom was removed before table {desired.table_name} was restored from {source}. To create it empty needs consent: "
        f"kubectl annotate dynamotable {desired.name} penstock.dev/approve={consent_hash([create.approval])} --overwrite"
    )
    waits = (Wait(Reason.WAITING_FOR_CONSENT, sentence),)
    return Plan((replace(create, when=When.AFTER_CONSENT), *later), waits)


def _present(desired: Desired, observed: Observed, table: Table, claimed: Claim, now: datetime) -> Plan:
    waits = [*_waits(table, observed, now), *facets.waits(desired, observed)]
    # What AWS fails to tell is waited for: the table may be all that the spec asks, or not.
    waits += [Wait(Reason(r), sentence, 10.0) for r, sentence in observed.unread if r in _PASSING]
    refusals = [Refusal(r, sentence) for r, sentence in observed.unread if r not in _PASSING]
    key = _key_refusal(observed)
    if key is not None:
        refusals.append(key)
    if table.status in ("CREATING", "DELETING", "ARCHIVING", "ARCHIVED"):
        later = [] if table.status != "CREATING" else facets.after_creation(desired)
        return Plan(tuple(replace(s, when=When.LATER) for s in later), tuple(waits), tuple(refusals))
    updates = changes.updates(desired, observed, table)
    steps = [*facets.steps(desired, observed, table), *updates.steps]
    refusals += facets.refusals(desired, observed, table)
    # Where an endpoint has no tags, the status alone tells whose the table is.
    if claimed is not Claim.OURS and not (observed.tags is None and shown(desired, observed)):
        return _claiming(desired, observed, table, claimed, steps, waits, (*refusals, *updates.refusals), now)
    waits += updates.waits
    refusals += updates.refusals
    return rest(_one_update(_unheld_first(steps, observed, now), table), observed.held, now, waits, refusals)


def _claiming(
    desired: Desired,
    observed: Observed,
    table: Table,
    claimed: Claim,
    steps: list[Step],
    waits: list[Wait],
    refusals: tuple[Refusal, ...],
    now: datetime,
) -> Plan:
    """Nothing but the mark is written before it is known that the table is this object's and nobody else's.

    A takeover is shown on the object first, is then marked, and is carried out once the mark has been read back.
    """
    full = facets.no_room_for_mark(observed, table)
    if full is not None:
        return Plan(refusals=(full,))
    if claimed is Claim.MARKED:
        sentence = (
            f"Table {table.name} was marked as this object's; the mark is read back before anything else is done."
        )
        waits.append(Wait(Reason.UPDATING, sentence, 2.0))
    elif claimed is Claim.ADOPT and not shown(desired, observed):
        waits.append(Wait(Reason.UPDATING, f"Taking over table {table.name}: this plan is carried out next.", 3.0))
    else:
        mark = facets.mark(desired, table, adopted=claimed is Claim.ADOPT)
        others = [replace(s, when=When.LATER) for s in steps if s.facet != "tags"]
        return rest([mark, *others], observed.held, now, waits, refusals)
    return Plan(tuple(replace(s, when=When.LATER) for s in steps), tuple(waits), refusals)


def _unheld_first(steps: list[Step], observed: Observed, now: datetime) -> list[Step]:
    """A step that rests must not take the one place that AWS gives to an UpdateTable."""
    return sorted(steps, key=lambda step: rests(step, observed.held, now))


def _one_update(steps: list[Step], table: Table) -> list[Step]:
    """At most one UpdateTable now, and none while the table is UPDATING, except what AWS allows during a backfill.

    DynamoDB guide, "Managing Global Secondary Indexes": while an index backfills, other settings may change, but no index may be added or removed.
    """
    backfilling = any(i.backfilling for i in table.indexes)
    index_busy = any(i.status != "ACTIVE" for i in table.indexes)
    free = table.status == "ACTIVE" or (table.status == "UPDATING" and backfilling)
    arranged = []
    for step in steps:
        if step.operation != "UpdateTable" or step.when is not When.NOW:
            arranged.append(step)
            continue
        changes_index = "GlobalSecondaryIndexUpdates" in step.parameters
        if free and not (changes_index and index_busy):
            arranged.append(step)
            free = False
        else:
            arranged.append(replace(step, when=When.LATER))
    return arranged


def _waits(table: Table, observed: Observed, now: datetime) -> list[Wait]:
    after = poll(observed, now)
    seconds = int((now - observed.since).total_seconds()) if observed.since else 0
    long = f", {seconds // 60} min so far, longer than usual" if seconds > UNUSUAL else ""
    found = []
    if table.status == "CREATING":
        reason, doing = (Reason.RESTORING, "restored") if table.restoring else (Reason.CREATING, "created")
        found.append(Wait(reason, f"Table {table.name} is being {doing} by AWS{long}.", after))
    elif table.status == "DELETING":
        found.append(
            Wait(
                Reason.DELETING, f"Table {table.name} is being deleted by somebody; it is made again afterwards.", after
            )
        )
    elif table.status in ("ARCHIVING", "ARCHIVED"):
        found.append(
            Wait(
                Reason.ARCHIVED,
                f"AWS archived table {table.name} because its KMS key is gone; restore it from the backup that AWS made.",
                300,
            )
        )
    elif table.status == "INACCESSIBLE_ENCRYPTION_CREDENTIALS":
        found.append(
            Wait(
                Reason.WAITING_FOR_DEPENDENCY,
                f"Table {table.name} cannot reach its KMS key; enable the key or its grant.",
                60,
            )
        )
    for index in table.indexes:
        if index.status == "CREATING":
            part = f", {index.items} items so far" if index.backfilling and index.items else ""
            verb = "is being filled from the table" if index.backfilling else "is being created"
            found.append(Wait(Reason.BACKFILLING, f"Index {index.name} {verb}{part}{long}.", after))
        elif index.status in ("DELETING", "UPDATING"):
            found.append(Wait(Reason.UPDATING, f"Index {index.name} is {index.status.lower()}{long}.", after))
    if table.status == "UPDATING" and not found:
        found.append(Wait(Reason.UPDATING, f"Table {table.name} is being updated by AWS{long}.", after))
    return found


def other_for_ever(desired: Desired, table: Table) -> Refusal | None:
    """Key and local indexes are for ever; an adopted or restored table may have others than the spec says."""
    spec = desired.spec
    wanted = requests.key_schema(spec.key)
    types = requests.types_of(iter(a for a in (spec.key.partition, spec.key.sort) if a is not None))
    have_words, want_words = changes.key_words(table.key, table.types), changes.key_words(wanted, types)
    if have_words != want_words:
        return Refusal(
            Reason.INVALID,
            f"Table {table.name} has the key {have_words}, but spec.key says {want_words}; "
            "a key cannot be changed: delete this object and make it with the table's own key, or with another spec.tableName.",
        )
    if spec.local_indexes is None:
        return None
    have = {i.name: _local_words(i.key, table.types, i.projection, i.attributes) for i in table.local_indexes}
    want = {
        i.name: _local_words(
            requests.local_key_schema(spec.key, i),
            {**types, i.sort.name: requests.TYPES[i.sort.type]},
            requests.aws_word(i.projection.type),
            i.projection.attributes,
        )
        for i in spec.local_indexes
    }
    if have == want:
        return None
    return Refusal(
        Reason.INVALID,
        f"Table {table.name} has other local indexes ({_listed(have)}) than spec.localIndexes ({_listed(want)}); "
        "they cannot be changed: write what the table has.",
    )


def _local_words(key: KeySchema, types: Mapping[str, str], projection: str, attributes: Iterable[str]) -> str:
    return f"{changes.key_words(key, types)}, {' '.join([projection, *sorted(attributes)])}"


def _listed(indexes: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {words}" for name, words in sorted(indexes.items())) or "none"


def _key_refusal(observed: Observed) -> Refusal | None:
    """A customer key that cannot be used, told before AWS refuses the whole request."""
    key = observed.kms
    if key is None or key.state == "Enabled":
        return None
    if key.state == "Missing":
        sentence = (
            f"KMS key {key.name} does not exist in this region: create it, or write another spec.encryption.kmsKey."
        )
    elif key.state == "PendingDeletion":
        sentence = (
            f"KMS key {key.name} is scheduled for deletion: cancel that, or write another spec.encryption.kmsKey."
        )
    else:
        sentence = f"KMS key {key.name} is {key.state.lower()}: enable it, or write another spec.encryption.kmsKey."
    return Refusal(Reason.WAITING_FOR_DEPENDENCY, sentence, again=10.0)


def _shape(desired: Desired) -> str:
    spec = desired.spec
    mode = PROVISIONED if spec.capacity_mode and spec.capacity_mode.value == "Provisioned" else ON_DEMAND
    parts = ["provisioned" if mode == PROVISIONED else "on demand"]
    if spec.global_indexes:
        parts.append(f"{len(spec.global_indexes)} global index{'es' if len(spec.global_indexes) > 1 else ''}")
    if spec.local_indexes:
        parts.append(f"{len(spec.local_indexes)} local index{'es' if len(spec.local_indexes) > 1 else ''}")
    return f" ({', '.join(parts)})"


def _stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
