"""Readers by Application Auto Scaling."""

from __future__ import annotations

import time
from typing import Any

from .test_rds_clusters import shown


def members(rds: Any, name: str, count: int) -> list[str]:
    """The members once there are ``count``; the ticker adds readers about ten times a second."""
    deadline = time.monotonic() + 20
    while True:
        found = [m["DBInstanceIdentifier"] for m in shown(rds, name)["DBClusterMembers"]]
        if len(found) == count or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_a_target_provides_its_least_number_of_readers(client, rds, lab, cluster, refused):
    scaling = client("application-autoscaling")
    name = cluster(instances=2)
    target = {
        "ServiceNamespace": "rds",
        "ResourceId": f"cluster:{name}",
        "ScalableDimension": "rds:cluster:ReadReplicaCount",
    }
    policy = target | {
        "PolicyName": "cpu",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 60.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "RDSReaderAverageCPUUtilization"},
        },
    }
    refused("ObjectNotFoundException", scaling.put_scaling_policy, **policy)
    scaling.register_scalable_target(**target, MinCapacity=3, MaxCapacity=5)
    scaling.put_scaling_policy(**policy)
    found = members(rds, name, 4)
    added = [one for one in found if one.startswith("application-autoscaling-")]
    assert (len(found), len(added)) == (4, 2)
    lab.clock(advance=11)
    (described,) = scaling.describe_scalable_targets(ServiceNamespace="rds")["ScalableTargets"]
    assert (described["MinCapacity"], described["MaxCapacity"]) == (3, 5)
    (held,) = scaling.describe_scaling_policies(ServiceNamespace="rds")["ScalingPolicies"]
    assert held["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60.0
    # What it added goes when there may be fewer; what others made stays.
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        lab.clock(advance=11)
        if len(members(rds, name, 2)) == 2:
            break
    assert members(rds, name, 2) == [f"{name}-1", f"{name}-2"]
    # API reference, DeregisterScalableTarget: it deletes the policies of the target.
    scaling.deregister_scalable_target(**target)
    assert scaling.describe_scaling_policies(ServiceNamespace="rds")["ScalingPolicies"] == []


def test_targets_that_do_not_do(client, cluster, refused):
    register = client("application-autoscaling").register_scalable_target
    one = {"ServiceNamespace": "rds", "ScalableDimension": "rds:cluster:ReadReplicaCount"}
    refused("ValidationException", register, **one, ResourceId="cluster:none", MinCapacity=1, MaxCapacity=2)
    name = cluster(instances=0)
    refused("ValidationException", register, **one, ResourceId=f"cluster:{name}", MinCapacity=3, MaxCapacity=2)
    refused("ValidationException", register, **one, ResourceId=f"cluster:{name}", MinCapacity=1, MaxCapacity=16)
