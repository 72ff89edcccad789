"""What is advised for a cluster: worth it, allowed, true to the load, and made by its patch."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from advice_cases import CATALOGUE, TODAY, cluster_case, keeps, price, takes_over

from penstock.advice import changes
from penstock.advice import cluster as advisor
from penstock.advice.clusters import Choice, Demand, Load, Question, Sleep
from penstock.advice.report import Findings
from penstock.api.auroracluster import AuroraCluster, AuroraClusterSpec
from penstock.api.parsing import parse
from penstock.cost import aurora as rates

HA = {"availability": "99.99", "failover": "59s"}


def manifest(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "AuroraCluster",
        "metadata": {"name": "ledger", "namespace": "shop"},
        "spec": {
            "engine": {"type": "AuroraPostgreSQL", "version": "16.6"},
            "instances": {"class": "db.r6g.large", "readers": 1},
            **spec,
        },
    }


def read(body: dict[str, Any]) -> AuroraClusterSpec:
    found = parse(body)
    assert isinstance(found, AuroraCluster), [str(p) for p in found] if isinstance(found, list) else found
    return found.spec


def merged(body: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7386."""
    found = deepcopy(body)
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            found[key] = merged(found[key] if isinstance(found.get(key), dict) else {}, value)
        else:
            found[key] = value
    return found


def asked(body: dict[str, Any], demand: Demand | None = None) -> tuple[Question, Choice]:
    spec = read(body)
    now = advisor.present(spec, rates.declared(spec, "shop-ledger"))
    assert now is not None
    return advisor.question(spec, demand or advisor.expected(spec), CATALOGUE, TODAY), now


def advise(body: dict[str, Any], demand: Demand | None = None) -> Findings:
    question, now = asked(body, demand)
    return advisor.advise(question, now, "14 days of metrics")


IDLE = Load(cpu=Decimal("0.1"), cpu_mean=Decimal("0.05"), connections=Decimal(12), capacity_mean=Decimal("0.5"))
NEARLY_IDLE = Demand(IDLE, memory=Decimal("0.5"), storage=Decimal(10 * 2**30), io=Decimal(1), ceiling=Decimal(8))


def test_a_cluster_that_is_too_large() -> None:
    found = advise(manifest(objectives=HA), NEARLY_IDLE)
    kinds = [item.kind for item in found.items]
    assert kinds[0] == "Cheapest"
    assert "Class" in kinds
    item = next(i for i in found.items if i.kind == "Class")
    # Two db.r6g.large at 0.26 against two db.t4g.medium at 0.073, 730 hours.
    assert item.saving == 2 * (Decimal("0.260") - Decimal("0.073")) * 730
    assert item.patch == {"spec": {"instances": {"class": "db.t4g.medium"}}}
    assert "4 GiB in place of 16" in item.risk
    assert "burstable" in item.risk
    assert item.checked == (
        "availability 99.99 %: 1 reader in other zones",
        "failover 59s: 1 reader in other zones",
        "load: 0.1 vCPUs and 12 connections at peak, of 2 vCPUs, 4 GiB",
    )
    assert all(
        i.patch["spec"]["instances"].get("readers") is None for i in found.items if "instances" in i.patch["spec"]
    )


def test_nothing_is_advised_that_the_load_does_not_allow() -> None:
    busy = replace(
        NEARLY_IDLE, writer=replace(IDLE, cpu=Decimal("1.39"), cpu_mean=Decimal("1.2"), capacity_mean=Decimal(7))
    )
    found = advise(manifest(objectives=HA), busy)
    assert [i for i in found.items if "db.t" in i.summary.split(" in place of ")[0]] == []
    assert not any("db.serverless" in i.summary for i in found.items)


def test_a_shape_that_breaks_its_objectives_is_told_with_what_keeps_them() -> None:
    found = advise(manifest(objectives=HA, instances={"class": "db.t4g.medium", "readers": 0}), NEARLY_IDLE)
    assert found.items == ()
    assert found.breaks == ("availability 99.99 % needs a reader in another zone",)
    assert "does not keep: availability 99.99 % needs a reader in another zone" in found.summary
    assert found.notes == ("To keep all of it: 2 × db.serverless, 0.5–8 ACUs, $89.13 a month, $34.31 more than now.",)


def test_graviton_alone() -> None:
    found = advise(manifest(instances={"class": "db.r5.large", "readers": 1}), replace(NEARLY_IDLE, memory=Decimal(5)))
    item = next(i for i in found.items if i.kind == "Graviton")
    assert item.patch == {"spec": {"instances": {"class": "db.r6g.large"}}}
    assert "the processor is Arm" in item.risk


def test_io_optimized_and_back() -> None:
    thirsty = replace(NEARLY_IDLE, io=Decimal(900))
    item = next(i for i in advise(manifest(), thirsty).items if i.kind == "Storage")
    assert item.patch == {"spec": {"storage": {"type": "IOOptimized"}}}
    back = next(i for i in advise(manifest(storage={"type": "IOOptimized"}), NEARLY_IDLE).items if i.kind == "Storage")
    assert back.patch == {"spec": {"storage": {"type": "Standard"}}}


