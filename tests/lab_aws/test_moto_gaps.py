"""What stock moto still lacks. A test here fails on the day that moto fills the gap: then ours can go."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import boto3
import moto
import pytest
from botocore.exceptions import ClientError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import Item

from .conftest import schema

UNITS = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes clients of moto as it comes, in this process."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "lab")
    with moto.mock_aws():
        yield lambda service="dynamodb": boto3.client(service, region_name="us-east-1")


@pytest.fixture
def ddb(stock: Any) -> Any:
    return stock()


def table(ddb: Any, name: str = "table", **extra: Any) -> dict[str, Any]:
    ddb.create_table(TableName=name, **schema(**extra))
    return shown(ddb, name)


def shown(ddb: Any, name: str = "table") -> dict[str, Any]:
    return ddb.describe_table(TableName=name)["Table"]


def index(name: str, attribute: str = "x") -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }


def test_moto_is_the_version_that_was_looked_at():
    assert moto.__version__ == "5.2.5"


def test_lifecycle(ddb):
    assert table(ddb)["TableStatus"] == "ACTIVE"
    assert ddb.delete_table(TableName="table")["TableDescription"]["TableStatus"] == "ACTIVE"
    assert ddb.list_tables()["TableNames"] == []


def test_fields_given_at_creation(ddb):
    made = table(ddb, TableClass="STANDARD_INFREQUENT_ACCESS", OnDemandThroughput={"MaxReadRequestUnits": 5})
    assert not {"TableClassSummary", "OnDemandThroughput", "TableId"} & made.keys()


def test_illegal_names(ddb):
    table(ddb, "no spaces please")


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"SSESpecification": {"Enabled": True, "SSEType": "KMS"}}, "SSEDescription"),
        ({"TableClass": "STANDARD_INFREQUENT_ACCESS"}, "TableClassSummary"),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 5}}, "OnDemandThroughput"),
    ],
)
def test_updates_that_are_ignored(ddb, change, member):
    table(ddb)
    ddb.update_table(TableName="table", **change)
    assert member not in shown(ddb)


def test_two_indexes_at_a_time_without_a_backfill(ddb):
    table(ddb)
    ddb.update_table(
        TableName="table",
        AttributeDefinitions=[{"AttributeName": "x", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": index("one")}, {"Create": index("two")}],
    )
    assert [i["IndexStatus"] for i in shown(ddb)["GlobalSecondaryIndexes"]] == ["ACTIVE", "ACTIVE"]


def test_deleting_an_index_that_is_not_there(ddb):
    table(ddb)
    with pytest.raises(ValueError, match="does not exist"):
        ddb.update_table(TableName="table", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "one"}}])


def test_decreases_and_billing_switches_without_end(ddb):
    table(ddb, BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 90, "WriteCapacityUnits": 90})
    for n in range(6):
        ddb.update_table(
            TableName="table", ProvisionedThroughput={"ReadCapacityUnits": 80 - n, "WriteCapacityUnits": 90}
        )
    for _ in range(5):
        ddb.update_table(TableName="table", BillingMode="PAY_PER_REQUEST")
        ddb.update_table(TableName="table", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)


def test_ttl_again_and_again_and_nothing_expires(ddb):
    table(ddb)
    for _ in range(2):
        ddb.update_time_to_live(TableName="table", TimeToLiveSpecification={"Enabled": True, "AttributeName": "at"})
    ddb.put_item(TableName="table", Item={"pk": {"S": "a"}, "at": {"N": "1"}})
    assert ddb.scan(TableName="table")["Count"] == 1


def test_restores_without_recovery_that_lose_the_billing_mode(ddb):
    table(ddb)
    ddb.restore_table_to_point_in_time(SourceTableName="table", TargetTableName="again", UseLatestRestorableTime=True)
    assert shown(ddb, "again")["TableStatus"] == "ACTIVE"
    assert shown(ddb, "again").get("BillingModeSummary", {}).get("BillingMode") != "PAY_PER_REQUEST"


def test_consumed_capacity_is_flat(ddb):
    table(ddb)
    big = {"pk": {"S": "a"}, "body": {"S": "x" * 9000}}
    answer = ddb.put_item(TableName="table", Item=big, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"]["CapacityUnits"] == 1.0
    done = ddb.transact_write_items(
        TransactItems=[{"Put": {"TableName": "table", "Item": big}}], ReturnConsumedCapacity="TOTAL"
    )
    assert not done.get("ConsumedCapacity")


def test_index_reads_are_listed_as_local(ddb):
    table(
        ddb,
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "x")],
        GlobalSecondaryIndexes=[index("one")],
    )
    answer = ddb.query(
        TableName="table",
        IndexName="one",
        KeyConditionExpression="x = :x",
        ExpressionAttributeValues={":x": {"S": "a"}},
        ReturnConsumedCapacity="INDEXES",
    )
    assert "one" in answer["ConsumedCapacity"]["LocalSecondaryIndexes"]


def test_provisioned_tables_never_throttle(ddb):
    table(ddb, BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    for _ in range(40):
        ddb.put_item(TableName="table", Item={"pk": {"S": "a"}, "body": {"S": "x" * 10_000}})


def test_a_failed_update_leaves_half_of_itself(ddb):
    table(ddb)
    ddb.put_item(TableName="table", Item={"pk": {"S": "a"}, "n": {"N": "1"}, "s": {"S": "text"}})
    # ADD runs after SET, and fails when SET is already done.
    with pytest.raises(ClientError):
        ddb.update_item(
            TableName="table",
            Key={"pk": {"S": "a"}},
            UpdateExpression="SET n = :five ADD s :five",
            ExpressionAttributeValues={":five": {"N": "5"}},
        )
    assert ddb.get_item(TableName="table", Key={"pk": {"S": "a"}})["Item"]["n"] == {"N": "5"}


def test_an_upsert_is_streamed_twice(ddb):
    table(ddb, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    ddb.update_item(
        TableName="table",
        Key={"pk": {"S": "a"}},
        UpdateExpression="SET n = :n",
        ExpressionAttributeValues={":n": {"N": "1"}},
    )
    shard = dynamodb_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].tables["table"].stream_shard
    assert shard is not None
    assert [r.record["eventName"] for r in shard.items] == ["INSERT", "INSERT"]


def test_insights_and_kinesis_are_not_there():
    assert not hasattr(DynamoDBBackend, "describe_contributor_insights")
    assert not hasattr(DynamoDBBackend, "describe_kinesis_streaming_destination")


def test_every_item_is_kept_for_ever(ddb):
    table(ddb)
    before = len(Item.instances_tracked)
    ddb.put_item(TableName="table", Item={"pk": {"S": "a"}})
    assert len(Item.instances_tracked) > before


def test_finding_a_table_by_its_arn_looks_at_all():
    import inspect

    assert "for name in table_names" in inspect.getsource(DynamoDBBackend.get_table)


def test_autoscaling_of_nothing(stock):
    scaling = stock("application-autoscaling")
    scaling.register_scalable_target(
        ServiceNamespace="dynamodb",
        ResourceId="table/nothing",
        ScalableDimension="dynamodb:table:ReadCapacityUnits",
        MinCapacity=1,
        MaxCapacity=5,
    )
    with pytest.raises(NotImplementedError):
        scaling.describe_scaling_activities(ServiceNamespace="dynamodb")


def test_percentiles_and_metric_math(stock):
    cloudwatch = stock("cloudwatch")
    now = datetime.datetime.now(datetime.UTC)
    cloudwatch.put_metric_data(Namespace="Own", MetricData=[{"MetricName": "m", "Value": 2.0, "Timestamp": now}])
    window = {"StartTime": now - datetime.timedelta(hours=1), "EndTime": now + datetime.timedelta(hours=1)}
    metric = {"Metric": {"Namespace": "Own", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}
    results = cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "m1", "MetricStat": metric}, {"Id": "e", "Expression": "m1 * 2"}], **window
    )["MetricDataResults"]
    assert next(r for r in results if r["Id"] == "e")["Values"] == []
    points = cloudwatch.get_metric_statistics(
        Namespace="Own", MetricName="m", Period=60, ExtendedStatistics=["p50"], **window
    )["Datapoints"]
    assert all("p50" not in p.get("ExtendedStatistics", {}) for p in points)


def test_nothing_is_published_by_tables(ddb, stock):
    table(ddb)
    ddb.put_item(TableName="table", Item={"pk": {"S": "a"}})
    assert stock("cloudwatch").list_metrics(Namespace="AWS/DynamoDB")["Metrics"] == []


def test_a_disabled_key_encrypts(stock):
    kms = stock("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=key)
    assert kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]


def test_operations_that_raise_instead_of_answering(stock):
    with pytest.raises(NotImplementedError):
        stock("rds").describe_db_engine_versions()
