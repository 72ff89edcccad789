"""`penstock advise`: what fits a budget before anything exists, with its exit status and with a sentence for whatever is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from penstock.cli import main

HA: dict[str, Any] = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "AuroraCluster",
    "metadata": {"name": "lab"},
    "spec": {
        "engine": {"type": "AuroraPostgreSQL", "version": "16.6"},
        "instances": {"class": "db.t4g.medium", "readers": 1},
        "objectives": {"availability": "99.99", "failover": "59s"},
        "cost": {"expectedUsage": {"storage": "20Gi", "ioPerSecond": 2}},
    },
}


def run(tmp_path: Path, manifest: dict[str, Any] | str, *options: str) -> Result:
    file = tmp_path / "manifest.yaml"
    file.write_text(manifest if isinstance(manifest, str) else yaml.safe_dump(manifest))
    return CliRunner().invoke(main, ["advise", "-f", str(file), "--region", "us-east-1", *options])


def changed(**spec: Any) -> dict[str, Any]:
    return {**HA, "spec": {**HA["spec"], **spec}}


def orders(**spec: Any) -> dict[str, Any]:
    """A table."""
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "DynamoTable",
        "metadata": {"name": "orders"},
        "spec": {"key": {"partition": {"name": "id", "type": "String"}}, **spec},
    }


def test_none_fits_and_what_gives(tmp_path: Path) -> None:
    found = run(tmp_path, HA, "--budget", "80", "--storage-budget", "20")
    assert found.exit_code == 3, found.output
    out = found.output
    assert "asked for   availability 99.99 %, failover 59s, $80.00 a month, $20.00 a month for storage" in out
    assert "declared    2 × db.t4g.medium, $109.63 a month: it is $29.63 over the budget of $80.00" in out
    assert "2 × 0.5 ACUs × 0.12 × 730 h = 87.60" in out
    assert "20 GiB × 0.1 = 2.00" in out
    assert "A budget of $90.65 instead of $80.00" in out
    assert "fits if each instance has at most 0.43 ACUs on average" in out
    assert "Without these objectives: 1 × db.serverless, 0.5–2 ACUs, $46.85 a month, fits." in out


def test_what_fits_is_a_table_and_json(tmp_path: Path) -> None:
    usage = {"expectedUsage": {"storage": "20Gi", "ioPerSecond": 2, "averageCapacity": 0.4}}
    text = run(tmp_path, changed(cost=usage), "--budget", "80")
    assert text.exit_code == 0, text.output
    assert "2 × db.serverless, 0–2 ACUs, pausing" in text.output
    found = run(tmp_path, changed(cost=usage), "--budget", "80", "-o", "json")
    (answer,) = json.loads(found.output)
    (fits,) = answer["fits"]
    assert (fits["monthly"], fits["left"]) == ("73.13", "6.87")
    assert fits["patch"]["spec"]["instances"]["serverless"] == {"minCapacity": 0, "maxCapacity": 2, "autoPause": "10m"}
    assert fits["checked"][0] == "availability 99.99 %: 1 reader in other zones"


def test_a_promise_to_connect_forbids_pauses(tmp_path: Path) -> None:
    usage = {"expectedUsage": {"averageCapacity": 0.4}}
    objectives = {**HA["spec"]["objectives"], "connect": "500ms"}
    found = run(tmp_path, changed(cost=usage, objectives=objectives), "--budget", "80")
    assert found.exit_code == 3
    assert "Without connect 500ms: 2 × db.serverless, 0–2 ACUs, pausing" in found.output


def test_the_budget_of_the_manifest_counts(tmp_path: Path) -> None:
    assert run(tmp_path, changed(cost={"monthlyBudget": "80"})).exit_code == 3
    assert run(tmp_path, changed(cost={"monthlyBudget": "200"})).exit_code == 0
    assert run(tmp_path, changed(cost={"monthlyBudget": "80"}), "--budget", "200").exit_code == 0


def test_what_no_region_promises(tmp_path: Path) -> None:
    found = run(tmp_path, changed(objectives={"availability": "99.999"}), "--budget", "1000")
    assert found.exit_code == 3
    assert "availability 99.999 % is more than Aurora promises in one region" in found.output
    assert "Without availability 99.999 %" in found.output


def test_what_only_a_measurement_shows_is_not_called_kept(tmp_path: Path) -> None:
    asked = {"failover": "1ms", "replicaLag": "5ms", "connect": "1ms"}
    found = run(tmp_path, changed(objectives=asked), "--budget", "800")
    told = "AWS promises failover 1ms, replicaLag 5ms, connect 1ms for no shape: whether a shape keeps it"
    assert told in found.output
    (answer,) = json.loads(run(tmp_path, changed(objectives=asked), "--budget", "800", "-o", "json").output)
    checked = answer["fits"][0]["checked"]
    assert "failover 1ms: 1 reader in other zones; whether it is kept only a drill shows" in checked
    assert "replicaLag 5ms: 1 reader; whether it is kept only the probe shows" in checked


def test_a_point_of_recovery_that_no_cluster_has(tmp_path: Path) -> None:
    found = run(tmp_path, changed(objectives={"recoveryPoint": "1m"}), "--budget", "800")
    assert found.exit_code == 3
    assert "recoveryPoint 1m is less than any cluster has: Aurora restores up to about five minutes ago" in found.output
    assert "Without recoveryPoint 1m: 1 × db." in found.output


def test_hours_that_cannot_be_are_told_of_a_table_too(tmp_path: Path) -> None:
    capacity = {"mode": "Provisioned", "read": {"units": 9}, "write": {"units": 9}}
    hours = {"schedule": "0 20 31 2 *", "wake": "0 7 * * *"}
    found = run(tmp_path, orders(capacity=capacity, hibernation=hours))
    assert found.exit_code == 1
    assert "spec.hibernation.schedule: '0 20 31 2 *' is no time that comes" in found.output


def test_too_much_storage(tmp_path: Path) -> None:
    found = run(tmp_path, changed(cost={"expectedUsage": {"storage": "500Gi"}}), "--storage-budget", "20")
    assert found.exit_code == 3
    assert "Storage: 500 GiB × 0.1 = 50.00, $30.00 too much." in found.output


def test_nights_off_when_nothing_forbids_them(tmp_path: Path) -> None:
    found = run(tmp_path, changed(objectives={"failover": "60s"}), "--budget", "60")
    assert found.exit_code == 3
    assert "Stopped at night and on weekends: 2 × db.serverless" in found.output


def test_a_table(tmp_path: Path) -> None:
    usage = {"readsPerSecond": 70, "writesPerSecond": 35}
    table = orders(cost={"expectedUsage": usage})
    found = run(tmp_path, table, "--budget", "50")
    assert found.exit_code == 0, found.output
    # 70 and 35 units a second are 70 % of 100 and 50: (100 × 0.00013 + 50 × 0.00065) × 730.
    assert "provisioned with 100 reads and 50 writes" in found.output
    assert "33.22" in found.output
    assert run(tmp_path, table, "--budget", "10").exit_code == 3


@pytest.mark.parametrize(
    ("manifest", "options", "status", "says"),
    [
        ("a: [", (), 1, "is no YAML"),
        ("kind: ConfigMap\nmetadata: {name: x}", (), 1, "holds no DynamoTable or AuroraCluster"),
        (changed(instances={"readers": 99}), (), 1, "spec.instances.readers"),
        (
            changed(hibernation={"schedule": "0 20 * * *", "wake": "0 7 * * *", "timezone": "Mars/Base"}),
            (),
            1,
            "Mars/Base",
        ),
        (changed(region="eu-central-1"), (), 1, "No prices of eu-central-1 are known"),
        (
            changed(instances={"class": "db.r6i.large", "readers": 1}),
            ("--budget", "1"),
            3,
            "no price of 2 × db.r6i.large",
        ),
        (HA, ("--budget", "80EUR"), 2, "write digits alone"),
        (HA, ("--budget", "-5"), 2, "is no amount of US dollars"),
        (HA, ("--budget", "1e400"), 2, "is no amount of US dollars"),
        (HA, ("-o", "xml"), 2, "'xml' is not one of"),
    ],
)
def test_what_is_wrong_gets_a_sentence(
    tmp_path: Path, manifest: dict[str, Any] | str, options: tuple[str, ...], status: int, says: str
) -> None:
    found = run(tmp_path, manifest, *options)
    assert found.exit_code == status, found.output
    assert says in found.output
    assert "Traceback" not in found.output
