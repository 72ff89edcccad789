"""The lab's node: registers itself, binds the pods that it can run, runs them as local processes, answers `kubectl logs`.

This is the node that needs no container runtime (for one that has it see `kubelet.py`). It runs pods whose every image is Penstock's: the wheel
in an environment of its own stands for the image's content, a private tree for the container (see `sandbox.py`). Every pod gets a loopback
address of its own, so that replicas and labs never meet on a port. Any other image stays Pending and says why.

    python -m penstock_lab.node --folder .lab/NAME --lab ID [--owner PID]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import platform
import signal
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from . import processes, sandbox
from .build import KUBERNETES
from .container import now
from .deployment import BASE_ENVIRONMENT
from .kubeapi import Api, ApiError, Expired, Object
from .pki import Authority
from .pod import Host, Pod, kill_leftovers
from .podspec import entrypoint, full_name, image_environment, images, is_ours
from .state import checkout, write_atomically

NAME = "lab"
_KUBELET_PORT = 10250
_END_SECONDS = 4.0  # what pods get when the whole lab ends
_log = logging.getLogger("node")


def claim_network(lab: str) -> socket.socket:
    """A listening socket on 127.X.0.1:10250, the node's address; holding it keeps every other lab off the network 127.X.0.0/16.

    Raises OSError when all of them are taken.
    """
    first = int(lab[:4], 16)
    for offset in range(190):
        number = 64 + (first + offset) % 190
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((f"127.{number}.0.1", _KUBELET_PORT))
            taken.listen(64)
            return taken
        except OSError:
            taken.close()
    raise OSError(
        "every loopback network from 127.64.0.0/16 on is in use by another lab; `penstock lab down --all` ends those of this folder"
    )


class Node:
    """The node's loops. `folder` is the lab's."""

    def __init__(self, api: Api, folder: Path, lab: str, listener: socket.socket) -> None:
        self.api, self.folder, self.lab, self.listener = api, folder, lab, listener
        self.ip: str = listener.getsockname()[0]
        self.pods: dict[str, Pod] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.refused: set[str] = set()
        self._next = 0
        self._changed = asyncio.Event()
        dockerfile = (checkout() / "Dockerfile").read_text()
        self.host = Host(
            api=api,
            folder=folder,
            ip=self.ip,
            lab=lab,
            ca_file=folder / "pki" / "ca.crt",
            entrypoint=entrypoint(dockerfile),
            image_env=image_environment(dockerfile, BASE_ENVIRONMENT),
            sandboxed=sandbox.available(),
            changed=self._changed.set,
        )

    def address(self) -> str:
        """The next pod address of the node's network, 127.X.1.1 and up; 65,000 pods later they come round again."""
        self._next = self._next % (254 * 254) + 1
        third, fourth = divmod(self._next - 1, 254)
        return f"{self.ip.rsplit('.', 2)[0]}.{third + 1}.{fourth + 1}"

    async def register(self) -> None:
        """Make or refresh the Node object, ready for pods."""
        body: Object = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": NAME,
                "labels": {"kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux", "kubernetes.io/arch": _arch()},
            },
        }
        with contextlib.suppress(ApiError):  # it is there already
            await self.api.post("/api/v1/nodes", body)
        capacity = {"cpu": str(os.cpu_count() or 1), "memory": f"{_memory() // 1024}Ki", "pods": "500"}
        condition = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "the lab's node takes Penstock's pods",
        }
        status = {
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [{"type": "InternalIP", "address": self.ip}, {"type": "Hostname", "address": NAME}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": _KUBELET_PORT}},
            "conditions": [condition | {"lastHeartbeatTime": now(), "lastTransitionTime": now()}],
            "nodeInfo": {
                "kubeletVersion": f"{KUBERNETES}+penstock-lab",
                "osImage": "the lab (processes on this machine)",
                "operatingSystem": "linux",
                "architecture": _arch(),
                "containerRuntimeVersion": "process://1",
                "kernelVersion": platform.release(),
                "kubeProxyVersion": "",
                "machineID": self.lab,
                "systemUUID": self.lab,
                "bootID": processes.boot_id(),
            },
        }
        await self.api.merge(f"/api/v1/nodes/{NAME}/status", {"status": status})

    async def follow(self) -> None:
        """List and watch all pods, for ever; running pods go on while the API server is away."""
        while True:
            try:
                listed = await self.api.get("/api/v1/pods")
                await self._reconcile(listed["items"])
                await self._watch(listed["metadata"]["resourceVersion"])
            except (Expired, ApiError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                _log.warning("watching pods again: %s", error or type(error).__name__)
                await asyncio.sleep(0.5)

    async def _watch(self, version: str) -> None:
        while True:
            async for kind, obj in self.api.watch("/api/v1/pods", version):
                version = obj["metadata"]["resourceVersion"]
                if kind == "DELETED":
                    self._deleted(obj)
                elif kind != "BOOKMARK":
                    await self.see(obj)

    async def _reconcile(self, items: list[Object]) -> None:
        there = {item["metadata"]["uid"] for item in items}
        for pod in [pod for uid, pod in self.pods.items() if uid not in there]:
            pod.end(0, gone=True)
        for item in items:
            await self.see(item)

    def _deleted(self, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        self.refused.discard(uid)
        if pod := self.pods.get(uid):
            pod.end(0, gone=True)

    async def see(self, obj: Object) -> None:
        """Take note of one pod as it is now: bind it, start it, or tell its worker."""
        uid, spec = obj["metadata"]["uid"], obj["spec"]
        if pod := self.pods.get(uid):
            pod.update(obj)
        elif not spec.get("nodeName") and "deletionTimestamp" not in obj["metadata"]:
            try:
                await (self._bind(obj) if all(map(is_ours, images(obj))) else self._refuse(obj))
            except ApiError as error:
                _log.warning("%s: %s", full_name(obj), error)
        elif spec.get("nodeName") == NAME and (obj.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            self._start(obj)
        elif spec.get("nodeName") == NAME and "deletionTimestamp" in obj["metadata"]:
            with contextlib.suppress(ApiError):  # finished, and now to be gone
                await self.api.delete(_path(obj), {"gracePeriodSeconds": 0})

    async def _bind(self, obj: Object) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": NAME}
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": obj["metadata"]["name"]},
            "target": target,
        }
        await self.api.post(f"{_path(obj)}/binding", binding)

    async def _refuse(self, obj: Object) -> None:
        if obj["metadata"]["uid"] in self.refused:
            return
        self.refused.add(obj["metadata"]["uid"])
        other = next(image for image in images(obj) if not is_ours(image))
        message = (
            f"the lab has no containers: it runs Penstock's own image as a process of this machine, and {other} is "
            "another; use a cluster with a kubelet for it"
        )
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": now(),
        }
        await self.api.merge(f"{_path(obj)}/status", {"status": {"conditions": [condition]}})
        meta = obj["metadata"]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "type": "Warning",
            "reason": "FailedScheduling",
            "message": message,
            "source": {"component": "penstock-lab-node"},
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
        }
        await self.api.post(f"/api/v1/namespaces/{meta['namespace']}/events", event)

    def _start(self, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        pod = Pod(self.host, obj, self.address())
        pod.update(obj)
        self.pods[uid] = pod
        self.tasks[uid] = asyncio.create_task(self._run(uid, pod))

    async def _run(self, uid: str, pod: Pod) -> None:
        try:
            await pod.run()
        except Exception:
            _log.exception("%s: its worker failed", full_name(pod.obj))
        finally:
            self.pods.pop(uid, None)
            self.tasks.pop(uid, None)
            self._changed.set()

    async def record(self) -> None:
        """Keep pods.json: what runs, where it listens, where its log is."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            pods = [pod.record() for pod in self.pods.values()]
            write_atomically(self.folder / "pods.json", json.dumps(pods, indent=2) + "\n")
            await asyncio.sleep(0.02)

    async def end(self) -> None:
        for pod in list(self.pods.values()):
            pod.end(_END_SECONDS)
        pending = [
            container.process.wait() for pod in self.pods.values() for container in pod.containers if container.process
        ]
        if pending:
            await asyncio.wait([asyncio.ensure_future(one) for one in pending], timeout=_END_SECONDS + 1)

    # ---- the kubelet's API, as far as `kubectl logs` needs it

    async def serve(self) -> web.AppRunner:
        pair = Authority(self.folder / "pki").issue(
            f"node-{self.ip}", f"system:node:{NAME}", ("system:nodes",), ips=(self.ip,)
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.folder / "pki" / "ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(pair.cert, pair.key)
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self.logs)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.SockSite(runner, self.listener, ssl_context=context).start()
        return runner

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """One container's log: `follow`, `previous`, `tailLines` and `limitBytes` as kubectl sends them."""
        names = request.match_info
        wanted = f"{names['namespace']}/{names['pod']}"
        pod = next((pod for pod in self.pods.values() if full_name(pod.obj) == wanted), None)
        found = [c for c in (pod.inits + pod.containers if pod else []) if c.name == names["container"]]
        if not pod or not found:
            raise web.HTTPNotFound(text=f"{wanted} has no container {names['container']} on this node")
        container, query = found[0], request.query
        log = container.log
        if query.get("previous") == "true":
            log = pod.folder / f"{container.name}-{container.restarts - 1}.log"
            if not log.exists():
                raise web.HTTPBadRequest(
                    text=f"previous terminated container {container.name} in pod {names['pod']} not found"
                )
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        content = log.read_bytes() if log.exists() else b""
        position = len(content)
        if "tailLines" in query:
            count = int(query["tailLines"])
            content = b"".join(content.splitlines(keepends=True)[-count:]) if count else b""
        await response.write(content[: int(query.get("limitBytes", len(content)))])
        while (
            query.get("follow") == "true" and not pod.ending and container.log == log and "running" in container.state
        ):
            await asyncio.sleep(0.2)
            with log.open("rb") as source:
                source.seek(position)
                more = source.read()
            position += len(more)
            await response.write(more)
        return response


def _path(obj: Object) -> str:
    return f"/api/v1/namespaces/{obj['metadata']['namespace']}/pods/{obj['metadata']['name']}"


def _arch() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


async def run(folder: Path, lab: str, owner: tuple[int, int] | None) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    kill_leftovers(lab)
    listener = claim_network(lab)
    async with Api(folder / "pki" / "node.kubeconfig") as api:
        node = Node(api, folder, lab, listener)
        runner = await node.serve()
        await _registered(node, stop)
        write_atomically(folder / "pods.json", "[]\n")
        loops: list[asyncio.Task[Any]] = [asyncio.create_task(node.follow()), asyncio.create_task(node.record())]
        if owner:
            loops.append(asyncio.create_task(processes.outlive(owner, folder)))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *loops], return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set() and owner and loops[-1].done():
            await stop.wait()  # `down` is on its way
        await node.end()
        for task in [*loops, *node.tasks.values()]:
            task.cancel()
        await runner.cleanup()
        for loop in loops:
            if loop.done() and not loop.cancelled() and (failure := loop.exception()):
                raise failure


async def _registered(node: Node, stop: asyncio.Event) -> None:
    """Register as soon as the API server takes it: the node is started along with it."""
    while not stop.is_set():
        try:
            return await node.register()
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(0.1)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="The lab's node; started by `penstock lab up`.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lab", required=True)
    parser.add_argument("--owner", help="PID:START of the process that the lab must not outlive")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    owner = tuple(map(int, options.owner.split(":"))) if options.owner else None
    asyncio.run(run(options.folder.resolve(), options.lab, owner))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
