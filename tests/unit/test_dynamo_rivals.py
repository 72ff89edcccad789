"""Several objects and one name: whatever the moment, at most one has the table, and the others write nothing to it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from typing import Any

import pytest
from dynamo_model import Aws
from dynamo_specs import examples, specs
from dynamo_world import ModelAccount, manifest
from engine_harness import Bench, operating
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import now, virtual

from penstock.api.meta import OWNER_TAG
from penstock.dynamo.inventory import InventoryCycles
from penstock.dynamo.kind import NAME, RESOURCE, DynamoTables
from penstock.dynamo.state import Desired
from penstock.engine.owners import owner
from penstock.engine.plan import Step

_READS = ("Describe", "List", "Get")
_MAKES = ("CreateTable", "RestoreTableFromBackup", "RestoreTableToPointInTime")
_WRITER: ContextVar[Desired | None] = ContextVar("writer", default=None)
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"


class Watched(DynamoTables):
    """Says on whose behalf AWS is asked."""

    async def act(self, desired: Desired, step: Step) -> str | None:
        token = _WRITER.set(desired)
        try:
            return await super().act(desired, step)
        finally:
            _WRITER.reset(token)


class Rivals:
    """One account; operators of two Kubernetes clusters, with objects that all name the table orders.

    wrong: writes that reached a table which is not the writer's.
    """

    def __init__(self) -> None:
        self.aws = Aws(clock=now)
        self.aws.keys = {"alias/orders": "Enabled", "alias/aws/dynamodb": "Enabled"}
        self.wrong: list[str] = []
        self.made: dict[str, str] = {}
        self.aws.faults.append(self._judge)
        self.benches = [self._bench(f"cluster-{n}") for n in (1, 2)]

    def _bench(self, cluster: str) -> Bench:
        kind = Watched(ModelAccount(self.aws), cluster, inventory=InventoryCycles(few=1))  # type: ignore[arg-type]
        kind._observer.clock = kind._actor.clock = now
        bench = Bench([kind], None, 4, RESOURCE)
        bench.cluster_id = cluster  # type: ignore[attr-defined]
        return bench

    def _judge(self, operation: str, parameters: Mapping[str, Any]) -> None:
        """Called before AWS carries the request out."""
        desired, table = _WRITER.get(), self.aws.tables.get("orders")
        if desired is None or table is None or operation.startswith(_READS) or operation in _MAKES:
            return
        tag = table.tags.get(OWNER_TAG, "")
        if tag == desired.owner:
            return
        marks = operation == "TagResource" and {t["Key"] for t in parameters["Tags"]} == {OWNER_TAG}
        # AWS compares nothing when it tags, so of operators that do not know each other both may mark within milliseconds.
        rival = tag.split("/")[0] != desired.owner.split("/")[0] and self.marked == float(
            asyncio.get_running_loop().time()
        )
        if marks and desired.spec.adopt and (not tag or rival):
            return
        if desired.status.table_id == table.id and not tag:
            return
        self.wrong.append(f"{desired.owner}: {operation} {dict(parameters)} of a table of {tag!r}")

    marked = -1.0

    def owner(self, bench: Bench, name: str) -> str:
        return owner(bench.cluster_id, NAME, bench.get(name))  # type: ignore[attr-defined]

    def ready(self) -> list[str]:
        return [
            self.owner(bench, name)
            for bench in self.benches
            for (plural, _, name) in list(bench.cluster.objects)
            if plural == RESOURCE.plural and bench.ready(name)
        ]


def stranger(aws: Aws, tags: Mapping[str, str]) -> None:
    """A table that somebody made by hand, with autoscaling of the console."""
    aws.call(
        "dynamodb",
        "CreateTable",
        {
            "TableName": "orders",
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "N"},
            ],
            "Tags": [{"Key": k, "Value": v} for k, v in tags.items()],
        },
    )
    tracking = {
        "TargetValue": 50.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
    }
    aws.targets["table/orders", "dynamodb:table:ReadCapacityUnits"] = {
        "MinCapacity": 1,
        "MaxCapacity": 9,
        "policies": {"theirs": tracking},
    }


def state(aws: Aws) -> Any:
    table = aws.tables.get("orders")
    return copy.deepcopy((table and vars(table), aws.targets, aws.backups))


CLAIMANT = st.tuples(st.integers(0, 1), specs(), st.booleans(), st.sampled_from([0.0, 0.0, 0.02, 1.0, 4.0, 9.0]))


@given(
    st.lists(CLAIMANT, min_size=2, max_size=3),
    st.sampled_from([None, {}, {"team": "theirs"}, {OWNER_TAG: "elsewhere/shop/DynamoTable/orders/1234"}]),
    st.sampled_from(["Retain", "Delete", "Snapshot"]),
)
@examples(25)
def test_of_objects_that_name_one_table_at_most_one_has_it(
    claimants: list[tuple[int, dict[str, Any], bool, float]], theirs: dict[str, str] | None, policy: str
) -> None:
    @virtual
    async def scenario() -> None:
        rivals = Rivals()
        if theirs is not None:
            stranger(rivals.aws, theirs)
        before = state(rivals.aws)
        async with AsyncExitStack() as stack:
            for bench in rivals.benches:
                await stack.enter_async_context(operating(bench))
            for number, (where, spec, adopt, pause) in enumerate(claimants):
                wanted = manifest(spec, tableName="orders", adopt=adopt, deletionPolicy=policy)["spec"]
                rivals.benches[where].create(f"claimant-{number}", {**wanted, "deletionProtection": False})
                await asyncio.sleep(pause)
            await asyncio.sleep(300)
            assert rivals.wrong == []
            ready = rivals.ready()
            assert len(ready) <= 1
            tag = rivals.aws.tables["orders"].tags.get(OWNER_TAG, "") if "orders" in rivals.aws.tables else ""
            assert not ready or ready == [tag]
            if theirs is not None and (OWNER_TAG in theirs or not any(adopt for _, _, adopt, _ in claimants)):
                after = state(rivals.aws)
                assert after[0]["tags"] == before[0]["tags"]
                assert (after[1], after[2]) == (before[1], before[2])
            # Whoever lost goes first: nothing of the winner's goes along. Then the winner.
            for bench in rivals.benches:
                for plural, _, name in list(bench.cluster.objects):
                    if plural == RESOURCE.plural and rivals.owner(bench, name) != tag:
                        held = state(rivals.aws)
                        bench.delete(name)
                        await asyncio.sleep(60)
                        if ready:
                            assert state(rivals.aws) == held
            assert rivals.wrong == []
            if ready:
                assert rivals.ready() == ready

    scenario()


@pytest.mark.parametrize("clusters", [(0, 0), (0, 1)])
@pytest.mark.parametrize("adopt", [False, True])
def test_after_a_winner_that_retains_its_table_only_adoption_gives_it_to_the_loser(
    clusters: tuple[int, int], adopt: bool
) -> None:
    @virtual
    async def scenario() -> None:
        rivals = Rivals()
        async with AsyncExitStack() as stack:
            for bench in rivals.benches:
                await stack.enter_async_context(operating(bench))
            spec = manifest(tableName="orders", deletionPolicy="Retain")["spec"]
            for number, where in enumerate(clusters):
                rivals.benches[where].create(f"claimant-{number}", {**spec, "tags": {"by": str(number)}})
            await asyncio.sleep(120)
            tag = rivals.aws.tables["orders"].tags[OWNER_TAG]
            winner = int(tag.rsplit("/", 2)[1][-1])
            loser, its = 1 - winner, rivals.benches[clusters[1 - winner]]
            assert its.condition(f"claimant-{loser}")[1] == "NotOwned"
            rivals.benches[clusters[winner]].delete(f"claimant-{winner}")
            await asyncio.sleep(300)
            assert its.condition(f"claimant-{loser}")[1] == "AlreadyExists"
            assert rivals.aws.tables["orders"].tags["by"] == str(winner)
            if adopt:
                its.set_spec(f"claimant-{loser}", **spec, tags={"by": str(loser)}, adopt=True)
                await asyncio.sleep(300)
                assert its.ready(f"claimant-{loser}")
                assert rivals.aws.tables["orders"].tags["by"] == str(loser)
            assert rivals.wrong == []

    scenario()


@pytest.mark.parametrize("clusters", [(0, 0), (0, 1)])
def test_of_two_that_restore_into_one_name_the_one_whose_restore_aws_took_has_it(clusters: tuple[int, int]) -> None:
    @virtual
    async def scenario() -> None:
        rivals = Rivals()
        async with AsyncExitStack() as stack:
            for bench in rivals.benches:
                await stack.enter_async_context(operating(bench))
            rivals.benches[0].create("source", manifest(tableName="source", pointInTimeRecovery={})["spec"])
            await asyncio.sleep(60)
            spec = manifest(tableName="orders", restoreFrom={"tableName": "source"})["spec"]
            for number, where in enumerate(clusters):
                rivals.benches[where].create(f"claimant-{number}", {**spec, "tags": {"by": str(number)}})
            await asyncio.sleep(300)
            assert rivals.wrong == []
            names = [f"claimant-{n}" for n in (0, 1)]
            conditions = [rivals.benches[w].condition(n) for n, w in zip(names, clusters, strict=True)]
            assert sorted(c[0] for c in conditions) == ["False", "True"]
            winner = [c[0] for c in conditions].index("True")
            assert rivals.aws.tables["orders"].tags["by"] == str(winner)
            assert conditions[1 - winner][1] in ("NotOwned", "AlreadyExists")
            rivals.benches[clusters[1 - winner]].delete(names[1 - winner])
            await asyncio.sleep(60)
            assert rivals.benches[clusters[winner]].ready(names[winner])

    scenario()


@pytest.mark.parametrize("clusters", [(0, 0), (0, 1)])
@pytest.mark.parametrize("apart", [0.0, 0.005, 0.01, 0.03, 1.0, 3.0])
def test_of_two_that_take_over_one_table_at_the_same_moment_one_has_it(clusters: tuple[int, int], apart: float) -> None:
    @virtual
    async def scenario() -> None:
        rivals = Rivals()
        stranger(rivals.aws, {"team": "theirs"})
        targets = copy.deepcopy(rivals.aws.targets)
        async with AsyncExitStack() as stack:
            for bench in rivals.benches:
                await stack.enter_async_context(operating(bench))
            await asyncio.sleep(30)
            for number, where in enumerate(clusters):
                spec = manifest(tableName="orders", adopt=True, tags={f"by-{number}": "x"})["spec"]
                rivals.benches[where].create(f"claimant-{number}", spec)
                await asyncio.sleep(apart)
            await asyncio.sleep(1500)
            names = [f"claimant-{n}" for n in (0, 1)]
            conditions = [rivals.benches[w].condition(n) for n, w in zip(names, clusters, strict=True)]
            assert sorted(c[0] for c in conditions) == ["False", "True"], conditions
            winner = [c[0] for c in conditions].index("True")
            tags = rivals.aws.tables["orders"].tags
            assert set(tags) == {OWNER_TAG, "team", f"by-{winner}"}, "the loser left nothing"
            assert tags[OWNER_TAG] == rivals.owner(rivals.benches[clusters[winner]], names[winner])
            assert conditions[1 - winner][1] == "NotOwned"
            assert rivals.aws.targets == targets

    scenario()
