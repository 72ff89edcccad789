"""In which order things are done: creation, instances, upgrades, adoption, stops and removal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aurora_model import ARN, WINDOW, tick
from aurora_specs import CLASSES, FOREIGN, add
from aurora_world import MONDAY, NAME, OWN, OWNER, Operator, settled, spec
from test_aurora_plan import (
    NOW,
    ONE,
    OWN_15,
    THREE,
    TWO,
    asked,
    cluster,
    instances,
    on_cluster,
    on_instance,
    only,
    short,
)

from penstock.api.conditions import Reason
from penstock.api.meta import ADOPTABLE_BY, OWNER_TAG
from penstock.aurora.plan import plan
from penstock.aurora.state import PASSWORD
from penstock.aws.rds import Cluster, Instance, MasterSecret, Member, Snapshot
from penstock.engine.holds import Held
from penstock.engine.plan import Effect, When

OWN_16 = f"{OWN}-aurora-postgresql16"
LARGE = {"instances": instances(2, "db.r6g.large"), "maintenance": NOW}
SUBNETS = {"subnetIds": ["subnet-a", "subnet-b", "subnet-c"]}
POSTGRESQL_16 = {"type": "AuroraPostgreSQL", "version": "16.6"}


def refused(operator: Operator, summary: str) -> None:
    step = next(s for s in operator.plan().steps if s.summary == summary)
    operator.holds[step.id] = Held("Refused", "AWS says no.", operator.now + timedelta(hours=1), stalled=True)


def fail_over(operator: Operator, heir: str) -> None:
    members = tuple(replace(m, writer=m.identifier == heir) for m in cluster(operator).members)
    on_cluster(operator, members=tuple(sorted(members, key=lambda m: (not m.writer, m.identifier))))


# Creation


def test_groups_are_made_first_then_the_cluster_then_its_instances() -> None:
    wanted = spec(network=SUBNETS, parameters={"rds.logical_replication": "1", "max_connections": "9"})
    operator = Operator(wanted)
    found = operator.plan()
    assert [(s.operation, s.when) for s in found.steps] == [
        ("CreateDBSubnetGroup", When.NOW),
        ("CreateDBClusterParameterGroup", When.NOW),
        ("ModifyDBClusterParameterGroup", When.LATER),
        ("CreateDBParameterGroup", When.NOW),
        ("ModifyDBParameterGroup", When.LATER),
        ("CreateDBCluster", When.LATER),
        ("CreateDBInstance", When.LATER),
        ("CreateDBInstance", When.LATER),
    ]
    operator.converge()
    assert operator.refused == [], "nothing is asked for before AWS can do it"
    assert [s.operation for s in operator.done[5:]] == ["CreateDBCluster", "CreateDBInstance", "CreateDBInstance"]
    assert asked(operator.done[5]) == {
        "Engine": "aurora-postgresql",
        "EngineVersion": "15.10",
        "MasterUsername": "postgres",
        "ManageMasterUserPassword": True,
        "StorageEncrypted": True,
        "CopyTagsToSnapshot": True,
        "PreferredMaintenanceWindow": WINDOW,
        "DBSubnetGroupName": OWN,
        "DBClusterParameterGroupName": OWN_15,
        "Tags": [{"Key": OWNER_TAG, "Value": OWNER}],
    }
    assert [i.zone for i in operator.world.instances.values()] == ["us-east-1a", "us-east-1b"]


def test_while_the_cluster_is_being_made_its_instances_wait_and_since_when_is_told() -> None:
    operator = Operator()
    operator.one_pass()
    operator.since = operator.now
    found = operator.plan()
    assert {s.when for s in found.steps} == {When.LATER}
    assert [(w.reason, w.sentence) for w in found.waits] == [
        (Reason.CREATING, f"Cluster {NAME} is being created by AWS since 12:00:00 UTC.")
    ]
    operator.now += timedelta(minutes=16)
    wait = operator.plan().waits[0]
    assert wait.reason == Reason.SLOWER_THAN_USUAL
    assert wait.sentence.endswith("since 12:00:00 UTC, longer than the 15 min that AWS usually takes at most.")


def test_nothing_is_made_without_the_password_of_the_secret() -> None:
    operator = Operator(spec(credentials={"passwordSecretRef": {"name": "master"}}), problem="Secret master is empty.")
    found = operator.plan()
    assert found.runnable == ()
    assert [r.reason for r in found.refusals] == [Reason.WAITING_FOR_SECRET]
    operator.problem = ""
    step = operator.plan().runnable[0]
    assert step.parameters["MasterUserPassword"] == PASSWORD
    assert "ManageMasterUserPassword" not in step.parameters


def test_a_refused_group_keeps_the_cluster_from_being_made() -> None:
    operator = Operator(spec(network=SUBNETS))
    refused(operator, f"make subnet group {OWN}")
    found = operator.plan()
    assert found.runnable == ()
    assert [r.sentence for r in found.refusals] == ["AWS says no."]


def test_an_older_cluster_must_be_gone_first() -> None:
    old = Instance(ONE, cluster=NAME, status="deleting")
    operator = Operator()
    operator.world = replace(operator.world, instances={ONE: old})
    found = operator.plan()
    assert found.steps == ()
    assert found.waits[0].sentence == f"Instances {ONE} of an older cluster {NAME} are still being deleted."


@pytest.mark.parametrize(
    ("source", "operation", "parameters"),
    [
        ({"snapshotIdentifier": "before"}, "RestoreDBClusterFromSnapshot", {"SnapshotIdentifier": "before"}),
        (
            {"clusterIdentifier": "old", "time": "2026-11-01T12:00:00Z"},
            "RestoreDBClusterToPointInTime",
            {"SourceDBClusterIdentifier": "old", "RestoreToTime": datetime(2026, 11, 1, 12, tzinfo=UTC)},
        ),
        (
            {"clusterIdentifier": "old"},
            "RestoreDBClusterToPointInTime",
            {"SourceDBClusterIdentifier": "old", "UseLatestRestorableTime": True},
        ),
    ],
)
def test_a_restore_makes_the_cluster_and_what_it_cannot_take_is_set_afterwards(
    source: dict[str, str], operation: str, parameters: dict[str, Any]
) -> None:
    wanted = spec(
        restoreFrom=source,
        engine={"type": "AuroraPostgreSQL"},
        backup={"retentionDays": 7},
        credentials={"passwordSecretRef": {"name": "master"}},
        maintenance=NOW,
        parameters={"log_min_duration_statement": "5"},
    )
    operator = Operator(wanted)
    operator.world = replace(operator.world, snapshots={"before": Snapshot("before", version="15.4")})
    step = operator.plan().runnable[0]
    assert step.operation == operation
    assert parameters.items() <= step.parameters.items()
    assert not {"MasterUserPassword", "BackupRetentionPeriod"} & set(step.parameters)
    operator.converge()
    assert cluster(operator).retention_days == 7
    assert operator.world.password == f"{PASSWORD} secret/1"
    assert cluster(operator).parameter_group == OWN_15


# How many instances


def test_readers_are_spread_over_the_zones_of_the_subnets_and_an_override_decides() -> None:
    wide = instances(4, overrides=[{"ordinal": 2, "zone": "us-east-1c"}])
    operator = settled(network=SUBNETS, instances=wide)
    zones = [i.zone[-1] for _, i in sorted(operator.world.instances.items())]
    assert zones == ["a", "c", "b", "a", "b"]


def test_a_refused_group_rests_while_the_parameters_of_the_family_are_unknown() -> None:
    operator = Operator(spec(network=SUBNETS))
    refused(operator, f"make subnet group {OWN}")
    unread = replace(operator.observe(), families={})
    assert plan(operator.desired, unread, operator.now).runnable == ()


def test_readers_are_made_only_in_the_zones_of_the_clusters_storage() -> None:
    # CreateDBInstance.AvailabilityZone in the API reference: one of the three; subnets may cover more.
    operator = settled(network=SUBNETS, instances=instances(0))
    on_cluster(operator, zones=("us-east-1a", "us-east-1c", "us-east-1d"))
    operator.change(instances=instances(2))
    assert [s.parameters["AvailabilityZone"][-1] for s in operator.plan().steps] == ["c", "a"]


def test_a_zone_where_aws_refuses_the_class_is_passed_over() -> None:
    operator = settled(network=SUBNETS, instances=instances(0))
    operator.change(instances=instances(1))
    first = only(operator.plan())
    assert first.parameters["AvailabilityZone"] == "us-east-1b"
    refused(operator, first.summary)
    assert only(operator.plan()).parameters["AvailabilityZone"] == "us-east-1c"


def test_an_override_gives_the_new_instance_its_class_and_tier() -> None:
    operator = settled(instances=instances(0))
    operator.change(instances=instances(1, overrides=[{"ordinal": 2, "class": "db.r6g.large", "promotionTier": 15}]))
    step = only(operator.plan())
    assert (step.parameters["DBInstanceClass"], step.parameters["PromotionTier"]) == ("db.r6g.large", 15)


@pytest.mark.parametrize("writer", [ONE, TWO, THREE])
def test_scaling_in_removes_the_highest_reader_and_never_the_writer(writer: str) -> None:
    operator = settled(instances=instances(2))
    fail_over(operator, writer)
    operator.change(instances=instances(1))
    step = only(operator.plan())
    assert step.parameters["DBInstanceIdentifier"] == (TWO if writer == THREE else THREE)
    assert (step.effect, step.when) == (Effect.DESTROY, When.NOW)
    operator.change(instances=instances(0))
    operator.converge()
    assert list(operator.world.instances) == [writer]


def test_without_a_writer_nobody_is_removed() -> None:
    operator = settled(instances=instances(2))
    on_cluster(operator, members=tuple(replace(m, writer=False) for m in cluster(operator).members))
    operator.change(instances=instances(0))
    found = operator.plan()
    assert found.steps == ()
    assert Reason.FAILING_OVER in [w.reason for w in found.waits]


def test_a_reader_that_does_not_serve_goes_before_one_that_does_and_one_that_is_being_made_once_it_is() -> None:
    operator = settled(instances=instances(2))
    on_instance(operator, TWO, status="creating")
    operator.change(instances=instances(1))
    assert short(operator.plan()) == [(f"delete reader {TWO}", When.LATER)]
    on_instance(operator, TWO, status="incompatible-network")
    assert short(operator.plan()) == [(f"delete reader {TWO}", When.NOW)]


def test_instances_are_not_counted_before_all_are_seen() -> None:
    operator = settled(instances=instances(1))
    on_cluster(operator, members=(*cluster(operator).members, Member(THREE, False)))
    operator.change(instances=instances(2))
    found = operator.plan()
    assert found.steps == ()
    assert found.waits[0].sentence == f"Reading the instances {THREE}."


def test_readers_that_are_not_managed_are_neither_made_nor_removed_but_a_cluster_without_any_instance_gets_one() -> (
    None
):
    operator = settled(instances=instances(2))
    operator.change(instances=instances(None))
    assert operator.plan().empty
    operator.world = replace(operator.world, instances={})
    on_cluster(operator, members=())
    assert only(operator.plan()).summary == f"make instance {ONE} (db.t4g.medium)"


def test_a_reader_that_was_gone_is_made_again_and_told() -> None:
    operator = settled(instances=instances(2))
    left = {n: i for n, i in operator.world.instances.items() if n != TWO}
    operator.world = replace(operator.world, instances=left)
    on_cluster(operator, members=tuple(m for m in cluster(operator).members if m.identifier != TWO))
    step = only(operator.plan())
    assert step.told == ("Recreating", f"Instance {TWO} was gone; making it again.")


def test_a_reader_that_is_being_deleted_is_made_again_under_its_name_and_a_lost_cluster_gets_an_instance_at_once() -> (
    None
):
    operator = settled(instances=instances(2))
    on_instance(operator, TWO, status="deleting")
    assert operator.plan().steps == ()
    operator.change(instances=instances(3))
    assert only(operator.plan()).parameters["DBInstanceIdentifier"] == f"{NAME}-4"
    for name in (ONE, TWO, THREE):
        on_instance(operator, name, status="deleting")
    operator.change(instances=instances(0))
    assert only(operator.plan()).parameters["DBInstanceIdentifier"] == f"{NAME}-4"


def test_what_autoscaling_made_is_not_counted_and_not_touched() -> None:
    scaled = instances(1, readerAutoscaling={"max": 4, "targetCPU": 70})
    operator = settled(instances=scaled, maintenance=NOW)
    assert operator.world.scaling[0].target == 70
    operator.world = add(operator.world, "application-autoscaling-1")
    assert operator.plan().empty
    operator.change(instances={**scaled, "class": "db.r6g.large"})
    operator.converge()
    assert operator.world.instances["application-autoscaling-1"].instance_class == CLASSES[0]


# Classes


def test_a_class_change_goes_readers_first_then_a_failover_then_the_old_writer() -> None:
    operator = settled(instances=instances(2), maintenance=NOW)
    operator.change(**LARGE)
    change = "change the class of {} from db.t4g.medium to db.r6g.large"
    assert short(operator.plan()) == [
        (change.format(TWO), When.NOW),
        (change.format(THREE), When.LATER),
        (change.format(ONE), When.LATER),
    ]
    operator.converge()
    assert [s.summary for s in operator.done] == [
        change.format(TWO),
        change.format(THREE),
        f"fail over from {ONE} to {TWO}, so that the class of {ONE} can change",
        change.format(ONE),
    ]
    assert [s.effect for s in operator.done] == [Effect.RESTART, Effect.RESTART, Effect.FAILOVER, Effect.RESTART]
    assert operator.refused == []
    assert operator.writer == TWO


def test_the_heir_is_whoever_comes_first_in_the_order_of_promotion() -> None:
    tiers = [{"ordinal": 2, "promotionTier": 5}, {"ordinal": 3, "promotionTier": 2}]
    operator = settled(instances=instances(2, overrides=tiers), maintenance=NOW)
    operator.change(instances=instances(2, "db.r6g.large", overrides=tiers))
    operator.converge()
    assert operator.writer == THREE


def test_one_that_autoscaling_made_takes_over_only_when_there_is_nobody_else() -> None:
    scaled = instances(1, readerAutoscaling={"max": 4})
    operator = settled(instances=scaled, maintenance=NOW)
    operator.world = add(operator.world, "application-autoscaling-1")
    on_instance(operator, "application-autoscaling-1", instance_class="db.r6g.large")
    on_instance(operator, TWO, instance_class="db.r6g.large")
    operator.change(instances={**scaled, "class": "db.r6g.large"})
    assert operator.plan().steps[0].parameters["TargetDBInstanceIdentifier"] == TWO


def test_a_writer_alone_is_changed_without_a_failover() -> None:
    operator = settled(instances=instances(0), maintenance=NOW)
    operator.change(instances=instances(0, "db.r6g.large"))
    assert short(operator.plan()) == [(f"change the class of {ONE} from db.t4g.medium to db.r6g.large", When.NOW)]


def test_a_writer_that_nobody_could_relieve_is_not_changed_when_aws_refuses_the_failover() -> None:
    operator = settled(instances=instances(1), maintenance=NOW)
    on_instance(operator, TWO, instance_class="db.r6g.large")
    operator.change(instances=instances(1, "db.r6g.large"))
    refused(operator, f"fail over from {ONE} to {TWO}, so that the class of {ONE} can change")
    found = operator.plan()
    assert [s.operation for s in found.steps] == ["FailoverDBCluster", "ModifyDBInstance"]
    assert found.runnable == ()


@pytest.mark.parametrize("what", ["class", "reboot"])
def test_a_writer_waits_for_a_reader_whose_step_aws_refused(what: str) -> None:
    operator = settled(instances=instances(1), maintenance=NOW, parameters={"rds.logical_replication": "1"})
    if what == "class":
        operator.change(instances=instances(1, "db.r6g.large"))
        refused(operator, f"change the class of {TWO} from db.t4g.medium to db.r6g.large")
    else:
        waiting = tuple(replace(m, parameter_status="pending-reboot") for m in cluster(operator).members)
        on_cluster(operator, members=waiting)
        refused(operator, f"reboot reader {TWO}, so that its static parameters take effect")
    found = operator.plan()
    assert len(found.steps) == 2
    assert found.runnable == (), "the writer would be away although a reader could take over"
    assert [r.sentence for r in found.refusals] == ["AWS says no."]


@pytest.mark.parametrize("status", ["modifying", "creating", "deleting", "backing-up"])
def test_nobody_is_disturbed_while_another_does_not_serve(status: str) -> None:
    operator = settled(instances=instances(2), maintenance=NOW)
    on_instance(operator, THREE, status=status)
    operator.change(**LARGE)
    assert [s for s in operator.plan().runnable if s.operation != "CreateDBInstance"] == []


@pytest.mark.parametrize("status", ["modifying", "failing-over", "backing-up", "upgrading"])
def test_nobody_is_disturbed_while_the_cluster_is_busy(status: str) -> None:
    operator = settled(instances=instances(2), maintenance=NOW)
    on_cluster(operator, status=status)
    operator.change(**LARGE)
    assert operator.plan().runnable == ()


def test_nobody_is_disturbed_in_the_same_pass_in_which_something_else_begins() -> None:
    operator = settled(instances=instances(2), maintenance=NOW)
    operator.change(**LARGE, deletionProtection=True)
    assert [s.operation for s in operator.plan().runnable] == ["ModifyDBCluster"]
    operator.change(instances=instances(3, "db.r6g.large"), deletionProtection=True)
    assert [s.operation for s in operator.plan().runnable] == ["ModifyDBCluster"]


def test_of_two_disturbances_of_the_whole_cluster_one_goes_first() -> None:
    operator = settled(maintenance=NOW, engine={"type": "AuroraPostgreSQL", "version": "15.4"})
    operator.change(network={"port": 7000}, engine={"type": "AuroraPostgreSQL", "version": "15.10"})
    assert [s.when for s in operator.plan().steps] == [When.NOW, When.LATER]
    operator.converge()
    assert operator.refused == []


def test_what_comes_after_a_disturbance_of_the_cluster_waits_for_its_end() -> None:
    operator = settled(maintenance=NOW)
    operator.change(network={"port": 7000}, storage={"type": "IOOptimized"}, instances=instances(2))
    assert short(operator.plan()) == [
        ("set port 5432 → 7000", When.NOW),
        ("set storage Standard → IOOptimized", When.LATER),
        (f"make instance {THREE} (db.t4g.medium)", When.LATER),
    ]
    operator.converge()
    assert operator.refused == []


def test_what_is_broken_may_be_mended_although_it_does_not_serve() -> None:
    operator = settled(parameters={"rds.logical_replication": "1"}, maintenance=NOW)
    on_instance(operator, TWO, status="incompatible-parameters", parameter_apply_status="pending-reboot")
    found = operator.plan()
    assert [s.summary for s in found.runnable] == [f"reboot reader {TWO}, so that its static parameters take effect"]
    assert "cannot start with its parameters; correct spec.parameters" in found.waits[0].sentence
    on_instance(operator, ONE, status="rebooting")
    assert operator.plan().runnable == ()


# Versions


def test_a_lower_minor_is_raised_and_a_higher_one_is_left() -> None:
    operator = settled(engine={"type": "AuroraPostgreSQL", "version": "15.4"})
    on_cluster(operator, version="15.10")
    assert operator.plan().refusals == ()
    operator = settled(engine={"type": "AuroraPostgreSQL", "version": "15"}, maintenance=NOW)
    on_cluster(operator, version="15.4")
    assert operator.plan().empty, "any minor of 15 is what was asked for"


def test_a_version_is_never_lowered() -> None:
    operator = settled(engine=POSTGRESQL_16, allowMajorUpgrade=True)
    operator.change(engine={"type": "AuroraPostgreSQL", "version": "15.10"})
    found = operator.plan()
    assert found.steps == ()
    assert found.refusals[0].sentence == (
        f'Cluster {NAME} runs 16.6, and AWS never lowers a version: write spec.engine.version: "16.6", '
        "or restore a snapshot into a new cluster of the older version."
    )


def test_a_major_upgrade_needs_a_word_in_the_spec_and_then_consent() -> None:
    operator = settled(maintenance=NOW)
    operator.change(engine=POSTGRESQL_16)
    found = operator.plan()
    assert found.steps == ()
    assert found.refusals[0].reason == Reason.WAITING_FOR_CONSENT
    assert "set spec.allowMajorUpgrade: true" in found.refusals[0].sentence
    operator.change(allowMajorUpgrade=True)
    found = operator.plan()
    assert short(found) == [("upgrade the major version from 15.10 to 16.6", When.AFTER_CONSENT)]
    assert found.waits[0].sentence.endswith(
        f"kubectl annotate auroracluster ledger penstock.dev/approve={found.hash} --overwrite"
    )
    operator.approved = found.hash
    assert short(operator.plan()) == [("upgrade the major version from 15.10 to 16.6", When.NOW)]
    operator.change(maintenance={"window": WINDOW})
    assert only(operator.plan()).when is When.MAINTENANCE_WINDOW, "consent is not haste"


def test_a_major_upgrade_takes_groups_of_the_new_family_that_hold_the_same() -> None:
    values = {"rds.logical_replication": "1", "max_connections": "200"}
    operator = settled(parameters=values, maintenance=NOW, allowMajorUpgrade=True)
    operator.change(engine=POSTGRESQL_16)
    assert operator.one_pass().runnable == ()
    assert ("cluster", OWN_16) not in operator.world.groups, "nothing is made before consent"
    operator.consent = True
    operator.converge()
    upgrade = next(s for s in operator.done if "EngineVersion" in s.parameters)
    assert asked(upgrade) == {
        "EngineVersion": "16.6",
        "AllowMajorVersionUpgrade": True,
        "DBClusterParameterGroupName": OWN_16,
        "DBInstanceParameterGroupName": OWN_16,
    }
    assert operator.world.groups["cluster", OWN_16].values == {"rds.logical_replication": "1"}
    assert operator.refused == []


def test_a_major_upgrade_whose_new_family_needs_no_group_takes_awss_own() -> None:
    operator = settled(engine={"type": "AuroraPostgreSQL", "version": "14.9"}, maintenance=NOW, allowMajorUpgrade=True)
    operator.change(engine={"type": "AuroraPostgreSQL", "version": "15.10"})
    operator.consent = True
    operator.converge()
    assert operator.refused == []
    assert cluster(operator).parameter_group == "default.aurora-postgresql15"


def test_a_major_upgrade_waits_while_the_new_family_is_not_known() -> None:
    operator = settled(parameters={"rds.logical_replication": "1"}, maintenance=NOW, allowMajorUpgrade=True)
    operator.change(engine=POSTGRESQL_16)
    operator.approved = operator.plan().hash
    observed = operator.observe()
    known = {n: f for n, f in observed.families.items() if n.endswith("15")}
    found = plan(operator.desired, replace(observed, families=known), operator.now)
    assert found.runnable == ()
    assert "Reading the parameters of aurora-postgresql16." in [w.sentence for w in found.waits]
    unread = {k: g for k, g in observed.groups.items() if k[1] == OWN_15}
    assert plan(operator.desired, replace(observed, groups=unread), operator.now).runnable == ()


def test_a_referenced_group_of_the_new_family_comes_with_the_upgrade() -> None:
    operator = settled(parameterGroups=None, maintenance=NOW, allowMajorUpgrade=True)
    on_cluster(operator, parameter_group="theirs-15")
    operator.change(engine=POSTGRESQL_16, parameterGroups={"cluster": "theirs-16", "instance": "theirs-16"})
    operator.approved = operator.plan().hash
    step = only(operator.plan())
    assert step.parameters["DBClusterParameterGroupName"] == "theirs-16"
    assert step.parameters["DBInstanceParameterGroupName"] == "theirs-16"


def test_a_major_upgrade_does_not_drop_what_somebody_else_set_in_a_group() -> None:
    operator = theirs()
    operator.change(allowMajorUpgrade=True, engine=POSTGRESQL_16, maintenance=NOW)
    for _ in range(3):
        operator.one_pass()
        operator.time()
    operator.approved = operator.plan().hash
    found = operator.plan()
    assert found.runnable == ()
    assert [r.sentence for r in found.refusals] == [
        "The major upgrade cannot keep the cluster parameter group theirs, which is of an older family: "
        "name one of aurora-postgresql16 in spec.parameterGroups.cluster, for example default.aurora-postgresql16."
    ]
    operator.change(parameterGroups={"cluster": "default.aurora-postgresql16"})
    assert [s.operation for s in operator.plan().runnable] == ["ModifyDBCluster"]
    assert operator.converge().empty


def test_where_aws_offers_nothing_or_nothing_is_known_of_it_the_sentence_says_so() -> None:
    operator = settled(allowMajorUpgrade=True)
    operator.change(engine={"type": "AuroraPostgreSQL", "version": "17"})
    assert "AWS offers no upgrade from 15.10 to 17" in operator.plan().refusals[0].sentence
    found = plan(operator.desired, replace(operator.observe(), engine=None), operator.now)
    assert (found.refusals[0].reason, found.refusals[0].blocking) == (Reason.UNAVAILABLE, False)


# Whose it is


def theirs(readers: int = 2) -> Operator:
    """A cluster that somebody else made, with instances of their own names."""
    operator = Operator(spec(adopt=True, instances={"class": "db.t4g.medium"}))
    made = Cluster(
        NAME,
        arn=f"{ARN}:cluster:{NAME}",
        resource_id="cluster-theirs",
        status="available",
        engine="aurora-postgresql",
        version="15.10",
        parameter_group="theirs",
        maintenance_window=WINDOW,
        master_secret=MasterSecret(f"{ARN}:secret"),
        tags={"theirs": "x"},
        deletion_protection=False,
        retention_days=9,
    )
    operator.world = replace(operator.world, cluster=made)
    for n in range(readers + 1):
        operator.world = add(operator.world, f"{FOREIGN}-{n}")
    return operator


def test_a_cluster_of_somebody_else_is_not_touched_without_adopt() -> None:
    operator = theirs()
    operator.change(adopt=None)
    found = operator.plan()
    assert found.steps == ()
    assert found.refusals[0].reason == Reason.ALREADY_EXISTS
    assert "set spec.adopt: true to take it over" in found.refusals[0].sentence
    on_cluster(operator, tags={OWNER_TAG: "k2/shop/AuroraCluster/other/u-9"})
    operator.change(adopt=True)
    found = operator.plan()
    assert found.steps == ()
    assert found.refusals[0].reason == Reason.NOT_OWNED
    assert "AuroraCluster shop/other of cluster k2" in found.refusals[0].sentence


def test_adoption_shows_its_plan_first_then_marks_the_cluster_then_changes_it() -> None:
    operator = theirs()
    operator.change(backup={"retentionDays": 7})
    found = operator.one_pass()
    assert found.runnable == ()
    assert "set backup retention 9 → 7" in [s.summary for s in found.steps]
    assert found.waits[0].sentence == f"Taking over cluster {NAME}: this plan is carried out next."
    operator.converge()
    assert operator.done[0].summary == f"tag cluster {NAME} with the mark that it is ours"
    assert cluster(operator).retention_days == 7
    assert cluster(operator).parameter_group == "theirs", "what the spec does not name stays"
    assert cluster(operator).tags["theirs"] == "x"
    assert len(operator.world.instances) == 3


def test_instances_of_an_adopted_cluster_go_only_after_consent() -> None:
    operator = theirs()
    operator.change(instances=instances(0))
    for _ in range(4):
        found = operator.one_pass()
        operator.time()
    deletions = [s for s in found.steps if s.operation == "DeleteDBInstance"]
    assert [s.when for s in deletions] == [When.AFTER_CONSENT, When.AFTER_CONSENT]
    assert found.waits[-1].reason == Reason.WAITING_FOR_CONSENT
    writer = operator.writer
    operator.approved = found.hash
    operator.converge()
    assert list(operator.world.instances) == [writer]


def test_a_reader_that_somebody_adds_goes_only_after_consent_and_ours_stays() -> None:
    operator = settled()
    operator.world = add(operator.world, FOREIGN)
    found = operator.plan()
    step = only(found)
    assert step.summary == f"delete reader {FOREIGN}, which somebody else made"
    assert step.when is When.AFTER_CONSENT
    operator.approved = "0123456789ab"
    assert only(operator.plan()).when is When.AFTER_CONSENT
    operator.approved = found.hash
    assert only(operator.plan()).when is When.NOW


def test_the_same_cluster_is_known_by_its_id_when_its_mark_is_gone() -> None:
    operator = settled()
    on_cluster(operator, tags={})
    assert [s.operation for s in operator.plan().runnable] == ["AddTagsToResource"]
    on_cluster(operator, tags={}, resource_id="another")
    assert operator.plan().refusals[0].reason == Reason.ALREADY_EXISTS


def test_another_engine_and_serverless_v1_are_refused() -> None:
    operator = settled()
    for change, sentence in (
        ({"engine": "aurora-mysql"}, "an engine cannot be changed"),
        ({"engine_mode": "serverless"}, "Aurora Serverless v1"),
    ):
        other = replace(operator.observe(), cluster=replace(cluster(operator), **change))
        found = plan(operator.desired, other, operator.now)
        assert found.steps == ()
        assert sentence in found.refusals[0].sentence


# Stop and start


def test_stopped_is_stopped_and_again_when_aws_starts_it() -> None:
    operator = settled()
    operator.change(stopped=True)
    step = only(operator.plan())
    assert (step.operation, step.summary, step.when) == ("StopDBCluster", f"stop cluster {NAME}", When.NOW)
    operator.converge()
    assert cluster(operator).status == "stopped"
    assert operator.plan().empty
    for name in operator.world.instances:
        on_instance(operator, name, status="available")
    on_cluster(operator, status="available")
    operator.time(20)
    assert only(operator.plan()).summary == f"stop cluster {NAME} again"
    operator.converge()
    operator.change(stopped=False)
    assert only(operator.plan()).summary == f"start cluster {NAME}"
    operator.converge()
    assert cluster(operator).status == "available"


def test_a_cluster_is_stopped_only_when_all_else_is_done() -> None:
    operator = settled()
    operator.change(stopped=True, deletionProtection=True)
    assert [(s.operation, s.when) for s in operator.plan().steps] == [
        ("ModifyDBCluster", When.NOW),
        ("StopDBCluster", When.LATER),
    ]
    on_instance(operator, TWO, status="modifying")
    operator.change(deletionProtection=None)
    assert only(operator.plan()).when is When.LATER


def test_somebody_elses_stop_is_told_and_left() -> None:
    operator = settled()
    for name in operator.world.instances:
        on_instance(operator, name, status="stopped")
    on_cluster(operator, status="stopped")
    operator.change(backup={"retentionDays": 9})
    found = operator.plan()
    assert only(found).when is When.LATER
    wait = found.waits[0]
    assert (wait.reason, "set spec.stopped: false" in wait.sentence) == (Reason.STOPPED, True)
    assert "1 change waits for that" in wait.sentence


def test_an_edit_of_a_cluster_that_is_stopped_by_its_spec_is_told_and_waits() -> None:
    operator = settled(stopped=True)
    assert operator.plan().empty
    operator.change(stopped=True, backup={"retentionDays": 9})
    found = operator.plan()
    assert only(found).when is When.LATER
    assert found.waits[0].sentence.endswith("set spec.stopped: false to start it; 1 change waits until it runs.")


# Removal


def deleted(policy: str = "Snapshot", **fields: Any) -> Operator:
    operator = settled(deletionPolicy=policy, parameters={"max_connections": "9"}, network=SUBNETS, **fields)
    operator.absent = True
    return operator


@pytest.mark.parametrize("policy", ["Snapshot", "Delete"])
def test_instances_go_first_then_the_cluster_then_the_groups(policy: str) -> None:
    operator = deleted(policy, instances=instances(1, readerAutoscaling={"max": 2}))
    assert [s.operation for s in operator.plan().steps] == ["DeregisterScalableTarget"]
    operator.one_pass()
    assert operator.converge().gone
    assert operator.refused == []
    assert [s.operation for s in operator.done] == [
        "DeregisterScalableTarget",
        "DeleteDBInstance",
        "DeleteDBInstance",
        "DeleteDBCluster",
        "DeleteDBParameterGroup",
        "DeleteDBSubnetGroup",
    ]
    assert operator.done[2].parameters["DBInstanceIdentifier"] == ONE, "the writer last"
    final = f"{NAME}-final-u-1-20261102120000"
    if policy == "Snapshot":
        assert asked(operator.done[3]) == {"FinalDBSnapshotIdentifier": final, "DeleteAutomatedBackups": False}
        assert operator.done[3].intent == {"finalSnapshot": {"identifier": final}}
        assert list(operator.world.snapshots) == [final]
    else:
        assert asked(operator.done[3]) == {"SkipFinalSnapshot": True}
        assert operator.world.snapshots == {}
    assert (operator.world.groups, operator.world.subnet_groups, operator.world.scaling) == ({}, {}, ())


def test_a_final_snapshot_of_an_earlier_try_is_waited_for_and_not_taken_twice() -> None:
    operator = deleted(instances=instances(0))
    operator.world = replace(operator.world, instances={})
    name = operator.desired.final_snapshot
    operator.world = replace(operator.world, snapshots={name: Snapshot(name, status="creating")})
    found = operator.plan()
    assert found.steps == ()
    assert found.waits[0].sentence == f"The final snapshot {name} is creating."
    operator.world = replace(operator.world, snapshots={name: Snapshot(name, status="available")})
    assert asked(only(operator.plan())) == {"SkipFinalSnapshot": True, "DeleteAutomatedBackups": False}
    unread = replace(operator.observe(), snapshot=None, snapshot_read=False)
    assert plan(operator.desired, unread, operator.now).steps == ()


def test_protection_keeps_the_cluster_until_the_spec_lets_it_go() -> None:
    operator = deleted(deletionProtection=True)
    found = operator.plan()
    assert found.steps == ()
    assert found.refusals[0].reason == Reason.DELETION_PROTECTED
    assert "set spec.deletionProtection: false" in found.refusals[0].sentence
    operator.change(deletionProtection=False)
    assert [s.summary for s in operator.plan().steps] == [f"turn off deletion protection of {NAME}"]
    assert operator.converge().gone


def test_retained_a_cluster_only_loses_our_mark() -> None:
    operator = deleted("Retain", deletionProtection=True)
    before = operator.world
    assert operator.converge().gone
    assert {s.operation for s in operator.done} == {"AddTagsToResource", "RemoveTagsFromResource"}
    assert OWNER_TAG not in cluster(operator).tags
    assert cluster(operator).tags[ADOPTABLE_BY] == operator.desired.namespace, "the namespace may take it over again"
    assert operator.world.instances.keys() == before.instances.keys()
    assert operator.world.groups == before.groups


def test_a_stopped_cluster_is_started_to_be_deleted_and_one_that_is_busy_is_waited_for() -> None:
    operator = settled(stopped=True)
    operator.absent = True
    assert only(operator.plan()).operation == "StartDBCluster"
    operator.one_pass()
    found = operator.plan()
    assert found.steps == ()
    assert found.waits[0].sentence == f"Deletion waits: cluster {NAME} is starting, and AWS deletes it afterwards."
    assert operator.converge().gone


def test_an_instance_that_is_being_made_is_deleted_afterwards() -> None:
    operator = deleted()
    on_instance(operator, TWO, status="creating")
    assert short(operator.plan()) == [(f"delete instance {TWO}", When.LATER), (f"delete instance {ONE}", When.NOW)]


def test_what_was_never_ours_stays() -> None:
    operator = theirs()
    operator.absent = True
    found = operator.plan()
    assert found.gone
    assert found.steps == ()
    assert found.notes == (f"cluster {NAME} was never ours and stays",)


def test_a_removal_steps_rest_like_others() -> None:
    operator = deleted()
    refused(operator, f"delete instance {TWO}")
    found = operator.plan()
    assert [s.summary for s in found.runnable] == [f"delete instance {ONE}"]
    assert found.refusals[0].sentence == "AWS says no."


def test_a_cluster_that_somebody_deletes_is_waited_for_and_made_again() -> None:
    operator = settled(instances=instances(0))
    operator.world = replace(operator.world, instances={}, ends={"cluster": 2})
    on_cluster(operator, status="deleting", members=())
    assert operator.plan().waits[0].sentence.endswith("is being deleted by somebody; it is made again afterwards.")
    assert operator.plan().steps == ()
    operator.world = tick(tick(operator.world))
    assert operator.plan().steps[0].told == ("Recreating", f"Cluster {NAME} was gone; making it again, empty.")


@pytest.mark.parametrize(("reason", "poll"), [(Reason.ACCESS_DENIED, None), (Reason.UNAVAILABLE, 30.0)])
def test_what_could_not_be_read_is_told_and_the_rest_goes_on(reason: Reason, poll: float | None) -> None:
    operator = settled()
    operator.change(deletionProtection=True)
    seen = replace(operator.observe(), unread=((reason, "It may not be read."),), families={})
    found = plan(operator.desired, seen, MONDAY)
    assert only(found).when is When.NOW
    told = [*found.refusals, *found.waits]
    assert (reason, "It may not be read.") in [(t.reason, t.sentence) for t in told]
    assert [w.poll for w in found.waits if w.reason == reason] == ([poll] if poll else [])
