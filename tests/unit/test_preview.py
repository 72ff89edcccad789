"""`penstock plan -f`: what it prints and how it exits, against an AWS endpoint on loopback and without a cluster."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from click.testing import CliRunner, Result
from moto.server import ThreadedMotoServer

from penstock.api.meta import OWNER_TAG
from penstock.cli import main

REGION = "us-east-1"
KEY = {"partition": {"name": "pk", "type": "String"}}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, endpoint: str, tmp_path: Path) -> None:
    """Credentials and an endpoint, and nothing of the machine's own: no kubeconfig, no profile."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "KUBECONFIG": str(tmp_path / "none"),
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.fixture
def dynamodb(endpoint: str) -> Iterator[Any]:
    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=endpoint)
    yield client
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "DynamoTable",
        "metadata": {"name": name},
        "spec": {"key": KEY, **spec},
    }


def planned(tmp_path: Path, *documents: Any, text: str = "", options: tuple[str, ...] = ()) -> Result:
    path = tmp_path / "manifests.yaml"
    path.write_text(text or yaml.safe_dump_all(documents), encoding="utf-8")
    return CliRunner().invoke(main, ["plan", "-f", str(path), *options])


def create(dynamodb: Any, name: str, owner: str = "") -> None:
    """A table as a default manifest asks for it, perhaps with an owner's tag."""
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": OWNER_TAG, "Value": owner}] if owner else [],
    )
    dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def no_traceback(result: Result) -> None:
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_table_that_is_not_there_is_to_be_created_and_exits_2(tmp_path: Path, dynamodb: Any) -> None:
    result = planned(tmp_path, manifest("orders", ttl={"attribute": "exp"}))
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert lines[0] == "DynamoTable/default/orders"
    assert lines[1] == "  + create table orders (on demand)  (Immediate)"
    assert "  ~ turn point-in-time recovery on  (Immediate, after what goes before)" in lines
    assert "  ~ turn TTL on (exp)  (Immediate, after what goes before)" in lines
    assert lines[-1] == "Plan: 1 to create, 2 to change, 0 to destroy."
    assert dynamodb.list_tables()["TableNames"] == [], "nothing is changed"
    assert "\x1b" not in result.output, "no colours into a pipe"


@pytest.mark.parametrize("uid", ["0b9f6a1e-0000-4000-8000-000000000001", "00000000-0000-0000-0000-000000000000"])
def test_a_table_that_is_as_the_manifest_says_exits_0(tmp_path: Path, dynamodb: Any, uid: str) -> None:
    create(dynamodb, "orders", f"some-cluster/default/DynamoTable/orders/{uid}")
    result = planned(tmp_path, manifest("orders"))
    assert result.exit_code == 0, result.output
    assert "nothing to do: AWS is as the manifest says" in result.output
    assert "Plan: 0 to create, 0 to change, 0 to destroy." in result.output


def test_a_change_of_our_own_table_exits_2(tmp_path: Path, dynamodb: Any) -> None:
    create(dynamodb, "orders", "some-cluster/default/DynamoTable/orders/1234")
    result = planned(tmp_path, manifest("orders", stream={"view": "NewImage"}, tags={"team": "shop"}))
    assert result.exit_code == 2
    assert "~ set tags team" in result.output
    assert "~ turn on the stream with NEW_IMAGE" in result.output
    assert "Plan: 0 to create, 2 to change, 0 to destroy." in result.output


def test_a_step_that_changes_the_price_says_by_how_much(tmp_path: Path, dynamodb: Any) -> None:
    # 10 GB x 0.25 = 2.50, recovery 10 GB x 0.20 = 2.00, 1 write a second 2.628 M x 0.625 = 1.6425
    usage = {"expectedUsage": {"storage": "10G", "writesPerSecond": 1}}
    result = planned(tmp_path, manifest("orders", cost=usage))
    lines = result.output.splitlines()
    assert lines[1] == "  + create table orders (on demand)  (Immediate)  +$4.14/month"
    assert "  ~ turn point-in-time recovery on  (Immediate, after what goes before)  +$2.00/month" in lines
    assert lines[-1] == "Plan: 1 to create, 1 to change, 0 to destroy; together +$6.14/month."
    warm = planned(tmp_path, manifest("orders", warmThroughput={"readUnits": 20000, "writeUnits": 5000}))
    assert "  + create table orders (on demand)  (Immediate)  price not known" in warm.output.splitlines()
    told = json.loads(planned(tmp_path, manifest("orders", cost=usage), options=("-o", "json")).output)
    assert [s.get("costDelta") for s in told[0]["plan"]["steps"]] == ["+$4.14/month", "+$2.00/month"]


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        ("", "set spec.adopt: true to take it over"),
        ("some-cluster/other/DynamoTable/orders/1234", "belongs to DynamoTable other/orders of cluster some-cluster"),
    ],
)
def test_a_table_of_somebody_else_exits_1_and_says_whose(tmp_path: Path, dynamodb: Any, owner: str, words: str) -> None:
    create(dynamodb, "orders", owner)
    result = planned(tmp_path, manifest("orders"))
    assert result.exit_code == 1
    assert words in result.output
    assert "0 to create, 0 to change" in result.output


