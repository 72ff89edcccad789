"""Refusals that several operations share. Codes and statuses are those of botocore's service model."""

from __future__ import annotations

import functools

import botocore.session

from ..errors import AwsError


@functools.cache
def _declared() -> dict[str, tuple[str, int]]:
    model = botocore.session.get_session().get_service_model("rds")
    known: dict[str, tuple[str, int]] = {}
    for name in model.operation_names:
        for shape in model.operation_model(name).error_shapes:
            error = shape.metadata.get("error", {})
            known[shape.name] = (error.get("code", shape.name), error.get("httpStatusCode", 400))
    return known


def fault(shape: str, message: str) -> AwsError:
    """The error of that shape (``DBInstanceNotFoundFault``), with its code on the wire and its HTTP status."""
    code, status = _declared()[shape]
    return AwsError(code, message, status)


def bad_value(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)


def bad_combination(message: str) -> AwsError:
    return AwsError("InvalidParameterCombination", message)


def no_cluster(identifier: str) -> AwsError:
    return fault("DBClusterNotFoundFault", f"DBCluster {identifier} not found.")


def no_instance(identifier: str) -> AwsError:
    return fault("DBInstanceNotFoundFault", f"DBInstance {identifier} not found.")


def cluster_state(message: str) -> AwsError:
    return fault("InvalidDBClusterStateFault", message)


def instance_state(message: str) -> AwsError:
    return fault("InvalidDBInstanceStateFault", message)
