"""What the API server says to wrong budgets: the real server, the real kubectl."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from bad_budgets import Case, cases
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


def test_the_api_server_refuses_wrong_budgets_with_their_sentences_and_takes_those_at_the_edge(lab: Lab) -> None:
    def ask(case: Case) -> tuple[int, str]:
        answer = lab.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(case.manifest), check=False)
        return answer.returncode, " ".join((answer.stdout + answer.stderr).split())

    wrong, right = cases("create"), cases("create", "allowed")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, [*wrong, *right]))
    for case, (code, words) in zip(wrong, answers, strict=False):
        assert code != 0, f"accepted: {case.name}"
        for sentence in case.admission or case.says:
            path, _, what = sentence.partition(": ")
            assert sentence in words or (f"{path}: " in words and what in words), (case.name, words)
    for case, (code, words) in zip(right, answers[len(wrong) :], strict=True):
        assert code == 0, (case.name, words)
