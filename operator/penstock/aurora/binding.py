"""The connection Secret that applications mount: what stands in it, when it is handed out, and what is said of it. Pure.

Keys are those of the Service Binding specification ("Well-known Secret Entries"); reader-host, reader-uri and ca.crt are ours. A Secret is handed out
once its own content has logged in. Where no login can be tried from here, or none tells anything about the password, it is handed out all the same,
since applications may be where the operator is not; the condition says that it is not proven. A password that does not log in is never handed out.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from penstock.api import meta
from penstock.api.auroracluster import EngineType
from penstock.api.conditions import ConditionType, Reason
from penstock.aurora import states
from penstock.aurora.state import Binding, Desired, Stand
from penstock.aws.rds import Cluster, Instance
from penstock.engine import conditions
from penstock.engine.conditions import Condition
from penstock.engine.plan import KUBERNETES, Refusal, Step

FACET = "binding"
OPERATION = "ApplySecret"
REVISION = f"{meta.GROUP}/revision"
"""Annotation on the Secret: a digest of what the operator wrote last, by which an edit by somebody else is known from a change of ours."""

# Failed attempts in a row before a refusal is told, or a Secret goes out unproven: a password that is just being changed needs some seconds.
PATIENCE = 3
# These say nothing about the password.
_ELSEWHERE = frozenset({Reason.DATABASE_UNREACHABLE, Reason.TLS_NOT_VERIFIED, Reason.TOO_MANY_CONNECTIONS})
_LONGEST_NAME = 253


@dataclass(frozen=True)
class Content:
    """What the Secret is to hold."""

    type: str
    data: Mapping[str, str] = field(repr=False)


def secret_name(name: str) -> str:
    """The Secret's name for an object's name."""
    return f"{name[: _LONGEST_NAME - len('-binding')]}-binding"


def serves(cluster: Cluster, instances: Mapping[str, Instance]) -> bool:
    """Whether a login makes sense now: the cluster has an endpoint, and a writer that takes connections."""
    writer = instances.get(cluster.writer)
    return bool(
        cluster.endpoint
        and cluster.port
        and cluster.writer
        and states.serves(cluster.status)
        and (writer is None or states.serves(writer.status))
    )


def database(desired: Desired, cluster: Cluster) -> str:
    """The database to log in to: the cluster's own; without one that which every PostgreSQL has, or, of MySQL, none."""
    own = cluster.database_name or desired.spec.database_name or ""
    return own or ("postgres" if desired.spec.engine.type is EngineType.POSTGRESQL else "")


def content(desired: Desired, cluster: Cluster, username: str, password: str, authorities: str) -> Content:
    """What applications get. authorities: PEM text of who signs the database's certificate, '' when nobody told the operator."""
    postgres = desired.spec.engine.type is EngineType.POSTGRESQL
    kind = "postgresql" if postgres else "mysql"
    options = "sslmode=verify-full" if postgres else "ssl-mode=VERIFY_IDENTITY"
    name = database(desired, cluster)

    def uri(host: str) -> str:
        who = f"{quote(username, safe='')}:{quote(password, safe='')}"
        return f"{kind}://{who}@{host}:{cluster.port}/{quote(name, safe='')}?{options}"

    found = {
        "type": kind,
        "provider": "aws",
        "host": cluster.endpoint,
        "port": str(cluster.port),
        "username": username,
        "password": password,
        "database": name,
        "uri": uri(cluster.endpoint),
        "reader-host": cluster.reader_endpoint,
        "reader-uri": uri(cluster.reader_endpoint) if cluster.reader_endpoint else "",
        "ca.crt": authorities,
    }
    return Content(f"servicebinding.io/{kind}", {k: v for k, v in found.items() if v})


def revision(data: Mapping[str, str]) -> str:
    """A digest of a content. It stands beside the content and nowhere else."""
    return hashlib.sha256(json.dumps(dict(data), sort_keys=True).encode()).hexdigest()[:16]


def changed(wanted: Content, stands: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that are not as wanted, for a sentence that more people read than may read the Secret: what others named in it is not repeated."""
    own = sorted(k for k, value in wanted.data.items() if stands.get(k) != value)
    return (*own, "other keys") if stands.keys() - wanted.data.keys() else tuple(own)


def stand(desired: Desired, secret: Mapping[str, Any] | None, wanted: Content) -> Stand:
    """Whose the Secret is: ours when this very object owns it, and its type, which never changes, is the engine's."""
    if secret is None:
        return Stand.ABSENT
    owners = (secret.get("metadata") or {}).get("ownerReferences") or ()
    mine = [o for o in owners if o.get("kind") == "AuroraCluster" and o.get("name") == desired.name]
    if any(o.get("uid") == desired.uid for o in mine):
        return Stand.OURS if secret.get("type") == wanted.type else Stand.FOREIGN
    return Stand.GOING if mine else Stand.FOREIGN


def manifest(desired: Desired, wanted: Content) -> dict[str, Any]:
    """The Secret as the API server takes it."""
    owner = {
        "apiVersion": meta.API_VERSION,
        "kind": "AuroraCluster",
        "name": desired.name,
        "uid": desired.uid,
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret_name(desired.name),
            "namespace": desired.namespace,
            "labels": {"app.kubernetes.io/managed-by": "penstock"},
            "annotations": {REVISION: revision(wanted.data)},
            "ownerReferences": [owner],
        },
        "type": wanted.type,
        "data": {k: base64.b64encode(v.encode()).decode() for k, v in wanted.data.items()},
    }


