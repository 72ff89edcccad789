"""The invariants of the plan of an Aurora cluster, over histories of edits, refusals and other people's doings on a model of RDS.

Every step that runs is watched (aurora_world.Operator): the writer is never removed by scaling in, nothing is disturbed while something is not
available, nor two things at once, nothing is deleted that the spec did not ask for, and a step that rests does not run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aurora_model import ARN, FAMILIES, World
from aurora_specs import FOREIGN_TAG, MEDDLING, meddle, specs
from aurora_world import IN_WINDOW, MONDAY, Operator, differences, spec
from dynamo_specs import examples
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.api import engine_version
from penstock.api.meta import OWNER_TAG
from penstock.aurora.state import Group
from penstock.aws.rds import ParameterGroup, Subnet, SubnetGroup
from penstock.engine.plan import Effect, When

EVENTS = st.one_of(
    st.tuples(st.just("edit"), st.integers(0, 2)),
    st.tuples(st.just("passes"), st.integers(1, 4)),
    st.tuples(st.just("time"), st.integers(1, 6)),
    st.tuples(st.just("meddle"), st.sampled_from(sorted(MEDDLING))),
    st.tuples(st.just("refuse"), st.integers(1, 3)),
    st.tuples(st.just("secret"), st.sampled_from(["secret/2", "secret/3"])),
    st.tuples(st.just("window"), st.booleans()),
)


def _immediate(wanted: dict[str, Any]) -> dict[str, Any]:
    """Nothing waits for a window; and it runs, since AWS changes nothing of a stopped cluster."""
    return {**wanted, "stopped": False, "maintenance": {**wanted["maintenance"], "apply": "Immediately"}}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[tuple[str, Any]]]:
    """Specs of one cluster's life, the last of which is to be reached, and what happens in it."""
    engine = draw(st.sampled_from(["AuroraPostgreSQL", "AuroraPostgreSQL", "AuroraMySQL"]))
    found = draw(st.lists(specs(engine), min_size=2, max_size=3))
    return [*found[:-1], _immediate(found[-1])], draw(st.lists(EVENTS, max_size=8))


def live(operator: Operator, known: list[dict[str, Any]], event: str, value: Any) -> None:
    """One event of a cluster's life."""
    match event:
        case "edit":
            operator.edit(known[value % len(known)])
        case "passes":
            for _ in range(value):
                operator.one_pass()
                operator.time()
        case "time":
            operator.time(value)
        case "meddle":
            operator.world = meddle(operator.world, value)
        case "refuse":
            runnable = operator.plan().runnable
            operator.refusing = {s.summary: value for s in runnable[:2] if not s.operation.startswith("AddTags")}
            operator.one_pass()
        case "secret":
            operator.secret = value
        case "window":
            operator.now = max(operator.now, IN_WINDOW if value else MONDAY)


def _never_lowered(operator: Operator, before: str) -> str:
    cluster = operator.world.cluster
    if cluster is None:
        return before
    assert not before or not engine_version.is_lower(cluster.version, before)
    return cluster.version


def _reachable(operator: Operator, wanted: dict[str, Any]) -> dict[str, Any]:
    """The spec without what AWS can do no more: a lower version than the one that runs."""
    cluster, version = operator.world.cluster, wanted["engine"].get("version")
    if cluster is None or not version or not engine_version.is_lower(version, cluster.version):
        return wanted
    return {**wanted, "engine": {"type": wanted["engine"]["type"]}}


@given(histories())
@examples(60)
def test_whatever_happened_plan_and_act_reach_the_spec(
    history: tuple[list[dict[str, Any]], list[tuple[str, Any]]],
) -> None:
    known, events = history
    operator = Operator(known[0], consent=True)
    version = ""
    for event, value in events:
        live(operator, known, event, value)
        version = _never_lowered(operator, version)
    operator.refusing.clear()
    operator.edit(_reachable(operator, known[-1]))
    found = operator.converge()
    assert found.empty, found
    assert differences(operator) == []
    _never_lowered(operator, version)
    assert operator.one_pass().empty
    operator.change(stopped=True)
    operator.converge()
    assert operator.world.cluster is not None
    assert operator.world.cluster.status == "stopped"


