"""The operator's image, built by the Dockerfile as it is, where no container engine runs and no registry is reached.

What the Dockerfile begins with is put together by debootstrap: Debian with its own Python, under the name that the Dockerfile gives. buildah
runs the Dockerfile's steps in a chroot, with this machine's network and pip settings. Both results are kept in the user's cache folder, by what
they were made from.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from .. import build
from ..build import cache_folder
from ..state import LabError, checkout

PAUSE = "penstock.dev/lab/pause:1"
_SUITE = "bookworm"
_INCLUDED = "python3,python3-venv,ca-certificates"
# As slim images do without them.
_LEFT_OUT = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")
_LAYERS = 150
_CERTIFICATES = "/etc/ssl/certs"


def name() -> str:
    """What the chart calls the image."""
    values = (checkout() / "charts" / "penstock" / "values.yaml").read_text()
    chart = (checkout() / "charts" / "penstock" / "Chart.yaml").read_text()
    repository, version = re.search(r"repository: (\S+)", values), re.search(r'appVersion: "?([^"\s]+)', chart)
    assert repository is not None
    assert version is not None
    return f"{repository[1]}:{version[1]}"


def ensure(tell: Callable[[str], None]) -> tuple[Path, Path]:
    """The archives of the operator's image and of the pods' first process, built if need be. Raises LabError when that cannot be."""
    folder = cache_folder() / "containers"
    folder.mkdir(parents=True, exist_ok=True)
    root = checkout()
    sources = [root / file for file in ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE")]
    sources += [root / "requirements" / "operator.txt", *(root / "operator").rglob("*")]
    with FileLock(folder / ".lock"):
        base = folder / f"base-{_SUITE}-1.tar"
        if not base.exists():
            tell("making the base image with debootstrap, once (about 90 s)")
            _make(base, _debootstrap)
        pause = folder / f"pause-{_digest([Path(__file__)])}.tar"
        if not pause.exists():
            binary = build.ensure(["pause"])["pause"]
            _make(pause, lambda target: _from_scratch(folder, binary, target))
        image = folder / f"penstock-{_digest([*sources, Path(__file__)])}.tar"
        if not image.exists():
            tell("building the image from the Dockerfile (about a minute the first time)")
            for old in sorted(folder.glob("penstock-*.tar"), key=lambda file: file.stat().st_mtime)[:-1]:
                old.unlink()
            _make(image, lambda target: _dockerfile(folder, base, target))
    return image, pause


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_file() and path.suffix != ".pyc"):
        digest.update(str(path.relative_to(checkout())).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _make(target: Path, make: Callable[[Path], None]) -> None:
    unfinished = target.with_name(f".{target.name}")
    unfinished.unlink(missing_ok=True)
    make(unfinished)
    unfinished.replace(target)


def _debootstrap(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as place:
        os.chmod(place, 0o755)  # noqa: S103 (it becomes the image's /)
        _run("debootstrap", "--variant=minbase", f"--include={_INCLUDED}", _SUITE, place)
        for left_out in _LEFT_OUT:
            shutil.rmtree(Path(place, left_out), ignore_errors=True)
            Path(place, left_out).mkdir()
        Path(place, "usr/bin/python").symlink_to("python3")
        _run("tar", "-C", place, "-cf", str(target), ".")


def _from_scratch(folder: Path, binary: Path, target: Path) -> None:
    container = _buildah(folder, "from", "scratch")
    _buildah(folder, "copy", container, str(binary), "/pause")
    _buildah(folder, "config", "--entrypoint", '["/pause"]', container)
    _commit(folder, container, PAUSE)
    _push(folder, PAUSE, target)


def _dockerfile(folder: Path, base: Path, target: Path) -> None:
    dockerfile = (checkout() / "Dockerfile").read_text()
    stages = [line.split()[1:] for line in dockerfile.splitlines() if line.startswith("FROM ")]
    (wanted,) = {stage[0] for stage in stages} - {stage[-1] for stage in stages[:-1]}
    source = f"docker.io/library/{wanted}"
    if not _buildah(folder, "images", "-q", "--filter", f"reference={source}"):
        container = _buildah(folder, "from", "scratch")
        _buildah(folder, "add", container, str(base), "/")
        _commit(folder, container, source)
    # At a place that stays: a layer is taken again only for the same mounts.
    pip = folder / "pip.conf"
    found = {key[4:].lower().replace("_", "-"): value for key, value in os.environ.items() if key.startswith("PIP_")}
    pip.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in found.items() if key != "find-links"))
    mounts = [f"--volume={pip}:/etc/pip.conf:ro", f"--volume={_CERTIFICATES}:{_CERTIFICATES}:ro"]
    _buildah(
        folder, "bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--layers", *mounts,
        "--tag", name(), str(checkout()),
    )  # fmt: skip
    _push(folder, name(), target)


def _commit(folder: Path, container: str, image: str) -> None:
    _buildah(folder, "commit", "--rm", container, image)


def _push(folder: Path, image: str, target: Path) -> None:
    _buildah(folder, "push", image, f"docker-archive:{target}:{image}")
    # Layers are what the next build goes on from. At some hundred megabytes for each new list of requirements they go in the end.
    if len(_buildah(folder, "images", "-a", "-q").split()) > _LAYERS:
        _buildah(folder, "rmi", "--prune", check=False)


def _buildah(folder: Path, *arguments: str, check: bool = True) -> str:
    settings = folder / "containers.conf"
    # Raising a hard limit needs a capability that even root may not have.
    settings.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=32768:32768"]\n')
    storage = ("--root", str(folder / "storage"), "--runroot", str(folder / "run"), "--storage-driver", "overlay")
    return _run("buildah", *storage, *arguments, env={"CONTAINERS_CONF": str(settings)}, check=check)


def _run(*argv: str, env: dict[str, str] | None = None, check: bool = True) -> str:
    answer = subprocess.run(argv, env=os.environ | (env or {}), capture_output=True, text=True, check=False)
    if check and answer.returncode:
        words = "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-15:])
        raise LabError(f"`{argv[0]}` failed while the image was built: {words}")
    return answer.stdout.strip()
