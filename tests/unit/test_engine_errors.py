"""Errors by meaning: how each is retried, and what the user reads."""

from __future__ import annotations

import re

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.conditions import Reason
from penstock.aws.errors import UNSUPPORTED, trouble
from penstock.engine.errors import CEILING, PACES, Meaning, Trouble, retry_delay


def answered(code: str, message: str = "", status: int = 400, operation: str = "UpdateTable") -> Trouble:
    """The Trouble for an error that AWS answered with."""
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "REQ1"},
    }
    return trouble(exceptions.ClientError(response, operation), "dynamodb", operation)  # type: ignore[arg-type]


# code, HTTP status → meaning, reason, words of the sentence
ANSWERS = [
    ("ThrottlingException", 400, Meaning.THROTTLED, Reason.THROTTLED, "throttles dynamodb:UpdateTable"),
    ("Throttling", 400, Meaning.THROTTLED, Reason.THROTTLED, "throttles"),
    ("RequestLimitExceeded", 400, Meaning.THROTTLED, Reason.THROTTLED, "throttles"),
    ("TooManyRequestsException", 429, Meaning.THROTTLED, Reason.THROTTLED, "throttles"),
    ("ProvisionedThroughputExceededException", 400, Meaning.THROTTLED, Reason.THROTTLED, "throttles"),
    ("ConcurrentUpdateException", 400, Meaning.THROTTLED, Reason.THROTTLED, "throttles"),
    ("AccessDeniedException", 400, Meaning.DENIED, Reason.ACCESS_DENIED, "IAM policy"),
    ("AccessDenied", 403, Meaning.DENIED, Reason.ACCESS_DENIED, "denies dynamodb:UpdateTable"),
    ("UnauthorizedOperation", 403, Meaning.DENIED, Reason.ACCESS_DENIED, "denies"),
    ("SomethingNew", 403, Meaning.DENIED, Reason.ACCESS_DENIED, "denies"),
    ("ExpiredTokenException", 400, Meaning.DENIED, Reason.CREDENTIALS_EXPIRED, "expired"),
    ("ExpiredToken", 403, Meaning.DENIED, Reason.CREDENTIALS_EXPIRED, "renew them"),
    ("RequestExpired", 400, Meaning.DENIED, Reason.CREDENTIALS_EXPIRED, "expired"),
    ("UnrecognizedClientException", 400, Meaning.DENIED, Reason.ACCESS_DENIED, "access key"),
    ("InvalidClientTokenId", 403, Meaning.DENIED, Reason.ACCESS_DENIED, "access key"),
    ("InvalidSignatureException", 400, Meaning.DENIED, Reason.ACCESS_DENIED, "access key"),
    ("MissingAuthenticationToken", 403, Meaning.DENIED, Reason.CREDENTIALS_MISSING, "no AWS credentials"),
    ("LimitExceededException", 400, Meaning.BUSY, Reason.LIMIT_REACHED, "limit of the AWS account"),
    ("ResourceInUseException", 400, Meaning.BUSY, Reason.BUSY, "still changing"),
    ("TableInUseException", 400, Meaning.BUSY, Reason.BUSY, "still changing"),
    ("ContinuousBackupsUnavailableException", 400, Meaning.BUSY, Reason.BUSY, "still changing"),
    ("ResourceNotFoundException", 400, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("TableNotFoundException", 400, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("BackupNotFoundException", 400, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("ObjectNotFoundException", 400, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("NotFoundException", 400, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("InternalServerError", 500, Meaning.UNAVAILABLE, Reason.UNAVAILABLE, "fails on its side"),
    ("ServiceUnavailable", 503, Meaning.UNAVAILABLE, Reason.UNAVAILABLE, "keeps trying"),
    ("InternalFailure", 500, Meaning.UNAVAILABLE, Reason.UNAVAILABLE, "fails on its side"),
    ("KMSInternalException", 500, Meaning.UNAVAILABLE, Reason.UNAVAILABLE, "fails on its side"),
    ("500", 500, Meaning.UNAVAILABLE, Reason.UNAVAILABLE, "fails on its side"),
    ("", 502, Meaning.UNAVAILABLE, Reason.UNAVAILABLE, "502"),
    ("ValidationException", 400, Meaning.INVALID, Reason.REFUSED, "refuses dynamodb:UpdateTable: the message"),
    ("SomethingNew", 400, Meaning.INVALID, Reason.REFUSED, "refuses"),
    ("UnknownOperationException", 400, Meaning.UNKNOWN, Reason.UNAVAILABLE, "does not have dynamodb:UpdateTable"),
    ("UnsupportedOperationException", 403, Meaning.UNKNOWN, Reason.UNAVAILABLE, "does not have"),
    ("DBClusterNotFoundFault", 404, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("DBInstanceNotFound", 404, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("DBSubnetGroupNotFoundFault", 404, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("DBParameterGroupNotFound", 404, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("InvalidSubnetID.NotFound", 400, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("AWS.SimpleQueueService.NonExistentQueue", 400, Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "does not find"),
    ("DBClusterAlreadyExistsFault", 400, Meaning.CONFLICT, Reason.ALREADY_EXISTS, "of that name already"),
    ("DBInstanceAlreadyExists", 400, Meaning.CONFLICT, Reason.ALREADY_EXISTS, "of that name already"),
    ("DBParameterGroupAlreadyExists", 400, Meaning.CONFLICT, Reason.ALREADY_EXISTS, "of that name already"),
    ("ResourceExistsException", 400, Meaning.CONFLICT, Reason.ALREADY_EXISTS, "of that name already"),
    ("InvalidDBClusterStateFault", 400, Meaning.BUSY, Reason.BUSY, "still changing"),
    ("InvalidDBInstanceState", 400, Meaning.BUSY, Reason.BUSY, "still changing"),
    ("InvalidDBInstanceStateFault", 400, Meaning.BUSY, Reason.BUSY, "still changing"),
    ("InvalidDBClusterSnapshotStateFault", 400, Meaning.BUSY, Reason.BUSY, "still changing"),
    ("InvalidDBParameterGroupState", 400, Meaning.BUSY, Reason.BUSY, "still changing"),
    ("DBClusterQuotaExceededFault", 403, Meaning.BUSY, Reason.LIMIT_REACHED, "limit of the AWS account"),
    ("InstanceQuotaExceeded", 400, Meaning.BUSY, Reason.LIMIT_REACHED, "limit of the AWS account"),
    ("SnapshotQuotaExceeded", 400, Meaning.BUSY, Reason.LIMIT_REACHED, "limit of the AWS account"),
    ("QuotaExceeded.DBSecurityGroup", 400, Meaning.BUSY, Reason.LIMIT_REACHED, "limit of the AWS account"),
    ("InsufficientDBInstanceCapacity", 400, Meaning.BUSY, Reason.UNAVAILABLE, "no capacity left"),
    ("InsufficientDBClusterCapacityFault", 403, Meaning.BUSY, Reason.UNAVAILABLE, "no capacity left"),
    ("KMSKeyNotAccessibleFault", 400, Meaning.DENIED, Reason.ACCESS_DENIED, "KMS key cannot be used"),
    ("InvalidParameterValue", 400, Meaning.INVALID, Reason.REFUSED, "refuses"),
    ("InvalidParameterCombination", 400, Meaning.INVALID, Reason.REFUSED, "refuses"),
    ("StorageTypeNotSupported", 400, Meaning.INVALID, Reason.REFUSED, "refuses"),
    ("InvalidVPCNetworkStateFault", 400, Meaning.INVALID, Reason.REFUSED, "refuses"),
    ("InvalidSubnet", 400, Meaning.INVALID, Reason.REFUSED, "refuses"),
    ("DBSubnetGroupDoesNotCoverEnoughAZs", 400, Meaning.INVALID, Reason.REFUSED, "refuses"),
    ("SomethingNew", 409, Meaning.UNKNOWN, Reason.UNKNOWN, "failed with SomethingNew"),
]


@pytest.mark.parametrize(("code", "status", "meaning", "reason", "words"), ANSWERS)
def test_an_answer_has_a_meaning_a_reason_and_a_sentence(
    code: str, status: int, meaning: Meaning, reason: Reason, words: str
) -> None:
    found = answered(code, "the message", status)
    assert (found.meaning, found.reason) == (meaning, reason)
    assert words in found.sentence
    assert found.operation == "UpdateTable"
    assert found.request_id == "REQ1"


@pytest.mark.parametrize(
    "code",
    ["AccessDeniedException", "LimitExceededException", "ResourceInUseException", "ResourceNotFoundException", "Other"],
)
def test_what_aws_says_is_passed_on(code: str) -> None:
    assert "Subscriber limit exceeded" in answered(code, "Subscriber limit exceeded").sentence


def test_the_code_of_an_operation_that_the_endpoint_lacks_is_always_the_same() -> None:
    assert {answered(c).code for c in ("UnknownOperationException", "InvalidAction", "NotImplemented")} == {UNSUPPORTED}
    assert answered("ValidationException").code == "ValidationException"


def test_an_html_page_becomes_one_short_line() -> None:
    page = (
        "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>Oops</h1>\n" + "<p>x</p>" * 999
    )
    found = answered("500", page, 500)
    assert found.meaning is Meaning.UNAVAILABLE
    refused = answered("ValidationException", page)
    assert not re.search(r"[<>\n]", refused.sentence)
    assert len(refused.sentence) < 400


def test_an_answer_that_is_no_json_is_taken_for_an_outage() -> None:
    found = trouble(ResponseParserError("Unable to parse response (<html>)"), "dynamodb", "DescribeTable")
    assert (found.meaning, found.reason) == (Meaning.UNAVAILABLE, Reason.UNAVAILABLE)
    assert "dynamodb:DescribeTable" in found.sentence


def test_a_page_of_an_emulator_instead_of_xml_is_an_operation_that_it_lacks() -> None:
    page = b"<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>"
    error = ResponseParserError(f"Unable to parse response (syntax error), invalid XML received:\n{page!r}")
    found = trouble(error, "rds", "DescribeDBEngineVersions")
    assert found.code == UNSUPPORTED
    assert found.sentence == "This AWS endpoint does not have rds:DescribeDBEngineVersions."
    other = ResponseParserError(
        "Unable to parse response: b'<html><body><h1>503 Service Unavailable</h1></body></html>'"
    )
    assert trouble(other, "rds", "DescribeDBClusters").meaning is Meaning.UNAVAILABLE


URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "error",
    [
        exceptions.EndpointConnectionError(endpoint_url=URL),
        exceptions.ConnectTimeoutError(endpoint_url=URL),
        exceptions.ReadTimeoutError(endpoint_url=URL),
        exceptions.ConnectionClosedError(endpoint_url=URL),
        exceptions.ProxyConnectionError(proxy_url=URL),
        exceptions.SSLError(endpoint_url=URL, error="bad certificate"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_connection_that_fails_is_an_outage(error: Exception) -> None:
    found = trouble(error, "dynamodb", "DescribeTable")
    assert (found.meaning, found.reason) == (Meaning.UNAVAILABLE, Reason.UNAVAILABLE)
    assert "cannot be reached" in found.sentence
    assert "keeps trying" in found.sentence


@pytest.mark.parametrize(
    "error",
    [
        exceptions.NoCredentialsError(),
        exceptions.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"),
        exceptions.CredentialRetrievalError(provider="web-identity", error_msg="the token file is gone"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_credentials_that_are_missing_say_where_they_come_from(error: Exception) -> None:
    found = trouble(error, "dynamodb", "DescribeTable")
    assert (found.meaning, found.reason) == (Meaning.DENIED, Reason.CREDENTIALS_MISSING)
    assert "credentials" in found.sentence
    assert found.code == type(error).__name__


def test_a_request_that_botocore_refuses_is_invalid() -> None:
    found = trouble(exceptions.ParamValidationError(report="Missing TableName"), "dynamodb", "DescribeTable")
    assert (found.meaning, found.reason) == (Meaning.INVALID, Reason.INVALID)
    assert "Missing TableName" in found.sentence


def test_anything_else_is_an_outage_and_not_a_crash() -> None:
    found = trouble(ValueError("what"), "dynamodb", "DescribeTable")
    assert found.meaning is Meaning.UNAVAILABLE
    assert "ValueError" in found.sentence


@given(st.sampled_from(Meaning), st.integers(-3, 10_000), st.floats(0, 1))
def test_a_retry_comes_within_five_minutes_and_not_at_once(meaning: Meaning, failures: int, jitter: float) -> None:
    assert 0.8 * PACES[meaning].first <= retry_delay(meaning, failures, jitter) <= CEILING


@given(st.sampled_from(Meaning), st.integers(1, 40), st.floats(0, 1))
def test_delays_double_up_to_the_ceiling_and_never_shrink(meaning: Meaning, failures: int, jitter: float) -> None:
    here, next_ = (retry_delay(meaning, n, jitter) for n in (failures, failures + 1))
    assert here <= next_ <= 2 * here + 1e-9


@pytest.mark.parametrize("meaning", Meaning)
def test_every_meaning_reaches_its_own_ceiling_and_spreads_around_it(meaning: Meaning) -> None:
    pace = PACES[meaning]
    assert retry_delay(meaning, 1, 0.5) == pace.first
    assert retry_delay(meaning, 50, 0.5) == pace.ceiling
    assert retry_delay(meaning, 1, 0.0) == pytest.approx(pace.first * 0.8)
    assert retry_delay(meaning, 1, 1.0) == pytest.approx(pace.first * 1.2)


def test_an_outage_ends_sooner_than_a_mistake_is_looked_at_again() -> None:
    assert retry_delay(Meaning.UNAVAILABLE, 1, 0.5) <= 1 < retry_delay(Meaning.INVALID, 1, 0.5)
    assert retry_delay(Meaning.THROTTLED, 99, 1) <= 73 < retry_delay(Meaning.DENIED, 99, 1)
