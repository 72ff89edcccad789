"""CloudWatch contributor insights for DynamoDB: on or off for a table and for each index."""

from __future__ import annotations

from typing import Any

from ..clock import clock
from ..errors import AwsError
from ..request import Request
from ..settings import settings
from . import refusals
from .backend import LabDynamoDB
from .store import Insights, LabTable
from .tables import find

_MODES = ("ACCESSED_AND_THROTTLED_KEYS", "THROTTLED_KEYS")


def _target(backend: LabDynamoDB, parameters: dict[str, Any]) -> tuple[LabTable, str | None, Insights]:
    table = find(backend, parameters["TableName"])
    name = parameters.get("IndexName")
    if name is None:
        return table, None, table.insights
    index = table.index(name)
    if index is None:
        raise AwsError("ResourceNotFoundException", f"Requested resource not found: Index: {name} not found")
    return table, name, index.insights


def _summary(table: LabTable, index_name: str | None, state: Insights) -> dict[str, Any]:
    answer = {"TableName": table.name, "ContributorInsightsStatus": state.status}
    if index_name is not None:
        answer["IndexName"] = index_name
    if state.status != "DISABLED":
        answer["ContributorInsightsMode"] = state.mode
    return answer


def update_contributor_insights(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    action, mode = parameters["ContributorInsightsAction"], parameters.get("ContributorInsightsMode")
    refusals.check_enum(action, "contributorInsightsAction", ("ENABLE", "DISABLE"))
    refusals.check_enum(mode, "contributorInsightsMode", _MODES)
    table, index_name, state = _target(backend, parameters)
    if table.status in ("CREATING", "DELETING"):
        raise AwsError("ResourceNotFoundException", f"Requested resource not found: Table: {table.name} not found")
    now = clock.now()
    target = "ENABLED" if action == "ENABLE" else "DISABLED"
    if state.status != target or (mode and mode != state.mode):
        state.status = "ENABLING" if action == "ENABLE" else "DISABLING"
        state.mode = mode or state.mode
        state.updated = now

        def changed(due: float) -> None:
            if state.status in ("ENABLING", "DISABLING"):
                state.status = "ENABLED" if state.status == "ENABLING" else "DISABLED"
                state.updated = due

        backend.at(now + settings.insights_change_s, changed)
    return _summary(table, index_name, state)


def describe_contributor_insights(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    table, index_name, state = _target(backend, request.parameters or {})
    answer = _summary(table, index_name, state)
    if state.updated is not None:
        answer["LastUpdateDateTime"] = state.updated
    if state.status in ("ENABLED", "ENABLING"):
        resource = table.name + (f"-{index_name}" if index_name else "")
        kinds = ("PKC", "PKT") + (("SKC", "SKT") if table.has_range_key else ())
        answer["ContributorInsightsRuleList"] = [
            f"DynamoDBContributorInsights-{kind}-{resource}-{table.id[:13]}" for kind in kinds
        ]
    return answer


def list_contributor_insights(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    tables = [find(backend, parameters["TableName"])] if parameters.get("TableName") else backend.tables.values()
    rows = []
    for table in sorted(tables, key=lambda t: t.name):
        for index_name, state in [(None, table.insights), *((i.name, i.insights) for i in table.global_indexes)]:
            if state.updated is not None:
                rows.append(_summary(table, index_name, state))
    limit, start = parameters.get("MaxResults", 100), int(parameters.get("NextToken") or 0)
    answer: dict[str, Any] = {"ContributorInsightsSummaries": rows[start : start + limit]}
    if len(rows) > start + limit:
        answer["NextToken"] = str(start + limit)
    return answer
