"""The Price List Query API, served from the catalogue that comes with the operator: GetProducts with filters, a page at a time.

Products look as AWS's do (Price List Query API reference, GetProducts; usage types as in the bulk files), so that what reads them is the same.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
from importlib import resources
from typing import Any

from .errors import AwsError
from .request import Request

_ONE_ENGINE = ("Aurora PostgreSQL", "Aurora MySQL")
_USAGE = {
    "write-request": "WriteRequestUnits",
    "read-request": "ReadRequestUnits",
    "write-capacity": "WriteCapacityUnit-Hrs",
    "read-capacity": "ReadCapacityUnit-Hrs",
    "storage": "TimedStorage-ByteHrs",
}
_OTHERS = {
    "dynamodb.standard.point-in-time-recovery": ("AmazonDynamoDB", "USE1-TimedPITRStorage-ByteHrs", ""),
    "dynamodb.backup": ("AmazonDynamoDB", "USE1-TimedBackupStorage-ByteHrs", ""),
    "aurora.serverless": ("AmazonRDS", "Aurora:ServerlessV2Usage", _ONE_ENGINE),
    "aurora-io-optimized.serverless": ("AmazonRDS", "Aurora:ServerlessV2IOOptimizedUsage", _ONE_ENGINE),
    "aurora.storage": ("AmazonRDS", "Aurora:StorageUsage", "Any"),
    "aurora-io-optimized.storage": ("AmazonRDS", "Aurora:IO-OptimizedStorageUsage", "Any"),
    "aurora.io": ("AmazonRDS", "Aurora:StorageIOUsage", "Any"),
    "aurora.backup": ("AmazonRDS", "Aurora:BackupUsage", "Any"),
}


@functools.cache
def _catalogue() -> dict[str, Any]:
    text = (resources.files("penstock.cost") / "catalogue" / "us-east-1.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _usage(key: str) -> list[tuple[str, str, str, str]]:
    """(service, usage type, engine, instance class) of a price; none for what is no product of these services."""
    if key in _OTHERS:
        service, usage, engine = _OTHERS[key]
        return [(service, usage, one, "") for one in ([engine] if isinstance(engine, str) else engine)]
    kind, _, rest = key.partition(".")
    if kind == "dynamodb":
        table_class, _, what = rest.partition(".")
        if what in _USAGE:
            return [("AmazonDynamoDB", ("IA-" if table_class.startswith("infrequent") else "") + _USAGE[what], "", "")]
    if rest.startswith("instance."):
        cls = rest.removeprefix("instance.")
        short = cls.replace("xlarge", "xl")
        prefix = "InstanceUsageIOOptimized" if kind == "aurora-io-optimized" else "InstanceUsage"
        return [("AmazonRDS", f"{prefix}:{short}", engine, cls) for engine in _ONE_ENGINE]
    return []


@functools.cache
def _products() -> list[tuple[str, dict[str, str], dict[str, Any]]]:
    """(service, attributes, price dimension) of everything that is for sale, in a fixed order."""
    found = []
    for key, price in sorted(_catalogue()["prices"].items()):
        for service, usage, engine, cls in _usage(key):
            attributes = {"servicecode": service, "regionCode": _catalogue()["region"], "usagetype": usage}
            attributes |= {"databaseEngine": engine} if engine else {}
            attributes |= {"instanceType": cls} if cls else {}
            found.append(
                (service, attributes, {"amount": price["price"], "per": price.get("per", 1), "unit": price["unit"]})
            )
    return found


def get_products(request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    service = parameters.get("ServiceCode")
    if not service:
        raise AwsError("InvalidParameterException", "ServiceCode is required")
    size = int(parameters.get("MaxResults") or 100)
    if not 1 <= size <= 100:
        raise AwsError("InvalidParameterException", "MaxResults must be between 1 and 100")
    wanted = {f["Field"]: f["Value"] for f in parameters.get("Filters") or ()}
    start = parameters.get("NextToken") or "0"
    if not start.isdigit():
        raise AwsError("InvalidNextTokenException", "The pagination token is invalid. Try again without one.")
    rows = [
        (attributes, price)
        for of, attributes, price in _products()
        if of == service and all(attributes.get(name) == value for name, value in wanted.items())
    ]
    page = rows[int(start) : int(start) + size]
    answer: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": [_entry(a, p) for a, p in page]}
    if int(start) + size < len(rows):
        answer["NextToken"] = str(int(start) + size)
    return answer


def _entry(attributes: dict[str, str], price: dict[str, Any]) -> str:
    name = "/".join(attributes.values())
    sku = hashlib.sha256(name.encode()).hexdigest()[:16].upper()
    # AWS gives the price of one unit, with ten digits.
    amount = f"{float(price['amount']) / price['per']:.10f}"
    # Of the real day: whoever reads a list refuses one from the future, and the lab's clock may have been taken there.
    published = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    dimension = {
        "unit": price["unit"],
        "beginRange": "0",
        "endRange": "Inf",
        "description": f"${amount} per {price['unit']}",
        "appliesTo": [],
        "rateCode": f"{sku}.JRTCKXETXF.6YS6EN2CT7",
        "pricePerUnit": {"USD": amount},
    }
    term = {
        "offerTermCode": "JRTCKXETXF",
        "sku": sku,
        "effectiveDate": "2026-11-01T00:00:00Z",
        "priceDimensions": {dimension["rateCode"]: dimension},
        "termAttributes": {},
    }
    return json.dumps(
        {
            "product": {"productFamily": "Database", "attributes": attributes, "sku": sku},
            "serviceCode": attributes["servicecode"],
            "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
            "version": f"{published:%Y%m%d%H%M%S}",
            "publicationDate": f"{published:%Y-%m-%dT%H:%M:%SZ}",
        }
    )
