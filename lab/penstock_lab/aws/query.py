"""The query protocol by a service's model: a form becomes parameters, an answer becomes XML.

Forms as in the protocol's description: ``Tags.Tag.1.Key=…``; lists under their member's name or ``member``, flattened
lists directly under the list's own name. Answers wrapped as ``<OperationResponse><OperationResult>``.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
from botocore.utils import parse_timestamp

from .errors import AwsError

Write = Callable[[Any, list[str]], None]
Text = Callable[[Any], str]


class QueryProtocol:
    """Reads and writes the messages of one service (``rds``)."""

    def __init__(self, service: str) -> None:
        self.model = botocore.session.get_session().get_service_model(service)
        self.namespace = str(self.model.metadata["xmlNamespace"])
        self._operations = set(self.model.operation_names)
        self._writers: dict[str, Write] = {}
        self._frames: dict[str, tuple[str, str, Write | None]] = {}

    def parameters(self, operation: str, form: dict[str, str]) -> dict[str, Any]:
        """The request as boto3 would be given it; timestamps are epoch seconds.

        Raises AwsError InvalidAction for an operation that the service does not have, MissingParameter for a required
        one that is absent, and InvalidParameterValue or MalformedInput for a value of the wrong type.
        """
        if operation not in self._operations:
            raise AwsError(
                "InvalidAction", f"Could not find operation {operation} for version {self.model.api_version}"
            )
        shape = self.model.operation_model(operation).input_shape
        if shape is None:
            return {}
        read: dict[str, Any] = _structure(shape, _tree(form), "")
        return read

    def answer(self, operation: str, content: dict[str, Any], request_id: str) -> bytes:
        """The XML of an answer. Members of ``content`` that are None are left out."""
        frame = self._frames.get(operation)
        if frame is None:
            frame = self._frames[operation] = self._frame(operation)
        head, tail, write = frame
        out = [head]
        if write is not None:
            write(content, out)
        out += (tail, request_id, f"</RequestId></ResponseMetadata></{operation}Response>")
        return "".join(out).encode()

    def _frame(self, operation: str) -> tuple[str, str, Write | None]:
        shape = self.model.operation_model(operation).output_shape
        head = f'<?xml version="1.0" encoding="UTF-8"?>\n<{operation}Response xmlns="{self.namespace}">'
        tail = "<ResponseMetadata><RequestId>"
        if shape is None:
            return head, tail, None
        wrapper = shape.serialization.get("resultWrapper", f"{operation}Result")
        return f"{head}<{wrapper}>", f"</{wrapper}>{tail}", self._writer(shape)

    def _writer(self, shape: Any) -> Write:
        known = self._writers.get(shape.name)
        if known is not None:
            return known
        if shape.type_name == "structure":
            return self._structure_writer(shape)
        if shape.type_name == "list":
            return self._list_writer(shape)
        text = _SCALARS.get(shape.type_name, _text)
        return lambda value, out: out.append(text(value))

    def _structure_writer(self, shape: Any) -> Write:
        members: dict[str, tuple[str, str, Text | None, Write]] = {}

        def write(value: dict[str, Any], out: list[str]) -> None:
            for name, entry in value.items():
                if entry is None:
                    continue
                start, end, text, inner = members[name]
                if text is not None:
                    out.append(f"{start}{text(entry)}{end}")
                    continue
                out.append(start)
                inner(entry, out)
                out.append(end)

        # Registered before its members are looked at: a shape may hold itself.
        self._writers[shape.name] = write
        for name, member in shape.members.items():
            tag = member.serialization.get("name", name)
            flat = member.type_name == "list" and member.serialization.get("flattened")
            text = None if member.type_name in ("structure", "list") else _SCALARS.get(member.type_name, _text)
            start, end = ("", "") if flat else (f"<{tag}>", f"</{tag}>")
            members[name] = (start, end, text, self._writer(member))
        return write

    def _list_writer(self, shape: Any) -> Write:
        inner = self._writer(shape.member)
        tag = shape.member.serialization.get("name", "member")
        if shape.serialization.get("flattened"):
            tag = shape.serialization.get("name", tag)
        start, end = f"<{tag}>", f"</{tag}>"

        def write(value: list[Any], out: list[str]) -> None:
            for entry in value:
                out.append(start)
                inner(entry, out)
                out.append(end)

        return write


def _text(value: Any) -> str:
    return escape(str(value))


def _boolean(value: Any) -> str:
    return "true" if value else "false"


def iso8601(at: float) -> str:
    """``2026-11-23T16:16:51.123Z`` for epoch seconds."""
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


_SCALARS: dict[str, Text] = {"boolean": _boolean, "timestamp": iso8601}


def _tree(form: dict[str, str]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for key, value in form.items():
        node = root
        *path, last = key.split(".")
        for part in path:
            below = node.get(part)
            if not isinstance(below, dict):
                below = node[part] = {}
            node = below
        if not isinstance(node.get(last), dict):
            node[last] = value
    return root


def _structure(shape: Any, node: Any, where: str) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    tree = node if isinstance(node, dict) else {}
    for name, member in shape.members.items():
        tag = member.serialization.get("name", name)
        flat = member.type_name == "list" and member.serialization.get("flattened")
        if flat:
            tag = member.member.serialization.get("name", tag)
        if tag in tree:
            answer[name] = _value(member, tree[tag], f"{where}{name}")
    for name in shape.required_members:
        if name not in answer:
            raise AwsError("MissingParameter", f"The request must contain the parameter {where}{name}.")
    return answer


def _value(shape: Any, node: Any, where: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, node, f"{where}.")
    if kind == "list":
        return _list(shape, node, where)
    if kind == "map":
        entries = node.get("entry", node) if isinstance(node, dict) else {}
        return {
            str(entries[n].get("key", "")): _value(shape.value, entries[n].get("value", ""), where)
            for n in _numbered(entries)
        }
    if isinstance(node, dict):
        raise AwsError("MalformedInput", f"Unexpected complex element for {where}")
    return _scalar(kind, node, where)


def _list(shape: Any, node: Any, where: str) -> list[Any]:
    # An empty list is sent as its name with nothing behind it.
    if not isinstance(node, dict):
        return []
    if not shape.serialization.get("flattened"):
        node = node.get(shape.member.serialization.get("name", "member"), node.get("member", {}))
    return [_value(shape.member, node[n], f"{where}.{n}") for n in _numbered(node)]


def _numbered(node: Any) -> list[str]:
    return sorted((key for key in node if key.isdigit()), key=int) if isinstance(node, dict) else []


def _scalar(kind: str, text: str, where: str) -> Any:
    try:
        match kind:
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "timestamp":
                return parse_timestamp(text).timestamp()
    except (KeyError, ValueError):
        raise AwsError("MalformedInput", f"{text!r} is no {kind}, as {where} must be") from None
    return text
