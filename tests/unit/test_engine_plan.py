"""What a step and a consent are known by: the request, never the words."""

from __future__ import annotations

from dataclasses import replace

from penstock.engine.plan import Plan, Step, When, consents

STEP = Step("rds", "ModifyDBCluster", {"DBClusterIdentifier": "a", "Port": 1}, "set port 2 → 1", before=2)


def test_a_reworded_summary_changes_neither_the_id_nor_an_approval() -> None:
    asking = replace(STEP, when=When.AFTER_CONSENT)
    reworded = replace(asking, summary="Change the port to 1", drift="other words", told=("Reason", "words"))
    assert reworded.id == asking.id
    assert consents(Plan((asking,)).hash, [reworded.approval])


def test_another_request_and_another_drift_have_another_id() -> None:
    others = [
        replace(STEP, parameters={**STEP.parameters, "Port": 3}),
        replace(STEP, operation="ModifyDBInstance"),
        replace(STEP, before=7),
    ]
    assert len({STEP.id, *(s.id for s in others)}) == 4


def test_the_order_of_the_parameters_is_no_difference() -> None:
    assert replace(STEP, parameters={"Port": 1, "DBClusterIdentifier": "a"}).id == STEP.id
