"""Puts the endpoint together: our classes in moto's place, our handlers before moto's."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .clock import clock
from .dispatch import Answer, Dispatcher

# The endpoint never calls out, and moto must not look for real credentials when its session loads models.
os.environ.setdefault("AWS_ACCESS_KEY_ID", "lab")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "lab")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("MOTO_ALLOW_NONEXISTENT_REGION", "true")

import moto.cloudwatch.models as cloudwatch_models

from . import autoscaling, cloudwatch, fallback, kms, tagging
from .autoscaling import Scaling
from .dynamodb import observe, operations, stale, updates
from .dynamodb.backend import LabDynamoDB, install
from .dynamodb.ttl import Sweeper
from .query import QueryProtocol
from .rds.operations import Regions
from .rds.operations import handlers as rds_handlers
from .request import ACCOUNT, DEFAULT_REGION, Request

_backends = install()
cloudwatch.install()
kms.install()
_scalings: dict[tuple[str, str], Scaling] = {}
_rds = Regions()
_sweeper = Sweeper()
_observer = observe.Observer()


def _backend(request: Request) -> LabDynamoDB:
    return _backends[request.account][request.region]


def _scaling(request: Request) -> Scaling:
    where = (request.account, request.region)
    if where not in _scalings:
        _scalings[where] = Scaling(
            _backend(request), updates.update_table, lambda: cloudwatch_models.cloudwatch_backends[where[0]][where[1]]
        )
    return _scalings[where]


def _get_resources(request: Request) -> Any:
    backend = _backend(request)
    with backend.lock:
        backend.settle(clock.now())
        return tagging.get_resources(backend, request)


def _keep_journals(request: Request) -> None:
    """Has every table of the region remember its items' past, for stale reads of them."""
    backend = _backend(request)
    with backend.lock:
        for table in backend.tables.values():
            if table.journal_from is None:
                table.journal_from = clock.now()


def _fallback(request: Request) -> Answer:
    if request.service == "kms":
        kms.provide_lab_key(request.account, request.region)
    return fallback.call_moto(request)


def build_dispatcher() -> Dispatcher:
    kms.provide_lab_key(ACCOUNT, DEFAULT_REGION)
    handlers = {
        **operations.handlers(_backends),
        **autoscaling.handlers(_scaling),
        **rds_handlers(_rds),
        ("resourcegroupstaggingapi", "GetResources"): _get_resources,
    }
    dispatcher = Dispatcher(handlers, _fallback, {"rds": QueryProtocol("rds")})
    past = stale.Past(handlers, _keep_journals)
    dispatcher.before_write, dispatcher.stale_answer = past.before_write, past.answer
    return dispatcher


def _dynamodb() -> None:
    for _, _, backend in list(_backends.iter_backends()):
        with backend.lock:
            backend.settle(clock.now())
        _sweeper.sweep(backend)
        _observer.observe(backend)


def _autoscaling() -> None:
    for scaling in list(_scalings.values()):
        scaling.tick()


def ticks() -> list[Callable[[], None]]:
    """What the ticker calls."""
    return [_dynamodb, _autoscaling, _rds.settle]
