"""What the image holds without an image: the wheel and its pinned dependencies in an environment of their own, kept by their content.

The dependencies are installed once for each `requirements/operator.txt`; an environment shares their files by hard links and adds the wheel.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from .build import cache_folder
from .state import LabError, checkout

_KEEP_DAYS = 7
_IMPORT_ALL = """
import importlib, pkgutil, uvloop, penstock
for module in pkgutil.walk_packages(penstock.__path__, "penstock."):
    if not module.name.endswith("__main__"): importlib.import_module(module.name)
"""


def ensure() -> Path:
    """The environment of this checkout's content, made if need be. Raises LabError when it cannot be made."""
    root = checkout()
    pinned = root / "requirements" / "operator.txt"
    sources = [*(root / "operator" / "penstock").rglob("*"), root / "pyproject.toml", pinned]
    folder = cache_folder() / "image"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        dependencies = _made(folder / f"dependencies-{_digest([pinned])}", lambda place: _install(place, pinned))
        made = _made(folder / f"wheel-{_digest(sources)}", lambda place: _add_wheel(place, dependencies, root))
        os.utime(made)
        _forget(folder, keep={dependencies, made})
    return made


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode() + sys.base_prefix.encode())
    for path in sorted(path for path in paths if path.is_file() and path.suffix != ".pyc"):
        digest.update(str(path.relative_to(checkout())).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _made(place: Path, make: Callable[[Path], None]) -> Path:
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as new:
            make(Path(new, "venv"))
            Path(new, "venv").replace(place)
    return place


def _install(place: Path, pinned: Path) -> None:
    _uv("venv", "-q", "--relocatable", "--python", sys.executable, str(place))
    python = place / "bin" / "python"
    _uv("pip", "sync", "-q", "--python", str(python), "--require-hashes", str(pinned))
    # A pod's tree is read-only: what is not compiled here would be compiled at every start. What is imported is a tenth of what there is.
    path = os.environ | {"PYTHONPATH": str(checkout() / "operator")}
    subprocess.run([python, "-c", _IMPORT_ALL], env=path, check=False)


def _add_wheel(place: Path, dependencies: Path, root: Path) -> None:
    shutil.copytree(dependencies, place, symlinks=True, copy_function=os.link)
    with tempfile.TemporaryDirectory() as built:
        _uv("build", "-q", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", built, str(root))
        (wheel,) = Path(built).glob("*.whl")
        _uv("pip", "install", "-q", "--no-deps", "--python", str(place / "bin" / "python"), str(wheel))
        (package,) = place.glob("lib/python*/site-packages/penstock")
        subprocess.run([place / "bin" / "python", "-m", "compileall", "-q", package], check=False)


def _uv(*arguments: str) -> None:
    argv = [str(Path(sys.executable).with_name("uv")), *arguments]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise LabError(
            f"`uv {' '.join(arguments[:2])}` failed; run make setup, then try again: {answer.stderr.strip()}"
        )


def _forget(folder: Path, keep: set[Path]) -> None:
    """Delete what no lab has used for a week; a lab that has been up for longer keeps what it has mounted until it looks again."""
    old = time.time() - _KEEP_DAYS * 86400
    for place in folder.iterdir():
        if place.is_dir() and place not in keep and place.stat().st_mtime < old:
            shutil.rmtree(place, ignore_errors=True)
