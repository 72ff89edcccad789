"""The chapter in which the operator is killed in the middle of its work."""

from __future__ import annotations

import os

from . import objects
from .stage import NotHeld, Stage

TABLE = "invoices"
# Namespace and name, because the sample names no identifier.
CLUSTER = "default-catalogue"
_SAMPLE = "manifests/samples/mysql.yaml"
# Seconds that AWS takes meanwhile; the Lease of who was killed lasts 15 more.
_SLOW = {"table_create_s": 18.0, "rds_cluster_create_s": 12.0}
_PASSWORD = "change-me-before-use"  # noqa: S105 (the sample's own)


def creation(stage: Stage) -> None:
    """kill -9 while AWS makes a table and a cluster: the next process finishes both, and nothing happens twice."""
    stage.say(
        "A table is applied, and a MySQL cluster with two readers, whose password is in a Secret. "
        "The operator is killed -9 while AWS makes both, before any instance is asked for."
    )
    manifest = stage.write(f"{TABLE}.yaml", _INVOICES)
    before = stage.lab.operator_pid
    aws = stage.lab.aws
    usual = {name: aws.settings()[name] for name in _SLOW}
    # The cluster's groups come before it, and wait for RDS's pace: what is begun first must not be over by then.
    aws.settings(**_SLOW)
    try:
        stage.shell(f"kubectl apply -f {manifest} -f {_SAMPLE}")
        stage.until("AWS has taken CreateTable and CreateDBCluster", lambda: _begun(stage), 30)
        pid = _kill(stage, before)
    finally:
        aws.settings(**usual)
    table = stage.lab.boto("dynamodb").describe_table(TableName=TABLE)["Table"]["TableStatus"]
    cluster = stage.lab.boto("rds").describe_db_clusters(DBClusterIdentifier=CLUSTER)["DBClusters"][0]["Status"]
    stage.holds(
        "the operator is dead while the table is still CREATING and the cluster still creating, without an instance",
        (table, cluster) == ("CREATING", "creating")
        and not _alive(pid)
        and "CreateDBInstance" not in _operations(stage, CLUSTER),
        (table, cluster, _operations(stage, CLUSTER)),
    )
    stage.say(
        "The node starts the container again. It waits until the dead one's Lease has run out (15 s), and goes on."
    )
    stage.shell(f"kubectl wait --for=condition=Ready ddb/{TABLE} aurora/catalogue --timeout=90s")
    stage.shell("kubectl -n penstock-system get pods")
    stage.shell("kubectl -n penstock-system get lease penstock-operator")
    operations, about = _operations(stage, TABLE), objects.calls(stage, CLUSTER)
    stage.note(f"what AWS was asked for about the table, in order: {', '.join(operations)}")
    stage.note(f"and about the cluster: {', '.join(_operations(stage, CLUSTER))}")
    stage.holds("another process did it", stage.lab.operator_pid not in (None, pid), stage.lab.operator_pid)
    # Killed before the first status, the next process asks AWS whether the table exists by asking for it: AWS refuses that.
    created = [operation for operation, _ in objects.calls(stage, TABLE, accepted=True)].count("CreateTable")
    stage.holds("AWS accepted exactly one CreateTable", created == 1, operations)
    made = sorted(key for operation, key in about if operation == "CreateDBInstance")
    stage.holds(
        "exactly one CreateDBCluster was sent, and one CreateDBInstance an instance",
        [operation for operation, _ in about].count("CreateDBCluster") == 1
        and made == [f"{CLUSTER}-{ordinal}" for ordinal in (1, 2, 3)],
        about,
    )
    stage.holds("the cluster's master password is the Secret's", stage.lab.aws.rds_password(CLUSTER) == _PASSWORD)
    for resource, name in (("ddb", TABLE), ("aurora", "catalogue")):
        stage.until(
            f"{name} is in every setting as its manifest says",
            lambda resource=resource, name=name: objects.synced(stage, resource, name),
            30,
        )
    stage.shell("kubectl get ddb,aurora")


def _begun(stage: Stage) -> tuple[bool, object]:
    seen = [*_operations(stage, TABLE), *_operations(stage, CLUSTER)]
    return {"CreateTable", "CreateDBCluster"} <= set(seen), seen


def _operations(stage: Stage, name: str) -> list[str]:
    return [operation for operation, _ in objects.calls(stage, name)]


def _kill(stage: Stage, before: int | None) -> int:
    """The pid of the operator that led, and was killed. before: the process that led when the creations began, and must still do so."""
    pid = stage.lab.operator_pid
    if pid is None or pid != before:
        raise NotHeld(f"the operator that leads is still process {before}", f"it is {pid}")
    stage.shell(f"kill -9 {pid}")
    return pid


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return stat.read().rpartition(")")[2].split()[0] not in "ZX"


_INVOICES = """\
apiVersion: penstock.dev/v1alpha1
kind: DynamoTable
metadata:
  name: invoices
spec:
  key:
    partition: {name: invoiceId, type: String}
  globalIndexes:
  - name: by-customer
    partition: {name: customerId, type: String}
    projection: {type: All}
  ttl: {attribute: expiresAt}
  tags: {team: billing}
"""
