"""What a request asks: service, operation, region, resource, and by which protocol."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import urllib.parse
from typing import Any

import orjson

from .errors import AwsError

ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"

# Signing names that differ from the name boto3 gives the client.
_CLIENT_NAMES = {
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
    "email": "ses",
    "elasticloadbalancing": "elbv2",
    "states": "stepfunctions",
}
# What the keys of role sessions begin with, on AWS and in moto.
_SESSION_KEYS = "ASIA"
_UNSIGNED_ACTIONS = {"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"}
_KEYS = (
    "TableName",
    "TargetTableName",
    "SourceTableName",
    "ResourceArn",
    "BackupArn",
    "TableArn",
    "SourceTableArn",
    "ResourceId",
    "DBInstanceIdentifier",
    "DBClusterSnapshotIdentifier",
    "DBClusterIdentifier",
    "DBSubnetGroupName",
    "DBClusterParameterGroupName",
    "DBParameterGroupName",
    "SubscriptionName",
    "ResourceName",
    "SourceIdentifier",
    "KeyId",
    "AlarmName",
    "TopicArn",
    "QueueUrl",
    "SecretId",
)


@dataclasses.dataclass(slots=True)
class Request:
    """One request. ``parameters`` is the JSON body, or the form of a query request; None for REST."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes
    service: str = ""
    operation: str = ""
    protocol: str = "rest"
    region: str = DEFAULT_REGION
    account: str = ACCOUNT
    access_key: str = ""
    signed: bool = False
    parameters: dict[str, Any] | None = None
    key: str = ""
    id: str = ""
    # Seconds that an eventually consistent read of items is to lag behind, by a stale rule.
    lag: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.service}.{self.operation}"

    @property
    def principal(self) -> str:
        return f"arn:aws:sts::{self.account}:assumed-role/lab/{self.access_key or 'anonymous'}"


_request_ids = itertools.count(int.from_bytes(os.urandom(8), "big"))
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def request_id() -> str:
    """Unique, in DynamoDB's shape: 52 upper-case letters and digits."""
    return f"{next(_request_ids):026X}"[-26:].rjust(26, "0") + "KQNSO5AEMVJF66Q9ASUAAJGPEN"


def parse(method: str, path: str, query: str, headers: dict[bytes, bytes], body: bytes) -> Request:
    """Reads the request's target. Raises AwsError SerializationException for a JSON body that is none."""
    request = Request(method, path, query, headers, body, id=request_id())
    _read_scope(request, headers.get(b"Authorization", b"").decode("latin-1"))
    target = headers.get(b"X-Amz-Target")
    if target is not None:
        prefix, _, request.operation = target.decode("latin-1").rpartition(".")
        request.protocol = "json"
        if prefix.startswith("DynamoDBStreams"):
            request.service = "dynamodbstreams"
        elif prefix == "DynamoDB_20120810":
            request.service = "dynamodb"
        request.parameters = _json(body)
        request.key = _key(request.parameters)
    elif headers.get(b"Content-Type", b"").startswith(b"application/x-www-form-urlencoded") and b"Action=" in body:
        form = dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        request.operation = form.get("Action", "")
        request.protocol = "query"
        request.parameters = form
        request.key = _key(form)
        request.signed = request.signed or request.operation in _UNSIGNED_ACTIONS
    elif path.startswith("/service/"):
        request.protocol = "cbor"
        request.operation = path.rpartition("/")[2]
    else:
        request.operation = f"{method} {path}"
        request.signed = request.signed or "X-Amz-Signature" in query or "AWSAccessKeyId" in query
    return request


def _read_scope(request: Request, authorization: str) -> None:
    # AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=…, Signature=…
    start = authorization.find("Credential=")
    if start < 0:
        return
    scope = authorization[start + 11 : authorization.find(",", start)].split("/")
    if len(scope) < 5:
        return
    request.access_key, request.region, request.signed = scope[0], scope[-3], True
    if request.access_key.startswith(_SESSION_KEYS):
        request.account = account_of(request.access_key)
    request.service = _CLIENT_NAMES.get(scope[-2], scope[-2])


@functools.lru_cache(maxsize=4096)
def account_of(access_key: str) -> str:
    """The account of a role session's key; that of the lab for a key that moto did not give out."""
    from moto.iam.models import get_account_id_from

    return str(get_account_id_from(access_key))


def _json(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        value = orjson.loads(body)
    except ValueError:
        raise AwsError("SerializationException", "Could not parse request body into json") from None
    if not isinstance(value, dict):
        raise AwsError("SerializationException", "Unexpected token received from parser")
    return value


def _key(parameters: dict[str, Any]) -> str:
    for name in _KEYS:
        value = parameters.get(name)
        if isinstance(value, str):
            return resource_name(value)
    return ""


def resource_name(value: str) -> str:
    """The table's (or resource's) name in a name, an ARN or a scalable target's id."""
    if value.startswith("arn:"):
        value = value.split(":", 5)[-1]
    if value.startswith("table/"):
        return value.split("/", 2)[1]
    return value.rpartition(":")[2]
