"""A drill as the loop hands it over: what is wrong with it, and a run that goes on all the same."""

from __future__ import annotations

from typing import Any

import pytest
from drill_world import run

from penstock.drill.kind import FailoverDrills
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
