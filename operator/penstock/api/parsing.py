"""From a manifest to a model, or to sentences: what `penstock plan -f` and the operator read objects with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from penstock.api.auroracluster import AuroraCluster
from penstock.api.costbudget import CostBudget
from penstock.api.dynamotable import DynamoTable
from penstock.api.failoverdrill import FailoverDrill
from penstock.api.model import Problem, StatusModel, problems

_WORDS = {"string": "text", "int": "a whole number", "bool": "true or false", "float": "a number", "dict": "an object"}


M = TypeVar("M", DynamoTable, AuroraCluster, FailoverDrill, CostBudget)
_MODELS: Final[Mapping[str, type[DynamoTable] | type[AuroraCluster] | type[FailoverDrill] | type[CostBudget]]] = {
    "DynamoTable": DynamoTable,
    "AuroraCluster": AuroraCluster,
    "FailoverDrill": FailoverDrill,
    "CostBudget": CostBudget,
}


def parse(manifest: Mapping[str, Any]) -> DynamoTable | AuroraCluster | FailoverDrill | CostBudget | list[Problem]:
    """A manifest as the model of its kind, or everything that is wrong with it; never both, never an exception.

    A manifest without a kind counts as a DynamoTable. The status is read leniently: one that does not fit (another
    version wrote it) counts as absent.
    """
    kind = manifest.get("kind", "DynamoTable")
    model = _MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return [Problem("kind", f"must be one of {', '.join(_MODELS)}, not {kind!r}")]
    if model is AuroraCluster:
        return parse_as(AuroraCluster, manifest)
    if model is FailoverDrill:
        return parse_as(FailoverDrill, manifest)
    if model is CostBudget:
        return parse_as(CostBudget, manifest)
    return parse_as(DynamoTable, manifest)


def parse_as(model: type[M], manifest: Mapping[str, Any]) -> M | list[Problem]:
    """A manifest as this model, or everything that is wrong with it, as `parse` does."""
    body = {key: value for key, value in manifest.items() if key != "status"}
    try:
        found = model.model_validate(body, by_alias=True, by_name=False)
    except ValidationError as error:
        return [problem_of(detail) for detail in _once(error)]
    wrong = list(problems(found))
    if wrong:
        return wrong
    try:
        status = cast(type[StatusModel], model.model_fields["status"].annotation)
        return found.model_copy(update={"status": status.model_validate(manifest.get("status") or {})})
    except ValidationError:
        return found


def _once(error: ValidationError) -> list[ErrorDetails]:
    """The errors, one a path: a union reports each of its branches."""
    seen: dict[str, ErrorDetails] = {}
    for detail in error.errors(include_url=False):
        seen.setdefault(_path(detail), detail)
    return list(seen.values())


def problem_of(detail: ErrorDetails) -> Problem:
    """The sentence for one of pydantic's errors."""
    return Problem(_path(detail), _sentence(detail))


def _path(detail: ErrorDetails) -> str:
    path = ""
    for part in detail["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _BRANCHES:
            path += f".{part}"
    return path.removeprefix(".")


_BRANCHES = {"int", "float"}
"""What pydantic adds to a path to say which branch of a union it tried."""


def _sentence(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "is missing and required"
        case "extra_forbidden":
            return "is not a field here; check its spelling and its indentation"
        case "string_type" if isinstance(detail["input"], float):
            number = detail["input"]
            return (
                f'must be text: {number!r} is not; write it in quotes, for example "{number!r}", '
                "and with the zeros at its end, which YAML drops without quotes"
            )
        case "string_type":
            return f'must be text: {detail["input"]!r} is not; write it in quotes, for example "{detail["input"]}"'
        case "int_type" | "int_from_float" | "float_type":
            return f"must be a number in digits and without quotes, not {detail['input']!r}"
        case "bool_type":
            return f"must be true or false without quotes, not {detail['input']!r}"
        case "enum" | "literal_error":
            return f"must be {context['expected'].replace(chr(39), '')}, not {detail['input']!r}"
        case "too_long" | "string_too_long":
            what = "characters" if detail["type"] == "string_too_long" else "entries"
            return f"must have at most {context['max_length']} {what}"
        case "tuple_type" | "list_type":
            return "must be a list: write each entry on a line that begins with '-'"
        case "model_type" | "model_attributes_type" | "dict_type" | "mapping_type":
            return "must be an object with fields of its own"
        case _:
            return detail["msg"]
