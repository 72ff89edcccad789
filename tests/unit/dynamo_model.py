"""DynamoDB, Application Auto Scaling and KMS in memory, as far as a plan needs them: AWS-shaped requests in, AWS-shaped answers out.

The rules are those of the DynamoDB API reference (UpdateTable, UpdateTimeToLive, DeleteTable, RestoreTable…) and of "Managing Global Secondary
Indexes"; where AWS is silent the model is the stricter. Every request is checked against botocore's own service model.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dynamo_records import (
    ACCOUNT,
    ALLOCATING,
    BACKFILLING,
    CREATING,
    DELETING,
    REGION,
    SETTLED,
    UPDATING,
    Index,
    Table,
    names,
    problems,
    refuse,
    units,
)
from dynamo_surroundings import Surroundings

__all__ = ["REGION", "Aws", "Index", "Table", "problems", "refuse"]


class Aws(Surroundings):
    """One account and region. clock: the present time; transitions end by it. calls: every (operation, parameters) that was answered."""

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self.moment = datetime(2026, 11, 1, 12, tzinfo=UTC)
        self.clock = clock or (lambda: self.moment)
        self.tables: dict[str, Table] = {}
        self.backups: dict[str, dict[str, Any]] = {}
        self.targets: dict[tuple[str, str], dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[Callable[[str, Mapping[str, Any]], None]] = []
        self.unsupported: set[str] = set()
        self.ids = True
        self._counter = itertools.count(1)

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One request. Raises ClientError as botocore does."""
        wrong = problems(service, operation, parameters)
        assert not wrong, f"{operation} {dict(parameters)}: {wrong}"
        self.settle()
        for fault in self.faults:
            fault(operation, parameters)
        if operation in self.unsupported:
            refuse("UnknownOperationException", "", operation)
        answer: dict[str, Any] = getattr(self, f"_{operation}")(parameters)
        self.calls.append((operation, dict(parameters)))
        return answer

    def of(self, *operations: str) -> list[dict[str, Any]]:
        """The parameters of the calls of these operations."""
        return [parameters for operation, parameters in self.calls if operation in operations]

    @property
    def writes(self) -> list[str]:
        return [o for o, _ in self.calls if not o.startswith(("Describe", "List", "Get"))]

    # Transitions

    def settle(self) -> None:
        """End every transition that is due."""
        now = self.clock()
        for table in list(self.tables.values()):
            for what in [w for w, end in table.ends.items() if end <= now]:
                self._end(table, what, table.ends.pop(what))
        for backup in self.backups.values():
            if backup["BackupStatus"] == "CREATING" and backup["ready"] <= now:
                backup["BackupStatus"] = "AVAILABLE"

    def _begin(self, table: Table, what: str, seconds: float) -> None:
        table.ends[what] = self.clock() + timedelta(seconds=seconds)

    def _end(self, table: Table, what: str, at: datetime) -> None:
        kind, _, name = what.partition(":")
        if kind == "table":
            if table.status == "DELETING":
                del self.tables[table.name]
                return
            busy = any(i.status != "ACTIVE" for i in table.indexes.values())
            table.status = "UPDATING" if busy else "ACTIVE"
            if table.restored:
                table.restored["RestoreInProgress"] = False
        elif kind == "ttl":
            table.ttl_status = SETTLED.get(table.ttl_status, table.ttl_status)
        elif kind == "insights":
            was = table.insights.get(name, "DISABLED")
            table.insights[name] = SETTLED.get(was, was)
        else:
            index = table.indexes[name]
            if index.status == "DELETING":
                del table.indexes[name]
                used = set().union(*(names(s) for s in self._schemas(table)))
                table.types = {k: v for k, v in table.types.items() if k in used}
            elif index.status == "CREATING" and not index.backfilling:
                index.backfilling = True
                table.ends[what] = at + timedelta(seconds=BACKFILLING)
                self._later(table)
                return
            else:
                index.status, index.backfilling = "ACTIVE", False
            self._later(table)

    def _later(self, table: Table) -> None:
        if table.status == "UPDATING" and "table" not in table.ends:
            busy = any(i.status != "ACTIVE" for i in table.indexes.values())
            table.status = "UPDATING" if busy else "ACTIVE"

    @staticmethod
    def _schemas(table: Table) -> list[list[dict[str, str]]]:
        return [table.schema, *(i.schema for i in (*table.indexes.values(), *table.local_indexes.values()))]

    def _table(self, name: str, operation: str) -> Table:
        table = self.tables.get(name.rsplit("table/", 1)[-1])
        if table is None:
            refuse("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found", operation)
        return table

    # Tables

    def describe(self, table: Table) -> dict[str, Any]:
        """The TableDescription."""
        found: dict[str, Any] = {
            "TableName": table.name,
            "TableArn": table.arn,
            "TableStatus": table.status,
            "CreationDateTime": table.created,
            "KeySchema": table.schema,
            "AttributeDefinitions": [{"AttributeName": k, "AttributeType": v} for k, v in table.types.items()],
            "ProvisionedThroughput": {
                "ReadCapacityUnits": table.units[0],
                "WriteCapacityUnits": table.units[1],
                "NumberOfDecreasesToday": table.decreases,
            },
            "WarmThroughput": {"ReadUnitsPerSecond": table.warm[0], "WriteUnitsPerSecond": table.warm[1]},
            "TableClassSummary": {"TableClass": table.table_class},
            "DeletionProtectionEnabled": table.protected,
            "ItemCount": 0,
            "TableSizeBytes": 0,
        }
        if self.ids:
            found["TableId"] = table.id
        if table.billing == "PAY_PER_REQUEST":
            found["BillingModeSummary"] = {"BillingMode": table.billing}
            if table.on_demand_since:
                found["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"] = table.on_demand_since
        if table.caps != (-1, -1):
            found["OnDemandThroughput"] = {"MaxReadRequestUnits": table.caps[0], "MaxWriteRequestUnits": table.caps[1]}
        if table.indexes:
            found["GlobalSecondaryIndexes"] = [self._describe_index(i) for i in table.indexes.values()]
        if table.local_indexes:
            found["LocalSecondaryIndexes"] = [
                {"IndexName": i.name, "KeySchema": i.schema, "Projection": i.projection}
                for i in table.local_indexes.values()
            ]
        if table.stream:
            found["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream}
            found["LatestStreamArn"] = f"{table.arn}/stream/{table.streams}"
        if table.key:
            found["SSEDescription"] = {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": table.key}
        if table.restored:
            found["RestoreSummary"] = dict(table.restored)
        return found

    @staticmethod
    def _describe_index(index: Index) -> dict[str, Any]:
        found: dict[str, Any] = {
            "IndexName": index.name,
            "KeySchema": index.schema,
            "Projection": index.projection,
            "IndexStatus": index.status,
            "ProvisionedThroughput": {"ReadCapacityUnits": index.units[0], "WriteCapacityUnits": index.units[1]},
            "WarmThroughput": {"ReadUnitsPerSecond": index.warm[0], "WriteUnitsPerSecond": index.warm[1]},
            "ItemCount": 0,
            "IndexSizeBytes": 0,
        }
        if index.status == "CREATING":
            found["Backfilling"] = index.backfilling
        if index.caps != (-1, -1):
            found["OnDemandThroughput"] = {"MaxReadRequestUnits": index.caps[0], "MaxWriteRequestUnits": index.caps[1]}
        return found

    def _ListTables(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"TableNames": sorted(self.tables)}

    def _DescribeTable(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"Table": self.describe(self._table(body["TableName"], "DescribeTable"))}

    def _CreateTable(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if body["TableName"] in self.tables:
            refuse("ResourceInUseException", f"Table already exists: {body['TableName']}", "CreateTable")
        table = Table(
            body["TableName"],
            f"id-{next(self._counter)}",
            self.clock(),
            {d["AttributeName"]: d["AttributeType"] for d in body["AttributeDefinitions"]},
            body["KeySchema"],
            billing=body["BillingMode"],
        )
        self._throughput(table, body, "CreateTable")
        for index in body.get("GlobalSecondaryIndexes") or ():
            table.indexes[index["IndexName"]] = self._new_index(table, index, "CreateTable")
        for index in body.get("LocalSecondaryIndexes") or ():
            table.local_indexes[index["IndexName"]] = Index(index["IndexName"], index["KeySchema"], index["Projection"])
        self._definitions(table, table.types, "CreateTable")
        if body.get("StreamSpecification", {}).get("StreamEnabled"):
            table.stream, table.streams = body["StreamSpecification"]["StreamViewType"], 1
        table.key = self._kms(body.get("SSESpecification"), "CreateTable")
        table.table_class = body.get("TableClass", "STANDARD")
        table.protected = body.get("DeletionProtectionEnabled", False)
        table.tags = {t["Key"]: t["Value"] for t in body.get("Tags", ())}
        table.policy = body.get("ResourcePolicy", "")
        self.tables[table.name] = table
        self._begin(table, "table", CREATING)
        return {"TableDescription": self.describe(table)}

    def _throughput(self, table: Table, body: Mapping[str, Any], operation: str) -> None:
        if table.billing == "PROVISIONED":
            if "ProvisionedThroughput" not in body or "OnDemandThroughput" in body:
                refuse("ValidationException", "PROVISIONED needs ProvisionedThroughput and nothing else", operation)
            table.units = units(body["ProvisionedThroughput"])
        elif "ProvisionedThroughput" in body:
            refuse(
                "ValidationException", "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified", operation
            )
        table.caps = self._caps(table.caps, body, operation, created=operation != "UpdateTable")
        table.warm = self._warm(table.warm, body, operation)

    @staticmethod
    def _caps(have: tuple[int, int], body: Mapping[str, Any], operation: str, *, created: bool) -> tuple[int, int]:
        named = body.get("OnDemandThroughput") or {}
        if created and -1 in named.values():
            refuse("ValidationException", "there is no maximum to remove", operation)
        return named.get("MaxReadRequestUnits", have[0]), named.get("MaxWriteRequestUnits", have[1])

    @staticmethod
    def _warm(have: tuple[int, int], body: Mapping[str, Any], operation: str) -> tuple[int, int]:
        named = body.get("WarmThroughput") or {}
        wanted = named.get("ReadUnitsPerSecond", have[0]), named.get("WriteUnitsPerSecond", have[1])
        if operation == "UpdateTable" and (wanted[0] < have[0] or wanted[1] < have[1]):
            refuse("ValidationException", "Warm throughput cannot be decreased", operation)
        return max(wanted[0], have[0]), max(wanted[1], have[1])

    def _new_index(self, table: Table, body: Mapping[str, Any], operation: str) -> Index:
        index = Index(body["IndexName"], body["KeySchema"], body["Projection"])
        if (table.billing == "PROVISIONED") != ("ProvisionedThroughput" in body):
            refuse("ValidationException", f"ProvisionedThroughput of index {index.name} does not fit", operation)
        if table.billing == "PROVISIONED":
            index.units = units(body["ProvisionedThroughput"])
        elif "OnDemandThroughput" in body:
            index.caps = self._caps((-1, -1), body, operation, created=True)
        index.warm = self._warm(index.warm, body, operation)
        return index

    def _definitions(self, table: Table, types: Mapping[str, str], operation: str) -> None:
        used = set().union(*(names(s) for s in self._schemas(table)))
        if set(types) != used:
            refuse(
                "ValidationException", f"Some AttributeDefinitions are not used: {sorted(set(types) ^ used)}", operation
            )

    def _kms(self, body: Mapping[str, Any] | None, operation: str) -> str:
        if not body or not body["Enabled"]:
            return ""
        name = body.get("KMSMasterKeyId", "alias/aws/dynamodb")
        if self.keys.get(name, "Enabled" if name == "alias/aws/dynamodb" else "Missing") != "Enabled":
            refuse("ValidationException", f"KMS key {name} is not available", operation)
        return self._key_arn(name)

    @staticmethod
    def _key_arn(name: str) -> str:
        return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name.rsplit('/', 1)[-1]}"

    def _UpdateTable(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(body["TableName"], "UpdateTable")
        changes = body.get("GlobalSecondaryIndexUpdates") or []
        verbs = [next(iter(c)) for c in changes]
        backfilling = any(i.backfilling for i in table.indexes.values())
        if table.status != "ACTIVE" and not (table.status == "UPDATING" and backfilling and "table" not in table.ends):
            refuse(
                "ResourceInUseException",
                f"Attempt to change a resource which is still in use: {table.name}",
                "UpdateTable",
            )
        if {"Create", "Delete"} & set(verbs) and any(i.status != "ACTIVE" for i in table.indexes.values()):
            refuse(
                "LimitExceededException", "Only 1 online index can be created or deleted simultaneously", "UpdateTable"
            )
        throughput = {"BillingMode", "ProvisionedThroughput", "OnDemandThroughput", "WarmThroughput"}
        groups = {"throughput" if k in throughput else k for k in body}
        groups -= {"TableName", "AttributeDefinitions", "GlobalSecondaryIndexUpdates"}
        groups |= {"throughput" if v == "Update" else v for v in verbs}
        if len(groups) != 1 or (len(changes) > 1 and groups != {"throughput"}):
            refuse("ValidationException", f"Only one change at a time: {sorted(groups)}", "UpdateTable")
        seconds = UPDATING
        match groups.pop():
            case "throughput":
                self._change_throughput(table, body, changes)
            case "Create":
                seconds = 0
                self._create_index(table, body, changes[0]["Create"])
            case "Delete":
                seconds = 0
                self._delete_index(table, changes[0]["Delete"]["IndexName"])
            case "StreamSpecification":
                on = body["StreamSpecification"]["StreamEnabled"]
                if on == bool(table.stream):
                    refuse("ValidationException", "Table already has an enabled stream, or none", "UpdateTable")
                table.stream = body["StreamSpecification"].get("StreamViewType", "") if on else ""
                table.streams += on
            case "SSESpecification":
                key = self._kms(body["SSESpecification"], "UpdateTable")
                if key == table.key:
                    refuse("ValidationException", "Table is already encrypted so", "UpdateTable")
                table.key = key
            case "TableClass":
                table.table_class = body["TableClass"]
            case "DeletionProtectionEnabled":
                table.protected, seconds = body["DeletionProtectionEnabled"], 0
        if seconds:
            table.status = "UPDATING"
            self._begin(table, "table", seconds)
        return {"TableDescription": self.describe(table)}

    def _change_throughput(self, table: Table, body: Mapping[str, Any], changes: list[dict[str, Any]]) -> None:
        before = (table.billing, table.units, table.caps, table.warm, [vars(i).copy() for i in table.indexes.values()])
        updates = {c["Update"]["IndexName"]: c["Update"] for c in changes}
        if body.get("BillingMode", table.billing) != table.billing:
            table.billing = body["BillingMode"]
            if table.billing == "PROVISIONED":
                if set(updates) != set(table.indexes):
                    refuse("ValidationException", "every index needs units", "UpdateTable")
                table.caps = (-1, -1)
                for index in table.indexes.values():
                    index.caps = (-1, -1)
            else:
                table.units, table.on_demand_since = (0, 0), self.clock()
                for index in table.indexes.values():
                    index.units = (0, 0)
        if "ProvisionedThroughput" in body or "OnDemandThroughput" in body or "WarmThroughput" in body:
            if table.billing == "PROVISIONED" and "ProvisionedThroughput" in body:
                new = units(body["ProvisionedThroughput"])
                table.decreases += new[0] < table.units[0] or new[1] < table.units[1]
            self._throughput(
                table,
                {"ProvisionedThroughput": _as_units(table), **body} if table.billing == "PROVISIONED" else body,
                "UpdateTable",
            )
        for name, update in updates.items():
            index = table.indexes.get(name)
            if index is None or index.status != "ACTIVE":
                refuse("ResourceInUseException", f"index {name} is missing or not active", "UpdateTable")
            if ("ProvisionedThroughput" in update) > (table.billing == "PROVISIONED"):
                refuse("ValidationException", "units of an on-demand index", "UpdateTable")
            if ("OnDemandThroughput" in update) > (table.billing == "PAY_PER_REQUEST"):
                refuse("ValidationException", "caps of a provisioned index", "UpdateTable")
            if "ProvisionedThroughput" in update:
                index.units = units(update["ProvisionedThroughput"])
            index.caps = self._caps(index.caps, update, "UpdateTable", created=False)
            index.warm = self._warm(index.warm, update, "UpdateTable")
        if before == (table.billing, table.units, table.caps, table.warm, [vars(i) for i in table.indexes.values()]):
            refuse("ValidationException", "The provisioned throughput for the table will not change", "UpdateTable")

    def _create_index(self, table: Table, body: Mapping[str, Any], create: Mapping[str, Any]) -> None:
        if create["IndexName"] in (*table.indexes, *table.local_indexes) or len(table.indexes) >= 20:
            refuse("ValidationException", f"index {create['IndexName']} exists, or there are 20", "UpdateTable")
        types = {d["AttributeName"]: d["AttributeType"] for d in body["AttributeDefinitions"]}
        if any(table.types.get(k, v) != v for k, v in types.items()):
            refuse("ValidationException", "AttributeDefinitions differ in type", "UpdateTable")
        index = self._new_index(table, create, "UpdateTable")
        used = set().union(*(names(s) for s in (*self._schemas(table), index.schema)))
        if set(types) - used or names(index.schema) - set(types):
            refuse("ValidationException", "Some AttributeDefinitions are not used, or are missing", "UpdateTable")
        table.types.update(types)
        index.status = "CREATING"
        table.indexes[index.name] = index
        table.status = "UPDATING"
        self._begin(table, f"index:{index.name}", ALLOCATING)

    def _delete_index(self, table: Table, name: str) -> None:
        if name not in table.indexes:
            refuse("ResourceNotFoundException", f"index {name} not found", "UpdateTable")
        table.indexes[name].status = "DELETING"
        table.insights.pop(name, None)
        table.ends.pop(f"insights:{name}", None)
        table.status = "UPDATING"
        self._begin(table, f"index:{name}", DELETING)

    def _DeleteTable(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(body["TableName"], "DeleteTable")
        if table.protected:
            refuse(
                "ValidationException",
                "Resource cannot be deleted as it is currently protected against deletion",
                "DeleteTable",
            )
        if table.status in ("CREATING", "UPDATING"):
            refuse(
                "ResourceInUseException",
                f"Attempt to change a resource which is still in use: {table.name}",
                "DeleteTable",
            )
        table.status = "DELETING"
        table.ends.clear()
        self._begin(table, "table", DELETING)
        return {"TableDescription": self.describe(table)}


def _as_units(table: Table) -> dict[str, int]:
    return {"ReadCapacityUnits": table.units[0], "WriteCapacityUnits": table.units[1]}
