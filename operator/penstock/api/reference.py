"""The reference page of a kind, made from its schema: every field with its type, its meaning and its rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.api.kind import Kind
from penstock.api.meta import API_VERSION


def reference(kind: Kind, schema: Mapping[str, Any]) -> str:
    """The page in Markdown."""
    names = ", ".join(f"`{name}`" for name in kind.short_names)
    lines = [
        f"# {kind.name}",
        "",
        f"<!-- Made by `make crds` from operator/penstock/api/{kind.singular}.py: edit the model, not this page. -->",
        "",
        schema.get("description", ""),
        "",
        f"`apiVersion: {API_VERSION}`, `kind: {kind.name}`; kubectl knows it as `{kind.plural}` and {names}.",
        f"{kind.absent} Durations are written as `30s`, sizes as `10Gi`, money as a",
        "text of US dollars.",
        "",
        "## spec",
        "",
        *_table(schema["properties"]["spec"]),
        "",
        "Rules across fields, as the API server says them:",
        "",
        *_across(schema, ""),
        "",
        "## status",
        "",
        *_table(schema["properties"]["status"]),
        "",
        "## Columns of `kubectl get`",
        "",
        "| column | shows |",
        "|---|---|",
        *(f"| {c.name}{' (`-o wide`)' if c.priority else ''} | {_cell(c.description)} |" for c in kind.columns),
    ]
    return "\n".join(lines) + "\n"


def _table(schema: Mapping[str, Any]) -> Iterator[str]:
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for path, field, required in _fields(schema, ""):
        meaning = [field.get("description", "")]
        if required:
            meaning.append("**Required.**")
        if "default" in field:
            meaning.append(f"Default: `{_scalar(field['default'])}`.")
        if field["type"] != "object" or "additionalProperties" in field:
            meaning += [f"It {rule['message']}." for rule in field.get("x-kubernetes-validations", [])]
        if field["type"] == "array" and "properties" not in field["items"]:
            meaning += [f"Each {rule['message']}." for rule in field["items"].get("x-kubernetes-validations", [])]
        yield f"| `{path}` | {_type(field)} | {_cell(' '.join(meaning))} |"


def _fields(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here, field, name in required
        yield from _fields(field, here)
        if field["type"] == "array":
            yield from _fields(field["items"], f"{here}[]")


def _across(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """The rules of objects, which speak of more than one field."""
    if "properties" not in schema:
        return
    for rule in schema.get("x-kubernetes-validations", []):
        where = (path + rule.get("fieldPath", "")).lstrip(".")
        yield f"- `{where}` {rule['message']}." if where else f"- {rule['message']}."
    for name, field in schema["properties"].items():
        yield from _across(field, f"{path}.{name}".lstrip("."))
        if field["type"] == "array":
            yield from _across(field["items"], f"{path}.{name}[]".lstrip("."))


def _type(field: Mapping[str, Any]) -> str:
    match field:
        case {"enum": [*words]}:
            return " \\| ".join(f"`{word}`" for word in words)
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": values}:
            return f"map of {_type(values)}"
        case {"type": "string", "format": "date-time"}:
            return "time"
        case {"type": kind}:
            return str(kind)
    return ""


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").strip()
