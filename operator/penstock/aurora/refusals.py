"""Better sentences for what RDS refuses: which field to write otherwise, which quota to raise, what is missing. Pure.

Codes are those of the RDS API reference, the wording of InvalidParameterCombination and InvalidParameterValue is what AWS answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from penstock.api.conditions import Reason
from penstock.aurora.state import Desired
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.plan import Step

# The quota's name in Service Quotas (Amazon RDS), by the code without its "Fault".
_QUOTAS = {
    "InstanceQuotaExceeded": "DB instances",
    "DBClusterQuotaExceeded": "DB clusters",
    "DBParameterGroupQuotaExceeded": "parameter groups",
    "DBClusterParameterGroupQuotaExceeded": "DB cluster parameter groups",
    "DBSubnetGroupQuotaExceeded": "DB subnet groups",
    "DBSubnetQuotaExceeded": "Subnets per DB subnet group",
    "SnapshotQuotaExceeded": "Manual DB cluster snapshots",
    "StorageQuotaExceeded": "Total storage for all DB instances",
}
Judged = tuple[Meaning, Reason, str]
_GROUP_NOT_FOUND = ("DBParameterGroupNotFound", "DBClusterParameterGroupNotFound")


def refine(desired: Desired, step: Step, trouble: Trouble) -> Trouble:
    """The trouble with a sentence of its own where the operation and the code tell more together; else as it is."""
    found = _by_code(desired, step, trouble) or _by_words(desired, step, trouble)
    if found is None:
        return trouble
    meaning, reason, sentence = found
    return trouble.reworded(sentence, meaning=meaning, reason=reason, retry_after=trouble.retry_after)


def _by_code(desired: Desired, step: Step, trouble: Trouble) -> Judged | None:
    code, said = trouble.code.removesuffix("Fault"), _said(trouble)
    asked = step.parameters
    missing = (Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY)
    if code in _QUOTAS:
        return (
            Meaning.BUSY,
            Reason.LIMIT_REACHED,
            f'The account\'s quota "{_QUOTAS[code]}" of Amazon RDS in {desired.region} is reached: raise it in Service Quotas, or delete what nobody '
            f"needs; it is tried again by itself. {said}",
        )
    if code == "InsufficientDBInstanceCapacity":
        place = f"{asked.get('DBInstanceClass', 'this class')} in {asked.get('AvailabilityZone') or 'these zones'}"
        return (
            Meaning.BUSY,
            Reason.UNAVAILABLE,
            f"AWS has no capacity for {place} at the moment; it is tried again by itself. Another class or zone (spec.instances.overrides) may do. "
            f"{said}",
        )
    if code == "DBSubnetGroupDoesNotCoverEnoughAZs":
        return (
            Meaning.INVALID,
            Reason.INVALID,
            f"The subnets lie in too few zones: name subnets in two zones or more in spec.network.subnetIds. {said}",
        )
    if step.operation.startswith("Delete") and "Group" in step.operation and code.startswith("InvalidDB"):
        # AWS names the state of a group only to say that something uses it, and that does not end by itself.
        return (Meaning.CONFLICT, Reason.IN_USE, f"To {step.summary} is not possible while something uses it. {said}")
    if code == "KMSKeyNotAccessible":
        key = asked.get("KmsKeyId")
        named = f"{key} (spec.encryption.kmsKey)" if key else "that encrypts the cluster"
        return (
            *missing,
            f"The KMS key {named} cannot be used: make or enable it, and let its policy allow the operator to grant RDS its use. {said}",
        )
    if code in ("DBClusterSnapshotNotFound", "DBSnapshotNotFound") and step.operation.startswith("Restore"):
        return (
            *missing,
            f"There is no snapshot {asked.get('SnapshotIdentifier')} to restore from: check spec.restoreFrom.snapshotIdentifier. {said}",
        )
    if code == "DBClusterNotFound" and step.operation == "RestoreDBClusterToPointInTime":
        source = asked.get("SourceDBClusterIdentifier")
        return (
            *missing,
            f"There is no cluster {source} to restore from: check spec.restoreFrom.clusterIdentifier, or name a snapshot. {said}",
        )
    if code == "DBSubnetGroupNotFound" and not desired.may_be_own(str(asked.get("DBSubnetGroupName", ""))):
        name = asked.get("DBSubnetGroupName") or "default"
        return (
            *missing,
            f"There is no subnet group {name} in {desired.region}: make it, or name subnets in spec.network.subnetIds. {said}",
        )
    if code in _GROUP_NOT_FOUND and not _ours(desired, step):
        return (*missing, f"A parameter group of spec.parameterGroups is not there: make it, or write another. {said}")
    if code == "DBInstanceAlreadyExists":
        name = asked.get("DBInstanceIdentifier")
        return (
            Meaning.CONFLICT,
            Reason.ALREADY_EXISTS,
            f"An instance {name} exists that is none of cluster {desired.identifier}, and Penstock leaves it alone: rename it in AWS, "
            f"or write another spec.clusterIdentifier. {said}",
        )
    return None


def _by_words(desired: Desired, step: Step, trouble: Trouble) -> Judged | None:
    """InvalidParameterCombination, InvalidParameterValue, InvalidSubnet and InvalidVPCNetworkState say in words alone what is
    wrong. Where no wording is known, AWS's words are told alone: a guess would send a person to the wrong field."""
    if trouble.meaning not in (Meaning.INVALID, Meaning.MISSING):
        return None
    for pattern, judge in _WORDINGS:
        if pattern.search(trouble.detail):
            return judge(desired, step, _said(trouble))
    # The code itself says what it is about.
    return _subnets(desired, step, _said(trouble)) if trouble.code == "InvalidSubnet" else None


