"""Where the lab's binaries come from, without building any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock_lab import build
from penstock_lab.lab import LabError


def _program(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nothing_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)


def test_kubebuilder_assets_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = _program(tmp_path / "assets", "etcd", "etcd Version: 3.5.0")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(etcd.parent))
    assert build.find(("etcd",)) == {"etcd": etcd}


def test_assets_that_are_not_there_get_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "nowhere"))
    with pytest.raises(LabError, match="or unset it"):
        build.find()


@pytest.mark.parametrize(
    ("name", "says", "taken"),
    [
        ("kubectl", "Client Version: v1.36.9", True),
        ("kubectl", "Client Version: v1.32.4-dispatcher", False),
        ("etcd", "etcd Version: 3.6.12", True),
        ("etcd", "etcd Version: 3.4.23", False),
        ("helm", "v4.0.1+g1234", True),
        ("helm", "v3.19.0+g1234", False),
    ],
)
def test_path_counts_only_with_the_pinned_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str, taken: bool
) -> None:
    program = _program(tmp_path / "bin", name, says)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert build.find((name,)) == ({name: program} if taken else {})


def test_a_build_serves_until_a_module_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "go.mod").write_text("module example.test/tools\n")
    (modules / "go.sum").write_text("")
    monkeypatch.setattr(build, "modules_folder", lambda: modules)
    folder = build.bin_folder()
    folder.mkdir(parents=True)
    kubectl = _program(folder, "kubectl", "")
    assert build.find(("kubectl",)) == {"kubectl": kubectl}
    (modules / "go.sum").write_text("example.test/other v1.0.0 h1:=\n")
    assert build.bin_folder() != folder
    monkeypatch.setenv("PATH", "/nonexistent")
    assert build.find(("kubectl",)) == {}


def test_without_go_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"go\.dev/dl.*KUBEBUILDER_ASSETS"):
        build.ensure(("helm",))


def test_without_go_an_earlier_build_still_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    earlier = build.cache_folder() / f"{build._modules_hash()}-go1.26.0" / "bin"
    earlier.mkdir(parents=True)
    helm = _program(earlier, "helm", "")
    assert build.ensure(("helm",)) == {"helm": helm}
    assert os.access(helm, os.X_OK)