def test_hours_to_stop_unless_it_must_be_available() -> None:
    nights = replace(NEARLY_IDLE, sleep=Sleep("0 20 * * *", "0 6 * * *", Decimal(14) / 24))
    item = next(i for i in advise(manifest(), nights).items if i.kind == "Hours")
    assert item.patch == {"spec": {"hibernation": {"schedule": "0 20 * * *", "wake": "0 6 * * *", "timezone": "UTC"}}}
    assert not any("hibernation" in i.patch["spec"] for i in advise(manifest(objectives=HA), nights).items)


def test_a_class_without_a_price_gets_a_sentence() -> None:
    found = advise(manifest(instances={"class": "db.r6i.large", "readers": 0}))
    assert found.items == ()
    assert found.summary == "Nothing is advised: no price of 1 × db.r6i.large is known in us-east-1."


@pytest.mark.parametrize("seed", range(200))
def test_whatever_is_advised_keeps_the_objectives_costs_less_and_is_made_by_its_patch(seed: int) -> None:
    random_ = random.Random(seed)
    question, _ = cluster_case(random_)
    spec = question.spec
    serverless = random_.random() < 0.4
    body = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "AuroraCluster",
        "metadata": {"name": "ledger", "namespace": "shop"},
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True),
    }
    body["spec"]["instances"]["readers"] = random_.randint(0, 3)
    if serverless:
        pauses = random_.random() < 0.5
        body["spec"]["instances"] |= {
            "class": "db.serverless",
            "serverless": {
                "minCapacity": 0 if pauses else 1,
                "maxCapacity": 16,
                **({"autoPause": "1h"} if pauses else {}),
            },
        }
    else:
        body["spec"]["instances"]["class"] = random_.choice(["db.t4g.medium", "db.r5.large", "db.r6g.xlarge"])
    if random_.random() < 0.3:
        body["spec"]["storage"] = {"type": random_.choice(["Standard", "IOOptimized"])}
    if random_.random() < 0.3:
        body["spec"]["hibernation"] = {"schedule": "0 21 * * *", "wake": "0 6 * * *"}
    spec = read(body)
    sleep = Sleep("0 21 * * *", "0 6 * * *", Decimal("0.625")) if random_.random() < 0.5 else None
    demand = replace(question.demand, sleep=sleep)
    question = Question(spec, advisor.promises(spec), demand, CATALOGUE, TODAY)
    now = advisor.present(spec, rates.declared(spec, "shop-ledger"))
    assert now is not None
    found = advisor.advise(question, now, "test")
    paid = question.cost(now)
    if paid is None:
        assert "extended support" in found.summary
        return
    assert paid.total == found.monthly
    for item in found.items:
        after = read(merged(body, item.patch))
        shape = rates.declared(after, "shop-ledger")
        choice = advisor.present(after, shape)
        assert choice is not None
        assert changes.words(choice) == item.summary.split(" in place of ")[0]
        assert keeps(question, choice), item
        assert takes_over(after), item
        assert price(question, choice) == item.monthly
        assert item.monthly + item.saving == found.monthly
        assert item.saving > 0
    assert found.items == () or found.items[0].saving == max(i.saving for i in found.items)


def test_fit_says_what_gives() -> None:
    question, now = asked(manifest(objectives=HA, cost={"expectedUsage": {"storage": "20Gi", "ioPerSecond": 2}}))
    none = advisor.fit(question, now, Decimal(80), Decimal(20))
    assert none.shapes == ()
    assert none.nearest is not None
    assert none.awake is not None
    mean = none.awake[1]
    # What it says is so: with that mean it fits, with a hundredth more it does not.
    for more, fits in ((Decimal(0), True), (Decimal("0.01"), False)):
        told = replace(question.demand, writer=Load(capacity=mean + more, capacity_mean=mean + more))
        again = advisor.fit(replace(question, demand=told), now, Decimal(80), Decimal(20))
        assert bool(again.shapes) is fits
    assert [g.what for g in none.gives] == ["without these objectives"]
    assert advisor.fit(question, now, None, None).shapes
    assert advisor.fit(question, now, Decimal(1000), Decimal(1)).shapes == ()


def test_a_reader_that_may_not_take_over_is_told_and_mended_with_whatever_is_done() -> None:
    body = manifest(
        objectives=HA,
        instances={"class": "db.r6g.large", "readers": 1, "overrides": [{"ordinal": 2, "promotionTier": 15}]},
    )
    found = advise(body, NEARLY_IDLE)
    assert found.breaks == (
        "availability 99.99 % needs a reader of promotion tier 0 or 1: write promotionTier: 1 for ordinal 2 in spec.instances.overrides",
    )
    item = next(i for i in found.items if i.kind == "Class")
    assert item.patch["spec"]["instances"]["overrides"] == [{"ordinal": 2, "promotionTier": 1}]
    assert takes_over(read(merged(body, item.patch)))
