"""AuroraCluster as a model: the whole example of the API's docs, what absent fields mean, versions and windows."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.api import auroracluster_forms as forms
from penstock.api import engine_version, windows
from penstock.api.auroracluster import (
    Apply,
    AuroraCluster,
    AuroraClusterSpec,
    Override,
    instance_identifier,
    ordinal_of,
    validate_cluster,
)
from penstock.api.auroracluster_status import AuroraClusterStatus, Failover, Member
from penstock.api.dynamotable import DynamoTable
from penstock.api.model import Problem, refused_changes
from penstock.api.parsing import parse, parse_as

WHOLE: dict[str, Any] = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "AuroraCluster",
    "metadata": {"name": "ledger", "namespace": "shop"},
    "spec": {
        "region": "us-east-1",
        "clusterIdentifier": "shop-ledger",
        "adopt": False,
        "deletionPolicy": "Snapshot",
        "deletionProtection": True,
        "engine": {"type": "AuroraPostgreSQL", "version": "15.10"},
        "allowMajorUpgrade": False,
        "instances": {
            "class": "db.t4g.medium",
            "readers": 1,
            "readerAutoscaling": {"max": 5, "targetCPU": 60},
            "overrides": [{"ordinal": 2, "class": "db.r6g.large", "promotionTier": 15, "zone": "us-east-1c"}],
        },
        "network": {
            "subnetIds": ["subnet-a", "subnet-b"],
            "securityGroupIds": ["sg-1"],
            "port": 5432,
            "publiclyAccessible": False,
        },
        "credentials": {"masterUsername": "postgres", "managed": True, "iamAuthentication": True},
        "encryption": {"kmsKey": "alias/ledger"},
        "requireTLS": True,
        "storage": {"type": "Standard"},
        "backup": {"retentionDays": 7, "window": "03:00-04:00"},
        "maintenance": {"window": "sun:05:00-sun:06:00", "apply": "InWindow"},
        "parameters": {"log_min_duration_statement": "500"},
        "logs": ["postgresql"],
        "performanceInsights": {"enabled": True, "retentionDays": 7},
        "databaseName": "ledger",
        "tags": {"team": "shop"},
        "restoreFrom": {"clusterIdentifier": "old-ledger", "time": "2026-11-01T12:00:00Z"},
        "probe": {"enabled": True, "interval": "1s"},
        "objectives": {
            "availability": "99.99",
            "failover": "60s",
            "replicaLag": "100ms",
            "connect": "500ms",
            "queryP95": "50ms",
            "recoveryPoint": "5m",
        },
        "cost": {"monthlyBudget": "80"},
        "hibernation": {"schedule": "0 20 * * 1-5", "wake": "0 7 * * 1-5", "timezone": "Europe/Berlin"},
    },
}


def cluster(engine: str = "AuroraPostgreSQL", name: str = "ledger", **spec: Any) -> AuroraCluster:
    """The smallest cluster with these fields."""
    manifest = {
        "kind": "AuroraCluster",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"engine": {"type": engine}, "instances": {"class": "db.t4g.medium"}, **spec},
    }
    found = parse_as(AuroraCluster, manifest)
    assert isinstance(found, AuroraCluster), found
    return found


def test_the_whole_example_passes_and_goes_back_unchanged() -> None:
    found = parse(WHOLE)
    assert isinstance(found, AuroraCluster), found
    assert validate_cluster(found.spec) == []
    assert found.spec.model_dump(mode="json", by_alias=True, exclude_none=True) == WHOLE["spec"]


def test_absent_is_not_none() -> None:
    spec = cluster().spec
    said = {"engine", "instances", "adopt", "deletion_policy", "allow_major_upgrade"}
    for field in AuroraClusterSpec.model_fields.keys() - said:
        assert getattr(spec, field) is None, field
    assert spec.instance_count is None


@pytest.mark.parametrize(
    ("spec", "tls", "managed"),
    [
        ({}, True, True),
        ({"adopt": True}, None, None),
        ({"adopt": True, "requireTLS": True, "credentials": {"managed": True}}, True, True),
        ({"restoreFrom": {"snapshotIdentifier": "last"}}, True, None),
        ({"credentials": {"passwordSecretRef": {"name": "ledger"}}}, True, False),
        ({"credentials": {"masterUsername": "owner"}}, True, True),
        ({"requireTLS": False}, False, True),
        ({"parameterGroups": {"cluster": "shared"}}, None, True),
        ({"parameterGroups": {"instance": "shared"}}, True, True),
    ],
)
def test_what_a_new_cluster_gets_and_an_adopted_one_keeps(
    spec: dict[str, Any], tls: bool | None, managed: bool | None
) -> None:
    found = cluster(**spec).spec
    assert found.requires_tls is tls
    assert found.manages_password is managed


def test_names_come_from_the_object_unless_they_are_given() -> None:
    assert cluster().cluster_identifier == "shop-ledger"
    assert cluster(clusterIdentifier="books").instance_identifier(2) == "books-2"
    assert cluster().spec.master_username == "postgres"
    assert cluster("AuroraMySQL").spec.master_username == "admin"
    assert cluster(credentials={"passwordSecretRef": {"name": "x"}}).spec.password_secret.key == "password"


def test_an_identifier_that_the_namespace_spoils_gets_its_sentence() -> None:
    manifest = {**WHOLE, "metadata": {"name": "ledger", "namespace": "1shop"}}
    assert isinstance(parse(manifest), AuroraCluster)
    manifest["spec"] = {key: value for key, value in WHOLE["spec"].items() if key != "clusterIdentifier"}
    found = parse(manifest)
    assert isinstance(found, list)
    assert [problem.path for problem in found] == ["metadata.name"]


@pytest.mark.parametrize(
    ("instance", "ordinal"),
    [("a-b-1", 1), ("a-b-16", 16), ("a-b-01", None), ("a-b-x", None), ("a-c-1", None), ("a-b", None), ("a-b-²", None)],
)
def test_an_ordinal_is_read_from_a_name_that_penstock_gave(instance: str, ordinal: int | None) -> None:
    assert ordinal_of("a-b", instance) == ordinal


@pytest.mark.parametrize("length", [59, 60, 61, 62, 63])
def test_the_instances_of_the_longest_identifiers_have_names_that_rds_takes(length: int) -> None:
    identifier = ("shop-" * 13)[:length].rstrip("-") + "x" * (length - len(("shop-" * 13)[:length].rstrip("-")))
    other = identifier[:-1] + "y"
    names = [instance_identifier(one, n) for one in (identifier, other) for n in range(1, 17)]
    assert len(set(names)) == 32
    for name in names:
        assert forms.CLUSTER_IDENTIFIER.holds(name), name
    assert [ordinal_of(identifier, n) for n in names] == [*range(1, 17), *[None] * 16]


def test_an_override_is_for_one_instance() -> None:
    instances = parse(WHOLE).spec.instances
    assert (instances.class_of(1), instances.class_of(2), instances.class_of(None)) == (
        "db.t4g.medium",
        "db.r6g.large",
        "db.t4g.medium",
    )
    assert instances.override(1) == Override(ordinal=1)
    assert instances.override(2).promotion_tier == 15


def test_words_are_turned_into_those_of_aws() -> None:
    spec = cluster(storage={"type": "IOOptimized"}, maintenance={"apply": "Immediately"}).spec
    assert spec.storage_type == "aurora-iopt1"
    assert spec.apply is Apply.IMMEDIATELY
    assert cluster().spec.apply is Apply.IN_WINDOW
    assert spec.engine.aws_name == "aurora-postgresql"
    assert cluster("AuroraMySQL").spec.engine.tls_parameter[0] == "require_secure_transport"
    serverless = {"minCapacity": 0, "maxCapacity": 2.5, "autoPause": "10m"}
    found = cluster(instances={"class": "db.serverless", "serverless": serverless}).spec.instances.serverless
    assert found.seconds_until_auto_pause == 600


def test_a_status_goes_to_kubernetes_and_back() -> None:
    now = datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC)
    status = AuroraClusterStatus(
        members=(Member(name="a-1", instance_class="db.t4g.medium"),),
        failovers=(Failover(started_at=now, from_="a-1", to="a-2"),),
    )
    written = status.manifest()
    assert written["members"] == [{"name": "a-1", "class": "db.t4g.medium"}]
    assert written["failovers"] == [{"startedAt": "2026-11-23T12:00:01Z", "from": "a-1", "to": "a-2"}]
    read = parse({**WHOLE, "status": written})
    assert isinstance(read, AuroraCluster)
    assert read.status.manifest() == written
    assert isinstance(parse({**WHOLE, "status": {"members": 3}}), AuroraCluster)


def test_the_kind_chooses_the_model() -> None:
    kinds = "DynamoTable, AuroraCluster, FailoverDrill, CostBudget"
    assert parse({**WHOLE, "kind": "Aurora"}) == [Problem("kind", f"must be one of {kinds}, not 'Aurora'")]
    found = parse_as(DynamoTable, WHOLE)
    assert isinstance(found, list)
    assert any(problem.path == "kind" for problem in found)


def test_a_password_in_a_manifest_is_not_told_again() -> None:
    found = parse({**WHOLE, "spec": {**WHOLE["spec"], "credentials": {"password": "correct-horse"}}})
    assert isinstance(found, list)
    assert "correct-horse" not in repr(found)


# Edits


def _changed(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    after, before = parse_as(AuroraCluster, new), parse_as(AuroraCluster, old)
    assert isinstance(after, AuroraCluster), after
    assert isinstance(before, AuroraCluster), before
    return [str(problem) for problem in refused_changes(after, before)]


MYSQL = "8.0.mysql_aurora."


@pytest.mark.parametrize(
    ("engine", "old", "running", "new", "refused"),
    [
        ("AuroraPostgreSQL", "15.10", "15.10", "15.9", True),
        ("AuroraPostgreSQL", "15.10", "15.10", "14.13", True),
        ("AuroraPostgreSQL", "15.10", "15.10", "14", True),
        ("AuroraPostgreSQL", "15.10", "15.10", "15", False),
        ("AuroraPostgreSQL", "15", "15.10", "15.9", False),
        # An upgrade that is not done is taken back, and so is a version that AWS does not have.
        ("AuroraPostgreSQL", "16.4", "15.10", "15.10", False),
        ("AuroraPostgreSQL", "16.4", None, "15.10", False),
        # The spec follows what AWS raised, from below.
        ("AuroraPostgreSQL", "15.8", "15.10", "15.9", False),
        # A revert of an edit that AWS has gone beyond by itself lowers nothing; another major is impossible all the same.
        ("AuroraPostgreSQL", "16.6", "16.8", "16.4", False),
        ("AuroraPostgreSQL", "16.6", "16.8", "15.8", True),
        ("AuroraPostgreSQL", "16.6", "16.8", "15", True),
        ("AuroraMySQL", MYSQL + "3.08.0", MYSQL + "3.10.0", MYSQL + "3.07.1", False),
        ("AuroraMySQL", MYSQL + "3.08.0", MYSQL + "3.10.0", "5.7", True),
        ("AuroraMySQL", MYSQL + "3.08.0", MYSQL + "3.08.0", MYSQL + "3.07.1", True),
        ("AuroraMySQL", MYSQL + "3.08.0", MYSQL + "3.08.0", "8.0", False),
        ("AuroraMySQL", "8.0", MYSQL + "3.08.0", "5.7", True),
        ("AuroraMySQL", MYSQL + "3.08.0", MYSQL + "3.10.0", MYSQL + "3.09.1", False),
    ],
)
def test_a_downgrade_of_what_runs_is_refused(
    engine: str, old: str, running: str | None, new: str, refused: bool
) -> None:
    def asking(version: str) -> dict[str, Any]:
        return {
            "kind": "AuroraCluster",
            "metadata": {"name": "ledger"},
            "spec": {"engine": {"type": engine, "version": version}, "instances": {"class": "db.t4g.medium"}},
            "status": {"engineVersion": running} if running else {},
        }

    sentence = (
        "spec.engine.version: must not be lower than what runs: Aurora has no downgrade; "
        "restore a snapshot into another AuroraCluster"
    )
    assert _changed(asking(new), asking(old)) == ([sentence] if refused else [])


def test_what_comes_from_elsewhere_may_be_named_later() -> None:
    late = {"databaseName": "books", "credentials": {"masterUsername": "boss"}, "encryption": {"kmsKey": "alias/x"}}

    def manifest(**spec: Any) -> dict[str, Any]:
        body = {"engine": {"type": "AuroraPostgreSQL"}, "instances": {"class": "db.t4g.medium"}, **spec}
        status = {"resourceId": "cluster-LEDGER"}
        return {"kind": "AuroraCluster", "metadata": {"name": "ledger"}, "spec": body, "status": status}

    assert _changed(manifest(adopt=True, **late), manifest(adopt=True)) == []
    assert len(_changed(manifest(**late), manifest())) == 3
    assert _changed(manifest(credentials={"masterUsername": "postgres"}), manifest()) == []


@pytest.mark.parametrize("status", [{}, {"conditions": [], "clusterIdentifier": "shop-ledger"}])
def test_until_the_cluster_exists_what_aws_settles_can_be_edited(status: dict[str, Any]) -> None:
    def manifest(**spec: Any) -> dict[str, Any]:
        body = {"engine": {"type": "AuroraPostgreSQL"}, "instances": {"class": "db.t4g.medium"}, **spec}
        return {"kind": "AuroraCluster", "metadata": {"name": "ledger"}, "spec": body, "status": status}

    refused = {
        "network": {"subnetGroup": "typo"},
        "encryption": {"kmsKey": "alias/typo"},
        "restoreFrom": {"snapshotIdentifier": "typo"},
        "credentials": {"masterUsername": "taken"},
        "databaseName": "taken",
    }
    edited = {
        "network": {"subnetIds": ["subnet-a", "subnet-b"]},
        "encryption": {"kmsKey": "alias/ledger"},
        "restoreFrom": {"snapshotIdentifier": "last"},
        "credentials": {"masterUsername": "owner"},
        "databaseName": "ledger",
    }
    for before, after in ((refused, edited), (refused, {}), ({}, edited)):
        assert _changed(manifest(**after), manifest(**before)) == []
    assert _changed(manifest(engine={"type": "AuroraMySQL"}), manifest()) == []


@pytest.mark.parametrize(
    ("named", "in_aws"),
    [
        ({"credentials": {"masterUsername": "boss"}}, {"credentials": {"masterUsername": "boss"}}),
        ({"databaseName": "books"}, {"databaseName": "books"}),
        ({"network": {"subnetGroup": "shop"}}, {"subnetGroup": "shop"}),
        ({"network": {"subnetIds": ["subnet-a", "subnet-b"]}}, {"subnetGroup": "penstock-ledger"}),
        (
            {"encryption": {"kmsKey": "arn:aws:kms:us-east-1:123456789012:key/k"}},
            {"kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k"},
        ),
        ({"encryption": {"kmsKey": "alias/ledger"}}, {"kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k"}),
        ({"restoreFrom": {"snapshotIdentifier": "last"}}, {"restoreFrom": {"snapshotIdentifier": "last"}}),
        (
            {"restoreFrom": {"clusterIdentifier": "books", "time": "2026-11-01T12:00:00Z"}},
            {"restoreFrom": {"clusterIdentifier": "books", "time": "2026-11-01T12:00:00Z"}},
        ),
    ],
)
def test_what_aws_has_can_be_taken_out_of_the_spec_and_put_back(named: dict[str, Any], in_aws: dict[str, Any]) -> None:
    def manifest(**spec: Any) -> dict[str, Any]:
        body = {"engine": {"type": "AuroraPostgreSQL"}, "instances": {"class": "db.t4g.medium"}, **spec}
        status = {"resourceId": "cluster-LEDGER", **in_aws}
        return {"kind": "AuroraCluster", "metadata": {"name": "ledger"}, "spec": body, "status": status}

    assert _changed(manifest(), manifest(**named)) == []
    assert _changed(manifest(**named), manifest()) == []


def test_a_wrong_name_of_what_aws_settled_can_be_mended_and_not_changed_again() -> None:
    def manifest(username: str) -> dict[str, Any]:
        body = {"engine": {"type": "AuroraPostgreSQL"}, "instances": {"class": "db.t4g.medium"}}
        spec = {**body, "credentials": {"masterUsername": username}}
        status = {"resourceId": "cluster-LEDGER", "credentials": {"masterUsername": "boss"}}
        return {"kind": "AuroraCluster", "metadata": {"name": "ledger"}, "spec": spec, "status": status}

    assert _changed(manifest("boss"), manifest("other")) == []
    assert len(_changed(manifest("other"), manifest("boss"))) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "engine",
    "engine.version",
    "instances",
    "instances.class",
    "instances.readers",
    "instances.serverless",
    "instances.serverless.minCapacity",
    "instances.serverless.maxCapacity",
    "instances.serverless.autoPause",
    "instances.overrides",
    "network",
    "network.subnetIds",
    "credentials",
    "encryption",
    "backup.window",
    "maintenance.window",
    "parameters",
    "logs",
    "performanceInsights.retentionDays",
    "tags",
    "restoreFrom",
    "probe.interval",
    "objectives.availability",
    "cost",
    "hibernation.schedule",
    "stopped",
)
PATHS = [("spec", *field.split(".")) for field in FIELDS] + [
    ("spec",),
    ("metadata",),
    ("apiVersion",),
    ("kind",),
    ("status",),
]


@settings(deadline=None)
@given(path=st.sampled_from(PATHS), value=JSON)
def test_no_manifest_makes_the_reader_raise(path: tuple[str, ...], value: Any) -> None:
    manifest = copy.deepcopy(WHOLE)
    manifest["spec"]["instances"] |= {
        "class": "db.serverless",
        "serverless": {"minCapacity": 0, "maxCapacity": 2, "autoPause": "5m"},
    }
    place = manifest
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    found = parse(manifest)
    if isinstance(found, list):
        assert found
        assert all(problem.sentence for problem in found)


# Versions and windows


@pytest.mark.parametrize(
    ("text", "major", "minor"),
    [
        ("15.10", (15,), (10,)),
        ("15", (15,), ()),
        ("16.4-limitless", (16,), (4,)),
        ("8.0", (8, 0), ()),
        ("8.0.mysql_aurora.3.08.0", (8, 0), (3, 8, 0)),
        ("5.7.mysql_aurora.2.11.4", (5, 7), (2, 11, 4)),
    ],
)
def test_a_version_is_a_major_and_a_minor(text: str, major: tuple[int, ...], minor: tuple[int, ...]) -> None:
    found = engine_version.parse(text)
    assert (found.major, found.minor, str(found)) == (major, minor, text)


@pytest.mark.parametrize("text", ["", "latest", "v15", "mysql_aurora", "15.", "8"])
def test_what_is_no_version_gets_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is no version of an Aurora engine"):
        engine_version.parse(text)


@pytest.mark.parametrize(
    ("running", "wanted", "lower", "satisfied"),
    [
        ("15.9", "15.10", True, False),
        ("15.10", "15.9", False, True),
        ("15.10", "15", False, True),
        ("15.10", "16", True, False),
        ("16.1", "15.10", False, False),
        ("8.0.mysql_aurora.3.04.3", "8.0.mysql_aurora.3.10.0", True, False),
        ("8.0.mysql_aurora.3.10.0", "8.0", False, True),
    ],
)
def test_minors_are_followed_upwards(running: str, wanted: str, lower: bool, satisfied: bool) -> None:
    assert engine_version.is_lower(running, wanted) is lower
    assert engine_version.satisfies(running, wanted) is satisfied


def test_versions_are_ordered() -> None:
    texts = ["16.1", "15.10", "15.9", "15", "14.13"]
    assert [str(v) for v in sorted(map(engine_version.parse, texts))] == ["14.13", "15", "15.9", "15.10", "16.1"]
    assert engine_version.same_major("15", "15.10")
    assert not engine_version.same_major("8.0", "8.4.mysql_aurora.8.4.0")


MONDAY = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)


def test_a_weekly_window_goes_over_the_end_of_the_week() -> None:
    window = windows.weekly("Sun:23:30-mon:00:30")
    assert window.length == 60
    assert window.open_at(MONDAY.replace(minute=29))
    assert not window.open_at(MONDAY.replace(minute=30))
    assert window.opens_after(MONDAY) == datetime(2026, 11, 29, 23, 30, tzinfo=UTC)


def test_a_daily_window_opens_every_day() -> None:
    window = windows.daily("23:45-00:30")
    assert window.length == 45
    assert window.open_at(MONDAY)
    assert window.opens_after(MONDAY) == MONDAY.replace(hour=23, minute=45)
    assert window.opens_after(MONDAY.replace(hour=23, minute=45)) == datetime(2026, 11, 24, 23, 45, tzinfo=UTC)


TIMES = st.integers(0, windows.DAY - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")


@given(a=TIMES, b=TIMES, c=TIMES, d=TIMES, day=st.integers(0, 6))
def test_windows_overlap_when_some_minute_is_in_both(a: str, b: str, c: str, d: str, day: int) -> None:
    daily = windows.daily(f"{a}-{b}")
    weekly = windows.weekly(f"{windows.DAYS[day]}:{c}-{windows.DAYS[(day + (d < c)) % 7]}:{d}")
    mine = {(daily.start + minute) % windows.DAY for minute in range(daily.length)}
    its = {(weekly.start + minute) % windows.DAY for minute in range(weekly.length)}
    assert daily.overlaps(weekly) == weekly.overlaps(daily)
    if mine and its:
        assert daily.overlaps(weekly) == bool(mine & its)
