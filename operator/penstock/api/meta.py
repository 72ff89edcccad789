"""Names that are part of the API: the group, its annotations, the finalizer, the AWS tags, and object metadata."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "penstock.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "penstock"
FINALIZER: Final = f"{GROUP}/finalizer"
FIELD_MANAGER: Final = "penstock"

# Annotations that users set.
MODE: Final = f"{GROUP}/mode"
RECONCILE_AT: Final = f"{GROUP}/reconcile-at"
APPROVE: Final = f"{GROUP}/approve"
FAILOVER_TO: Final = f"{GROUP}/failover-to"
WAKE: Final = f"{GROUP}/wake"

# Annotations that the operator writes, at most hourly, so that printer columns can show money.
MONTHLY_COST: Final = f"{GROUP}/monthly-cost-usd"
COST_BASIS: Final = f"{GROUP}/cost-basis"
COST_DELTA: Final = f"{GROUP}/cost-delta-usd"
LAST_FAILOVER: Final = f"{GROUP}/last-failover"

# Tags on AWS resources. Those of this prefix are Penstock's: users may not set one, and drift never removes one.
TAG_PREFIX: Final = f"{GROUP}/"
OWNER_TAG: Final = f"{GROUP}/owner"
"""Tag whose value is `<cluster id>/<namespace>/<kind>/<name>/<uid>`."""
ADOPTABLE_BY: Final = f"{GROUP}/adoptable-by"
"""Tag that somebody with rights to a resource sets: namespaces, or NAMESPACE/NAME of objects, that may take it over or restore from it, with blanks
between."""


class Mode(StrEnum):
    """What the operator may do with one object, from its `penstock.dev/mode` annotation."""

    RECONCILE = "Reconcile"
    """Keep AWS as the spec says (the default)."""
    PLAN = "Plan"
    """Put the plan on the status and perform none of it."""
    OBSERVE = "Observe"
    """Read AWS and report; plan nothing."""
    PAUSED = "Paused"
    """Leave the object alone altogether."""


class ObjectMeta(BaseModel):
    """The part of Kubernetes' ObjectMeta that Penstock reads (Kubernetes API reference, ObjectMeta v1)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    name: str
    namespace: str | None = None
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def mode(self) -> Mode | None:
        """The object's mode; None when the annotation holds a word that is not a mode."""
        try:
            return Mode(self.annotations.get(MODE, Mode.RECONCILE))
        except ValueError:
            return None
