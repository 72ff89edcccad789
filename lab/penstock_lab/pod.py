"""One pod on the lab's node, from its binding to its removal: files, token, containers, status."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from . import processes, sandbox, wheel
from .container import Container, now
from .kubeapi import Api, ApiError
from .pki import kubeconfig
from .podspec import (
    TOKEN_VOLUME_PATH,
    Object,
    TokenRequest,
    Unresolvable,
    command,
    containers,
    environment,
    full_name,
    references,
    relocate,
    volume_files,
)

_log = logging.getLogger("node")
_UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True)
class Host:
    """What every pod of the node shares.

    `image_env` are the image's variables. sandboxed: whether pods get a tree of their own.
    """

    api: Api
    folder: Path
    ip: str
    lab: str
    ca_file: Path
    entrypoint: list[str]
    image_env: Mapping[str, str]
    sandboxed: bool
    changed: Callable[[], None]


class Pod:
    """The worker of one pod. `obj` is the newest known object; `ip` is its own loopback address."""

    def __init__(self, host: Host, obj: Object, ip: str) -> None:
        self.host, self.obj, self.ip = host, obj, ip
        self.uid = str(obj["metadata"]["uid"])
        self.namespace, self.name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self.folder = self._own_folder()
        self.home = self.folder / "home"
        self.volumes = self.folder / "volumes"
        self.stop = asyncio.Event()
        self.gone = False
        self.grace = float(obj["spec"].get("terminationGracePeriodSeconds", 30))
        self.since = now()
        earlier = {item["name"]: item for item in (obj.get("status") or {}).get("containerStatuses") or ()}
        self.inits = [Container(self, spec) for spec in containers(obj, "initContainers")]
        self.containers = [Container(self, spec) for spec in containers(obj)]
        for container in self.containers:
            if known := earlier.get(container.name):  # the node itself was restarted, and its pods with it
                container.restarts = known.get("restartCount", 0) + (1 if "containerID" in known else 0)
        self.initialized = not self.inits
        self.finished: list[int] | None = None
        self._dirty = asyncio.Event()
        self._published: Object = {}
        self._conditions = {item["type"]: item for item in (obj.get("status") or {}).get("conditions") or ()}

    def _own_folder(self) -> Path:
        """`pods/<pod>`, or `pods/<pod>.<namespace>` where another namespace's pod of that name has it."""
        for name in (self.name, f"{self.name}.{self.namespace}"):
            folder = self.host.folder / "pods" / name
            owner = folder / "namespace"
            if not owner.exists() or owner.read_text() == self.namespace:
                folder.mkdir(parents=True, exist_ok=True)
                owner.write_text(self.namespace)
                return folder
        raise AssertionError("a folder with the namespace in its name has no other owner")

    @property
    def ending(self) -> bool:
        return self.stop.is_set()

    def changed(self) -> None:
        self._dirty.set()
        self.host.changed()

    def update(self, obj: Object) -> None:
        self.obj = obj
        if "deletionTimestamp" in obj["metadata"]:
            self.end(float(obj["metadata"].get("deletionGracePeriodSeconds", self.grace)))

    def end(self, grace: float, gone: bool = False) -> None:
        """Begin the pod's end; `gone` when the object is no longer there to report to."""
        self.grace, self.gone = min(self.grace, grace), self.gone or gone
        self.stop.set()

    async def sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)

    async def run(self) -> None:
        """The whole life of the pod; returns when its object is gone or its work is done and deleted."""
        reporter = asyncio.create_task(self._report())
        refresher: asyncio.Task[None] | None = None
        try:
            tokens = await self._prepare()
            refresher = asyncio.create_task(self._refresh(tokens))
            await self._run_containers()
            self.changed()
            await self.stop.wait()
        finally:
            for task in filter(None, (reporter, refresher)):
                task.cancel()
            shutil.rmtree(self.volumes, ignore_errors=True)
        if not self.gone:
            await self._remove()

    async def _run_containers(self) -> None:
        policy = self.obj["spec"].get("restartPolicy", "Always")
        for init in self.inits:
            code = await init.run("Never" if policy == "Never" else "OnFailure")
            if code and not self.ending:
                self.finished = [code]
                return
        self.initialized = True
        self.changed()
        self.finished = list(await asyncio.gather(*(container.run(policy) for container in self.containers)))

    async def _prepare(self) -> list[tuple[Path, TokenRequest]]:
        """Make the volumes; what is missing is told and tried again until it is there or the pod ends."""
        self.home.mkdir(exist_ok=True)
        (self.home / "tmp").mkdir(exist_ok=True)
        while not self.ending:
            try:
                return await self._make_volumes()
            except (Unresolvable, ApiError, *_UNREACHABLE) as error:
                for container in self.containers:
                    container.state = {"waiting": {"reason": "ContainerCreating", "message": f"FailedMount: {error}"}}
                self.changed()
                await self.sleep(1)
        return []

    async def _objects(self) -> dict[tuple[str, str], Object | None]:
        plural = {"Secret": "secrets", "ConfigMap": "configmaps"}
        keys = sorted(references(self.obj))
        found = await asyncio.gather(
            *(self.host.api.find(f"/api/v1/namespaces/{self.namespace}/{plural[kind]}/{name}") for kind, name in keys)
        )
        return dict(zip(keys, found, strict=True))

    async def _make_volumes(self) -> list[tuple[Path, TokenRequest]]:
        objects = await self._objects()
        requests: list[tuple[Path, TokenRequest]] = []
        for volume in self.obj["spec"].get("volumes") or ():
            folder = self.volumes / volume["name"]
            folder.mkdir(parents=True, exist_ok=True)
            files, tokens = volume_files(self.obj, volume, objects, self.host.api.ca)
            for name, content in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            if "emptyDir" in volume:
                folder.chmod(0o777)
            requests += [(folder / token.path, token) for token in tokens]
        for path, token in requests:
            await self._write_token(path, token)
        return requests

    async def _write_token(self, path: Path, token: TokenRequest) -> None:
        account = self.obj["spec"].get("serviceAccountName") or "default"
        body: Object = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [token.audience] if token.audience else [],
                "expirationSeconds": token.seconds,
                # As the kubelet binds it: the token dies with the pod.
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": self.uid},
            },
        }
        answer = await self.host.api.post(f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token", body)
        new = path.with_name(f".{path.name}.new")
        new.touch(mode=0o600)
        if os.geteuid() == 0:
            os.chown(new, sandbox.UID, sandbox.UID)
        new.write_text(answer["status"]["token"])
        new.replace(path)

    async def _refresh(self, tokens: list[tuple[Path, TokenRequest]]) -> None:
        due = {path: time.monotonic() + token.seconds * 0.8 for path, token in tokens}
        while tokens:
            await asyncio.sleep(5)
            for path, token in tokens:
                if time.monotonic() < due[path]:
                    continue
                try:
                    await self._write_token(path, token)
                    due[path] = time.monotonic() + token.seconds * 0.8
                except (ApiError, *_UNREACHABLE) as error:
                    _log.warning("%s: token not refreshed, trying again: %s", full_name(self.obj), error)

    async def configuration(self, spec: Object) -> tuple[list[str], dict[str, str]]:
        """The command and the whole environment of a container. Raises Unresolvable when it cannot be configured yet."""
        try:
            asked = environment(self._located(), spec, await self._objects())
        except (ApiError, *_UNREACHABLE) as error:
            raise Unresolvable(f"the API server does not answer: {error}") from None
        server = urllib.parse.urlsplit(self.host.api.server)
        env = {
            **self.host.image_env,
            "HOSTNAME": self.name,
            "KUBERNETES_SERVICE_HOST": str(server.hostname),
            "KUBERNETES_SERVICE_PORT": str(server.port),
            **asked,
            processes.MARK: self.host.lab,
            processes.POD_MARK: self.uid,
        }
        argv = command(spec, asked, self.host.entrypoint)
        if self.host.sandboxed:
            return await self.inside(spec, argv), env
        return self._beside(spec, argv, env | {"PATH": f"{await _image() / 'bin'}:{env['PATH']}"})

    async def inside(self, spec: Object, argv: Sequence[str]) -> list[str]:
        """A command in the container's tree. Without trees, the command as it is."""
        if not self.host.sandboxed:
            return list(argv)
        tree = self.folder / "tree"
        tree.mkdir(exist_ok=True)
        mounts = [
            sandbox.Mount(self.volumes / mount["name"], mount["mountPath"].rstrip("/"), not mount.get("readOnly"))
            for mount in spec.get("volumeMounts") or ()
        ]
        return sandbox.command(tree, await _image(), mounts, argv)

    def _beside(self, spec: Object, argv: Sequence[str], env: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        """Where the machine permits no tree: paths name the volumes' folders, and a kubeconfig stands for the ServiceAccount's files."""
        mounts = [
            (mount["mountPath"].rstrip("/"), str(self.volumes / mount["name"]))
            for mount in spec.get("volumeMounts") or ()
        ]
        env = {key: relocate(value, mounts) for key, value in env.items()}
        env["TMPDIR"] = str(self.home / "tmp")
        token = Path(dict(mounts).get(TOKEN_VOLUME_PATH, "")) / "token"
        if token.is_absolute():
            config = self.folder / "kubeconfig"
            kubeconfig(
                config, "lab", self.host.api.server, self.host.ca_file, {"tokenFile": str(token)}, self.namespace
            )
            env["KUBECONFIG"] = str(config)
        return [relocate(part, mounts) for part in argv], env

    def _located(self) -> Object:
        """The object with the addresses that its status is about to have, for the downward API."""
        status = (self.obj.get("status") or {}) | {
            "podIP": self.ip,
            "podIPs": [{"ip": self.ip}],
            "hostIP": self.host.ip,
        }
        return self.obj | {"status": status}

    # ---- status

    def status(self) -> Object:
        """The pod's status as the kubelet would write it."""
        ready = bool(self.containers) and all(container.ready for container in self.containers)
        truths = {
            "PodReadyToStartContainers": True,
            "Initialized": self.initialized,
            "Ready": ready,
            "ContainersReady": ready,
            "PodScheduled": True,
        }
        for kind, true in truths.items():
            value = "True" if true else "False"
            if (self._conditions.get(kind) or {}).get("status") != value:
                reason = {} if true or kind == "PodReadyToStartContainers" else {"reason": "ContainersNotReady"}
                self._conditions[kind] = {"type": kind, "status": value, "lastTransitionTime": now(), **reason}
        return {
            "phase": self._phase(),
            "hostIP": self.host.ip,
            "hostIPs": [{"ip": self.host.ip}],
            "podIP": self.ip,
            "podIPs": [{"ip": self.ip}],
            "startTime": self.since,
            "qosClass": (self.obj.get("status") or {}).get("qosClass"),
            "conditions": list(self._conditions.values()),
            "initContainerStatuses": [init.status() for init in self.inits],
            "containerStatuses": [container.status() for container in self.containers],
        }

    def _phase(self) -> str:
        if self.finished is not None and not self.ending:
            return "Failed" if any(self.finished) else "Succeeded"
        begun = any("running" in c.state or c.last or "terminated" in c.state for c in self.containers)
        return "Running" if begun else "Pending"

    async def _report(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._publish()
            except ApiError as error:
                if error.status in (404, 409):
                    return
                _log.warning("%s: status refused: %s", full_name(self.obj), error)
                await asyncio.sleep(1)
                self._dirty.set()
            except _UNREACHABLE:
                await asyncio.sleep(1)
                self._dirty.set()

    async def _publish(self) -> None:
        status = self.status()
        if status != self._published:
            # With the uid, a pod that was deleted and made again under the name is refused (409).
            await self.host.api.merge(f"{self.path}/status", {"metadata": {"uid": self.uid}, "status": status})
            self._published = status

    async def _remove(self) -> None:
        """Report the end, then delete the object for good, as the kubelet does; retried while nobody answers."""
        while not self.gone:
            try:
                await self._publish()
                await self.host.api.delete(self.path, {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}})
                return
            except ApiError as error:
                if error.status in (404, 409):
                    return
                _log.warning("%s: not removed, trying again: %s", full_name(self.obj), error)
            except _UNREACHABLE:
                pass
            await asyncio.sleep(0.5)

    def record(self) -> Object:
        """What `penstock lab status` and the tests need to know of the pod's processes."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "ip": self.ip,
            "ready": bool(self.containers) and all(container.ready for container in self.containers),
            "containers": [
                {
                    "name": container.name,
                    "restarts": container.restarts,
                    "log": str(container.log),
                    "ports": [port["containerPort"] for port in container.spec.get("ports") or ()],
                    "process": container.recorded.to_json()
                    if container.recorded and "running" in container.state
                    else None,
                }
                for container in self.containers
            ],
        }


async def _image() -> Path:
    """What stands for the image's content; of the checkout as it is now, so that a restarted pod runs what was edited."""
    return await asyncio.to_thread(wheel.ensure)


def kill_leftovers(lab: str) -> None:
    """Pod processes of a node that was killed before it could end them (their children; they themselves die with it)."""
    processes.sweep(lab, processes.POD_MARK)
