"""What holds for every estimate, what a step changes, and that nothing unknown is counted as free."""

import itertools
from datetime import date
from decimal import Decimal

import pytest
from cost_specs import KEY, TODAY, cluster, index, table, usage
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.auroracluster import AuroraClusterSpec
from penstock.api.dynamotable import DynamoTableSpec
from penstock.api.model import problems
from penstock.aws.dynamodb import Units
from penstock.cost import aurora, dynamo
from penstock.cost.aurora import ClusterShape
from penstock.cost.dynamo import IndexShape, TableShape
from penstock.cost.estimate import Estimate, money, moved
from penstock.cost.prices import bundled
from penstock.engine.plan import monthly_delta as delta

PRICES = bundled("us-east-1")
CLASSES = sorted(k.rpartition("instance.")[2] for k in PRICES.prices if k.startswith("aurora.instance."))

units = st.builds(Units, st.integers(0, 40_000), st.integers(0, 40_000))
indexes = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.builds(IndexShape, units, st.booleans(), st.integers(0, 10**15), st.sampled_from([0, 2, 4])),
)
tables = st.builds(
    TableShape,
    st.sampled_from([dynamo.STANDARD, dynamo.INFREQUENT_ACCESS]),
    st.booleans(),
    units,
    indexes,
    st.integers(0, 10**15),
    st.booleans(),
    st.sampled_from([0, 2, 4]),
)
clusters = st.builds(
    ClusterShape,
    st.just("aurora-postgresql"),
    st.sampled_from(["11.21", "12.22", "16.6", ""]),
    st.dictionaries(
        st.sampled_from(["s-1", "s-2", "s-3"]), st.sampled_from([*CLASSES, "db.serverless", "db.r99.huge", ""])
    ),
    st.booleans(),
    st.sampled_from([None, (Decimal(0), Decimal(4)), (Decimal("0.5"), Decimal(256))]),
    st.booleans(),
    st.sampled_from([0, 7, 731]),
)


def held(found: Estimate) -> None:
    assert all(i.monthly >= 0 and i.price > 0 for i in found.items)
    assert found.exact == sum((i.monthly for i in found.items), Decimal(0))
    assert found.monthly is None or abs(found.monthly - found.exact) <= Decimal("0.005")
    assert found.partial == bool(found.missing)
    assert found.as_status()["basis"] == ("Partial" if found.missing else "Estimate")


@given(tables, st.booleans())
def test_a_table_never_costs_less_than_nothing_and_its_parts_are_the_whole(shape: TableShape, here: bool) -> None:
    held(dynamo.estimate(shape, None, bundled("us-east-1" if here else "eu-north-1"), TODAY))


@given(clusters, st.booleans())
def test_a_cluster_never_costs_less_than_nothing_and_its_parts_are_the_whole(shape: ClusterShape, here: bool) -> None:
    held(aurora.estimate(shape, None, bundled("us-east-1" if here else "eu-north-1"), TODAY))


@given(clusters.filter(lambda c: not c.stopped), st.sampled_from(CLASSES))
def test_one_more_instance_never_costs_less(shape: ClusterShape, cls: str) -> None:
    more = aurora.after(
        shape,
        "CreateDBInstance",
        {"DBInstanceIdentifier": "s-9", "DBInstanceClass": cls},
        AuroraClusterSpec.model_validate({"engine": {"type": "AuroraPostgreSQL"}, "instances": {}}),
        "s",
    )
    assert more is not None
    one, two = (aurora.estimate(s, None, PRICES, TODAY) for s in (shape, more))
    assert two.exact > one.exact


def test_a_cluster_gets_dearer_with_every_reader() -> None:
    found = [cluster({"instances": {"class": "db.r6g.large", "readers": n}}).exact for n in range(16)]
    assert all(b - a == Decimal("189.80") for a, b in itertools.pairwise(found))


def test_a_region_without_prices_has_no_estimate_rather_than_a_free_one() -> None:
    found = cluster({"instances": {"class": "db.r6g.large", "readers": 1}, **usage(storage="10Gi")}, region="eu-west-1")
    assert found.monthly is None
    assert found.basis == "Partial"
    assert "2 × db.r6g.large: no price of aurora.instance.db.r6g.large in eu-west-1 is known" in found.missing
    assert found.source == "None for eu-west-1"
    assert "monthlyEstimate" not in found.as_status()


