"""Checks raw answers against botocore's service models: names, types, required members, enumerations."""

from __future__ import annotations

import json
from typing import Any

from . import xmlanswers

# Errors that any JSON service may answer and no operation declares.
COMMON_ERRORS = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "InternalFailure",
    "InternalServerError",
    "MissingAuthenticationTokenException",
    "SerializationException",
    "ServiceUnavailable",
    "ThrottlingException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationException",
}


def problems(model: Any, status: int, headers: Any, body: bytes) -> list[str]:
    """What in an answer to the operation ``model`` AWS could not have said."""
    if model.service_model.service_name == "rds":
        return xmlanswers.problems(model, status, body)
    if not headers.get("content-type", "").startswith("application/x-amz-json"):
        return []
    content = json.loads(body or b"{}")
    if status >= 400:
        return _error(model, content)
    found: list[str] = []
    if model.output_shape is not None:
        _walk(model.output_shape, content, model.name, found)
    return found


def _error(model: Any, content: dict[str, Any]) -> list[str]:
    code = str(content.get("__type", "")).rpartition("#")[2]
    declared = {shape.metadata.get("error", {}).get("code", shape.name): shape for shape in model.error_shapes}
    if code not in declared:
        return [] if code in COMMON_ERRORS else [f"{model.name}: the error {code} is not declared"]
    found: list[str] = []
    known = {name.lower() for name in declared[code].members} | {"__type", "message"}
    found += [f"{model.name}: {code} has no member {name}" for name in content if name.lower() not in known]
    return found


def _walk(shape: Any, value: Any, where: str, found: list[str]) -> None:
    kind = shape.type_name
    if kind == "structure":
        _structure(shape, value, where, found)
    elif kind == "list":
        if not isinstance(value, list):
            found.append(f"{where} is no list: {value!r}")
            return
        for number, entry in enumerate(value):
            _walk(shape.member, entry, f"{where}[{number}]", found)
    elif kind == "map":
        for key, entry in value.items():
            _walk(shape.value, entry, f"{where}[{key}]", found)
    else:
        _scalar(shape, kind, value, where, found)


def _structure(shape: Any, value: Any, where: str, found: list[str]) -> None:
    if not isinstance(value, dict):
        found.append(f"{where} is no structure: {value!r}")
        return
    found += [f"{where} has no member {name}" for name in value if name not in shape.members]
    found += [f"{where} lacks {name}" for name in shape.required_members if value.get(name) is None]
    for name, member in shape.members.items():
        if name in value:
            _walk(member, value[name], f"{where}.{name}", found)


def _scalar(shape: Any, kind: str, value: Any, where: str, found: list[str]) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    right = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": number and float(value).is_integer(),
        "long": number and float(value).is_integer(),
        "float": number,
        "double": number,
        "timestamp": number,
        "blob": isinstance(value, str),
    }.get(kind, True)
    if not right:
        found.append(f"{where} is no {kind}: {value!r}")
    elif kind == "string" and shape.enum and value not in shape.enum:
        found.append(f"{where} cannot be {value!r}")
