"""What people watch: the lines of `penstock top`, and a drill's page, which needs nothing but itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import click
import pytest
from drill_world import NOW
from rich.console import Console

from penstock.api.failoverdrill_status import Moment, PhaseTime, Report, Series, Verdict, WriterReport, WriterSeries
from penstock.watching.drillreport import page
from penstock.watching.rows import Health, Sort, ago, lines, milliseconds, ordered
from penstock.watching.timeline import sparklines, timeline
from penstock.watching.top import View, screen


def cluster(name: str = "ledger", ready: str = "True", reason: str = "Available", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "reason": reason}],
            "writer": f"{name}-1",
            **status,
        },
    }


def drill(verdict: str, when: datetime, name: str = "weekly", about: str = "ledger") -> dict[str, Any]:
    history = [{"startedAt": when.isoformat(), "verdict": verdict}]
    return {
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"clusterRef": {"name": about}},
        "status": {"verdict": verdict, "history": history},
    }


def test_a_line_tells_what_a_tired_person_asks() -> None:
    failover = {
        "startedAt": "2026-11-01T03:00:30Z",
        "finishedAt": "2026-11-01T03:00:40Z",
        "outageSeconds": 5.57,
        "cause": "Drill",
    }
    objectives = [
        {"name": "connect", "observed": "3ms", "met": True},
        {"name": "replicaLag", "observed": "500ms", "met": False},
        {"name": "queryP95"},
    ]
    told = cluster(
        lag="500ms", readersReady="1/2", failovers=[failover], objectives=objectives, cost={"monthlyEstimate": "1159.9"}
    )
    (line,) = lines(
        [told], [drill("Passed", NOW - timedelta(days=3)), drill("Failed", NOW - timedelta(days=9), "old")], NOW
    )
    assert (line.ready, line.writer, line.readers, line.lag, line.connect) == (
        "True",
        "ledger-1",
        "1/2",
        "500ms",
        "3ms",
    )
    assert line.failover == "1h ago, 5.6s, Drill"
    assert line.objectives == "1/3 (replicaLag)"
    assert line.drill == "Passed 3d ago"
    assert line.cost == "$1,159.90"
    assert line.health is Health.ODD


def test_a_cluster_that_nobody_has_looked_at_yet_and_broken_figures_are_no_error() -> None:
    bare = {"metadata": {"namespace": "shop", "name": "new"}}
    odd = cluster(
        "odd", failovers=[{"startedAt": "soon", "outageSeconds": "long"}], lag="quick", cost={"monthlyEstimate": "much"}
    )
    found = lines([bare, odd], [{"metadata": {"name": "x"}, "spec": None}], NOW)
    assert [line.cost for line in found] == ["–", "–"]
    assert found[0].health is Health.BAD
    assert found[1].failover == "some time ago, goes on"


def test_what_is_not_well_comes_first_and_the_order_is_always_the_same() -> None:
    found = lines(
        [cluster("c"), cluster("b", "False", "FailingOver"), cluster("a", lag="7s"), cluster("d", "True", "Degraded")],
        [],
        NOW,
    )
    assert [one.name for one in ordered(found, Sort.STATE)] == ["b", "d", "a", "c"]
    assert [one.name for one in ordered(found, Sort.LAG)] == ["a", "b", "c", "d"]
    assert [one.name for one in ordered(found, Sort.NAME)] == ["a", "b", "c", "d"]


def test_a_thousand_clusters_fit_on_the_screen_and_the_bad_ones_are_seen() -> None:
    many = [cluster(f"c{n:04}") for n in range(999)] + [cluster("zz", "False", "FailingOver")]
    out = Console(file=StringIO(), width=180, height=40, force_terminal=True, color_system=None)
    out.print(screen(ordered(lines(many, [], NOW), Sort.STATE), View(), 180, 40))
    assert isinstance(out.file, StringIO)
    shown = out.file.getvalue().splitlines()
    assert len(shown) <= 40
    assert "1000 clusters in all namespaces" in shown[0]
    assert "1 not ready" in shown[0]
    assert any("shop/zz" in row for row in shown[:5])


def test_a_narrow_terminal_shows_fewer_columns_and_cuts_none() -> None:
    out = Console(file=StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    out.print(screen(lines([cluster(lag="12ms", readersReady="1/1")], [], NOW), View(), 80, 24))
    assert isinstance(out.file, StringIO)
    shown = out.file.getvalue()
    assert "…" not in shown
    assert {"shop/ledger", "Available", "ledger-1", "12ms"} <= set(shown.split())
    assert "CONNECT" not in shown


@pytest.mark.parametrize(
    ("text", "found"), [("12ms", 12), ("1.5s", 1500), ("2m", 120000), ("", None), ("1.2.3s", None)]
)
def test_lags_are_read_as_they_are_written(text: str, found: float | None) -> None:
    assert milliseconds(text) == found


def test_ages_are_those_of_kubectl() -> None:
    then = datetime(2026, 11, 1, tzinfo=UTC)
    passed = [45, 119, 120, 3599, 3600, 86400, 9 * 86400, -5]
    assert [ago(then + timedelta(seconds=s), then) for s in passed] == [
        "45s",
        "119s",
        "2m",
        "59m",
        "1h",
        "1d",
        "9d",
        "0s",
    ]


def report(verdict: Verdict = Verdict.FAILED, writers: int = 2, **more: Any) -> Report:
    commits = " ".join(["10"] * 20 + ["0"] * 30 + ["9"] * 50)
    after = {
        Moment.REQUESTED: 0.05,
        Moment.OLD_WRITER_GONE: 0.2,
        Moment.FIRST_COMMIT: 3.1,
        Moment.ALL_WRITERS_BACK: 3.2,
    }
    return Report(
        uid="r1",
        verdict=verdict,
        sentence="Failed: the outage was 2.9s, limits.outage is 1s & <more>.",
        started_at=NOW,
        from_="ledger-1",
        to="ledger-2",
        outage_seconds=2.9,
        commits_lost=0,
        commits_acknowledged=1300,
        phases=tuple(PhaseTime(name=name, at=NOW + timedelta(seconds=s), after_seconds=s) for name, s in after.items()),
        writers=tuple(WriterReport(writer=n + 1, acknowledged=650, outage_seconds=2.9, cuts=1) for n in range(writers)),
        series=Series(
            starts_at_seconds=-2.0,
            bucket_milliseconds=100,
            writers=tuple(WriterSeries(writer=n + 1, commits=commits) for n in range(writers)),
        ),
        **more,
    )


def obj(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "FailoverDrill",
        "metadata": {"name": "weekly", "namespace": "shop"},
        "spec": {"clusterRef": {"name": "ledger"}, "limits": {"outage": "1s"}},
        "status": status,
    }


class Parsed(HTMLParser):
    """Collects what a page asks a browser to fetch, and its open elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts = 0
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_by_itself_and_repeats_nothing_unescaped() -> None:
    text = page(obj(report=report().manifest()), "html")
    parsed = Parsed(text)
    assert parsed.open == []
    assert parsed.fetched == []
    assert parsed.scripts == 0
    assert "url(" not in text
    assert "@import" not in text
    assert "limits.outage is 1s &amp; &lt;more&gt;." in text
    assert '<div class="tile wrong"><b>2.90 s</b>' in text
    assert text.count('class="tile wrong"') == 1


