"""The API server goes away or hangs: what was declared before, meanwhile and afterwards is carried out, and nothing twice."""

from __future__ import annotations

import time

import pytest
from declared import Declared, apply_all, index, unharmed
from test_dynamo_faults import SPEC, all_ready, written

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


def test_the_api_server_is_away_for_two_minutes(lab: Lab, namespace: str) -> None:
    tables = [Declared(lab, namespace, SPEC, name=f"a{n}", apply=False) for n in range(10)]
    apply_all(lab, tables)
    all_ready(tables, 60, "Synced")
    dying = tables[0]
    # Edits just before: some are seen, some half done, some not at all.
    for table in tables:
        table.spec["tags"] = {"team": "till"}
        table.spec["globalIndexes"] = [index("one"), index("two")]
    apply_all(lab, tables)
    dying.delete()
    with lab.api_away():
        time.sleep(120)
        # Somebody works in AWS meanwhile.
        tables[1].by_hand(DeletionProtectionEnabled=True)
    deadline = time.monotonic() + 60
    while lab.kubectl("get", "ddb", "-n", namespace, check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    tables[2].edit(tags={"team": "last"})
    lab.wait_operator(seconds=60)
    dying.gone(60)
    for table in tables[1:]:
        table.settled(timeout=60)
        assert table.aws_indexes.keys() == {"one", "two"}
        assert table.aws_tags["team"] == ("last" if table is tables[2] else "till")
    for name, writes in written(lab, tables[1:]).items():
        assert writes["CreateTable"] == 1, name
        assert writes["UpdateTimeToLive"] == 1, name
        assert writes["UpdateTable"] == (2 if name == tables[1].table else 1), (name, writes)
    tables[1].edit(deletionProtection=False)


def test_the_api_server_hangs_for_a_moment(lab: Lab, namespace: str) -> None:
    """Shorter than the Lease: the operator waits and goes on, the same process."""
    table = Declared(lab, namespace, SPEC).settled()
    with unharmed(lab):
        table.spec["tags"] = {"team": "till"}
        table.apply()
        with lab.api_away(freeze=True):
            time.sleep(5)
        table.settled(timeout=60)
    assert table.aws_tags["team"] == "till"
