"""What there is in an account's region: clusters, instances, groups, snapshots, and what is due when.

Everything is found by its name in a dict; members by their cluster. ``lock`` guards all of it.
"""

from __future__ import annotations

import dataclasses
import functools
import heapq
import itertools
import secrets
import string
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..clock import clock
from . import windows
from .dataplane import DataPlane
from .refusals import no_cluster, no_instance

if TYPE_CHECKING:
    from .events import EventLog

_ALPHABET = string.ascii_uppercase + string.digits
# How long a transition that the data plane has not finished waits before it asks again, in seconds.
_AGAIN = 0.1
# For how long what waits for a maintenance window tries to get into one that has opened, in seconds.
_WINDOW_PATIENCE = 3600.0

Tags = dict[str, str]


def resource_id(kind: str) -> str:
    """``cluster-`` or ``db-`` and 26 capitals and digits."""
    return f"{kind}-" + "".join(secrets.choice(_ALPHABET) for _ in range(26))


@functools.cache
def _suffix(account: str, region: str) -> str:
    number = zlib.crc32(f"{account}/{region}".encode())
    return "c" + "".join(string.ascii_lowercase[(number >> shift) % 26] for shift in range(0, 33, 3))


@dataclasses.dataclass(slots=True)
class Secret:
    """The master user's secret in Secrets Manager."""

    arn: str
    status: str
    key: str


@dataclasses.dataclass(slots=True, eq=False)
class Cluster:
    """An Aurora cluster. Times are epoch seconds; ``pending`` is what the maintenance window will apply."""

    identifier: str
    account: str
    region: str
    engine: str
    version: str
    family: str
    username: str
    password: str = dataclasses.field(repr=False)
    port: int
    subnet_group: str
    parameter_group: str
    security_groups: list[str]
    zones: list[str]
    retention: int
    backup_window: str
    maintenance_window: str
    created: float
    key: str | None = None
    encrypted: bool = True
    database: str | None = None
    resource: str = dataclasses.field(default_factory=lambda: resource_id("cluster"))
    status: str = "creating"
    phase: int = 0
    writer: str | None = None
    members: list[str] = dataclasses.field(default_factory=list)
    tags: Tags = dataclasses.field(default_factory=dict)
    iam: bool = False
    logs: list[str] = dataclasses.field(default_factory=list)
    deletion_protection: bool = False
    copy_tags: bool = False
    auto_minor: bool = True
    http_endpoint: bool = False
    storage: str = "aurora"
    storage_changed: float | None = None
    serverless: dict[str, Any] | None = None
    insights: bool = False
    insights_key: str | None = None
    insights_days: int | None = None
    insights_mode: str = "standard"
    monitoring_interval: int = 0
    monitoring_role: str | None = None
    network: str = "IPV4"
    lifecycle_support: str = "open-source-rds-extended-support"
    secret: Secret | None = None
    clone_group: str | None = None
    pending: dict[str, Any] = dataclasses.field(default_factory=dict)
    window_phase: int = 0
    earliest: float | None = None
    stopped_at: float | None = None
    restart_at: float | None = None
    # Since when and for how many seconds a restore copies.
    restoring: tuple[float, float] | None = None
    # The instance that a failover in progress goes to.
    failing_to: str | None = None
    # lower_case_table_names of its data, for good; None of an engine without it.
    table_names: str | None = None
    # What ends its deletion once the last instance is gone.
    when_empty: Callable[[float], None] | None = None
    # The parameter groups that a pending major upgrade brings along: the cluster's and the instances'.
    upgrade_groups: tuple[str | None, str | None] = (None, None)

    @property
    def arn(self) -> str:
        return f"arn:aws:rds:{self.region}:{self.account}:cluster:{self.identifier}"

    @property
    def suffix(self) -> str:
        """The part of host names that is the same for everything an account has in a region."""
        return _suffix(self.account, self.region)


@dataclasses.dataclass(slots=True, eq=False)
class Instance:
    """A DB instance of a cluster."""

    identifier: str
    cluster: str
    db_class: str
    zone: str
    tier: int
    parameter_group: str
    maintenance_window: str
    created: float
    version: str
    resource: str = dataclasses.field(default_factory=lambda: resource_id("db"))
    status: str = "creating"
    phase: int = 0
    tags: Tags = dataclasses.field(default_factory=dict)
    public: bool = False
    auto_minor: bool = True
    copy_tags: bool = False
    certificate: str = "rds-ca-rsa2048-g1"
    insights: bool = False
    insights_key: str | None = None
    insights_days: int | None = None
    monitoring_interval: int = 0
    monitoring_role: str | None = None
    pending: dict[str, Any] = dataclasses.field(default_factory=dict)
    window_phase: int = 0
    # in-sync, applying or pending-reboot: of the cluster's parameter group, and of its own.
    cluster_parameters: str = "in-sync"
    parameters: str = "in-sync"


@dataclasses.dataclass(slots=True, eq=False)
class SubnetGroup:
    name: str
    description: str
    vpc: str
    subnets: dict[str, str]  # id to zone
    arn: str
    tags: Tags = dataclasses.field(default_factory=dict)

    @property
    def zones(self) -> list[str]:
        return sorted(set(self.subnets.values()))


@dataclasses.dataclass(slots=True, eq=False)
class ParameterGroup:
    """``level`` is cluster or instance; ``values`` maps a name to its value and its apply method."""

    name: str
    level: str
    family: str
    description: str
    arn: str
    tags: Tags = dataclasses.field(default_factory=dict)
    values: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def default(self) -> bool:
        return self.name.startswith("default.")


