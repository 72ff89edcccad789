"""What the operator makes of logins that a real server, or its TLS, refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.api.conditions import Reason
from penstock.postgres.login import Login, connect, refusal
from penstock_lab.pki import Authority

from .rig import PASSWORD, Aurora, Rig


def login(aurora: Aurora) -> Login:
    facts = aurora.facts
    authority = str(aurora.rig.folder / "pki" / "ca.crt")
    return Login(facts["Endpoint"], facts["Port"], "boss", PASSWORD, "shop", authority)


async def refused(attempt: Login) -> tuple[Reason, str]:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - what it is of is what refusal() says
        await connect(attempt, timeout=5, application="test")
    return refusal(raised.value, attempt)


async def test_each_refusal_has_its_reason_and_a_sentence_that_says_what_to_do(rig: Rig, tmp_path: Path) -> None:
    aurora = await asyncio.to_thread(rig.cluster)
    good = login(aurora)
    async with await connect(good, timeout=5, application="test") as connection:
        row = await (await connection.execute("select current_user, current_setting('application_name')")).fetchone()
        assert row == ("boss", "test")
        assert connection.pgconn.ssl_in_use
    stranger = Authority(tmp_path / "other")
    cases = {
        Reason.LOGIN_FAILED: (replace(good, password="wrong-horse"), replace(good, username="nobody")),
        Reason.DATABASE_MISSING: (replace(good, database="shoes"),),
        Reason.TLS_NOT_VERIFIED: (
            replace(good, ca_file=str(stranger.cert)),
            replace(good, ca_file=""),
            replace(good, ca_file=str(tmp_path / "none")),
        ),
        Reason.DATABASE_UNREACHABLE: (replace(good, port=1), replace(good, host="no.such.host.invalid")),
    }
    for reason, attempts in cases.items():
        for attempt in attempts:
            found, sentence = await refused(attempt)
            assert found == reason, (attempt, sentence)
            assert attempt.host in sentence
            assert attempt.password not in sentence
            assert sentence.endswith(".")
    assert "--database-ca" in (await refused(replace(good, ca_file="")))[1]
    assert "wrong-horse" not in repr(replace(good, password="wrong-horse"))


async def test_a_server_without_a_free_connection_and_a_user_without_a_right(rig: Rig) -> None:
    aurora = await asyncio.to_thread(rig.cluster)
    good = login(aurora)
    async with await connect(good, timeout=5, application="test") as connection:
        with pytest.raises(Exception) as denied:  # noqa: PT011
            await connection.execute("select pg_read_file('/etc/passwd')")
        assert refusal(denied.value, good)[0] == Reason.RIGHTS_MISSING
        await connection.execute("create role guest login password 'Guest-Guest-1' connection limit 0")
    found, sentence = await refused(replace(good, username="guest", password="Guest-Guest-1"))
    assert found == Reason.TOO_MANY_CONNECTIONS, sentence
