"""What can be had and what the account may have, as the endpoint answers it."""

from __future__ import annotations

from typing import Any


def test_engine_versions(rds):
    (one,) = rds.describe_db_engine_versions(Engine="aurora-postgresql", EngineVersion="15.10")["DBEngineVersions"]
    assert one["DBParameterGroupFamily"] == "aurora-postgresql15"
    assert one["ExportableLogTypes"][0] == "postgresql"
    targets = {t["EngineVersion"]: t for t in one["ValidUpgradeTarget"]}
    assert targets["15.12"]["IsMajorVersionUpgrade"] is False
    assert targets["16.8"]["IsMajorVersionUpgrade"] is True
    major = rds.describe_db_engine_versions(Engine="aurora-postgresql", EngineVersion="15")["DBEngineVersions"]
    assert len(major) > 5
    (default,) = rds.describe_db_engine_versions(Engine="aurora-mysql", DefaultOnly=True)["DBEngineVersions"]
    assert default["EngineVersion"].startswith("8.0.mysql_aurora.3")
    assert rds.describe_db_engine_versions(Engine="aurora-postgresql", EngineVersion="15.99")["DBEngineVersions"] == []
    assert rds.describe_db_engine_versions(Engine="oracle-ee")["DBEngineVersions"] == []
    pages = rds.get_paginator("describe_db_engine_versions").paginate(PaginationConfig={"PageSize": 20})
    engines = {v["Engine"] for page in pages for v in page["DBEngineVersions"]}
    assert engines == {"aurora-postgresql", "aurora-mysql"}


def test_orderable_options(rds, refused):
    def options(**wanted: Any) -> list[dict[str, Any]]:
        pages = rds.get_paginator("describe_orderable_db_instance_options").paginate(**wanted)
        return [o for page in pages for o in page["OrderableDBInstanceOptions"]]

    found = options(Engine="aurora-postgresql", EngineVersion="15.10", DBInstanceClass="db.x2g.large")
    assert {o["StorageType"] for o in found} == {"aurora", "aurora-iopt1"}
    assert "us-east-1b" not in [z["Name"] for z in found[0]["AvailabilityZones"]]
    assert options(Engine="aurora-postgresql", EngineVersion="15.10", DBInstanceClass="db.m5.large") == []
    everything = options(Engine="aurora-postgresql", EngineVersion="15.10")
    assert "db.serverless" in {o["DBInstanceClass"] for o in everything}
    refused("InvalidParameterValue", rds.describe_orderable_db_instance_options, Engine="db2")


def test_certificates(rds, refused):
    answer = rds.describe_certificates()
    assert answer["DefaultCertificateForNewLaunches"] in {c["CertificateIdentifier"] for c in answer["Certificates"]}
    (one,) = rds.describe_certificates(CertificateIdentifier="rds-ca-ecc384-g1")["Certificates"]
    assert one["CertificateType"] == "CA"
    refused("CertificateNotFound", rds.describe_certificates, CertificateIdentifier="rds-ca-1999")


def test_no_maintenance_is_pending_for_what_takes_no_minor_by_itself(rds, cluster):
    name = cluster(instances=0, AutoMinorVersionUpgrade=False)
    filters = [{"Name": "db-cluster-id", "Values": [name]}]
    assert rds.describe_pending_maintenance_actions(Filters=filters)["PendingMaintenanceActions"] == []
