"""kubectl annotate aurora ledger penstock.dev/failover-to=…: answered once, on the object and in Events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from declared import unharmed
from declared_cluster import DeclaredCluster
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def asked(cluster: DeclaredCluster, value: str, result: str) -> str:
    """Ask, and wait for the answer; its sentence."""
    cluster.annotate("failover-to", value)

    def answered() -> bool:
        request = cluster.status["failoverRequest"]
        return bool((request["value"], request["result"]) == (value, result))

    cluster.until(answered, f"{value} is answered with {result}")
    assert cluster.status["lastFailoverTo"] == value
    return str(cluster.status["failoverRequest"]["message"])


@scenario
def test_a_failover_is_carried_out_once_for_each_value(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"instances": {"readers": 1}}).settled()
    one, two = cluster.instance(1), cluster.instance(2)
    assert asked(cluster, "any", "Done") == f"{two} is the writer."
    cluster.until(lambda: cluster.status["writer"] == two).settled()
    assert cluster.writer == two
    words = f"Failing over from {one} to {two}, as penstock.dev/failover-to asks."
    assert words in cluster.told("FailingOver")
    # The annotation stays; its value has been answered.
    cluster.look().settled()
    assert cluster.writes().count("FailoverDBCluster") == 1
    assert asked(cluster, f"{one}@back", "Done") == f"{one} is the writer."
    assert cluster.writes().count("FailoverDBCluster") == 2
    # In mode Plan it is shown, and carried out once the mode allows it.
    cluster.settled().annotate("mode", "Plan").annotate("failover-to", "any@3")
    cluster.until(lambda: cluster.steps == [f"fail over from {one} to {two}, as the annotation asks"])
    assert cluster.status["lastFailoverTo"] == f"{one}@back"
    assert cluster.writer == one
    cluster.annotate("mode", None).until(lambda: cluster.status["lastFailoverTo"] == "any@3")
    cluster.until(lambda: cluster.status["failoverRequest"]["result"] == "Done")
    assert cluster.writer == two


@scenario
def test_what_cannot_be_done_is_refused_in_words_that_help(lab: Lab, namespace: str) -> None:
    alone = DeclaredCluster.small(lab, namespace, name="alone")
    said = asked(alone, "any", "Refused")
    assert "that could fail over" in said or "that could take over" in said or "is creating" in said, said
    alone.settled()
    assert asked(alone, "any@2", "Refused").startswith(
        f"Cluster {alone.cluster} has no reader that could take over; spec.instances.readers: 1 adds one."
    )
    cluster = DeclaredCluster.small(lab, namespace, {"instances": {"readers": 1}}).settled()
    one, two = cluster.instance(1), cluster.instance(2)
    assert asked(cluster, one, "Refused").startswith(f"{one} is the writer already; the readers are {two}.")
    assert asked(cluster, alone.instance(1), "Refused").startswith(
        f"{alone.instance(1)} is no instance of cluster {cluster.cluster}; its readers are {two}."
    )
    cluster.until(lambda: len(cluster.told("FailoverRefused")) == 2, "both are told")
    cluster.edit(stopped=True).until(lambda: cluster.aws["Status"] == "stopped")
    assert "is stopped, and AWS fails over only what is available." in asked(cluster, "any", "Refused")
    assert "FailoverDBCluster" not in cluster.writes(only_done=False) + alone.writes(only_done=False)