def test_the_picture_has_each_writer_each_moment_and_the_time_without_writes() -> None:
    picture = ElementTree.fromstring(timeline(report(writers=3)))
    assert [p.attrib["fill"] for p in picture.iter("path")] == ["#0072b2", "#e69f00", "#009e73"]
    words = [t.text or "" for t in picture.iter("text")]
    assert [w for w in words if "first commit" in w] == ["first commit, 3.10 s"]
    (gap,) = [r for r in picture.iter("rect") if r.attrib.get("class") == "outage"]
    assert float(gap.attrib["width"]) == pytest.approx(892 * 2.9 / 10, rel=0.01)


def test_the_largest_drill_makes_a_page_of_less_than_half_a_megabyte() -> None:
    commits = " ".join(str(n % 11) for n in range(125))
    series = Series(
        starts_at_seconds=-10,
        bucket_milliseconds=500,
        writers=tuple(WriterSeries(writer=n + 1, commits=commits) for n in range(32)),
    )
    big = report(writers=32).model_copy(update={"series": series})
    assert len(page(obj(report=big.manifest()), "html")) < 500_000


def test_markdown_tells_the_same_with_rows_of_blocks() -> None:
    text = page(obj(report=report().manifest()), "md")
    assert text.startswith("# Failover drill weekly: Failed\n")
    assert "| longest outage, limit 1 s | **2.90 s** |" in text
    rows = re.findall(r"^ [12] (.+)$", text, re.M)
    assert len(rows) == 2
    assert rows[0][0] == "█"
    assert " " in rows[0]
    assert len(sparklines(report())) == 2


def test_a_run_without_figures_has_a_page_without_a_picture() -> None:
    bare = Report(uid="r1", verdict=Verdict.ABORTED, sentence="Aborted: it was.", started_at=NOW)
    assert timeline(bare) == ""
    assert "<svg" not in page(obj(report=bare.manifest()), "html")
    assert "Aborted: it was." in page(obj(report=bare.manifest()), "md")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({}, "has measured nothing yet"),
        ({"run": {"uid": "r", "phase": "Writing", "startedAt": "2026-11-01T04:00:00Z"}}, "runs \\(Writing\\)"),
    ],
)
def test_a_drill_without_a_report_says_so(status: dict[str, Any], words: str) -> None:
    with pytest.raises(click.ClickException, match=words):
        page(obj(**status), "html")


def test_a_database_that_takes_no_write_is_one_to_look_at_whatever_aws_says() -> None:
    (line,) = lines([cluster(availability={"downSince": "2026-11-01T03:00:30Z"})], [], NOW)
    assert line.health is Health.ODD


def test_the_time_to_connect_is_there_without_an_objective() -> None:
    (line,) = lines([cluster(connect="12ms", objectives=[{"name": "availability", "observed": "100"}])], [], NOW)
    assert line.connect == "12ms"
