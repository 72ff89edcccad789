"""Application Auto Scaling for DynamoDB: targets and policies that really scale, on the lab's clock.

Target tracking as in the developer guide, "Managing throughput capacity automatically": consumption above the target
for two minutes in a row raises capacity, below it for fifteen lowers it, within the target's bounds and cooldowns.
Targets and policies outlive their table, as they do on AWS.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import uuid
from collections.abc import Callable
from typing import Any

from moto.applicationautoscaling.models import applicationautoscaling_backends

from .clock import clock
from .errors import AwsError, validation
from .metrics import metrics
from .request import Request
from .settings import settings

NAMESPACE = "dynamodb"
_DIMENSIONS = {
    f"dynamodb:{kind}:{unit}": (kind, unit)
    for kind in ("table", "index")
    for unit in ("ReadCapacityUnits", "WriteCapacityUnits")
}
# A low alarm is set a little under the target, so that capacity does not swing.
_LOW = 0.9


@dataclasses.dataclass
class Target:
    resource: str
    dimension: str
    low: int
    high: int
    role: str
    arn: str
    created: float
    suspended: dict[str, bool]
    tags: dict[str, str]


@dataclasses.dataclass
class Policy:
    name: str
    arn: str
    resource: str
    dimension: str
    kind: str
    configuration: dict[str, Any]
    created: float
    alarms: list[dict[str, str]]
    last_out: float = -math.inf
    last_in: float = -math.inf


@dataclasses.dataclass
class Activity:
    id: str
    resource: str
    dimension: str
    description: str
    cause: str
    started: float
    ended: float | None
    status: str
    message: str

    def describe(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "ActivityId": self.id,
            "ServiceNamespace": NAMESPACE,
            "ResourceId": self.resource,
            "ScalableDimension": self.dimension,
            "Description": self.description,
            "Cause": self.cause,
            "StartTime": self.started,
            "StatusCode": self.status,
            "StatusMessage": self.message,
        }
        if self.ended is not None:
            answer["EndTime"] = self.ended
        return answer


class Scaling:
    """The scalable targets of a region. ``tables`` is its DynamoDB backend, through which capacity is changed."""

    def __init__(self, tables: Any, update: Callable[[Any, Request], Any], alarms: Callable[[], Any]) -> None:
        self.tables = tables
        self.update = update
        self.alarm_backend = alarms
        self.lock = threading.RLock()
        self.targets: dict[tuple[str, str], Target] = {}
        self.policies: dict[tuple[str, str, str], Policy] = {}
        self.activities: list[Activity] = []
        self.evaluated = int(clock.now() // 60)

    # What a target stands for.

    def owner(self, resource: str, dimension: str) -> Any:
        """The table or index. Raises AwsError as RegisterScalableTarget does when there is none."""
        kind, _ = _dimension(dimension)
        parts = resource.split("/")
        if (
            parts[0] != "table"
            or len(parts) != (2 if kind == "table" else 4)
            or (kind == "index" and parts[2] != "index")
        ):
            raise validation("Unsupported service namespace, resource type or scalable dimension")
        table = self.tables.tables.get(parts[1])
        if table is None or table.status == "DELETING":
            raise validation(f"DynamoDB {kind} does not exist: {resource}")
        if kind == "table":
            return table
        index = table.index(parts[3])
        if index is None or index.status == "DELETING":
            raise validation(f"DynamoDB index does not exist: {resource}")
        return index

    # Operations.

    def register(self, request: Request) -> dict[str, Any]:
        spec = request.parameters or {}
        key = (spec["ResourceId"], spec["ScalableDimension"])
        self.owner(*key)
        known = self.targets.get(key)
        low = spec.get("MinCapacity", known.low if known else None)
        high = spec.get("MaxCapacity", known.high if known else None)
        if low is None or high is None:
            raise validation("MinCapacity and MaxCapacity are required to register a new scalable target")
        if low > high:
            raise validation("Maximum capacity cannot be less than minimum capacity")
        if low < 1:
            raise validation("Minimum capacity cannot be less than 1")
        if known is None:
            known = self.targets[key] = Target(
                *key,
                low,
                high,
                spec.get("RoleARN") or _role(request.account),
                f"arn:aws:application-autoscaling:{request.region}:{request.account}:scalable-target/"
                f"0ec5{uuid.uuid4().hex}",
                clock.now(),
                {},
                dict(spec.get("Tags") or {}),
            )
        known.low, known.high = low, high
        if spec.get("RoleARN"):
            known.role = spec["RoleARN"]
        known.suspended |= spec.get("SuspendedState") or {}
        self._into_bounds(known)
        return {"ScalableTargetARN": known.arn}

    def describe_targets(self, request: Request) -> dict[str, Any]:
        spec = request.parameters or {}
        wanted, dimension = spec.get("ResourceIds"), spec.get("ScalableDimension")
        rows = [
            {
                "ServiceNamespace": NAMESPACE,
                "ResourceId": t.resource,
                "ScalableDimension": t.dimension,
                "MinCapacity": t.low,
                "MaxCapacity": t.high,
                "RoleARN": t.role,
                "CreationTime": t.created,
                "SuspendedState": {
                    name: t.suspended.get(name, False)
                    for name in ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
                },
                "ScalableTargetARN": t.arn,
            }
            for t in self.targets.values()
            if (not wanted or t.resource in wanted) and (not dimension or t.dimension == dimension)
        ]
        return _page(rows, spec, "ScalableTargets")

    def deregister(self, request: Request) -> dict[str, Any]:
        """Its policies go with it."""
        spec = request.parameters or {}
        key = (spec["ResourceId"], spec["ScalableDimension"])
        if self.targets.pop(key, None) is None:
            raise _no_target(key)
        for policy_key in [k for k in self.policies if k[:2] == key]:
            self._drop_policy(policy_key)
        return {}

    def put_policy(self, request: Request) -> dict[str, Any]:
        spec = request.parameters or {}
        key = (spec["ResourceId"], spec["ScalableDimension"])
        if key not in self.targets:
            raise _no_target(key)
        kind = spec.get("PolicyType", "TargetTrackingScaling")
        if kind != "TargetTrackingScaling":
            raise validation("StepScaling policies are not supported for service namespace: dynamodb")
        configuration = spec.get("TargetTrackingScalingPolicyConfiguration")
        if not configuration:
            raise validation(
                "TargetTrackingScalingPolicyConfiguration is required for policy type TargetTrackingScaling"
            )
        metric = (configuration.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
        unit = _dimension(key[1])[1].removesuffix("CapacityUnits")
        if metric is not None and metric != f"DynamoDB{unit}CapacityUtilization":
            raise validation(f"The metric type {metric} is not valid for the scalable dimension {key[1]}")
        if metric is not None and not 20 <= configuration.get("TargetValue", 0) <= 90:
            raise validation("Target value must be between 20 and 90 for DynamoDB capacity utilization")
        others = [p for k, p in self.policies.items() if k[:2] == key and p.name != spec["PolicyName"]]
        if any(_metric(p.configuration) == metric for p in others):
            raise validation("Only one TargetTrackingScaling policy for a given metric specification is allowed.")
        full = (*key, spec["PolicyName"])
        policy = self.policies.get(full)
        if policy is None:
            arn = (
                f"arn:aws:autoscaling:{request.region}:{request.account}:scalingPolicy:{uuid.uuid4()}:resource/"
                f"{NAMESPACE}/{key[0]}:policyName/{spec['PolicyName']}"
            )
            policy = Policy(spec["PolicyName"], arn, *key, kind, configuration, clock.now(), [])
            self.policies[full] = policy
            policy.alarms = self._make_alarms(policy)
        policy.configuration = configuration
        self._into_bounds(self.targets[key])
        return {"PolicyARN": policy.arn, "Alarms": policy.alarms}

    def describe_policies(self, request: Request) -> dict[str, Any]:
        spec = request.parameters or {}
        names, resource, dimension = spec.get("PolicyNames"), spec.get("ResourceId"), spec.get("ScalableDimension")
        rows = [
            {
                "PolicyARN": p.arn,
                "PolicyName": p.name,
                "ServiceNamespace": NAMESPACE,
                "ResourceId": p.resource,
                "ScalableDimension": p.dimension,
                "PolicyType": p.kind,
                "TargetTrackingScalingPolicyConfiguration": p.configuration,
                "Alarms": p.alarms,
                "CreationTime": p.created,
            }
            for p in self.policies.values()
            if (not names or p.name in names)
            and (not resource or p.resource == resource)
            and (not dimension or p.dimension == dimension)
        ]
        return _page(rows, spec, "ScalingPolicies")

    def delete_policy(self, request: Request) -> dict[str, Any]:
        spec = request.parameters or {}
        key = (spec["ResourceId"], spec["ScalableDimension"], spec["PolicyName"])
        if key not in self.policies:
            raise AwsError(
                "ObjectNotFoundException",
                f"No scaling policy found for service namespace: {NAMESPACE}, resource ID: {key[0]}, "
                f"scalable dimension: {key[1]}, policy name: {key[2]}",
            )
        self._drop_policy(key)
        return {}

    def describe_activities(self, request: Request) -> dict[str, Any]:
        """The newest first."""
        spec = request.parameters or {}
        resource, dimension = spec.get("ResourceId"), spec.get("ScalableDimension")
        rows = [
            a.describe()
            for a in reversed(self.activities)
            if (not resource or a.resource == resource) and (not dimension or a.dimension == dimension)
        ]
        return _page(rows, spec, "ScalingActivities")

    def tags(self, request: Request) -> dict[str, Any] | None:
        spec = request.parameters or {}
        target = next((t for t in self.targets.values() if t.arn == spec["ResourceARN"]), None)
        if target is None:
            raise AwsError("ResourceNotFoundException", f"The scalable target does not exist: {spec['ResourceARN']}")
        if request.operation == "ListTagsForResource":
            return {"Tags": target.tags}
        if request.operation == "TagResource":
            target.tags |= spec["Tags"]
        else:
            target.tags = {k: v for k, v in target.tags.items() if k not in spec["TagKeys"]}
        return {}

    # What happens by itself.

    def tick(self) -> None:
        """Looks at every whole minute that has passed since the last look, at most a day of them."""
        current = int(clock.now() // 60)
        if current <= self.evaluated:
            return
        with self.lock, self.tables.lock:
            for minute in range(max(self.evaluated, current - 1440), current):
                if settings.autoscaling_enabled:
                    for policy in list(self.policies.values()):
                        self._evaluate(policy, minute)
            self.evaluated = current

    def _evaluate(self, policy: Policy, minute: int) -> None:
        target = self.targets.get((policy.resource, policy.dimension))
        try:
            owner = self.owner(policy.resource, policy.dimension)
        except AwsError:
            return
        _, unit = _dimension(policy.dimension)
        capacity = owner.provisioned[unit]
        if target is None or not capacity or owner.status != "ACTIVE":
            return
        wanted = float(policy.configuration["TargetValue"]) / 100
        high = max(1, round(settings.autoscaling_out_after_s / 60))
        low = max(1, round(settings.autoscaling_in_after_s / 60))
        used = [self._consumed(policy, unit, m) for m in range(minute - max(high, low) + 1, minute + 1)]
        now = (minute + 1) * 60.0
        if all(u > capacity * wanted for u in used[-high:]):
            want = min(target.high, max(target.low, math.ceil(max(used[-high:]) / wanted)))
            cooled = now - policy.last_out >= policy.configuration.get("ScaleOutCooldown", 0)
            suspended = target.suspended.get("DynamicScalingOutSuspended")
            if want > capacity and cooled and not suspended and self._set(policy, unit, want, "AlarmHigh", now):
                policy.last_out = now
        elif (
            minute * 60.0 >= policy.created + (low - 1) * 60
            and all(u < capacity * wanted * _LOW for u in used[-low:])
            and not policy.configuration.get("DisableScaleIn")
        ):
            want = min(target.high, max(target.low, math.ceil(max(used[-low:]) / wanted), 1))
            cooled = now - max(policy.last_in, policy.last_out) >= policy.configuration.get("ScaleInCooldown", 0)
            suspended = target.suspended.get("DynamicScalingInSuspended")
            if want < capacity and cooled and not suspended and self._set(policy, unit, want, "AlarmLow", now):
                policy.last_in = now

    def _consumed(self, policy: Policy, unit: str, minute: int) -> float:
        """Units a second in that minute."""
        parts = policy.resource.split("/")
        dimensions = {"TableName": parts[1]}
        if len(parts) == 4:
            dimensions["GlobalSecondaryIndexName"] = parts[3]
        return metrics.total(self.tables.region_name, "AWS/DynamoDB", f"Consumed{unit}", dimensions, minute) / 60

    def _into_bounds(self, target: Target) -> None:
        """Capacity outside a target's bounds is moved to the nearer one as soon as a policy is in force."""
        if not any(k[:2] == (target.resource, target.dimension) for k in self.policies):
            return
        with self.tables.lock:
            try:
                owner = self.owner(target.resource, target.dimension)
            except AwsError:
                return
            _, unit = _dimension(target.dimension)
            capacity = owner.provisioned[unit]
            if not capacity or owner.status != "ACTIVE":
                return
            policy = next(p for k, p in self.policies.items() if k[:2] == (target.resource, target.dimension))
            bounded = min(target.high, max(target.low, capacity))
            if bounded != capacity:
                side = "minimum" if bounded > capacity else "maximum"
                cause = f"{side} capacity was set to {bounded}"
                self._set(policy, unit, bounded, cause, clock.now())

    def _set(self, policy: Policy, unit: str, value: int, cause: str, now: float) -> bool:
        owner = self.owner(policy.resource, policy.dimension)
        parts = policy.resource.split("/")
        units = {**owner.provisioned, unit: value}
        parameters: dict[str, Any] = {"TableName": parts[1]}
        if len(parts) == 4:
            parameters["GlobalSecondaryIndexUpdates"] = [
                {"Update": {"IndexName": parts[3], "ProvisionedThroughput": units}}
            ]
        else:
            parameters["ProvisionedThroughput"] = units
        if cause.startswith("Alarm"):
            name = next((a["AlarmName"] for a in policy.alarms if f"-{cause}-" in a["AlarmName"]), cause)
            cause = f"monitor {name} in state ALARM triggered policy {policy.name}"
        what = f"{'read' if unit.startswith('Read') else 'write'} capacity units"
        activity = Activity(
            str(uuid.uuid4()),
            policy.resource,
            policy.dimension,
            f"Setting {what} to {value}.",
            cause,
            now,
            now,
            "Successful",
            f"Successfully set {what} to {value}. Change successfully fulfilled by dynamodb.",
        )
        request = Request("POST", "/", "", {}, b"", service="dynamodb", operation="UpdateTable", parameters=parameters)
        try:
            self.update(self.tables, request)
        except AwsError as error:
            activity.status = "Failed"
            activity.message = f"Failed to set {what} to {value}. Reason: {error.message}"
        if activity.status == "Failed" and self.activities and self.activities[-1].message == activity.message:
            return False
        self.activities.append(activity)
        del self.activities[:-10_000]
        return activity.status == "Successful"

    def _make_alarms(self, policy: Policy) -> list[dict[str, str]]:
        _, unit = _dimension(policy.dimension)
        parts = policy.resource.split("/")
        dimensions = [{"Name": "TableName", "Value": parts[1]}]
        if len(parts) == 4:
            dimensions.append({"Name": "GlobalSecondaryIndexName", "Value": parts[3]})
        made = []
        goal = float(policy.configuration["TargetValue"]) / 100
        capacity = self.owner(policy.resource, policy.dimension).provisioned[unit]
        for side, comparison, periods, factor in (
            ("AlarmHigh", "GreaterThanThreshold", 2, 1.0),
            ("AlarmLow", "LessThanThreshold", 15, _LOW),
        ):
            alarm = self.alarm_backend().put_metric_alarm(
                name=f"TargetTracking-{policy.resource}-{side}-{uuid.uuid4()}",
                namespace="AWS/DynamoDB",
                metric_name=f"Consumed{unit}",
                comparison_operator=comparison,
                evaluation_periods=periods,
                period=60,
                threshold=capacity * goal * factor * 60,
                statistic="Sum",
                description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.arn}.",
                dimensions=dimensions,
                alarm_actions=[policy.arn],
            )
            made.append({"AlarmName": alarm.name, "AlarmARN": alarm.alarm_arn})
        return made

    def _drop_policy(self, key: tuple[str, str, str]) -> None:
        policy = self.policies.pop(key)
        self.alarm_backend().delete_alarms([a["AlarmName"] for a in policy.alarms])


