"""No two objects slip under one limit: at the same instant, after a restart, before the watch tells of the budget."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from penstock.api import meta
from penstock.api.conditions import Reason
from penstock.api.costbudget import CostBudgetSpec
from penstock.budget import sums
from penstock.budget.books import NAME, Books, said
from penstock.budget.hold import Position
from penstock.engine.kind import Key, Object, Report
from penstock.engine.kube import Kube, KubeError, Resource
from penstock.engine.money import Money
from penstock.engine.plan import Plan, Step
from penstock.engine.queue import WorkQueue
from penstock.engine.store import Store

D = Decimal
TABLES = Resource(meta.GROUP, meta.VERSION, "dynamotables")
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
FORTY = Plan((Step("dynamodb", "CreateTable", {}, "make the table", cost_delta=D(40)),))
COSTS = Money(D(40), "Estimate")


class Api(Kube):
    """The lists of an API server."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Object]] = {"costbudgets": [], "dynamotables": []}
        self.version = 100
        self.lists: list[str] = []
        self.down = False
        self.meanwhile: Callable[[], None] = lambda: None

    async def request(self, verb: str, resource: Resource, namespace: str = "", name: str = "", **_: Any) -> Any:
        if self.down:
            raise KubeError(0, "Unreachable", "the API server cannot be reached")
        self.lists.append(resource.plural)
        if resource is TABLES:
            self.meanwhile()
        return {"metadata": {"resourceVersion": str(self.version)}, "items": self.objects[resource.plural]}

    def add(self, plural: str, name: str, spec: dict[str, Any], **about: Any) -> Object:
        self.version += 1
        metadata = {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}-{self.version}",
            "generation": 1,
            "resourceVersion": str(self.version),
            **about.pop("metadata", {}),
        }
        obj = {"metadata": metadata, "spec": spec, **about}
        self.objects[plural].append(obj)
        return obj


