"""Events: ids, sources, categories and the words that programs look for."""

from __future__ import annotations

import botocore.session
import pytest

from penstock_lab.aws.rds.eventtexts import ALSO, EVENTS, text


def test_failover_says_whom_it_goes_to() -> None:
    assert text("RDS-EVENT-0073", name="ledger-2") == "Started cross AZ failover to DB instance: ledger-2"
    assert text("RDS-EVENT-0072", name="ledger-2") == "Started same AZ failover to DB instance: ledger-2"
    assert text("RDS-EVENT-0071", name="ledger-2") == "Completed failover to DB instance: ledger-2"
    assert EVENTS["RDS-EVENT-0071"].categories == ("failover",)
    assert EVENTS["RDS-EVENT-0071"].source_type == "db-cluster"


def test_every_event_has_a_text_and_asks_for_its_names() -> None:
    for event_id, event in EVENTS.items():
        assert event.id == event_id
        assert text(event_id, **dict.fromkeys(event.names, "x"), unused="y")
        if event.names:
            with pytest.raises(KeyError):
                text(event_id)


def test_the_ids_that_the_lab_needs_are_there() -> None:
    cluster = [
        "0069",
        "0070",
        "0071",
        "0072",
        "0073",
        "0150",
        "0151",
        "0152",
        "0153",
        "0156",
        "0170",
        "0171",
        "0172",
        "0173",
        "0176",
        "0179",
    ]
    instance = [
        "0003",
        "0004",
        "0005",
        "0006",
        "0011",
        "0012",
        "0014",
        "0022",
        "0026",
        "0027",
        "0035",
        "0067",
        "0087",
        "0088",
        "0092",
    ]
    for numbers, source in (
        (cluster, "db-cluster"),
        (instance, "db-instance"),
        (["0074", "0075", "0168", "0169"], "db-cluster-snapshot"),
    ):
        for number in numbers:
            assert EVENTS[f"RDS-EVENT-{number}"].source_type == source
    assert EVENTS["RDS-EVENT-0037"].source_type == "db-parameter-group"


def test_sources_are_botocores() -> None:
    known = botocore.session.get_session().get_service_model("rds").shape_for("SourceType").enum
    assert {event.source_type for event in (*EVENTS.values(), *ALSO.values())} <= set(known)
