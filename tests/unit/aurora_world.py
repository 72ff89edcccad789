"""An operator without a loop: looks at the model as the observer does, plans, acts and keeps the status, and watches every step that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import aurora_model as model
from aurora_model import FAMILIES, VERSIONS, WINDOW, Refused, World

from penstock.api import engine_version
from penstock.api.auroracluster import AuroraClusterSpec, Serverless, validate_cluster
from penstock.api.auroracluster_status import AuroraClusterStatus
from penstock.api.meta import OWNER_TAG
from penstock.aurora import fields, groups, topology, versions
from penstock.aurora.ownership import Claim, claim
from penstock.aurora.plan import plan
from penstock.aurora.refusals import refine
from penstock.aurora.state import PASSWORD, Desired, Engine, Group, Observed, Password
from penstock.aws.rds import AUTOSCALED
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.holds import Holds, rests
from penstock.engine.plan import Effect, Plan, Step
from penstock.engine.tenancy import Source

NAME, OWNER, UID = "shop-ledger", "k1/shop/AuroraCluster/ledger/u-1", "u-1"
OWN = f"penstock-{NAME}-a24a7f55"
"""The name of the object's subnet group, and the beginning of those of its parameter groups."""
# A Sunday within the maintenance window, and the Monday after it.
IN_WINDOW = datetime(2026, 11, 1, 5, 10, tzinfo=UTC)
MONDAY = datetime(2026, 11, 2, 12, tzinfo=UTC)
TICK = timedelta(seconds=30)
_ROUNDS = 6
# What cuts connections, whatever the plan says of it.
_CUTS = ("RebootDBInstance", "FailoverDBCluster", "StopDBCluster")
_MEANINGS = {
    "InvalidDBClusterStateFault": Meaning.BUSY,
    "InvalidDBInstanceState": Meaning.BUSY,
    "DBParameterGroupNotFound": Meaning.MISSING,
    "DBClusterParameterGroupNotFound": Meaning.MISSING,
}


def spec(**fields_: Any) -> dict[str, Any]:
    """A good spec as a manifest has it; a field that is None is absent."""
    found = {
        "clusterIdentifier": NAME,
        "engine": {"type": "AuroraPostgreSQL", "version": "15.10"},
        "instances": {"class": "db.t4g.medium", "readers": 1},
        "maintenance": {"window": WINDOW},
        **fields_,
    }
    return {k: v for k, v in found.items() if v is not None}


@lru_cache(maxsize=4096)
def _parsed(text: str, wanted: Any) -> AuroraClusterSpec:
    found = AuroraClusterSpec.model_validate(wanted.value)
    assert validate_cluster(found) == [], (text, validate_cluster(found))
    return found


@dataclass(frozen=True, eq=False)
class _Box:
    value: dict[str, Any]

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return True


def parsed(wanted: dict[str, Any]) -> AuroraClusterSpec:
    return _parsed(repr(wanted), _Box(wanted))


def cuts(step: Step) -> str:
    """Whose connections a step cuts: an instance, "all" or nobody's."""
    if step.operation in _CUTS:
        return str(step.parameters.get("DBInstanceIdentifier", "all"))
    if step.operation == "ModifyDBInstance" and "DBInstanceClass" in step.parameters:
        return str(step.parameters["DBInstanceIdentifier"])
    if step.operation == "ModifyDBCluster" and {"Port", "EngineVersion"} & set(step.parameters):
        return "all"
    return ""


