"""The Secrets Manager secret in which RDS keeps a master password that it manages.

Aurora guide, "Password management with Amazon Aurora and AWS Secrets Manager": RDS makes, rotates (every seven days unless
told otherwise) and deletes the secret; users read it, and may not delete or write it.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from typing import Any

import moto.secretsmanager.models as models
from moto.secretsmanager.exceptions import InvalidRequestException

from ..clock import clock
from ..errors import AwsError

OWNER_TAG = "aws:secretsmanager:owningService"
CLUSTER_TAG = "aws:rds:primaryDBClusterArn"
_ROTATION_DAYS = 7
_ROTATIONS: dict[tuple[str, str], Callable[[str], None]] = {}
_UNIQUE = uuid.UUID("6b0c6c9e-0b5e-4f4e-9d5f-5a2f0c1a7b11")


class MasterSecrets:
    """The master secrets of one account and region."""

    def __init__(self, account: str, region: str) -> None:
        install()
        self._account, self._region = account, region
        self._backend = models.secretsmanager_backends[account][region]

    def create(self, cluster_id: str, resource_id: str, username: str, password: str, kms: str | None) -> str:
        """Makes the cluster's secret and gives its ARN; ``kms`` is a key's ARN, None for the key of the service.

        A cluster, told apart by its resource id, has one: asked again it gives the same ARN.
        """
        name = f"rds!cluster-{uuid.uuid5(_UNIQUE, resource_id)}"
        arn = f"arn:aws:rds:{self._region}:{self._account}:cluster:{cluster_id}"
        present = dict.get(self._backend.secrets, name)
        if present is not None:
            return str(present.arn)
        secret, _ = self._backend._add_secret(
            name,
            secret_string=json.dumps({"username": username, "password": password}),
            description=f"Secret associated with primary RDS DB cluster: {arn}",
            tags=[{"Key": CLUSTER_TAG, "Value": arn}, {"Key": OWNER_TAG, "Value": "rds"}],
            kms_key_id=kms,
        )
        secret.rotation_enabled = secret.rotation_requested = True
        secret.auto_rotate_after_days = _ROTATION_DAYS
        self._rotated(secret)
        return str(secret.arn)

    def password(self, arn: str) -> str:
        """The current password. A secret that does not exist raises KeyError."""
        return str(self._current(arn)["password"])

    def rotate(self, arn: str, new_password: str) -> None:
        """Makes a version with the new password AWSCURRENT and the one before it AWSPREVIOUS."""
        secret = self._find(arn)
        value = {**self._current(arn), "password": new_password}
        version = str(uuid.uuid4())
        secret.reset_default_version(
            {
                "createdate": int(clock.now()),
                "version_id": version,
                "version_stages": ["AWSCURRENT"],
                "secret_string": json.dumps(value),
            },
            version,
        )
        # Versions without a stage are deprecated: they are not shown, and Secrets Manager drops them in its own time.
        for old in [key for key, kept in secret.versions.items() if not kept["version_stages"]]:
            del secret.versions[old]
        self._rotated(secret)

    def delete(self, arn: str) -> None:
        """Deletes the secret at once, as RDS does; one that is gone already is no error."""
        secret = next((s for s in dict.values(self._backend.secrets) if s.arn == arn), None)
        if secret is not None:
            dict.pop(self._backend.secrets, secret.name)

    def _find(self, arn: str) -> Any:
        secret = next((s for s in dict.values(self._backend.secrets) if s.arn == arn), None)
        if secret is None:
            raise KeyError(arn)
        return secret

    def _current(self, arn: str) -> dict[str, str]:
        secret = self._find(arn)
        value: dict[str, str] = json.loads(secret.versions[secret.default_version_id]["secret_string"])
        return value

    @staticmethod
    def _rotated(secret: Any) -> None:
        secret.last_changed_date = secret.last_rotation_date = int(clock.now())
        secret.next_rotation_date = int(clock.now()) + _ROTATION_DAYS * 86400


@functools.cache
def install() -> None:
    """Makes Secrets Manager refuse users' writes to secrets that another service owns; moto lets them."""
    backend = models.SecretsManagerBackend
    for name in ("delete_secret", "put_secret_value", "update_secret"):
        setattr(backend, name, _guarded(getattr(backend, name)))
    backend.rotate_secret = _by_its_owner(backend.rotate_secret)


def rotated_by(account: str, region: str, rotate: Callable[[str], None]) -> None:
    """Has RDS do what RotateSecret asks for of a secret that it manages, as on AWS; rotate(arn) raises AwsError."""
    _ROTATIONS[account, region] = rotate


def _owned(backend: Any, secret_id: str) -> Any:
    """The secret, when another service owns it; else None."""
    secret = backend.secrets.get(secret_id) if secret_id in backend.secrets else None
    return secret if secret is not None and secret.owning_service else None


def _by_its_owner(function: Any) -> Any:
    @functools.wraps(function)
    def rotate_secret(self: Any, secret_id: str, *args: Any, **kwargs: Any) -> Any:
        secret = _owned(self, secret_id)
        rotate = _ROTATIONS.get((self.account_id, self.region_name))
        if secret is None or rotate is None:
            return function(self, secret_id, *args, **kwargs)
        try:
            rotate(str(secret.arn))
        except AwsError as error:
            raise InvalidRequestException(error.message) from error
        return secret.to_short_dict()

    return rotate_secret


def _guarded(function: Any) -> Any:
    @functools.wraps(function)
    def guarded(self: Any, secret_id: str, *args: Any, **kwargs: Any) -> Any:
        secret = _owned(self, secret_id)
        if secret is not None:
            raise InvalidRequestException(
                f"You can't modify or delete the secret {secret.name}: it is managed by {secret.owning_service}. "
                "Use that service to change it."
            )
        return function(self, secret_id, *args, **kwargs)

    return guarded
