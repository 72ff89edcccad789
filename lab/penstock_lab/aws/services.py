"""Puts the endpoint together: our classes in moto's place, our handlers before moto's."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .clock import clock
from .dispatch import Answer, Dispatcher

# The endpoint never calls out, and moto must not look for real credentials when its session loads models.
os.environ.setdefault("AWS_ACCESS_KEY_ID", "lab")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "lab")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("MOTO_ALLOW_NONEXISTENT_REGION", "true")

import moto.cloudwatch.models as cloudwatch_models

from . import autoscaling, cloudwatch, control, fallback, kms, pricing, tagging
from .autoscaling import Scaling
from .dynamodb import observe, operations, stale, updates
from .dynamodb.backend import LabDynamoDB, install
from .dynamodb.ttl import Sweeper
from .faults import Rule
from .query import QueryProtocol
from .rds import scaling as rds_scaling
from .rds import stale as rds_stale
from .rds import steer as rds_steer
from .rds.operations import OPERATIONS as RDS_OPERATIONS
from .rds.operations import Regions
from .rds.operations import handlers as rds_handlers
from .rds.usage import Usage
from .request import ACCOUNT, DEFAULT_REGION, Request

if TYPE_CHECKING:
    from ..postgres.plane import PostgresDataPlane

_backends = install()
cloudwatch.install()
kms.install()
_scalings: dict[tuple[str, str], Scaling] = {}
_rds = Regions()
_rds_past = rds_stale.Past(_rds, RDS_OPERATIONS)
_sweeper = Sweeper()
_observer = observe.Observer()
_usage = Usage(_rds)


def _backend(request: Request) -> LabDynamoDB:
    return _backends[request.account][request.region]


def _scaling(request: Request) -> Scaling:
    where = (request.account, request.region)
    if where not in _scalings:
        _scalings[where] = Scaling(
            _backend(request), updates.update_table, lambda: cloudwatch_models.cloudwatch_backends[where[0]][where[1]]
        )
    return _scalings[where]


def _check_reader_scaling(request: Request) -> None:
    store = _rds.get(request.account, request.region)
    with store.lock:
        store.settle(clock.now())
        rds_scaling.check(store, request)


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


def use_databases(plane: PostgresDataPlane) -> None:
    """Puts real databases behind RDS, and what breaks them under ``/lab/``."""
    from ..postgres import steer

    _rds.use(plane)
    plane.attach(_rds)
    control.actions.update(steer.actions(_rds, plane))


def build_dispatcher() -> Dispatcher:
    kms.provide_lab_key(ACCOUNT, DEFAULT_REGION)
    handlers = {
        **operations.handlers(_backends),
        **autoscaling.handlers(_scaling, _check_reader_scaling),
        **rds_handlers(_rds),
        ("resourcegroupstaggingapi", "GetResources"): _get_resources,
        ("pricing", "GetProducts"): pricing.get_products,
    }
    control.actions.update(rds_steer.actions(_rds, RDS_OPERATIONS))
    dispatcher = Dispatcher(handlers, _fallback, {"rds": QueryProtocol("rds")})
    tables = stale.Past(handlers, _keep_journals)

    def before_write(request: Request, rules: list[Rule]) -> None:
        tables.before_write(request, rules)
        _rds_past.before_write(request, rules)

    def stale_answer(request: Request, rule: Rule) -> dict[str, Any] | None:
        return (_rds_past if request.service == "rds" else tables).answer(request, rule)

    dispatcher.before_write, dispatcher.stale_answer = before_write, stale_answer
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


def _readers() -> None:
    rds_scaling.settle(_rds)


def ticks() -> list[Callable[[], None]]:
    """What the ticker calls."""
    return [_dynamodb, _autoscaling, _rds.settle, _readers, _usage.tick, _rds_past.tick]
