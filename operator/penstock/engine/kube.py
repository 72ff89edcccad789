"""Kubernetes requests: raw JSON in and out over the official asyncio client, counted, with errors as one exception type."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from kubernetes.aio import client, config

from penstock import __version__
from penstock.engine import metrics

log = logging.getLogger(__name__)

FIELD_MANAGER = "penstock"


class KubeError(Exception):
    """The API server refused (status 400–599) or could not be reached (status 0). message: the server's own sentence."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Resource:
    """A resource path: group, version and plural; the core group is ''."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [
            base,
            *(("namespaces", namespace) if namespace else ()),
            self.plural,
            *((name,) if name else ()),
            *((subresource,) if subresource else ()),
        ]
        return "/".join(parts)


LEASES = Resource("coordination.k8s.io", "v1", "leases")
EVENTS = Resource("events.k8s.io", "v1", "events")


class Kube:
    """A connection to one API server. Close it with close()."""

    def __init__(self, configuration: client.Configuration) -> None:
        # The client's own retries hide how often a request was sent; the queue retries passes instead.
        configuration.retries = 0
        configuration.connection_pool_maxsize = 64
        self.configuration = configuration
        self._api = client.ApiClient(configuration)
        self._api.user_agent = f"penstock/{__version__}"

    @classmethod
    async def connect(cls) -> Kube:
        """Connect as kubectl would: KUBECONFIG or ~/.kube/config, else the pod's ServiceAccount. Raises KubeError when there is neither."""
        configuration = client.Configuration()
        path = os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")
        try:
            if any(os.path.exists(p) for p in path.split(os.pathsep) if p):
                await config.load_kube_config(config_file=path, client_configuration=configuration)
            else:
                config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise KubeError(
                0, "NoConfiguration", f"no kubeconfig at {path} and not in a pod ({error}); set KUBECONFIG"
            ) from error
        return cls(configuration)

    async def close(self) -> None:
        await self._api.close()

    async def request(  # noqa: PLR0913
        self,
        verb: str,
        resource: Resource,
        namespace: str = "",
        name: str = "",
        *,
        subresource: str = "",
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        seconds: float = 30,
    ) -> dict[str, Any]:
        """Send one request; returns the decoded answer. Raises KubeError. seconds: the bound for the whole request."""
        path = resource.path(namespace, name, subresource)
        label = f"{resource.plural}/{subresource}" if subresource else resource.plural
        code = "0"
        try:
            method, url, headers, sent, _ = await self._api.param_serialize(
                verb,
                path,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = await self._api.call_api(method, url, headers, sent, _request_timeout=seconds)
            data = await answer.read()
            code = str(answer.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise KubeError(
                0, "Unreachable", f"the API server cannot be reached: {error or type(error).__name__}"
            ) from error
        except client.ApiException as error:
            code = str(error.status)
            raise KubeError(int(error.status or 0), str(error.reason), _sentence(error.body)) from error
        finally:
            metrics.KUBE_REQUESTS.labels(verb, label, code).inc()
        if answer.status >= 400:
            raise KubeError(answer.status, str(answer.reason), _sentence(data))
        decoded: dict[str, Any] = orjson.loads(data) if data else {}
        return decoded

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any], *, subresource: str = ""
    ) -> dict[str, Any]:
        """A JSON merge patch (RFC 7386) under the operator's field manager."""
        return await self.request(
            "PATCH",
            resource,
            namespace,
            name,
            subresource=subresource,
            body=patch,
            query={"fieldManager": FIELD_MANAGER},
            content_type="application/merge-patch+json",
        )

    async def wait_until_reachable(self) -> None:
        """Return once the API server answers. Retries for ever, at most every five seconds, and says so."""
        delay = 0.2
        while True:
            try:
                await self.request("GET", Resource("", "v1", "namespaces"), query={"limit": "1"}, seconds=5)
                return
            except KubeError as error:
                # Any answer will do, a refusal too: what may be read is another question.
                if error.status not in (0, 429, 500, 502, 503, 504):
                    return
                log.warning("waiting for the API server: %s", error)
            await asyncio.sleep(delay)
            delay = min(5.0, delay * 2)


def _sentence(body: Any) -> str:
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    try:
        return str(json.loads(body).get("message", body))
    except (TypeError, ValueError, AttributeError):
        return str(body)
