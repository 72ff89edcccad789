"""Whose table it is. A table is ours when it carries our owner tag, or is the very table (by its id) that the status says we made or took over."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.aws.dynamodb import Table
from penstock.dynamo.state import Desired, Observed
from penstock.engine.owners import earlier_self, marked, who
from penstock.engine.plan import Refusal
from penstock.engine.tenancy import Source


class Claim(StrEnum):
    """What the object is to a table that is not another's. Only of OURS more than the mark is written."""

    OURS = "Ours"
    """Marked with our owner tag, or the very table that the status names."""
    ADOPT = "Adopt"
    """Somebody else's that the spec says to take over."""
    RESTORED = "Restored"
    """Most likely made by the restore that this object asked for, whose answer is not known. AWS gives it no tag."""
    MARKED = "Marked"
    """Marked a moment ago. AWS compares nothing when it tags, so the mark is read back: the last writer has it."""


# How far a restored table's creation may lie before and after the moment at which the restore was asked for, in seconds: clocks differ by the
# first, a request with its retries takes at most the second.
_BEFORE, _AFTER = 120.0, 300.0


def knows(desired: Desired, observed: Observed) -> bool:
    """Whether the status already names this very table, so that its tags need not be read to know that it is ours.

    AWS gives every table an id of its own; where an emulator gives none, the ARN and the second of creation stand for it.
    """
    table, status = observed.table, desired.status
    if table is None:
        return False
    if table.id:
        return table.id in (status.table_id, observed.made_id)
    if status.table_id or table.created_at is None or status.created_at is None:
        return False
    return status.table_arn == table.arn and int(status.created_at.timestamp()) == int(table.created_at.timestamp())


def unread(desired: Desired, observed: Observed) -> bool:
    """Whether it is not known yet whose table it is: only its tags could tell, and they are still to be read."""
    return (
        observed.table is not None
        and observed.tags is None
        and observed.partial
        and not knows(desired, observed)
        and not restored(desired, observed)
    )


def others(theirs: str, ours: str) -> bool:
    """Whether an owner tag is another object's; '' and one of an earlier object of the same name are not."""
    return bool(theirs) and theirs != ours and not earlier_self(theirs, ours)


def claim(desired: Desired, observed: Observed) -> Claim | Refusal:
    """Whether the plan may touch the table, or the sentence that says why not."""
    table = observed.table
    assert table is not None
    owner = None if observed.tags is None else observed.tags.get(OWNER_TAG, "")
    if owner == desired.owner:
        return Claim.MARKED if observed.marking and not knows(desired, observed) else Claim.OURS
    if owner and others(owner, desired.owner):
        return Refusal(
            Reason.NOT_OWNED,
            f"Table {table.name} belongs to {who(owner)}: delete that object with deletionPolicy Retain, "
            "or delete this one, which leaves the table alone, and make it with another spec.tableName.",
        )
    if knows(desired, observed):
        return Claim.OURS
    if restored(desired, observed):
        # Where an endpoint has no tags, nothing else can tell.
        return Claim.OURS if observed.tags is None and not observed.partial else Claim.RESTORED
    if desired.spec.adopt:
        forbidden = desired.tenancy.refusal(desired.owner, taken_over(observed), "take over")
        return forbidden or Claim.ADOPT
    if desired.status.table_id and table.id and desired.status.table_id != table.id:
        return Refusal(
            Reason.ALREADY_EXISTS,
            f"Table {table.name} is not the one that this object had: that one was deleted, and somebody made another under its name "
            f"(AWS's id of it is {table.id}, not {desired.status.table_id}). Set spec.adopt: true to take it over, "
            "or delete this object, which leaves the table alone.",
        )
    before = "an earlier object of this name" if owner else "somebody else"
    return Refusal(
        Reason.ALREADY_EXISTS,
        f"Table {table.name} exists already and was made by {before}: set spec.adopt: true to take it over, "
        "or delete this object, which leaves the table alone, and make it with another spec.tableName.",
    )


def taken_over(observed: Observed) -> Source:
    """The table as the subject of a permission."""
    table = observed.table
    assert table is not None
    return Source("table", table.name, observed.tags or {}, tagging(table.arn))


def tagging(arn: str) -> str:
    """The AWS command that tags a table, up to its tags."""
    return f"aws dynamodb tag-resource --resource-arn {arn} --tags"


def doubts(desired: Desired, observed: Observed) -> list[str]:
    """What a printed plan cannot judge of the permissions that the object needs."""
    adopts = desired.spec.adopt and observed.table is not None and not knows(desired, observed)
    return desired.tenancy.notes(desired.owner, observed.source, taken_over(observed) if adopts else None)


def as_marked(desired: Desired, observed: Observed) -> Desired:
    """The same object under the owner that its table's tag names, when that is this very object; see engine.owners.marked."""
    theirs = (observed.tags or {}).get(OWNER_TAG, "")
    return replace(desired, owner=marked(theirs, desired.owner, desired.uid))


def restored(desired: Desired, observed: Observed) -> bool:
    """A restore was asked for by this object, and this table came from that source then; AWS could not tag it in the same call."""
    asked, table = desired.status.restore, observed.table
    if asked is None or asked.started_at is None or table is None or observed.refused:
        return False
    # A table that came from nowhere is somebody else's, made while the restore was refused.
    source = table.restored_from
    same = source == asked.source or source.endswith(f"/{asked.source}")
    late = 0.0 if table.created_at is None else (table.created_at - asked.started_at).total_seconds()
    return same and late > -_BEFORE and (late < _AFTER or observed.lost)


def place(region: str, table: str) -> str:
    """Where a table is, for people."""
    return f"{table} in {region}"


def identity(table: Table) -> str:
    """What tells this very table from another of its name, as knows() does."""
    return table.id or (table.created_at.isoformat() if table.created_at else "")


def shown(desired: Desired, observed: Observed) -> bool:
    """Whether the status shows already what taking over this table by this manifest comes to."""
    known = desired.status.adoption
    return (
        known is not None
        and observed.table is not None
        and known.table == identity(observed.table)
        and known.generation == desired.generation
    )
