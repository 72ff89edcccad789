"""The AWS Price List Query API: GetProducts by the page (its API reference: 100 products a page, endpoints in few regions, no charge)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from penstock.aws.account import Account
from penstock.engine.errors import unavailable
from penstock.engine.queue import Priority

REGION: Final = "us-east-1"
"""Where the API is; its answers are about all regions."""
_OPERATION = "GetProducts"
_PAGE = 100
# us-east-1 has some ten thousand products of RDS: more pages than that are a defect.
_PAGES = 1000


class PriceList:
    """Reads products with their prices."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def products(self, service: str, filters: Mapping[str, str]) -> AsyncIterator[list[str]]:
        """The products of a service whose attributes have these values, a page at a time, each as JSON text. Raises Trouble.

        service: as AWS codes it, "AmazonDynamoDB". A page may be cut off by an error: what came before is then not the whole list.
        """
        request: dict[str, Any] = {
            "ServiceCode": service,
            "Filters": [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()],
            "FormatVersion": "aws_v1",
            "MaxResults": _PAGE,
        }
        for _ in range(_PAGES):
            answer = await self._account.call(
                "pricing", _OPERATION, request, region=REGION, priority=Priority.BACKGROUND
            )
            yield [str(entry) for entry in answer.get("PriceList") or ()]
            token = answer.get("NextToken")
            if not token:
                return
            if token == request.get("NextToken"):
                break
            request = {**request, "NextToken": token}
        raise unavailable("pricing:GetProducts has no last page", operation=_OPERATION)
