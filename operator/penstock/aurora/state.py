"""What is wanted and what was seen of one cluster, as plain frozen data: the two arguments of the plan."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from penstock.api import meta
from penstock.api.auroracluster import AuroraClusterSpec, instance_identifier, ordinal_of
from penstock.api.auroracluster_status import AuroraClusterStatus
from penstock.api.conditions import Reason
from penstock.aws.rds import Cluster, Event, Instance, Parameter, ParameterGroup, Snapshot, SubnetGroup
from penstock.engine.holds import Held
from penstock.engine.plan import Refusal
from penstock.engine.tenancy import UNENFORCED, Source, Tenancy

PASSWORD = "(from the Secret)"  # noqa: S105 - a word, not a password
"""Stands for the master password in a step's parameters: plans are printed and logged. The actor puts the password in its place."""

AWS_DEFAULT = "default."
"""What the names of AWS's own parameter groups begin with; the family follows. They cannot be changed."""
# What follows the name of a group of Penstock's where it holds parameters: the family.
_FAMILY = r"(?:-aurora-[a-z]+[0-9]+(?:-[0-9]+)*)?"

# RDS API reference, CreateDBClusterSnapshot: at most 63 characters.
_SNAPSHOT_LENGTH = 63


@dataclass(frozen=True)
class Desired:
    """What one object asks for.

    owner: the value of the owner tag. absent: the object is being deleted, and so is the cluster, as deletion_policy says. approved, wake: what the
    annotations penstock.dev/approve and penstock.dev/wake hold. failover_to: what penstock.dev/failover-to
    holds. mode: of penstock.dev/mode. rival: an
    older object, as namespace/name, that asks for the same cluster before there is one.
    settled: the operator had reached this very generation before, so a difference is
    somebody else's doing.
    """

    namespace: str
    name: str
    uid: str
    region: str
    identifier: str
    owner: str
    spec: AuroraClusterSpec
    status: AuroraClusterStatus
    generation: int = 0
    absent: bool = False
    created_at: str = ""
    deleted_at: str = ""
    approved: str = ""
    wake: str = ""
    settled: bool = False
    failover_to: str = ""
    mode: str = meta.Mode.RECONCILE
    tenancy: Tenancy = UNENFORCED
    rival: str = ""

    def instance(self, ordinal: int) -> str:
        """The identifier of the instance of that ordinal."""
        return instance_identifier(self.identifier, ordinal)

    def ordinal(self, instance: str) -> int | None:
        """The ordinal in an instance's identifier; None when somebody else named it."""
        return ordinal_of(self.identifier, instance)

    def class_of(self, instance: str) -> str | None:
        """The class that the instance must have; None when it is not managed."""
        return self.spec.instances.class_of(self.ordinal(instance))

    @property
    def final_snapshot(self) -> str:
        """The same for every try of one deletion, so that a crash in between finds the snapshot again."""
        tail = f"-final-{self.uid[:8]}-{''.join(c for c in self.deleted_at if c.isdigit())}"
        return self.identifier[: _SNAPSHOT_LENGTH - len(tail)].rstrip("-") + tail

    @property
    def own_subnet_group(self) -> str:
        """The subnet group that is created of spec.network.subnetIds. Two objects never have the same, whatever their names."""
        return f"{self.legacy_subnet_group}-{self._mark}"

    @property
    def legacy_subnet_group(self) -> str:
        """The name that Penstock once gave. Another object may have the same, so the owner tag decides; what carries this object's stays in use."""
        return f"penstock-{self.identifier}"

    def own_parameter_group(self, family: str) -> str:
        """The parameter group, of the cluster or of its instances, that holds spec.parameters; a major upgrade needs another."""
        return f"{self.own_subnet_group}-{family.replace('.', '-')}"

    def legacy_parameter_group(self, family: str) -> str:
        """As legacy_subnet_group, of a parameter group."""
        return f"{self.legacy_subnet_group}-{family.replace('.', '-')}"

    def may_be_own(self, group: str) -> bool:
        """Whether the name is one that this object's groups may have: only then is the owner tag, which decides, worth a read."""
        kept = self.status.parameter_groups
        if group in (self.status.subnet_group, *((kept.cluster, kept.instance) if kept is not None else ())):
            return group != "default" and not group.startswith(AWS_DEFAULT)
        of_cluster = f"{re.escape(self.legacy_subnet_group)}(?:-[0-9a-f]{{8}})?"
        return re.fullmatch(f"(?:{of_cluster}|penstock-.+-{self._mark}){_FAMILY}", group) is not None

    @property
    def _mark(self) -> str:
        return hashlib.sha256(self.uid.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Family:
    """A parameter group family: which parameters a cluster's and an instance's group may hold, with their defaults.

    known: False where AWS does not tell (an emulator): then every parameter is taken to be the cluster's.
    """

    name: str
    cluster: Mapping[str, Parameter] = field(default_factory=dict)
    instance: Mapping[str, Parameter] = field(default_factory=dict)
    known: bool = True


@dataclass(frozen=True)
class Engine:
    """What AWS tells of a version of the engine. targets: versions to which it may be upgraded, with whether each is of another major."""

    version: str
    family: str
    targets: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Group:
    """A parameter group: itself with its tags, None when there is none, and what a user set in it (name → value)."""

    group: ParameterGroup | None = None
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scaling:
    """Application Auto Scaling of the readers. target: percent of processor time, 0 without a policy. policy: the name of the one that says so.
    tracking: all of its configuration, as AWS tells it: it is exchanged whole, and what the spec does not name stays."""

    minimum: int
    maximum: int
    target: float = 0.0
    policy: str = ""
    tracking: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Password:
    """What the referenced Secret says; the password itself never comes into a plan, see PASSWORD.

    version: the Secret's uid and resourceVersion. problem: why it holds no password that AWS takes, as a sentence; '' when it does. same: the content
    is the one that AWS was last given by this process, whatever the version.
    """

    version: str = ""
    problem: str = ""
    same: bool = False

    @property
    def refusal(self) -> Refusal | None:
        """What keeps a cluster from getting the password."""
        if not self.problem:
            return None
        reason = Reason.SECRET_INVALID if self.version else Reason.WAITING_FOR_SECRET
        return Refusal(reason, self.problem, again=10.0)


class Stand(StrEnum):
    """What stands in Kubernetes under the Secret's name."""

    ABSENT = "Absent"
    OURS = "Ours"
    GOING = "Going"
    """The Secret of an earlier object of this name, which Kubernetes still has to remove."""
    FOREIGN = "Foreign"


@dataclass(frozen=True)
class Proof:
    """What the last attempt to log in came to. reason, sentence: why it failed. failures: in a row, of these very credentials."""

    proven: bool
    reason: str = ""
    sentence: str = ""
    failures: int = 0


@dataclass(frozen=True)
class Binding:
    """What was seen of the Secret and its proof; nothing of its content.

    changed: what is not as wanted (binding.changed); none when it is current. edited: somebody else wrote what stands there. proof: None while no
    attempt has ended, and where provable is False: nobody here speaks the engine's protocol. problem: a reason and a sentence when the content cannot
    be known or the Secret cannot be written. again: seconds until another look is worth it.
    """

    stand: Stand
    changed: tuple[str, ...] = ()
    edited: bool = False
    proof: Proof | None = None
    provable: bool = True
    problem: tuple[str, str] | None = None
    again: float | None = None

    @property
    def current(self) -> bool:
        return self.stand is Stand.OURS and not self.changed


@dataclass(frozen=True)
class Observed:
    """What was seen of the cluster. A facet that is None was not read, and the plan decides nothing about it.

    instances: by identifier, all that name the cluster, also those that somebody else made. engine: the facts of the running version when it is not
    the wanted one, or of AWS's default version while there is no cluster and the spec names none. families: by name.
    groups: parameter groups that are ours or in force, by (level, name) with level "cluster" or "instance"; one that is absent here was not read.
    subnet_groups: by name, None for one that is not there; likewise. scaling: None when not read; an empty tuple when there is
    none. source: what is to be restored from, before the restore.
    since: when the cluster or an instance last changed its state, as this process saw it. held: refused steps by their ids. age: seconds since
    the account was last read. unread: reason and sentence of each facet that may not be read. binding: None while nothing can be said of the
    connection Secret. drill: the
    FailoverDrill that runs. events: what AWS told of cluster and instances so far. read_at: when the read of the cluster began.
    kms_key: the ARN of the key that the alias in spec.encryption.kmsKey points to, '' when there is no such alias.
    renamed: the object's own cluster, by its id, where it has another name than the spec says; what has that name then is another cluster.
    users: of a deletion, the clusters and instances that use a group that was created for this one, by the facet of the group.
    elsewhere: identifiers like those of our instances that instances of other clusters have, as after two clusters swapped names.
    """

    cluster: Cluster | None = None
    instances: Mapping[str, Instance] = field(default_factory=dict)
    engine: Engine | None = None
    families: Mapping[str, Family] = field(default_factory=dict)
    groups: Mapping[tuple[str, str], Group] = field(default_factory=dict)
    subnet_groups: Mapping[str, SubnetGroup | None] = field(default_factory=dict)
    scaling: tuple[Scaling, ...] | None = None
    password: Password | None = None
    snapshot: Snapshot | None = None
    snapshot_read: bool = False
    source: Source | None = None
    since: datetime | None = None
    held: Mapping[str, Held] = field(default_factory=dict)
    age: float = 0.0
    unread: tuple[tuple[str, str], ...] = ()
    binding: Binding | None = None
    drill: str = ""
    events: tuple[Event, ...] = ()
    read_at: datetime | None = None
    kms_key: str | None = None
    renamed: Cluster | None = None
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()

    @property
    def subnet_group(self) -> SubnetGroup | None:
        """The subnet group of the cluster, or the one that it is to have, as far as it was read."""
        in_force = self.subnet_groups.get(self.cluster.subnet_group) if self.cluster is not None else None
        return in_force or next((g for g in self.subnet_groups.values() if g is not None), None)
