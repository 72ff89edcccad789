"""The kinds that Penstock has. A new one is a file with its model, and a line here."""

from __future__ import annotations

from penstock.api import auroracluster, costbudget, dynamotable, failoverdrill
from penstock.api.kind import Kind

KINDS: tuple[Kind, ...] = (dynamotable.KIND, auroracluster.KIND, failoverdrill.KIND, costbudget.KIND)