@dataclasses.dataclass(slots=True, eq=False)
class Snapshot:
    """A cluster's snapshot; ``cluster`` is the cluster as it was, and ``time`` the moment it shows."""

    identifier: str
    kind: str  # manual, automated or awsbackup
    arn: str
    created: float
    time: float
    cluster: Cluster
    status: str = "creating"
    phase: int = 0
    tags: Tags = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True, eq=False)
class Backups:
    """The automated backups that stayed when their cluster was deleted."""

    cluster: Cluster
    arn: str
    earliest: float
    latest: float
    expires: float


@dataclasses.dataclass(slots=True, eq=False)
class Subscription:
    name: str
    topic: str
    arn: str
    created: float
    enabled: bool = True
    source_type: str | None = None
    sources: list[str] = dataclasses.field(default_factory=list)
    categories: list[str] = dataclasses.field(default_factory=list)
    tags: Tags = dataclasses.field(default_factory=dict)
    status: str = "creating"
    phase: int = 0


class Store:
    """The RDS resources of an account's region. Take ``lock`` and call ``settle(now)`` before anything else."""

    def __init__(self, account: str, region: str, plane: DataPlane) -> None:
        self.account = account
        self.region = region
        self.plane = plane
        self.lock = threading.RLock()
        self.clusters: dict[str, Cluster] = {}
        self.instances: dict[str, Instance] = {}
        self.subnet_groups: dict[str, SubnetGroup] = {}
        self.parameter_groups: dict[tuple[str, str], ParameterGroup] = {}
        self.snapshots: dict[str, Snapshot] = {}
        # The automated ones again, by their cluster's resource id and their name.
        self.automated: dict[str, dict[str, Snapshot]] = {}
        self.kept_backups: dict[str, Backups] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        # While things are let happen, the time up to which they are.
        self.horizon = 0.0
        from .events import EventLog

        self.events: EventLog = EventLog(self)

    # Time.

    def at(self, due: float, action: Callable[[float], None]) -> None:
        """Has ``action(due)`` happen once the clock has reached ``due``."""
        heapq.heappush(self._due, (due, next(self._order), action))

    def settle(self, now: float) -> None:
        """Lets everything happen that is due by ``now``, in its order."""
        self.horizon = now
        while self._due and self._due[0][0] <= now:
            due, _, action = heapq.heappop(self._due)
            action(due)

    def during(
        self,
        what: Cluster | Instance | Snapshot | Subscription,
        status: str,
        seconds: float,
        then: Callable[[float], None] | None = None,
        *,
        now: float | None = None,
        after: str = "available",
        when: Callable[[], bool] | None = None,
    ) -> None:
        """``what`` has ``status`` for ``seconds``, then ``after``; then ``then(due)``.

        It also takes until ``when()`` holds and the data plane is ready. A transition that begins meanwhile makes the
        end of this one void.
        """
        what.status = status
        what.phase += 1
        phase = what.phase

        def finish(due: float) -> None:
            if what.phase != phase:
                return
            if (when is not None and not when()) or not (isinstance(what, Subscription) or self.plane.ready(what)):
                # Never in the past: a clock that has jumped must not ask for ever at one moment.
                self.at(max(due, clock.now()) + _AGAIN, finish)
                return
            what.status = after
            if then is not None:
                then(due)

        self.at((clock.now() if now is None else now) + seconds, finish)

    def in_window(self, what: Cluster | Instance, apply: Callable[[float], None]) -> None:
        """Has ``apply(due)`` happen when the maintenance window opens next, now if it is open; in place of an earlier one.

        What is in transition then is asked again each minute for an hour; that and what is stopped waits for the next
        window.
        """
        what.window_phase += 1
        phase = what.window_phase

        def opened(due: float, since: float) -> None:
            if what.window_phase != phase or what.status == "deleting":
                return
            if what.status == "available":
                apply(due)
            elif what.status == "stopped" or due - since >= _WINDOW_PATIENCE:
                following = windows.after(what.maintenance_window, due)
                self.at(following, lambda at: opened(at, following))
            else:
                self.at(due + 60, lambda at: opened(at, since))

        start = windows.next_start(what.maintenance_window, clock.now())
        self.at(start, lambda at: opened(at, start))

    def window_closed(self, what: Cluster | Instance) -> None:
        """Nothing waits for the maintenance window any more."""
        what.window_phase += 1

    # Finding things.

    def cluster(self, identifier: str) -> Cluster:
        """By name or ARN. Raises AwsError DBClusterNotFoundFault."""
        found = self.clusters.get(short_name(identifier))
        if found is None:
            raise no_cluster(identifier)
        return found

    def instance(self, identifier: str) -> Instance:
        """By name or ARN. Raises AwsError DBInstanceNotFound."""
        found = self.instances.get(short_name(identifier))
        if found is None:
            raise no_instance(identifier)
        return found

    def members(self, cluster: Cluster) -> list[Instance]:
        return [self.instances[name] for name in cluster.members if name in self.instances]

    def readers(self, cluster: Cluster) -> list[Instance]:
        return [one for one in self.members(cluster) if one.identifier != cluster.writer]

    def of_group(self, level: str, name: str) -> Iterator[Cluster | Instance]:
        """The clusters or instances whose parameter group it is."""
        owners: Any = self.clusters if level == "cluster" else self.instances
        return (one for one in owners.values() if one.parameter_group == name)

    def instance_arn(self, identifier: str) -> str:
        return self.arn("db", identifier)

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:rds:{self.region}:{self.account}:{kind}:{name}"


def short_name(value: str) -> str:
    """The name in a name or an ARN, in lower case as RDS keeps it."""
    return (value.split(":", 6)[-1] if value.startswith("arn:") else value).lower()
