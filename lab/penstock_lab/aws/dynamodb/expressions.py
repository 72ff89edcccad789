"""Expressions: conditions, filters, projections and updates, from their text to :mod:`nodes`.

Grammar and rules from the developer guide ("Condition and filter expressions, operators, and functions", "Using update
expressions", "Using expression attribute names", "Reserved words"); sentences measured against AWS by the public suite
dynamodb-conformance, or as moto has them from AWS.
"""

from __future__ import annotations

import re
from typing import Any

from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

from ..errors import AwsError, validation
from . import values
from .nodes import (
    Action,
    All,
    Any_,
    Condition,
    Grouped,
    IfNotExists,
    Joined,
    Literal,
    Not,
    Operand,
    Path,
    Size,
    Sum,
    Test,
)
from .values import Value

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|[#:][A-Za-z0-9_]+|\d+|<>|<=|>=|[=<>+\-()\[\],.])")
_WORD = re.compile(r"[A-Za-z_#]")
_COMPARATORS = ("=", "<>", "<", "<=", ">", ">=")
# Function to its number of operands.
_TESTS = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2}
_SIZES = {"size": 1}
_FUNCTIONS = {**_TESTS, **_SIZES}
_UPDATES = {"if_not_exists": 2, "list_append": 2}
_SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")
_LONG = {"S": "STRING", "N": "NUMBER", "B": "BINARY", "L": "LIST", "M": "MAP", "BOOL": "BOOLEAN", "NULL": "NULL"}
_RESERVED = frozenset(ReservedKeywords.get_reserved_keywords())
_END = "<EOF>"
_LONGEST = 4096
# AWS takes 300 operators and functions; no expression that has fewer is nested deeper than this.
_DEEPEST = 150


class Scope:
    """The names and values that a request gives to its expressions, and which of them these use."""

    def __init__(self, names: dict[str, str] | None, given: dict[str, Any] | None) -> None:
        self.names = names or {}
        self.values = {}
        for key, value in (given or {}).items():
            try:
                self.values[key] = values.checked(value)
            except AwsError as error:
                if error.code != "ValidationException":
                    raise
                raise validation(
                    f"ExpressionAttributeValues contains invalid value: {error.message} for key {key}"
                ) from None
        self.used: set[str] = set()

    def check_used(self) -> None:
        """Raises AwsError for names and values that no expression used; call it when all are parsed."""
        for what, given in (("Names", self.names), ("Values", self.values)):
            if unused := [key for key in given if key not in self.used]:
                raise validation(
                    f"Value provided in ExpressionAttribute{what} unused in expressions: keys: {{{', '.join(unused)}}}"
                )