def _metric(configuration: dict[str, Any]) -> str | None:
    return (configuration.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")


def _dimension(dimension: str) -> tuple[str, str]:
    if dimension not in _DIMENSIONS:
        raise validation("Unsupported service namespace, resource type or scalable dimension")
    return _DIMENSIONS[dimension]


def _no_target(key: tuple[str, str]) -> AwsError:
    return AwsError(
        "ObjectNotFoundException",
        f"No scalable target registered for service namespace: {NAMESPACE}, resource ID: {key[0]}, "
        f"scalable dimension: {key[1]}",
    )


def _role(account: str) -> str:
    return (
        f"arn:aws:iam::{account}:role/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
    )


def _page(rows: list[dict[str, Any]], spec: dict[str, Any], name: str) -> dict[str, Any]:
    limit = spec.get("MaxResults") or 50
    try:
        start = int(spec.get("NextToken") or 0)
    except ValueError:
        raise AwsError("InvalidNextTokenException", "The next token supplied was invalid") from None
    answer: dict[str, Any] = {name: rows[start : start + limit]}
    if len(rows) > start + limit:
        answer["NextToken"] = str(start + limit)
    return answer


_OPERATIONS: dict[str, Callable[[Scaling, Request], dict[str, Any] | None]] = {
    "RegisterScalableTarget": Scaling.register,
    "DescribeScalableTargets": Scaling.describe_targets,
    "DeregisterScalableTarget": Scaling.deregister,
    "PutScalingPolicy": Scaling.put_policy,
    "DescribeScalingPolicies": Scaling.describe_policies,
    "DeleteScalingPolicy": Scaling.delete_policy,
    "DescribeScalingActivities": Scaling.describe_activities,
    "ListTagsForResource": Scaling.tags,
    "TagResource": Scaling.tags,
    "UntagResource": Scaling.tags,
}


def _drop_policies(request: Request) -> None:
    """moto keeps the policies of a target that is deregistered; AWS deletes them (API reference, DeregisterScalableTarget)."""
    spec = request.parameters or {}
    backend = applicationautoscaling_backends[request.account][request.region]
    where = (spec.get("ResourceId"), spec.get("ScalableDimension"))
    for policy in [p for p in backend.policies.values() if (p.resource_id, p.scalable_dimension) == where]:
        backend.delete_scaling_policy(policy.policy_name, policy.service_namespace, *where)


def handlers(
    scaling: Callable[[Request], Scaling], check_readers: Callable[[Request], None]
) -> dict[tuple[str, str], Any]:
    """Ours for the namespace dynamodb; None, so that moto answers, for the others: for rds after ``check_readers``."""

    def handle(operation: Callable[[Scaling, Request], dict[str, Any] | None]) -> Any:
        def run(request: Request) -> dict[str, Any] | None:
            namespace = (request.parameters or {}).get("ServiceNamespace", NAMESPACE)
            if namespace == "rds":
                check_readers(request)
            if namespace != NAMESPACE:
                if request.operation == "DeregisterScalableTarget":
                    _drop_policies(request)
                return {"ScalingActivities": []} if request.operation == "DescribeScalingActivities" else None
            store = scaling(request)
            with store.lock, store.tables.lock:
                store.tables.settle(clock.now())
                return operation(store, request)

        return run

    return {("application-autoscaling", name): handle(operation) for name, operation in _OPERATIONS.items()}
