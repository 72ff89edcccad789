"""A drill as a page: HTML with everything in it, for a ticket or a wall, or Markdown. Pure text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files

from penstock.api.failoverdrill import FailoverDrill
from penstock.api.failoverdrill_status import Past, Report, Verdict
from penstock.watching.timeline import WORDS, sparklines, timeline

Row = tuple[str, ...]
_OUTAGE = "An outage is the longest time between two acknowledged commits of one writer."

_STYLE = files(__package__).joinpath("drill.css").read_text(encoding="utf-8")


def figures(drill: FailoverDrill, report: Report) -> list[tuple[str, str, bool]]:
    """Name, value, and whether it broke its limit."""
    spec = drill.spec
    longest, limit = report.outage_seconds, spec.outage_limit.total_seconds()
    lost = report.commits_lost
    judged = report.verdict in (Verdict.PASSED, Verdict.FAILED)
    return [
        (f"longest outage, limit {limit:g} s", _seconds(longest), judged and (longest is None or longest > limit)),
        ("median outage of the writers", _seconds(report.outage_p50_seconds), False),
        (
            f"acknowledged commits lost, limit {spec.commits_lost_limit}",
            _number(lost),
            judged and (lost is None or lost > spec.commits_lost_limit),
        ),
        ("commits acknowledged", _number(report.commits_acknowledged), False),
        ("of unknown outcome (of these found)", _unknown(report), False),
        ("connections cut", _number(report.connections_cut), False),
        ("replica lag before", _milliseconds(report.replica_lag_milliseconds), False),
    ]


def _tables(drill: FailoverDrill, report: Report) -> list[tuple[str, Row, list[Row]]]:
    phases: list[Row] = [(WORDS[p.name], _seconds(p.after_seconds), _time(p.at)) for p in report.phases]
    writers: list[Row] = [
        (
            str(w.writer),
            _seconds(w.outage_seconds) if w.outage_seconds is not None else "never back",
            _number(w.acknowledged),
            str(w.cuts),
        )
        for w in report.writers
    ]
    return [
        ("What happened when", ("", "after the request", "at (UTC)"), phases),
        ("What each writer felt", ("writer", "outage", "commits", "cuts"), writers),
        ("What RDS told", ("at (UTC)", "message"), [(_time(e.at), e.message) for e in report.events]),
        (
            "Runs before",
            ("began (UTC)", "verdict", "outage", "lost", "from", "to"),
            [_past(p) for p in drill.status.history if p.uid != report.uid],
        ),
    ]


def _past(past: Past) -> Row:
    return (
        f"{past.started_at:%Y-%m-%d %H:%M}",
        str(past.verdict),
        _seconds(past.outage_seconds),
        _number(past.commits_lost),
        past.from_ or "–",
        past.to or "–",
    )


def html(drill: FailoverDrill, report: Report, version: str) -> str:
    """One page that needs nothing else: no script, no font, no image from elsewhere."""
    name, where = escape(drill.metadata.name), _where(drill, report)
    picture = timeline(report)
    tiles = "\n".join(
        f'<div class="tile{" wrong" if wrong else ""}"><b>{escape(value)}</b><span>{escape(title)}</span></div>'
        for title, value, wrong in figures(drill, report)
    )
    sections = [
        f"<section><h2>{escape(title)}</h2>{_html_table(head, rows)}</section>"
        for title, head, rows in _tables(drill, report)
        if rows
    ]
    plot = f"<section><h2>Commits through the failover</h2>\n{picture}\n</section>" if picture else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Failover drill {name}: {report.verdict}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<header><h1>Failover drill {name}</h1><span class="badge {report.verdict}">{report.verdict}</span></header>
<p class="where">{escape(where)}</p>
<p class="sentence">{escape(report.sentence)}</p>
<div class="tiles">
{tiles}
</div>
{plot}
<div class="pair">{"".join(sections[:2])}</div>
{"".join(sections[2:])}
<footer>Run {escape(report.uid)}. {escape(_load(drill))} {_OUTAGE} penstock {escape(version)}.</footer>
</main>
</body>
</html>
"""


def markdown(drill: FailoverDrill, report: Report, version: str) -> str:
    """The same as Markdown, with the commits as rows of blocks."""
    lines = [
        f"# Failover drill {drill.metadata.name}: {report.verdict}",
        "",
        _where(drill, report),
        "",
        _cell(report.sentence),
        "",
        *_markdown_table(
            ("figure", "value"), [(t, f"**{v}**" if wrong else v) for t, v, wrong in figures(drill, report)]
        ),
    ]
    drawn = sparklines(report)
    if drawn and report.series is not None:
        width = (
            report.series.bucket_milliseconds * max((len(w.counts) for w in report.series.writers), default=0) / 1000
        )
        begin = report.series.starts_at_seconds
        lines += [
            "",
            "## Commits through the failover",
            "",
            f"By writer, from {begin:.1f} s to {begin + width:.1f} s after the request:",
            "",
            "```",
            *drawn,
            "```",
        ]
    for title, head, rows in _tables(drill, report):
        if rows:
            lines += ["", f"## {title}", "", *_markdown_table(head, rows)]
    lines += ["", f"Run {report.uid}. {_load(drill)} penstock {version}."]
    return "\n".join(lines) + "\n"


def _html_table(head: Row, rows: Sequence[Row]) -> str:
    def cells(row: Iterable[str], tag: str) -> str:
        return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{cells(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def _markdown_table(head: Row, rows: Sequence[Row]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _where(drill: FailoverDrill, report: Report) -> str:
    moved = f", from {report.from_} to {report.to}" if report.from_ and report.to and report.from_ != report.to else ""
    place = f"Cluster {drill.spec.cluster_ref.name} in namespace {drill.metadata.namespace or 'default'}"
    return f"{place}, {report.started_at:%A %d %B %Y, %H:%M:%S} UTC{moved}"


def _load(drill: FailoverDrill) -> str:
    spec = drill.spec
    return (
        f"Load: {spec.writers} writers, each up to 100 commits a second, for {spec.load_duration.total_seconds():g} s."
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _milliseconds(value: int | None) -> str:
    return "–" if value is None else f"{value} ms"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _unknown(report: Report) -> str:
    if report.commits_unknown is None:
        return "–"
    return f"{_number(report.commits_unknown)} ({_number(report.commits_unknown_found)})"


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}"
