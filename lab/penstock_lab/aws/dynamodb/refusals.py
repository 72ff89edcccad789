"""What DynamoDB refuses in a table's definition, and in which words. Pure: specs in, AwsError out.

Rules and limits from the API reference of CreateTable and UpdateTable and the developer guide's "Quotas in Amazon
DynamoDB" and "Naming rules"; sentences as the service answers them where they are public.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from ..errors import AwsError, invalid, validation
from ..settings import settings

NAME = re.compile(r"[a-zA-Z0-9_.-]+")
BILLING_MODES = ("PROVISIONED", "PAY_PER_REQUEST")
TABLE_CLASSES = ("STANDARD", "STANDARD_INFREQUENT_ACCESS")
VIEW_TYPES = ("NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY")


def check_name(value: str, member: str) -> None:
    """3 to 255 of a-z, A-Z, 0-9, underscore, hyphen and dot; ``member`` as AWS spells it, ``tableName``."""
    problems = []
    if len(value) < 3:
        problems.append("Member must have length greater than or equal to 3")
    if len(value) > 255:
        problems.append("Member must have length less than or equal to 255")
    if not NAME.fullmatch(value):
        problems.append("Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    if problems:
        raise constraint(value, member, *problems)


def constraint(value: Any, member: str, *problems: str) -> AwsError:
    """The framework's answer for a member outside its bounds."""
    count = len(problems)
    details = "; ".join(f"Value '{value}' at '{member}' failed to satisfy constraint: {p}" for p in problems)
    return validation(f"{count} validation error{'s' if count > 1 else ''} detected: {details}")


