"""AWS's reads are eventually consistent: what was just written may not show for seconds. Nothing is left behind, nothing is repeated in a storm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from declared import Declared, fault, index, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def stale(lab: Lab) -> Iterator[None]:
    """Every read of a table answers as of three seconds before the latest write."""
    rules = [{"kind": "stale", "operation": name, "seconds": 3.0} for name in ("Describe*", "List*", "Get*")]
    with unharmed(lab), fault(lab, **rules[0]), fault(lab, **rules[1]), fault(lab, **rules[2]):
        yield


def test_a_creation_is_asked_for_once(lab: Lab, namespace: str) -> None:
    table = Declared(
        lab, namespace, {"ttl": {"attribute": "until"}, "tags": {"a": "b"}, "globalIndexes": [index("one")]}
    ).settled()
    assert sorted(table.writes(only_done=False)) == ["CreateTable", "UpdateContinuousBackups", "UpdateTimeToLive"]
    assert not table.told("Recreating")


def test_an_edit_is_made_once(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": []}).settled()
    made = len(table.writes(only_done=False))
    table.edit(tags={"a": "b"}, stream={"view": "NewImage"}, ttl={"attribute": "until"}, globalIndexes=[index("one")])
    table.settled()
    table.until(lambda: "one" in table.aws_indexes)
    asked = sorted(table.writes(only_done=False)[made:])
    assert asked == ["TagResource", "UpdateTable", "UpdateTable", "UpdateTimeToLive"]
    assert not table.told("DriftCorrected")


@pytest.mark.parametrize("when", ["at once", "when ready"])
def test_a_table_that_does_not_show_yet_is_not_left_behind(lab: Lab, namespace: str, when: str) -> None:
    table = Declared(lab, namespace)
    table.until(lambda: "CreateTable" in table.writes())
    if when == "when ready":
        table.settled()
    table.delete().gone()
    assert table.writes(only_done=False).count("CreateTable") == 1
    assert table.writes(only_done=False).count("DeleteTable") == 1


def test_a_creation_whose_answer_was_lost_is_not_left_behind(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, apply=False)
    with fault(lab, kind="drop", operation="CreateTable", key=table.table, when="after", count=1):
        table.apply()
        table.until(lambda: "CreateTable" in table.writes(only_done=False))
        table.delete().gone()
    names = lab.boto("dynamodb").list_tables()["TableNames"]
    table.until(lambda: table.table not in lab.boto("dynamodb").list_tables()["TableNames"], f"{names}", timeout=10)


def test_a_final_backup_is_taken_once(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"deletionPolicy": "Snapshot"}).settled()
    table.delete().gone()
    writes = table.writes(only_done=False)
    assert writes.count("CreateBackup") == 1
    assert writes.count("DeleteTable") == 1
