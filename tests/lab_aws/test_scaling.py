"""Autoscaling that scales, and the metrics it looks at."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest

WRITE = "dynamodb:table:WriteCapacityUnits"
UNITS = {"ReadCapacityUnits": 10, "WriteCapacityUnits": 10}


def target(name: str, low: int = 5, high: int = 50, dimension: str = WRITE) -> dict[str, Any]:
    return {
        "ServiceNamespace": "dynamodb",
        "ResourceId": f"table/{name}",
        "ScalableDimension": dimension,
        "MinCapacity": low,
        "MaxCapacity": high,
    }


def policy(name: str, value: float = 50.0, dimension: str = WRITE, **more: Any) -> dict[str, Any]:
    kind = "DynamoDBWriteCapacityUtilization" if "Write" in dimension else "DynamoDBReadCapacityUtilization"
    return {
        "PolicyName": "keep",
        "ServiceNamespace": "dynamodb",
        "ResourceId": f"table/{name}",
        "ScalableDimension": dimension,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": value,
            "PredefinedMetricSpecification": {"PredefinedMetricType": kind},
        }
        | more,
    }


def wait_for(look: Any, wanted: Any, seconds: float = 5.0) -> Any:
    end = time.monotonic() + seconds
    while (seen := look()) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return seen


@pytest.fixture
def scaling(client: Any) -> Any:
    return client("application-autoscaling")


def writes(ddb: Any, name: str) -> int:
    return ddb.describe_table(TableName=name)["Table"]["ProvisionedThroughput"]["WriteCapacityUnits"]


def minute(ddb: Any, lab: Any, name: str, units: int) -> None:
    """A minute of the clock in which that many write units are consumed."""
    if units:
        ddb.put_item(TableName=name, Item={"pk": {"S": "a"}, "body": {"S": "x" * (1024 * units - 20)}})
    lab.clock(advance=60)


def test_only_what_exists_can_be_scaled(ddb, scaling, make, refused):
    assert refused("ValidationException", scaling.register_scalable_target, **target("nothing")) == (
        "DynamoDB table does not exist: table/nothing"
    )
    refused("ObjectNotFoundException", scaling.put_scaling_policy, **policy("nothing"))
    name = make(BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    index = target(f"{name}/index/none", dimension="dynamodb:index:ReadCapacityUnits")
    assert "does not exist" in refused("ValidationException", scaling.register_scalable_target, **index)
    refused("ValidationException", scaling.register_scalable_target, **target(name, low=9, high=3))


def test_load_scales_out_and_silence_scales_in(ddb, scaling, lab, make):
    lab.settings(autoscaling_in_after_s=300)
    name = make(BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    lab.clock(advance=60 - lab.clock()["now"] % 60 + 0.5)
    arn = scaling.register_scalable_target(**target(name))["ScalableTargetARN"]
    made = scaling.put_scaling_policy(**policy(name, ScaleInCooldown=0, ScaleOutCooldown=60))
    assert len(made["Alarms"]) == 2
    shown = scaling.describe_scalable_targets(ServiceNamespace="dynamodb", ResourceIds=[f"table/{name}"])
    assert shown["ScalableTargets"][0]["ScalableTargetARN"] == arn
    # 350 units twice a minute: 11.7 a second, 117 % of 10.
    for _ in range(2):
        ddb.put_item(TableName=name, Item={"pk": {"S": "b"}, "body": {"S": "x" * (1024 * 350)}})
        minute(ddb, lab, name, 350)
    assert wait_for(lambda: len(_activities(scaling, name)), 1) == 1
    lab.clock(advance=11)
    assert writes(ddb, name) == 24
    first = _activities(scaling, name)[0]
    assert first["StatusCode"] == "Successful"
    assert first["Description"] == "Setting write capacity units to 24."
    assert "AlarmHigh" in first["Cause"]
    for _ in range(8):
        lab.clock(advance=60)
        time.sleep(0.12)
    assert wait_for(lambda: writes(ddb, name), 5) == 5
    assert "AlarmLow" in _activities(scaling, name)[0]["Cause"]
    throughput = ddb.describe_table(TableName=name)["Table"]["ProvisionedThroughput"]
    assert throughput["NumberOfDecreasesToday"] >= 1
    scaling.delete_scaling_policy(
        PolicyName="keep", ServiceNamespace="dynamodb", ResourceId=f"table/{name}", ScalableDimension=WRITE
    )
    scaling.deregister_scalable_target(ServiceNamespace="dynamodb", ResourceId=f"table/{name}", ScalableDimension=WRITE)
    assert not scaling.describe_scaling_policies(ServiceNamespace="dynamodb", ResourceId=f"table/{name}")[
        "ScalingPolicies"
    ]


def _activities(scaling: Any, name: str) -> list[dict[str, Any]]:
    return scaling.describe_scaling_activities(ServiceNamespace="dynamodb", ResourceId=f"table/{name}")[
        "ScalingActivities"
    ]


def test_capacity_is_brought_within_the_bounds(ddb, scaling, lab, make):
    name = make(BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    scaling.register_scalable_target(**target(name, low=20, high=40))
    scaling.put_scaling_policy(**policy(name))
    lab.clock(advance=11)
    assert writes(ddb, name) == 20
    scaling.register_scalable_target(**target(name, low=1, high=8))
    lab.clock(advance=11)
    assert writes(ddb, name) == 8
    lab.settings(autoscaling_enabled=False)


def test_targets_outlive_their_table(ddb, scaling, lab, make):
    name = make(BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    scaling.register_scalable_target(**target(name))
    scaling.put_scaling_policy(**policy(name))
    ddb.delete_table(TableName=name)
    lab.clock(advance=11)
    assert scaling.describe_scalable_targets(ServiceNamespace="dynamodb", ResourceIds=[f"table/{name}"])[
        "ScalableTargets"
    ]
    scaling.deregister_scalable_target(ServiceNamespace="dynamodb", ResourceId=f"table/{name}", ScalableDimension=WRITE)
    assert not scaling.describe_scaling_policies(ServiceNamespace="dynamodb", ResourceId=f"table/{name}")[
        "ScalingPolicies"
    ]


def window(lab: Any) -> dict[str, Any]:
    now = datetime.datetime.fromtimestamp(lab.clock()["now"], datetime.UTC)
    return {"StartTime": now - datetime.timedelta(minutes=30), "EndTime": now + datetime.timedelta(minutes=2)}


def test_consumption_is_published_by_the_minute(ddb, client, lab, make):
    name = make()
    lab.clock(advance=60 - lab.clock()["now"] % 60 + 0.5)
    for units in (1, 2, 3):
        minute(ddb, lab, name, units)
    ddb.get_item(TableName=name, Key={"pk": {"S": "a"}}, ConsistentRead=True)
    cloudwatch = client("cloudwatch")
    table = [{"Name": "TableName", "Value": name}]
    points = cloudwatch.get_metric_statistics(
        Namespace="AWS/DynamoDB",
        MetricName="ConsumedWriteCapacityUnits",
        Dimensions=table,
        Period=60,
        Statistics=["Sum", "SampleCount"],
        **window(lab),
    )["Datapoints"]
    assert [p["Sum"] for p in sorted(points, key=lambda p: p["Timestamp"])] == [1.0, 2.0, 3.0]

    def query(identifier: str, metric: str, stat: str, **more: str) -> dict[str, Any]:
        dimensions = table + [{"Name": n, "Value": v} for n, v in more.items()]
        where = {"Namespace": "AWS/DynamoDB", "MetricName": metric, "Dimensions": dimensions}
        return {"Id": identifier, "MetricStat": {"Metric": where, "Period": 60, "Stat": stat}}

    results = cloudwatch.get_metric_data(
        MetricDataQueries=[
            query("w", "ConsumedWriteCapacityUnits", "Sum"),
            query("r", "ConsumedReadCapacityUnits", "Sum"),
            query("p", "SuccessfulRequestLatency", "p95", Operation="PutItem"),
            {"Id": "rate", "Expression": "w / PERIOD(w)"},
            {"Id": "both", "Expression": "SUM([w, FILL(r, 0)])"},
            {"Id": "twice", "Expression": "rate * 2 + 1"},
        ],
        ScanBy="TimestampAscending",
        **window(lab),
    )["MetricDataResults"]
    found = {r["Id"]: r["Values"] for r in results}
    assert found["w"] == [1.0, 2.0, 3.0]
    assert found["rate"] == pytest.approx([1 / 60, 2 / 60, 3 / 60])
    assert found["twice"] == pytest.approx([1 + 2 / 60, 1 + 4 / 60, 1 + 6 / 60])
    # 30 minutes and the two ahead; the four active ones have what was written and read
    assert sum(found["both"]) == 7.0
    assert len(found["p"]) == 3
    assert all(value > 0 for value in found["p"])
    listed = cloudwatch.list_metrics(Namespace="AWS/DynamoDB", Dimensions=table)["Metrics"]
    assert "ConsumedWriteCapacityUnits" in {m["MetricName"] for m in listed}


def test_percentiles_of_put_metric_data(client, lab):
    cloudwatch = client("cloudwatch")
    now = datetime.datetime.fromtimestamp(lab.clock()["now"], datetime.UTC)
    data = [{"MetricName": "wait", "Value": value, "Timestamp": now} for value in range(1, 101)]
    cloudwatch.put_metric_data(Namespace="Own", MetricData=data)
    (point,) = cloudwatch.get_metric_statistics(
        Namespace="Own",
        MetricName="wait",
        Period=3600,
        ExtendedStatistics=["p50", "p95", "p99.9"],
        **window(lab),
    )["Datapoints"]
    assert point["ExtendedStatistics"]["p50"] == pytest.approx(50.5)
    assert point["ExtendedStatistics"]["p95"] == pytest.approx(95.05)
    assert 99 < point["ExtendedStatistics"]["p99.9"] <= 100


def test_throttles_and_the_account_are_published(ddb, client, lab, make):
    name = make(BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})
    lab.clock(speed=0.001)
    big = {"pk": {"S": "a"}, "body": {"S": "x" * 200_000}}
    for _ in range(3):
        try:
            ddb.put_item(TableName=name, Item=big)
        except ddb.exceptions.ProvisionedThroughputExceededException:
            break
    lab.clock(speed=1)
    cloudwatch = client("cloudwatch")

    def total(metric: str, statistic: str, dimensions: dict[str, str]) -> float:
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/DynamoDB",
            MetricName=metric,
            Dimensions=[{"Name": n, "Value": v} for n, v in dimensions.items()],
            Period=60,
            Statistics=[statistic],
            **window(lab),
        )["Datapoints"]
        return max((p[statistic] for p in points), default=0.0)

    assert total("ThrottledRequests", "Sum", {"TableName": name, "Operation": "PutItem"}) == 1
    assert total("WriteThrottleEvents", "Sum", {"TableName": name}) == 1
    lab.clock(advance=300)
    assert wait_for(lambda: total("ProvisionedWriteCapacityUnits", "Average", {"TableName": name}), 1.0) == 1.0
    assert wait_for(lambda: total("AccountMaxReads", "Maximum", {}), 80_000.0) == 80_000.0


def test_math_that_is_not_understood_is_refused(client, lab, refused):
    queries = [{"Id": "e", "Expression": "ANOMALY_DETECTION_BAND(m1)"}]
    cloudwatch = client("cloudwatch")
    assert refused("ValidationError", cloudwatch.get_metric_data, MetricDataQueries=queries, **window(lab))
