"""The inventory on a virtual clock, against an account that only records its calls: how often it reads, what it tells, and whom it wakes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from virtual_time import EPOCH, elapsed, now, virtual

from penstock.api.conditions import Reason
from penstock.aurora.hints import queue_region, region_of
from penstock.aurora.inventory import Inventory, InventoryCycles, View
from penstock.aws import rds
from penstock.aws.account import LIMITS
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Key
from penstock.engine.pacing import TokenBucket
from penstock.engine.queue import Priority

HOME = "us-east-1"
READS = ("DescribeDBClusters", "DescribeDBInstances", "DescribeEvents")
THROTTLED = Trouble(Meaning.THROTTLED, Reason.THROTTLED, "AWS throttles it.")
DENIED = Trouble(Meaning.DENIED, Reason.ACCESS_DENIED, "AWS denies it.")
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"


class RecordedAccount:
    """Answers from lists that a test changes, takes 50 ms for it, keeps to the real bucket, and records what was asked."""

    region = HOME

    def __init__(self) -> None:
        self.clusters: dict[str, dict[str, Any]] = {}
        self.instances: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.calls: list[tuple[float, str, dict[str, Any], str, Priority]] = []
        self.fails: Callable[[str, Mapping[str, Any]], Trouble | None] = lambda *_: None
        self.bucket = TokenBucket(LIMITS["rds"])

    def affords(self, service: str, operation: str, region: str = "") -> bool:
        return self.bucket.affords_background

    async def call(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        region: str = "",
        priority: Priority = Priority.NORMAL,
    ) -> dict[str, Any]:
        asked = dict(parameters or {})
        if service == "rds":
            await self.bucket.take(priority)
        self.calls.append((elapsed(), operation, asked, region, priority))
        # A read sees what is there when it begins.
        answer = self.answer(operation, asked)
        await asyncio.sleep(20 if answer == {"Messages": []} else 0.05)
        trouble = self.fails(operation, asked)
        if trouble is not None:
            raise trouble
        return answer

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        if operation == "ReceiveMessage":
            taken, self.messages = self.messages[:10], self.messages[10:]
            return {"Messages": taken}
        if operation == "DescribeDBClusters":
            return self.page("DBClusters", self.clusters.values(), "DBClusterIdentifier", asked)
        if operation == "DescribeDBInstances":
            return self.page("DBInstances", self.instances.values(), "DBClusterIdentifier", asked)
        if operation == "DescribeEvents":
            since = asked.get("StartTime", now() - timedelta(minutes=asked.get("Duration", 60)))
            return self.page("Events", [e for e in self.events if e["Date"] >= since], "", asked)
        return {}

    @staticmethod
    def page(name: str, items: Any, field: str, asked: dict[str, Any]) -> dict[str, Any]:
        for condition in asked.get("Filters", ()):
            items = [i for i in items if i[field] in condition["Values"]]
        begin, most = int(asked.get("Marker", 0)), asked["MaxRecords"]
        answer: dict[str, Any] = {name: [dict(i) for i in list(items)[begin : begin + most]]}
        if begin + most < len(items):
            answer["Marker"] = str(begin + most)
        return answer

    def cluster(self, name: str, instances: int = 0, **more: Any) -> None:
        members = [
            {"DBInstanceIdentifier": f"{name}-{n}", "IsClusterWriter": n == 1, "PromotionTier": 1}
            for n in range(1, instances + 1)
        ]
        described = {"DBClusterIdentifier": name, "Status": "available", "DBClusterMembers": members, **more}
        self.clusters[name] = {**described, "LatestRestorableTime": now()}
        for member in members:
            self.instance(member["DBInstanceIdentifier"], name)

    def instance(self, name: str, cluster: str, status: str = "available") -> None:
        self.instances[name] = {
            "DBInstanceIdentifier": name,
            "DBClusterIdentifier": cluster,
            "DBInstanceStatus": status,
        }

    def happened(self, source: str, message: str, kind: str = "db-cluster", ago: float = 0.0) -> None:
        date = now() - timedelta(seconds=ago)
        self.events.append({"SourceIdentifier": source, "SourceType": kind, "Message": message, "Date": date})

    def count(self, operation: str = "", since: float = 0.0, until: float = float("inf")) -> int:
        wanted = (operation,) if operation else READS
        return sum(1 for at, name, *_ in self.calls if name in wanted and since <= at < until)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [asked for _, name, asked, *_ in self.calls if name == operation]


def key(name: str) -> Key:
    return Key("AuroraCluster", "shop", name)


class Woken:
    """What the inventory woke, and when."""

    def __init__(self) -> None:
        self.keys: list[tuple[float, Key]] = []

    def __call__(self, woken: Key) -> None:
        self.keys.append((elapsed(), woken))

    @property
    def names(self) -> Counter[str]:
        return Counter(k.name for _, k in self.keys)


@asynccontextmanager
async def running(
    account: RecordedAccount, names: Any = (), queue: str = "", cycles: InventoryCycles | None = None
) -> AsyncIterator[tuple[Inventory, Woken]]:
    """A running inventory that watches the clusters, and what it woke."""
    inventory, woken = Inventory(account, cycles, queue), Woken()  # type: ignore[arg-type]
    task = asyncio.create_task(inventory.run(woken))
    for name in names:
        inventory.watches(key(name), HOME, name)
    await asyncio.sleep(0)
    try:
        yield inventory, woken
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(("clusters", "instances"), [(1, 2), (100, 3)])
def test_idling_costs_the_same_for_one_cluster_and_a_hundred(clusters: int, instances: int) -> None:
    @virtual
    async def idles() -> None:
        account = RecordedAccount()
        for n in range(clusters):
            account.cluster(f"c{n}", instances)
        async with running(account, account.clusters) as (_, woken):
            await asyncio.sleep(1500)
            windows = [account.count(since=300.0 * n, until=300.0 * (n + 1)) for n in range(5)]
        assert 0.75 * 1080 <= account.count() * 3600 / 1500 <= 1080
        assert max(windows) <= 90
        assert {p for at, *_, p in account.calls if at > 1} == {Priority.BACKGROUND}
        assert not woken.keys, "nothing happened"

    idles()


@virtual
async def test_without_objects_nothing_is_called() -> None:
    account = RecordedAccount()
    async with running(account, queue=QUEUE) as (inventory, _):
        await asyncio.sleep(600)
        assert not account.calls
        inventory.watches(key("a"), HOME, "a")
        inventory.watches(key("b"), "eu-west-1", "b")
        await asyncio.sleep(60)
        assert {region for _, operation, _, region, _ in account.calls if operation in READS} == {HOME, "eu-west-1"}
        inventory.forget(key("a"))
        inventory.forget(key("b"))
        inventory.forget(key("never-seen"))
        await asyncio.sleep(30)
        before = len(account.calls)
        await asyncio.sleep(3600)
        assert len(account.calls) == before


@virtual
async def test_a_change_wakes_its_objects_within_ten_seconds_and_nobody_else() -> None:
    account = RecordedAccount()
    for name in ("a", "b", "foreign"):
        account.cluster(name, 2)
    async with running(account, ("a", "b")) as (inventory, woken):
        inventory.watches(key("twin-of-a"), HOME, "A")
        await asyncio.sleep(100.3)
        began = elapsed()
        for member in account.clusters["a"]["DBClusterMembers"]:
            member["IsClusterWriter"] = not member["IsClusterWriter"]
        account.clusters["b"]["LatestRestorableTime"] = now()
        account.clusters["foreign"]["Status"] = "modifying"
        await asyncio.sleep(10)
        assert set(woken.names) == {"a", "twin-of-a"}
        assert max(at for at, _ in woken.keys) - began < 6
        view = await inventory.view(HOME, "a")
        assert view.cluster is not None
        assert view.cluster.writer == "a-2"


@virtual
async def test_appearing_and_vanishing_are_changes_of_clusters_and_of_instances() -> None:
    account = RecordedAccount()
    async with running(account, ("a",)) as (inventory, woken):
        await asyncio.sleep(10)
        assert (await inventory.view(HOME, "a")).cluster is None
        account.cluster("a")
        await asyncio.sleep(6)
        assert woken.names == {"a": 1}
        account.instance("a-1", "a", "creating")
        await asyncio.sleep(23)
        assert woken.names == {"a": 2}
        view = await inventory.view(HOME, "a")
        assert set(view.instances) == {"a-1"}, "although it is no member yet"
        del account.instances["a-1"]
        await asyncio.sleep(23)
        assert woken.names == {"a": 3}
        account.clusters.clear()
        await asyncio.sleep(6)
        assert woken.names == {"a": 4}
        assert await inventory.view(HOME, "a") == View(
            None, {}, pytest.approx(1052, abs=20), pytest.approx(1052, abs=30)
        )


@virtual
async def test_the_first_view_waits_for_the_first_reads_and_later_ones_do_not() -> None:
    account = RecordedAccount()
    account.cluster("a", 1)
    async with running(account, ("a",)) as (inventory, _):
        views = await asyncio.gather(*(inventory.view(HOME, "a") for _ in range(50)))
        assert all(v.cluster is not None and set(v.instances) == {"a-1"} for v in views)
        assert account.count("DescribeDBClusters") == account.count("DescribeDBInstances") == 1
        began = elapsed()
        await inventory.view(HOME, "a")
        assert elapsed() == began


@virtual
async def test_an_object_reads_its_own_write() -> None:
    account = RecordedAccount()
    async with running(account, ("a",)) as (inventory, _):
        await inventory.view(HOME, "a")
        await asyncio.sleep(1)
        account.cluster("a", 1)
        written = asyncio.get_running_loop().time()
        view = await inventory.view(HOME, "a", newer_than=written)
        assert view.cluster is not None
        assert set(view.instances) == {"a-1"}
        assert min(view.cluster_read_at, view.instances_read_at) >= written
        assert asyncio.get_running_loop().time() - written < 1
        account.clusters["a"]["Status"] = "modifying"
        reads = account.count("DescribeDBInstances")
        await asyncio.sleep(0.01)
        changed = asyncio.get_running_loop().time()
        view = await inventory.view(HOME, "a", clusters_newer_than=changed)
        assert view.cluster is not None
        assert view.cluster.status == "modifying"
        assert account.count("DescribeDBInstances") == reads, "only clusters were asked for"
        account.clusters["a"]["Status"] = "available"
        fresh = await inventory.view(HOME, "a", fresh=True)
        assert fresh.cluster is not None
        assert fresh.cluster.status == "available"


@virtual
async def test_a_read_that_began_before_the_write_is_not_taken_for_an_answer() -> None:
    account = RecordedAccount()
    async with running(account, ("a",)) as (inventory, _):
        await inventory.view(HOME, "a")
        await asyncio.sleep(1)
        early = asyncio.create_task(inventory.view(HOME, "a", fresh=True))
        await asyncio.sleep(0.02)
        assert account.count("DescribeDBClusters") == 2, "it is under way"
        account.cluster("a")
        view = await inventory.view(HOME, "a", newer_than=asyncio.get_running_loop().time())
        assert view.cluster is not None
        assert (await early).cluster is None


@virtual
async def test_a_write_and_a_look_at_the_same_moment_wait_for_the_next_read() -> None:
    account = RecordedAccount()
    async with running(account, ("a",)) as (inventory, _):
        first = await inventory.view(HOME, "a")
        account.cluster("a")
        view = await inventory.view(HOME, "a", newer_than=first.cluster_read_at)
        assert view.cluster is not None


async def lives(account: RecordedAccount, inventory: Inventory, name: str, writes: int) -> None:
    """One object that writes, looks at what came of it, and hurries all the while."""
    for _ in range(writes):
        await account.call("rds", "CreateDBInstance", {}, region=HOME)
        account.cluster(name, 2)
        inventory.hurry(HOME, name, 60)
        view = await inventory.view(HOME, name, newer_than=asyncio.get_running_loop().time())
        assert view.cluster is not None
        await asyncio.sleep(1)


@virtual
async def test_sixty_clusters_made_at_once_share_their_reads_and_stay_under_six_requests_a_second() -> None:
    account = RecordedAccount()
    names = [f"c{n}" for n in range(60)]
    async with running(account, names) as (inventory, _):
        await asyncio.gather(*(lives(account, inventory, name, 8) for name in names))
        end = elapsed()
        await asyncio.sleep(120)
        assert inventory.age(HOME) < 15
    assert end < 200
    for begin in range(int(end) - 59):
        assert sum(1 for at, *_ in account.calls if begin <= at < begin + 60) <= 360
    assert account.count("DescribeDBClusters", until=end) <= end / 2 * 1.2 + 4
    assert account.count("DescribeDBInstances", until=end) <= 2 * (end / 5 * 1.2 + 4)
    assert account.count(until=end) < 60 * 4, "fewer than four reads a cluster"


@virtual
async def test_a_transition_is_read_faster_and_its_end_ends_that() -> None:
    account = RecordedAccount()
    account.cluster("a", 2)
    async with running(account, ("a", "b")) as (inventory, _):
        await asyncio.sleep(10)
        inventory.hurry(HOME, "A", 100)
        began = elapsed()
        await asyncio.sleep(100)
        assert 45 <= account.count("DescribeDBClusters", began) <= 57
        assert 18 <= account.count("DescribeDBInstances", began) <= 24
        assert 9 <= account.count("DescribeEvents", began) <= 13
        await asyncio.sleep(1)
        began = elapsed()
        await asyncio.sleep(300)
        assert account.count(since=began) <= 90
        inventory.hurry(HOME, "a", 1000)
        inventory.hurry(HOME, "b", 1000)
        inventory.hurry(HOME, "unknown", 1000)
        inventory.hurry("nowhere", "a", 1000)
        inventory.hurry(HOME, "b", 0)
        inventory.forget(key("a"))
        began = elapsed()
        await asyncio.sleep(300)
        assert account.count(since=began) <= 90, "who is gone hurries no more"


@virtual
async def test_with_many_pages_the_few_in_transition_are_read_by_name() -> None:
    account = RecordedAccount()
    for n in range(1000):
        account.cluster(f"c{n}", 2)
    names = list(account.clusters)
    async with running(account, names) as (inventory, woken):
        await asyncio.sleep(120)
        account.calls.clear()
        account.cluster("c7", 3)
        written = asyncio.get_running_loop().time()
        inventory.hurry(HOME, "c7", 60)
        view = await inventory.view(HOME, "c7", newer_than=written)
        assert set(view.instances) == {"c7-1", "c7-2", "c7-3"}
        assert asyncio.get_running_loop().time() - written < 5
        await asyncio.sleep(55)
        named = [a for a in account.asked("DescribeDBClusters") if "Filters" in a]
        assert 20 <= len(named) <= 40
        assert all(f["Values"] == ["c7"] for a in named for f in a["Filters"])
        assert set(woken.names) == {"c7"}, "the others are known as before"
        other = await inventory.view(HOME, "c8")
        assert other.cluster is not None
        assert len(other.instances) == 2
        del account.clusters["c7"]
        gone = await inventory.view(HOME, "c7", newer_than=asyncio.get_running_loop().time())
        assert gone.cluster is None


@virtual
async def test_a_thousand_clusters_in_transition_at_once_cost_two_requests_a_second() -> None:
    account = RecordedAccount()
    for n in range(1000):
        account.cluster(f"c{n}", 2)
    async with running(account, list(account.clusters)) as (inventory, _):
        await asyncio.sleep(60)
        for name in account.clusters:
            inventory.hurry(HOME, name, 1000)
        await asyncio.sleep(10)
        began = elapsed()
        await asyncio.sleep(300)
        assert account.count(since=began) <= 300 * 2.4
        assert inventory.age(HOME) < 20
        assert inventory.age(HOME, "instances") < 40


@virtual
async def test_writes_go_first_but_the_inventory_does_not_starve() -> None:
    account = RecordedAccount()
    account.cluster("a", 1)
    async with running(account, ("a",)) as (inventory, _):
        await asyncio.sleep(30)

        async def writer() -> None:
            while elapsed() < 200:
                await account.call("rds", "AddTagsToResource", {}, region=HOME)

        writers = [asyncio.create_task(writer()) for _ in range(16)]
        await asyncio.sleep(100)
        assert inventory.age(HOME) < 30
        assert account.count("DescribeDBClusters", 60, 130) < 70 / 5 + 1, "slower than without"
        await asyncio.gather(*writers)


@virtual
async def test_failing_slows_it_down_to_a_minute_and_success_brings_it_back() -> None:
    account = RecordedAccount()
    account.cluster("a", 1)
    async with running(account, ("a",)) as (inventory, woken):
        await asyncio.sleep(20)
        account.fails = lambda operation, _: DENIED if operation in READS else None
        await asyncio.sleep(600)
        began = elapsed()
        assert inventory.age(HOME) > 590
        trouble = inventory.trouble(HOME)
        assert trouble is not None
        assert trouble.reason == Reason.ACCESS_DENIED
        await asyncio.sleep(600)
        assert account.count("DescribeDBClusters", began) <= 12
        view = await inventory.view(HOME, "a")
        assert view.cluster is not None, "what was known is still known"
        with pytest.raises(Trouble, match="denies"):
            await inventory.view(HOME, "a", fresh=True)
        account.fails = lambda *_: None
        assert (await inventory.view(HOME, "a", fresh=True)).cluster is not None
        await asyncio.sleep(300)
        assert inventory.age(HOME) < 7
        assert inventory.trouble(HOME) is None
        began = elapsed()
        await asyncio.sleep(300)
        assert account.count("DescribeDBClusters", began) >= 53
        # Once by each read: the object had said that they are denied.
        assert [key.name for _, key in woken.keys] == ["a", "a"]


@virtual
async def test_after_throttling_it_comes_back_a_step_at_a_time() -> None:
    account = RecordedAccount()
    async with running(account, ("a",)) as (inventory, _):
        account.fails = lambda *_: THROTTLED
        await asyncio.sleep(600)
        account.fails = lambda *_: None
        await inventory.view(HOME, "a", fresh=True)
        began = elapsed()
        await asyncio.sleep(60)
        # At full speed it would be twelve; jitter moves one or two over the minute.
        assert 1 <= account.count("DescribeDBClusters", began) <= 8
        await asyncio.sleep(60)
        began = elapsed()
        await asyncio.sleep(60)
        assert account.count("DescribeDBClusters", began) >= 9


@virtual
async def test_a_page_that_is_throttled_in_passing_does_not_fail_the_read() -> None:
    account = RecordedAccount()
    for n in range(450):
        account.cluster(f"c{n}", 1)
    failing = {"100": 2, "300": 1}

    def fails(_: str, asked: Mapping[str, Any]) -> Trouble | None:
        marker = asked.get("Marker", "")
        failing[marker] = failing.get(marker, 0) - 1
        return THROTTLED if failing[marker] >= 0 else None

    account.fails = fails
    async with running(account, ("c449",)) as (inventory, _):
        view = await inventory.view(HOME, "c449")
        assert view.cluster is not None
        assert set(view.instances) == {"c449-1"}
        account.fails = lambda *_: THROTTLED
        with pytest.raises(Trouble, match="throttles"):
            await inventory.view(HOME, "c449", fresh=True)


@virtual
async def test_all_who_wait_hear_of_the_failure_and_one_who_left_harms_nobody() -> None:
    account = RecordedAccount()
    account.fails = lambda operation, _: DENIED if operation == "DescribeDBInstances" else None
    async with running(account, ("a",)) as (inventory, _):
        waiting = [asyncio.create_task(inventory.view(HOME, "a")) for _ in range(20)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert all(isinstance(r, Trouble) and r.meaning is Meaning.DENIED for r in results[1:])
        account.fails = lambda *_: None
        assert (await inventory.view(HOME, "a")).cluster is None


@virtual
async def test_events_come_once_with_their_cluster_and_wake_it() -> None:
    account = RecordedAccount()
    for name in ("a", "b"):
        account.cluster(name, 2)
    account.happened("a", "DB cluster created", ago=600)
    account.happened("a-2", "DB instance created", "db-instance", ago=500)
    async with running(account, ("a", "b")) as (inventory, woken):
        await asyncio.sleep(30)
        assert set(woken.names) == {"a"}, "what happened before the start is told once it is known"
        before = woken.names["a"]
        await asyncio.sleep(300)
        account.happened("b-1", "DB instance restarted", "db-instance", ago=1)
        account.happened("b", "Started cross AZ failover to DB instance: b-2")
        account.happened("rds:b-2026", "Automated snapshot created", "db-snapshot")
        account.happened("elsewhere", "DB instance restarted", "db-instance")
        await asyncio.sleep(35)
        # Late: it happened before what was read already.
        account.happened("b", "Completed failover to DB instance: b-2", ago=34)
        await asyncio.sleep(600)
        assert woken.names == {"a": before, "b": 2}
        view = await inventory.view(HOME, "b")
        assert [e.id for e in view.events] == [
            "RDS-EVENT-0006",
            rds.FAILOVER_CROSS_ZONE,
            rds.FAILOVER_COMPLETED,
        ]
        assert [e.message for e in (await inventory.view(HOME, "a")).events] == [
            "DB cluster created",
            "DB instance created",
        ]


@virtual
async def test_events_are_asked_for_from_the_latest_on_and_without_a_source() -> None:
    account = RecordedAccount()
    account.happened("a", "DB cluster created")
    rare = InventoryCycles(clusters=600, instances=600, events=300)
    async with running(account, ("a",), cycles=rare) as (inventory, _):
        await asyncio.sleep(1000)
        asked = account.asked("DescribeEvents")
        assert "StartTime" not in asked[0]
        assert asked[1]["StartTime"] == EPOCH - timedelta(minutes=5)
        assert not any("SourceIdentifier" in a or "SourceType" in a for a in asked)
        # Long after the last event AWS would refuse to go back so far.
        await asyncio.sleep(14 * 86400)
        last = account.asked("DescribeEvents")[-1]
        assert "StartTime" not in last
        assert 65 <= last["Duration"] <= 67, "an hour and what has passed since the last read"
        account.happened("a", "DB cluster stopped")
        await asyncio.sleep(400)
        assert [e.id for e in (await inventory.view(HOME, "a")).events] == ["RDS-EVENT-0170", "RDS-EVENT-0150"]


@virtual
async def test_an_endpoint_that_gives_all_events_always_is_no_harm() -> None:
    account = RecordedAccount()
    account.cluster("a", 1)
    account.happened("a", "DB cluster created", ago=9000)
    account.happened("a", "DB cluster started")
    whole = account.answer

    def answer(operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        return {"Events": list(account.events)} if operation == "DescribeEvents" else whole(operation, asked)

    account.answer = answer  # type: ignore[method-assign]
    async with running(account, ("a",)) as (inventory, woken):
        await asyncio.sleep(3600)
        assert woken.names == {"a": 1}
        assert len((await inventory.view(HOME, "a")).events) == 2


@virtual
async def test_a_changed_cluster_has_its_events_read_at_once() -> None:
    account = RecordedAccount()
    account.cluster("a", 2)
    async with running(account, ("a",)) as (inventory, _):
        await asyncio.sleep(31)
        account.clusters["a"]["Status"] = "failing-over"
        account.happened("a", "Started same AZ failover to DB instance: a-2")
        await asyncio.sleep(8)
        assert (await inventory.view(HOME, "a")).events, "not half a minute later"


@virtual
async def test_the_events_of_an_instance_that_is_gone_stay_with_its_cluster() -> None:
    account = RecordedAccount()
    account.cluster("a", 2)
    async with running(account, ("a",)) as (inventory, _):
        await asyncio.sleep(30)
        account.cluster("a", 1)
        del account.instances["a-2"]
        await asyncio.sleep(70)
        account.happened("a-2", "DB instance deleted", "db-instance")
        await asyncio.sleep(40)
        assert [e.source for e in (await inventory.view(HOME, "a")).events] == ["a-2"]


@virtual
async def test_the_event_of_an_instance_that_is_no_member_yet_wakes_its_cluster_once_it_is_known_whose_it_is() -> None:
    account = RecordedAccount()
    account.cluster("a", 1)
    async with running(account, ("a",)) as (inventory, woken):
        await asyncio.sleep(60)
        account.happened("a-2", "DB instance created", "db-instance")
        await asyncio.sleep(31)
        assert not woken.keys
        account.instance("a-2", "a", "creating")
        await asyncio.sleep(23)
        assert set(woken.names) == {"a"}
        assert [e.source for e in (await inventory.view(HOME, "a")).events] == ["a-2"]


@virtual
async def test_without_run_a_view_reads_for_itself_and_nothing_goes_on() -> None:
    account = RecordedAccount()
    account.cluster("a", 1)
    inventory = Inventory(account)  # type: ignore[arg-type]
    view = await inventory.view(HOME, "A")
    assert view.cluster is not None
    assert set(view.instances) == {"a-1"}
    before = len(account.calls)
    assert (await inventory.view(HOME, "a")).cluster == view.cluster
    assert len(account.calls) == before, "that was a moment ago"
    await asyncio.sleep(3600)
    assert len(account.calls) == before
    account.clusters.clear()
    assert (await inventory.view(HOME, "a")).cluster is None


@virtual
async def test_the_age_is_that_of_the_last_good_read() -> None:
    from penstock.engine import metrics

    account = RecordedAccount()
    async with running(account, ("a",)) as (inventory, _):
        assert inventory.age("eu-west-1") == 0
        await asyncio.sleep(100)
        account.fails = lambda operation, _: DENIED if operation == "DescribeEvents" else None
        await asyncio.sleep(100)
        metrics.INVENTORY_AGE.clear()
        inventory.measure()
        told = {s.labels["read"]: s.value for s in metrics.INVENTORY_AGE.collect()[0].samples}
        assert set(told) == {"clusters", "instances", "events"}
        assert told["clusters"] < 6 < 23 < 90 < told["events"]
        assert told["clusters"] == inventory.age(HOME)
        inventory.forget(key("a"))
        metrics.INVENTORY_AGE.clear()
        inventory.measure()
        assert not metrics.INVENTORY_AGE.collect()[0].samples


@virtual
async def test_an_answer_that_cannot_be_read_fails_its_region_and_nothing_else() -> None:
    account = RecordedAccount()
    account.cluster("a", 1)
    inventory = Inventory(account)  # type: ignore[arg-type]
    inventory.watches(key("a"), HOME, "a")
    inventory.watches(key("b"), "eu-west-1", "b")
    run = asyncio.create_task(inventory.run(Woken()))
    await asyncio.sleep(10)

    works = account.call

    async def breaks(service: str, operation: str, *more: Any, **named: Any) -> dict[str, Any]:
        if operation == "DescribeDBClusters" and named["region"] == HOME:
            raise RuntimeError("a defect")
        return await works(service, operation, *more, **named)

    account.call = breaks  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError, match="a defect"):
        await inventory.view(HOME, "a", fresh=True)
    await asyncio.sleep(200)
    assert not run.done()
    assert inventory.age("eu-west-1") < 10 < 150 < inventory.age(HOME)
    trouble = inventory.trouble(HOME)
    assert trouble is not None
    assert "a defect" in trouble.sentence
    account.call = works  # type: ignore[method-assign]
    await asyncio.sleep(70)
    assert inventory.age(HOME) < 10
    assert inventory.trouble(HOME) is None
    run.cancel()


def event_bridge(region: str) -> str:
    detail = {"EventID": "RDS-EVENT-0071", "SourceIdentifier": "a"}
    return json.dumps({"source": "aws.rds", "detail-type": "RDS DB Cluster Event", "region": region, "detail": detail})


@virtual
async def test_a_message_has_its_region_read_now_and_is_deleted() -> None:
    account = RecordedAccount()
    account.cluster("a", 1)
    async with running(account, ("a",), QUEUE) as (_, woken):
        await asyncio.sleep(101)
        account.clusters["a"]["Status"] = "failing-over"
        account.messages = [
            {"Body": event_bridge(HOME), "ReceiptHandle": "1"},
            {"Body": event_bridge("ap-south-1"), "ReceiptHandle": "2"},
            {"Body": "no JSON", "ReceiptHandle": "3"},
            {"Body": "[]", "ReceiptHandle": "4"},
            {},
        ]
        while account.messages:
            await asyncio.sleep(0.1)
        began = elapsed()
        await asyncio.sleep(1)
        assert {n for at, n, *_ in account.calls if began - 0.1 <= at} >= set(READS)
        assert woken.names == {"a": 1}
        deleted = account.asked("DeleteMessageBatch")
        assert [e["ReceiptHandle"] for d in deleted for e in d["Entries"]] == ["1", "2", "3", "4"]
        regions = {region for _, operation, _, region, _ in account.calls if operation not in READS}
        assert regions == {"eu-west-1"}


@virtual
async def test_a_flood_of_messages_is_a_few_reads() -> None:
    account = RecordedAccount()
    account.cluster("a", 1)
    async with running(account, ("a",), QUEUE):
        await asyncio.sleep(60)
        account.messages = [{"Body": event_bridge(HOME), "ReceiptHandle": str(n)} for n in range(3000)]
        began = elapsed()
        await asyncio.sleep(40)
        assert not account.messages
        assert account.count("DescribeDBClusters", began) <= 26


@virtual
async def test_a_queue_that_cannot_be_read_is_asked_ever_less_often() -> None:
    account = RecordedAccount()
    account.fails = lambda operation, _: DENIED if operation == "ReceiveMessage" else None
    account.messages = [{"Body": "x"}] * 1000
    async with running(account, ("a",), QUEUE) as (inventory, _):
        await asyncio.sleep(3600)
        assert len(account.asked("ReceiveMessage")) < 70
        assert inventory.age(HOME) < 6


@pytest.mark.parametrize(
    ("body", "region"),
    [
        (event_bridge("eu-west-1"), "eu-west-1"),
        (json.dumps({"TopicArn": "t", "Message": event_bridge("eu-west-1")}), "eu-west-1"),
        (json.dumps({"Event Source": "db-cluster", "Source ARN": "arn:aws:rds:eu-west-1:1:cluster:a"}), "eu-west-1"),
        (json.dumps({"source": "aws.s3", "region": "eu-west-1"}), None),
        (json.dumps({"source": "aws.rds", "region": 5}), None),
        (json.dumps({"source": "aws.rds"}), None),
        (json.dumps({"Source ARN": "arn:aws:s3:eu-west-1:1:x:y"}), None),
        (json.dumps({"TopicArn": "t", "Message": "hello"}), None),
        ("", None),
        ("{", None),
        ("null", None),
    ],
)
def test_the_region_of_a_message(body: str, region: str | None) -> None:
    assert region_of(body) == region


@pytest.mark.parametrize(
    ("url", "region"),
    [
        (QUEUE, "eu-west-1"),
        ("https://eu-west-1.queue.amazonaws.com/1/q", "eu-west-1"),
        ("http://127.0.0.1:4566/123456789012/q", "us-east-1"),
    ],
)
def test_the_region_of_a_queue(url: str, region: str) -> None:
    assert queue_region(url, "us-east-1") == region
