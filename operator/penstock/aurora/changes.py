"""What is different about the cluster itself, and the ModifyDBCluster that mends it. Pure.

Everything that its users do not notice goes into one request: a cluster takes one change at a time. When AWS refuses that request, each part is asked
for on its own, so that the one that is wrong does not keep the others from being made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from penstock.api.auroracluster import Apply, StorageType
from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG, TAG_PREFIX
from penstock.api.windows import weekly
from penstock.aurora import groups, requests, versions
from penstock.aurora.groups import CLUSTER, INSTANCE
from penstock.aurora.state import PASSWORD, Desired, Observed
from penstock.aws.rds import Cluster
from penstock.engine.holds import Held
from penstock.engine.plan import Effect, Refusal, Step, Wait, When, consents


@dataclass(frozen=True)
class Change:
    """One difference. words: for people, "backup retention 1 → 7". before: what AWS has."""

    words: str
    parameters: Mapping[str, Any]
    before: Any = None


@dataclass
class Found:
    """What there is to do, what is waited for, and what is refused."""

    steps: list[Step] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def in_time(desired: Desired, cluster: Cluster, now: datetime) -> bool:
    """Whether what the users notice may be done now: at once where the spec says so, else within the maintenance window."""
    if desired.spec.apply is Apply.IMMEDIATELY:
        return True
    window = desired.spec.maintenance.window if desired.spec.maintenance else None
    try:
        return weekly(window or cluster.maintenance_window).open_at(now)
    except ValueError:
        # No window is known: an emulator that tells none. To wait for ever would be worse.
        return True


def cluster_steps(
    desired: Desired, observed: Observed, cluster: Cluster, family: str, values: groups.Wanted, now: datetime
) -> Found:
    """The steps of ModifyDBCluster, those first that nobody notices. Effects and consent are on the steps; the caller says when they run."""
    found = Found()
    quiet = _settings(desired, cluster)
    exchanged: list[Change] = []
    if not moves_group(desired, observed, cluster, CLUSTER):
        exchanged = _parameter_group(desired, observed, cluster, family, values)
    if CLUSTER not in values.taken:
        quiet, exchanged = [*quiet, *exchanged], []
    found.steps += combined(desired, "ModifyDBCluster", _name(desired), "cluster", quiet, observed.held)
    moving = combined(desired, "ModifyDBCluster", _name(desired), "cluster", exchanged, observed.held)
    found.steps += groups.exchange(desired, observed, CLUSTER, family, values, moving)
    found.steps += _credentials(desired, observed, cluster, found.refusals)
    port = desired.spec.network.port if desired.spec.network else None
    if port and cluster.port and port != cluster.port:
        found.steps += combined(
            desired,
            "ModifyDBCluster",
            _name(desired),
            "cluster",
            [Change(f"port {cluster.port} → {port}", {"Port": port}, cluster.port)],
            observed.held,
            effect=Effect.RESTART,
        )
    _storage(desired, cluster, observed.held, now, found)
    target = versions.upgrade(desired.spec, cluster.version, observed.engine, desired.identifier)
    if isinstance(target, Refusal):
        found.refusals.append(target)
    elif target is not None:
        _upgrade(desired, observed, cluster, target, found)
    return found


def moves_group(desired: Desired, observed: Observed, cluster: Cluster, level: str) -> bool:
    """Whether a referenced group comes into force with a major upgrade: it is of the new family, and AWS takes it with the upgrade only."""
    given = desired.spec.parameter_groups
    named = (given.cluster if level == CLUSTER else given.instance) if given else None
    if not named:
        return False
    target = versions.upgrade(desired.spec, cluster.version, observed.engine, desired.identifier)
    return isinstance(target, str) and versions.is_major(cluster.version, target)


def combined(
    desired: Desired,
    operation: str,
    base: Mapping[str, Any],
    facet: str,
    changes: list[Change],
    held: Mapping[str, Held],
    *,
    whose: str = "",
    effect: Effect = Effect.IMMEDIATE,
) -> list[Step]:
    """One step for all changes, or one for each when all together were refused; what was refused by itself stays by itself."""
    if not changes:
        return []
    before, name = (f"{whose}: ", whose) if whose else ("", f"cluster {desired.identifier}")

    def step(part: list[Change]) -> Step:
        words = "; ".join(c.words for c in part)
        parameters: dict[str, Any] = {**base}
        for change in part:
            parameters |= change.parameters
        return Step(
            "rds",
            operation,
            {**parameters, "ApplyImmediately": True},
            f"{before}set {words}",
            effect=effect,
            facet=facet,
            before=[c.before for c in part],
            drift=f"Drift corrected on {name}: {words}." if desired.settled else "",
        )

    def refused(part: list[Change]) -> bool:
        entry = held.get(step(part).id)
        return entry is not None and not entry.accepted

    parts = [[c] for c in changes if refused([c])]
    others = [c for c in changes if [c] not in parts]
    parts += [[c] for c in others] if refused(others) else [others] if others else []
    return [step(part) for part in parts]


def _settings(desired: Desired, cluster: Cluster) -> list[Change]:
    spec, found = desired.spec, []

    def differs(words: str, asked: Any, have: Any, parameter: str, value: Any = None) -> None:
        # What AWS (or an emulator) does not tell cannot be corrected: that would be asked for again and again.
        if asked is not None and have not in (None, "") and asked != have:
            shown = f"{words} {_word(have)} → {_word(asked)}"
            found.append(Change(shown, {parameter: asked if value is None else value}, have))

    pending = cluster.pending
    if spec.backup:
        retention = pending.get("BackupRetentionPeriod", cluster.retention_days)
        differs("backup retention", spec.backup.retention_days, retention, "BackupRetentionPeriod")
        differs("backup window", spec.backup.window, cluster.backup_window, "PreferredBackupWindow")
    if spec.maintenance and spec.maintenance.window:
        window = spec.maintenance.window.lower()
        differs("maintenance window", window, cluster.maintenance_window.lower(), "PreferredMaintenanceWindow")
    differs("deletion protection", spec.deletion_protection, cluster.deletion_protection, "DeletionProtection")
    if spec.credentials:
        have = pending.get("IAMDatabaseAuthenticationEnabled", cluster.iam_authentication)
        differs("IAM authentication", spec.credentials.iam_authentication, have, "EnableIAMDatabaseAuthentication")
    asked = spec.network.security_group_ids if spec.network else None
    if asked and cluster.security_groups and tuple(sorted(asked)) != cluster.security_groups:
        words = f"security groups {', '.join(cluster.security_groups)} → {', '.join(sorted(asked))}"
        found.append(Change(words, {"VpcSecurityGroupIds": sorted(asked)}, cluster.security_groups))
    found += _logs(desired, cluster)
    found += _capacity(desired, cluster)
    return found


def _logs(desired: Desired, cluster: Cluster) -> list[Change]:
    if desired.spec.logs is None:
        return []
    wanted, have = set(desired.spec.logs), set(cluster.log_exports)
    if wanted == have:
        return []
    change = {"EnableLogTypes": sorted(wanted - have), "DisableLogTypes": sorted(have - wanted)}
    return [
        Change(
            f"log exports {_list(have)} → {_list(wanted)}",
            {"CloudwatchLogsExportConfiguration": {k: v for k, v in change.items() if v}},
            sorted(have),
        )
    ]


def _capacity(desired: Desired, cluster: Cluster) -> list[Change]:
    wanted = desired.spec.instances.serverless
    if wanted is None:
        return []
    have = cluster.serverless
    asked = (float(wanted.min_capacity), float(wanted.max_capacity))
    pause = wanted.seconds_until_auto_pause
    same = have is not None and (have.minimum, have.maximum) == asked and pause in (None, have.pause)
    if same:
        return []
    before = f"{have.minimum:g}–{have.maximum:g} ACU" if have else "none"
    after = f"{asked[0]:g}–{asked[1]:g} ACU" + (f", pausing after {pause} s" if pause else "")
    return [
        Change(
            f"capacity {before} → {after}", {"ServerlessV2ScalingConfiguration": requests.serverless(wanted)}, before
        )
    ]


def _parameter_group(
    desired: Desired, observed: Observed, cluster: Cluster, family: str, values: groups.Wanted
) -> list[Change]:
    """Which group holds the cluster's parameters. Its static ones then wait for a reboot, which is a step of its own."""
    name = groups.name_of(desired, observed, CLUSTER, family, values.cluster, cluster.parameter_group)
    if name is None or not cluster.parameter_group or name == cluster.parameter_group:
        return []
    return [
        Change(
            f"cluster parameter group {cluster.parameter_group} → {name}",
            {"DBClusterParameterGroupName": name},
            cluster.parameter_group,
        )
    ]


