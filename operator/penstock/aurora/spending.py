"""What of a cluster is paid by use, and the metrics that tell of it (Aurora guide, "Amazon CloudWatch metrics for Amazon Aurora"). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from penstock.aws.rds import IO_OPTIMIZED, Cluster, Instance
from penstock.aws.series import Query
from penstock.cost.aurora import SERVERLESS
from penstock.cost.prices import AURORA_GB
from penstock.cost.spend import DAY, How, Meter

_NAMESPACE = "AWS/RDS"
_GB = Decimal(1) / AURORA_GB


def meters(cluster: Cluster, instances: Iterable[Instance]) -> tuple[Meter, ...]:
    """Volume, backups beyond the free share, I/O unless it is included, and the capacity of serverless instances; others are paid by the hour."""
    prefix = "aurora-io-optimized" if cluster.storage_type == IO_OPTIMIZED else "aurora"
    of_cluster = (("DBClusterIdentifier", cluster.identifier),)

    def query(metric: str, stat: str, dimensions: tuple[tuple[str, str], ...] = of_cluster) -> Query:
        return Query(_NAMESPACE, metric, dimensions, stat, DAY)

    found = [
        Meter("storage", f"{prefix}.storage", (query("VolumeBytesUsed", "Average"),), How.MONTHS, _GB),
        # AWS publishes it net of the free share.
        Meter("backups", "aurora.backup", (query("TotalBackupStorageBilled", "Average"),), How.MONTHS, _GB),
    ]
    if cluster.storage_type != IO_OPTIMIZED:
        both = (query("VolumeReadIOPs", "Sum"), query("VolumeWriteIOPs", "Sum"))
        found.append(Meter("I/O requests", f"{prefix}.io", both, How.COUNT))
    for instance in sorted(instances, key=lambda i: i.identifier):
        if instance.instance_class == SERVERLESS and instance.status != "deleting":
            capacity = query("ServerlessDatabaseCapacity", "Average", (("DBInstanceIdentifier", instance.identifier),))
            name = f"capacity of {instance.identifier}"
            found.append(Meter(name, f"{prefix}.serverless", (capacity,), How.HOURS, since=instance.created))
    return tuple(found)
