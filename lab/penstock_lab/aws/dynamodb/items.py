"""Operations on items: from requests to reads and writes, with transactions, throttling and consumed capacity."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..clock import clock
from ..errors import AwsError, validation
from ..metrics import metrics
from ..request import Request, resource_name
from . import expressions, legacy, reads, requests, values, writes
from .backend import LabDynamoDB
from .nodes import Action, Condition, Path, project
from .refusals import check_enum
from .size import item_size
from .store import Key, LabTable
from .values import Attributes

Answer = dict[str, Any]
_THROTTLED = ("ProvisionedThroughputExceededException", "ThrottlingException")
_TRANSACTION = 4 * 1024 * 1024
_BATCH = 16 * 1024 * 1024


def single(operation: Callable[[LabTable, Answer], Answer], name: str) -> Callable[[LabDynamoDB, Request], Answer]:
    """An operation on one table, from its handler: checked, metered, with what it consumed."""

    def run(backend: LabDynamoDB, request: Request) -> Answer:
        started = time.perf_counter()
        body = request.parameters or {}
        requests.check_members(name, body)
        table = backend.active_table(resource_name(body["TableName"]))
        backend.meter.begin()
        try:
            with _as_it_was(table, request.lag) as seen:
                answer = operation(seen, body)
        except AwsError as error:
            if error.code == "ConditionalCheckFailedException":
                _charge_refused(table, body)
            raise
        detail = body.get("ReturnConsumedCapacity", "NONE")
        if detail != "NONE":
            answer["ConsumedCapacity"] = backend.meter.tally(table).describe(table.name, detail)
        _latency(table, name, started)
        return answer

    return run


@contextlib.contextmanager
def _as_it_was(table: LabTable, lag: float) -> Iterator[LabTable]:
    """The table as it was ``lag`` real seconds ago, as far back as its journal goes."""
    if not lag or table.journal_from is None:
        yield table
        return
    past = copy.copy(table)
    past.fill(table.items_at(max(table.journal_from, clock.now() - lag * clock.speed)))
    yield past


def _key(table: LabTable, given: Any) -> Key:
    return writes.check_key(table, values.checked_all(given))


def _paths(scope: expressions.Scope, body: Answer) -> list[Path] | None:
    if body.get("ProjectionExpression") is not None:
        return expressions.projection(scope, body["ProjectionExpression"])
    return legacy.paths(body.get("AttributesToGet"))


def get_item(table: LabTable, body: Answer) -> Answer:
    key, scope = values.checked_all(body["Key"]), requests.scope_of("Get", body)
    paths = _paths(scope, body)
    scope.check_used()
    return _got(table, writes.check_key(table, key), paths, bool(body.get("ConsistentRead")))


def _got(table: LabTable, key: Key, paths: list[Path] | None, consistent: bool) -> Answer:
    item = table.find(key)
    table.backend.meter.read(table, None, item_size(item or {}), consistent)
    if item is None:
        return {}
    return {"Item": item if paths is None else project(paths, item)}


def put_item(table: LabTable, body: Answer) -> Answer:
    _check_return_values(body)
    item, condition = values.checked_all(body["Item"]), _condition("Write", body)
    old = writes.put(table, item, condition, show=_shows(body))
    return _written(table, body, item, _old(body, old))


def delete_item(table: LabTable, body: Answer) -> Answer:
    _check_return_values(body)
    key, condition = values.checked_all(body["Key"]), _condition("Write", body)
    old = writes.delete(table, writes.check_key(table, key), condition, show=_shows(body))
    return _written(table, body, key, _old(body, old))


def _old(body: Answer, old: Attributes | None) -> Attributes | None:
    return old if body.get("ReturnValues") == "ALL_OLD" else None


def update_item(table: LabTable, body: Answer) -> Answer:
    key = values.checked_all(body["Key"])
    actions, condition = _update(body)
    old, new = writes.update(table, key, actions, condition, show=_shows(body))
    touched = [action.path for action in actions]
    attributes = {
        "ALL_OLD": lambda: old,
        "ALL_NEW": lambda: new,
        "UPDATED_OLD": lambda: project(touched, old or {}),
        "UPDATED_NEW": lambda: project(touched, new),
    }.get(body.get("ReturnValues", "NONE"), lambda: None)()
    return _written(table, body, key, attributes)


def _check_return_values(body: Answer) -> None:
    if body.get("ReturnValues", "NONE") not in ("ALL_OLD", "NONE"):
        raise validation("ReturnValues can only be ALL_OLD or NONE")


def _condition(kind: str, body: Answer) -> Condition:
    scope = requests.scope_of(kind, body)
    condition = _parsed_condition(scope, body)
    scope.check_used()
    return condition


def _parsed_condition(scope: expressions.Scope, body: Answer) -> Condition:
    if body.get("ConditionExpression") is not None:
        return expressions.condition(scope, "ConditionExpression", body["ConditionExpression"])
    return legacy.expected(body.get("Expected"), body.get("ConditionalOperator"))


def _update(body: Answer) -> tuple[list[Action], Condition]:
    scope = requests.scope_of("Update", body)
    if body.get("UpdateExpression") is not None:
        actions = expressions.update(scope, body["UpdateExpression"])
    else:
        actions = legacy.actions(body.get("AttributeUpdates") or {})
    condition = _parsed_condition(scope, body)
    scope.check_used()
    return actions, condition


def _shows(body: Answer) -> bool:
    return body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"


def _written(table: LabTable, body: Answer, item: Attributes, attributes: Attributes | None) -> Answer:
    answer: Answer = {}
    if attributes:
        answer["Attributes"] = attributes
    if body.get("ReturnItemCollectionMetrics") == "SIZE" and (found := writes.collection_metrics(table, item)):
        answer["ItemCollectionMetrics"] = found
    return answer


def query(table: LabTable, body: Answer) -> Answer:
    scope = requests.scope_of("Query", body)
    expression = body.get("KeyConditionExpression")
    keys: Condition | None = None
    if expression is not None:
        keys = expressions.condition(scope, "KeyConditionExpression", expression)
    elif body.get("KeyConditions") is not None:
        keys = legacy.conditions(body["KeyConditions"], None)
    kept = _filter(scope, body, "QueryFilter")
    paths = _paths(scope, body)
    scope.check_used()
    if keys is None:
        raise validation(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
        )
    index = reads.find_index(table, body.get("IndexName"), consistent=bool(body.get("ConsistentRead")))
    tests = reads.key_tests(table, index, keys, expression=expression is not None)
    reads.check_filter(table, index, kept, "Filter Expression" if body.get("FilterExpression") else "QueryFilter")
    page = reads.query(
        table,
        index,
        tests,
        forward=body.get("ScanIndexForward") is not False,
        limit=body.get("Limit"),
        start=_start(body),
    )
    return _shown(table, index, body, page, kept, paths)


def scan(table: LabTable, body: Answer) -> Answer:
    scope = requests.scope_of("Scan", body)
    requests.check_segments(body)
    kept = _filter(scope, body, "ScanFilter")
    paths = _paths(scope, body)
    scope.check_used()
    index = reads.find_index(table, body.get("IndexName"), consistent=bool(body.get("ConsistentRead")))
    page = reads.scan(
        table,
        index,
        segment=body.get("Segment"),
        segments=body.get("TotalSegments"),
        limit=body.get("Limit"),
        start=_start(body),
    )
    return _shown(table, index, body, page, kept, paths)


def _start(body: Answer) -> Attributes | None:
    given = body.get("ExclusiveStartKey")
    return values.checked_all(given) if given is not None else None


def _filter(scope: expressions.Scope, body: Answer, name: str) -> Condition:
    if body.get("FilterExpression") is not None:
        return expressions.condition(scope, "FilterExpression", body["FilterExpression"])
    return legacy.conditions(body.get(name), body.get("ConditionalOperator"))


def _shown(
    table: LabTable, index: Any, body: Answer, page: reads.Page, kept: Condition, paths: list[Path] | None
) -> Answer:
    select = body.get("Select")
    given = "AttributesToGet" if body.get("AttributesToGet") else "ProjectionExpression"
    reads.check_select(table, index, select, paths, given)
    table.backend.meter.read(table, body.get("IndexName"), page.size, bool(body.get("ConsistentRead")))
    items = [item for item in page.items if kept.holds(item)]
    answer: Answer = {"Count": len(items), "ScannedCount": len(page.items)}
    if select != "COUNT":
        shown = reads.shown(table, index, select, paths)
        answer["Items"] = [shown(item) for item in items]
    if page.last is not None:
        answer["LastEvaluatedKey"] = page.last
    return answer


def batch_get_item(backend: LabDynamoDB, request: Request) -> Answer:
    body = request.parameters or {}
    check_enum(body.get("ReturnConsumedCapacity"), "returnConsumedCapacity", ("INDEXES", "TOTAL", "NONE"))
    wanted = _batch(body, "BatchGetItem")
    for name, one in wanted.items():
        if len(one["Keys"]) > 100:
            raise validation(
                f"1 validation error detected: Value at 'RequestItems.{name}.member.Keys' failed to satisfy constraint: "
                "Member must have length less than or equal to 100"
            )
    if sum(len(one["Keys"]) for one in wanted.values()) > 100:
        raise validation("Too many items requested for the BatchGetItem call")
    plans: list[tuple[str, LabTable, list[Path] | None, list[tuple[Any, Key]]]] = []
    for name, one in wanted.items():
        scope = requests.scope_of("Get", one)
        paths = _paths(scope, one)
        scope.check_used()
        table = backend.active_table(resource_name(name))
        keys = [(given, _key(table, given)) for given in one["Keys"]]
        _check_distinct([key for _, key in keys])
        plans.append((name, table, paths, keys))
    backend.meter.begin()
    answer: Answer = {"Responses": {name: [] for name in wanted}, "UnprocessedKeys": {}}
    size = 0
    for name, table, paths, keys in plans:
        for given, key in keys:
            size += item_size(table.find(key) or {})
            if size > _BATCH:
                left = answer["UnprocessedKeys"].setdefault(name, {**wanted[name], "Keys": []})
                left["Keys"].append(given)
            elif got := _got(table, key, paths, bool(wanted[name].get("ConsistentRead"))):
                answer["Responses"][name].append(got["Item"])
    consumed(backend, answer, body)
    return answer


def _batch(body: Answer, operation: str) -> dict[str, Any]:
    if not body["RequestItems"]:
        raise validation(f"The requestItems parameter is required for {operation}")
    return dict(body["RequestItems"])


def _check_distinct(keys: list[Any]) -> None:
    if len(set(keys)) < len(keys):
        raise validation("Provided list of item keys contains duplicates")


def batch_write_item(backend: LabDynamoDB, request: Request) -> Answer:
    """Each write stands alone; throttled ones come back as UnprocessedItems, unless all are."""
    body = request.parameters or {}
    check_enum(body.get("ReturnConsumedCapacity"), "returnConsumedCapacity", ("INDEXES", "TOTAL", "NONE"))
    check_enum(body.get("ReturnItemCollectionMetrics"), "returnItemCollectionMetrics", ("SIZE", "NONE"))
    batches = _batch(body, "BatchWriteItem")
    if any(not 1 <= len(batch) <= 25 for batch in batches.values()):
        shown = ", ".join(f"{name}=[{', '.join(map(str, batch))}]" for name, batch in batches.items())
        raise validation(
            f"1 validation error detected: Value '{{{shown}}}' at 'requestItems' failed to satisfy constraint: Map value "
            "must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater "
            "than or equal to 1]"
        )
    if sum(map(len, batches.values())) > 25:
        raise validation("Too many items requested for the BatchWriteItem call")
    plans: list[tuple[str, Answer, LabTable, Key, Attributes | None]] = []
    for name, batch in batches.items():
        table = backend.active_table(resource_name(name))
        for write in batch:
            if len(write) != 1 or next(iter(write)) not in ("PutRequest", "DeleteRequest"):
                raise validation(
                    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
                    "datatypes"
                )
            if "PutRequest" in write:
                item = values.checked_all(write["PutRequest"]["Item"])
                plans.append((name, write, table, writes.check_item(table, item), item))
            else:
                plans.append((name, write, table, _key(table, write["DeleteRequest"]["Key"]), None))
    _check_distinct([(table.name, key) for _, _, table, key, _ in plans])
    backend.meter.begin()
    unprocessed: dict[str, list[Any]] = {}
    collections: dict[str, list[Any]] = {}
    refused: AwsError | None = None
    for name, write, table, key, new in plans:
        try:
            table.commit(key, new)
        except AwsError as error:
            if error.code not in _THROTTLED:
                raise
            refused = error
            unprocessed.setdefault(name, []).append(write)
            continue
        item = new if new is not None else write["DeleteRequest"]["Key"]
        if found := writes.collection_metrics(table, item):
            collections.setdefault(name, []).append(found)
    if refused is not None and sum(map(len, unprocessed.values())) == len(plans):
        raise refused
    answer: Answer = {"UnprocessedItems": unprocessed}
    if body.get("ReturnItemCollectionMetrics") == "SIZE":
        answer["ItemCollectionMetrics"] = collections
    consumed(backend, answer, body)
    return answer


def transact_get_items(backend: LabDynamoDB, request: Request) -> Answer:
    body = request.parameters or {}
    requests.check_count(body["TransactItems"], "transactItems", 100)
    plans: list[tuple[LabTable, list[Path] | None, Any]] = []
    for entry in body["TransactItems"]:
        get = entry["Get"]
        scope = requests.scope_of("Get", get)
        paths = _paths(scope, get)
        scope.check_used()
        plans.append((backend.active_table(resource_name(get["TableName"])), paths, values.checked_all(get["Key"])))
    keys = cancelling([lambda table=table, given=given: writes.check_key(table, given) for table, _, given in plans])
    _check_one_each([(table.name, key) for (table, _, _), key in zip(plans, keys, strict=True)])
    backend.meter.begin(factor=2.0)
    answer: Answer = {
        "Responses": [_got(table, key, paths, True) for (table, paths, _), key in zip(plans, keys, strict=True)]
    }
    consumed(backend, answer, body, split=True)
    return answer


def _check_one_each(keys: list[Any]) -> None:
    if len(set(keys)) < len(keys):
        raise validation("Transaction request cannot include multiple operations on one item")


def cancelling(parts: list[Callable[[], Any]]) -> list[Any]:
    """What each part of a transaction gives. Raises TransactionCanceledException with every part's reason if one fails."""
    results: list[Any] = []
    reasons: list[Answer] = []
    for part in parts:
        try:
            results.append(part())
            reasons.append({"Code": "None"})
        except AwsError as error:
            reasons.append(reason(error))
    if len(results) < len(parts):
        raise _cancelled(reasons)
    return results


