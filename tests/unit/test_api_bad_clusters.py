"""Wrong clusters as `penstock plan -f` and the operator read them: every sentence, word for word, and nothing else."""

from __future__ import annotations

import pytest

from bad_clusters import Case, cases
from penstock.api.auroracluster import AuroraCluster
from penstock.api.model import refused_changes
from penstock.api.parsing import parse


def _ids(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", cases("create"), ids=_ids)
def test_a_wrong_manifest_gets_its_sentences_and_no_others(case: Case) -> None:
    found = parse(case.manifest)
    assert not isinstance(found, AuroraCluster), "this manifest must be refused"
    assert sorted(map(str, found)) == sorted(case.says)


@pytest.mark.parametrize("case", cases("create", "allowed"), ids=_ids)
def test_a_manifest_at_the_edge_passes(case: Case) -> None:
    found = parse(case.manifest)
    assert isinstance(found, AuroraCluster), [str(problem) for problem in found]


@pytest.mark.parametrize("table", ["create", "update"])
def test_the_good_manifest_passes(table: str) -> None:
    assert isinstance(parse(cases(table)[0].good), AuroraCluster)


def test_there_are_enough_of_them_and_none_twice() -> None:
    names = [case.name for case in cases("create")]
    assert len(set(names)) == len(names) >= 60


def test_a_password_in_a_manifest_is_not_repeated() -> None:
    (case,) = [case for case in cases("create") if case.name == "password in the manifest"]
    found = parse(case.manifest)
    assert case.manifest["spec"]["credentials"]["password"] not in str([str(problem) for problem in found])


def _changed(case: Case) -> list[str]:
    new, old = parse(case.manifest), parse(case.good)
    assert isinstance(new, AuroraCluster), [str(problem) for problem in new]
    assert isinstance(old, AuroraCluster)
    return [str(problem) for problem in refused_changes(new, old)]


@pytest.mark.parametrize("case", cases("update"), ids=_ids)
def test_an_edit_of_an_immutable_field_gets_its_sentence(case: Case) -> None:
    assert sorted(_changed(case)) == sorted(case.says)


@pytest.mark.parametrize("case", cases("update", "allowed"), ids=_ids)
def test_an_edit_of_a_mutable_field_passes(case: Case) -> None:
    assert _changed(case) == []
