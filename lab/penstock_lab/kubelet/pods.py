"""The pods of a node that runs containers, as the rest of the lab knows pods: from the API server, and from /proc for their pids on this machine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..state import State

if TYPE_CHECKING:
    from ..lab import Lab


def pid_of(container: str) -> int | None:
    """The pid on this machine of a container's first process, by the id that the pod's status tells; None when none runs."""
    identity = container.rpartition("/")[2]
    found = []
    for group in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if identity and identity in group.read_text():
                found.append(int(group.parent.name))
    return min(found, default=None)


def listed(lab: Lab, namespace: str | None) -> list[dict[str, Any]]:
    """As `Lab.pods` describes them. Their addresses are of the lab's network: this machine reaches them through the API server alone."""
    where = f"/namespaces/{namespace}" if namespace else ""
    answer: Any = lab.api.json(f"/api/v1{where}/pods") or {}
    return [_described(lab.state, pod) for pod in answer.get("items") or ()]


def _described(state: State, pod: dict[str, Any]) -> dict[str, Any]:
    status, meta = pod.get("status") or {}, pod["metadata"]
    containers = status.get("containerStatuses") or [{}]
    first, ports = containers[0], pod["spec"]["containers"][0].get("ports") or ()
    files = sorted(_folder(state, meta["namespace"], meta["name"], meta["uid"]).glob("*/*.log"), key=_age)
    running = "running" in (first.get("state") or {})
    return {
        "name": meta["name"],
        "namespace": meta["namespace"],
        "ip": status.get("podIP", ""),
        "ready": bool(status.get("containerStatuses")) and all(one.get("ready") for one in containers),
        "pid": pid_of(first["containerID"]) if running and first.get("containerID") else None,
        "restarts": first.get("restartCount", 0),
        "log": str(files[-1]) if files else "",
        "url": f"http://{status.get('podIP', '')}:{ports[0]['containerPort']}" if ports else None,
    }


def logs(state: State, namespace: str) -> list[Path]:
    """The log files of a namespace's containers, newest last."""
    return sorted((state.folder / "node" / "log" / "pods").glob(f"{namespace}_*/*/*.log"), key=_age)


def _folder(state: State, namespace: str, name: str, uid: str) -> Path:
    return state.folder / "node" / "log" / "pods" / f"{namespace}_{name}_{uid}"


def _age(file: Path) -> float:
    return file.stat().st_mtime
