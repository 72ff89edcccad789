"""Subnet and parameter groups: which the cluster and its instances must have, and the steps that make and mend our own. Pure.

A group is ours by its owner tag, never by its name: what another object's tag, or none, stands on is neither changed nor deleted, and that it exists
already does not make it ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.aurora import requests
from penstock.aurora.state import AWS_DEFAULT, Desired, Family, Group, Observed
from penstock.engine.owners import earlier_self, who
from penstock.engine.plan import Refusal, Step, When, consents

CLUSTER, INSTANCE = "cluster", "instance"
DEFAULT = AWS_DEFAULT
# RDS API reference, ModifyDBClusterParameterGroup: at most 20 parameters in a request.
_MOST = 20


@dataclass(frozen=True)
class Wanted:
    """What our parameter groups must hold, by level, and which names of the family take effect with a reboot only.

    defaults: what the family's own defaults give, so that it needs no group, but must not stand otherwise in a group that is in force.
    taken: by level, what is taken over of a group of somebody else's that gives way to ours; it stands in cluster or instance too. lost: names that
    a major upgrade's family does not have.
    """

    cluster: Mapping[str, str] = field(default_factory=dict)
    instance: Mapping[str, str] = field(default_factory=dict)
    static: frozenset[str] = frozenset()
    defaults: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    taken: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    lost: tuple[str, ...] = ()

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


def settle(desired: Desired, observed: Observed, family: Family, values: Wanted) -> Wanted:
    """The wanted values with regard to groups in force that are somebody else's.

    Such a group is never changed. Where it gives all that the spec asks for, it stays in force; else ours takes its place, and over what it holds.
    """
    for level in (CLUSTER, INSTANCE):
        foreign = _foreign_in_force(desired, observed, level)
        asked = _asked(values, level)
        if not foreign or not asked or _given(desired, level) or not family.known:
            continue
        if any((observed.groups.get((level, name)) or Group()).group is None for name in foreign):
            # What it holds is not known, so nothing is decided.
            values = _with(values, level, {})
        elif _gives(observed, level, family, asked):
            values = _with(values, level, {})
        elif _was_in_force(desired, observed, level, family.name):
            values = _with(values, level, asked)
        else:
            taken, clash = _carried(observed, level, foreign, family)
            refusals = (*values.refusals, *([_clash(level, clash)] if clash else ()))
            values = replace(_with(values, level, {**taken, **asked}), refusals=refusals)
            values = replace(values, taken={**values.taken, level: {n: v for n, v in taken.items() if n not in asked}})
    return values


def carry(desired: Desired, observed: Observed, family: Family, values: Wanted) -> Wanted:
    """The wanted values of a major upgrade's family, with what the groups in force hold beside the spec's, whoever set it."""
    once = desired.status.managed.parameters if desired.status.managed else ()
    for level in (CLUSTER, INSTANCE):
        names = [n for n in in_force(observed, level) if not n.startswith(DEFAULT)]
        if _given(desired, level) or not family.known:
            continue
        held, clash = _carried(observed, level, names, None)
        known = family.cluster if level == CLUSTER else family.instance
        tls = [desired.spec.engine.tls_parameter[0]] if desired.spec.requires_tls is not None else []
        settled = {*once, *(desired.spec.parameters or ()), *tls}
        carried = {n: v for n, v in held.items() if n in known and known[n].modifiable and n not in settled}
        lost = tuple(n for n in sorted(held) if n not in known and n not in settled)
        values = replace(
            values,
            cluster={**carried, **values.cluster} if level == CLUSTER else values.cluster,
            instance={**carried, **values.instance} if level == INSTANCE else values.instance,
            lost=(*values.lost, *lost),
            refusals=(*values.refusals, *([_clash(level, clash)] if clash else ())),
        )
    return values


def exchange(
    desired: Desired, observed: Observed, level: str, family: str, values: Wanted, steps: list[Step]
) -> list[Step]:
    """The steps that put our group in the place of somebody else's: after consent, and once ours holds everything."""
    if level not in values.taken:
        return steps
    held = group_steps(desired, observed, family, values)[0]
    pending = any(s.facet.startswith(f"groups:{level}:") for s in held)
    when = When.AFTER_CONSENT
    if consents(desired.approved, [_takeover(observed, level, values)]):
        when = When.LATER if pending else When.NOW
    kept = values.taken[level]
    words = f"; it takes over {_words(kept)}" if kept else ""
    return [
        replace(s, when=when, subject=_takeover(observed, level, values), summary=s.summary + words, drift="")
        for s in steps
    ]


