"""docs/iam-policy.json allows exactly what the operator calls, and what AWS checks behind those calls."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest

ROOT = Path(__file__).parents[2]
POLICY = json.loads((ROOT / "docs" / "iam-policy.json").read_text())

# botocore's service name → the prefix of its actions (Service Authorization Reference). An operation that several have is of the first of them.
PREFIXES = {
    "dynamodb": "dynamodb",
    "rds": "rds",
    "application-autoscaling": "application-autoscaling",
    "resourcegroupstaggingapi": "tag",
    "kms": "kms",
    "sqs": "sqs",
    "cloudwatch": "cloudwatch",
    "secretsmanager": "secretsmanager",
    "pricing": "pricing",
    "ce": "ce",
}
# Actions that are not called as their operation is (Service Authorization Reference).
ACTIONS = {"sqs:DeleteMessageBatch": "sqs:DeleteMessage"}

# Never called by the operator, checked by AWS on its behalf: the call that needs it, and where AWS says so.
CHECKED_BY_AWS = {
    # DynamoDB guide, "Using IAM with DynamoDB backup and restore": read and write permissions on the target table.
    "dynamodb:BatchWriteItem": "RestoreTableFromBackup",
    "dynamodb:DeleteItem": "RestoreTableFromBackup",
    "dynamodb:GetItem": "RestoreTableFromBackup",
    "dynamodb:PutItem": "RestoreTableFromBackup",
    "dynamodb:Query": "RestoreTableFromBackup",
    "dynamodb:Scan": "RestoreTableFromBackup",
    "dynamodb:UpdateItem": "RestoreTableFromBackup",
    # Application Auto Scaling guide, "Permissions validation for API calls on target resources".
    "cloudwatch:DeleteAlarms": "DeregisterScalableTarget",
    "cloudwatch:DescribeAlarms": "PutScalingPolicy",
    "cloudwatch:PutMetricAlarm": "PutScalingPolicy",
    # The same guide, "Service-linked roles", and the DynamoDB guide, "Using IAM with CloudWatch Contributor Insights".
    "iam:CreateServiceLinkedRole": "RegisterScalableTarget",
    # DynamoDB guide, "DynamoDB encryption at rest: usage notes", on customer managed keys.
    "kms:CreateGrant": "CreateTable",
    "kms:Decrypt": "CreateTable",
    "kms:Encrypt": "CreateTable",
    "kms:GenerateDataKey*": "CreateTable",
    "kms:ReEncrypt*": "CreateTable",
    # Service Authorization Reference, "Actions, resources, and condition keys for Amazon RDS", dependent actions.
    "rds:CreateDBClusterSnapshot": "DeleteDBCluster",
    # Aurora guide, "Password management with Amazon Aurora and AWS Secrets Manager", permissions.
    "secretsmanager:CreateSecret": "CreateDBCluster",
    "secretsmanager:TagResource": "CreateDBCluster",
}


def called() -> set[str]:
    """Every operation that stands as a literal, or as a text with gaps, where calls and steps are made, as an IAM action."""
    nodes = [node for file in _sources() for node in ast.walk(ast.parse(file.read_text()))]
    literals = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    gapped = re.compile("|".join({p for node in nodes if isinstance(node, ast.JoinedStr) and (p := _pattern(node))}))
    session = botocore.session.get_session()
    owner: dict[str, str] = {}
    for service, prefix in PREFIXES.items():
        for operation in session.get_service_model(service).operation_names:
            owner.setdefault(operation, prefix)
    found = {
        f"{prefix}:{operation}"
        for operation, prefix in owner.items()
        if operation in literals or gapped.fullmatch(operation)
    }
    return {ACTIONS.get(action, action) for action in found}


def _pattern(text: ast.JoinedStr) -> str:
    """What an f-string such as f"Modify{kind}ParameterGroup" matches; '' for one that is no operation's name."""
    first, last = text.values[0], text.values[-1]
    ends = (
        isinstance(part, ast.Constant) and re.fullmatch("[A-Z][A-Za-z]+", str(part.value)) for part in (first, last)
    )
    if len(text.values) < 2 or not all(ends):
        return ""
    return "".join(str(p.value) if isinstance(p, ast.Constant) else "[A-Za-z]*" for p in text.values)


def _sources() -> Iterator[Path]:
    """The kinds, and of aws/ what calls: account.py names operations only to pace them."""
    package = ROOT / "operator" / "penstock"
    for folder in package.iterdir():
        if folder.is_dir() and folder.name not in ("api", "engine"):
            yield from (file for file in folder.rglob("*.py") if file != package / "aws" / "account.py")


def statements() -> Iterator[tuple[str, dict[str, object]]]:
    for statement in POLICY["Statement"]:
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            yield action, statement


def test_everything_called_is_allowed_and_nothing_else():
    allowed = {action for action, _ in statements()}
    assert called() - allowed == set(), "the operator calls what docs/iam-policy.json does not allow"
    assert allowed - called() - set(CHECKED_BY_AWS) == set(), "docs/iam-policy.json allows what nothing calls"
    assert set(CHECKED_BY_AWS) <= allowed


def test_what_aws_checks_is_checked_for_a_call_that_is_made():
    operations = {action.partition(":")[2] for action in called()}
    assert set(CHECKED_BY_AWS.values()) <= operations


def test_the_search_finds_calls_of_every_service():
    assert {action.partition(":")[0] for action in called()} == set(PREFIXES.values())
    assert {"rds:DescribeDBClusters", "rds:ResetDBParameterGroup", "sqs:DeleteMessage"} <= called()
    assert {"dynamodb:CreateTable", "dynamodb:RestoreTableToPointInTime", "kms:DescribeKey"} <= called()


def test_every_call_that_is_paced_by_itself_is_known_to_botocore():
    from penstock.aws.account import OPERATION_LIMITS

    session = botocore.session.get_session()
    for service, operation in OPERATION_LIMITS:
        assert operation in session.get_service_model(service).operation_names


@pytest.mark.parametrize("sid", [s["Sid"] for s in POLICY["Statement"]])
def test_a_statement_is_narrow(sid):
    statement = next(s for s in POLICY["Statement"] if s["Sid"] == sid)
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    assert actions == sorted(set(actions))
    assert not any(action.endswith(":*") for action in actions)
    # Only what AWS offers no resource for may name them all.
    assert statement["Resource"] != "*" or sid in ("Lists", "Autoscaling", "Metrics", "Bills")
