"""What a node that runs containers needs of this machine, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ..state import LabError
from .node import CNI, cgroup

# Debian's package, and the program that it brings.
PACKAGES = {
    "containerd": "containerd",
    "crun": "crun",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "iproute2": "ip",
    "util-linux": "nsenter",
}
_PLUGINS = "containernetworking-plugins"


def missing() -> list[str]:
    """The Debian packages that are not installed."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    found = [package for package, program in PACKAGES.items() if not shutil.which(program, path=path)]
    return found if (CNI / "bridge").exists() else [*found, _PLUGINS]


def obstacle() -> str:
    """Why this machine cannot have such a node, as a sentence that says what to do; '' where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return (
            "A node that runs containers needs Linux and root: namespaces, mounts and control groups are made. "
            "Without --kubelet pods run as processes."
        )
    probe = ["unshare", "--mount", "--net", "--pid", "--fork", "ip", "link", "add", "cni0", "type", "bridge"]
    packages = missing()
    if packages and not shutil.which("apt-get"):
        return f"A node that runs containers needs {', '.join(packages)} (Debian's names); install them."
    if "iproute2" not in packages and subprocess.run(probe, capture_output=True, check=False).returncode:
        return "A node that runs containers needs namespaces and a bridge, which this machine does not permit even to root."
    return ""


def ensure(tell: Callable[[str], None]) -> None:
    """Everything that is needed, installed where apt can. Raises LabError that says what is missing."""
    if reason := obstacle():
        raise LabError(reason)
    packages = missing()
    if not packages:
        return
    tell(f"installing {', '.join(packages)}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
        answer = subprocess.run(["apt-get", *command], env=env, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise LabError(f"`apt-get {' '.join(command)}` failed: {answer.stderr.strip()}")


def remove_cgroups(lab: str) -> None:
    """Delete the control groups of containers that ended with their node."""
    # Below the root in version 2, below each controller in version 1.
    for place in (Path(f"/sys/fs/cgroup{cgroup(lab)}"), *Path("/sys/fs/cgroup").glob(f"*{cgroup(lab)}")):
        # From the inside out; a group that still has a process stays, and names it.
        for folder, _, _ in os.walk(place, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