def _takeover(observed: Observed, level: str, values: Wanted) -> str:
    """What consent to an exchange is consent to: which groups give way, and what is in force afterwards."""
    return f"take over {level} {in_force(observed, level)} {sorted(values.level(level).items())}"


def _foreign_in_force(desired: Desired, observed: Observed, level: str) -> list[str]:
    names = (n for n in in_force(observed, level) if not n.startswith(DEFAULT))
    return [n for n in names if not is_own(desired, observed, level, n)]


def is_foreign(desired: Desired, observed: Observed, level: str, name: str) -> bool:
    """Whether a group in force is neither AWS's default nor ours."""
    return name in _foreign_in_force(desired, observed, level)


def _given(desired: Desired, level: str) -> str | None:
    """The group that the spec itself names."""
    given = desired.spec.parameter_groups
    return (given.cluster if level == CLUSTER else given.instance) if given else None


def _asked(values: Wanted, level: str) -> dict[str, str]:
    return {**(values.defaults if level == CLUSTER else {}), **values.level(level)}


def _with(values: Wanted, level: str, found: Mapping[str, str]) -> Wanted:
    if level == INSTANCE:
        return replace(values, instance=found)
    return replace(values, cluster=found, defaults={})


def _gives(observed: Observed, level: str, family: Family, asked: Mapping[str, str]) -> bool:
    """Whether all groups in force give the values, by themselves or by the family's default."""
    defaults = family.cluster if level == CLUSTER else family.instance

    def value(group: str, name: str) -> str | None:
        return (observed.groups.get((level, group)) or Group()).values.get(name, defaults[name].value)

    return all(value(group, n) == v for group in in_force(observed, level) for n, v in asked.items())


def _was_in_force(desired: Desired, observed: Observed, level: str, family: str) -> bool:
    """Whether ours was in force before, so that the other one is drift."""
    name = own(desired, observed, level, family)
    once = desired.status.managed.parameter_groups if desired.status.managed else ()
    return name in once and (observed.groups.get((level, name)) or Group()).group is not None


