"""The operator in the lab: installed from the chart by the real helm, or started beside the pods with the same token and settings."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from . import processes, sandbox, wheel
from .kubelet.network import GATEWAY
from .pki import kubeconfig
from .podspec import (
    TOKEN_VOLUME_PATH,
    command,
    data_of,
    entrypoint,
    environment,
    image_environment,
    references,
)
from .state import LabError, checkout

if TYPE_CHECKING:
    from .lab import Lab

NAMESPACE = "penstock-system"
RELEASE = "penstock"
LEASE = "penstock-operator"
SECRET = "penstock-aws"  # noqa: S105 (a name)
# Of the image that the Dockerfile begins with (python:3.11-slim).
BASE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
CHART = checkout() / "charts" / "penstock"
CRDS = checkout() / "crds"


def access() -> dict[str, str]:
    """The lab's AWS credentials; the endpoint knows no others."""
    return {"AWS_ACCESS_KEY_ID": "penstock-lab", "AWS_SECRET_ACCESS_KEY": "penstock-lab"}


def fingerprint(*parts: Any) -> str:
    """Changes when the chart's files or any of `parts` do."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for file in sorted(path for path in CHART.rglob("*") if path.is_file()):
        digest.update(file.relative_to(CHART).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def apply_crds(lab: Lab) -> None:
    """The CustomResourceDefinitions alone, and until the API server serves their objects."""
    lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS), timeout=60)
    wait_served(lab)


def wait_served(lab: Lab, seconds: float = 30) -> None:
    """Until the objects of every kind can be listed: an established CRD's storage still takes a moment ("(re)initializing")."""
    crds = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]
    waiting = [f"/apis/{crd['spec']['group']}/v1alpha1/{crd['spec']['names']['plural']}?limit=1" for crd in crds]
    if not processes.wait_until(lambda: all(lab.api.get(path) for path in waiting), seconds, pause=0.1):
        raise LabError(
            f"The API server does not serve the kinds of {CRDS} after {seconds:.0f} s; `kubectl describe crd` says why."
        )


def _settings(lab: Lab, replicas: int | None) -> dict[str, Any]:
    url = f"http://{GATEWAY}:{lab.state.ports['aws']}" if lab.state.node == "kubelet" else lab.aws_url
    settings: dict[str, Any] = {"aws": {"region": lab.region, "endpointUrl": url, "existingSecret": SECRET}}
    if lab.database_ca is not None:
        settings["database"] = {"ca": {"pem": lab.database_ca.read_text()}}
    return settings if replicas is None else settings | {"replicas": replicas}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merged(out[key], value) if both else value
    return out


def install(lab: Lab, values: Mapping[str, Any], replicas: int | None, tell: Callable[[str], None]) -> None:
    """`helm upgrade --install`, unless exactly this is installed; then until the Deployment is available.

    Raises LabError with the pods' own words when it does not become so.
    """
    wanted = _merged(_settings(lab, replicas), values)
    if lab.state.cluster == "built" and lab.state.node == "process":
        # Pods share this machine's network, and are told apart by their addresses.
        own = {"name": "PENSTOCK_HTTP_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        wanted["extraEnv"] = [own, *wanted.get("extraEnv", ())]
    mark = fingerprint(wanted)
    if lab.state.operator.get("fingerprint") != mark:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": NAMESPACE},
            "stringData": access(),
        }
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        both = {"apiVersion": "v1", "kind": "List", "items": [namespace, secret]}
        lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(both))
        lab.helm(
            "upgrade", "--install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--take-ownership", "--values", "-",
            input=json.dumps(wanted),
        )  # fmt: skip
        lab.state.operator |= {"fingerprint": mark}
        lab.state.save()
        tell("chart installed")
    wait_available(lab)


