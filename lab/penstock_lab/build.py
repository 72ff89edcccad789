"""The lab's binaries: found where the user has them, else built once from their Go modules into the user's cache folder.

Looked for in this order, one binary at a time: KUBEBUILDER_ASSETS (taken as it is), PATH (only with the pinned minor version: an
older kubectl or etcd starts, and then hides or adds behaviour), the cache, and last a build of what is still missing.

`python -m penstock_lab.build` builds and prints the folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from .state import LabError, checkout

KUBERNETES = "v1.36.3"
ETCD = "3.6.8"
HELM = "v4.3.1"


@dataclass(frozen=True)
class Tool:
    """One binary. `built` is the name that `go build` gives it, `ask` prints its version, `minor` is what that must begin with."""

    package: str
    built: str
    ask: tuple[str, ...]
    minor: str


TOOLS = {
    "etcd": Tool("go.etcd.io/etcd/server/v3", "server", ("--version",), "3.6."),
    "kube-apiserver": Tool("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver", ("--version",), "1.36."),
    "kube-controller-manager": Tool(
        "k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager", ("--version",), "1.36."
    ),
    "kubectl": Tool("k8s.io/kubernetes/cmd/kubectl", "kubectl", ("version", "--client"), "1.36."),
    "helm": Tool("helm.sh/helm/v4/cmd/helm", "helm", ("version", "--short"), "4."),
    "kubelet": Tool("k8s.io/kubernetes/cmd/kubelet", "kubelet", ("--version",), "1.36."),
    "kube-scheduler": Tool("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler", ("--version",), "1.36."),
    "kube-proxy": Tool("k8s.io/kubernetes/cmd/kube-proxy", "kube-proxy", ("--version",), "1.36."),
    "pause": Tool("penstock.dev/lab/controlplane/pause", "pause", (), "none"),
}
CLIENTS = ("kubectl", "helm")
# A node that runs containers (`penstock lab up --kubelet`) needs these on top of the control plane.
NODE = ("kubelet", "kube-scheduler", "kube-proxy", "pause")
CONTROL_PLANE = tuple(name for name in TOOLS if name not in NODE)


def modules_folder() -> Path:
    return checkout() / "lab" / "controlplane"


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "penstock"


def _modules_hash() -> str:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((modules_folder() / name).read_bytes())
    return digest.hexdigest()[:16]


def _go_version() -> str | None:
    """The toolchain that would build here (`go1.26.8`), None without Go or with one too old for go.mod."""
    if not shutil.which("go"):
        return None
    answer = subprocess.run(
        ["go", "env", "GOVERSION"], cwd=modules_folder(), capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else None


def bin_folder() -> Path:
    """`<cache>/penstock/<go.mod and go.sum>-<go version>/bin`; without Go, whichever toolchain's build of these modules is there."""
    modules, version = _modules_hash(), _go_version()
    if version is None:
        made = sorted(cache_folder().glob(f"{modules}-*/bin"))
        return made[-1] if made else cache_folder() / f"{modules}-none" / "bin"
    return cache_folder() / f"{modules}-{version}" / "bin"


def _fits(path: str, tool: Tool) -> bool:
    try:
        answer = subprocess.run([path, *tool.ask], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.search(r"(\d+\.\d+\.\d+)", answer.stdout)
    return answer.returncode == 0 and version is not None and version[1].startswith(tool.minor)


def find(names: Sequence[str] = tuple(TOOLS)) -> dict[str, Path]:
    """The binaries that are here already; what is missing in the answer must be built.

    Raises LabError when KUBEBUILDER_ASSETS names a folder that does not exist.
    """
    found: dict[str, Path] = {}
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and not Path(assets).is_dir():
        raise LabError(
            f"KUBEBUILDER_ASSETS is {assets}, which is no folder: name one that holds etcd and kube-apiserver, or unset it."
        )
    cache = bin_folder()
    for name in names:
        if assets and os.access(Path(assets) / name, os.X_OK):
            found[name] = Path(assets, name).resolve()
        elif os.access(cache / name, os.X_OK):
            found[name] = cache / name
        elif (on_path := shutil.which(name)) and _fits(on_path, TOOLS[name]):
            found[name] = Path(on_path)
    return found


def ensure(names: Sequence[str] = tuple(TOOLS), console: Console | None = None) -> dict[str, Path]:
    """Every named binary's path, built if need be. Raises LabError with a sentence when that cannot be."""
    found = find(names)
    missing = [name for name in names if name not in found]
    if not missing:
        return found
    if _go_version() is None:
        raise LabError(
            f"The lab needs {', '.join(missing)} and builds them with Go 1.26 or newer, which is not on PATH: install it from "
            "https://go.dev/dl, or let KUBEBUILDER_ASSETS name a folder that has them."
        )
    folder = bin_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / ".lock"):
        missing = [name for name in missing if not os.access(folder / name, os.X_OK)]
        if missing:
            _build(missing, folder, console or Console(stderr=True))
    return find(names)


