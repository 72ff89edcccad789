"""Faults on demand, credentials, unknown operations, the control API and the process itself."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from penstock_lab.aws.client import LabAWS, LabAWSError

from .conftest import schema


def test_throttling_by_operation_and_share(ddb, lab, make, refused):
    name = make()
    rule = lab.add_fault(kind="throttle", service="dynamodb", operation="Describe*", key=name, count=2)
    for _ in range(2):
        assert refused("ThrottlingException", ddb.describe_table, TableName=name) == "Rate exceeded"
    ddb.describe_table(TableName=name)
    assert lab.faults() == []
    lab.add_fault(kind="throttle", operation="GetItem")
    refused("ProvisionedThroughputExceededException", ddb.get_item, TableName=name, Key={"pk": {"S": "a"}})
    assert lab.clear_faults() == 1
    lab.add_fault(kind="throttle", rate=0.3)
    failed = 0
    for _ in range(200):
        try:
            ddb.describe_table(TableName=name)
        except ClientError:
            failed += 1
    assert 30 <= failed <= 90
    assert rule["id"].startswith("fault-")


def test_retries_get_through(client, lab, make):
    name = make()
    lab.add_fault(kind="throttle", operation="DescribeTable", count=1)
    answer = client(retries=3).describe_table(TableName=name)
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1


def test_errors_latency_and_expiry(ddb, lab, make, refused):
    name = make()
    lab.add_fault(kind="error", operation="DescribeTable", expires=0.3)
    assert refused("InternalServerError", ddb.describe_table, TableName=name) == "Internal server error"
    time.sleep(0.35)
    ddb.describe_table(TableName=name)
    lab.add_fault(kind="error", operation="DescribeTable", status=503, code="ServiceUnavailable", message="later")
    assert refused("ServiceUnavailable", ddb.describe_table, TableName=name) == "later"
    lab.clear_faults()
    lab.add_fault(kind="latency", operation="DescribeTable", seconds=0.3)
    started = time.monotonic()
    ddb.describe_table(TableName=name)
    assert time.monotonic() - started >= 0.3


def test_a_dropped_connection_may_have_taken_effect(ddb, lab, name):
    lab.add_fault(kind="drop", operation="CreateTable", count=1)
    with pytest.raises(ConnectionClosedError):
        ddb.create_table(TableName=name, **schema())
    assert name not in ddb.list_tables()["TableNames"]
    lab.add_fault(kind="drop", operation="CreateTable", when="after", count=1)
    with pytest.raises(ConnectionClosedError):
        ddb.create_table(TableName=name, **schema())
    assert name in ddb.list_tables()["TableNames"]
    lab.clock(advance=11)
    ddb.delete_table(TableName=name)


def test_stale_reads_answer_from_before_the_latest_write(ddb, lab, name, make, refused):
    lab.add_fault(kind="stale", service="dynamodb", seconds=0.6)
    ddb.create_table(TableName=name, **schema())
    refused("ResourceNotFoundException", ddb.describe_table, TableName=name)
    assert name not in ddb.list_tables()["TableNames"]
    time.sleep(0.7)
    assert ddb.describe_table(TableName=name)["Table"]["TableStatus"] == "CREATING"
    lab.clock(advance=11)
    arn = ddb.describe_table(TableName=name)["Table"]["TableArn"]
    ddb.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert ddb.list_tags_of_resource(ResourceArn=arn)["Tags"] == []
    ddb.put_item(TableName=name, Item={"pk": {"S": "a"}, "v": {"N": "1"}})
    time.sleep(0.7)
    ddb.put_item(TableName=name, Item={"pk": {"S": "a"}, "v": {"N": "2"}})
    key = {"TableName": name, "Key": {"pk": {"S": "a"}}}
    assert ddb.get_item(**key)["Item"]["v"] == {"N": "1"}
    assert ddb.get_item(**key, ConsistentRead=True)["Item"]["v"] == {"N": "2"}
    time.sleep(0.7)
    assert ddb.get_item(**key)["Item"]["v"] == {"N": "2"}
    lab.clear_faults()
    ddb.delete_table(TableName=name)


def test_a_denied_action_says_who_what_and_where(ddb, lab, make, refused):
    name = make()
    lab.add_fault(kind="deny", service="dynamodb", operation="UpdateTimeToLive")
    message = refused(
        "AccessDeniedException",
        ddb.update_time_to_live,
        TableName=name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "at"},
    )
    assert message.startswith(
        "User: arn:aws:sts::123456789012:assumed-role/lab/AKIALAB is not authorized to perform: "
        f"dynamodb:UpdateTimeToLive on resource: arn:aws:dynamodb:us-east-1:123456789012:table/{name}"
    )
    assert lab.calls()["errors"] == {"dynamodb.UpdateTimeToLive AccessDeniedException": 1}


def test_faults_hit_the_services_of_moto_too(client, lab):
    lab.add_fault(kind="throttle", service="rds")
    with pytest.raises(ClientError) as caught:
        client("rds").describe_db_clusters()
    assert caught.value.response["Error"]["Code"] == "Throttling"
    lab.add_fault(kind="deny", service="sts")
    with pytest.raises(ClientError) as caught:
        client("sts").get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"kind": "explode"}, "kind must be one of"),
        ({"kind": "error", "rate": 2}, "rate must be between 0 and 1"),
        ({"kind": "error", "rate": "often"}, "rate must be a number"),
        ({"kind": "error", "table": "x"}, "a fault has no table"),
        ({"kind": "error", "status": 200}, "status must be"),
        ({"kind": "drop", "when": "never"}, "before or after"),
    ],
)
def test_a_rule_that_makes_no_sense(lab, rule, words):
    with pytest.raises(LabAWSError, match=words):
        lab.add_fault(**rule)


def test_settings_and_clock_refuse_nonsense(lab):
    with pytest.raises(LabAWSError, match="there is no setting 'speed_of_light'"):
        lab.settings(speed_of_light=1)
    with pytest.raises(LabAWSError, match="at least 0"):
        lab.settings(table_create_s=-1)
    with pytest.raises(LabAWSError, match="true or false"):
        lab.settings(throttle_provisioned=1)
    with pytest.raises(LabAWSError, match="speed must be"):
        lab.clock(speed=0)
    with pytest.raises(LabAWSError, match="between 0 seconds"):
        lab.clock(advance=-5)
    before = lab.clock()["now"]
    assert lab.clock(advance=100)["now"] >= before + 100
    lab.clock(speed=1000)
    time.sleep(0.05)
    assert lab.clock(speed=1)["now"] >= before + 150


@pytest.mark.parametrize(
    ("key", "code", "message"),
    [
        ("AKIAEXPIRED0001", "ExpiredTokenException", "The security token included in the request is expired"),
        ("AKIAUNKNOWN0001", "UnrecognizedClientException", "The security token included in the request is invalid."),
    ],
)
def test_credentials_that_are_no_good(client, refused, key, code, message):
    assert refused(code, client(key=key).list_tables) == message


def test_credentials_that_are_missing(endpoint):
    request = urllib.request.Request(
        endpoint, data=b"{}", headers={"X-Amz-Target": "DynamoDB_20120810.ListTables"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert "MissingAuthenticationTokenException" in caught.value.read().decode()


def test_query_services_name_bad_credentials_their_own_way(client):
    with pytest.raises(ClientError) as caught:
        client("rds", key="AKIAEXPIRED0001").describe_db_clusters()
    assert caught.value.response["Error"]["Code"] == "ExpiredToken"


def test_unknown_operations_are_refused_in_the_form_of_the_service(client, lab, make, refused):
    name = make()
    for service, operation, code, arguments in (
        ("dynamodb", "describe_table_replica_auto_scaling", "UnknownOperationException", {"TableName": name}),
        ("rds", "describe_db_proxies", "InvalidAction", {}),
        ("sns", "put_data_protection_policy", "InvalidAction", {"ResourceArn": "arn", "DataProtectionPolicy": "{}"}),
        (
            "pi",
            "list_available_resource_metrics",
            "UnknownOperationException",
            {"ServiceType": "RDS", "Identifier": "db", "MetricTypes": ["os"]},
        ),
        ("health", "describe_events", "UnknownOperationException", {}),
        ("ecr", "describe_registry_nothing", None, {}),
    ):
        if code is None:
            continue
        refused(code, getattr(client(service), operation), **arguments)


def test_garbage_is_answered_and_not_a_traceback(endpoint):
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.CreateTable",
        "Authorization": "AWS4-HMAC-SHA256 Credential=A/2026/us-east-1/dynamodb/aws4_request, SignedHeaders=a, Signature=b",
    }
    for body, code in (
        (b"{not json", "SerializationException"),
        (b"[]", "SerializationException"),
        (b"{}", "ValidationException"),
        (b'{"TableName": "abc", "KeySchema": 5, "AttributeDefinitions": []}', ""),
    ):
        request = urllib.request.Request(endpoint, data=body, headers=headers, method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        answer = json.loads(caught.value.read())
        assert code in answer["__type"]
        assert "Traceback" not in json.dumps(answer)


def test_published_rates_can_be_enforced(client, lab, make):
    name = make()
    lab.settings(rate_limits="aws")
    own = client()
    throttled = 0
    for _ in range(40):
        try:
            own.describe_continuous_backups(TableName=name)
        except own.exceptions.ClientError as error:
            throttled += error.response["Error"]["Code"] == "ThrottlingException"
    assert throttled >= 15
    for _ in range(40):
        own.describe_table(TableName=name)


def test_calls_are_counted_and_logged_in_order(ddb, lab, make):
    lab.reset_calls()
    name = make()
    ddb.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "at"})
    calls = lab.calls(log=True)
    assert calls["counts"] == {"dynamodb.CreateTable": 1, "dynamodb.DescribeTable": 1, "dynamodb.UpdateTimeToLive": 1}
    assert [(c["operation"], c["key"], c["status"]) for c in calls["log"]] == [
        ("dynamodb.CreateTable", name, 200),
        ("dynamodb.DescribeTable", name, 200),
        ("dynamodb.UpdateTimeToLive", name, 200),
    ]
    assert calls["log"][0]["time"] <= calls["log"][-1]["time"]


def test_the_process_starts_with_settings_and_ends_on_sigterm(tmp_path):
    wanted = tmp_path / "settings.json"
    wanted.write_text('{"table_create_s": 0.1}')
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock_lab.aws", "--port", "0", "--settings", str(wanted)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = json.loads(process.stdout.readline())["url"]
        lab = LabAWS(url)
        assert lab.settings()["table_create_s"] == 0.1
        assert lab.health()["status"] == "ok"
        port = url.rpartition(":")[2]
        second = subprocess.run(
            [sys.executable, "-m", "penstock_lab.aws", "--port", port], capture_output=True, text=True, timeout=30
        )
        assert second.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
    assert time.monotonic() - started < 2
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(port)), timeout=1)


def test_a_bad_settings_file_gets_a_sentence(tmp_path):
    wrong = tmp_path / "settings.json"
    wrong.write_text('{"tables": 1}')
    done = subprocess.run(
        [sys.executable, "-m", "penstock_lab.aws", "--settings", str(wrong)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert "there is no setting 'tables'" in done.stderr
