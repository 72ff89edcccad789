"""Whose table it is. A table is ours when it carries our owner tag, or is the very table (by its id) that the status says we made or took over."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.dynamo.state import Desired, Observed
from penstock.engine.owners import earlier_self, marked, who
from penstock.engine.plan import Refusal
from penstock.engine.tenancy import Source


class Claim(StrEnum):
    """Ours; to be adopted now that the spec says so; or adopted, and still to be marked."""

    OURS = "Ours"
    ADOPT = "Adopt"


def knows(desired: Desired, observed: Observed) -> bool:
    """Whether the status already names this very table, so that its tags need not be read to know that it is ours.

    AWS gives every table an id of its own; where an emulator gives none, the ARN and the second of creation stand for it.
    """
    table, status = observed.table, desired.status
    if table is None:
        return False
    if table.id:
        return status.table_id == table.id
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
        and not _restored(desired, observed)
    )


def claim(desired: Desired, observed: Observed) -> Claim | Refusal:
    """Whether the plan may touch the table, or the sentence that says why not."""
    table = observed.table
    assert table is not None
    owner = None if observed.tags is None else observed.tags.get(OWNER_TAG, "")
    if owner == desired.owner:
        return Claim.OURS
    if owner and not earlier_self(owner, desired.owner):
        return Refusal(
            Reason.NOT_OWNED,
            f"Table {table.name} belongs to {who(owner)}: delete that object with deletionPolicy Retain, "
            "or delete this one, which leaves the table alone, and make it with another spec.tableName.",
        )
    if knows(desired, observed):
        return Claim.OURS
    if _restored(desired, observed):
        return Claim.OURS
    if desired.spec.adopt:
        forbidden = desired.tenancy.refusal(desired.owner, taken_over(observed), "take over")
        return forbidden or Claim.ADOPT
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


def restored_from(desired: Desired, observed: Observed) -> Refusal | None:
    """Why nothing may be restored from what the spec names."""
    if observed.source is None or not observed.source.exists:
        # AWS says best what it lacks.
        return None
    return desired.tenancy.refusal(desired.owner, observed.source, "restore from")


def doubts(desired: Desired, observed: Observed) -> list[str]:
    """What a printed plan cannot judge of the permissions that the object needs."""
    notes = (
        [desired.tenancy.note(desired.owner, observed.source, "restore from")]
        if observed.source and observed.source.exists
        else []
    )
    if desired.spec.adopt and observed.table is not None and not knows(desired, observed):
        notes.append(desired.tenancy.note(desired.owner, taken_over(observed), "take over"))
    return [note for note in notes if note]


def as_marked(desired: Desired, observed: Observed) -> Desired:
    """The same object under the owner that its table's tag names, when that is this very object; see engine.owners.marked."""
    theirs = (observed.tags or {}).get(OWNER_TAG, "")
    return replace(desired, owner=marked(theirs, desired.owner, desired.uid))


def _restored(desired: Desired, observed: Observed) -> bool:
    """A restore was asked for by this object, and this table came from that source; AWS could not tag it in the same call."""
    asked, table = desired.status.restore, observed.table
    if asked is None or table is None:
        return False
    # A table that came from nowhere is somebody else's, made while the restore was refused.
    source = table.restored_from
    same = source == asked.source or source.endswith(f"/{asked.source}")
    young = table.created_at is None or (asked.started_at - table.created_at).total_seconds() < 120
    return same and young