def plan(desired: Desired, found: Binding | None) -> tuple[list[Step], list[Refusal]]:
    """Whether the Secret is to be written now, or must not be because it is somebody else's."""
    if found is None:
        return [], []
    name = secret_name(desired.name)
    if found.stand is Stand.FOREIGN:
        sentence = (
            f"Secret {name} of namespace {desired.namespace} was not made for this object and is left as it is: "
            "delete or rename it, and the connection Secret is made in its place."
        )
        return [], [Refusal(Reason.ALREADY_EXISTS, sentence, blocking=False, again=30.0)]
    if found.stand is Stand.GOING or found.current or found.problem is not None or not _may_go_out(found):
        return [], []
    known = desired.status.binding is not None
    drift, told = "", None
    if found.stand is Stand.ABSENT and known:
        drift = f"Connection Secret {name} was deleted; made again."
    elif found.stand is Stand.OURS and found.edited:
        drift = f"Connection Secret {name} was edited ({', '.join(found.changed)}); set back."
    elif found.stand is Stand.ABSENT:
        told = ("Bound", f"Connection Secret {name} is handed out{_how(found)}.")
    else:
        told = ("Bound", f"Connection Secret {name} has another {', '.join(found.changed)}{_how(found)}.")
    summary = f"hand out connection Secret {name}"
    parameters = {"namespace": desired.namespace, "name": name}
    return [Step(KUBERNETES, OPERATION, parameters, summary, facet=FACET, drift=drift, told=told)], []


def condition(desired: Desired, status: Mapping[str, Any], found: Binding | None) -> Condition | None:
    """What is said of the Secret; what was said before while nothing new is known."""
    kind, name = ConditionType.BOUND, secret_name(desired.name)
    known = conditions.find(status, kind)
    before = (
        Condition(
            kind,
            {"True": True, "False": False}.get(known.get("status", "")),
            known["reason"],
            known["message"],
        )
        if known is not None
        else None
    )
    if found is None or desired.absent:
        return None if desired.absent else before
    stays = f" Secret {name} stays as it was." if found.stand is Stand.OURS and not found.current else ""
    if found.stand is Stand.FOREIGN:
        return Condition(kind, False, Reason.ALREADY_EXISTS, plan(desired, found)[1][0].sentence)
    if found.problem is not None:
        return Condition(kind, False, found.problem[0], found.problem[1] + stays)
    proof = found.proof
    if proof is not None and not proof.proven and proof.failures >= PATIENCE and proof.reason not in _ELSEWHERE:
        return Condition(kind, False, proof.reason, proof.sentence + stays)
    if not found.current:
        return before
    if not found.provable:
        sentence = (
            f"Secret {name} holds what AWS tells; no login was tried with it, since the operator speaks no "
            f"{desired.spec.engine.type.value.removeprefix('Aurora')}."
        )
        return Condition(kind, True, Reason.NOT_PROVEN, sentence)
    if proof is None:
        return before
    if proof.proven:
        return Condition(kind, True, Reason.BOUND, f"Secret {name} logs in.")
    if before is not None and before.status is True and before.reason == Reason.BOUND:
        # It logged in when it was handed out; that it cannot be tried at the moment is another matter.
        return before
    if proof.failures < PATIENCE:
        return before
    sentence = f"Secret {name} holds what AWS tells, but no login from here could prove it: {proof.sentence}"
    return Condition(kind, True, Reason.NOT_PROVEN, sentence)


def told(desired: Desired, status: Mapping[str, Any], found: Binding | None) -> dict[str, Any] | None:
    """status.binding: the Secret's name from when it is there (Service Binding specification, "Provisioned Service")."""
    if found is not None and found.stand is Stand.OURS:
        return {"name": secret_name(desired.name)}
    known = status.get("binding")
    return dict(known) if isinstance(known, Mapping) else None


def _may_go_out(found: Binding) -> bool:
    if not found.provable:
        return True
    proof = found.proof
    if proof is None:
        return False
    return proof.proven or (proof.failures >= PATIENCE and proof.reason in _ELSEWHERE)


def _how(found: Binding) -> str:
    return "; it logs in" if found.proof is not None and found.proof.proven else "; no login has proven it"
