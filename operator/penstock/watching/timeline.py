"""A drill's commits over time, as an SVG with the moments of the failover marked. Pure text.

Our own hundred lines: a plotting library (matplotlib with numpy is 60 MB, plotly puts 5 MB of script into each page) would weigh more than the
operator itself, for one picture made of rectangles.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from penstock.api.failoverdrill_status import Moment, Report, Series

WORDS = {
    Moment.REQUESTED: "requested",
    Moment.OLD_WRITER_GONE: "old writer gone",
    Moment.NEW_WRITER_ACCEPTING: "new writer accepts",
    Moment.ENDPOINT_MOVED: "endpoint moved",
    Moment.FIRST_COMMIT: "first commit",
    Moment.ALL_WRITERS_BACK: "all writers back",
    Moment.TOLD_BY_AWS: "told by AWS",
}
# Eight hues that keep apart for most eyes (Okabe and Ito's palette, its yellow darkened); more writers begin again.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7f00", "#7a6fd0")
_WIDTH, _LEFT, _RIGHT, _TOP, _PLOT = 960.0, 52.0, 16.0, 22.0, 230.0
_ROW = 16.0
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


@dataclass(frozen=True)
class _Axis:
    """Seconds after the request, or commits, to a place in the picture."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self, most: int) -> list[float]:
        step = next((s for s in _STEPS if (self.high - self.low) / s <= most), _STEPS[-1])
        first = -(-self.low // step)
        return [n * step for n in range(int(first), int(self.high // step) + 1)]


def timeline(report: Report) -> str:
    """The picture; '' for a run without a series (one that was cut off)."""
    series = report.series
    if series is None or not series.writers or not any(w.counts for w in series.writers):
        return ""
    length = max(len(w.counts) for w in series.writers)
    width = series.bucket_milliseconds / 1000
    end = series.starts_at_seconds + length * width
    across = _Axis(series.starts_at_seconds, end, _LEFT, _WIDTH - _RIGHT)
    stacked = [sum(w.counts[n] for w in series.writers if n < len(w.counts)) for n in range(length)]
    up = _Axis(0, max(max(stacked), 1) * 1.08, _TOP + _PLOT, _TOP)
    rows = sorted(report.phases, key=lambda p: p.after_seconds)
    height = _TOP + _PLOT + 34 + _ROW * len(rows) + 12
    parts = [
        f'<svg class="timeline" viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="Acknowledged commits over time">',
        *_outage(report, across),
        *_grid(across, up, series),
        *_areas(series, across, up, length),
        *_legend(series),
        *_marks(report, across, _TOP + _PLOT + 34),
        "</svg>",
    ]
    return "\n".join(parts)


def _outage(report: Report, across: _Axis) -> list[str]:
    """The time without writes, behind everything else."""
    after = {p.name: p.after_seconds for p in report.phases}
    if Moment.OLD_WRITER_GONE not in after:
        return []
    begin = max(across.low, after[Moment.OLD_WRITER_GONE])
    end = min(across.high, after.get(Moment.FIRST_COMMIT, across.high))
    x = across.at(begin)
    return [
        f'<rect class="outage" x="{x:.1f}" y="{_TOP:g}" width="{max(1.0, across.at(end) - x):.1f}" height="{_PLOT:g}">'
        f"<title>no commit from {begin:.2f} s to {end:.2f} s after the request</title></rect>"
    ]


def _grid(across: _Axis, up: _Axis, series: Series) -> list[str]:
    found = [
        f'<text class="label" x="{_LEFT:g}" y="{_TOP - 8:g}">commits acknowledged in {series.bucket_milliseconds} ms, by writer</text>',
        f'<text class="label end" x="{_WIDTH - _RIGHT:g}" y="{_TOP - 8:g}">seconds after the failover was requested</text>',
    ]
    for value in up.ticks(5):
        if value == int(value):
            y = up.at(value)
            found.append(f'<line class="grid" x1="{_LEFT:g}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT:g}" y2="{y:.1f}"/>')
            found.append(f'<text class="tick end" x="{_LEFT - 6:g}" y="{y + 4:.1f}">{value:.0f}</text>')
    for value in across.ticks(14):
        x = across.at(value)
        found.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP + _PLOT:g}" x2="{x:.1f}" y2="{_TOP + _PLOT + 4:g}"/>')
        found.append(f'<text class="tick middle" x="{x:.1f}" y="{_TOP + _PLOT + 17:g}">{value:g}</text>')
    return found


def _legend(series: Series) -> list[str]:
    """Which colour is which writer, as long as each has one of its own."""
    if not 1 < len(series.writers) <= len(_COLOURS):
        return []
    found = []
    for number, writer in enumerate(series.writers):
        x = _LEFT + 290 + 44 * number
        found.append(f'<rect x="{x:g}" y="{_TOP - 17:g}" width="10" height="10" rx="2" fill="{_COLOURS[number]}"/>')
        found.append(f'<text class="label" x="{x + 15:g}" y="{_TOP - 8:g}">{writer.writer}</text>')
    return found


def _areas(series: Series, across: _Axis, up: _Axis, length: int) -> list[str]:
    """One step area a writer, each on the shoulders of those before."""
    base = [0] * length
    width = series.bucket_milliseconds / 1000
    edges = [across.at(series.starts_at_seconds + n * width) for n in range(length + 1)]
    found = []
    for number, writer in enumerate(series.writers):
        counts = writer.counts + (0,) * (length - len(writer.counts))
        top = [b + c for b, c in zip(base, counts, strict=True)]
        path = f"M{edges[0]:.1f} {up.at(top[0]):.1f}" + _steps(edges, top, up)
        back = "".join(f"V{up.at(base[n]):.1f}H{edges[n]:.1f}" for n in reversed(range(length)))
        colour = _COLOURS[number % len(_COLOURS)]
        found.append(
            f'<path fill="{colour}" d="{path}{back}Z"><title>writer {writer.writer}: {sum(counts)} commits here</title></path>'
        )
        base = top
    return found


def _steps(edges: list[float], heights: list[int], up: _Axis) -> str:
    """Horizontal and vertical pieces along the tops; runs of the same height are one piece."""
    parts = []
    for n, height in enumerate(heights):
        following = heights[n + 1] if n + 1 < len(heights) else None
        if following != height:
            parts.append(f"H{edges[n + 1]:.1f}")
            if following is not None:
                parts.append(f"V{up.at(following):.1f}")
    return "".join(parts)


def _marks(report: Report, across: _Axis, first: float) -> list[str]:
    """A line for each moment, and its words in a row of its own below, so that close ones can be read."""
    lines, words = [], []
    for row, phase in enumerate(sorted(report.phases, key=lambda p: p.after_seconds)):
        if not across.low <= phase.after_seconds <= across.high:
            continue
        x, y = across.at(phase.after_seconds), first + _ROW * row
        lines.append(f'<line class="mark" x1="{x:.1f}" y1="{_TOP:g}" x2="{x:.1f}" y2="{y:.1f}"/>')
        words.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
        told = f"{WORDS[phase.name]}, {phase.after_seconds:.2f} s"
        left = x > _WIDTH * 0.7
        place = f'class="note{" end" if left else ""}" x="{x - 7 if left else x + 7:.1f}" y="{y + 4:.1f}"'
        words.append(f"<text {place}>{escape(told)}</text>")
    return lines + words


def sparklines(report: Report, width: int = 72) -> list[str]:
    """One line of block characters a writer, for a page without pictures."""
    series = report.series
    if series is None:
        return []
    blocks = " ▁▂▃▄▅▆▇█"
    found = []
    for writer in series.writers:
        counts = writer.counts
        size = max(1, -(-len(counts) // width))
        # A last one that is cut short would look like a dip.
        whole = max(1, len(counts) // size)
        sums = [sum(counts[n * size : (n + 1) * size]) for n in range(whole)]
        most = max(sums, default=0) or 1
        line = "".join(blocks[-(-count * (len(blocks) - 1) // most)] for count in sums)
        found.append(f"{writer.writer:>2} {line}")
    return found
