"""`penstock plan -f`: what would be done for manifests, printed like `terraform plan`; reads AWS, changes nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from penstock.api.conditions import Reason
from penstock.api.costbudget import CostBudget
from penstock.api.model import Problem
from penstock.api.parsing import parse_as
from penstock.aurora import kind as aurora
from penstock.aurora.credentials import CredentialReader
from penstock.aws.account import Account
from penstock.budget import books
from penstock.drill import kind as drill
from penstock.drill.plan import outlook
from penstock.drilling import DrilledClusters
from penstock.dynamo import kind as dynamo
from penstock.engine import conditions
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Invalid, Key, Kind, Look, Object
from penstock.engine.kube import Kube, KubeError, Resource
from penstock.engine.plan import Effect, Plan, Step, When, monthly_delta
from penstock.manifests import manifests

NOTHING, FAILED, CHANGES = 0, 1, 2
_SIGN = {Effect.IMMEDIATE: ("~", "yellow"), Effect.REPLACE: ("±", "magenta"), Effect.DESTROY: ("-", "red")}
# Of an object that is in no cluster, or whose cluster does not answer.
_NO_UID = "00000000-0000-0000-0000-000000000000"
_KINDS = (dynamo.NAME, aurora.NAME, drill.NAME, books.NAME)
_MADE = ("Create", "Restore")


async def preview(files: Sequence[str], namespace: str, region: str, output: str) -> int:
    """Print the plan of every object of ours in the files. Returns the exit status: 0 nothing to do, 2 changes, 1 an error."""
    console = Console(highlight=False, soft_wrap=True)
    kube = await _cluster()
    account = Account(region)
    given = list(manifests(files, _KINDS))
    results: list[dict[str, Any]] = []
    code = NOTHING
    try:
        kinds = _kinds(account, kube, await _declared(kube, given, namespace))
        for source, manifest in given:
            if isinstance(manifest, Problem):
                results.append({"object": source, "problems": [str(manifest)]})
                continue
            name = (
                f"{manifest['kind']}/{manifest['metadata'].get('namespace', namespace)}/{manifest['metadata']['name']}"
            )
            try:
                if manifest["kind"] == books.NAME:
                    results.append({"object": name, "plan": _budget(manifest, namespace)})
                    continue
                kind = kinds[manifest["kind"]]
                obj = await _as_object(kube, kind.resource, manifest, namespace)
                desired = kind.desired(obj)
                observed = await kind.observe(desired, Look(only=True))
                now = datetime.now(UTC)
                plan = (
                    _drill(kind, desired, observed, now, reached=kube is not None)
                    if kind.name == drill.NAME
                    else kind.plan(desired, observed, now)
                )
                results.append({"object": name, "plan": plan})
            except Invalid as invalid:
                results.append({"object": name, "problems": [str(p) for p in invalid.problems]})
            except Trouble as trouble:
                # Here nobody keeps trying, and the person at the terminal is who has the credentials.
                sentence = trouble.cause
                if trouble.reason == Reason.CREDENTIALS_MISSING:
                    sentence = "No AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
                results.append({"object": name, "problems": [sentence]})
            except KubeError as error:
                results.append({"object": name, "problems": [str(error)]})
    finally:
        account.close()
        if kube is not None:
            await kube.close()
    for result in results:
        if "problems" in result or result["plan"].refusals:
            code = FAILED
        elif not result["plan"].empty and code == NOTHING:
            code = CHANGES
    if output == "json":
        sys.stdout.write(json.dumps([_as_json(r) for r in results], indent=2) + "\n")
    else:
        _print(console, results)
    return code


def _kinds(account: Account, kube: Kube | None, declared: dict[Key, Object]) -> dict[str, Kind[Any, Any]]:
    """declared: the clusters of the manifests, which a drill of the same manifests is about."""
    tables, clusters = dynamo.DynamoTables(account, "preview"), aurora.AuroraClusters(account, "preview", kube)
    tables.look_always()
    clusters.look_always()
    drilled = DrilledClusters(declared.get, clusters, CredentialReader(account, kube), kube)
    drills = drill.FailoverDrills(account, drilled, clusters.drills, kube)
    return {tables.name: tables, clusters.name: clusters, drills.name: drills}


async def _declared(
    kube: Kube | None, given: Sequence[tuple[str, Object | Problem]], namespace: str
) -> dict[Key, Object]:
    """The clusters of the manifests as if they were applied; none where no drill is to be judged by them."""
    found: dict[Key, Object] = {}
    if not any(not isinstance(manifest, Problem) and manifest["kind"] == drill.NAME for _, manifest in given):
        return found
    for _, manifest in given:
        if isinstance(manifest, Problem) or manifest["kind"] != aurora.NAME:
            continue
        key = Key(aurora.NAME, str(manifest["metadata"].get("namespace", namespace)), str(manifest["metadata"]["name"]))
        try:
            found[key] = await _as_object(kube, aurora.RESOURCE, manifest, namespace)
        except Trouble:
            # It is told where that cluster itself is planned.
            continue
    return found


def _drill(kind: Kind[Any, Any], desired: Any, observed: Any, now: datetime, *, reached: bool) -> Plan:
    """What a drill would do. It costs nothing that an estimate knows of. reached: whether a cluster answers for what the manifests do not hold."""
    if observed.subject is None and not reached:
        sentence = f"What it would do is not known: no Kubernetes cluster answers, and the manifests hold no AuroraCluster {desired.cluster}."
        return Plan(notes=(sentence,))
    told = outlook(desired, observed, now)
    if told:
        return Plan(notes=told)
    plan = kind.plan(desired, observed, now)
    return replace(plan, steps=tuple(replace(step, cost_delta=Decimal(0)) for step in plan.steps))


def _budget(manifest: Object, namespace: str) -> Plan:
    """A budget makes nothing; whether it is written right can be said. Raises Invalid."""
    found = parse_as(
        CostBudget, {**manifest, "metadata": {"namespace": namespace, **manifest["metadata"]}, "status": {}}
    )
    if isinstance(found, list):
        raise Invalid(found)
    return Plan(notes=("A budget makes nothing in AWS; `penstock cost` shows what its objects cost.",))


async def _cluster() -> Kube | None:
    """The cluster of the current kubeconfig, or None when there is none or it does not answer."""
    try:
        kube = await Kube.connect()
    except KubeError:
        return None
    try:
        await kube.request("GET", dynamo.RESOURCE, query={"limit": "1"}, seconds=3)
    except KubeError:
        await kube.close()
        return None
    return kube


async def _as_object(kube: Kube | None, resource: Resource, manifest: Object, namespace: str) -> Object:
    """The manifest as if it were applied: with the identity and status of the object in the cluster, where there is one."""
    metadata = {"namespace": namespace, **manifest["metadata"]}
    live: Object = {}
    if kube is not None:
        try:
            live = await kube.request("GET", resource, metadata["namespace"], metadata["name"])
        except KubeError as error:
            if error.status != 404:
                raise Trouble(Meaning.UNAVAILABLE, Reason.UNAVAILABLE, str(error)) from error
    known = live.get("metadata") or {}
    same = live.get("spec") == manifest.get("spec")
    return {
        **manifest,
        "metadata": {
            "uid": known.get("uid", _NO_UID),
            "generation": known.get("generation", 0) + (0 if same else 1),
            **metadata,
            "creationTimestamp": known.get("creationTimestamp") or conditions.timestamp(datetime.now(UTC)),
            "annotations": _annotations(known.get("annotations"), metadata.get("annotations")),
        },
        "status": live.get("status") or {},
    }


def _annotations(known: Any, written: Any) -> Any:
    """Those of the manifest over those in the cluster. What is no mapping stays as it is, for the rules to judge."""
    if written and not isinstance(written, dict):
        return written
    return {**(known or {}), **(written or {})}


def _as_json(result: dict[str, Any]) -> dict[str, Any]:
    if "problems" in result:
        return result
    plan: Plan = result["plan"]
    return {"object": result["object"], "plan": plan.as_status() or ({"notes": list(plan.notes)} if plan.notes else {})}


def _print(console: Console, results: list[dict[str, Any]]) -> None:
    counts = {"create": 0, "change": 0, "destroy": 0}
    for result in results:
        console.print(Text(result["object"], style="bold"))
        if "problems" in result:
            for problem in result["problems"]:
                console.print(Text(f"  ! {problem}", style="red"))
            continue
        plan: Plan = result["plan"]
        if plan.empty:
            of_aws = result["object"].startswith((dynamo.NAME, aurora.NAME))
            quiet = "nothing to do: AWS is as the manifest says" if of_aws else "nothing to do now"
            console.print(Text(f"  = {quiet}", style="green"))
        for step in plan.steps:
            _print_step(console, step, counts)
        for wait in plan.waits:
            console.print(Text(f"  … {wait.sentence}", style="cyan"))
        for refusal in plan.refusals:
            console.print(Text(f"  ! {refusal.sentence}", style="red"))
        for note in plan.notes:
            console.print(Text(f"  ? {note}", style="yellow"))
    adds = sum((s.cost_delta or Decimal(0) for r in results if "plan" in r for s in r["plan"].steps), Decimal(0))
    if any("plan" in r for r in results):
        console.print(
            Text.assemble(
                ("Plan: ", "bold"),
                f"{counts['create']} to create, {counts['change']} to change, {counts['destroy']} to destroy",
                f"; together {monthly_delta(adds)}." if abs(adds) >= Decimal("0.005") else ".",
            )
        )


def _print_step(console: Console, step: Step, counts: dict[str, int]) -> None:
    made = step.operation.startswith(_MADE) or "Create" in str(step.parameters.get("GlobalSecondaryIndexUpdates", ""))
    sign, colour = ("+", "green") if made else _SIGN.get(step.effect, ("~", "yellow"))
    counts["create" if made else "destroy" if step.effect is Effect.DESTROY else "change"] += 1
    when = {When.NOW: "", When.LATER: ", after what goes before", When.AFTER_CONSENT: ", after consent"}.get(
        step.when, f", {step.when}"
    )
    # What the kinds could not price is not free.
    cost = ("  price not known", "bold") if step.cost_delta is None else (f"  {step.cost}", "bold") if step.cost else ""
    console.print(Text.assemble((f"  {sign} {step.summary}", colour), (f"  ({step.effect}{when})", "dim"), cost))
