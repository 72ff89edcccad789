"""Resource-based policies of a table, with revision ids."""

from __future__ import annotations

import fnmatch
import itertools
import json
import re
from typing import Any

from ..clock import clock
from ..errors import AwsError, invalid, validation
from ..request import Request
from .backend import LabDynamoDB
from .store import LabTable

_revisions = itertools.count()


def new_revision(now: float) -> str:
    return str(int(now * 1000) * 1000 + next(_revisions) % 1000)


# Developer guide, "DynamoDB API operations supported by resource-based policies", those of tables and indexes.
_ACTIONS = frozenset(
    "BatchGetItem BatchWriteItem ConditionCheckItem DeleteItem GetItem PartiQLDelete PartiQLInsert PartiQLSelect "
    "PartiQLUpdate PutItem Query Scan UpdateItem CreateBackup CreateTableReplica DeleteResourcePolicy DeleteTable "
    "DeleteTableReplica DescribeContinuousBackups DescribeContributorInsights DescribeExport "
    "DescribeKinesisStreamingDestination DescribeTable DescribeTableReplicaAutoScaling DescribeTimeToLive "
    "DisableKinesisStreamingDestination EnableKinesisStreamingDestination ExportTableToPointInTime GetResourcePolicy "
    "ListTagsOfResource PutResourcePolicy ReadDataForReplication RestoreTableToPointInTime TagResource UntagResource "
    "UpdateContinuousBackups UpdateContributorInsights UpdateKinesisStreamingDestination UpdateTable "
    "UpdateTableReplicaAutoScaling UpdateTimeToLive WriteDataForReplication".lower().split()
)
# Zero-ETL integrations and global tables over accounts; AWS refuses any other service (aws-cdk 37273).
_SERVICES = ("redshift.amazonaws.com", "replication.dynamodb.amazonaws.com")


def check_policy(policy: str) -> None:
    """Raises AwsError for what is no policy document, larger than 20 KB, or names what AWS does not know.

    The sentences on actions and principals are AWS's, from public reports (aws-cdk 32230 and 37273,
    terraform-provider-aws 42933).
    """
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
        _check_actions(_listed(statement["Action"]))
        _check_principals(statement["Principal"])


def _listed(value: Any) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value])]


def _check_actions(actions: list[str]) -> None:
    unknown = [
        action
        for action in actions
        if action != "*"
        and not (
            action.lower().startswith("dynamodb:")
            and any(fnmatch.fnmatchcase(known, action.lower().partition(":")[2]) for known in _ACTIONS)
        )
    ]
    if unknown:
        names = ", ".join(f'"{action}"' for action in unknown)
        raise invalid(f"Invalid policy document: The following action names are invalid: {names}")


def _check_principals(principal: Any) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict) or principal.keys() - {"AWS", "Service"}:
        raise invalid("Invalid policy document: A policy must contain a valid principal")
    if any(service not in _SERVICES for service in _listed(principal.get("Service") or [])):
        raise invalid("Invalid policy document: Policy contains invalid service principal")
    if not all(_exists(one) for one in _listed(principal.get("AWS") or [])):
        raise invalid("Invalid principal in policy document.")


_IDENTITY = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::(\d{12}):(root|user|role|assumed-role)(?:/(.+))?")


def _exists(principal: str) -> bool:
    """Whether IAM knows it. An account is taken to exist; its users and roles are looked up, as AWS does."""
    if principal == "*" or re.fullmatch(r"\d{12}", principal):
        return True
    parts = _IDENTITY.fullmatch(principal)
    if parts is None:
        return False
    account, kind, path = parts.groups()
    if kind == "root":
        return path is None
    from moto.iam.models import iam_backends  # half a second, for AWS's managed policies

    iam, names = iam_backends[account]["aws"], (path or "").split("/")
    if kind == "user":
        return names[-1] in iam.users
    role = names[0] if kind == "assumed-role" else names[-1]
    return any(known.name == role for known in iam.roles.values())


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
