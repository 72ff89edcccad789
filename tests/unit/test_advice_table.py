"""What is advised for a table: by the load that was measured, worth it, and made by its patch."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from advice_cases import CATALOGUE, breaks_table, table_case
from cost_specs import KEY, index
from test_advice_cluster import merged

from penstock.advice import table as advisor
from penstock.advice.report import Findings
from penstock.advice.tables import Flow, Use
from penstock.api.dynamotable import DynamoTable, DynamoTableSpec
from penstock.api.parsing import parse
from penstock.cost import dynamo as rates


def manifest(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "DynamoTable",
        "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {"key": KEY, "pointInTimeRecovery": {"enabled": False}, **spec},
    }


def read(body: dict[str, Any]) -> DynamoTableSpec:
    found = parse(body)
    assert isinstance(found, DynamoTable), [str(p) for p in found] if isinstance(found, list) else found
    return found.spec


def shape_of(spec: DynamoTableSpec, uses: dict[str, Use]) -> rates.TableShape:
    found = rates.declared(spec)
    sized = {n: rates.IndexShape(i.units, i.whole, uses[n].size) for n, i in found.indexes.items() if n in uses}
    return rates.TableShape(found.table_class, found.provisioned, found.units, sized, uses[""].size, found.recovery)


def advise(body: dict[str, Any], uses: dict[str, Use]) -> Findings:
    spec = read(body)
    shape = shape_of(spec, uses)
    return advisor.advise(spec, advisor.ask(spec, shape, uses, CATALOGUE), advisor.present(spec, shape), "test")


def steady(read: str, write: str, size: int = 0, **more: Any) -> Use:
    flows = [Flow(Decimal(rate), (Decimal(rate),) * 336) for rate in (read, write)]
    return Use(flows[0], flows[1], size, **more)


def test_a_steady_load_is_cheaper_provisioned() -> None:
    found = advise(manifest(), {"": steady("70", "35")})
    (item,) = found.items
    # On demand: 70 reads and 35 writes a second at 0.125 and 0.625 a million; provisioned: 100 and 50 units, of which 70 % are used.
    assert found.monthly == (70 * Decimal("0.125") + 35 * Decimal("0.625")) / 10**6 * 730 * 3600
    assert item.monthly == (100 * Decimal("0.00013") + 50 * Decimal("0.00065")) * 730
    assert item.patch == {"spec": {"capacity": {"mode": "Provisioned", "read": {"units": 100}, "write": {"units": 50}}}}
    assert any("No cap bounds the cost" in n for n in found.notes)


def test_a_load_in_bursts_is_cheaper_on_demand() -> None:
    quiet = Flow(Decimal("0.1"), (Decimal(60), *(Decimal(0),) * 23))
    found = advise(
        manifest(capacity={"mode": "Provisioned", "read": {"units": 100}, "write": {"min": 50, "max": 100}}),
        {"": Use(quiet, quiet)},
    )
    assert found.items[0].patch == {"spec": {"capacity": {"mode": "OnDemand", "read": None, "write": None}}}
    assert "he cost follows the requests" in found.items[0].risk


def test_too_many_units() -> None:
    found = advise(
        manifest(capacity={"mode": "Provisioned", "read": {"units": 500}, "write": {"units": 500}}),
        {"": steady("7", "7")},
    )
    assert found.items[0].patch["spec"]["capacity"]["read"] == {"units": 10}
    assert any("reserved capacity" in n for n in found.notes)


def test_latency_needs_units_for_the_peak() -> None:
    flow = Flow(Decimal(20), (Decimal(5), Decimal(70)) * 12)
    free = advise(manifest(), {"": Use(flow, flow)})
    bound = advise(manifest(objectives={"readP95": "9ms"}), {"": Use(flow, flow)})
    assert free.items[0].patch["spec"]["capacity"]["read"] == {"min": 8, "max": 100}
    assert bound.items == () or bound.items[0].patch["spec"]["capacity"]["read"]["min"] == 70


def test_an_index_that_nobody_reads() -> None:
    body = manifest(globalIndexes=[index("by-status", "All"), index("by-day", "KeysOnly")])
    uses = {"": steady("1", "20"), "by-status": steady("0", "20", 10**11, unused=True), "by-day": steady("1", "20")}
    found = advise(body, uses)
    item = next(i for i in found.items if i.kind == "Indexes")
    assert [i["name"] for i in item.patch["spec"]["globalIndexes"]] == ["by-day"]
    assert "obody read by-status in the last 14 days" in item.risk


def test_much_storage_and_few_requests() -> None:
    found = advise(manifest(), {"": steady("1", "1", 10**12)})
    item = next(i for i in found.items if i.kind == "TableClass" or i.kind == "Cheapest")
    assert item.patch["spec"]["tableClass"] == "StandardInfrequentAccess"
    assert any("with spec.ttl each GB that goes saves $0.25" in n for n in found.notes)


@pytest.mark.parametrize("seed", range(150))
def test_whatever_is_advised_serves_costs_less_and_is_made_by_its_patch(seed: int) -> None:
    random_ = random.Random(seed)
    ask = table_case(random_)
    names = [n for n in ask.uses if n]
    provisioned = random_.random() < 0.5

    def throughput() -> dict[str, int]:
        low = random_.randint(1, 30)
        return {"units": low} if random_.random() < 0.5 else {"min": low, "max": low + random_.randint(0, 20)}

    def capacity() -> dict[str, Any]:
        return {"read": throughput(), "write": throughput()}

    body = manifest(
        pointInTimeRecovery={"enabled": ask.recovery},
        globalIndexes=[index(n, "All", **({"capacity": capacity()} if provisioned else {})) for n in names],
        capacity={"mode": "Provisioned", **capacity()} if provisioned else {"mode": "OnDemand"},
        tableClass=random_.choice(["Standard", "StandardInfrequentAccess"]),
        **({"objectives": {"readP95": "9ms"}} if ask.latency else {}),
    )
    uses = dict(ask.uses)
    spec = read(body)
    shape = shape_of(spec, uses)
    asked = advisor.ask(spec, shape, uses, CATALOGUE)
    now = advisor.present(spec, shape)
    found = advisor.advise(spec, asked, now, "test")
    assert found.monthly == asked.cost(now)
    for item in found.items:
        after = read(merged(body, item.patch))
        way = advisor.present(after, shape_of(after, uses))
        gone = frozenset(names) - {i.name for i in after.global_indexes or ()}
        way = type(way)(way.table_class, way.units, gone)
        assert advisor.words(way) == item.summary.split(" in place of ")[0]
        assert not breaks_table(asked, way)
        assert asked.cost(way) == item.monthly
        assert item.saving > 0
        assert item.monthly + item.saving == found.monthly
    assert found.items == () or found.items[0].saving == max(i.saving for i in found.items)
