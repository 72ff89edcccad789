"""What clusters use, as CloudWatch metrics, once a minute of the lab's clock (Aurora guide, "Amazon CloudWatch metrics for Amazon Aurora").

Serverless instances run at their least capacity, volumes are as good as empty and no backup is beyond the free share: whoever wants more puts metric
data, which counts together with these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..clock import clock
from ..metrics import metrics

if TYPE_CHECKING:
    from .operations import Regions

_NAMESPACE = "AWS/RDS"
_EMPTY = 32.0 * 2**20
# A serverless instance that is awake has no less.
_LEAST = 0.5


class Usage:
    """Publishes for all regions."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self._minute = 0

    def tick(self) -> None:
        now = clock.now()
        minute = int(now // 60)
        if minute == self._minute:
            return
        self._minute = minute
        for store in self._regions:
            with store.lock:
                for cluster in store.clusters.values():
                    if cluster.status != "creating":
                        of = {"DBClusterIdentifier": cluster.identifier}
                        metrics.add(store.region, _NAMESPACE, "VolumeBytesUsed", of, _EMPTY, now)
                for instance in store.instances.values():
                    cluster = store.clusters.get(instance.cluster)
                    if instance.db_class != "db.serverless" or instance.status != "available" or cluster is None:
                        continue
                    least = float((cluster.serverless or {}).get("MinCapacity") or 0.0)
                    of = {"DBInstanceIdentifier": instance.identifier}
                    capacity = max(least, _LEAST)
                    metrics.add(store.region, _NAMESPACE, "ServerlessDatabaseCapacity", of, capacity, now)
