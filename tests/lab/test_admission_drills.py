"""What the API server says to wrong drills: the real server, the real kubectl."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bad_drills import Case, cases
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


def _ids(case: Case) -> str:
    return case.name


@pytest.fixture(scope="module")
def answers(lab: Lab) -> dict[str, tuple[int, str]]:
    """kubectl's answer to every manifest, by the case's name: exit code and words on one line.

    A server-side dry run passes all of admission and stores nothing. Several at a time: each is a kubectl of its own.
    """

    def ask(case: Case) -> tuple[int, str]:
        answer = lab.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(case.manifest), check=False)
        return answer.returncode, " ".join((answer.stdout + answer.stderr).split())

    table = [*cases("create"), *cases("create", "allowed")]
    with ThreadPoolExecutor(4) as pool:
        return dict(zip((case.name for case in table), pool.map(ask, table), strict=True))


def _assert_refused(code: int, words: str, case: Case) -> None:
    assert code != 0, f"accepted: {words}"
    if case.admission:
        for expected in case.admission:
            assert expected in words
        return
    for sentence in case.says:
        path, _, what = sentence.partition(": ")
        assert f"{path}: " in words, words
        assert what in words, words


@pytest.mark.parametrize("case", cases("create"), ids=_ids)
def test_the_api_server_refuses_a_wrong_drill_with_its_sentences(
    answers: dict[str, tuple[int, str]], case: Case
) -> None:
    _assert_refused(*answers[case.name], case)


@pytest.mark.parametrize("case", cases("create", "allowed"), ids=_ids)
def test_the_api_server_takes_a_drill_at_the_edge(answers: dict[str, tuple[int, str]], case: Case) -> None:
    code, words = answers[case.name]
    assert code == 0, words


@pytest.fixture
def apply(lab: Lab, namespace: str) -> Callable[..., Any]:
    """Apply a manifest in the test's namespace; further arguments go to kubectl."""

    def run(manifest: dict[str, Any], *arguments: str, check: bool = True) -> Any:
        return lab.kubectl("-n", namespace, "apply", *arguments, "-f", "-", input=json.dumps(manifest), check=check)

    return run


def test_immutable_fields_are_refused_and_the_others_are_not(
    lab: Lab, namespace: str, apply: Callable[..., Any]
) -> None:
    good = cases("update")[0].good
    apply(good)

    def edit(case: Case) -> tuple[int, str]:
        answer = apply(case.manifest, "--dry-run=server", check=False)
        return answer.returncode, " ".join((answer.stdout + answer.stderr).split())

    for case in cases("update"):
        _assert_refused(*edit(case), case)
    for case in cases("update", "allowed"):
        code, words = edit(case)
        assert code == 0, f"{case.name}: {words}"