def _credentials(desired: Desired, observed: Observed, cluster: Cluster, refusals: list[Refusal]) -> list[Step]:
    # Only what is said: a default is for the creation, and a restored cluster whose restoreFrom is taken out of the spec keeps its password.
    manages = desired.spec.credentials.managed if desired.spec.credentials else None
    base = _name(desired)
    if manages is True:
        if cluster.master_secret is not None or not desired.status.resource_id:
            return []
        return [
            Step(
                "rds",
                "ModifyDBCluster",
                {**base, "ManageMasterUserPassword": True, "ApplyImmediately": True},
                "have AWS manage the master password",
                facet="cluster",
            )
        ]
    password = observed.password
    if desired.spec.password_secret is None or password is None:
        return []
    if password.refusal is not None:
        refusals.append(password.refusal)
        return []
    given = desired.status.credentials.secret_version if desired.status.credentials else None
    takes_back = cluster.master_secret is not None
    if not takes_back and (given == password.version or password.same):
        return []
    parameters: dict[str, Any] = {**base, "MasterUserPassword": PASSWORD, "ApplyImmediately": True}
    if takes_back:
        parameters["ManageMasterUserPassword"] = False
    name = desired.spec.password_secret.name
    return [
        Step(
            "rds",
            "ModifyDBCluster",
            parameters,
            f"set the master password to that of Secret {name}",
            facet="password",
            told=("PasswordChanged", f"The master password is now that of Secret {name}.") if given else None,
        )
    ]


