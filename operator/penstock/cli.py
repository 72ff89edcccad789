"""The `penstock` command, also found by kubectl as `kubectl penstock`."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import re
import ssl
import sys
from decimal import Decimal
from typing import Any, Literal

import click

from penstock import __version__


class _Lazy(click.Group):
    """A group whose `lab` lives in another package, which only a checkout has."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        lab = ["lab"] if importlib.util.find_spec("penstock_lab") else []
        return sorted([*super().list_commands(ctx), *lab])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "lab":
            return super().get_command(ctx, cmd_name)
        try:
            found: click.Command = importlib.import_module("penstock_lab.cli").lab
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"the lab is part of a checkout, not of the operator's image ({error}); run `make setup` in one"
            ) from error
        return found


class _Matching(click.ParamType[str]):
    """Text of a form; anything else gets a sentence that says what to write instead."""

    name = "text"

    def __init__(self, pattern: str, sentence: str) -> None:
        self._pattern, self._sentence = re.compile(pattern), sentence

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._pattern.fullmatch(str(value)):
            self.fail(f"{value!r} {self._sentence}", param, ctx)
        return str(value)


class _Authorities(click.Path):
    """A PEM file that holds a certificate at least, or '' for none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            return ""
        path = super().convert(value, param, ctx)
        try:
            ssl.create_default_context(cafile=path)
        except (ssl.SSLError, OSError) as error:
            self.fail(
                f"{path!r} holds no certificate in PEM form ({error}); name a file such as RDS's bundle.", param, ctx
            )
        return path


_REGION = _Matching(r"[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}", 'is no AWS region; write one such as "us-east-1".')
# A slash would divide the owner tag, of which it is the first part.
_CLUSTER = _Matching(
    r"|[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "is no cluster name; write 1 to 64 letters, digits, '.', '_' or '-'."
)
_NAME = _Matching(
    r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "is no Kubernetes name; write lower-case letters, digits, '-' and '.'."
)
_QUEUE = _Matching(
    r"|https?://\S+/\S+",
    'is no URL of an SQS queue; write one such as "https://sqs.us-east-1.amazonaws.com/123456789012/rds-events".',
)
_SECONDS = click.FloatRange(min=1)

_ANY = "0.0.0.0"  # noqa: S104  (a pod is reached on its pod IP)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="penstock")
def main() -> None:
    """Penstock manages AWS databases as Kubernetes objects."""


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _adoption(_ctx: click.Context, _param: click.Parameter, text: str) -> Any:
    from penstock.engine.tenancy import adoption_rules

    try:
        return adoption_rules(text)
    except ValueError as error:
        form = '[{"namespaces": ["shop"], "names": ["shop-*"]}]'
        raise click.BadParameter(f"write a JSON list such as {form}: {error}") from error


@main.command()
@click.option(
    "--region",
    type=_REGION,
    default=_region,
    show_default="AWS_REGION, AWS_DEFAULT_REGION or us-east-1",
    help="Where objects live that name no region.",
)
@click.option(
    "--allowed-region",
    "allowed_regions",
    type=_REGION,
    multiple=True,
    envvar="PENSTOCK_ALLOWED_REGIONS",
    help="Objects may name this region; may be repeated. Default: only --region.",
)
@click.option(
    "--adoption",
    default="[]",
    envvar="PENSTOCK_ADOPTION",
    callback=_adoption,
    help='What objects may take over or restore from without the AWS tag penstock.dev/adoptable-by, as JSON: [{"namespaces": ["shop"], '
    '"names": ["shop-*"]}].',
)
@click.option(
    "--cluster-name",
    type=_CLUSTER,
    default="",
    envvar="PENSTOCK_CLUSTER_NAME",
    help="Goes into the owner tag; default: the uid of kube-system.",
)
@click.option(
    "--watch-namespace", "namespaces", multiple=True, help="Watch only this namespace; may be repeated. Default: all."
)
@click.option(
    "--workers", default=16, show_default=True, type=click.IntRange(1, 256), help="Objects worked on at the same time."
)
@click.option(
    "--http-host",
    default=_ANY,
    envvar="PENSTOCK_HTTP_HOST",
    help="Where /healthz, /readyz and /metrics are served.",
)
@click.option(
    "--http-port", default=8080, show_default=True, envvar="PENSTOCK_HTTP_PORT", type=click.IntRange(0, 65535)
)
@click.option(
    "--leader-elect/--no-leader-elect", default=True, show_default=True, help="Work only while holding the Lease."
)
@click.option("--lease-namespace", default="default", envvar="POD_NAMESPACE", show_default=True)
@click.option("--lease-name", type=_NAME, default="penstock-operator", show_default=True)
@click.option(
    "--identity", default="", envvar="POD_NAME", help="This process's name in the Lease; default: the host's."
)
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
@click.option(
    "--log-format", default=None, type=click.Choice(["json", "text"]), help="Default: text on a terminal, else json."
)
@click.option(
    "--resync",
    type=_SECONDS,
    default=420.0,
    show_default=True,
    envvar="PENSTOCK_RESYNC_SECONDS",
    help="Seconds between two looks at a table that nobody changed.",
)
@click.option(
    "--facet-resync",
    type=_SECONDS,
    default=660.0,
    show_default=True,
    envvar="PENSTOCK_FACET_RESYNC_SECONDS",
    help="The same for TTL, recovery, tags, policy.",
)
@click.option(
    "--listing",
    type=_SECONDS,
    default=60.0,
    show_default=True,
    envvar="PENSTOCK_LISTING_SECONDS",
    help="Seconds between two listings of all tables.",
)
@click.option(
    "--rds-rate",
    type=click.FloatRange(min=1, max=100),
    default=5.5,
    show_default=True,
    envvar="PENSTOCK_RDS_RATE",
    help="RDS requests a second at most; AWS allows an account and region 12, shared by all its tools.",
)
@click.option(
    "--events-queue",
    type=_QUEUE,
    default="",
    envvar="PENSTOCK_EVENTS_QUEUE",
    help="URL of an SQS queue that gets RDS events; each makes clusters be read at once. Default: none.",
)
@click.option(
    "--database-ca",
    type=_Authorities(exists=True, dir_okay=False, readable=True),
    default="",
    envvar="PENSTOCK_DATABASE_CA",
    help="PEM file of the authorities that sign the databases' certificates (for RDS, its bundle). Default: the system's.",
)
@click.option(
    "--live-prices/--bundled-prices",
    default=True,
    show_default=True,
    envvar="PENSTOCK_LIVE_PRICES",
    help="Read AWS's price list once a day and region, or use the prices that come with the operator.",
)
@click.option(
    "--advice-every",
    type=click.FloatRange(min=0),
    default=86400.0,
    show_default=True,
    envvar="PENSTOCK_ADVICE_SECONDS",
    help="Seconds between two looks at the metrics of an object, for status.advice; 0: none are read.",
)
@click.option(
    "--admission-certificates",
    default="",
    type=click.Path(file_okay=False),
    envvar="PENSTOCK_ADMISSION_CERTIFICATES",
    help="Folder with tls.crt and tls.key: serve the admission webhook of budgets. Default: no webhook.",
)
@click.option(
    "--admission-host",
    default="",
    envvar="PENSTOCK_ADMISSION_HOST",
    help="Where the webhook is served; default: --http-host.",
)
@click.option(
    "--admission-port", default=9443, show_default=True, envvar="PENSTOCK_ADMISSION_PORT", type=click.IntRange(1, 65535)
)
@click.option(
    "--cost-explorer/--no-cost-explorer",
    default=False,
    show_default=True,
    envvar="PENSTOCK_COST_EXPLORER",
    help="Ask Cost Explorer once a day what AWS billed by the tag penstock.dev/owner; each request costs $0.01.",
)
@click.option(
    "--spend-every",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    envvar="PENSTOCK_SPEND_SECONDS",
    help="Seconds between readings of what objects use, from CloudWatch, which costs $0.01 for each 1,000 metrics; 0: none.",
)
def run(**options: Any) -> None:
    """Run the operator in the foreground, on the current kubeconfig and the usual AWS settings."""
    import uvloop
    from botocore.exceptions import BotoCoreError

    from penstock.app import Operator, Options
    from penstock.dynamo.inventory import InventoryCycles
    from penstock.dynamo.observe import Cycles
    from penstock.engine import logs
    from penstock.engine.kube import KubeError

    style: Literal["json", "text"] = options["log_format"] or ("text" if sys.stderr.isatty() else "json")
    logs.configure(options["log_level"], style)
    told = Options(
        region=options["region"],
        cluster=options["cluster_name"],
        allowed_regions=options["allowed_regions"],
        adoption=options["adoption"],
        namespaces=options["namespaces"],
        workers=options["workers"],
        http_host=options["http_host"],
        http_port=options["http_port"],
        leader_elect=options["leader_elect"],
        lease_namespace=options["lease_namespace"],
        lease_name=options["lease_name"],
        identity=options["identity"],
        cycles=Cycles(table=options["resync"], facets=options["facet_resync"]),
        inventory=InventoryCycles(listing=options["listing"], tags=options["facet_resync"]),
        events_queue=options["events_queue"],
        rds_rate=options["rds_rate"],
        database_ca=options["database_ca"],
        live_prices=options["live_prices"],
        advice_every=options["advice_every"],
        spend_every=options["spend_every"],
        cost_explorer=options["cost_explorer"],
        admission_host=options["admission_host"] or options["http_host"],
        admission_port=options["admission_port"],
        admission_certificates=options["admission_certificates"],
    )

    async def operate() -> int:
        return await Operator(told).run()

    try:
        # asyncio's own TLS in Python costs more than everything that the operator does with the answers.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(operate())
    except (KubeError, BotoCoreError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        where = f"{options['http_host']}:{options['http_port']}"
        raise click.ClickException(f"{where} cannot be served ({error.strerror}); write another --http-port") from error
    # AWS calls run in threads that cannot be cancelled; what they began is found again by the next process.
    sys.stderr.flush()
    os._exit(code)


@main.command()
def crds() -> None:
    """Print the CustomResourceDefinitions."""
    from penstock.api import crd

    click.echo(crd.render(), nl=False)


@main.command()
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    required=True,
    type=click.Path(allow_dash=True),
    help="Manifests; - is standard input.",
)
@click.option("-n", "--namespace", default="default", show_default=True, help="For manifests that name none.")
@click.option("--region", type=_REGION, default=_region, show_default="AWS_REGION, AWS_DEFAULT_REGION or us-east-1")
@click.option("-o", "--output", default="text", type=click.Choice(["text", "json"]), show_default=True)
@click.pass_context
def plan(ctx: click.Context, /, **options: Any) -> None:
    """Print what would be done for manifests, against AWS; nothing is changed.

    With a cluster, what it knows of the objects (status, approvals) counts; without one, the manifest alone.
    Exit status: 0 nothing to do, 2 changes, 1 error.
    """
    from botocore.exceptions import BotoCoreError

    from penstock.preview import preview

    try:
        code = asyncio.run(preview(options["files"], options["namespace"], options["region"], options["output"]))
    except BotoCoreError as error:
        raise click.ClickException(f"the AWS settings cannot be used: {error}") from error
    ctx.exit(code)


@main.command()
@click.option("-n", "--namespace", default="", help="Only this namespace. Default: all.")
@click.option("-l", "--selector", default="", help="Only objects with these labels, as kubectl takes them.")
@click.option("--by-label", "label", default="", metavar="KEY", help="Group by this label's value, for example team.")
@click.option("-o", "--output", default="table", type=click.Choice(["table", "csv", "json"]), show_default=True)
@click.option(
    "--html", default="", type=click.Path(dir_okay=False), help="Write a page with plots to this file instead."
)
def cost(namespace: str, selector: str, label: str, output: str, html: str) -> None:
    """Print what the tables and clusters of the current kubeconfig cost a month, have cost and will have cost, as their status tells it."""
    from penstock.costs import costs
    from penstock.engine.kube import KubeError

    try:
        asyncio.run(costs(namespace, selector, label, output, html))
    except KubeError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{html} cannot be written ({error.strerror}); name another file") from error


class _Dollars(click.ParamType[Decimal]):
    """An amount of US dollars."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        text = str(value)
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,4})?", text):
            self.fail(
                f'{text!r} is no amount of US dollars; write digits alone, for example "80" or "79.50".', param, ctx
            )
        return Decimal(text)


