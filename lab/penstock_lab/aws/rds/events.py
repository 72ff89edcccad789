"""RDS events: kept for fourteen days, listed by DescribeEvents, and delivered to SNS and EventBridge.

Texts and categories are those of :mod:`.eventtexts`. Forms of the messages from the Aurora guide, "Working with Amazon
RDS event notification" and "Monitoring RDS events with Amazon EventBridge".
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import sys
import uuid
from typing import TYPE_CHECKING, Any

from ..clock import clock
from ..query import iso8601
from ..request import Request
from .pages import page
from .refusals import bad_combination, bad_value

if TYPE_CHECKING:
    from .store import Store, Subscription

_KEPT_S = 14 * 86400.0
_DEFAULT_MINUTES = 60
_LONGEST_MINUTES = 20160
_KINDS = {
    "db-cluster": ("cluster", "CLUSTER", "RDS DB Cluster Event", "dbclusters"),
    "db-instance": ("db", "DB_INSTANCE", "RDS DB Instance Event", "dbinstances"),
    "db-cluster-snapshot": (
        "cluster-snapshot",
        "CLUSTER_SNAPSHOT",
        "RDS DB Cluster Snapshot Event",
        "db-cluster-snapshots",
    ),
    "db-parameter-group": ("pg", "DB_PARAM", "RDS DB Parameter Group Event", "parameter-groups"),
}
SOURCE_TYPES = (
    *_KINDS,
    "db-security-group",
    "db-snapshot",
    "custom-engine-version",
    "db-proxy",
    "blue-green-deployment",
    "db-shard-group",
    "zero-etl",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    at: float
    id: str
    source_type: str
    source: str
    arn: str
    categories: tuple[str, ...]
    message: str


class EventLog:
    """The events of a region in the order of time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._events: list[Event] = []

    def emit(
        self,
        event_id: str,
        source: str,
        at: float,
        *,
        arn: str = "",
        tags: dict[str, str] | None = None,
        **names: str,
    ) -> None:
        """Records and delivers an event about ``source``; ``names`` fill its text, ``arn`` is not needed where it follows."""
        from . import eventtexts

        known = eventtexts.EVENTS[event_id]
        kind = _KINDS[known.source_type][0]
        event = Event(
            at,
            known.id,
            known.source_type,
            source,
            arn or self._store.arn(kind, source),
            tuple(known.categories),
            eventtexts.text(event_id, **names),
        )
        bisect.insort(self._events, event, key=lambda e: e.at)
        if self._events[0].at < at - _KEPT_S:
            del self._events[: bisect.bisect_left(self._events, at - _KEPT_S, key=lambda e: e.at)]
        for subscription in self._store.subscriptions.values():
            if _wants(subscription, event):
                self._to_topic(subscription, event, tags or {})
        self._to_bus(event, tags or {})

    def take_over(self, other: EventLog) -> None:
        """Has the events that ``other`` has now."""
        self._events = list(other._events)

    def between(self, start: float, end: float) -> list[Event]:
        first = bisect.bisect_left(self._events, start, key=lambda e: e.at)
        return self._events[first : bisect.bisect_right(self._events, end, key=lambda e: e.at)]

    def _to_topic(self, subscription: Subscription, event: Event, tags: dict[str, str]) -> None:
        import moto.sns.models as sns

        console = _KINDS[event.source_type][3]
        moment = iso8601(event.at).replace("T", " ").rstrip("Z")
        message = {
            "Event Source": event.source_type,
            "Event Time": moment,
            "Identifier Link": f"https://console.aws.amazon.com/rds/home?region={self._store.region}#{console}:"
            f"id={event.source}",
            "Source ID": event.source,
            "Source ARN": event.arn,
            "Event ID": f"http://docs.amazonwebservices.com/AmazonRDS/latest/UserGuide/USER_Events.html#{event.id}",
            "Event Message": event.message,
            "Tags": tags,
        }
        try:
            sns.sns_backends[self._store.account][subscription.topic.split(":")[3]].publish(
                json.dumps(message), arn=subscription.topic, subject="RDS Notification Message"
            )
        except Exception as failure:
            # A topic that is gone: the event stays listed, and RDS does not fail because of it.
            print(f"event {event.id} was not delivered to {subscription.topic}: {failure!r}", file=sys.stderr)

    def _to_bus(self, event: Event, tags: dict[str, str]) -> None:
        """To the rules of the default bus, if this account ever made one."""
        events = sys.modules.get("moto.events.models")
        backend = events and events.events_backends[self._store.account].get(self._store.region)
        if not backend:
            return
        _, source_type, detail_type, _ = _KINDS[event.source_type]
        detail = {
            "EventCategories": list(event.categories),
            "SourceType": source_type,
            "SourceArn": event.arn,
            "Date": iso8601(event.at),
            "Message": event.message,
            "SourceIdentifier": event.source,
            "EventID": event.id,
            "Tags": tags,
        }
        message = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": "aws.rds",
            "account": self._store.account,
            # moto writes it as AWS does when it sends the message.
            "time": int(event.at),
            "region": self._store.region,
            "resources": [event.arn],
            "detail": detail,
            # moto's own targets want it.
            "ingestion-time": event.at,
        }
        for rule in list(backend.describe_event_bus("default").rules.values()):
            if rule.state != "ENABLED":
                continue
            try:
                rule.send_to_targets(message)
            except Exception as failure:
                print(f"event {event.id} was not delivered by rule {rule.name}: {failure!r}", file=sys.stderr)


