"""The master password that a Secret holds: read when it is used, judged before AWS sees it, and never part of a sentence, a plan or a log."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any

from penstock.api.auroracluster import SecretKeyRef
from penstock.aurora.memory import MISSING, Memory
from penstock.aurora.state import Desired, Password
from penstock.engine.kube import Kube, KubeError, Resource

SECRETS = Resource("", "v1", "secrets")

# Seconds for which a Secret that was read is taken as it was.
_FRESH = 7.0
# RDS API reference, CreateDBCluster, MasterUserPassword: 8 to 41 printable ASCII characters except /, " and @; and no space, as RDS answers to one.
_SHORTEST, _LONGEST = 8, 41
_REFUSED = '/"@ '


async def read(kube: Kube | None, desired: Desired, memory: Memory, *, fresh: bool) -> Password | None:
    """What the referenced Secret says; None when none is referenced. The password itself stays in the memory.

    Without a cluster (a plan that is only printed) nothing can be read, and the password counts as given. Raises KubeError when the API server does
    not answer and nothing is known yet.
    """
    reference = desired.spec.password_secret
    if reference is None or desired.absent:
        memory.password = None
        return None
    if kube is None:
        return Password(same=True)
    now = asyncio.get_running_loop().time()
    if fresh or memory.age("password", now) >= _FRESH:
        try:
            found = await fetch(kube, desired.namespace, reference)
        except KubeError:
            if memory.get("password") is MISSING:
                raise
        else:
            version, memory.password, problem = found
            memory.put("password", (version, problem), now)
    version, problem = memory.get("password")
    given = desired.status.credentials.secret_version if desired.status.credentials else None
    if version and version == given and not problem and memory.given is None:
        # A process before this one gave it; another version with the same content is no rotation.
        memory.given = memory.password
    return Password(version, problem, same=memory.password is not None and memory.password == memory.given)


async def fetch(kube: Kube, namespace: str, reference: SecretKeyRef) -> tuple[str, str | None, str]:
    """The Secret's version, the password if AWS takes it, and else why not."""
    try:
        secret = await kube.request("GET", SECRETS, namespace, reference.name)
    except KubeError as error:
        if error.status == 404:
            return "", None, _missing(namespace, reference)
        if error.status == 403:
            return (
                "",
                None,
                f"The operator may not read Secret {reference.name} of namespace {namespace}: allow its ServiceAccount to get secrets there.",
            )
        raise
    metadata = secret.get("metadata") or {}
    version = f"{metadata.get('uid', '')}/{metadata.get('resourceVersion', '')}"
    password, problem = judge(secret.get("data") or {}, reference)
    return version, password, problem


def judge(data: Mapping[str, Any], reference: SecretKeyRef) -> tuple[str | None, str]:
    """The password in a Secret's data, or the sentence that says what to write instead."""
    where = f"Secret {reference.name}"
    if reference.key not in data:
        # Which keys it has is for those who may read it; the sentence is read by whoever may view the cluster.
        return None, f"{where} has no key {reference.key}: add it, or write another credentials.passwordSecretRef.key."
    try:
        content = base64.b64decode(str(data[reference.key] or ""), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None, f"{where}, key {reference.key}: AWS takes printable ASCII characters alone; write such a password."
    if not content:
        return None, f"{where}, key {reference.key} is empty: write a password of 8 to 41 characters."
    if content.rstrip("\r\n") != content:
        return (
            None,
            f"{where}, key {reference.key} ends with a line break, which AWS refuses: write it without one, for example with"
            f" `kubectl create secret generic {reference.name} --from-literal={reference.key}=…`.",
        )
    if not all("!" <= c <= "~" for c in content) or any(c in _REFUSED for c in content):
        return (
            None,
            f'{where}, key {reference.key}: AWS takes printable ASCII characters except "/", \'"\', "@" and spaces; write a password without them.',
        )
    if not _SHORTEST <= len(content) <= _LONGEST:
        return (
            None,
            f"{where}, key {reference.key} has a length that AWS refuses: write a password of 8 to 41 characters.",
        )
    return content, ""


def _missing(namespace: str, reference: SecretKeyRef) -> str:
    return (
        f"Secret {reference.name} does not exist in namespace {namespace}: create it with the master password under key {reference.key}, for example"
        f" with `kubectl -n {namespace} create secret generic {reference.name} --from-literal={reference.key}=…`."
    )
