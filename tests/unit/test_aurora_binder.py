"""What the connection Secret costs the API server, and what becomes of it: against an API server in memory."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest
from aurora_world import NAME, OWNER, Operator
from fake_kube import FakeKube
from virtual_time import virtual

from penstock.api.auroracluster_status import BindingStatus
from penstock.api.meta import OWNER_TAG
from penstock.aurora import binding
from penstock.aurora.binder import READ_EVERY, Binder
from penstock.aurora.credentials import Credentials
from penstock.aurora.memory import Memory
from penstock.aurora.password import SECRETS
from penstock.aurora.state import Binding, Observed, Proof, Stand
from penstock.aws.rds import Cluster, Instance, Member
from penstock.engine.kind import Look

CLUSTER = Cluster(
    NAME,
    status="available",
    endpoint="w.example.com",
    reader_endpoint="r.example.com",
    port=5432,
    members=(Member(f"{NAME}-1", writer=True),),
    tags={OWNER_TAG: OWNER},
)
OBSERVED = Observed(CLUSTER, {f"{NAME}-1": Instance(f"{NAME}-1", status="available")})


class World:
    """A cluster that serves, whose password logs in; and what the operator remembers of it."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.password = "first-password"
        self.desired = Operator().desired
        self.memory = Memory()
        self.binder = Binder(self.kube, self, self, self, "")  # type: ignore[arg-type]

    async def read(self, *_: Any, **__: Any) -> Credentials:
        return Credentials("postgres", self.password, self.password, "a test")

    def events(self, *_: Any) -> tuple[()]:
        return ()

    def proof(self, *_: Any, **__: Any) -> tuple[Proof, float]:
        return Proof(True), 300.0

    async def look(self, *, fresh: bool = False) -> Binding:
        found = await self.binder.look(self.desired, OBSERVED, self.memory, Look(fresh=fresh))
        assert found is not None
        return found

    async def act(self, found: Binding) -> str | None:
        (step,) = binding.plan(self.desired, found)[0]
        written = await self.binder.act(self.desired, self.memory, step)
        if written is not None:
            status = self.desired.status.model_copy(update={"binding": BindingStatus(name="ledger-binding")})
            self.desired = replace(self.desired, status=status)
        return written

    @property
    def verbs(self) -> list[str]:
        return [sent[0] for sent in self.kube.sent]

    @property
    def secret(self) -> dict[str, Any]:
        return self.kube.cluster.get(SECRETS, "shop", "ledger-binding")


@virtual
async def test_a_secret_costs_one_write_and_then_a_look_now_and_then() -> None:
    world = World()
    assert await world.act(await world.look()) is not None
    assert world.verbs == ["POST"], "a first one is made without a look"
    for _ in range(10):
        assert (await world.look()).current
        await asyncio.sleep(READ_EVERY / 2)
    assert set(world.verbs[1:]) == {"GET"}
    assert len(world.verbs) - 1 <= 5
    world.password = "second-password"
    found = await world.look()
    assert found.changed == ("password", "reader-uri", "uri")
    assert not found.edited
    version = world.secret["metadata"]["resourceVersion"]
    assert await world.act(found) is not None
    assert world.secret["metadata"]["resourceVersion"] != version
    assert base64.b64decode(world.secret["data"]["password"]) == b"second-password"
    assert (await world.look()).current


@virtual
async def test_what_was_there_before_the_first_look_is_left_alone() -> None:
    world = World()
    world.kube.cluster.create(SECRETS, "shop", {"metadata": {"name": "ledger-binding"}, "data": {"host": ""}})
    theirs = world.secret
    assert await world.act(await world.look()) is None, "the API server refuses a second one"
    found = await world.look()
    assert found.stand is Stand.FOREIGN
    assert not binding.plan(world.desired, found)[0]
    await asyncio.sleep(READ_EVERY)
    assert (await world.look()).stand is Stand.FOREIGN
    assert world.secret == theirs


@virtual
async def test_an_edit_between_look_and_write_is_seen_first() -> None:
    world = World()
    await world.act(await world.look())
    world.password = "second-password"
    found = await world.look()
    secret = world.secret
    world.kube.cluster.replace(
        SECRETS, "shop", "ledger-binding", {**secret, "data": {**secret["data"], "host": "eA=="}}
    )
    assert await world.act(found) is None, "it was not as it was seen"
    again = await world.look()
    assert (again.edited, "host" in again.changed) == (True, True)
    assert await world.act(again) is not None
    assert (await world.look()).current


@pytest.mark.parametrize("change", [{"status": "stopped"}, {"tags": {}}, {"endpoint": ""}])
@virtual
async def test_without_a_cluster_of_ours_that_serves_nothing_is_asked(change: dict[str, Any]) -> None:
    world = World()
    observed = replace(OBSERVED, cluster=replace(CLUSTER, **change))
    assert await world.binder.look(world.desired, observed, world.memory, Look()) is None
    assert world.verbs == []
