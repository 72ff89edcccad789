"""Event subscriptions: which events go to which SNS topic."""

from __future__ import annotations

import datetime
from typing import Any

import moto.sns.models as sns

from ..clock import clock
from ..request import Request
from ..settings import settings
from . import eventtexts, pages, tags, validate
from .events import SOURCE_TYPES
from .refusals import bad_combination, bad_value, fault
from .store import Store, Subscription

_CHANGE_S = 0.5
# Source type to what its identifiers are looked up in.
_SOURCES = {"db-cluster": "clusters", "db-instance": "instances", "db-cluster-snapshot": "snapshots"}


def find(store: Store, name: str) -> Subscription:
    found = store.subscriptions.get(name)
    if found is None:
        raise fault("SubscriptionNotFoundFault", f"Event subscription not found: {name}")
    return found


def describe(store: Store, subscription: Subscription) -> dict[str, Any]:
    created = datetime.datetime.fromtimestamp(subscription.created, datetime.UTC)
    return {
        "CustomerAwsId": store.account,
        "CustSubscriptionId": subscription.name,
        "SnsTopicArn": subscription.topic,
        "Status": subscription.status,
        "SubscriptionCreationTime": f"{created:%Y-%m-%d %H:%M:%S}.{created.microsecond // 1000:03d}",
        "SourceType": subscription.source_type,
        "SourceIdsList": subscription.sources,
        "EventCategoriesList": subscription.categories,
        "Enabled": subscription.enabled,
        "EventSubscriptionArn": subscription.arn,
    }


def create(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    name = validate.identifier("SubscriptionName", spec["SubscriptionName"])
    given = tags.from_list(spec.get("Tags"))
    if name in store.subscriptions:
        raise fault("SubscriptionAlreadyExistFault", f"Event subscription already exists: {name}")
    if len(store.subscriptions) >= settings.rds_max_subscriptions:
        raise fault("EventSubscriptionQuotaExceededFault", "The request would exceed the quota of event subscriptions.")
    _check_topic(store, spec["SnsTopicArn"])
    subscription = Subscription(
        name,
        spec["SnsTopicArn"],
        store.arn("es", name),
        clock.now(),
        enabled=spec.get("Enabled", True),
        source_type=spec.get("SourceType"),
        sources=_sources(store, spec.get("SourceType"), spec.get("SourceIds")),
        categories=_categories(spec.get("SourceType"), spec.get("EventCategories")),
        tags=given,
    )
    store.subscriptions[name] = subscription
    store.during(subscription, "creating", _CHANGE_S, after="active")
    return {"EventSubscription": describe(store, subscription)}


def modify(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    subscription = find(store, spec["SubscriptionName"].lower())
    if subscription.status != "active":
        raise fault(
            "InvalidEventSubscriptionStateFault", f"Event subscription {subscription.name} is {subscription.status}."
        )
    source_type = spec.get("SourceType") or subscription.source_type
    if spec.get("SnsTopicArn"):
        _check_topic(store, spec["SnsTopicArn"])
    categories = subscription.categories
    if spec.get("EventCategories") is not None:
        categories = _categories(source_type, spec["EventCategories"])
    if source_type != subscription.source_type:
        subscription.sources = []
    subscription.source_type, subscription.categories = source_type, categories
    subscription.topic = spec.get("SnsTopicArn") or subscription.topic
    subscription.enabled = spec.get("Enabled", subscription.enabled)
    return {"EventSubscription": describe(store, subscription)}


def delete(store: Store, request: Request) -> dict[str, Any]:
    subscription = find(store, (request.parameters or {})["SubscriptionName"].lower())
    shown = {**describe(store, subscription), "Status": "deleting"}
    subscription.phase += 1
    del store.subscriptions[subscription.name]
    return {"EventSubscription": shown}


def describe_all(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    if spec.get("SubscriptionName"):
        return {"EventSubscriptionsList": [describe(store, find(store, spec["SubscriptionName"].lower()))]}
    shown, marker = pages.named_page(sorted(store.subscriptions), spec)
    return {"Marker": marker, "EventSubscriptionsList": [describe(store, store.subscriptions[name]) for name in shown]}


def add_source(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    subscription = find(store, spec["SubscriptionName"].lower())
    for name in _sources(store, subscription.source_type, [spec["SourceIdentifier"]]):
        if name not in subscription.sources:
            subscription.sources.append(name)
    return {"EventSubscription": describe(store, subscription)}


def remove_source(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    subscription = find(store, spec["SubscriptionName"].lower())
    name = spec["SourceIdentifier"].lower()
    if name not in subscription.sources:
        raise fault("SourceNotFoundFault", f"Source {name} is not of the event subscription {subscription.name}.")
    subscription.sources.remove(name)
    return {"EventSubscription": describe(store, subscription)}


def _check_topic(store: Store, arn: str) -> None:
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "sns":
        raise fault("SNSInvalidTopicFault", f"SNS topic {arn} is not valid.")
    if arn not in sns.sns_backends[parts[4]][parts[3]].topics:
        raise fault("SNSTopicArnNotFoundFault", f"SNS topic {arn} does not exist.")


def _sources(store: Store, source_type: str | None, ids: list[str] | None) -> list[str]:
    if source_type is not None and source_type not in SOURCE_TYPES:
        raise bad_value(f"Invalid value for source type: {source_type}")
    if not ids:
        return []
    if source_type is None:
        raise bad_combination("SourceType must be specified when SourceIds are specified.")
    names = [one.lower() for one in ids]
    if source_type in _SOURCES:
        known = getattr(store, _SOURCES[source_type])
        if missing := [name for name in names if name not in known]:
            raise fault("SourceNotFoundFault", f"Source {missing[0]} of type {source_type} does not exist.")
    return list(dict.fromkeys(names))


def _categories(source_type: str | None, wanted: list[str] | None) -> list[str]:
    known = {
        category
        for event in eventtexts.EVENTS.values()
        if source_type in (None, event.source_type)
        for category in event.categories
    }
    for one in wanted or ():
        if one not in known:
            raise fault(
                "SubscriptionCategoryNotFoundFault", f"Category : {one} not found for source type {source_type}."
            )
    return list(dict.fromkeys(wanted or ()))
