"""`penstock plan -f`: what would be done for manifests, printed like `terraform plan`; reads AWS, changes nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from penstock.api.conditions import Reason
from penstock.api.model import Problem
from penstock.aurora import kind as aurora
from penstock.aws.account import Account
from penstock.dynamo import kind as dynamo
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Invalid, Kind, Look, Object
from penstock.engine.kube import Kube, KubeError, Resource
from penstock.engine.plan import Effect, Plan, Step, When, monthly_delta
from penstock.manifests import manifests

NOTHING, FAILED, CHANGES = 0, 1, 2
_SIGN = {Effect.IMMEDIATE: ("~", "yellow"), Effect.REPLACE: ("±", "magenta"), Effect.DESTROY: ("-", "red")}
# Of an object that is in no cluster, or whose cluster does not answer.
_NO_UID = "00000000-0000-0000-0000-000000000000"
_KINDS = (dynamo.NAME, aurora.NAME)
_MADE = ("Create", "Restore")


async def preview(files: Sequence[str], namespace: str, region: str, output: str) -> int:
    """Print the plan of every object of ours in the files. Returns the exit status: 0 nothing to do, 2 changes, 1 an error."""
    console = Console(highlight=False, soft_wrap=True)
    kube = await _cluster()
    account = Account(region)
    kinds = _kinds(account, kube)
    results: list[dict[str, Any]] = []
    code = NOTHING
    try:
        for source, manifest in manifests(files, _KINDS):
            if isinstance(manifest, Problem):
                results.append({"object": source, "problems": [str(manifest)]})
                continue
            name = (
                f"{manifest['kind']}/{manifest['metadata'].get('namespace', namespace)}/{manifest['metadata']['name']}"
            )
            kind = kinds[manifest["kind"]]
            try:
                obj = await _as_object(kube, kind.resource, manifest, namespace)
                desired = kind.desired(obj)
                observed = await kind.observe(desired, Look(only=True))
                plan = kind.plan(desired, observed, datetime.now(UTC))
                results.append({"object": name, "plan": plan})
            except Invalid as invalid:
                results.append({"object": name, "problems": [str(p) for p in invalid.problems]})
            except Trouble as trouble:
                # Here nobody keeps trying, and the person at the terminal is who has the credentials.
                sentence = trouble.sentence.removesuffix("; the operator keeps trying.").rstrip(".") + "."
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


def _kinds(account: Account, kube: Kube | None) -> dict[str, Kind[Any, Any]]:
    tables, clusters = dynamo.DynamoTables(account, "preview"), aurora.AuroraClusters(account, "preview", kube)
    tables.look_always()
    clusters.look_always()
    return {tables.name: tables, clusters.name: clusters}


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
    return {"object": result["object"], "plan": result["plan"].as_status() or {}}


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
            console.print(Text("  = nothing to do: AWS is as the manifest says", style="green"))
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
    made = step.operation.startswith(_MADE) or step.summary.startswith("create ")
    sign, colour = ("+", "green") if made else _SIGN.get(step.effect, ("~", "yellow"))
    counts["create" if made else "destroy" if step.effect is Effect.DESTROY else "change"] += 1
    when = {When.NOW: "", When.LATER: ", after what goes before", When.AFTER_CONSENT: ", after consent"}.get(
        step.when, f", {step.when}"
    )
    # What the kinds could not price is not free.
    cost = ("  price not known", "bold") if step.cost_delta is None else (f"  {step.cost}", "bold") if step.cost else ""
    console.print(Text.assemble((f"  {sign} {step.summary}", colour), (f"  ({step.effect}{when})", "dim"), cost))
