"""The chapters on failover: an application that loses nothing when its writer is killed, and a drill that proves it with figures."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..state import checkout
from . import objects, rows
from .clusters import CLUSTER, cluster, writer
from .stage import Stage

_APP = "manifests/samples/app/ledger_app.py"
_DRILL = "ledger-now"


def application(stage: Stage) -> None:
    """The writer is killed -9 under an application: the object says what happened, and every booked entry is there."""
    stage.say("What an application needs stands in a Secret, by the keys of the Service Binding specification.")
    stage.shell("kubectl wait --for=condition=Bound aurora/ledger --timeout=30s")
    shown = stage.shell(
        "kubectl get secret $(kubectl get aurora ledger -o jsonpath={.status.binding.name})"
        ' -o go-template=\'{{.type}}{{"\\n"}}{{range $key, $_ := .data}}{{$key}} {{end}}{{"\\n"}}\''
    )
    stage.holds(
        "it has what a login takes, and whom to trust",
        {"host", "port", "username", "password", "database", "uri", "reader-host", "ca.crt"} <= set(shown.split()),
        shown,
    )
    stage.say(f"An application mounts it and books entries without a pause: {_APP}.")
    before = writer(stage)
    with _application(stage) as log:
        stage.until("it books entries", lambda: (_booked(log) > 40, log.read_text()), 20)
        stage.say("kill -9 of the database server that takes the writes.")
        killed = time.monotonic()
        stage.shell(f"penstock lab fault kill {CLUSTER} --name {stage.name}")

        def told() -> tuple[bool, object]:
            named = objects.status(stage, "aurora", "ledger").get("writer")
            return named not in (None, before) and named == writer(stage), named

        now = stage.until("the object names another writer", told, 40)
        stage.until(
            "the application books again", lambda: (" a writer again after " in log.read_text(), log.read_text()), 20
        )
        notice = stage.lab.aws.settings()["rds_detect_s"]
        stage.note(f"{time.monotonic() - killed:.1f} s after the kill; in this lab AWS notices after {notice:.0f} s")
        after = _booked(log)
        stage.until("and goes on", lambda: (_booked(log) > after + 20, log.read_text()), 20)
    said = log.read_text()
    stage.show(
        "\n".join(line for line in said.splitlines() if "is booked" not in line or line in said.splitlines()[-4:])
    )
    entries = re.search(r"(\d+) entries were acknowledged, 0 of them are missing", said)
    stage.holds("every entry that was acknowledged is there", entries is not None, said)
    assert entries is not None
    stage.kept["entries"] = int(entries[1])
    seen = rows.ask(stage, cluster(stage), "select count(*), max(number) from entries")
    stage.holds("without a gap, and none twice", seen == [(int(entries[1]), int(entries[1]))], seen)
    _what_happened(stage, before, str(now))


def drill(stage: Stage) -> None:
    """A failover on purpose, under load, judged against limits."""
    stage.say("Proven, not hoped: a drill writes, fails over on purpose, and judges what it cost by limits.")
    manifest = stage.write("drill.yaml", _MANIFEST)
    stage.shell(f"cat {manifest}")
    stage.shell(f"kubectl apply -f {manifest}")
    stage.shell(f"kubectl wait --for=condition=Passed failoverdrill/{_DRILL} --timeout=80s")
    figures = (
        "{.from} → {.to}: {.outageP50Seconds} s without a commit, {.outageSeconds} s at most; "
        "{.commitsAcknowledged} commits acknowledged, {.commitsLost} lost"
    )
    path = re.sub(r"\{\.", "{.status.report.", figures)
    shown = stage.shell(f"kubectl get failoverdrill {_DRILL} -o jsonpath='{path}{{\"\\n\"}}'")
    stage.holds(
        "commits were acknowledged, and none was lost",
        re.search(r"[1-9]\d* commits acknowledged, 0 lost", shown) is not None,
        shown,
    )
    page = stage.work / "drill.html"
    stage.shell(f"penstock report drill {_DRILL} -o html > {page} && wc -c {page}")
    text = (checkout() / page).read_text(encoding="utf-8")
    stage.holds(
        "its timeline is a page that needs nothing else", "<svg" in text and "http" + "s://" not in text, text[:300]
    )
    stage.until("the cluster is well again", lambda: objects.synced(stage, "aurora", "ledger"), 40)


def _what_happened(stage: Stage, before: str, now: str) -> None:
    """What the object says of it: the failover with its cause and its cost, as an Event and in its status."""

    def told() -> tuple[bool, object]:
        known = objects.status(stage, "aurora", "ledger").get("failovers") or [{}]
        return "finishedAt" in known[0] and "outageSeconds" in known[0], known[0]

    last = stage.until("the object has the failover and what it cost", told, 20)
    assert isinstance(last, dict)
    stage.shell(
        "kubectl get aurora ledger -o jsonpath='{range .status.failovers[0]}{.from} → {.to}  cause {.cause}  "
        '{.outageSeconds} s without a writer, measured by {.measuredBy}{"\\n"}{end}\''
    )
    stage.holds(
        "who it was and who it is, that AWS lost the writer, and an outage that was measured by connecting",
        (last["from"], last["to"], last["cause"], last["measuredBy"]) == (before, now, "AWS", "Probe"),
        last,
    )
    stage.shell(
        "kubectl get events --field-selector reason=FailoverFinished,involvedObject.name=ledger --sort-by=.metadata.creationTimestamp | tail -n 1"
    )
    stage.until(
        "both instances serve again",
        lambda: ((have := objects.status(stage, "aurora", "ledger").get("readersReady")) == "1/1", have),
        60,
    )


@contextmanager
def _application(stage: Stage) -> Iterator[Path]:
    """The application in the background, with the Secret in a folder; its log. Ended with SIGTERM, as a pod is."""
    stage.note(
        "a kubelet would mount the Secret and run the image; here its files are written, and Python runs the application"
    )
    folder = checkout() / stage.work / "bindings" / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    name = objects.status(stage, "aurora", "ledger")["binding"]["name"]
    for key, value in objects.get(stage, "secret", name)["data"].items():
        (folder / key).write_bytes(base64.b64decode(value))
    log = folder.parent / "app.log"
    env = {**os.environ, "SERVICE_BINDING_ROOT": str(folder.parent), "BINDING": "ledger", "PAUSE": "0.02"}

    def start() -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            return subprocess.Popen(
                [sys.executable, _APP], cwd=checkout(), env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    app = stage.python(f"subprocess.Popen(['python', '{_APP}'])", start)
    try:
        yield log
        app.send_signal(signal.SIGTERM)
        app.wait(20)
    finally:
        app.kill()
        app.wait()


def _booked(log: Path) -> int:
    return max((int(n) for n in re.findall(r"entry (\d+) is booked", log.read_text())), default=0)


_MANIFEST = """\
apiVersion: penstock.dev/v1alpha1
kind: FailoverDrill
metadata:
  name: ledger-now
spec:
  clusterRef: {name: ledger}
  load: {writers: 2, duration: 6s}
  limits: {outage: 60s, commitsLost: 0}
"""
