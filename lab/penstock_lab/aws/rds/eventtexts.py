# ruff: noqa: E501 - messages are one line each
"""RDS events by id: what they are about, their categories and their wording.

From the Aurora guide, "Amazon RDS event categories and event messages for Aurora". Where the guide shows a name in the
message, the template has a field for it; further names are ignored. An id that AWS uses for two kinds of source (0011 for
an instance and for a parameter group, 0016 and 0092 likewise) stands here under the one, and for the other in ``ALSO``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

CLUSTER = "db-cluster"
INSTANCE = "db-instance"
SNAPSHOT = "db-cluster-snapshot"
PARAMETER_GROUP = "db-parameter-group"


@dataclass(frozen=True)
class EventText:
    """``id`` as in ``RDS-EVENT-0071``; ``source_type`` as DescribeEvents names it; ``template`` for str.format."""

    id: str
    source_type: str
    categories: tuple[str, ...]
    template: str

    @property
    def names(self) -> frozenset[str]:
        """The fields that ``text`` must be given."""
        return frozenset(re.findall(r"\{(\w+)\}", self.template))


# number | category | message
_CLUSTER_EVENTS = """
0016 | configuration change | Reset master credentials
0179 | configuration change | Database Activity Streams is started on your database cluster.
0180 | configuration change | Database Activity Streams is stopped on your database cluster.
0170 | creation | DB cluster created
0171 | deletion | DB cluster deleted
0069 | failover | Cluster failover failed, check the health of your cluster instances and try again.
0070 | failover | Promoting previous primary again: {name}.
0071 | failover | Completed failover to DB instance: {name}
0072 | failover | Started same AZ failover to DB instance: {name}
0073 | failover | Started cross AZ failover to DB instance: {name}
0354 | failure | You can't create the DB cluster because of incompatible resources. {message}
0355 | failure | The DB cluster can't be created because of insufficient resource limits. {message}
0156 | maintenance | The DB cluster has a DB engine minor version upgrade available.
0173 | maintenance | Database cluster engine version has been upgraded.
0174 | maintenance | Database cluster is in a state that cannot be upgraded.
0176 | maintenance | Database cluster engine major version has been upgraded.
0177 | maintenance | Database cluster upgrade is in progress.
0286 | maintenance | Database cluster engine {version} version upgrade started. Cluster remains online.
0290 | maintenance | Database cluster has been patched: source version {old} => {new}.
0363 | maintenance | Upgrade preparation in progress: {name}
0085 | notification | Unable to upgrade DB cluster {name} because the instance {instance} has a status of {status}. Resolve the issue or delete the instance and try again.
0144 | notification | The DB cluster is being paused.
0145 | notification | The DB cluster is paused.
0146 | notification | Pause was canceled for the DB cluster.
0147 | notification | The DB cluster is being resumed.
0148 | notification | The DB cluster is resumed.
0150 | notification | DB cluster stopped
0151 | notification | DB cluster started
0152 | notification | DB cluster stop failed
0153 | notification | DB cluster is being started due to it exceeding the maximum allowed time being stopped.
0172 | notification | Renamed cluster from {old} to {new}.
"""
_INSTANCE_EVENTS = """
0004 | availability | DB instance shutdown
0006 | availability | DB instance restarted
0022 | availability | Error restarting mysql: {message}
0419 | availability | Amazon RDS has been unable to access the KMS encryption key for database instance {name}. This database will be placed into an inaccessible state. Please refer to the troubleshooting section in the Amazon RDS documentation for further details.
0011 | configuration change | Updated to use DBParameterGroup {name}
0012 | configuration change | Applying modification to database instance class
0014 | configuration change | Finished applying modification to DB instance class
0017 | configuration change | Finished applying modification to allocated storage
0067 | configuration change | Unable to reset your password. Error information: {message}
0078 | configuration change | Monitoring Interval changed to {number}
0092 | configuration change | Finished updating DB parameter group
0005 | creation | DB instance created
0003 | deletion | DB instance deleted
0035 | failure | Database instance put into {state}. {message}
0036 | failure | Database instance in {state}. {message}
0353 | failure | The DB instance can't be created because of insufficient resource limits. {message}
0418 | failure | Amazon RDS is unable to access the KMS encryption key for database instance {name}. This is likely due to the key being disabled or Amazon RDS being unable to access it. If this continues the database will be placed into an inaccessible state. Please refer to the troubleshooting section in the Amazon RDS documentation for further details.
0420 | failure | Amazon RDS can now successfully access the KMS encryption key for database instance {name}.
0227 | low storage | Your Aurora cluster's storage is dangerously low with only {amount} terabytes remaining. Please take measures to reduce the storage load on your cluster.
0026 | maintenance | Applying off-line patches to DB instance
0027 | maintenance | Finished applying off-line patches to DB instance
0047 | maintenance | Database instance patched
0155 | maintenance | The DB instance has a DB engine minor version upgrade available.
0178 | maintenance | Database instance upgrade is in progress.
0044 | notification | {message}
0087 | notification | DB instance stopped
0088 | notification | DB instance started
0370 | notification,serverless | Initiated pause for the DB instance.
0371 | notification,serverless | Pause was canceled for the DB instance.
0372 | notification,serverless | Successfully paused the DB instance.
0373 | notification,serverless | Initiated resume for the DB instance.
0374 | notification,serverless | Successfully resumed the DB instance.
0385 | notification | Cluster topology is updated.
0045 | read replica | Replication has stopped.
0046 | read replica | Replication for the Read Replica resumed.
0020 | recovery | Recovery of the DB instance has started. Recovery time will vary with the amount of data to be recovered.
0021 | recovery | Recovery of the DB instance is complete.
0019 | restoration | Restored from DB instance {old} to {new}.
0230 | security patching | A system update is available for your DB instance. For information about applying updates, see 'Maintaining a DB instance' in the RDS User Guide.
"""
_SNAPSHOT_EVENTS = """
0074 | backup | Creating manual cluster snapshot
0075 | backup | Manual cluster snapshot created
0168 | backup | Creating automated cluster snapshot
0169 | backup | Automated cluster snapshot created
0162 | notification | The cluster snapshot export task failed.
0163 | notification | The cluster snapshot export task was canceled.
0164 | notification | The cluster snapshot export task completed.
"""
_PARAMETER_GROUP_EVENTS = """
0037 | configuration change | Updated parameter {name} to {value} with apply method {method}
"""


def _read(source_type: str, table: str) -> dict[str, EventText]:
    found = {}
    for line in table.strip().splitlines():
        number, categories, template = (part.strip() for part in line.split("|"))
        event_id = f"RDS-EVENT-{number}"
        found[event_id] = EventText(event_id, source_type, tuple(categories.split(",")), template)
    return found


EVENTS: Mapping[str, EventText] = MappingProxyType(
    {
        **_read(CLUSTER, _CLUSTER_EVENTS),
        **_read(INSTANCE, _INSTANCE_EVENTS),
        **_read(SNAPSHOT, _SNAPSHOT_EVENTS),
        **_read(PARAMETER_GROUP, _PARAMETER_GROUP_EVENTS),
    }
)
"""By id."""

ALSO: Mapping[tuple[str, str], EventText] = MappingProxyType(
    {
        (event.id, event.source_type): event
        for event in (
            EventText("RDS-EVENT-0016", INSTANCE, ("configuration change",), "Reset master credentials"),
            EventText(
                "RDS-EVENT-0011", PARAMETER_GROUP, ("configuration change",), "Updated to use DBParameterGroup {name}"
            ),
            EventText(
                "RDS-EVENT-0092", PARAMETER_GROUP, ("configuration change",), "Finished updating DB parameter group"
            ),
        )
    }
)
"""Ids that are used for a second kind of source, by id and that source."""


def text(event_id: str, **names: str) -> str:
    """The message of an event. An unknown id, or a name that its message needs and was not given, raises KeyError."""
    return EVENTS[event_id].template.format_map(names)
