"""Events: what is listed, and what reaches SNS, EventBridge and SQS."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest


def inbox(client: Any, name: str) -> tuple[Any, str, str]:
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return sqs, url, arn


def received(sqs: Any, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_events_of_a_cluster_and_its_instances(rds, lab, cluster):
    name = cluster()
    about = rds.describe_events(SourceType="db-cluster", SourceIdentifier=name)["Events"]
    assert [e["Message"] for e in about] == ["DB cluster created"]
    assert about[0]["EventCategories"] == ["creation"]
    assert about[0]["SourceArn"].endswith(f":cluster:{name}")
    about = rds.describe_events(SourceType="db-instance", SourceIdentifier=f"{name}-1")["Events"]
    assert [e["Message"] for e in about] == ["DB instance created"]
    everything = rds.describe_events(Duration=5)["Events"]
    assert [e["Date"] for e in everything] == sorted(e["Date"] for e in everything)
    created = rds.describe_events(Duration=5, EventCategories=["creation"])["Events"]
    assert {name, f"{name}-1"} <= {e["SourceIdentifier"] for e in created}
    assert all("creation" in e["EventCategories"] for e in created)


def test_windows_and_pages_of_events(rds, lab, cluster, refused):
    name = cluster(instances=0)
    born = rds.describe_events(SourceType="db-cluster", SourceIdentifier=name)["Events"][0]["Date"]
    lab.clock(advance=2 * 3600)
    one = {"SourceType": "db-cluster", "SourceIdentifier": name}
    assert rds.describe_events(**one)["Events"] == []
    assert len(rds.describe_events(**one, Duration=180)["Events"]) == 1
    minute = datetime.timedelta(minutes=1)
    assert len(rds.describe_events(**one, StartTime=born - minute, EndTime=born + minute)["Events"]) == 1
    assert rds.describe_events(**one, StartTime=born + minute, EndTime=born + 2 * minute)["Events"] == []
    for _ in range(8):
        rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier="again")
        lab.clock(advance=11)
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="again")
    pages = list(rds.get_paginator("describe_events").paginate(Duration=60, PaginationConfig={"PageSize": 20}))
    listed = [e for page in pages for e in page["Events"]]
    assert len([e for e in listed if e["SourceIdentifier"] == "again"]) == 16
    refused("InvalidParameterCombination", rds.describe_events, SourceIdentifier=name)
    refused("InvalidParameterValue", rds.describe_events, Duration=20161)
    refused("InvalidParameterValue", rds.describe_events, SourceType="db-thing")
    lab.clock(advance=15 * 86400)
    assert rds.describe_events(**one, StartTime=born - minute)["Events"] == []


def test_categories(rds):
    maps = rds.describe_event_categories(SourceType="db-cluster")["EventCategoriesMapList"]
    assert maps[0]["SourceType"] == "db-cluster"
    assert {"failover", "creation", "maintenance"} <= set(maps[0]["EventCategories"])


@pytest.fixture
def topic(client: Any) -> Any:
    sns = client("sns")
    arn = sns.create_topic(Name="rds-events")["TopicArn"]
    sqs, url, queue = inbox(client, "rds-events")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    yield arn, lambda: received(sqs, url)
    sqs.delete_queue(QueueUrl=url)
    sns.delete_topic(TopicArn=arn)


def test_a_subscription_delivers_what_it_asks_for(rds, lab, cluster, topic, refused):
    arn, messages = topic
    one, other = cluster(instances=2), cluster(instances=2)
    made = rds.create_event_subscription(
        SubscriptionName="failovers",
        SnsTopicArn=arn,
        SourceType="db-cluster",
        SourceIds=[one],
        EventCategories=["failover"],
        Enabled=True,
    )["EventSubscription"]
    assert made["Status"] == "creating"
    again = {"SubscriptionName": "failovers", "SnsTopicArn": arn}
    refused("SubscriptionAlreadyExist", rds.create_event_subscription, **again)
    lab.clock(advance=1)
    assert rds.describe_event_subscriptions()["EventSubscriptionsList"][0]["Status"] == "active"
    for name in (one, other):
        rds.failover_db_cluster(DBClusterIdentifier=name)
    lab.clock(advance=11)
    rds.describe_events(Duration=1)
    told = messages()
    assert [m["Event Message"] for m in told] == [
        f"Started cross AZ failover to DB instance: {one}-2",
        f"Completed failover to DB instance: {one}-2",
    ]
    assert told[1]["Event ID"].endswith("#RDS-EVENT-0071")
    assert (told[1]["Event Source"], told[1]["Source ID"]) == ("db-cluster", one)
    rds.modify_event_subscription(SubscriptionName="failovers", Enabled=False)
    rds.failover_db_cluster(DBClusterIdentifier=one)
    lab.clock(advance=11)
    rds.modify_event_subscription(SubscriptionName="failovers", Enabled=True)
    assert messages() == []
    rds.add_source_identifier_to_subscription(SubscriptionName="failovers", SourceIdentifier=other)
    rds.failover_db_cluster(DBClusterIdentifier=other)
    lab.clock(advance=11)
    rds.describe_events(Duration=1)
    assert {m["Source ID"] for m in messages()} == {other}
    rds.delete_event_subscription(SubscriptionName="failovers")
    refused("SubscriptionNotFound", rds.describe_event_subscriptions, SubscriptionName="failovers")


def test_subscriptions_that_do_not_do(rds, lab, topic, refused):
    arn, _ = topic
    create = rds.create_event_subscription
    one = {"SubscriptionName": "bad", "SnsTopicArn": arn}
    refused("SNSTopicArnNotFound", create, SubscriptionName="bad", SnsTopicArn=f"{arn}-none")
    refused("SNSInvalidTopic", create, SubscriptionName="bad", SnsTopicArn="nonsense")
    refused("InvalidParameterValue", create, **one, SourceType="db-thing")
    refused("SourceNotFound", create, **one, SourceType="db-cluster", SourceIds=["none"])
    refused("InvalidParameterCombination", create, **one, SourceIds=["none"])
    refused("SubscriptionCategoryNotFound", create, **one, SourceType="db-cluster", EventCategories=["weather"])
    refused("SubscriptionNotFound", rds.modify_event_subscription, SubscriptionName="none")


def test_events_reach_a_queue_by_eventbridge(client, rds, lab, cluster):
    sqs, url, arn = inbox(client, "rds-bus")
    events = client("events")
    pattern = {"source": ["aws.rds"], "detail-type": ["RDS DB Cluster Event"]}
    events.put_rule(Name="rds", EventPattern=json.dumps(pattern), State="ENABLED")
    events.put_targets(Rule="rds", Targets=[{"Id": "queue", "Arn": arn}])
    name = cluster(instances=2, Tags=[{"Key": "team", "Value": "shop"}])
    rds.failover_db_cluster(DBClusterIdentifier=name)
    lab.clock(advance=11)
    rds.describe_events(Duration=1)
    told = [m for m in received(sqs, url) if m["detail"]["SourceIdentifier"] == name]
    assert [m["detail"]["EventID"] for m in told] == ["RDS-EVENT-0170", "RDS-EVENT-0073", "RDS-EVENT-0071"]
    last = told[-1]
    assert (last["source"], last["detail-type"]) == ("aws.rds", "RDS DB Cluster Event")
    assert last["resources"] == [last["detail"]["SourceArn"]]
    assert last["detail"]["SourceType"] == "CLUSTER"
    assert last["detail"]["EventCategories"] == ["failover"]
    assert last["detail"]["Tags"] == {"team": "shop"}
    events.remove_targets(Rule="rds", Ids=["queue"])
    events.delete_rule(Name="rds")
    sqs.delete_queue(QueueUrl=url)
