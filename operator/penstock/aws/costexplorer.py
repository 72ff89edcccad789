"""Cost Explorer: what AWS billed, by tag. Each request and each page costs $0.01 (AWS Cost Management pricing), so it is asked once a day at most."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from penstock.aws.account import Account
from penstock.engine.errors import Trouble, unavailable
from penstock.engine.queue import Priority

REGION: Final = "us-east-1"
"""Where the API is; its answers are about all regions."""
_OPERATION = "GetCostAndUsage"
_METRIC = "UnblendedCost"
_PAGES = 50


async def billed(account: Account, tag: str, start: date, end: date) -> dict[str, Decimal]:
    """US dollars by value of a tag, from start up to and without end. The tag must be activated as a cost allocation tag. Raises Trouble."""
    request: dict[str, Any] = {
        "TimePeriod": {"Start": start.isoformat(), "End": end.isoformat()},
        "Granularity": "MONTHLY",
        "Metrics": [_METRIC],
        "GroupBy": [{"Type": "TAG", "Key": tag}],
    }
    found: dict[str, Decimal] = {}
    for _ in range(_PAGES):
        answer = await account.call("ce", _OPERATION, request, region=REGION, priority=Priority.BACKGROUND)
        for period in answer.get("ResultsByTime") or ():
            for group in period.get("Groups") or ():
                value, amount = _group(group, tag)
                found[value] = found.get(value, Decimal(0)) + amount
        token = answer.get("NextPageToken")
        if not token:
            return found
        request = {**request, "NextPageToken": token}
    raise _unreadable("it has no last page")


def _group(group: dict[str, Any], tag: str) -> tuple[str, Decimal]:
    try:
        # AWS writes the key before the value, and nothing after it for what has no such tag.
        value = str(group["Keys"][0]).removeprefix(f"{tag}$")
        metric = group["Metrics"][_METRIC]
        amount, unit = Decimal(metric["Amount"]), metric.get("Unit", "USD")
    except (KeyError, IndexError, TypeError, InvalidOperation) as error:
        raise _unreadable(f"{type(error).__name__} in a group") from error
    if unit != "USD" or not amount.is_finite():
        raise _unreadable(f"an amount is {metric['Amount']} {unit}, and only US dollars can be summed")
    return value, amount


def _unreadable(why: str) -> Trouble:
    return unavailable(f"ce:GetCostAndUsage gave an answer that cannot be read ({why})", operation=_OPERATION)
