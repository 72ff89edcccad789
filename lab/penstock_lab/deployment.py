"""The operator in the lab: installed from the chart by the real helm, or started beside the pods with the same token and settings."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from . import processes
from .pki import kubeconfig
from .podspec import command, data_of, entrypoint, environment, references
from .state import LabError, checkout

if TYPE_CHECKING:
    from .lab import Lab

NAMESPACE = "penstock-system"
RELEASE = "penstock"
LEASE = "penstock-operator"
SECRET = "penstock-aws"  # noqa: S105 (a name)
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
    settings: dict[str, Any] = {"aws": {"region": lab.region, "endpointUrl": lab.aws_url, "existingSecret": SECRET}}
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
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    token = lab.kubectl("create", "token", account, "-n", NAMESPACE, "--duration=24h").stdout.strip()
    config = json.loads(lab.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json").stdout)
    cluster = config["clusters"][0]["cluster"]
    authority = folder / "ca.crt"
    authority.write_bytes(data_of("Secret", {"data": {"ca": cluster.get("certificate-authority-data", "")}})["ca"])
    kubeconfig(folder / "kubeconfig", "lab", cluster["server"], authority, {"token": token}, NAMESPACE)
    venv = Path(sys.executable).parent
    port = processes.free_port()
    env = {
        "PATH": f"{venv}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "HOSTNAME": name,
        "PYTHONUNBUFFERED": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **asked,
        "KUBECONFIG": str(folder / "kubeconfig"),
        "PENSTOCK_HTTP_HOST": "127.0.0.1",
        **env_extra,
        processes.MARK: lab.state.id,
    }
    if "PENSTOCK_DATABASE_CA" in asked:
        # The volume is the pods'.
        env["PENSTOCK_DATABASE_CA"] = str(lab.state.database_ca)
    dockerfile = checkout() / "Dockerfile"
    argv = command(container, asked, entrypoint(dockerfile.read_text() if dockerfile.exists() else ""))
    return [*argv, f"--http-port={port}", *args], env, port


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
