"""The lab's node where pods run in containers: containerd with crun, a kubelet and a kube-proxy, as the first process of namespaces of its own.

Its mounts and processes are in namespaces, so that nothing is left of them when it ends, however it ends: the kernel kills
what is in a process namespace with its first process, and takes the mounts along. Its network is `network`'s. Its files are in the lab's folder.

    python -m penstock_lab.kubelet.node --folder .lab/NAME --lab ID --image FILE --pause FILE
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import image
from .network import GATEWAY, PODS

NAME = "lab"
_KUBELET_PORT = 10250
CNI = Path("/usr/lib/cni")
_log = logging.getLogger("node")


def cgroup(lab: str) -> str:
    """The control group below which all containers of a lab are."""
    return f"/penstock-lab-{lab[:12]}"


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def _own_mounts(place: Path) -> None:
    """/run, /var/lib and /var/log of the node alone, so that every program may keep to its usual paths."""
    unified = "/sys/fs/cgroup/unified"
    if os.path.ismount(unified):
        # crun takes a machine with both versions for one of version 2, which has no controllers here.
        _run("umount", unified)
    for name, target in (("lib", "/var/lib"), ("log", "/var/log")):
        (place / name).mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", str(place / name), target)
    _run("mount", "-t", "tmpfs", "-o", "mode=0755", "none", "/run")


def containerd_settings(place: Path) -> str:
    return f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  # This machine may not let even root lower it, nor has it AppArmor or huge pages for us.
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  sandbox_image = "{image.PAUSE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{place / "cni" / "bin"}"
    conf_dir = "{place / "cni" / "conf"}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "crun"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
        BinaryName = "/usr/bin/crun"
"""


def network_settings() -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return {"cniVersion": "0.4.0", "name": "lab", "plugins": [bridge, {"type": "penstock-databases"}]}


def kubelet_settings(lab: str, pki: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "port": _KUBELET_PORT,
        "tlsCertFile": str(pki / "node.crt"),
        "tlsPrivateKeyFile": str(pki / "node.key"),
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(pki / "ca.crt")}},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup(lab),
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Without CAP_SYS_RESOURCE some sysctls and limits cannot be set; with this gate the kubelet goes on.
        "featureGates": {"KubeletInUserNamespace": True},
        "resolvConf": "",
        "serializeImagePulls": False,
        # A pod is looked at soon after it changed; the defaults are for nodes with a hundred pods.
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
    }


def proxy_settings(kubeconfig: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": "127.0.0.1",
        "hostnameOverride": NAME,
        "clusterCIDR": PODS,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        # Both are this machine's, not the namespace's.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


class Programs:
    """Child processes that are started again when they end, as the service manager of a node does it."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[int, tuple[str, list[str]]] = {}

    def start(self, name: str, *argv: str) -> None:
        with (self._logs / f"{name}.log").open("ab") as out:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self._running[child.pid] = name, list(argv)

    def keep(self) -> None:
        """Reap what ends, for ever. The first process of a namespace gets the orphans of all others."""
        while True:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.wait()
                if pid in self._running:
                    name, argv = self._running.pop(pid)
                    _log.warning("%s ended (%d) and is started again", name, os.waitstatus_to_exitcode(status))
                    time.sleep(1)
                    self.start(name, *argv)


def _until(check: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took longer than {seconds:.0f} s")
        time.sleep(0.05)


def run(folder: Path, lab: str, images: list[Path], kubelet: Path, proxy: Path) -> None:
    place, pki = folder / "node", folder / "pki"
    _own_mounts(place)
    for name in ("cni/bin", "cni/conf"):
        (place / name).mkdir(parents=True, exist_ok=True)
    for plugin in CNI.iterdir():
        with contextlib.suppress(FileExistsError):
            (place / "cni" / "bin" / plugin.name).symlink_to(plugin)
    own = place / "cni" / "bin" / "penstock-databases"
    own.write_text(f"#!/bin/sh\nexec {sys.executable} -m penstock_lab.kubelet.databases\n")
    own.chmod(0o755)
    (place / "cni" / "conf" / "lab.conflist").write_text(json.dumps(network_settings()))
    (place / "containerd.toml").write_text(containerd_settings(place))
    (place / "kubelet.json").write_text(json.dumps(kubelet_settings(lab, pki)))
    (place / "kube-proxy.json").write_text(json.dumps(proxy_settings(pki / "kube-proxy.kubeconfig")))

    programs = Programs(folder / "logs")
    programs.start("kube-proxy", str(proxy), f"--config={place / 'kube-proxy.json'}")
    programs.start("containerd", "containerd", "--config", str(place / "containerd.toml"))
    _until(Path("/run/containerd/containerd.sock").exists, "containerd's start")
    for archive in images:
        _run("ctr", "-n", "k8s.io", "images", "import", str(archive))
    programs.start(
        "kubelet",
        str(kubelet),
        f"--config={place / 'kubelet.json'}",
        f"--kubeconfig={pki / 'kubelet.kubeconfig'}",
        f"--hostname-override={NAME}",
        f"--node-ip={GATEWAY}",
    )
    programs.keep()


def main() -> None:
    parser = argparse.ArgumentParser(description="The lab's node with containers; started by `penstock lab up`.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lab", required=True)
    parser.add_argument("--image", type=Path, action="append", required=True)
    parser.add_argument("--kubelet", type=Path, required=True)
    parser.add_argument("--proxy", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    run(options.folder.resolve(), options.lab, options.image, options.kubelet, options.proxy)


if __name__ == "__main__":
    main()
