"""Kubernetes requests: raw JSON in and out over the official asyncio client, counted, with errors as one exception type."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import yaml
from kubernetes.aio import client, config

from penstock import __version__
from penstock.engine import metrics

log = logging.getLogger(__name__)

FIELD_MANAGER = "penstock"
Login = Callable[[client.Configuration], Awaitable[None]]
_SCHEME = re.compile(r"bearer\s+", re.IGNORECASE)
# Objects a page, and the most pages of a list: what is longer goes round in circles.
_PAGE, _PAGES = 250, 4000
# How often a list is begun anew whose versions the API server has dropped meanwhile (410, after five minutes).
_BEGINNINGS = 3


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
        return "/".join(part for part in parts if part)


@dataclass(frozen=True)
class Page:
    """A page of a list. version: the resourceVersion of the whole list, the same on all of its pages."""

    items: list[dict[str, Any]]
    version: int


LEASES = Resource("coordination.k8s.io", "v1", "leases")
EVENTS = Resource("events.k8s.io", "v1", "events")


class Kube:
    """A connection to one API server. Close it with close(). before_write: called before each write but those of Leases; may end the process."""

    def __init__(self, configuration: client.Configuration, login: Login) -> None:
        """login: fills a configuration as this one was filled, with what is valid now."""
        self._configuration = configuration
        self._login = login
        self.before_write: Callable[[], None] = lambda: None
        self._api = client.ApiClient(configuration)
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    async def connect(cls) -> Kube:
        """Connect as kubectl would: KUBECONFIG or ~/.kube/config, else the pod's ServiceAccount. Raises KubeError when none can be read."""
        path = os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")

        async def login(configuration: client.Configuration) -> None:
            if any(os.path.exists(p) for p in path.split(os.pathsep) if p):
                await config.load_kube_config(config_file=path, client_configuration=configuration)
            else:
                config.load_incluster_config(client_configuration=configuration)

        configuration = client.Configuration()
        try:
            await login(configuration)
        except config.ConfigException as error:
            raise KubeError(
                0, "NoConfiguration", f"no kubeconfig at {path} and not in a pod ({error}); set KUBECONFIG"
            ) from error
        except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
            raise KubeError(
                0,
                "NoConfiguration",
                f"the kubeconfig at {path} cannot be read ({' '.join(str(error).split())}); set KUBECONFIG to one that kubectl takes",
            ) from error
        return cls(configuration, login)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._configuration.host)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
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
        if verb != "GET" and resource != LEASES:
            self.before_write()
        try:
            async with self._connected().request(
                verb,
                self.server + path,
                params=query,
                data=None if body is None else orjson.dumps(body),
                headers={"Content-Type": content_type},
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as answer:
                data = await answer.read()
                code = str(answer.status)
                if answer.status >= 400:
                    raise KubeError(answer.status, str(answer.reason), _sentence(data))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise KubeError(
                0, "Unreachable", f"the API server cannot be reached: {error or type(error).__name__}"
            ) from error
        finally:
            metrics.KUBE_REQUESTS.labels(verb, label, code).inc()
        decoded: dict[str, Any] = orjson.loads(data) if data else {}
        return decoded

    async def pages(self, resource: Resource, namespace: str = "", *, selector: str = "") -> AsyncIterator[Page]:
        """A list, page by page. namespace: '' for all. selector: as kubectl -l takes it. Raises KubeError, 410 when it takes too long.

        A list that ends without an error is complete. Without managedFields, which are most of an object's size and read by nobody here.
        """
        query = {"limit": str(_PAGE), **({"labelSelector": selector} if selector else {})}
        for _ in range(_PAGES):
            try:
                answer = await self.request("GET", resource, namespace, query=query)
            except KubeError as error:
                if error.status == 404:
                    raise _not_served(resource) from error
                raise
            items = list(answer.get("items") or ())
            for item in items:
                item["metadata"].pop("managedFields", None)
            about = answer.get("metadata") or {}
            yield Page(items, version(answer))
            token = about.get("continue")
            if not token:
                return
            if token == query.get("continue"):
                break
            query = {**query, "continue": token}
        raise KubeError(0, "Endless", f"the list of {resource.plural} does not end: its pages repeat")

    async def count(self, resource: Resource, namespace: str = "") -> int | None:
        """How many objects there are, for the price of one; None when the API server does not say. Raises KubeError."""
        answer = await self.request("GET", resource, namespace, query={"limit": "1"})
        about = answer.get("metadata") or {}
        if about.get("continue") and about.get("remainingItemCount") is None:
            return None
        return len(answer.get("items") or ()) + int(about.get("remainingItemCount") or 0)

    async def list_all(self, resource: Resource, namespace: str = "", *, selector: str = "") -> list[dict[str, Any]]:
        """All objects of a list; see pages()."""
        for beginning in range(1, _BEGINNINGS + 1):
            try:
                return [
                    item async for page in self.pages(resource, namespace, selector=selector) for item in page.items
                ]
            except KubeError as error:
                if error.status != 410 or beginning == _BEGINNINGS:
                    raise
        raise AssertionError("the last beginning returns or raises")

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self.session()
        return self._session

    def session(self, *, patient: bool = False) -> aiohttp.ClientSession:
        """A session for the running event loop; whoever asks for it closes it. patient: a 401 is not returned but waited out."""

        async def authenticate(
            request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            delay = 0.2
            while True:
                token = await self._token()
                if token:
                    request.headers["Authorization"] = f"Bearer {token}"
                answer = await send(request)
                if answer.status != 401:
                    return answer
                renewed = await self._log_in_again(token)
                if not renewed and not patient:
                    return answer
                answer.release()
                if not renewed:
                    log.warning("the API server does not accept the login (401); trying again in %.1f s", delay)
                    await asyncio.sleep(delay)
                    delay = min(5.0, delay * 2)

        # The generated client rebuilds and copies each request; with the same connection settings this costs a third of it.
        connector = aiohttp.TCPConnector(limit=0 if patient else 64, ssl=self._api.rest_client.ssl_context)
        return aiohttp.ClientSession(
            connector=connector,
            headers={"Accept": "application/json", "User-Agent": f"penstock/{__version__}"},
            # As trust_env would find it, which looks for a .netrc and the proxy anew with every request.
            proxy=self._configuration.proxy or _proxy(self.server),
            middlewares=(authenticate,),
        )

    async def _token(self) -> str:
        """The bearer token, '' for none; read again whenever the client library says so (every minute in a pod)."""
        value = await self._configuration.get_api_key_with_prefix("BearerToken") or ""
        # The library writes "Bearer" from a kubeconfig and "bearer" in a pod.
        return _SCHEME.sub("", value).strip()

    async def _log_in_again(self, refused: str) -> bool:
        """Read the login anew. Whether it differs from the token that was refused: a pod's is renewed every hour, others can be revoked."""
        fresh = client.Configuration()
        try:
            await self._login(fresh)
        except (config.ConfigException, OSError, TypeError, ValueError, yaml.YAMLError) as error:
            log.warning("the login for the API server cannot be read again: %s", error)
            return False
        # Somebody may have pointed the kubeconfig at another cluster meanwhile, which is none of this process's.
        if fresh.host == self._configuration.host:
            self._configuration.api_key = fresh.api_key
            self._configuration.refresh_api_key_hook = fresh.refresh_api_key_hook
        return await self._token() != refused

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

    async def wait_until_served(self, resource: Resource) -> None:
        """Return once the API server's discovery names the resource, so once its CRD is installed. Retries for ever, every few seconds, and says so.

        Discovery may be read by everybody who is authenticated (ClusterRole system:discovery), a list in all namespaces may not.
        """
        delay = 0.5
        while True:
            try:
                found = await self.request("GET", Resource(resource.group, resource.version, ""), seconds=5)
                if any(r.get("name") == resource.plural for r in found.get("resources") or ()):
                    return
                reason = f"{resource.group}/{resource.version} is served without it"
            except KubeError as error:
                if error.status == 403:
                    return
                reason = str(error)
            log.warning(
                "waiting for the CRD %s.%s, without which there is nothing to watch (%s); install it with"
                " `penstock crds | kubectl apply --server-side -f -`",
                resource.plural,
                resource.group,
                reason,
            )
            await asyncio.sleep(delay)
            delay = min(5.0, delay * 2)


def version(body: Mapping[str, Any]) -> int:
    """resourceVersions of one resource compare as integers (Kubernetes API concepts, since 1.35; etcd revisions before)."""
    try:
        return int(body["metadata"]["resourceVersion"])
    except (KeyError, ValueError):
        return 0


def _not_served(resource: Resource) -> KubeError:
    how = "install the CRDs with `penstock crds | kubectl apply --server-side -f -`"
    return KubeError(404, "NotFound", f"the cluster knows no {resource.plural}: {how}")


def _proxy(url: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for the URL, as kubectl reads them."""
    address = urllib.parse.urlsplit(url)
    if urllib.request.proxy_bypass(address.netloc):
        return None
    return urllib.request.getproxies_environment().get(address.scheme)


def _sentence(body: Any) -> str:
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    try:
        return str(json.loads(body).get("message", body)).strip()
    except (TypeError, ValueError, AttributeError):
        return str(body).strip()
