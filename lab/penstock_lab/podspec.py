"""What a pod's spec asks the lab's node to run: pure functions from objects to commands, environments, files and statuses.

The rules are the kubelet's (kubernetes.io/docs/tasks/inject-data-application, /docs/concepts/storage/volumes): order of sources,
`$(NAME)` references, `optional`, and the sentences for what is missing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]  # ("Secret" | "ConfigMap", name), always in the pod's namespace
_REFERENCE = re.compile(r"\$(\$)|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_ENTRYPOINT = re.compile(r"^ENTRYPOINT\s+(\[.*\])\s*$", re.M)
TOKEN_VOLUME_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 (a path)


class Unresolvable(Exception):
    """The container cannot be configured yet; the message is what the kubelet would say."""


def is_ours(image: str) -> bool:
    """Whether the lab can run this image: Penstock's, whatever its registry and tag (`ghcr.io/x/penstock:0.1`)."""
    return "penstock" in image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def images(pod: Object) -> list[str]:
    return [container["image"] for container in containers(pod)]


def containers(pod: Object, kind: str = "containers") -> list[Object]:
    return list(pod["spec"].get(kind) or ())


def full_name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def references(pod: Object) -> set[Key]:
    """Every Secret and ConfigMap that the pod's containers and volumes name."""
    keys: set[Key] = set()
    for container in containers(pod) + containers(pod, "initContainers"):
        for source in container.get("envFrom") or ():
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if field in source:
                    keys.add((kind, source[field]["name"]))
        for variable in container.get("env") or ():
            origin = variable.get("valueFrom") or {}
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                if field in origin:
                    keys.add((kind, origin[field]["name"]))
    for volume in pod["spec"].get("volumes") or ():
        for source in [volume, *((volume.get("projected") or {}).get("sources") or ())]:
            if secret := source.get("secret"):
                keys.add(("Secret", secret.get("secretName") or secret["name"]))
            if config := source.get("configMap"):
                keys.add(("ConfigMap", config["name"]))
    return keys


def data_of(kind: str, found: Object | None) -> dict[str, bytes]:
    """A Secret's or ConfigMap's content, decoded."""
    if not found:
        return {}
    data = found.get("data") or {}
    if kind == "Secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary = {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return {key: value.encode() for key, value in data.items()} | binary


def _content(objects: Mapping[Key, Object | None], key: Key, optional: bool) -> dict[str, bytes]:
    found = objects.get(key)
    if found is None and not optional:
        raise Unresolvable(f'{key[0].lower()} "{key[1]}" not found')
    return data_of(key[0], found)


def field(pod: Object, path: str) -> str:
    """A downward API field, such as `metadata.name`, `metadata.labels['app']` or `status.podIP`."""
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path):
        return str((pod["metadata"].get(match[1]) or {}).get(match[2], ""))
    if path == "status.podIPs":
        return ",".join(item["ip"] for item in pod.get("status", {}).get("podIPs") or ())
    value: Any = pod
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)