def _wants(subscription: Subscription, event: Event) -> bool:
    return (
        subscription.enabled
        and subscription.status == "active"
        and subscription.source_type in (None, event.source_type)
        and (not subscription.sources or event.source in subscription.sources)
        and (not subscription.categories or bool(set(subscription.categories) & set(event.categories)))
    )


def describe_events(store: Store, request: Request) -> dict[str, Any]:
    """The oldest first. Default: the last hour (API reference, DescribeEvents)."""
    spec = request.parameters or {}
    now = clock.now()
    source_type, source = spec.get("SourceType"), spec.get("SourceIdentifier")
    if source and not source_type:
        raise bad_combination("SourceType must be specified when SourceIdentifier is specified.")
    if source_type and source_type not in SOURCE_TYPES:
        raise bad_value(f"Invalid value for source type: {source_type}")
    if spec.get("Duration") is not None and (spec.get("StartTime") is not None or spec.get("EndTime") is not None):
        raise bad_combination("Duration cannot be combined with StartTime or EndTime.")
    minutes = spec.get("Duration", _DEFAULT_MINUTES)
    if not 1 <= minutes <= _LONGEST_MINUTES:
        raise bad_value(f"Duration must be between 1 and {_LONGEST_MINUTES} minutes.")
    end = spec.get("EndTime", now)
    start = spec.get("StartTime", end - minutes * 60)
    if start > end:
        raise bad_combination("StartTime must not be after EndTime.")
    wanted = set(spec.get("EventCategories") or ())
    rows = [
        event
        for event in store.events.between(max(start, now - _KEPT_S), end)
        if source_type in (None, event.source_type)
        and (not source or event.source == source.lower())
        and (not wanted or wanted & set(event.categories))
    ]
    shown, marker = page(rows, spec)
    return {
        "Marker": marker,
        "Events": [
            {
                "SourceIdentifier": e.source,
                "SourceType": e.source_type,
                "Message": e.message,
                "EventCategories": list(e.categories),
                "Date": e.at,
                "SourceArn": e.arn,
            }
            for e in shown
        ],
    }


def describe_event_categories(store: Store, request: Request) -> dict[str, Any]:
    from . import eventtexts

    wanted = (request.parameters or {}).get("SourceType")
    found: dict[str, set[str]] = {}
    for event in eventtexts.EVENTS.values():
        found.setdefault(event.source_type, set()).update(event.categories)
    return {
        "EventCategoriesMapList": [
            {"SourceType": kind, "EventCategories": sorted(categories)}
            for kind, categories in sorted(found.items())
            if wanted in (None, kind)
        ]
    }
