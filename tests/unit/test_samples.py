"""The sample manifests: each is what the models take, and each bad one is refused for as many mistakes as its first line says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from penstock.api.parsing import parse
from penstock.aurora.binding import secret_name

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"
NUMBERS = {"Three": 3, "Four": 4}


def documents(path: Path) -> list[dict[str, Any]]:
    return [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda p: p.stem)
def test_a_sample_is_taken(path: Path) -> None:
    ours = [d for d in documents(path) if d["apiVersion"].startswith("penstock.dev/")]
    assert ours
    for manifest in ours:
        found = parse(manifest)
        assert not isinstance(found, list), [str(problem) for problem in found]


@pytest.mark.parametrize("path", sorted((SAMPLES / "bad").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_bad_sample_has_the_mistakes_that_it_says(path: Path) -> None:
    told = re.match(r"# (\w+) mistakes", path.read_text(encoding="utf-8"))
    assert told is not None
    (manifest,) = documents(path)
    found = parse(manifest)
    assert isinstance(found, list)
    assert len(found) == NUMBERS[told[1]], [str(problem) for problem in found]


def test_every_secret_that_a_sample_names_comes_with_it() -> None:
    for path in SAMPLES.glob("*.yaml"):
        secrets = {d["metadata"]["name"]: d["stringData"] for d in documents(path) if d["kind"] == "Secret"}
        for manifest in documents(path):
            reference = (manifest.get("spec") or {}).get("credentials", {}).get("passwordSecretRef")
            if reference:
                assert reference["key"] in secrets[reference["name"]], path.name


def test_the_sample_application_mounts_the_secret_of_the_sample_cluster_with_the_client_that_is_pinned() -> None:
    (deployment,) = documents(SAMPLES / "app" / "deployment.yaml")
    (cluster,) = documents(SAMPLES / "ledger.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (volume,) = pod["volumes"]
    assert volume["secret"]["secretName"] == secret_name(cluster["metadata"]["name"])
    (container,) = pod["containers"]
    env = {v["name"]: v["value"] for v in container["env"]}
    (mount,) = container["volumeMounts"]
    assert mount["mountPath"] == f"{env['SERVICE_BINDING_ROOT']}/{env['BINDING']}"
    dockerfile = (SAMPLES / "app" / "Dockerfile").read_text()
    assert f'"psycopg[binary]=={psycopg.__version__}"' in dockerfile