@given(specs("AuroraPostgreSQL"), specs("AuroraPostgreSQL"))
@examples(25)
def test_outside_the_window_nobody_is_disturbed(before: dict[str, Any], after: dict[str, Any]) -> None:
    operator = Operator(_immediate(before), consent=True, now=MONDAY)
    operator.converge()
    operator.begin()
    operator.edit(_reachable(operator, {**after, "stopped": False, "maintenance": {"window": "sun:05:00-sun:06:00"}}))
    for _ in range(20):
        found = operator.one_pass()
        operator.time()
    assert not [s for s in operator.done if s.effect in (Effect.RESTART, Effect.FAILOVER)]
    windowed = [s for s in found.steps if s.when is When.MAINTENANCE_WINDOW]
    assert bool(windowed) == any("opens 2026-11-08 05:00 UTC" in w.sentence for w in found.waits)
    assert found.runnable == ()


def _unmanaged(operator: Operator) -> dict[str, Any]:
    """What the spec does not name, with its value."""
    asked, world = operator.spec, operator.world
    cluster = world.cluster
    assert cluster is not None
    found: dict[str, Any] = {
        "foreign tags": {k: v for k, v in cluster.tags.items() if k not in (asked.tags or {}) and k != OWNER_TAG},
        "theirs": asked.instance_count is None
        and sorted(n for n, i in world.instances.items() if FOREIGN_TAG in i.tags),
    }
    for value, name in (
        (asked.deletion_protection, "deletion_protection"),
        (asked.backup and asked.backup.retention_days, "retention_days"),
        (asked.backup and asked.backup.window, "backup_window"),
        (asked.credentials and asked.credentials.iam_authentication, "iam_authentication"),
        (asked.logs, "log_exports"),
        (asked.storage, "storage_type"),
        (asked.network and asked.network.port, "port"),
        (asked.network and asked.network.security_group_ids, "security_groups"),
        (asked.instances.serverless, "serverless"),
        (asked.engine.version, "version"),
    ):
        if value is None:
            found[name] = getattr(cluster, name)
    if asked.parameters is None and asked.requires_tls is None:
        found["parameters"] = (cluster.parameter_group, dict(world.groups))
    named = {*(asked.parameters or ()), *([asked.engine.tls_parameter[0]] if asked.requires_tls is not None else ())}
    in_force = [("cluster", cluster.parameter_group)]
    in_force += [("instance", i.parameter_group) for i in world.instances.values()]
    for level, group in in_force:
        for name, value in world.groups.get((level, group), Group()).values.items():
            if name not in named:
                found[f"{level} parameter {name}"] = value
    if asked.performance_insights is None:
        found["insights"] = {n: i.performance_insights for n, i in world.instances.items()}
    return found


