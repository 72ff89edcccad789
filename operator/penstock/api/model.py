"""What every kind's model is made of: bases, rules that hold in the API server and here alike, and sentences.

A manifest is judged in two layers, as the API server does it. *Structure* (types, enums, required and unknown fields,
lengths) is pydantic's here and the structural schema's there. *Rules* (everything that needs a sentence) are written
once, as a `Says` on a scalar or a `Rule` on a model: the CRD carries the CEL of the rule, `problems` runs its Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, PlainSerializer, StrictStr
from pydantic.alias_generators import to_camel, to_snake
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

VALIDATIONS = "x-kubernetes-validations"
MERGE_KEY = "x-penstock-merge-key"
"""How an item's schema tells the CRD's generator its key; it never reaches a CRD."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a manifest: where, and the sentence that says what to write instead."""

    path: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence}" if self.path else self.sentence


@dataclass(frozen=True)
class Says:
    """A rule on a scalar or a map: CEL over `self`, the same check in Python, and its sentence.

    The sentence follows the field's path and says what to write: "must be at least 1; leave the field out for no cap".
    """

    cel: str
    holds: Callable[[Any], bool]
    sentence: str

    def cel_rule(self) -> dict[str, str]:
        """The rule as an item of x-kubernetes-validations."""
        return {"rule": self.cel, "message": self.sentence}

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = dict(handler(schema))
        return {**found, VALIDATIONS: [*found.get(VALIDATIONS, []), self.cel_rule()]}


def matching(pattern: str, sentence: str) -> Says:
    """A rule that the whole text matches a pattern, in the syntax that RE2 (CEL) and Python share."""
    quoted = f"^({pattern})$".replace("\\", "\\\\").replace("'", "\\'")
    return Says(f"self.matches('{quoted}')", lambda text: re.fullmatch(pattern, text) is not None, sentence)


def between(low: int, high: int | None, sentence: str) -> Says:
    """A rule that a number is at least `low` and, unless None, at most `high`."""
    cel = f"self >= {low}" if high is None else f"self >= {low} && self <= {high}"
    return Says(cel, lambda number: low <= number and (high is None or number <= high), sentence)


@dataclass(frozen=True)
class Distinct:
    """Marks a list of scalars as a set: no entry twice."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "uniqueItems": True}


@dataclass(frozen=True)
class Rule:
    """A rule across the fields of one model, in CEL and in Python.

    `at` is the field (its name in manifests) that the sentence is about; empty for the object as a whole.
    A transition rule compares with the object as it was: its CEL uses `oldSelf`, its Python is `keeps(new, old)`.
    """

    sentence: str
    cel: str
    holds: Callable[[Any], bool] | None = None
    keeps: Callable[[Any, Any], bool] | None = None
    at: str = ""

    def cel_rule(self) -> dict[str, str]:
        """The rule as an item of x-kubernetes-validations."""
        return {"rule": self.cel, "message": self.sentence} | ({"fieldPath": f".{self.at}"} if self.at else {})


def of_spec(rule: Rule) -> Rule:
    """A transition rule of a spec as a rule of the whole object."""
    keeps = rule.keeps
    assert keeps is not None, "only a transition rule compares two specs"
    return replace(
        rule,
        cel=re.sub(r"\b(self|oldSelf)\b", r"\1.spec", rule.cel),
        keeps=lambda new, old: keeps(new.spec, old.spec),
        at=f"spec.{rule.at}".rstrip("."),
    )


def once_created(field: str, *rules: Rule) -> tuple[Rule, ...]:
    """Transition rules of a whole object that hold only once something exists: from when `status.<field>` names it.

    Before that AWS may have refused the very value that must be edited. field: as in manifests, for example
    "resourceId". On an edit of the spec the API server compares with the stored status; on an edit of the status both
    specs are the same, so the rules hold.
    """
    snake = to_snake(field)

    def from_then_on(rule: Rule) -> Rule:
        keeps = rule.keeps
        assert keeps is not None, "only a transition rule can wait for something to exist"
        return replace(
            rule,
            cel=f"!has(oldSelf.status) || !has(oldSelf.status.{field}) || ({rule.cel})",
            keeps=lambda new, old: getattr(old.status, snake) is None or keeps(new, old),
        )

    return tuple(from_then_on(rule) for rule in rules)


class ApiModel(BaseModel):
    """Base of everything that users write: camelCase in manifests, unknown fields refused, immutable here."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    merge_key: ClassVar[str | None] = None
    """The field that names an item among its like, when lists of this model merge (x-kubernetes-list-type: map)."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        if cls.rules:
            handler.resolve_ref_schema(found)[VALIDATIONS] = [rule.cel_rule() for rule in cls.rules]
        if cls.merge_key:
            handler.resolve_ref_schema(found)[MERGE_KEY] = cls.merge_key
        return found


class StatusModel(BaseModel):
    """Base of what the operator writes. Unknown fields are dropped: an older operator may meet a newer one's status."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )
    merge_key: ClassVar[str | None] = None
    """As in ApiModel."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        if cls.merge_key:
            handler.resolve_ref_schema(found)[MERGE_KEY] = cls.merge_key
        return found

    def manifest(self) -> dict[str, Any]:
        """The JSON object to write: camelCase, absent fields left out, times in RFC 3339."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rfc3339(time: datetime) -> str:
    """A time in UTC to the second, as Kubernetes writes metav1.Time; a naive time is taken as UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Timestamp = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
"""A time that is written to the second in UTC."""

Text = Annotated[StrictStr, Field(max_length=1024)]
"""A text without a rule, bounded because CEL's cost limits need bounds."""


