"""Where a lab keeps its databases, and how nothing of them is left."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .binaries import find

_LINK = "postgres"


def choose(lab: Path, lab_id: str) -> Path:
    """The lab's folder if the servers' account reaches it, else one in the temporary folder that the lab's has a link to.

    Raises PostgresMissing when there is no PostgreSQL to keep data for.
    """
    if find().reaches(lab):
        return lab / _LINK
    target = Path(tempfile.gettempdir()) / f"penstock-postgres-{lab_id}"
    link = lab / _LINK
    if not link.is_symlink():
        link.symlink_to(target)
    return target


def clear(lab: Path) -> None:
    """Ends every database of the lab in this folder, however it was left, and deletes them."""
    link = lab / _LINK
    if not link.is_symlink() and not link.is_dir():
        return
    from .node import clear as clear_nodes

    target = link.readlink() if link.is_symlink() else link
    clear_nodes(target)
    if link.is_symlink():
        link.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
