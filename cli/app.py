"""The command line `tprompt`. A command imports what it needs when it runs, so that help comes at once."""

import inspect
import shlex
import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from ._start import raise_on_ctrl_c
from .failures import explain
from .options import (
    AllowCode,
    BusOption,
    Exit,
    FailUnder,
    LogForm,
    LogLeast,
    MetricsAddress,
    Overrides,
    Place,
    ScenarioName,
    ServedModels,
    TrackerNames,
    console,
)
from .results import compare, export, report, view


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tprompt {version('transfer-prompting')}")
        raise typer.Exit


app = typer.Typer(
    name="tprompt",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Start with: tprompt run quickstart, or tprompt init. Each command's --help shows examples.",
)


@app.callback()
def tprompt(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Optimise a prompt on source tasks and transfer it to your tasks and models, with held-out numbers."""


START, RESULTS, OTHER = "Start", "Results", "Reference"
"""Panels of the help."""


@app.command(rich_help_panel=START)
def init(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to write.")] = Path("scenario.yaml"),
    place: Annotated[
        Place | None,
        typer.Option("--endpoint", help="Kind of endpoint of the models.", show_default="openai"),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Root of the API.", show_default="that of the kind of endpoint")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key-env", metavar="NAME", help="Environment variable that holds the API key."),
    ] = None,
    target: Annotated[str | None, typer.Option("--model", help="Model the prompts are for.")] = None,
    writer: Annotated[str | None, typer.Option("--writer", help="Model that writes candidates.")] = None,
    prompt: Annotated[
        str | None, typer.Option(help="The prompt you use today, or a .md or .txt file that holds it.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Rows of your task: JSONL, CSV, …", show_default="two small samples")
    ] = None,
    field: Annotated[
        str | None,
        typer.Option("--answer", metavar="FIELD", help="Field with the answer.", show_default="guessed"),
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--source-data", help="Rows of a task to refine prompts on before yours.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Make one call to each model.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a first scenario with comments, from questions at a terminal or from options.

    With any option it asks nothing and uses defaults for the rest. Kind, labels and fields are guessed from
    the data and shown: check them. The file is valid as written.

    Examples:

        tprompt init

        tprompt init my.yaml --endpoint vllm --model Qwen/Qwen2.5-7B-Instruct --data tickets.csv --test
    """
    from ..scenarios import InputError, load
    from .init import (
        Answers,
        at_terminal,
        check_connection,
        connection_notes,
        describe_tasks,
        interview,
        starter_of,
        write_starter,
    )
    from .screen import visible

    raise_on_ctrl_c()  # the questions end with the answers so far, calls with what they began
    if path.exists() and not force:
        raise InputError(f"{path}: exists already; choose another path, or overwrite it with --force")
    answers = Answers(place, base_url, key, target, writer, data, field, source, prompt)
    asked = answers == Answers() and at_terminal()
    try:
        answers = interview(path) if asked else answers
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    try:
        starter = starter_of(path, answers)
        loaded = write_starter(starter, path)
    except InputError as error:
        raise InputError(f"{error}\n{answers.kept(path)}" if asked else str(error)) from None
    for line in describe_tasks(starter, loaded):
        typer.echo(visible(line))
    typer.echo(f"wrote {path}; next: tprompt peek {shlex.quote(str(path))}")
    if test:
        check_connection(load(path), typer.echo)
    elif asked:
        for line in connection_notes(load(path)):
            typer.echo(f"! {visible(line)}")


@app.command(rich_help_panel=START)
def run(
    scenario: ScenarioName,
    out: Annotated[Path | None, typer.Option(help="Output folder.", show_default="runs/NAME")] = None,
    overrides: Overrides = None,
    allow_code: AllowCode = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the final summary only.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print every scored prompt, and every metric at the end.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON event a line on stdout, and nothing else there.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Serve the report on loopback during the run.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="With --live: keep serving after the run, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of --live; 0 is any free one.")] = 0,
    metrics: MetricsAddress = None,
    track: TrackerNames = None,
    log_format: LogForm = None,
    log_level: LogLeast = None,
    fail_under: FailUnder = None,
) -> None:
    """Run a scenario, or resume it where the folder holds a run of it.

    Finished calls are replayed from the folder's ledger and never paid twice. Ctrl-C lets calls in flight
    finish and writes what is complete; a second Ctrl-C ends the run at once.

    Exit codes: 0 done, 1 failed, incomplete or below --fail-under, 2 bad input, 3 budget reached,
    130 interrupted.

    Examples:

        tprompt run quickstart

        tprompt run my.yaml --out runs/try-1 --set seed=2 --set budget.usd=1.50

        tprompt run my.yaml --live --keep

        tprompt run my.yaml --quiet --fail-under gain=0.02

        tprompt run my.yaml --json | jq -c 'select(.type == "PromptScored")'
    """
    from ..scenarios import InputError, load
    from .logs import stderr_log
    from .run import RunOptions
    from .run import run as run_scenario
    from .signals import Interrupted
    from .summary import parse_threshold

    if keep and not live:
        raise InputError("--keep goes with --live: without it there is nothing to serve")
    least = None if fail_under is None else parse_threshold(fail_under)
    loaded = load(scenario, overrides or (), allow_code=allow_code)
    folder = out or Path("runs") / loaded.name
    log = stderr_log(log_format, log_level)
    followed = (metrics, tuple(track or ()), log)
    options = RunOptions(console(), quiet, json, verbose, live, keep, port, *followed, least)
    try:
        code = run_scenario(loaded, folder, options)
    except (Interrupted, KeyboardInterrupt):
        command = shlex.join(["tprompt", *sys.argv[1:]])
        typer.echo(f"interrupted; to continue: {command}", err=True)
        code = Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - what is expected, and what is not, ends in one message
        code = explain(error, folder)
    raise typer.Exit(code)


