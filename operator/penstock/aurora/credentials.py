"""The master user's name and password as they are in force: from Secrets Manager where AWS keeps them, else from the Secret that the spec names.

A password is in no sentence, no log and no repr.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from penstock.api.conditions import Reason
from penstock.aurora import password
from penstock.aurora.state import Desired
from penstock.aws.account import Account
from penstock.aws.rds import Cluster, MasterSecret
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kube import Kube, KubeError
from penstock.engine.queue import Priority

CHECKED = 60.0
"""Seconds for which the version of a secret in Secrets Manager is taken to be the current one. RDS rotates every seven days; whatever fails to log in
with a password says so with doubt(), and then it is looked at sooner."""

# Seconds for which a Secret of Kubernetes is taken as it was read, and between two looks at what is doubted.
_FRESH = 7.0
_DOUBTED = 5.0


@dataclass(frozen=True)
class Credentials:
    """version: another one after each rotation. source: where the password stands, as words for a sentence."""

    username: str
    password: str = field(repr=False)
    version: str
    source: str


@dataclass
class _Known:
    credentials: Credentials | None = None
    checked: float = float("-inf")
    doubted: bool = False
    guard: asyncio.Lock = field(default_factory=asyncio.Lock)

    def holds(self, now: float, seconds: float) -> bool:
        return self.credentials is not None and now - self.checked < (_DOUBTED if self.doubted else seconds)

    def take(self, credentials: Credentials, now: float) -> Credentials:
        self.credentials, self.checked, self.doubted = credentials, now, False
        return credentials


class CredentialReader:
    """Reads master credentials for whoever connects. kube: None without a cluster; then only what AWS keeps can be read."""

    def __init__(self, account: Account, kube: Kube | None) -> None:
        self._account = account
        self._kube = kube
        self._known: dict[tuple[str, ...], _Known] = {}

    async def read(self, desired: Desired, cluster: Cluster, *, fresh: bool = False) -> Credentials:
        """What logs in now, as far as is known. fresh: look for a newer version whatever is known.

        Raises Trouble, whose sentence says what keeps the password from being known.
        """
        secret, reference = cluster.master_secret, desired.spec.password_secret
        if secret is not None:
            return await self._managed(desired, cluster, secret, 0.0 if fresh else CHECKED)
        if reference is not None:
            return await self._referenced(desired, cluster, 0.0 if fresh else _FRESH)
        sentence = (
            f"The password of cluster {cluster.identifier} is not known: AWS does not manage it, and the spec names no Secret. "
            "Write credentials.managed: true (AWS then makes another password), or credentials.passwordSecretRef."
        )
        raise Trouble(Meaning.INVALID, Reason.PASSWORD_UNKNOWN, sentence)

    def doubt(self, credentials: Credentials) -> None:
        """These credentials did not log in: the next read looks whether there are newer ones, at most every five seconds."""
        for known in self._known.values():
            if known.credentials == credentials:
                known.doubted = True

    def forget(self, namespace: str, name: str) -> None:
        """Drop what was read for an object that is gone."""
        for key in [key for key in self._known if key[:2] == (namespace, name)]:
            del self._known[key]

    async def _managed(self, desired: Desired, cluster: Cluster, secret: MasterSecret, seconds: float) -> Credentials:
        known = self._known.setdefault((desired.namespace, desired.name, secret.arn), _Known())
        async with known.guard:
            now = asyncio.get_running_loop().time()
            if known.credentials is not None and known.holds(now, seconds):
                return known.credentials
            if known.credentials is not None and known.credentials.version == await self._current(desired, secret):
                return known.take(known.credentials, now)
            answer = await self._ask(desired, "GetSecretValue", secret)
            return known.take(_parsed(answer, cluster, secret), now)

    async def _current(self, desired: Desired, secret: MasterSecret) -> str:
        """The version that is current, without the password passing over the network once more."""
        answer = await self._ask(desired, "DescribeSecret", secret)
        versions = answer.get("VersionIdsToStages") or {}
        return next((str(v) for v, stages in versions.items() if "AWSCURRENT" in stages), "")

    async def _ask(self, desired: Desired, operation: str, secret: MasterSecret) -> dict[str, Any]:
        request = {"SecretId": secret.arn}
        try:
            return await self._account.call(
                "secretsmanager", operation, request, region=desired.region, priority=Priority.NORMAL
            )
        except Trouble as trouble:
            if trouble.meaning is not Meaning.MISSING:
                raise
            sentence = (
                f"Secret {secret.arn} with the password of cluster {desired.identifier} is not in Secrets Manager: restore it,"
                " or write credentials.passwordSecretRef."
            )
            raise Trouble(
                Meaning.MISSING, Reason.PASSWORD_UNKNOWN, sentence, code=trouble.code, operation=operation
            ) from trouble

    async def _referenced(self, desired: Desired, cluster: Cluster, seconds: float) -> Credentials:
        reference = desired.spec.password_secret
        assert reference is not None
        if self._kube is None:
            sentence = f"Secret {reference.name} cannot be read without a Kubernetes cluster."
            raise Trouble(Meaning.MISSING, Reason.WAITING_FOR_SECRET, sentence)
        known = self._known.setdefault((desired.namespace, desired.name, reference.name, reference.key), _Known())
        async with known.guard:
            now = asyncio.get_running_loop().time()
            if known.credentials is not None and known.holds(now, seconds):
                return known.credentials
            try:
                version, content, problem = await password.fetch(self._kube, desired.namespace, reference)
            except KubeError as error:
                sentence = f"Secret {reference.name} cannot be read: {error}."
                raise Trouble(Meaning.UNAVAILABLE, Reason.UNAVAILABLE, sentence) from error
            if content is None:
                reason = Reason.SECRET_INVALID if version else Reason.WAITING_FOR_SECRET
                raise Trouble(Meaning.MISSING, reason, problem)
            username = cluster.master_username or desired.spec.master_username
            source = f"Secret {reference.name}, key {reference.key}"
            return known.take(Credentials(username, content, version, source), now)


def _parsed(answer: dict[str, Any], cluster: Cluster, secret: MasterSecret) -> Credentials:
    """RDS writes JSON with username and password (Aurora guide, "Password management with Amazon Aurora and AWS Secrets Manager")."""
    try:
        content = json.loads(answer["SecretString"])
        username, found = str(content.get("username") or cluster.master_username), str(content["password"])
    except (KeyError, TypeError, ValueError, AttributeError):
        # Whatever it holds may be a password: nothing of it is repeated, not even as a cause.
        sentence = f"Secret {secret.arn} in Secrets Manager does not hold JSON with username and password, as RDS writes it; have RDS rotate it."
        raise Trouble(Meaning.INVALID, Reason.SECRET_INVALID, sentence, operation="GetSecretValue") from None
    return Credentials(username, found, str(answer.get("VersionId", "")), f"secret {secret.arn} in Secrets Manager")
