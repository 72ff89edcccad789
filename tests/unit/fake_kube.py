"""A small API server in memory: resourceVersions, conflicts, generations, the status subresource, finalizers, pruning, watches.

Several connections share one `Cluster`; each has a network of its own that may be slow, lose requests or lose answers. What it does is what the
Kubernetes API reference says of the parts that the engine uses; the lab's tests meet the real one.
"""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import virtual_time
import yaml

from penstock.engine.conditions import timestamp
from penstock.engine.kube import Kube, KubeError, Resource

Object = dict[str, Any]
CRDS = Path(__file__).parents[2] / "crds"


def crd_schema(plural: str) -> dict[str, Any]:
    """The structural schema of one of our kinds, as crds/ has it."""
    document = yaml.safe_load((CRDS / f"penstock.dev_{plural}.yaml").read_text(encoding="utf-8"))
    schema: dict[str, Any] = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def prune(value: Any, schema: Mapping[str, Any]) -> Any:
    """The value without the fields that a structural schema does not have, as the API server stores it."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return value
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        return {k: prune(v, known[k]) for k, v in value.items() if k in known}
    if isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        return {k: prune(v, schema["additionalProperties"]) for k, v in value.items()}
    if isinstance(value, list) and "items" in schema:
        return [prune(item, schema["items"]) for item in value]
    return value


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merge_patch(found.get(key), value)
    return found


@dataclass
class Cluster:
    """What is stored.

    lists: by their version, as long as they can be continued. changed: called with (plural, "MODIFIED" or "DELETED", object) after every change.
    """

    clock: Callable[[], datetime] = virtual_time.now
    status_schema: Mapping[str, Any] = field(default_factory=dict)
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    version: int = 100
    lists: dict[int, list[Object]] = field(default_factory=dict)
    changed: list[Callable[[str, str, Object], None]] = field(default_factory=list)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        try:
            return copy.deepcopy(self.objects[resource.plural, namespace, name])
        except KeyError:
            raise KubeError(404, "NotFound", f'{resource.plural} "{name}" not found') from None

    def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        obj = copy.deepcopy(body)
        name = obj["metadata"]["name"]
        if (resource.plural, namespace, name) in self.objects:
            raise KubeError(409, "AlreadyExists", f'{resource.plural} "{name}" already exists')
        obj["metadata"] |= {
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": timestamp(self.clock()),
        }
        return self._store(resource, namespace, name, obj)

    def replace(self, resource: Resource, namespace: str, name: str, body: Object, *, status: bool = False) -> Object:
        before = self.get(resource, namespace, name)
        asked = body["metadata"].get("resourceVersion")
        if asked and asked != before["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", "the object has been modified; please apply your changes to the latest")
        if body["metadata"].get("uid") not in (None, before["metadata"]["uid"]):
            raise KubeError(409, "Conflict", "Precondition failed: UID in precondition does not match")
        obj = copy.deepcopy(body)
        system = ("uid", "generation", "creationTimestamp", "deletionTimestamp", "namespace", "resourceVersion")
        metadata = {k: v for k, v in obj["metadata"].items() if k not in system}
        obj["metadata"] = metadata | {k: before["metadata"][k] for k in system if k in before["metadata"]}
        if status:
            kept = prune(obj.get("status") or {}, self.status_schema) if self.status_schema else obj.get("status") or {}
            obj = before | {"status": kept}
        elif "status" in before:
            obj["status"] = before["status"]
        else:
            obj.pop("status", None)
        new = set(metadata.get("finalizers") or ()) - set(before["metadata"].get("finalizers") or ())
        if "deletionTimestamp" in before["metadata"] and new:
            raise KubeError(422, "Invalid", "metadata.finalizers: no new finalizers while the object is being deleted")
        if obj == before:
            return before
        if obj.get("spec") != before.get("spec"):
            obj["metadata"]["generation"] += 1
        if "deletionTimestamp" in obj["metadata"] and not obj["metadata"].get("finalizers"):
            return self._remove(resource, namespace, name, obj)
        return self._store(resource, namespace, name, obj)

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        obj = self.get(resource, namespace, name)
        if not obj["metadata"].get("finalizers"):
            self._remove(resource, namespace, name, obj)
        elif "deletionTimestamp" not in obj["metadata"]:
            obj["metadata"]["deletionTimestamp"] = timestamp(self.clock())
            obj["metadata"]["generation"] += 1
            self._store(resource, namespace, name, obj)

    def _store(self, resource: Resource, namespace: str, name: str, obj: Object) -> Object:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects[resource.plural, namespace, name] = obj
        self._tell(resource, "MODIFIED", obj)
        return copy.deepcopy(obj)

    def _remove(self, resource: Resource, namespace: str, name: str, obj: Object) -> Object:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        del self.objects[resource.plural, namespace, name]
        self._tell(resource, "DELETED", obj)
        return copy.deepcopy(obj)

    def _tell(self, resource: Resource, event: str, obj: Object) -> None:
        for listener in self.changed:
            listener(resource.plural, event, copy.deepcopy(obj))


@dataclass
class Network:
    """before, after: seconds that a request and its answer take. loses_requests, loses_answers: until the caller's bound is over."""

    before: float = 0.001
    after: float = 0.001
    loses_requests: bool = False
    loses_answers: bool = False
    refuses: bool = False


