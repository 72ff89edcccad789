"""The rules of AuroraCluster across fields, each once: as CEL for the API server and as Python for everything else.

The Python takes the models of `auroracluster.py`, which carry these rules. Limits are those of the Amazon RDS API
reference and of the Aurora user guide unless a comment says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic.alias_generators import to_snake

from penstock.api import auroracluster_forms as forms
from penstock.api import engine_version
from penstock.api.model import Rule, of_spec, once_created
from penstock.api.windows import DAY, Window

POSTGRESQL: Final = "AuroraPostgreSQL"
MYSQL: Final = "AuroraMySQL"
SERVERLESS_CLASS: Final = "db.serverless"


def _words(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


def _escaped(pattern: str) -> str:
    return pattern.replace("\\", "\\\\")


ENGINE = (
    Rule(
        'must be a version of Aurora PostgreSQL: a major ("15") or a minor ("15.10"), in quotes',
        cel=f"self.type != '{POSTGRESQL}' || !has(self.version)"
        f" || self.version.matches('^{_escaped(forms.POSTGRESQL_VERSION)}$')",
        holds=lambda e: (
            e.type != POSTGRESQL or e.version is None or bool(re.fullmatch(forms.POSTGRESQL_VERSION, e.version))
        ),
        at="version",
    ),
    Rule(
        'must be a version of Aurora MySQL: a major ("8.0") or a minor ("8.0.mysql_aurora.3.08.0"), in quotes',
        cel=f"self.type != '{MYSQL}' || !has(self.version)"
        f" || self.version.matches('^{_escaped(forms.MYSQL_VERSION)}$')",
        holds=lambda e: e.type != MYSQL or e.version is None or bool(re.fullmatch(forms.MYSQL_VERSION, e.version)),
        at="version",
    ),
)

SERVERLESS = (
    Rule(
        "must not be more than maxCapacity",
        cel="self.minCapacity <= self.maxCapacity",
        holds=lambda s: s.min_capacity <= s.max_capacity,
        at="minCapacity",
    ),
    Rule(
        "must be at least 1 Aurora capacity unit",
        cel="self.maxCapacity >= 1.0 || self.maxCapacity < 0.0",
        holds=lambda s: s.max_capacity >= 1 or s.max_capacity < 0,
        at="maxCapacity",
    ),
    Rule(
        'is missing: with minCapacity 0 instances pause, so say after how long ("10m"); else write at least 0.5',
        cel="self.minCapacity != 0.0 || has(self.autoPause)",
        holds=lambda s: s.min_capacity != 0 or s.auto_pause is not None,
        at="autoPause",
    ),
    Rule(
        "belongs to minCapacity 0: instances pause only there; write minCapacity: 0, or leave autoPause out",
        cel="self.minCapacity == 0.0 || !has(self.autoPause)",
        holds=lambda s: s.min_capacity == 0 or s.auto_pause is None,
        at="autoPause",
    ),
)

OVERRIDE = (
    Rule(
        "must say what is different: class, promotionTier or zone",
        cel="has(self.class) || has(self.promotionTier) || has(self.zone)",
        holds=lambda o: any(value is not None for value in (o.instance_class, o.promotion_tier, o.zone)),
    ),
)


def _serverless_instances(instances: Any) -> bool:
    named = (instances.instance_class, *(o.instance_class for o in instances.overrides))
    return SERVERLESS_CLASS in named


_SERVERLESS_INSTANCES: Final = (
    f"((has(self.class) && self.class == '{SERVERLESS_CLASS}')"
    f" || (has(self.overrides) && self.overrides.exists(o, has(o.class) && o.class == '{SERVERLESS_CLASS}')))"
)

INSTANCES = (
    Rule(
        "is missing: class db.serverless needs a range, for example {minCapacity: 0.5, maxCapacity: 4}",
        cel=f"has(self.serverless) || !{_SERVERLESS_INSTANCES}",
        holds=lambda i: i.serverless is not None or not _serverless_instances(i),
        at="serverless",
    ),
    Rule(
        "belongs to class db.serverless: write class: db.serverless, or leave the range out",
        cel=f"!has(self.serverless) || {_SERVERLESS_INSTANCES}",
        holds=lambda i: i.serverless is None or _serverless_instances(i),
        at="serverless",
    ),
    Rule(
        "must not be less than readers: readers is the fewest that autoscaling leaves",
        cel="!has(self.readerAutoscaling) || !has(self.readers) || self.readerAutoscaling.max >= self.readers",
        holds=lambda i: i.reader_autoscaling is None or i.readers is None or i.reader_autoscaling.max >= i.readers,
        at="readerAutoscaling.max",
    ),
)

NETWORK = (
    Rule(
        "must not be with subnetIds: name an existing group, or the subnets that Penstock makes one of",
        cel="!has(self.subnetGroup) || !has(self.subnetIds)",
        holds=lambda n: n.subnet_group is None or n.subnet_ids is None,
        at="subnetGroup",
    ),
)

CREDENTIALS = (
    Rule(
        "must not be here: put it into a Secret and name that, passwordSecretRef: {name: ledger-master, key: password}, "
        "or write managed: true",
        cel="!has(self.password)",
        holds=lambda c: c.password is None,
        at="password",
    ),
    Rule(
        "must not be true with passwordSecretRef: either AWS manages the password, or the Secret gives it",
        cel="!has(self.managed) || !self.managed || !has(self.passwordSecretRef)",
        holds=lambda c: not c.managed or c.password_secret_ref is None,
        at="managed",
    ),
)

PARAMETER_GROUPS = (
    Rule(
        "must name cluster, instance or both; leave it out for the groups that Penstock makes",
        cel="has(self.cluster) || has(self.instance)",
        holds=lambda g: g.cluster is not None or g.instance is not None,
    ),
)

PERFORMANCE_INSIGHTS = (
    Rule(
        "has no meaning while enabled is false: leave it out",
        cel="!has(self.retentionDays) || !has(self.enabled) || self.enabled",
        holds=lambda p: p.retention_days is None or p.enabled,
        at="retentionDays",
    ),
)

RESTORE = (
    Rule(
        "must name exactly one source: snapshotIdentifier, or clusterIdentifier with an optional time",
        cel="has(self.snapshotIdentifier) != has(self.clusterIdentifier)",
        holds=lambda r: (r.snapshot_identifier is None) != (r.cluster_identifier is None),
    ),
    Rule(
        "belongs to clusterIdentifier: a snapshot has its own time",
        cel="!has(self.time) || has(self.clusterIdentifier) || !has(self.snapshotIdentifier)",
        holds=lambda r: r.time is None or r.cluster_identifier is not None or r.snapshot_identifier is None,
        at="time",
    ),
)


def _overlap_cel() -> str:
    backup, maintenance = "self.backup.window", "self.maintenance.window"
    form_b = forms.BACKUP_WINDOW.cel.replace("self", backup, 1)
    form_m = forms.MAINTENANCE_WINDOW.cel.replace("self", maintenance, 1)
    b, m = forms.daily_start(backup), forms.weekly_start(maintenance)
    # A backup is made every day, so the days of the maintenance do not matter; its length has a rule of its own.
    return (
        "!has(self.backup) || !has(self.backup.window) || !has(self.maintenance) || !has(self.maintenance.window)"
        f" || !{form_b} || !{form_m}"
        f" || (({m} - {b} + 1440) % 1440 >= {forms.daily_length(backup)}"
        f" && ({b} - {m} + 1440) % 1440 >= {forms.weekly_clock_length(maintenance)})"
    )


def _apart(spec: Any) -> bool:
    try:
        backup = spec.backup.daily if spec.backup else None
        maintenance = spec.maintenance.weekly if spec.maintenance else None
    except ValueError:
        return True
    if backup is None or maintenance is None:
        return True
    return not backup.overlaps(Window(maintenance.start % DAY, maintenance.length % DAY, DAY))


_TLS_CEL: Final = "(has(self.requireTLS) ? self.requireTLS : !(has(self.adopt) && self.adopt))"
_TLS_OFF: Final = {"rds.force_ssl": ("0", "off"), "require_secure_transport": ("0", "off")}
_TLS_ON: Final = {"rds.force_ssl": ("1", "on"), "require_secure_transport": ("1", "on")}


def _sets_cel(values: Mapping[str, tuple[str, ...]]) -> str:
    return " || ".join(
        f"('{name}' in self.parameters && self.parameters['{name}'].lowerAscii() in {_words(found)})"
        for name, found in values.items()
    )


def _sets(spec: Any, values: Mapping[str, tuple[str, ...]]) -> bool:
    return any((spec.parameters or {}).get(name, "").lower() in found for name, found in values.items())


def _free_user_cel(engine: str, words: tuple[str, ...], prefixes: tuple[str, ...] = ()) -> str:
    name = "self.credentials.masterUsername"
    begins = "".join(f"{name}.lowerAscii().startsWith('{p}') || " for p in prefixes)
    return (
        f"self.engine.type != '{engine}' || !has(self.credentials) || !has({name})"
        f" || !({begins}{name}.lowerAscii() in {_words(words)})"
    )


def _free_user(spec: Any, engine: str, words: tuple[str, ...], prefixes: tuple[str, ...] = ()) -> bool:
    name = spec.credentials.master_username if spec.credentials else None
    if spec.engine.type != engine or name is None:
        return True
    return name.lower() not in words and not any(name.lower().startswith(p) for p in prefixes)


def _logs_of(spec: Any, engine: str, allowed: tuple[str, ...]) -> bool:
    return spec.engine.type != engine or all(log in allowed for log in spec.logs or ())


def _logs_cel(engine: str, allowed: tuple[str, ...]) -> str:
    return f"self.engine.type != '{engine}' || !has(self.logs) || self.logs.all(l, l in {_words(allowed)})"


def _kept(parent: str, field: str, default: str = "") -> str:
    """CEL: a field that may be taken away, and is otherwise as it was; an adopted or restored cluster, whose value comes
    from elsewhere, may name it later. default: an expression for what an absent field means."""
    new, old = f"self.{parent}.{field}".replace("..", "."), f"oldSelf.{parent}.{field}".replace("..", ".")
    has_new, has_old = f"has({new})", f"has({old})"
    if parent:
        has_new, has_old = f"has(self.{parent}) && {has_new}", f"has(oldSelf.{parent}) && {has_old}"
    late = "(has(oldSelf.adopt) && oldSelf.adopt) || has(oldSelf.restoreFrom)"
    meant = f" || {new} == {default}" if default else ""
    return f"!({has_new}) || ({has_old} ? {new} == {old} : ({late}{meant}))"


def _keeps(new: str | None, old: str | None, before: Any, default: str | None = None) -> bool:
    if new is None or new == old:
        return True
    return old is None and (before.adopt or before.restore_from is not None or new == default)


def _in(value: Any, field: str) -> Any:
    return getattr(value, field) if value is not None else None


_FOR_EVER: Final = "may be taken away, but not added or changed"


def _or(rule: Rule, cel: str, holds: Callable[[Any, Any], bool]) -> Rule:
    """A transition rule of a spec as one of the whole object that another condition of the whole object satisfies too."""
    whole = of_spec(rule)
    keeps = whole.keeps
    assert keeps is not None
    return replace(whole, cel=f"({whole.cel}) || ({cel})", keeps=lambda new, old: keeps(new, old) or holds(new, old))


def _or_as_aws_has_it(rule: Rule, status: str) -> Rule:
    """The field may also say what the status says that AWS has: our own message may ask for that, and the revert of an edit
    may bring it back."""
    field, have = f"self.spec.{rule.at}", f"oldSelf.status.{status}"
    parts = status.split(".")
    there = " && ".join(f"has(oldSelf.status.{'.'.join(parts[: n + 1])})" for n in range(len(parts)))

    def holds(new: Any, old: Any) -> bool:
        found = _at(old.status, status)
        return found is not None and _at(new.spec, rule.at) == found

    return _or(rule, f"{there} && {field} == {have}", holds)


def _at(value: Any, path: str) -> Any:
    """A field deep in a model, by its path in manifests; None where there is none."""
    for name in path.split("."):
        value = _in(value, to_snake(name))
    return value


def _same_source_cel(field: str) -> str:
    now, once = "self.spec.restoreFrom", "oldSelf.status.restoreFrom"
    return f"(has({now}.{field}) ? {now}.{field} : '') == (has({once}.{field}) ? {once}.{field} : '')"


# AWS settles these when it makes the cluster. Before that, the value may be the very one that AWS refuses.
_SETTLED = (
    of_spec(
        Rule(
            "must be unchanged: a cluster cannot change its engine; make another AuroraCluster and copy the data",
            cel="self.engine.type == oldSelf.engine.type",
            keeps=lambda new, old: new.engine.type == old.engine.type,
            at="engine.type",
        )
    ),
    _or_as_aws_has_it(
        Rule(
            f"{_FOR_EVER}: AWS settles the master user when it makes the cluster",
            cel=_kept("credentials", "masterUsername", f"(self.engine.type == '{POSTGRESQL}' ? 'postgres' : 'admin')"),
            keeps=lambda new, old: _keeps(
                _in(new.credentials, "master_username"),
                _in(old.credentials, "master_username"),
                old,
                "postgres" if new.engine.type == POSTGRESQL else "admin",
            ),
            at="credentials.masterUsername",
        ),
        "credentials.masterUsername",
    ),
    _or_as_aws_has_it(
        Rule(
            f"{_FOR_EVER}: it is made with the cluster; make further databases in SQL",
            cel=_kept("", "databaseName"),
            keeps=lambda new, old: _keeps(new.database_name, old.database_name, old),
            at="databaseName",
        ),
        "databaseName",
    ),
    _or(
        Rule(
            f"{_FOR_EVER}: the key of a cluster is for ever; "
            "restore a snapshot into another AuroraCluster with the other key",
            cel=_kept("encryption", "kmsKey"),
            keeps=lambda new, old: _keeps(_in(new.encryption, "kms_key"), _in(old.encryption, "kms_key"), old),
            at="encryption.kmsKey",
        ),
        # Which key an alias means is not known here; the operator looks.
        "has(oldSelf.status.kmsKeyArn) && (self.spec.encryption.kmsKey == oldSelf.status.kmsKeyArn"
        " || !has(oldSelf.spec.encryption) || !has(oldSelf.spec.encryption.kmsKey))",
        lambda new, old: (
            old.status.kms_key_arn is not None
            and (
                _at(new.spec, "encryption.kmsKey") == old.status.kms_key_arn
                or _at(old.spec, "encryption.kmsKey") is None
            )
        ),
    ),
    _or_as_aws_has_it(
        Rule(
            f"{_FOR_EVER}: a cluster cannot move to another subnet group; make another AuroraCluster and copy the data",
            cel=_kept("network", "subnetGroup"),
            keeps=lambda new, old: _keeps(_in(new.network, "subnet_group"), _in(old.network, "subnet_group"), old),
            at="network.subnetGroup",
        ),
        "subnetGroup",
    ),
    _or(
        Rule(
            "must not be added: a cluster cannot move to another subnet group; "
            "make another AuroraCluster and copy the data",
            cel="!(has(self.network) && has(self.network.subnetIds))"
            " || (has(oldSelf.network) && has(oldSelf.network.subnetIds))",
            keeps=lambda new, old: _in(new.network, "subnet_ids") is None or _in(old.network, "subnet_ids") is not None,
            at="network.subnetIds",
        ),
        # Of the group that Penstock made of them they can be named again.
        "has(oldSelf.status.subnetGroup) && oldSelf.status.subnetGroup.startsWith('penstock-')",
        lambda _, old: (old.status.subnet_group or "").startswith("penstock-"),
    ),
    _or(
        Rule(
            "may be removed, but not added or changed: it is read only when the cluster is made; "
            "make another AuroraCluster to restore into",
            cel="!has(self.restoreFrom) || (has(oldSelf.restoreFrom) && self.restoreFrom == oldSelf.restoreFrom)",
            keeps=lambda new, old: new.restore_from is None or new.restore_from == old.restore_from,
            at="restoreFrom",
        ),
        "has(oldSelf.status.restoreFrom) && "
        + " && ".join(map(_same_source_cel, ("snapshotIdentifier", "clusterIdentifier", "time"))),
        lambda new, old: (
            old.status.restore_from is not None
            and new.spec.restore_from is not None
            and new.spec.restore_from.model_dump() == old.status.restore_from.model_dump()
        ),
    ),
)

SPEC = (
    Rule(
        "must be unchanged: the region of a cluster is for ever; make another AuroraCluster in the other region",
        cel="has(self.region) == has(oldSelf.region) && (!has(self.region) || self.region == oldSelf.region)",
        keeps=lambda new, old: new.region == old.region,
        at="region",
    ),
    Rule(
        'is missing: say what the instances are, for example "db.t4g.medium"; only an adopted cluster can do without',
        cel="has(self.instances.class) || (has(self.adopt) && self.adopt)",
        holds=lambda s: s.instances.instance_class is not None or s.adopt,
        at="instances.class",
    ),
    Rule(
        "must not be false without passwordSecretRef: a new cluster needs a password; name a Secret, or write true",
        cel="!has(self.credentials) || !has(self.credentials.managed) || self.credentials.managed"
        " || has(self.credentials.passwordSecretRef) || (has(self.adopt) && self.adopt) || has(self.restoreFrom)",
        holds=lambda s: (
            s.credentials is None
            or s.credentials.managed is not False
            or s.credentials.password_secret_ref is not None
            or s.adopt
            or s.restore_from is not None
        ),
        at="credentials.managed",
    ),
    Rule(
        "is a name that Aurora PostgreSQL keeps for itself; write another, for example postgres or owner",
        cel=_free_user_cel(POSTGRESQL, forms.POSTGRESQL_USERS, forms.POSTGRESQL_PREFIXES),
        holds=lambda s: _free_user(s, POSTGRESQL, forms.POSTGRESQL_USERS, forms.POSTGRESQL_PREFIXES),
        at="credentials.masterUsername",
    ),
    Rule(
        "is a name that Aurora MySQL keeps for itself; write another, for example admin or owner",
        cel=_free_user_cel(MYSQL, forms.MYSQL_USERS),
        holds=lambda s: _free_user(s, MYSQL, forms.MYSQL_USERS),
        at="credentials.masterUsername",
    ),
    Rule(
        "must have at most 32 characters, as Aurora MySQL allows",
        cel=f"self.engine.type != '{MYSQL}' || !has(self.credentials) || !has(self.credentials.masterUsername)"
        " || size(self.credentials.masterUsername) <= 32",
        holds=lambda s: s.engine.type != MYSQL or len(_in(s.credentials, "master_username") or "") <= 32,
        at="credentials.masterUsername",
    ),
    Rule(
        "must have at most 63 characters, as Aurora PostgreSQL allows",
        cel=f"self.engine.type != '{POSTGRESQL}' || !has(self.databaseName) || size(self.databaseName) <= 63",
        holds=lambda s: s.engine.type != POSTGRESQL or len(s.database_name or "") <= 63,
        at="databaseName",
    ),
    Rule(
        "is a database that the engine keeps for itself; write another name, or leave it out for none",
        cel="!has(self.databaseName) || !(self.databaseName.lowerAscii() in"
        f" (self.engine.type == '{POSTGRESQL}' ? {_words(forms.POSTGRESQL_DATABASES)} : {_words(forms.MYSQL_DATABASES)}))",
        holds=lambda s: (
            s.database_name is None
            or s.database_name.lower()
            not in (forms.POSTGRESQL_DATABASES if s.engine.type == POSTGRESQL else forms.MYSQL_DATABASES)
        ),
        at="databaseName",
    ),
    Rule(
        "must be logs of Aurora PostgreSQL: postgresql, instance or iam-db-auth-error",
        cel=_logs_cel(POSTGRESQL, forms.POSTGRESQL_LOGS),
        holds=lambda s: _logs_of(s, POSTGRESQL, forms.POSTGRESQL_LOGS),
        at="logs",
    ),
    Rule(
        "must be logs of Aurora MySQL: audit, error, general, slowquery, instance or iam-db-auth-error",
        cel=_logs_cel(MYSQL, forms.MYSQL_LOGS),
        holds=lambda s: _logs_of(s, MYSQL, forms.MYSQL_LOGS),
        at="logs",
    ),
    Rule(
        "must not overlap with backup.window (both are UTC, and a backup is made every day): move one of them",
        cel=_overlap_cel(),
        holds=_apart,
        at="maintenance.window",
    ),
    Rule(
        "turn TLS off, and requireTLS is true unless you say false: write requireTLS: false, or leave the parameter out",
        cel=f"!has(self.parameters) || !{_TLS_CEL} || !({_sets_cel(_TLS_OFF)})",
        holds=lambda s: not s.requires_tls or not _sets(s, _TLS_OFF),
        at="parameters",
    ),
    Rule(
        "require TLS, and requireTLS is false: write requireTLS: true, or leave the parameter out",
        cel=f"!has(self.parameters) || !has(self.requireTLS) || self.requireTLS || !({_sets_cel(_TLS_ON)})",
        holds=lambda s: s.require_tls is not False or not _sets(s, _TLS_ON),
        at="parameters",
    ),
    Rule(
        "must not be with parameterGroups: Penstock writes parameters into groups of its own; write one or the other",
        cel="!has(self.parameters) || size(self.parameters) == 0 || !has(self.parameterGroups)",
        holds=lambda s: not s.parameters or s.parameter_groups is None,
        at="parameters",
    ),
    Rule(
        "must have zones of the cluster's own region",
        cel="!has(self.region) || !has(self.instances.overrides)"
        " || self.instances.overrides.all(o, !has(o.zone) || o.zone.startsWith(self.region))",
        holds=lambda s: (
            s.region is None or all(o.zone is None or o.zone.startswith(s.region) for o in s.instances.overrides)
        ),
        at="instances.overrides",
    ),
    Rule(
        "must not be with hibernation, which stops and starts the cluster by the clock: leave one of them out",
        cel="!has(self.stopped) || !has(self.hibernation)",
        holds=lambda s: s.stopped is None or s.hibernation is None,
        at="stopped",
    ),
    Rule(
        "must be another cluster than this one; to go back in time, restore into an AuroraCluster of its own",
        cel="!has(self.restoreFrom) || !has(self.restoreFrom.clusterIdentifier) || !has(self.clusterIdentifier)"
        " || self.restoreFrom.clusterIdentifier != self.clusterIdentifier",
        holds=lambda s: (
            s.restore_from is None
            or s.cluster_identifier is None
            or s.restore_from.cluster_identifier != s.cluster_identifier
        ),
        at="restoreFrom.clusterIdentifier",
    ),
)


def _lower_cel(one: str, other: str) -> str:
    """CEL: a version is certainly lower than another of its engine; false where either has another form.

    As engine_version.is_lower: a version without a minor stands for the highest on the left, for the lowest on the right.
    """
    postgresql, mysql = (f"'^{_escaped(form)}$'" for form in (forms.POSTGRESQL_VERSION, forms.MYSQL_VERSION))

    def both(pattern: str) -> str:
        return f"({one}.matches({pattern}) && {other}.matches({pattern})"

    def as_postgresql(text: str, absent: int) -> str:
        parts = f"{text}.split('.')"
        return f"(int({parts}[0]) * 1000 + ({text}.contains('.') ? int({parts}[1]) : {absent}))"

    def as_mysql(text: str, absent: int) -> str:
        parts = f"{text}.split('.')"
        minor = f"int({parts}[3]) * 10000 + int({parts}[4]) * 100 + int({parts}[5])"
        return f"((int({parts}[0]) * 10 + int({parts}[1])) * 1000000 + ({text}.contains('mysql') ? {minor} : {absent}))"

    return (
        f"({both(postgresql)} && {as_postgresql(one, 999)} < {as_postgresql(other, 0)})"
        f" || {both(mysql)} && {as_mysql(one, 999999)} < {as_mysql(other, 0)}))"
    )


def _major_lower_cel(one: str, other: str) -> str:
    """CEL: a version is of a lower major than another of its engine."""
    postgresql, mysql = (f"'^{_escaped(form)}$'" for form in (forms.POSTGRESQL_VERSION, forms.MYSQL_VERSION))

    def number(text: str, part: int) -> str:
        return f"int({text}.split('.')[{part}])"

    def major(text: str) -> str:
        return f"{number(text, 0)} * 10 + {number(text, 1)}"

    return (
        f"({one}.matches({postgresql}) && {number(one, 0)} < {number(other, 0)})"
        f" || ({one}.matches({mysql}) && {major(one)} < {major(other)})"
    )


def _lowers(new: Any, old: Any) -> bool:
    """Whether an edit asks for less than what runs because of what was asked for.

    A version that AWS does not have, or an upgrade that is not done, can be taken back, and so can one that AWS has gone
    beyond by itself: what runs then stays. Another major never can.
    """
    wanted, before, running = new.spec.engine.version, old.spec.engine.version, old.status.engine_version
    if wanted is None or before is None or running is None:
        return False
    try:
        if not (engine_version.is_lower(wanted, before) and engine_version.is_lower(wanted, running)):
            return False
        return not engine_version.is_lower(before, running) or not engine_version.same_major(wanted, running)
    except ValueError:
        return False


_NEW: Final = "self.spec.engine.version"
_OLD: Final = "oldSelf.spec.engine.version"
_RUNNING: Final = "oldSelf.status.engineVersion"


def _named(cluster: Any) -> bool:
    if cluster.spec.cluster_identifier is not None:
        return True
    return forms.CLUSTER_IDENTIFIER.holds(cluster.cluster_identifier)


CLUSTER = (
    *once_created("resourceId", *_SETTLED),
    Rule(
        "cannot be part of the cluster's identifier, which is namespace-name: RDS allows at most 63 letters, digits and "
        "single hyphens, and a letter first; set spec.clusterIdentifier",
        # The namespace is not known here; the operator looks at the whole.
        cel="has(self.spec.clusterIdentifier) || (size(self.metadata.name) <= 61"
        " && !self.metadata.name.contains('.') && !self.metadata.name.contains('--'))",
        holds=_named,
        at="metadata.name",
    ),
    Rule(
        "must not be lower than what runs: Aurora has no downgrade; restore a snapshot into another AuroraCluster",
        cel=f"!has({_NEW}) || !has({_OLD}) || !has(oldSelf.status) || !has({_RUNNING})"
        f" || !({_lower_cel(_NEW, _OLD)}) || !({_lower_cel(_NEW, _RUNNING)})"
        f" || (({_lower_cel(_OLD, _RUNNING)}) && !({_major_lower_cel(_NEW, _RUNNING)}))",
        keeps=lambda new, old: not _lowers(new, old),
        at="spec.engine.version",
    ),
)
