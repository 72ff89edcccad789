"""CustomResourceDefinitions made from the models, and the files that hold them.

`python -m penstock.api.crd` prints them; `--write` renews the files of a checkout; `--check` says which are stale.
The schemas are structural (Kubernetes: "Specifying a structural schema") and bounded, as CEL's cost limits require.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from penstock.api.kind import Kind
from penstock.api.kinds import KINDS
from penstock.api.meta import CATEGORY, GROUP, VERSION
from penstock.api.model import MERGE_KEY
from penstock.api.reference import reference

_KEPT = (
    "maxLength", "maxItems", "maxProperties", "minimum", "enum", "format", "required", "x-kubernetes-validations",
)  # fmt: skip


def structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A pydantic JSON schema as a structural one: no references, no titles, no unions with null."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return structural({**target, **{key: value for key, value in schema.items() if key != "$ref"}}, definitions)
    if "anyOf" in schema:
        # Only two unions exist: with null (an optional field) and of int and float (CEL's and JSON's number).
        branches = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
        outer = {key: value for key, value in schema.items() if key != "anyOf"}
        if outer.get("default", "") is None:
            del outer["default"]
        return structural({**branches[-1], **outer}, definitions)

    found: dict[str, Any] = {}
    if description := schema.get("description"):
        found["description"] = " ".join(description.split())
    found["type"] = schema.get("type", "string")
    found |= {key: schema[key] for key in _KEPT if key in schema}
    if "const" in schema:
        found["enum"] = [schema["const"]]
    if isinstance(schema.get("default"), bool | str):
        found["default"] = schema["default"]
    match found["type"]:
        case "integer":
            found["format"] = "int64"
        case "object":
            found |= _object(schema, definitions)
        case "array":
            found |= _array(schema, definitions)
    return found


def _object(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "properties" in schema:
        return {"properties": {name: structural(sub, definitions) for name, sub in schema["properties"].items()}}
    if isinstance(values := schema.get("additionalProperties"), Mapping):
        return {"additionalProperties": structural(values, definitions)}
    return {"x-kubernetes-preserve-unknown-fields": True}


def _array(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    items = schema["items"]
    key = definitions[items["$ref"].rpartition("/")[2]].get(MERGE_KEY) if "$ref" in items else None
    found: dict[str, Any] = {"items": structural(items, definitions)}
    if key:
        found |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    elif schema.get("uniqueItems"):
        found["x-kubernetes-list-type"] = "set"
    else:
        found["x-kubernetes-list-type"] = "atomic"
    return found


def schema_of(kind: Kind) -> dict[str, Any]:
    """The structural schema of a kind."""
    full = kind.model.model_json_schema(by_alias=True)
    found = structural(full, full.get("$defs", {}))
    properties = found["properties"]
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    # The name is declared for rules that speak of it; the API server knows the rest of metadata itself.
    properties["metadata"] = {"type": "object", "properties": {"name": {"type": "string"}}}
    found["required"] = ["spec"]
    return found


def crd_of(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    columns = [
        {"name": c.name, "type": c.type, "jsonPath": c.json_path, "description": c.description}
        | ({"priority": c.priority} if c.priority else {})
        for c in kind.columns
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name, "labels": {"app.kubernetes.io/name": "penstock"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": schema_of(kind)},
                }
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML names it
        return True


def as_yaml(crd: Mapping[str, Any]) -> str:
    """A CRD as YAML, in the order that people expect."""
    return yaml.dump(crd, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)


def render() -> str:
    """All CRDs as one YAML stream."""
    return "---\n".join(as_yaml(crd_of(kind)) for kind in KINDS)


def files() -> dict[str, str]:
    """The generated files of a checkout: path from its root, content."""
    found: dict[str, str] = {}
    made = "# Made by `make crds` from operator/penstock/api: edit the model, not this file.\n"
    for kind in KINDS:
        crd = as_yaml(crd_of(kind))
        found[f"crds/{kind.crd_name.partition('.')[2]}_{kind.plural}.yaml"] = made + crd
        found[f"charts/penstock/templates/crds/{kind.plural}.yaml"] = _as_template(made + crd)
        found[f"manifests/install/{kind.plural}.yaml"] = made + crd
        found[f"docs/reference/{kind.singular}.md"] = reference(kind, schema_of(kind))
    return found


def _as_template(crd: str) -> str:
    """A CRD as a Helm template that is installed, kept and upgraded as the chart's values say."""
    keep = (
        "  annotations:\n    {{- if .Values.crds.keep }}\n    helm.sh/resource-policy: keep\n    {{- end }}\n"
        '    penstock.dev/chart: "{{ .Chart.Name }}-{{ .Chart.Version }}"\n'
    )
    head, labels, rest = crd.partition("  labels:\n")
    return "{{- if .Values.crds.install }}\n" + head + keep + labels + rest + "{{- end }}\n"


def stale(root: Path) -> str:
    """A unified diff from the files of a checkout to what they should be; empty when they are fresh."""
    diff: list[str] = []
    for path, wanted in files().items():
        there = (root / path).read_text(encoding="utf-8") if (root / path).exists() else ""
        diff += difflib.unified_diff(there.splitlines(True), wanted.splitlines(True), path, f"{path} (from the models)")
    return "".join(diff)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 when `--check` finds a stale file."""
    parser = argparse.ArgumentParser(prog="python -m penstock.api.crd", description="Print, write or check the CRDs.")
    parser.add_argument(
        "--write", action="store_true", help="write crds/, the chart's CRD templates and docs/reference"
    )
    parser.add_argument(
        "--check", action="store_true", help="exit 1 and print the difference when one of them is stale"
    )
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout (default: the current folder)")
    options = parser.parse_args(arguments)
    if options.check:
        difference = stale(options.root)
        sys.stdout.write(difference or "The generated files are fresh.\n")
        return 1 if difference else 0
    if options.write:
        for path, content in files().items():
            (options.root / path).parent.mkdir(parents=True, exist_ok=True)
            (options.root / path).write_text(content, encoding="utf-8")
            sys.stdout.write(f"{path}\n")
        return 0
    sys.stdout.write(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
