"""The authorities that sign a region's databases, out of a bundle for all regions."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from typing import Any

# Every connection Secret gets a copy; etcd takes a megabyte an object, and RDS's bundle for all regions has 165 kB.
_LARGEST = 32_768


def authorities(file: str, region: str) -> str:
    """PEM text of those certificates in the file that are the region's; all of them when none names it.

    '' when these are more than a Secret should carry, or the file cannot be read at the moment. RDS's authorities are called
    "Amazon RDS us-east-1 Root CA RSA2048 G1" (RDS guide, "Using SSL/TLS to encrypt a connection to a DB instance").
    """
    path = Path(file)
    try:
        seen = path.stat()
        return _of_region(file, region, seen.st_mtime_ns, seen.st_size)
    except (OSError, ssl.SSLError):
        return ""


@lru_cache(maxsize=64)
def _of_region(file: str, region: str, _changed: int, _size: int) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=file)
    both = zip(context.get_ca_certs(), context.get_ca_certs(binary_form=True), strict=True)
    named = [(_common_name(told), der) for told, der in both]
    own = [der for name, der in named if region in name.split()] or [der for _, der in named]
    text = "".join(ssl.DER_cert_to_PEM_cert(der) for der in own)
    return text if len(text) <= _LARGEST else ""


def _common_name(told: dict[str, Any]) -> str:
    return next((value for part in told.get("subject", ()) for key, value in part if key == "commonName"), "")
