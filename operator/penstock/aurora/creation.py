"""Making the cluster: its groups first, then the cluster, then its instances. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from penstock.api.conditions import Reason
from penstock.aurora import groups, requests, versions
from penstock.aurora.consent import consented
from penstock.aurora.groups import CLUSTER
from penstock.aurora.state import Desired, Observed
from penstock.engine.holds import rest
from penstock.engine.plan import Plan, Step, Wait, When


def plan(desired: Desired, observed: Observed, now: datetime) -> Plan:
    """The plan while there is no cluster. What a step needs is made by the steps before it; until then it is Later."""
    # What is restored has the version of its source, which AWS does not tell beforehand.
    known_default = None if desired.spec.restore_from else observed.engine
    if desired.spec.restore_from is not None:
        if observed.source is None:
            return Plan(waits=(_unread(observed, "Reading whose the source of the restore is."),))
        forbidden = desired.tenancy.refusal(desired.owner, observed.source, "restore from")
        if forbidden is not None:
            return Plan(refusals=(forbidden,))
    version = versions.creation_version(desired.spec, known_default)
    family = versions.family(desired.spec.engine.aws_name, version) if version else ""
    before, refusals = groups.subnet_steps(desired, observed)
    values = groups.Wanted()
    if groups.managed(desired) and family:
        known = observed.families.get(family)
        if known is None:
            told = _unread(observed, f"Reading the parameters of {family}.")
            return rest(before, observed.held, now, (told,))
        values = groups.wanted(desired, known)
        made, foreign = groups.group_steps(desired, observed, family, values)
        refusals += [*values.refusals, *foreign]
        before += made
    if observed.password is not None and observed.password.refusal is not None:
        refusals.append(observed.password.refusal)
    parameter_group = groups.name_of(desired, observed, CLUSTER, family, values.cluster, "")
    first = _cluster(desired, version, groups.subnet_group(desired), parameter_group)
    waits: list[Wait] = []
    (first,) = consented(desired, [first], waits)
    if waits:
        # Until then nothing would use the groups.
        before = [replace(s, when=When.LATER) for s in before]
    elif before or any(r.blocking for r in refusals):
        first = replace(first, when=When.LATER)
    steps = [*before, first]
    names = [desired.instance(n) for n in range(1, (desired.spec.instance_count or 1) + 1)]
    for name in names:
        parameters = requests.create_instance(desired, name, None, None)
        summary = f"make instance {name} ({parameters['DBInstanceClass']})"
        steps.append(Step("rds", "CreateDBInstance", parameters, summary, when=When.LATER, facet="instances"))
    return rest(steps, observed.held, now, waits, refusals)


def _cluster(desired: Desired, version: str, subnet_group: str | None, parameter_group: str | None) -> Step:
    gone = (
        f"Cluster {desired.identifier} was gone; making it again, "
        + ("from what it was restored from." if desired.spec.restore_from else "empty.")
        if desired.status.resource_id
        else ""
    )
    if desired.spec.restore_from is not None:
        operation, parameters, source = requests.restore_cluster(desired, subnet_group, parameter_group)
        summary = f"restore cluster {desired.identifier} from {source}"
        told = ("Restoring", f"Restoring cluster {desired.identifier} from {source}.")
    else:
        operation = "CreateDBCluster"
        parameters = requests.create_cluster(desired, version, subnet_group, parameter_group)
        engine = desired.spec.engine.type.value + (f" {version}" if version else "")
        summary = f"make cluster {desired.identifier} ({engine})"
        told = ("Creating", f"Making cluster {desired.identifier} ({engine}).")
    # Its users expect the data of what was named once: an empty database in its place is worse than none.
    instead = desired.status.restore_from if desired.spec.restore_from is None else None
    if instead is not None:
        source = instead.snapshot_identifier or instead.cluster_identifier or ""
        summary = f"make cluster {desired.identifier} empty instead of restored from {source} ({engine})"
    return Step(
        "rds",
        operation,
        parameters,
        summary,
        when=When.AFTER_CONSENT if instead is not None else When.NOW,
        facet="cluster",
        subject=f"empty {desired.identifier} instead of {source}" if instead is not None else "",
        told=("Recreating", gone) if gone else told,
    )


def _unread(observed: Observed, sentence: str) -> Wait:
    """Why something that the cluster needs is not known yet."""
    for reason, told in observed.unread:
        return Wait(reason, told, 30.0)
    return Wait(Reason.PROGRESSING, sentence, 5.0)
