"""Fourteen tables and twenty-two clusters, each worked out by hand from AWS's published prices of us-east-1.

A month has 730 hours, which are 2,628,000 seconds.
"""

from decimal import Decimal
from typing import Any

import pytest
from cost_specs import cluster, index, table, usage

from penstock.aws.dynamodb import Index, KeySchema, Table
from penstock.aws.rds import Cluster, Instance
from penstock.cost import aurora, dynamo

TABLES: list[tuple[str, dict[str, Any], str]] = [
    # writes 10 x 2,628,000 = 26.28 M x 0.625 = 16.425; reads 50 x 2,628,000 = 131.4 M x 0.125 = 16.425; storage 10 GB x 0.25 = 2.50
    (
        "on demand, 50 reads and 10 writes a second of 1 KiB, 10 GB",
        usage(readsPerSecond=50, writesPerSecond=10, itemSize="1Ki", storage="10G"),
        "35.35",
    ),
    # the same, and recovery 10 GB x 0.20 = 2.00
    (
        "the same with point-in-time recovery",
        {
            **usage(readsPerSecond=50, writesPerSecond=10, itemSize="1Ki", storage="10G"),
            "pointInTimeRecovery": {"enabled": True},
        },
        "37.35",
    ),
    # 2,500 B are 3 write units and 1 read unit: 78.84 M x 0.625 = 49.275; 131.4 M x 0.125 = 16.425
    (
        "items of 2,500 bytes",
        usage(readsPerSecond=50, writesPerSecond=10, itemSize="2500"),
        "65.70",
    ),
    # 9 KiB are 3 read units: 5 x 2,628,000 x 3 = 39.42 M x 0.125 = 4.9275
    ("reads of 9 KiB", usage(readsPerSecond=5, itemSize="9Ki"), "4.93"),
    # the table 78.84 M x 0.625 = 49.275; All writes 3 units and KeysOnly 1: 4 x 26.28 M x 0.625 = 65.70; together 114.975
    (
        "two indexes",
        {
            **usage(writesPerSecond=10, itemSize="2500"),
            "globalIndexes": [index("by-a", "All"), index("by-b", "KeysOnly")],
        },
        "114.98",
    ),
    # 2.628 M x 0.78 = 2.04984; 2.628 M x 0.155 = 0.40734; 100 GB x 0.10 = 10.00; together 12.45718
    (
        "infrequent access, 1 read and 1 write a second, 100 GB",
        {
            **usage(readsPerSecond=1, writesPerSecond=1, storage="100G"),
            "tableClass": "StandardInfrequentAccess",
        },
        "12.46",
    ),
    # 10 x 730 x 0.00065 = 4.745; 20 x 730 x 0.00013 = 1.898; together 6.643
    (
        "provisioned, 10 writes and 20 reads",
        {"capacity": {"mode": "Provisioned", "read": {"units": 20}, "write": {"units": 10}}},
        "6.64",
    ),
    # table 7,300 x 0.00081 = 5.913 and 14,600 x 0.00016 = 2.336; index 3,650 x 0.00081 = 2.9565 and 3,650 x 0.00016 = 0.584; together 11.7895
    (
        "provisioned, infrequent access, with an index of 5 and 5",
        {
            "tableClass": "StandardInfrequentAccess",
            "capacity": {"mode": "Provisioned", "read": {"units": 20}, "write": {"units": 10}},
            "globalIndexes": [index("by-a", "All", capacity={"read": {"units": 5}, "write": {"units": 5}})],
        },
        "11.79",
    ),
    # 35 writes at 70 % are 50 units x 730 x 0.00065 = 23.725; 200 reads at 50 % are 400, at most 300: x 730 x 0.00013 = 28.47; together 52.195
    (
        "autoscaled by what it is expected to carry",
        {
            **usage(readsPerSecond=200, writesPerSecond=35),
            "capacity": {
                "mode": "Provisioned",
                "read": {"min": 5, "max": 300, "targetUtilization": 50},
                "write": {"min": 5, "max": 100},
            },
        },
        "52.20",
    ),
    # a quarter is transactional: writes 26.28 M x 1.25 x 0.625 = 20.53125; reads 131.4 M x 1.25 x 0.125 = 20.53125; an index of keys 26.28 M x 0.625
    # = 16.425, which is not doubled; together 57.4875
    (
        "a quarter of the requests in transactions, and an index",
        {
            **usage(readsPerSecond=50, writesPerSecond=10, itemSize="1Ki", transactionalShare=0.25),
            "globalIndexes": [index("by-a", "KeysOnly")],
        },
        "57.49",
    ),
    # all of them: 26.28 M x 2 x 0.625 = 32.85
    (
        "every write in a transaction",
        usage(writesPerSecond=10, itemSize="1Ki", transactionalShare=1),
        "32.85",
    ),
    # 100 GB of backups x 0.10 = 10.00; storage 10 GB x 0.25 = 2.50
    ("backups that are kept", usage(storage="10G", backups="100G"), "12.50"),
    # between 5 and 500: 20 writes a second of 2 units are 40, at 80 % of use 50; 100 reads are 125: 50 x 730 x 0.00065 = 23.725;
    # 125 x 730 x 0.00013 = 11.8625; together 35.5875
    (
        "autoscaling at the point that the expected load needs",
        {
            **usage(readsPerSecond=100, writesPerSecond=20, itemSize="2Ki"),
            "capacity": {
                "mode": "Provisioned",
                "read": {"min": 5, "max": 500, "targetUtilization": 80},
                "write": {"min": 5, "max": 500, "targetUtilization": 80},
            },
        },
        "35.59",
    ),
]


