"""`penstock cost --html`: the same figures as a page of its own, with plots; it needs no network and no script. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from typing import Final

ZERO: Final = Decimal(0)
_MOST = 25
_ROW, _BAR, _LEFT, _WIDTH, _RIGHT = 46, 9, 250, 640, 90


@dataclass(frozen=True)
class Bar:
    """One row of a plot, in US dollars a month; None where it is not known. limit: where the budget's line stands."""

    name: str
    note: str
    estimate: Decimal | None
    actual: Decimal | None
    forecast: Decimal | None
    limit: Decimal | None


@dataclass(frozen=True)
class Saver:
    """A cheaper shape. saving: US dollars a month."""

    name: str
    summary: str
    saving: Decimal
    risk: str


def page(objects: Sequence[Bar], budgets: Sequence[Bar], savers: Sequence[Saver], now: datetime) -> str:
    """The page. objects: of every table and cluster; budgets: of every CostBudget."""
    ranked = sorted(objects, key=lambda b: (-_most(b), b.name))
    cards = [
        ("Estimate", _sum(b.estimate for b in objects), "a month of 730 hours"),
        ("Month to date", _sum(b.actual for b in objects), f"{now.astimezone(UTC):%B %Y}, UTC"),
        ("Forecast", _sum(b.forecast for b in objects), "for the whole month"),
        ("Could be saved", sum((s.saving for s in savers), ZERO) if savers else None, "a month, by the advice below"),
    ]
    shown = "".join(
        f"<div class=card><h3>{escape(title)}</h3><p class=big>{_dollars(amount)}</p><p class=dim>{escape(about)}</p></div>"
        for title, amount, about in cards
    )
    lacking = sum(b.estimate is None for b in objects)
    more = f" The {len(ranked) - _MOST} that cost least are in the table alone." if len(ranked) > _MOST else ""
    unknown = f" {lacking} {'has' if lacking == 1 else 'have'} no estimate." if lacking else ""
    parts = [
        f"<h1>What the databases cost</h1><p class=dim>{len(objects)} objects, {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC. "
        f"At list prices: discounts, free tiers and taxes are on AWS's bill.{unknown}</p>",
        f"<section class=cards>{shown}</section>",
        _legend(),
    ]
    if budgets:
        parts.append(f"<section><h2>Budgets</h2>{_plot(budgets, 'Budgets against what they cover')}</section>")
    if ranked:
        parts.append(
            f"<section><h2>Tables and clusters</h2>{_plot(ranked[:_MOST], 'Cost of each object')}<p class=dim>{more}</p></section>"
        )
    if savers:
        parts.append(f"<section><h2>Top savers</h2>{_savers(savers)}</section>")
    parts.append(f"<section><h2>All of them</h2>{_table(ranked)}</section>")
    head = (
        "<!doctype html>\n<html lang=en><meta charset=utf-8><title>What the databases cost</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
    )
    return f"{head}<body><main>{''.join(parts)}</main></body></html>\n"


def _plot(bars: Sequence[Bar], title: str) -> str:
    """Rows of three bars on one scale, as SVG: estimate, forecast with what is spent already in it, and the budget's line."""
    top = max((max(_most(b), b.limit or ZERO) for b in bars), default=ZERO) or Decimal(1)
    scale = Decimal(_WIDTH) / (top * Decimal("1.02"))
    height = _ROW * len(bars) + 34
    rows = [_axis(top, scale, height)]
    for number, bar in enumerate(bars):
        rows.append(_row(bar, 24 + number * _ROW, scale))
    width = _LEFT + _WIDTH + _RIGHT
    return (
        f"<svg viewBox='0 0 {width} {height}' role=img aria-label='{escape(title)}'>"
        f"<title>{escape(title)}</title>{''.join(rows)}</svg>"
    )


def _row(bar: Bar, y: int, scale: Decimal) -> str:
    def rect(amount: Decimal | None, dy: int, css: str, what: str) -> str:
        if amount is None:
            return ""
        width = max(float(amount * scale), 1.0)
        told = f"{bar.name}: {what} {_dollars(amount)}"
        return f"<rect class={css} x={_LEFT} y={y + dy} width='{width:.1f}' height={_BAR} rx=2><title>{escape(told)}</title></rect>"

    known = any(amount is not None for amount in (bar.estimate, bar.actual, bar.forecast))
    over = bar.limit is not None and _most(bar) > bar.limit
    drawn = [
        f"<text x={_LEFT - 12} y={y + 10} class=name>{escape(_short(bar.name))}</text>",
        f"<text x={_LEFT - 12} y={y + 24} class=note>{escape(_short(bar.note, 40))}</text>",
        rect(bar.estimate, 2, "estimate", "estimate"),
        rect(bar.forecast, 14, "over" if over else "forecast", "forecast"),
        rect(bar.actual, 14, "actual", "month to date"),
    ]
    end = _LEFT + float(_most(bar) * scale) + 8
    if bar.limit is not None:
        x = _LEFT + float(bar.limit * scale)
        told = f"{bar.name}: budget {_dollars(bar.limit)}"
        drawn.append(
            f"<line class=limit x1='{x:.1f}' x2='{x:.1f}' y1={y - 3} y2={y + 29}><title>{escape(told)}</title></line>"
        )
        # The figure beside the bars and the line must not cover one another.
        end = max(end, x + 8) if abs(end - x) < 70 else end
    drawn.append(f"<text x='{end:.1f}' y={y + 17} class=figure>{_dollars(_most(bar)) if known else 'not known'}</text>")
    return "".join(drawn)


