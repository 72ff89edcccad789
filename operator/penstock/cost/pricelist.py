"""Makes a region's catalogue from AWS's own price list: `python -m penstock.cost.pricelist FILE… -o catalogue/REGION.json`.

A FILE is what AWS gives without credentials (AWS Billing guide, "Getting price list files in an AWS partition"):
https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonDynamoDB/current/us-east-1/index.csv, the same as .json, and those of AmazonRDS; or the
answer of `aws pricing get-products --output json`. Only usage types that are known here are taken, matched whole: many end in the same text and cost
otherwise. Prices that no file tells are left out, or kept from an older catalogue with --keep, each with its own source.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import click

from penstock.cost.prices import CURRENCY, CatalogueError, parse

_REGION_PREFIX = re.compile(r"(?!IA-)(?:[A-Z]{2}|[A-Z]{3,4}[0-9])-")
_AURORA = ("Aurora MySQL", "Aurora PostgreSQL", "Any", "")
_SIZES = (("xl", "xlarge"), ("l", "large"), ("m", "medium"), ("s", "small"))

_EXACT: Final[Mapping[tuple[str, str], tuple[str, str, int]]] = {
    ("AmazonDynamoDB", "WriteRequestUnits"): ("dynamodb.standard.write-request", "write request unit", 10**6),
    ("AmazonDynamoDB", "ReadRequestUnits"): ("dynamodb.standard.read-request", "read request unit", 10**6),
    ("AmazonDynamoDB", "IA-WriteRequestUnits"): (
        "dynamodb.infrequent-access.write-request",
        "write request unit",
        10**6,
    ),
    ("AmazonDynamoDB", "IA-ReadRequestUnits"): ("dynamodb.infrequent-access.read-request", "read request unit", 10**6),
    ("AmazonDynamoDB", "WriteCapacityUnit-Hrs"): ("dynamodb.standard.write-capacity", "WCU-hour", 1),
    ("AmazonDynamoDB", "ReadCapacityUnit-Hrs"): ("dynamodb.standard.read-capacity", "RCU-hour", 1),
    ("AmazonDynamoDB", "IA-WriteCapacityUnit-Hrs"): ("dynamodb.infrequent-access.write-capacity", "WCU-hour", 1),
    ("AmazonDynamoDB", "IA-ReadCapacityUnit-Hrs"): ("dynamodb.infrequent-access.read-capacity", "RCU-hour", 1),
    ("AmazonDynamoDB", "TimedStorage-ByteHrs"): ("dynamodb.standard.storage", "GB-month", 1),
    ("AmazonDynamoDB", "IA-TimedStorage-ByteHrs"): ("dynamodb.infrequent-access.storage", "GB-month", 1),
    ("AmazonDynamoDB", "TimedPITRStorage-ByteHrs"): ("dynamodb.standard.point-in-time-recovery", "GB-month", 1),
    ("AmazonDynamoDB", "TimedBackupStorage-ByteHrs"): ("dynamodb.backup", "GB-month", 1),
    ("AmazonDynamoDB", "Streams-Requests"): ("dynamodb.stream-read", "stream read request", 10**6),
    ("AmazonRDS", "Aurora:ServerlessV2Usage"): ("aurora.serverless", "ACU-hour", 1),
    ("AmazonRDS", "Aurora:ServerlessV2IOOptimizedUsage"): ("aurora-io-optimized.serverless", "ACU-hour", 1),
    ("AmazonRDS", "Aurora:StorageUsage"): ("aurora.storage", "GB-month", 1),
    ("AmazonRDS", "Aurora:IO-OptimizedStorageUsage"): ("aurora-io-optimized.storage", "GB-month", 1),
    ("AmazonRDS", "Aurora:StorageIOUsage"): ("aurora.io", "I/O request", 10**6),
    ("AmazonRDS", "Aurora:BackupUsage"): ("aurora.backup", "GB-month", 1),
}
_EXTENDED = re.compile(r"ExtendedSupport:(Yr1-Yr2|Yr3):Aurora(?:MySQL|PostgreSQL)[0-9.]+")
_INSTANCE = re.compile(r"InstanceUsage(IOOptimized)?:(db\.[a-z0-9]+\.[a-z0-9]+)")


@dataclass(frozen=True)
class Row:
    """One price of a list. begin: where its band of usage begins. published: of the file, None where it does not say."""

    service: str
    usage: str
    region: str
    engine: str
    instance: str
    begin: Decimal
    amount: str
    published: date | None


def rows(text: str, name: str) -> list[Row]:
    """The on-demand prices of a file: the bulk CSV, the bulk JSON or an answer of GetProducts. Raises CatalogueError with a sentence."""
    if not text.strip():
        raise CatalogueError(f"{name} is empty; fetch the price list again")
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise CatalogueError(f"{name} is no whole JSON ({error}); fetch the price list again") from error
        read = _json(found, name)
    else:
        read = _csv(text, name)
    listed = list(read)
    if not listed:
        raise CatalogueError(
            f"{name} holds no on-demand price in {CURRENCY}; it must be a price list of AmazonDynamoDB or AmazonRDS"
        )
    return listed


def known(products: Iterable[str], name: str) -> list[Row]:
    """The on-demand prices that estimates use, of products as GetProducts gives them, each as JSON text. Raises CatalogueError with a sentence."""
    found = []
    try:
        for text in products:
            product = json.loads(text)
            listed = _product(
                product["product"],
                product["terms"].get("OnDemand") or {},
                product.get("serviceCode"),
                _day(product.get("publicationDate")),
            )
            found += [row for row in listed if _named(row) is not None]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CatalogueError(
            f"{name} cannot be read ({type(error).__name__}: {error}); it is asked for again"
        ) from error
    return found


def catalogue(listed: Iterable[Row], region: str, page: Callable[[Row], str], today: date) -> dict[str, Any]:
    """The catalogue of a region, as its JSON. page: what a price is said to come from. Raises CatalogueError when two rows of one thing differ."""
    prices: dict[str, tuple[Decimal, str, int, Row]] = {}
    for row in sorted(listed, key=lambda r: r.begin):
        named = _named(row) if row.region in (region, "") else None
        if named is None:
            continue
        key, unit, per = named
        amount = _amount(row)
        known = prices.get(key)
        # Bands in order: the first is the free tier, and a later one is a discount for more than an estimate sees.
        if amount == 0 or (known is not None and known[3].begin < row.begin):
            continue
        if known is not None and known[0] != amount:
            raise CatalogueError(
                f"{key} costs {known[0]} as {known[3].usage} and {amount} as {row.usage}; one of the files is of another region or offer"
            )
        prices[key] = (amount, unit, per, row)
    if not prices:
        raise CatalogueError(f"no price for {region} was found; name files of that region, or another --region")
    sources: dict[str, dict[str, str]] = {}
    written: dict[str, dict[str, Any]] = {}
    for key, (amount, unit, per, row) in sorted(prices.items()):
        day = (row.published or today).isoformat()
        source = f"{row.service}-{day}"
        sources[source] = {"page": page(row), "date": day}
        written[key] = {"price": f"{amount * per:f}".rstrip("0").rstrip("."), "unit": unit, "source": source}
        if per != 1:
            written[key]["per"] = per
    return {"region": region, "currency": CURRENCY, "date": today.isoformat(), "sources": sources, "prices": written}


def render(found: Mapping[str, Any]) -> str:
    """The catalogue as text, one price a line, so that a change of one is a change of one line."""

    def block(entries: Mapping[str, Any]) -> str:
        return "{\n" + ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in entries.items()) + "\n  }"

    head = ",\n".join(f"  {json.dumps(k)}: {json.dumps(found[k])}" for k in ("region", "currency", "date"))
    return f'{{\n{head},\n  "sources": {block(found["sources"])},\n  "prices": {block(found["prices"])}\n}}\n'


def merged(found: Mapping[str, Any], older: Mapping[str, Any]) -> dict[str, Any]:
    """The catalogue with what only the older one knows, each price with the source that it had."""
    prices = {**older["prices"], **found["prices"]}
    used = {p["source"] for p in prices.values()}
    sources = {k: v for k, v in {**older["sources"], **found["sources"]}.items() if k in used}
    return {**found, "sources": sources, "prices": prices}


def _named(row: Row) -> tuple[str, str, int] | None:
    """The key, unit and number of units of a row; None when it is nothing that estimates use."""
    usage = _REGION_PREFIX.sub("", row.usage, count=1)
    exact = _EXACT.get((row.service, usage))
    if exact is not None:
        return exact
    if row.service != "AmazonRDS" or row.engine not in _AURORA:
        return None
    extended = _EXTENDED.fullmatch(usage)
    if extended is not None:
        return f"aurora.extended-support.{'years-1-2' if extended[1] == 'Yr1-Yr2' else 'year-3'}", "vCPU-hour", 1
    instance = _INSTANCE.fullmatch(usage)
    if instance is None or not row.engine.startswith("Aurora"):
        return None
    prefix = "aurora-io-optimized" if instance[1] else "aurora"
    return f"{prefix}.instance.{row.instance or _class(instance[2])}", "instance-hour", 1


def _class(short: str) -> str:
    """The whole class of a usage type's short one: db.r7g.2xl is db.r7g.2xlarge."""
    family, _, size = short.rpartition(".")
    for end, whole in _SIZES:
        if size.endswith(end):
            return f"{family}.{size.removesuffix(end)}{whole}"
    return short