def test_an_adoption_is_shown(tmp_path: Path, dynamodb: Any) -> None:
    create(dynamodb, "orders")
    result = planned(tmp_path, manifest("orders", adopt=True))
    assert result.exit_code == 2
    assert f"set tags {OWNER_TAG}" in result.output


def test_the_namespace_and_the_region_may_be_said(tmp_path: Path, dynamodb: Any) -> None:
    create(dynamodb, "orders", "c/shop/DynamoTable/orders/1")
    result = planned(tmp_path, manifest("orders"), options=("-n", "shop"))
    assert result.exit_code == 0
    assert result.output.startswith("DynamoTable/shop/orders\n")
    elsewhere = planned(tmp_path, manifest("orders"), options=("--region", "eu-west-1"))
    assert elsewhere.exit_code == 2


def test_json_has_the_same_plan_for_programs(tmp_path: Path, dynamodb: Any) -> None:
    create(dynamodb, "same", "c/default/DynamoTable/same/1")
    result = planned(
        tmp_path, manifest("orders"), manifest("same"), manifest("bad", ttl={"attribute": "pk"}), options=("-o", "json")
    )
    assert result.exit_code == 1
    made, same, bad = json.loads(result.output)
    assert made["object"] == "DynamoTable/default/orders"
    assert made["plan"]["steps"][0] == {
        "summary": "create table orders (on demand)",
        "effect": "Immediate",
        "when": "Now",
    }
    assert same == {"object": "DynamoTable/default/same", "plan": {}}
    assert bad["problems"] == [
        "spec.ttl: must not be part of the table's key: items would expire by their identity; use another attribute"
    ]


def test_several_documents_and_files_are_planned_one_by_one(tmp_path: Path, dynamodb: Any) -> None:
    create(dynamodb, "there", "c/default/DynamoTable/there/1")
    other = tmp_path / "other.yaml"
    listed = {"apiVersion": "v1", "kind": "List", "items": [manifest("in-a-list-1"), manifest("in-a-list-2")]}
    other.write_text(yaml.safe_dump(listed), encoding="utf-8")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "not-ours"}}
    result = planned(tmp_path, manifest("there"), None, config, manifest("new"), options=("-f", str(other)))
    assert result.exit_code == 2
    named = re.findall(r"^DynamoTable/default/(\S+)$", result.output, re.MULTILINE)
    assert named == ["there", "new", "in-a-list-1", "in-a-list-2"]
    assert "Plan: 3 to create" in result.output
    assert "not-ours" not in result.output


def test_a_bad_document_does_not_hide_the_good_ones(tmp_path: Path) -> None:
    result = planned(tmp_path, manifest("bad", unknown=1), manifest("good"))
    assert result.exit_code == 1, "an error outweighs changes"
    assert "spec.unknown: is not a field here" in result.output
    assert "+ create table good" in result.output
    no_traceback(result)


