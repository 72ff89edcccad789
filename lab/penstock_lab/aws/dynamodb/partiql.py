"""PartiQL for DynamoDB: statements to the same reads, writes and transactions as the other operations.

Developer guide, "PartiQL - a SQL-compatible query language for Amazon DynamoDB": select, insert, update and delete
statements, EXISTS in transactions, data types, functions and operators. py-partiql-parser, which moto brings, knows
neither parameters in an INSERT nor begins_with, nested paths or operators other than = in a WHERE with keys.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

from ..errors import AwsError, validation
from ..request import Request
from . import items, reads, requests, values, writes
from .backend import LabDynamoDB
from .nodes import (
    Action,
    All,
    Any_,
    Condition,
    IfNotExists,
    Joined,
    Literal,
    Not,
    Operand,
    Path,
    Size,
    Sum,
    Test,
    flat,
    project,
)
from .store import LabTable
from .values import Attributes, Value

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign><<|>>|<>|!=|<=|>=|\|\||[=<>+\-*(){}\[\],.:?;])
    )""",
    re.VERBOSE,
)
_KEYWORDS = frozenset(
    """
    SELECT FROM WHERE AND OR NOT IN BETWEEN IS MISSING NULL INSERT INTO VALUE UPDATE SET REMOVE DELETE RETURNING ORDER BY
    ASC DESC TRUE FALSE
    """.split()  # noqa: SIM905
)
_COMPARATORS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TESTS = ("begins_with", "contains", "attribute_type")


@dataclasses.dataclass
class Statement:
    kind: str
    table: str
    index: str | None = None
    columns: list[Path] | None = None
    where: Condition = writes.ALWAYS
    item: Attributes | None = None
    actions: list[Action] = dataclasses.field(default_factory=list)
    returning: str = ""
    backward: bool = False


