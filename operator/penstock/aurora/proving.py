"""Whether credentials log in: tried in the background, a few at a time, so that a database that does not answer keeps nobody waiting."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from penstock.aurora.state import Proof
from penstock.postgres.login import Login, connect, refusal

Name = tuple[str, str]
"""Namespace and name of an object."""

AGAIN = 300.0
"""Seconds after which what logged in is tried again."""

_TIMEOUT = 5.0
_AT_ONCE = 8


@dataclass
class _Attempt:
    login: Login
    proof: Proof | None = None
    due: float = float("-inf")
    task: asyncio.Task[None] | None = None


class Prover:
    """wake: called with an object's name when an attempt for it ended."""

    def __init__(self, wake: Callable[[Name], None]) -> None:
        self._wake = wake
        self._attempts: dict[Name, _Attempt] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def proof(self, name: Name, login: Login, *, anew: bool = False) -> tuple[Proof | None, float | None]:
        """What the last attempt with this very login came to, and in how many seconds the next is due; None while one goes on.

        An attempt that is due is begun. anew: it is due now.
        """
        attempt = self._attempts.get(name)
        if attempt is None or attempt.login != login:
            self.forget(name)
            attempt = self._attempts[name] = _Attempt(login)
        now = asyncio.get_running_loop().time()
        if attempt.task is not None and attempt.task.done():
            # It ended by an error that nobody foresaw, or was cancelled.
            attempt.task = None
        if attempt.task is None and (anew or now >= attempt.due):
            attempt.task = asyncio.create_task(self._try(name, attempt), name=f"login {'/'.join(name)}")
        return attempt.proof, None if attempt.task is not None else attempt.due - now

    def forget(self, name: Name) -> None:
        """End what goes on for an object, and drop what is known."""
        attempt = self._attempts.pop(name, None)
        if attempt is not None and attempt.task is not None:
            attempt.task.cancel()

    async def _try(self, name: Name, attempt: _Attempt) -> None:
        failures = attempt.proof.failures if attempt.proof is not None else 0
        async with self._slots:
            try:
                connection = await connect(attempt.login, timeout=_TIMEOUT, application="penstock-binding")
                await connection.close()
            except (psycopg.Error, TimeoutError, OSError) as error:
                reason, sentence = refusal(error, attempt.login)
                proof = Proof(False, reason, sentence, failures + 1)
            else:
                proof = Proof(True)
        wait = AGAIN if proof.proven else min(AGAIN, 2.0 ** min(failures, 16))
        attempt.proof, attempt.task = proof, None
        attempt.due = asyncio.get_running_loop().time() + wait * random.uniform(0.9, 1.1)
        self._wake(name)
