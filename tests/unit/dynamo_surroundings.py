"""The model's other half: what surrounds a table (TTL, recovery, tags, policy, insights), backups and restores, autoscaling, keys."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from dynamo_records import BACKING_UP, RESTORING, SETTLING, Index, Table, refuse, units


class Surroundings:
    """Part of dynamo_model.Aws, which has the tables themselves."""

    clock: Callable[[], datetime]
    tables: dict[str, Table]
    backups: dict[str, dict[str, Any]]
    targets: dict[tuple[str, str], dict[str, Any]]
    keys: dict[str, str]
    _counter: itertools.count[int]
    _table: Callable[[str, str], Table]
    _begin: Callable[[Table, str, float], None]
    _kms: Callable[[Mapping[str, Any] | None, str], str]
    _key_arn: Callable[[str], str]
    describe: Callable[[Table], dict[str, Any]]

    def _at_rest(self, name: str, operation: str, code: str = "ResourceInUseException") -> Table:
        table = self._table(name, operation)
        if table.status in ("CREATING", "DELETING"):
            refuse(code, f"Table {table.name} is {table.status}", operation)
        return table

    def _UpdateTimeToLive(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._at_rest(body["TableName"], "UpdateTimeToLive")
        asked = body["TimeToLiveSpecification"]
        if table.ttl_changed and self.clock() - table.ttl_changed < timedelta(hours=1):
            message = "Time to live has been modified multiple times within a fixed interval"
            refuse("ValidationException", message, "UpdateTimeToLive")
        if asked["Enabled"] == (table.ttl_status in ("ENABLED", "ENABLING")):
            refuse("ValidationException", "TimeToLive is already so", "UpdateTimeToLive")
        if not asked["Enabled"] and asked["AttributeName"] != table.ttl:
            refuse(
                "ValidationException",
                f"TimeToLive is active on a different AttributeName: {table.ttl}",
                "UpdateTimeToLive",
            )
        table.ttl = asked["AttributeName"] if asked["Enabled"] else table.ttl
        table.ttl_status = "ENABLING" if asked["Enabled"] else "DISABLING"
        table.ttl_changed = self.clock()
        self._begin(table, "ttl", SETTLING)
        return {"TimeToLiveSpecification": dict(asked)}

    def _DescribeTimeToLive(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(body["TableName"], "DescribeTimeToLive")
        told = {} if table.ttl_status == "DISABLED" else {"AttributeName": table.ttl}
        return {"TimeToLiveDescription": {"TimeToLiveStatus": table.ttl_status, **told}}

    def _UpdateContinuousBackups(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._at_rest(body["TableName"], "UpdateContinuousBackups", "ContinuousBackupsUnavailableException")
        asked = body["PointInTimeRecoverySpecification"]
        if "RecoveryPeriodInDays" in asked and not asked["PointInTimeRecoveryEnabled"]:
            refuse("ValidationException", "a period for nothing", "UpdateContinuousBackups")
        table.pitr = asked["PointInTimeRecoveryEnabled"]
        table.pitr_days = asked.get("RecoveryPeriodInDays", 35)
        return self._DescribeContinuousBackups(body)

    def _DescribeContinuousBackups(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(body["TableName"], "DescribeContinuousBackups")
        recovery: dict[str, Any] = {"PointInTimeRecoveryStatus": "ENABLED" if table.pitr else "DISABLED"}
        if table.pitr:
            recovery |= {
                "RecoveryPeriodInDays": table.pitr_days,
                "EarliestRestorableDateTime": table.created,
                "LatestRestorableDateTime": max(table.created, self.clock() - timedelta(minutes=5)),
            }
        return {
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": recovery,
            }
        }

    def _TagResource(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._at_rest(body["ResourceArn"], "TagResource")
        table.tags.update({t["Key"]: t["Value"] for t in body["Tags"]})
        if len(table.tags) > 50:
            refuse("ValidationException", "Too many tags", "TagResource")
        return {}

    def _UntagResource(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._at_rest(body["ResourceArn"], "UntagResource")
        for key in body["TagKeys"]:
            table.tags.pop(key, None)
        return {}

    def _ListTagsOfResource(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(body["ResourceArn"], "ListTagsOfResource")
        return {"Tags": [{"Key": k, "Value": v} for k, v in table.tags.items()]}

    def _GetResources(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "ResourceTagMappingList": [
                {"ResourceARN": t.arn, "Tags": [{"Key": k, "Value": v} for k, v in t.tags.items()]}
                for t in self.tables.values()
            ]
        }

    def _PutResourcePolicy(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self._at_rest(body["ResourceArn"], "PutResourcePolicy").policy = body["Policy"]
        return {"RevisionId": "1"}

    def _GetResourcePolicy(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(body["ResourceArn"], "GetResourcePolicy")
        if not table.policy:
            refuse("PolicyNotFoundException", "no policy", "GetResourcePolicy")
        return {"Policy": table.policy, "RevisionId": "1"}

    def _DeleteResourcePolicy(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self._at_rest(body["ResourceArn"], "DeleteResourcePolicy").policy = ""
        return {}

    def _UpdateContributorInsights(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table, name = self._at_rest(body["TableName"], "UpdateContributorInsights"), body.get("IndexName", "")
        if name and (name not in table.indexes or table.indexes[name].status == "DELETING"):
            refuse("ResourceNotFoundException", f"index {name} not found", "UpdateContributorInsights")
        on = body["ContributorInsightsAction"] == "ENABLE"
        table.insights[name] = "ENABLING" if on else "DISABLING"
        self._begin(table, f"insights:{name}", SETTLING)
        return {"ContributorInsightsStatus": table.insights[name]}

    def _DescribeContributorInsights(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(body["TableName"], "DescribeContributorInsights")
        return {"ContributorInsightsStatus": table.insights.get(body.get("IndexName", ""), "DISABLED")}

    # Backups and restores

    def _CreateBackup(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._at_rest(body["TableName"], "CreateBackup", "TableInUseException")
        arn = f"{table.arn}/backup/{next(self._counter):014d}-abcdef01"
        self.backups[arn] = {
            "BackupArn": arn,
            "BackupName": body["BackupName"],
            "BackupStatus": "CREATING",
            "BackupType": "USER",
            "BackupCreationDateTime": self.clock(),
            "ready": self.clock() + timedelta(seconds=BACKING_UP),
            "table": table,
        }
        return {"BackupDetails": self._details(arn)}

    def _details(self, arn: str) -> dict[str, Any]:
        return {k: v for k, v in self.backups[arn].items() if k not in ("ready", "table")}

    def _DescribeBackup(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if body["BackupArn"] not in self.backups:
            refuse("BackupNotFoundException", "no backup", "DescribeBackup")
        table = self.backups[body["BackupArn"]]["table"]
        origin = {"TableName": table.name, "TableArn": table.arn, "TableId": table.id}
        return {"BackupDescription": {"BackupDetails": self._details(body["BackupArn"]), "SourceTableDetails": origin}}

    def _ListBackups(self, body: Mapping[str, Any]) -> dict[str, Any]:
        found = [self._details(a) for a, b in self.backups.items() if b["table"].name == body["TableName"]]
        return {"BackupSummaries": found}

    def _RestoreTableFromBackup(self, body: Mapping[str, Any]) -> dict[str, Any]:
        backup = self.backups.get(body["BackupArn"])
        if backup is None:
            refuse("BackupNotFoundException", f"Backup not found: {body['BackupArn']}", "RestoreTableFromBackup")
        summary = {"SourceBackupArn": body["BackupArn"], "SourceTableArn": backup["table"].arn}
        return self._restore(body, backup["table"], summary, "RestoreTableFromBackup")

    def _RestoreTableToPointInTime(self, body: Mapping[str, Any]) -> dict[str, Any]:
        source = self._table(body["SourceTableName"], "RestoreTableToPointInTime")
        if not source.pitr:
            refuse("PointInTimeRecoveryUnavailableException", "not enabled", "RestoreTableToPointInTime")
        return self._restore(body, source, {"SourceTableArn": source.arn}, "RestoreTableToPointInTime")

    def _restore(
        self, body: Mapping[str, Any], source: Table, summary: dict[str, Any], operation: str
    ) -> dict[str, Any]:
        name = body["TargetTableName"]
        if name in self.tables:
            refuse("TableAlreadyExistsException", f"Table already exists: {name}", operation)
        table = Table(name, f"id-{next(self._counter)}", self.clock(), dict(source.types), source.schema)
        table.billing = body.get("BillingModeOverride", source.billing)
        table.units = source.units if table.billing == source.billing else (0, 0)
        if "ProvisionedThroughputOverride" in body:
            table.units = units(body["ProvisionedThroughputOverride"])
        for index in source.indexes.values():
            own = (index.units if any(index.units) else table.units) if table.billing == "PROVISIONED" else (0, 0)
            table.indexes[index.name] = Index(index.name, index.schema, index.projection, own)
        table.local_indexes = dict(source.local_indexes)
        table.key = (
            self._kms(body["SSESpecificationOverride"], operation) if "SSESpecificationOverride" in body else source.key
        )
        table.restored = {**summary, "RestoreDateTime": self.clock(), "RestoreInProgress": True}
        self.tables[name] = table
        self._begin(table, "table", RESTORING)
        return {"TableDescription": self.describe(table)}

    # Application Auto Scaling and KMS

    def _RegisterScalableTarget(self, body: Mapping[str, Any]) -> dict[str, Any]:
        key = body["ResourceId"], body["ScalableDimension"]
        self._scaled(body["ResourceId"], "RegisterScalableTarget")
        target = self.targets.setdefault(key, {"policies": {}})
        target |= {"MinCapacity": body["MinCapacity"], "MaxCapacity": body["MaxCapacity"]}
        return {"ScalableTargetARN": "arn"}

    def _scaled(self, resource: str, operation: str) -> None:
        name, _, index = resource.removeprefix("table/").partition("/index/")
        table = self.tables.get(name)
        if table is None or (index and index not in table.indexes):
            refuse("ValidationException", f"{resource} does not exist", operation)

    def _PutScalingPolicy(self, body: Mapping[str, Any]) -> dict[str, Any]:
        target = self.targets.get((body["ResourceId"], body["ScalableDimension"]))
        if target is None:
            refuse("ObjectNotFoundException", "No scalable target registered", "PutScalingPolicy")
        tracking = body["TargetTrackingScalingPolicyConfiguration"]
        others = [p for name, p in target["policies"].items() if name != body["PolicyName"]]
        if any(_metric(p) == _metric(tracking) for p in others):
            message = "Only one TargetTrackingScaling policy for a given metric specification is allowed."
            refuse("ValidationException", message, "PutScalingPolicy")
        target["policies"][body["PolicyName"]] = tracking
        return {"PolicyARN": "arn"}

    def _DeleteScalingPolicy(self, body: Mapping[str, Any]) -> dict[str, Any]:
        target = self.targets.get((body["ResourceId"], body["ScalableDimension"]), {"policies": {}})
        if target["policies"].pop(body["PolicyName"], None) is None:
            refuse("ObjectNotFoundException", "No scaling policy found", "DeleteScalingPolicy")
        return {}

    def _DescribeScheduledActions(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "ScheduledActions": [
                {"ScheduledActionName": name, "ResourceId": r, "ScalableDimension": d}
                for (r, d), t in self.targets.items()
                for name in t.get("scheduled", ())
                if r == body["ResourceId"]
            ]
        }

    def _DeregisterScalableTarget(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.targets.pop((body["ResourceId"], body["ScalableDimension"]), None) is None:
            refuse("ObjectNotFoundException", "No scalable target found", "DeregisterScalableTarget")
        return {}

    def _DescribeScalableTargets(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "ScalableTargets": [
                {
                    "ResourceId": r,
                    "ScalableDimension": d,
                    "MinCapacity": t["MinCapacity"],
                    "MaxCapacity": t["MaxCapacity"],
                }
                for (r, d), t in self.targets.items()
                if r in body["ResourceIds"]
            ]
        }

    def _DescribeScalingPolicies(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "ScalingPolicies": [
                {
                    "PolicyName": n,
                    "ResourceId": r,
                    "ScalableDimension": d,
                    "TargetTrackingScalingPolicyConfiguration": c,
                }
                for (r, d), t in self.targets.items()
                if r == body["ResourceId"] and body.get("ScalableDimension", d) == d
                for n, c in t["policies"].items()
            ]
        }

    def _DescribeKey(self, body: Mapping[str, Any]) -> dict[str, Any]:
        name = body["KeyId"]
        if name not in self.keys:
            refuse("NotFoundException", f"Alias {name} is not found.", "DescribeKey")
        return {"KeyMetadata": {"Arn": self._key_arn(name), "KeyId": name, "KeyState": self.keys[name]}}


def _metric(tracking: Mapping[str, Any]) -> Any:
    """The predefined metric; None of a policy that tracks another, which AWS does not compare."""
    metric = (tracking.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
    return metric or id(tracking)
