"""Which databases are asked: through stops, broken states, and edits of the spec."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from aurora_world import settled, spec

from penstock.api.auroracluster import AuroraClusterSpec
from penstock.aurora import states
from penstock.aurora.credentials import CredentialReader
from penstock.aurora.inventory import Inventory
from penstock.aurora.watching import Watching
from penstock.engine.kind import Key, Report

KEY = Key("AuroraCluster", "shop", "ledger")
SERVES: dict[str, Any] = {"status": "available"}


async def asks(*states_: dict[str, Any], probe: tuple[bool, ...] = ()) -> tuple[bool, str]:
    """Whether a task asks the database when its cluster was in these states one after the other, and why not."""
    operator = settled()
    watching = Watching(cast("Inventory", None), cast("CredentialReader", object()), "")
    running = asyncio.create_task(watching.run(lambda _: None))
    await asyncio.sleep(0)
    enabled = probe or (True,) * len(states_)
    for state, on in zip(states_, enabled, strict=True):
        wanted = AuroraClusterSpec.model_validate(spec(probe={"enabled": on}))
        desired = replace(operator.desired, spec=wanted)
        observed = operator.observe()
        cluster = replace(observed.cluster, endpoint="ledger.example", port=5432, **state)
        instances = {name: replace(i, host=f"{name}.example") for name, i in observed.instances.items()}
        observed = replace(observed, cluster=cluster, instances=instances)
        fields = {"resourceId": cluster.resource_id}
        watching.add(KEY, Report((), fields=fields), {"status": {}}, desired, observed, operator.now)
        await asyncio.sleep(0)
    found = any(task.get_name() == f"probe-{KEY}" for task in asyncio.all_tasks())
    off = watching._prober.picture(KEY).off
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return found, off


@pytest.mark.parametrize("state", ["stopping", "stopped", "starting", *states.BROKEN])
def test_a_database_is_asked_again_once_its_cluster_is_available_again(state):
    assert asyncio.run(asks(SERVES, {"status": state})) == (False, f"The cluster is {state}.")
    assert asyncio.run(asks(SERVES, {"status": state}, SERVES)) == (True, "")


def test_a_probe_that_is_switched_off_and_on_asks():
    assert asyncio.run(asks(SERVES, SERVES, probe=(True, False))) == (False, "spec.probe.enabled is false.")
    assert asyncio.run(asks(SERVES, SERVES, SERVES, probe=(True, False, True))) == (True, "")
