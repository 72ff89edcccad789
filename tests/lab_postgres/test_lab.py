"""A whole lab with databases: switched on, broken from the command line, and nothing of it left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock_lab.lab import Lab, LabError
from penstock_lab.postgres import place
from penstock_lab.postgres.binaries import find

from .rig import PASSWORD, QUICK, wait_for


@pytest.fixture
def lab() -> Iterator[Lab]:
    """In a folder that nobody but its owner may enter, as a home is."""
    with tempfile.TemporaryDirectory(prefix="penstock-") as root:
        name = f"pg-{os.getpid()}"
        try:
            yield Lab.up(name, root=Path(root), operator=False, aws_settings=QUICK, owner=os.getpid())
        finally:
            if (Path(root) / name / "state.json").exists():
                Lab.load(name, Path(root)).down()


def servers(folder: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def orders(lab: Lab) -> Any:
    rds = lab.boto("rds")
    rds.create_db_cluster(
        DBClusterIdentifier="orders",
        Engine="aurora-postgresql",
        MasterUsername="boss",
        MasterUserPassword=PASSWORD,
    )
    for name in ("orders-0", "orders-1"):
        rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBClusterIdentifier="orders",
            Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large",
        )
    wait_for(lambda: all(one["joined"] and one["answers"] for one in nodes(lab)) and len(nodes(lab)) == 2)
    wait_for(lambda: lab.aws.postgres("nodes", cluster="orders")["protected"])
    return rds


def nodes(lab: Lab) -> list[dict[str, Any]]:
    return lab.aws.postgres("nodes", cluster="orders")["nodes"]


def penstock(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock_lab", *words, "--name", lab.name],
        env=os.environ | {"PENSTOCK_LAB_DIR": str(lab.state.folder.parent)},
        capture_output=True,
        text=True,
    )


def test_a_lab_with_databases_is_broken_from_the_command_line_and_leaves_nothing(lab: Lab) -> None:
    rds = orders(lab)
    folder = lab.state.postgres
    assert folder is not None
    facts = rds.describe_db_clusters(DBClusterIdentifier="orders")["DBClusters"][0]

    def ask() -> Any:
        with psycopg.connect(
            host=facts["Endpoint"],
            port=facts["Port"],
            user="boss",
            password=PASSWORD,
            dbname="postgres",
            sslmode="verify-full",
            sslrootcert=lab.env["PENSTOCK_DATABASE_CA"],
            connect_timeout=3,
        ) as connection:
            return connection.execute("select aurora_db_instance_identifier()").fetchone()

    assert ask() == ("orders-0",)
    assert "orders-0" in penstock(lab, "nodes", "orders").stdout
    assert penstock(lab, "fault", "kill", "orders").stdout == "kill: orders-0\n"
    assert wait_for(lambda: ask() == ("orders-1",), 60)
    wrong = penstock(lab, "fault", "kill", "orders", "--instance", "nobody")
    assert wrong.returncode == 1
    assert "orders has no instance nobody" in wrong.stderr

    for words, told in (
        (("delay", "orders", "--seconds", "0.5"), "delay: orders\n"),
        (("partition", "orders", "--for", "1"), "partition: orders-0\n"),
        (("fill-connections", "orders", "--instance", "orders-0", "--for", "1"), "connections: orders-0\n"),
    ):
        wait_for(lambda: all(one["joined"] and one["answers"] for one in nodes(lab)), 60)
        answer = penstock(lab, "fault", *words)
        assert answer.stdout == told, answer.stderr
    assert penstock(lab, "heal", "orders").returncode == 2, "it is a fault's"
    assert penstock(lab, "fault", "heal", "orders").stdout == "healed: orders-0, orders-1\n"

    # The endpoint is killed: its databases go with it, a frozen one too once the lab comes back or goes down.
    assert penstock(lab, "fault", "freeze", "orders").returncode == 0
    assert servers(folder)
    endpoint = lab.state.processes["aws"]
    os.kill(endpoint.pid, signal.SIGKILL)
    wait_for(lambda: not endpoint.alive, 10)
    again = Lab.up(lab.name, root=lab.state.folder.parent, operator=False)
    assert again.state.postgres == folder
    assert again.state.processes["aws"].pid != endpoint.pid
    for _ in range(200):
        if not (left := servers(folder)):
            break
        time.sleep(0.1)
    assert not left
    orders(again)
    assert servers(folder)
    again.down()
    assert not servers(folder)
    assert not Path(folder).exists()
    assert not again.state.folder.exists()


def test_two_labs_have_databases_of_their_own(lab: Lab) -> None:
    root = lab.state.folder.parent
    other = Lab.up(f"{lab.name}-b", root=root, operator=False, aws_settings=QUICK, owner=os.getpid())
    try:
        first, second = (orders(one).describe_db_clusters()["DBClusters"][0] for one in (lab, other))
        assert first["Endpoint"] != second["Endpoint"]
        assert lab.database_ca
        assert other.database_ca
        assert lab.database_ca.read_text() != other.database_ca.read_text()
        before = nodes(other)
        assert penstock(lab, "fault", "kill", "orders").returncode == 0
        wait_for(lambda: next(one for one in nodes(lab) if one["role"] == "writer")["instance"] == "orders-1", 60)
        folder = lab.state.postgres
        lab.down()
        assert folder is not None
        assert not servers(folder)
        assert [one["pid"] for one in nodes(other)] == [one["pid"] for one in before]
    finally:
        other.down()


def test_a_lab_without_databases_says_so(lab: Lab) -> None:
    lab.state.postgres = None
    lab.state.save()
    answer = penstock(lab, "fault", "kill", "orders")
    assert answer.returncode == 1
    assert "has no databases: it was brought up with --no-postgres" in answer.stderr
    with pytest.raises(LabError, match="up without databases"):
        Lab.up(lab.name, root=lab.state.folder.parent, operator=False, postgres=True)


def test_databases_of_a_lab_whose_folder_was_deleted_go_with_the_next_lab(tmp_path: Path) -> None:
    lost, other = tmp_path / "lost", tmp_path / "other"
    lost.mkdir(mode=0o700)
    other.mkdir(mode=0o700)
    if find().reaches(lost):
        pytest.skip("the servers' account reaches every folder: nothing lies outside of a lab's")
    orphan, kept = place.choose(lost, "orphan-of-a-test"), place.choose(other, "other-of-a-test")
    assert orphan.is_dir()
    shutil.rmtree(lost)
    place.choose(other, "other-of-a-test")
    assert not orphan.exists()
    assert kept.is_dir()
    place.clear(other)
    assert not kept.exists()
