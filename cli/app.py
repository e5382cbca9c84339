"""The command line `tprompt`."""

import shlex
import signal
import sys
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from ..agents.coordinator.estimate import unpriced
from ..agents.loading import peeks
from ..agents.team import Team
from ..runtime.record.results import TargetResult, in_folder, run_folders
from ..runtime.report.comparison import line_up
from ..runtime.report.export import as_dspy, as_json, as_promptfoo, as_text, chosen, only
from ..runtime.report.page import write_page
from ..runtime.tasks.presets import find_preset
from ..runtime.tasks.presets import presets as every_preset
from ..scenarios import load
from ..scenarios.errors import InputError, TransferPromptingError
from ..scenarios.scenario import bundled, completions, json_schema
from .init import Answers, Place, at_terminal, interview, starter_of, write_starter
from .run import Exit, Manner
from .run import run as run_scenario
from .signals import Interrupted
from .tables import comparison_table, estimate_view, peek_view, preset_view, presets_view, summary
from .worker import run_worker


def _say_version(wanted: bool) -> None:
    if wanted:
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
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Optimise a prompt on source tasks and transfer it to your tasks and models, with held-out numbers."""


ScenarioName = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO",
        help="Path of a scenario file, or a bundled name (tprompt scenarios).",
        autocompletion=completions,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY.PATH=VALUE", help="Override one value, e.g. budget.calls=500. Repeatable."
    ),
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of a run.")]


@app.command()
def run(
    scenario: ScenarioName,
    out: Annotated[Path | None, typer.Option(help="Output folder.", show_default="runs/NAME")] = None,
    overrides: Overrides = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the final summary only.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON event a line on stdout, and nothing else there.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Serve the report on loopback as the run goes.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="With --live: go on serving after the run, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of --live; 0 is any free one.")] = 0,
) -> None:
    """Run a scenario, or resume it where the folder holds a run of it.

    Finished calls are replayed from the folder's ledger and never paid twice. Ctrl-C lets calls in flight
    finish and writes what is complete; a second Ctrl-C ends the run at once.

    Examples:

        tprompt run quickstart

        tprompt run my.yaml --out runs/try-1 --set seed=2 --set budget.usd=1.50

        tprompt run my.yaml --live --keep

        tprompt run my.yaml --json | jq -c 'select(.type == "StepEnded")'
    """
    if keep and not live:
        raise InputError("--keep goes with --live: there is nothing to keep serving without it")
    loaded = load(scenario, overrides or ())
    folder = out or Path("runs") / loaded.name
    try:
        code = run_scenario(loaded, folder, Manner(Console(), quiet, json, live, keep, port))
    except (Interrupted, KeyboardInterrupt):
        command = shlex.join(["tprompt", *sys.argv[1:]])
        typer.echo(f"interrupted; to go on from here: {command}", err=True)
        code = Exit.INTERRUPTED
    raise typer.Exit(code)


@app.command()
def validate(scenario: ScenarioName, overrides: Overrides = None) -> None:
    """Check a scenario: the file, its data and its endpoints' settings. No call is made.

    Example: tprompt validate my.yaml
    """
    loaded = load(scenario, overrides or ())
    team = Team(loaded)
    console = Console()
    for name, task in team.check().items():
        sizes = ", ".join(
            f"{len(rows)} {split}" for split, rows in msgspec.structs.asdict(task.splits).items()
        )
        console.print(f"{name}: {task.task.answers.kind}; {sizes}", highlight=False)
        for warning in task.warnings:
            console.print(f"  [yellow]! {escape(warning)}[/]", highlight=False)
    for warning in unpriced(loaded):
        console.print(f"[yellow]! {escape(warning)}[/]", highlight=False)
    console.print(f"{loaded.name}: valid")


@app.command()
def plan(scenario: ScenarioName, overrides: Overrides = None) -> None:
    """Reckon what a run would take: calls, tokens, cost, time under the limits. No call is made.

    Example: tprompt plan my.yaml --set targets='\\[small, large]'
    """
    Console().print(estimate_view(Team(load(scenario, overrides or ())).estimate()))


@app.command()
def peek(
    scenario: ScenarioName,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows of each task.")] = 3,
    overrides: Overrides = None,
) -> None:
    """Show rows as the first target model will see them: messages, allowed answers, gold, what was dropped.

    Example: tprompt peek quickstart --task tickets --rows 1
    """
    Console().print(peek_view(peeks(load(scenario, overrides or ()), task, rows)))


@app.command()
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
    shown = presets_view(every_preset()) if name is None else preset_view(find_preset(name))
    Console().print(shown, highlight=False)


@app.command()
def report(folder: Folder) -> None:
    """Build DIR/report.html anew and print the summary of a run.

    Example: tprompt report runs/quickstart
    """
    console = Console()
    console.print(summary(in_folder(folder)))
    console.print(f"report in {write_page(folder)}", highlight=False)


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Output folders of runs.")],
) -> None:
    """Line runs up: held-out scores by scenario over seeds, and what each gains over the first.

    A folder of a comparison stands for all its runs. Runs of one scenario name differ in their seed.

    Example: tprompt compare runs/ablation
    """
    found = [in_folder(run) for folder in folders for run in run_folders(folder)]
    Console().print(comparison_table(line_up(found)))


class Format(StrEnum):
    """What `export` writes."""

    TEXT = "text"
    JSON = "json"
    DSPY = "dspy"
    PROMPTFOO = "promptfoo"


@app.command()
def export(
    folder: Folder,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.TEXT,
    task: Annotated[str | None, typer.Option(help="Only this target task.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this target model.")] = None,
) -> None:
    """Print the best prompts of a run, to take them elsewhere.

    text: the words alone (several prompts stand under a line each). json: with position, scores and gains.
    dspy: a Python file with a dspy.Signature for each. promptfoo: a configuration that tests the original
    and the best prompt on held-out rows; it takes one task and model.

    Examples:

        tprompt export runs/quickstart

        tprompt export runs/try-1 --task tickets --model small --format promptfoo > promptfooconfig.yaml
    """
    targets = chosen(in_folder(folder), task, model)
    match form:
        case Format.TEXT:
            typer.echo(as_text(targets))
        case Format.JSON:
            typer.echo(as_json(targets))
        case Format.DSPY:
            loaded = _team_of(folder).prepared()
            typer.echo(as_dspy([(target, loaded[target.task]) for target in targets]))
        case Format.PROMPTFOO:
            typer.echo(_promptfoo(only(targets, form), _team_of(folder)), nl=False)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to write.")] = Path("scenario.yaml"),
    place: Annotated[
        Place | None, typer.Option("--endpoint", help="Where models are asked.", show_default="openai")
    ] = None,
    target: Annotated[str | None, typer.Option("--model", help="Model the prompts are for.")] = None,
    writer: Annotated[str | None, typer.Option("--writer", help="Model that writes candidates.")] = None,
    prompt: Annotated[str | None, typer.Option(help="The prompt you use today.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Rows of your task: JSONL, CSV, …; left out: two small samples.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--source-data", help="Rows of a task to refine prompts on first.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a first scenario with comments: by asking at a terminal, or by options.

    Given an option that answers anything it asks nothing, and takes the usual for the rest.

    Kind, labels and fields are guessed from the data; read what was written. What is written is valid.

    Examples:

        tprompt init

        tprompt init my.yaml --endpoint vllm --model Qwen/Qwen2.5-7B-Instruct --data tickets.csv
    """
    if path.exists() and not force:
        raise InputError(f"{path}: is there already; choose another path, or --force to write over it")
    answers = Answers(place, target, writer, data, prompt, source)
    if answers == Answers() and at_terminal():
        answers = interview()
    write_starter(starter_of(path, answers), path)
    typer.echo(f"wrote {path}; go on with: tprompt peek {shlex.quote(str(path))}")