def test_a_class_without_a_price_is_named_and_the_rest_is_summed() -> None:
    spec = {
        "instances": {"class": "db.t4g.medium", "readers": 1, "overrides": [{"ordinal": 2, "class": "db.r7i.large"}]}
    }
    found = cluster(spec)
    assert found.monthly == Decimal("53.29")
    assert found.missing == ("1 × db.r7i.large: no price of aurora.instance.db.r7i.large in us-east-1 is known",)


def test_what_costs_but_has_no_known_price_makes_an_estimate_partial() -> None:
    warm = table({"warmThroughput": {"readUnits": 20000, "writeUnits": 5000}})
    assert warm.partial
    assert "warm throughput" in warm.missing[0]
    kept = cluster(
        {"instances": {"class": "db.t4g.medium", "readers": 0}, "performanceInsights": {"retentionDays": 731}}
    )
    assert kept.partial
    assert "Performance Insights for 731 days" in kept.missing[0]
    old = cluster(
        {
            "engine": {"type": "AuroraPostgreSQL", "version": "12"},
            "instances": {
                "class": "db.serverless",
                "readers": 0,
                "serverless": {"minCapacity": 1, "maxCapacity": 2},
            },
        }
    )
    assert old.missing == ("extended support of 12: its price for serverless instances is not known",)


def test_an_estimate_says_what_it_took_to_be_so() -> None:
    told = " ".join(table({}).assumptions)
    assert "Requests are not counted: write spec.cost.expectedUsage" in told
    serverless = cluster(
        {"instances": {"class": "db.serverless", "readers": 0, "serverless": {"minCapacity": 0.5, "maxCapacity": 4}}}
    )
    # 4 x 730 x 0.12 = 350.40
    assert any("at the most, 4 ACUs, they cost $350.40" in a for a in serverless.assumptions)
    derived = cluster({"instances": {"class": "db.t4g.medium", "readers": 0}, "storage": {"type": "IOOptimized"}})
    assert any("derived as 1.30 times" in a for a in derived.assumptions)


def test_a_price_that_is_old_is_told_to_be() -> None:
    later = cluster({"instances": {"class": "db.r6g.large", "readers": 0}}, today=date(2028, 1, 1))
    assert "1 × db.r6g.large: the price is of 2026-03-28." in later.assumptions


def test_the_status_shows_quantities_prices_and_amounts_as_text() -> None:
    status = table(usage(writesPerSecond=10)).as_status()
    assert status["priceSource"] == "Bundled 2026-11-23"
    assert status["monthlyEstimate"] == "16.43"
    assert status["breakdown"][0] == {
        "name": "on-demand writes",
        "quantity": "26280000",
        "unit": "write request unit",
        "price": "0.625 per 1,000,000",
        "monthly": "16.425",
    }


@pytest.mark.parametrize(
    ("operation", "parameters", "adds"),
    [
        # 730 x 0.073
        ("CreateDBInstance", {"DBInstanceIdentifier": "s-3", "DBInstanceClass": "db.t4g.medium"}, "+$53.29/month"),
        ("DeleteDBInstance", {"DBInstanceIdentifier": "s-2"}, "-$53.29/month"),
        # 730 x (0.260 - 0.073) = 136.51
        ("ModifyDBInstance", {"DBInstanceIdentifier": "s-2", "DBInstanceClass": "db.r6g.large"}, "+$136.51/month"),
        # 2 x 730 x (0.0949 - 0.073) = 31.974
        ("ModifyDBCluster", {"StorageType": "aurora-iopt1"}, "+$31.97/month"),
        ("StopDBCluster", {}, "-$106.58/month"),
        ("DeleteDBCluster", {}, "-$106.58/month"),
        ("ModifyDBCluster", {"BackupRetentionPeriod": 3}, "+$0.00/month"),
    ],
)
def test_a_step_of_a_cluster_adds_what_its_shape_costs_more(
    operation: str, parameters: dict[str, object], adds: str
) -> None:
    spec = AuroraClusterSpec.model_validate({"engine": {"type": "AuroraPostgreSQL"}, "instances": {}})
    before = ClusterShape("aurora-postgresql", "16.6", {"s-1": "db.t4g.medium", "s-2": "db.t4g.medium"})
    after = aurora.after(before, operation, parameters, spec, "s")
    exact = aurora.estimate(after, None, PRICES, TODAY).exact if after else Decimal(0)
    assert delta(exact - aurora.estimate(before, None, PRICES, TODAY).exact) == adds