class _Parser:
    def __init__(self, text: str, parameters: list[Any]) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.parameters = [values.checked(one) for one in parameters]
        self.taken = self.at = self.depth = 0
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise validation(
                    f"Statement wasn't well formed, can't be processed: Unexpected character at {position}"
                )
            kind = str(match.lastgroup)
            token = match[kind]
            if kind in ("text", "quoted"):
                token = token[1:-1].replace(token[0] * 2, token[0])
            self.tokens.append((kind, token))
            position = match.end()

    def wrong(self, what: str = "") -> AwsError:
        token = self.tokens[self.at][1] if self.at < len(self.tokens) else "the end"
        return validation(f"Statement wasn't well formed, can't be processed: {what or f'Unexpected term: {token}'}")

    def peek(self, after: int = 0) -> str:
        """The keyword or sign there, in capitals; "" for anything else."""
        if self.at + after >= len(self.tokens):
            return ""
        kind, token = self.tokens[self.at + after]
        return token.upper() if kind in ("word", "sign") else ""

    def take(self, *wanted: str) -> bool:
        if self.peek() in wanted and self.peek():
            self.at += 1
            return True
        return False

    def expect(self, *wanted: str) -> None:
        for one in wanted:
            if not self.take(one):
                raise self.wrong()

    def name(self) -> str:
        if self.at < len(self.tokens):
            kind, token = self.tokens[self.at]
            if kind == "quoted" or (kind == "word" and token.upper() not in _KEYWORDS):
                self.at += 1
                return token
        raise self.wrong()

    # Statements.

    def statement(self) -> Statement:
        parse = {"SELECT": self._select, "INSERT": self._insert, "UPDATE": self._update, "DELETE": self._delete}
        kind = self.peek()
        if kind == "EXISTS":
            self.at += 1
            self.expect("(", "SELECT")
            found = self._select()
            self.expect(")")
            found.kind = "EXISTS"
        elif kind in parse:
            self.at += 1
            found = parse[kind]()
        else:
            raise self.wrong()
        self.take(";")
        if self.at < len(self.tokens):
            raise self.wrong()
        if self.taken < len(self.parameters):
            raise validation("Number of parameters in request and statement don't match.")
        return found

    def _select(self) -> Statement:
        columns: list[Path] | None = None
        if not self.take("*"):
            columns = [self.path()]
            while self.take(","):
                columns.append(self.path())
        self.expect("FROM")
        found = Statement("SELECT", self.name(), columns=columns)
        if self.take("."):
            found.index = self.name()
        found.where = self._where()
        if self.take("ORDER"):
            self.expect("BY")
            while True:
                self.path()
                found.backward = self.take("DESC")
                self.take("ASC")
                if not self.take(","):
                    break
        return found

    def _insert(self) -> Statement:
        self.expect("INTO")
        found = Statement("INSERT", self.name())
        self.expect("VALUE")
        value = self.value()
        if "M" not in value:
            raise self.wrong("Expected a tuple after VALUE")
        found.item = value["M"]
        return found

    def _update(self) -> Statement:
        found = Statement("UPDATE", self.name())
        while True:
            if self.take("SET"):
                found.actions.append(self._set())
                while self.take(","):
                    found.actions.append(self._set())
            elif self.take("REMOVE"):
                found.actions.append(Action("REMOVE", self.path()))
                while self.take(","):
                    found.actions.append(Action("REMOVE", self.path()))
            else:
                break
        if not found.actions:
            raise self.wrong()
        found.where = self._where()
        return self._returning(found)

    def _delete(self) -> Statement:
        self.expect("FROM")
        found = Statement("DELETE", self.name())
        found.where = self._where()
        return self._returning(found)

    def _returning(self, found: Statement) -> Statement:
        if self.take("RETURNING"):
            words = []
            while self.peek() in ("ALL", "MODIFIED", "OLD", "NEW"):
                words.append(self.peek())
                self.at += 1
            self.expect("*")
            found.returning = " ".join(words)
        return found

    def _set(self) -> Action:
        path = self.path()
        self.expect("=")
        if self.peek(1) == "(" and self.peek() in ("SET_ADD", "SET_DELETE"):
            kind = "ADD" if self.peek() == "SET_ADD" else "DELETE"
            self.at += 2
            self.path()
            self.expect(",")
            operand = self.operand()
            self.expect(")")
            return Action(kind, path, operand)
        return Action("SET", path, self._sum())

    def _sum(self) -> Operand:
        left = self.operand()
        if self.peek() in ("+", "-"):
            sign = 1 if self.peek() == "+" else -1
            self.at += 1
            return Sum(left, self.operand(), sign)
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "number" and self.tokens[self.at][1][0] == "-":
            # "n -1": the sign belongs to the difference.
            return Sum(left, self.operand(), 1)
        return left

    def _where(self) -> Condition:
        return self.condition() if self.take("WHERE") else writes.ALWAYS

    # Conditions and operands.

    def condition(self) -> Condition:
        self.depth += 1
        if self.depth > 100:
            raise self.wrong("The statement is nested too deeply")
        parts = [self._both()]
        while self.take("OR"):
            parts.append(self._both())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Any_(tuple(parts))

    def _both(self) -> Condition:
        parts = [self._single()]
        while self.take("AND"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _single(self) -> Condition:
        if self.take("NOT"):
            return Not(self._single())
        if self.take("("):
            inner = self.condition()
            self.expect(")")
            return inner
        if self.peek(1) == "(" and self.tokens[self.at][1].lower() in _TESTS:
            name = self.tokens[self.at][1].lower()
            self.at += 2
            left = self.operand()
            self.expect(",")
            right = self.operand()
            self.expect(")")
            return Test(name, (left, right))
        return self._comparison(self.operand())

    def _comparison(self, left: Operand) -> Condition:
        sign = self.peek()
        if sign in _COMPARATORS:
            self.at += 1
            return Test(_COMPARATORS[sign], (left, self.operand()))
        if self.take("BETWEEN"):
            low = self.operand()
            self.expect("AND")
            return Test("BETWEEN", (left, low, self.operand()))
        negated = self.take("NOT")
        if self.take("IN"):
            close = {"[": "]", "(": ")"}.get(self.peek())
            if close is None:
                raise self.wrong()
            self.at += 1
            listed = [self.operand()]
            while self.take(","):
                listed.append(self.operand())
            self.expect(close)
            test: Condition = Test("IN", (left, *listed))
            return Not(test) if negated else test
        if negated or not self.take("IS"):
            raise self.wrong()
        negated = self.take("NOT")
        if self.take("MISSING"):
            test = Test("attribute_not_exists", (left,))
        else:
            self.expect("NULL")
            test = Test("attribute_type", (left, Literal({"S": "NULL"})))
        return Not(test) if negated else test

    def operand(self) -> Operand:
        if self.peek(1) == "(" and self.tokens[self.at][0] == "word":
            return self._function()
        kind = self.tokens[self.at][0] if self.at < len(self.tokens) else ""
        if kind == "quoted" or (kind == "word" and self.peek() not in ("TRUE", "FALSE", "NULL")):
            return self.path()
        return Literal(self.value())

    def _function(self) -> Operand:
        name = self.tokens[self.at][1].lower()
        self.at += 2
        first = self.operand()
        if name == "size":
            self.expect(")")
            return Size(first)
        self.expect(",")
        second = self.operand()
        self.expect(")")
        if name == "list_append":
            return Joined(first, second)
        if name == "if_not_exists" and isinstance(first, Path):
            return IfNotExists(first, second)
        raise self.wrong(f"Unknown function: {name}")

    def path(self) -> Path:
        parts: list[str | int] = [self.name()]
        while True:
            if self.take("."):
                parts.append(self.name())
            elif self.take("["):
                kind, token = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
                if kind not in ("number", "text") or (kind == "number" and not token.isdigit()):
                    raise self.wrong()
                parts.append(int(token) if kind == "number" else token)
                self.at += 1
                self.expect("]")
            else:
                return Path(tuple(parts))

    def value(self) -> Value:
        if self.at >= len(self.tokens):
            raise self.wrong()
        kind, token = self.tokens[self.at]
        self.at += 1
        if kind == "text":
            return {"S": token}
        if kind == "number":
            return {"N": values.number(token)}
        match token.upper() if kind in ("word", "sign") else "":
            case "TRUE" | "FALSE":
                return {"BOOL": token.upper() == "TRUE"}
            case "NULL":
                return {"NULL": True}
            case "?":
                if self.taken >= len(self.parameters):
                    raise validation("Number of parameters in request and statement don't match.")
                self.taken += 1
                return self.parameters[self.taken - 1]
            case "{":
                return {"M": self._members()}
            case "[":
                return {"L": self._listed("]")}
            case "<<":
                return _set(self._listed(">>"))
        self.at -= 1
        raise self.wrong()

    def _members(self) -> Attributes:
        found: Attributes = {}
        while not self.take("}"):
            kind, name = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
            if kind not in ("text", "quoted", "word"):
                raise self.wrong()
            self.at += 1
            self.expect(":")
            found[name] = self.value()
            if not self.take(",") and self.peek() != "}":
                raise self.wrong()
        return found

    def _listed(self, close: str) -> list[Value]:
        found: list[Value] = []
        while not self.take(close):
            found.append(self.value())
            if not self.take(",") and self.peek() != close:
                raise self.wrong()
        return found


def _set(members: list[Value]) -> Value:
    kinds = {values.kind_of(member) for member in members}
    if len(kinds) != 1 or not kinds <= {"S", "N", "B"}:
        raise validation("A set has members of one type, text, numbers or binaries, and at least one")
    kind = kinds.pop()
    return values.checked({f"{kind}S": [values.content_of(member) for member in members]})


def _parsed(given: dict[str, Any]) -> Statement:
    text = given.get("Statement") or ""
    if not 1 <= len(text) <= 8192:
        bound = "greater than or equal to 1" if not text else "less than or equal to 8192"
        raise validation(
            f"1 validation error detected: Value '{text}' at 'statement' failed to satisfy constraint: Member must have "
            f"length {bound}"
        )
    return _Parser(text, given.get("Parameters") or []).statement()


def _split(table: LabTable, statement: Statement) -> tuple[Attributes, Condition]:
    """A WHERE's key and what else it asks. Raises AwsError unless it names one item."""
    given: Attributes = {}
    others: list[Condition] = []
    for part in flat(statement.where):
        match part:
            case Test("=", (Path((str(name),)), Literal(value))) if name in table.table_key_attrs and name not in given:
                given[name] = value
            case _:
                others.append(part)
    if given.keys() != set(table.table_key_attrs):
        raise validation("Where clause does not contain a mandatory equality on all key attributes")
    return given, All(tuple(others))


def _selected(table: LabTable, statement: Statement, body: dict[str, Any]) -> dict[str, Any]:
    """By the key if the statement has one, by partition if it names that, else by a scan."""
    consistent = bool(body.get("ConsistentRead"))
    index = reads.find_index(table, statement.index, consistent=consistent)
    start = _position(body.get("NextToken"))
    hashes = [
        e["AttributeName"] for e in (index.schema if index is not None else table.schema) if e["KeyType"] == "HASH"
    ]
    by_name: dict[str, Test] = {}
    for part in flat(statement.where):
        match part:
            case Test("=", (Path((str(name),)), Literal())) if name in hashes:
                by_name[name] = part
    limit = body.get("Limit")
    if all(name in by_name for name in hashes):
        found = [by_name[name] for name in hashes]
        page = reads.query(table, index, found, forward=not statement.backward, limit=limit, start=start)
    else:
        page = reads.scan(table, index, segment=None, segments=None, limit=limit, start=start)
    table.backend.meter.read(table, statement.index, page.size, consistent)
    shown = reads.shown(table, index, None, None)
    answer: dict[str, Any] = {
        "Items": [_columns(statement, shown(item)) for item in page.items if statement.where.holds(item)]
    }
    if page.last is not None:
        answer["LastEvaluatedKey"] = page.last
        answer["NextToken"] = _token(page.last)
    return answer


def _token(last: Attributes) -> str:
    return base64.urlsafe_b64encode(json.dumps(last).encode()).decode()


def _position(token: str | None) -> Attributes | None:
    if token is None:
        return None
    try:
        return values.checked_all(json.loads(base64.urlsafe_b64decode(token)))
    except ValueError:
        raise validation("Given NextToken is invalid") from None


def _columns(statement: Statement, item: Attributes) -> Attributes:
    """The columns a SELECT names; a nested one comes under its last name."""
    if statement.columns is None:
        return item
    found: Attributes = {}
    for path in statement.columns:
        value = path.get(item)
        if value is not None:
            names = [part for part in path.parts if isinstance(part, str)]
            found[names[-1]] = value
    return found


def _insert(table: LabTable, statement: Statement) -> dict[str, Any]:
    item = statement.item or {}
    if table.find(writes.check_item(table, item)) is not None:
        raise AwsError("DuplicateItemException", "Duplicate primary key exists in table")
    writes.put(table, item)
    return {}


def _update(table: LabTable, statement: Statement) -> dict[str, Any]:
    key, condition = _split(table, statement)
    exists = Test("attribute_exists", (Path((table.hash_key_attr,)),))
    old, new = writes.update(table, key, statement.actions, All((exists, condition)))
    touched = [action.path for action in statement.actions]
    shown = {
        "ALL OLD": old,
        "ALL NEW": new,
        "MODIFIED OLD": project(touched, old or {}),
        "MODIFIED NEW": project(touched, new),
    }.get(statement.returning)
    return {"Items": [shown]} if shown else {}


def _delete(table: LabTable, statement: Statement) -> dict[str, Any]:
    given, condition = _split(table, statement)
    key = writes.check_key(table, given)
    if table.find(key) is None:
        return {}
    old = writes.delete(table, key, condition)
    return {"Items": [old]} if statement.returning == "ALL OLD" else {}


_WRITES: dict[str, Callable[[LabTable, Statement], dict[str, Any]]] = {
    "INSERT": _insert,
    "UPDATE": _update,
    "DELETE": _delete,
}


def _run(backend: LabDynamoDB, statement: Statement, body: dict[str, Any]) -> dict[str, Any]:
    table = backend.active_table(statement.table)
    if statement.kind == "EXISTS":
        raise validation("EXISTS statements are supported in transactions only")
    if statement.kind == "SELECT":
        return _selected(table, statement, body)
    return _WRITES[statement.kind](table, statement)


def execute_statement(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    body = request.parameters or {}
    statement = _parsed(body)
    backend.meter.begin()
    answer = _run(backend, statement, body)
    answer.setdefault("Items", [])
    detail = body.get("ReturnConsumedCapacity", "NONE")
    if detail != "NONE":
        table = backend.active_table(statement.table)
        answer["ConsumedCapacity"] = backend.meter.tally(table).describe(table.name, detail)
    return answer


def batch_execute_statement(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """Each statement stands alone, and names one item."""
    body = request.parameters or {}
    requests.check_count(body["Statements"], "statements", 25)
    backend.meter.begin()
    responses = []
    for given in body["Statements"]:
        response: dict[str, Any] = {}
        try:
            statement = _parsed(given)
            response["TableName"] = statement.table
            if statement.kind == "SELECT":
                _split(backend.active_table(statement.table), statement)
            found = _run(backend, statement, given).get("Items")
            if found:
                response["Item"] = found[0]
        except AwsError as error:
            code = {"ResourceNotFoundException": "ResourceNotFound"}.get(error.code, items.reason(error)["Code"])
            response["Error"] = {"Code": code, "Message": error.message}
        responses.append(response)
    answer: dict[str, Any] = {"Responses": responses}
    items.consumed(backend, answer, body)
    return answer


def execute_transaction(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """All statements or none; all of them reads, or all writes and EXISTS."""
    body = request.parameters or {}
    requests.check_count(body["TransactStatements"], "transactStatements", 100)

    def run() -> dict[str, Any]:
        statements = [_parsed(given) for given in body["TransactStatements"]]
        if len({statement.kind == "SELECT" for statement in statements}) > 1:
            raise validation("A transaction has statements that read or statements that write, not both")
        backend.meter.begin(factor=2.0)
        answer: dict[str, Any]
        if statements[0].kind == "SELECT":
            for statement in statements:
                _split(backend.active_table(statement.table), statement)
            found = items.cancelling(
                [lambda one=one: _run(backend, one, {"ConsistentRead": True}) for one in statements]
            )
            answer = {"Responses": [{"Item": one["Items"][0]} if one["Items"] else {} for one in found]}
        else:
            items.commit_all(backend, [_part(backend, statement) for statement in statements])
            answer = {"Responses": [{} for _ in statements]}
        items.consumed(backend, answer, body, split=True)
        return answer

    return items.once(backend, body.get("ClientRequestToken"), body["TransactStatements"], run)


def _part(backend: LabDynamoDB, statement: Statement) -> items.Part:
    table = backend.active_table(statement.table)
    if statement.kind == "INSERT":
        return items.Part(table, statement.item or {}, lambda: _insert(table, statement), whole=True)
    key, condition = _split(table, statement)
    if statement.kind == "EXISTS":
        exists = All((Test("attribute_exists", (Path((table.hash_key_attr,)),)), condition))
        return items.Part(
            table, key, lambda: items.check_only(table, table.key(key), exists, show=False), changes=False
        )
    return items.Part(table, key, lambda: _WRITES[statement.kind](table, statement))