_REASONS = {
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "ValidationException": "ValidationError",
    "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded",
    "ThrottlingException": "ThrottlingError",
    "DuplicateItemException": "DuplicateItem",
}


def reason(error: AwsError) -> Answer:
    members = {"Item": error.members["Item"]} if "Item" in error.members else {}
    return {"Code": _REASONS.get(error.code, error.code), "Message": error.message, **members}


def _cancelled(reasons: list[Answer]) -> AwsError:
    codes = ", ".join(reason["Code"] for reason in reasons)
    return AwsError(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        CancellationReasons=reasons,
    )


@dataclasses.dataclass
class Part:
    """A write of a transaction: which item, how, and whether anything changes."""

    table: LabTable
    item: Attributes
    """The item or its key, checked."""
    run: Callable[[], Any]
    whole: bool = False
    """``item`` is the whole item."""
    changes: bool = True

    def key(self) -> Key:
        return (writes.check_item if self.whole else writes.check_key)(self.table, self.item)


def transact_write_items(backend: LabDynamoDB, request: Request) -> Answer:
    body = request.parameters or {}
    entries = body["TransactItems"]
    requests.check_count(entries, "transactItems", 100)

    def write() -> Answer:
        parts = [_part(backend, entry) for entry in entries]
        collections = commit_all(backend, parts)
        answer: Answer = {}
        if body.get("ReturnItemCollectionMetrics") == "SIZE":
            answer["ItemCollectionMetrics"] = collections
        consumed(backend, answer, body, split=True)
        return answer

    return once(backend, body.get("ClientRequestToken"), entries, write)


