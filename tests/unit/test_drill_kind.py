"""A drill as the loop hands it over: what is wrong with it, and a run that goes on all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from drill_world import desired, run, subject

from penstock.api.failoverdrill_status import Run, Verdict
from penstock.drill.kind import FailoverDrills
from penstock.drill.trial import Surroundings, Trial
from penstock.engine.kind import Invalid
from penstock.proof.drillbook import DrillBook


def drills() -> FailoverDrills:
    nobody: Any = None
    return FailoverDrills(nobody, nobody, DrillBook())


def manifest(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "FailoverDrill",
        "metadata": {
            "name": "weekly",
            "namespace": "shop",
            "uid": "d1",
            "creationTimestamp": "2026-10-01T00:00:00Z",
        },
        "spec": {"clusterRef": {"name": "ledger"}, **spec},
        "status": status or {},
    }


@pytest.mark.parametrize("spec", [{"schedule": "0 0 31 2 *"}, {"schedule": "0 4 * * 0", "timezone": "Mars/Phobos"}])
def test_a_schedule_that_never_comes_is_invalid_once_no_run_goes_on(spec: dict[str, str]) -> None:
    with pytest.raises(Invalid, match=r"spec\.schedule"):
        drills().desired(manifest(**spec))
    going_on = drills().desired(manifest({"run": run()}, **spec))
    assert going_on.status.run is not None
    assert going_on.schedule is None


def test_a_run_whose_task_ended_is_aborted_and_cleaned_up() -> None:
    # A read that it shares with others may be cancelled: it would run for ever, and no other drill of the cluster would.
    async def cancelled(*_: Any) -> Any:
        raise asyncio.CancelledError

    async def result() -> Any:
        around = Surroundings(cancelled, cancelled, cancelled, lambda _: None, lambda: None)
        trial = Trial(Run.model_validate(run()), desired().spec, "penstock_drill_r1", subject(), around)
        assert trial.going.result is None
        trial.start()
        await asyncio.sleep(0.1)
        return trial.going.result

    ended = asyncio.run(result())
    assert ended is not None
    assert (ended.report.verdict, ended.clean) == (Verdict.ABORTED, False)
