"""Resource-based policies of a table, with revision ids."""

from __future__ import annotations

import itertools
import json
from typing import Any

from ..clock import clock
from ..errors import AwsError, validation
from ..request import Request
from .backend import LabDynamoDB
from .store import LabTable

_revisions = itertools.count()


def new_revision(now: float) -> str:
    return str(int(now * 1000) * 1000 + next(_revisions) % 1000)


def check_policy(policy: str) -> None:
    """Raises AwsError for what is no policy document, or larger than 20 KB."""
    if len(policy.encode()) > 20 * 1024:
        raise AwsError("LimitExceededException", "The resource policy exceeds the maximum size of 20 KB")
    try:
        document = json.loads(policy)
    except ValueError:
        raise validation("Invalid resource-based policy: the policy is not valid JSON") from None
    if not isinstance(document, dict) or not document.get("Statement") or "Version" not in document:
        raise validation("Invalid resource-based policy: a policy has a Version and at least one Statement")
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    for statement in statements:
        missing = [n for n in ("Effect", "Principal", "Action") if n not in statement]
        if missing or statement["Effect"] not in ("Allow", "Deny"):
            raise validation(
                f"Invalid resource-based policy: a statement lacks {', '.join(missing) or 'a valid Effect'}"
            )


def _table(backend: LabDynamoDB, arn: str) -> LabTable:
    try:
        return backend.get_table(arn)
    except AwsError:
        raise AwsError(
            "ResourceNotFoundException", f"Requested resource not found: Table: {arn.rpartition('/')[2]} not found"
        ) from None


def _not_found(arn: str, detail: str = "") -> AwsError:
    return AwsError(
        "PolicyNotFoundException", f"Resource-based policy not found for the provided ResourceArn: {detail or arn}"
    )


def _check_expected(table: LabTable, arn: str, expected: str | None) -> None:
    if expected is None:
        return
    current = table.policy[1] if table.policy else None
    if (expected == "NO_POLICY" and current) or (expected != "NO_POLICY" and expected != current):
        raise _not_found(
            arn,
            f"Requested policy update expecting {'none' if expected == 'NO_POLICY' else f'revision id {expected}'} to "
            f"be present for table {table.name}, but "
            + (f"a policy exists with revision id {current}." if current else "no policy exists."),
        )


def put_resource_policy(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    arn = parameters["ResourceArn"]
    table = _table(backend, arn)
    check_policy(parameters["Policy"])
    _check_expected(table, arn, parameters.get("ExpectedRevisionId"))
    if table.policy is None or table.policy[0] != parameters["Policy"]:
        table.policy = (parameters["Policy"], new_revision(clock.now()))
    return {"RevisionId": table.policy[1]}


def get_resource_policy(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    arn = request.parameters["ResourceArn"]
    table = _table(backend, arn)
    if table.policy is None:
        raise _not_found(arn)
    return {"Policy": table.policy[0], "RevisionId": table.policy[1]}


def delete_resource_policy(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """Idempotent, unless a revision is expected."""
    parameters = request.parameters or {}
    arn = parameters["ResourceArn"]
    table = _table(backend, arn)
    _check_expected(table, arn, parameters.get("ExpectedRevisionId"))
    if table.policy is None:
        return {}
    revision, table.policy = table.policy[1], None
    return {"RevisionId": revision}
