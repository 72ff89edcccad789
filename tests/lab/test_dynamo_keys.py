"""KMS keys that are missing, disabled or going away: told with what to do, and found again by itself when mended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from declared import Declared, client, unharmed

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab, same_process=False):
        yield


def test_a_key_that_does_not_exist_yet(lab: Lab, namespace: str) -> None:
    alias = f"alias/{namespace}"
    table = Declared(lab, namespace, {"encryption": {"kmsKey": alias}})
    told = table.wait("Ready", "False", reason="WaitingForDependency")
    assert told["message"] == (
        f"KMS key {alias} does not exist in this region: create it, or write another spec.encryption.kmsKey."
    )
    assert "CreateTable" not in table.writes(only_done=False), "it was known before AWS was asked"
    kms = client(lab.aws_url, "kms")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    table.settled(timeout=40)
    assert table.aws["SSEDescription"]["KMSMasterKeyArn"] == key["Arn"]


def test_a_key_that_is_disabled_and_enabled_again(lab: Lab, namespace: str) -> None:
    kms = client(lab.aws_url, "kms")
    key = kms.create_key()["KeyMetadata"]
    table = Declared(lab, namespace, {"encryption": {"kmsKey": key["KeyId"]}}).settled()
    kms.disable_key(KeyId=key["KeyId"])
    other = Declared(lab, namespace, {"encryption": {"kmsKey": key["Arn"]}}, name="other")
    told = other.wait("Ready", "False", reason="WaitingForDependency")
    assert "is disabled: enable it, or write another spec.encryption.kmsKey." in told["message"]
    kms.enable_key(KeyId=key["KeyId"])
    other.settled(timeout=40)
    table.look().settled()


def test_a_key_that_is_to_be_deleted(lab: Lab, namespace: str) -> None:
    kms = client(lab.aws_url, "kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    table = Declared(lab, namespace, {"encryption": {"kmsKey": key}})
    table.wait("Ready", "False", reason="WaitingForDependency", words="scheduled for deletion: cancel that")
    table.edit(encryption={"kmsKey": "alias/lab"}).settled()


def test_a_key_that_becomes_unusable_is_no_reason_to_stop_the_rest(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    table.edit(encryption={"kmsKey": "alias/missing"}, tags={"a": "b"})
    table.wait("Synced", "False", reason="WaitingForDependency", words="alias/missing does not exist")
    table.until(lambda: table.aws_tags.get("a") == "b", "the tags do not wait for the key")
    assert table.condition("Ready")["status"] == "True"
