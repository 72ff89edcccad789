"""What AWS's errors mean, and the sentence that each puts on the object.

Sources: the "Errors" sections of the DynamoDB, RDS, Application Auto Scaling, KMS, EC2, Secrets Manager and SQS API references, and "Common Error
Types" of each. Codes of RDS end in Fault or not as the service likes; both are meant.
"""

from __future__ import annotations

import re

from botocore import exceptions
from botocore.parsers import ResponseParserError

from penstock.api.conditions import Reason
from penstock.engine.errors import Meaning, Trouble, unavailable

_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "ProvisionedThroughputExceededException",
    "TooManyRequestsException",
    "SlowDown",
    "ConcurrentUpdateException",
}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
    "NotAuthorized",
    "403",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN_KEY = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "AuthFailure",
}
_MISSING_KEY = {"MissingAuthenticationToken", "MissingAuthenticationTokenException"}
_BUSY = {
    "ResourceInUseException",
    "TableInUseException",
    "BackupInUseException",
    "ContinuousBackupsUnavailableException",
    "PolicyInProgressException",
    "ConflictException",
    "TransactionConflictException",
    "DBInstanceNotReady",
    "InvalidDBClusterAutomatedBackupState",
    "InvalidDBClusterEndpointState",
    "InvalidDBClusterSnapshotState",
    "InvalidDBClusterState",
    "InvalidDBInstanceAutomatedBackupState",
    "InvalidDBInstanceState",
    "InvalidDBParameterGroupState",
    "InvalidDBSnapshotState",
    "InvalidDBSubnetGroupState",
    "InvalidGlobalClusterState",
    "InvalidResourceState",
}
_ABSENT = {
    "ResourceNotFoundException",
    "TableNotFoundException",
    "BackupNotFoundException",
    "PointInTimeRecoveryUnavailableException",
    "PolicyNotFoundException",
    "ObjectNotFoundException",
    "NotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
}
_UNAVAILABLE = {
    "InternalServerError",
    "InternalServerErrorException",
    "InternalFailure",
    "InternalServiceException",
    "InternalServiceError",
    "KMSInternalException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "RequestTimeout",
    "RequestTimeoutException",
}
_LIMIT = {"LimitExceededException", "AccountLimitExceededException", "QuotaExceededException"}
_UNSUPPORTED = {
    "UnknownOperationException",
    "UnknownOperation",
    "InvalidAction",
    "UnsupportedOperationException",
    "NotImplemented",
}
# Of RDS, EC2 and Secrets Manager: families of codes that differ only in what they are about.
_ABSENT_END = ("NotFound", "NotFoundFault")
_EXISTS_END = ("AlreadyExists", "AlreadyExistsFault", "AlreadyExist", "ResourceExistsException")
_LIMIT_PART = ("QuotaExceeded", "LimitReached", "LimitExceeded")
_KEY_UNUSABLE = {"KMSKeyNotAccessibleFault", "KMSKeyNotAccessible"}

# How Werkzeug's own page begins; AWS's load balancers write others.
_PAGE_OF_500 = "<html lang=en>\\n<title>500 Internal Server Error</title>"

UNSUPPORTED = "UnsupportedOperation"
"""The code of a Trouble whose operation the endpoint does not have at all (an emulator, an old region)."""


def trouble(error: Exception, service: str, operation: str) -> Trouble:
    """The Trouble that stands for an exception of botocore."""
    action = f"{service}:{operation}"
    if isinstance(error, exceptions.ClientError):
        return _from_answer(error, action, operation)
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return Trouble(
            Meaning.DENIED,
            Reason.CREDENTIALS_MISSING,
            "The operator has no AWS credentials: give its ServiceAccount an IAM role, or name a Secret in the chart's aws.existingSecret.",
            code=type(error).__name__,
            operation=operation,
        )
    if isinstance(
        error,
        exceptions.CredentialRetrievalError | exceptions.UnauthorizedSSOTokenError | exceptions.TokenRetrievalError,
    ):
        return Trouble(
            Meaning.DENIED,
            Reason.CREDENTIALS_MISSING,
            f"The operator's AWS credentials could not be obtained: {error}",
            code=type(error).__name__,
            operation=operation,
        )
    if isinstance(error, exceptions.ParamValidationError):
        return Trouble(
            Meaning.INVALID, Reason.INVALID, f"{action} would be refused: {_flat(str(error))}", operation=operation
        )
    if isinstance(error, ResponseParserError) and _PAGE_OF_500 in str(error):
        # The same page of moto's server to a request of RDS, whose answers are XML and cannot be read with a page in their place.
        return _unsupported(action, operation)
    if isinstance(error, exceptions.EndpointConnectionError | exceptions.ConnectionError | exceptions.HTTPClientError):
        cause = f"AWS cannot be reached ({action}: {_flat(str(error))})"
    else:
        cause = f"{action} gave an answer that cannot be read ({type(error).__name__}: {_flat(str(error))})"
    return unavailable(cause, code=type(error).__name__, operation=operation)


