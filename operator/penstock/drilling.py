"""What drills need of clusters, put together from the parts that have it: the one place that knows both kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock.api.conditions import Reason
from penstock.aurora.credentials import CredentialReader, Credentials
from penstock.aurora.kind import RESOURCE, AuroraClusters
from penstock.drill.subject import Subject
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Invalid, Key, Object
from penstock.engine.kube import Kube, KubeError
from penstock.postgres.login import Login


class DrilledClusters:
    """Clusters for drills (penstock.drill.clusters). stored: an object as the watch last told it. kube: None where there is no cluster to ask for
    what is not stored. ca_file: as in Login."""

    def __init__(
        self,
        stored: Callable[[Key], Object | None],
        clusters: AuroraClusters,
        credentials: CredentialReader,
        kube: Kube | None,
        ca_file: str = "",
    ) -> None:
        self._stored = stored
        self._kube = kube
        self._clusters = clusters
        self._credentials = credentials
        self._ca_file = ca_file
        self._given: dict[str, Credentials] = {}

    async def subject(self, key: Key, *, newer: bool = False) -> Subject | None:
        obj = self._stored(key) or await self._asked(key)
        if obj is None:
            return None
        try:
            desired = self._clusters.desired(obj)
        except Invalid as invalid:
            return Subject(key.name, obj, problem=str(invalid))
        now = asyncio.get_running_loop().time()
        view = await self._clusters.inventory.view(
            desired.region, desired.identifier, clusters_newer_than=now if newer else None
        )
        cluster = view.cluster
        known = desired.status.resource_id
        if cluster is not None and known and cluster.resource_id and cluster.resource_id != known:
            # Somebody else's of the same name.
            cluster = None
        return Subject(key.name, obj, desired.region, desired.identifier, cluster, view.instances, view.events)

    async def _asked(self, key: Key) -> Object | None:
        """From the API server itself: just after the start the watch has not told of everything, and a cluster that is gone takes its runs along."""
        if self._kube is None:
            return None
        try:
            found = await self._kube.request("GET", RESOURCE, key.namespace, key.name)
        except KubeError as error:
            if error.status == 404:
                return None
            sentence = f"AuroraCluster {key.name} cannot be read: {error}."
            raise Trouble(Meaning.UNAVAILABLE, Reason.UNAVAILABLE, sentence, operation="Get") from error
        return {"apiVersion": f"{RESOURCE.group}/{RESOURCE.version}", "kind": key.kind, **found}

    async def login(self, subject: Subject) -> Login:
        assert subject.cluster is not None
        cluster = subject.cluster
        desired = self._clusters.desired(dict(subject.obj))
        found = self._given[subject.uid] = await self._credentials.read(desired, cluster)
        port = cluster.port or desired.spec.engine.default_port
        return Login(cluster.endpoint, port, found.username, found.password, ca_file=self._ca_file)

    async def doubt(self, subject: Subject) -> None:
        if subject.uid in self._given:
            self._credentials.doubt(self._given[subject.uid])

    def hurry(self, subject: Subject, seconds: float) -> None:
        self._clusters.inventory.hurry(subject.region, subject.identifier, seconds)
