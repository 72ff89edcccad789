"""The cheaper shape as it stands on an object's status: the words that all kinds share."""

from __future__ import annotations

from penstock.api.model import StatusModel


class AdviceItem(StatusModel):
    """One shape that costs less and keeps the objectives."""

    kind: str
    """Cheapest for the best of all, else the one thing that changes: Class, Graviton, Serverless, Provisioned, Storage, Readers, Hours of a
    cluster; Capacity, TableClass, Indexes of a table."""
    summary: str
    """What it would be, instead of what it is."""
    monthly: str | None = None
    """What it costs a month, in US dollars, with the load that was measured."""
    saving: str | None = None
    """What that saves a month, in US dollars."""
    risk: str | None = None
    """What may be worse than now."""
    checked: tuple[str, ...] = ()
    """The objectives and the load that it was checked against."""
    patch: str | None = None
    """The JSON merge patch that makes it so: kubectl patch --type merge --patch "…"."""


class AdviceStatus(StatusModel):
    """The cheaper shape: what it would save, and the patch that makes it so."""

    summary: str | None = None
    """In one sentence: what could be saved, or why nothing is advised."""
    basis: str | None = None
    """What it was found from: the days and the metrics."""
    monthly: str | None = None
    """What the present shape costs a month with that load, in US dollars."""
    saving: str | None = None
    """What the best of the items saves a month, in US dollars."""
    items: tuple[AdviceItem, ...] = ()
    """The cheapest shape first, then what can be had by one change alone."""
    notes: tuple[str, ...] = ()
    """What else costs, and cannot be reckoned from metrics."""
