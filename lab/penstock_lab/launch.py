"""Bringing a lab up, and back up: whatever is missing or dead is started, what is well is left alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import build, controlplane, processes, sandbox
from .aws.client import LabAWS, LabAWSError
from .kubelet import image, requirements
from .pki import Authority
from .postgres import place
from .postgres.binaries import CHOICE, PostgresMissing
from .state import LabError, State, write_atomically

Tell = Callable[[str], None]
# What talks to the API server by its port.
_AROUND = ("controller-manager", "scheduler", "node")

# How long a program that runs may take until it is ready, in seconds: with a load of twenty on two cores it takes minutes.
PATIENCE_S = 300.0
# How often a program that ends before it is ready is started, and how long after.
STARTS = 10
RESTART_PAUSE_S = 1.0
TELL_EVERY_S = 10.0


def clear_ruins(folder: Path) -> None:
    """End and delete what is left of a lab whose record is lost (deleted by hand, or cut off while it was first written)."""
    processes.end_squatters(folder)
    place.clear(folder)
    for entry in folder.iterdir():
        if entry.name == ".lock":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def given_kubeconfig(option: str | None) -> Path | None:
    """The user's own cluster, if the lab shall use it: --kubeconfig, or PENSTOCK_LAB_USE_KUBECONFIG (a path, or 1 for $KUBECONFIG).

    KUBECONFIG alone never decides: a shell that has it set, for production say, must not get an operator installed there by
    `penstock lab up`. With PENSTOCK_LAB_USE_KUBECONFIG=1 a KUBECONFIG that `penstock lab env` printed is passed over.
    """
    wish = os.environ.get("PENSTOCK_LAB_USE_KUBECONFIG", "")
    if option is None and wish.lower() in ("", "0", "no", "false"):
        return None
    current = os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
    implicit = option is None and wish.lower() in ("1", "yes", "true")
    path = Path(option or (current if implicit else wish)).expanduser()
    if not path.is_file():
        raise LabError(
            f"There is no kubeconfig at {path}; name a file, or leave the choice out and the lab brings its own cluster."
        )
    if (path.parent / "state.json").is_file() and (path.parent / "pki").is_dir():
        if implicit:
            return None
        raise LabError(
            f"{path} belongs to the lab {path.parent.name}; leave it out and this lab brings its own cluster."
        )
    return path.resolve()


def link_commands(state: State, binaries: dict[str, Path]) -> None:
    """`bin/`: the lab's kubectl and helm, and penstock itself, for `penstock lab env` to put first on PATH."""
    state.bin.mkdir(exist_ok=True)
    venv = Path(sys.executable).parent
    commands = binaries | {name: venv / name for name in ("penstock", "kubectl-penstock") if (venv / name).exists()}
    for name, target in commands.items():
        link = state.bin / name
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)


def _assign_port(state: State, name: str) -> bool:
    """The process's port as before if it is still free, else another; True when it moved."""
    before = state.ports.get(name)
    state.ports[name] = processes.free_port(wanted=before)
    return before is not None and state.ports[name] != before


def wake(state: State) -> None:
    """Continue what a fault froze and nobody lived to thaw."""
    for process in state.processes.values():
        if process.alive and processes.is_frozen(process.pid):
            processes.send(process, signal.SIGCONT)


def start_aws(state: State, settings: dict[str, Any] | None) -> bool:
    """Start the AWS endpoint unless it runs; True when it was started."""
    if state.alive("aws"):
        return False
    _assign_port(state, "aws")
    argv = [sys.executable, "-m", "penstock_lab.aws", "--host", "127.0.0.1", "--port", str(state.ports["aws"])]
    if settings:
        file = state.folder / "aws-settings.json"
        file.write_text(json.dumps(settings))
        argv += ["--settings", str(file)]
    if state.postgres:
        place.clear(state.folder)  # those of an endpoint that was killed: nobody knows them any more
        place.choose(state.folder, state.id)
        argv += ["--postgres", state.postgres, "--pki", str(state.pki)]
    env = processes.clean_environment(state.id, {key: os.environ[key] for key in (CHOICE,) if key in os.environ})
    state.processes["aws"] = processes.start(
        "aws", argv, log=state.logs / "aws.log", env=env, cwd=state.folder, port=state.ports["aws"]
    )
    state.save()
    return True