@dataclass
class Operator:
    """One object's life. secret: the version of its password Secret. consent: whether somebody approves whatever is asked. refusing: summaries that
    AWS refuses, with how often still."""

    wanted: dict[str, Any] = field(default_factory=spec)
    world: World = field(default_factory=World)
    status: dict[str, Any] = field(default_factory=dict)
    now: datetime = MONDAY
    absent: bool = False
    settled: bool = False
    approved: str = ""
    wake: str = ""
    consent: bool = False
    generation: int = 1
    secret: str = "secret/1"
    problem: str = ""
    holds: Holds = field(default_factory=Holds)
    refusing: dict[str, int] = field(default_factory=dict)
    done: list[Step] = field(default_factory=list)
    owner: str = OWNER
    uid: str = UID
    identifier: str = NAME
    knows_users: bool = True
    made: set[str] = field(default_factory=set)
    since: datetime | None = None

    @property
    def spec(self) -> AuroraClusterSpec:
        return parsed(self.wanted)

    @property
    def desired(self) -> Desired:
        return Desired(
            "shop",
            "ledger",
            self.uid,
            "us-east-1",
            self.identifier,
            self.owner,
            self.spec,
            AuroraClusterStatus.model_validate(self.status),
            generation=self.generation,
            absent=self.absent,
            created_at="2026-11-02T12:00:00+00:00",
            deleted_at="2026-11-02T12:00:00Z" if self.absent else "",
            approved=self.approved,
            wake=self.wake,
            settled=self.settled,
        )

    def edit(self, wanted: dict[str, Any]) -> None:
        self.wanted, self.settled = wanted, False
        self.generation += 1
        self.holds.clear()

    def change(self, **fields_: Any) -> None:
        """Edit some fields of the spec."""
        self.edit({k: v for k, v in {**self.wanted, **fields_}.items() if v is not None})

    def observe(self) -> Observed:
        """What the observer would see, and no more of it than the observer reads."""
        desired, world, cluster = self.desired, self.world, self.world.cluster
        asked, managed = desired.spec, desired.status.managed
        engine = self._engine(desired)
        families = {} if self.absent else {n: FAMILIES[n] for n in self._families(desired, engine)}
        seen = families.values()
        if self.absent:
            left = {k: g for k, g in world.groups.items() if desired.may_be_own(k[1])}
            groups = left if cluster is None or self._lost else {}
        else:
            names = {
                n for f in seen for n in (desired.own_parameter_group(f.name), desired.legacy_parameter_group(f.name))
            }
            levels = ("cluster", "instance")
            groups = {(lv, n): world.groups.get((lv, n), Group()) for n in names for lv in levels}
            if seen and cluster is not None:
                in_force = [("cluster", cluster.parameter_group)]
                in_force += [("instance", i.parameter_group) for i in world.instances.values()]
                groups |= {k: world.groups.get(k, Group()) for k in in_force if not k[1].startswith("default.")}
        subnets: list[str] = []
        if self.absent:
            subnets = [n for n in world.subnet_groups if desired.may_be_own(n)]
        elif asked.network and asked.network.subnet_ids:
            subnets = [cluster.subnet_group if cluster else desired.own_subnet_group]
        password = None
        if asked.password_secret is not None:
            same = world.password == f"{PASSWORD} {self.secret}"
            password = Password("" if self.problem else self.secret, self.problem, same)
        scales = asked.instances.reader_autoscaling is not None or bool(managed and managed.reader_autoscaling)
        final = world.snapshots.get(desired.final_snapshot) if self.absent else None
        return Observed(
            cluster,
            world.instances,
            engine,
            families,
            groups,
            subnet_groups={n: world.subnet_groups.get(n) for n in subnets},
            scaling=(world.scaling if cluster or self.absent else ()) if scales else None,
            password=password,
            snapshot=final,
            snapshot_read=self.absent and not world.instances,
            since=self.since,
            source=Source("snapshot", "one", {}) if asked.restore_from and cluster is None else None,
            held=dict(self.holds),
            renamed=world.elsewhere,
            users={
                facet: world.users[name]
                for name in world.users
                if self.knows_users
                for facet in (f"subnets:{name}", f"groups:cluster:{name}", f"groups:instance:{name}")
            },
        )

    @property
    def _lost(self) -> bool:
        """Whether the cluster of that name is none of this object's."""
        return claim(self.desired, Observed(cluster=self.world.cluster, renamed=self.world.elsewhere)) is not Claim.OURS

    def _engine(self, desired: Desired) -> Engine | None:
        name, cluster = desired.spec.engine.aws_name, self.world.cluster
        if cluster is None:
            default = VERSIONS[name][-1]
            return None if desired.spec.engine.version else Engine(default, versions.family(name, default))
        if not versions.behind(desired.spec, cluster.version):
            return None
        higher = [v for v in VERSIONS[name] if engine_version.parse(v) > engine_version.parse(cluster.version)]
        targets = tuple((v, versions.is_major(cluster.version, v)) for v in higher)
        return Engine(cluster.version, versions.family(name, cluster.version), targets)

    def _families(self, desired: Desired, engine: Engine | None) -> list[str]:
        name, cluster = desired.spec.engine.aws_name, self.world.cluster
        given = desired.spec.parameter_groups
        if given is not None and given.cluster is not None:
            return []
        if cluster is None:
            source = "" if desired.spec.restore_from and not desired.spec.engine.version else None
            told = versions.creation_version(desired.spec, engine) if source is None else source
            return [versions.family(name, told)] if told else []
        found = [versions.family(name, cluster.version)]
        target = versions.upgrade(desired.spec, cluster.version, engine, desired.identifier)
        if isinstance(target, str) and versions.is_major(cluster.version, target):
            found.append(versions.family(name, target))
        return found

    def plan(self) -> Plan:
        return plan(self.desired, self.observe(), self.now)

    def one_pass(self) -> Plan:
        """Look, plan and run what may run now, as often as the loop does in a pass. Returns the last plan."""
        for _ in range(_ROUNDS):
            found = self.plan()
            if self.consent and found.needs_consent:
                self.approved = found.hash
                found = self.plan()
            self._tell(found)
            if not found.runnable:
                break
            cut = 0
            for step in found.runnable:
                assert not rests(step, self.holds, self.now), f"a resting step runs: {step.summary}"
                cut += bool(cuts(step))
                assert cut < 2, f"two disturbances in one plan: {[s.summary for s in found.runnable]}"
                self._act(step)
        self.settled = found.empty
        return found

    def _act(self, step: Step) -> None:
        self._watch(step)
        asked = step
        if step.intent is not None:
            self.status = {**self.status, **step.intent}
        try:
            if self.refusing.get(step.summary, 0) > 0:
                self.refusing[step.summary] -= 1
                raise Refused("InvalidParameterCombination", "as the test says")
            if PASSWORD in step.parameters.values():
                told = {k: f"{PASSWORD} {self.secret}" if v == PASSWORD else v for k, v in step.parameters.items()}
                step = replace(step, parameters=told)
            self.world = model.apply(self.world, step)
        except Refused as refused:
            meaning = _MEANINGS.get(refused.code, Meaning.INVALID)
            trouble = Trouble(meaning, "Refused", str(refused), code=refused.code)
            if "GroupState" in refused.code:
                trouble = refine(self.desired, asked, trouble)
            self.holds.refuse(asked, trouble, self.now, 0.5)
            self.refused.append((step, refused))
            return
        self.holds.accept(asked, self.now)
        self.done.append(step)

    refused: list[tuple[Step, Refused]] = field(default_factory=list)

    def _watch(self, step: Step) -> None:
        """The promises of the plan, at each step that runs."""
        self._belongs(step)
        cluster, instances = self.world.cluster, self.world.instances
        whose = cuts(step)
        if whose:
            assert step.effect in (Effect.RESTART, Effect.FAILOVER), step
            assert cluster is not None
            assert cluster.status == "available", step
            restless = {i.identifier: i.status for i in instances.values() if i.status != "available"}
            assert not restless, f"{step.summary} while {restless}"
        if cluster is None or self.absent:
            return
        if whose == cluster.writer and step.operation in ("ModifyDBInstance", "RebootDBInstance"):
            self._relieved(cluster.writer)
        if step.operation == "DeleteDBInstance":
            name = step.parameters["DBInstanceIdentifier"]
            assert name != cluster.writer, "the writer is never removed by scaling in"
            assert self.spec.instance_count is not None, "nobody asked for fewer readers"
            assert len(topology.present(self.desired, self.observe())) > self.spec.instance_count
            if not self._ours(name):
                assert self.approved, "what somebody else made goes with consent only"
        if step.operation == "DeregisterScalableTarget":
            assert self.spec.instances.reader_autoscaling is None
        deletes = step.operation.startswith("Delete") and step.operation != "DeleteDBInstance"
        assert not deletes, f"nobody asked to {step.summary}"

    def _belongs(self, step: Step) -> None:
        """Nothing is written to a group that is not this object's, or an earlier one's of its name."""
        world, asked = self.world, step.parameters
        found: list[Mapping[str, str]] = []
        for key, level in (("DBClusterParameterGroupName", "cluster"), ("DBParameterGroupName", "instance")):
            group = world.groups.get((level, str(asked.get(key, ""))), Group()).group
            if group is not None and step.operation.endswith("ParameterGroup"):
                found.append(group.tags)
        subnets = world.subnet_groups.get(str(asked.get("DBSubnetGroupName", "")))
        if subnets is not None and step.operation.endswith("SubnetGroup"):
            found.append(subnets.tags)
        tagged = [*(g.group for g in world.groups.values()), *world.subnet_groups.values()]
        found += [g.tags for g in tagged if g is not None and g.arn and g.arn == asked.get("ResourceName")]
        for tags in found:
            assert groups.mine(self.desired, tags), f"{step.summary}, which belongs to {tags.get(OWNER_TAG)!r}"

    def _ours(self, name: str) -> bool:
        """Whether this operator made the instance, or took it over under a name like its own."""
        return name in self._made() or (self.spec.adopt and self.desired.ordinal(name) is not None)

    def _relieved(self, writer: str) -> None:
        """A writer is touched only when no reader of the spec's could take over."""
        if self.spec.instance_count == 1:
            # One whose deletion AWS refuses for now is going all the same.
            return
        wanted = self.desired.class_of
        able = [
            i.identifier
            for i in self.world.instances.values()
            if i.identifier != writer and not i.identifier.startswith(AUTOSCALED)
        ]
        assert not able, f"writer {writer} ({wanted(writer)}) changes although {able} could take over"

    def _tell(self, found: Plan) -> None:
        """Keep the status as the report does."""
        desired, observed = self.desired, self.observe()
        claimed = claim(desired, observed) if observed.cluster is not None else None
        if claimed not in (Claim.OURS, Claim.ADOPT):
            return
        self.status = fields.fields(desired, self.status, observed, observed.cluster, claimed is Claim.ADOPT, self.now)

    def time(self, ticks: int = 1) -> None:
        for _ in range(ticks):
            before = _states(self.world)
            self.world, self.now = model.tick(self.world), self.now + TICK
            if _states(self.world) != before or self.since is None:
                self.since = self.now

    def converge(self, bound: int = 150) -> Plan:
        """Passes and time until there is nothing to do or to wait for but a person. Fails when that takes too long."""
        found = self.one_pass()
        for _ in range(bound):
            if self.world.quiet and not found.steps and (found.empty or found.gone):
                return found
            self.time()
            found = self.one_pass()
        raise AssertionError(f"not there after {bound} looks: {found}")

    def begin(self) -> None:
        """Forget the steps that were done, but not which instances they made."""
        self.made = self._made()
        self.done.clear()

    def _made(self) -> set[str]:
        names = (s.parameters["DBInstanceIdentifier"] for s in self.done if s.operation == "CreateDBInstance")
        return {*self.made, *names}

    @property
    def writer(self) -> str:
        return self.world.cluster.writer if self.world.cluster else ""


