"""Puts the endpoint together: our classes in moto's place, our handlers before moto's."""

from __future__ import annotations

import os
from collections.abc import Callable

from .clock import clock
from .dispatch import Dispatcher

# The endpoint never calls out, and moto must not look for real credentials when its session loads models.
os.environ.setdefault("AWS_ACCESS_KEY_ID", "lab")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "lab")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("MOTO_ALLOW_NONEXISTENT_REGION", "true")

from . import fallback, kms
from .dynamodb import operations, store
from .dynamodb.ttl import Sweeper
from .request import ACCOUNT, DEFAULT_REGION

_backends = store.install()


def build_dispatcher() -> Dispatcher:
    kms.provide_lab_key(ACCOUNT, DEFAULT_REGION)
    return Dispatcher(dict(operations.handlers(_backends)), fallback.call_moto)


_sweeper = Sweeper()


def _dynamodb() -> None:
    for _, _, backend in list(_backends.iter_backends()):
        with backend.lock:  # type: ignore[attr-defined]
            backend.settle(clock.now())  # type: ignore[attr-defined]
        _sweeper.sweep(backend)  # type: ignore[arg-type]


def ticks() -> list[Callable[[], None]]:
    """What the ticker calls."""
    return [_dynamodb]
