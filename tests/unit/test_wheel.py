"""What `pip install .` gives, in a virtual environment that has nothing else: every command tells its help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from penstock.cli import main

ROOT = Path(__file__).parents[2]
UV = str(Path(sys.executable).with_name("uv"))


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command but the lab's, by its words."""
    found = [path]
    for name, command in group.commands.items():
        words = (*path, name)
        found += commands(command, words) if isinstance(command, click.Group) else [words]
    return found


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    # Nothing of the checkout, and nobody's home: as in the image.
    env = {"PATH": "/usr/bin:/bin", "PYTHONSAFEPATH": "1"}
    return subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a bare virtual environment, with the dependencies that its own metadata name, at the pinned versions."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "-q", "--wheel", "--no-build-isolation", "-o", folder, ROOT], check=True)
    (wheel,) = folder.glob("penstock-*.whl")
    subprocess.run([UV, "venv", "-q", "--python", sys.executable, folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    pinned = ["-c", str(ROOT / "requirements" / "operator.txt")]
    install = [UV, "pip", "install", "-q", "--python", python, *pinned, wheel]
    # make setup has put every one of them into uv's cache; the network is for a machine whose cache was emptied.
    if subprocess.run([*install, "--offline"], check=False, capture_output=True).returncode:
        subprocess.run(install, check=True, env=os.environ)
    return folder / "venv"


def test_every_command_tells_its_help(venv: Path) -> None:
    children = {words: _run(str(venv / "bin" / "penstock"), *words, "--help") for words in commands(main)}
    failed = {words: child.stderr for words, child in children.items() if child.returncode}
    assert not failed
    assert "lab" not in children[()].stdout.split()


def test_every_module_finds_what_it_imports_where_the_user_has_no_name_and_no_home(venv: Path) -> None:
    code = (
        "import pwd\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody\n"
        "import importlib, pkgutil, penstock\n"
        "for module in pkgutil.walk_packages(penstock.__path__, 'penstock.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
    )
    answer = _run(str(venv / "bin" / "python"), "-c", code)
    assert answer.returncode == 0, answer.stderr


def test_the_lab_is_told_to_be_part_of_a_checkout(venv: Path) -> None:
    answer = _run(str(venv / "bin" / "penstock"), "lab", "--help")
    assert answer.returncode == 1
    assert "the lab is part of a checkout" in answer.stderr
