"""What happens to the databases behind the control plane: the one place where real ones are plugged in."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .store import Cluster, Instance, Snapshot


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where something can be connected to; ``port`` None means the cluster's own."""

    host: str
    port: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """What a restored cluster's data comes from: a snapshot, or another cluster as it was at ``time`` (epoch seconds).

    ``mode`` is ``full-copy`` or ``copy-on-write`` (a clone, which needs no time to copy).
    """

    snapshot: str | None = None
    cluster_resource: str | None = None
    time: float | None = None
    mode: str = "full-copy"


class DataPlane:
    """Told of what happens, under the region's lock: a method must start work and return, never wait.

    A transition ends when its time has passed *and* :meth:`ready` says so. This class has no databases behind it: it
    does nothing and is always ready.
    """

    def cluster_address(self, cluster: Cluster, role: Literal["writer", "reader"]) -> Address:
        """``<id>.cluster-<hash>.<region>.rds.amazonaws.com``, with ``cluster-ro-`` for the readers."""
        part = "cluster" if role == "writer" else "cluster-ro"
        return Address(f"{cluster.identifier}.{part}-{cluster.suffix}.{cluster.region}.rds.amazonaws.com")

    def instance_address(self, cluster: Cluster, instance: Instance) -> Address:
        return Address(f"{instance.identifier}.{cluster.suffix}.{cluster.region}.rds.amazonaws.com")

    def ready(self, what: Cluster | Instance | Snapshot) -> bool:
        """Whether what was started last on ``what`` is done."""
        return True

    def cluster_created(self, cluster: Cluster, origin: Origin | None) -> None:
        """A volume without instances; ``cluster.password`` is the master's."""

    def cluster_deleted(self, cluster: Cluster, *, keep_backups: bool) -> None:
        """The volume goes; its log stays restorable when ``keep_backups``."""

    def instance_created(self, cluster: Cluster, instance: Instance) -> None: ...

    def instance_deleted(self, cluster: Cluster, instance: Instance) -> None: ...

    def instance_restarting(self, cluster: Cluster, instance: Instance) -> None:
        """A reboot, a change of class, or recovery from a crash."""

    def instance_crashed(self, cluster: Cluster, instance: Instance) -> None: ...

    def failing_over(self, cluster: Cluster, old: Instance | None, new: Instance) -> None:
        """``new`` is to become the writer; ``old`` is None when there is none any more."""

    def writer(self, cluster: Cluster) -> str | None:
        """The resource id of the instance whose database takes writes; None where that is nobody, or nobody is known."""
        return None

    def failed_over(self, cluster: Cluster, new: Instance) -> None:
        """The control plane has moved the writer flag."""

    def stopping(self, cluster: Cluster) -> None: ...

    def starting(self, cluster: Cluster) -> None: ...

    def upgrading(self, cluster: Cluster, version: str) -> None: ...

    def password_changed(self, cluster: Cluster) -> None:
        """``cluster.password`` is the new one."""

    def parameters_changed(self, cluster: Cluster) -> None:
        """Dynamic parameters are to be applied to the running instances."""

    def addresses_changed(self, cluster: Cluster) -> None:
        """The port or the identifier is another one."""

    def snapshot_taken(self, cluster: Cluster, snapshot: Snapshot) -> None: ...

    def snapshot_deleted(self, snapshot: Snapshot) -> None: ...

    def latest_restorable(self, cluster: Cluster) -> float | None:
        """Epoch seconds up to which a restore is possible; None: the lab's clock minus ``rds_restorable_lag_s``."""
        return None
