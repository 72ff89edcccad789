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
# About how wide a letter of a figure is.
_LETTER = 6.5
_ROW, _BAR, _LEFT, _WIDTH, _RIGHT = 52, 11, 240, 440, 300


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
    """Rows of two bars on one scale, as SVG: the estimate, and the forecast with what is spent already in it; across them the budget's line."""
    top = max((max(_most(b), b.limit or ZERO) for b in bars), default=ZERO) or Decimal(1)
    scale = Decimal(_WIDTH) / (top * Decimal("1.02"))
    height = _ROW * len(bars) + 34
    rows = [_axis(top, scale, height)]
    for number, bar in enumerate(bars):
        rows.append(_row(bar, 26 + number * _ROW, scale))
    width = _LEFT + _WIDTH + _RIGHT
    return (
        f"<svg viewBox='0 0 {width} {height}' role=img aria-label='{escape(title)}'>"
        f"<title>{escape(title)}</title>{''.join(rows)}</svg>"
    )


def _row(bar: Bar, y: int, scale: Decimal) -> str:
    """Each figure stands behind the end of its bar; what is beyond the budget is red."""
    upper, lower = y, y + _BAR + 5

    def rect(amount: Decimal | None, top: int, css: str, what: str) -> str:
        if amount is None:
            return ""
        width = max(float(amount * scale), 1.0)
        told = f"{bar.name}: {what} {_dollars(amount)}"
        return f"<rect class={css} x={_LEFT} y={top} width='{width:.1f}' height={_BAR} rx=2><title>{escape(told)}</title></rect>"

    spent = [f"{_dollars(bar.actual)} so far"] if bar.actual is not None else []
    coming = [f"{_dollars(bar.forecast)} forecast"] if bar.forecast is not None else []
    note = bar.note if bar.limit is None else f"{bar.note}, budget {_dollars(bar.limit)}"
    return "".join(
        (
            f"<text x={_LEFT - 12} y={upper + 10} class=name>{escape(_short(bar.name, 30))}</text>",
            f"<text x={_LEFT - 12} y={lower + 10} class=note>{escape(_short(note, 42))}</text>",
            rect(bar.estimate, upper, "estimate", "estimate"),
            rect(bar.forecast, lower, "forecast", "forecast"),
            rect(bar.actual, lower, "actual", "month to date"),
            _beyond(bar, upper, lower, scale),
            _limit(bar, upper, lower, scale),
            _figure(
                [f"{_dollars(bar.estimate)} estimate"] if bar.estimate is not None else [],
                bar,
                bar.estimate,
                upper,
                scale,
            ),
            _figure([*spent, *coming], bar, _later(bar), lower, scale),
            "" if _known(bar) else f"<text x={_LEFT + 8} y={upper + 10} class=figure>not known</text>",
        )
    )


def _figure(words: Sequence[str], bar: Bar, amount: Decimal | None, top: int, scale: Decimal) -> str:
    if amount is None:
        return ""
    over = amount - bar.limit if bar.limit is not None else ZERO
    more = [f"{_dollars(over)} over"] if over > 0 else []
    css, text = "'figure beyond'" if more else "figure", ", ".join([*words, *more])
    x = _LEFT + max(float(amount * scale), 1.0) + 8
    line = _LEFT + float(bar.limit * scale) if bar.limit is not None else 0.0
    if x - 8 < line < x + _LETTER * len(text):
        # The budget's line must not cross the figure.
        x = line + 8
    return f"<text x='{x:.1f}' y={top + 10} class={css}>{text}</text>"


def _beyond(bar: Bar, upper: int, lower: int, scale: Decimal) -> str:
    """The part of the bars that is beyond the budget's line."""
    if bar.limit is None or _most(bar) <= bar.limit:
        return ""
    limit = bar.limit
    x = _LEFT + float(limit * scale)
    parts = "".join(
        f"M{x:.1f} {top}h{max(float((amount - limit) * scale), 1.0):.1f}v{_BAR}H{x:.1f}z"
        for amount, top in ((bar.estimate, upper), (_later(bar), lower))
        if amount is not None and amount > limit
    )
    told = f"{bar.name}: {_dollars(_most(bar) - limit)} over its budget"
    return f"<path class=over d='{parts}'><title>{escape(told)}</title></path>"


def _limit(bar: Bar, upper: int, lower: int, scale: Decimal) -> str:
    if bar.limit is None:
        return ""
    x, told = _LEFT + float(bar.limit * scale), f"{bar.name}: budget {_dollars(bar.limit)}"
    return f"<line class=limit x1='{x:.1f}' x2='{x:.1f}' y1={upper - 4} y2={lower + _BAR + 4}><title>{escape(told)}</title></line>"


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
        ("over", "over budget"),
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
        + "".join(f"<td class={_css(a, b.limit)}>{_dollars(a)}" for a in (b.estimate, b.actual, b.forecast, b.limit))
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


def _css(amount: Decimal | None, limit: Decimal | None) -> str:
    return "'right beyond'" if amount is not None and limit is not None and amount > limit else "right"


def _known(bar: Bar) -> bool:
    return any(amount is not None for amount in (bar.estimate, bar.actual, bar.forecast))


def _later(bar: Bar) -> Decimal | None:
    """As long as the lower bar is."""
    return max((a for a in (bar.actual, bar.forecast) if a is not None), default=None)


def _most(bar: Bar) -> Decimal:
    return max((a for a in (bar.estimate, bar.actual, bar.forecast) if a is not None), default=ZERO)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [a for a in amounts if a is not None]
    return sum(known, ZERO) if known else None


def _dollars(amount: Decimal | None) -> str:
    return "–" if amount is None else f"${amount:,.2f}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b2330;--dim:#667085;--line:#e3e7ee;--card:#f6f8fb;--page:#fff;
--estimate:#a9b7cc;--actual:#1f6feb;--forecast:#a8c8f8;--over:#e5484d;--limit:#d1242f}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf2;--dim:#98a2b3;--line:#2b3444;--card:#161d2a;--page:#0d131e;
--estimate:#57667f;--actual:#4c94ff;--forecast:#274b7d;--over:#e5484d;--limit:#ff6b6b}}
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
text.figure{font-size:11px;font-variant-numeric:tabular-nums;paint-order:stroke;stroke:var(--page);stroke-width:4px}
.beyond,text.beyond{color:var(--limit);fill:var(--limit);font-weight:600}
.legend{color:var(--dim);font-size:13px}
.legend span{margin-right:18px}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;vertical-align:-1px}
.legend i.limit{height:0;border-top:2px dashed var(--limit);border-radius:0;vertical-align:4px}
table{border-collapse:collapse;width:100%;font-size:13.5px}
td,th{padding:6px 10px;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
.right{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
"""