class _Parser:
    """Walks over the tokens of one expression; ``kind`` is the parameter that it stands in."""

    def __init__(self, kind: str, text: str, scope: Scope) -> None:
        self.kind, self.text, self.scope = kind, text, scope
        self.tokens: list[tuple[str, int, int]] = []
        self.at = self.depth = 0
        position = 0
        if not text.strip():
            raise self.error("The expression can not be empty;")
        if len(text.encode()) > _LONGEST:
            raise self.error(
                f"Expression size has exceeded the maximum allowed size; expression size: {len(text.encode())}"
            )
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                start = position + len(text[position:]) - len(text[position:].lstrip())
                self.tokens.append((text[start], start, start + 1))
                if start + 1 < len(text):
                    self.tokens.append((text[start + 1], start + 1, start + 2))
                raise self.unexpected(len(self.tokens) - (2 if start + 1 < len(text) else 1))
            self.tokens.append((match[1], match.start(1), match.end()))
            position = match.end()

    def error(self, words: str) -> AwsError:
        return validation(f"Invalid {self.kind}: {words}")

    def unexpected(self, at: int | None = None) -> AwsError:
        """The sentence for a token that cannot stand where it does, with its neighbours."""
        at = self.at if at is None else at
        token = self.tokens[at][0] if at < len(self.tokens) else _END
        first, last = max(0, at - 1), min(len(self.tokens) - 1, at + 1)
        near = self.text[self.tokens[first][1] : self.tokens[last][2]]
        return self.error(f'Syntax error; token: "{token}", near: "{near}"')

    @property
    def token(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else _END

    def peek(self) -> str:
        return self.tokens[self.at + 1][0] if self.at + 1 < len(self.tokens) else _END

    def take(self, *wanted: str) -> bool:
        """Goes past the token if it is one of ``wanted``; words in any case."""
        if self.token.upper() in wanted:
            self.at += 1
            return True
        return False

    def expect(self, wanted: str) -> None:
        if not self.take(wanted):
            raise self.unexpected()

    def end(self) -> None:
        if self.token != _END:
            raise self.unexpected()

    def path(self) -> Path:
        parts: list[str | int] = [self._name()]
        while True:
            if self.take("."):
                parts.append(self._name())
            elif self.take("["):
                if not self.token.isdigit():
                    raise self.unexpected()
                parts.append(int(self.token))
                self.at += 1
                self.expect("]")
            else:
                return Path(tuple(parts))

    def _name(self) -> str:
        name = self.token
        if not _WORD.match(name) or name == _END:
            raise self.unexpected()
        if name.upper() in _RESERVED:
            raise self.error(f"Attribute name is a reserved keyword; reserved keyword: {name}")
        self.at += 1
        if not name.startswith("#"):
            return name
        if name not in self.scope.names:
            raise self.error(
                f"An expression attribute name used in the document path is not defined; attribute name: {name}"
            )
        self.scope.used.add(name)
        return self.scope.names[name]

    def value(self) -> Literal:
        name = self.token
        if name not in self.scope.values:
            raise self.error(
                f"An expression attribute value used in expression is not defined; attribute value: {name}"
            )
        self.at += 1
        self.scope.used.add(name)
        return Literal(self.scope.values[name])

    # Conditions.

    def condition(self) -> Condition:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error("The expression is nested too deeply;")
        parts = [self._both()]
        while self.take("OR"):
            parts.append(self._both())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Any_(tuple(parts))

    def _both(self) -> Condition:
        parts = [self._negated()]
        while self.take("AND"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _negated(self) -> Condition:
        negations = 0
        while self.take("NOT"):
            negations += 1
        single = self._single()
        return Not(single) if negations % 2 else single

    def _single(self) -> Condition:
        if self.take("("):
            inner = self.condition()
            self.expect(")")
            if isinstance(inner, Grouped):
                raise self.error("The expression has redundant parentheses;")
            return Grouped(inner)
        if self.peek() == "(" and _WORD.match(self.token) and self.token not in _SIZES:
            name, operands = self._call(_FUNCTIONS)
            return self._checked(Test(name, tuple(operands)))
        return self._comparison(self._operand())

    def _call(self, known: dict[str, int]) -> tuple[str, list[Operand]]:
        name = self.token
        if name not in known:
            raise self.error(
                f"The function is not allowed to be used this way in an expression; function: {name}"
                if name in _FUNCTIONS
                else f"Invalid function name; function: {name}"
            )
        self.at += 2
        operands = [self._operand()]
        while self.take(","):
            operands.append(self._operand())
        self.expect(")")
        if len(operands) != known[name]:
            raise self.error(
                f"Incorrect number of operands for operator or function; operator or function: {name}, "
                f"number of operands: {len(operands)}"
            )
        return name, operands

    def _operand(self) -> Operand:
        if self.token.startswith(":"):
            return self.value()
        if self.peek() == "(":
            name, (of,) = self._call(_SIZES)
            if isinstance(of, Literal) and values.length(of.value) is None:
                raise self.wrong_operand(name, of.value)
            return Size(of)
        return self.path()

    def _comparison(self, left: Operand) -> Condition:
        operator = self.token.upper()
        if operator in _COMPARATORS:
            self.at += 1
            return self._checked(Test(operator, (left, self._operand())))
        if self.take("BETWEEN"):
            low = self._operand()
            self.expect("AND")
            return self._checked(Test("BETWEEN", (left, low, self._operand())))
        if self.take("IN"):
            self.expect("(")
            listed = [self._operand()]
            while self.take(","):
                listed.append(self._operand())
            self.expect(")")
            return self._checked(Test("IN", (left, *listed)))
        raise self.unexpected()

    def wrong_operand(self, operator: str, value: Value) -> AwsError:
        return self.error(
            "Incorrect operand type for operator or function; operator or function: "
            f"{operator}, operand type: {values.kind_of(value)}"
        )

    def _checked(self, test: Test) -> Test:
        """What can be told of a test without an item."""
        operator, operands = test.operator, test.operands
        if operator in _COMPARATORS and isinstance(operands[0], Path) and operands[0] == operands[1]:
            raise self.error(
                "The first operand must be distinct from the remaining operands for this operator or function; "
                f"operator: {operator}, first operand: {operands[0]}"
            )
        if operator.startswith("attribute_") and not isinstance(operands[0], Path):
            raise self.error(f"Operator or function requires a document path; operator or function: {operator}")
        literals = [o.value for o in operands if isinstance(o, Literal)]
        allowed = {"begins_with": ("S", "B")}.get(operator)
        if operator in ("<", "<=", ">", ">=", "BETWEEN"):
            allowed = ("S", "N", "B")
        if allowed and (wrong := [value for value in literals if values.kind_of(value) not in allowed]):
            raise self.wrong_operand(operator, wrong[0])
        if operator == "attribute_type" and literals:
            self._check_type_name(literals[0])
        if operator == "BETWEEN" and isinstance(operands[1], Literal) and isinstance(operands[2], Literal):
            self._check_bounds(operands[1].value, operands[2].value)
        return test

    def _check_type_name(self, given: Value) -> None:
        if "S" not in given:
            raise self.wrong_operand("attribute_type", given)
        if given["S"] not in values.TYPES:
            raise self.error(
                f"Invalid attribute type name found; type: {given['S']}, valid types: {{{','.join(values.TYPES)}}}"
            )

    def _check_bounds(self, low: Value, high: Value) -> None:
        bounds = f"lower bound operand: {_java(low)}, upper bound operand: {_java(high)}"
        if values.kind_of(low) != values.kind_of(high):
            raise self.error(f"The BETWEEN operator requires same data type for lower and upper bounds; {bounds}")
        if (values.compare(low, high) or 0) > 0:
            raise self.error(
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; " + bounds
            )

    # Updates.

    def update(self) -> list[Action]:
        actions: list[Action] = []
        seen: set[str] = set()
        while self.token != _END:
            section = self.token.upper()
            if section not in _SECTIONS:
                raise self.unexpected()
            if section in seen:
                raise self.error(f'The "{section}" section can only be used once in an update expression;')
            seen.add(section)
            self.at += 1
            actions.append(self._action(section))
            while self.take(","):
                actions.append(self._action(section))
        check_apart([action.path for action in actions], self.kind)
        return actions

    def _action(self, section: str) -> Action:
        path = self.path()
        if section == "REMOVE":
            return Action(section, path)
        if section == "SET":
            self.expect("=")
            return Action(section, path, self.sum())
        operand = self.value() if self.token.startswith(":") else None
        if operand is None:
            raise self.unexpected()
        kind = values.kind_of(operand.value)
        if kind not in (("N", "SS", "NS", "BS") if section == "ADD" else ("SS", "NS", "BS")):
            raise self.error(
                f"Incorrect operand type for operator or function; operator: {section}, operand type: "
                f"{_LONG.get(kind, kind)}, typeSet: ALLOWED_FOR_{section}_OPERAND"
            )
        return Action(section, path, operand)

    def sum(self) -> Operand:
        left = self._term()
        if self.token in ("+", "-"):
            operator = self.token
            self.at += 1
            right = self._term()
            for one in (left, right):
                if isinstance(one, Literal) and "N" not in one.value:
                    raise self.wrong_operand(operator, one.value)
            return Sum(left, right, 1 if operator == "+" else -1)
        return left

    def _term(self) -> Operand:
        if self.take("("):
            inner = self.sum()
            self.expect(")")
            return inner
        if self.token.startswith(":"):
            return self.value()
        if self.peek() != "(" or not _WORD.match(self.token):
            return self.path()
        name = self.token
        if name not in _UPDATES:
            raise self.error(f"Invalid function name; function: {name}")
        self.at += 2
        left = self.sum()
        self.expect(",")
        right = self.sum()
        self.expect(")")
        if name == "list_append":
            for one in (left, right):
                if isinstance(one, Literal) and "L" not in one.value:
                    raise self.wrong_operand(name, one.value)
            return Joined(left, right)
        if not isinstance(left, Path):
            raise self.error(f"Operator or function requires a document path; operator or function: {name}")
        return IfNotExists(left, right)


def _java(value: Value) -> str:
    ((kind, content),) = value.items()
    return f"AttributeValue: {{{kind}:{content}}}"


def check_apart(paths: list[Path], kind: str) -> None:
    """Raises AwsError when one path lies inside another."""
    for number, one in enumerate(paths):
        for other in paths[number + 1 :]:
            shared = min(len(one.parts), len(other.parts))
            if one.parts[:shared] == other.parts[:shared]:
                raise validation(
                    f"Invalid {kind}: Two document paths overlap with each other; must remove or rewrite one of these "
                    f"paths; path one: {one}, path two: {other}"
                )


def condition(scope: Scope, kind: str, text: str) -> Condition:
    parser = _Parser(kind, text, scope)
    parsed = parser.condition()
    parser.end()
    return parsed


def projection(scope: Scope, text: str) -> list[Path]:
    parser = _Parser("ProjectionExpression", text, scope)
    paths = [parser.path()]
    while parser.take(","):
        paths.append(parser.path())
    parser.end()
    check_apart(paths, "ProjectionExpression")
    return paths


def update(scope: Scope, text: str) -> list[Action]:
    return _Parser("UpdateExpression", text, scope).update()
