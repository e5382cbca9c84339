"""The command line `tprompt`."""

import signal
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from .agents.team import Team
from .runtime.bus import Event
from .runtime.concurrency import ungrouped
from .runtime.errors import InputError, TransferPromptingError
from .runtime.loop import run as run_loop
from .runtime.report.results import Results, read
from .runtime.report.summary import summary
from .runtime.tasks.peek import peek as look
from .runtime.tasks.presets import presets as every_preset
from .scenarios import Scenario, load
from .scenarios.load import bundled
from .terminal import board
from .views import estimate_view, peek_view, presets_view


class Exit(IntEnum):
    """What the exit codes mean."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    BUDGET = 3
    INTERRUPTED = 130


app = typer.Typer(
    name="tprompt",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Optimise a prompt on source tasks and transfer it to your tasks and models, with held-out numbers.",
    epilog="Start with: tprompt run quickstart",
)

ScenarioName = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO", help="Path of a scenario file, or a bundled name (tprompt scenarios)."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY.PATH=VALUE", help="Override one value, e.g. budget.calls=500. Repeatable."
    ),
]


@app.command()
def run(
    scenario: ScenarioName,
    out: Annotated[Path | None, typer.Option(help="Output folder.", show_default="runs/NAME")] = None,
    overrides: Overrides = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the final summary only.")] = False,
) -> None:
    """Run a scenario, or resume it where the folder holds a run of it.

    Finished calls are replayed from the folder's ledger and never paid twice.

    Examples:

        tprompt run quickstart

        tprompt run my.yaml --out runs/try-1 --set seed=2 --set budget.usd=1.50
    """
    console = Console()
    loaded = load(scenario, overrides or ())
    folder = out or Path("runs") / loaded.name
    results = run_loop(_run, loaded, folder, console, quiet)
    console.print(summary(results))
    console.print(f"results in {folder}", highlight=False)
    raise typer.Exit(_code(results))


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
            console.print(f"  [yellow]! {warning}[/]")
    console.print(f"{loaded.name}: valid")


@app.command()
def plan(scenario: ScenarioName, overrides: Overrides = None) -> None:
    """Reckon what a run would take: calls, tokens, cost, time under the limits. No call is made.

    Example: tprompt plan my.yaml --set targets='[small, large]'
    """
    Console().print(estimate_view(Team(load(scenario, overrides or ())).estimate()))


@app.command()
def peek(
    scenario: ScenarioName,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows of each task.")] = 3,
    overrides: Overrides = None,
) -> None:
    """Show rows as the models will see them: messages, allowed answers, gold, and what was dropped.

    Example: tprompt peek quickstart --task tickets --rows 1
    """
    Console().print(peek_view(look(load(scenario, overrides or ()), task, rows)))


@app.command()
def presets() -> None:
    """List the presets: public data sets with a ready mapping."""
    Console().print(presets_view(every_preset()))


@app.command()
def report(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of a run.")]) -> None:
    """Print the summary of a run.

    Example: tprompt report runs/quickstart
    """
    path = folder / "results.json"
    if not path.is_file():
        raise InputError(f"{path}: no results here; give the output folder of a run")
    try:
        results = read(path)
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: not results of this version ({error}); run the scenario again") from None
    Console().print(summary(results))


@app.command()
def scenarios() -> None:
    """List the bundled scenarios."""
    console = Console()
    for name, path in bundled().items():
        console.print(f"[bold]{name}[/]  {load(path).description}", highlight=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    Console().print_json(data=Scenario.model_json_schema())


async def _run(scenario: Scenario, folder: Path, console: Console, quiet: bool) -> Results:
    with board(console) as shown:
        show: Callable[[Event], None] = (lambda _: None) if quiet else shown.show
        async with ungrouped(), Team(scenario, out=folder) as team:
            team.bus.subscribe(Event, show)
            return await team.run()


def _code(results: Results) -> Exit:
    return {"complete": Exit.DONE, "budget": Exit.BUDGET, "interrupted": Exit.INTERRUPTED}.get(
        results.status, Exit.FAILED
    )


def main() -> None:
    """Run the command line; what the user can mend is one message, without a traceback."""
    # SIGTERM ends a run as Ctrl-C does: cancelled, with everything complete on disk.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    errors = Console(stderr=True)
    try:
        app(standalone_mode=True)
    except InputError as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(Exit.BAD_INPUT)
    except TransferPromptingError as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(Exit.FAILED)
    except KeyboardInterrupt:
        errors.print("interrupted; run the same command again to go on from here")
        sys.exit(Exit.INTERRUPTED)


if __name__ == "__main__":
    main()
