"""`penstock lab …`: a real API server and an AWS endpoint on this machine, up and down with one command."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from .postgres.command import add_commands
from .state import LabError, State, check_name, labs_folder, locked, names

_screen = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)


def _name_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--name", default="default", show_default=True, envvar="PENSTOCK_LAB", help="Which lab.")(
        command
    )


def _sentences(command: Callable[..., Any]) -> Callable[..., Any]:
    """What a person can act on is said in a sentence; only our own mistakes show a traceback."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except LabError as error:
            raise click.ClickException(str(error)) from None

    return guarded


def _load(name: str) -> Any:
    from .lab import Lab

    return Lab.load(name)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def lab() -> None:
    """The embedded cloud: a real Kubernetes API server and an AWS endpoint on this machine."""


@lab.command()
@_name_option
@click.option(
    "--operator/--no-operator", default=True, show_default=True, help="Install the chart; else only the CRDs."
)
@click.option("--kubeconfig", type=click.Path(), help="Use this file's current cluster; the lab then brings only AWS.")
@click.option(
    "--postgres/--no-postgres",
    default=None,
    envvar="PENSTOCK_LAB_WITH_POSTGRES",
    help="Real PostgreSQL behind Aurora PostgreSQL clusters, or none.  [default: postgres; a lab that is up stays as it is]",
)
@click.option(
    "--kubelet/--no-kubelet",
    default=None,
    envvar="PENSTOCK_LAB_WITH_KUBELET",
    help="Pods in containers of the Dockerfile's image on a real kubelet (needs root), or as processes.  [default: processes; a lab that is up "
    "stays as it is]",
)
@click.option(
    "--operator-arg", "operator_args", multiple=True, help="A further argument of `penstock run`; may be repeated."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A chart value, such as replicas=2.")
@_sentences
def up(
    name: str,
    operator: bool,
    kubeconfig: str | None,
    postgres: bool | None,
    kubelet: bool | None,
    operator_args: tuple[str, ...],
    settings: tuple[str, ...],
) -> None:
    """Bring a lab up, or back up, and return when it is ready."""
    from .lab import Lab

    began = time.monotonic()

    def tell(text: str) -> None:
        _screen.print(f"[green]✓[/] {text} [dim]{time.monotonic() - began:.1f} s[/]")

    made = Lab.up(
        name,
        operator=operator,
        kubeconfig=kubeconfig,
        postgres=postgres,
        kubelet=kubelet,
        operator_args=operator_args,
        values=_values(settings),
        tell=tell,
    )
    option = "" if name == "default" else f" --name {name}"
    command = "penstock" if shutil.which("penstock") else f"{Path(sys.executable).parent}/penstock"
    _screen.print(f"\nThe lab [bold]{name}[/] is ready after {time.monotonic() - began:.1f} s. Next:\n")
    steps = [(f'eval "$({command} lab env{option})"', "this shell uses the lab: kubectl, helm, AWS")]
    if operator:
        steps.append(("kubectl apply -f manifests/samples/", "declare some tables and clusters"))
        steps.append(("kubectl get penstock -A --watch", "see them become Ready"))
    else:
        steps.append(("penstock run", "the operator in the foreground"))
    steps.append((f"penstock lab down{option}", "leave nothing behind"))
    width = max(len(step) for step, _ in steps)
    for step, why in steps:
        _screen.print(f"  [cyan]{step:{width}}[/]   [dim]{why}[/]")
    if made.state.cluster == "given":
        _screen.print(
            "\nThe cluster is your own: `lab down` uninstalls the chart and leaves your objects and the CRDs."
        )


def _values(settings: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise click.UsageError(f"--set {setting}: write KEY=VALUE, such as replicas=2")
        *parents, last = path.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = _json_or_text(text)
    return values


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@lab.command()
@_name_option
@click.option("--all", "every", is_flag=True, help="Every lab of this folder.")
@_sentences
def down(name: str, every: bool) -> None:
    """Stop a lab and delete its state; nothing is left running."""
    from .lab import Lab, down_all
    from .launch import clear_ruins

    if every:
        if not down_all(tell=lambda text: _screen.print(f"[green]✓[/] {text}")):
            _screen.print(f"There is no lab in {labs_folder()}.")
        return
    folder = labs_folder() / check_name(name)
    began = time.monotonic()
    if (state := State.load(name)) is not None:
        Lab(state).down()
        _screen.print(f"The lab {name} is down after {time.monotonic() - began:.1f} s.")
    elif folder.exists():
        with locked(folder):
            clear_ruins(folder)
        State(name, folder).remove()
        _screen.print(f"The rest of the lab {name} is removed.")
    else:
        _screen.print(f"There is no lab {name} in {labs_folder()}; nothing to do.")


@lab.command()
@_name_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@_sentences
def status(name: str, output: str) -> None:
    """What runs, where it listens and where its log is. Exits 1 when the lab is not whole."""
    if State.load(name) is None and output == "json":
        print(json.dumps({"name": name, "state": "Absent"}))
        sys.exit(1)
    facts = _load(name).status()
    if output == "json":
        print(json.dumps(facts, indent=2))
    else:
        _show(facts)
    sys.exit(0 if facts["state"] == "Running" else 1)


def _show(facts: dict[str, Any]) -> None:
    colour = {"Running": "green", "Degraded": "yellow"}.get(facts["state"], "red")
    _screen.print(f"Lab [bold]{facts['name']}[/]: [{colour}]{facts['state']}[/]   {facts['folder']}")
    _screen.print(
        f"Kubernetes {facts['kubernetes']['url'] or 'given'}   AWS {facts['aws']['url']} {facts['aws']['region']}"
    )
    ca = facts["databases"]["ca"]
    _screen.print(f"Databases verified against {ca}\n" if ca else "No databases behind Aurora\n")
    table = Table(box=None, show_edge=False, pad_edge=False, header_style="bold")
    for title in ("PROCESS", "PID", "PORT", "STATE", "LOG"):
        table.add_column(title, no_wrap=True)
    for process, fact in facts["processes"].items():
        alive = "[green]running[/]" if fact["alive"] else "[red]ended[/]"
        table.add_row(process, str(fact["pid"]), str(fact["port"] or ""), alive, _inside(facts, fact["log"]))
    for pod in facts["operator"]["pods"]:
        ready = "[green]ready[/]" if pod["ready"] else "[yellow]not ready[/]"
        table.add_row(pod["name"], str(pod["pid"] or ""), pod["url"] or "", ready, _inside(facts, pod["log"]))
    _screen.print(table)


def _inside(facts: dict[str, Any], log: str) -> str:
    return str(Path(log).relative_to(facts["folder"]))


@lab.command(name="list")
@_sentences
def list_labs() -> None:
    """The labs of this folder."""
    for name in names():
        print(name)


@lab.command()
@_name_option
@_sentences
def env(name: str) -> None:
    """Print the shell commands that make a shell use the lab, for `eval`."""
    settings = _load(name).env
    own = settings.pop("PATH").partition(os.pathsep)[0]
    for stale in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        if stale in os.environ:
            print(f"unset {stale}")
    for key, value in settings.items():
        print(f"export {key}={shlex.quote(value)}")
    if own not in os.environ.get("PATH", "").split(os.pathsep):
        print(f'export PATH={shlex.quote(own)}:"$PATH"')


@lab.command()
@_name_option
@click.argument("part", default="operator")
@click.option("-f", "--follow", is_flag=True, help="Go on as more is written.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(0))
@_sentences
def logs(name: str, part: str, follow: bool, lines: int) -> None:
    """Show a log: operator (default), etcd, apiserver, controller-manager, node, aws, and with a real node kubelet or containerd."""
    found = _load(name)
    if part == "operator":
        files = found.operator_logs()[-1:]
        if not files:
            raise LabError("No operator has run in this lab yet; `penstock lab up` installs it.")
    elif (file := found.state.logs / f"{part}.log").is_file():
        files = [file]
    else:
        there = sorted(file.stem for file in found.state.logs.glob("*.log"))
        raise LabError(f"There is no log of {part}; there are operator, {', '.join(there)}.")
    os.execvp("tail", ["tail", "-n", str(lines), *(["-F"] if follow else []), str(files[0])])  # noqa: S606


_SERVICE = click.option("--service", default="*", show_default=True, help="Such as dynamodb; * and ? match.")
_OPERATION = click.option("--operation", default="*", show_default=True, help="Such as UpdateTable or Describe*.")


@lab.group()
def fault() -> None:
    """Break something on purpose, in AWS or Kubernetes."""


def _add_aws_fault(kind: str, text: str, seconds: bool = False, code: bool = False) -> None:
    def command(name: str, duration: float | None, count: int | None, **rule: Any) -> None:
        told = {key: value for key, value in rule.items() if value is not None}
        if duration is not None:
            told["expires"] = duration
        if count is not None:
            told["count"] = count
        made = _control(lambda: _load(name).aws.add_fault(kind=kind, **told))
        _screen.print(f"{made['id']}: {_told(made)}")

    options = [
        click.option(
            "--for",
            "duration",
            type=click.FloatRange(0),
            metavar="SECONDS",
            help="End by itself; default: until cleared.",
        ),
        click.option("--count", type=click.IntRange(1), help="End after this many requests."),
        click.option(
            "--rate", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="The share of requests hit."
        ),
        click.option("--key", default="*", show_default=True, help="The resource's name, such as a table's."),
        _OPERATION,
        _SERVICE,
        _name_option,
    ]
    if seconds:
        what = "How long each request is held." if kind == "latency" else "How old the answers are."
        options.append(click.option("--seconds", type=click.FloatRange(0), default=2.0, show_default=True, help=what))
    if code:
        options.append(click.option("--status", type=click.IntRange(400, 599), help="The HTTP status."))
        options.append(click.option("--code", help="The error's code, such as InternalServerError."))
    if kind in ("error", "drop", "deny"):
        when = click.Choice(["before", "after"])
        options.append(
            click.option(
                "--when", type=when, default="before", show_default=True, help="after: the request took effect."
            )
        )
    decorated = _sentences(command)
    for option in options:
        decorated = option(decorated)
    fault.command(name=kind, help=text)(decorated)


_add_aws_fault("throttle", "AWS refuses requests as too many.")
_add_aws_fault("error", "AWS answers with a server error.", code=True)
_add_aws_fault("latency", "AWS answers late.", seconds=True)
_add_aws_fault("drop", "The connection to AWS breaks.")
_add_aws_fault("stale", "AWS answers reads with what was so a while ago.", seconds=True)
_add_aws_fault("deny", "AWS denies the action.")


def _control(call: Callable[[], Any]) -> Any:
    from .aws.client import LabAWSError

    try:
        return call()
    except LabAWSError as error:
        raise LabError(str(error)) from None
    except OSError as error:
        raise LabError(f"The AWS endpoint does not answer ({error}); `penstock lab up` brings it back.") from None


def _told(rule: dict[str, Any]) -> str:
    target = f"{rule['service']}.{rule['operation']}" + (f" of {rule['key']}" if rule.get("key", "*") != "*" else "")
    more = [f"{rule['rate']:.0%} of requests"] if rule.get("rate", 1) < 1 else []
    if rule["kind"] in ("latency", "stale"):
        more.append(f"{rule['seconds']:g} s")
    if "expires" in rule:
        more.append(f"for {rule['expires']:g} s")
    if "count" in rule:
        more.append(f"{rule['count']} times")
    return ", ".join([f"{rule['kind']} {target}", *more, f"{rule['hits']} hit"])


@fault.command(name="list")
@_name_option
@_sentences
def list_faults(name: str) -> None:
    """The AWS faults in force."""
    rules = _control(lambda: _load(name).aws.faults())
    for rule in rules:
        _screen.print(f"{rule['id']}: {_told(rule)}")
    if not rules:
        _screen.print("No fault is in force.")


@fault.command()
@_name_option
@click.argument("rule", required=False)
@_sentences
def clear(name: str, rule: str | None) -> None:
    """End one AWS fault (by its id), or all."""
    ended = _control(lambda: _load(name).aws.clear_faults(rule))
    if rule and not ended:
        raise LabError(f"No fault {rule} is in force; `penstock lab fault list` names those that are.")
    _screen.print(f"{ended} ended.")


@fault.command(name="api-down")
@_name_option
@click.option("--for", "duration", type=click.FloatRange(0), default=30.0, show_default=True, metavar="SECONDS")
@click.option("--freeze", is_flag=True, help="Freeze it, so that requests hang instead of being refused.")
@_sentences
def api_down(name: str, duration: float, freeze: bool) -> None:
    """Take the API server away for a while (waits; Ctrl-C brings it back at once)."""
    with _load(name).api_away(freeze=freeze):
        _screen.print(f"The API server is {'frozen' if freeze else 'away'} for {duration:g} s; Ctrl-C brings it back.")
        try:
            time.sleep(duration)
        except KeyboardInterrupt:
            _screen.print("")
    _screen.print("The API server is back.")


def _databases(name: str, action: str, body: dict[str, Any]) -> Any:
    if _load(name).state.postgres is None:
        raise LabError(
            f"The lab {name} has no databases: it was brought up with --no-postgres. `penstock lab down --name {name}`, then "
            f"`penstock lab up --name {name}` brings one that has them."
        )
    return _control(lambda: _load(name).aws.postgres(action, **body))


add_commands(lab, fault, _databases, lambda command: _name_option(_sentences(command)))


@lab.command()
@_name_option
@click.option("--speed", type=click.FloatRange(0, min_open=True), help="How many lab seconds pass in a second.")
@click.option("--advance", metavar="DURATION", help="Jump ahead, by 90s, 5m, 1h or 2d.")
@_sentences
def clock(name: str, speed: float | None, advance: str | None) -> None:
    """Show the AWS endpoint's clock; run it faster, or jump ahead."""
    jump = _duration(advance) if advance else None
    shown = _control(lambda: _load(name).aws.clock(speed=speed, advance=jump))
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(shown["now"]))
    _screen.print(f"{moment}, {shown['speed']:g} times as fast as real time")


def _duration(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        return float(text[:-1]) * units[text[-1]]
    except (KeyError, ValueError):
        raise LabError(
            f"--advance {text} is no duration: write a number and s, m, h or d, such as 90s or 1h."
        ) from None


@lab.command()
@_name_option
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@_sentences
def settings(name: str, changes: tuple[str, ...]) -> None:
    """Show or change how the AWS endpoint behaves, such as table_create_s=0.5."""
    shown = _control(lambda: _load(name).aws.settings(**_values(changes)))
    for key, value in shown.items():
        print(f"{key}={json.dumps(value)}")


@lab.command()
@_name_option
@click.option("--reset", is_flag=True, help="Begin counting anew.")
@_sentences
def calls(name: str, reset: bool) -> None:
    """How often each AWS operation was asked for."""
    aws = _load(name).aws
    if reset:
        _control(aws.reset_calls)
        return
    counted = _control(aws.calls)
    for operation, count in sorted(counted["counts"].items(), key=lambda item: -item[1]):
        print(f"{count:8} {operation}")


@lab.command(context_settings={"ignore_unknown_options": True})
@_name_option
@click.argument("service")
@click.argument("operation")
@click.argument("parameters", nargs=-1, type=click.UNPROCESSED)
@_sentences
def aws(name: str, service: str, operation: str, parameters: tuple[str, ...]) -> None:
    """Ask the lab's AWS something, as the AWS CLI would: `penstock lab aws dynamodb describe-table --table-name orders`."""
    from botocore.exceptions import BotoCoreError, ClientError

    found = _load(name)
    if program := shutil.which("aws"):
        sys.exit(
            subprocess.run(
                [program, "--endpoint-url", found.aws_url, service, operation, *parameters],
                env=os.environ | found.env,
                check=False,
            ).returncode
        )
    try:
        client = found.boto(service)
        method = operation.replace("-", "_")
        if method not in client.meta.method_to_api_mapping:
            known = ", ".join(sorted(one.replace("_", "-") for one in client.meta.method_to_api_mapping))
            raise LabError(f"{service} has no {operation}; it has {known}.")
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape
        answer = getattr(client, method)(**_parameters(parameters, shape))
    except (ClientError, BotoCoreError) as error:
        raise LabError(str(error)) from None
    answer.pop("ResponseMetadata", None)
    print(json.dumps(answer, indent=2, default=str))


def _parameters(words: tuple[str, ...], shape: Any) -> dict[str, Any]:
    """`--table-name x --limit 3 --no-consistent-read` by the operation's own input shape."""
    members = {name.lower(): (name, member) for name, member in (shape.members if shape else {}).items()}
    given: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        key = word.removeprefix("--").replace("-", "").lower()
        if not word.startswith("--") or (key.removeprefix("no") not in members and key not in members):
            raise LabError(
                f"{word} is no parameter here; there are {', '.join('--' + _dashed(one) for one, _ in members.values())}."
            )
        name, member = members.get(key) or members[key.removeprefix("no")]
        if member.type_name == "boolean":
            given[name] = key in members
        elif not rest:
            raise LabError(f"{word} needs a value.")
        else:
            value = rest.pop(0)
            given[name] = value if member.type_name == "string" else _json_or_text(value)
    return given


def _dashed(name: str) -> str:
    return "".join(
        f"-{letter.lower()}" if letter.isupper() and index else letter.lower() for index, letter in enumerate(name)
    )


@lab.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Play the whole story on a lab of its own, narrated and checked; --help tells its options."""
    from .demo.command import demo as play

    play.main(list(arguments), prog_name="penstock lab demo")
