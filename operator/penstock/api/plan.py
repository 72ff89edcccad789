"""The plan as it stands on an object's status: the words that all kinds share."""

from __future__ import annotations

from enum import StrEnum

from penstock.api.model import StatusModel


class Effect(StrEnum):
    """What a step does to the running database."""

    IMMEDIATE = "Immediate"
    """Nothing that its users notice."""
    RESTART = "Restart"
    """Connections are cut for seconds."""
    FAILOVER = "Failover"
    """Another member becomes the writer."""
    REPLACE = "Replace"
    """Something is deleted and made anew, and is away in between."""
    DESTROY = "Destroy"
    """Something is deleted for good."""


class When(StrEnum):
    """When a step may run."""

    NOW = "Now"
    LATER = "Later"
    """Once what goes before it has ended."""
    MAINTENANCE_WINDOW = "MaintenanceWindow"
    AFTER_CONSENT = "AfterConsent"
    """After the plan's hash stands in the annotation penstock.dev/approve."""


class StepStatus(StatusModel):
    """One step of the plan."""

    summary: str
    """What is done, in words."""
    effect: Effect
    """What it does to the running database: Immediate, Restart, Failover, Replace or Destroy."""
    when: When
    """When it may run: Now, Later, MaintenanceWindow or AfterConsent."""
    cost_delta: str | None = None
    """What it adds to the cost of a month, in US dollars."""


class PlanStatus(StatusModel):
    """What the operator would do next."""

    hash: str | None = None
    """The plan's fingerprint: written into penstock.dev/approve it is consent to this plan and to no other."""
    steps: tuple[StepStatus, ...] = ()
    """The steps in order."""
    waiting: tuple[str, ...] = ()
    """What it waits for, a sentence each."""
    refused: tuple[str, ...] = ()
    """What it will not do, and why, a sentence each."""
    notes: tuple[str, ...] = ()
    """What keeps no step from being made and is worth knowing before it is, a sentence each."""