def _password(desired: Desired, _: Step, said: str) -> Judged:
    secret = desired.spec.password_secret
    return (
        Meaning.INVALID,
        Reason.SECRET_INVALID,
        f"AWS refuses the password in Secret {secret.name if secret else ''}: write another one there. {said}",
    )


def _protected(desired: Desired, _: Step, said: str) -> Judged:  # noqa: ARG001 - as the others
    return (
        Meaning.BUSY,
        Reason.DELETION_PROTECTED,
        f"Cluster {desired.identifier} is protected from deletion: set spec.deletionProtection: false to let it go.",
    )


def _version(desired: Desired, step: Step, said: str) -> Judged:
    version = step.parameters.get("EngineVersion") or desired.spec.engine.version
    return (
        Meaning.INVALID,
        Reason.INVALID,
        f"AWS does not offer version {version} of {desired.spec.engine.aws_name} in {desired.region}: "
        f"write another spec.engine.version. {said}",
    )


def _security_groups(_: Desired, step: Step, said: str) -> Judged:
    ids = ", ".join(step.parameters.get("VpcSecurityGroupIds") or ())
    return (
        Meaning.MISSING,
        Reason.WAITING_FOR_DEPENDENCY,
        f"A security group of spec.network.securityGroupIds ({ids}) is missing or in another VPC than the subnets: "
        f"make it, or write another. {said}",
    )


def _key(_: Desired, step: Step, said: str) -> Judged:
    return (
        Meaning.MISSING,
        Reason.WAITING_FOR_DEPENDENCY,
        f"The KMS key {step.parameters.get('KmsKeyId') or ''} cannot be used: check spec.encryption.kmsKey. {said}",
    )


def _subnets(_: Desired, __: Step, said: str) -> Judged:
    return (
        Meaning.MISSING,
        Reason.WAITING_FOR_DEPENDENCY,
        f"AWS cannot use the subnets of spec.network.subnetIds: all of them must exist, in one VPC. {said}",
    )


def _no_default_subnets(desired: Desired, _: Step, said: str) -> Judged:
    return (
        Meaning.MISSING,
        Reason.WAITING_FOR_DEPENDENCY,
        f"{desired.region} has no default VPC with subnets: name subnets in spec.network.subnetIds. {said}",
    )