@main.command()
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    required=True,
    type=click.Path(allow_dash=True),
    help="Manifests; - is standard input.",
)
@click.option(
    "--budget", type=_Dollars(), help="US dollars a month at most. Default: spec.cost.monthlyBudget, or none."
)
@click.option("--storage-budget", type=_Dollars(), help="US dollars a month at most for storage alone.")
@click.option("--region", type=_REGION, default=_region, show_default="AWS_REGION, AWS_DEFAULT_REGION or us-east-1")
@click.option("-o", "--output", default="text", type=click.Choice(["text", "json"]), show_default=True)
@click.pass_context
def advise(ctx: click.Context, /, **options: Any) -> None:
    """Print which shapes keep the objectives of manifests within a budget, before anything exists.

    Asks neither AWS nor a Kubernetes cluster: the load is what spec.cost.expectedUsage tells, the prices are the bundled ones.
    Exit status: 0 something fits, 3 nothing does, 1 error, 2 wrong usage.
    """
    from datetime import UTC, datetime

    from penstock.advise import advise as answer

    ctx.exit(
        answer(
            options["files"],
            options["region"],
            options["budget"],
            options["storage_budget"],
            options["output"],
            datetime.now(UTC).date(),
        )
    )


@main.command()
@click.option("-n", "--namespace", default="", help="Only this namespace. Default: all.")
@click.option("-l", "--selector", default="", help="Only clusters with these labels, as kubectl takes them.")
@click.option(
    "--sort",
    default="state",
    type=click.Choice(["state", "name", "lag", "failover", "cost"]),
    show_default=True,
    help="What comes first; state: what is not well.",
)
@click.option(
    "--interval", default=2.0, type=click.FloatRange(min=0.5), show_default=True, help="Seconds between two looks."
)
@click.option("--once", is_flag=True, help="Print once and end; so it is without a terminal, too.")
def top(namespace: str, selector: str, sort: str, interval: float, once: bool) -> None:
    """Show the clusters of the current kubeconfig live: who writes, lag, the last failover, objectives, cost. Ctrl-C ends it."""
    from penstock.engine.kube import KubeError
    from penstock.watching.rows import Sort
    from penstock.watching.top import View
    from penstock.watching.top import top as show

    try:
        asyncio.run(show(View(namespace, selector, Sort(sort), interval), once=once))
    except KubeError as error:
        raise click.ClickException(error.message) from error
    except KeyboardInterrupt:
        pass


@main.group()
def report() -> None:
    """Pages about what was measured."""


@report.command("drill")
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True, help="The drill's namespace.")
@click.option("-o", "--output", default="html", type=click.Choice(["html", "md"]), show_default=True)
def report_drill(name: str, namespace: str, output: Literal["html", "md"]) -> None:
    """Print what the last run of a FailoverDrill measured, with a timeline of its commits, as one page that needs nothing else."""
    from penstock.engine.kube import KubeError
    from penstock.watching.drillreport import report as tell

    try:
        asyncio.run(tell(name, namespace, output))
    except KubeError as error:
        raise click.ClickException(error.message) from error


if __name__ == "__main__":
    main()