def _amount(row: Row) -> Decimal:
    try:
        found = Decimal(row.amount)
    except InvalidOperation as error:
        raise CatalogueError(
            f"{row.usage} costs {row.amount!r}, which is no number; fetch the price list again"
        ) from error
    if not found.is_finite() or found < 0:
        raise CatalogueError(f"{row.usage} costs {row.amount}, which is no price; fetch the price list again")
    return found


def _csv(text: str, name: str) -> Iterator[Row]:
    """The bulk CSV: five lines about the file, then a header."""
    lines = text.splitlines(keepends=True)
    about = {row[0]: row[1] for row in csv.reader(lines[:5]) if len(row) > 1}
    table = csv.DictReader(io.StringIO("".join(lines[5:])))
    needed = {"TermType", "PricePerUnit", "Currency", "usageType", "serviceCode"}
    lacking = needed - set(table.fieldnames or ())
    if lacking:
        raise CatalogueError(
            f"{name} has no column {', '.join(sorted(lacking))}; it must be an index.csv of AWS's price list, whole"
        )
    published = _day(about.get("Publication Date"))
    for row in table:
        if row.get("PricePerUnit") is None or row.get("Currency") is None:
            raise CatalogueError(f"{name} is cut: a line has fewer columns than its header; fetch the price list again")
        if row["TermType"] == "OnDemand" and row["Currency"] == CURRENCY:
            yield Row(
                row["serviceCode"],
                row["usageType"],
                row.get("Region Code") or "",
                row.get("Database Engine") or "",
                row.get("Instance Type") or "",
                _begin(row.get("StartingRange")),
                row["PricePerUnit"],
                published,
            )


