"""Operations on items: moto's parsing and expressions, our locks, transactions, throttling and consumed capacity."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

from moto.core.exceptions import ServiceException
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import ConditionalCheckFailed, MockValidationException
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.utilities import dynamo_to_dict
from moto.dynamodb.responses import (
    DynamoHandler,
    validate_put_has_empty_attrs,
    validate_put_has_empty_keys,
    validate_put_has_gsi_keys_set_to_none,
)
from werkzeug.exceptions import HTTPException

from ..clock import clock
from ..errors import AwsError, invalid, validation
from ..metrics import metrics
from ..request import Request, resource_name
from .backend import LabDynamoDB
from .refusals import check_enum, constraint
from .size import item_size
from .store import LabTable

_METHODS = {
    "GetItem": "get_item",
    "PutItem": "put_item",
    "UpdateItem": "update_item",
    "DeleteItem": "delete_item",
    "Query": "query",
    "Scan": "scan",
    "BatchGetItem": "batch_get_item",
    "ExecuteStatement": "execute_statement",
    "BatchExecuteStatement": "batch_execute_statement",
    "ExecuteTransaction": "execute_transaction",
}
_THROTTLED = ("ProvisionedThroughputExceededException", "ThrottlingException")


def run(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """Any single-table operation that moto knows."""
    started = time.perf_counter()
    body = dict(request.parameters or {})
    check_enum(body.get("ReturnConsumedCapacity"), "returnConsumedCapacity", ("INDEXES", "TOTAL", "NONE"))
    table = None
    if "TableName" in body:
        body["TableName"] = resource_name(body["TableName"])
        table = backend.active_table(body["TableName"])
    backend.meter.begin()
    try:
        with _as_it_was(backend, table, request.lag):
            answer = _moto(backend, request, body)
    except AwsError as error:
        if error.code == "ConditionalCheckFailedException" and table is not None:
            _charge_refused(backend, table, body)
        raise
    if request.operation == "GetItem" and table is not None:
        _charge_get(backend, table, body["Key"], bool(body.get("ConsistentRead")))
    answer.pop("ConsumedCapacity", None)
    answer.pop("ConsumedCapacityUnits", None)
    detail = body.get("ReturnConsumedCapacity", "NONE")
    if detail != "NONE" and table is not None:
        answer["ConsumedCapacity"] = backend.meter.tally(table).describe(table.name, detail)
    if table is not None:
        _latency(table, request.operation, started)
    return answer


@contextlib.contextmanager
def _as_it_was(backend: LabDynamoDB, table: LabTable | None, lag: float) -> Iterator[None]:
    """Shows a table as it was ``lag`` real seconds ago, as far back as its journal goes."""
    if table is None or not lag or table.journal_from is None:
        yield
        return
    when = max(table.journal_from, clock.now() - lag * clock.speed)
    past = copy.copy(table)
    past.fill(table.items_at(when))
    backend.tables[table.name] = past
    try:
        yield
    finally:
        backend.tables[table.name] = table


def batch_get_item(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    body = request.parameters or {}
    for name in body["RequestItems"]:
        backend.active_table(name)
    backend.meter.begin()
    answer = _moto(backend, request, body)
    unprocessed = answer.setdefault("UnprocessedKeys", {})
    for name, wanted in body["RequestItems"].items():
        table = backend.get_table(name)
        waiting = unprocessed.get(name, {}).get("Keys", [])
        for key in wanted["Keys"]:
            if key not in waiting:
                _charge_get(backend, table, key, bool(wanted.get("ConsistentRead")))
    _consumed(backend, answer, body)
    return answer


def batch_write_item(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """Each write stands alone; throttled ones come back as UnprocessedItems, unless all are."""
    body = request.parameters or {}
    wanted = [(n, next(iter(w.items()))) for n, writes in body["RequestItems"].items() for w in writes]
    if not 1 <= len(wanted) <= 25:
        raise constraint(
            len(wanted), "requestItems", "Member must have length less than or equal to 25, greater than or equal to 1"
        )
    seen = set()
    for name, (kind, write) in wanted:
        table = backend.active_table(name)
        attributes = write["Item"] if kind == "PutRequest" else write["Key"]
        _translate(_check_put, table, attributes) if kind == "PutRequest" else None
        identity = (table.name, *(json.dumps(attributes.get(k)) for k in table.table_key_attrs))
        if identity in seen:
            raise validation("Provided list of item keys contains duplicates")
        seen.add(identity)
    backend.meter.begin()
    unprocessed: dict[str, list[Any]] = {}
    refused: AwsError | None = None
    done = 0
    for name, (kind, write) in wanted:
        try:
            if kind == "PutRequest":
                _translate(backend.get_table(name).put_item, write["Item"])
            else:
                _translate(backend.delete_item, name, write["Key"])
            done += 1
        except AwsError as error:
            if error.code not in _THROTTLED:
                raise
            refused = error
            unprocessed.setdefault(name, []).append({kind: write})
    if refused is not None and not done:
        raise refused
    answer: dict[str, Any] = {"UnprocessedItems": unprocessed}
    _consumed(backend, answer, body)
    return answer


def _check_put(table: LabTable, item: dict[str, Any]) -> None:
    validate_put_has_empty_keys(
        item,
        table,
        custom_error_msg="One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
        "contain an empty string value. Key: {}",
    )
    validate_put_has_empty_attrs(item, table)
    validate_put_has_gsi_keys_set_to_none(item, table)


def transact_get_items(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    body = request.parameters or {}
    _check_transaction(body["TransactItems"])
    for entry in body["TransactItems"]:
        backend.active_table(entry["Get"]["TableName"])
    backend.meter.begin(factor=2.0)
    responses = []
    for entry in body["TransactItems"]:
        get = entry["Get"]
        one = Request("", "", "", {}, b"", service="dynamodb", operation="GetItem", region=request.region)
        answer = _moto(backend, one, {k: v for k, v in get.items() if k != "ReturnConsumedCapacity"})
        _charge_get(backend, backend.get_table(get["TableName"]), get["Key"], True)
        responses.append({"Item": answer["Item"]} if answer.get("Item") else {})
    result: dict[str, Any] = {"Responses": responses}
    _consumed(backend, result, body, split=True)
    return result


def transact_write_items(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """All or nothing. The same client token within ten minutes gives the same answer without a second effect."""
    body = request.parameters or {}
    entries = body["TransactItems"]
    _check_transaction(entries)
    token = body.get("ClientRequestToken")
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
    operations = [_operation(backend, entry) for entry in entries]
    if len({(t.name, h, r) for _, t, h, r, _ in operations}) < len(operations):
        raise validation("Transaction request cannot include multiple operations on one item")
    backend.meter.begin(factor=2.0)
    undo: list[tuple[LabTable, DynamoType, DynamoType | None, Any, int]] = []
    reasons: list[dict[str, Any]] = []
    for kind, table, hash_key, range_key, op in operations:
        before = table.get_item(hash_key, range_key)
        streamed = len(table.stream_shard.items) if table.stream_shard else 0
        reason = _attempt(backend, kind, table, op, before)
        reasons.append(reason)
        if reason["Code"] == "None" and kind != "ConditionCheck":
            undo.append((table, hash_key, range_key, before, streamed))
    if any(reason["Code"] != "None" for reason in reasons):
        for table, hash_key, range_key, before, streamed in reversed(undo):
            table.roll_back(hash_key, range_key, before)
            if table.stream_shard:
                del table.stream_shard.items[streamed:]
        codes = ", ".join(reason["Code"] for reason in reasons)
        raise AwsError(
            "TransactionCanceledException",
            f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
            CancellationReasons=reasons,
        )
    answer: dict[str, Any] = {}
    _consumed(backend, answer, body, split=True)
    if token:
        backend.transactions[token] = (now, digest, answer)
    return answer


def _check_transaction(entries: list[Any]) -> None:
    if not 1 <= len(entries) <= 100:
        raise constraint(
            len(entries),
            "transactItems",
            "Member must have length less than or equal to 100, greater than or equal to 1",
        )


def _operation(backend: LabDynamoDB, entry: dict[str, Any]) -> tuple[str, LabTable, DynamoType, Any, dict[str, Any]]:
    if len(entry) != 1:
        raise validation("TransactItems can only contain one of Check, Put, Update or Delete")
    kind, op = next(iter(entry.items()))
    table = backend.active_table(op["TableName"])
    attributes = op["Item"] if kind == "Put" else op["Key"]
    if kind == "Put":
        _translate(_check_put, table, attributes)
    missing = [name for name in table.table_key_attrs if name not in attributes]
    if missing:
        raise invalid(f"Missing the key {missing[0]} in the item")
    hash_key, range_key = backend.get_keys_value(table, attributes)
    return kind, table, hash_key, range_key, op


def _attempt(backend: LabDynamoDB, kind: str, table: LabTable, op: dict[str, Any], before: Any) -> dict[str, Any]:
    """Runs one part of a transaction; gives its cancellation reason, Code "None" when it went through."""
    names, values = op.get("ExpressionAttributeNames"), op.get("ExpressionAttributeValues")
    condition = op.get("ConditionExpression")
    try:
        if condition is not None and not _translate(get_filter_expression, condition, names, values).expr(before):
            raise AwsError("ConditionalCheckFailed", "The conditional request failed")
        match kind:
            case "Put":
                _translate(table.put_item, op["Item"])
            case "Delete":
                _translate(backend.delete_item, table.name, op["Key"])
            case "Update":
                _translate(backend.update_item, table.name, op["Key"], op["UpdateExpression"], names, values)
            case "ConditionCheck":
                backend.meter.write(table, before, before, clock.now())
    except AwsError as error:
        code = {
            "ValidationException": "ValidationError",
            "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded",
            "ThrottlingException": "ThrottlingError",
        }.get(error.code, error.code)
        reason = {"Code": code, "Message": error.message}
        if (
            code == "ConditionalCheckFailed"
            and op.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            and before is not None
        ):
            reason["Item"] = dynamo_to_dict(before.to_json()["Attributes"])
        return reason
    return {"Code": "None"}


def _consumed(backend: LabDynamoDB, answer: dict[str, Any], body: dict[str, Any], *, split: bool = False) -> None:
    answer.pop("ConsumedCapacity", None)
    detail = body.get("ReturnConsumedCapacity", "NONE")
    if detail != "NONE":
        answer["ConsumedCapacity"] = [
            tally.describe(name, detail, split=split) for name, tally in backend.meter.tallies.items()
        ]


def _charge_get(backend: LabDynamoDB, table: LabTable, key: dict[str, Any], consistent: bool) -> None:
    item = table.get_item(*backend.get_keys_value(table, key))
    backend.meter.read(table, None, item_size(item) if item is not None else 0, consistent)


def _charge_refused(backend: LabDynamoDB, table: LabTable, body: dict[str, Any]) -> None:
    """A write refused by its condition costs what the item there would have cost."""
    attributes = body.get("Key") or body.get("Item") or {}
    item = table.get_item(*backend.get_keys_value(table, attributes))
    backend.meter.write(table, item, item, clock.now())


def _latency(table: LabTable, operation: str, started: float) -> None:
    metrics.add(
        table.region_name,
        "AWS/DynamoDB",
        "SuccessfulRequestLatency",
        {"TableName": table.name, "Operation": operation},
        (time.perf_counter() - started) * 1000,
        clock.now(),
    )


def _moto(backend: LabDynamoDB, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    # Not DynamoHandler(): its set-up parses the request through Flask and the service model, 2 ms of CPU.
    handler = DynamoHandler.__new__(DynamoHandler)
    handler.body = body
    handler.region = backend.region_name
    handler.current_account = backend.account_id
    result = _translate(getattr(handler, _METHODS[request.operation]))
    return dict(dynamo_to_dict(result.result) or {})


def _translate(function: Any, *arguments: Any) -> Any:
    """Calls moto, turning its errors into ours."""
    try:
        return function(*arguments)
    except (HTTPException, ServiceException) as error:
        raise _error(error) from None
    except (ValueError, TypeError, KeyError) as error:
        # moto's expression code lets malformed input fall through to Python's own errors.
        raise validation(f"One or more parameter values were invalid: {error}") from None


def _error(error: Any) -> AwsError:
    if isinstance(error, ConditionalCheckFailed | MockValidationException) or getattr(error, "description", None):
        try:
            content = json.loads(error.description)
            code = content.pop("__type").rpartition("#")[2]
            message = content.pop("message", None) or content.pop("Message", "")
            return AwsError(code, message, int(error.code or 400), **content)
        except (ValueError, KeyError, TypeError):
            pass
    code = getattr(error, "error_type", None) or getattr(error, "code", None) or "ValidationException"
    return AwsError(str(code).rpartition("#")[2], str(getattr(error, "message", error)))
