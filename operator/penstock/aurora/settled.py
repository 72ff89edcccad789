"""What AWS settles when it makes a cluster and never changes, compared with what the spec names. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.api.conditions import Reason
from penstock.aurora import groups
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import Cluster
from penstock.engine.plan import Refusal


def unadoptable(desired: Desired, observed: Observed, cluster: Cluster) -> tuple[Refusal, ...]:
    """Why the cluster is not taken over: the manifest is about another one."""
    never = unmanageable(desired, cluster)
    return never or _refusals(desired, observed, cluster, [*_zones(desired, observed)])


def unmanageable(desired: Desired, cluster: Cluster) -> tuple[Refusal, ...]:
    """Why nothing at all can be done with the cluster; empty when something can."""
    wanted = desired.spec.engine
    if cluster.engine and cluster.engine != wanted.aws_name:
        sentence = (
            f"Cluster {cluster.identifier} runs {cluster.engine}, but spec.engine.type says {wanted.type.value}; "
            "an engine cannot be changed: write the cluster's own engine, or another spec.clusterIdentifier."
        )
        return (Refusal(Reason.INVALID, sentence),)
    if cluster.engine_mode == "serverless":
        sentence = (
            f"Cluster {cluster.identifier} is of Aurora Serverless v1, which has no instances; "
            "Penstock manages only clusters with instances."
        )
        return (Refusal(Reason.INVALID, sentence),)
    return ()


def refusals(desired: Desired, observed: Observed, cluster: Cluster) -> tuple[Refusal, ...]:
    """What the spec names and this cluster can never become, with both values of each field.

    What AWS (or an emulator) does not say is not judged. The zone of an override is read only when its instance is created.
    """
    return _refusals(desired, observed, cluster, [])


def _refusals(desired: Desired, observed: Observed, cluster: Cluster, more: list[str]) -> tuple[Refusal, ...]:
    different = [*_cluster(desired, observed, cluster), *_key(desired, observed, cluster), *more]
    if not different:
        return ()
    return (
        Refusal(
            Reason.INVALID,
            f"AWS settled this of cluster {cluster.identifier} when it made it, and never changes it: "
            f"{'; '.join(different)}.",
        ),
    )


def _cluster(desired: Desired, observed: Observed, cluster: Cluster) -> Iterator[str]:
    spec, name = desired.spec, cluster.identifier
    username = spec.credentials.master_username if spec.credentials else None
    if username and cluster.master_username and username.lower() != cluster.master_username.lower():
        yield (
            f"spec.credentials.masterUsername says {username}, cluster {name} has {cluster.master_username}: "
            f"write {cluster.master_username} or leave it out"
        )
    database = spec.database_name
    # A cluster that AWS tells without its user is an emulator's, which may know no database either.
    if database and cluster.master_username and database.lower() != cluster.database_name.lower():
        have = cluster.database_name
        remedy = f"write {have} or leave it out" if have else "leave it out, and make the database in SQL"
        yield f"spec.databaseName says {database}, cluster {name} has {have or 'none'}: {remedy}"
    network, group = spec.network, cluster.subnet_group
    if network is None or not group:
        return
    if network.subnet_group and network.subnet_group.lower() != group.lower():
        yield (
            f"spec.network.subnetGroup says {network.subnet_group}, cluster {name} is in {group}: "
            f"write {group} or leave it out"
        )
    if network.subnet_ids and groups.own_subnets(desired, observed) != group:
        yield (
            f"spec.network.subnetIds says {', '.join(network.subnet_ids)}, cluster {name} is in subnet group {group}: "
            f"write subnetGroup: {group} instead or leave it out"
        )


def _key(desired: Desired, observed: Observed, cluster: Cluster) -> Iterator[str]:
    encryption, name = desired.spec.encryption, cluster.identifier
    if encryption is None:
        return
    if cluster.encrypted is False:
        field = f"kmsKey says {encryption.kms_key}" if encryption.kms_key else "encrypted says true"
        if encryption.kms_key or encryption.encrypted:
            yield (
                f"spec.encryption.{field}, cluster {name} is not encrypted: leave it out, "
                "or restore a snapshot of it into an AuroraCluster with a key"
            )
        return
    wanted = encryption.kms_key
    if not wanted or not cluster.kms_key.startswith("arn:"):
        return
    if wanted.startswith("arn:") and ":alias/" not in wanted:
        same = wanted == cluster.kms_key
    elif "alias/" in wanted:
        # None: what the alias points to was not read.
        same = observed.kms_key in (None, cluster.kms_key)
    else:
        same = cluster.kms_key.endswith(f":key/{wanted}")
    if not same:
        points = f", which is {observed.kms_key or 'no key'}" if "alias/" in wanted else ""
        yield (
            f"spec.encryption.kmsKey says {wanted}{points}, cluster {name} has {cluster.kms_key}: "
            f"write {cluster.kms_key} or leave it out"
        )


def _zones(desired: Desired, observed: Observed) -> Iterator[str]:
    for override in desired.spec.instances.overrides:
        instance = observed.instances.get(desired.instance(override.ordinal))
        if override.zone and instance is not None and instance.zone and instance.zone != override.zone:
            yield (
                f"spec.instances.overrides says zone {override.zone} for ordinal {override.ordinal}, instance "
                f"{instance.identifier} is in {instance.zone}: write {instance.zone}, or delete the instance in AWS "
                "to have it made in the other zone"
            )
