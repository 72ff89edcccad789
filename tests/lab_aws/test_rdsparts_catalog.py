"""Engine versions, upgrade targets, classes, zones and default parameters hang together."""

from __future__ import annotations

import pytest

from penstock_lab.aws.rds import catalog, validate

PG, MYSQL = catalog.ENGINES


def test_each_major_has_one_default_and_a_bare_major_finds_it() -> None:
    for engine in catalog.ENGINES:
        for major in {v.major for v in catalog.versions(engine)}:
            (default,) = [v for v in catalog.versions(engine) if v.major == major and v.is_default]
            assert catalog.find(engine, major) == default
    assert catalog.find(PG, None).major == "17"
    assert catalog.find(MYSQL, "8.0").version == "8.0.mysql_aurora.3.08.2"
    assert catalog.find(PG, "15.99") is None
    assert catalog.find("postgres", "15") is None


def test_upgrades_go_up_only_and_majors_are_told_apart() -> None:
    for engine in catalog.ENGINES:
        versions = catalog.versions(engine)
        place = {v.version: n for n, v in enumerate(versions)}
        for version in versions:
            for target in version.upgrade_targets:
                assert place[target.version] > place[version.version]
                assert target.major == (catalog.find(engine, target.version).major != version.major)
            assert sum(t.auto for t in version.upgrade_targets) <= 1
            assert not any(t.auto and t.major for t in version.upgrade_targets)


def test_known_upgrades() -> None:
    targets = {t.version: t for t in catalog.find(PG, "15.10").upgrade_targets}
    assert targets["15.12"].auto
    assert not targets["15.13"].auto
    assert {"15.15", "16.6", "16.8", "17.4"} <= set(targets)
    assert "16.4" not in targets  # released before 15.10
    lts = {t.version: t.auto for t in catalog.find(MYSQL, "8.0.mysql_aurora.3.04.0").upgrade_targets}
    assert lts["8.0.mysql_aurora.3.04.4"]
    assert not lts["8.0.mysql_aurora.3.08.2"]


@pytest.mark.parametrize(
    ("engine", "version", "pauses", "largest"),
    [
        (PG, "13.14", False, 256),
        (PG, "13.15", True, 256),
        (PG, "14.11", False, 256),
        (PG, "14.12", True, 256),
        (PG, "15.4", False, 128),
        (PG, "15.6", False, 256),
        (PG, "15.7", True, 256),
        (PG, "16.2", False, 256),
        (PG, "16.3", True, 256),
        (PG, "17.4", True, 256),
        (MYSQL, "8.0.mysql_aurora.3.07.1", False, 256),
        (MYSQL, "8.0.mysql_aurora.3.08.0", True, 256),
    ],
)
def test_serverless_limits(engine: str, version: str, pauses: bool, largest: int) -> None:
    found = catalog.find(engine, version)
    assert (found.serverless_v2, found.auto_pause, found.max_capacity) == (True, pauses, largest)


def test_classes_and_zones() -> None:
    offers = {o.db_instance_class: o for o in catalog.orderable(PG, "15.10")}
    assert {
        "db.serverless",
        "db.t4g.medium",
        "db.t3.large",
        "db.r5.24xlarge",
        "db.r6g.large",
        "db.r8g.48xlarge",
    } <= set(offers)
    assert "db.t4g.micro" not in offers
    assert offers["db.r5.large"].zones[-1] == "us-east-1f"
    assert "us-east-1e" not in offers["db.r8g.large"].zones
    assert "us-east-1f" not in offers["db.r7i.large"].zones
    assert "db.r8g.large" not in {o.db_instance_class for o in catalog.orderable(PG, "15.4")}
    assert catalog.orderable(PG, "15.10", "eu-west-1")[0].zones == ("eu-west-1a", "eu-west-1b", "eu-west-1c")
    insights = {o.db_instance_class: o.supports_performance_insights for o in catalog.orderable(MYSQL, "8.0")}
    assert insights["db.r6g.large"]
    assert not insights["db.t4g.medium"]


def test_parameters() -> None:
    for family in catalog.families():
        cluster, instance = (catalog.parameters(family, level) for level in ("cluster", "instance"))
        assert 60 <= len(instance) < len(cluster) <= 140
        assert set(instance) < set(cluster)
        assert list(cluster) == sorted(cluster)
        for parameter in cluster.values():
            assert parameter.apply_type in ("static", "dynamic")
            assert parameter.data_type in ("string", "integer", "float", "boolean", "list")
            assert parameter.description
            assert parameter.source == ("engine-default" if parameter.value is None else "system")
    with pytest.raises(KeyError):
        catalog.parameters("aurora-postgresql12", "cluster")


def test_every_default_is_a_value_that_would_be_taken() -> None:
    for family in catalog.families():
        for parameter in catalog.parameters(family, "cluster").values():
            if parameter.value is not None and parameter.modifiable:
                validate.parameter(parameter, parameter.value)


def test_what_needs_a_reboot() -> None:
    parameters = catalog.parameters("aurora-postgresql15", "cluster")
    for name in (
        "shared_preload_libraries",
        "max_connections",
        "rds.logical_replication",
        "max_replication_slots",
        "wal_buffers",
    ):
        assert parameters[name].apply_type == "static", name
    for name in ("rds.force_ssl", "log_min_duration_statement", "work_mem", "statement_timeout"):
        assert parameters[name].apply_type == "dynamic", name
    mysql = catalog.parameters("aurora-mysql8.0", "cluster")
    assert mysql["binlog_format"].apply_type == "static"
    assert {mysql[name].apply_type for name in ("require_secure_transport", "slow_query_log")} == {"dynamic"}
    assert catalog.parameters("aurora-postgresql17", "cluster")["rds.force_ssl"].value == "1"
    assert parameters["rds.force_ssl"].value == "0"
    assert "rds.force_ssl" not in catalog.parameters("aurora-postgresql15", "instance")
