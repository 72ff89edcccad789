"""`penstock plan -f` against a lab: what it says of tables that are there, changed, somebody else's, or not there yet."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys

import pytest
from declared import Declared, index

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


def plan(lab: Lab, manifest: dict, *more: str, cluster: bool = True) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **lab.env, **({} if cluster else {"KUBECONFIG": "/nonexistent", "HOME": "/nonexistent"})}
    command = [sys.executable, "-m", "penstock.cli", "plan", "-f", "-", *more]
    return subprocess.run(command, input=json.dumps(manifest), env=env, capture_output=True, text=True, timeout=60)


def test_a_managed_table_is_known_as_one(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"ttl": {"attribute": "expires"}, "tags": {"team": "shop"}}).settled()
    same = plan(lab, table.manifest)
    assert (same.returncode, "nothing to do" in same.stdout) == (0, True), same.stdout + same.stderr

    edited = copy.deepcopy(table.manifest)
    edited["spec"] |= {"globalIndexes": [index("status")], "tags": {"team": "shop", "tier": "gold"}}
    changed = plan(lab, edited)
    assert changed.returncode == 2
    assert "create index status" in changed.stdout
    assert "set tags tier" in changed.stdout
    steps = json.loads(plan(lab, edited, "-o", "json").stdout)[0]["plan"]["steps"]
    assert {step["summary"] for step in steps} == {"create index status", "set tags tier"}
    assert table.settled().aws_tags.keys() == {"team", "penstock.dev/owner"}, "a plan changes nothing"

    # The cluster is away: the table's own mark still tells whose it is.
    assert plan(lab, table.manifest, cluster=False).returncode == 0


def test_somebody_elses_table_is_told(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace).settled()
    other = {**table.manifest, "metadata": {"name": "other", "namespace": namespace}}
    told = plan(lab, other)
    assert told.returncode == 1
    assert "belongs to" in told.stdout


def test_a_table_that_is_not_there_is_to_be_created(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"ttl": {"attribute": "expires"}}, apply=False)
    told = plan(lab, table.manifest)
    assert told.returncode == 2
    assert f"create table {table.table}" in told.stdout
    assert "1 to create" in told.stdout
    assert not table.exists
