"""Writing to AWS: one step at a time, each safe to repeat, and its answer remembered where that saves a read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from penstock.api.conditions import Reason
from penstock.aurora.inventory import Inventory
from penstock.aurora.memory import MISSING, Memory, group_facet, subnets_facet
from penstock.aurora.observe import HURRY
from penstock.aurora.refusals import refine
from penstock.aurora.state import PASSWORD, Desired, Group
from penstock.aws import rds
from penstock.aws.account import Account
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.plan import Step
from penstock.engine.queue import Priority

MAKES_CLUSTER = ("CreateDBCluster", "RestoreDBClusterFromSnapshot", "RestoreDBClusterToPointInTime")
_GONE = ("DBClusterNotFound", "DBInstanceNotFound")
_NO_GROUP = ("DBParameterGroupNotFound", "DBClusterParameterGroupNotFound", "DBSubnetGroupNotFound")
# Answers, without the "Fault" at their end, that say that the step's end is reached already or that the look was stale: look again, do not fail.
_LOOK_AGAIN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(MAKES_CLUSTER, ("DBClusterAlreadyExists",)),
    "CreateDBInstance": ("DBInstanceAlreadyExists",),
    "CreateDBSubnetGroup": ("DBSubnetGroupAlreadyExists",),
    "CreateDBClusterParameterGroup": ("DBParameterGroupAlreadyExists", "DBClusterParameterGroupAlreadyExists"),
    "CreateDBParameterGroup": ("DBParameterGroupAlreadyExists",),
    "DeleteDBCluster": (*_GONE, "DBClusterSnapshotAlreadyExists"),
    "DeleteDBInstance": _GONE,
    "ModifyDBInstance": _GONE,
    "RebootDBInstance": _GONE,
    "ModifyDBCluster": ("DBClusterNotFound",),
    "FailoverDBCluster": _GONE,
    "DeleteDBClusterParameterGroup": _NO_GROUP,
    "DeleteDBParameterGroup": _NO_GROUP,
    "DeleteDBSubnetGroup": _NO_GROUP,
    "DeregisterScalableTarget": ("ObjectNotFoundException",),
}
# These say that AWS did not begin with the request.
_UNTOUCHED = (Meaning.INVALID, Meaning.DENIED, Meaning.THROTTLED)


@dataclass
class Actor:
    """Performs steps for clusters of one account. clock: the present time in UTC, for tests."""

    account: Account
    inventory: Inventory
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def act(self, desired: Desired, memory: Memory, step: Step) -> str | None:
        """Perform the step; returns AWS's request id, or None when the look was stale and there was nothing to do.

        Raises Trouble; the step then rests as long as its meaning asks, and what it may have changed is read again.
        """
        priority = Priority.URGENT if desired.absent else Priority.NORMAL
        try:
            answer = await self.account.call(
                step.service,
                step.operation,
                _with_password(desired, memory, step),
                region=desired.region,
                priority=priority,
            )
        except Trouble as trouble:
            if self._stale(memory, step, trouble):
                return None
            refined = refine(desired, step, _without_password(memory, trouble))
            memory.held.refuse(step, refined, self.clock(), random.random())
            raise refined from trouble
        now = asyncio.get_running_loop().time()
        memory.held.accept(step, self.clock())
        memory.doubted.discard(step.id)
        memory.acted = now
        _absorb(memory, step, answer, now)
        self.inventory.hurry(desired.region, desired.identifier, HURRY)
        return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))

    @staticmethod
    def _stale(memory: Memory, step: Step, trouble: Trouble) -> bool:
        """Whether the answer only says that the look was old. Said twice of the same step it is no matter of age."""
        now = asyncio.get_running_loop().time()
        code = trouble.code.removesuffix("Fault")
        there = code in _LOOK_AGAIN.get(step.operation, ()) or _is_going(step, trouble)
        if there:
            memory.must_look = True
        elif trouble.meaning not in _UNTOUCHED:
            # An error may have had its effect all the same (a lost answer).
            memory.drop(step.facet)
            memory.clusters_written = memory.instances_written = now
            if step.operation in MAKES_CLUSTER and trouble.meaning is Meaning.UNAVAILABLE:
                memory.perhaps_made = now
        if trouble.meaning is Meaning.MISSING:
            # What was known of a group may be why.
            memory.must_look = True
        if not there or step.id in memory.doubted:
            return False
        memory.doubted.add(step.id)
        return True


def _is_going(step: Step, trouble: Trouble) -> bool:
    """AWS refuses to delete what is being deleted already."""
    return step.operation in ("DeleteDBCluster", "DeleteDBInstance") and (
        trouble.code.startswith("Invalid") and "delet" in trouble.detail.lower() and trouble.meaning is Meaning.BUSY
    )


def _with_password(desired: Desired, memory: Memory, step: Step) -> Mapping[str, Any]:
    if PASSWORD not in step.parameters.values():
        return step.parameters
    if memory.password is None:
        reference = desired.spec.password_secret
        name = reference.name if reference else ""
        sentence = f"Secret {name} holds no master password that AWS takes; it is looked at again within seconds."
        raise Trouble(Meaning.MISSING, Reason.WAITING_FOR_SECRET, sentence, operation=step.operation)
    return {k: memory.password if v == PASSWORD else v for k, v in step.parameters.items()}


def _without_password(memory: Memory, trouble: Trouble) -> Trouble:
    """What AWS answers goes onto the object and into the log."""
    if not memory.password or memory.password not in trouble.sentence:
        return trouble
    found = trouble.reworded(trouble.sentence.replace(memory.password, "…"), retry_after=trouble.retry_after)
    found.detail = found.detail.replace(memory.password, "…")
    return found


def _absorb(memory: Memory, step: Step, answer: Mapping[str, Any], now: float) -> None:
    """Remember what the answer says of the step's facet; what it does not say is read when it is next needed."""
    asked, operation = step.parameters, step.operation
    if PASSWORD in asked.values():
        memory.given = memory.password
    if operation in MAKES_CLUSTER:
        made = rds.cluster(answer.get("DBCluster") or {})
        # CreateDBCluster need not answer the tags that it was given, and they say whose the cluster is.
        memory.made = (replace(made, tags=made.tags or _tags(asked)), now)
        return
    if operation == "CreateDBInstance":
        instance = rds.instance(answer.get("DBInstance") or {})
        memory.made_instances[instance.identifier] = (replace(instance, tags=instance.tags or _tags(asked)), now)
        return
    if "ParameterGroup" in operation:
        _absorb_group(memory, step, answer, now)
    elif operation in ("CreateDBSubnetGroup", "ModifyDBSubnetGroup"):
        _absorb_subnets(memory, step, answer, now)
    elif operation == "DeleteDBSubnetGroup":
        memory.put(step.facet, None, now)
    elif step.facet.startswith(("groups:", "subnets:")):
        # Its tags.
        memory.drop(step.facet)
    elif step.service == "rds":
        # The truth of clusters and instances is the next read, which must be newer than this.
        memory.clusters_written = memory.instances_written = now
        if operation == "DeleteDBInstance":
            memory.made_instances.pop(str(asked.get("DBInstanceIdentifier", "")), None)
        if operation == "DeleteDBCluster":
            memory.made = None
            memory.drop("snapshot")
    else:
        memory.drop("scaling")


