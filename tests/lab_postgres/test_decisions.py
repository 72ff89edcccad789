"""What needs no server: who takes over, and how; where a moment lies on the machine's clock; what a configuration says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_lab.aws.clock import Clock
from penstock_lab.postgres.archive import Archive
from penstock_lab.postgres.binaries import Binaries
from penstock_lab.postgres.configuration import NodeConfiguration, Source
from penstock_lab.postgres.election import Candidate, choose, way
from penstock_lab.postgres.proxy import block_addresses

candidates = st.lists(
    st.builds(Candidate, st.uuids().map(str), st.integers(0, 15), st.integers(0, 5)), unique_by=lambda one: one.name
)


@given(candidates, st.none() | st.integers(0, 20))
def test_whoever_wins_ends_up_with_all_that_anybody_has(readers: list[Candidate], wish: int | None) -> None:
    wanted = readers[wish].name if wish is not None and wish < len(readers) else None
    choice = choose(readers, wanted)
    if not readers:
        assert choice is None
        return
    by_name = {one.name: one for one in readers}
    assert choice is not None
    winner = by_name[choice.winner]
    assert winner.name == wanted or (wanted is None and winner.tier == min(one.tier for one in readers))
    most = max(one.received for one in readers)
    assert choice.at_least == most
    if winner.received < most:
        assert choice.catch_up_from is not None
        assert by_name[choice.catch_up_from].received == most
    else:
        assert choice.catch_up_from is None


def test_of_one_tier_the_one_that_received_most_needs_no_catching_up() -> None:
    choice = choose([Candidate("a", 1, 10), Candidate("b", 1, 20), Candidate("c", 2, 30)])
    assert choice is not None
    assert (choice.winner, choice.catch_up_from, choice.at_least) == ("b", "c", 30)


@pytest.mark.parametrize(
    ("alive", "protected", "readers", "expected"),
    [
        (True, True, {"a": True, "b": True}, "promote"),
        (False, True, {"a": True, "b": True}, "promote"),
        # A reader that cannot be asked may be the only one with the last commit.
        (False, True, {"a": True, "b": False}, "recover"),
        (True, True, {"a": True, "b": False}, "orderly"),
        (False, False, {"a": True}, "recover"),
        (True, False, {"a": True}, "orderly"),
        (False, True, {}, "recover"),
        # Nobody is there to take over: what serves is let serve.
        (True, True, {}, "stay"),
        (True, True, {"a": False}, "stay"),
    ],
)
def test_a_writer_is_replaced_only_in_a_way_that_loses_nothing(
    alive: bool, protected: bool, readers: dict[str, bool], expected: str
) -> None:
    assert way(alive=alive, protected=protected, readers=readers) == expected


def test_a_moment_of_the_labs_clock_is_one_of_the_machines() -> None:
    clock = Clock()
    began = time.time()
    assert clock.machine_time(clock.now()) == pytest.approx(time.time(), abs=1)
    # The clock jumps an hour ahead, and then runs ten times as fast.
    clock.set(advance=3600)
    clock.set(speed=10)
    jumped = clock.now()
    assert clock.machine_time(began + 1800) == pytest.approx(time.time(), abs=1)
    assert clock.machine_time(jumped + 100) == pytest.approx(time.time() + 10, abs=1)
    clock.set(speed=1)
    assert clock.machine_time(clock.now() + 100) == pytest.approx(time.time() + 100, abs=1)


def test_a_restore_has_a_target_only_where_something_was_committed_later(tmp_path: Path) -> None:
    archive = Archive(tmp_path, Binaries(tmp_path, "15.1", True, None))
    assert archive.target(1015.0) is None
    archive.last_commit = 1020.0
    assert archive.target(1015.0) == "1970-01-01 00:16:55.000000+00:00"
    assert archive.target(1020.0) is None


def test_a_configuration_quotes_and_leaves_out_what_is_not_a_users_to_set(tmp_path: Path) -> None:
    made = NodeConfiguration(
        5999,
        "db-X",
        "orders-0",
        "17.4.0",
        tmp_path / "it's",
        tmp_path / "c",
        tmp_path / "k",
        source=Source(5998, "pw"),
        synchronous=("db-A", "db-B"),
        force_tls=True,
        parameters={
            "statement_timeout": "100",
            "log_statement": "d'dl",
            "shared_buffers": "1",
            "archive_command": "rm",
        },
    )
    text = made.text(tmp_path / "hba")
    lines = dict(line.split(" = ", 1) for line in text.splitlines())
    assert lines["synchronous_standby_names"] == '\'ANY 1 ("db-A", "db-B")\''
    assert lines["statement_timeout"] == "'100'"
    assert lines["log_statement"] == "'d''dl'"
    assert lines["shared_buffers"] == "'16MB'"
    assert "it''s" in lines["archive_command"]
    assert "port=5998" in lines["primary_conninfo"]
    assert "hostnossl all all 127.0.0.0/8 reject" in made.hba()
    made.force_tls = False
    assert "reject" not in made.hba()


@given(st.integers(0, (1 << 15) - 1))
def test_blocks_of_addresses_are_loopback_and_enough_for_sixteen_instances(number: int) -> None:
    addresses = block_addresses(number)
    assert len(set(addresses)) >= 18
    for address in addresses:
        first, second, third, fourth = map(int, address.split("."))
        assert (first, 16 <= second < 32) == (127, True)
        assert 0 <= third <= 255
        assert 0 < fourth < 255
    assert not set(addresses) & set(block_addresses((number + 1) % (1 << 15)))