def check_enum(value: Any, member: str, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise constraint(value, member, f"Member must satisfy enum value set: [{', '.join(allowed)}]")


def check_new_table(spec: dict[str, Any]) -> None:
    """Everything about a CreateTable request that does not depend on what exists."""
    check_name(spec["TableName"], "tableName")
    check_enum(spec.get("BillingMode"), "billingMode", BILLING_MODES)
    check_enum(spec.get("TableClass"), "tableClass", TABLE_CLASSES)
    on_demand = spec.get("BillingMode") == "PAY_PER_REQUEST"
    for name, limit in (
        ("GlobalSecondaryIndexes", settings.max_gsi),
        ("LocalSecondaryIndexes", settings.max_lsi),
    ):
        indexes = spec.get(name)
        if indexes == []:
            raise invalid(f"List of {name} is empty")
        if indexes and len(indexes) > limit:
            raise invalid(f"{_singular(name)} count exceeds the per-table limit of {limit}")
    names = [i["IndexName"] for n in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes") for i in spec.get(n) or ()]
    for index_name in names:
        if names.count(index_name) > 1:
            raise invalid(f"Duplicate index name: {index_name}")
    check_key_schema(spec["KeySchema"])
    check_attributes(spec)
    for number, index in enumerate(spec.get("GlobalSecondaryIndexes") or (), 1):
        check_index(index, f"globalSecondaryIndexes.{number}.member")
        check_index_capacity(index, on_demand=on_demand)
    for number, index in enumerate(spec.get("LocalSecondaryIndexes") or (), 1):
        check_index(index, f"localSecondaryIndexes.{number}.member")
        _check_local(index, spec["KeySchema"])
    _check_projection_total(spec)
    check_capacity(spec.get("ProvisionedThroughput"), on_demand=on_demand)
    check_caps(spec.get("OnDemandThroughput"), on_demand=on_demand)
    check_warm(spec.get("WarmThroughput"), floor(spec.get("ProvisionedThroughput"), on_demand), "table", new=True)
    check_stream(spec.get("StreamSpecification"))
    check_sse(spec.get("SSESpecification"))
    check_tags(spec.get("Tags") or ())


def check_key_schema(schema: list[dict[str, str]], index: str | None = None) -> None:
    where = f" for index {index}" if index else ""
    if not 1 <= len(schema) <= 2 and index is None:
        shown = ", ".join(
            f"KeySchemaElement(attributeName={e['AttributeName']}, keyType={e['KeyType']})" for e in schema
        )
        raise constraint(
            f"[{shown}]",
            "keySchema",
            "Member must have length less than or equal to 2"
            if schema
            else "Member must have length greater than or equal to 1",
        )
    for number, element in enumerate(schema, 1):
        check_enum(element["KeyType"], f"keySchema.{number}.member.keyType", ("HASH", "RANGE"))
    if not schema or schema[0]["KeyType"] != "HASH":
        raise invalid(f"Invalid KeySchema{where}: The first KeySchemaElement is not a HASH key type")
    if len(schema) > 1 and index is None and schema[1]["KeyType"] != "RANGE":
        raise invalid(f"Invalid KeySchema{where}: The second KeySchemaElement is not a RANGE key type")
    if len({e["AttributeName"] for e in schema}) < len(schema):
        if index is None:
            # Measured against AWS by the public suite dynamodb-conformance.
            raise validation("Invalid KeySchema: Some index key attribute have no definition")
        raise invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")


def check_attributes(spec: dict[str, Any]) -> None:
    """Every key attribute is defined, once; nothing else is."""
    definitions = spec["AttributeDefinitions"]
    defined = check_definitions(definitions)
    indexes = [*(spec.get("GlobalSecondaryIndexes") or ()), *(spec.get("LocalSecondaryIndexes") or ())]
    table_keys = [e["AttributeName"] for e in spec["KeySchema"]]
    index_keys = [e["AttributeName"] for i in indexes for e in i["KeySchema"]]
    used = list(dict.fromkeys([*table_keys, *index_keys]))
    if missing := [name for name in used if name not in defined]:
        if indexes:
            raise invalid(
                "Some index key attributes are not defined in AttributeDefinitions. "
                f"Keys: [{', '.join(missing)}], AttributeDefinitions: [{', '.join(defined)}]"
            )
        raise validation("Invalid KeySchema: Some index key attribute have no definition")
    if unused := [name for name in defined if name not in used]:
        if indexes:
            raise invalid(
                "Some AttributeDefinitions are not used. "
                f"AttributeDefinitions: [{', '.join(defined)}], keys used: [{', '.join(used)}]"
            )
        del unused
        raise invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions"
        )


def check_definitions(definitions: list[dict[str, str]]) -> dict[str, str]:
    """Name to type. Refuses an attribute that is defined twice or has no scalar type."""
    defined: dict[str, str] = {}
    for number, definition in enumerate(definitions, 1):
        check_enum(definition["AttributeType"], f"attributeDefinitions.{number}.member.attributeType", ("B", "N", "S"))
        if definition["AttributeName"] in defined:
            raise invalid(f"Duplicate AttributeName in AttributeDefinitions: {definition['AttributeName']}")
        defined[definition["AttributeName"]] = definition["AttributeType"]
    return defined


def check_index(index: dict[str, Any], member: str) -> None:
    check_name(index["IndexName"], f"{member}.indexName")
    check_key_schema(index["KeySchema"], index["IndexName"])
    projection = index.get("Projection") or {}
    kind = projection.get("ProjectionType")
    check_enum(kind, f"{member}.projection.projectionType", ("ALL", "INCLUDE", "KEYS_ONLY"))
    extra = projection.get("NonKeyAttributes")
    if kind is None:
        raise invalid(f"Unknown ProjectionType: null")  # noqa: F541 (AWS's own words)
    if kind == "INCLUDE" and not extra:
        raise invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    if kind != "INCLUDE" and extra is not None:
        raise invalid(f"ProjectionType is {kind}, but NonKeyAttributes is specified")
    if extra and len(extra) > 20:
        raise constraint(
            extra, f"{member}.projection.nonKeyAttributes", "Member must have length less than or equal to 20"
        )


def _check_local(index: dict[str, Any], table_schema: list[dict[str, str]]) -> None:
    name = index["IndexName"]
    if len(table_schema) < 2:
        raise invalid(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        )
    if index["KeySchema"][0]["AttributeName"] != table_schema[0]["AttributeName"]:
        raise invalid(
            "Table KeySchema and index KeySchema must have the same hash key: "
            f"Index KeySchema does not have the same leading hash key as table KeySchema for index: {name}"
        )
    if len(index["KeySchema"]) < 2:
        raise invalid(f"Index KeySchema does not have a range key for index: {name}")


def _check_projection_total(spec: dict[str, Any]) -> None:
    # 100 projected attributes a table over all its indexes, see "Quotas in Amazon DynamoDB".
    indexes = [*(spec.get("GlobalSecondaryIndexes") or ()), *(spec.get("LocalSecondaryIndexes") or ())]
    if sum(len((i.get("Projection") or {}).get("NonKeyAttributes") or ()) for i in indexes) > 100:
        raise invalid("The total number of user-specified non-key attributes in all indexes exceeds the limit of 100")


def check_capacity(throughput: dict[str, int] | None, *, on_demand: bool) -> None:
    if on_demand and throughput and any(throughput.values()):
        raise invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
        )
    if not on_demand and throughput is None:
        raise invalid("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
    if not on_demand:
        check_units(throughput, "provisionedThroughput")


def check_units(throughput: dict[str, int] | None, member: str) -> None:
    for name, spelled, limit in (
        ("ReadCapacityUnits", "readCapacityUnits", settings.table_max_read_units),
        ("WriteCapacityUnits", "writeCapacityUnits", settings.table_max_write_units),
    ):
        value = (throughput or {}).get(name)
        if value is None:
            raise constraint("null", f"{member}.{spelled}", "Member must not be null")
        if value < 1:
            raise constraint(value, f"{member}.{spelled}", "Member must have value greater than or equal to 1")
        if value > limit:
            raise AwsError(
                "LimitExceededException",
                f"Subscriber limit exceeded: Provisioned throughput for a table exceeds the limit of {limit} {name}",
            )


def check_index_capacity(index: dict[str, Any], *, on_demand: bool) -> None:
    name, throughput = index["IndexName"], index.get("ProvisionedThroughput")
    if on_demand and throughput and any(throughput.values()):
        raise invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: "
            f"{name} when BillingMode is PAY_PER_REQUEST"
        )
    if not on_demand:
        if throughput is None:
            raise invalid(f"ReadCapacityUnits and WriteCapacityUnits must both be specified for index: {name}")
        check_units(throughput, "globalSecondaryIndex.provisionedThroughput")
    check_caps(index.get("OnDemandThroughput"), on_demand=on_demand)
    check_warm(index.get("WarmThroughput"), floor(throughput, on_demand), f"index {name}", new=True)