def wait_available(lab: Lab, seconds: float = 60) -> None:
    """Until every wanted replica is updated and available. Raises LabError with the reasons."""
    found: dict[str, Any] = {}

    def available() -> bool:
        nonlocal found
        found = lab.api.json(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}") or {}
        if not found:
            return False
        wanted, status = found["spec"].get("replicas", 1), found.get("status") or {}
        seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        return seen and all(
            status.get(key, 0) == wanted for key in ("updatedReplicas", "availableReplicas", "replicas")
        )

    if processes.wait_until(available, seconds, pause=0.1):
        return
    pods = lab.kubectl("get", "pods", "-n", NAMESPACE, "-o", "wide", check=False).stdout
    logs = "\n".join(f"{log}:\n{processes.tail(log)}" for log in lab.operator_logs())
    raise LabError(f"The operator is not available after {seconds:.0f} s.\n{pods}{logs}".rstrip())


def leader(lab: Lab) -> tuple[str, int] | None:
    """(pod or host name, pid) of the process that holds the Lease, None when nobody alive does."""
    lease = lab.api.json(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}") or {}
    holder = str((lease.get("spec") or {}).get("holderIdentity") or "")  # type: ignore[attr-defined]
    name, _, rest = holder.partition("_")
    pid = rest.partition("_")[0]
    if lab.state.node == "kubelet" and pid == "1":
        # The first process of its container; this machine knows it by another pid.
        pod = next((pod for pod in lab.pods(NAMESPACE) if pod["name"] == name and pod["pid"]), None)
        return (name, pod["pid"]) if pod else None
    if not pid.isdigit() or processes.start_ticks(int(pid)) is None:
        return None
    return name, int(pid)


class OperatorProcess:
    """An operator beside the pods: the Deployment's command and environment, its ServiceAccount's token, a plain process of ours.

    A context manager; leaving it ends the process and gives the Deployment its replicas back.
    """

    def __init__(self, lab: Lab, child: subprocess.Popen[bytes], log: Path, port: int, replicas: int) -> None:
        self._lab, self._child, self._replicas = lab, child, replicas
        self.log, self.url = log, f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def logs(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self, signum: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def wait(self, seconds: float = 30) -> int:
        """The exit code. Raises subprocess.TimeoutExpired when it has not left by then."""
        return self._child.wait(seconds)

    def wait_ready(self, seconds: float = 30) -> None:
        """Until /readyz answers 200. Raises LabError with the end of the log when it exits first or never does."""

        def ready() -> bool:
            if not self.running:
                return True
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=1) as answer:  # noqa: S310
                return bool(answer.status == 200)
            return False

        if not processes.wait_until(ready, seconds) or not self.running:
            raise LabError(f"The operator did not become ready; {self.log} ends with:\n{processes.tail(self.log, 20)}")

    def stop(self, grace: float = 10) -> int:
        """SIGTERM, SIGKILL after `grace` seconds; the exit code (negative for a signal)."""
        if self.running:
            self.kill(signal.SIGTERM)
            try:
                return self._child.wait(grace)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._child.wait(5)

    def __enter__(self) -> OperatorProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._replicas:
            scale(self._lab, self._replicas)


def scale(lab: Lab, replicas: int) -> int:
    """Set the Deployment's replicas and wait until it is so; the number before."""
    found = lab.kubectl("get", "deployment", RELEASE, "-n", NAMESPACE, "-o", "jsonpath={.spec.replicas}", check=False)
    before = int(found.stdout or 0) if found.returncode == 0 else 0
    if before != replicas:
        lab.kubectl("scale", "deployment", RELEASE, "-n", NAMESPACE, f"--replicas={replicas}")
    wait_available(lab)
    if not replicas:
        # The Deployment counts a pod as gone when its end begins; the process may still be at work.
        gone = processes.wait_until(lambda: not lab.pods(NAMESPACE), 40)
        if not gone:
            raise LabError("The operator's pods did not leave within 40 s; see `penstock lab logs node`.")
    return before