def use_postgres(state: State, wanted: bool | None, known: bool) -> None:
    """Settles whether the lab has real databases. Raises LabError where it cannot, or cannot any more."""
    if wanted is None:
        # As it was; a new lab has them.
        wanted = state.postgres is not None or not known
    if wanted and known and state.postgres is None and state.alive("aws"):
        raise LabError(
            f"The lab {state.name} is up without databases; `penstock lab down --name {state.name}` first, then "
            f"`penstock lab up --name {state.name}`."
        )
    if wanted and state.postgres is None:
        try:
            state.postgres = str(place.choose(state.folder, state.id))
        except PostgresMissing as missing:
            raise LabError(f"{missing} Without databases behind Aurora: `penstock lab up --no-postgres`.") from None
    if state.postgres:
        # Made before two processes want to make it, and before anybody asks for its certificate.
        expose_authority(state)


def use_kubelet(state: State, wanted: bool | None, known: bool, tell: Tell) -> None:
    """Settles how the lab runs pods, and makes sure that the machine can. Raises LabError where it cannot, or cannot any more."""
    node = state.node if wanted is None else "kubelet" if wanted else "process"
    if known and node != state.node:
        raise LabError(
            f"The lab {state.name} is up and runs pods {'as processes' if state.node == 'process' else 'in containers'}; "
            f"`penstock lab down --name {state.name}` first."
        )
    if node == "kubelet":
        if state.cluster == "given":
            raise LabError("A cluster that is yours has its own nodes: leave out --kubelet, or --kubeconfig.")
        requirements.ensure(tell)
    state.node = node


def expose_authority(state: State) -> None:
    """The certificate that the databases' endpoints are verified against, at a place that stays."""
    authority = Authority(state.pki)
    if not state.database_ca.exists() or state.database_ca.read_bytes() != authority.cert.read_bytes():
        write_atomically(state.database_ca, authority.cert.read_text())


def wait_aws(state: State, seconds: float = PATIENCE_S) -> None:
    process = state.processes["aws"]
    controlplane.wait_port(process, seconds)
    try:
        LabAWS(state.aws_url).health()
    except (LabAWSError, OSError) as error:
        raise LabError(f"The AWS endpoint at {state.aws_url} does not answer ({error}); see {process.log}.") from None


def start_cluster(state: State, binaries: dict[str, Path], owner: int | None, tell: Tell) -> controlplane.Client:
    """etcd, API server, controllers and node; returns when the API server is ready and the controllers are at work."""
    moved = False
    if not state.alive("etcd"):
        moved = _assign_port(state, "etcd")
    if moved and state.alive("apiserver"):
        processes.stop([state.processes["apiserver"]], 0)  # it would look for etcd at the old port for ever
    # While the lab's network is there it holds the port, and passes on what comes there.
    if not state.alive("apiserver") and not state.alive("network") and _assign_port(state, "apiserver"):
        processes.stop([state.processes[name] for name in _AROUND if state.alive(name)], 2)
    controlplane.prepare(state)
    state.save()
    if state.node == "kubelet" and not state.alive("network"):
        # What still runs is in a network that nobody can reach any more.
        processes.stop([state.processes[name] for name in ("etcd", "apiserver", *_AROUND) if state.alive(name)], 2)
        _start(state, "network", lambda: controlplane.start_network(state, owner))
    api = controlplane.Client(state)
    apiserver = lambda: controlplane.start_apiserver(state, binaries["kube-apiserver"])  # noqa: E731
    controllers = lambda: controlplane.start_controller_manager(state, binaries["kube-controller-manager"])  # noqa: E731
    node = lambda: start_node(state, owner, binaries, tell)  # noqa: E731
    until_ready(
        state,
        "etcd",
        lambda: controlplane.start_etcd(state, binaries["etcd"]),
        lambda: processes.owns_port(state.processes["etcd"].pid, state.ports["etcd"]),
        tell,
    )
    # The node tries again until the API server is there; the controller manager gives it ten seconds and ends.
    for name, begin in (("apiserver", apiserver), ("node", node)):
        if not state.alive(name):
            _start(state, name, begin)
    until_ready(state, "apiserver", apiserver, lambda: api.ready, tell)
    tell(f"API server ready at {state.kubernetes_url}")
    until_ready(state, "controller-manager", controllers, lambda: controlplane.controllers_work(api), tell)
    if state.node == "kubelet" and not state.alive("scheduler"):
        _start(state, "scheduler", lambda: controlplane.start_scheduler(state, binaries["kube-scheduler"]))
    until_ready(state, "node", node, lambda: _node_ready(api), tell)
    tell("controllers and node ready")
    if state.node == "process" and not sandbox.available():
        tell("this machine permits no mount namespace: pods get a kubeconfig instead of the files of a ServiceAccount")
    return api


