"""Where a lab keeps its databases, and how nothing of them is left."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from .binaries import find

_LINK = "postgres"
_PREFIX = "penstock-postgres-"
# In a folder that is not the lab's: whose it is.
_OWNER = "lab"


def choose(lab: Path, lab_id: str) -> Path:
    """The lab's folder if the servers' account reaches it, else one in the temporary folder that the lab's has a link to.

    Raises PostgresMissing when there is no PostgreSQL to keep data for.
    """
    if find().reaches(lab):
        return lab / _LINK
    clear_orphans()
    target = Path(tempfile.gettempdir()) / f"{_PREFIX}{lab_id}"
    link = lab / _LINK
    if not link.is_symlink():
        link.symlink_to(target)
    target.mkdir(exist_ok=True, mode=0o711)
    # After the link: a folder that names a lab which does not link to it is an orphan.
    (target / _OWNER).write_text(str(lab))
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


def clear_orphans() -> None:
    """Ends and deletes the databases of labs whose folders somebody has deleted by hand."""
    from .node import clear as clear_nodes

    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if folder.lstat().st_uid != os.geteuid():
                continue
            lab = Path((folder / _OWNER).read_text())
        except OSError:
            continue
        link = lab / _LINK
        if not (link.is_symlink() and link.readlink() == folder):
            clear_nodes(folder)
