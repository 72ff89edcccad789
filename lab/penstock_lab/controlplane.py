"""The lab's control plane: etcd, kube-apiserver and kube-controller-manager, the released programs with production's admission and RBAC.

All bind to 127.0.0.1. etcd takes clients of the lab's CA only, so that no other lab and no other user can write to it.
What a scheduler and a kubelet would do is `node.py`'s. The `kubernetes` Service has no endpoints and EndpointSlices are not made:
Kubernetes forbids loopback addresses there (k8s.io/kubernetes pkg/apis/core/validation, ValidateEndpointIP).

With a node that runs containers all of them are in the lab's own network (`kubelet.network`), together with the scheduler, and Services work.
"""

from __future__ import annotations

import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from . import processes
from .kubelet.network import GATEWAY, SERVICES
from .pki import Authority, client, kubeconfig, write_key
from .processes import Process
from .state import LabError, State

KUBERNETES_SERVICE = "10.96.0.1"
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
)
# What Services and nodes need.
_NODE_CONTROLLERS = ("endpointslice-controller", "node-lifecycle-controller", "taint-eviction-controller")
_ISSUER = "https://kubernetes.default.svc.cluster.local"

# Who asked for what, for the tests and benches that count requests: ServiceAccounts outside kube-system, one line a request.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


_LOOPBACK = (
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    "--endpoint-reconciler-type=none",
    "--authorization-mode=RBAC",
)
_REACHABLE = (
    "--bind-address=0.0.0.0",
    f"--advertise-address={GATEWAY}",
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
)


def prepare(state: State) -> None:
    """Certificates, keys, kubeconfigs and configuration files; what exists is kept, kubeconfigs follow the API server's port."""
    authority = Authority(state.pki)
    loopback = ("127.0.0.1",)
    authority.issue("etcd", "etcd", ips=loopback, names=("localhost",))
    authority.issue("etcd-client", "kube-apiserver")
    authority.issue(
        "apiserver",
        "kube-apiserver",
        ips=(*loopback, GATEWAY, KUBERNETES_SERVICE) if state.node == "kubelet" else loopback,
        names=("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
    )
    authority.issue("kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",))
    if not (state.pki / "sa.key").exists():
        write_key(state.pki / "sa.key")
    (state.pki / "audit-policy.json").write_text(json.dumps(_AUDIT_POLICY))
    name = f"penstock-lab-{state.name}"
    users: list[tuple[Path, str, tuple[str, ...]]] = [
        (state.kubeconfig, "penstock-lab-admin", ("system:masters",)),
        (state.pki / "controller-manager.kubeconfig", "system:kube-controller-manager", ()),
    ]
    if state.node == "kubelet":
        authority.issue("node", "system:node:lab", ("system:nodes",), ips=(GATEWAY,))
        users += [
            (state.pki / "kubelet.kubeconfig", "system:node:lab", ("system:nodes",)),
            (state.pki / "kube-proxy.kubeconfig", "system:kube-proxy", ()),
            (state.pki / "scheduler.kubeconfig", "system:kube-scheduler", ()),
        ]
    else:
        users.append((state.pki / "node.kubeconfig", "penstock-lab-node", ("system:masters",)))
    for file, user, groups in users:
        pair = authority.issue(user.removeprefix("system:"), user, groups)
        kubeconfig(file, name, state.kubernetes_url, authority.cert, client(pair))


def _in_network(state: State) -> list[str]:
    """What runs a program in the lab's own network, where it has one; it keeps its pid."""
    if state.node != "kubelet":
        return []
    return ["nsenter", f"--net=/proc/{state.processes['network'].pid}/ns/net", "--"]


def start_etcd(state: State, binary: Path) -> Process:
    port, pki = state.ports["etcd"], state.pki
    return processes.start(
        "etcd",
        [
            *_in_network(state),
            str(binary),
            "--name=lab",
            f"--data-dir={state.folder / 'etcd'}",
            f"--listen-client-urls=https://127.0.0.1:{port}",
            f"--advertise-client-urls=https://127.0.0.1:{port}",
            # A single member has no peers: any free port will do, and none is advertised that somebody could call.
            "--listen-peer-urls=http://127.0.0.1:0",
            f"--cert-file={pki / 'etcd.crt'}",
            f"--key-file={pki / 'etcd.key'}",
            "--client-cert-auth",
            f"--trusted-ca-file={pki / 'ca.crt'}",
            # The data need to survive processes, not power cuts.
            "--unsafe-no-fsync",
            "--auto-compaction-retention=10m",
            "--log-level=warn",
        ],
        log=state.logs / "etcd.log",
        env=processes.clean_environment(state.id),
        cwd=state.folder,
        port=port,
    )


