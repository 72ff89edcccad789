"""The generated files: fresh, structural, bounded, and with a sentence for every rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.api import crd
from penstock.api.kind import Kind
from penstock.api.kinds import KINDS

ROOT = Path(__file__).parents[2]
CRDS = list(yaml.safe_load_all(crd.render()))


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from fields(inner, f"{path}.{name}")
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from fields(inner, f"{path}[]")


SCHEMAS = {c["spec"]["names"]["kind"]: c["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for c in CRDS}
FIELDS = [(f"{kind}{path}", field) for kind, schema in SCHEMAS.items() for path, field in fields(schema)]
SPEC = [(path, field) for path, field in FIELDS if ".spec" in path]


def test_the_generated_files_are_fresh() -> None:
    assert crd.stale(ROOT) == "", "run `make crds`"


def test_staleness_is_seen_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crd.main(["--write", "--root", str(tmp_path)]) == 0
    assert crd.main(["--check", "--root", str(tmp_path)]) == 0
    edited = tmp_path / "crds" / "penstock.dev_dynamotables.yaml"
    edited.write_text(edited.read_text().replace("OnDemand", "AsYouGo"))
    capsys.readouterr()
    assert crd.main(["--check", "--root", str(tmp_path)]) == 1
    assert "AsYouGo" in capsys.readouterr().out


def test_every_kind_has_a_crd() -> None:
    assert [c["metadata"]["name"] for c in CRDS] == [kind.crd_name for kind in KINDS]
    for found in CRDS:
        assert found["spec"]["names"]["categories"] == ["penstock"]
        assert found["spec"]["scope"] == "Namespaced"
        assert found["spec"]["versions"][0]["subresources"] == {"status": {}}


@pytest.mark.parametrize(("path", "field"), FIELDS, ids=[path for path, _ in FIELDS])
def test_every_field_is_structural(path: str, field: dict[str, Any]) -> None:
    assert not {"$ref", "anyOf", "allOf", "oneOf", "title", "const", "x-penstock-merge-key"} & field.keys()
    assert field["type"]
    for rule in field.get("x-kubernetes-validations", []):
        assert rule["message"]
        assert "\n" not in rule["message"]


@pytest.mark.parametrize(("path", "field"), SPEC, ids=[path for path, _ in SPEC])
def test_what_users_write_is_bounded_and_told(path: str, field: dict[str, Any]) -> None:
    if not path.endswith("[]"):
        assert field.get("description"), "kubectl explain would show nothing"
    match field:
        case {"type": "string"}:
            assert "enum" in field or "maxLength" in field
        case {"type": "array"}:
            assert "maxItems" in field
            assert "x-kubernetes-list-type" in field
        case {"type": "object", "additionalProperties": _}:
            assert "maxProperties" in field


def test_defaults_are_only_those_that_can_stay_for_ever() -> None:
    assert {path: field["default"] for path, field in FIELDS if "default" in field} == {
        "DynamoTable.spec.adopt": False,
        "DynamoTable.spec.deletionPolicy": "Snapshot",
        "DynamoTable.spec.ttl.enabled": True,
        "DynamoTable.spec.stream.enabled": True,
        "DynamoTable.spec.pointInTimeRecovery.enabled": True,
        "AuroraCluster.spec.adopt": False,
        "AuroraCluster.spec.deletionPolicy": "Snapshot",
        "AuroraCluster.spec.allowMajorUpgrade": False,
        "AuroraCluster.spec.credentials.passwordSecretRef.key": "password",
        "AuroraCluster.spec.performanceInsights.enabled": True,
        "AuroraCluster.spec.probe.enabled": True,
        "CostBudget.spec.policy": "Warn",
    }


def test_lists_that_people_share_merge_by_name() -> None:
    merging = {path: f["x-kubernetes-list-map-keys"] for path, f in FIELDS if f.get("x-kubernetes-list-type") == "map"}
    assert merging == {
        "DynamoTable.spec.globalIndexes": ["name"],
        "DynamoTable.spec.localIndexes": ["name"],
        "DynamoTable.status.conditions": ["type"],
        "AuroraCluster.spec.instances.overrides": ["ordinal"],
        "AuroraCluster.status.conditions": ["type"],
        "AuroraCluster.status.availability.days": ["day"],
        "AuroraCluster.status.members": ["name"],
        "AuroraCluster.status.objectives": ["name"],
        "FailoverDrill.status.conditions": ["type"],
        "FailoverDrill.status.report.phases": ["name"],
        "FailoverDrill.status.report.series.writers": ["writer"],
        "FailoverDrill.status.report.writers": ["writer"],
        "CostBudget.status.conditions": ["type"],
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_reference_page_names_every_field(kind: Kind) -> None:
    page = (ROOT / f"docs/reference/{kind.singular}.md").read_text(encoding="utf-8")
    names = [path.removeprefix(f"{kind.name}.spec").strip(".") for path, _ in SPEC if path.startswith(f"{kind.name}.")]
    for name in names:
        if name and not name.endswith("[]"):
            assert f"`{name}`" in page
