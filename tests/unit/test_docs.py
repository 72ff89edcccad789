"""The hand-written pages keep step with the code: reasons, metrics, options, fields and links."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from penstock.api.conditions import Reason
from penstock.api.dynamotable import DynamoTableSpec
from penstock.cli import run
from penstock.engine import metrics
from penstock.engine.errors import PACES
from penstock.engine.pacing import Limit

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "architecture.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_reason_is_explained_once_and_no_other():
    explained = [row[0] for row in rows(OPERATIONS, "Troubleshooting by reason")]
    assert sorted(explained) == sorted(Reason)


def test_every_metric_is_listed_with_its_labels():
    listed = {row[0].strip("`"): row[1] for row in rows(OPERATIONS, "Metrics") if row[0].startswith("`penstock_")}
    ours = [m for m in vars(metrics).values() if hasattr(m, "describe") and m in REGISTRY._collector_to_names]
    have = {}
    for metric in ours:
        family = metric.describe()[0]
        suffix = "_total" if family.type == "counter" else ""
        have[family.name + suffix] = ", ".join(metric._labelnames)
    assert listed == have


def test_every_option_that_the_table_of_settings_names_exists():
    options = {name for parameter in run.params for name in (*parameter.opts, *parameter.secondary_opts)}
    section = OPERATIONS.split("## Install", 1)[1].split("## AWS rights", 1)[0]
    assert set(re.findall(r"`(--[a-z-]+)`", section)) <= options


def test_every_field_of_the_spec_stands_in_the_table_of_fields():
    section = ARCHITECTURE.split("\n## Every field", 1)[1].split("\n## ", 1)[0]
    for field in DynamoTableSpec.model_fields.values():
        assert f"`{field.alias}" in section, field.alias


def test_the_table_of_paces_is_the_codes():
    told = {row[0]: row[3] for row in rows(ARCHITECTURE, "Errors by meaning")}
    for meaning, word in told.items():
        pace = PACES[next(m for m in PACES if m.value == meaning)]
        ceiling = f"{pace.ceiling / 60:.0f} min" if pace.ceiling > 60 else f"{pace.ceiling:.0f} s"
        assert word == f"{pace.first:.0f} s → {ceiling}", meaning


def test_the_table_of_buckets_is_the_codes():
    from penstock.aws.account import LIMITS, OPERATION_LIMITS

    limits = {**LIMITS, **{operation: limit for (_, operation), limit in OPERATION_LIMITS.items()}}
    for row in rows(ARCHITECTURE, "Pacing"):
        names, told = row[0].split(", "), row[2].split(", ")
        for name, words in zip(names, told if len(told) == len(names) else told * len(names), strict=True):
            assert words == _words(limits[name]), name


def _words(limit: Limit) -> str:
    return f"{limit.rate:,.10g} ({limit.burst:g})"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_files_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        link = target[0] or target[1]
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {link}"
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there.read_text(encoding="utf-8")), f"{page.name} links to {link}"


def _anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
