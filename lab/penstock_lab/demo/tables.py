"""The chapters on DynamoTable."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from ..state import checkout
from . import objects
from .stage import NotHeld, Stage

SAMPLES = "manifests/samples"
TABLE = "shop-orders"
_STATUSES = ("new", "paid", "shipped")
_ORDERS = 240


def creation(stage: Stage) -> None:
    """Manifests become tables that serve requests."""
    stage.say(
        "Three manifests are applied: the least that a table needs, one with nearly everything, one with autoscaling."
    )
    stage.shell(
        "kubectl apply " + " ".join(f"-f {SAMPLES}/{name}.yaml" for name in ("minimal", "orders", "provisioned"))
    )
    stage.shell("kubectl wait --for=condition=Ready ddb --all --timeout=60s")
    stage.shell("kubectl get ddb")
    stage.say("Every step was told on the object.")
    stage.shell("kubectl describe ddb orders | sed -n '/^Events:/,$p'")
    stage.say(f"An application writes {_ORDERS} orders and asks an index for those that are paid.")
    _write_orders(stage)
    answer = stage.python(
        f'dynamodb.query(TableName="{TABLE}", IndexName="by-status", Select="COUNT", …"paid")',
        lambda: _by_status(stage, "paid"),
    )
    stage.holds(
        f"{_ORDERS} orders are in the table and {_ORDERS // 3} of them in the index's answer",
        len(_items(stage)) == _ORDERS and answer == _ORDERS // 3,
        f"{len(_items(stage))} and {answer}",
    )


def edit(stage: Stage) -> None:
    """An edit is a plan first, then a change with progress."""
    stage.say("Somebody edits the manifest: one more index, a higher cap, one more tag.")
    before = f"{SAMPLES}/orders.yaml"
    after = stage.write("orders.yaml", _edited((checkout() / before).read_text(encoding="utf-8")))
    stage.shell(f"diff -U0 {before} {after} | tail -n +3", code=1)
    stage.say(
        "What would that do? The plan, against AWS, with nothing changed; exit status 2 says that there are changes."
    )
    told = stage.shell(f"penstock plan -f {after}", code=2)
    stage.holds(
        "the plan makes the index and raises the cap, and destroys nothing",
        "create index by-carrier" in told and "set on-demand caps" in told and "0 to destroy" in told,
        told,
    )
    stage.say("Applied. The plan stands on the object; the index is filled from the items that are there.")
    stage.shell(f"kubectl apply -f {after}")
    _show_plan(stage)
    seen = stage.until("the table is as the manifest says", objects.following(stage, "ddb", "orders"), 60)
    stage.holds("the backfill was told on the object as it went", any("by-carrier" in line for line in seen), seen)
    index = _index(stage, "by-carrier")
    stage.holds("AWS has the index, and it is Active", index.get("IndexStatus") == "ACTIVE", index)
    stage.holds(
        "the index answers with the orders that were there before it",
        _count(stage, "by-carrier", "carrier", "dhl") == _ORDERS // 2,
        _count(stage, "by-carrier", "carrier", "dhl"),
    )
    stage.holds(
        "the table served all the while (Ready never left True)",
        objects.condition(stage, "ddb", "orders", "Ready")["status"] == "True",
    )


def drift(stage: Stage) -> None:
    """What somebody else changes is found, set back and told."""
    stage.say("Somebody deletes an index in the console, behind the operator's back.")
    stage.python(
        f'dynamodb.update_table(TableName="{TABLE}", GlobalSecondaryIndexUpdates=[{{"Delete": {{"IndexName": "by-warehouse"}}}}])',
        lambda: stage.lab.boto("dynamodb").update_table(
            TableName=TABLE, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-warehouse"}}]
        ),
    )
    stage.until("it is gone", lambda: (not _index(stage, "by-warehouse"), _index(stage, "by-warehouse")), 30)
    stage.until(
        "the operator found out by itself and made it again",
        lambda: (_index(stage, "by-warehouse").get("IndexStatus") == "ACTIVE", _index(stage, "by-warehouse")),
        60,
    )
    stage.until(
        "the table is as the manifest says",
        lambda: objects.synced(stage, "ddb", "orders"),
        30,
    )
    told = stage.shell("kubectl get events --field-selector reason=DriftCorrected")
    stage.holds("an Event tells what was changed and set back", "by-warehouse" in told, told)


def refusal(stage: Stage) -> None:
    """Mistakes are refused by the API server, with sentences."""
    stage.say("A manifest with three mistakes: a cap of 0, expiry by a key attribute, a budget in words.")
    told = stage.shell(f"kubectl apply -f {SAMPLES}/bad/three-mistakes.yaml", code=1)
    fields = ("spec.capacity.maxReadUnits", "spec.ttl", "spec.cost.monthlyBudget")
    stage.holds("all three are refused at once, each with what to write instead", all(f in told for f in fields), told)
    gone = stage.lab.kubectl("get", "ddb", "carts", check=False).returncode != 0
    stage.holds("nothing was stored, and AWS was asked for nothing", gone and not objects.calls(stage, "carts"))


def restore(stage: Stage) -> None:
    """Deleting keeps a final backup, and a table comes back from it with its items."""
    items = _items(stage)
    stage.say(
        "The table with the orders is deleted. Its policy is Snapshot, the default: first a final backup, then the table."
    )
    stage.shell("kubectl delete ddb orders --timeout=60s")
    stage.holds("AWS has the table no more", TABLE not in stage.lab.boto("dynamodb").list_tables()["TableNames"])
    told = stage.shell("kubectl get events --field-selector reason=Deleting")
    backups = stage.python(
        f'dynamodb.list_backups(TableName="{TABLE}")["BackupSummaries"]',
        lambda: stage.lab.boto("dynamodb").list_backups(TableName=TABLE, BackupType="USER")["BackupSummaries"],
    )
    stage.holds(
        "one final backup was taken, and the Event names it",
        len(backups) == 1 and backups[0]["BackupArn"] in told,
        [backup["BackupName"] for backup in backups],
    )
    stage.say("The same manifest comes back with two lines more: restoreFrom, and the backup's ARN.")
    text = (checkout() / stage.work / "orders.yaml").read_text(encoding="utf-8")
    manifest = stage.write("orders.yaml", f"{text}  restoreFrom:\n    backupArn: {backups[0]['BackupArn']}\n")
    stage.shell(f"tail -n 2 {manifest}")
    stage.shell(f"kubectl apply -f {manifest}")
    stage.until(
        "the object says that it is being restored",
        lambda: (
            objects.condition(stage, "ddb", "orders", "Ready").get("reason") == "Restoring",
            objects.condition(stage, "ddb", "orders", "Ready"),
        ),
        10,
    )
    stage.shell("kubectl wait --for=condition=Ready ddb/orders --timeout=90s")
    stage.shell("kubectl get ddb")
    again = _items(stage)
    stage.note(f"before {len(items)} items, sha256 {_digest(items)}; after {len(again)} items, sha256 {_digest(again)}")
    stage.holds("every item is back, byte for byte", items == again and len(again) == _ORDERS, len(again))
    stage.until(
        "what a restore does not bring (expiry, recovery, tags, stream) is as the manifest says",
        lambda: objects.synced(stage, "ddb", "orders"),
        60,
    )


def _show_plan(stage: Stage) -> None:
    """The plan as it stands on the object, from the moment that the operator has put it there."""

    def waits() -> tuple[bool, object]:
        plan = objects.status(stage, "ddb", "orders").get("plan")
        return bool(plan and plan.get("steps")), plan

    stage.until("the plan stands on the object", waits, 20)
    stage.shell("kubectl get ddb orders -o jsonpath='{.status.plan}' | python3 -m json.tool")


_INDEX = """\
  - name: by-carrier
    partition: {name: carrier, type: String}
    projection: {type: All}
