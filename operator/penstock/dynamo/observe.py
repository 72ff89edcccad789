"""Reading a table: as few calls as will do, and the slow facets rarely.

DescribeTable is read on every pass; TTL, point-in-time recovery, policies and insights have caps of their own in AWS and are read when they are not
known, after a refusal, and on a long cycle; tags come in pages for all tables at once (inventory.py). What our own writes answer needs no read.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from penstock.api.conditions import Reason
from penstock.api.dynamotable import CapacityMode
from penstock.api.forms import DeletionPolicy
from penstock.aws import dynamodb
from penstock.aws.account import Account
from penstock.aws.dynamodb import PROVISIONED, Insights, KmsKey, ScalingTarget, Table
from penstock.aws.errors import UNSUPPORTED
from penstock.dynamo import ownership, requests, scaling
from penstock.dynamo.memory import MISSING, Memory
from penstock.dynamo.state import Desired, Observed
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Look
from penstock.engine.owners import namespace_mark
from penstock.engine.queue import Priority
from penstock.engine.tenancy import Source


@dataclass(frozen=True)
class Cycles:
    """How often things are read that nobody said had changed, in seconds. table: DescribeTable. facets: TTL, PITR, policy, insights, autoscaling.

    With the defaults an idle table costs about 9 DescribeTable and 8 other calls an hour, and what somebody changes is seen within 14 minutes.
    """

    table: float = 420.0
    facets: float = 660.0


# Within one pass the table is not described twice.
_SAME_PASS = 0.4
_KMS_TTL = 300.0
# A permission that somebody gives is seen within so many seconds.
_SOURCE_TTL = 15.0
# Seconds within which DescribeTable shows a table that was made.
_APPEARS = 20.0
# Seconds after which a mark is read back. Between another's look and its own mark lie milliseconds.
_MARKING = 2.0
# Seconds after which the tags of a table that is not ours are read again: its owner may let go of it, or somebody allow its takeover.
_UNOWNED_TTL = 50.0
# Of a facet also what AWS answers for a table that is gone; ListTagsOfResource then says AccessDeniedException.
_PERHAPS_GONE = (Meaning.DENIED, Meaning.MISSING)
# Passes in a row in which AWS fails to tell a facet, after which the rest goes on without it.
_MISSES = 3


@dataclass
class Observer:
    """Reads tables of one account. clock: the present time in UTC, for tests."""

    account: Account
    cycles: Cycles = field(default_factory=Cycles)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    assume_absent: bool = True
    _keys: dict[tuple[str, str], tuple[KmsKey, float]] = field(default_factory=dict)

    async def observe(self, desired: Desired, memory: Memory, look: Look) -> Observed:
        """What the plan needs to know. Raises Trouble when the table itself cannot be read."""
        now = self._time()
        if look.fresh:
            memory.clear()
            # Where tokens are short, a later reconciliation reads them, which is not a forced one any more.
            memory.expire("tags")
            memory.must_look = True
            if desired.spec.encryption is not None:
                self._keys.pop((desired.region, desired.spec.encryption.kms_key or ""), None)
        if desired.generation != memory.generation:
            # An edit may mend what AWS refused.
            memory.held.clear()
            memory.generation = desired.generation
        if not look.only and self._may_assume(desired, memory):
            return Observed(
                assumed=True,
                kms=await self._key(desired, look.priority),
                source=await self._source(desired, memory),
                held=dict(memory.held),
                since=memory.since,
            )
        marking = now - memory.marked < _MARKING
        if not marking and memory.marked != float("-inf"):
            memory.drop("tags")
            memory.marked = float("-inf")
        table: Table | None = await self._table(desired, memory, look, now)
        memory.note_state(table, self.clock())
        partial = False
        unread: list[tuple[str, str]] = []
        if table is not None:
            for facet, read in self._wanted(desired, memory, table).items():
                try:
                    partial |= not await self._facet(desired, memory, facet, read, look)
                except Trouble as trouble:
                    if trouble.meaning in _PERHAPS_GONE:
                        memory.expire("table")
                        table = await self._table(desired, memory, look, now)
                        if table is None:
                            break
                    if not self._dispensable(desired, memory, facet, trouble):
                        raise
                    unread.append((trouble.reason, trouble.sentence))
                if memory.get(facet) is None and facet in _named(desired):
                    sentence = f"{_named(desired)[facet]} cannot be set: this AWS endpoint does not have it."
                    unread.append((Reason.REFUSED, sentence))
        memory.put("partial", partial, self._time())
        return Observed(
            table=table,
            ttl=_known(memory, "ttl"),
            backups=_known(memory, "backups"),
            tags=_known(memory, "tags"),
            policy=_known(memory, "policy"),
            insights=_known(memory, "insights"),
            scaling=_known(memory, "scaling"),
            kms=await self._key(desired, look.priority),
            final_backup=_known(memory, "final_backup"),
            final_backup_read=memory.get("final_backup") is not MISSING,
            source=await self._source(desired, memory) if table is None else None,
            since=memory.since,
            held=dict(memory.held),
            partial=partial,
            made_id=memory.made_id,
            refused=memory.refused,
            lost=memory.lost,
            marking=marking,
            unread=tuple(unread),
        )

    @staticmethod
    def _dispensable(desired: Desired, memory: Memory, facet: str, trouble: Trouble) -> bool:
        """Whether the rest may go on without a facet that cannot be read: not where it decides whose the table is, or what is kept of it."""
        decisive = facet == "tags" and not ownership.knows(desired, Observed(table=_known(memory, "table")))
        if desired.absent or decisive:
            return False
        if trouble.meaning in (Meaning.UNAVAILABLE, Meaning.THROTTLED):
            memory.misses[facet] = memory.misses.get(facet, 0) + 1
            return memory.misses[facet] >= _MISSES
        return trouble.reason not in (Reason.CREDENTIALS_MISSING, Reason.CREDENTIALS_EXPIRED)

    def _may_assume(self, desired: Desired, memory: Memory) -> bool:
        """A table that no status names, and that is not to be adopted, is not looked for: CreateTable tells if it exists, atomically."""
        return (
            self.assume_absent
            and not desired.absent
            and not desired.spec.adopt
            and not desired.status.table_arn
            and desired.status.restore is None
            and not memory.must_look
            and memory.get("table") is MISSING
        )

    async def _table(self, desired: Desired, memory: Memory, look: Look, now: float) -> Table | None:
        # A pass that only waits for slow facets does not need the table again.
        fresh_enough = 60.0 if look.priority is Priority.BACKGROUND and memory.get("partial") is True else _SAME_PASS
        if memory.age("table", now) < fresh_enough:
            known: Table | None = memory.get("table")
            return known
        try:
            answer = await self._call(desired, "DescribeTable", {"TableName": desired.table_name}, look.priority)
            table: Table | None = dynamodb.table(answer["Table"])
        except Trouble as trouble:
            if trouble.code not in ("ResourceNotFoundException", "TableNotFoundException"):
                raise
            table = _not_shown_yet(desired, memory, now)
        else:
            memory.seen()
        before = memory.get("table")
        if isinstance(before, Table) and (table is None or (before.id and before.id != table.id)):
            # Another table, or none: nothing that was known of the old one holds.
            memory.clear()
        memory.put("table", table, self._time())
        memory.must_look = False
        return table

    def _wanted(self, desired: Desired, memory: Memory, table: Table) -> dict[str, Callable[[], Awaitable[Any]]]:
        """The facets that the plan has to know, each with its read."""
        found: dict[str, Callable[[], Awaitable[Any]]] = {}
        spec = desired.spec
        # A settled table's tags come with the inventory; everybody else's must be known to be mended.
        known = memory.get("tags") is not MISSING or "tags" in memory.due
        if known or not desired.settled or not ownership.knows(desired, Observed(table=table)):
            found["tags"] = lambda: self._tags(desired, table)
        if desired.absent:
            found["tags"] = lambda: self._tags(desired, table)
            if table.billing == PROVISIONED or (desired.status.managed and desired.status.managed.scaling):
                found["scaling"] = lambda: self._scaling(desired, table)
            if spec.deletion_policy is DeletionPolicy.SNAPSHOT:
                found["final_backup"] = lambda: self._final_backup(desired, memory, table)
            return found
        if table.status in ("CREATING", "DELETING"):
            return found
        if spec.ttl is not None:
            found["ttl"] = lambda: self._ttl(desired)
        if spec.wants_pitr is not None:
            found["backups"] = lambda: self._backups(desired)
        if spec.resource_policy is not None:
            found["policy"] = lambda: self._policy(desired, table)
        watched = [
            i.name for i in spec.global_indexes or () if i.contributor_insights is not None and table.index(i.name)
        ]
        if spec.contributor_insights is not None or watched:
            names = [*([""] if spec.contributor_insights is not None else []), *watched]
            found["insights"] = lambda: self._insights(desired, names)
        # Also what is left of autoscaling that the spec once named.
        left = desired.status.managed is not None and bool(desired.status.managed.scaling)
        capacities = spec.capacity is not None or bool(spec.index_capacities())
        if left or spec.capacity_mode is CapacityMode.PROVISIONED or (capacities and table.billing == PROVISIONED):
            found["scaling"] = lambda: self._scaling(desired, table)
        return found

    async def _facet(
        self, desired: Desired, memory: Memory, facet: str, read: Callable[[], Awaitable[Any]], look: Look
    ) -> bool:
        """Read one facet if it is not known or old. False when it was left for later, because a background look must not wait for tokens."""
        age = memory.age(facet, self._time())
        in_transition = facet == "final_backup" or (
            facet in ("ttl", "insights") and _changing(memory.get(facet)) and age > 1.0
        )
        # Whose table it is decides everything, so that is waited for; the rest may come later.
        decisive = facet == "tags" and not ownership.knows(desired, Observed(table=_known(memory, "table")))
        # Tags are refreshed for all tables that are ours at once; the others each on their own cycle.
        limit = self.cycles.facets if facet != "tags" else _UNOWNED_TTL if decisive else float("inf")
        if age < limit and not (in_transition and age > _SAME_PASS):
            return True
        if (
            not decisive
            and look.priority is Priority.BACKGROUND
            and not self.account.affords("dynamodb", _OPERATIONS[facet], desired.region)
        ):
            return age != float("inf")
        try:
            value = await read()
        except Trouble as trouble:
            if trouble.code == UNSUPPORTED:
                memory.put(facet, None, self._time())
                return True
            raise
        memory.put(facet, value, self._time())
        memory.misses.pop(facet, None)
        return True

    async def _ttl(self, desired: Desired) -> Any:
        answer = await self._call(desired, "DescribeTimeToLive", {"TableName": desired.table_name})
        return dynamodb.time_to_live(answer.get("TimeToLiveDescription") or {})

    async def _backups(self, desired: Desired) -> Any:
        answer = await self._call(desired, "DescribeContinuousBackups", {"TableName": desired.table_name})
        return dynamodb.continuous_backups(answer.get("ContinuousBackupsDescription") or {})

    async def _tags(self, desired: Desired, table: Table) -> dict[str, str]:
        return await read_tags(self.account, table.arn, desired.region)

    async def _policy(self, desired: Desired, table: Table) -> str:
        try:
            answer = await self._call(desired, "GetResourcePolicy", {"ResourceArn": table.arn})
        except Trouble as trouble:
            if trouble.code in ("PolicyNotFoundException", "ResourceNotFoundException"):
                return ""
            raise
        return str(answer.get("Policy") or "")

    async def _insights(self, desired: Desired, names: list[str]) -> Insights:
        statuses = {}
        for name in names:
            parameters = {"TableName": desired.table_name, **({"IndexName": name} if name else {})}
            try:
                answer = await self._call(desired, "DescribeContributorInsights", parameters)
                statuses[name] = str(answer.get("ContributorInsightsStatus") or "DISABLED")
            except Trouble as trouble:
                # Never turned on is answered as "not found".
                if trouble.meaning is not Meaning.MISSING:
                    raise
                statuses[name] = "DISABLED"
        return Insights(statuses)

    async def _scaling(self, desired: Desired, table: Table) -> tuple[ScalingTarget, ...]:
        where = {"ServiceNamespace": "dynamodb"}
        resources = scaling.resources(desired, table)
        targets = await self._scaled(
            desired, "DescribeScalableTargets", "ScalableTargets", {**where, "ResourceIds": resources}
        )
        policies: list[Mapping[str, Any]] = []
        scheduled: list[Mapping[str, Any]] = []
        for resource in dict.fromkeys(t["ResourceId"] for t in targets):
            one = {**where, "ResourceId": resource}
            policies += await self._scaled(desired, "DescribeScalingPolicies", "ScalingPolicies", one)
            try:
                scheduled += await self._scaled(desired, "DescribeScheduledActions", "ScheduledActions", one)
            except Trouble as trouble:
                # They are only named. A policy of before they were read, or an emulator, must not keep the rest from being done.
                if trouble.meaning is not Meaning.DENIED and trouble.code != UNSUPPORTED:
                    raise
        return dynamodb.scaling_targets(targets, policies, scheduled)

    async def _scaled(
        self, desired: Desired, operation: str, name: str, parameters: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """All pages of one of Application Auto Scaling's listings."""
        found: list[Mapping[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            answer = await self.account.call(
                "application-autoscaling", operation, {**parameters, **more}, region=desired.region
            )
            found += answer.get(name) or ()
            if not answer.get("NextToken"):
                return found
            more = {"NextToken": answer["NextToken"]}

    async def _final_backup(self, desired: Desired, memory: Memory, table: Table) -> Any:
        known = memory.get("final_backup")
        if known is not MISSING and known is not None:
            answer = await self._call(desired, "DescribeBackup", {"BackupArn": known.arn}, Priority.URGENT)
            return dynamodb.backup(answer["BackupDescription"]["BackupDetails"])
        parameters: dict[str, Any] = {"TableName": desired.table_name, "BackupType": "USER"}
        while True:
            answer = await self._call(desired, "ListBackups", parameters, Priority.URGENT)
            for summary in answer.get("BackupSummaries") or ():
                named = summary.get("BackupName") == desired.final_backup_name
                # A backup of an earlier table of this name holds other items.
                same = summary.get("TableId") in (None, "", table.id)
                if named and same and summary.get("BackupStatus") != "DELETED":
                    return dynamodb.backup(summary)
            last = answer.get("LastEvaluatedBackupArn")
            if not last:
                return None
            parameters["ExclusiveStartBackupArn"] = last

    async def _source(self, desired: Desired, memory: Memory) -> Source | None:
        """What the spec restores from, with the tags that tell who may; None when nothing is to be restored."""
        wanted = desired.spec.restore_from
        if wanted is None or desired.absent:
            return None
        known = memory.get("source")
        if known is not MISSING and memory.age("source", self._time()) < _SOURCE_TTL:
            return known if isinstance(known, Source) else None
        found = await (
            self._source_backup(desired, wanted.backup_arn)
            if wanted.backup_arn
            else self._source_table(desired, wanted.table_name or "", "")
        )
        memory.put("source", found, self._time())
        return found

    async def _source_table(self, desired: Desired, name: str, identifier: str) -> Source:
        """identifier: the table's id where another table of that name would be the wrong one."""
        try:
            table = dynamodb.table((await self._call(desired, "DescribeTable", {"TableName": name}))["Table"])
        except Trouble as trouble:
            if trouble.meaning is not Meaning.MISSING:
                raise
            return Source("table", name, {}, exists=False)
        same = not identifier or table.id == identifier
        tags = await self._tags(desired, table) if same else {}
        return Source("table", name, tags, ownership.tagging(table.arn), exists=same)

    async def _source_backup(self, desired: Desired, arn: str) -> Source:
        try:
            answer = (await self._call(desired, "DescribeBackup", {"BackupArn": arn}))["BackupDescription"]
        except Trouble as trouble:
            if trouble.meaning is not Meaning.MISSING:
                raise
            return Source("backup", arn, {}, exists=False)
        name, origin = answer["BackupDetails"]["BackupName"], answer.get("SourceTableDetails") or {}
        table = await self._source_table(desired, origin.get("TableName", ""), origin.get("TableId", ""))
        made_here = name.rpartition("-final-")[2].startswith(namespace_mark(desired.owner))
        return Source(f"backup {name} of table", table.name, table.tags, table.tagging, made_here=made_here)

    async def _key(self, desired: Desired, priority: Priority) -> KmsKey | None:
        """The customer key by its alias, id or ARN; None when none is named or it may not be read (AWS then judges the write itself)."""
        name = desired.spec.encryption.kms_key if desired.spec.encryption else None
        if name is None or desired.absent:
            return None
        known = self._keys.get((desired.region, name))
        # A key that cannot be used is looked at again soon: somebody is probably mending it.
        if known is not None and self._time() - known[1] < (_KMS_TTL if known[0].state == "Enabled" else 5.0):
            return known[0]
        try:
            answer = await self.account.call(
                "kms", "DescribeKey", {"KeyId": name}, region=desired.region, priority=priority
            )
            metadata: Mapping[str, Any] = answer["KeyMetadata"]
            key = KmsKey(name, str(metadata["Arn"]), str(metadata.get("KeyState", "Enabled")))
        except Trouble as trouble:
            if trouble.code in ("NotFoundException", "InvalidArnException", "KMSNotFoundException"):
                # AWS makes its own key's alias only when it is first used.
                key = KmsKey(name, "", "Enabled" if name.endswith("alias/aws/dynamodb") else "Missing")
            elif trouble.meaning is Meaning.DENIED and trouble.code.startswith("AccessDenied"):
                return None
            else:
                raise
        self._keys[desired.region, name] = (key, self._time())
        return key

    async def _call(
        self, desired: Desired, operation: str, parameters: Mapping[str, Any], priority: Priority = Priority.NORMAL
    ) -> dict[str, Any]:
        return await self.account.call("dynamodb", operation, parameters, region=desired.region, priority=priority)

    def next_look(self) -> float:
        """Seconds until a table that is as desired is looked at again, spread so that a thousand tables do not come together."""
        return self.cycles.table * random.uniform(0.95, 1.05)

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()


_OPERATIONS = {
    "ttl": "DescribeTimeToLive",
    "backups": "DescribeContinuousBackups",
    "tags": "ListTagsOfResource",
    "policy": "GetResourcePolicy",
    "insights": "DescribeContributorInsights",
    "scaling": "DescribeTable",
    "final_backup": "ListBackups",
}


async def read_tags(account: Account, arn: str, region: str) -> dict[str, str]:
    """All tags of a table."""
    found: dict[str, str] = {}
    more: dict[str, str] = {}
    while True:
        parameters = {"ResourceArn": arn, **more}
        answer = await account.call("dynamodb", "ListTagsOfResource", parameters, region=region)
        found.update({t["Key"]: t["Value"] for t in answer.get("Tags") or ()})
        if not answer.get("NextToken"):
            return found
        more = {"NextToken": answer["NextToken"]}


def _named(desired: Desired) -> dict[str, str]:
    """The facets that the spec names by itself, each with its field."""
    spec = desired.spec
    insights = spec.contributor_insights is not None or any(
        i.contributor_insights is not None for i in spec.global_indexes or ()
    )
    named = {
        "ttl": ("spec.ttl", spec.ttl is not None),
        "backups": ("spec.pointInTimeRecovery", spec.point_in_time_recovery is not None),
        "policy": ("spec.resourcePolicy", spec.resource_policy is not None),
        "insights": ("contributorInsights", insights),
        "scaling": ("Autoscaling of spec.capacity", bool(requests.scaling_targets(desired))),
        "tags": ("spec.tags", spec.tags is not None),
    }
    return {facet: field for facet, (field, is_named) in named.items() if is_named and not desired.absent}


def _not_shown_yet(desired: Desired, memory: Memory, now: float) -> Table | None:
    """None when the table is really absent. Raises Trouble while AWS may only not show it yet.

    DynamoDB API reference, DescribeTable: after CreateTable it may answer "not found" for a while, because it is an eventually consistent read.
    Taken at its word, a table that was made a moment before its object was deleted would stay behind, and one that is being made be made again.
    """
    if now - max(memory.made, memory.perhaps_made if desired.absent else memory.made) > _APPEARS:
        return None
    known = memory.get("table")
    if isinstance(known, Table):
        return known
    sentence = f"AWS does not show table {desired.table_name} yet, which it may have made; looking again."
    raise Trouble(Meaning.BUSY, Reason.BUSY, sentence, operation="DescribeTable", retry_after=1.0)


def _known(memory: Memory, facet: str) -> Any:
    value = memory.get(facet)
    return None if value is MISSING else value


def _changing(value: Any) -> bool:
    if isinstance(value, dynamodb.TimeToLive):
        return value.status in ("ENABLING", "DISABLING")
    if isinstance(value, Insights):
        return any(s in ("ENABLING", "DISABLING") for s in value.statuses.values())
    return False