@pytest.mark.parametrize(
    ("operation", "parameters", "adds"),
    [
        # 10 x 730 x 0.00065 + 10 x 730 x 0.00013 = 5.694
        (
            "UpdateTable",
            {
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 10},
            },
            "+$5.69/month",
        ),
        # 120 GB x (0.10 - 0.25)
        ("UpdateTable", {"TableClass": "STANDARD_INFREQUENT_ACCESS"}, "-$18.00/month"),
        # 20 GB x 0.25
        ("UpdateTable", {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-a"}}]}, "-$5.00/month"),
        # 100 GB x 0.20
        (
            "UpdateContinuousBackups",
            {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}},
            "+$20.00/month",
        ),
        # the table has a sort key: 4 x 0.50; the index has none: 2 x 0.50
        ("UpdateContributorInsights", {"ContributorInsightsAction": "ENABLE"}, "+$2.00/month"),
        ("UpdateContributorInsights", {"ContributorInsightsAction": "ENABLE", "IndexName": "by-a"}, "+$1.00/month"),
        # 100 GB x 0.25 + 20 GB x 0.25
        ("DeleteTable", {}, "-$30.00/month"),
        ("UpdateTimeToLive", {}, "+$0.00/month"),
    ],
)
def test_a_step_of_a_table_adds_what_its_shape_costs_more(
    operation: str, parameters: dict[str, object], adds: str
) -> None:
    spec = DynamoTableSpec.model_validate({"key": KEY, "globalIndexes": [index("by-a", "All")]})
    before = TableShape(size=100 * 10**9, indexes={"by-a": IndexShape(size=20 * 10**9)})
    after = dynamo.after(before, operation, parameters, spec)
    exact = dynamo.estimate(after, None, PRICES, TODAY).exact if after else Decimal(0)
    assert delta(exact - dynamo.estimate(before, None, PRICES, TODAY).exact) == adds


def test_making_a_cluster_step_by_step_ends_at_what_is_declared() -> None:
    spec = AuroraClusterSpec.model_validate(
        {
            "engine": {"type": "AuroraPostgreSQL", "version": "16.6"},
            "instances": {"class": "db.t4g.medium", "readers": 1},
        }
    )
    shape = aurora.after(None, "CreateDBCluster", {}, spec, "s")
    for name in ("s-1", "s-2"):
        made = {"DBInstanceIdentifier": name, "DBInstanceClass": "db.t4g.medium"}
        shape = aurora.after(shape, "CreateDBInstance", made, spec, "s")
    assert shape == aurora.declared(spec, "s")


def test_amounts_as_text() -> None:
    assert money(Decimal("-0.001")) == "0.00"
    assert money(Decimal("0.0004"), Decimal("0.0001")) == "0.0004"
    assert money(Decimal("1E+3")) == "1000.00"
    assert delta(Decimal("-0.001")) == "+$0.00/month"


def test_an_amount_has_moved_when_it_is_more_than_one_percent_off() -> None:
    assert not moved(Decimal(100), Decimal(101))
    assert moved(Decimal(100), Decimal("101.01"))
    assert moved(None, Decimal(0))
    assert not moved(None, None)
    assert moved(Decimal(0), Decimal("0.01"))


def test_huge_and_negative_figures_are_refused_or_summed_but_never_break() -> None:
    wrong = DynamoTableSpec.model_validate({"key": KEY, **usage(readsPerSecond=float("inf"), writesPerSecond=-1)})
    assert len(list(problems(wrong))) == 2
    huge = table(usage(writesPerSecond=10**9, itemSize="999999999999999999Pi", storage="999999999999999999Pi"))
    assert huge.as_status()["monthlyEstimate"].endswith((".00", "0")) or huge.monthly is not None
