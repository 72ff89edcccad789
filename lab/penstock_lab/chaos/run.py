"""Carries a schedule out on a lab, waits until all is quiet, and judges what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..lab import Lab, LabError
from . import subjects as declared
from .audit import Audit, unsettled, winners
from .hands import Hands, Strangers
from .schedule import Step, schedule
from .subjects import BUDGET, PLURALS, Subject

# A TTL may be changed again so soon; AWS wants an hour.
SETTINGS = {"ttl_interval_s": 2.0, "max_class_updates": 10_000}
_WAITERS = 24
_API_BACK_S = 120.0


@dataclass
class Outcome:
    """What a run came to. `problems` is empty when all holds."""

    seed: int
    subjects: int
    steps: list[str] = field(default_factory=list)
    """Every step with what came of it, in the order in which they were begun."""
    actions: Counter[str] = field(default_factory=Counter)
    settled_s: float = 0.0
    """How long after the last fault all objects said that all is as declared."""
    removed_s: float = 0.0
    problems: dict[str, list[str]] = field(default_factory=dict)
    """What does not hold, by the promise that it breaks."""

    @property
    def holds(self) -> bool:
        return not any(self.problems.values())


class Chaos:
    """One run. All choices are made by the seed; what AWS and the operator make of them takes its own time."""

    def __init__(self, lab: Lab, *, seed: int, objects: int, seconds: float, per_minute: float = 40) -> None:
        self.lab, self.seconds = lab, seconds
        self.outcome = Outcome(seed, objects)
        self.phase, self.began = "declaring", time.monotonic()
        # Names must not depend on runs before in the same lab; the choices do not depend on the names.
        self.prefix = f"x{uuid.uuid4().hex[:5]}"
        rng = random.Random(seed)
        self.subjects = declared.chosen(rng, objects, self.prefix)
        self.schedule = schedule(rng, self.subjects, seconds, per_minute)
        self.done = 0
        self.tracebacks: list[str] = []
        self._hands = Hands(lab)
        self._pool = ThreadPoolExecutor(_WAITERS, thread_name_prefix="chaos")
        self._pending: list[Future[None]] = []
        self._locks = [threading.Lock() for _ in self.subjects]
        self._api_lock, self._process_lock = threading.Lock(), threading.Lock()
        self._read: dict[str, int] = {str(log): log.stat().st_size for log in self._logs()}

    @property
    def state(self) -> dict[str, Any]:
        """How far it is."""
        return {
            "seconds": round(time.monotonic() - self.began),
            "phase": self.phase,
            "steps": f"{self.done} of {len(self.schedule)}",
            **dict(sorted(self.outcome.actions.items())),
            "tracebacks": len(self.tracebacks),
        }

    # ---- the whole

    def run(self, settle_s: float = 300) -> Outcome:
        """Declare, disturb, wait, judge, delete, judge. settle_s: how long after the last fault all must be as declared."""
        before = self.lab.aws.settings()
        self.lab.aws.settings(**SETTINGS)
        try:
            for namespace in declared.namespaces(self.prefix):
                self._kubectl("create", "namespace", namespace)
            strangers = Strangers(self._hands, self.prefix, max(2, len(self.subjects) // 25))
            time.sleep(3)
            strangers.remember()
            self._apply(self.subjects)
            self._disturb()
            self._calm(settle_s)
            self._judge(strangers)
            self._remove(strangers, settle_s)
            self._problems("strangers' resources are as they were", strangers.changes())
            self.read_logs()
            self._problems("no traceback in the operator's log", self.tracebacks)
        finally:
            self._pool.shutdown(cancel_futures=True)
            self.lab.aws.clear_faults()
            self.lab.aws.settings(**{name: before[name] for name in SETTINGS})
            for namespace in declared.namespaces(self.prefix):
                self.lab.kubectl("delete", "namespace", namespace, "--wait=false", check=False)
        return self.outcome

    def _problems(self, promise: str, lines: Sequence[str]) -> None:
        self.outcome.problems.setdefault(promise, []).extend(lines)

    def _disturb(self) -> None:
        self.phase, began = "disturbing", time.monotonic()
        for step in self.schedule:
            time.sleep(max(0.0, began + step.at - time.monotonic()))
            self.outcome.actions[step.action] += 1
            self._pending.append(self._pool.submit(self._carry_out, step))
            self.done += 1
        for pending in self._pending:
            pending.result()

    def _carry_out(self, step: Step) -> None:
        if step.target >= 0:
            with self._locks[step.target]:
                came = self._on_object(step, self.subjects[step.target])
        else:
            came = self._on_lab(step)
        title = self.subjects[step.target].title if step.target >= 0 else ""
        line = f"{step.at:8.2f} s  {step.action:10} {title} {step.facts}  {came}"
        self.outcome.steps.append(line)
        if step.target >= 0:
            self.subjects[step.target].history.append(line)

    # ---- steps

    def _on_object(self, step: Step, subject: Subject) -> str:
        if step.action == "drift":
            return self._hands.drift(subject, step.details["what"], step.details.get("number", 0))
        if step.action == "edit":
            subject.edit(step.details)
            self._apply([subject])
            return "done"
        if subject.spec.get("deletionProtection"):
            subject.edit({"deletionProtection": False})
            self._apply([subject])
        self._kubectl("delete", PLURALS[subject.kind], subject.name, "-n", subject.namespace, "--wait=false")
        began = time.monotonic()
        if not self._until(lambda: self._gone(subject), 600):
            self._problems("deletions end", [f"{subject.title} is there 600 s after its deletion was asked for"])
            return "still there after 600 s"
        self._apply([subject])
        return f"gone after {time.monotonic() - began:.1f} s, and made again"

    def _on_lab(self, step: Step) -> str:
        details = step.details
        try:
            if step.action == "fault":
                self.lab.aws.add_fault(**details)
            elif step.action == "kill":
                with self._process_lock:
                    return f"process {self.lab.kill_operator()}"
            elif step.action == "suspend":
                with self._process_lock:
                    pid = self.lab.kill_operator(signal.SIGSTOP)
                    time.sleep(details["seconds"])
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
                return f"process {pid}"
            else:
                with self._api_lock, self.lab.api_away(freeze=details["freeze"]):
                    time.sleep(details["seconds"])
        except (LabError, ProcessLookupError, OSError) as error:
            return f"not possible: {error}"
        return "done"

    def _apply(self, subjects: Sequence[Subject]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": [s.manifest for s in subjects]}
        self._kubectl("apply", "-f", "-", input=json.dumps(listed))

    def _kubectl(self, *args: str, **more: Any) -> None:
        """Again and again while the API server is away. Raises LabError with its words when it still fails after two minutes."""
        deadline = time.monotonic() + _API_BACK_S
        while True:
            try:
                self.lab.kubectl(*args, **{"timeout": 120, **more})
            except LabError as error:
                if "AlreadyExists" in str(error) or ("NotFound" in str(error) and args[0] == "delete"):
                    return
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
            else:
                return

    def _gone(self, subject: Subject) -> bool:
        """Whether the API server answers that there is no such object."""
        found = self.lab.kubectl("get", PLURALS[subject.kind], subject.name, "-n", subject.namespace, check=False)
        return found.returncode != 0 and "NotFound" in found.stderr

    def _until(self, check: Callable[[], bool], seconds: float, pause: float = 1.0) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if check():
                return True
            time.sleep(pause)
        return check()

    # ---- afterwards

    def _found(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """The run's objects as the API server has them, by kind, namespace and name."""
        found: dict[tuple[str, str, str], dict[str, Any]] = {}
        for namespace in declared.namespaces(self.prefix):
            for plural in PLURALS.values():
                listed: Any = self.lab.api.json(f"/apis/penstock.dev/v1alpha1/namespaces/{namespace}/{plural}")
                for obj in (listed or {}).get("items", ()):
                    found[obj["kind"], namespace, obj["metadata"]["name"]] = obj
        return found

    def _calm(self, settle_s: float) -> None:
        """Lift what is left of the faults, and wait until every object says that all is as declared, all read anew."""
        self.phase = "settling"
        self.lab.aws.clear_faults()
        for subject in self.subjects:
            if subject.kind == BUDGET:
                subject.edit({"monthlyLimit": declared.AMPLE})
        self._apply([s for s in self.subjects if s.kind == BUDGET])
        self._until(lambda: not self._hands.renamed(), 30)
        began = time.monotonic()
        self.lab.wait_operator(seconds=90)
        for namespace in declared.namespaces(self.prefix):
            for plural in ("dynamotables", "auroraclusters"):
                self._kubectl("annotate", plural, "--all", "-n", namespace, "--overwrite", "penstock.dev/reconcile-at=calm")  # fmt: skip
        left: list[str] = []

        def quiet() -> bool:
            found = self._found()
            left[:] = unsettled(self.subjects, found)
            left.extend(
                f"{kind} {namespace}/{name} has not been read anew"
                for (kind, namespace, name), obj in found.items()
                if kind in ("DynamoTable", "AuroraCluster")
                and (obj.get("status") or {}).get("lastReconcileAt") != "calm"
            )
            self.phase = f"settling, {len(left)} left"
            return not left

        self._until(quiet, settle_s, 2)
        self.outcome.settled_s = time.monotonic() - began
        self._problems("every object is Ready and in sync", left)

    def _judge(self, strangers: Strangers) -> None:
        self.phase = "auditing"
        found = self._found()
        uids = {f"{kind} {namespace}/{name}": obj["metadata"]["uid"] for (kind, namespace, name), obj in found.items()}
        audit = self._audit(strangers)
        there = winners(self.subjects, found)
        judged = [s for s in there if s.title in uids]
        wrong: list[str] = []

        def same() -> bool:
            wrong[:] = audit.differences(judged, uids)
            return not wrong

        # The tags of many tables are read as AWS's limits allow, also where all are asked for at once.
        self._until(same, 90, 5)
        self._problems("AWS is as declared", wrong)
        self._problems("nothing in AWS is without its object", audit.leftovers(there, uids))
        self._problems("nothing is there twice", audit.duplicates())

    def _audit(self, strangers: Strangers) -> Audit:
        return Audit(self._hands, self.prefix, [*strangers.tables, *strangers.clusters, strangers.group])

    def _remove(self, strangers: Strangers, settle_s: float) -> None:
        """Delete every object; afterwards nothing of them may be left."""
        self.phase, began = "deleting", time.monotonic()
        for subject in self.subjects:
            if subject.spec.get("deletionProtection"):
                subject.edit({"deletionProtection": False})
        self._apply([s for s in self.subjects if s.identifier])
        for namespace in declared.namespaces(self.prefix):
            for plural in reversed(PLURALS.values()):
                self._kubectl("delete", plural, "--all", "-n", namespace, "--wait=false")
        left: dict[tuple[str, str, str], Any] = {}

        def gone() -> bool:
            left.clear()
            left.update(self._found())
            self.phase = f"deleting, {len(left)} left"
            return not left

        self._until(gone, settle_s, 2)
        self.outcome.removed_s = time.monotonic() - began
        self._problems("deletions end", [f"{' '.join(name)}: {_told(obj)}" for name, obj in left.items()])
        remains: list[str] = []
        audit = self._audit(strangers)

        def empty() -> bool:
            remains[:] = audit.leftovers([], {})
            return not remains

        # AWS takes a moment for what it has accepted.
        self._until(empty, 20, 2)
        self._problems("nothing is left of objects that are gone", remains)

    def _logs(self) -> list[Any]:
        return [*self.lab.operator_logs(), *(self.lab.state.folder / "operators").glob("*/operator.log")]

    def read_logs(self) -> None:
        """Look for tracebacks in what the operators wrote since the last time."""
        for log in self._logs():
            with contextlib.suppress(FileNotFoundError), log.open(errors="replace") as lines:
                lines.seek(self._read.get(str(log), 0))
                text = lines.read()
                self._read[str(log)] = lines.tell()
                at = -1
                while (at := text.find("Traceback", at + 1)) >= 0:
                    self.tracebacks.append(f"{log.name}: {text[max(0, at - 300) : at + 2500]}")


def _told(obj: dict[str, Any]) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return "; ".join(f"{c['type']}={c['status']} {c['reason']}: {c['message']}" for c in conditions)