def _unsupported(action: str, operation: str, request_id: str = "") -> Trouble:
    sentence = f"This AWS endpoint does not have {action}."
    return Trouble(
        Meaning.UNKNOWN, Reason.UNAVAILABLE, sentence, code=UNSUPPORTED, operation=operation, request_id=request_id
    )


def _from_answer(error: exceptions.ClientError, action: str, operation: str) -> Trouble:
    body = error.response.get("Error", {})
    code, message = str(body.get("Code", "")), _flat(str(body.get("Message", "")))
    answer = error.response.get("ResponseMetadata", {})
    status = int(answer.get("HTTPStatusCode", 0))
    if status == 500 and code == "500" and str(answer.get("HTTPHeaders", {}).get("server", "")).startswith("Werkzeug"):
        # moto's server answers what it does not have with its framework's own page, where AWS would name a code.
        code = "NotImplemented"
    request_id = str(answer.get("RequestId", ""))
    if code in _UNSUPPORTED:
        return _unsupported(action, operation, request_id)
    judged = _judge(code, message or f"{code or status}, without a message", status, action)
    if judged is None:
        cause = f"AWS fails on its side ({action}, {code or status})"
        return unavailable(cause, code=code, detail=message, operation=operation, request_id=request_id)
    meaning, reason, sentence = judged
    return Trouble(
        meaning,
        reason,
        sentence,
        code=code,
        detail=message,
        operation=operation,
        request_id=request_id,
    )


def _judge(code: str, message: str, status: int, action: str) -> tuple[Meaning, Reason, str] | None:
    """What the answer means; None where the service fails."""
    if code in _THROTTLED:
        return (
            Meaning.THROTTLED,
            Reason.THROTTLED,
            f"AWS throttles {action}; the operator slows down and goes on by itself.",
        )
    if code in _EXPIRED:
        return (
            Meaning.DENIED,
            Reason.CREDENTIALS_EXPIRED,
            "The operator's AWS credentials have expired: renew them (the Secret or the role that the chart names); no restart is needed for a role.",
        )
    if code in _UNKNOWN_KEY:
        return (
            Meaning.DENIED,
            Reason.ACCESS_DENIED,
            f"AWS does not know the operator's access key ({code}): check the credentials that the chart names.",
        )
    if code in _MISSING_KEY:
        return (
            Meaning.DENIED,
            Reason.CREDENTIALS_MISSING,
            "The request carried no AWS credentials: give the operator a role or a Secret with keys.",
        )
    of_rds = _judge_family(code, message, action)
    if of_rds is not None:
        return of_rds
    if code in _DENIED or status == 403:
        return (
            Meaning.DENIED,
            Reason.ACCESS_DENIED,
            f"AWS denies {action}: allow it in the operator's IAM policy. {message}".strip(),
        )
    if code in _LIMIT:
        return Meaning.BUSY, Reason.LIMIT_REACHED, f"A limit of the AWS account is reached ({action}): {message}"
    if code.removesuffix("Fault") in _BUSY:
        return Meaning.BUSY, Reason.BUSY, f"AWS is still changing it ({action}): {message}"
    if code in _ABSENT:
        return Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, f"AWS does not find it ({action}): {message}"
    if code in _UNAVAILABLE or status >= 500:
        return None
    if code == "ValidationException" or status == 400:
        return Meaning.INVALID, Reason.REFUSED, f"AWS refuses {action}: {message}"
    return Meaning.UNKNOWN, Reason.UNKNOWN, f"{action} failed with {code or status}: {message}"


def _judge_family(code: str, message: str, action: str) -> tuple[Meaning, Reason, str] | None:
    """What the name of the code alone tells; some of these come with status 403 and are no denial."""
    if code in _KEY_UNUSABLE:
        return (
            Meaning.DENIED,
            Reason.ACCESS_DENIED,
            f"The KMS key cannot be used ({action}): enable it, and let its policy allow the operator to grant RDS its use. {message}".strip(),
        )
    if code.startswith("Insufficient") and code.removesuffix("Fault").endswith("Capacity"):
        return (
            Meaning.BUSY,
            Reason.UNAVAILABLE,
            f"AWS has no capacity left for it at the moment ({action}); the operator keeps trying; another class or zone may do: {message}",
        )
    if code.endswith(_EXISTS_END):
        return Meaning.CONFLICT, Reason.ALREADY_EXISTS, f"AWS has one of that name already ({action}): {message}"
    if code.endswith(_ABSENT_END):
        return Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, f"AWS does not find it ({action}): {message}"
    if any(part in code for part in _LIMIT_PART):
        return Meaning.BUSY, Reason.LIMIT_REACHED, f"A limit of the AWS account is reached ({action}): {message}"
    return None


def _flat(text: str) -> str:
    """One line, bounded: some services answer with whole pages."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)).strip()[:300]
