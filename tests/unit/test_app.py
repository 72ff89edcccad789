"""The process as a whole: when it counts as ready, and what may end it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from penstock.app import Operator, Options


@pytest.mark.parametrize(("watching", "listed"), [(False, False), (True, False), (False, True), (True, True)])
async def test_a_leader_is_synced_once_it_watches_and_every_kind_was_listed(watching: bool, listed: bool) -> None:
    operator = Operator(Options("eu-west-1"))
    queue = SimpleNamespace(overdue=0, last_activity=0.0)
    loop: Any = SimpleNamespace(store=SimpleNamespace(echo_overdue=0.0), running={}, queue=queue)
    operator._loop, operator._leading = loop, True
    operator._watches, operator._informer = SimpleNamespace(ready=watching), SimpleNamespace(listed=listed)  # type: ignore[assignment]
    assert operator._vitals().synced is (watching and listed)
