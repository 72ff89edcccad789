"""Aurora Auto Scaling: readers added by Application Auto Scaling, named ``application-autoscaling-<uuid>``.

Targets and policies are kept by moto. Here a target must be a cluster of ours, and its least number of readers is
provided (Aurora guide, "Amazon Aurora Auto Scaling with Aurora Replicas"). Readers that it added and that are above the
target's maximum go again; the others are never touched.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import moto.applicationautoscaling.models as models

from ..clock import clock
from ..errors import AwsError, validation
from ..request import Request
from . import instances
from .store import Cluster, Store

if TYPE_CHECKING:
    from .operations import Regions

DIMENSION = "rds:cluster:ReadReplicaCount"
_PREFIX = "application-autoscaling-"
_METRICS = ("RDSReaderAverageCPUUtilization", "RDSReaderAverageDatabaseConnections")


def check(store: Store, request: Request) -> None:
    """Raises AwsError for a target or a policy that AWS refuses; moto takes anything."""
    spec = request.parameters or {}
    if request.operation not in ("RegisterScalableTarget", "PutScalingPolicy"):
        return
    if spec.get("ScalableDimension") != DIMENSION or not str(spec.get("ResourceId", "")).startswith("cluster:"):
        raise validation("Unsupported service namespace, resource type or scalable dimension")
    name = spec["ResourceId"].removeprefix("cluster:")
    if name not in store.clusters:
        raise validation(f"DB cluster does not exist: {spec['ResourceId']}")
    kept = models.applicationautoscaling_backends[store.account][store.region]
    targets = kept.targets.get(DIMENSION, {})
    if request.operation == "RegisterScalableTarget":
        _check_bounds(spec, targets.get(spec["ResourceId"]))
        return
    if spec["ResourceId"] not in targets:
        raise AwsError(
            "ObjectNotFoundException",
            f"No scalable target registered for service namespace: rds, resource ID: {spec['ResourceId']}, "
            f"scalable dimension: {DIMENSION}",
        )
    configuration = spec.get("TargetTrackingScalingPolicyConfiguration") or {}
    metric = (configuration.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
    if metric is not None and metric not in _METRICS:
        raise validation(
            f"Scalable dimension {DIMENSION} only supports the following predefined metric types: {', '.join(_METRICS)}"
        )
    others = [
        policy.target_tracking_scaling_policy_configuration or {}
        for policy in kept.policies.values()
        if policy.resource_id == spec["ResourceId"] and policy.policy_name != spec["PolicyName"]
    ]
    if configuration and _metric(configuration) in [_metric(one) for one in others if one]:
        # The developer guide: two target tracking policies of one target must not have the same metric.
        raise validation("Only one TargetTrackingScaling policy for a given metric specification is allowed.")


def _check_bounds(spec: dict[str, Any], known: Any) -> None:
    """Bounds over those in force; a new target needs both."""
    low = spec.get("MinCapacity", known.min_capacity if known else None)
    high = spec.get("MaxCapacity", known.max_capacity if known else None)
    if low is None or high is None:
        raise validation("MinCapacity and MaxCapacity are required to register a new scalable target")
    if low > high:
        raise validation("Maximum capacity cannot be less than minimum capacity")
    if any(not 0 <= bound <= 15 for bound in (low, high)):
        raise validation("Capacity must be between 0 and 15 for Aurora Replicas")


def _metric(configuration: dict[str, Any]) -> tuple[Any, Any]:
    """What a target tracking policy measures."""
    return configuration.get("PredefinedMetricSpecification"), configuration.get("CustomizedMetricSpecification")


def settle(regions: Regions) -> None:
    """Gives every registered cluster the readers that its bounds ask for."""
    for store in regions:
        targets = models.applicationautoscaling_backends[store.account][store.region].targets
        for resource, target in list(targets.get(DIMENSION, {}).items()):
            with store.lock:
                store.settle(clock.now())
                cluster = store.clusters.get(resource.removeprefix("cluster:"))
                if cluster is not None and cluster.status == "available":
                    _into_bounds(store, cluster, target)


def _into_bounds(store: Store, cluster: Cluster, target: Any) -> None:
    writer = store.instances.get(cluster.writer or "")
    readers = [one for one in store.readers(cluster) if one.status != "deleting"]
    if writer is None or writer.status != "available":
        return
    added = [one for one in readers if one.identifier.startswith(_PREFIX)]
    low, high = int(target.min_capacity or 0), int(target.max_capacity or 0)
    try:
        for _ in range(low - len(readers)):
            _call(
                store,
                instances.create_db_instance,
                DBInstanceIdentifier=f"{_PREFIX}{uuid.uuid4()}",
                DBClusterIdentifier=cluster.identifier,
                DBInstanceClass=writer.db_class,
                Engine=cluster.engine,
                PromotionTier=15,
                Tags=[{"Key": "application-autoscaling:resourceId", "Value": f"cluster:{cluster.identifier}"}],
            )
        for one in added[: max(0, len(readers) - high)]:
            if one.status == "available":
                _call(store, instances.delete_db_instance, DBInstanceIdentifier=one.identifier)
    except AwsError:
        # A quota, say. AWS records a failed activity and tries again later; so does the next tick.
        return


def _call(store: Store, operation: Any, **parameters: Any) -> None:
    operation(store, Request("POST", "/", "", {}, b"", service="rds", parameters=parameters))