def _states(world: World) -> tuple[Any, ...]:
    return (world.cluster and world.cluster.status, *((n, i.status) for n, i in sorted(world.instances.items())))


def settled(wanted: dict[str, Any] | None = None, **fields_: Any) -> Operator:
    """An operator whose cluster is as desired."""
    operator = Operator(wanted if wanted is not None else spec(**fields_))
    operator.converge()
    operator.begin()
    assert operator.settled
    return operator


def differences(operator: Operator) -> list[str]:
    """Where the world is not as the spec says."""
    asked, world, desired = operator.spec, operator.world, operator.desired
    cluster = world.cluster
    assert cluster is not None
    pairs: dict[str, tuple[Any, Any]] = {
        "protection": (asked.deletion_protection, cluster.deletion_protection),
        "retention": (asked.backup and asked.backup.retention_days, cluster.retention_days),
        "backup window": (asked.backup and asked.backup.window, cluster.backup_window),
        "maintenance window": (asked.maintenance and asked.maintenance.window, cluster.maintenance_window),
        "IAM": (asked.credentials and asked.credentials.iam_authentication, cluster.iam_authentication),
        "logs": (None if asked.logs is None else tuple(sorted(asked.logs)), cluster.log_exports),
        "storage": (asked.storage and asked.storage.type.value, cluster.storage_type),
        "port": (asked.network and asked.network.port, cluster.port),
        "secret": (_kept_by_aws(asked), cluster.master_secret is not None),
        "capacity": (_capacity(asked.instances.serverless), cluster.serverless),
        "state": ("stopped" if asked.stopped else "available", cluster.status),
        "writer": (True, bool(cluster.writer)),
    }
    if asked.password_secret is not None:
        pairs["password"] = (f"{PASSWORD} {operator.secret}", world.password)
    if asked.engine.version:
        pairs["version"] = (True, engine_version.satisfies(cluster.version, asked.engine.version))
    pairs |= {f"tag {k}": (v, cluster.tags.get(k)) for k, v in {**(asked.tags or {}), OWNER_TAG: OWNER}.items()}
    scaling = asked.instances.reader_autoscaling
    least = asked.instances.readers or 0
    pairs["autoscaling"] = (
        (least, scaling.max, float(scaling.target)) if scaling else None,
        (world.scaling[0].minimum, world.scaling[0].maximum, world.scaling[0].target) if world.scaling else None,
    )
    ours = [i for n, i in world.instances.items() if not (scaling and n.startswith(AUTOSCALED))]
    pairs["instances"] = (asked.instance_count, len(ours))
    for instance in ours:
        ordinal = desired.ordinal(instance.identifier)
        override = asked.instances.override(ordinal) if ordinal else None
        if not instance.identifier.startswith(AUTOSCALED):
            pairs[f"{instance.identifier} class"] = (desired.class_of(instance.identifier), instance.instance_class)
        pairs[f"{instance.identifier} tier"] = (override and override.promotion_tier, instance.tier)
        # A reboot that somebody else's parameters wait for is theirs to decide, and what autoscaling made is never disturbed: it comes and goes.
        theirs = instance.identifier.startswith(AUTOSCALED) or any(
            groups.is_foreign(desired, operator.observe(), level, name)
            for level, name in (("cluster", cluster.parameter_group), ("instance", instance.parameter_group))
        )
        rebooted = "in-sync" if groups.managed(desired) and not theirs else None
        pairs[f"{instance.identifier} pending"] = (rebooted, instance.parameter_apply_status)
    pairs |= _parameters(operator)
    found = [
        f"{name}: {have!r}, not {want!r}" for name, (want, have) in pairs.items() if want is not None and want != have
    ]
    return found if scaling or not world.scaling else [*found, "autoscaling is still there"]