def until_ready(
    state: State,
    name: str,
    begin: Callable[[], processes.Process],
    ready: Callable[[], bool],
    tell: Tell,
    seconds: float = PATIENCE_S,
) -> None:
    """Has the program run until ``ready()``; one that ends before is started again, up to ``STARTS`` times in all.

    On a busy machine programs give up on each other: kube-controller-manager ends when the API server was not healthy for
    ten seconds. Raises LabError with the end of the program's log after the last start, or after ``seconds``.
    """
    began = time.monotonic()
    told = began
    starts = 0
    while not (state.alive(name) and ready()):
        if not state.alive(name):
            if starts:
                log = Path(state.processes[name].log)
                if starts == STARTS:
                    raise LabError(
                        f"{name} ended {starts} times before it was ready; {log} ends with:\n{processes.tail(log)}"
                    )
                tell(f"{name} ended before it was ready ({processes.tail(log, 1)}); started again")
                time.sleep(RESTART_PAUSE_S)
            _start(state, name, begin)
            starts += 1
        now = time.monotonic()
        if now - began > seconds:
            log = Path(state.processes[name].log)
            raise LabError(f"{name} was not ready within {seconds:.0f} s; {log} ends with:\n{processes.tail(log)}")
        if now - told >= TELL_EVERY_S:
            told = now
            tell(f"waiting for {name} since {now - began:.0f} s")
        time.sleep(0.05)


def _node_ready(api: controlplane.Client) -> bool:
    node: Any = api.json("/api/v1/nodes/lab") or {}
    conditions = {c["type"]: c["status"] for c in (node.get("status") or {}).get("conditions") or ()}
    return conditions.get("Ready") == "True"


def _start(state: State, name: str, begin: Callable[[], processes.Process]) -> None:
    state.processes[name] = begin()
    state.save()


def start_node(state: State, owner: int | None, binaries: dict[str, Path], tell: Tell) -> processes.Process:
    if state.node == "kubelet":
        return controlplane.start_kubelet(state, binaries["kubelet"], binaries["kube-proxy"], image.ensure(tell))
    argv = [sys.executable, "-m", "penstock_lab.node", "--folder", str(state.folder), "--lab", state.id]
    if owner:
        argv += ["--owner", f"{owner}:{processes.start_ticks(owner)}"]
    env = processes.clean_environment(state.id)
    return processes.start("node", argv, log=state.logs / "node.log", env=env, cwd=state.folder)


def adopt_cluster(state: State, given: Path, kubectl: Path) -> None:
    """Take the current context of the user's kubeconfig as the lab's, and nothing else of it. Raises LabError when it does not answer."""
    view = [str(kubectl), "--kubeconfig", str(given), "config", "view", "--minify", "--flatten", "--raw", "-o", "json"]
    answer = subprocess.run(view, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise LabError(f"{given} has no usable current context: {answer.stderr.strip()}")
    state.kubeconfig.touch(mode=0o600)
    state.kubeconfig.write_text(answer.stdout)
    ask = [str(kubectl), "--kubeconfig", str(state.kubeconfig), "get", "--raw", "/readyz", "--request-timeout=10s"]
    answer = subprocess.run(ask, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise LabError(f"The cluster of {given} does not answer: {answer.stderr.strip()}")


def stop_everything(state: State) -> None:
    """End the lab's processes: the node first, so that its pods can say goodbye to the API server, then the rest at once."""
    wake(state)
    first = [state.processes[name] for name in ("node", "operator") if name in state.processes]
    processes.stop(first, 8)
    processes.stop(state.processes.values(), 0)
    left = processes.sweep(state.id)
    place.clear(state.folder)
    requirements.remove_cgroups(state.id)
    if left:
        raise LabError(
            f"{left} processes of the lab {state.name} could not be ended; they carry {processes.MARK}={state.id}."
        )


def elapsed(since: float) -> str:
    return f"{time.monotonic() - since:.1f} s"


def needed(given: bool, node: str = "process") -> tuple[str, ...]:
    if given:
        return build.CLIENTS
    return build.CONTROL_PLANE + (build.NODE if node == "kubelet" else ())
