"""Wrong budgets as the operator reads them: every sentence, word for word, and nothing else."""

from __future__ import annotations

import pytest

from bad_budgets import Case, cases
from penstock.api.costbudget import CostBudget
from penstock.api.parsing import parse


def _ids(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", cases("create"), ids=_ids)
def test_a_wrong_manifest_gets_its_sentences_and_no_others(case: Case) -> None:
    found = parse(case.manifest)
    assert not isinstance(found, CostBudget), "this manifest must be refused"
    assert sorted(map(str, found)) == sorted(case.says)


@pytest.mark.parametrize("case", cases("create", "allowed"), ids=_ids)
def test_a_manifest_at_the_edge_passes(case: Case) -> None:
    found = parse(case.manifest)
    assert isinstance(found, CostBudget), [str(problem) for problem in found]


def test_there_are_enough_of_them_and_none_twice() -> None:
    names = [case.name for case in cases("create")]
    assert len(set(names)) == len(names) >= 25
