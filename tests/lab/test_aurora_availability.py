"""The error budget, kept by one process after another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bound import Bound
from declared import slower, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab, same_process=False):
        yield


def test_an_outage_is_charged_whose_end_the_operator_did_not_live_to_see(lab: Lab, namespace: str) -> None:
    objectives = {"availability": "99.9"}
    cluster = (
        Bound(lab, namespace, {"instances": {"readers": 0}, "objectives": objectives, "probe": {"interval": "500ms"}})
        .ready()
        .cluster
    )
    cluster.until(lambda: "availability" in cluster.status, "the database is asked")
    assert cluster.status["availability"]["downSeconds"] == 0
    with slower(lab, rds_detect_s=20.0):
        lab.aws.postgres("fault", cluster=cluster.cluster, kind="freeze")
        cluster.until(lambda: "downSince" in cluster.status["availability"], "it is told that it is down")
        pid = lab.kill_operator()
    lab.aws.postgres("heal", cluster=cluster.cluster)
    lab.wait_operator(other_than=pid)
    cluster.until(lambda: "downSince" not in cluster.status["availability"], "it serves, and the next operator says so")
    charged = cluster.status["availability"]
    assert 5 <= charged["downSeconds"] <= 60
    assert charged["budgetLeftSeconds"] == pytest.approx(charged["budgetSeconds"] - charged["downSeconds"], abs=0.1)
    cluster.look().settled()
    assert cluster.status["availability"]["downSeconds"] == charged["downSeconds"], "and charged once"
