"""The first chapters: what is missing is built, and a lab of the demo's own comes up with the operator in it."""

from __future__ import annotations

import os
import time

from rich.text import Text

from .. import build
from ..lab import Lab
from ..state import State
from .stage import Stage

# AWS takes seconds to minutes for these; here long enough to be seen, and to be killed in the middle of.
_AWS = {
    "table_create_s": 6.0,
    "index_create_s": 4.0,
    "backfill_items_per_s": 40.0,
    "rds_cluster_create_s": 3.0,
    "rds_cluster_delete_s": 1.0,
    "rds_restore_s": 2.0,
    "rds_instance_create_s": 2.0,
    "rds_instance_class_s": 1.5,
    "rds_instance_delete_s": 1.0,
    "rds_detect_s": 3.0,
    "rds_dns_s": 1.0,
    "rds_archive_s": 5.0,
}
# Seconds. The defaults (7 and 11 minutes) spare AWS; nobody wants to watch that long.
_RESYNC = 7
_ARGUMENTS = (f"--resync={_RESYNC}", f"--facet-resync={_RESYNC}")


def binaries(stage: Stage) -> None:
    """The control plane, kubectl and helm, and what a node with containers needs: found, or built once."""
    stage.say("The real Kubernetes control plane, kubectl and helm are found, or built once from their Go modules.")
    found = build.ensure(build.CONTROL_PLANE + (build.NODE if stage.kubelet else ()), console=stage.console)
    for name, path in found.items():
        stage.note(f"{name:24} {_short(str(path))}")
    stage.holds("every program is there", all(os.access(path, os.X_OK) for path in found.values()), found)


def lab(stage: Stage) -> None:
    """An API server, an AWS endpoint and the operator, installed by helm."""
    stage.say(
        f"A lab named {stage.name}: etcd, API server, controllers, an AWS endpoint, and a node that runs the operator "
        + ("in a container of the Dockerfile's image, by a real kubelet." if stage.kubelet else "as a process.")
    )
    if State.load(stage.name) is not None:
        stage.note(f"a lab {stage.name} of an earlier run is there and goes first")
        Lab.load(stage.name).down()
    began = time.monotonic()

    def tell(text: str) -> None:
        stage.console.print(Text.assemble(("    · ", "dim"), text, (f"  {time.monotonic() - began:.1f} s", "dim")))

    stage.lab = Lab.up(
        stage.name,
        kubelet=stage.kubelet,
        operator_args=_ARGUMENTS,
        aws_settings=dict(_AWS),
        owner=None if stage.keep else os.getpid(),
        tell=tell,
    )
    stage.note(f"the operator looks at an idle table every {_RESYNC} s here; its default is 7 minutes")
    stage.say("The operator is a Helm release like any other, under RBAC that is really enforced.")
    stage.shell("helm list -n penstock-system")
    stage.shell("kubectl -n penstock-system get deployment,pods")
    account = "system:serviceaccount:penstock-system:penstock"
    status = stage.shell(f"kubectl auth can-i patch auroraclusters/status -A --as {account}")
    pods = stage.shell(f"kubectl auth can-i get pods -A --as {account}", code=1)
    secret = stage.shell(
        f"kubectl create secret generic theirs --from-literal=a=b --dry-run=server --as {account}", code=1
    )
    stage.holds(
        "it may write the status of clusters; it may look at no pod, and make no Secret but those that its clusters own",
        [answer.splitlines()[-1] for answer in (status, pods)] == ["yes", "no"] and "alone" in secret,
        (status, pods, secret),
    )


def _short(path: str) -> str:
    home = os.path.expanduser("~")
    return path.replace(home, "~", 1) if path.startswith(home + os.sep) else path
