"""The way to the clusters that are drilled. The application gives it, so that neither kind imports the other."""

from __future__ import annotations

from typing import Protocol

from penstock.drill.subject import Subject
from penstock.engine.kind import Key
from penstock.postgres.login import Login

KIND = "AuroraCluster"


class Clusters(Protocol):
    """The clusters of the operator, for drills. Asked for by the object's key."""

    async def subject(self, key: Key, *, newer: bool = False) -> Subject | None:
        """What is known; None when there is no such object. newer: by a read of AWS that begins now. Raises Trouble when AWS cannot be read."""

    async def login(self, subject: Subject) -> Login:
        """How to log in to the writer endpoint as the master user. Raises Trouble."""

    async def doubt(self, subject: Subject) -> None:
        """The password did not log in: the next login() looks for a newer one."""

    def hurry(self, subject: Subject, seconds: float) -> None:
        """Something is about to happen: what AWS has is read more often for so long."""
