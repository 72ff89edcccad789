"""What AWS and other people do to RDS, for ``/lab/rds/…``: crashes, failovers, upgrades, AWS Backup, changes from outside."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..clock import clock
from ..errors import AwsError
from ..request import ACCOUNT, DEFAULT_REGION, Request
from ..settings import settings
from . import account, clusterchanges, failover, snapshots
from .store import Cluster, Store

if TYPE_CHECKING:
    from .operations import Operation, Regions

Action = Callable[[dict[str, Any]], Any]


def actions(regions: Regions, operations: dict[str, Operation]) -> dict[str, Action]:
    """By path under ``/lab/``. Bodies may name ``account`` and ``region``; a body that makes no sense is a ValueError."""

    def run(action: Callable[[Store, dict[str, Any]], Any], *names: str) -> Action:
        def answer(body: dict[str, Any]) -> Any:
            if unknown := sorted(body.keys() - {*names, "account", "region"}):
                raise ValueError(
                    f"there is no {', '.join(unknown)}; there are {', '.join((*names, 'account', 'region'))}"
                )
            store = regions.get(body.get("account") or ACCOUNT, body.get("region") or DEFAULT_REGION)
            with store.lock:
                store.settle(clock.now())
                return action(store, body)

        return answer

    def call(store: Store, body: dict[str, Any]) -> Any:
        name = body.get("operation")
        if name not in operations:
            raise ValueError(f"there is no operation {name!r}")
        request = Request("POST", "/", "", {}, b"", service="rds", operation=str(name), protocol="query")
        request.account, request.region = store.account, store.region
        request.parameters = dict(body.get("parameters") or {})
        return operations[str(name)](store, request) or {}

    return {
        "rds/failover": run(_failover, "cluster", "target"),
        "rds/crash": run(_crash, "cluster", "instance"),
        "rds/upgrade": run(_upgrade, "cluster", "version"),
        "rds/backup": run(_backup, "cluster"),
        "rds/password": run(_password, "cluster"),
        "rds/status": run(_status, "name", "status"),
        "rds/call": run(call, "operation", "parameters"),
    }


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f'write {{"{name}": …}}')
    return value


def _failover(store: Store, body: dict[str, Any]) -> dict[str, Any]:
    cluster = store.cluster(_text(body, "cluster"))
    target = store.instance(body["target"]) if body.get("target") else failover.successor(store, cluster)
    if target is None or target.cluster != cluster.identifier or target.identifier == cluster.writer:
        raise ValueError(f"{cluster.identifier} has no such reader to fail over to")
    failover.start(store, cluster, target)
    return {"writer": target.identifier}


def _crash(store: Store, body: dict[str, Any]) -> dict[str, Any]:
    name = body.get("instance")
    if not name:
        cluster = store.cluster(_text(body, "cluster"))
        name = cluster.writer
        if not name:
            raise ValueError(f"{cluster.identifier} has no writer")
    return {"writer": failover.crash(store, store.instance(str(name)))}


def _upgrade(store: Store, body: dict[str, Any]) -> dict[str, Any]:
    cluster = store.cluster(_text(body, "cluster"))
    version = body.get("version") or account.automatic_target(cluster)
    if version is None:
        raise ValueError(f"{cluster.identifier} runs {cluster.version}, which has no automatic upgrade")
    if cluster.status != "available":
        raise ValueError(f"{cluster.identifier} is {cluster.status}: AWS upgrades what is available")
    target = clusterchanges.check_upgrade(store, cluster, version, major=False)
    step = clusterchanges.upgrade_step(store, cluster, target.version)
    clusterchanges.run(store, cluster, [step], clock.now())
    return {"version": target.version}


def _backup(store: Store, body: dict[str, Any]) -> dict[str, Any]:
    cluster = store.cluster(_text(body, "cluster"))
    name = f"awsbackup:job-{uuid.uuid4()}"
    snapshots.take(store, cluster, name, "awsbackup", clock.now(), seconds=settings.rds_backup_s)
    return {"snapshot": name}


def _password(store: Store, body: dict[str, Any]) -> dict[str, Any]:
    return {"password": store.cluster(_text(body, "cluster")).password}


def _status(store: Store, body: dict[str, Any]) -> dict[str, Any]:
    name, status = _text(body, "name"), _text(body, "status")
    found: Any = store.clusters.get(name) or store.instances.get(name)
    if found is None:
        raise AwsError("DBClusterNotFoundFault", f"there is no cluster and no instance {name}", 404)
    # A transition in progress must not end the state that is asked for.
    found.phase += 1
    found.status = status
    if isinstance(found, Cluster):
        found.failing_to = None
    return {"name": name, "status": status}