def _parameters(operator: Operator) -> Mapping[str, tuple[Any, Any]]:
    """Each parameter of the spec with the value that is in force."""
    asked, world = operator.spec, operator.world
    cluster = world.cluster
    assert cluster is not None
    wanted = dict(asked.parameters or {})
    if asked.requires_tls is not None:
        name, yes, no = asked.engine.tls_parameter
        wanted.setdefault(name, yes if asked.requires_tls else no)
    family = FAMILIES[versions.family(cluster.engine, cluster.version)]
    in_force = {n: p.value for n, p in {**family.instance, **family.cluster}.items()}
    for name in {i.parameter_group for i in world.instances.values()}:
        in_force |= world.groups.get(("instance", name), Group()).values
    in_force |= world.groups.get(("cluster", cluster.parameter_group), Group()).values
    return {f"parameter {n}": (v, in_force.get(n)) for n, v in wanted.items()}


def _kept_by_aws(asked: AuroraClusterSpec) -> bool | None:
    """Whether AWS must manage the password; what the spec does not say holds at creation alone."""
    if asked.password_secret is not None:
        return False
    return asked.credentials.managed if asked.credentials else None


def _capacity(found: Serverless | None) -> Any:
    if found is None:
        return None
    return model.Serverless(float(found.min_capacity), float(found.max_capacity), found.seconds_until_auto_pause)
