"""What the API server says to wrong tables, and what kubectl makes of the CRDs: the real server, the real kubectl."""

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

    with ThreadPoolExecutor(4) as pool:
        return dict(zip((case.name for case in cases("create")), pool.map(ask, cases("create")), strict=True))


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


def test_immutable_fields_are_refused_and_the_others_are_not(
    lab: Lab, namespace: str, apply: Callable[..., Any]
) -> None:
    good = cases("update")[0].good
    apply(good)
    status = json.dumps({"status": good["status"]})
    lab.kubectl("-n", namespace, "patch", "ddb", "orders", "--subresource=status", "--type=merge", "-p", status)
    for case in cases("update"):
        answer = apply(case.manifest, "--dry-run=server", check=False)
        _assert_refused(answer.returncode, " ".join((answer.stdout + answer.stderr).split()), case)
    for case in cases("update", "allowed"):
        answer = apply(case.manifest, "--dry-run=server", check=False)
        assert answer.returncode == 0, f"{case.name}: {answer.stderr}"


@pytest.mark.parametrize(
    ("engine", "running", "lower", "higher"),
    [
        ("AuroraPostgreSQL", "15.10", ["15.9", "14.13", "14"], ["15", "15.12", "16"]),
        (
            "AuroraMySQL",
            "8.0.mysql_aurora.3.08.0",
            ["8.0.mysql_aurora.3.07.1", "5.7.mysql_aurora.2.11.4", "5.7"],
            ["8.0", "8.0.mysql_aurora.3.08.1", "8.0.mysql_aurora.3.10.0", "8.4"],
        ),
    ],
    ids=["postgresql", "mysql"],
)
def test_a_downgrade_of_what_runs_is_refused(
    lab: Lab, namespace: str, apply: Callable[..., Any], engine: str, running: str, lower: list[str], higher: list[str]
) -> None:
    def ask(version: str) -> Any:
        patch = json.dumps({"spec": {"engine": {"version": version}}})
        return lab.kubectl("-n", namespace, "patch", "aurora", "ledger", "--type=merge", "-p", patch, check=False)

    apply(
        {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "AuroraCluster",
            "metadata": {"name": "ledger", "annotations": {"penstock.dev/mode": "Paused"}},
            "spec": {"engine": {"type": engine, "version": running}, "instances": {"class": "db.t4g.medium"}},
        }
    )
    status = json.dumps({"status": {"engineVersion": running}})
    lab.kubectl("-n", namespace, "patch", "aurora", "ledger", "--subresource=status", "--type=merge", "-p", status)
    for version in lower:
        answer = ask(version)
        assert answer.returncode != 0, version
        assert "spec.engine.version: Invalid value: must not be lower than what runs" in answer.stderr
    for version in higher:
        assert ask(version).returncode == 0, version
        # An upgrade that is asked for and not done can be taken back.
        assert ask(running).returncode == 0, version


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_samples_are_accepted(lab: Lab, namespace: str, sample: Path) -> None:
    lab.kubectl("-n", namespace, "apply", "--dry-run=server", "-f", str(sample))


@pytest.mark.parametrize(("sample", "count"), [("three-mistakes", 3), ("cluster-mistakes", 4)])
def test_a_sample_with_mistakes_gets_a_sentence_for_each(lab: Lab, namespace: str, sample: str, count: int) -> None:
    answer = lab.kubectl("-n", namespace, "apply", "-f", str(SAMPLES / "bad" / f"{sample}.yaml"), check=False)
    assert answer.returncode != 0
    assert answer.stderr.count("\n* spec.") == count, answer.stderr
    assert "not-here" not in answer.stderr, "a password in a manifest must not be told again"


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("dynamotable.spec", "globalIndexes"),
        ("dynamotable.spec.pointInTimeRecovery.days", "1 to 35 days"),
        ("ddb.spec.globalIndexes.projection.type", "KeysOnly"),
        ("dynamotable.status.restorable.latest", "latest moment"),
        ("aurora.spec.instances.serverless.autoPause", "5m to 24h"),
        ("auroracluster.spec.backup.window", "30 minutes or more"),
        ("auroracluster.status.members", "instances"),
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
            "metadata": {"name": "orders", "annotations": {"penstock.dev/mode": "Paused"}},
            "spec": {"key": {"partition": {"name": "id", "type": "String"}}},
        }
    )
    cost = json.dumps({"status": {"cost": {"basis": "Estimate", "monthlyEstimate": "12.34"}}})
    lab.kubectl("-n", namespace, "patch", "ddb", "orders", "--subresource=status", "--type=merge", "-p", cost)
    for name in ("ddb", "dynamotables", "dynamotable", "penstock"):
        header, row = lab.kubectl("-n", namespace, "get", name).stdout.splitlines()[:2]
        assert header.split() == ["NAME", "READY", "REASON", "MODE", "ITEMS", "SIZE", "COST/MO", "AGE"]
        assert "12.34" in row
    assert "MESSAGE" in lab.kubectl("-n", namespace, "get", "ddb", "-o", "wide").stdout


def test_kubectl_get_tells_of_a_cluster_at_a_glance(lab: Lab, namespace: str, apply: Callable[..., Any]) -> None:
    apply(
        {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "AuroraCluster",
            "metadata": {"name": "ledger", "annotations": {"penstock.dev/mode": "Paused"}},
            "spec": {"engine": {"type": "AuroraPostgreSQL"}, "instances": {"class": "db.t4g.medium"}},
        }
    )
    status = {"writer": "shop-ledger-2", "readersReady": "1/1", "lag": "12ms", "engineVersion": "15.10"}
    patch = json.dumps({"status": status})
    lab.kubectl("-n", namespace, "patch", "aurora", "ledger", "--subresource=status", "--type=merge", "-p", patch)
    header, row = lab.kubectl("-n", namespace, "get", "aurora").stdout.splitlines()[:2]
    assert header.split() == ["NAME", "READY", "REASON", "WRITER", "READERS", "LAG", "CLASS", "COST/MO", "AGE"]
    # Whether the operator has said yet that the object is paused is another matter.
    assert row.split()[-5:-1] == ["shop-ledger-2", "1/1", "12ms", "db.t4g.medium"]
    wide = lab.kubectl("-n", namespace, "get", "aurora", "-o", "wide").stdout
    assert "AuroraPostgreSQL" in wide
    assert "15.10" in wide


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