def _storage(desired: Desired, cluster: Cluster, held: Mapping[str, Held], now: datetime, found: Found) -> None:
    wanted = desired.spec.storage
    if wanted is None or wanted.type.value == cluster.storage_type:
        return
    allowed = cluster.storage_change_allowed
    if wanted.type is StorageType.IO_OPTIMIZED and allowed is not None and allowed > now:
        sentence = (
            f"Storage becomes IOOptimized once every 30 days; AWS takes the change again from {allowed:%Y-%m-%d %H:%M} UTC, "
            "and it is made then. Until then, or with spec.storage.type: Standard, it stays Standard."
        )
        again = min(3600.0, max(1.0, (allowed - now).total_seconds()))
        found.refusals.append(Refusal(Reason.OUT_OF_SYNC, sentence, blocking=False, again=again))
        return
    aws = desired.spec.storage_type
    other = StorageType.IO_OPTIMIZED if wanted.type is StorageType.STANDARD else StorageType.STANDARD
    change = Change(f"storage {other.value} → {wanted.type.value}", {"StorageType": aws}, cluster.storage_type)
    found.steps += combined(desired, "ModifyDBCluster", _name(desired), "cluster", [change], held)


def _upgrade(desired: Desired, observed: Observed, cluster: Cluster, target: str, found: Found) -> None:
    pending = ", which AWS holds for its window" if cluster.pending.get("EngineVersion") == target else ""
    major = versions.is_major(cluster.version, target)
    parameters: dict[str, Any] = {**_name(desired), "EngineVersion": target, "ApplyImmediately": True}
    before: list[Step] = []
    ready, lost = True, ""
    if major:
        parameters["AllowMajorVersionUpgrade"] = True
        family = versions.family(desired.spec.engine.aws_name, target)
        values = groups.Wanted()
        if groups.managed(desired):
            known = observed.families.get(family)
            if known is None:
                found.waits.append(Wait(Reason.PROGRESSING, f"Reading the parameters of {family}.", 10.0))
            else:
                # A new major takes no group of the old one, so its own must hold the same before.
                values = groups.carry(desired, observed, known, groups.wanted(desired, known))
                found.refusals += values.refusals
                before, foreign = groups.group_steps(desired, observed, family, values)
                found.refusals += foreign
            ready = known is not None and not values.refusals and not groups.missing(desired, observed, family, values)
        moved, unknown = _groups_of(desired, observed, cluster, family, values)
        parameters |= moved
        lost = f", which has no parameter {', '.join(values.lost)}" if values.lost else ""
        found.refusals += unknown
        ready = ready and not unknown
    kind = "major version" if major else "version"
    step = Step(
        "rds",
        "ModifyDBCluster",
        parameters,
        f"upgrade the {kind} from {cluster.version} to {target}{pending}{lost}",
        effect=Effect.RESTART,
        when=When.AFTER_CONSENT if major else When.NOW,
        facet="cluster",
        # The groups that are named with it are made only after the consent.
        subject=f"upgrade {desired.identifier} {cluster.version} {target}",
        told=("Upgrading", f"Upgrading cluster {desired.identifier} from {cluster.version} to {target}."),
    )
    if (before or not ready) and consents(desired.approved, [step.approval]):
        # The new major's groups are made once the upgrade may go on, and before it.
        found.steps += [*before, replace(step, when=When.LATER)]
    else:
        found.steps.append(step)


