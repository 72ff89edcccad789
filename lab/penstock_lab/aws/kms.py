"""KMS: the lab's own key, and whether DynamoDB may use a key."""

from __future__ import annotations

from typing import Any

import moto.kms.models as models
from moto.core.exceptions import JsonRESTError

from .errors import AwsError, validation

LAB_ALIAS = "alias/lab"


def provide_lab_key(account: str, region: str) -> str:
    """Makes ``alias/lab`` with an enabled customer key, once; gives the key's ARN."""
    return _alias(account, region, LAB_ALIAS, "The lab's customer key")


def aws_managed_key(account: str, region: str) -> str:
    """The ARN of ``alias/aws/dynamodb``, which AWS makes at its first use."""
    return _alias(account, region, "alias/aws/dynamodb", "Default key that protects my DynamoDB data")


def managed_key(account: str, region: str, alias: str) -> str:
    """The ARN of another service's own key, such as ``alias/aws/rds``."""
    service = alias.rpartition("/")[2]
    return _alias(
        account, region, alias, f"Default key that protects my data when no other key is defined for {service}"
    )


def _alias(account: str, region: str, name: str, description: str) -> str:
    backend = models.kms_backends[account][region]
    if not backend.alias_exists(name):
        key = backend.create_key(
            policy="", key_usage="ENCRYPT_DECRYPT", key_spec="SYMMETRIC_DEFAULT", description=description, tags=None
        )
        backend.create_alias(key.id, name)
    return str(backend.describe_key(name).arn)


def _find(account: str, region: str, key_id: str) -> Any:
    if key_id == LAB_ALIAS or key_id.endswith(f":{LAB_ALIAS}"):
        provide_lab_key(account, region)
    try:
        return models.kms_backends[account][region].describe_key(key_id)
    except Exception:
        return None


def usable_key(account: str, region: str, key_id: str) -> str:
    """The ARN of a key that can encrypt a table. Raises AwsError as DynamoDB does for one that cannot.

    DynamoDB answers ValidationException and quotes what KMS told it: NotFoundException, DisabledException, or
    KMSInvalidStateException for a key that is pending deletion ("KMS validation error: …" in public reports).
    """
    key = _find(account, region, key_id)
    if key is None:
        arn = key_id if key_id.startswith("arn:") else f"arn:aws:kms:{region}:{account}:{_path(key_id)}"
        what = "Alias" if ":alias/" in arn else "Key"
        state = "is not found." if what == "Alias" else "does not exist"
        raise _refusal("NotFoundException", f"{what} {arn if what == 'Alias' else repr(arn)} {state}")
    if key.key_state == "PendingDeletion":
        raise _refusal("KMSInvalidStateException", f"{key.arn} is pending deletion.")
    if not key.enabled or key.key_state == "Disabled":
        raise _refusal("DisabledException", f"{key.arn} is disabled.")
    # moto leaves the usage of a key made without one unset, which stands for encryption.
    if key.key_usage not in (None, "ENCRYPT_DECRYPT") or key.key_spec != "SYMMETRIC_DEFAULT":
        raise _refusal("InvalidKeyUsageException", f"{key.arn} key usage is {key.key_usage}.")
    return str(key.arn)


def key_works(account: str, region: str, arn: str) -> bool:
    key = _find(account, region, arn)
    return key is not None and key.enabled and key.key_state == "Enabled"


def _path(key_id: str) -> str:
    return key_id if key_id.startswith("alias/") else f"key/{key_id}"


def _refusal(code: str, message: str) -> AwsError:
    return validation(
        f"KMS validation error: com.amazonaws.services.kms.model.{code}: {message} "
        f"(Service: AWSKMS; Status Code: 400; Error Code: {code})"
    )


def install() -> None:
    """Makes KMS refuse what a disabled key, or one that is pending deletion, is asked to do; moto does it."""
    backend = models.KmsBackend
    for name in ("encrypt", "generate_data_key"):
        setattr(backend, name, _guarded(getattr(backend, name)))
    decrypt = backend.decrypt

    def guarded_decrypt(self: Any, *args: Any, **kwargs: Any) -> Any:
        plaintext, arn = decrypt(self, *args, **kwargs)
        _check_state(self, arn)
        return plaintext, arn

    backend.decrypt = guarded_decrypt


def _guarded(function: Any) -> Any:
    def guarded(self: Any, key_id: str, *args: Any, **kwargs: Any) -> Any:
        _check_state(self, key_id)
        return function(self, key_id, *args, **kwargs)

    return guarded


def _check_state(backend: Any, key_id: str) -> None:
    key = backend.keys.get(backend.any_id_to_key_id(key_id))
    if key is None:
        return
    if key.key_state == "PendingDeletion":
        raise JsonRESTError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
    if key.key_state == "Disabled":
        raise JsonRESTError("DisabledException", f"{key.arn} is disabled.")
