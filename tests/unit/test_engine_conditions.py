"""Conditions as metav1.Condition asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from penstock.api.conditions import ConditionType, Reason
from penstock.engine import conditions
from penstock.engine.conditions import Condition, find, merge, timestamp

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
READY = Condition(ConditionType.READY, True, Reason.AVAILABLE, "Table orders serves requests.")

CONDITION = st.builds(
    Condition,
    st.sampled_from(ConditionType),
    st.sampled_from([True, False, None]),
    st.sampled_from(Reason),
    st.text(max_size=30),
)


def test_a_condition_has_all_fields_of_metav1() -> None:
    assert merge([], [READY], 3, NOON) == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Available",
            "message": "Table orders serves requests.",
            "observedGeneration": 3,
            "lastTransitionTime": "2026-11-01T12:00:00Z",
        }
    ]


def test_the_time_stays_while_the_status_stays() -> None:
    first = merge([], [READY], 1, NOON)
    other = Condition(ConditionType.READY, True, Reason.UPDATING, "Another sentence.")
    second = merge(first, [other], 2, LATER)
    assert second[0]["lastTransitionTime"] == timestamp(NOON)
    assert (second[0]["reason"], second[0]["message"], second[0]["observedGeneration"]) == (
        "Updating",
        "Another sentence.",
        2,
    )


def test_the_time_moves_with_the_status() -> None:
    first = merge([], [READY], 1, NOON)
    for status, word in ((False, "False"), (None, "Unknown")):
        second = merge(first, [Condition(ConditionType.READY, status, Reason.CREATING, "")], 1, LATER)
        assert (second[0]["status"], second[0]["lastTransitionTime"]) == (word, timestamp(LATER))


def test_a_condition_that_is_no_longer_wanted_goes_and_the_order_is_that_of_the_wanted() -> None:
    synced = Condition(ConditionType.SYNCED, True, Reason.IN_SYNC, "")
    first = merge([], [READY, synced], 1, NOON)
    assert [c["type"] for c in merge(reversed(first), [synced], 1, LATER)] == ["Synced"]
    assert [c["type"] for c in merge(reversed(first), [READY, synced], 1, LATER)] == ["Ready", "Synced"]


@given(st.lists(CONDITION, unique_by=lambda c: c.type), st.integers(0, 9))
def test_the_same_said_again_is_byte_for_byte_the_same(wanted: list[Condition], generation: int) -> None:
    first = merge([], wanted, generation, NOON)
    assert merge(first, wanted, generation, LATER) == first


def test_what_stands_there_may_be_damaged() -> None:
    damaged = ["text", {}, {"type": "Ready"}, {"type": "Ready", "status": "True"}]
    assert merge(damaged, [READY], 1, NOON)[0]["lastTransitionTime"] == timestamp(NOON)


def test_a_message_is_bounded() -> None:
    long = Condition(ConditionType.READY, False, Reason.REFUSED, "x" * 100_000)
    assert len(merge([], [long], 1, NOON)[0]["message"]) == conditions.MESSAGE_LIMIT


def test_a_timestamp_is_utc_with_whole_seconds() -> None:
    assert timestamp(datetime(2026, 1, 1, 1, 30, 15, 999_999, timezone(timedelta(hours=1)))) == "2026-01-01T00:30:15Z"


def test_find() -> None:
    status = {"conditions": ["text", *merge([], [READY], 1, NOON)]}
    found = find(status, "Ready")
    assert found is not None
    assert found["reason"] == "Available"
    assert find(status, "Synced") is None
    assert find({}, "Ready") is None
    assert find({"conditions": None}, "Ready") is None