def once(backend: LabDynamoDB, token: str | None, entries: Any, write: Callable[[], Answer]) -> Answer:
    """The same client token within ten minutes gives the same answer without a second effect."""
    digest = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
    now = clock.now()
    if token and (known := backend.transactions.get(token)) and known[0] > now - 600:
        if known[1] != digest:
            raise AwsError(
                "IdempotentParameterMismatchException",
                "The request uses the same client token as a previous, but non-identical request. Do not reuse a "
                "client token with different requests, unless the requests are identical",
            )
        return dict(known[2])
    answer = write()
    if token:
        backend.transactions[token] = (now, digest, answer)
    return answer


def commit_all(backend: LabDynamoDB, parts: list[Part]) -> dict[str, list[Any]]:
    """All or nothing; gives the ItemCollectionMetrics by table. Raises TransactionCanceledException."""
    keys = cancelling([part.key for part in parts])
    _check_one_each([(part.table.name, key) for part, key in zip(parts, keys, strict=True)])
    if sum(item_size(part.item) for part in parts) > _TRANSACTION:
        raise validation("Transaction request cannot be larger than 4 MB")
    backend.meter.begin(factor=2.0)
    undo: list[tuple[LabTable, Key, Attributes | None, int]] = []
    reasons: list[Answer] = []
    collections: dict[str, list[Any]] = {}
    for part, key in zip(parts, keys, strict=True):
        table, before = part.table, part.table.find(key)
        streamed = len(table.stream_shard.items) if table.stream_shard else 0
        try:
            part.run()
        except AwsError as error:
            reasons.append(reason(error))
            continue
        reasons.append({"Code": "None"})
        if part.changes:
            undo.append((table, key, before, streamed))
            if found := writes.collection_metrics(table, part.item):
                collections.setdefault(table.name, []).append(found)
    if any(reason["Code"] != "None" for reason in reasons):
        for table, key, before, streamed in reversed(undo):
            table.roll_back(key, before)
            if table.stream_shard:
                del table.stream_shard.items[streamed:]
        raise _cancelled(reasons)
    return collections


