"""What is broken on purpose, for ``/lab/postgres/…``, and what can be seen of the databases there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ..aws.clock import clock
from ..aws.request import ACCOUNT, DEFAULT_REGION
from .cluster import TROUBLE

if TYPE_CHECKING:
    from ..aws.rds.operations import Regions
    from .cluster import DatabaseCluster
    from .plane import PostgresDataPlane

KINDS = {
    "kill": "kill -9 of a node, by default the writer",
    "freeze": "SIGSTOP of a node, by default the writer",
    "partition": "nothing reaches a node and it reaches nobody, by default a reader",
    "delay": "readers replay what they receive so much later",
    "connections": "all connection slots of a node are taken, by default the writer's",
    "stale": "the control of the failover tests: a reader is promoted whatever it lacks",
}


def actions(regions: Regions, plane: PostgresDataPlane) -> dict[str, Callable[[dict[str, Any]], Any]]:
    """By path under ``/lab/``. Bodies may name ``account`` and ``region``; a body that makes no sense is a ValueError."""

    def found(body: dict[str, Any]) -> tuple[DatabaseCluster, dict[str, Any]]:
        if unknown := sorted(body.keys() - {"cluster", "instance", "kind", "seconds", "account", "region"}):
            raise ValueError(f"there is no {', '.join(unknown)}; there are cluster, instance, kind, seconds")
        store = regions.get(body.get("account") or ACCOUNT, body.get("region") or DEFAULT_REGION)
        with store.lock:
            store.settle(clock.now())
            name = body.get("cluster")
            if not isinstance(name, str) or not name:
                raise ValueError('write {"cluster": …}')
            database = plane.database(store.cluster(name).resource)
        if database is None:
            raise ValueError(f"{name} has no PostgreSQL behind it")
        return database, body

    def done(work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return plane.wait(work)
        except TROUBLE as trouble:
            raise ValueError(f"the databases did not do it: {str(trouble).strip() or 'no answer'}") from None

    def fault(body: dict[str, Any]) -> Any:
        database, asked = found(body)
        kind, seconds = asked.get("kind"), asked.get("seconds")
        if kind not in KINDS:
            raise ValueError(f"there is no kind {kind!r}; there are {', '.join(KINDS)}")
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0):
            raise ValueError("seconds must be a number of at least 0")
        return done(plane.faults.add(database, kind, asked.get("instance"), seconds))

    def heal(body: dict[str, Any]) -> Any:
        database, asked = found(body)
        return done(plane.faults.clear(database, asked.get("instance")))

    def show(body: dict[str, Any]) -> Any:
        return plane.wait(plane.faults.show(found(body)[0]))

    return {"postgres/fault": fault, "postgres/heal": heal, "postgres/nodes": show}
