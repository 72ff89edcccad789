"""A lab's life: two side by side, up twice, back up after every kind of death, down without a trace."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from botocore.config import Config

from penstock_lab import launch, processes
from penstock_lab.lab import Lab, LabError
from penstock_lab.state import State

PROGRAMS = {"etcd", "apiserver", "controller-manager", "node", "aws"}


@pytest.fixture(scope="module")
def labs(labs_root: Path) -> Iterator[tuple[Lab, Lab]]:
    """Two labs without the operator, brought up at the same time."""
    names = (f"one-{os.getpid()}", f"two-{os.getpid()}")
    try:
        with ThreadPoolExecutor() as pool:
            both = list(pool.map(lambda name: Lab.up(name, operator=False, root=labs_root, owner=os.getpid()), names))
        yield both[0], both[1]
    finally:
        for name in names:
            if State.load(name, labs_root):
                Lab.load(name, labs_root).down()


def _command(lab_root: Path, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PENSTOCK_LAB_DIR": str(lab_root)}
    done = subprocess.run(
        [sys.executable, "-m", "penstock_lab", *args], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def _pids(lab: Lab) -> dict[str, int]:
    state = State.load(lab.name, lab.state.folder.parent)
    assert state
    return {name: process.pid for name, process in state.processes.items()}


def _again(lab: Lab) -> Lab:
    return Lab.up(lab.name, operator=False, root=lab.state.folder.parent, owner=os.getpid())


def test_two_labs_are_two_worlds(labs: tuple[Lab, Lab]) -> None:
    one, two = labs
    assert set(_pids(one)) == set(_pids(two)) == PROGRAMS
    assert not set(one.state.ports.values()) & set(two.state.ports.values())
    one.kubectl("create", "namespace", "only-here")
    assert two.kubectl("get", "namespace", "only-here", check=False).returncode != 0
    key = {
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    one.boto("dynamodb").create_table(TableName="only-here", BillingMode="PAY_PER_REQUEST", **key)
    assert one.boto("dynamodb").list_tables()["TableNames"] == ["only-here"]
    assert two.boto("dynamodb").list_tables()["TableNames"] == []
    addresses = [
        lab.kubectl("get", "node", "lab", "-o", "jsonpath={.status.addresses[0].address}").stdout for lab in labs
    ]
    assert len(set(addresses)) == 2


def test_a_second_up_changes_nothing_and_returns_at_once(labs: tuple[Lab, Lab]) -> None:
    before = _pids(labs[0])
    began = time.monotonic()
    _again(labs[0])
    assert time.monotonic() - began < 10
    assert _pids(labs[0]) == before


@pytest.mark.parametrize("victim", ["etcd", "apiserver", "controller-manager", "node", "aws"])
def test_what_was_killed_is_started_again_and_the_rest_left_alone(labs: tuple[Lab, Lab], victim: str) -> None:
    lab = labs[0]
    lab.kubectl("create", "configmap", f"before-{victim}", "-n", "default")
    before = _pids(lab)
    os.kill(before[victim], signal.SIGKILL)
    assert processes.wait_until(lambda: processes.start_ticks(before[victim]) is None, 5)
    assert lab.status()["state"] == "Degraded"
    healed = _again(lab)
    after = _pids(lab)
    assert {name for name in PROGRAMS if before[name] != after[name]} == {victim}
    assert healed.status()["state"] == "Running"
    healed.kubectl("get", "configmap", f"before-{victim}", "-n", "default")
    # A controller's work, not its pid, shows that it is at home again.
    healed.kubectl("create", "namespace", f"after-{victim}")
    served = lambda: healed.kubectl("get", "sa", "default", "-n", f"after-{victim}", check=False).returncode == 0  # noqa: E731
    assert processes.wait_until(served, 20)


def test_a_port_that_a_stranger_took_is_not_trusted(labs: tuple[Lab, Lab]) -> None:
    """While the API server was dead somebody else began to listen on its port: it moves, and the kubeconfig with it."""
    lab = labs[0]
    port = lab.state.ports["apiserver"]
    processes.stop([State.load(lab.name, lab.state.folder.parent).processes["apiserver"]], 0)
    stranger = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], stderr=subprocess.DEVNULL
    )
    try:
        assert processes.wait_until(lambda: processes.listens("127.0.0.1", port), 10)
        healed = _again(lab)
        assert healed.state.ports["apiserver"] != port
        assert healed.kubectl("get", "--raw", "/readyz").stdout == "ok"
        assert lab.status()["kubernetes"]["url"] == healed.state.kubernetes_url
    finally:
        stranger.kill()
        stranger.wait()


def test_a_frozen_api_server_is_thawed_by_up(labs: tuple[Lab, Lab]) -> None:
    lab = labs[0]
    os.kill(_pids(lab)["apiserver"], signal.SIGSTOP)
    before = _pids(lab)
    _again(lab)
    assert _pids(lab) == before
    assert lab.api.ready


def test_the_api_server_goes_away_and_comes_back(labs: tuple[Lab, Lab]) -> None:
    with labs[1].api_away():
        assert labs[1].kubectl("get", "ns", check=False).returncode != 0
    assert labs[1].kubectl("get", "ns").returncode == 0
    with labs[1].api_away(freeze=True):
        assert labs[1].kubectl("get", "ns", "--request-timeout=1s", check=False).returncode != 0
    assert labs[1].kubectl("get", "ns").returncode == 0


def test_a_program_started_but_never_written_down_is_ended(labs: tuple[Lab, Lab]) -> None:
    """`up` was killed between the start of a program and its record."""
    state = labs[1].state
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    stray = processes.start(
        "etcd", argv, log=state.logs / "stray.log", env=processes.clean_environment(state.id), cwd=state.folder
    )
    _again(labs[1])
    assert not stray.alive


def test_the_shell_gets_what_it_needs(labs: tuple[Lab, Lab], labs_root: Path) -> None:
    printed = _command(labs_root, "env", "--name", labs[1].name).stdout
    settings = dict(
        line.removeprefix("export ").split("=", 1) for line in printed.splitlines() if line.startswith("export ")
    )
    wanted = {
        "KUBECONFIG",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "PATH",
    }
    assert wanted <= set(settings)
    script = f"{printed}\nkubectl version -o json && penstock --version"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(labs_root)}
    done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"serverVersion"' in done.stdout


def test_status_as_json_names_everything(labs: tuple[Lab, Lab], labs_root: Path) -> None:
    facts = json.loads(_command(labs_root, "status", "--name", labs[1].name, "-o", "json").stdout)
    assert facts["state"] == "Running"
    assert set(facts["processes"]) == PROGRAMS
    assert all(psutil.pid_exists(program["pid"]) for program in facts["processes"].values())
    assert facts["aws"]["url"].startswith("http://127.0.0.1:")
    assert facts["kubernetes"]["url"].startswith("https://127.0.0.1:")
    assert facts["operator"]["pid"] is None
    assert facts["versions"]["kubernetes"] == "v1.36.3"


def test_faults_by_command(labs: tuple[Lab, Lab], labs_root: Path) -> None:
    name = ("--name", labs[1].name)
    rule = _command(
        labs_root, "fault", "throttle", *name, "--service", "dynamodb", "--operation", "ListTables", "--for", "60"
    ).stdout.partition(":")[0]
    assert "throttle dynamodb.ListTables" in _command(labs_root, "fault", "list", *name).stdout
    client = labs[1].boto("dynamodb", config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(client.exceptions.ClientError, match="ThrottlingException"):
        client.list_tables()
    _command(labs_root, "fault", "clear", rule, *name)
    client.list_tables()
    refused = _command(labs_root, "fault", "clear", rule, *name, check=False)
    assert refused.returncode == 1
    assert "fault list" in refused.stderr


def test_the_clock_jumps_by_command(labs: tuple[Lab, Lab], labs_root: Path) -> None:
    name = ("--name", labs[1].name)
    before = labs[1].aws.clock()["now"]
    _command(labs_root, "clock", "--advance", "1h", *name)
    assert labs[1].aws.clock()["now"] - before >= 3600
    assert "such as 90s" in _command(labs_root, "clock", "--advance", "soon", *name, check=False).stderr


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("status", "--name", "Nobody's"), "lower case letters"),
        (("status", "--name", "absent"), "penstock lab up --name absent"),
        (("env", "--name", "absent"), "There is no lab absent"),
        (("up", "--kubeconfig", "/nonexistent/config"), "There is no kubeconfig at"),
        (("up", "--set", "replicas"), "KEY=VALUE"),
        (("fault", "throttle", "--rate", "3"), "0<=x<=1"),
    ],
)
def test_a_mistake_gets_a_sentence(labs_root: Path, args: tuple[str, ...], sentence: str) -> None:
    done = _command(labs_root, *args, check=False)
    assert done.returncode != 0
    assert sentence in re.sub(r"\s+", " ", done.stderr)
    assert "Traceback" not in done.stderr


def test_kubeconfig_alone_never_decides_where_the_operator_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "config"
    own.write_text("{}")
    of_a_lab = tmp_path / "lab" / "kubeconfig"
    (of_a_lab.parent / "pki").mkdir(parents=True)
    of_a_lab.write_text("{}")
    (of_a_lab.parent / "state.json").write_text("{}")
    monkeypatch.setenv("KUBECONFIG", str(own))
    monkeypatch.delenv("PENSTOCK_LAB_USE_KUBECONFIG", raising=False)
    assert launch.given_kubeconfig(None) is None
    assert launch.given_kubeconfig(str(own)) == own
    monkeypatch.setenv("PENSTOCK_LAB_USE_KUBECONFIG", "1")
    assert launch.given_kubeconfig(None) == own
    monkeypatch.setenv("KUBECONFIG", str(of_a_lab))
    assert launch.given_kubeconfig(None) is None
    with pytest.raises(LabError, match="belongs to the lab"):
        launch.given_kubeconfig(str(of_a_lab))


def test_a_lab_whose_record_is_lost_is_cleared_away_by_up(labs: tuple[Lab, Lab]) -> None:
    before = _pids(labs[1])
    labs[1].state.file.unlink()
    fresh = _again(labs[1])
    assert fresh.state.id != labs[1].state.id
    assert not [pid for pid in before.values() if processes.start_ticks(pid) is not None]
    assert fresh.status()["state"] == "Running"


def test_down_leaves_no_process_and_no_folder(labs: tuple[Lab, Lab]) -> None:
    lab = Lab.load(labs[1].name, labs[1].state.folder.parent)
    pids = _pids(lab)
    began = time.monotonic()
    lab.down()
    assert time.monotonic() - began < 20
    assert not lab.state.folder.exists()
    assert not processes.marked(lab.state.id)
    assert not [pid for pid in pids.values() if processes.start_ticks(pid) is not None]
    ports = [port for port in lab.state.ports.values() if processes.listens("127.0.0.1", port)]
    assert not ports
    # Its neighbour stands.
    assert Lab.load(labs[0].name, labs[0].state.folder.parent).status()["state"] == "Running"


def test_a_lab_goes_with_its_owner(labs: tuple[Lab, Lab], labs_root: Path) -> None:
    """A test run killed by kill -9 leaves nothing: the node sees it and takes the lab down."""
    lab = labs[0]
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    processes.stop([State.load(lab.name, labs_root).processes["node"]], 5)
    Lab.up(lab.name, operator=False, root=labs_root, owner=owner.pid)
    owner.kill()
    owner.wait()
    assert processes.wait_until(lambda: not lab.state.folder.exists(), 30)
    assert processes.wait_until(lambda: not processes.marked(lab.state.id), 10)
