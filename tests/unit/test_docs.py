"""The hand-written pages keep step with the code: reasons, metrics, options, fields, states, cycles and links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from prometheus_client import REGISTRY

from penstock.api.auroracluster import AuroraClusterSpec
from penstock.api.conditions import Reason
from penstock.api.dynamotable import DynamoTableSpec
from penstock.api.model import ApiModel
from penstock.aurora import facets, report, states
from penstock.aurora.inventory import InventoryCycles
from penstock.cli import run
from penstock.engine import metrics
from penstock.engine.errors import PACES
from penstock.engine.pacing import Limit
from penstock_lab.demo.command import CHAPTERS

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


def test_the_table_of_settings_names_every_option_and_no_other():
    named = (name for parameter in run.params for name in (*parameter.opts, *parameter.secondary_opts))
    options = {name for name in named if name.startswith("--")} - {"--help", "--no-leader-elect"}
    section = OPERATIONS.split("\n## Install\n", 1)[1].split("## AWS rights", 1)[0]
    assert set(re.findall(r"`(--[a-z-]+)`", section)) == options


def test_every_field_of_the_spec_stands_in_the_table_of_fields():
    section = ARCHITECTURE.split("\n## Every field, its AWS call", 1)[1].split("\n## ", 1)[0]
    for field in DynamoTableSpec.model_fields.values():
        assert f"`{field.alias}" in section, field.alias


def test_every_field_of_a_cluster_stands_in_its_table_as_a_whole_or_part_by_part():
    table = rows(ARCHITECTURE, "Every field of AuroraCluster, its AWS call, its effect")
    named = {name for row in table for name in re.findall(r"`([A-Za-z.\[\]]+)`", row[0])}
    missing = [path for path in _paths(AuroraClusterSpec) if not _stands(path, named)]
    assert not missing
    assert {name.replace("[]", "") for name in named} <= {*_paths(AuroraClusterSpec), *_wholes(AuroraClusterSpec)}


def _stands(path: str, named: set[str]) -> bool:
    """A field stands in the table under its own name, or what holds it does."""
    parts = path.split(".")
    plain = {name.replace("[]", "") for name in named}
    return any(".".join(parts[:n]) in plain for n in range(1, len(parts) + 1))


def _parts(annotation: Any) -> list[type[ApiModel]]:
    """The model inside of an annotation: Model, Model | None, tuple[Model, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _parts(inner)]


def _paths(model: type[ApiModel], before: str = "") -> Iterator[str]:
    for field in model.model_fields.values():
        inner = _parts(field.annotation)
        if inner:
            yield from _paths(inner[0], f"{before}{field.alias}.")
        else:
            yield f"{before}{field.alias}"


def _wholes(model: type[ApiModel], before: str = "") -> Iterator[str]:
    for field in model.model_fields.values():
        for inner in _parts(field.annotation):
            yield f"{before}{field.alias}"
            yield from _wholes(inner, f"{before}{field.alias}.")


def test_the_table_of_reads_of_rds_is_the_inventorys():
    cycles = InventoryCycles()
    told = {row[0].partition(",")[0]: row[1:] for row in rows(ARCHITECTURE, "What is read of RDS")}
    hourly = 0
    for operation, idle, hurried in (
        ("DescribeDBClusters", cycles.clusters, cycles.hurried_clusters),
        ("DescribeDBInstances", cycles.instances, cycles.hurried_instances),
        ("DescribeEvents", cycles.events, cycles.hurried_events),
    ):
        assert told[operation][0].startswith(f"every {idle:g} s"), operation
        assert told[operation][1] == f"every {hurried:g} s", operation
        assert told[operation][2].split()[0] == f"{3600 / idle:g}", operation
        hourly += round(3600 / idle)
    assert told["DescribeDBInstances"][0] == f"every {cycles.instances:g} s a page, to {3 * cycles.instances:g} s"
    section = ARCHITECTURE.split("\n## What is read of RDS\n", 1)[1].split("\n## ", 1)[0]
    assert f"Together {hourly:,} calls an hour" in section
    assert f"after {facets._CYCLE:g} s" in section
    assert f"every {report._SECRET:g} s;" in next(
        words[0] for name, words in told.items() if "passwordSecretRef" in name
    )


def test_the_table_of_states_is_the_codes():
    seen = set()
    for row in rows(ARCHITECTURE, "An Aurora cluster: its states"):
        for state in re.findall(r"[a-z]+(?:-[a-z]+)*", row[0]):
            if state in {*states.SERVING, *states._REASONS, *states.BROKEN}:
                seen.add(state)
                broken = state in states.BROKEN
                reason = Reason.DEGRADED if broken else states.reason(state)
                told = "True" if states.serves(state) else f"False, .*`{reason}`"
                assert re.match(told, row[1]), (state, row[1])
    assert seen >= {*states._REASONS} - {"restoring"}


def test_the_usual_times_of_states_are_the_codes():
    told = re.search(r"A transition that takes longer than AWS usually does \(([^;]+);", ARCHITECTURE)
    assert told is not None
    minutes = {}
    for words, number, unit in re.findall(r"([a-z, -]+?) (\d+) (min|h)\b", told[1]):
        for state in re.findall(r"[a-z-]+", words.replace(" and ", " ")):
            minutes[state] = int(number) * (60 if unit == "h" else 1)
    assert minutes.pop("everything") == minutes.pop("else") == states.OTHERWISE / 60
    assert minutes == {s: t / 60 for s, t in states.USUAL.items() if t != states.OTHERWISE}


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


def test_every_proof_that_the_list_of_proofs_names_is_there():
    text = (ROOT / "validation.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:python )?((?:tests|bench)/[\w/.]+)", text))
    assert len(named) > 20
    assert not sorted(path for path in named if not (ROOT / path).exists())


def test_the_demo_has_the_chapters_that_the_list_of_proofs_names():
    text = (ROOT / "validation.md").read_text(encoding="utf-8")
    numbers = [int(n) for told in re.findall(r"`make demo` ([\d, –and]+)", text) for n in re.findall(r"\d+", told)]
    assert max(numbers) == len(CHAPTERS)


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
