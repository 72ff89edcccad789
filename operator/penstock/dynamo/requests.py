"""Request parameters for the DynamoDB and Application Auto Scaling APIs, from the spec. Shapes as in the API reference; no decisions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from penstock.api.dynamotable import (
    DEFAULT_TARGET,
    AttributeType,
    CapacityMode,
    DynamoTableSpec,
    GlobalIndex,
    IndexCapacity,
    KeyAttribute,
    LocalIndex,
    Projection,
    TableKey,
    Throughput,
)
from penstock.api.meta import OWNER_TAG
from penstock.aws.dynamodb import KeySchema, ScalingPolicy, Table, utilisation
from penstock.dynamo.state import Desired

TYPES = {AttributeType.STRING: "S", AttributeType.NUMBER: "N", AttributeType.BINARY: "B"}
AWS_MANAGED_KEY = "alias/aws/dynamodb"
# What a policy is called where the dimension has none yet; one that tracks its utilisation keeps the name that it has.
POLICY_NAME = "penstock-target-tracking"


@dataclass(frozen=True)
class Autoscaled:
    """A dimension that the spec has autoscaled. target: percent; None where a policy that is there keeps its own."""

    resource: str
    dimension: str
    minimum: int
    maximum: int
    target: float | None

    @property
    def aim(self) -> float:
        """The target of a new policy."""
        return DEFAULT_TARGET if self.target is None else self.target


@lru_cache(maxsize=64)
def aws_word(word: str) -> str:
    """A CamelCase enum value as AWS writes it: NewAndOldImages becomes NEW_AND_OLD_IMAGES."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).upper()


def key_schema(key: TableKey | GlobalIndex) -> KeySchema:
    return KeySchema((key.partition.name,), (key.sort.name,) if key.sort else ())


def local_key_schema(key: TableKey, index: LocalIndex) -> KeySchema:
    return KeySchema((key.partition.name,), (index.sort.name,))


def schema(key: KeySchema) -> list[dict[str, str]]:
    found = [{"AttributeName": name, "KeyType": "HASH"} for name in key.partition]
    return [*found, *({"AttributeName": name, "KeyType": "RANGE"} for name in key.sort)]


def definitions(types: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in sorted(types.items())]


def types_of(attributes: Iterator[KeyAttribute]) -> dict[str, str]:
    return {a.name: TYPES[a.type] for a in attributes}


def projection(wanted: Projection) -> dict[str, Any]:
    found: dict[str, Any] = {"ProjectionType": aws_word(wanted.type)}
    return {**found, "NonKeyAttributes": sorted(wanted.attributes)} if wanted.attributes else found


def units(read: Throughput | None, write: Throughput | None) -> dict[str, int]:
    return {
        "ReadCapacityUnits": read.initial_units if read else 1,
        "WriteCapacityUnits": write.initial_units if write else 1,
    }


def caps(capacity: IndexCapacity | None) -> dict[str, int]:
    """OnDemandThroughput; empty when no cap is named."""
    if capacity is None:
        return {}
    named = {"MaxReadRequestUnits": capacity.max_read_units, "MaxWriteRequestUnits": capacity.max_write_units}
    return {k: v for k, v in named.items() if v is not None}


def warm(wanted: Any) -> dict[str, int]:
    if wanted is None:
        return {}
    named = {"ReadUnitsPerSecond": wanted.read_units, "WriteUnitsPerSecond": wanted.write_units}
    return {k: v for k, v in named.items() if v is not None}


def global_index(index: GlobalIndex, provisioned: bool) -> dict[str, Any]:
    """An index as CreateTable and UpdateTable take it."""
    body: dict[str, Any] = {
        "IndexName": index.name,
        "KeySchema": schema(key_schema(index)),
        "Projection": projection(index.projection),
    }
    capacity = index.capacity
    if provisioned:
        body["ProvisionedThroughput"] = units(capacity.read if capacity else None, capacity.write if capacity else None)
    elif found := _created_caps(caps(capacity)):
        body["OnDemandThroughput"] = found
    if index.warm_throughput is not None:
        body["WarmThroughput"] = warm(index.warm_throughput)
    return body


def encryption(kms_key: str | None) -> dict[str, Any]:
    """SSESpecification: the AWS owned key, the AWS managed key, or a customer key."""
    if kms_key is None:
        return {"Enabled": False}
    found: dict[str, Any] = {"Enabled": True, "SSEType": "KMS"}
    return found if kms_key.endswith(AWS_MANAGED_KEY) else {**found, "KMSMasterKeyId": kms_key}


def tags(desired: Desired) -> dict[str, str]:
    """The tags that the table must carry."""
    return {**(desired.spec.tags or {}), OWNER_TAG: desired.owner}