def problems(value: Any, path: str = "") -> Iterator[Problem]:
    """Every rule that a model (already of the right structure) breaks, in the order of its fields."""
    if not isinstance(value, ApiModel):
        return
    for name, written, judged in _fields(type(value)):
        found = getattr(value, name)
        if found is not None:
            yield from _broken(found, judged, f"{path}.{written}" if path else written)
    for rule in value.rules:
        if rule.holds is not None and not rule.holds(value):
            yield Problem(".".join(filter(None, (path, rule.at))), rule.sentence)


def refused_changes(new: ApiModel, old: ApiModel, path: str = "") -> Iterator[Problem]:
    """Every immutable field that differs between two versions of one object."""
    for name, field in type(new).model_fields.items():
        mine, before = getattr(new, name), getattr(old, name)
        if isinstance(mine, ApiModel) and isinstance(before, ApiModel):
            yield from refused_changes(mine, before, f"{path}.{field.alias or name}".lstrip("."))
    for rule in new.rules:
        if rule.keeps is not None and not rule.keeps(new, old):
            yield Problem(".".join(filter(None, (path, rule.at))), rule.sentence)


@dataclass(frozen=True)
class _Judged:
    """What a field's type asks of its value. items: of each entry of a list."""

    says: tuple[Says, ...]
    distinct: bool
    items: _Judged | None


@cache
def _fields(model: type[ApiModel]) -> tuple[tuple[str, str, _Judged], ...]:
    """Name, name in manifests and what is asked of each field: worked out once, for objects come by the thousand."""
    return tuple(
        (name, field.alias or name, _judged(field.annotation, tuple(field.metadata)))
        for name, field in model.model_fields.items()
    )


def _judged(annotation: Any, metadata: tuple[Any, ...] = ()) -> _Judged:
    says, items = _rules(annotation)
    own = tuple(item for item in metadata if isinstance(item, Says))
    return _Judged((*says, *own), _distinct(annotation, metadata), None if items is None else _judged(items))


def _broken(value: Any, judged: _Judged, path: str) -> Iterator[Problem]:
    for rule in judged.says:
        if not rule.holds(value):
            yield Problem(path, rule.sentence)
    if isinstance(value, ApiModel):
        yield from problems(value, path)
    elif isinstance(value, tuple) and judged.items is not None:
        yield from _repeated(value, judged.distinct, path)
        for index, item in enumerate(value):
            if item is not None:
                yield from _broken(item, judged.items, f"{path}[{index}]")


def _repeated(items: tuple[Any, ...], distinct: bool, path: str) -> Iterator[Problem]:
    """Entries that the API server would call duplicates: of a list that merges by a key, or of a set."""
    seen: set[Any] = set()
    for index, item in enumerate(items):
        merges = isinstance(item, ApiModel) and item.merge_key is not None
        if not merges and not distinct:
            return
        key = getattr(item, item.merge_key) if merges else item
        if key in seen:
            what, remedy = "is there twice", "leave one out"
            if merges:
                what, remedy = f"has the {item.merge_key} of an entry before it", f"give it another {item.merge_key}"
            yield Problem(f"{path}[{index}]", f"{what} ({key!r}); {remedy}")
        seen.add(key)


def _distinct(annotation: Any, metadata: tuple[Any, ...]) -> bool:
    """Whether a list is marked as a set: on the field, or inside an optional type, which keeps its marks to itself."""
    if any(isinstance(item, Distinct) for item in metadata):
        return True
    if get_origin(annotation) in (Union, UnionType):
        return any(_distinct(part, ()) for part in get_args(annotation))
    return get_origin(annotation) is Annotated and any(isinstance(item, Distinct) for item in get_args(annotation))


def _rules(annotation: Any) -> tuple[tuple[Says, ...], Any]:
    """The rules of a type, and the type of its items when it is a sequence."""
    if get_origin(annotation) in (Union, UnionType):
        inner = [part for part in get_args(annotation) if part is not NoneType]
        return _rules(inner[0]) if len(inner) == 1 else ((), None)
    if get_origin(annotation) is Annotated:
        base, *extras = get_args(annotation)
        says, items = _rules(base)
        return (*says, *(extra for extra in extras if isinstance(extra, Says))), items
    if get_origin(annotation) in (tuple, list):
        return (), get_args(annotation)[0]
    own = getattr(annotation, "says", None)
    return ((own,) if isinstance(own, Says) else ()), None
