"""Objects of ours from the API server, as these commands read them."""

from __future__ import annotations

from penstock.api import meta
from penstock.engine.kind import Object
from penstock.engine.kube import Kube, KubeError, Resource

CLUSTERS = Resource(meta.GROUP, meta.VERSION, "auroraclusters")
DRILLS = Resource(meta.GROUP, meta.VERSION, "failoverdrills")


async def listed(kube: Kube, resource: Resource, namespace: str = "", selector: str = "") -> list[Object]:
    """All objects of a resource, out of the API server's cache. namespace: '' for all. selector: as kubectl -l takes it. Raises KubeError."""
    query = {"resourceVersion": "0", **({"labelSelector": selector} if selector else {})}
    try:
        answer = await kube.request("GET", resource, namespace, query=query)
    except KubeError as error:
        if error.status == 404:
            raise _not_served(resource) from error
        raise
    return list(answer.get("items") or ())


async def one(kube: Kube, resource: Resource, namespace: str, name: str) -> Object:
    """One object. Raises KubeError, whose sentence says what there is instead."""
    try:
        return await kube.request("GET", resource, namespace, name)
    except KubeError as error:
        if error.status != 404:
            raise
        names = sorted(o["metadata"]["name"] for o in await listed(kube, resource, namespace))
        there = f"there are {', '.join(names[:8])}" if names else "there is none"
        raise KubeError(
            404, "NotFound", f"no {resource.plural[:-1]} {name} in namespace {namespace}; {there}"
        ) from error


def _not_served(resource: Resource) -> KubeError:
    how = "install the CRDs with `penstock crds | kubectl apply --server-side -f -`"
    return KubeError(404, "NotFound", f"the cluster knows no {resource.plural}: {how}")
