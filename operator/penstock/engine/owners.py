"""The owner tag on AWS resources: which object of which cluster made or took over a resource. `<cluster id>/<namespace>/<kind>/<name>/<uid>`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from penstock.api.meta import OWNER_TAG

# Characters that AWS allows in the value of a tag.
_LONGEST = 256


def owner(cluster: str, kind: str, obj: Mapping[str, Any]) -> str:
    """The value of the owner tag, at most 256 characters as AWS allows for a tag.

    A name that is too long is cut in the middle part; the uid, which decides, stays whole.
    """
    metadata = obj["metadata"]
    uid = metadata["uid"]
    head = f"{cluster}/{metadata['namespace']}/{kind}/{metadata['name']}"
    return f"{head[: _LONGEST - 1 - len(uid)]}/{uid}"


def earlier_self(theirs: str, ours: str) -> bool:
    """The same cluster, namespace, kind and name with another uid: an object that was deleted and made again.

    Of names that were cut to fit it cannot be said; they may be two objects that live side by side.
    """
    return len(ours) < _LONGEST and theirs.rsplit("/", 1)[0] == ours.rsplit("/", 1)[0]


def namespace_mark(owner: str) -> str:
    """What tells in a name which namespace of which cluster made something that takes no tags: sixteen hex digits."""
    cluster, namespace, *_ = owner.rsplit("/", 4)
    return hashlib.sha256(f"{cluster}/{namespace}".encode()).hexdigest()[:16]


def who(theirs: str) -> str:
    """The owner for people."""
    parts = theirs.split("/")
    if len(parts) == 5:
        cluster, namespace, kind, name, _ = parts
        return f"{kind} {namespace}/{name} of cluster {cluster}"
    return f"the owner {theirs!r} (its tag {OWNER_TAG})"


def marked(theirs: str, ours: str, uid: str) -> str:
    """The owner to plan with where the plan is only printed: the tag's, when it names this very object as far as can be known.

    Whoever only prints a plan knows neither the cluster's id nor, without a cluster, the object's uid.
    """
    mine, its = ours.split("/"), theirs.split("/")
    known = bool(uid.strip("0-"))
    return theirs if mine[1:-1] == its[1:-1] and (not known or mine[-1] == its[-1]) else ours
