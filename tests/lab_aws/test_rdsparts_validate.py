"""What RDS refuses by form alone: codes and limits at their edges."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_lab.aws.errors import AwsError
from penstock_lab.aws.rds import catalog, validate

PG, MYSQL = "aurora-postgresql", "aurora-mysql"


def refusal(check: Any, *args: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        check(*args)
    return caught.value


@pytest.mark.parametrize("name", ["a", "Shop-Ledger", "a1", "x" * 63])
def test_identifiers_are_lower_cased(name: str) -> None:
    assert validate.identifier("DBClusterIdentifier", name) == name.lower()


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "a--b", "a_b", "a.b", "ä", "x" * 64, "a b"])
def test_bad_identifiers(name: str) -> None:
    error = refusal(validate.identifier, "DBInstanceIdentifier", name)
    assert error.code == "InvalidParameterValue"
    assert "DBInstanceIdentifier" in error.message


def test_kinds_may_be_given_short_and_groups_have_longer_names() -> None:
    assert "DBClusterIdentifier" in refusal(validate.identifier, "cluster", "1").message
    assert validate.identifier("parameter-group", "x" * 255)
    assert validate.identifier("cluster-parameter-group", "default.aurora-postgresql15")
    assert validate.identifier("subnet-group", "my group_1.a") == "my group_1.a"
    assert refusal(validate.identifier, "subnet-group", "default")
    assert validate.identifier("snapshot", "x" * 255)
    assert refusal(validate.identifier, "snapshot", "x" * 256)


@pytest.mark.parametrize("word", ["12345678", "x" * 41, "a!#$%^&*()_+", "don't'know"])
def test_good_passwords(word: str) -> None:
    validate.password(word)


@pytest.mark.parametrize(
    "word", ["1234567", "x" * 42, "with space", "slash/1234", 'quote"1234', "at@123456", "ümlaut123", "tab\t12345"]
)
def test_bad_passwords_are_not_quoted(word: str) -> None:
    error = refusal(validate.password, word)
    assert error.code == "InvalidParameterValue"
    assert word not in error.message


@pytest.mark.parametrize(
    ("engine", "name"), [(PG, "postgres"), (PG, "x" * 63), (MYSQL, "admin"), (MYSQL, "x" * 32), (PG, "app_owner")]
)
def test_good_users(engine: str, name: str) -> None:
    validate.username(engine, name)


@pytest.mark.parametrize(
    ("engine", "name", "says"),
    [
        (PG, "", "blank"),
        (PG, "1user", "Invalid master user name"),
        (PG, "a-b", "Invalid master user name"),
        (PG, "x" * 64, "Invalid master user name"),
        (MYSQL, "x" * 33, "Invalid master user name"),
        (PG, "admin", "reserved"),
        (PG, "User", "reserved"),
        (PG, "pg_me", "reserved"),
        (PG, "rdsadmin", "reserved"),
        (MYSQL, "rdsadmin", "reserved"),
        (MYSQL, "root", "reserved"),
        (MYSQL, "select", "reserved"),
    ],
)
def test_bad_users(engine: str, name: str, says: str) -> None:
    assert says in refusal(validate.username, engine, name).message


def test_database_names() -> None:
    validate.database_name(PG, "ledger_1")
    validate.database_name(MYSQL, "x" * 64)
    for engine, name in [
        (PG, "1a"),
        (PG, "a-b"),
        (PG, "x" * 64),
        (PG, "default"),
        (PG, "template1"),
        (MYSQL, "mysql"),
        (PG, ""),
    ]:
        assert refusal(validate.database_name, engine, name).code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("backup", "maintenance"),
    [
        ("03:00-04:00", "sun:05:00-sun:06:00"),
        ("03:00-03:30", "Sun:03:30-Sun:04:00"),
        ("23:45-00:15", "sun:00:15-sun:00:45"),
        (None, "sun:23:45-mon:00:15"),
        ("22:00-02:00", None),
    ],
)
def test_good_windows(backup: str | None, maintenance: str | None) -> None:
    assert validate.windows(backup, maintenance) == (backup, maintenance and maintenance.lower())


@pytest.mark.parametrize(
    ("backup", "maintenance", "says"),
    [
        ("3:00-4:00", None, "hh24:mi"),
        ("24:00-00:30", None, "hh24:mi"),
        ("03:00", None, "hh24:mi"),
        ("03:00-03:29", None, "30 minutes"),
        ("03:00-03:00", None, "30 minutes"),
        (None, "05:00-06:00", "ddd:hh24:mi"),
        (None, "sunday:05:00-sunday:06:00", "ddd:hh24:mi"),
        (None, "sun:05:00-sun:05:20", "30 minutes"),
        ("03:00-04:00", "tue:03:30-tue:04:30", "overlap"),
        (None, "mon:00:00-tue:00:00", "24 hours"),
        ("03:00-04:00", "mon:00:00-mon:23:59", "overlap"),
        ("23:30-00:30", "mon:00:00-mon:00:30", "overlap"),
        ("00:00-00:30", "sun:23:45-mon:00:15", "overlap"),
        ("03:10-03:40", "wed:03:00-wed:04:00", "overlap"),
    ],
)
def test_bad_windows(backup: str | None, maintenance: str | None, says: str) -> None:
    assert says in refusal(validate.windows, backup, maintenance).message


def test_retention_and_port() -> None:
    for days in (1, 35):
        validate.retention(days)
    for days in (0, 36):
        assert f"{days}." in refusal(validate.retention, days).message
    for port in (1150, 65535):
        validate.port(port)
    for port in (1149, 65536):
        assert refusal(validate.port, port)


def test_tags() -> None:
    assert validate.tags([{"Key": "team", "Value": "shop"}, {"Key": "x"}]) == {"team": "shop", "x": ""}
    assert validate.tags([{"Key": "penstock.dev/owner", "Value": "lab/ns/AuroraCluster/a/1"}])
    assert len(validate.tags([{"Key": f"k{n}", "Value": ""} for n in range(50)])) == 50
    for tags in (
        [{"Key": f"k{n}", "Value": ""} for n in range(51)],
        [{"Key": "aws:x", "Value": ""}],
        [{"Key": "RDS:x", "Value": ""}],
        [{"Key": "", "Value": ""}],
        [{"Key": "x" * 129, "Value": ""}],
        [{"Key": "x", "Value": "x" * 257}],
        [{"Key": "a", "Value": ""}, {"Key": "a", "Value": "1"}],
        [{"Key": "a;b", "Value": ""}],
    ):
        assert refusal(validate.tags, tags).code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("max_connections", "6", True),
        ("max_connections", "5", False),
        ("max_connections", "10.5", False),
        ("max_connections", "LEAST({DBInstanceClassMemory/9531392},5000)", True),
        ("max_connections", "many", False),
        ("log_min_duration_statement", "-1", True),
        ("log_min_duration_statement", "500ms", False),
        ("log_min_duration_statement", "-2", False),
        ("rds.force_ssl", "1", True),
        ("rds.force_ssl", "on", False),
        ("log_statement", "ddl", True),
        ("log_statement", "every", False),
        ("shared_preload_libraries", "pg_stat_statements,pg_cron", True),
        ("shared_preload_libraries", "my_own", False),
        ("random_page_cost", "1.1", True),
        ("random_page_cost", "-1", False),
        ("log_statement_sample_rate", "1.5", False),
        ("application_name", "anything at all", True),
    ],
)
def test_parameters(name: str, value: str, good: bool) -> None:
    definition = catalog.parameters("aurora-postgresql15", "cluster")[name]
    if good:
        validate.parameter(definition, value)
    else:
        assert definition.allowed in refusal(validate.parameter, definition, value).message or not definition.allowed


def test_a_parameter_that_nobody_may_set() -> None:
    for family, name in (("aurora-postgresql15", "data_directory"), ("aurora-mysql8.0", "innodb_page_size")):
        definition = catalog.parameters(family, "cluster")[name]
        assert "cannot be modified" in refusal(validate.parameter, definition, "x").message


def test_serverless() -> None:
    new, old = catalog.find(PG, "15.10"), catalog.find(PG, "15.4")
    for args in ((0.5, 4), (0, 256, 300), (0, 1, 86400), (0, 2, None), (128, 128)):
        validate.serverless(*args)
        validate.serverless(*args, *([None] * (3 - len(args))), new)
    for args in (
        (0.25, 4),
        (0.5, 4.1),
        (4, 2),
        (0.5, 256.5),
        (-1, 4),
        (0, 0.5),
        (None, 4),
        (1, None),
        (0.5, 4, 600),
        (0, 4, 299),
        (0, 4, 86401),
    ):
        assert refusal(validate.serverless, *args).code.startswith("InvalidParameter")
    assert "is 0.5 to 128.0" in refusal(validate.serverless, 0, 4, None, old).message
    assert refusal(validate.serverless, 1, 129, None, old)


def test_versions() -> None:
    assert validate.version_for(PG, "15").version == catalog.find(PG, "15").version
    assert refusal(validate.version_for, PG, "15.99").message == "Cannot find version 15.99 for aurora-postgresql"
    assert refusal(validate.version_for, "oracle-ee", "19").code == "InvalidParameterValue"


def test_classes() -> None:
    validate.class_for(PG, "15.10", "db.t4g.medium", "us-east-1c")
    validate.class_for(PG, "15.10", "db.serverless", None)
    validate.class_for(MYSQL, "8.0", "db.r8g.large", "eu-west-1a")
    error = refusal(validate.class_for, PG, "15.10", "db.t2.micro", None)
    assert error.code == "InvalidParameterCombination"
    assert error.message.startswith(
        "RDS does not support creating a DB instance with the following combination: DBInstanceClass=db.t2.micro, "
        "Engine=aurora-postgresql, EngineVersion=15.10, LicenseModel=postgresql-license."
    )
    assert (
        "AvailabilityZone=us-east-1e" in refusal(validate.class_for, PG, "15.10", "db.r8g.large", "us-east-1e").message
    )
    assert refusal(validate.class_for, PG, "13.9", "db.r8g.large", None)
    assert refusal(validate.class_for, PG, "15.10", "m5.large", None).code == "InvalidParameterValue"