class Desk:
    """Books on a store, as an operator process has them."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.woken: list[Key] = []
        self.store = Store(WorkQueue())
        self.books = Books(api, {"DynamoTable": TABLES})
        self.books.attach(self.store, lambda key, delay: self.woken.append(key))

    def saw(self, plural: str, obj: Object) -> Key:
        kind = {"costbudgets": NAME, "dynamotables": "DynamoTable"}[plural]
        key = Key(kind, "shop", obj["metadata"]["name"])
        self.store.saw(key, obj)
        return key

    async def asks(
        self, key: Key, obj: Object, plan: Plan = FORTY, money: Money | None = COSTS, *, new: bool = True
    ) -> Plan:
        await self.books.prepare(key, obj, plan)
        found = self.books.admit(key, obj, plan, money, new=new, acting=True)
        self.books.looked(key)
        return found


def budget(api: Api, limit: str = "70", **spec: Any) -> Object:
    return api.add("costbudgets", "lab", {"monthlyLimit": limit, "policy": "Hold", **spec})


def held(plan: Plan) -> bool:
    return any(r.reason == Reason.OVER_BUDGET for r in plan.refusals)


@pytest.fixture
def api() -> Api:
    return Api()


async def test_of_two_at_the_same_instant_one_passes(api: Api) -> None:
    desk = Desk(api)
    desk.saw("costbudgets", budget(api))
    tables = [api.add("dynamotables", name, {}) for name in "ab"]
    keys = [desk.saw("dynamotables", table) for table in tables]
    for key, table in zip(keys, tables, strict=True):
        await desk.books.prepare(key, table, FORTY)
    plans = [
        desk.books.admit(key, table, FORTY, COSTS, new=True, acting=True)
        for key, table in zip(keys, tables, strict=True)
    ]
    assert [held(plan) for plan in plans] == [False, True]
    assert "bring it to $80.00: $40.00 is there and this adds $40.00" in plans[1].refusals[0].sentence


async def test_a_budget_that_the_watch_has_not_told_of_holds_all_the_same(api: Api) -> None:
    desk = Desk(api)
    budget(api, "10")
    table = api.add("dynamotables", "a", {})
    key = desk.saw("dynamotables", table)
    assert held(await desk.asks(key, table))
    assert api.lists.count("costbudgets") == 1
    # One list is as good for all objects that are older than it.
    assert held(await desk.asks(key, table))
    assert api.lists.count("costbudgets") == 1
    newer = api.add("dynamotables", "b", {})
    await desk.asks(desk.saw("dynamotables", newer), newer)
    assert api.lists.count("costbudgets") == 2


async def test_a_budget_whose_deletion_no_watch_told_of_holds_nobody(api: Api) -> None:
    desk = Desk(api)
    desk.saw("costbudgets", budget(api, "10"))
    table = api.add("dynamotables", "a", {})
    assert held(await desk.asks(desk.saw("dynamotables", table), table))
    api.objects["costbudgets"].clear()
    newer = api.add("dynamotables", "b", {})
    assert not held(await desk.asks(desk.saw("dynamotables", newer), newer))
    assert desk.store.count(NAME) == 0


async def test_nothing_costly_passes_while_budgets_cannot_be_listed(api: Api) -> None:
    desk = Desk(api)
    table = api.add("dynamotables", "a", {})
    api.down = True
    with pytest.raises(KubeError):
        await desk.asks(desk.saw("dynamotables", table), table)
    free = Plan((Step("dynamodb", "TagResource", {}, "tag", cost_delta=D(0)),))
    assert await desk.asks(desk.saw("dynamotables", table), table, free) == free, "what costs nothing asks nobody"


async def test_after_a_restart_what_was_let_through_counts_before_anything_else_passes(api: Api) -> None:
    # Killed right after the first AWS write: the finalizer is there with its annotation, and no status.
    begun = {"finalizers": [meta.FINALIZER], "annotations": {meta.MONTHLY_COST: "40.00"}}
    first = api.add("dynamotables", "a", {}, metadata=begun)
    second = api.add("dynamotables", "b", {})
    budget(api)
    desk = Desk(api)
    key = desk.saw("dynamotables", second)
    plan = await desk.asks(key, second)
    assert not held(plan)
    assert plan.runnable == ()
    assert "has been looked at" in plan.waits[0].sentence
    await desk.asks(Key("DynamoTable", "shop", "a"), first, new=False)
    assert held(await desk.asks(key, second))


async def test_who_waited_for_others_to_be_looked_at_is_judged_like_anybody(api: Api) -> None:
    begun = {"finalizers": [meta.FINALIZER], "annotations": {meta.MONTHLY_COST: "40.00"}}
    first, second = api.add("dynamotables", "a", {}, metadata=begun), api.add("dynamotables", "b", {})
    budget(api)
    desk = Desk(api)
    key = desk.saw("dynamotables", second)
    assert (await desk.asks(key, second)).waits
    # Its pass tells what it is to cost, and others count it for nothing meanwhile.
    report = desk.books.tell(key, second, Report((), {"cost": {"monthlyEstimate": "40.00"}}), NOW)
    assert report.fields["cost"]["held"] == "40.00"
    second = {**second, "status": report.fields}
    assert said(second).counted == 0
    assert desk.books.position(key, second).counted == 0
    await desk.asks(Key("DynamoTable", "shop", "a"), first, new=False)
    assert held(await desk.asks(key, second))
    other = Desk(api)
    other.saw("dynamotables", second)
    assert (await other.asks(key, second)).waits
    await other.asks(Key("DynamoTable", "shop", "a"), first, new=False)
    assert held(await other.asks(key, second)), "in the next process too"


async def test_nobody_waits_for_the_pass_of_what_this_process_let_through(api: Api) -> None:
    budget(api)
    desk = Desk(api)
    first, second = (api.add("dynamotables", name, {}) for name in "ab")
    one, two = desk.saw("dynamotables", first), desk.saw("dynamotables", second)

    def begun() -> None:
        api.version += 1
        first["metadata"] |= {"finalizers": [meta.FINALIZER], "resourceVersion": str(api.version)}
        desk.books.admit(one, first, FORTY, COSTS, new=True, acting=True)

    # The first gets its finalizer while the second waits for the lists; then AWS takes its time with it.
    api.meanwhile = begun
    found = await desk.asks(two, second)
    assert held(found)
    assert not found.waits


async def test_what_runs_already_counts_while_it_waits_for_others(api: Api) -> None:
    # Both were enlarged when the process was killed: 40 of the 50 run, and no status tells it.
    through = {"finalizers": [meta.FINALIZER], "annotations": {meta.MONTHLY_COST: "10.00"}}
    told = {"tableArn": "arn:x", "cost": {"monthlyEstimate": "10.00"}}
    tables = [api.add("dynamotables", name, {}, metadata=through, status=told) for name in "ab"]
    budget(api)
    desk = Desk(api)
    keys = [desk.saw("dynamotables", table) for table in tables]
    rest = Plan((Step("dynamodb", "UpdateTable", {}, "more units", cost_delta=D(10)),))
    assert (await desk.asks(keys[0], tables[0], rest, Money(D(50), "Estimate"), new=False)).waits
    assert desk.books.position(keys[0], tables[0]).counted == 40


async def test_an_enlargement_that_waited_for_others_is_judged_too(api: Api) -> None:
    through = {"finalizers": [meta.FINALIZER], "annotations": {meta.MONTHLY_COST: "30.00"}}
    other = api.add("dynamotables", "a", {}, metadata=through)
    told = {"tableArn": "arn:x", "cost": {"monthlyEstimate": "10.00"}}
    small = api.add("dynamotables", "b", {}, metadata=through, status=told)
    budget(api)
    desk = Desk(api)
    key = desk.saw("dynamotables", small)
    larger = Plan((Step("dynamodb", "UpdateTable", {}, "more units", cost_delta=D(40)),))
    costs = Money(D(50), "Estimate")
    assert (await desk.asks(key, small, larger, costs, new=False)).waits
    report = desk.books.tell(key, small, Report((), {**told, "cost": {"monthlyEstimate": "50.00"}}), NOW)
    small = {**small, "status": report.fields}
    assert said(small).counted == 10
    await desk.asks(Key("DynamoTable", "shop", "a"), other, Plan(), Money(D(30), "Estimate"), new=False)
    assert held(await desk.asks(key, small, larger, costs, new=False))


async def test_what_is_only_planned_is_not_refused_when_it_is_applied(api: Api) -> None:
    desk = Desk(api)
    desk.saw("costbudgets", budget(api, "10"))
    table = api.add("dynamotables", "a", {})
    key = Key("DynamoTable", "shop", "a")
    assert "allows $10.00" in desk.books.refuses(key, table, COSTS)
    for mode in ("Plan", "Observe", "Paused"):
        asked = {**table, "metadata": {**table["metadata"], "annotations": {meta.MODE: mode}}}
        assert desk.books.refuses(key, asked, COSTS) == ""


async def test_what_was_only_planned_is_not_let_through_by_a_restart(api: Api) -> None:
    budget(api)
    table = api.add("dynamotables", "a", {}, metadata={"annotations": {meta.MODE: "Plan", meta.MONTHLY_COST: "40.00"}})
    desk = Desk(api)
    key = desk.saw("dynamotables", table)
    await desk.books.prepare(key, table, FORTY)
    assert not held(desk.books.admit(key, table, FORTY, COSTS, new=True, acting=False))
    report = desk.books.tell(key, table, Report((), {"cost": {"monthlyEstimate": "40.00"}}), NOW)
    assert said({**table, "status": report.fields}).counted == 0


def test_what_was_held_and_then_begun_counts_though_no_status_tells_it() -> None:
    # Killed after the first AWS write: the status is of when it was held.
    cost = {"monthlyEstimate": "40.00", "held": "40.00"}
    assert said({"metadata": {}, "status": {"cost": cost}}).counted == 0
    assert said({"metadata": {"finalizers": [meta.FINALIZER]}, "status": {"cost": cost}}).counted == 40


async def test_storage_of_what_runs_counts_after_a_restart_while_a_larger_plan_is_held(api: Api) -> None:
    budget(api, "1000", storageLimit="20")
    about: dict[str, Any] = {"metadata": {"finalizers": [meta.FINALIZER]}}
    size = [{"name": "storage", "unit": "GB-month", "monthly": "15.00"}]
    running = {"tableArn": "arn:x", "cost": {"monthlyEstimate": "30.00", "breakdown": size}}
    table = api.add("dynamotables", "a", {}, status=running, **about)
    desk = Desk(api)
    key = desk.saw("dynamotables", table)
    larger = Plan((Step("dynamodb", "UpdateTable", {}, "another class", cost_delta=D(10)),))
    costs = Money(D(40), "Estimate", D(25))
    assert held(await desk.asks(key, table, larger, costs, new=False))
    size = [{"name": "storage", "unit": "GB-month", "monthly": "25.00"}]
    fields = {**running, "cost": {"monthlyEstimate": "40.00", "breakdown": size}}
    told = {**table, "status": desk.books.tell(key, table, Report((), fields), NOW).fields}
    assert (said(told).monthly, said(told).storage) == (30, 15)
    again = Desk(api)
    api.objects["dynamotables"] = [told]
    again.saw("dynamotables", told)
    assert held(await again.asks(key, told, larger, costs, new=False)), "and is held again"


async def test_an_object_that_cannot_be_read_counts_as_it_said_last(api: Api) -> None:
    told = {"cost": {"monthlyEstimate": "60.00", "held": "20.00", "basis": "Estimate"}}
    api.add("dynamotables", "a", {}, status=told, metadata={"finalizers": [meta.FINALIZER]})
    second = api.add("dynamotables", "b", {})
    budget(api)
    desk = Desk(api)
    key = desk.saw("dynamotables", second)
    assert (await desk.asks(key, second)).waits
    desk.books.looked(Key("DynamoTable", "shop", "a"))
    assert "$40.00 is there and this adds $40.00" in (await desk.asks(key, second)).refusals[0].sentence


async def test_room_that_comes_wakes_who_is_held(api: Api) -> None:
    desk = Desk(api)
    desk.saw("costbudgets", budget(api))
    first, second = (api.add("dynamotables", name, {}) for name in "ab")
    one, two = desk.saw("dynamotables", first), desk.saw("dynamotables", second)
    await desk.asks(one, first)
    assert held(await desk.asks(two, second))
    desk.woken.clear()
    desk.store.remove(one)
    desk.books.forget(one)
    assert two in desk.woken
    assert not held(await desk.asks(two, second))


async def test_an_object_of_the_same_name_has_no_part_in_what_its_predecessor_was_approved_for(api: Api) -> None:
    desk = Desk(api)
    desk.saw("costbudgets", budget(api, "30"))
    table = api.add("dynamotables", "a", {})
    key = desk.saw("dynamotables", table)
    command = (await desk.asks(key, table)).refusals[0].sentence
    token = command.partition(f"{meta.APPROVE}=")[2].split()[0]
    approved = {**table, "metadata": {**table["metadata"], "annotations": {meta.APPROVE: token}}}
    assert not held(await desk.asks(key, approved))
    # Deleted and made again before any pass saw it gone, as `kubectl replace --force` does it.
    again = api.add("dynamotables", "a", {})
    desk.saw("dynamotables", again)
    assert held(await desk.asks(key, again))


async def test_only_what_the_selector_selects_is_held(api: Api) -> None:
    desk = Desk(api)
    desk.saw("costbudgets", budget(api, "10", selector={"matchLabels": {"env": "lab"}}))
    inside = api.add("dynamotables", "a", {}, metadata={"labels": {"env": "lab"}})
    outside = api.add("dynamotables", "b", {})
    assert held(await desk.asks(desk.saw("dynamotables", inside), inside))
    assert not held(await desk.asks(desk.saw("dynamotables", outside), outside))


async def test_a_budget_that_warns_holds_nothing_and_is_told_on_the_object(api: Api) -> None:
    desk = Desk(api)
    told = {"conditions": [{"type": "WithinBudget", "status": "False"}]}
    desk.saw("costbudgets", api.add("costbudgets", "lab", {"monthlyLimit": "10", "policy": "Warn"}, status=told))
    table = api.add("dynamotables", "a", {"cost": {"monthlyBudget": "30"}})
    key = desk.saw("dynamotables", table)
    assert not held(await desk.asks(key, table))
    report = desk.books.tell(key, table, Report((), {"cost": {"monthlyEstimate": "40.00"}}), NOW)
    (condition,) = report.conditions
    assert condition.status is False
    assert "is estimated at $40.00 a month, more than its own budget of $30.00" in condition.message
    assert "CostBudget lab is over a limit" in condition.message


def test_what_an_object_says_of_itself() -> None:
    assert said({"metadata": {"name": "a"}}) == Position()
    cost = {"monthlyEstimate": "53.29", "basis": "Partial", "pace": "60.00", "monthToDate": "x", "forecast": "55"}
    found = said({"metadata": {}, "status": {"cost": cost, "clusterArn": "arn:x"}})
    assert (found.monthly, found.incomplete, found.beyond, found.spent, found.forecast) == (
        D("53.29"),
        True,
        D("6.71"),
        None,
        D(55),
    )


def obj(**status: Any) -> Object:
    return {"metadata": {"name": "lab", "namespace": "shop"}, "status": status}


def test_thresholds_are_told_once_a_month() -> None:
    spec = CostBudgetSpec.model_validate({"monthlyLimit": "100", "alertAt": [50, 80, 100]})
    first = sums.report(obj(), spec, sums.Sums(objects=1, estimate=D(85)), NOW)
    assert [n.sentence.split(" of ")[0] for n in first.notes] == ["50 %", "80 %"]
    again = sums.report(obj(**first.fields), spec, sums.Sums(objects=1, estimate=D(90)), NOW)
    assert not again.notes
    over = sums.report(obj(**again.fields), spec, sums.Sums(objects=1, estimate=D(101)), NOW)
    assert [n.reason for n in over.notes] == ["BudgetAlert", Reason.OVER_BUDGET]
    december = sums.report(obj(**over.fields), spec, sums.Sums(objects=1, estimate=D(101)), NOW.replace(month=12))
    assert len([n for n in december.notes if n.reason == "BudgetAlert"]) == 3


def test_an_idle_budget_says_the_same_to_the_letter() -> None:
    spec = CostBudgetSpec.model_validate({"monthlyLimit": "100", "storageLimit": "20"})
    first = sums.report(obj(), spec, sums.Sums(objects=2, estimate=D(50), storage=D(5), spent=D(20)), NOW)
    moved = sums.Sums(objects=2, estimate=D("50.40"), storage=D("5.04"), spent=D("20.10"))
    again = sums.report(obj(**first.fields), spec, moved, NOW)
    assert again.fields == first.fields
    assert again.conditions == first.conditions


def test_a_budget_that_selects_nothing_says_so() -> None:
    spec = CostBudgetSpec.model_validate({"monthlyLimit": "100", "selector": {"matchLabels": {"env": "lab"}}})
    ready, within = sums.report(obj(), spec, sums.Sums(), NOW).conditions
    assert ready.reason == Reason.NOTHING_SELECTED
    assert "none has the labels of spec.selector" in ready.message
    assert within.status is True


def test_the_forecast_breaks_a_budget_before_the_money_is_gone() -> None:
    spec = CostBudgetSpec.model_validate({"monthlyLimit": "100"})
    _, within = sums.report(obj(), spec, sums.Sums(1, estimate=D(90), forecast=D(120)), NOW).conditions
    assert within.status is False
    assert within.message == "The forecast is $120.00 of $100.00 a month."
