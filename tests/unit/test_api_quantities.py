"""Durations, sizes and money: what the texts mean, and that a text which passes the rule always has a meaning."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.quantities import Duration, Money, Quantity


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("9ms", timedelta(milliseconds=9)),
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5s", timedelta(milliseconds=1500)),
        ("0s", timedelta()),
    ],
)
def test_durations(text: str, meaning: timedelta) -> None:
    assert Duration(text).value == meaning


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("512", 512),
        ("1Ki", 1024),
        ("10Gi", 10 * 2**30),
        ("1.5G", 1_500_000_000),
        ("1k", 1000),
        ("2M", 2_000_000),
        ("0.1Ki", 103),  # rounded up: a size is never understated
    ],
)
def test_sizes(text: str, meaning: int) -> None:
    assert Quantity(text).value == meaning


@pytest.mark.parametrize(("text", "meaning"), [("20", Decimal(20)), ("20.50", Decimal("20.5")), ("0", Decimal(0))])
def test_money(text: str, meaning: Decimal) -> None:
    assert Money(text).value == meaning


@pytest.mark.parametrize(
    ("kind", "text"),
    [(Duration, t) for t in ("", "9", "fast", "9 ms", "-1s", "1d", "9ms\n")]
    + [(Quantity, t) for t in ("", "small", "-1", "1KB", "1 Gi", "Gi")]
    + [(Money, t) for t in ("", "twenty", "$20", "-1", "20,50", "1e3", "20 USD")],
)
def test_what_is_none_says_what_to_write(kind: type[Duration | Quantity | Money], text: str) -> None:
    with pytest.raises(ValueError, match=r"must be .*for example"):
        _ = kind(text).value


@pytest.mark.parametrize("kind", [Duration, Quantity, Money])
@given(text=st.text(alphabet="0123456789.msh KMGiTP-$", max_size=12))
def test_every_text_that_passes_has_a_meaning(kind: type[Duration | Quantity | Money], text: str) -> None:
    if kind.says.holds(text):
        assert kind(text).value >= type(kind(text).value)(0)
