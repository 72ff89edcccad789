"""`penstock cost`: what objects tell of their cost, by namespace and kind or by a label, as a table, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock import costs
from penstock.cli import main
from penstock.engine.kube import Kube, KubeError, Resource


def obj(name: str, namespace: str, team: str, monthly: str | None, *, basis: str = "Estimate", budget: str = "") -> Any:
    told = {"monthlyEstimate": monthly, "basis": basis, "priceSource": "Bundled 2026-11-23"}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"team": team}},
        "spec": {"cost": {"monthlyBudget": budget}} if budget else {},
        "status": {"cost": told} if monthly is not None else {},
    }


class Listing(Kube):
    """An API server that lists what it has, an object a page."""

    def __init__(self, objects: dict[str, list[Any]]) -> None:
        self.objects = objects

    async def close(self) -> None:
        return

    async def request(self, verb: str, resource: Resource, namespace: str = "", name: str = "", **more: Any) -> Any:
        if resource.plural not in self.objects:
            raise KubeError(404, "Not Found", "the server could not find the requested resource")
        found = [o for o in self.objects[resource.plural] if namespace in ("", o["metadata"]["namespace"])]
        at = int(more["query"].get("continue", 0))
        after = {"continue": str(at + 1)} if at + 1 < len(found) else {}
        return {"items": found[at : at + 1], "metadata": after}


def serving(monkeypatch: pytest.MonkeyPatch, objects: dict[str, list[Any]]) -> None:
    async def connect() -> Kube:
        return Listing(objects)

    monkeypatch.setattr(Kube, "connect", connect)


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API server with a table and a cluster of one team, and a table of another that no pass has looked at."""
    serving(
        monkeypatch,
        {
            "dynamotables": [obj("orders", "shop", "a", "20.10", budget="20"), obj("new", "lab", "b", None)],
            "auroraclusters": [obj("ledger", "shop", "a", "106.58", basis="Partial")],
        },
    )


def asked(*options: str) -> Result:
    return CliRunner().invoke(main, ["cost", *options])


@pytest.mark.usefixtures("kube")
def test_the_table_sums_by_namespace_and_kind_and_says_what_lacks() -> None:
    done = asked()
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.output.splitlines()]
    assert rows[0] == ["NAMESPACE", "KIND", "NAME", "USD/MONTH", "BUDGET", "BASIS"]
    assert rows[1] == ["lab", "DynamoTable", "new", "unknown"]
    assert rows[2] == ["shop", "AuroraCluster", "ledger", "106.58", "Partial"]
    assert rows[3] == ["shop", "DynamoTable", "orders", "20.10", "20", "Estimate"]
    assert rows[4] == ["total", "126.68"]
    assert "2 of 3 lack a price" in done.output
    assert "\x1b" not in done.output


@pytest.mark.usefixtures("kube")
def test_csv_has_an_object_a_line() -> None:
    rows = list(csv.DictReader(io.StringIO(asked("-o", "csv", "-n", "shop").output)))
    assert [(r["name"], r["monthlyEstimate"], r["basis"]) for r in rows] == [
        ("ledger", "106.58", "Partial"),
        ("orders", "20.10", "Estimate"),
    ]


@pytest.mark.usefixtures("kube")
def test_json_has_sums_by_a_label() -> None:
    found = json.loads(asked("-o", "json", "--by-label", "team").output)
    assert found["sums"] == [
        {"label": "a", "objects": 2, "monthlyEstimate": "126.68", "held": "0.00", "incomplete": 1},
        {"label": "b", "objects": 1, "monthlyEstimate": "0.00", "held": "0.00", "incomplete": 1},
    ]
    assert found["monthlyEstimate"] == "126.68"
    assert found["incomplete"] == 2


@pytest.mark.usefixtures("kube")
def test_nothing_there_is_said() -> None:
    assert asked("-n", "empty").output == "There is no DynamoTable and no AuroraCluster here.\n"


def test_missing_crds_are_told_with_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    serving(monkeypatch, {})
    done = asked()
    assert done.exit_code == 1
    assert "penstock crds | kubectl apply --server-side -f -" in done.output


def test_a_cluster_that_cannot_be_reached_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect() -> Kube:
        raise KubeError(0, "NoConfiguration", "no kubeconfig at x and not in a pod; set KUBECONFIG")

    monkeypatch.setattr(Kube, "connect", connect)
    done = asked()
    assert done.exit_code == 1
    assert done.output == "Error: no kubeconfig at x and not in a pod; set KUBECONFIG\n"


@pytest.mark.parametrize("amount", ["many", None, 7, "NaN", "1e400"])
def test_a_status_that_holds_no_amount_is_unknown(amount: Any) -> None:
    found = {"metadata": {"namespace": "shop", "name": "x"}, "status": {"cost": {"monthlyEstimate": amount}}}
    assert costs.line(found, "DynamoTable", "").monthly is None


def test_what_is_held_is_in_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, larger, naive = (obj(name, "shop", "a", "50.00") for name in ("runs", "larger", "naive"))
    larger["status"]["cost"]["held"] = "20.00"
    naive["status"]["cost"]["held"] = "50.00"
    serving(monkeypatch, {"dynamotables": [runs, larger, naive], "auroraclusters": []})
    rows = [line.split() for line in asked().output.splitlines()]
    assert ["shop", "DynamoTable", "larger", "50.00", "Estimate,", "20.00", "held"] in rows
    assert ["shop", "DynamoTable", "naive", "50.00", "Estimate,", "held"] in rows
    assert ["total", "80.00"] in rows
    assert "$70.00 a month is held or only planned, and in no sum." in asked().output
    told = json.loads(asked("-o", "json").output)
    assert (told["monthlyEstimate"], told["objects"][1]["held"]) == ("80.00", "50.00")


def test_into_a_pipe_goes_every_name_and_every_amount_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    name, namespace = "orders-" * 8 + "history", "team-" * 12 + "shop"
    one = obj(name, namespace, "a", "123456789.12", budget="999999999999")
    serving(monkeypatch, {"dynamotables": [one], "auroraclusters": []})
    row = next(line for line in asked().output.splitlines() if namespace in line)
    assert row.split() == [namespace, "DynamoTable", name, "123456789.12", "999999999999", "Estimate"]
