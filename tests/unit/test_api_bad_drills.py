"""Wrong drills as the operator reads them: every sentence, word for word, and nothing else."""

from __future__ import annotations

import pytest

from bad_drills import Case, cases
from penstock.api.failoverdrill import FailoverDrill
from penstock.api.model import refused_changes
from penstock.api.parsing import parse


def _ids(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", cases("create"), ids=_ids)
def test_a_wrong_manifest_gets_its_sentences_and_no_others(case: Case) -> None:
    found = parse(case.manifest)
    assert not isinstance(found, FailoverDrill), "this manifest must be refused"
    assert sorted(map(str, found)) == sorted(case.says)


@pytest.mark.parametrize("case", cases("create", "allowed"), ids=_ids)
def test_a_manifest_at_the_edge_passes(case: Case) -> None:
    found = parse(case.manifest)
    assert isinstance(found, FailoverDrill), [str(problem) for problem in found]


@pytest.mark.parametrize("table", ["create", "update"])
def test_the_good_manifest_passes(table: str) -> None:
    assert isinstance(parse(cases(table)[0].good), FailoverDrill)


def test_there_are_enough_of_them_and_none_twice() -> None:
    names = [case.name for case in cases("create")]
    assert len(set(names)) == len(names) >= 30


@pytest.mark.parametrize("section", ["cases", "allowed"])
def test_an_edit_of_an_immutable_field_gets_its_sentence_and_another_passes(section: str) -> None:
    for case in cases("update", section):
        new, old = parse(case.manifest), parse(case.good)
        assert isinstance(new, FailoverDrill)
        assert isinstance(old, FailoverDrill)
        assert sorted(str(problem) for problem in refused_changes(new, old)) == sorted(case.says), case.name