def tag_list(wanted: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": k, "Value": v} for k, v in sorted(wanted.items())]


def policy_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def same_policy(one: str, other: str) -> bool:
    """Whether two policy documents say the same; AWS returns them with other white space and order."""
    try:
        return bool(json.loads(one or "null") == json.loads(other or "null"))
    except ValueError:
        return one == other


def create_table(desired: Desired) -> dict[str, Any]:
    """CreateTable with everything that it can carry, so that as little as possible is left for afterwards."""
    spec = desired.spec
    provisioned = spec.capacity_mode is CapacityMode.PROVISIONED
    body: dict[str, Any] = {
        "TableName": desired.table_name,
        "KeySchema": schema(key_schema(spec.key)),
        "AttributeDefinitions": definitions(types_of(spec.key_attributes())),
        "BillingMode": "PROVISIONED" if provisioned else "PAY_PER_REQUEST",
        "Tags": tag_list(tags(desired)),
    }
    if provisioned and spec.capacity:
        body["ProvisionedThroughput"] = units(spec.capacity.read, spec.capacity.write)
    elif found := _created_caps(caps(spec.capacity)):
        body["OnDemandThroughput"] = found
    if spec.global_indexes:
        body["GlobalSecondaryIndexes"] = [global_index(i, provisioned) for i in spec.global_indexes]
    if spec.local_indexes:
        body["LocalSecondaryIndexes"] = [
            {
                "IndexName": i.name,
                "KeySchema": schema(local_key_schema(spec.key, i)),
                "Projection": projection(i.projection),
            }
            for i in spec.local_indexes
        ]
    if spec.stream is not None and spec.stream.enabled and spec.stream.view is not None:
        body["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": aws_word(spec.stream.view)}
    if spec.encryption is not None and spec.encryption.kms_key is not None:
        body["SSESpecification"] = encryption(spec.encryption.kms_key)
    if spec.table_class is not None:
        body["TableClass"] = aws_word(spec.table_class)
    if spec.deletion_protection:
        body["DeletionProtectionEnabled"] = True
    if spec.warm_throughput is not None:
        body["WarmThroughput"] = warm(spec.warm_throughput)
    if spec.resource_policy is not None and spec.resource_policy.document:
        body["ResourcePolicy"] = policy_text(spec.resource_policy.document)
    return body


def restore_table(desired: Desired) -> tuple[str, dict[str, Any]]:
    """The operation that restores the table, and its parameters. Tags, TTL, PITR, streams and autoscaling are not restored by AWS.

    Provisioned units are set afterwards: in the restore AWS wants them for every index of the source, which only the source knows.
    """
    spec = desired.spec
    source = spec.restore_from
    assert source is not None
    body: dict[str, Any] = {"TargetTableName": desired.table_name}
    if spec.capacity_mode is CapacityMode.ON_DEMAND:
        body["BillingModeOverride"] = "PAY_PER_REQUEST"
    if spec.encryption is not None and spec.encryption.kms_key is not None:
        body["SSESpecificationOverride"] = encryption(spec.encryption.kms_key)
    if source.backup_arn is not None:
        return "RestoreTableFromBackup", {**body, "BackupArn": source.backup_arn}
    body["SourceTableName"] = source.table_name
    if source.time is None:
        return "RestoreTableToPointInTime", {**body, "UseLatestRestorableTime": True}
    return "RestoreTableToPointInTime", {**body, "RestoreDateTime": source.time}


def scaling_targets(desired: Desired) -> dict[tuple[str, str], Autoscaled]:
    """The autoscaled dimensions that the spec names, by resource id and dimension."""
    spec: DynamoTableSpec = desired.spec
    if spec.capacity is None or spec.capacity_mode is not CapacityMode.PROVISIONED:
        return {}
    found: dict[tuple[str, str], Autoscaled] = {}

    def add(resource: str, scope: str, direction: str, throughput: Throughput | None) -> None:
        if throughput is None or throughput.min is None or throughput.max is None:
            return
        dimension = f"dynamodb:{scope}:{direction}CapacityUnits"
        # Adoption changes nothing that the spec does not name, so there an absent target leaves the policy's.
        keeps = spec.adopt and throughput.target_utilization is None
        target = None if keeps else float(throughput.target)
        found[resource, dimension] = Autoscaled(resource, dimension, throughput.min, throughput.max, target)

    base = f"table/{desired.table_name}"
    add(base, "table", "Read", spec.capacity.read)
    add(base, "table", "Write", spec.capacity.write)
    for index in spec.global_indexes or ():
        if index.capacity is not None:
            add(f"{base}/index/{index.name}", "index", "Read", index.capacity.read)
            add(f"{base}/index/{index.name}", "index", "Write", index.capacity.write)
    return found


def scaling_policy(target: Autoscaled, have: ScalingPolicy | None) -> dict[str, Any]:
    """PutScalingPolicy. have: the policy that tracks the utilisation already; its cooldowns and its name stay as they are."""
    return {
        "PolicyName": have.name if have is not None else POLICY_NAME,
        "ServiceNamespace": "dynamodb",
        "ResourceId": target.resource,
        "ScalableDimension": target.dimension,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            **(have.tracking if have is not None else {}),
            "TargetValue": target.aim,
            "PredefinedMetricSpecification": {"PredefinedMetricType": utilisation(target.dimension)},
        },
    }


def switch_to_provisioned(desired: Desired, table: Table) -> dict[str, Any]:
    """UpdateTable from on-demand to provisioned; AWS wants units for the table and for every index that it has."""
    spec = desired.spec
    assert spec.capacity is not None
    body: dict[str, Any] = {
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": units(spec.capacity.read, spec.capacity.write),
    }
    named = {i.name: i.capacity for i in spec.global_indexes or ()}
    updates = []
    for index in table.indexes:
        capacity = named.get(index.name) or spec.capacity
        updates.append(
            {"Update": {"IndexName": index.name, "ProvisionedThroughput": units(capacity.read, capacity.write)}}
        )
    return {**body, "GlobalSecondaryIndexUpdates": updates} if updates else body


def _created_caps(named: Mapping[str, int]) -> dict[str, int]:
    """A cap of -1 takes a cap away; at creation there is none to take."""
    return {k: v for k, v in named.items() if v != -1}