def arrangement(
    lab: Lab, name: str, args: Sequence[str], env_extra: Mapping[str, str]
) -> tuple[list[str], dict[str, str], int]:
    """Command, environment and HTTP port of an operator beside the pods, read from the Deployment."""
    deployment = json.loads(lab.kubectl("get", "deployment", RELEASE, "-n", NAMESPACE, "-o", "json").stdout)
    template = deployment["spec"]["template"]
    account = template["spec"].get("serviceAccountName", "default")
    pod = {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": template["metadata"].get("labels", {})},
        "spec": template["spec"] | {"nodeName": "lab", "serviceAccountName": account},
        "status": {"podIP": "127.0.0.1", "hostIP": "127.0.0.1"},
    }
    objects: dict[tuple[str, str], dict[str, Any] | None] = {}
    for kind, wanted in references(pod):
        answer = lab.kubectl("get", kind.lower(), wanted, "-n", NAMESPACE, "-o", "json", check=False)
        objects[kind, wanted] = json.loads(answer.stdout) if answer.returncode == 0 else None
    container = template["spec"]["containers"][0]
    asked = environment(pod, container, objects)
    folder = lab.state.folder / "operators" / name
    account_files = folder / "serviceaccount"
    for place in (folder / "tmp", folder / "tree", account_files):
        place.mkdir(parents=True, exist_ok=True)
    (folder / "tmp").chmod(0o777)
    token = lab.kubectl("create", "token", account, "-n", NAMESPACE, "--duration=24h").stdout.strip()
    config = json.loads(lab.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json").stdout)
    cluster = config["clusters"][0]["cluster"]
    authority = data_of("Secret", {"data": {"ca": cluster.get("certificate-authority-data", "")}})["ca"]
    for file, content in (("token", token.encode()), ("ca.crt", authority), ("namespace", NAMESPACE.encode())):
        (account_files / file).write_bytes(content)
    dockerfile = (checkout() / "Dockerfile").read_text()
    argv = command(container, asked, entrypoint(dockerfile))
    port = processes.free_port()
    server = urllib.parse.urlsplit(cluster["server"])
    env = {
        **image_environment(dockerfile, BASE_ENVIRONMENT),
        "HOSTNAME": name,
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        **asked,
        # It is on this machine's loopback alone, where it also finds AWS, whatever its pods' network is.
        "PENSTOCK_HTTP_HOST": "127.0.0.1",
        "AWS_ENDPOINT_URL": lab.aws_url,
        **env_extra,
        processes.MARK: lab.state.id,
    }
    argv = [*argv, f"--http-port={port}", *args]
    image = wheel.ensure()
    if lab.state.cluster == "built" and sandbox.available():
        mounts = [sandbox.Mount(account_files, TOKEN_VOLUME_PATH), sandbox.Mount(folder / "tmp", "/tmp", writable=True)]  # noqa: S108
        # The volume is the pods'; what a test names is a file of this machine.
        if "PENSTOCK_DATABASE_CA" in asked:
            mounts.append(sandbox.Mount(lab.state.database_ca, asked["PENSTOCK_DATABASE_CA"]))
        given = [Path(value) for value in env_extra.values() if value.startswith("/")]
        mounts += [sandbox.Mount(path, str(path)) for path in given if path.exists()]
        return sandbox.command(folder / "tree", image, mounts, argv), env, port
    # A cluster that is the user's own may be reached in ways that the files of a pod cannot tell.
    kubeconfig(folder / "kubeconfig", "lab", cluster["server"], account_files / "ca.crt", {"token": token}, NAMESPACE)
    env |= {
        "PATH": f"{image / 'bin'}:{env['PATH']}",
        "TMPDIR": str(folder / "tmp"),
        "KUBECONFIG": str(folder / "kubeconfig"),
    }
    if "PENSTOCK_DATABASE_CA" in asked:
        env["PENSTOCK_DATABASE_CA"] = str(lab.state.database_ca)
    return argv, env, port


def run(lab: Lab, env_extra: Mapping[str, str], args: Sequence[str], name: str | None) -> OperatorProcess:
    """Start an operator beside the pods; the Deployment's own are scaled away first, so that it need not wait for their Lease."""
    replicas = scale(lab, 0)
    name = name or f"operator-{time.monotonic_ns() // 1_000_000 % 10**9}"
    argv, env, port = arrangement(lab, name, args, env_extra)
    folder = lab.state.folder / "operators" / name
    log = folder / "operator.log"
    with log.open("ab") as out:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=folder, start_new_session=True
        )
    return OperatorProcess(lab, child, log, port, replicas)