BAD_FILES = {
    "no yaml": ("a: [1, 2", "is no YAML"),
    "tabs": ("a:\n\t- b", "is no YAML"),
    "empty": ("\n", "holds no DynamoTable"),
    "other kinds": ("kind: ConfigMap\nmetadata: {name: x}\n", "holds no DynamoTable"),
    "a list": ("- 1\n- 2\n", "is no Kubernetes object"),
    "a text": ("just text\n", "is no Kubernetes object"),
    "no metadata": ("kind: DynamoTable\nspec: {}\n", "needs apiVersion, kind and metadata.name"),
    "no name": ("kind: DynamoTable\nmetadata: {}\n", "metadata.name"),
    "no spec": ("apiVersion: penstock.dev/v1alpha1\nkind: DynamoTable\nmetadata: {name: abc}\n", "spec"),
    "items that are none": ("kind: List\nitems: 5\n", "is no Kubernetes object"),
    "a name that is a number": (
        "apiVersion: penstock.dev/v1alpha1\nkind: DynamoTable\nmetadata: {name: 5}\nspec: {key: {partition: {name: a, type: String}}}\n",
        "metadata.name: must be text",
    ),
    "annotations that are none": (
        "apiVersion: penstock.dev/v1alpha1\nkind: DynamoTable\nmetadata: {name: abc, annotations: 5}\n"
        "spec: {key: {partition: {name: a, type: String}}}\n",
        "metadata.annotations: must be an object",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_gets_a_sentence_and_exits_1(tmp_path: Path, name: str) -> None:
    text, words = BAD_FILES[name]
    result = planned(tmp_path, text=text)
    no_traceback(result)
    assert result.exit_code == 1, result.output
    assert words in result.output


def test_a_file_that_is_not_text_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    result = CliRunner().invoke(main, ["plan", "-f", str(path)])
    no_traceback(result)
    assert (result.exit_code, "is no YAML" in result.output) == (1, True)
    missing = CliRunner().invoke(main, ["plan", "-f", str(tmp_path / "missing.yaml")])
    no_traceback(missing)
    assert missing.exit_code == 1, "2 would say that there are changes"
    assert "cannot be read" in missing.output
    folder = CliRunner().invoke(main, ["plan", "-f", str(tmp_path)])
    no_traceback(folder)
    assert (folder.exit_code, "name a file, or - for standard input" in folder.output) == (1, True)


def test_standard_input(dynamodb: Any) -> None:
    result = CliRunner().invoke(main, ["plan", "-f", "-"], input=yaml.safe_dump(manifest("piped")))
    assert result.exit_code == 2
    assert "+ create table piped" in result.output


def test_an_endpoint_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        result = planned(tmp_path, manifest("orders"))
    no_traceback(result)
    assert result.exit_code == 1
    assert "AWS cannot be reached (dynamodb:DescribeTable" in result.output


def test_credentials_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = planned(tmp_path, manifest("orders"))
    no_traceback(result)
    assert result.exit_code == 1
    assert "No AWS credentials were found" in result.output


def test_a_cluster_beside_a_table(tmp_path: Path) -> None:
    cluster = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "AuroraCluster",
        "metadata": {"name": "ledger"},
        "spec": {
            "engine": {"type": "AuroraPostgreSQL", "version": "15.10"},
            "instances": {"class": "db.t4g.medium", "readers": 1},
            "credentials": {"passwordSecretRef": {"name": "master"}},
        },
    }
    result = planned(tmp_path, manifest("beside"), cluster)
    assert result.exit_code == 2, result.output
    assert "+ make cluster default-ledger (AuroraPostgreSQL 15.10)" in result.output
    assert "+ make instance default-ledger-2" in result.output
    assert "+ create table beside" in result.output
    # A password that cannot be read here is nobody's mistake.
    assert "Secret" not in result.output


def test_a_wrong_cluster_is_a_sentence(tmp_path: Path) -> None:
    wrong = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "AuroraCluster",
        "metadata": {"name": "ledger"},
        "spec": {"engine": {"type": "AuroraPostgreSQL"}, "instances": {"class": "db.t4g.medium", "readers": 16}},
    }
    result = planned(tmp_path, wrong)
    assert result.exit_code == 1
    assert "spec.instances.readers: " in result.output


def drill(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "FailoverDrill",
        "metadata": {"name": name, "creationTimestamp": None},
        "spec": {"clusterRef": {"name": "ledger"}, **spec},
    }


def test_a_drill_says_what_keeps_it_and_when_it_runs(tmp_path: Path) -> None:
    cluster = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "AuroraCluster",
        "metadata": {"name": "ledger"},
        "spec": {"engine": {"type": "AuroraPostgreSQL", "version": "15.10"}, "instances": {"class": "db.t4g.medium"}},
    }
    result = planned(tmp_path, drill("now"), drill("weekly", schedule="10 5 * * 0"), cluster)
    assert result.exit_code == 2, result.output
    assert "… Cluster ledger is not there in AWS yet" in result.output
    assert re.search(r"\? It runs next 20\d\d-\d\d-\d\d 05:10 UTC\.", result.output)
    assert "? As things are now it would not begin then: Cluster ledger is not there" in result.output
    no_traceback(result)


def test_a_drill_of_a_cluster_that_nobody_can_be_asked_about_says_so(tmp_path: Path) -> None:
    result = planned(tmp_path, drill("now"))
    assert result.exit_code == 0, result.output
    assert "no Kubernetes cluster answers, and the manifests hold no AuroraCluster ledger" in result.output
    assert "AWS is as the manifest says" not in result.output
    told = json.loads(planned(tmp_path, drill("now"), options=("-o", "json")).output)
    assert "ledger" in told[0]["plan"]["notes"][0]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (drill("bad", load={"writers": 99}), "spec.load.writers: must be from 1 to 32"),
        (drill("bad", schedule="0 4 31 2 *"), "is no time that comes"),
        (
            {
                "apiVersion": "penstock.dev/v1alpha1",
                "kind": "CostBudget",
                "metadata": {"name": "lab"},
                "spec": {"monthlyLimit": "-2"},
            },
            "spec.monthlyLimit: must be",
        ),
    ],
)
def test_a_drill_or_a_budget_that_is_wrong_is_a_sentence_and_exits_1(
    tmp_path: Path, document: dict[str, Any], words: str
) -> None:
    result = planned(tmp_path, document)
    assert result.exit_code == 1
    assert words in result.output
    no_traceback(result)


def test_a_budget_is_nothing_in_aws(tmp_path: Path) -> None:
    budget = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "CostBudget",
        "metadata": {"name": "lab"},
        "spec": {"monthlyLimit": "80"},
    }
    result = planned(tmp_path, budget)
    assert result.exit_code == 0
    assert "A budget makes nothing in AWS" in result.output
