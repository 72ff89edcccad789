"""What AWS denies or refuses, and objects that should not be: each says what to do, and the rest goes on."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from declared import Declared, fault, index, slower, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab, same_process=False):
        yield


# ---- permissions


def test_one_denied_action_is_named_and_the_others_go_on(lab: Lab, namespace: str) -> None:
    spec = {"ttl": {"attribute": "until"}, "contributorInsights": True, "tags": {"a": "b"}}
    table = Declared(lab, namespace, spec, apply=False)
    with fault(lab, kind="deny", operation="UpdateTimeToLive", key=table.table):
        table.apply()
        told = table.wait("Synced", "False", reason="AccessDenied")
        assert told["message"].startswith(
            "AWS denies dynamodb:UpdateTimeToLive: allow it in the operator's IAM policy. User: "
        )
        table.until(lambda: table.aws_insights() == "ENABLED", "what comes after it is done")
        assert table.aws_recovery["PointInTimeRecoveryStatus"] == "ENABLED"
        assert table.condition("Stalled")["status"] == "True"
        table.until(lambda: table.told("AccessDenied"), "an Event")
        assert "turn TTL on (until)" in table.steps
    table.settled(timeout=40)
    assert table.aws_ttl["AttributeName"] == "until"


@pytest.mark.parametrize("operation", ["CreateTable", "DescribeTable"])
def test_a_denial_that_stops_everything_is_told_at_once(lab: Lab, namespace: str, operation: str) -> None:
    table = Declared(lab, namespace, {"adopt": operation == "DescribeTable"}, apply=False)
    with fault(lab, kind="deny", operation=operation, key=table.table):
        table.apply()
        table.wait(
            "Ready", "False", reason="AccessDenied", words=f"AWS denies dynamodb:{operation}: allow it", timeout=5
        )
    table.settled(timeout=40)


@pytest.mark.parametrize("operation", ["DescribeTimeToLive", "DescribeContinuousBackups", "GetResourcePolicy"])
def test_a_read_that_is_denied_keeps_nothing_else_from_being_done(lab: Lab, namespace: str, operation: str) -> None:
    spec = {"ttl": {"attribute": "until"}, "resourcePolicy": {}, "deletionProtection": False}
    table = Declared(lab, namespace, spec).settled()
    with fault(lab, kind="deny", operation=operation, key=table.table):
        table.by_hand(DeletionProtectionEnabled=True)
        table.annotate("reconcile-at", "1")
        table.wait("Synced", "False", reason="AccessDenied", words=f"AWS denies dynamodb:{operation}")
        table.until(lambda: table.aws["DeletionProtectionEnabled"] is False, "drift is set back all the same")
        assert table.condition("Ready")["status"] == "True"
    table.look().settled()


def test_a_key_that_may_not_be_described_is_left_to_aws_to_judge(lab: Lab, namespace: str) -> None:
    with fault(lab, kind="deny", service="kms", operation="DescribeKey"):
        table = Declared(lab, namespace, {"encryption": {"kmsKey": "alias/lab"}}).settled()
    assert table.aws["SSEDescription"]["Status"] == "ENABLED"


def test_without_the_tagging_api_tags_are_read_one_by_one(lab: Lab, namespace: str) -> None:
    cycles = {"PENSTOCK_RESYNC_SECONDS": "2", "PENSTOCK_FACET_RESYNC_SECONDS": "2"}
    with fault(lab, kind="deny", service="resourcegroupstaggingapi"), lab.run_operator(cycles) as operator:
        operator.wait_ready()
        table = Declared(lab, namespace, {"tags": {"a": "b"}}).settled()
        table.dynamodb.untag_resource(ResourceArn=table.aws["TableArn"], TagKeys=["a"])
        table.until(lambda: table.aws_tags.get("a") == "b", "the tag is back")
        assert "Traceback" not in operator.logs()


# ---- what AWS refuses


def test_a_refusal_of_aws_is_quoted_and_the_rest_is_done(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    words = "One or more parameter values were invalid: nobody knows why"
    with fault(
        lab,
        kind="error",
        operation="UpdateTimeToLive",
        key=table.table,
        code="ValidationException",
        status=400,
        message=words,
    ):
        table.edit(ttl={"attribute": "until"}, tags={"a": "b"})
        told = table.wait("Synced", "False", reason="Refused")
        assert told["message"] == f"AWS refuses dynamodb:UpdateTimeToLive: {words}"
        table.until(lambda: table.aws_tags.get("a") == "b")
        # Not asked again and again: an edit is what it waits for.
        before = table.writes(only_done=False).count("UpdateTimeToLive")
        time.sleep(3)
        assert table.writes(only_done=False).count("UpdateTimeToLive") == before <= 2
    table.edit(tags={"a": "c"}).settled()
    assert table.aws_ttl["AttributeName"] == "until"


def test_a_limit_of_the_account_is_told_and_passes(lab: Lab, namespace: str) -> None:
    with slower(lab, max_tables=0):
        table = Declared(lab, namespace)
        told = table.wait("Ready", "False", reason="LimitReached")
        assert "A limit of the AWS account is reached (dynamodb:CreateTable)" in told["message"]
    table.settled(timeout=60)


def test_indexes_beyond_what_aws_allows(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"globalIndexes": [index("one")]}).settled()
    with slower(lab, max_gsi=1):
        table.edit(globalIndexes=[index("one"), index("two")], tags={"a": "b"})
        told = table.wait("Synced", "False")
        table.until(lambda: table.aws_tags.get("a") == "b")
        table.until(lambda: table.condition("Synced")["reason"] in ("LimitReached", "Refused"), told["message"])
        assert table.condition("Ready")["status"] == "True"
    table.look().settled()


# ---- the object itself


def install(lab: Lab, crd: dict[str, Any]) -> None:
    """Apply the definition as whoever installed it did, so that the next upgrade meets no conflict."""
    owners = crd["metadata"].get("managedFields", ())
    manager = next((m["manager"] for m in owners if m["operation"] == "Apply" and "f:spec" in m["fieldsV1"]), "helm")
    metadata = {k: crd["metadata"].get(k) for k in ("name", "labels", "annotations")}
    body = {"apiVersion": crd["apiVersion"], "kind": crd["kind"], "metadata": metadata, "spec": crd["spec"]}
    lab.kubectl(
        "apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-", input=json.dumps(body)
    )


def test_an_object_that_an_older_version_let_in(lab: Lab, namespace: str) -> None:
    """Validation at admission came later than the object: it gets sentences, it can be mended, and it can be deleted."""
    strict = json.loads(
        lab.kubectl("get", "crd", "dynamotables.penstock.dev", "-o", "json", "--show-managed-fields").stdout
    )
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    loose = copy.deepcopy(strict)
    for version in loose["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"] = {"type": "object", "properties": {"spec": schema, "status": schema}}
    good = Declared(lab, namespace, name="good").settled()
    empty = Declared(lab, namespace, name="empty", apply=False)
    wrong = Declared(lab, namespace, name="wrong", apply=False)
    try:
        install(lab, loose)
        wrong.spec |= {"deletionPolicy": "Never", "ttl": {"attribute": 5}, "capacity": {"mode": "Free"}}
        empty.spec = {}
        wrong.until(lambda: bool(wrong.apply()), "the loose schema is served")
        empty.apply()
        good.spec["deletionPolicy"] = "Never"
        good.apply()
    finally:
        install(lab, strict)
    told = wrong.wait("Stalled", "True", reason="Invalid")
    assert "spec.deletionPolicy" in told["message"]
    assert "spec.ttl.attribute" in told["message"]
    assert empty.wait("Ready", "False", reason="Invalid")["message"].startswith("spec.key")
    # What works goes on working, and says what is wrong.
    told = good.wait("Synced", "False", reason="Invalid")
    assert "spec.deletionPolicy" in told["message"]
    assert good.condition("Ready")["status"] == "True"
    # Objects that made nothing go at once; one that has a table says what must be mended first.
    for table in (wrong, empty):
        table.delete().gone()
    good.delete()
    good.wait("Stalled", "True", reason="Invalid", words="deletionPolicy")
    assert good.exists
    lab.kubectl("patch", "ddb", "good", "-n", namespace, "--type=merge", "-p", '{"spec":{"deletionPolicy":"Delete"}}')
    good.gone()
    assert not good.exists
    # The definition is as it was, for the next helm upgrade too.
    lab.install_operator({"podAnnotations": {"tests": namespace}})
    lab.install_operator()
