"""The connection Secret's I/O: what stands in Kubernetes, what it should be, whether that logs in, and the write. binding.py decides."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Mapping
from typing import Any

from penstock.api.auroracluster import EngineType
from penstock.api.conditions import Reason
from penstock.aurora import binding
from penstock.aurora.binding import Content
from penstock.aurora.credentials import CredentialReader, Credentials
from penstock.aurora.inventory import Inventory
from penstock.aurora.memory import MISSING, Memory
from penstock.aurora.ownership import Claim, claim
from penstock.aurora.password import SECRETS
from penstock.aurora.proving import Prover
from penstock.aurora.state import Binding, Desired, Observed, Stand
from penstock.aws.rds import PASSWORD_RESET, Cluster
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Look
from penstock.engine.kube import FIELD_MANAGER, Kube, KubeError
from penstock.engine.plan import Step
from penstock.postgres.authorities import authorities
from penstock.postgres.login import Login

log = logging.getLogger(__name__)

# Seconds for which a Secret that was read is taken as it was; whoever edits it waits for the next look after that.
READ_EVERY = 30.0
# Seconds after which a Secret that the API server refused is written again.
_REFUSED = 30.0
_FACET = "binding secret"
_PASSING = (Meaning.THROTTLED, Meaning.UNAVAILABLE, Meaning.BUSY, Meaning.UNKNOWN)


class Binder:
    """Keeps connection Secrets. database_ca: the PEM file of the authorities that sign the databases' certificates, '' for the system's."""

    def __init__(
        self, kube: Kube, inventory: Inventory, credentials: CredentialReader, prover: Prover, database_ca: str
    ) -> None:
        self._kube = kube
        self._inventory = inventory
        self._credentials = credentials
        self._prover = prover
        self._database_ca = database_ca

    async def look(self, desired: Desired, observed: Observed, memory: Memory, look: Look) -> Binding | None:
        """None while nothing can be said or done: no cluster of ours, none that serves, or a password that AWS is still to be given."""
        cluster = observed.cluster
        if cluster is None or desired.absent or claim(desired, observed) is not Claim.OURS:
            return None
        reset = max(
            (e.time for e in self._inventory.events(desired.region, cluster.identifier) if e.id == PASSWORD_RESET),
            default=None,
        )
        if _changing(cluster) or reset != memory.handout_reset:
            memory.handout_doubted, memory.handout_reset = True, reset
        if not binding.serves(cluster, observed.instances) or (observed.password and not observed.password.same):
            return None
        fresh = look.fresh or memory.handout_doubted
        try:
            credentials = await self._credentials.read(desired, cluster, fresh=fresh)
        except Trouble as trouble:
            if trouble.meaning in _PASSING:
                return None
            return Binding(_known_stand(desired), problem=(trouble.reason, trouble.sentence), again=_REFUSED)
        memory.handout_doubted = _changing(cluster)
        wanted = self._content(desired, cluster, credentials)
        memory.handout = wanted
        secret = await self._read(desired, memory, fresh=look.fresh)
        if isinstance(secret, Binding):
            return secret
        found = binding.stand(desired, secret, wanted)
        stands = _data(secret)
        changed = binding.changed(wanted, stands)
        noted = ((secret or {}).get("metadata") or {}).get("annotations") or {}
        edited = found is Stand.OURS and noted.get(binding.REVISION) != binding.revision(stands)
        postgres = desired.spec.engine.type is EngineType.POSTGRESQL
        proof, again = None, None
        if postgres and found in (Stand.OURS, Stand.ABSENT):
            login = self._login(desired, cluster, credentials)
            proof, again = self._prover.proof((desired.namespace, desired.name), login, anew=look.fresh)
            if proof is not None and proof.reason == Reason.LOGIN_FAILED:
                self._credentials.doubt(credentials)
        problem, until = memory.handout_refused or (None, 0.0)
        if asyncio.get_running_loop().time() >= until:
            problem = memory.handout_refused = None
        if found is Stand.GOING:
            again = 3.0
        return Binding(found, changed, edited, proof, postgres, problem, again if problem is None else _REFUSED)

    async def act(self, desired: Desired, memory: Memory, step: Step) -> str | None:
        """Write the Secret as it was last wanted. None when it was not as it was seen, or the API server refuses it: both show at the next look."""
        wanted, known = memory.handout, memory.get(_FACET)
        if not isinstance(wanted, Content):
            return None
        secret: Mapping[str, Any] | None = None if known is MISSING else known.object
        memory.drop(_FACET)
        body = binding.manifest(desired, wanted)
        try:
            if secret is None:
                query = {"fieldManager": FIELD_MANAGER}
                written = await self._kube.request("POST", SECRETS, desired.namespace, body=body, query=query)
            else:
                name = str(step.parameters["name"])
                written = await self._kube.merge_patch(SECRETS, desired.namespace, name, _patch(secret, body))
        except KubeError as error:
            if error.status in (404, 409):
                await self._read(desired, memory, fresh=True)
                return None
            if not 400 <= error.status < 500 or error.status == 429:
                raise
            reason = Reason.ACCESS_DENIED if error.status == 403 else Reason.REFUSED
            sentence = f"The API server does not take connection Secret {body['metadata']['name']}: {error.message}"
            memory.handout_refused = ((reason, sentence), asyncio.get_running_loop().time() + _REFUSED)
            log.warning("%s", sentence)
            return None
        memory.put(_FACET, _Read(written), asyncio.get_running_loop().time())
        return str((written.get("metadata") or {}).get("resourceVersion", ""))

    def forget(self, namespace: str, name: str) -> None:
        """Drop what is known of an object that is gone."""
        self._prover.forget((namespace, name))
        self._credentials.forget(namespace, name)

    def _content(self, desired: Desired, cluster: Cluster, credentials: Credentials) -> Content:
        signed_by = authorities(self._database_ca, desired.region) if self._database_ca else ""
        return binding.content(desired, cluster, credentials.username, credentials.password, signed_by)

    def _login(self, desired: Desired, cluster: Cluster, credentials: Credentials) -> Login:
        return Login(
            cluster.endpoint,
            cluster.port or 0,
            credentials.username,
            credentials.password,
            binding.database(desired, cluster),
            self._database_ca,
        )

    async def _read(self, desired: Desired, memory: Memory, *, fresh: bool) -> Mapping[str, Any] | Binding | None:
        """The Secret that stands there, None for none; a Binding that says why it cannot be read."""
        now = asyncio.get_running_loop().time()
        known = memory.get(_FACET)
        if known is not MISSING and not fresh and memory.age(_FACET, now) < READ_EVERY:
            found: Mapping[str, Any] | None = known.object
            return found
        if known is MISSING and not fresh and desired.status.binding is None:
            # A first one is made without a look: the API server refuses it where there is one of that name.
            return None
        name = binding.secret_name(desired.name)
        try:
            secret: Mapping[str, Any] | None = await self._kube.request("GET", SECRETS, desired.namespace, name)
        except KubeError as error:
            if error.status == 403:
                sentence = (
                    f"The operator may not read Secret {name} of namespace {desired.namespace}: "
                    "allow its ServiceAccount to get, create and patch secrets there."
                )
                return Binding(_known_stand(desired), problem=(Reason.ACCESS_DENIED, sentence), again=_REFUSED)
            if error.status != 404:
                raise
            secret = None
        memory.put(_FACET, _Read(secret), now)
        return secret


class _Read:
    """A Secret as it was read; it must not be shown by accident."""

    def __init__(self, secret: Mapping[str, Any] | None) -> None:
        self.object = secret


def _changing(cluster: Cluster) -> bool:
    """Whether AWS is about to have another password: what is known of it holds no longer than that lasts."""
    secret = cluster.master_secret
    rotating = secret is not None and secret.status not in ("", "active", "impaired")
    return cluster.status == "resetting-master-credentials" or rotating


def _known_stand(desired: Desired) -> Stand:
    return Stand.OURS if desired.status.binding is not None else Stand.ABSENT


def _data(secret: Mapping[str, Any] | None) -> dict[str, str]:
    found = {}
    for key, value in ((secret or {}).get("data") or {}).items():
        try:
            found[str(key)] = base64.b64decode(value or "", validate=True).decode()
        except (binascii.Error, ValueError):
            # Whatever it is, it is not ours.
            found[str(key)] = "\0"
    return found


def _patch(secret: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """What turns the Secret into the wanted one, and does nothing to a later version of it."""
    wanted, metadata = body["data"], body["metadata"]
    return {
        "metadata": {
            "resourceVersion": secret["metadata"]["resourceVersion"],
            "labels": metadata["labels"],
            "annotations": metadata["annotations"],
        },
        "data": {**{k: None for k in secret.get("data") or {} if k not in wanted}, **wanted},
    }