def _carried(
    observed: Observed, level: str, names: Iterable[str], family: Family | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the groups hold together, and the first two that do not agree. family: only what it lets a user set."""
    known = None if family is None else family.cluster if level == CLUSTER else family.instance
    found: dict[str, str] = {}
    first = ""
    for name in names:
        values = (observed.groups.get((level, name)) or Group()).values
        kept = {n: v for n, v in values.items() if known is None or (n in known and known[n].modifiable)}
        if first and kept != found:
            return found, (first, name)
        found, first = {**found, **kept}, name
    return found, ()


def _clash(level: str, names: tuple[str, ...]) -> Refusal:
    sentence = (
        f"The instances use parameter groups {' and '.join(names)}, which hold different values, so that one group cannot take over both: "
        f"give all instances one group, or name one in spec.parameterGroups.{level}."
    )
    return Refusal(Reason.INVALID, sentence)


def _words(values: Mapping[str, str]) -> str:
    return ", ".join(f"{n} = {v}" for n, v in sorted(values.items()))


def _unknown(name: str, family: Family) -> Refusal:
    near = difflib.get_close_matches(name, [*family.cluster, *family.instance], n=1)
    hint = f"; did you mean {near[0]}?" if near else "."
    return Refusal(
        Reason.INVALID, f"There is no parameter {name} in {family.name}: take it out of spec.parameters{hint}"
    )


def mine(desired: Desired, tags: Mapping[str, str]) -> bool:
    """Whether the owner tag names this object, or an earlier one of its name, whose groups go over to it with the cluster."""
    owner = tags.get(OWNER_TAG, "")
    return bool(owner) and (owner == desired.owner or earlier_self(owner, desired.owner))


def in_force(observed: Observed, level: str) -> tuple[str, ...]:
    """The parameter groups of the cluster, or of its instances, sorted."""
    if level == CLUSTER:
        return (observed.cluster.parameter_group,) if observed.cluster and observed.cluster.parameter_group else ()
    return tuple(sorted({i.parameter_group for i in observed.instances.values() if i.parameter_group}))


def is_own(desired: Desired, observed: Observed, level: str, name: str) -> bool:
    """Whether a parameter group is ours. One that was not read is by the name that no other object's has."""
    group = (observed.groups.get((level, name)) or Group()).group
    return name.startswith(desired.own_parameter_group("")) if group is None else mine(desired, group.tags)


def own(desired: Desired, observed: Observed, level: str, family: str) -> str:
    """The name of our parameter group of a family: one that is in force, one of the earlier scheme, or the one that is created."""
    for name in (*in_force(observed, level), desired.legacy_parameter_group(family)):
        group = (observed.groups.get((level, name)) or Group()).group
        if group is not None and mine(desired, group.tags) and group.family in ("", family):
            return name
    return desired.own_parameter_group(family)


def name_of(
    desired: Desired, observed: Observed, level: str, family: str, values: Mapping[str, str], current: str
) -> str | None:
    """The parameter group that must be in force at a level; None when that is left as it is. current: the one in force, '' before creation."""
    given = desired.spec.parameter_groups
    named = (given.cluster if level == CLUSTER else given.instance) if given else None
    if named:
        return named
    ours = own(desired, observed, level, family)
    # A group of ours that holds nothing any more stays: to change it would cost a reboot.
    return ours if values or current == ours else None


def subnet_group(desired: Desired) -> str | None:
    """The subnet group of a new cluster; None: AWS's "default"."""
    network = desired.spec.network
    if network is None:
        return None
    return desired.own_subnet_group if network.subnet_ids else network.subnet_group


def own_subnets(desired: Desired, observed: Observed) -> str:
    """The name of our subnet group; '' while the cluster lies in somebody else's, where none of ours is of use."""
    current = observed.cluster.subnet_group if observed.cluster is not None else ""
    if not current or current in (desired.own_subnet_group, desired.legacy_subnet_group):
        return current or desired.own_subnet_group
    group = observed.subnet_groups.get(current)
    return current if group is not None and mine(desired, group.tags) else ""


def subnet_steps(desired: Desired, observed: Observed) -> tuple[list[Step], list[Refusal]]:
    """Make our subnet group, or give it back the spec's subnets."""
    network = desired.spec.network
    name = own_subnets(desired, observed)
    if network is None or not network.subnet_ids or name not in observed.subnet_groups:
        return [], []
    ids, facet = sorted(network.subnet_ids), f"subnets:{name}"
    have = observed.subnet_groups[name]
    if have is None:
        parameters = {
            "DBSubnetGroupName": name,
            "DBSubnetGroupDescription": f"Made by Penstock for cluster {desired.identifier}",
            "SubnetIds": ids,
            "Tags": requests.tags(requests.wanted_tags(desired)),
        }
        return [Step("rds", "CreateDBSubnetGroup", parameters, f"make subnet group {name}", facet=facet)], []
    found = sorted(s.identifier for s in have.subnets)
    if not mine(desired, have.tags):
        # A cluster that serves may lie in it; a new one does not begin there.
        used = observed.cluster is not None and found == ids
        return [], [] if used else [_foreign(desired, f"Subnet group {name}", have.arn, have.tags, "network.subnetIds")]
    steps = _taken_over(desired, f"subnet group {name}", have.arn, have.tags, facet)
    if found != ids:
        steps.append(
            Step(
                "rds",
                "ModifyDBSubnetGroup",
                {"DBSubnetGroupName": name, "SubnetIds": ids},
                f"give subnet group {name} back its subnets {', '.join(ids)}",
                facet=facet,
                drift=f"Subnet group {name} had {', '.join(found) or 'no subnets'}; set back to {', '.join(ids)}."
                if desired.settled
                else "",
            )
        )
    return steps, []


def group_steps(desired: Desired, observed: Observed, family: str, values: Wanted) -> tuple[list[Step], list[Refusal]]:
    """Make the parameter groups that the spec needs, and have them hold what it says."""
    steps: list[Step] = []
    refusals: list[Refusal] = []
    once = desired.status.managed.parameters if desired.status.managed else ()
    for level in (CLUSTER, INSTANCE):
        name = own(desired, observed, level, family)
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
                later = (replace(s, when=When.LATER) for s in _set(desired, level, name, family, asked, values, None))
                steps += [_create(desired, level, name, family), *later]
            continue
        found = list(_set(desired, level, name, family, asked, values, group))
        if group.group is not None and level in values.taken:
            # What was left in it from before must not come into force.
            found += _reset(level, name, family, [n for n in group.values if n not in {*asked, *once}], values)
        if mine(desired, group.group.tags):
            what, facet = f"{level} parameter group {name}", f"groups:{level}:{name}"
            steps += [*_taken_over(desired, what, group.group.arn, group.group.tags, facet), *found]
        elif found or (asked and name not in in_force(observed, level)):
            what = f"{level.capitalize()} parameter group {name}"
            refusals.append(_foreign(desired, what, group.group.arn, group.group.tags, "parameters"))
    held = [lv for lv in values.taken if not consents(desired.approved, [_takeover(observed, lv, values)])]
    waiting = tuple(f"groups:{level}:" for level in held)
    return [replace(s, when=When.LATER) if waiting and s.facet.startswith(waiting) else s for s in steps], refusals


def _taken_over(desired: Desired, what: str, arn: str, tags: Mapping[str, str], facet: str) -> list[Step]:
    """Put our mark in the place of that of an earlier object of this name."""
    if tags.get(OWNER_TAG) == desired.owner or not arn:
        return []
    mark = requests.tags({OWNER_TAG: desired.owner})
    parameters = {"ResourceName": arn, "Tags": mark}
    return [Step("rds", "AddTagsToResource", parameters, f"tag {what} with the mark that it is ours", facet=facet)]


def _foreign(desired: Desired, what: str, arn: str, tags: Mapping[str, str], field_name: str) -> Refusal:
    """Whose the group is, and how the spec does without it."""
    owner = tags.get(OWNER_TAG, "")
    whose = f"belongs to {who(owner)}" if owner else f"has no tag {OWNER_TAG}"
    cure = (
        f"delete that object, or take spec.{field_name} out"
        if owner
        else f"take spec.{field_name} out, or, if the group is this object's, run: aws rds add-tags-to-resource --resource-name {arn} "
        f"--tags Key={OWNER_TAG},Value={desired.owner}"
    )
    return Refusal(Reason.NOT_OWNED, f"{what} {whose}, so Penstock neither uses nor changes it: {cure}.")


def missing(desired: Desired, observed: Observed, family: str, values: Wanted) -> bool:
    """Whether a group of ours that the spec needs is not there yet."""

    def there(level: str) -> bool:
        group = (observed.groups.get((level, own(desired, observed, level, family))) or Group()).group
        return group is not None and mine(desired, group.tags)

    return any(values.level(level) and not there(level) for level in (CLUSTER, INSTANCE))


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
    desired: Desired,
    level: str,
    name: str,
    family: str,
    asked: Mapping[str, str],
    values: Wanted,
    group: Group | None,
) -> Iterator[Step]:
    """The family is named: while a major upgrade is prepared, the groups of two families get the same values."""
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
    yield from _reset(level, name, family, gone, values)