@given(
    specs("AuroraPostgreSQL"),
    st.lists(st.sampled_from(sorted(MEDDLING)), max_size=4),
    specs("AuroraPostgreSQL", adopt=True),
    st.booleans(),
)
# A reader that autoscaling made is one of those that the spec asks for, once the spec says nothing of autoscaling: its parameters count.
@example(spec(), ["an autoscaled reader", "a pending reboot"], spec(adopt=True, parameters={}), False)
@examples(40)
def test_an_adopted_cluster_becomes_what_the_spec_says_and_nothing_else_of_it_changes(
    theirs: dict[str, Any], meddling: list[str], ours: dict[str, Any], count: bool
) -> None:
    maker = Operator(_immediate(theirs), consent=True, owner="k2/shop/AuroraCluster/other/u-2", uid="u-2")
    maker.converge()
    for what in meddling:
        maker.world = meddle(maker.world, what)
    assert maker.world.cluster is not None
    tagless = {n: replace(i, tags={FOREIGN_TAG: "x"}) for n, i in maker.world.instances.items()}
    world = replace(maker.world, cluster=replace(maker.world.cluster, tags={FOREIGN_TAG: "x"}), instances=tagless)
    wanted = _immediate(ours)
    # What AWS settles for ever and the object names otherwise is not adopted: subnets, zones.
    overrides = [o for o in wanted["instances"].get("overrides", ()) if "zone" not in o]
    wanted["instances"] = {**wanted["instances"], "overrides": overrides}
    wanted["network"] = {k: v for k, v in wanted.get("network", {}).items() if k != "subnetIds"}
    if not count:
        wanted["instances"] = {
            k: v for k, v in wanted["instances"].items() if k not in ("readers", "readerAutoscaling")
        }
    if wanted.get("parameters") is None and wanted.get("requireTLS") is None:
        # A major upgrade would need a group that the spec does not name.
        wanted["engine"] = {"type": "AuroraPostgreSQL"}
    operator = Operator(wanted, world=world, consent=True, status={})
    operator.world = replace(operator.world, scaling=())
    operator.edit(_reachable(operator, wanted))
    before = _unmanaged(operator)
    found = operator.one_pass()
    assert found.runnable == (), "the first pass only shows"
    assert operator.done == []
    operator.converge()
    assert differences(operator) == []
    after = _unmanaged(operator)
    if "insights" in before:
        # Instances come and go with their number.
        before["insights"] = {n: i for n, i in before["insights"].items() if n in after["insights"]}
        after["insights"] = {n: i for n, i in after["insights"].items() if n in before["insights"]}
    assert after == before


@given(specs(), st.sampled_from(["", "k2/shop/AuroraCluster/other/u-2"]))
@examples(10)
def test_a_cluster_that_is_not_ours_is_never_touched(wanted: dict[str, Any], tag: str) -> None:
    maker = Operator(_immediate(wanted), consent=True)
    maker.converge()
    assert maker.world.cluster is not None
    theirs = replace(maker.world, cluster=replace(maker.world.cluster, tags={OWNER_TAG: tag} if tag else {}))
    operator = Operator({**wanted, "adopt": True} if tag else wanted, world=theirs)
    for _ in range(3):
        found = operator.one_pass()
        assert found.steps == ()
        assert [r.reason for r in found.refusals] == ["NotOwned" if tag else "AlreadyExists"]
        operator.time()
    operator.absent = True
    assert operator.one_pass().gone
    assert operator.world == theirs


OWNERS = ["", "k1/shop/AuroraCluster/other/u-9", "k2/shop/AuroraCluster/ledger/u-1", "somebody"]


@st.composite
def strangers(draw: st.DrawFn) -> World:
    """Groups and a snapshot of others, under the very names that this object's have, or had."""
    world, desired = World(), Operator().desired
    for name in draw(st.lists(st.sampled_from([desired.own_subnet_group, desired.legacy_subnet_group]), unique=True)):
        tags = {OWNER_TAG: owner} if (owner := draw(st.sampled_from(OWNERS))) else {}
        group = SubnetGroup(name, f"{ARN}:subgrp:{name}", subnets=(Subnet("subnet-c", "us-east-1c"),), tags=tags)
        world = replace(world, subnet_groups={**world.subnet_groups, name: group})
    names = [f(family) for family in FAMILIES for f in (desired.own_parameter_group, desired.legacy_parameter_group)]
    families = dict(zip(names, (f for f in FAMILIES for _ in range(2)), strict=True))
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=4)):
        for level in draw(st.lists(st.sampled_from(["cluster", "instance"]), unique=True)):
            tags = {OWNER_TAG: owner} if (owner := draw(st.sampled_from(OWNERS))) else {}
            group_arn = f"{ARN}:{level}:{name}"
            found = Group(ParameterGroup(name, families[name], group_arn, tags=tags), {"theirs": "1"})
            world = replace(world, groups={**world.groups, (level, name): found})
    return world