def _axis(top: Decimal, scale: Decimal, height: int) -> str:
    step = _step(top)
    marks, at = [], ZERO
    while at <= top:
        x = _LEFT + float(at * scale)
        marks.append(f"<line class=grid x1='{x:.1f}' x2='{x:.1f}' y1=18 y2={height - 8} />")
        marks.append(f"<text x='{x:.1f}' y=11 class=tick>${at:f}</text>")
        at += step
    return "".join(marks)


def _step(top: Decimal) -> Decimal:
    """A round distance that makes four to ten marks."""
    power = Decimal(10) ** (top.adjusted() - 1)
    return next(factor * power for factor in (1, 2, 5, 10, 20, 50) if top / (factor * power) <= 8)


def _legend() -> str:
    words = (
        ("estimate", "estimate"),
        ("actual", "month to date"),
        ("forecast", "forecast"),
        ("over", "forecast over budget"),
    )
    boxes = "".join(f"<span><i class={css}></i>{escape(word)}</span>" for css, word in words)
    return f"<p class=legend>{boxes}<span><i class=limit></i>budget</span></p>"


def _savers(savers: Sequence[Saver]) -> str:
    rows = "".join(
        f"<tr><td>{escape(s.name)}<td>{escape(s.summary)}<td>{escape(s.risk)}<td class=right>{_dollars(s.saving)}"
        for s in sorted(savers, key=lambda s: (-s.saving, s.name))[:_MOST]
    )
    return f"<table><tr><th>Object<th>Instead<th>Risk<th class=right>Saves a month{rows}</table>"


def _table(bars: Sequence[Bar]) -> str:
    rows = "".join(
        f"<tr><td>{escape(b.name)}<td>{escape(b.note)}"
        + "".join(f"<td class=right>{_dollars(a)}" for a in (b.estimate, b.actual, b.forecast, b.limit))
        for b in bars
    )
    total = "".join(
        f"<th class=right>{_dollars(_sum(amounts))}"
        for amounts in ([b.estimate for b in bars], [b.actual for b in bars], [b.forecast for b in bars])
    )
    return (
        "<table><tr><th>Object<th>Basis<th class=right>Estimate<th class=right>To date<th class=right>Forecast<th class=right>Budget"
        f"{rows}<tr><th>Together<th>{total}<th></table>"
    )


def _most(bar: Bar) -> Decimal:
    return max((a for a in (bar.estimate, bar.actual, bar.forecast) if a is not None), default=ZERO)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [a for a in amounts if a is not None]
    return sum(known, ZERO) if known else None


def _dollars(amount: Decimal | None) -> str:
    return "–" if amount is None else f"${amount:,.2f}"


def _short(text: str, most: int = 34) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b2330;--dim:#667085;--line:#e3e7ee;--card:#f6f8fb;--page:#fff;
--estimate:#a9b7cc;--actual:#1f6feb;--forecast:#a8c8f8;--over:#f3b7ae;--limit:#d1242f}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf2;--dim:#98a2b3;--line:#2b3444;--card:#161d2a;--page:#0d131e;
--estimate:#57667f;--actual:#4c94ff;--forecast:#274b7d;--over:#7a3430;--limit:#ff6b6b}}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;margin:0}
h2{font-size:18px;margin:36px 0 8px}
h3{font-size:13px;margin:0;color:var(--dim);font-weight:600}
.dim{color:var(--dim);font-size:13px;margin:2px 0}
.big{font-size:26px;font-weight:650;margin:2px 0;font-variant-numeric:tabular-nums}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin:20px 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}
svg{width:100%;height:auto;display:block}
.estimate{fill:var(--estimate);background:var(--estimate)}
.actual{fill:var(--actual);background:var(--actual)}
.forecast{fill:var(--forecast);background:var(--forecast)}
.over{fill:var(--over);background:var(--over)}
line.limit{stroke:var(--limit);stroke-width:2;stroke-dasharray:4 3}
line.grid{stroke:var(--line)}
text{fill:var(--ink);font:12px system-ui,sans-serif}
text.name{text-anchor:end;font-weight:600}
text.note{text-anchor:end;fill:var(--dim);font-size:11px}
text.tick{text-anchor:middle;fill:var(--dim);font-size:11px}
text.figure{font-variant-numeric:tabular-nums}
.legend{color:var(--dim);font-size:13px}
.legend span{margin-right:18px}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;vertical-align:-1px}
.legend i.limit{height:0;border-top:2px dashed var(--limit);border-radius:0;vertical-align:4px}
table{border-collapse:collapse;width:100%;font-size:13.5px}
td,th{padding:6px 10px;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
.right{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
"""
