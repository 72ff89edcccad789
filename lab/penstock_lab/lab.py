"""A lab as an object: brought up, asked, disturbed and taken down. The command line, the tests, the demo and the benches use this.

lab = Lab.up("demo")
lab.kubectl("apply", "-f", "manifests/samples/")
lab.boto("dynamodb").list_tables()
lab.down()
"""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from . import build, controlplane, deployment, launch, processes
from .aws.client import LabAWS, LabAWSError
from .deployment import NAMESPACE, OperatorProcess
from .kubelet import pods
from .launch import Tell
from .processes import Process
from .state import LabError, State, check_name, labs_folder, locked, names

__all__ = ["Lab", "LabError"]

_CLUSTER = ("etcd", "apiserver", "controller-manager", "node")


def _silent(_: str) -> None:
    return None


class Lab:
    """One lab, up or not. `kubeconfig` is a path, `aws_url` the endpoint's URL, `region` where its tables live."""

    region = "us-east-1"

    def __init__(self, state: State) -> None:
        self.state = state

    # ---- life

    @classmethod
    def up(
        cls,
        name: str = "default",
        *,
        operator: bool = True,
        operator_args: Sequence[str] = (),
        values: Mapping[str, Any] | None = None,
        root: Path | None = None,
        kubeconfig: str | None = None,
        aws_settings: dict[str, Any] | None = None,
        postgres: bool | None = None,
        kubelet: bool | None = None,
        owner: int | None = None,
        tell: Tell = _silent,
    ) -> Lab:
        """Bring a lab up, or what is missing of it, and return when it is ready.

        operator: install the chart and wait until it is available; else only the CRDs, for an operator of one's own.
        operator_args: further arguments of `penstock run`. values: further chart values.
        kubeconfig: use that cluster, and bring only AWS. aws_settings: see `penstock_lab.aws.settings`, at the endpoint's start.
        postgres: whether clusters of Aurora PostgreSQL have real databases. None: as before, and a new lab has them; one that
        has them keeps them. Which clusters get them is the setting `rds_databases` and the tag `lab/postgres` (nodes, none).
        kubelet: whether pods are containers of the operator's image on a real kubelet; needs root. None: as before, and a new lab has none.
        owner: the pid of a process that the lab must not outlive.
        Raises LabError with a sentence that says what to do.
        """
        folder = (root or labs_folder()) / check_name(name)
        given = launch.given_kubeconfig(kubeconfig)
        with locked(folder):
            known = State.load(name, folder.parent)
            if known is None:
                launch.clear_ruins(folder)
            state = known or State(name, folder, cluster="given" if given else "built")
            launch.use_kubelet(state, kubelet, known is not None, tell)
            binaries = build.ensure(launch.needed(given is not None, state.node))
            if state.cluster == "built" and given:
                raise LabError(f"The lab {name} is up with its own cluster; `penstock lab down --name {name}` first.")
            if state.cluster == "given" and not given:
                given = state.kubeconfig
            launch.use_postgres(state, postgres, known is not None)
            lab = cls(state)
            lab._up(binaries, given, aws_settings, owner, tell)
            lab._operator(operator, operator_args, values or {}, tell)
        return lab

    def _up(
        self,
        binaries: dict[str, Path],
        given: Path | None,
        settings: dict[str, Any] | None,
        owner: int | None,
        tell: Tell,
    ) -> None:
        state = self.state
        state.versions = {"kubernetes": build.KUBERNETES, "etcd": build.ETCD, "helm": build.HELM} if not given else {}
        state.save()
        launch.wake(state)
        processes.end_strays(state.id, {process.pid for process in state.processes.values()})
        launch.link_commands(state, binaries)
        dead = [name for name, process in state.processes.items() if not process.alive]
        if dead:
            tell(f"{', '.join(dead)} had ended and {'is' if len(dead) == 1 else 'are'} started again")
        aws_started = launch.start_aws(state, settings)
        if given:
            launch.adopt_cluster(state, given, binaries["kubectl"])
            tell(f"using the cluster of {given}")
        else:
            launch.start_cluster(state, binaries, owner, tell)
        if aws_started:
            launch.wait_aws(state)
        tell(f"AWS endpoint ready at {state.aws_url}" + ("; its tables of before are gone" if "aws" in dead else ""))

    def _operator(self, wanted: bool, args: Sequence[str], values: Mapping[str, Any], tell: Tell) -> None:
        if not wanted:
            crds = deployment.fingerprint("crds", [path.read_text() for path in sorted(deployment.CRDS.glob("*.yaml"))])
            if self.state.operator.get("crds") != crds:
                deployment.apply_crds(self)
                self.state.operator |= {"crds": crds}
                tell("CRDs installed")
        else:
            over = dict(values) | ({"extraArgs": [*values.get("extraArgs", ()), *args]} if args else {})
            outside = self.state.cluster == "given"
            if outside and "fingerprint" not in self.state.operator:
                self._must_not_be_in_use()
            deployment.install(self, over, 0 if outside else None, tell)
            if outside and not self.state.alive("operator"):
                self._operator_outside()
            if not processes.wait_until(lambda: deployment.leader(self) is not None, 40):
                raise LabError("The operator runs but holds no Lease; see `penstock lab logs operator`.")
            tell("operator running")
        if wanted and not self.state.operator.get("installed"):
            self.state.operator |= {"installed": True}
        self.state.save()

    def _must_not_be_in_use(self) -> None:
        """Somebody's own installation is never taken for the lab's."""
        if self.helm("status", deployment.RELEASE, "--namespace", NAMESPACE, check=False).returncode == 0:
            raise LabError(
                f"That cluster already has a release {deployment.RELEASE} in {NAMESPACE}, which the lab will not touch; "
                "use another cluster, or --no-operator."
            )

    def _operator_outside(self) -> None:
        """For a cluster that is not ours: its pods reach no loopback address, so the operator runs here, with the chart's token."""
        argv, env, port = deployment.arrangement(self, "operator", (), {})
        log = self.state.logs / "operator.log"
        self.state.processes["operator"] = processes.start(
            "operator", argv, log=log, env=env, cwd=self.state.folder, port=port
        )
        self.state.save()
        controlplane.wait_port(self.state.processes["operator"], 30)

    @classmethod
    def load(cls, name: str = "default", root: Path | None = None) -> Lab:
        """A lab that was brought up before. Raises LabError when there is none of that name."""
        state = State.load(name, root)
        if state is None:
            there = names(root)
            others = f" There is {', '.join(there)}." if there else ""
            raise LabError(
                f"There is no lab {name} in {root or labs_folder()}.{others} `penstock lab up --name {name}` brings it up."
            )
        return cls(state)

    def down(self) -> None:
        """Stop everything and delete the lab's folder. Raises LabError when something could not be ended."""
        with locked(self.state.folder):
            self.reload()
            if self.state.cluster == "given":
                self._leave_given_cluster()
            launch.stop_everything(self.state)
            self.state.remove()

    def _leave_given_cluster(self) -> None:
        if self.state.alive("operator"):
            processes.stop([self.state.processes["operator"]], 10)
        if "fingerprint" in self.state.operator:
            self.helm("uninstall", deployment.RELEASE, "--namespace", NAMESPACE, "--ignore-not-found", check=False)

    def reload(self) -> None:
        """Read the record anew: another command may have brought dead programs back, with other pids and ports."""
        found = State.load(self.state.name, self.state.folder.parent) or self.state
        if found.kubernetes_url != self.state.kubernetes_url:
            self.__dict__.pop("api", None)
        self.state = found

    # ---- addresses and clients

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def kubeconfig(self) -> Path:
        return self.state.kubeconfig

    @property
    def aws_url(self) -> str:
        return self.state.aws_url

    @property
    def database_ca(self) -> Path | None:
        """The certificate that databases' endpoints are verified against; None where the lab has no databases."""
        return self.state.database_ca if self.state.postgres else None

    @property
    def env(self) -> dict[str, str]:
        """What a shell needs to work with the lab (PATH with the lab's kubectl and helm first)."""
        path = os.environ.get("PATH", "").split(os.pathsep)
        own = str(self.state.bin)
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "AWS_ENDPOINT_URL": self.aws_url,
            **deployment.access(),
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            **({"PENSTOCK_DATABASE_CA": str(ca), "PGSSLROOTCERT": str(ca)} if (ca := self.database_ca) else {}),
            "PATH": os.pathsep.join([own, *(part for part in path if part != own)]),
        }

    @cached_property
    def api(self) -> controlplane.Client | _Kubectl:
        """Single reads as admin, for readiness and status."""
        return controlplane.Client(self.state) if self.state.cluster == "built" else _Kubectl(self)

    @property
    def aws(self) -> LabAWS:
        return LabAWS(self.aws_url)

    def boto(self, service: str, **options: Any) -> Any:
        """A boto3 client of the lab's endpoint; options as `boto3.client` takes them."""
        import boto3

        access = deployment.access()
        return boto3.session.Session(
            aws_access_key_id=access["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=access["AWS_SECRET_ACCESS_KEY"],
            region_name=self.region,
        ).client(service, endpoint_url=self.aws_url, **options)

    def kubectl(
        self, *args: str, input: str | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run the lab's kubectl. Raises LabError with its words when it fails and `check` is set."""
        return self._run("kubectl", args, input, check, timeout)

    def helm(
        self, *args: str, input: str | None = None, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run the lab's helm, with its own cache and configuration in the lab's folder."""
        return self._run("helm", args, input, check, timeout)

    def _run(
        self, command: str, args: Sequence[str], stdin: str | None, check: bool, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        home = self.state.folder / "home"
        home.mkdir(exist_ok=True)
        env = {
            "PATH": f"{self.state.bin}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(home / "kube-cache"),
        }
        argv = [str(self.state.bin / command), *args]
        try:
            done = subprocess.run(
                argv, input=stdin, env=env, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"`{command} {' '.join(args)}` took longer than {timeout:.0f} s.") from None
        if check and done.returncode:
            raise LabError(f"`{command} {' '.join(args)}` failed: {done.stderr.strip() or done.stdout.strip()}")
        return done

    # ---- the operator

    @property
    def operator_pid(self) -> int | None:
        """The pid of the operator that leads; before one does, of the first pod's; None when none runs."""
        if found := deployment.leader(self):
            return found[1]
        return next((pod["pid"] for pod in self.pods(NAMESPACE) if pod["pid"]), None)

    def kill_operator(self, signum: int = signal.SIGKILL) -> int:
        """Signal the leading operator; its pid. Raises LabError when none runs."""
        pid = self.operator_pid
        if pid is None:
            raise LabError("No operator runs in this lab.")
        os.kill(pid, signum)
        return pid

    def wait_operator(self, other_than: int | None = None, seconds: float = 60) -> int:
        """Until an operator leads and is ready; its pid. With `other_than`, until another process than that one does."""
        found: list[int] = []

        def leads() -> bool:
            now = deployment.leader(self)
            found[:] = [now[1]] if now else []
            return now is not None and now[1] != other_than

        if not processes.wait_until(leads, seconds, pause=0.1):
            raise LabError(f"No operator took the lead within {seconds:.0f} s; see `penstock lab logs operator`.")
        return found[0]

    def run_operator(
        self, env_extra: Mapping[str, str] | None = None, args: Sequence[str] = (), name: str | None = None
    ) -> OperatorProcess:
        """An operator beside the pods, with the chart's environment and token; see `penstock_lab.deployment.OperatorProcess`.

        Installs the chart without pods when it is not installed; scales its pods away when it is.
        """
        if "fingerprint" not in self.state.operator:
            with locked(self.state.folder):
                deployment.install(self, {}, 0, _silent)
        return deployment.run(self, env_extra or {}, args, name)

    def install_operator(self, values: Mapping[str, Any] | None = None, replicas: int | None = None) -> None:
        """Install or change the chart's release and wait until it is so."""
        with locked(self.state.folder):
            deployment.install(self, values or {}, replicas, _silent)

    def pods(self, namespace: str | None = None) -> list[dict[str, Any]]:
        """The pods on the lab's node: name, namespace, ip, ready, pid, started, restarts, log, url (of the first port)."""
        self.reload()
        if self.state.node == "kubelet":
            return pods.listed(self, namespace)
        try:
            records = json.loads((self.state.folder / "pods.json").read_text())
        except (FileNotFoundError, ValueError):
            return []
        if not self.state.alive("node"):
            return []
        found = []
        for pod in records:
            if namespace not in (None, pod["namespace"]) or not pod["containers"]:
                continue
            first = pod["containers"][0]
            process = Process.from_json(first["process"]) if first["process"] else None
            found.append(
                {
                    "name": pod["name"],
                    "namespace": pod["namespace"],
                    "ip": pod["ip"],
                    "ready": pod["ready"],
                    "pid": process.pid if process and process.alive else None,
                    "restarts": first["restarts"],
                    "log": first["log"],
                    "url": f"http://{pod['ip']}:{first['ports'][0]}" if first["ports"] else None,
                }
            )
        return found

    def inside(self, *argv: str) -> str:
        """What a program prints that runs on the node of a lab with containers, so where pods and Services are reached."""
        namespace = f"--net=/proc/{self.state.processes['network'].pid}/ns/net"
        done = subprocess.run(["nsenter", namespace, *argv], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise LabError(f"`{' '.join(argv)}` failed on the node ({done.returncode}): {done.stderr.strip()}")
        return done.stdout

    def operator_logs(self) -> list[Path]:
        """The operators' log files, newest last."""
        if "operator" in self.state.processes:
            return [Path(self.state.processes["operator"].log)]
        if self.state.node == "kubelet":
            return pods.logs(self.state, NAMESPACE)
        mine = [
            folder
            for folder in (self.state.folder / "pods").glob("*")
            if (folder / "namespace").exists() and (folder / "namespace").read_text() == NAMESPACE
        ]
        logs = [log for folder in mine for log in folder.glob("*.log")]
        return sorted(logs, key=lambda log: log.stat().st_mtime)

    # ---- disturbance and observation

    @contextmanager
    def api_away(self, freeze: bool = False) -> Iterator[None]:
        """The API server is gone (connections refused), or frozen (they hang), until the block ends."""
        if self.state.cluster != "built":
            raise LabError("This lab uses a cluster that is not its own; its API server cannot be taken away.")
        process = self.state.processes["apiserver"]
        if freeze:
            processes.send(process, signal.SIGSTOP)
        else:
            processes.stop([process], 0)
        try:
            yield
        finally:
            if freeze:
                processes.send(process, signal.SIGCONT)
            self._heal_apiserver()

    def _heal_apiserver(self) -> None:
        with locked(self.state.folder):
            self.reload()
            launch.start_cluster(self.state, build.ensure(launch.needed(False, self.state.node)), None, _silent)

    def kubernetes_calls(self) -> collections.Counter[tuple[str, str, str]]:
        """(user, verb, resource[/subresource]) of every request of a ServiceAccount outside kube-system, from the audit log."""
        counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
        for log in sorted(self.state.logs.glob("audit*.log")):
            with log.open() as lines:
                for line in lines:
                    if not line.endswith("\n"):
                        break  # being written
                    event = json.loads(line)
                    target = event.get("objectRef") or {}
                    resource = target.get("resource", event["requestURI"].partition("?")[0])
                    if "subresource" in target:
                        resource += f"/{target['subresource']}"
                    if event["stage"] == "ResponseComplete" or event["verb"] != "watch":
                        counts[event["user"]["username"], event["verb"], resource] += 1
        return counts

    def status(self) -> dict[str, Any]:
        """What runs and where; the JSON of `penstock lab status -o json`."""
        self.reload()
        state = self.state
        programs = {
            name: {"pid": process.pid, "port": process.port, "alive": process.alive, "log": process.log}
            for name, process in state.processes.items()
        }
        up = {name for name, facts in programs.items() if facts["alive"]}
        answers = self.api.ready and self._aws_answers()
        expected = {"aws"} | (set(_CLUSTER) if state.cluster == "built" else set())
        expected |= {"network", "scheduler"} if state.node == "kubelet" else set()
        condition = "Running" if expected <= up and answers else "Degraded" if up else "Stopped"
        replicas = self.pods(NAMESPACE)
        leader = deployment.leader(self) if answers else None
        first = next((pod for pod in replicas if leader and pod["pid"] == leader[1]), next(iter(replicas), None))
        outside = state.processes.get("operator")
        pid = leader[1] if leader else first["pid"] if first else outside.pid if outside and outside.alive else None
        return {
            "name": state.name,
            "state": condition,
            "folder": str(state.folder),
            "kubeconfig": str(self.kubeconfig),
            "kubernetes": {"url": state.kubernetes_url or None, "cluster": state.cluster, "node": state.node},
            "aws": {"url": self.aws_url, "region": self.region},
            "databases": {"postgres": state.postgres is not None, "ca": str(ca) if (ca := self.database_ca) else None},
            "ports": state.ports,
            "processes": programs,
            "operator": {
                "installed": bool(state.operator.get("installed")),
                "pid": pid,
                "leading": leader is not None,
                "pod": first["name"] if first else None,
                "ready": first["ready"] if first else leader is not None,
                "url": first["url"] if first else f"http://127.0.0.1:{outside.port}" if outside else None,
                "restarts": first["restarts"] if first else 0,
                "log": first["log"] if first else outside.log if outside else None,
                "pods": replicas,
            },
            "versions": state.versions,
        }

    def _aws_answers(self) -> bool:
        try:
            self.aws.health()
        except (LabAWSError, OSError):
            return False
        return True


class _Kubectl:
    """What `controlplane.Client` offers, through kubectl: for a cluster whose way of login only kubectl knows."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def get(self, path: str, timeout: float = 10) -> bytes | None:
        done = self._lab.kubectl(
            "get", "--raw", path, f"--request-timeout={timeout:.0f}s", check=False, timeout=timeout + 5
        )
        return done.stdout.encode() if done.returncode == 0 else None

    def json(self, path: str) -> dict[str, object] | None:
        body = self.get(path)
        return json.loads(body) if body else None

    @property
    def ready(self) -> bool:
        return self.get("/readyz") == b"ok"


def down_all(root: Path | None = None, tell: Tell = _silent) -> int:
    """Take every lab of the folder down; how many there were."""
    there = names(root)
    for name in there:
        began = time.monotonic()
        Lab.load(name, root).down()
        tell(f"{name} down in {launch.elapsed(began)}")
    return len(there)