@given(
    specs(), strangers(), st.lists(EVENTS, max_size=5), st.sampled_from(["Delete", "Snapshot", "Retain"]), st.booleans()
)
@examples(60)
def test_what_carries_somebody_elses_tag_or_none_is_as_before_whatever_an_object_lives_through(
    wanted: dict[str, Any], theirs: World, events: list[tuple[str, Any]], policy: str, taken: bool
) -> None:
    operator = Operator({**wanted, "deletionPolicy": policy}, world=theirs, consent=True)
    if taken:
        maker = Operator(_immediate(wanted), consent=True, owner=OWNERS[1], uid="u-9")
        maker.converge()
        theirs = replace(
            maker.world,
            groups={**maker.world.groups, **theirs.groups},
            subnet_groups={**maker.world.subnet_groups, **theirs.subnet_groups},
        )
        operator.world = theirs
    for event, value in events:
        if event != "meddle":
            live(operator, [operator.wanted], event, value)
    for _ in range(4):
        operator.one_pass()
        operator.time()
    operator.refusing.clear()
    operator.absent = True
    for _ in range(60):
        if operator.one_pass().gone:
            break
        cluster = operator.world.cluster
        if cluster is not None and not taken:
            operator.world = replace(operator.world, cluster=replace(cluster, deletion_protection=False))
        operator.time()
    after = operator.world
    assert {k: g for k, g in after.groups.items() if k in theirs.groups} == theirs.groups
    assert {n: g for n, g in after.subnet_groups.items() if n in theirs.subnet_groups} == theirs.subnet_groups
    if taken:
        assert (after.cluster, after.instances) == (theirs.cluster, theirs.instances)


@pytest.mark.parametrize("policy", ["Snapshot", "Retain", "Delete"])
@given(data=st.data())
@examples(12)
def test_removal_keeps_what_must_be_kept_and_ends(policy: str, data: st.DataObject) -> None:
    wanted = data.draw(specs(deletionPolicy=policy))
    operator = Operator(wanted, consent=True)
    events = data.draw(st.lists(EVENTS.filter(lambda e: e[0] != "edit"), max_size=5))
    for event, value in events:
        live(operator, [wanted], event, value)
    operator.refusing.clear()
    existed = operator.world.cluster is not None
    operator.absent = True
    protected = existed and policy != "Retain" and operator.spec.deletion_protection is not False
    for _ in range(60):
        found = operator.one_pass()
        if found.gone:
            break
        cluster = operator.world.cluster
        if protected and cluster is not None and cluster.deletion_protection and not found.waits:
            assert [r.reason for r in found.refusals] == ["DeletionProtected"]
            assert not [s for s in operator.done if s.operation.startswith("DeleteDB")]
            operator.world = replace(operator.world, cluster=replace(cluster, deletion_protection=False))
        operator.time()
    assert found.gone
    world = operator.world
    if not existed:
        assert world.snapshots == {}
    elif policy == "Retain":
        assert world.cluster is not None
        assert OWNER_TAG not in world.cluster.tags
        assert world.snapshots == {}
    else:
        assert world.cluster is None
        assert (world.instances, world.groups, world.subnet_groups, world.scaling) == ({}, {}, {}, ())
        assert len(world.snapshots) == (policy == "Snapshot")


@pytest.mark.parametrize("readers", [0, 1, 2])
@given(st.integers(0, 3), st.booleans(), st.lists(st.sampled_from(sorted(MEDDLING)), max_size=3))
@examples(20)
def test_scaling_in_leaves_the_writer_whoever_it_is(
    readers: int, before: int, foreign: bool, meddling: list[str]
) -> None:
    operator = Operator(spec(instances={"class": "db.t4g.medium", "readers": before + readers}), consent=True)
    operator.converge()
    for what in [*meddling, *(["a reader by hand"] if foreign else []), "a failover"]:
        operator.world = meddle(operator.world, what)
    writer = operator.writer
    operator.change(
        instances={"class": "db.t4g.medium", "readers": readers},
        maintenance={"window": "sun:05:00-sun:06:00", "apply": "InWindow"},
    )
    for _ in range(20):
        operator.one_pass()
        operator.time()
    assert operator.writer == writer or not writer, (
        "outside the window nobody fails over, and nobody deletes the writer"
    )
