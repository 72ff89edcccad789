"""Writing to AWS: one step at a time, each safe to repeat, and its answer remembered so that it need not be read back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.aws import dynamodb
from penstock.aws.account import Account
from penstock.aws.dynamodb import Insights, Table
from penstock.dynamo import ownership
from penstock.dynamo.memory import MISSING, Memory
from penstock.dynamo.observe import read_tags
from penstock.dynamo.state import Desired
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.plan import Effect, Step
from penstock.engine.queue import Priority

# Answers that say that the step's end is reached already, or that the look was stale: look again instead of failing.
_LOOK_AGAIN: dict[str, tuple[str, ...]] = {
    "CreateTable": ("ResourceInUseException", "TableAlreadyExistsException"),
    "RestoreTableFromBackup": ("TableAlreadyExistsException", "ResourceInUseException"),
    "RestoreTableToPointInTime": ("TableAlreadyExistsException", "ResourceInUseException"),
    "DeleteTable": ("ResourceNotFoundException", "TableNotFoundException"),
    "DeregisterScalableTarget": ("ObjectNotFoundException",),
    "DeleteScalingPolicy": ("ObjectNotFoundException",),
    "DeleteResourcePolicy": ("PolicyNotFoundException", "ResourceNotFoundException"),
}
_RESTORES = ("RestoreTableFromBackup", "RestoreTableToPointInTime")
_MAKES = ("CreateTable", *_RESTORES)
# Seconds after which the tags are read again before a write, and before a table goes. The inventory renews them more often than the first, so that
# an edit of a thousand tables does not wait for a thousand reads of tags, at five a second.
_TAGS_TTL, _TAGS_TTL_ABSENT = 900.0, 60.0
# AWS allows one TTL change an hour; a try every five minutes finds the end of it.
_TTL_AGAIN = 300.0


@dataclass
class Actor:
    """Performs steps for tables of one account. clock: the present time in UTC, for tests."""

    account: Account
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _marking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def act(self, desired: Desired, memory: Memory, step: Step) -> str | None:
        """Perform the step; returns AWS's request id, or None when there was nothing to do.

        Raises Trouble; the step then rests as long as its meaning asks, and what it may have changed is read again.
        """
        priority = Priority.URGENT if desired.absent else Priority.NORMAL
        # One at a time, or two objects of this process would both find a table without a mark.
        async with self._marking if _is_mark(step) else nullcontext():
            if not await self._ours(desired, memory, step):
                return None
            return await self._write(desired, memory, step, priority)

    async def _ours(self, desired: Desired, memory: Memory, step: Step) -> bool:
        """Whether the table's tags say nothing else just before the write; what was read of them may be minutes old."""
        known = memory.get("tags")
        table = memory.get("table")
        if step.operation in _MAKES or not isinstance(table, Table) or known is None:
            return True
        age = memory.age("tags", asyncio.get_running_loop().time())
        if age < (0.0 if _is_mark(step) else _TAGS_TTL_ABSENT if desired.absent else _TAGS_TTL):
            return True
        try:
            tags = await read_tags(self.account, table.arn, desired.region)
        except Trouble:
            if step.effect is Effect.DESTROY or _is_mark(step):
                raise
            # The write itself meets the same trouble, or the status knows the table by its id.
            return True
        memory.put("tags", tags, asyncio.get_running_loop().time())
        return not ownership.others(tags.get(OWNER_TAG, ""), desired.owner)

    async def _write(self, desired: Desired, memory: Memory, step: Step, priority: Priority) -> str | None:
        if step.operation in _RESTORES:
            memory.refused = False
        if step.operation in _MAKES:
            memory.made_name = ownership.place(desired.region, desired.table_name)
        try:
            answer = await self.account.call(
                step.service, step.operation, step.parameters, region=desired.region, priority=priority
            )
        except Trouble as trouble:
            # Also an error may have had its effect (a lost answer), so nothing that was known is trusted.
            memory.drop("table", step.facet)
            memory.must_look = True
            there = trouble.code in _LOOK_AGAIN.get(step.operation, ())
            if step.operation in _RESTORES:
                # Once an answer was lost, whatever AWS says of a later request, the table may be of that restore.
                memory.lost |= trouble.meaning is Meaning.UNAVAILABLE
                memory.refused = not memory.lost
            if step.operation in _MAKES and trouble.meaning is not Meaning.UNAVAILABLE and not memory.made_id:
                memory.made_name = ""
            if step.operation in _MAKES and (there or trouble.meaning is Meaning.UNAVAILABLE):
                memory.note_made(asyncio.get_running_loop().time(), sure=there)
            if there:
                return None
            refined = _refine(step, trouble)
            memory.held.refuse(step, refined, self.clock(), random.random())
            raise refined from trouble
        memory.held.accept(step, self.clock())
        _absorb(memory, step, answer, asyncio.get_running_loop().time(), self.clock())
        return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))


def _is_mark(step: Step) -> bool:
    """Whether the step writes the owner tag."""
    return step.operation == "TagResource" and any(t["Key"] == OWNER_TAG for t in step.parameters["Tags"])