def _part(backend: LabDynamoDB, entry: Answer) -> Part:
    if len(entry) != 1:
        raise validation("TransactItems can only contain one of Check, Put, Update or Delete")
    kind, op = next(iter(entry.items()))
    if kind == "Update":
        actions, condition = _update(op)
    else:
        actions, condition = [], _condition("Write", op)
    table = backend.active_table(resource_name(op["TableName"]))
    item = values.checked_all(op["Item"] if kind == "Put" else op["Key"])
    show = _shows(op)
    match kind:
        case "Put":
            return Part(table, item, lambda: writes.put(table, item, condition, show=show), whole=True)
        case "Delete":
            return Part(table, item, lambda: writes.delete(table, table.key(item), condition, show=show))
        case "Update":
            return Part(table, item, lambda: writes.update(table, item, actions, condition, show=show))
    return Part(table, item, lambda: check_only(table, table.key(item), condition, show), changes=False)


def check_only(table: LabTable, key: Key, condition: Condition, show: bool) -> None:
    before = writes.checked_for(table, key, condition, show)
    table.backend.meter.write(table, before, before, clock.now())


def consumed(backend: LabDynamoDB, answer: Answer, body: Answer, *, split: bool = False) -> None:
    detail = body.get("ReturnConsumedCapacity", "NONE")
    if detail != "NONE":
        answer["ConsumedCapacity"] = [
            tally.describe(name, detail, split=split) for name, tally in backend.meter.tallies.items()
        ]


def _charge_refused(table: LabTable, body: Answer) -> None:
    """A write refused by its condition costs what the item there would have cost."""
    item = table.find(table.key(values.checked_all(body.get("Key") or body.get("Item"))))
    table.backend.meter.write(table, item, item, clock.now())


def _latency(table: LabTable, operation: str, started: float) -> None:
    metrics.add(
        table.region_name,
        "AWS/DynamoDB",
        "SuccessfulRequestLatency",
        {"TableName": table.name, "Operation": operation},
        (time.perf_counter() - started) * 1000,
        clock.now(),
    )
