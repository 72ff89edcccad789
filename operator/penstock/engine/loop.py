"""The loop: a worker takes a key, observes, plans, acts and reports, and says when to come back.

Everything that is the same for all kinds happens here and only here: modes, forced passes, the finalizer, consent to write, the pace of retries,
the status writer. A pass is level-triggered: it may be run at any moment, any number of times, by any process that holds the Lease.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from penstock.api import meta
from penstock.api.conditions import ConditionType, Reason
from penstock.engine import conditions, logs, metrics
from penstock.engine.annotations import CostAnnotations, pending
from penstock.engine.conditions import Condition
from penstock.engine.errors import Meaning, Trouble, retry_delay
from penstock.engine.events import Note, Recorder
from penstock.engine.gate import Gate, Open
from penstock.engine.kind import Invalid, Key, Kind, Look, Object, Outcome, Report
from penstock.engine.kube import Kube, KubeError
from penstock.engine.plan import Plan, Step
from penstock.engine.queue import Priority, WorkQueue
from penstock.engine.store import Store

log = logging.getLogger(__name__)

# Passes are numbered within a process; the prefix tells processes apart in one log.
_PROCESS = secrets.token_hex(2)
_PASSES = itertools.count(1)

# A pass that goes on finding runnable steps would be a plan that does not converge; the rest waits for the next pass.
ROUNDS = 6
# A throttled or unreachable AWS is told on the object only when it lasts: before that, writing it would be noise at the worst moment.
PATIENCE = 3
# Seconds: a first status may wait so long for the next look.
SOON = 1.5
# Seconds: so long while objects wait for a worker. AWS makes little within a second or two, and a look that finds it unfinished takes the turn of
# two that wait.
SOON_BUSY = 3.5
# Seconds between two looks at an object whose plan is not run.
LOOKING = 60.0
_TRANSIENT = (Meaning.THROTTLED, Meaning.UNAVAILABLE, Meaning.BUSY, Meaning.UNKNOWN)
# These say nothing about the step that met them; the other steps would fail alike. A denial of one action is another matter.
_GENERAL = (Meaning.THROTTLED, Meaning.UNAVAILABLE)
_CREDENTIALS = (Reason.CREDENTIALS_MISSING, Reason.CREDENTIALS_EXPIRED)


class Loop:
    """The workers of one operator.

    kinds: by name. gate: who may keep steps of a plan back. workers: passes at the same time. clock: the present time in UTC, for tests.
    """

    def __init__(
        self,
        kube: Kube,
        kinds: Iterable[Kind[Any, Any]],
        recorder: Recorder,
        *,
        gate: Gate | None = None,
        workers: int = 16,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._kinds = {kind.name: kind for kind in kinds}
        self._recorder = recorder
        self._gate: Gate = gate or Open()
        self._workers = workers
        # AWS's limits are met by whoever makes something new, and they wait for it; a look needs no such wait.
        self._finishers = max(1, workers // 4)
        self._clock = clock
        self._failures: dict[Key, int] = {}
        self._met: dict[Key, str] = {}
        self._costs = CostAnnotations()
        self.queue: WorkQueue[Key] = WorkQueue()
        self.store = Store(self.queue)
        self.running: dict[Key, float] = {}

    async def run(self, stop: asyncio.Event, grace: float = 5.0) -> None:
        """Work until stop is set; then let running passes end for `grace` seconds and cancel the rest. Restart finds what they left."""
        workers = [
            asyncio.create_task(self._worker(begun=n >= self._workers), name=f"worker-{n}")
            for n in range(self._workers + self._finishers)
        ]
        waiter = asyncio.create_task(stop.wait())
        teller = asyncio.create_task(self._recorder.run(self._busy), name="events")
        try:
            done, _ = await asyncio.wait([waiter, teller, *workers], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiter}:
                task.result()
        finally:
            waiter.cancel()
            deadline = asyncio.get_running_loop().time() + grace
            self._stopping = True
            while self.running and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.05)
            for task in (teller, *workers):
                task.cancel()
            await asyncio.gather(teller, *workers, return_exceptions=True)
        await self._recorder.flush(max(0.5, deadline - asyncio.get_running_loop().time()))

    def _busy(self) -> bool:
        return len(self.running) >= self._workers

    _stopping = False

    async def _worker(self, begun: bool) -> None:
        """begun: only finish what was begun."""
        while True:
            key, priority = await self.queue.get(begun=begun)
            if self._stopping:
                self.queue.done(key)
                await asyncio.sleep(3600)
            loop = asyncio.get_running_loop()
            self.running[key] = began = loop.time()
            token = logs.current_object.set(str(key)), logs.current_pass.set(f"{_PROCESS}-{next(_PASSES):x}")
            outcome = "ok"
            try:
                again = await self.reconcile(key, priority)
                if again is not None:
                    self.queue.add(
                        key, again * random.uniform(0.9, 1.1), Priority.BACKGROUND if again > 60 else Priority.NORMAL
                    )
            except asyncio.CancelledError:
                raise
            except KubeError as error:
                outcome = "kubernetes"
                self.queue.add(key, self._retry(key, Meaning.UNAVAILABLE))
                log.warning("pass not finished: %s", error)
            except Exception:
                # An object must never take the operator down with it.
                outcome = "crash"
                self.queue.add(key, self._retry(key, Meaning.UNKNOWN))
                log.exception("pass failed")
            finally:
                self.running.pop(key, None)
                self.queue.done(key)
                self._gate.looked(key)
                metrics.PASSES.labels(key.kind, outcome).inc()
                metrics.PASS_SECONDS.labels(key.kind).observe(loop.time() - began)
                logs.current_object.reset(token[0])
                logs.current_pass.reset(token[1])

    def _retry(self, key: Key, meaning: Meaning) -> float:
        self._failures[key] = self._failures.get(key, 0) + 1
        return retry_delay(meaning, self._failures[key], random.random())

    async def reconcile(self, key: Key, priority: Priority = Priority.NORMAL) -> float | None:
        """One pass. Returns the seconds until the next look, or None when the object is gone."""
        kind = self._kinds[key.kind]
        obj = self.store.get(key)
        if obj is None:
            kind.forget(key)
            self._gate.forget(key)
            self._failures.pop(key, None)
            self._met.pop(key, None)
            self._costs.forget(key)
            return None
        annotations = obj["metadata"].get("annotations") or {}
        word = annotations.get(meta.MODE) or meta.Mode.RECONCILE
        deleting = "deletionTimestamp" in obj["metadata"]
        if word not in list(meta.Mode):
            return await self._tell(key, obj, _bad_mode(obj, word))
        mode = meta.Mode(word)
        if mode is meta.Mode.PAUSED:
            return await self._tell(key, obj, _paused(obj, deleting))
        if deleting and (meta.FINALIZER not in (obj["metadata"].get("finalizers") or ()) or mode is meta.Mode.OBSERVE):
            # Observe never touches AWS, so there is nothing to take down.
            await self._release(key, obj)
            return None
        try:
            desired = kind.desired(obj)
        except Invalid as invalid:
            if deleting and kind.owns_nothing(obj):
                await self._release(key, obj)
                return None
            return await self._tell(key, obj, _invalid(obj, invalid))
        return await self._carry_out(kind, key, obj, desired, mode, priority)

    async def _carry_out(
        self, kind: Kind[Any, Any], key: Key, obj: Object, desired: Any, mode: meta.Mode, priority: Priority
    ) -> float | None:
        deleting = "deletionTimestamp" in obj["metadata"]
        forced = forced_token(obj)
        look = Look(fresh=forced is not None, priority=priority, only=mode is not meta.Mode.RECONCILE)
        outcome: Outcome[Any] = Outcome(None, Plan())
        done: list[Step] = []
        failed: dict[str, Trouble] = {}
        for _ in range(ROUNDS):
            try:
                observed = await kind.observe(desired, look)
            except Trouble as trouble:
                outcome = Outcome(outcome.observed, outcome.plan, trouble, tuple(done))
                break
            look = replace(look, fresh=False)
            plan = kind.plan(desired, observed, self._clock())
            if not deleting:
                plan = await self._admitted(kind, key, obj, desired, observed, plan, mode)
            outcome = Outcome(observed, plan, None, tuple(done))
            if mode is not meta.Mode.RECONCILE or self._stopping:
                break
            bare = not deleting and meta.FINALIZER not in (obj["metadata"].get("finalizers") or ())
            if bare and not plan.runnable and not plan.refusals and not kind.owns_nothing(obj):
                # Taken away by hand, or by a `kubectl replace`: without it a deletion would leave everything behind.
                obj = await self._add_finalizer(key, obj, self._due(kind, key, obj, desired, outcome, mode))
            if not plan.runnable:
                break
            stuck = next((failed[s.id] for s in plan.runnable if s.id in failed), None)
            if stuck is not None:
                outcome = Outcome(observed, plan, stuck, tuple(done))
                break
            if bare:
                # Before the first AWS write: what is made must be found again when the object is deleted.
                obj = await self._add_finalizer(key, obj, self._due(kind, key, obj, desired, outcome, mode))
                if meta.FINALIZER not in (obj["metadata"].get("finalizers") or ()):
                    # The object is gone already: whatever was made for it now would be nobody's.
                    return None
            before = obj
            ran, refused, obj = await self._act(kind, key, obj, desired, plan)
            if obj is not before:
                # An intent was written: what it says of the steps that ran is part of what is wanted from now on.
                desired = kind.desired(obj)
            done += ran
            failed |= refused
            met = next((t for t in refused.values() if _general(t)), None)
            if met is not None:
                outcome = Outcome(observed, plan, met, tuple(done))
                break
            # What one step met, the next plan tells and lays aside, so that the other steps need not wait for it.
        if deleting and outcome.plan.gone and outcome.trouble is None and mode is meta.Mode.RECONCILE:
            for sentence in outcome.plan.left:
                await self._recorder.tell(obj, Note("LeftBehind", sentence, warning=True, action="Delete"))
            await self._release(key, obj)
            return None
        return await self._finish(kind, key, obj, desired, outcome, mode, forced)

    async def _admitted(
        self, kind: Kind[Any, Any], key: Key, obj: Object, desired: Any, observed: Any, plan: Plan, mode: meta.Mode
    ) -> Plan:
        """The plan as the gate lets it run."""
        await self._gate.prepare(key, obj, plan)
        # From here to the gate's word nothing waits: what it sets aside for one object the next one must see.
        money = kind.money(desired, observed, self._clock())
        acting = mode is meta.Mode.RECONCILE
        return self._gate.admit(key, obj, plan, money, new=kind.owns_nothing(obj), acting=acting)

    async def _act(
        self, kind: Kind[Any, Any], key: Key, obj: Object, desired: Any, plan: Plan
    ) -> tuple[list[Step], dict[str, Trouble], Object]:
        """Run what may run now. Returns the steps that were done, what the others met by their ids, and the object."""
        ran: list[Step] = []
        met: dict[str, Trouble] = {}
        for step in plan.runnable:
            if self._stopping:
                break
            if step.intent is not None:
                obj = await self._write_status(key, obj, {**(obj.get("status") or {}), **step.intent})
            try:
                request = await kind.act(desired, step)
            except Trouble as trouble:
                metrics.STEPS.labels(key.kind, step.operation, str(trouble.meaning)).inc()
                log.warning(
                    "%s: %s",
                    step.summary,
                    trouble.sentence,
                    extra={"code": trouble.code, "request_id": trouble.request_id},
                )
                met[step.id] = trouble
                # One operation that AWS fails at says little about the others; a second one says enough.
                if _general(trouble) and (trouble.meaning is not Meaning.UNAVAILABLE or len(met) > 1):
                    break
                continue
            if request is None:
                metrics.STEPS.labels(key.kind, step.operation, "stale").inc()
                continue
            metrics.STEPS.labels(key.kind, step.operation, "ok").inc()
            log.info(step.summary, extra={"operation": step.operation, "request_id": request})
            ran.append(step)
            if step.drift:
                metrics.DRIFT.labels(key.kind).inc()
                await self._recorder.tell(obj, Note("DriftCorrected", step.drift, warning=True, action=step.operation))
            if step.told is not None:
                await self._recorder.tell(obj, Note(step.told[0], step.told[1], action=step.operation))
        return ran, met, obj

    async def _finish(
        self,
        kind: Kind[Any, Any],
        key: Key,
        obj: Object,
        desired: Any,
        outcome: Outcome[Any],
        mode: meta.Mode,
        forced: str | None,
    ) -> float:
        trouble = outcome.trouble
        again: float | None = None
        if trouble is not None:
            if outcome.done or self._met.get(key, trouble.operation) != trouble.operation:
                # The pass got further, so what it met is no repetition: with every third call failing, delays would else grow to a minute.
                self._failures.pop(key, None)
            self._met[key] = trouble.operation
            again = self._retry(key, trouble.meaning)
            if trouble.retry_after is not None:
                again = max(1.0, trouble.retry_after)
            if trouble.meaning in _TRANSIENT and self._failures[key] < PATIENCE and obj.get("status"):
                log.info("%s; trying again in %.0f s", trouble.sentence, again)
                return again
        report = kind.report(obj, desired, outcome, self._clock())
        if "deletionTimestamp" not in obj["metadata"]:
            report = self._gate.tell(key, obj, report, self._clock())
        fields = dict(report.fields)
        token = forced if forced is not None and trouble is None else (obj.get("status") or {}).get("lastReconcileAt")
        if token:
            fields["lastReconcileAt"] = token
        report = replace(report, fields=fields)
        if mode is not meta.Mode.RECONCILE:
            report = _only_looking(report, mode, outcome.plan)
        if outcome.done and trouble is None and not obj.get("status") and report.again <= SOON:
            # Whatever was begun is looked at again at once; a burst of new objects is told once and not twice.
            self._failures.pop(key, None)
            again = max(report.again, SOON_BUSY) if self._busy() else report.again
            self.queue.add(key, again, begun=True)
            return again
        looked = await self._tell(key, obj, report)
        await self._annotate(key, obj, self._due(kind, key, obj, desired, outcome, mode), report.annotations)
        if trouble is None:
            # Only now: a status that cannot be written is a failure too, and is retried ever more rarely.
            self._failures.pop(key, None)
        return again if again is not None else looked

    async def _tell(self, key: Key, obj: Object, report: Report) -> float:
        status = {
            **report.fields,
            "observedGeneration": obj["metadata"].get("generation", 0),
            "conditions": conditions.merge(
                (obj.get("status") or {}).get("conditions") or (),
                report.conditions,
                obj["metadata"].get("generation", 0),
                self._clock(),
            ),
        }
        if status != (obj.get("status") or {}):
            obj = await self._write_status(key, obj, status)
            log.info(report.sentence)
        for note in report.notes:
            await self._recorder.tell(obj, note)
        return report.again

    async def _write_status(self, key: Key, obj: Object, status: Mapping[str, Any]) -> Object:
        """The only place that writes a status."""
        kind = self._kinds[key.kind]
        patch = merge_difference(obj.get("status") or {}, status)
        if not patch:
            return obj
        body = {"metadata": {"uid": obj["metadata"]["uid"]}, "status": patch}
        try:
            written = await self._kube.merge_patch(kind.resource, key.namespace, key.name, body, subresource="status")
        except KubeError as error:
            if error.status == 404:
                self.store.missing(key, obj)
                return obj
            raise
        return self.store.wrote(key, written)

    def _due(
        self,
        kind: Kind[Any, Any],
        key: Key,
        obj: Object,
        desired: Any,
        outcome: Outcome[Any],
        mode: meta.Mode,
    ) -> dict[str, str | None]:
        """The annotations about cost that are to be written now."""
        if outcome.observed is None or "deletionTimestamp" in obj["metadata"]:
            return {}
        now = self._clock()
        adds = pending(outcome.plan.steps, run=mode is meta.Mode.RECONCILE)
        return self._costs.due(key, obj, kind.money(desired, outcome.observed, now), adds, now)

    async def _annotate(
        self, key: Key, obj: Object, costs: dict[str, str | None], others: Mapping[str, str | None]
    ) -> None:
        """The only place that writes annotations by themselves; the first ones go with the finalizer, as one request."""
        have = obj["metadata"].get("annotations") or {}
        annotations = {**costs, **{name: text for name, text in others.items() if have.get(name) != text}}
        if not annotations:
            return
        kind = self._kinds[key.kind]
        body = {"metadata": {"uid": obj["metadata"]["uid"], "annotations": annotations}}
        try:
            written = await self._kube.merge_patch(kind.resource, key.namespace, key.name, body)
        except KubeError as error:
            if error.status == 404:
                self.store.missing(key, obj)
                return
            raise
        if costs:
            self._costs.wrote(key, self._clock())
        self.store.wrote(key, written)

    async def _add_finalizer(self, key: Key, obj: Object, annotations: dict[str, str | None]) -> Object:
        finalizers = [*(obj["metadata"].get("finalizers") or ()), meta.FINALIZER]
        written = await self._set_finalizers(key, obj, finalizers, annotations)
        if annotations:
            self._costs.wrote(key, self._clock())
        return written

    async def _release(self, key: Key, obj: Object) -> None:
        finalizers = obj["metadata"].get("finalizers") or ()
        if meta.FINALIZER in finalizers:
            await self._set_finalizers(key, obj, [f for f in finalizers if f != meta.FINALIZER])
            log.info("let go: the finalizer is off")
        self._failures.pop(key, None)

    async def _set_finalizers(
        self, key: Key, obj: Object, finalizers: list[str], annotations: Mapping[str, str | None] | None = None
    ) -> Object:
        kind = self._kinds[key.kind]
        # The version makes it a compare-and-swap: a list in a merge patch replaces what others may have added meanwhile.
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"], "finalizers": finalizers}
        body = {"metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}
        try:
            written = await self._kube.merge_patch(kind.resource, key.namespace, key.name, body)
        except KubeError as error:
            if error.status == 404:
                self.store.missing(key, obj)
                return obj
            if error.status != 409:
                raise
            fresh = await self._kube.request("GET", kind.resource, key.namespace, key.name)
            self.store.wrote(key, fresh)
            raise
        return self.store.wrote(key, written)


def _general(trouble: Trouble) -> bool:
    return trouble.meaning in _GENERAL or trouble.reason in _CREDENTIALS


def forced_token(obj: Object) -> str | None:
    """The value of penstock.dev/reconcile-at that no pass has answered yet, or None."""
    token = (obj["metadata"].get("annotations") or {}).get(meta.RECONCILE_AT)
    return token if token and token != (obj.get("status") or {}).get("lastReconcileAt") else None


def merge_difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that turns one JSON object into the other; {} when they are equal."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if key in before and old == value:
            continue
        patch[key] = merge_difference(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return patch


def _kept(obj: Object) -> dict[str, Any]:
    """What a status that is not observed anew goes on saying."""
    return {k: v for k, v in (obj.get("status") or {}).items() if k not in ("conditions", "observedGeneration")}


def _simple(obj: Object, ready: bool | None, reason: Reason, sentence: str, *, stalled: bool, again: float) -> Report:
    known = conditions.find(obj.get("status") or {}, ConditionType.READY)
    was_ready = known is not None and known.get("status") == "True"
    return Report(
        conditions=(
            Condition(ConditionType.READY, True if was_ready and ready is None else bool(ready), reason, sentence),
            Condition(ConditionType.SYNCED, False, reason, sentence),
            Condition(ConditionType.RECONCILING, False, Reason.NOT_PROGRESSING, "No work goes on."),
            Condition(ConditionType.STALLED, stalled, reason if stalled else Reason.NOT_STALLED, sentence),
        ),
        fields=_kept(obj),
        again=again,
    )


def _bad_mode(obj: Object, word: str) -> Report:
    sentence = f"The annotation {meta.MODE} says {word[:80]!r}; write one of {', '.join(meta.Mode)}, or remove it. Nothing is done until then."
    return _simple(obj, None, Reason.INVALID, sentence, stalled=True, again=3600)


def _paused(obj: Object, deleting: bool) -> Report:
    sentence = f"Paused by the annotation {meta.MODE}; remove it to go on."
    if deleting:
        sentence = f"Deletion waits: the object is paused by the annotation {meta.MODE}; remove the annotation to let it be taken down."
    return _simple(obj, None, Reason.PAUSED, sentence, stalled=False, again=3600)


def _invalid(obj: Object, invalid: Invalid) -> Report:
    several = f" (and {len(invalid.problems) - 3} more)" if len(invalid.problems) > 3 else ""
    sentence = "; ".join(str(p) for p in invalid.problems[:3]) + several
    return _simple(obj, None, Reason.INVALID, sentence, stalled=True, again=3600)


def _only_looking(report: Report, mode: meta.Mode, plan: Plan) -> Report:
    """The report of an object whose plan was made but not run."""
    if mode is meta.Mode.OBSERVE:
        reason, sentence = Reason.OBSERVING, f"Observed only, as the annotation {meta.MODE} says; nothing is changed."
        fields = {k: v for k, v in report.fields.items() if k != "plan"}
    else:
        count = len(plan.steps)
        what = "Nothing to do" if count == 0 else f"{count} step{'s' if count > 1 else ''} planned and not run"
        reason, sentence = Reason.PLANNED, f"{what}: the annotation {meta.MODE} says Plan."
        fields = dict(report.fields)
    told = tuple(
        replace(c, reason=reason, message=sentence)
        if c.type in (ConditionType.SYNCED, ConditionType.RECONCILING) and not _true(c)
        else c
        for c in report.conditions
    )
    told = tuple(
        replace(c, status=False, reason=Reason.NOT_PROGRESSING, message=sentence)
        if c.type == ConditionType.RECONCILING
        else c
        for c in told
    )
    # Nothing will be different in a second: only somebody else can change what is looked at.
    return replace(report, conditions=told, fields=fields, notes=(), again=max(report.again, LOOKING))


def _true(condition: Condition) -> bool:
    return condition.status is True