def _json(found: Mapping[str, Any], name: str) -> Iterator[Row]:
    try:
        if "PriceList" in found:
            for entry in found["PriceList"]:
                product = json.loads(entry) if isinstance(entry, str) else entry
                day = _day(product.get("publicationDate"))
                yield from _product(
                    product["product"], product["terms"].get("OnDemand") or {}, product.get("serviceCode"), day
                )
            return
        day = _day(found.get("publicationDate"))
        terms = found["terms"].get("OnDemand") or {}
        for sku, product in found["products"].items():
            yield from _product(product, terms.get(sku) or {}, found.get("offerCode"), day)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CatalogueError(
            f"{name} is no price list of AWS ({type(error).__name__}: {error}); fetch it again"
        ) from error


def _product(
    product: Mapping[str, Any], terms: Mapping[str, Any], service: Any, published: date | None
) -> Iterator[Row]:
    attributes = product["attributes"]
    for term in terms.values():
        for price in term["priceDimensions"].values():
            if CURRENCY in price["pricePerUnit"]:
                yield Row(
                    str(service or attributes.get("servicecode", "")),
                    str(attributes.get("usagetype", "")),
                    str(attributes.get("regionCode", "")),
                    str(attributes.get("databaseEngine", "")),
                    str(attributes.get("instanceType", "")),
                    _begin(price.get("beginRange")),
                    str(price["pricePerUnit"][CURRENCY]),
                    published,
                )


def _begin(text: str | None) -> Decimal:
    try:
        return Decimal(text or 0)
    except InvalidOperation:
        return Decimal(0)


def _day(text: Any) -> date | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).date()
    except ValueError:
        return None


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--region", default="us-east-1", show_default=True, help="The region of the catalogue.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write; default: standard output."
)
@click.option(
    "--keep",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An older catalogue: what no file tells is kept from it.",
)
def main(files: Sequence[Path], region: str, output: Path | None, keep: Path | None) -> None:
    """Make a region's price catalogue from price list FILES of AmazonDynamoDB and AmazonRDS (index.csv, index.json or a GetProducts answer)."""
    try:
        listed = [row for path in files for row in rows(path.read_text(encoding="utf-8"), path.name)]
        found = catalogue(listed, region, lambda row: f"AWS Price List, {row.service}, {region}", date.today())
        if keep is not None:
            parse(keep.read_text(encoding="utf-8"), keep.name)
            found = merged(found, json.loads(keep.read_text(encoding="utf-8")))
        text = render(found)
        parse(text, "the new catalogue")
    except (CatalogueError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from error
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    click.echo(f"{output}: {len(found['prices'])} prices of {region}.", err=True)


if __name__ == "__main__":
    main()