def _zone(desired: Desired, step: Step, said: str) -> Judged:
    zone = step.parameters.get("AvailabilityZone")
    ordinal = desired.ordinal(str(step.parameters.get("DBInstanceIdentifier", "")))
    own = desired.spec.instances.override(ordinal).zone if ordinal is not None else None
    if zone and own == zone:
        what = f"The zone {zone} of ordinal {ordinal} in spec.instances.overrides is not one of the cluster's zones"
    else:
        what = f"Zone {zone} is not one of the cluster's zones" if zone else "AWS finds no zone for it"
    return (
        Meaning.INVALID,
        Reason.INVALID,
        f"{what}: write a zone in which the cluster's subnet group has a subnet, or leave the zone out. {said}",
    )


def _public(_: Desired, __: Step, said: str) -> Judged:
    return (
        Meaning.MISSING,
        Reason.WAITING_FOR_DEPENDENCY,
        "The VPC cannot give instances public addresses: mend the VPC, or write spec.network.publiclyAccessible: "
        f"false. {said}",
    )


def _insights(desired: Desired, step: Step, said: str) -> Judged:
    named = step.parameters.get("DBInstanceClass")
    with_class = f" with class {named} of {desired.spec.engine.aws_name}" if named else ""
    return (
        Meaning.INVALID,
        Reason.INVALID,
        f"AWS refuses Performance Insights{with_class}: change spec.performanceInsights, or write another class. {said}",
    )


def _class(_: Desired, step: Step, said: str) -> Judged:
    zone, name = step.parameters.get("AvailabilityZone"), step.parameters.get("DBInstanceClass")
    return (
        Meaning.INVALID,
        Reason.INVALID,
        f"AWS does not offer class {name}{f' in zone {zone}' if zone else ''} for this engine version: "
        f"write another spec.instances.class, or another zone or class in spec.instances.overrides. {said}",
    )


def _tags(_: Desired, __: Step, said: str) -> Judged:
    return (
        Meaning.INVALID,
        Reason.INVALID,
        "AWS allows 50 tags on a resource, with Penstock's own and those that others put there: "
        f"take some out of spec.tags, or remove others in AWS. {said}",
    )


def _wording(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# By what AWS's message says, never by what it quotes of the request. The first that is found counts.
_WORDINGS: tuple[tuple[re.Pattern[str], Callable[[Desired, Step, str], Judged]], ...] = (
    (
        _wording(r"parameter MasterUserPassword .*(is not (a )?valid|must)|parameter MasterUserPassword is not"),
        _password,
    ),
    (_wording(r"cannot delete protected (DB )?(cluster|instance)"), _protected),
    (_wording(r"cannot find version \S+ for "), _version),
    (_wording(r"there is not a subnet in \S+,? the targeted availability zone"), _zone),
    (_wording(r"availability zones? '?\[.*\]'? (is|are) unavailable in this region"), _zone),
    (_wording(r"cannot create a publicly accessible DBInstance"), _public),
    (_wording(r"performance insights"), _insights),
    (_wording(r"does not support creating a DB instance with the following combination"), _class),
    (_wording(r"(requested )?(DB )?instance class \S* ?(is not|isn't|not) (supported|available)"), _class),
    (_wording(r"invalid DB instance class"), _class),
    (_wording(r"invalid security group\b|EC2 security group are in different VPCs"), _security_groups),
    (_wording(r"KMS key \S* ?(does not exist|doesn't exist|is not enabled|is disabled|is not valid)"), _key),
    (_wording(r"no default subnet detected"), _no_default_subnets),
    (_wording(r"input subnets in ?:?\[.*\] are invalid"), _subnets),
    (_wording(r"subnets .*(all be in one|not in the same|different) VPC"), _subnets),
    (_wording(r"number of tags exceeds|tags? (limit|quota) exceeded"), _tags),
)


def _ours(desired: Desired, step: Step) -> bool:
    named = (step.parameters.get(key) for key in ("DBClusterParameterGroupName", "DBParameterGroupName"))
    return any(name and desired.may_be_own(str(name)) for name in named)


def _said(trouble: Trouble) -> str:
    """AWS's own words."""
    return f"(AWS: {trouble.detail.rstrip('.')}.)" if trouble.detail else ""