@app.command(rich_help_panel=START)
def validate(scenario: ScenarioName, overrides: Overrides = None, allow_code: AllowCode = False) -> None:
    """Check a scenario: the file, its data and its endpoints' settings. No call is made.

    Example: tprompt validate my.yaml
    """
    import msgspec
    from rich.markup import escape

    from ..agents.checks import check_scenario
    from ..agents.coordinator.estimate import unpriced
    from ..scenarios import load

    loaded = load(scenario, overrides or (), allow_code=allow_code)
    screen = console()
    for name, task in check_scenario(loaded).loaded.items():
        sizes = ", ".join(
            f"{len(rows)} {split}" for split, rows in msgspec.structs.asdict(task.splits).items()
        )
        screen.print(f"{name}: {task.task.answers.kind}; {sizes}", highlight=False)
        for warning in task.warnings:
            screen.print(f"  [yellow]! {escape(warning)}[/]", highlight=False)
    for warning in unpriced(loaded):
        screen.print(f"[yellow]! {escape(warning)}[/]", highlight=False)
    screen.print(f"{loaded.name}: valid")


@app.command(rich_help_panel=START)
def plan(scenario: ScenarioName, overrides: Overrides = None, allow_code: AllowCode = False) -> None:
    """Estimate what a run's budget buys: candidates, calls, tokens, cost, time. No call is made.

    Example: tprompt plan my.yaml --set targets='\\[small, large]'
    """
    from ..agents.checks import estimate_scenario
    from ..scenarios import load
    from .tables import estimate_view

    loaded = load(scenario, overrides or (), allow_code=allow_code)
    console().print(estimate_view(estimate_scenario(loaded)))


@app.command(rich_help_panel=START)
def peek(
    scenario: ScenarioName,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows of each task.")] = 3,
    overrides: Overrides = None,
    allow_code: AllowCode = False,
) -> None:
    """Show rows as the first target model gets them: messages, allowed answers, gold, dropped rows.

    Example: tprompt peek quickstart --task tickets --rows 1
    """
    from ..agents.loading import peeks
    from ..scenarios import load
    from .tables import peek_view

    loaded = load(scenario, overrides or (), allow_code=allow_code)
    console().print(peek_view(peeks(loaded, task, rows)))


for _command in (report, view, compare, export):
    app.command(rich_help_panel=RESULTS)(_command)


@app.command(rich_help_panel=OTHER)
def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show this one, with source and licence.")
    ] = None,
) -> None:
    """List the presets, ready mappings of public data sets, or show one of them.

    A preset brings no rows: name the files of the set in `data` or `files` of the task.

    Examples:

        tprompt presets

        tprompt presets boolq
    """
    from ..runtime.tasks.presets import find_preset
    from ..runtime.tasks.presets import presets as every_preset
    from .tables import preset_view, presets_view

    shown = presets_view(every_preset()) if name is None else preset_view(find_preset(name))
    console().print(shown, highlight=False)


@app.command(rich_help_panel=OTHER)
def worker(
    scenario: ScenarioName,
    bus: BusOption = None,
    models: ServedModels = None,
    metrics: MetricsAddress = None,
    log_format: LogForm = None,
    log_level: LogLeast = None,
    overrides: Overrides = None,
) -> None:
    """Make the model calls of runs that were started on other machines, until SIGTERM or Ctrl-C.

    It needs the scenario's endpoints and models, no data; keys are read from this machine's environment.
    SIGTERM lets calls in flight finish. Runs of any scenario with the same endpoint and model may share it.

    Example: tprompt worker my.yaml --bus nats://10.0.0.5:4222 --model small
    """
    from ..scenarios import load
    from .logs import stderr_log
    from .screen import Screen
    from .worker import run_worker

    plain, log = Screen(soft_wrap=True), stderr_log(log_format, log_level)
    show = partial(plain.print, markup=False, highlight=False)
    try:
        run_worker(
            load(scenario, overrides or ()),
            models or (),
            url=bus,
            say=log.info if log else show,
            metrics=metrics,
        )
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


@app.command(rich_help_panel=OTHER)
def scenarios() -> None:
    """List the bundled scenarios.

    Example: tprompt scenarios
    """
    from ..scenarios import load
    from ..scenarios.scenario import bundled

    screen = console()
    for name, path in bundled().items():
        screen.print(f"[bold]{name}[/]  {load(path).description}", highlight=False)


@app.command(rich_help_panel=OTHER)
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors.

    A first line `# yaml-language-server: $schema=scenario.schema.json` makes editors complete and check keys.

    Example: tprompt schema > scenario.schema.json
    """
    from ..scenarios.scenario import json_schema

    console().print_json(json_schema())


# Typer keeps the line breaks of a docstring, which are not those of a terminal.
for _info in app.registered_commands:
    _paragraphs = inspect.cleandoc(_info.callback.__doc__ or "" if _info.callback else "").split("\n\n")
    _info.help = "\n\n".join(paragraph.replace("\n", " ") for paragraph in _paragraphs)


def main() -> None:
    """Run the command line; every error is one message, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a console that lacks a character shows another, and goes on
            stream.reconfigure(errors="replace")
    try:
        app(standalone_mode=True)
    except Exception as error:  # noqa: BLE001 - every error ends in one message
        sys.exit(explain(error))
