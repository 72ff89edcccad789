"""Whether credentials log in: an attempt that ended without an answer is made again."""

from __future__ import annotations

import asyncio

import pytest

from penstock.aurora import proving
from penstock.aurora.proving import Prover
from penstock.postgres.login import Login

LOGIN = Login("127.0.0.1", 9, "owner", "secret", "postgres", "")


def test_an_attempt_that_ended_by_an_unforeseen_error_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0

    async def connect(*_: object, **__: object) -> None:
        nonlocal attempts
        attempts += 1
        raise UnicodeError("label too long")

    async def proof() -> None:
        prover = Prover(lambda _: None)
        for _ in range(3):
            prover.proof(("shop", "ledger"), LOGIN)
            await asyncio.sleep(0.01)

    monkeypatch.setattr(proving, "connect", connect)
    asyncio.run(proof())
    assert attempts == 3
