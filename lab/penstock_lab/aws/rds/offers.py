"""What can be had: engine versions, and the classes and zones that can be ordered with each."""

from __future__ import annotations

from typing import Any

from ..request import Request
from . import catalog, pages
from .refusals import bad_value
from .store import Store

_DESCRIPTIONS = {"aurora-postgresql": "Aurora (PostgreSQL)", "aurora-mysql": "Aurora MySQL"}
_LICENSE = {"aurora-postgresql": "postgresql-license", "aurora-mysql": "general-public-license"}


def describe_db_engine_versions(store: Store, request: Request) -> dict[str, Any]:
    """A version that does not exist is an empty list, as on AWS. A major version names all its minors."""
    spec = request.parameters or {}
    wanted = pages.filters(spec, ("db-parameter-group-family", "engine", "engine-mode", "engine-version", "status"))
    rows = []
    for engine in catalog.ENGINES:
        if spec.get("Engine") not in (None, engine) or engine not in wanted.get("engine", {engine}):
            continue
        for version in catalog.versions(engine):
            if (
                spec.get("EngineVersion") in (None, version.version, version.major)
                and spec.get("DBParameterGroupFamily") in (None, version.family)
                and (not spec.get("DefaultOnly") or version.is_default)
                and version.version in wanted.get("engine-version", {version.version})
                and version.family in wanted.get("db-parameter-group-family", {version.family})
                and "available" in wanted.get("status", {"available"})
                and "provisioned" in wanted.get("engine-mode", {"provisioned"})
            ):
                rows.append(version)
    if spec.get("DefaultOnly") and not spec.get("EngineVersion"):
        newest = {version.engine: version for version in rows}
        rows = list(newest.values())
    shown, marker = pages.page(rows, spec)
    return {"Marker": marker, "DBEngineVersions": [_describe(version) for version in shown]}


def _describe(version: catalog.EngineVersion) -> dict[str, Any]:
    return {
        "Engine": version.engine,
        "MajorEngineVersion": version.major,
        "EngineVersion": version.version,
        "DBParameterGroupFamily": version.family,
        "DBEngineDescription": _DESCRIPTIONS[version.engine],
        "DBEngineVersionDescription": version.description,
        "ValidUpgradeTarget": [
            {
                "Engine": version.engine,
                "EngineVersion": target.version,
                "Description": catalog_description(version.engine, target.version),
                "AutoUpgrade": target.auto,
                "IsMajorVersionUpgrade": target.major,
                "SupportedEngineModes": ["provisioned"],
                "SupportsParallelQuery": False,
                "SupportsGlobalDatabases": True,
                "SupportsBabelfish": version.engine == "aurora-postgresql",
                "SupportsLocalWriteForwarding": True,
                "SupportsIntegrations": True,
            }
            for target in version.upgrade_targets
        ],
        "ExportableLogTypes": list(version.logs),
        "SupportsLogExportsToCloudwatchLogs": True,
        "SupportsReadReplica": False,
        "SupportedEngineModes": ["provisioned"],
        "SupportedFeatureNames": [],
        "Status": "available",
        "SupportsParallelQuery": False,
        "SupportsGlobalDatabases": True,
        "SupportsBabelfish": version.engine == "aurora-postgresql",
        "SupportsLimitlessDatabase": False,
        "SupportsCertificateRotationWithoutRestart": True,
        "SupportedCACertificateIdentifiers": ["rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"],
        "SupportsLocalWriteForwarding": True,
        "SupportsIntegrations": True,
        "ServerlessV2FeaturesSupport": {
            "MinCapacity": 0.0 if version.auto_pause else 0.5,
            "MaxCapacity": version.max_capacity,
        }
        if version.serverless_v2
        else None,
        "TagList": [],
    }


def catalog_description(engine: str, version: str) -> str:
    found = catalog.find(engine, version)
    return found.description if found else version


def describe_orderable_db_instance_options(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    engine = spec["Engine"]
    if engine not in catalog.ENGINES:
        raise bad_value(f"Invalid DB engine: {engine}")
    wanted = spec.get("EngineVersion")
    rows = []
    for version in catalog.versions(engine):
        if wanted not in (None, version.version, version.major):
            continue
        for offer in catalog.orderable(engine, version.version, store.region):
            if spec.get("DBInstanceClass") in (None, offer.db_instance_class):
                rows += [(version, offer, storage) for storage in offer.storage_types]
    shown, marker = pages.page(rows, spec)
    return {
        "Marker": marker,
        "OrderableDBInstanceOptions": [_option(version, offer, storage) for version, offer, storage in shown],
    }


def _option(version: catalog.EngineVersion, offer: catalog.Orderable, storage: str) -> dict[str, Any]:
    return {
        "Engine": version.engine,
        "EngineVersion": version.version,
        "DBInstanceClass": offer.db_instance_class,
        "LicenseModel": _LICENSE[version.engine],
        "AvailabilityZones": [{"Name": zone} for zone in offer.zones],
        "MultiAZCapable": False,
        "ReadReplicaCapable": False,
        "Vpc": True,
        "SupportsStorageEncryption": True,
        "StorageType": storage,
        "SupportsIops": False,
        "SupportsEnhancedMonitoring": True,
        "SupportsIAMDatabaseAuthentication": True,
        "SupportsPerformanceInsights": offer.supports_performance_insights,
        "AvailableProcessorFeatures": [],
        "SupportedEngineModes": ["provisioned"],
        "SupportsStorageAutoscaling": False,
        "SupportsKerberosAuthentication": True,
        "OutpostCapable": False,
        "SupportedActivityStreamModes": [],
        "SupportsGlobalDatabases": True,
        "SupportsClusters": True,
        "SupportedNetworkTypes": ["IPV4"],
        "SupportsStorageThroughput": False,
        "SupportsDedicatedLogVolume": False,
    }