@pytest.mark.parametrize(("spec", "monthly"), [(s, m) for _, s, m in TABLES], ids=[n for n, _, _ in TABLES])
def test_a_table_costs_what_was_worked_out_by_hand(spec: dict[str, Any], monthly: str) -> None:
    found = table(spec)
    assert found.monthly == Decimal(monthly)
    assert not found.missing


def test_a_table_that_is_there_costs_its_size_with_what_aws_adds_to_each_item() -> None:
    # items 30 GB + 10 M x 100 B = 31 GB x 0.25 = 7.75, recovery 31 x 0.20 = 6.20; index 8 GB + 10 M x 100 B = 9 GB x 0.25 = 2.25;
    # insights: 4 rules for a table with a sort key, 2 for an index without: 6 x 0.50 = 3.00; together 19.20
    now = dynamo.running(
        Table(
            name="orders",
            arn="",
            id="",
            status="ACTIVE",
            created_at=None,
            key=KeySchema(("customerId",), ("placedAt",)),
            types={},
            billing="PAY_PER_REQUEST",
            size=30 * 10**9,
            items=10**7,
            indexes=(Index("by-a", KeySchema(("a",)), "ALL", size=8 * 10**9, items=10**7),),
        ),
        recovery=True,
        watched=("", "by-a"),
    )
    spec = {
        "pointInTimeRecovery": {"enabled": True},
        "contributorInsights": True,
        "globalIndexes": [index("by-a", "All")],
    }
    assert table(spec, now).monthly == Decimal("19.20")


