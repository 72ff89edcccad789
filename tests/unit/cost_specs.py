"""Tables and clusters as the tests of their cost declare them."""

from datetime import date
from typing import Any

from penstock.api.auroracluster import AuroraClusterSpec
from penstock.api.dynamotable import DynamoTableSpec
from penstock.cost import aurora, dynamo
from penstock.cost.estimate import Estimate
from penstock.cost.prices import bundled

TODAY = date(2026, 11, 23)
KEY = {"partition": {"name": "customerId", "type": "String"}, "sort": {"name": "placedAt", "type": "Number"}}
OFF = {"enabled": False}


def index(name: str, projection: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "partition": {"name": name, "type": "String"},
        "projection": {"type": projection},
        **more,
    }


def table(spec: dict[str, Any], now: dynamo.TableShape | None = None, region: str = "us-east-1") -> Estimate:
    parsed = DynamoTableSpec.model_validate({"key": KEY, "pointInTimeRecovery": OFF, **spec})
    usage = parsed.cost.expected_usage if parsed.cost else None
    return dynamo.estimate(dynamo.declared(parsed, now), usage, bundled(region), TODAY)


def cluster(
    spec: dict[str, Any], now: aurora.ClusterShape | None = None, region: str = "us-east-1", today: date = TODAY
) -> Estimate:
    engine = {"type": "AuroraPostgreSQL", "version": "16.6"}
    parsed = AuroraClusterSpec.model_validate({"engine": engine, **spec})
    usage = parsed.cost.expected_usage if parsed.cost else None
    return aurora.estimate(aurora.declared(parsed, "shop", now), usage, bundled(region), today)


def usage(**fields: Any) -> dict[str, Any]:
    return {"cost": {"expectedUsage": fields}}