def _resource(container: Object, source: Object) -> str:
    group, _, name = source["resource"].partition(".")
    value = ((container.get("resources") or {}).get(group) or {}).get(name, "0")
    if name == "cpu":  # whole cores, rounded up, unless a divisor says otherwise
        cores = float(value[:-1]) / 1000 if str(value).endswith("m") else float(value)
        return str(-int(-cores // 1))
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}
    for unit, factor in units.items():
        if str(value).endswith(unit):
            return str(int(float(str(value).removesuffix(unit)) * factor))
    return str(value)


def environment(pod: Object, container: Object, objects: Mapping[Key, Object | None]) -> dict[str, str]:
    """The variables that the spec itself sets. Raises Unresolvable for a Secret, ConfigMap or key that is not there and not optional."""
    env: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for name, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if reference := source.get(name):
                data = _content(objects, (kind, reference["name"]), reference.get("optional", False))
                env |= {source.get("prefix", "") + key: value.decode() for key, value in data.items()}
    for variable in container.get("env") or ():
        value = _variable(pod, container, variable, objects)
        if value is not None:
            env[variable["name"]] = expand(value, env)
    return env


def _variable(pod: Object, container: Object, variable: Object, objects: Mapping[Key, Object | None]) -> str | None:
    origin = variable.get("valueFrom")
    if not origin:
        return str(variable.get("value", ""))
    for name, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if reference := origin.get(name):
            optional = reference.get("optional", False)
            data = _content(objects, (kind, reference["name"]), optional)
            if reference["key"] in data:
                # A literal dollar in a Secret is no reference.
                return data[reference["key"]].decode().replace("$", "$$")
            if optional:
                return None
            raise Unresolvable(
                f"couldn't find key {reference['key']} in {kind} {pod['metadata']['namespace']}/{reference['name']}"
            )
    if "fieldRef" in origin:
        return field(pod, origin["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in origin:
        return _resource(container, origin["resourceFieldRef"])
    raise Unresolvable(f"the lab's node cannot read the source of {variable['name']}: {', '.join(origin)}")


def expand(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` by the environment, `$$` to a dollar; an unknown reference stays as it is written."""

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        return env.get(match[2], match[0])

    return _REFERENCE.sub(one, text)


def entrypoint(dockerfile: str) -> list[str]:
    """The image's ENTRYPOINT, read from its Dockerfile; `penstock` when that has none in exec form."""
    found = _ENTRYPOINT.findall(dockerfile)
    return re.findall(r'"([^"]*)"', found[-1]) if found else ["penstock"]


def image_environment(dockerfile: str, base: Mapping[str, str]) -> dict[str, str]:
    """The variables that the image has: those of its base, and the last stage's ENV lines in `NAME=value` form."""
    env = dict(base)
    for line in re.findall(r"^ENV\s+(.*)$", dockerfile.rpartition("\nFROM ")[2], re.M):
        for name, value in re.findall(r"(\w+)=(\S+)", line):
            env[name] = value.replace(f"${name}", env.get(name, ""))
    return env


def command(container: Object, env: Mapping[str, str], image_entrypoint: Sequence[str]) -> list[str]:
    """What to execute: `command` replaces the image's entrypoint, `args` its arguments."""
    parts = [*(container.get("command") or image_entrypoint), *(container.get("args") or ())]
    return [expand(part, env) for part in parts]


def relocate(text: str, mounts: Iterable[tuple[str, str]]) -> str:
    """A text that names a path under a mountPath, naming the local folder instead (the node has no mount namespaces)."""
    folders = dict(mounts)
    if not folders:
        return text
    # All at once: a local folder may itself lie under what another mount is called (/tmp).
    named = "|".join(re.escape(mount) for mount in sorted(folders, key=len, reverse=True))
    return re.sub(rf"(^|[=:,])({named})(?=/|$|[,:])", lambda m: m[1] + folders[m[2]], text)


@dataclass(frozen=True)
class TokenRequest:
    """A ServiceAccount token that a volume asks for, `seconds` long."""

    path: str
    audience: str | None
    seconds: int


def volume_files(
    pod: Object, volume: Object, objects: Mapping[Key, Object | None], ca: str
) -> tuple[dict[str, bytes], list[TokenRequest]]:
    """A volume's files (relative path → content) and the tokens to request for it. Raises Unresolvable as `environment` does."""
    projected = volume.get("projected")
    files: dict[str, bytes] = {}
    tokens: list[TokenRequest] = []
    for source in (projected.get("sources") or ()) if projected else (volume,):
        if token := source.get("serviceAccountToken"):
            tokens.append(TokenRequest(token["path"], token.get("audience"), int(token.get("expirationSeconds", 3600))))
        elif downward := source.get("downwardAPI"):
            for item in downward.get("items") or ():
                files[item["path"]] = field(pod, (item.get("fieldRef") or {}).get("fieldPath", "")).encode()
        else:
            files |= _projected(source, objects, ca)
    return files, tokens


def _projected(source: Object, objects: Mapping[Key, Object | None], ca: str) -> dict[str, bytes]:
    for name, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
        if reference := source.get(name):
            target = reference.get("secretName") or reference["name"]
            if target == "kube-root-ca.crt" and objects.get((kind, target)) is None:
                return {"ca.crt": ca.encode()}  # the publisher may be a moment behind a new namespace
            data = _content(objects, (kind, target), reference.get("optional", False))
            if items := reference.get("items"):
                return {item["path"]: data[item["key"]] for item in items if item["key"] in data}
            return data
    return {}  # emptyDir, and what needs a real node
