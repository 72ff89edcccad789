"""Subnet and parameter groups: which the cluster and its instances must have, and the steps that make and mend our own. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from penstock.api.conditions import Reason
from penstock.aurora import requests
from penstock.aurora.state import Desired, Family, Group, Observed
from penstock.engine.plan import Refusal, Step, When

CLUSTER, INSTANCE = "cluster", "instance"
DEFAULT = "default."
"""What the names of AWS's own groups begin with; the family follows. They cannot be changed."""
# RDS API reference, ModifyDBClusterParameterGroup: at most 20 parameters in a request.
_MOST = 20


@dataclass(frozen=True)
class Wanted:
    """What our parameter groups must hold, by level, and which names of the family take effect with a reboot only.

    defaults: what the family's own defaults give, so that it needs no group, but must not stand otherwise in a group that is in force.
    """

    cluster: Mapping[str, str] = field(default_factory=dict)
    instance: Mapping[str, str] = field(default_factory=dict)
    static: frozenset[str] = frozenset()
    defaults: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()

    def level(self, name: str) -> Mapping[str, str]:
        """The values of one level."""
        return self.cluster if name == CLUSTER else self.instance


def managed(desired: Desired) -> bool:
    """Whether any parameter is ours to set."""
    spec = desired.spec
    once = desired.status.managed.parameters if desired.status.managed else ()
    elsewhere = spec.parameter_groups is not None and spec.parameter_groups.cluster is not None
    return not elsewhere and (spec.requires_tls is not None or spec.parameters is not None or bool(once))


def wanted(desired: Desired, family: Family) -> Wanted:
    """What the spec asks of the family's parameters. A cluster's group holds nearly all; an instance's takes what the cluster's does not know."""
    spec = desired.spec
    if not managed(desired):
        return Wanted()
    values = dict(spec.parameters or {})
    defaults: dict[str, str] = {}
    if spec.requires_tls is not None:
        name, yes, no = spec.engine.tls_parameter
        value = yes if spec.requires_tls else no
        default = family.cluster.get(name)
        # Where the engine's default is the same, a group of our own would be one for nothing.
        if default is not None and default.value == value:
            defaults = {} if name in values else {name: value}
        else:
            values.setdefault(name, value)
    if not family.known:
        return Wanted(cluster=values)
    cluster = {n: v for n, v in values.items() if n in family.cluster}
    instance = {n: v for n, v in values.items() if n not in family.cluster and n in family.instance}
    both = {**family.instance, **family.cluster}
    static = frozenset(n for n, p in both.items() if p.apply_type == "static")
    refusals = [_unknown(n, family) for n in values if n not in both]
    refusals += [
        Refusal(Reason.INVALID, f"Parameter {n} of {family.name} cannot be set; take it out of spec.parameters.")
        for n in values
        if n in both and not both[n].modifiable
    ]
    return Wanted(cluster, instance, static, defaults, tuple(refusals))


def _unknown(name: str, family: Family) -> Refusal:
    near = difflib.get_close_matches(name, [*family.cluster, *family.instance], n=1)
    hint = f"; did you mean {near[0]}?" if near else "."
    return Refusal(
        Reason.INVALID, f"There is no parameter {name} in {family.name}: take it out of spec.parameters{hint}"
    )


def name_of(desired: Desired, level: str, family: str, values: Mapping[str, str], current: str) -> str | None:
    """The parameter group that must be in force at a level; None when that is left as it is. current: the one in force, '' before creation."""
    given = desired.spec.parameter_groups
    named = (given.cluster if level == CLUSTER else given.instance) if given else None
    if named:
        return named
    own = desired.own_parameter_group(family)
    # A group of ours that holds nothing any more stays: to change it would cost a reboot.
    return own if values or current == own else None


def subnet_group(desired: Desired) -> str | None:
    """The subnet group of a new cluster; None: AWS's "default"."""
    network = desired.spec.network
    if network is None:
        return None
    return desired.own_subnet_group if network.subnet_ids else network.subnet_group


def subnet_steps(desired: Desired, observed: Observed) -> list[Step]:
    """Make our subnet group, or give it back the spec's subnets."""
    network = desired.spec.network
    if network is None or not network.subnet_ids or not observed.subnet_group_read:
        return []
    name, ids = desired.own_subnet_group, sorted(network.subnet_ids)
    if observed.cluster is not None and observed.cluster.subnet_group not in ("", name):
        # A cluster never moves to another group, so nothing would use this one.
        return []
    have = observed.subnet_group
    if have is None:
        parameters = {
            "DBSubnetGroupName": name,
            "DBSubnetGroupDescription": f"Made by Penstock for cluster {desired.identifier}",
            "SubnetIds": ids,
            "Tags": requests.tags(requests.wanted_tags(desired)),
        }
        return [Step("rds", "CreateDBSubnetGroup", parameters, f"make subnet group {name}", facet="subnet_group")]
    found = sorted(s.identifier for s in have.subnets)
    if found == ids:
        return []
    return [
        Step(
            "rds",
            "ModifyDBSubnetGroup",
            {"DBSubnetGroupName": name, "SubnetIds": ids},
            f"give subnet group {name} back its subnets {', '.join(ids)}",
            facet="subnet_group",
            drift=f"Subnet group {name} had {', '.join(found) or 'no subnets'}; set back to {', '.join(ids)}."
            if desired.settled
            else "",
        )
    ]