def _absorb(memory: Memory, step: Step, answer: Mapping[str, Any], now: float, at: datetime) -> None:
    """Remember what the answer says of the step's facet; what it does not say is read when it is next needed."""
    description = answer.get("TableDescription")
    if description is not None and step.operation != "DeleteTable":
        memory.put("table", dynamodb.table(description), now)
        memory.note_state(memory.get("table"), at)
        if step.operation in _MAKES:
            memory.note_made(now)
            memory.made_id = str(description.get("TableId") or "")
    if _is_mark(step):
        memory.marked = now
    match step.operation:
        case "CreateTable":
            memory.put("tags", {t["Key"]: t["Value"] for t in step.parameters.get("Tags", ())}, now)
            # A new table has none of these; to read them back would be three calls a table for nothing.
            memory.put("ttl", dynamodb.TimeToLive("DISABLED"), now)
            memory.put("backups", dynamodb.ContinuousBackups(enabled=False), now)
            memory.put("policy", step.parameters.get("ResourcePolicy", ""), now)
            memory.put("insights", Insights(), now)
            # Scalable targets outlive their table: those of an earlier one of this name may still be there.
            memory.drop("scaling")
        case "DeleteTable":
            memory.drop("table")
            memory.must_look = True
            memory.seen()
        case "UpdateTimeToLive":
            asked = step.parameters["TimeToLiveSpecification"]
            memory.put(
                "ttl", dynamodb.TimeToLive("ENABLED" if asked["Enabled"] else "DISABLED", asked["AttributeName"]), now
            )
        case "UpdateContinuousBackups":
            memory.put("backups", dynamodb.continuous_backups(answer.get("ContinuousBackupsDescription") or {}), now)
        case "TagResource" | "UntagResource":
            known = memory.get("tags")
            tags = dict(known) if known is not MISSING and known is not None else {}
            tags.update({t["Key"]: t["Value"] for t in step.parameters.get("Tags", ())})
            memory.put("tags", {k: v for k, v in tags.items() if k not in step.parameters.get("TagKeys", ())}, now)
        case "PutResourcePolicy":
            memory.put("policy", step.parameters["Policy"], now)
        case "DeleteResourcePolicy":
            memory.put("policy", "", now)
        case "UpdateContributorInsights":
            known = memory.get("insights")
            statuses = dict(known.statuses) if isinstance(known, Insights) else {}
            on = step.parameters["ContributorInsightsAction"] == "ENABLE"
            statuses[step.parameters.get("IndexName", "")] = answer.get("ContributorInsightsStatus") or (
                "ENABLED" if on else "DISABLED"
            )
            memory.put("insights", Insights(statuses), now)
        case "CreateBackup":
            memory.put("final_backup", dynamodb.backup(answer["BackupDetails"]), now)
        case _:
            if step.facet != "table":
                memory.drop(step.facet)


def _refine(step: Step, trouble: Trouble) -> Trouble:
    """A better sentence where the operation tells more than the code. Of AWS's answer only its code and its own words count."""
    text = trouble.detail.lower()

    if step.operation == "UpdateTimeToLive" and "multiple times" in text:
        sentence = "AWS allows one TTL change an hour; the operator tries again until the hour is over."
        return trouble.reworded(sentence, meaning=Meaning.BUSY, reason=Reason.LIMIT_REACHED, retry_after=_TTL_AGAIN)
    quota = _quota(text) if trouble.reason == Reason.LIMIT_REACHED and step.operation in _SIZED else ""
    if quota:
        sentence = (
            f"The provisioned units are over a quota of AWS ({trouble.detail}). Set fewer units, or ask for more: Service Quotas, "
            f'Amazon DynamoDB, "{quota}". The operator tries again every five minutes.'
        )
        return trouble.reworded(sentence, meaning=Meaning.BUSY, retry_after=300.0)
    if step.operation == "UpdateTable" and trouble.reason == Reason.LIMIT_REACHED:
        what = "a decrease of capacity" if "decrease" in text else "this change"
        said = trouble.detail or trouble.code
        sentence = f"AWS does not allow {what} now ({said}); the operator tries again every five minutes."
        return trouble.reworded(sentence, meaning=Meaning.BUSY, retry_after=300.0)
    if step.operation == "CreateTable" and trouble.reason == Reason.LIMIT_REACHED:
        # Hundreds of tables wait for the same places, which come free one by one; to double the pauses would leave them empty.
        sentence = f"{trouble.sentence} The operator tries again every few seconds."
        return trouble.reworded(sentence, meaning=Meaning.BUSY, retry_after=random.uniform(2, 6))
    if (
        step.operation in ("CreateTable", "UpdateTable")
        and "kms" in text
        and trouble.meaning in (Meaning.INVALID, Meaning.MISSING)
    ):
        sentence = f"The KMS key cannot be used: {trouble.sentence}"
        return trouble.reworded(sentence, meaning=Meaning.MISSING, reason=Reason.WAITING_FOR_DEPENDENCY)
    if step.operation.startswith("RestoreTable") and trouble.meaning is Meaning.MISSING:
        return trouble.reworded(
            f"There is nothing to restore from ({trouble.sentence}); check spec.restoreFrom, or enable point-in-time recovery of its source.",
            reason=Reason.WAITING_FOR_DEPENDENCY,
        )
    return trouble


_SIZED = ("CreateTable", "UpdateTable")


def _quota(text: str) -> str:
    """The quota of provisioned throughput that AWS's words are about, by its name in Service Quotas; '' when they are about something else."""
    if not ("throughput" in text or "capacity unit" in text) or "decrease" in text:
        return ""
    direction = "write" if "write" in text else "read"
    if "account" in text:
        return f"Account-level {direction} throughput limit (Provisioned mode)"
    return f"Table-level {direction} throughput limit"
