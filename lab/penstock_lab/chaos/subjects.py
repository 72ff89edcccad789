"""What chaos works on: objects as somebody declares them, and the edits that one may make. Chosen at random by a seed; nothing is touched here."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from typing import Any

TABLE, CLUSTER, BUDGET, DRILL = "DynamoTable", "AuroraCluster", "CostBudget", "FailoverDrill"
PLURALS = {TABLE: "dynamotables", CLUSTER: "auroraclusters", BUDGET: "costbudgets", DRILL: "failoverdrills"}
SUBNETS = ["subnet-a", "subnet-b", "subnet-c"]
CLASSES = ("db.t4g.medium", "db.r6g.large")
AMPLE = "1000000"
"""A budget that holds nothing."""
# Of these tables' and clusters' creations a budget holds every one.
_TIGHT = "1"
_VIEWS = ("NewImage", "KeysOnly", "NewAndOldImages")


@dataclass
class Subject:
    """One object. `spec` is what is declared now."""

    kind: str
    namespace: str
    name: str
    spec: dict[str, Any]
    identifier: str = ""
    """The name in AWS; empty where nothing there belongs to the object."""
    rival: bool = False
    """Whether another object declares the same identifier."""
    absent: bool = False
    """Deleted, and not made again yet."""
    history: list[str] = field(default_factory=list)
    """What was done to it, in order."""

    @property
    def title(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": copy.deepcopy(self.spec),
        }

    def edit(self, change: dict[str, Any]) -> None:
        """Merge a change into the spec, one level deep, as an edit of a manifest does."""
        for name, value in change.items():
            old = self.spec.get(name)
            merged = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) and name != "tags" else value
            self.spec[name] = copy.deepcopy(merged)


def namespaces(prefix: str) -> tuple[str, str]:
    """Two: the name of one begins as the other's, so that joined names would collide."""
    return prefix, f"{prefix}-b"