def check_caps(caps: dict[str, int] | None, *, on_demand: bool) -> None:
    if caps is None:
        return
    if not on_demand:
        raise invalid("OnDemandThroughput can only be specified when BillingMode is PAY_PER_REQUEST")
    if not caps:
        raise invalid(
            "At least one of MaxReadRequestUnits or MaxWriteRequestUnits must be specified in OnDemandThroughput"
        )
    for name, value in caps.items():
        if value < -1 or value == 0:
            raise invalid(f"{name} must be -1 or a positive number")


def floor(throughput: dict[str, int] | None, on_demand: bool) -> dict[str, int]:
    """The warm throughput that a table or an index has of itself."""
    if on_demand or not throughput:
        return {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000}
    return {
        "ReadUnitsPerSecond": throughput.get("ReadCapacityUnits", 0),
        "WriteUnitsPerSecond": throughput.get("WriteCapacityUnits", 0),
    }


def check_warm(warm: dict[str, int] | None, least: dict[str, int], what: str, *, new: bool) -> None:
    """Warm throughput can be raised and never lowered."""
    for name, value in (warm or {}).items():
        if name in least and value < least[name]:
            reason = (
                "initial throughput" if new else "current WarmThroughput, decreasing WarmThroughput is not supported"
            )
            raise invalid(f"Requested {name} for WarmThroughput for {what} is lower than {reason}")


