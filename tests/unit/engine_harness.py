"""A Loop on a fake API server with a watch, under virtual time; and the smallest kind that has everything a kind may have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fake_kube import Cluster, FakeKube
from virtual_time import now

from penstock.api import meta
from penstock.api.conditions import ConditionType, Reason
from penstock.api.model import Problem
from penstock.engine.conditions import Condition, find
from penstock.engine.errors import Trouble
from penstock.engine.events import Recorder
from penstock.engine.kind import Invalid, Key, Look, Money, Object, Outcome, Report
from penstock.engine.kube import KubeError, Resource
from penstock.engine.loop import Loop
from penstock.engine.plan import Plan, Step, When

THINGS = Resource(meta.GROUP, meta.VERSION, "things")
# A watch tells within this time.
WATCH = 0.05


@dataclass(frozen=True)
class Wish:
    name: str
    value: str
    absent: bool


class Things:
    """Each object asks for a value under its name; a world is a dictionary.

    hook: called with ("observe" | "plan" | "act" | "report" | "desired", name) at the begin of each; may raise. log: the same, as it happened. looks:
    every Look. takes: seconds that an observation and a step take.
    """

    name = "Thing"
    resource = THINGS

    def __init__(self, world: dict[str, str] | None = None, takes: float = 0.1) -> None:
        self.world = world if world is not None else {}
        self.takes = takes
        self.log: list[tuple[str, str]] = []
        self.looks: list[Look] = []
        self.forgotten: list[Key] = []
        self.active: set[str] = set()
        self.hook: Callable[[str, str], None] = lambda what, name: None
        self.again = 300.0
        self.cost: dict[str, Money] = {}

    def _at(self, what: str, name: str) -> None:
        self.log.append((what, name))
        self.hook(what, name)

    def did(self, what: str, name: str = "") -> int:
        return sum(1 for w, n in self.log if w == what and name in ("", n))

    def desired(self, obj: Object) -> Wish:
        name = obj["metadata"]["name"]
        self._at("desired", name)
        if "value" not in obj["spec"]:
            raise Invalid([Problem("spec.value", "is missing and required")])
        return Wish(name, obj["spec"]["value"], "deletionTimestamp" in obj["metadata"])

    def owns_nothing(self, obj: Object) -> bool:
        return "value" not in (obj.get("status") or {})

    async def observe(self, desired: Wish, look: Look) -> dict[str, str]:
        assert desired.name not in self.active, "two passes on one object"
        self.active.add(desired.name)
        try:
            self.looks.append(look)
            self._at("observe", desired.name)
            await asyncio.sleep(self.takes)
            return {"value": self.world[desired.name]} if desired.name in self.world else {}
        finally:
            self.active.discard(desired.name)

    def plan(self, desired: Wish, observed: dict[str, str], now: datetime) -> Plan:
        self._at("plan", desired.name)
        if desired.absent:
            return Plan((self._step("Remove", desired),)) if observed else Plan(gone=True)
        if observed.get("value") == desired.value:
            return Plan()
        steps = [self._step(f"Set-{part}" if part else "Set", desired) for part in desired.value.split("+")[1:]]
        return Plan((*steps, self._step("Set", desired)))

    @staticmethod
    def _step(operation: str, desired: Wish) -> Step:
        word = operation.lower()
        intent = {"intends": desired.value} if operation == "Set" else None
        told = ("Setting", f"{word} {desired.name}.")
        return Step("things", operation, {}, f"{word} {desired.name}", when=When.NOW, intent=intent, told=told)

    async def act(self, desired: Wish, step: Step) -> str | None:
        self._at("act", desired.name)
        self._at(step.operation, desired.name)
        await asyncio.sleep(self.takes)
        if step.operation == "Remove":
            self.world.pop(desired.name, None)
        elif step.operation == "Set":
            self.world[desired.name] = desired.value
        return "request"

    def report(self, obj: Object, desired: Wish, outcome: Outcome[dict[str, str]], now: datetime) -> Report:
        self._at("report", desired.name)
        ready = outcome.trouble is None and outcome.plan.empty
        reason = outcome.trouble.reason if outcome.trouble else Reason.AVAILABLE if ready else Reason.CREATING
        sentence = outcome.trouble.sentence if outcome.trouble else "Here." if ready else "Coming."
        fields: dict[str, Any] = dict((outcome.observed or {}).items())
        told = outcome.plan.as_status()
        return Report(
            (
                Condition(ConditionType.READY, ready, reason, sentence),
                Condition(ConditionType.SYNCED, ready, reason, sentence),
                Condition(ConditionType.RECONCILING, not ready, Reason.PROGRESSING, sentence),
            ),
            fields | ({"plan": told} if told else {}),
            again=self.again,
        )

    def money(self, desired: Wish, observed: dict[str, str], now: datetime) -> Money | None:
        return self.cost.get(desired.name)

    def forget(self, key: Key) -> None:
        self.forgotten.append(key)


class Bench:
    """One operator: a loop with its kinds, fed by the watch of the cluster."""

    def __init__(
        self, kinds: Iterable[Any], cluster: Cluster | None = None, workers: int = 4, resource: Resource = THINGS
    ) -> None:
        self.cluster = cluster or Cluster()
        self.kube = FakeKube(self.cluster)
        self.resource = resource
        self.kinds = list(kinds)
        self.loop = Loop(self.kube, self.kinds, Recorder(self.kube, "test", now), workers=workers, clock=now)
        self.cluster.changed.append(self._changed)
        self._pending: list[asyncio.TimerHandle] = []
        self.deaf = False
        for (plural, _, _), obj in list(self.cluster.objects.items()):
            self._changed(plural, "MODIFIED", obj)

    def key(self, name: str) -> Key:
        return Key(self.kinds[0].name, "shop", name)

    def _changed(self, plural: str, event: str, obj: Object) -> None:
        if plural != self.resource.plural or self.deaf:
            return
        key = self.key(obj["metadata"]["name"])
        loop = asyncio.get_running_loop()
        self._pending.append(loop.call_later(WATCH, lambda: self.loop.store.saw(key, obj, deleted=event == "DELETED")))

    def unplug(self) -> None:
        """What a dead process's watch still carries reaches nobody."""
        self.cluster.changed.remove(self._changed)
        for handle in self._pending:
            handle.cancel()

    # What users do, past the operator's own connection

    def create(self, name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> Object:
        body = {
            "apiVersion": meta.API_VERSION,
            "kind": self.kinds[0].name,
            "metadata": {"name": name, **metadata},
            "spec": {"value": "one"} if spec is None else spec,
        }
        return self.cluster.create(self.resource, "shop", body)

    def get(self, name: str) -> Object:
        return self.cluster.get(self.resource, "shop", name)

    def exists(self, name: str) -> bool:
        return (self.resource.plural, "shop", name) in self.cluster.objects

    def edit(self, name: str, change: Callable[[Object], None]) -> None:
        obj = self.get(name)
        change(obj)
        self.cluster.replace(self.resource, "shop", name, obj)

    def set_spec(self, name: str, **spec: Any) -> None:
        self.edit(name, lambda obj: obj.update(spec=spec))

    def annotate(self, name: str, **annotations: str | None) -> None:
        """mode=…, reconcile_at=…, approve=…; None removes one."""

        def change(obj: Object) -> None:
            known = obj["metadata"].setdefault("annotations", {})
            for word, value in annotations.items():
                full = f"{meta.GROUP}/{word.replace('_', '-')}"
                if value is None:
                    known.pop(full, None)
                else:
                    known[full] = value

        self.edit(name, change)

    def delete(self, name: str) -> None:
        self.cluster.delete(self.resource, "shop", name)

    def condition(self, name: str, kind: str = "Ready") -> tuple[str, str, str]:
        """status, reason and message; empty when it is not there."""
        found = find(self.get(name).get("status") or {}, kind)
        return (found["status"], found["reason"], found["message"]) if found else ("", "", "")

    def ready(self, name: str) -> bool:
        return self.condition(name)[0] == "True"

    def events(self, reason: str = "") -> list[str]:
        found = [o for (plural, _, _), o in self.cluster.objects.items() if plural == "events"]
        return [e["note"] for e in found if reason in ("", e["reason"])]

    def writes(self, plural: str = "") -> list[tuple[str, str, str, str]]:
        """What the operator wrote of its objects (Events apart)."""
        return [w for w in self.kube.writes if w[1] == (plural or self.resource.plural)]


@asynccontextmanager
async def operating(bench: Bench, grace: float = 5.0) -> AsyncIterator[Bench]:
    """The loop runs inside the block; afterwards it must have ended without an error."""
    stop = asyncio.Event()
    running = asyncio.create_task(bench.loop.run(stop, grace))
    try:
        yield bench
    finally:
        stop.set()
        await running
        bench.unplug()


async def killed(bench: Bench, seconds: float) -> None:
    """The loop runs for so long and is then killed, as SIGKILL does: nothing is finished, nothing is told."""
    running = asyncio.create_task(bench.loop.run(asyncio.Event(), 0))
    await asyncio.sleep(seconds)
    bench.unplug()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def failing(kind: Things, what: str, error: Exception, name: str = "", times: int = 10**9) -> None:
    """Let the kind fail so many times."""
    left = [times]

    def hook(at: str, of: str) -> None:
        if at == what and name in ("", of) and left[0] > 0:
            left[0] -= 1
            raise error

    kind.hook = hook


__all__ = ["THINGS", "WATCH", "Bench", "KubeError", "Things", "Trouble", "failing", "killed", "operating"]
