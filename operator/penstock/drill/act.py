"""Doing: look into the database, reserve the cluster, begin a run, ask AWS for the failover, drop what was left behind. Each is safe to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import psycopg

from penstock.api import meta
from penstock.api.conditions import Reason
from penstock.api.failoverdrill_status import Run
from penstock.aws.account import Account
from penstock.drill import clusters, database, plan
from penstock.drill.clusters import Clusters
from penstock.drill.database import APPLICATION
from penstock.drill.load import LOST
from penstock.drill.state import Desired, Inspection
from penstock.drill.subject import Subject
from penstock.drill.trial import Surroundings, Trial
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Key
from penstock.engine.kube import Kube, KubeError, Resource
from penstock.engine.plan import Step
from penstock.engine.queue import Priority
from penstock.postgres.login import Login, connect, refusal

if TYPE_CHECKING:
    from penstock.drill.kind import Entry

RESOURCE = Resource(meta.GROUP, meta.VERSION, "failoverdrills")
# Seconds for a connection, and for what is asked on it.
_CONNECT = 5.0
_WORK = 20.0
# After a call that met one of these AWS may have begun all the same.
_DOUBTFUL = (Meaning.UNAVAILABLE, Meaning.UNKNOWN)
# A person must mend these; the others pass.
_MENDED = (Reason.LOGIN_FAILED, Reason.TLS_NOT_VERIFIED, Reason.DATABASE_MISSING, Reason.RIGHTS_MISSING)


class Reserve(Protocol):
    """Keeps a cluster for a drill; False when another one has it."""

    def __call__(self, cluster: Key, drill: Key, *, found: dict[Key, str] | None = None) -> bool: ...


class Actor:
    """kube: None where there is no API server to ask for other drills. wake: puts a drill on the queue."""

    def __init__(
        self, account: Account, clusters: Clusters, kube: Kube | None, reserve: Reserve, wake: Callable[[Key], None]
    ) -> None:
        self._account = account
        self._clusters = clusters
        self._kube = kube
        self._reserve = reserve
        self._wake = wake

    async def act(self, key: Key, desired: Desired, entry: Entry, step: Step) -> str | None:
        """As Kind.act. Raises Trouble."""
        match step.operation:
            case plan.INSPECT:
                entry.inspection = (await self._inspect(desired), asyncio.get_running_loop().time())
                return ""
            case plan.RESERVE:
                return "" if await self._alone(key, desired) else None
            case plan.BEGIN:
                return await self._begin(key, desired, entry, step)
            case plan.FAILOVER:
                return await self._fail_over(desired, entry, step)
            case plan.STOP:
                if entry.trial is not None:
                    entry.trial.stop(str(step.parameters["why"]))
                return ""
            case plan.CLEAN:
                await self._clean(desired, str(step.parameters["schema"]))
                entry.cleaned = desired.status.run.uid if desired.status.run else ""
                return ""
        raise AssertionError(step.operation)

    async def _subject(self, desired: Desired) -> Subject:
        found = await self._clusters.subject(cluster_key(desired))
        if found is None or found.cluster is None:
            sentence = f"Cluster {desired.cluster} is not there any more; it is looked for again."
            raise Trouble(Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, sentence)
        return found

    async def _inspect(self, desired: Desired) -> Inspection:
        """Log in, see that a schema may be made, and how far the readers are behind."""
        subject = await self._subject(desired)
        login = await self._clusters.login(subject)
        try:
            async with (
                await connect(login, timeout=_CONNECT, application=APPLICATION) as connection,
                asyncio.timeout(_WORK),
            ):
                if not await database.may_create(connection):
                    raise _no_right(login)
                return Inspection(await database.lag(connection))
        except LOST as error:
            raise await self._trouble(subject, login, error) from error

    async def _trouble(self, subject: Subject, login: Login, error: BaseException) -> Trouble:
        reason, sentence = refusal(error, login)
        if reason is Reason.LOGIN_FAILED:
            await self._clusters.doubt(subject)
        meaning = Meaning.DENIED if reason in _MENDED else Meaning.UNAVAILABLE
        return Trouble(meaning, reason, sentence, operation="Connect")

    async def _alone(self, key: Key, desired: Desired) -> bool:
        """Reserve the cluster, and then ask the API server, which knows drills that no watch has told of yet."""
        if not self._reserve(cluster_key(desired), key):
            return False
        if self._kube is None:
            return True
        try:
            listed = await self._kube.list_all(RESOURCE, desired.namespace)
        except KubeError as error:
            sentence = f"Whether another drill runs on cluster {desired.cluster} cannot be seen: {error}."
            raise Trouble(Meaning.UNAVAILABLE, Reason.UNAVAILABLE, sentence, operation="List") from error
        found = {}
        for item in listed:
            other = Key(key.kind, desired.namespace, str(item["metadata"]["name"]))
            run = (item.get("status") or {}).get("run")
            about = ((item.get("spec") or {}).get("clusterRef") or {}).get("name")
            if other != key and run and about == desired.cluster:
                found[other] = str(run.get("uid", ""))
        return self._reserve(cluster_key(desired), key, found=found)

    async def _begin(self, key: Key, desired: Desired, entry: Entry, step: Step) -> str | None:
        run = Run.model_validate((step.intent or {})["run"])
        subject = await self._subject(desired)

        async def newest() -> Subject | None:
            return await self._clusters.subject(cluster_key(desired), newer=True)

        around = Surroundings(
            subject=newest,
            login=lambda: self._clusters.login(subject),
            doubt=lambda: self._clusters.doubt(subject),
            hurry=lambda seconds: self._clusters.hurry(subject, seconds),
            woken=lambda: self._wake(key),
        )
        entry.trial = Trial(run, desired.spec, plan.schema(run.uid), subject, around)
        entry.trial.start()
        return run.uid

    async def _fail_over(self, desired: Desired, entry: Entry, step: Step) -> str | None:
        trial, subject = entry.trial, await self._subject(desired)
        if trial is None:
            return None
        trial.requesting(subject.writer)
        try:
            answer = await self._account.call(
                "rds", step.operation, step.parameters, region=subject.region, priority=Priority.URGENT
            )
        except Trouble as trouble:
            if trouble.meaning is Meaning.THROTTLED:
                trial.withdrawn()
                raise
            if trouble.meaning in _DOUBTFUL:
                # Asking again could fail over twice.
                trial.requested(doubtful=True)
                return ""
            trial.withdrawn()
            trial.stop(f"AWS refused the failover: {trouble.sentence}")
            return None
        trial.requested()
        self._clusters.hurry(subject, 60.0)
        return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))

    async def _clean(self, desired: Desired, schema: str) -> None:
        subject = await self._subject(desired)
        login = await self._clusters.login(subject)
        try:
            async with (
                await connect(login, timeout=_CONNECT, application=APPLICATION) as connection,
                asyncio.timeout(_WORK),
            ):
                await database.drop(connection, schema)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            sentence = f"The endpoint of cluster {desired.cluster} leads to a reader at the moment; schema {schema} is dropped once it does not."
            raise Trouble(Meaning.UNAVAILABLE, Reason.DATABASE_UNREACHABLE, sentence, operation="Drop") from error
        except LOST as error:
            raise await self._trouble(subject, login, error) from error


def _no_right(login: Login) -> Trouble:
    sentence = (
        f"User {login.username} may not make a schema in database {login.database}, or the endpoint leads to a reader: "
        f"grant create on database {login.database} to {login.username}."
    )
    return Trouble(Meaning.DENIED, Reason.RIGHTS_MISSING, sentence, operation="Inspect")


def cluster_key(desired: Desired) -> Key:
    """The key of the drilled AuroraCluster."""
    return Key(clusters.KIND, desired.namespace, desired.cluster)