def _absorb_subnets(memory: Memory, step: Step, answer: Mapping[str, Any], now: float) -> None:
    facet = subnets_facet(str(step.parameters["DBSubnetGroupName"]))
    known = memory.get(facet)
    tags = known.tags if isinstance(known, rds.SubnetGroup) else _tags(step.parameters)
    memory.put(facet, replace(rds.subnet_group(answer.get("DBSubnetGroup") or {}), tags=tags), now)


def _absorb_group(memory: Memory, step: Step, answer: Mapping[str, Any], now: float) -> None:
    level = "cluster" if "DBCluster" in step.operation else "instance"
    kind = "DBClusterParameterGroup" if level == "cluster" else "DBParameterGroup"
    facet = group_facet(level, str(step.parameters.get(f"{kind}Name", "")))
    known = memory.get(facet)
    values = dict(known.values) if isinstance(known, Group) else {}
    parameters = step.parameters.get("Parameters") or ()
    if step.operation.startswith("Create"):
        memory.put(facet, Group(replace(rds.parameter_group(answer.get(kind) or {}), tags=_tags(step.parameters))), now)
    elif step.operation.startswith("Delete"):
        memory.put(facet, Group(), now)
    elif known is MISSING:
        return
    elif step.operation.startswith("Modify"):
        values |= {str(p["ParameterName"]): str(p.get("ParameterValue", "")) for p in parameters}
        memory.put(facet, Group(known.group, values), now)
    else:
        gone = {p["ParameterName"] for p in parameters}
        kept = {} if step.parameters.get("ResetAllParameters") else {n: v for n, v in values.items() if n not in gone}
        memory.put(facet, Group(known.group, kept), now)
    # A changed group tells its members, cluster and instances, that a reboot is pending.
    if step.operation.startswith(("Modify", "Reset")) and (memory.made is None):
        memory.clusters_written = memory.instances_written = now


def _tags(asked: Mapping[str, Any]) -> dict[str, str]:
    return {str(t["Key"]): str(t["Value"]) for t in asked.get("Tags") or ()}
