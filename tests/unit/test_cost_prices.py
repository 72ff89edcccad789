"""Catalogues: the one that is bundled, bad ones, and making one from AWS's own price list."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from penstock.cost import pricelist
from penstock.cost.prices import CatalogueError, bundled, parse

TODAY = date(2026, 11, 23)
GOOD: dict[str, Any] = {
    "region": "us-east-1",
    "currency": "USD",
    "date": "2026-11-23",
    "sources": {"page": {"page": "aws.amazon.com", "date": "2026-11-01"}},
    "prices": {"aurora.storage": {"price": "0.10", "unit": "GB-month", "source": "page"}},
}


def changed(**more: Any) -> str:
    return json.dumps({**GOOD, **more})


def priced(**more: Any) -> str:
    return changed(prices={"aurora.storage": {**GOOD["prices"]["aurora.storage"], **more}})


def test_every_bundled_price_names_its_page_and_its_date() -> None:
    found = bundled("us-east-1")
    assert len(found.prices) >= 60
    for price in found.prices.values():
        assert price.amount > 0
        assert price.unit
        assert price.page
        assert price.read_on <= date(2026, 11, 23)
    storage = found.price("aurora.storage")
    assert storage is not None
    assert storage.each == Decimal("0.10")


def test_no_other_region_is_bundled() -> None:
    assert not bundled("eu-central-1").prices
    assert not bundled("../us-east-1").prices


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty; make it again"),
        (changed()[:80], "is no whole JSON"),
        ("[]", "holds no JSON object"),
        (changed(region=7), "names no region"),
        (changed(currency="EUR"), "is in 'EUR'; only USD is read"),
        (changed(prices={}), "holds no prices"),
        (changed(prices=[1]), "holds no prices"),
        (changed(sources=None), 'has no "sources"'),
        (changed(sources={"page": {"page": "", "date": "2026-11-01"}}), "source page has no page"),
        (changed(sources={"page": {"page": "x", "date": "soon"}}), "source page has no date"),
        (changed(date=None), "has no date"),
        (changed(date="2026-10-01"), "but aurora.storage is of 2026-11-01"),
        (changed(prices={"aurora.storage": 0.1}), "aurora.storage is no price"),
        (priced(price=0.1), 'write the price as text, like "0.073"'),
        (priced(price="cheap"), "which is no number"),
        (priced(price="0"), "a price is more than 0"),
        (priced(price="-1"), "a price is more than 0"),
        (priced(price="NaN"), "a price is more than 0"),
        (priced(price="1e99"), "at most 1000000"),
        (priced(unit=""), "has no unit"),
        (priced(source="elsewhere"), "which is not in sources"),
        (priced(source=["page"]), "which is not in sources"),
        (priced(per=0), "is for 0 units"),
        (priced(per="1"), "is for '1' units"),
    ],
)
def test_a_bad_catalogue_is_told_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        parse(text, "prices.json")
    assert says in str(caught.value)
    assert "prices.json" in str(caught.value)


HEADER = (
    '"SKU","TermType","StartingRange","EndingRange","Unit","PricePerUnit","Currency","serviceCode","Region Code",'
    '"Database Engine","Instance Type","usageType"'
)


def bulk_csv(*lines: str, published: str = "2026-10-30T12:00:00Z") -> str:
    about = (
        f'"FormatVersion","v1.0"\n"Disclaimer","…"\n"Publication Date","{published}"\n"Version","1"\n"OfferCode","x"\n'
    )
    return about + "\n".join([HEADER, *lines]) + "\n"


def line(usage: str, price: str, service: str = "AmazonDynamoDB", **more: str) -> str:
    cells = ["S", more.get("term", "OnDemand"), more.get("begin", "0"), "Inf", "unit", price, "USD", service]
    cells += [more.get("region", "us-east-1"), more.get("engine", ""), more.get("instance", ""), usage]
    return ",".join(f'"{c}"' for c in cells)


def made(text: str) -> dict[str, Any]:
    found = pricelist.catalogue(pricelist.rows(text, "index.csv"), "us-east-1", lambda row: row.service, TODAY)
    parse(pricelist.render(found), "made")
    return found["prices"]


def test_a_catalogue_is_made_of_the_bulk_csv() -> None:
    found = made(
        bulk_csv(
            line("WriteRequestUnits", "0.0000006250"),
            line("ReplWriteRequestUnits", "0.0000006250"),
            line("TimedStorage-ByteHrs", "0.0000000000"),
            line("TimedStorage-ByteHrs", "0.2500000000", begin="25"),
            line("IA-TimedStorage-ByteHrs", "0.1"),
            line("USE1-TimedPITRStorage-ByteHrs", "0.2"),
            line("WriteCapacityUnit-Hrs", "0.0128", term="Reserved"),
            line("InstanceUsage:db.r7g.2xl", "1.106", "AmazonRDS", engine="Aurora MySQL", instance="db.r7g.2xlarge"),
            line("InstanceUsage:db.r7g.2xl", "1.106", "AmazonRDS", engine="Aurora PostgreSQL"),
            line("InstanceUsage:db.r7g.2xl", "0.9", "AmazonRDS", engine="PostgreSQL"),
            line("InstanceUsageIOOptimized:db.r7g.xl", "0.719", "AmazonRDS", engine="Aurora PostgreSQL"),
            line("Aurora:StorageIOUsage", "0.0000002", "AmazonRDS", engine="Any"),
            line("ExtendedSupport:Yr1-Yr2:AuroraMySQL2", "0.1", "AmazonRDS", engine="Aurora MySQL"),
            line("ExtendedSupport:Yr1-Yr2:ASv2:AuroraPostgreSQL13", "0.083", "AmazonRDS", engine="Aurora PostgreSQL"),
        )
    )
    assert {key: price["price"] for key, price in found.items()} == {
        "dynamodb.standard.write-request": "0.625",
        "dynamodb.standard.storage": "0.25",
        "dynamodb.infrequent-access.storage": "0.1",
        "dynamodb.standard.point-in-time-recovery": "0.2",
        "aurora.instance.db.r7g.2xlarge": "1.106",
        "aurora-io-optimized.instance.db.r7g.xlarge": "0.719",
        "aurora.io": "0.2",
        "aurora.extended-support.years-1-2": "0.1",
    }
    assert found["aurora.io"]["source"] == "AmazonRDS-2026-10-30"


def product(usage: str, price: str) -> dict[str, Any]:
    dimension = {"unit": "x", "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": price}}
    return {
        "product": {"sku": "A", "attributes": {"usagetype": usage, "regionCode": "us-east-1"}},
        "terms": {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": dimension}}}},
        "serviceCode": "AmazonRDS",
        "publicationDate": "2026-10-30T12:00:00Z",
    }


def test_a_catalogue_is_made_of_an_answer_and_of_the_bulk_json() -> None:
    entry = product("Aurora:BackupUsage", "0.0210000000")
    answer = json.dumps({"PriceList": [json.dumps(entry)]})
    bulk = json.dumps(
        {
            "offerCode": "AmazonRDS",
            "publicationDate": "2026-10-30T12:00:00Z",
            "products": {"A": entry["product"]},
            "terms": {"OnDemand": {"A": entry["terms"]["OnDemand"]}},
        }
    )
    for text in (answer, bulk):
        assert made(text)["aurora.backup"]["price"] == "0.021"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty; fetch the price list again"),
        ('{"PriceList": ["{', "is no whole JSON"),
        ('{"PriceList": [7]}', "is no price list of AWS"),
        ('{"hello": 1}', "is no price list of AWS"),
        ("a,b\n1,2\n", "has no column"),
        (bulk_csv(line("WriteRequestUnits", "0.1")[:20]), "is cut"),
        (bulk_csv(), "holds no on-demand price in USD"),
        (bulk_csv(line("WriteRequestUnits", "much")), "which is no number"),
        (bulk_csv(line("WriteRequestUnits", "-1")), "which is no price"),
        (bulk_csv(line("WriteRequestUnits", "1", region="eu-west-1")), "no price for us-east-1 was found"),
        (
            bulk_csv(line("WriteRequestUnits", "1"), line("WriteRequestUnits", "2")),
            "costs 1 as WriteRequestUnits and 2",
        ),
    ],
)
def test_a_bad_price_list_is_told_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(CatalogueError, match=says):
        made(text)


def test_the_script_writes_a_catalogue_that_keeps_what_no_file_tells(tmp_path: Path) -> None:
    older, listed, new = tmp_path / "old.json", tmp_path / "index.csv", tmp_path / "new.json"
    older.write_text(json.dumps(GOOD))
    listed.write_text(bulk_csv(line("WriteRequestUnits", "0.0000006250")))
    done = CliRunner().invoke(pricelist.main, [str(listed), "-o", str(new), "--keep", str(older)])
    assert done.exit_code == 0, done.output
    assert set(parse(new.read_text(), "new").prices) == {"aurora.storage", "dynamodb.standard.write-request"}
    listed.write_text("{}")
    refused = CliRunner().invoke(pricelist.main, [str(listed)])
    assert refused.exit_code == 1
    assert "is no price list of AWS" in refused.output
