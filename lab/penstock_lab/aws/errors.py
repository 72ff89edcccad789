"""Errors as AWS answers them, in the form of the protocol that the request came in."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

# Faults of the front end that AWS services share carry the framework's namespace, not the service's own.
_COMMON = {
    "ValidationException": "com.amazon.coral.validate#",
    "AccessDeniedException": "com.amazon.coral.service#",
    "ExpiredTokenException": "com.amazon.coral.service#",
    "MissingAuthenticationTokenException": "com.amazon.coral.service#",
    "UnrecognizedClientException": "com.amazon.coral.service#",
    "SerializationException": "com.amazon.coral.service#",
    "UnknownOperationException": "com.amazon.coral.service#",
    "InternalFailure": "com.amazon.coral.service#",
}

# What query services (RDS, STS, SNS …) call the same things; from "Common errors" of their API references.
_QUERY_NAMES = {
    "ExpiredTokenException": ("ExpiredToken", 403),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "AccessDeniedException": ("AccessDenied", 403),
    "UnknownOperationException": ("InvalidAction", 400),
    "InternalServerError": ("InternalFailure", 500),
    "ThrottlingException": ("Throttling", 400),
}


class AwsError(Exception):
    """An answer that is an error: ``code`` without namespace, AWS's sentence, the HTTP status, further members."""

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members


def validation(message: str) -> AwsError:
    """DynamoDB's answer to a request that can never be right."""
    return AwsError("ValidationException", message)


def invalid(detail: str) -> AwsError:
    """The same, with the opening words that DynamoDB uses for parameters."""
    return validation(f"One or more parameter values were invalid: {detail}")


def json_error(error: AwsError, namespace: str = "") -> bytes:
    """The body of an error in the JSON 1.0 and 1.1 protocols; ``namespace`` as in ``com.amazonaws.dynamodb.v20120810``."""
    code = error.code
    if "#" not in code:
        code = (_COMMON.get(code) or (f"{namespace}#" if namespace else "")) + code
    # The framework's own errors spell it "Message" for some services; SDKs read both, DynamoDB uses lower case.
    return json.dumps({"__type": code, "message": error.message, **error.members}).encode()


def query_error(error: AwsError, request_id: str) -> tuple[int, bytes]:
    """Status and body of an error in the query protocol."""
    code, status = _QUERY_NAMES.get(error.code, (error.code, error.status))
    side = "Receiver" if status >= 500 else "Sender"
    return status, (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<ErrorResponse><Error><Type>{side}</Type><Code>{escape(code)}</Code>"
        f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def rest_xml_error(error: AwsError, request_id: str) -> bytes:
    """The body of an error in the REST-XML protocol (S3)."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        f"<RequestId>{request_id}</RequestId></Error>"
    ).encode()