PG = "AuroraPostgreSQL"
CLUSTERS: list[tuple[str, dict[str, Any], str]] = [
    # 730 x 0.073
    ("one db.t4g.medium", {"instances": {"class": "db.t4g.medium", "readers": 0}}, "53.29"),
    # 2 x 730 x 0.073
    ("two db.t4g.medium", {"instances": {"class": "db.t4g.medium", "readers": 1}}, "106.58"),
    # 730 x 0.082
    ("one db.t3.medium", {"instances": {"class": "db.t3.medium", "readers": 0}}, "59.86"),
    # 2 x 730 x 0.260
    ("two db.r6g.large", {"instances": {"class": "db.r6g.large", "readers": 1}}, "379.60"),
    # 3 x 730 x 0.553
    ("three db.r7g.xlarge", {"instances": {"class": "db.r7g.xlarge", "readers": 2}}, "1211.07"),
    # 2 x 730 x 0.338 = 493.48; 100 GiB x 0.225 = 22.50; I/O is included
    (
        "I/O-Optimized, two db.r6g.large, 100 GiB",
        {
            "instances": {"class": "db.r6g.large", "readers": 1},
            "storage": {"type": "IOOptimized"},
            **usage(storage="100Gi", ioPerSecond=200),
        },
        "515.98",
    ),
    # 379.60; 100 GiB x 0.10 = 10.00; 200 x 2,628,000 = 525.6 M x 0.20 = 105.12
    (
        "Standard, two db.r6g.large, 100 GiB, 200 I/O a second",
        {"instances": {"class": "db.r6g.large", "readers": 1}, **usage(storage="100Gi", ioPerSecond=200)},
        "494.72",
    ),
    # 0.5 x 730 x 0.12
    (
        "serverless at its least",
        {
            "instances": {
                "class": "db.serverless",
                "readers": 0,
                "serverless": {"minCapacity": 0.5, "maxCapacity": 4},
            }
        },
        "43.80",
    ),
    # 2 x 1.5 x 730 x 0.12
    (
        "two serverless instances at 1.5 on average",
        {
            "instances": {
                "class": "db.serverless",
                "readers": 1,
                "serverless": {"minCapacity": 0.5, "maxCapacity": 4},
            },
            **usage(averageCapacity=1.5),
        },
        "262.80",
    ),
    # awake it has 0.5: 0.5 x 730 x 0.12, pauses left out
    (
        "serverless that may pause",
        {
            "instances": {
                "class": "db.serverless",
                "readers": 0,
                "serverless": {"minCapacity": 0, "maxCapacity": 2, "autoPause": "10m"},
            }
        },
        "43.80",
    ),
    # 2 x 730 x 0.16
    (
        "serverless, I/O-Optimized",
        {
            "instances": {
                "class": "db.serverless",
                "readers": 0,
                "serverless": {"minCapacity": 2, "maxCapacity": 8},
            },
            "storage": {"type": "IOOptimized"},
        },
        "233.60",
    ),
    # 730 x 0.073 = 53.29; 730 x 0.260 = 189.80
    (
        "a reader of another class",
        {
            "instances": {
                "class": "db.t4g.medium",
                "readers": 1,
                "overrides": [{"ordinal": 2, "class": "db.r6g.large"}],
            }
        },
        "243.09",
    ),
    # instances stopped; 50 GiB x 0.10
    (
        "stopped",
        {"instances": {"class": "db.t4g.medium", "readers": 1}, "stopped": True, **usage(storage="50Gi")},
        "5.00",
    ),
    # 2 x 730 x 0.290 = 423.40; extended support since 2025-03: 4 vCPU x 730 x 0.10 = 292.00
    (
        "PostgreSQL 12 in extended support",
        {"engine": {"type": PG, "version": "12.22"}, "instances": {"class": "db.r5.large", "readers": 1}},
        "715.40",
    ),
    # 730 x 1.038 = 757.74; since 2024-04, so in the third year: 8 vCPU x 730 x 0.20 = 1168.00
    (
        "PostgreSQL 11 in the third year of extended support",
        {"engine": {"type": PG, "version": "11.21"}, "instances": {"class": "db.r6g.2xlarge", "readers": 0}},
        "1925.74",
    ),
    # 730 x 2.208; standard support until 2027-05
    (
        "MySQL, db.r8g.4xlarge",
        {
            "engine": {"type": "AuroraMySQL", "version": "8.0.mysql_aurora.3.08.0"},
            "instances": {"class": "db.r8g.4xlarge", "readers": 0},
        },
        "1611.84",
    ),
    # 730 x 26.496
    ("db.r8g.48xlarge", {"instances": {"class": "db.r8g.48xlarge", "readers": 0}}, "19342.08"),
    # 730 x 0.719; 1 TiB = 1,024 GiB x 0.225 = 230.40
    (
        "I/O-Optimized, one db.r7g.xlarge, 1 TiB",
        {
            "instances": {"class": "db.r7g.xlarge", "readers": 0},
            "storage": {"type": "IOOptimized"},
            **usage(storage="1Ti"),
        },
        "755.27",
    ),
    # 53.29; storage 100 GB x 0.10 = 10.00; backups 300 - 100 = 200 GB x 0.021 = 4.20; together 67.49
    (
        "backups beyond the free share",
        {"instances": {"class": "db.t4g.medium"}, **usage(storage="100Gi", backups="300Gi")},
        "67.49",
    ),
    # within the free share nothing: 53.29 + 10.00
    (
        "backups within the free share",
        {"instances": {"class": "db.t4g.medium"}, **usage(storage="100Gi", backups="100Gi")},
        "63.29",
    ),
    # the instances 106.58 x 65/168 = 41.236309...; storage 50 GB x 0.10 = 5.00; I/O 5 x 2,628,000 = 13.14 M x 0.20 = 2.628; together 48.864
    (
        "two instances that are awake 65 of 168 hours",
        {
            "instances": {"class": "db.t4g.medium", "readers": 1},
            "hibernation": {"schedule": "0 20 * * 1-5", "wake": "0 7 * * 1-5", "timezone": "Europe/Berlin"},
            **usage(storage="50Gi", ioPerSecond=5),
        },
        "48.86",
    ),
]


@pytest.mark.parametrize(("spec", "monthly"), [(s, m) for _, s, m in CLUSTERS], ids=[n for n, _, _ in CLUSTERS])
def test_a_cluster_costs_what_was_worked_out_by_hand(spec: dict[str, Any], monthly: str) -> None:
    found = cluster(spec)
    assert found.monthly == Decimal(monthly)
    assert not found.missing


def test_readers_that_autoscaling_made_are_paid_for_too() -> None:
    # 3 x 730 x 0.146 = 319.74
    now = aurora.running(
        Cluster("shop", engine="aurora-postgresql", version="16.6", status="available"),
        [
            Instance("shop-1", instance_class="db.t4g.large"),
            Instance("shop-2", instance_class="db.t4g.large"),
            Instance("application-autoscaling-1", instance_class="db.t4g.large"),
            Instance("shop-3", instance_class="db.t4g.large", status="deleting"),
        ],
    )
    assert cluster({"instances": {"class": "db.t4g.large", "readers": 1}}, now).monthly == Decimal("319.74")
    assert cluster({"instances": {}}, now).monthly == Decimal("319.74")