def _reset(level: str, name: str, family: str, gone: list[str], values: Wanted) -> list[Step]:
    if not gone:
        return []
    kind = "DBCluster" if level == CLUSTER else "DB"
    part = sorted(gone)[:_MOST]
    return [
        Step(
            "rds",
            f"Reset{kind}ParameterGroup",
            {
                f"{kind}ParameterGroupName": name,
                "ResetAllParameters": False,
                "Parameters": [
                    {"ParameterName": n, "ApplyMethod": "pending-reboot" if n in values.static else "immediate"}
                    for n in part
                ],
            },
            f"put {', '.join(part)} back to the default of {family}",
            facet=f"groups:{level}:{name}",
        )
    ]


def deletion_steps(desired: Desired, observed: Observed) -> list[Step]:
    """Take our groups down once our cluster does not use them any more; one that a cluster of the same name has that is not ours stays with it."""
    steps = []
    for (level, name), group in sorted(observed.groups.items()):
        if group.group is None or not mine(desired, group.group.tags) or name in in_force(observed, level):
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
    for name, subnets in sorted(observed.subnet_groups.items()):
        used = observed.cluster is not None and observed.cluster.subnet_group == name
        if subnets is not None and mine(desired, subnets.tags) and not used:
            parameters = {"DBSubnetGroupName": name}
            summary = f"delete subnet group {name}"
            steps.append(Step("rds", "DeleteDBSubnetGroup", parameters, summary, facet=f"subnets:{name}"))
    return steps
