"""Forms that AWS settles for every service, and Penstock for every kind: regions, keys, times, tags, deletion policies."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field, StrictStr

from penstock.api.model import Says, matching
from penstock.api.quantities import Duration

MAX_TAGS: Final = 48
"""AWS allows 50 tags on a resource; Penstock keeps two of them for its own."""


class DeletionPolicy(StrEnum):
    """What becomes of the AWS resource when the object is deleted."""

    SNAPSHOT = "Snapshot"
    RETAIN = "Retain"
    DELETE = "Delete"


RATE = Says(
    "self >= 0.0 && self <= 1000000000.0",
    lambda rate: 0 <= rate <= 10**9,
    "must not be negative, and at most 1000000000 a second",
)
SHARE = Says(
    "self >= 0.0 && self <= 1.0",
    lambda share: 0 <= share <= 1,
    "must be a share from 0 to 1, for example 0.25 for a quarter",
)
REGION = matching(r"[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}", 'must be an AWS region, for example "us-east-1"')
TIME = matching(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})",
    'must be a time in RFC 3339, for example "2026-11-01T12:00:00Z"',
)


def lasting(low: str, high: str, sentence: str) -> Says:
    """The rule that a duration lies between two others; one that is no duration has its own sentence."""
    # CEL's durations end at about 290 years, and a text without a bound would be an error without a sentence.
    short = r"^([0-9]{1,6}(\\.[0-9]{1,9})?(ms|s|m|h))+$"
    least, most = Duration(low).value, Duration(high).value

    def holds(text: Duration) -> bool:
        try:
            return least <= text.value <= most
        except OverflowError:
            return False
        except ValueError:
            return True

    form = Duration.says.cel
    cel = f"!{form} || (self.matches('{short}') && duration(self) >= duration('{low}') && duration(self) <= duration('{high}'))"
    return Says(cel, holds, sentence)


def kms_key(example: str, default: str) -> Says:
    """The rule of a KMS key's name (AWS KMS API reference, "KeyId"). default: whose key an absent field means."""
    return matching(
        r"alias/[a-zA-Z0-9/_-]{1,250}"
        r"|(mrk-[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
        r"|arn:aws[a-z-]{0,20}:kms:[a-z0-9-]{1,30}:[0-9]{12}:(key|alias)/[a-zA-Z0-9/_-]{1,250}",
        f'must be a KMS alias ("{example}"), a key id, or the ARN of one of them; leave it out for {default}',
    )


_TAG_SIGNS: Final = "_.:/=+-@"


def _tag_text(text: str) -> bool:
    """RDS and DynamoDB API references, Tag: letters, spaces and digits of every script, and a few signs."""
    return all(c in _TAG_SIGNS or unicodedata.category(c)[0] in "LNZ" for c in text)


def _tag_characters(tags: dict[str, Any]) -> bool:
    return all(_tag_text(key) and (not isinstance(value, str) or _tag_text(value)) for key, value in tags.items())


_TAG_CEL: Final = r"matches('^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]*$')"
TagValue = Annotated[StrictStr, Field(max_length=256)]
Tags = Annotated[
    dict[StrictStr, TagValue],
    Field(max_length=MAX_TAGS),
    Says(
        "self.all(k, size(k) >= 1 && size(k) <= 128)",
        lambda tags: all(1 <= len(key) <= 128 for key in tags),
        "must have keys of 1 to 128 characters",
    ),
    Says(
        "self.all(k, !k.lowerAscii().startsWith('aws:'))",
        lambda tags: not any(key.lower().startswith("aws:") for key in tags),
        'must not have keys that begin with "aws:": AWS keeps that prefix for itself',
    ),
    Says(
        f"self.all(k, k.{_TAG_CEL} && self[k].{_TAG_CEL})",
        _tag_characters,
        "must have keys and values of letters, digits, spaces and the signs _ . : / = + - @, as AWS allows",
    ),
    Says(
        "self.all(k, !k.startsWith('penstock.dev/'))",
        lambda tags: not any(key.startswith("penstock.dev/") for key in tags),
        'must not have keys that begin with "penstock.dev/": Penstock keeps that prefix for itself',
    ),
]
"""AWS tags that users set (Tagging AWS resources, "Tag naming limits and requirements")."""