def check_stream(stream: dict[str, Any] | None) -> None:
    if not stream:
        return
    check_enum(stream.get("StreamViewType"), "streamSpecification.streamViewType", VIEW_TYPES)
    if stream.get("StreamEnabled") and not stream.get("StreamViewType"):
        raise invalid("StreamViewType must be specified when StreamEnabled is true")
    if not stream.get("StreamEnabled") and stream.get("StreamViewType"):
        raise invalid("StreamViewType cannot be specified when StreamEnabled is false")


def check_sse(sse: dict[str, Any] | None) -> None:
    if not sse:
        return
    if sse.get("SSEType") == "AES256":
        raise invalid("SSEType AES256 is not supported")
    check_enum(sse.get("SSEType"), "sSESpecification.sSEType", ("AES256", "KMS"))
    if sse.get("KMSMasterKeyId") and not sse.get("SSEType"):
        raise invalid("SSEType KMS is required if KMSMasterKeyId is specified")
    if sse.get("SSEType") and not sse.get("Enabled"):
        raise invalid("SSEType cannot be specified if SSE is not enabled")


def check_tags(tags: Any, existing: dict[str, str] | None = None) -> None:
    """At most 50 tags; keys of 1 to 128, values of up to 256 characters; ``aws:`` is AWS's own.

    Letters, white space, digits and a few signs: developer guide, "Tagging restrictions in DynamoDB", in the pattern that
    AWS services share.
    """
    keys = [t["Key"] for t in tags]
    for number, tag in enumerate(tags, 1):
        key, value = tag["Key"], tag.get("Value", "")
        if not 1 <= len(key) <= 128:
            raise constraint(
                key,
                f"tags.{number}.member.key",
                f"Member must have length {'less' if key else 'greater'} than or equal to {128 if key else 1}",
            )
        if len(value) > 256:
            raise constraint(value, f"tags.{number}.member.value", "Member must have length less than or equal to 256")
        for member, text in (("key", key), ("value", value)):
            if not all(unicodedata.category(c)[0] in "LZN" or c in "_.:/=+-@" for c in text):
                raise constraint(
                    text,
                    f"tags.{number}.member.{member}",
                    r"Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$",
                )
        if key.lower().startswith("aws:"):
            raise invalid("Tag keys starting with 'aws:' are reserved for system use")
    if len(set(keys)) < len(keys):
        raise invalid("Duplicate tag keys are not allowed")
    if len({*keys, *(existing or ())}) > settings.max_tags:
        raise validation(
            f"One or more parameter values were invalid: Tag count exceeds the limit of {settings.max_tags}"
        )


def next_decrease(decreases_today: list[float], now: float) -> float | None:
    """When the next decrease of provisioned capacity is allowed; None for now.

    Developer guide, "Quotas": a UTC day starts with four decreases, each hour adds one, never more than four are
    saved up, 27 a day in all.
    """
    start = now - now % 86400
    saved, at = 4.0, start
    for moment in decreases_today:
        saved = min(4.0, saved + int((moment - start) // 3600) - int((at - start) // 3600))
        saved, at = saved - 1, moment
    saved = min(4.0, saved + int((now - start) // 3600) - int((at - start) // 3600))
    if len(decreases_today) >= 27:
        return start + 86400
    return None if saved >= 1 else now - (now - start) % 3600 + 3600


def next_key_change(created: float, changes: list[float], now: float) -> float | None:
    """When the next change of the encryption key is allowed; None for now.

    Developer guide, "Quotas", encryption at rest: four changes at any time in each 24 hours since the table was created,
    and one more when there was none in the last six hours. A change to the key that AWS owns is always allowed.
    """
    window = created + (now - created) // 86400 * 86400
    in_window = [at for at in changes if at >= window]
    if len(in_window) < 4 or now - in_window[-1] >= 6 * 3600:
        return None
    return min(in_window[-1] + 6 * 3600, window + 86400)


def _singular(name: str) -> str:
    return name.removesuffix("es")
