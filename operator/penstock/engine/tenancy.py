"""Which resources of the AWS account a namespace may take over or restore from. Pure.

The right to create an object in a namespace is no right to a database of the account, but the operator's AWS credentials reach them all. So somebody
with rights to the resource, or the administrator of the operator, has to allow it (docs/security.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass as validated

from penstock.api.conditions import Reason
from penstock.api.meta import ADOPTABLE_BY, OWNER_TAG
from penstock.api.model import Problem
from penstock.engine.plan import Refusal


@validated(frozen=True, config=ConfigDict(extra="forbid"))
class AdoptionRule:
    """Resources whose names match one of `names` may be taken over by objects of namespaces that match one of `namespaces` (shell patterns)."""

    namespaces: tuple[str, ...]
    names: tuple[str, ...]

    def covers(self, namespace: str, resource: str) -> bool:
        return any(fnmatchcase(namespace, p) for p in self.namespaces) and any(
            fnmatchcase(resource, p) for p in self.names
        )


def adoption_rules(text: str) -> tuple[AdoptionRule, ...]:
    """The rules of a JSON list. Raises ValueError where it is none."""
    return TypeAdapter(tuple[AdoptionRule, ...]).validate_json(text)


@dataclass(frozen=True)
class Source:
    """A resource that is taken over or restored from.

    what: for people, "snapshot". name: what rules match. exists: whether AWS has it. tags: those that tell whose it is. tagging: the AWS command,
    up to its tags, that marks it; '' where AWS gives it no tags.
    """

    what: str
    name: str
    tags: Mapping[str, str]
    tagging: str = ""
    exists: bool = True
    made_here: bool = False
    """Whether its name shows that an object of this namespace made it."""


@dataclass(frozen=True)
class Tenancy:
    """What the administrator allows. regions: that objects may name; none: every one. enforced: False for a plan that is only printed."""

    regions: tuple[str, ...] = ()
    adoption: tuple[AdoptionRule, ...] = ()
    enforced: bool = True

    def refusal(self, owner: str, source: Source, purpose: str) -> Refusal | None:
        """Why the object with this owner tag may not use the source. purpose: "take over", "restore from"."""
        if not self.enforced or self._permits(owner, source):
            return None
        namespace = owner.rsplit("/", 4)[1]
        tag = f"{ADOPTABLE_BY}={namespace}"
        command = f"{source.tagging} Key={ADOPTABLE_BY},Value={namespace}"
        how = f"set its AWS tag {tag} ({command}), or " if source.tagging else ""
        return Refusal(
            Reason.FORBIDDEN,
            f"Namespace {namespace} may not {purpose} {source.what} {source.name}. To allow it, {how}add the name to tenancy.adoption of the "
            "operator's chart.",
            again=15.0,
        )

    def note(self, owner: str, source: Source, purpose: str) -> str:
        """What a printed plan says of a permission that it cannot judge; '' where there is no doubt."""
        if self.enforced or self._permits(owner, source):
            return ""
        namespace = owner.rsplit("/", 4)[1]
        return (
            f"To {purpose} {source.what} {source.name}, namespace {namespace} needs the AWS tag {ADOPTABLE_BY}={namespace} on it, or an entry in "
            "tenancy.adoption of the operator's chart."
        )

    def notes(self, owner: str, restored: Source | None, adopted: Source | None) -> list[str]:
        """What a printed plan says of the permissions of an object that restores from one source and takes over another."""
        wanted = ((restored, "restore from"), (adopted, "take over"))
        found = (self.note(owner, source, purpose) for source, purpose in wanted if source is not None)
        return [note for note in found if note]

    def _permits(self, owner: str, source: Source) -> bool:
        cluster, namespace, _, name, _ = owner.rsplit("/", 4)
        theirs = source.tags.get(OWNER_TAG, "").rsplit("/", 4)
        consented = source.tags.get(ADOPTABLE_BY, "").split()
        # Of what is not there AWS says best what it lacks.
        return (
            not source.exists
            or source.made_here
            or theirs[:2] == [cluster, namespace]
            or namespace in consented
            or f"{namespace}/{name}" in consented
            or any(rule.covers(namespace, source.name) for rule in self.adoption)
        )

    def region_problems(self, region: str) -> list[Problem]:
        """What is wrong with the region that an object is in."""
        if not self.regions or region in self.regions:
            return []
        allowed = ", ".join(self.regions)
        return [Problem("spec.region", f"{region} is not allowed here: write one of {allowed}, or leave it out")]


UNENFORCED = Tenancy(enforced=False)
"""For a plan that is only printed: it does not know what the administrator of the operator allows."""
