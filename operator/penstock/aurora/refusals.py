"""Better sentences for what RDS refuses: which field to write otherwise, which quota to raise, what is missing. Pure.

Codes are those of the RDS API reference, the wording of InvalidParameterCombination and InvalidParameterValue is what AWS answers.
"""

from __future__ import annotations

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
_GROUP_NOT_FOUND = ("DBParameterGroupNotFound", "DBClusterParameterGroupNotFound")
_NOT_ORDERABLE = ("does not support", "not supported", "not available in", "orderable", "doesn't support")


def refine(desired: Desired, step: Step, trouble: Trouble) -> Trouble:
    """The trouble with a sentence of its own where the operation and the code tell more together; else as it is."""
    found = _by_code(desired, step, trouble) or _by_words(desired, step, trouble)
    if found is None:
        return trouble
    meaning, reason, sentence = found
    return trouble.reworded(sentence, meaning=meaning, reason=reason, retry_after=trouble.retry_after)


def _by_code(desired: Desired, step: Step, trouble: Trouble) -> tuple[Meaning, Reason, str] | None:
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
    if code in ("InvalidSubnet", "InvalidVPCNetworkState"):
        return _subnets(said)
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
    if code == "DBSubnetGroupNotFound" and asked.get("DBSubnetGroupName") != desired.own_subnet_group:
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
            f"An instance {name} exists that is none of cluster {desired.identifier}: delete or rename it in AWS. {said}",
        )
    return None


def _by_words(desired: Desired, step: Step, trouble: Trouble) -> tuple[Meaning, Reason, str] | None:
    """InvalidParameterCombination and InvalidParameterValue say in words alone what is wrong."""
    if trouble.meaning not in (Meaning.INVALID, Meaning.MISSING):
        return None
    said, asked = _said(trouble), step.parameters
    text = trouble.detail.lower()
    if "masteruserpassword" in text.replace(" ", ""):
        secret = desired.spec.password_secret
        return (
            Meaning.INVALID,
            Reason.SECRET_INVALID,
            f"AWS refuses the password in Secret {secret.name if secret else ''}: write another one there. {said}",
        )
    if step.operation.startswith("Delete") and "protect" in text:
        return (
            Meaning.BUSY,
            Reason.DELETION_PROTECTED,
            f"Cluster {desired.identifier} is protected from deletion: set spec.deletionProtection: false to let it go.",
        )
    if "cannot find version" in text or ("engine version" in text and "cannot" in text):
        return (
            Meaning.INVALID,
            Reason.INVALID,
            f"AWS does not offer version {asked.get('EngineVersion') or desired.spec.engine.version} of {desired.spec.engine.aws_name} in "
            f"{desired.region}: write another spec.engine.version. {said}",
        )
    if "security group" in text or "securitygroup" in text:
        ids = ", ".join(asked.get("VpcSecurityGroupIds") or ())
        return (
            Meaning.MISSING,
            Reason.WAITING_FOR_DEPENDENCY,
            f"A security group of spec.network.securityGroupIds ({ids}) is missing or in another VPC than the subnets: make it, or write another. "
            f"{said}",
        )
    if "kms" in text:
        return (
            Meaning.MISSING,
            Reason.WAITING_FOR_DEPENDENCY,
            f"The KMS key {asked.get('KmsKeyId') or ''} cannot be used: check spec.encryption.kmsKey. {said}",
        )
    if "subnet" in text and step.operation in ("CreateDBSubnetGroup", "ModifyDBSubnetGroup", "CreateDBCluster"):
        return _subnets(said)
    name = asked.get("DBInstanceClass")
    if name and any(words in text for words in _NOT_ORDERABLE):
        zone = asked.get("AvailabilityZone")
        return (
            Meaning.INVALID,
            Reason.INVALID,
            f"AWS does not offer class {name}{f' in zone {zone}' if zone else ''} for this engine version: "
            f"write another spec.instances.class, or another zone or class in spec.instances.overrides. {said}",
        )
    return None


def _subnets(said: str) -> tuple[Meaning, Reason, str]:
    return (
        Meaning.MISSING,
        Reason.WAITING_FOR_DEPENDENCY,
        f"AWS cannot use the subnets of spec.network.subnetIds: all of them must exist, in one VPC. {said}",
    )


def _ours(desired: Desired, step: Step) -> bool:
    named = (step.parameters.get(key) for key in ("DBClusterParameterGroupName", "DBParameterGroupName"))
    return any(name and str(name).startswith(desired.own_parameter_group("")) for name in named)


def _said(trouble: Trouble) -> str:
    """AWS's own words."""
    return f"(AWS: {trouble.detail.rstrip('.')}.)" if trouble.detail else ""
