"""`penstock cost --html`: the page holds every figure, needs nothing from elsewhere, and lets nothing be smuggled in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from test_costs_command import obj, serving

from penstock.cli import main
from penstock.costpage import Bar, Saver, page

D = Decimal
NOW = datetime(2026, 11, 28, 14, tzinfo=UTC)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))


def bar(name: str, estimate: str | None = "10", forecast: str | None = None, limit: str | None = None) -> Bar:
    def amount(text: str | None) -> Decimal | None:
        return None if text is None else D(text)

    return Bar(name, "DynamoTable, Estimate", amount(estimate), amount(forecast), amount(forecast), amount(limit))


def test_every_figure_is_there_and_nothing_comes_from_elsewhere() -> None:
    text = page(
        [bar("shop/orders", "53.29", "60.10", "50"), bar("shop/new", None)],
        [bar("shop/lab", "53.29", None, "80")],
        [Saver("shop/orders", "db.r6g.large instead of db.r7g.large", D("12.34"), "none")],
        NOW,
    )
    for figure in ("$53.29", "$60.10", "$80.00", "$12.34", "1 has no estimate"):
        assert figure in text
    assert not re.search(r"https?://|src=|href=|<script|@import|url\(", text)
    reader = Reader()
    reader.feed(text)
    assert [tag for tag, _ in reader.tags].count("svg") == 2


def test_bars_are_as_long_as_their_amounts_and_one_over_its_budget_is_told_apart() -> None:
    text = page([bar("a", "100", "50", "40"), bar("b", "50", "10", "40")], [], [], NOW)
    svg = re.search(r"<svg.*?</svg>", text, re.S)
    assert svg is not None
    lengths = {
        found.group(2): float(found.group(1))
        for found in re.finditer(r"width='([\d.]+)'[^>]*><title>([^<]+)</title>", svg.group())
    }
    assert lengths["a: estimate $100.00"] == pytest.approx(2 * lengths["b: estimate $50.00"], abs=0.2)
    assert lengths["a: forecast $50.00"] == pytest.approx(lengths["b: estimate $50.00"])
    assert svg.group().count("class=over") == 2, "a by its estimate and forecast, b by its estimate"


def test_each_figure_stands_behind_its_own_bar_and_says_what_is_over() -> None:
    over = Bar("shop/lab", "Hold", D(485), D(241), D(390), D(400))
    within = Bar("shop/team", "Alert", D(53), None, None, D(80))
    text = page([], [over, within], [], NOW)
    found = re.findall(r"<text x='([\d.]+)' y=(\d+) class=(figure|'figure beyond')>([^<]+)<", text)
    figures = {words: (float(x), int(y), css) for x, y, css, words in found}
    assert set(figures) == {"$485.00 estimate, $85.00 over", "$241.00 so far, $390.00 forecast", "$53.00 estimate"}
    bars = {
        title: (float(x) + float(width), int(y))
        for x, y, width, title in re.findall(
            r"<rect class=\w+ x=(\d+) y=(\d+) width='([\d.]+)'[^>]*><title>([^<]+)", text
        )
    }
    (line,) = re.findall(r"<line class=limit x1='([\d.]+)'[^>]*><title>shop/team", text)
    for words, title in (
        ("$485.00 estimate, $85.00 over", "shop/lab: estimate $485.00"),
        ("$241.00 so far, $390.00 forecast", "shop/lab: forecast $390.00"),
    ):
        x, y, _ = figures[words]
        end, top = bars[title]
        assert 0 < y - top <= 11, "on one line with its bar"
        assert end < x < end + 25, "right behind it"
    assert figures["$53.00 estimate"][0] == pytest.approx(float(line) + 8, abs=0.1), "and not across the budget's line"
    assert [css for _, _, css in figures.values()].count("'figure beyond'") == 1
    assert "shop/lab: $85.00 over its budget" in text
    assert "shop/team: $" not in text.replace("shop/team: estimate", "")


def test_names_are_text_and_nothing_else() -> None:
    text = page([bar("<script>alert(1)</script>")], [], [Saver("a&b", "<b>", D(1), "'\"")], NOW)
    assert "<script>" not in text
    assert "a&amp;b" in text


@pytest.mark.parametrize(
    "bars", [[], [bar("a", "0")], [bar("a", None)], [bar("a", "1234567.89")], [bar("a", "0.0001")]]
)
def test_odd_amounts_make_a_page_all_the_same(bars: list[Bar]) -> None:
    for svg in re.findall(r"<svg.*?</svg>", page(bars, [], [], NOW), re.S):
        quoted = re.sub(r"=([\w.-]+)(?=[ />])", r"='\1'", svg)
        ElementTree.fromstring(quoted)


def test_the_command_writes_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    budget = {
        "metadata": {"name": "lab", "namespace": "shop"},
        "spec": {"monthlyLimit": "80", "policy": "Hold"},
        "status": {"spending": {"estimate": "53.29"}},
    }
    table = obj("orders", "shop", "a", "20.10")
    table["status"]["advice"] = {"items": [{"summary": "Provisioned", "saving": "7.77", "risk": "throttling"}]}
    serving(monkeypatch, {"dynamotables": [table], "auroraclusters": [], "costbudgets": [budget]})
    there = tmp_path / "cost.html"
    done = CliRunner().invoke(main, ["cost", "--html", str(there)])
    assert done.exit_code == 0, done.output
    assert done.output == f"{there} has 1 object and 1 budget.\n"
    text = there.read_text(encoding="utf-8")
    assert all(figure in text for figure in ("$20.10", "$7.77", "shop/lab", "$80.00"))
    done = CliRunner().invoke(main, ["cost", "--html", str(tmp_path / "no" / "such.html")])
    assert done.exit_code == 1
    assert "cannot be written" in done.output


def test_a_cluster_without_the_kind_of_budgets_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    serving(monkeypatch, {"dynamotables": [obj("orders", "shop", "a", "20.10")], "auroraclusters": []})
    done = CliRunner().invoke(main, ["cost", "--html", str(tmp_path / "cost.html")])
    assert "has 1 object and 0 budgets" in done.output
