"""Wrong manifests as `penstock plan -f` and the operator read them: every sentence, word for word, and nothing else."""

from __future__ import annotations

import pytest

from bad_tables import Case, cases
from penstock.api.dynamotable import DynamoTable
from penstock.api.model import refused_changes
from penstock.api.parsing import parse


def _ids(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", cases("create"), ids=_ids)
def test_a_wrong_manifest_gets_its_sentences_and_no_others(case: Case) -> None:
    found = parse(case.manifest)
    assert not isinstance(found, DynamoTable), "this manifest must be refused"
    assert sorted(map(str, found)) == sorted(case.says)


@pytest.mark.parametrize("table", ["create", "update"])
def test_the_good_manifest_passes(table: str) -> None:
    assert isinstance(parse(cases(table)[0].good), DynamoTable)


def _changed(case: Case) -> list[str]:
    new, old = parse(case.manifest), parse(case.good)
    assert isinstance(new, DynamoTable)
    assert isinstance(old, DynamoTable)
    return [str(problem) for problem in refused_changes(new, old)]


@pytest.mark.parametrize("case", cases("update"), ids=_ids)
def test_an_edit_of_an_immutable_field_gets_its_sentence(case: Case) -> None:
    assert sorted(_changed(case)) == sorted(case.says)


@pytest.mark.parametrize("case", cases("update", "allowed"), ids=_ids)
def test_an_edit_of_a_mutable_field_passes(case: Case) -> None:
    assert _changed(case) == []