def start_apiserver(state: State, binary: Path) -> Process:
    port, pki = state.ports["apiserver"], state.pki
    return processes.start(
        "apiserver",
        [
            *_in_network(state),
            str(binary),
            f"--secure-port={port}",
            *(_REACHABLE if state.node == "kubelet" else _LOOPBACK),
            f"--etcd-servers=https://127.0.0.1:{state.ports['etcd']}",
            f"--etcd-cafile={pki / 'ca.crt'}",
            f"--etcd-certfile={pki / 'etcd-client.crt'}",
            f"--etcd-keyfile={pki / 'etcd-client.key'}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--service-account-issuer={_ISSUER}",
            # While a key is exchanged the one before is trusted too.
            *(f"--service-account-key-file={key}" for key in sorted(pki.glob("sa*.pub"))),
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--service-cluster-ip-range={SERVICES}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={pki / 'audit-policy.json'}",
            f"--audit-log-path={state.logs / 'audit.log'}",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=1",
            "--profiling=false",
        ],
        log=state.logs / "apiserver.log",
        # A quarter of its work under load is collecting garbage; the lab has memory to spare.
        env=processes.clean_environment(state.id, {"GOGC": "400"}),
        cwd=state.folder,
        port=port,
    )


def start_controller_manager(state: State, binary: Path) -> Process:
    config = state.pki / "controller-manager.kubeconfig"
    controllers = (*CONTROLLERS, *_NODE_CONTROLLERS) if state.node == "kubelet" else CONTROLLERS
    return processes.start(
        "controller-manager",
        [
            *_in_network(state),
            str(binary),
            f"--kubeconfig={config}",
            "--secure-port=0",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            f"--controllers={','.join(controllers)}",
            "--use-service-account-credentials",
            f"--root-ca-file={state.pki / 'ca.crt'}",
            f"--service-account-private-key-file={state.pki / 'sa.key'}",
            # Each controller's client is held to these; at the default of 20 a second a namespace of 1,000 objects takes a minute to go.
            "--kube-api-qps=300",
            "--kube-api-burst=600",
            "--profiling=false",
        ],
        log=state.logs / "controller-manager.log",
        env=processes.clean_environment(state.id),
        cwd=state.folder,
    )


def start_scheduler(state: State, binary: Path) -> Process:
    return processes.start(
        "scheduler",
        [
            *_in_network(state),
            str(binary),
            f"--kubeconfig={state.pki / 'scheduler.kubeconfig'}",
            "--secure-port=0",
            "--leader-elect=false",
        ],
        log=state.logs / "scheduler.log",
        env=processes.clean_environment(state.id),
        cwd=state.folder,
    )


def start_network(state: State, owner: int | None) -> Process:
    """The lab's own network and what passes between it and this machine's loopback; see `kubelet.network`."""
    ready = state.folder / "network"
    ready.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "penstock_lab.kubelet.network", "--folder", str(state.folder)]
    argv += ["--apiserver", str(state.ports["apiserver"]), "--aws", str(state.ports["aws"])]
    if owner:
        argv += ["--owner", f"{owner}:{processes.start_ticks(owner)}"]
    log, env = state.logs / "network.log", processes.clean_environment(state.id)
    made = processes.start("network", argv, log=log, env=env, cwd=state.folder)
    if not processes.wait_until(lambda: ready.exists() or not made.alive, 20) or not made.alive:
        raise LabError(f"The lab's network could not be made; {log} ends with:\n{processes.tail(log)}")
    return made


def start_kubelet(state: State, kubelet: Path, proxy: Path, images: Sequence[Path]) -> Process:
    """The node with containers, the first process of its namespaces; see `kubelet.node`."""
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--propagation", "private"]
    argv = [*_in_network(state), *own, sys.executable, "-m", "penstock_lab.kubelet.node"]
    argv += ["--folder", str(state.folder), "--lab", state.id, "--kubelet", str(kubelet), "--proxy", str(proxy)]
    argv += [part for archive in images for part in ("--image", str(archive))]
    env = processes.clean_environment(state.id)
    return processes.start("node", argv, log=state.logs / "node.log", env=env, cwd=state.folder)


class Client:
    """A few synchronous reads of the API server as admin, for readiness; everything else goes through kubectl."""

    def __init__(self, state: State) -> None:
        pair = Authority(state.pki).issue("penstock-lab-admin", "penstock-lab-admin", ("system:masters",))
        self.url = state.kubernetes_url
        context = ssl.create_default_context(cafile=str(state.pki / "ca.crt"))
        context.load_cert_chain(pair.cert, pair.key)
        handlers = urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({})
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, timeout: float = 2) -> bytes | None:
        """The body, or None when it is not there, refused, or nobody of this lab's CA answers."""
        try:
            with self._opener.open(self.url + path, timeout=timeout) as answer:
                return bytes(answer.read())
        except (OSError, urllib.error.HTTPError, ValueError):
            return None

    def json(self, path: str) -> dict[str, object] | None:
        body = self.get(path)
        return json.loads(body) if body else None

    @property
    def ready(self) -> bool:
        return self.get("/readyz") == b"ok"


def wait_port(process: Process, seconds: float = 20) -> None:
    """Until the process listens on its port. Raises LabError with the end of its log when it died or never did."""
    assert process.port is not None
    port = process.port
    processes.wait_until(lambda: not process.alive or processes.owns_port(process.pid, port), seconds, pause=0.03)
    if not process.alive or not processes.owns_port(process.pid, port):
        raise LabError(
            f"{process.name} did not start on port {port}; {process.log} ends with:\n{processes.tail(Path(process.log))}"
        )


def controllers_work(api: Client) -> bool:
    """Seen by what they do: the root CA publisher and the ServiceAccount controller have served the default namespace."""
    return all(
        api.get(f"/api/v1/namespaces/default/{path}")
        for path in ("configmaps/kube-root-ca.crt", "serviceaccounts/default")
    )
