"""The chapters on AuroraCluster: declared, changed, scaled, deleted and restored, with PostgreSQL behind it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from ..state import checkout
from . import objects, rows
from .stage import NotHeld, Stage

SAMPLES = "manifests/samples"
CLUSTER = "shop-ledger"
_WRITES = ("Create", "Modify", "Delete", "Restore", "Reboot", "Failover")


def creation(stage: Stage) -> None:
    """A manifest becomes a cluster with a writer and a reader."""
    manifest = f"{SAMPLES}/ledger.yaml"
    stage.say("An Aurora cluster in one manifest: PostgreSQL, a writer and a reader. First the plan, nothing is made.")
    told = stage.shell(f"penstock plan -f {manifest}", code=2)
    stage.holds(
        "the plan makes groups, then the cluster, then two instances, and destroys nothing",
        _in_order(told, "make subnet group", f"make cluster {CLUSTER}", f"make instance {CLUSTER}-1", f"{CLUSTER}-2")
        and "0 to destroy" in told
        and not _clusters(stage),
        told,
    )
    stage.say("Applied, and beside it the smallest one: serverless, without a reader.")
    stage.shell(f"kubectl apply -f {manifest} -f {SAMPLES}/serverless.yaml")
    stage.shell("kubectl wait --for=condition=Ready aurora --all --timeout=150s", seconds=160)
    stage.shell("kubectl get aurora")
    stage.say("Where an application connects, and where AWS keeps the password that it made.")
    shown = stage.shell(
        "kubectl get aurora ledger -o jsonpath="
        '\'{.status.endpoint.host}{"\\n"}{.status.readerEndpoint.host}{"\\n"}{.status.credentials.secretArn}{"\\n"}\''
    )
    aws = cluster(stage)
    stage.holds(
        "both endpoints and the secret are AWS's own",
        shown.split() == [aws["Endpoint"], aws["ReaderEndpoint"], aws["MasterUserSecret"]["SecretArn"]],
        aws,
    )
    zones = {i["AvailabilityZone"] for i in _instances(stage).values()}
    stage.holds("writer and reader are in two zones", len(zones) == 2, zones)
    stage.holds("connections without TLS are refused, as by default", _parameter(stage, "rds.force_ssl") == "1")
    stage.shell(f"penstock plan -f {manifest}")
    stage.say("It is a database: PostgreSQL answers, with TLS verified, and takes a row.")
    rows.ask(stage, aws, "create table accounts (name text primary key, cents bigint)")
    rows.ask(stage, aws, "insert into accounts values ('ada', 4200)")
    stage.holds(
        "the writer has the row, and says which instance it is",
        (seen := rows.ask(stage, aws, "select aurora_db_instance_identifier(), name, cents from accounts"))
        == [(writer(stage), "ada", 4200)],
        seen,
    )


def console(stage: Stage) -> None:
    """What somebody does in the console is on the object within seconds, and set back where the spec says otherwise."""
    before = objects.status(stage, "aurora", "ledger")["writer"]
    stage.say("Somebody fails the cluster over in the console.")
    stage.python(
        f'rds.failover_db_cluster(DBClusterIdentifier="{CLUSTER}")',
        lambda: stage.lab.boto("rds").failover_db_cluster(DBClusterIdentifier=CLUSTER),
    )

    def changed() -> tuple[bool, object]:
        named = objects.status(stage, "aurora", "ledger").get("writer")
        return named not in (None, before) and named == writer(stage), named

    stage.until("the object names the new writer", changed, 10)
    told = stage.shell("kubectl get events --field-selector reason=FailoverStarted,involvedObject.name=ledger")
    stage.holds(
        "an Event warns of it, and says who it was before",
        "Warning" in told and f"from {before}" in told,
        told,
    )
    stage.shell("kubectl get aurora ledger")
    stage.say("Somebody else cuts the backups down to one day.")
    stage.python(
        f'rds.modify_db_cluster(DBClusterIdentifier="{CLUSTER}", BackupRetentionPeriod=1)',
        lambda: stage.lab.boto("rds").modify_db_cluster(
            DBClusterIdentifier=CLUSTER, BackupRetentionPeriod=1, ApplyImmediately=True
        ),
    )
    stage.until(
        "the operator found out by itself and set it back to seven days",
        lambda: (cluster(stage)["BackupRetentionPeriod"] == 7, cluster(stage)["BackupRetentionPeriod"]),
        20,
    )
    stage.until("AWS is as the spec says", lambda: objects.synced(stage, "aurora", "ledger"), 20)
    told = stage.shell("kubectl get events --field-selector reason=DriftCorrected,involvedObject.name=ledger")
    stage.holds("an Event tells what was changed and set back", "backup retention 1 → 7" in told, told)


def classes(stage: Stage) -> None:
    """A larger class waits for the window; at once, it goes reader by reader, and the writer last, behind a failover."""
    stage.say("The cluster gets a larger class. That restarts instances, so the plan waits for the maintenance window.")
    text = (checkout() / SAMPLES / "ledger.yaml").read_text(encoding="utf-8")
    text = _replaced(_outside_window(text), r"class: db\.t4g\.medium", "class: db.r6g.large")
    manifest = stage.write("ledger.yaml", text)
    stage.shell(f"diff -U0 {SAMPLES}/ledger.yaml {manifest} | tail -n +3", code=1)
    told = stage.shell(f"penstock plan -f {manifest}", code=2)
    stage.holds(
        "the plan changes both instances, in the window",
        told.count("change the class") >= 2 and "MaintenanceWindow" in told,
        told,
    )
    mark = len(_writes(stage))
    stage.shell(f"kubectl apply -f {manifest}")
    told = stage.until("the object says what it waits for", lambda: _waits_for_window(stage), 10)
    stage.note(told)
    stage.holds(
        "the sentence names the window's opening, which is to come",
        (opening := re.search(r"opens (\d{4}-\d\d-\d\d \d\d:\d\d) UTC", told)) is not None
        and datetime.fromisoformat(f"{opening[1]}+00:00") > datetime.now(UTC),
        told,
    )
    stage.holds(
        "the cluster is Ready meanwhile, and AWS was asked for nothing", _ready(stage) and not _writes(stage)[mark:]
    )
    stage.say("One word in the manifest has it done at once: apply: Immediately.")
    old = writer(stage)
    reader = next(i for i in _instances(stage) if i != old)
    manifest = stage.write("ledger.yaml", _replaced(text, "apply: InWindow", "apply: Immediately"))
    stage.shell(f"kubectl apply -f {manifest}")
    stage.until("every instance has the new class", objects.following(stage, "aurora", "ledger"), 60)
    stage.say("The order in which AWS was asked:")
    order = _writes(stage)[mark:]
    stage.show("\n".join(f"{operation} {key}" for operation, key in order))
    stage.holds(
        f"reader {reader} first, then a failover to it, then {old}, which no longer was the writer",
        order == [("ModifyDBInstance", reader), ("FailoverDBCluster", CLUSTER), ("ModifyDBInstance", old)],
        order,
    )
    have = {name: instance["DBInstanceClass"] for name, instance in _instances(stage).items()}
    stage.holds(
        "both run the new class, and the old reader is the writer",
        set(have.values()) == {"db.r6g.large"} and writer(stage) == reader,
        have,
    )


def scaling(stage: Stage) -> None:
    """Readers come and go, and the writer stays whoever it is."""
    stage.say("Two readers instead of one.")
    text = (checkout() / stage.work / "ledger.yaml").read_text(encoding="utf-8")
    few, many = stage.work / "ledger.yaml", stage.write("ledger-wide.yaml", _replaced(text, "readers: 1", "readers: 2"))
    stage.shell(f"kubectl apply -f {many}")
    stage.until("two readers serve", lambda: _readers(stage, "2/2"), 40)
    last = f"{CLUSTER}-3"
    stage.say(f"The newest of them, {last}, shall be the writer; it is the first that scaling in would take.")
    stage.shell(f"kubectl annotate aurora ledger penstock.dev/failover-to={last}")

    def told() -> tuple[bool, object]:
        named = objects.status(stage, "aurora", "ledger").get("writer")
        return named == last == writer(stage) and _ready(stage), named

    stage.until("it is the writer, and the object says so", told, 15)
    answer = stage.shell(
        "kubectl get aurora ledger -o jsonpath='{.status.failoverRequest.result}: {.status.failoverRequest.message}{\"\\n\"}'"
    )
    stage.holds("the request is answered on the object", answer.strip() == f"Done: {last} is the writer.", answer)
    stage.shell("kubectl get aurora ledger")
    stage.say("One reader again.")
    mark = len(_writes(stage))
    stage.shell(f"kubectl apply -f {few}")
    stage.until("two instances are left", lambda: (len(_instances(stage)) == 2, sorted(_instances(stage))), 40)
    stage.until("AWS is as the spec says", lambda: objects.synced(stage, "aurora", "ledger"), 20)
    stage.shell(
        "kubectl get aurora ledger -o jsonpath='{range .status.members[*]}{.name}  {.role}  {.class}{\"\\n\"}{end}'"
    )
    gone = [key for operation, key in _writes(stage)[mark:] if operation == "DeleteDBInstance"]
    stage.holds(
        f"the writer is {last} still, and one reader went",
        writer(stage) == last and len(gone) == 1 and last not in gone and _ready(stage),
        (gone, writer(stage)),
    )


def restore(stage: Stage) -> None:
    """Deleting keeps a final snapshot, and a cluster comes back from it."""
    old = cluster(stage)["DbClusterResourceId"]
    stage.say("The ledger is deleted. First its instances go, then the cluster with a final snapshot, then its groups.")
    mark = len(_writes(stage))
    stage.shell("kubectl delete aurora ledger --timeout=60s")
    order = [operation for operation, _ in _writes(stage)[mark:]]
    stage.show(", ".join(order))
    stage.holds(
        "AWS has neither the cluster nor an instance nor a group of it",
        CLUSTER not in _clusters(stage) and not _instances(stage) and not _groups(stage),
        _groups(stage),
    )
    told = stage.shell("kubectl get events --field-selector reason=Deleting,involvedObject.name=ledger")
    snapshots = stage.python(
        f'rds.describe_db_cluster_snapshots(DBClusterIdentifier="{CLUSTER}", SnapshotType="manual")',
        lambda: stage.lab.boto("rds").describe_db_cluster_snapshots(DBClusterIdentifier=CLUSTER, SnapshotType="manual")[
            "DBClusterSnapshots"
        ],
    )
    name = snapshots[0]["DBClusterSnapshotIdentifier"] if snapshots else ""
    stage.holds(
        "one final snapshot is there, and the Event names it",
        len(snapshots) == 1 and snapshots[0]["Status"] == "available" and name in told,
        snapshots,
    )
    stage.say("The same manifest comes back with two lines more: restoreFrom, and the snapshot's name.")
    text = (checkout() / stage.work / "ledger.yaml").read_text(encoding="utf-8")
    manifest = stage.write("ledger.yaml", f"{text}  restoreFrom:\n    snapshotIdentifier: {name}\n")
    stage.shell(f"tail -n 2 {manifest}")
    stage.shell(f"kubectl apply -f {manifest}")
    stage.until(
        "the object says that it is being restored",
        lambda: (
            objects.condition(stage, "aurora", "ledger", "Ready").get("reason") == "Restoring",
            objects.condition(stage, "aurora", "ledger", "Ready"),
        ),
        10,
    )
    stage.shell("kubectl wait --for=condition=Ready aurora/ledger --timeout=150s", seconds=160)
    stage.until("AWS is as the spec says", lambda: objects.synced(stage, "aurora", "ledger"), 20)
    stage.shell("kubectl get aurora")
    aws, asked = cluster(stage), [operation for operation, _ in _writes(stage)[mark:]]
    stage.holds(
        "it is another cluster, made from the snapshot, with what the manifest says",
        aws["DbClusterResourceId"] != old
        and "RestoreDBClusterFromSnapshot" in asked
        and "CreateDBCluster" not in asked
        and (aws["BackupRetentionPeriod"], aws["DatabaseName"]) == (7, "ledger"),
        asked,
    )
    seen = rows.ask(stage, aws, "select name, cents, (select count(*) from entries) from accounts")
    stage.holds(
        "the row that was written before five failovers and the deletion is there, and so is the application's ledger",
        seen == [("ada", 4200, stage.kept["entries"])],
        seen,
    )


def refusal(stage: Stage) -> None:
    """Mistakes are refused by the API server, with sentences."""
    stage.say("A cluster with four mistakes: a class of EC2, sixteen readers, one subnet, a password in the manifest.")
    told = stage.shell(f"kubectl apply -f {SAMPLES}/bad/cluster-mistakes.yaml", code=1)
    fields = ("instances.class", "instances.readers", "network.subnetIds", "credentials.password")
    stage.holds(
        "all four are refused at once, each with what to write instead",
        all(f"spec.{f}: " in told for f in fields),
        told,
    )
    gone = stage.lab.kubectl("get", "aurora", "billing", check=False).returncode != 0
    stage.holds("nothing was stored, and AWS was asked for nothing", gone and not objects.calls(stage, "billing"))


def _in_order(text: str, *parts: str) -> bool:
    places = [text.find(part) for part in parts]
    return -1 not in places and places == sorted(places)


def _clusters(stage: Stage) -> dict[str, dict[str, Any]]:
    return {c["DBClusterIdentifier"]: c for c in stage.lab.boto("rds").describe_db_clusters()["DBClusters"]}


def cluster(stage: Stage) -> dict[str, Any]:
    found = _clusters(stage)
    if CLUSTER not in found:
        raise NotHeld(f"AWS has a cluster {CLUSTER}", f"it has {', '.join(found) or 'none'}")
    return found[CLUSTER]


def _instances(stage: Stage) -> dict[str, dict[str, Any]]:
    """Of the cluster, those that are being deleted included."""
    answer = stage.lab.boto("rds").describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [CLUSTER]}])
    return {i["DBInstanceIdentifier"]: i for i in answer["DBInstances"]}


def writer(stage: Stage) -> str:
    members = cluster(stage)["DBClusterMembers"]
    return next((m["DBInstanceIdentifier"] for m in members if m["IsClusterWriter"]), "")


def _parameter(stage: Stage, name: str) -> str | None:
    """A parameter that was set in the group in force."""
    answer = stage.lab.boto("rds").describe_db_cluster_parameters(
        DBClusterParameterGroupName=cluster(stage)["DBClusterParameterGroup"], Source="user"
    )
    return next((p["ParameterValue"] for p in answer["Parameters"] if p["ParameterName"] == name), None)


def _groups(stage: Stage) -> list[str]:
    """The subnet and parameter groups that were made for the cluster."""
    rds = stage.lab.boto("rds")
    subnets = [g["DBSubnetGroupName"] for g in rds.describe_db_subnet_groups()["DBSubnetGroups"]]
    groups = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    return [n for n in (*subnets, *(g["DBClusterParameterGroupName"] for g in groups)) if CLUSTER in n]


def _writes(stage: Stage) -> list[tuple[str, str]]:
    """What the operator asked AWS to do with the cluster, its instances and groups, in order."""
    return [call for call in objects.calls(stage, CLUSTER) if call[0].startswith(_WRITES)]


def _ready(stage: Stage) -> bool:
    return objects.condition(stage, "aurora", "ledger", "Ready").get("status") == "True"


def _readers(stage: Stage, wanted: str) -> tuple[bool, object]:
    told = objects.status(stage, "aurora", "ledger").get("readersReady")
    return told == wanted, told


def _waits_for_window(stage: Stage) -> tuple[bool, str]:
    told = objects.condition(stage, "aurora", "ledger", "Synced")
    return told.get("reason") == "WaitingForWindow", told.get("message", "")


def _replaced(text: str, pattern: str, replacement: str) -> str:
    """The manifest with one edit; says so when the sample no longer has that line."""
    changed, count = re.subn(pattern, replacement, text)
    if count != 1:
        raise NotHeld(f"{SAMPLES}/ledger.yaml has one place like {pattern!r} to edit", f"it has {count}")
    return changed


def _outside_window(text: str) -> str:
    """The sample's window is Sunday's: whoever plays this on a Sunday has another one, or nothing would wait."""
    now = datetime.now(UTC)
    near = {now.strftime("%a"), (now + timedelta(hours=1)).strftime("%a")}
    return _replaced(text, "sun:05:00-sun:06:00", "wed:05:00-wed:06:00") if "Sun" in near else text