class FakeKube(Kube):
    """One connection. network: may be changed at any time. faults: called with (verb, resource, name) before a request; may raise."""

    def __init__(self, cluster: Cluster | None = None, network: Network | None = None) -> None:
        self.cluster = cluster or Cluster()
        self.network = network or Network()
        self.faults: list[Callable[[str, Resource, str], None]] = []
        self.sent: list[tuple[str, str, str, str]] = []

    @property
    def writes(self) -> list[tuple[str, str, str, str]]:
        """(verb, plural, name, subresource) of every request that changes something."""
        return [s for s in self.sent if s[0] != "GET"]

    async def close(self) -> None:
        return

    async def request(  # type: ignore[override]
        self,
        verb: str,
        resource: Resource,
        namespace: str = "",
        name: str = "",
        *,
        subresource: str = "",
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        seconds: float = 30,
    ) -> dict[str, Any]:
        self.sent.append((verb, resource.plural, name, subresource))
        for fault in self.faults:
            fault(verb, resource, name)
        network = copy.copy(self.network)
        try:
            async with asyncio.timeout(seconds):
                if network.refuses:
                    raise KubeError(0, "Unreachable", "the API server cannot be reached: connection refused")
                await asyncio.sleep(1e9 if network.loses_requests else network.before)
                if verb == "GET" and not name:
                    answer = self._list(resource, namespace, query or {})
                else:
                    answer = self._perform(verb, resource, namespace, name, subresource, body)
                await asyncio.sleep(1e9 if network.loses_answers else network.after)
                return answer
        except TimeoutError:
            raise KubeError(0, "Unreachable", "the API server cannot be reached: TimeoutError") from None

    def _list(self, resource: Resource, namespace: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A page; the later ones are of the moment of the first, and may be gone."""
        if "continue" in query:
            version, at = (int(part) for part in query["continue"].split("-"))
            if version not in self.cluster.lists:
                raise KubeError(410, "Expired", "The provided continue parameter is too old")
        else:
            version, at = self.cluster.version, 0
            self.cluster.lists[version] = [
                copy.deepcopy(o)
                for (plural, ns, _), o in sorted(self.cluster.objects.items())
                if plural == resource.plural and namespace in ("", ns)
            ]
        found = self.cluster.lists[version]
        end = at + int(query.get("limit", len(found) + 1))
        left = len(found) - end
        more = {"continue": f"{version}-{end}", "remainingItemCount": left} if left > 0 else {}
        return {"metadata": {"resourceVersion": str(version), **more}, "items": copy.deepcopy(found[at:end])}

    def _perform(
        self, verb: str, resource: Resource, namespace: str, name: str, subresource: str, body: Any
    ) -> dict[str, Any]:
        match verb:
            case "GET":
                return self.cluster.get(resource, namespace, name)
            case "POST":
                return self.cluster.create(resource, namespace, body)
            case "PUT":
                return self.cluster.replace(resource, namespace, name, body, status=subresource == "status")
            case "PATCH":
                patched = merge_patch(self.cluster.get(resource, namespace, name), body)
                # A patch without a version is applied to whatever stands there.
                if "resourceVersion" not in (body.get("metadata") or {}):
                    patched["metadata"].pop("resourceVersion", None)
                return self.cluster.replace(resource, namespace, name, patched, status=subresource == "status")
            case "DELETE":
                self.cluster.delete(resource, namespace, name)
                return {}
        raise AssertionError(verb)
