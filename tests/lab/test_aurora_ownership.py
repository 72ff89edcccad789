"""Whose cluster it is: identifiers that are taken, adoption, one cluster and two objects, and letting go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from declared import unharmed
from declared_cluster import ENGINE, NOW, DeclaredCluster, made_by_hand
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def found(cluster: DeclaredCluster) -> dict[str, Any]:
    """What stays the same while nobody touches the cluster."""
    return {k: v for k, v in cluster.aws.items() if "RestorableTime" not in k}


@scenario
def test_an_identifier_that_is_taken_is_told_and_never_touched(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(
        lab, namespace, {"tags": {"team": "shop"}, "backup": {"retentionDays": 9}}, apply=False
    )
    made_by_hand(cluster)
    before, written = found(cluster), cluster.writes()
    cluster.apply()
    told = cluster.wait("Ready", "False", reason="AlreadyExists")
    assert told["message"] == (
        f"Cluster {cluster.cluster} exists already and was made by somebody else: set spec.adopt: true to take it over, "
        "or write another spec.clusterIdentifier."
    )
    cluster.wait("Stalled", "True", reason="AlreadyExists")
    assert "clusterArn" not in cluster.status, "it is not ours to describe"
    cluster.until(lambda: cluster.told("AlreadyExists"), "an Event")
    cluster.look()
    cluster.delete().gone()
    assert cluster.writes() == written
    assert found(cluster) == before


@scenario
def test_adoption_keeps_foreign_names_and_changes_only_what_the_spec_names(lab: Lab, namespace: str) -> None:
    names = [f"{namespace}-north", f"{namespace}-south"]
    spec = {
        **NOW,
        "adopt": True,
        "requireTLS": None,
        "backup": {"retentionDays": 9},
        "tags": {"team": "shop"},
        "instances": {"class": None, "readers": None},
    }
    cluster = DeclaredCluster.small(lab, namespace, spec, apply=False)
    made_by_hand(cluster, names, DeletionProtection=True, EnableCloudwatchLogsExports=["postgresql"])
    written = len(cluster.writes())
    cluster.annotations["penstock.dev/mode"] = "Plan"
    cluster.apply().until(lambda: cluster.steps, "the plan is on the object first")
    assert "set backup retention 1 → 9" in cluster.steps
    assert len(cluster.writes(only_done=False)) == written
    del cluster.annotations["penstock.dev/mode"]
    cluster.annotate("mode", None)
    cluster.settled()
    assert cluster.writes()[written:].count("ModifyDBCluster") == 1
    assert not [w for w in cluster.writes()[written:] if w.startswith(("Create", "Delete", "Reboot", "Failover"))]
    aws = cluster.aws
    assert (aws["BackupRetentionPeriod"], aws["DeletionProtection"]) == (9, True)
    assert aws["EnabledCloudwatchLogsExports"] == ["postgresql"]
    assert aws["DBClusterParameterGroup"] == "default.aurora-postgresql15", "TLS is not required where nobody asked"
    assert cluster.aws_tags["penstock.dev/owner"].endswith(f"{namespace}/AuroraCluster/ledger/{cluster.uid}")
    assert sorted(cluster.aws_instances) == names
    assert cluster.status["managed"]["instances"] == names
    assert cluster.status["writer"] == names[0]
    assert all("ordinal" not in m for m in cluster.members.values())
    assert not cluster.told("DriftCorrected"), "an adoption is no drift"
    assert cluster.told("Adopted") == [f"Took over cluster {cluster.cluster}."]
    # From then on a reader more has a name of ours, and what has a foreign name goes by consent alone.
    cluster.instances(readers=2, **{"class": "db.t4g.medium"}).settled()
    assert sorted(cluster.aws_instances) == sorted([cluster.instance(1), *names])
    cluster.instances(readers=1).settled()
    assert sorted(cluster.aws_instances) == names
    cluster.instances(readers=0).wait("Synced", "False", reason="WaitingForConsent", words=f"delete reader {names[1]}")
    cluster.annotate("approve", cluster.plan["hash"]).settled()
    assert sorted(cluster.aws_instances) == names[:1]
    # Its last instance goes with the cluster, whatever its name.
    cluster.edit(deletionProtection=False).settled()
    cluster.delete().gone()
    assert not cluster.exists


@scenario
def test_adoption_in_mode_plan_stays_a_plan(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(
        lab, namespace, {"adopt": True}, annotations={"penstock.dev/mode": "Plan"}, apply=False
    )
    made_by_hand(cluster)
    written, tags = cluster.writes(only_done=False), cluster.aws["TagList"]
    cluster.apply().until(lambda: any("the mark that it is ours" in step for step in cluster.steps), "it is planned")
    cluster.look()
    assert cluster.writes(only_done=False) == written
    assert cluster.aws["TagList"] == tags


@scenario
def test_adopting_what_does_not_exist_makes_it(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"adopt": True}).settled()
    assert "CreateDBCluster" in cluster.writes()


@scenario
def test_a_cluster_of_the_other_engine_is_not_adopted(lab: Lab, namespace: str) -> None:
    spec = {"adopt": True, "engine": {"type": "AuroraMySQL"}}
    cluster = DeclaredCluster.small(lab, namespace, spec, apply=False)
    made_by_hand(cluster)
    written = cluster.writes()
    told = cluster.apply().wait("Ready", "False", reason="Invalid")
    assert told["message"].startswith(
        f"Cluster {cluster.cluster} runs aurora-postgresql, but spec.engine.type says AuroraMySQL; an engine cannot be changed"
    )
    assert cluster.writes() == written


@scenario
def test_one_cluster_and_two_objects(lab: Lab, namespace: str) -> None:
    first = DeclaredCluster.small(lab, namespace, {"tags": {"team": "first"}}).settled()
    spec = {"tags": {"team": "second"}, "adopt": True}
    second = DeclaredCluster.small(lab, namespace, spec, name="second", cluster=first.cluster)
    told = second.wait("Ready", "False", reason="NotOwned")
    owner = first.aws_tags["penstock.dev/owner"].split("/")[0]
    assert told["message"] == (
        f"Cluster {first.cluster} belongs to AuroraCluster {namespace}/ledger of cluster {owner}: delete that object with "
        "deletionPolicy Retain, or write another spec.clusterIdentifier here."
    )
    assert second.condition("Stalled")["status"] == "True"
    first.look().settled()
    assert first.aws_tags["team"] == "first"
    # Let go by the first, the second may have it.
    first.edit(deletionPolicy="Retain").delete().gone()
    assert first.exists
    second.settled()
    assert second.aws_tags["penstock.dev/owner"].endswith(second.uid)
    assert second.aws_tags["team"] == "second"


@scenario
def test_an_object_made_again_under_its_name_needs_adopt_too(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"engine": ENGINE}).settled()
    # Somebody takes the finalizer off: the object goes and the cluster stays, with the mark of an object that is no more.
    cluster.annotate("mode", "Paused").wait("Synced", "False", reason="Paused")
    cluster.delete()
    lab.kubectl("patch", "aurora", "ledger", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    cluster.gone()
    told = cluster.apply().wait("Ready", "False", reason="AlreadyExists")
    assert "was made by an earlier object of this name" in told["message"]
    cluster.edit(adopt=True).settled()
    assert cluster.aws_tags["penstock.dev/owner"].endswith(cluster.uid)
