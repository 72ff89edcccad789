"""The published IAM policy allows exactly the AWS operations that the operator names."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import botocore.session
import pytest

ROOT = Path(__file__).parents[2]
PREFIXES = {
    "dynamodb": "dynamodb",
    "application-autoscaling": "application-autoscaling",
    "resourcegroupstaggingapi": "tag",
    "kms": "kms",
}
# Rights that AWS asks of the caller for what it does in the caller's name; no request of ours has these names.
ON_BEHALF = {
    "dynamodb": {"BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"},
    "kms": {"CreateGrant", "Decrypt", "Encrypt", "GenerateDataKey*", "ReEncrypt*"},
}
# Words that are operations of several services but are asked of DynamoDB alone.
OTHERS = {"TagResource", "UntagResource"}


def words() -> set[str]:
    """Every string literal in the operator's source."""
    return {
        node.value
        for file in (ROOT / "operator/penstock").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("service", PREFIXES)
def test_the_policy_is_what_the_operator_asks_for(service: str) -> None:
    policy = json.loads((ROOT / "manifests/aws/iam-policy.json").read_text(encoding="utf-8"))
    allowed = {
        name
        for statement in policy["Statement"]
        for prefix, _, name in (action.partition(":") for action in statement["Action"])
        if prefix == PREFIXES[service]
    }
    operations = set(botocore.session.get_session().get_service_model(service).operation_names)
    asked = operations & words() - (set() if service == "dynamodb" else OTHERS)
    assert allowed - ON_BEHALF.get(service, set()) == asked