def _groups_of(
    desired: Desired, observed: Observed, cluster: Cluster, family: str, values: groups.Wanted
) -> tuple[dict[str, str], list[Refusal]]:
    """The groups with which a major upgrade is asked for, by parameter: where one in force is not AWS's default, AWS wants one of the new family.

    Only our own gives way to the default by itself: what somebody else set in theirs would be lost without a word.
    """
    of_instances = sorted({i.parameter_group for i in observed.instances.values()})
    found, refusals = {}, []
    for level, parameter, in_force in (
        (CLUSTER, "DBClusterParameterGroupName", [cluster.parameter_group]),
        (INSTANCE, "DBInstanceParameterGroupName", of_instances),
    ):
        name = groups.name_of(desired, observed, level, family, values.level(level), "")
        custom = [g for g in in_force if g and not g.startswith(groups.DEFAULT)]
        # What they hold was carried over, or is nothing.
        ours = groups.managed(desired) and all((level, g) in observed.groups for g in custom)
        if name is not None:
            found[parameter] = name
        elif custom and ours:
            found[parameter] = groups.DEFAULT + family
        elif custom:
            sentence = (
                f"The major upgrade cannot keep the {level} parameter group {custom[0]}, which is of an older family: "
                f"name one of {family} in spec.parameterGroups.{level}, for example {groups.DEFAULT}{family}."
            )
            refusals.append(Refusal(Reason.INVALID, sentence))
    return found, refusals


def tag_steps(
    desired: Desired, arn: str, have: Mapping[str, str], whose: str, *, adopted: tuple[str, str] | None = None
) -> list[Step]:
    """Give the resource the spec's tags and our mark, and take away those that once stood in the spec. adopted: the Event when it gets the mark."""
    if not arn:
        return []
    wanted = requests.wanted_tags(desired)
    missing = {k: v for k, v in wanted.items() if have.get(k) != v}
    steps = []
    if missing:
        words = ", ".join(f"{k}={v}" for k, v in sorted(missing.items()) if k in (desired.spec.tags or {}))
        told = adopted if OWNER_TAG in missing and not desired.settled else None
        mark = "the mark that it is ours" if len(missing) > (1 if words else 0) and not words else ""
        steps.append(
            Step(
                "rds",
                "AddTagsToResource",
                {"ResourceName": arn, "Tags": requests.tags(missing)},
                f"tag {whose} with {words or mark}",
                facet="tags",
                drift=f"Tags of {whose} were changed; set back {words or mark}." if desired.settled else "",
                told=told,
            )
        )
    # Where the spec says nothing of tags at all, they are left as they are.
    once = desired.status.managed.tags if desired.status.managed and desired.spec.tags is not None else ()
    gone = sorted(k for k in once if k in have and k not in wanted and not k.startswith(TAG_PREFIX))
    if gone:
        steps.append(
            Step(
                "rds",
                "RemoveTagsFromResource",
                {"ResourceName": arn, "TagKeys": gone},
                f"take the tags {', '.join(gone)} off {whose}",
                facet="tags",
            )
        )
    return steps


def mark_step(desired: Desired, cluster: Cluster, adopted: tuple[str, str] | None) -> Step:
    """Mark a cluster that is taken over, and nothing else. adopted: the Event."""
    parameters = {"ResourceName": cluster.arn, "Tags": requests.tags({OWNER_TAG: desired.owner})}
    summary = f"tag cluster {cluster.identifier} with the mark that it is ours"
    return Step("rds", "AddTagsToResource", parameters, summary, facet="tags", told=adopted)


def marks(step: Step, cluster: Cluster) -> bool:
    """Whether the step gives the cluster tags, our mark among them, as long as it has none."""
    return step.operation == "AddTagsToResource" and step.parameters.get("ResourceName") == cluster.arn


def _name(desired: Desired) -> dict[str, str]:
    return {"DBClusterIdentifier": desired.identifier}


def _word(value: Any) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
