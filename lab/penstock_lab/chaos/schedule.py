"""What is done when: a list of steps, chosen at random by a seed before the first is done, so that a run can be told and done again."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .subjects import BUDGET, DRILL, TABLE, Subject, edit

# How often each happens, as weights.
_ON_OBJECTS = {"edit": 10, "drift": 8, "recreate": 3}
# Seconds between two of them, on average.
_FAULT_S, _PROCESS_S, _API_S = 20.0, 30.0, 75.0
_TABLE_DRIFT = ("tags", "untag", "protection", "ttl", "recovery", "stream", "index", "delete")
_CLUSTER_DRIFT = ("tags", "untag", "protection", "retention", "parameters", "instance", "failover", "delete")
_FAULTS = ("throttle", "error", "latency", "drop", "lost answer", "stale")


@dataclass(frozen=True)
class Step:
    """One thing that is done. `at` is in seconds from the beginning; `target` the object's index, -1 where it is about none."""

    at: float
    action: str
    target: int = -1
    facts: str = ""
    """What exactly, as JSON."""

    @property
    def details(self) -> Any:
        return json.loads(self.facts or "{}")


def schedule(rng: random.Random, subjects: Sequence[Subject], seconds: float, per_minute: float) -> list[Step]:
    """All steps in the order in which they are due."""
    steps = _on_objects(rng, subjects, seconds, per_minute)
    for mean, choose in ((_FAULT_S, _fault), (_PROCESS_S, _process), (_API_S, _api)):
        at = rng.uniform(0, mean)
        while at < seconds:
            action, details = choose(rng)
            steps.append(Step(round(at, 2), action, -1, json.dumps(details)))
            at += rng.uniform(0.5, 1.5) * mean
    return sorted(steps, key=lambda step: step.at)


def _on_objects(rng: random.Random, subjects: Sequence[Subject], seconds: float, per_minute: float) -> list[Step]:
    steps: list[Step] = []
    renamed: dict[int, float] = {}
    at, number = 0.0, 0
    while (at := at + rng.uniform(0.5, 1.5) * 60 / per_minute) < seconds:
        number += 1
        index = rng.randrange(len(subjects))
        if renamed.get(index, 0.0) > at:
            # Whoever renames a cluster gives it its name back before it is deleted.
            continue
        subject = subjects[index]
        (action,) = rng.choices(list(_ON_OBJECTS), list(_ON_OBJECTS.values()))
        if action == "drift" and subject.kind in (BUDGET, DRILL):
            action = "edit"
        if action == "edit":
            change = edit(rng, subject, number)
            steps.append(Step(round(at, 2), action, index, json.dumps(change)))
        elif action == "recreate":
            steps.append(Step(round(at, 2), action, index))
        else:
            what = rng.choice(_TABLE_DRIFT if subject.kind == TABLE else (*_CLUSTER_DRIFT, "rename"))
            if what == "rename":
                back = at + rng.uniform(10, 40)
                if subject.rival or back > seconds:
                    continue
                renamed[index] = back + 5
                steps.append(Step(round(back, 2), "drift", index, json.dumps({"what": "rename back"})))
            steps.append(Step(round(at, 2), action, index, json.dumps({"what": what, "number": number})))
    return steps


def _fault(rng: random.Random) -> tuple[str, dict[str, Any]]:
    name = rng.choice(_FAULTS)
    rule: dict[str, Any] = {"kind": name, "rate": round(rng.uniform(0.1, 0.5), 2), "expires": rng.randint(3, 25)}
    if name == "lost answer":
        rule |= {"kind": "drop", "when": "after", "operation": rng.choice(("Create*", "Update*", "Modify*", "Delete*"))}
    elif name == "latency":
        rule |= {"seconds": round(rng.uniform(0.5, 8), 1)}
    elif name == "stale":
        rule |= {"seconds": 3.0, "operation": rng.choice(("Describe*", "List*"))}
    elif name == "error" and rng.random() < 0.3:
        # A part of AWS is down altogether.
        rule |= {"rate": 1.0, "service": rng.choice(("dynamodb", "rds", "application-autoscaling"))}
    return "fault", rule


def _process(rng: random.Random) -> tuple[str, dict[str, Any]]:
    if rng.random() < 0.6:
        return "kill", {}
    return "suspend", {"seconds": round(rng.uniform(2, 30), 1)}


def _api(rng: random.Random) -> tuple[str, dict[str, Any]]:
    return "api away", {"seconds": round(rng.uniform(2, 30), 1), "freeze": rng.random() < 0.3}
