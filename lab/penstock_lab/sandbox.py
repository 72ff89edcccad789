"""What a pod's process sees on the lab's node where it runs without a container: the image's tree and the pod's mounts, nothing of the person's.

A private mount namespace holds a tree of read-only bind mounts: the system's programs and libraries, the wheel in its environment at `/venv` as in
the image, the Python that it needs, and the pod's volumes at the very paths that its spec names. The process gets the uid of the image, which has no
passwd entry, no capabilities and no way to new ones. Network and pids are this machine's: the node gives each pod a loopback address instead.

As root that is the real uid; else a user namespace gives the uid. Where neither is permitted, `available()` says so.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

UID = 65532
"""The image's user (`USER` in the Dockerfile), which the chart's securityContext also names."""

# Of the system; links of a merged /usr stay links. What a distribution does not have is left out.
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "nix", "dev", "proc")
_ETC = ("ssl", "ca-certificates", "pki", "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime")
_ETC += ("hosts", "resolv.conf", "nsswitch.conf", "passwd", "group")


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of this machine at a path of the process's tree."""

    source: Path
    target: str
    writable: bool = False


def _unshare() -> list[str]:
    if os.geteuid() == 0:
        return [_program("unshare"), "--mount", "--propagation", "private"]
    return [_program("unshare"), "--user", f"--map-user={UID}", f"--map-group={UID}", "--keep-caps", "--mount"]


def _privileges() -> list[str]:
    dropped = [_program("setpriv"), "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
    # The kernel forgets the parent's death signal when the uid changes: it is set behind that.
    dropped.append("--pdeathsig=KILL")
    return [*dropped, f"--reuid={UID}", f"--regid={UID}", "--clear-groups"] if os.geteuid() == 0 else dropped


@cache
def available() -> bool:
    """Whether this machine lets us make such a tree."""
    if sys.platform != "linux" or not os.access(_program("unshare"), os.X_OK):
        return False
    probe = [*_unshare(), "/bin/sh", "-ec", "mount -t tmpfs none /mnt; exec setpriv --pdeathsig=KILL true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def command(tree: Path, environment: Path, mounts: Sequence[Mount], argv: Sequence[str]) -> list[str]:
    """argv in a tree of its own. tree: an empty folder, where it is put together; environment: see `wheel.ensure`.

    The process keeps the pid of whoever executes this, its environment variables and its open files.
    """
    at = shlex.quote(str(tree))
    # PATH is the image's, which has none of these programs before the tree is there.
    lines = ["path=$PATH; PATH=/usr/sbin:/usr/bin:/sbin:/bin; umask 022; unset OLDPWD"]
    lines += [f"mount -t tmpfs -o mode=0755,size=1m none {at}", f"cd {at}"]
    lines += ["mkdir -p etc run tmp var", "ln -s ../run var/run"]
    paths = [Path("/", name) for name in _SYSTEM] + [Path("/etc", name) for name in _ETC]
    base = Path(sys.base_prefix).resolve()
    if not base.is_relative_to("/usr"):
        paths.append(base)
    for path in paths:
        if path.is_symlink():
            lines.append(f"ln -s {shlex.quote(os.readlink(path))} {shlex.quote(str(path)[1:])}")
        elif path.exists():
            lines.append(_bind(Mount(path, str(path), writable=path.name in ("dev", "proc"))))
    lines.append(_bind(Mount(environment, "/venv")))
    for mount in sorted(mounts, key=lambda one: one.target):
        lines.append(_bind(mount))
    last = [_program("chroot"), ".", *_privileges(), *argv]
    lines += [f"mount -o remount,bind,ro {at}", "PATH=$path; unset OLDPWD PWD", f"exec {shlex.join(last)}"]
    return [*_unshare(), "/bin/sh", "-ec", "\n".join(lines)]


def _program(name: str) -> str:
    return shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") or name


def _bind(mount: Mount) -> str:
    # /var/run is a link, and one that is absolute would lead out of the tree before the process is in it.
    inside = mount.target.removeprefix("/var") if mount.target.startswith("/var/run/") else mount.target
    source, target = shlex.quote(str(mount.source)), shlex.quote(inside.lstrip("/"))
    made = f"mkdir -p {target}; mount --rbind {source} {target}"
    if mount.source.is_file():
        made = f"mkdir -p {shlex.quote(os.path.dirname(inside).lstrip('/') or '.')}; touch {target}; mount --bind {source} {target}"
    return made if mount.writable else f"{made}; mount -o remount,bind,ro {target}"
