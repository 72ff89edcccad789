"""What a kind is to the API server beside its schema: names and printer columns."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.api.meta import GROUP
from penstock.api.model import ApiModel


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`. Priority 1 shows it with `-o wide` only."""

    name: str
    json_path: str
    description: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True)
class Kind:
    """One custom resource. `model` has the fields apiVersion, kind, metadata, spec and status. absent: what an absent field means, for its page."""

    model: type[ApiModel]
    plural: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    absent: str = "An absent optional field is left as AWS has it."

    @property
    def name(self) -> str:
        """The kind, as manifests say it."""
        return self.model.__name__

    @property
    def singular(self) -> str:
        """The name that kubectl takes."""
        return self.name.lower()

    @property
    def crd_name(self) -> str:
        """The name of its CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


def condition_column(name: str, condition: str, field: str, description: str, priority: int = 0) -> Column:
    """A column that shows a field of one condition."""
    return Column(name, f'.status.conditions[?(@.type=="{condition}")].{field}', description, priority=priority)


AGE = Column("Age", ".metadata.creationTimestamp", "How long the object is there.", type="date")