def _flags() -> list[str]:
    major, minor, _ = KUBERNETES.lstrip("v").split(".")
    stamps = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    linked = [f"-X {package}.{key}={value}" for package in packages for key, value in stamps.items()]
    linked.append(f"-X helm.sh/helm/v4/internal/version.version={HELM}")
    return ["-trimpath", "-ldflags", " ".join(["-s", "-w", *linked])]


def _build(names: Sequence[str], folder: Path, console: Console) -> None:
    packages = [TOOLS[name].package for name in names]
    env = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    work = folder.parent / f"build-{os.getpid()}"
    work.mkdir()
    began = time.monotonic()
    try:
        with _Display(console, f"Building {', '.join(names)} (once; about 5 minutes on 2 cores)") as display:
            display.phase("fetching modules", None)
            listed = _run(["go", "list", "-deps", *packages], env, display.line)
            display.phase("compiling and linking", len(listed))
            _run(["go", "build", "-v", *_flags(), "-o", f"{work}/", *packages], env, display.line)
        for name in names:
            (work / TOOLS[name].built).replace(folder / name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    console.print(
        f"Built {', '.join(names)} in {time.monotonic() - began:.0f} s, kept in {folder}",
        soft_wrap=True,
        highlight=False,
    )


def _run(argv: list[str], env: dict[str, str], each: Callable[[str], None]) -> list[str]:
    """Run a go command, its stderr told line by line; its stdout's lines. Raises LabError with the last lines when it fails."""
    child = subprocess.Popen(
        argv, cwd=modules_folder(), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said: list[str] = []

    def listen() -> None:
        assert child.stderr is not None
        for line in child.stderr:
            said.append(line.rstrip())
            each(line.rstrip())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        assert child.stdout is not None
        output = child.stdout.read().splitlines()
        code = child.wait()
    except BaseException:
        child.kill()
        raise
    finally:
        listener.join(timeout=5)
    if code:
        raise LabError(f"`{' '.join(argv[:2])}` failed:\n" + "\n".join(said[-15:]))
    return output


class _Display:
    """A bar on a terminal, a plain line every ten seconds elsewhere."""

    def __init__(self, console: Console, title: str) -> None:
        self.console, self.title = console, title
        self.name, self.total, self.count = "", None, 0
        self.began = self.told = time.monotonic()
        self.stopped = threading.Event()
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[counted]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.task = self.bar.add_task(title, total=None, counted="")

    def __enter__(self) -> _Display:
        self.console.print(self.title, highlight=False)
        if self.console.is_terminal:
            self.bar.start()
        else:
            threading.Thread(target=self._tell, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        if self.console.is_terminal:
            self.bar.stop()

    def phase(self, name: str, total: int | None) -> None:
        self.name, self.total, self.count = name, total, 0
        self.bar.update(self.task, description=name, total=total, completed=0, counted="")

    def line(self, text: str) -> None:
        # `go list` tells downloads, `go build -v` names each package that it compiles (what Go's own cache has is not named).
        self.count += 1
        counted = f"{self.count}" + (f" of {self.total}" if self.total else "")
        self.bar.update(self.task, completed=self.count, counted=counted)

    def _tell(self) -> None:
        while not self.stopped.wait(10):
            counted = f"{self.count} of at most {self.total} packages" if self.total else f"{self.count} so far"
            elapsed = time.monotonic() - self.began
            self.console.print(f"  {self.name}: {counted}, {elapsed:.0f} s", highlight=False)


def main() -> int:
    # All at once where the node with containers may be wanted: together they take little longer than the control plane alone.
    node = sys.platform == "linux" and os.geteuid() == 0
    try:
        paths = ensure(CONTROL_PLANE + (NODE if node else ()))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    for name, path in paths.items():
        print(f"{name}\t{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