def chosen(rng: random.Random, count: int, prefix: str) -> list[Subject]:
    """The objects of a run: half tables, a good third clusters, some of each of one identifier, a few budgets and drills."""
    made: list[Subject] = []
    both = namespaces(prefix)
    clusters = max(2, count * 2 // 5)
    others = max(2, count // 25)
    rivals = max(1, count // 40)
    for number in range(count - clusters - others - 2 * rivals):
        made.append(_table(rng, rng.choice(both), f"t{number:03}", f"{prefix}-t{number:03}"))
    for number in range(clusters):
        made.append(_cluster(rng, rng.choice(both), f"c{number:03}", f"{prefix}-c{number:03}"))
    for number in range(rivals):
        for namespace in both:
            table, cluster = f"{prefix}-rt{number}", f"{prefix}-rc{number}"
            made.append(
                _table(rng, namespace, f"rt{number}", table)
                if number % 2
                else _cluster(rng, namespace, f"rc{number}", cluster)
            )
            made[-1].rival = True
    for number in range(others):
        if number % 2:
            made.append(_drill(rng, made, f"d{number:03}"))
        else:
            spec = {"monthlyLimit": AMPLE, "policy": "Hold"}
            made.append(Subject(BUDGET, both[number // 2 % 2], f"b{number:03}", spec))
    return made


def _table(rng: random.Random, namespace: str, name: str, identifier: str) -> Subject:
    spec: dict[str, Any] = {
        "tableName": identifier,
        "deletionPolicy": "Delete",
        "key": {"partition": {"name": "id", "type": "String"}},
        "tags": {"team": "shop"},
        "ttl": {"attribute": "until"},
        "pointInTimeRecovery": {"days": 35},
        "deletionProtection": False,
    }
    if rng.random() < 0.3:
        spec["capacity"] = {
            "mode": "Provisioned",
            "read": {"min": 5, "max": 50, "targetUtilization": 70},
            "write": {"units": 5},
        }
    else:
        spec["capacity"] = {"mode": "OnDemand"}
        spec["globalIndexes"] = [_index("one")]
    return Subject(TABLE, namespace, name, spec, identifier)


def _index(name: str) -> dict[str, Any]:
    return {"name": name, "partition": {"name": name, "type": "String"}, "projection": {"type": "KeysOnly"}}


def _cluster(rng: random.Random, namespace: str, name: str, identifier: str) -> Subject:
    spec: dict[str, Any] = {
        "clusterIdentifier": identifier,
        "deletionPolicy": "Delete",
        "deletionProtection": False,
        "engine": {"type": "AuroraPostgreSQL", "version": "15.10"},
        "instances": {"class": "db.t4g.medium", "readers": rng.randint(0, 1)},
        "maintenance": {"apply": "Immediately", "window": "sun:05:00-sun:06:00"},
        "backup": {"retentionDays": 7, "window": "03:00-04:00"},
        "tags": {"team": "shop"},
    }
    if rng.random() < 0.6:
        spec["network"] = {"subnetIds": SUBNETS, "securityGroupIds": ["sg-lab"]}
        spec["parameters"] = {"log_min_duration_statement": "500"}
    if rng.random() < 0.2:
        spec["instances"]["readerAutoscaling"] = {"max": 3, "targetCPU": 60}
    return Subject(CLUSTER, namespace, name, spec, identifier)


def _drill(rng: random.Random, subjects: list[Subject], name: str) -> Subject:
    cluster = rng.choice([s for s in subjects if s.kind == CLUSTER and not s.rival])
    spec = {
        "clusterRef": {"name": cluster.name},
        "schedule": "10 5 * * 0",
        "timezone": "UTC",
        "load": {"writers": 1, "duration": "5s"},
    }
    return Subject(DRILL, cluster.namespace, name, spec)


def edit(rng: random.Random, subject: Subject, number: int) -> dict[str, Any]:
    """An edit that somebody might make: top-level fields of the spec. Indexes are only added: to take one away needs consent."""
    tags = {"team": rng.choice(("shop", "till", "bank")), "edit": str(number)}
    if subject.kind == BUDGET:
        return {
            "monthlyLimit": rng.choice((AMPLE, _TIGHT, "5000")),
            "alertAt": sorted(rng.sample((40, 60, 80, 100), 2)),
        }
    if subject.kind == DRILL:
        return {"schedule": f"{rng.randint(0, 59)} 5 * * {rng.randint(0, 6)}", "historyLimit": rng.randint(1, 20)}
    changes: list[dict[str, Any]] = [{"tags": tags}, {"tags": tags}, {"deletionProtection": rng.random() < 0.5}]
    if subject.kind == TABLE:
        changes += [
            {"ttl": {"attribute": "until", "enabled": rng.random() < 0.5}},
            {"pointInTimeRecovery": {"days": rng.randint(1, 35)}},
            {"stream": {"enabled": True, "view": rng.choice(_VIEWS)}},
            {"contributorInsights": rng.random() < 0.5},
        ]
        if subject.spec["capacity"]["mode"] == "Provisioned":
            read = {"min": rng.randint(5, 9), "max": rng.randint(20, 90), "targetUtilization": rng.randint(40, 80)}
            changes += [{"capacity": {"read": read}}, {"capacity": {"write": {"units": rng.randint(5, 9)}}}]
        else:
            changes += [
                {"capacity": {"maxReadUnits": rng.randint(100, 999)}},
                {"globalIndexes": [_index(n) for n in ("one", "two", "three")[: rng.randint(1, 3)]]},
            ]
    else:
        changes += [
            {"backup": {"retentionDays": rng.randint(1, 35)}},
            {"instances": {"readers": rng.randint(0, 2)}},
            {"instances": {"class": rng.choice(CLASSES)}},
            {"maintenance": {"window": rng.choice(("sun:05:00-sun:06:00", "tue:07:00-tue:08:00"))}},
        ]
        if "parameters" in subject.spec:
            values = {
                "log_min_duration_statement": str(rng.randint(100, 900)),
                "work_mem": str(rng.randint(4096, 9999)),
            }
            changes += [{"parameters": values}] * 2
    return rng.choice(changes)
