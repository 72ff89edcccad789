"""A lab comes up on a busy machine: a program that gives up is started again, up to a bound, and the wait is told."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock_lab import build, launch, processes
from penstock_lab.lab import Lab, LabError
from penstock_lab.processes import Process
from penstock_lab.state import State

Begin = Callable[[], Process]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    folder = tmp_path / "start"
    folder.mkdir()
    state = State("start", folder)
    yield state
    processes.stop(state.processes.values(), 0)


@pytest.fixture
def program(state: State) -> Callable[[str], Begin]:
    """A stand-in for a program of the lab, by its Python text; ``starts`` in its folder has a line for each start."""

    def stand_in(text: str) -> Begin:
        counted = f"import pathlib, time; starts = pathlib.Path('starts'); starts.open('a').write('x\\n'); {text}"

        def begin() -> Process:
            return processes.start(
                "program",
                [sys.executable, "-c", counted],
                log=state.logs / "program.log",
                env=processes.clean_environment(state.id),
                cwd=state.folder,
            )

        return begin

    return stand_in


def starts(state: State) -> int:
    return len((state.folder / "starts").read_text().splitlines())


GIVES_UP_TWICE = (
    "len(starts.read_text().splitlines()) < 3 and exit('failed to wait for apiserver being healthy'); "
    "pathlib.Path('ready').touch(); time.sleep(600)"
)


def test_a_program_that_gives_up_is_started_again(state, program, monkeypatch):
    monkeypatch.setattr(launch, "RESTART_PAUSE_S", 0.05)
    told: list[str] = []
    ready = state.folder / "ready"
    launch.until_ready(state, "program", program(GIVES_UP_TWICE), ready.exists, told.append)
    assert starts(state) == 3
    assert state.alive("program")
    assert State.load("start", state.folder.parent).processes["program"] == state.processes["program"]
    assert told == ["program ended before it was ready (failed to wait for apiserver being healthy); started again"] * 2


def test_a_program_that_always_gives_up_is_reported_with_its_log(state, program, monkeypatch):
    monkeypatch.setattr(launch, "RESTART_PAUSE_S", 0.05)
    with pytest.raises(
        LabError, match=r"program ended 10 times before it was ready; .*program.log ends with:\n.*no etcd"
    ):
        launch.until_ready(state, "program", program("exit('no etcd')"), lambda: False, lambda _: None)
    assert starts(state) == launch.STARTS == 10


def test_a_wait_is_told_and_has_an_end(state, program, monkeypatch):
    monkeypatch.setattr(launch, "TELL_EVERY_S", 0.2)
    told: list[str] = []
    slow = program("print('waiting for etcd', flush=True); time.sleep(600)")
    with pytest.raises(LabError, match=r"program was not ready within 1 s; .*program.log ends with:\nwaiting for etcd"):
        launch.until_ready(state, "program", slow, lambda: False, told.append, seconds=1)
    assert told
    assert all(line.startswith("waiting for program since ") for line in told)
    assert starts(state) == 1


def test_a_program_that_runs_is_not_started_again(state, program):
    state.processes["program"] = program("time.sleep(600)")()
    launch.until_ready(state, "program", lambda: pytest.fail("it runs"), lambda: True, lambda _: None)


@pytest.mark.lab
def test_a_controller_manager_that_gave_up_once_does_not_end_the_lab(labs_root, tmp_path, monkeypatch):
    """As on a machine under load: kube-controller-manager ends when the API server was not healthy for ten seconds."""
    binaries = build.ensure(launch.needed(False))
    real, once = binaries["kube-controller-manager"], tmp_path / "once"
    script = tmp_path / "kube-controller-manager"
    script.write_text(
        f"#!/bin/sh\nif [ ! -e {once} ]; then touch {once}; echo 'failed to wait for apiserver being healthy' >&2; exit 1; fi\n"
        f'exec {real} "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(build, "ensure", lambda *_: binaries | {"kube-controller-manager": script})
    told: list[str] = []
    name = f"start-{os.getpid()}"
    try:
        lab = Lab.up(name, operator=False, postgres=False, root=labs_root, owner=os.getpid(), tell=told.append)
        assert once.exists()
        assert any(line.startswith("controller-manager ended before it was ready (failed to wait") for line in told)
        lab.kubectl("get", "serviceaccount", "default", "-n", "default")
        assert lab.status()["state"] == "Running"
    finally:
        if State.load(name, labs_root):
            Lab.load(name, labs_root).down()
