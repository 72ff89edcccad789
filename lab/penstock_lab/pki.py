"""A lab's own certificate authority, its certificates and kubeconfigs.

Client certificates carry the user as common name and the groups as organizations, as Kubernetes reads them
(kubernetes.io/docs/reference/access-authn-authz/authentication, "X509 client certificates").
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEAR = dt.timedelta(days=365)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    cert: Path
    key: Path


def _write_secret(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_key(path: Path) -> None:
    """An EC P-256 key, what the API server signs ServiceAccount tokens with (ES256), and its public half beside it (`.pub`)."""
    key = ec.generate_private_key(ec.SECP256R1())
    _write_secret(path, _pem(key))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)


class Authority:
    """The certificate authority in `folder`, made at first use. Everything it signs is valid for a year."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cert = folder / "ca.crt"
        key_file = folder / "ca.key"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.cert.exists() and key_file.exists():
            self._cert = x509.load_pem_x509_certificate(self.cert.read_bytes())
            loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
            assert isinstance(loaded, ec.EllipticCurvePrivateKey)
            self._key = loaded
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "penstock-lab")])
        self._cert = self._sign(
            self._builder(name, name, self._key.public_key()).add_extension(
                x509.BasicConstraints(True, 0), critical=True
            )
        )
        _write_secret(key_file, _pem(self._key))
        self.cert.write_bytes(self._cert.public_bytes(serialization.Encoding.PEM))

    @staticmethod
    def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + _YEAR)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())

    def issue(
        self, file: str, user: str, groups: Sequence[str] = (), ips: Sequence[str] = (), names: Sequence[str] = ()
    ) -> Pair:
        """A certificate for a client, and for a server too when it has addresses or names; one that exists is kept."""
        pair = Pair(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        if pair.cert.exists() and pair.key.exists():
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
                x509.NameAttribute(NameOID.COMMON_NAME, user),
            ]
        )
        builder = self._builder(subject, self._cert.subject, key.public_key())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if ips or names:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            alternatives: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
            alternatives += [x509.DNSName(name) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        cert = self._sign(builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False))
        _write_secret(pair.key, _pem(key))
        pair.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        return pair


def kubeconfig(path: Path, name: str, server: str, ca: Path, user: dict[str, Any], namespace: str = "default") -> None:
    """Write a kubeconfig with one context, `name` (JSON, which every YAML reader takes); the CA is embedded."""
    _write_secret(
        path,
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": _encoded(ca)}}],
                "users": [{"name": name, "user": user}],
                "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
                "current-context": name,
            },
            indent=2,
        ).encode(),
    )


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def client(pair: Pair) -> dict[str, Any]:
    """The `user` of a kubeconfig that logs in with a certificate."""
    return {"client-certificate-data": _encoded(pair.cert), "client-key-data": _encoded(pair.key)}
