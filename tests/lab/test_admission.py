"""What the API server says to wrong tables, and what kubectl makes of the CRD: the real server, the real kubectl."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bad_tables import Case, cases
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"


def _ids(case: Case) -> str:
    return case.name


@pytest.fixture(scope="module")
def answers(lab: Lab) -> dict[str, tuple[int, str]]:
    """kubectl's answer to every wrong manifest, by the case's name: exit code and words on one line.

    A server-side dry run passes all of admission and stores nothing. Several at a time: each is a kubectl of its own.
    """

    def ask(case: Case) -> tuple[int, str]:
        answer = lab.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(case.manifest), check=False)
        return answer.returncode, " ".join((answer.stdout + answer.stderr).split())

    table = cases("create")
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
def test_the_api_server_refuses_a_wrong_table_with_its_sentences(
    answers: dict[str, tuple[int, str]], case: Case
) -> None:
    _assert_refused(*answers[case.name], case)


@pytest.fixture
def apply(lab: Lab, namespace: str) -> Callable[..., Any]:
    """Apply a manifest in the test's namespace; further arguments go to kubectl."""

    def run(manifest: dict[str, Any], *arguments: str, check: bool = True) -> Any:
        return lab.kubectl("-n", namespace, "apply", *arguments, "-f", "-", input=json.dumps(manifest), check=check)

    return run


def test_immutable_fields_are_refused_and_the_others_are_not(apply: Callable[..., Any]) -> None:
    apply(cases("update")[0].good)
    for case in cases("update"):
        answer = apply(case.manifest, "--dry-run=server", check=False)
        _assert_refused(answer.returncode, " ".join((answer.stdout + answer.stderr).split()), case)
    for case in cases("update", "allowed"):
        answer = apply(case.manifest, "--dry-run=server", check=False)
        assert answer.returncode == 0, f"{case.name}: {answer.stderr}"


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_samples_are_accepted(lab: Lab, namespace: str, sample: Path) -> None:
    lab.kubectl("-n", namespace, "apply", "--dry-run=server", "-f", str(sample))


def test_the_sample_with_three_mistakes_gets_three_sentences(lab: Lab, namespace: str) -> None:
    bad = SAMPLES / "bad" / "three-mistakes.yaml"
    answer = lab.kubectl("-n", namespace, "apply", "-f", str(bad), check=False)
    assert answer.returncode != 0
    assert answer.stderr.count("\n* spec.") == 3, answer.stderr


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("dynamotable.spec", "globalIndexes"),
        ("dynamotable.spec.pointInTimeRecovery.days", "1 to 35 days"),
        ("ddb.spec.globalIndexes.projection.type", "KeysOnly"),
        ("dynamotable.status.restorable.latest", "latest moment"),
    ],
)
def test_kubectl_explains_every_field(lab: Lab, field: str, words: str) -> None:
    assert words in " ".join(lab.kubectl("explain", field).stdout.split())


def test_two_owners_share_the_list_of_indexes(lab: Lab, namespace: str, apply: Callable[..., Any]) -> None:
    def table(*indexes: str) -> dict[str, Any]:
        return {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "DynamoTable",
            "metadata": {"name": "shared", "annotations": {"penstock.dev/mode": "Paused"}},
            "spec": {
                "key": {"partition": {"name": "id", "type": "String"}},
                "globalIndexes": [
                    {"name": name, "partition": {"name": name, "type": "String"}, "projection": {"type": "All"}}
                    for name in indexes
                ],
            },
        }

    def stored() -> list[str]:
        answer = lab.kubectl("-n", namespace, "get", "ddb", "shared", "-o", "json").stdout
        return sorted(index["name"] for index in json.loads(answer)["spec"]["globalIndexes"])

    apply(table("by-team"), "--server-side", "--field-manager=team")
    apply(table("by-platform"), "--server-side", "--field-manager=platform")
    assert stored() == ["by-platform", "by-team"]
    apply(table(), "--server-side", "--field-manager=team")
    assert stored() == ["by-platform"]


def test_kubectl_get_shows_the_columns_by_every_name(lab: Lab, namespace: str, apply: Callable[..., Any]) -> None:
    apply(
        {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "DynamoTable",
            "metadata": {
                "name": "orders",
                "annotations": {"penstock.dev/mode": "Paused", "penstock.dev/monthly-cost-usd": "12.34"},
            },
            "spec": {"key": {"partition": {"name": "id", "type": "String"}}},
        }
    )
    for name in ("ddb", "dynamotables", "dynamotable", "penstock"):
        header, row = lab.kubectl("-n", namespace, "get", name).stdout.splitlines()[:2]
        assert header.split() == ["NAME", "READY", "REASON", "MODE", "ITEMS", "SIZE", "COST/MO", "AGE"]
        assert "12.34" in row
    assert "MESSAGE" in lab.kubectl("-n", namespace, "get", "ddb", "-o", "wide").stdout


def test_defaults_are_written_where_they_can_stay(lab: Lab, namespace: str, apply: Callable[..., Any]) -> None:
    manifest = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "DynamoTable",
        "metadata": {"name": "plain", "annotations": {"penstock.dev/mode": "Paused"}},
        "spec": {"key": {"partition": {"name": "id", "type": "String"}}},
    }
    apply(manifest)
    spec = json.loads(lab.kubectl("-n", namespace, "get", "ddb", "plain", "-o", "json").stdout)["spec"]
    assert spec == {**manifest["spec"], "adopt": False, "deletionPolicy": "Snapshot"}
