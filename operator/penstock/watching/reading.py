"""Objects of ours from the API server, as these commands read them."""

from __future__ import annotations

from penstock.api import meta
from penstock.engine.kind import Object
from penstock.engine.kube import Kube, KubeError, Resource

CLUSTERS = Resource(meta.GROUP, meta.VERSION, "auroraclusters")
DRILLS = Resource(meta.GROUP, meta.VERSION, "failoverdrills")


async def one(kube: Kube, resource: Resource, namespace: str, name: str) -> Object:
    """One object. Raises KubeError, whose sentence says what there is instead."""
    try:
        return await kube.request("GET", resource, namespace, name)
    except KubeError as error:
        if error.status != 404:
            raise
        names = sorted(o["metadata"]["name"] for o in await kube.list_all(resource, namespace))
        there = f"there are {', '.join(names[:8])}" if names else "there is none"
        raise KubeError(
            404, "NotFound", f"no {resource.plural[:-1]} {name} in namespace {namespace}; {there}"
        ) from error
