"""Checks raw XML answers of the query protocol against botocore's service models."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

# Errors that any query service may answer and no operation declares ("Common errors" of the API references).
COMMON_ERRORS = {
    "AccessDenied",
    "ExpiredToken",
    "InternalFailure",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "MalformedInput",
    "MissingAuthenticationToken",
    "MissingParameter",
    "ServiceUnavailable",
    "Throttling",
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_RIGHT = {
    "boolean": re.compile(r"true|false"),
    "integer": re.compile(r"-?\d+"),
    "long": re.compile(r"-?\d+"),
    "double": re.compile(r"-?\d+(\.\d+)?"),
    "float": re.compile(r"-?\d+(\.\d+)?"),
    "timestamp": _TIME,
}


def problems(model: Any, status: int, body: bytes) -> list[str]:
    """What in an answer to the operation ``model`` AWS could not have said."""
    root = ElementTree.fromstring(body)
    if status >= 400:
        return _error(model, root)
    namespace = f"{{{model.service_model.metadata['xmlNamespace']}}}"
    if root.tag != f"{namespace}{model.name}Response":
        return [f"{model.name}: the root is {root.tag}"]
    found: list[str] = []
    if root.find(f"{namespace}ResponseMetadata/{namespace}RequestId") is None:
        found.append(f"{model.name} has no request id")
    if model.output_shape is not None:
        result = root.find(namespace + model.output_shape.serialization["resultWrapper"])
        if result is None:
            return [*found, f"{model.name} has no result"]
        _walk(model.output_shape, result, model.name, namespace, found)
    return found


def _error(model: Any, root: ElementTree.Element) -> list[str]:
    code, message = root.findtext("Error/Code", ""), root.findtext("Error/Message")
    if not code or not message or not root.findtext("RequestId"):
        return [f"{model.name}: an error without code, message or request id"]
    declared = {shape.metadata.get("error", {}).get("code", shape.name) for shape in model.error_shapes}
    return [] if code in declared | COMMON_ERRORS else [f"{model.name}: the error {code} is not declared"]


def _walk(shape: Any, node: ElementTree.Element, where: str, namespace: str, found: list[str]) -> None:
    kind = shape.type_name
    if kind == "structure":
        tags = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}
        seen: set[str] = set()
        for child in node:
            tag = child.tag.removeprefix(namespace)
            if tag not in tags:
                found.append(f"{where} has no member {tag}")
                continue
            name, member = tags[tag]
            if tag in seen:
                found.append(f"{where} has {tag} twice")
            seen.add(tag)
            _walk(member, child, f"{where}.{name}", namespace, found)
        found += [f"{where} lacks {name}" for name in shape.required_members if name not in seen]
    elif kind == "list":
        tag = shape.member.serialization.get("name", "member")
        for child in node:
            if child.tag != namespace + tag:
                found.append(f"{where} holds {child.tag}, not {tag}")
            _walk(shape.member, child, f"{where}[]", namespace, found)
    else:
        text = node.text or ""
        if kind in _RIGHT and not _RIGHT[kind].fullmatch(text):
            found.append(f"{where} is no {kind}: {text!r}")
        if kind == "string" and shape.enum and text not in shape.enum:
            found.append(f"{where} cannot be {text!r}")