"""


def _edited(text: str) -> str:
    """The sample with one more index, a higher cap and one more tag; says so when the sample no longer has those lines."""
    changes = (
        (r"^  ttl: ", _INDEX + "  ttl: "),
        (r"maxReadUnits: \d+", "maxReadUnits: 4000"),
        (r"tags: \{team: shop\}", "tags: {team: shop, tier: gold}"),
    )
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text, flags=re.M)
        if count != 1:
            raise NotHeld(f"{SAMPLES}/orders.yaml has one line like {pattern!r} to edit", f"it has {count}")
    return text


def _write_orders(stage: Stage) -> None:
    client = stage.lab.boto("dynamodb")
    orders = [_order(number) for number in range(_ORDERS)]

    def write() -> None:
        for first in range(0, _ORDERS, 25):
            batch = [{"PutRequest": {"Item": item}} for item in orders[first : first + 25]]
            left = client.batch_write_item(RequestItems={TABLE: batch})["UnprocessedItems"]
            if left:
                raise NotHeld("AWS takes every order", f"{len(left[TABLE])} were not taken")

    stage.python(f'dynamodb.batch_write_item(RequestItems={{"{TABLE}": […]}})  # {_ORDERS} orders, 25 a call', write)


def _order(number: int) -> dict[str, dict[str, str]]:
    return {
        "customerId": {"S": f"customer-{number % 40:03}"},
        "placedAt": {"N": str(1_760_000_000 + number)},
        "status": {"S": _STATUSES[number % 3]},
        "warehouse": {"S": f"w{number % 4}"},
        "carrier": {"S": "dhl" if number % 2 else "ups"},
        "total": {"N": f"{(number * 37) % 900 + 0.5}"},
    }


def _items(stage: Stage) -> list[dict[str, Any]]:
    """Every item, in the order of the keys."""
    found: list[dict[str, Any]] = []
    for page in stage.lab.boto("dynamodb").get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True):
        found += page["Items"]
    return sorted(found, key=lambda item: (item["customerId"]["S"], int(item["placedAt"]["N"])))


def _digest(items: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()[:16]


def _by_status(stage: Stage, status: str) -> int:
    return _count(stage, "by-status", "status", status)


def _count(stage: Stage, index: str, attribute: str, value: str) -> int:
    answer = stage.lab.boto("dynamodb").query(
        TableName=TABLE,
        IndexName=index,
        Select="COUNT",
        KeyConditionExpression="#a = :v",
        ExpressionAttributeNames={"#a": attribute},
        ExpressionAttributeValues={":v": {"S": value}},
    )
    return int(answer["Count"])


def _index(stage: Stage, name: str) -> dict[str, Any]:
    table = stage.lab.boto("dynamodb").describe_table(TableName=TABLE)["Table"]
    return next((i for i in table.get("GlobalSecondaryIndexes", ()) if i["IndexName"] == name), {})
