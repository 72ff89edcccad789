"""What an edit of the spec, or somebody else's change, becomes: field by field, with its effect, its time and its sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aurora_model import IO_OPTIMIZED, STANDARD, WINDOW, World
from aurora_world import IN_WINDOW, MONDAY, NAME, OWN, OWNER, Operator, settled, spec

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.aurora.plan import plan
from penstock.aurora.state import PASSWORD, Group
from penstock.aws.rds import Cluster, Insights, MasterSecret, ParameterGroup, Serverless
from penstock.engine.plan import Effect, Plan, Step, When

ONE, TWO, THREE = (f"{NAME}-{n}" for n in (1, 2, 3))
OWN_15 = f"{OWN}-aurora-postgresql15"
NOW = {"window": WINDOW, "apply": "Immediately"}
IMMEDIATE, RESTART, FAILOVER = Effect.IMMEDIATE, Effect.RESTART, Effect.FAILOVER


def instances(readers: int | None = 1, kind: str = "db.t4g.medium", **fields: Any) -> dict[str, Any]:
    return {"class": kind, **({} if readers is None else {"readers": readers}), **fields}


def cluster(operator: Operator) -> Cluster:
    assert operator.world.cluster is not None
    return operator.world.cluster


def on_cluster(operator: Operator, **values: Any) -> None:
    operator.world = replace(operator.world, cluster=replace(cluster(operator), **values))


def on_instance(operator: Operator, name: str, **values: Any) -> None:
    changed = replace(operator.world.instances[name], **values)
    operator.world = replace(operator.world, instances={**operator.world.instances, name: changed})


def only(found: Plan) -> Step:
    assert len(found.steps) == 1, found
    return found.steps[0]


def short(found: Plan) -> list[tuple[str, When]]:
    return [(s.summary, s.when) for s in found.steps]


def asked(step: Step) -> dict[str, Any]:
    """The parameters without the names and ApplyImmediately."""
    names = ("DBClusterIdentifier", "DBInstanceIdentifier", "ApplyImmediately")
    return {k: v for k, v in step.parameters.items() if k not in names}


# Edits that become one request. name: before, after, operation, parameters, summary, effect
EDITS: dict[str, tuple[dict[str, Any], dict[str, Any], str, dict[str, Any], str, Effect]] = {
    "protection": (
        {},
        {"deletionProtection": True},
        "ModifyDBCluster",
        {"DeletionProtection": True},
        "set deletion protection off → on",
        IMMEDIATE,
    ),
    "retention and window": (
        {"backup": {"retentionDays": 1}},
        {"backup": {"retentionDays": 7, "window": "03:00-04:00"}},
        "ModifyDBCluster",
        {"BackupRetentionPeriod": 7, "PreferredBackupWindow": "03:00-04:00"},
        "set backup retention 1 → 7; backup window 07:00-07:30 → 03:00-04:00",
        IMMEDIATE,
    ),
    "maintenance window": (
        {},
        {"maintenance": {"window": "Mon:05:00-Mon:06:00"}},
        "ModifyDBCluster",
        {"PreferredMaintenanceWindow": "mon:05:00-mon:06:00"},
        "set maintenance window sun:05:00-sun:06:00 → mon:05:00-mon:06:00",
        IMMEDIATE,
    ),
    "IAM authentication": (
        {},
        {"credentials": {"iamAuthentication": True}},
        "ModifyDBCluster",
        {"EnableIAMDatabaseAuthentication": True},
        "set IAM authentication off → on",
        IMMEDIATE,
    ),
    "security groups": (
        {},
        {"network": {"securityGroupIds": ["sg-2", "sg-1"]}},
        "ModifyDBCluster",
        {"VpcSecurityGroupIds": ["sg-1", "sg-2"]},
        "set security groups sg-default → sg-1, sg-2",
        IMMEDIATE,
    ),
    "logs": (
        {"logs": ["instance"]},
        {"logs": ["postgresql"]},
        "ModifyDBCluster",
        {"CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["postgresql"], "DisableLogTypes": ["instance"]}},
        "set log exports instance → postgresql",
        IMMEDIATE,
    ),
    "no logs": (
        {"logs": ["postgresql"]},
        {"logs": []},
        "ModifyDBCluster",
        {"CloudwatchLogsExportConfiguration": {"DisableLogTypes": ["postgresql"]}},
        "set log exports postgresql → none",
        IMMEDIATE,
    ),
    "storage": (
        {"storage": {"type": "Standard"}},
        {"storage": {"type": "IOOptimized"}},
        "ModifyDBCluster",
        {"StorageType": "aurora-iopt1"},
        "set storage Standard → IOOptimized",
        IMMEDIATE,
    ),
    "capacity": (
        {"instances": instances(1, "db.serverless", serverless={"minCapacity": 0.5, "maxCapacity": 4})},
        {
            "instances": instances(
                1, "db.serverless", serverless={"minCapacity": 0, "maxCapacity": 8, "autoPause": "10m"}
            )
        },
        "ModifyDBCluster",
        {
            "ServerlessV2ScalingConfiguration": {
                "MinCapacity": 0.0,
                "MaxCapacity": 8.0,
                "SecondsUntilAutoPause": 600,
            }
        },
        "set capacity 0.5–4 ACU → 0–8 ACU, pausing after 600 s",
        IMMEDIATE,
    ),
    "port": (
        {"maintenance": NOW},
        {"maintenance": NOW, "network": {"port": 6543}},
        "ModifyDBCluster",
        {"Port": 6543},
        "set port 5432 → 6543",
        RESTART,
    ),
    "minor version": (
        {"engine": {"type": "AuroraPostgreSQL", "version": "15.4"}, "maintenance": NOW},
        {"engine": {"type": "AuroraPostgreSQL", "version": "15.10"}, "maintenance": NOW},
        "ModifyDBCluster",
        {"EngineVersion": "15.10"},
        "upgrade the version from 15.4 to 15.10",
        RESTART,
    ),
    "a tag": (
        {"tags": {"team": "a"}},
        {"tags": {"team": "a", "env": "b"}},
        "AddTagsToResource",
        {},
        f"tag cluster {NAME} with env=b",
        IMMEDIATE,
    ),
    "a tag less": (
        {"tags": {"team": "a", "env": "b"}},
        {"tags": {"team": "a"}},
        "RemoveTagsFromResource",
        {},
        f"take the tags env off cluster {NAME}",
        IMMEDIATE,
    ),
    "a parameter": (
        {"parameters": {"log_min_duration_statement": "500"}},
        {"parameters": {"log_min_duration_statement": "100"}},
        "ModifyDBClusterParameterGroup",
        {
            "DBClusterParameterGroupName": OWN_15,
            "Parameters": [
                {
                    "ParameterName": "log_min_duration_statement",
                    "ParameterValue": "100",
                    "ApplyMethod": "immediate",
                }
            ],
        },
        "set log_min_duration_statement 500 → 100 in the parameters of aurora-postgresql15",
        IMMEDIATE,
    ),
    "a parameter less": (
        {"parameters": {"log_min_duration_statement": "500", "rds.logical_replication": "1"}},
        {"parameters": {"rds.logical_replication": "1"}},
        "ResetDBClusterParameterGroup",
        {
            "DBClusterParameterGroupName": OWN_15,
            "ResetAllParameters": False,
            "Parameters": [{"ParameterName": "log_min_duration_statement", "ApplyMethod": "immediate"}],
        },
        "put log_min_duration_statement back to the default of aurora-postgresql15",
        IMMEDIATE,
    ),
    "autoscaling": (
        {"instances": instances(1, readerAutoscaling={"max": 3})},
        {"instances": instances(1, readerAutoscaling={"max": 5})},
        "RegisterScalableTarget",
        {
            "ServiceNamespace": "rds",
            "ResourceId": f"cluster:{NAME}",
            "ScalableDimension": "rds:cluster:ReadReplicaCount",
            "MinCapacity": 1,
            "MaxCapacity": 5,
        },
        "let autoscaling keep 1–3 → 1–5 readers",
        IMMEDIATE,
    ),
    "no autoscaling": (
        {"instances": instances(1, readerAutoscaling={"max": 3})},
        {"instances": instances(1)},
        "DeregisterScalableTarget",
        {
            "ServiceNamespace": "rds",
            "ResourceId": f"cluster:{NAME}",
            "ScalableDimension": "rds:cluster:ReadReplicaCount",
        },
        "end reader autoscaling",
        IMMEDIATE,
    ),
    "a promotion tier": (
        {},
        {"instances": instances(1, overrides=[{"ordinal": 2, "promotionTier": 0}])},
        "ModifyDBInstance",
        {"PromotionTier": 0},
        f"instance {TWO}: set promotion tier 1 → 0",
        IMMEDIATE,
    ),
    "the class of one instance": (
        {"maintenance": NOW},
        {"maintenance": NOW, "instances": instances(1, overrides=[{"ordinal": 2, "class": "db.r6g.large"}])},
        "ModifyDBInstance",
        {"DBInstanceClass": "db.r6g.large"},
        f"change the class of {TWO} from db.t4g.medium to db.r6g.large",
        RESTART,
    ),
    "another reader": (
        {},
        {"instances": instances(2)},
        "CreateDBInstance",
        {
            "Engine": "aurora-postgresql",
            "DBInstanceClass": "db.t4g.medium",
            "Tags": [{"Key": OWNER_TAG, "Value": OWNER}],
        },
        f"make instance {THREE} (db.t4g.medium)",
        IMMEDIATE,
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_one_request_with_its_effect(name: str) -> None:
    before, after, operation, parameters, summary, effect = EDITS[name]
    operator = settled(**before)
    operator.edit(spec(**after))
    # A tag is a request for each instance too.
    steps = [s for s in operator.plan().steps if "Tags" not in operation or f"cluster {NAME}" in s.summary]
    assert len(steps) == 1, steps
    step = steps[0]
    assert (step.operation, step.summary, step.effect, step.when, step.drift) == (
        operation,
        summary,
        effect,
        When.NOW,
        "",
    )
    if parameters:
        assert asked(step) == parameters
    operator.converge()


# The absence of these means something: autoscaling has no other word for off, and an override is an exception.
ENDED = ("autoscaling", "no autoscaling", "a promotion tier", "the class of one instance", "another reader", "capacity")


@pytest.mark.parametrize("name", [name for name in EDITS if name not in ENDED])
def test_a_field_that_is_taken_out_of_the_spec_is_left_as_it_is(name: str) -> None:
    _, after, *_ = EDITS[name]
    operator = settled(**after)
    least = {"requireTLS": None, "maintenance": None, "instances": after.get("instances", instances())}
    operator.edit(spec(**least, engine={"type": "AuroraPostgreSQL"}))
    assert operator.plan().empty


# Somebody else's changes: (how, the summary's beginning, the drift)
DRIFT: dict[str, tuple[dict[str, Any], Callable[[World], World], str, str]] = {
    "retention": (
        {"backup": {"retentionDays": 7}},
        lambda w: replace(w, cluster=replace(_c(w), retention_days=1)),
        "set backup retention 1 → 7",
        f"Drift corrected on cluster {NAME}: backup retention 1 → 7.",
    ),
    "a tag": (
        {"tags": {"team": "a"}},
        lambda w: replace(w, cluster=replace(_c(w), tags={**_c(w).tags, "team": "b"})),
        f"tag cluster {NAME} with team=a",
        f"Tags of cluster {NAME} were changed; set back team=a.",
    ),
    "the mark": (
        {},
        lambda w: replace(w, cluster=replace(_c(w), tags={})),
        f"tag cluster {NAME} with the mark that it is ours",
        f"Tags of cluster {NAME} were changed; set back the mark that it is ours.",
    ),
    "a class": (
        {"maintenance": NOW},
        lambda w: replace(w, instances={**w.instances, TWO: replace(w.instances[TWO], instance_class="db.r6g.large")}),
        f"change the class of {TWO} from db.r6g.large to db.t4g.medium",
        f"Instance {TWO} had become db.r6g.large; set back to db.t4g.medium.",
    ),
    "a parameter": (
        {"parameters": {"log_min_duration_statement": "500"}},
        lambda w: replace(
            w, groups={k: replace(g, values={"log_min_duration_statement": "1"}) for k, g in w.groups.items()}
        ),
        "set log_min_duration_statement 1 → 500",
        f"Parameters of {OWN_15} were changed: log_min_duration_statement 1 → 500.",
    ),
    "subnets": (
        {"network": {"subnetIds": ["subnet-a", "subnet-b"]}},
        lambda w: replace(w, subnet_groups={k: replace(g, subnets=g.subnets[:1]) for k, g in w.subnet_groups.items()}),
        f"give subnet group {OWN} back its subnets subnet-a, subnet-b",
        f"Subnet group {OWN} had subnet-a; set back to subnet-a, subnet-b.",
    ),
    "autoscaling": (
        {"instances": instances(1, readerAutoscaling={"max": 3})},
        lambda w: replace(w, scaling=(replace(w.scaling[0], maximum=9),)),
        "let autoscaling keep 1–9 → 1–3 readers",
        "Reader autoscaling was changed; set back to 1–3 readers.",
    ),
    "the parameter group": (
        {"parameters": {"log_min_duration_statement": "500"}, "maintenance": NOW},
        lambda w: replace(w, cluster=replace(_c(w), parameter_group="default.aurora-postgresql15")),
        f"set cluster parameter group default.aurora-postgresql15 → {OWN_15}",
        "",
    ),
}


def _c(world: World) -> Cluster:
    assert world.cluster is not None
    return world.cluster


@pytest.mark.parametrize("name", DRIFT)
def test_what_somebody_else_changed_is_set_back_and_told(name: str) -> None:
    wanted, change, summary, drift = DRIFT[name]
    operator = settled(**wanted)
    operator.world = change(operator.world)
    step = operator.plan().steps[0]
    assert step.summary.startswith(summary)
    assert step.drift == (drift or step.drift)
    assert step.drift, "once the spec was reached, a difference is somebody else's doing"
    operator.converge()
    operator.world = change(operator.world)
    operator.settled = False
    assert operator.plan().steps[0].drift == "", "while an edit is being made, it is not"


def test_what_is_there_and_is_not_in_the_spec_stays() -> None:
    operator = settled(tags={"team": "a"})
    on_cluster(
        operator,
        tags={**cluster(operator).tags, "theirs": "x"},
        retention_days=30,
        deletion_protection=True,
        log_exports=("postgresql",),
        security_groups=("sg-9",),
        storage_type=IO_OPTIMIZED,
        serverless=Serverless(1, 2),
    )
    on_instance(operator, TWO, tier=9, publicly_accessible=True, performance_insights=Insights(True, 31))
    assert operator.plan().empty


def test_what_aws_does_not_tell_is_not_corrected() -> None:
    operator = settled(
        deletionProtection=True,
        backup={"retentionDays": 7, "window": "03:00-04:00"},
        credentials={"managed": True, "iamAuthentication": True},
        network={"securityGroupIds": ["sg-1"], "port": 6000, "publiclyAccessible": False},
        performanceInsights={"retentionDays": 7},
    )
    on_cluster(
        operator,
        deletion_protection=None,
        retention_days=None,
        backup_window="",
        maintenance_window="",
        iam_authentication=None,
        security_groups=(),
        port=None,
        parameter_group="",
    )
    on_instance(operator, TWO, publicly_accessible=None, performance_insights=None, tier=None, instance_class="")
    assert operator.plan().empty


@pytest.mark.parametrize("version", ["", "what?"])
def test_a_version_that_cannot_be_read_stops_nothing_else(version: str) -> None:
    operator = settled()
    operator.change(deletionProtection=True)
    observed = operator.observe()
    seen = replace(observed, cluster=replace(cluster(operator), version=version))
    assert only(plan(operator.desired, seen, operator.now)).summary == "set deletion protection off → on"


def test_a_quiet_change_waits_while_the_cluster_is_busy_and_needs_no_window() -> None:
    operator = settled()
    operator.change(deletionProtection=True)
    assert only(operator.plan()).when is When.NOW
    on_cluster(operator, status="backing-up")
    found = operator.plan()
    assert only(found).when is When.LATER
    assert found.waits[0].reason == Reason.BACKING_UP


def test_an_instance_takes_one_change_at_a_time() -> None:
    operator = settled()
    operator.change(
        instances=instances(1, overrides=[{"ordinal": 2, "promotionTier": 0}]), network={"publiclyAccessible": True}
    )
    apart = [f"instance {TWO}: set promotion tier 1 → 0", f"instance {TWO}: set public address on"]
    theirs = [s for s in operator.plan().steps if s.parameters["DBInstanceIdentifier"] == TWO]
    assert [s.summary for s in theirs] == [f"{apart[0]}; public address on"]
    operator.refusing = {theirs[0].summary: 1}
    operator.one_pass()
    assert operator.refused[1:] == []
    on_instance(operator, TWO, status="available")
    operator.world = replace(operator.world, ends={})
    on_instance(operator, TWO, tier=1, publicly_accessible=False)
    operator.now += timedelta(hours=1)
    mine = [(s.summary, s.when) for s in operator.plan().steps if s.parameters["DBInstanceIdentifier"] == TWO]
    assert mine == [(apart[0], When.NOW), (apart[1], When.LATER)]
    on_instance(operator, TWO, status="rebooting")
    assert [s for s in operator.plan().runnable if s.parameters["DBInstanceIdentifier"] == TWO] == []


def test_a_combined_request_that_was_refused_is_asked_for_part_by_part() -> None:
    operator = settled(backup={"retentionDays": 1})
    operator.change(backup={"retentionDays": 7}, deletionProtection=True, logs=["postgresql"])
    together = only(operator.plan())
    operator.refusing = {together.summary: 1, "set backup retention 1 → 7": 99}
    operator.one_pass()
    operator.time(2)
    operator.one_pass()
    operator.time(2)
    found = operator.one_pass()
    assert cluster(operator).deletion_protection is True
    assert cluster(operator).log_exports == ("postgresql",)
    assert cluster(operator).retention_days == 1
    assert short(found) == [("set backup retention 1 → 7", When.LATER)]
    assert [r.blocking for r in found.refusals] == [True]
    operator.refusing.clear()
    operator.converge()
    assert cluster(operator).retention_days == 7


# Credentials


def test_the_password_of_a_secret_is_set_when_its_content_changes() -> None:
    operator = settled(credentials={"passwordSecretRef": {"name": "master"}})
    assert operator.world.password == f"{PASSWORD} secret/1"
    operator.secret = "secret/2"
    step = only(operator.plan())
    assert step.summary == "set the master password to that of Secret master"
    assert asked(step) == {"MasterUserPassword": PASSWORD}
    assert step.told == ("PasswordChanged", "The master password is now that of Secret master.")
    assert step.effect is IMMEDIATE
    operator.converge()
    assert operator.world.password == f"{PASSWORD} secret/2"


@pytest.mark.parametrize(("version", "reason"), [("", Reason.WAITING_FOR_SECRET), ("secret/2", Reason.SECRET_INVALID)])
def test_a_secret_without_a_good_password_changes_nothing_and_is_told(version: str, reason: Reason) -> None:
    operator = settled(credentials={"passwordSecretRef": {"name": "master"}})
    observed = operator.observe()
    assert observed.password is not None
    bad = replace(observed.password, version=version, problem="Secret master is wrong.", same=False)
    found = plan(operator.desired, replace(observed, password=bad), operator.now)
    assert found.steps == ()
    assert [(r.reason, r.sentence) for r in found.refusals] == [(reason, "Secret master is wrong.")]


def test_from_managed_to_a_secret_and_back() -> None:
    operator = settled(credentials={"managed": True})
    assert cluster(operator).master_secret is not None
    operator.change(credentials={"passwordSecretRef": {"name": "master"}})
    assert asked(only(operator.plan())) == {"MasterUserPassword": PASSWORD, "ManageMasterUserPassword": False}
    operator.converge()
    assert cluster(operator).master_secret is None
    operator.change(credentials={"managed": True})
    assert only(operator.plan()).summary == "have AWS manage the master password"
    operator.converge()
    assert isinstance(cluster(operator).master_secret, MasterSecret)


# Parameters


def test_an_unknown_parameter_is_refused_with_a_suggestion_and_the_others_are_set() -> None:
    operator = settled()
    operator.change(parameters={"log_min_duration_statment": "5", "rds.logical_replication": "1"})
    found = operator.plan()
    assert [r.sentence for r in found.refusals] == [
        "There is no parameter log_min_duration_statment in aurora-postgresql15: take it out of spec.parameters; "
        "did you mean log_min_duration_statement?"
    ]
    assert "set rds.logical_replication = 1" in found.steps[1].summary


def test_a_parameter_that_cannot_be_set_is_refused() -> None:
    found = Operator(spec(parameters={"server_version": "9"})).plan()
    assert [r.sentence for r in found.refusals] == [
        "Parameter server_version of aurora-postgresql15 cannot be set; take it out of spec.parameters."
    ]
    assert not [s for s in found.runnable if s.operation == "CreateDBCluster"]


def test_a_static_parameter_is_a_step_and_its_reboots_are_others_readers_first_one_at_a_time() -> None:
    operator = settled(instances=instances(2), parameters={"rds.logical_replication": "0"}, maintenance=NOW)
    operator.change(parameters={"rds.logical_replication": "1"})
    step = only(operator.plan())
    assert step.parameters["Parameters"][0]["ApplyMethod"] == "pending-reboot"
    operator.converge()
    why = "so that its static parameters take effect"
    assert [s.summary for s in operator.done[1:]] == [
        f"reboot reader {TWO}, {why}",
        f"reboot reader {THREE}, {why}",
        f"fail over from {ONE} to {TWO}, so that {ONE} can be rebooted",
        f"reboot reader {ONE}, {why}",
    ]
    assert [s.effect for s in operator.done[1:]] == [RESTART, RESTART, FAILOVER, RESTART]


def test_a_writer_that_no_reader_can_relieve_is_rebooted_in_place_and_says_why() -> None:
    operator = settled(instances=instances(0), parameters={"rds.logical_replication": "0"}, maintenance=NOW)
    operator.change(parameters={"rds.logical_replication": "1"})
    operator.converge()
    assert [s.summary for s in operator.done[1:]] == [
        f"reboot writer {ONE}, so that its static parameters take effect; no reader can take over"
    ]


def test_a_reader_that_is_added_is_like_the_writer_where_the_spec_says_nothing() -> None:
    operator = settled(instances=instances(0))
    writer = replace(
        operator.world.instances[ONE],
        instance_class="db.r6g.4xlarge",
        parameter_group="custom-five",
        publicly_accessible=True,
        performance_insights=Insights(True, 731, "arn:key"),
        ca="rds-ca-ecc384-g1",
        auto_minor_upgrade=False,
        monitoring_interval=30,
        monitoring_role="arn:role",
    )
    operator.world = replace(operator.world, instances={ONE: writer})
    operator.change(adopt=True, instances={"readers": 1})
    step = only(operator.plan())
    assert step.summary == f"make instance {TWO} (db.r6g.4xlarge)"
    assert (
        step.parameters.items()
        >= {
            "DBInstanceClass": "db.r6g.4xlarge",
            "DBParameterGroupName": "custom-five",
            "PubliclyAccessible": True,
            "EnablePerformanceInsights": True,
            "PerformanceInsightsRetentionPeriod": 731,
            "PerformanceInsightsKMSKeyId": "arn:key",
            "CACertificateIdentifier": "rds-ca-ecc384-g1",
            "AutoMinorVersionUpgrade": False,
            "MonitoringInterval": 30,
            "MonitoringRoleArn": "arn:role",
        }.items()
    )
    asked = {"instances": {"class": "db.r6g.large", "readers": 1}, "performanceInsights": {"enabled": False}}
    operator.change(network={"publiclyAccessible": False}, **asked)
    step = next(s for s in operator.plan().steps if s.operation == "CreateDBInstance")
    named = ("DBInstanceClass", "PubliclyAccessible", "EnablePerformanceInsights")
    assert [step.parameters[n] for n in named] == ["db.r6g.large", False, False]
    assert "PerformanceInsightsRetentionPeriod" not in step.parameters


def test_a_new_instance_gets_a_name_that_no_instance_of_another_cluster_has() -> None:
    # After two clusters swapped names, the other one's instances are called as ours would be.
    operator = settled()
    operator.change(instances=instances(2))
    found = plan(operator.desired, replace(operator.observe(), elsewhere=frozenset({THREE})), operator.now)
    [step] = found.steps
    assert step.parameters["DBInstanceIdentifier"] == f"{NAME}-4"


def test_a_parameter_that_somebody_else_set_in_our_group_stays() -> None:
    operator = settled(parameters={"log_min_duration_statement": "500"})
    theirs = {
        k: replace(g, values={**g.values, "rds.logical_replication": "1"}) for k, g in operator.world.groups.items()
    }
    operator.world = replace(operator.world, groups=theirs)
    assert operator.plan().empty


def test_a_parameter_of_instances_alone_makes_a_group_of_instances() -> None:
    operator = settled(parameters={"max_connections": "200"})
    assert cluster(operator).parameter_group == "default.aurora-postgresql15"
    assert {i.parameter_group for i in operator.world.instances.values()} == {OWN_15}


@pytest.mark.parametrize(("version", "own"), [("14.9", True), ("15.10", False)])
def test_tls_is_required_by_default_and_where_that_is_the_engines_default_no_group_is_made(
    version: str, own: bool
) -> None:
    operator = settled(engine={"type": "AuroraPostgreSQL", "version": version})
    assert bool(operator.world.groups) is own
    if own:
        assert next(iter(operator.world.groups.values())).values == {"rds.force_ssl": "1"}


def test_tls_that_was_turned_off_comes_back_although_it_is_the_engines_default() -> None:
    operator = settled(requireTLS=False)
    assert operator.world.groups["cluster", OWN_15].values == {"rds.force_ssl": "0"}
    operator.change(requireTLS=None)
    operator.converge()
    assert operator.world.groups["cluster", OWN_15].values["rds.force_ssl"] == "1"


def theirs(operator: Operator, **values: str) -> None:
    """Somebody puts the cluster into a parameter group of their own; an underscored name stands for one with a dot."""
    found = {n.replace("__", "."): v for n, v in values.items()}
    group = Group(ParameterGroup("theirs", "aurora-postgresql15", "arn:theirs"), found)
    operator.world = replace(operator.world, groups={**operator.world.groups, ("cluster", "theirs"): group})
    on_cluster(operator, parameter_group="theirs")


def test_somebody_elses_group_that_turns_tls_off_gives_way_to_ours_with_what_it_holds_after_consent() -> None:
    operator = settled(maintenance=NOW)
    theirs(operator, log_min_duration_statement="7")
    assert operator.plan().empty, "it gives what the spec asks for"
    theirs(operator, log_min_duration_statement="7", rds__force_ssl="0")
    found = operator.one_pass()
    assert found.runnable == ()
    consented = next(s for s in found.steps if s.when is When.AFTER_CONSENT)
    assert consented.summary == (
        f"set cluster parameter group theirs → {OWN_15}; it takes over log_min_duration_statement = 7"
    )
    before = operator.world
    operator.one_pass()
    assert operator.world == before, "nothing is created before the consent"
    operator.approved = found.hash
    operator.converge()
    assert cluster(operator).parameter_group == OWN_15
    assert operator.world.groups["cluster", OWN_15].values == {
        "log_min_duration_statement": "7",
        "rds.force_ssl": "1",
    }
    assert operator.world.groups["cluster", "theirs"].values["rds.force_ssl"] == "0"
    # Once ours was in force, another one in its place is drift.
    theirs(operator, rds__force_ssl="0")
    step = only(operator.plan())
    assert (asked(step), step.when) == ({"DBClusterParameterGroupName": OWN_15}, When.NOW)
    operator.change(parameterGroups={"cluster": "theirs"})
    assert operator.plan().empty, "unless the spec names it"


def test_named_groups_are_given_at_creation_also_where_no_version_is_known() -> None:
    operator = Operator(spec(engine={"type": "AuroraPostgreSQL"}, parameterGroups={"cluster": "theirs"}))
    seen = replace(operator.observe(), engine=None)
    assert plan(operator.desired, seen, MONDAY).steps[0].parameters["DBClusterParameterGroupName"] == "theirs"


# Windows


def test_what_users_notice_waits_for_the_window_and_the_sentence_tells_when_it_opens() -> None:
    operator = settled()
    operator.change(instances=instances(1, overrides=[{"ordinal": 2, "class": "db.r6g.large"}]))
    found = operator.plan()
    step = only(found)
    assert (step.effect, step.when) == (RESTART, When.MAINTENANCE_WINDOW)
    wait = found.waits[0]
    assert wait.reason == Reason.WAITING_FOR_WINDOW
    assert wait.sentence == (
        f"To change the class of {TWO} from db.t4g.medium to db.r6g.large waits for the maintenance window "
        "sun:05:00-sun:06:00, which opens 2026-11-08 05:00 UTC; spec.maintenance.apply: Immediately does it at once."
    )
    operator.now = IN_WINDOW + timedelta(days=7)
    assert only(operator.plan()).when is When.NOW
    operator.now = MONDAY
    operator.change(maintenance=NOW)
    assert only(operator.plan()).when is When.NOW


def test_without_a_window_in_the_spec_the_clusters_own_counts() -> None:
    operator = settled(maintenance=None)
    operator.change(network={"port": 7777})
    sentence = operator.plan().waits[0].sentence
    assert "sat:06:00-sat:06:30, which opens 2026-11-07 06:00 UTC" in sentence
    on_cluster(operator, maintenance_window="")
    assert only(operator.plan()).when is When.NOW, "to wait for ever would be worse"


def test_only_what_is_noticed_waits_for_the_window() -> None:
    operator = settled()
    operator.change(network={"port": 7777}, deletionProtection=True)
    assert short(operator.plan()) == [
        ("set deletion protection off → on", When.NOW),
        ("set port 5432 → 7777", When.MAINTENANCE_WINDOW),
    ]


# Storage


def test_storage_that_aws_lets_nobody_change_yet_is_told_with_the_time() -> None:
    operator = settled(storage={"type": "Standard"})
    on_cluster(operator, storage_change_allowed=MONDAY + timedelta(days=20))
    operator.change(storage={"type": "IOOptimized"})
    found = operator.plan()
    assert found.steps == ()
    assert [
        (r.blocking, "AWS takes the change again from 2026-11-22 12:00 UTC" in r.sentence) for r in found.refusals
    ] == [(False, True)]
    operator.now += timedelta(days=21)
    assert only(operator.plan()).summary == "set storage Standard → IOOptimized"
    on_cluster(operator, storage_type=IO_OPTIMIZED, storage_change_allowed=operator.now + timedelta(days=30))
    operator.change(storage={"type": STANDARD})
    assert only(operator.plan()).summary == "set storage IOOptimized → Standard", "back is allowed at any time"
