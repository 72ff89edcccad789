"""Values that people write as text: durations, sizes and money.

Each type is the text as written (a `str`, so that it goes back unchanged) with its meaning in `.value`. Reading
`.value` of a text that breaks the type's rule raises ValueError with the sentence that says what to write instead;
texts that went through `parsing.parse` hold the rule.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from penstock.api.model import Says, matching


class _Written(str):
    """A text with a rule and a meaning."""

    says: ClassVar[Says]
    max_length: ClassVar[int] = 32
    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(strict=True, max_length=cls.max_length)
        return core_schema.no_info_after_validator_function(cls, text)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "maxLength": cls.max_length, "x-kubernetes-validations": [cls.says.cel_rule()]}

    def _held(self) -> str:
        if not self.says.holds(self):
            raise ValueError(f"{str(self)!r} {self.says.sentence}")
        return self


class Duration(_Written):
    """A length of time as Kubernetes writes it (Go's time.ParseDuration): `9ms`, `30s`, `5m`, `1h30m`."""

    __slots__ = ()
    says = matching(
        r"([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h))+",
        'must be a duration made of numbers with the units ms, s, m or h, for example "9ms", "30s" or "1h30m"',
    )
    _unit: ClassVar[dict[str, float]] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}

    @property
    def value(self) -> timedelta:
        """The length; raises ValueError with a sentence when the text is no duration."""
        parts = re.findall(r"([0-9.]+)(ms|s|m|h)", self._held())
        return timedelta(seconds=sum(float(number) * self._unit[unit] for number, unit in parts))


_BINARY: Final = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL: Final = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


class Quantity(_Written):
    """A size in bytes as a Kubernetes quantity: `512`, `1Ki`, `10Gi`, `1.5G` (Kubernetes API reference, Quantity)."""

    __slots__ = ()
    says = matching(
        r"[0-9]{1,18}(\.[0-9]{1,9})?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?",
        'must be a size in bytes with an optional unit (Ki, Mi, Gi, Ti or k, M, G, T), for example "1Ki" or "10Gi"',
    )

    @property
    def value(self) -> int:
        """The size in bytes, rounded up; raises ValueError with a sentence when the text is no size."""
        held = self._held()
        number = held.rstrip("KMGTPik")
        exact = Decimal(number) * (_BINARY | _DECIMAL)[held[len(number) :]]
        return int(exact.to_integral_value(rounding="ROUND_CEILING"))


class Money(_Written):
    """An amount of US dollars as a decimal text: `20`, `20.50`. Text, because JSON's floats do not hold cents."""

    __slots__ = ()
    says = matching(
        r"[0-9]{1,12}(\.[0-9]{1,6})?",
        'must be an amount of US dollars in digits and not negative, for example "20" or "20.50"',
    )

    @property
    def value(self) -> Decimal:
        """The amount in US dollars; raises ValueError with a sentence when the text is no amount."""
        return Decimal(self._held())