def group_steps(desired: Desired, observed: Observed, family: str, values: Wanted) -> list[Step]:
    """Make the parameter groups that the spec needs, and have them hold what it says."""
    steps: list[Step] = []
    name = desired.own_parameter_group(family)
    for level in (CLUSTER, INSTANCE):
        group = observed.groups.get((level, name))
        if group is None:
            # Not read: nothing is known, so nothing is decided.
            continue
        asked = dict(values.level(level))
        if level == CLUSTER:
            # TLS that was once turned off in our group does not come back by being the default.
            asked |= {n: v for n, v in values.defaults.items() if group.values.get(n, v) != v}
        if group.group is None:
            if asked:
                # Where AWS refuses the group, there is nothing to set.
                later = (replace(s, when=When.LATER) for s in _set(desired, level, family, asked, values, None))
                steps += [_create(desired, level, name, family), *later]
            continue
        steps += _set(desired, level, family, asked, values, group)
    return steps


def missing(desired: Desired, observed: Observed, family: str, values: Wanted) -> bool:
    """Whether a group of ours that the spec needs is not there yet."""
    name = desired.own_parameter_group(family)
    return any(
        values.level(level) and (observed.groups.get((level, name)) or Group()).group is None
        for level in (CLUSTER, INSTANCE)
    )


def _create(desired: Desired, level: str, name: str, family: str) -> Step:
    kind = "DBCluster" if level == CLUSTER else "DB"
    parameters = {
        f"{kind}ParameterGroupName": name,
        "DBParameterGroupFamily": family,
        "Description": f"Made by Penstock for cluster {desired.identifier}",
        "Tags": requests.tags(requests.wanted_tags(desired)),
    }
    summary = f"make {'cluster' if level == CLUSTER else 'instance'} parameter group {name}"
    return Step("rds", f"Create{kind}ParameterGroup", parameters, summary, facet=f"groups:{level}:{name}")


def _set(
    desired: Desired, level: str, family: str, asked: Mapping[str, str], values: Wanted, group: Group | None
) -> Iterator[Step]:
    """The family is named: while a major upgrade is prepared, the groups of two families get the same values."""
    name = desired.own_parameter_group(family)
    have = dict(group.values) if group else {}
    kind = "DBCluster" if level == CLUSTER else "DB"
    facet = f"groups:{level}:{name}"
    changed = {n: v for n, v in asked.items() if have.get(n) != v}
    names = sorted(changed)
    for begin in range(0, len(names), _MOST):
        part = {n: changed[n] for n in names[begin : begin + _MOST]}
        words = ", ".join(f"{n} {have[n]} → {v}" if n in have else f"{n} = {v}" for n, v in part.items())
        yield Step(
            "rds",
            f"Modify{kind}ParameterGroup",
            {f"{kind}ParameterGroupName": name, "Parameters": requests.parameters(part, values.static)},
            f"set {words} in the parameters of {family}",
            facet=facet,
            before={n: have.get(n) for n in part},
            drift=f"Parameters of {name} were changed: {words}." if desired.settled and have else "",
        )
    once = desired.status.managed.parameters if desired.status.managed else ()
    # Where the spec says nothing of parameters at all, they are left as they are.
    kept = desired.spec.parameters is None
    gone = sorted(n for n in have if n not in asked and n not in values.defaults and n in once and not kept)
    if gone:
        yield Step(
            "rds",
            f"Reset{kind}ParameterGroup",
            {
                f"{kind}ParameterGroupName": name,
                "ResetAllParameters": False,
                "Parameters": [
                    {"ParameterName": n, "ApplyMethod": "pending-reboot" if n in values.static else "immediate"}
                    for n in gone[:_MOST]
                ],
            },
            f"put {', '.join(gone[:_MOST])} back to the default of {family}",
            facet=facet,
        )


def deletion_steps(observed: Observed) -> list[Step]:
    """Take our groups down once no cluster uses them."""
    steps = []
    for (level, name), group in sorted(observed.groups.items()):
        if group.group is None:
            continue
        kind = "DBCluster" if level == CLUSTER else "DB"
        steps.append(
            Step(
                "rds",
                f"Delete{kind}ParameterGroup",
                {f"{kind}ParameterGroupName": name},
                f"delete {level} parameter group {name}",
                facet=f"groups:{level}:{name}",
            )
        )
    if observed.subnet_group is not None:
        name = observed.subnet_group.name
        steps.append(
            Step(
                "rds",
                "DeleteDBSubnetGroup",
                {"DBSubnetGroupName": name},
                f"delete subnet group {name}",
                facet="subnet_group",
            )
        )
    return steps
