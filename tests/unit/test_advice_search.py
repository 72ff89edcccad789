"""The search finds the cheapest shape that keeps the objectives: held against trying everything. `make bench-advice` does it 10,000 times."""

from __future__ import annotations

import random

import pytest
from advice_cases import best_cluster, best_table, breaks_table, cluster_case, keeps, price, table_case

from penstock.advice import clusters, tables
from penstock.proof.objectives import Shape, unattainable


@pytest.mark.parametrize("seed", range(0, 150))
def test_the_cheapest_cluster_is_what_trying_everything_finds(seed: int) -> None:
    question, where = cluster_case(random.Random(seed))
    found = clusters.search(question, where)
    best = best_cluster(question, where)
    if best is None:
        assert found == []
        return
    choice, cost = found[0]
    assert keeps(question, choice), choice
    assert cost.total == price(question, choice), "the price is that of the estimate"
    assert cost.total == best


@pytest.mark.parametrize("seed", range(0, 150))
def test_no_cluster_that_is_found_breaks_anything(seed: int) -> None:
    question, where = cluster_case(random.Random(1000 + seed))
    for choice, cost in clusters.search(question, where):
        assert keeps(question, choice), choice
        assert cost.total == price(question, choice)


@pytest.mark.parametrize("seed", range(0, 150))
def test_the_cheapest_table_is_what_trying_everything_finds(seed: int) -> None:
    ask = table_case(random.Random(seed))
    found = tables.search(ask)
    assert found[0][1] == best_table(ask)
    assert not any(breaks_table(ask, way) for way, _ in found)


@pytest.mark.parametrize("seed", range(150))
def test_what_is_found_can_attain_what_it_must_by_the_rules_that_objects_are_judged_by(seed: int) -> None:
    """The condition ObjectivesMet and the advisor must not disagree: a shape that is advised is none that is then called impossible."""
    question, where = cluster_case(random.Random(2000 + seed))
    spec, wanted = question.spec, question.spec.objectives
    for choice, _ in clusters.search(question, where):
        ordinals = range(1, choice.readers + 2)
        zones = [spec.instances.override(n).zone for n in ordinals]
        # Every patch gives the first reader a tier that takes over.
        shape = Shape(
            choice.readers,
            frozenset(z for z in zones if z),
            (1,) * choice.readers,
            placed=all(zones),
            pauses=choice.pauses,
        )
        assert unattainable(wanted, shape) == ()
