"""What is wanted and what was seen, as plain frozen data: the two arguments of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from penstock.api import meta
from penstock.api.dynamotable import DynamoTableSpec
from penstock.api.dynamotable_status import DynamoTableStatus
from penstock.aws.dynamodb import Backup, ContinuousBackups, Insights, KmsKey, ScalingTarget, Table, TimeToLive
from penstock.engine.holds import Held
from penstock.engine.owners import namespace_mark
from penstock.engine.tenancy import UNENFORCED, Source, Tenancy


@dataclass(frozen=True)
class Desired:
    """What one object asks for.

    owner: the value of the owner tag. absent: the object is being deleted, and so is the table, as deletion_policy says. approved, wake: what the
    annotations penstock.dev/approve and penstock.dev/wake hold. mode: of penstock.dev/mode. settled: the operator had reached this very generation
    before, so a difference is somebody else's doing.
    """

    namespace: str
    name: str
    uid: str
    region: str
    table_name: str
    owner: str
    spec: DynamoTableSpec
    status: DynamoTableStatus
    generation: int = 0
    absent: bool = False
    deleted_at: str = ""
    approved: str = ""
    wake: str = ""
    mode: str = meta.Mode.RECONCILE
    settled: bool = False
    tenancy: Tenancy = UNENFORCED

    @property
    def final_backup_name(self) -> str:
        """The same for every try of one deletion, so that a crash in between finds the backup again. At most 255 characters, as AWS allows.

        Backups take no tags, so the name says by namespace_mark whose it is.
        """
        digits = "".join(c for c in self.deleted_at if c.isdigit())
        return f"{self.table_name[:190]}-final-{namespace_mark(self.owner)}-{self.uid[:8]}-{digits}"


@dataclass(frozen=True)
class Observed:
    """What was seen of the table. A facet that is None was not read, and the plan decides nothing about it.

    assumed: the table was not looked for, because nothing says that it could exist; CreateTable itself tells if it does. since: when the table or
    one of its indexes last changed its state, as this process saw it.
    source: what is to be restored from, before the restore.
    made_id: AWS's id of the table that it answered our own creation or restore with. refused: AWS refused our last restore, so whatever has the
    name is not of it. lost: this process never got AWS's answer to a restore of ours. marking: our owner tag was written so recently that another's
    may have replaced it unseen.
    held: refused steps by id. partial: some facet that the plan needs is still to be read. unread: reason and sentence of each that may not be.
    """

    table: Table | None = None
    assumed: bool = False
    ttl: TimeToLive | None = None
    backups: ContinuousBackups | None = None
    tags: Mapping[str, str] | None = None
    policy: str | None = None
    insights: Insights | None = None
    scaling: tuple[ScalingTarget, ...] | None = None
    kms: KmsKey | None = None
    final_backup: Backup | None = None
    final_backup_read: bool = False
    source: Source | None = None
    since: datetime | None = None
    held: Mapping[str, Held] = field(default_factory=dict)
    partial: bool = False
    made_id: str = ""
    refused: bool = False
    lost: bool = False
    marking: bool = False
    unread: tuple[tuple[str, str], ...] = ()
