"""Whether a writer was lost with its zone: who is asked, what counts as known, and which failover it explains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from penstock.api.auroracluster_status import Cause
from penstock.aurora import zones
from penstock.aurora.failovers import Failover
from penstock.aurora.zones import Loss, There
from penstock.postgres.record import Outage, Picture

NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
DOWN = Outage(NOON, NOON, before="a-1")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def there(*instances: str, deaf: tuple[str, ...] = (), asked: float | None = 5, **more: object) -> There:
    when = None if asked is None else at(asked)
    return There(frozenset(instances), Picture(reached=True, deaf=frozenset(deaf), asked=when, **more))  # type: ignore[arg-type]


LOST = there("a-1", deaf=("a-1",), outages=(DOWN,))


def test_a_zone_is_lost_when_everybody_in_it_was_asked_since_and_is_silent() -> None:
    assert zones.lost((LOST, there("b-2", deaf=("b-2",))), NOON)
    assert zones.lost((there("a-1", "a-3", deaf=("a-1", "a-3")),), NOON)


def test_one_that_answers_one_that_serves_and_one_alone_are_no_zone() -> None:
    silent = there("b-2", deaf=("b-2",))
    assert not zones.lost((LOST,), NOON)
    assert not zones.lost((LOST, silent, there("c-1")), NOON)
    assert not zones.lost((LOST, silent, there("c-1", deaf=("c-1",), serving="c-1")), NOON)


def test_what_was_known_before_the_outage_is_asked_again_and_proves_nothing() -> None:
    old = there("b-2", deaf=("b-2",), asked=-1)
    never = there("c-2", asked=None)
    assert not zones.lost((LOST, old), NOON)
    assert zones.to_ask((LOST, old, never), NOON) == (1, 2)


def test_the_outage_that_is_judged_lasts_or_has_just_ended() -> None:
    over = Outage(NOON, NOON, at(10))
    assert zones.outage(Picture(), at(1)) is None
    assert zones.outage(Picture(outages=(over, DOWN)), at(500)) is DOWN
    assert zones.outage(Picture(outages=(over,)), at(20)) is over
    assert zones.outage(Picture(outages=(over,)), at(60)) is None


def test_only_the_failover_that_it_was_is_told_as_a_loss_of_the_zone() -> None:
    def failover(started: float, cause: Cause = Cause.AWS, from_: str = "a-1") -> Failover:
        return Failover(at(started), from_, "a-2", at(started + 20), cause)

    told = (
        failover(2),
        failover(2, Cause.UNKNOWN),
        failover(2, Cause.DRILL),
        failover(2, from_="b-1"),
        failover(-1800),
    )
    explained = zones.explained(told, (Loss("a-1", NOON),))
    assert [f.cause for f in explained] == [Cause.ZONE_LOSS, Cause.ZONE_LOSS, Cause.DRILL, Cause.AWS, Cause.AWS]
    assert zones.explained(told, ()) == told


def test_it_is_undecided_only_while_an_answer_may_still_show_it() -> None:
    silent, unasked = there("b-2", deaf=("b-2",)), there("c-2", asked=None)
    assert zones.undecided((LOST, unasked), NOON)
    assert zones.undecided((LOST, silent, unasked), NOON)
    assert not zones.undecided((LOST, silent), NOON), "all were asked"
    assert not zones.undecided((LOST, there("b-2"), unasked), NOON), "one answered"
    assert not zones.undecided((LOST, there("b-2", asked=None, serving="b-2"), unasked), NOON), "one serves"
