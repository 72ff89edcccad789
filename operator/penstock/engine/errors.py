"""Errors by meaning, not by code: what an error asks of the operator decides how it is retried and what the user is told.

Nothing is final. Every meaning has a pace; the pace grows with consecutive failures of the same object and is capped at five minutes, since a
person may repair the cause (an IAM policy, a key, a quota) at any time and should not have to restart anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.api.conditions import Reason


class Meaning(StrEnum):
    """What an error asks for.

    Invalid: the user must edit the object. Denied: credentials or permissions. Missing: a dependency is not there yet.
    Busy: AWS is changing the resource. Throttled: slow down. Unavailable: the service or the network fails.
    Conflict: the resource exists but is not ours. Unknown: none of these.
    """

    INVALID = "Invalid"
    DENIED = "Denied"
    MISSING = "Missing"
    BUSY = "Busy"
    THROTTLED = "Throttled"
    UNAVAILABLE = "Unavailable"
    CONFLICT = "Conflict"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Pace:
    """First delay and ceiling in seconds; between them the delay doubles with each consecutive failure."""

    first: float
    ceiling: float


CEILING = 300.0

PACES: dict[Meaning, Pace] = {
    Meaning.INVALID: Pace(60, CEILING),
    Meaning.DENIED: Pace(5, CEILING),
    Meaning.MISSING: Pace(5, 60),
    Meaning.BUSY: Pace(2, 60),
    Meaning.THROTTLED: Pace(1, 60),
    Meaning.UNAVAILABLE: Pace(1, 60),
    Meaning.CONFLICT: Pace(30, CEILING),
    Meaning.UNKNOWN: Pace(2, CEILING),
}


def retry_delay(meaning: Meaning, failures: int, jitter: float) -> float:
    """Seconds until the next try.

    failures: consecutive failed passes, 1 for the first. jitter: a number in 0..1; the delay is spread over 80-120 % of its nominal value so that
    a thousand objects that failed together do not come back together.
    """
    pace = PACES[meaning]
    nominal = min(pace.ceiling, pace.first * 2 ** min(max(failures, 1) - 1, 16))
    return float(min(CEILING, nominal * (0.8 + 0.4 * jitter)))


class Trouble(Exception):  # noqa: N818  (it is told to users as a condition far more often than it is raised to a caller)
    """Something that keeps an object from its desired state, with the sentence that goes on the object.

    meaning: how it is retried. reason: a condition reason (CamelCase, from the closed list in penstock.api.conditions). sentence: what happened and
    what to do about it. code, detail, request_id: AWS's own error code, message and request id; rules match these, never the sentence.
    cause: what happened without the promise of a retry, for a command that does not retry. retry_after: seconds, when the cause says when it
    ends (the TTL hour, say).
    """

    def __init__(
        self,
        meaning: Meaning,
        reason: str,
        sentence: str,
        *,
        code: str = "",
        detail: str = "",
        operation: str = "",
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(sentence)
        self.meaning = meaning
        self.reason = reason
        self.sentence = sentence
        self.code = code
        self.detail = detail
        self.operation = operation
        self.request_id = request_id
        self.cause = sentence
        self.retry_after = retry_after

    def reworded(
        self,
        sentence: str,
        *,
        meaning: Meaning | None = None,
        reason: str | None = None,
        retry_after: float | None = None,
    ) -> Trouble:
        """The same error of AWS under another sentence; meaning and reason as they are where none is given."""
        return Trouble(
            meaning or self.meaning,
            reason or self.reason,
            sentence,
            code=self.code,
            detail=self.detail,
            operation=self.operation,
            request_id=self.request_id,
            retry_after=retry_after,
        )


def unavailable(cause: str, *, code: str = "", detail: str = "", operation: str = "", request_id: str = "") -> Trouble:
    """The service or the network fails. cause: what happened, a clause without its full stop."""
    found = Trouble(
        Meaning.UNAVAILABLE,
        Reason.UNAVAILABLE,
        f"{cause}; the operator keeps trying.",
        code=code,
        detail=detail,
        operation=operation,
        request_id=request_id,
    )
    found.cause = f"{cause}."
    return found