@app.command()
def worker(
    scenario: ScenarioName,
    bus: Annotated[
        str | None, typer.Option(help="Address of the nats-server.", show_default="the scenario's bus")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Entry of the scenario's models to serve. Repeatable.",
            show_default="those of bus.models, else the targets",
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Make the model calls of runs that are started elsewhere, until SIGTERM or Ctrl-C.

    Of the scenario it needs endpoints and models alone, no data; keys are read from this machine's
    environment. SIGTERM lets calls in hand finish. Runs of any scenario with the same endpoint and model
    may share it.

    Example: tprompt worker my.yaml --bus nats://10.0.0.5:4222 --model small
    """
    console = Console(soft_wrap=True, emoji=False)
    try:
        run_worker(
            load(scenario, overrides or ()),
            models or (),
            url=bus,
            say=lambda line: console.print(line, markup=False, highlight=False),
        )
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


@app.command()
def scenarios() -> None:
    """List the bundled scenarios.

    Example: tprompt scenarios
    """
    console = Console()
    for name, path in bundled().items():
        console.print(f"[bold]{name}[/]  {load(path).description}", highlight=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors.

    A first line `# yaml-language-server: $schema=scenario.schema.json` makes editors complete and check keys.

    Example: tprompt schema > scenario.schema.json
    """
    Console().print_json(json_schema())


def _team_of(folder: Path) -> Team:
    """A team for the scenario of a finished run, to look at its tasks."""
    return Team(load(folder / "scenario.yaml"))


def _promptfoo(target: TargetResult, team: Team) -> str:
    loaded = team.prepared()
    model = team.scenario.models[target.model]
    reading = team.readings(loaded)[target.task, target.model]
    return as_promptfoo(target, loaded[target.task], reading, model, team.scenario.endpoints[model.endpoint])


def main() -> None:
    """Run the command line; what the user can mend is one message, without a traceback."""
    # SIGTERM ends a run as Ctrl-C does, also before the run listens to it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    errors = Console(stderr=True, emoji=False)
    try:
        app(standalone_mode=True)
    except InputError as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(Exit.BAD_INPUT)
    except TransferPromptingError as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(Exit.FAILED)
