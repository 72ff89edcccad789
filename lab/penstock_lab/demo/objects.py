"""What chapters look at: objects with their conditions on the API server, and what AWS was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .stage import Stage


def get(stage: Stage, resource: str, name: str) -> dict[str, Any]:
    """An object as the API server has it; {} when it is not there. resource: ddb or aurora."""
    found = stage.lab.kubectl("get", resource, name, "-o", "json", check=False)
    return json.loads(found.stdout) if found.returncode == 0 else {}


def status(stage: Stage, resource: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = get(stage, resource, name).get("status", {})
    return found


def condition(stage: Stage, resource: str, name: str, kind: str) -> dict[str, str]:
    conditions = status(stage, resource, name).get("conditions", ())
    return next((c for c in conditions if c["type"] == kind), {})


def synced(stage: Stage, resource: str, name: str) -> tuple[bool, dict[str, str]]:
    """For `Stage.until`: whether AWS is as the newest spec says, and the condition that says so; {} until it speaks of that spec."""
    obj = get(stage, resource, name)
    told = next((c for c in obj.get("status", {}).get("conditions", ()) if c["type"] == "Synced"), {})
    if told.get("observedGeneration") != obj.get("metadata", {}).get("generation"):
        return False, {}
    return told.get("status") == "True", told


def following(stage: Stage, resource: str, name: str) -> Callable[[], tuple[bool, list[str]]]:
    """As `synced`, and every sentence of Synced on the way is told once; they are what is seen."""
    seen: list[str] = []

    def look() -> tuple[bool, list[str]]:
        held, told = synced(stage, resource, name)
        if told and told["message"] not in seen:
            seen.append(told["message"])
            stage.note(f"Synced={told['status']:5} {told['reason']}: {told['message']}")
        return held, seen

    return look


def calls(stage: Stage, name: str, *, accepted: bool = False) -> list[tuple[str, str]]:
    """The requests to AWS about what has this in its name, in order: operation and resource (a name or an ARN).

    accepted: only those that AWS did not refuse.
    """
    log = stage.lab.aws.calls(log=True)["log"]
    return [
        (call["operation"].rpartition(".")[2], call["key"])
        for call in log
        if name in call["key"] and (not accepted or 200 <= call["status"] < 400)
    ]
