"""Running scenarios from the command line: shown as they go, stopped by signals, ended with a code."""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from rich.console import Console

from .agents.team import Team
from .interrupt import Interrupted, interruptible
from .runtime.bus import Event
from .runtime.concurrency import ungrouped
from .runtime.loop import run as run_loop
from .runtime.report.comparison import line_up
from .runtime.report.comparison_table import comparison_table
from .runtime.report.results import Results
from .runtime.report.summary import summary
from .scenarios import Scenario
from .scenarios.variants import variants
from .terminal import RunWritten, display, print_json


class Exit(IntEnum):
    """What the exit codes mean."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    BUDGET = 3
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Manner:
    """How runs are shown; see `terminal.display`."""

    console: Console
    quiet: bool = False
    json: bool = False

    def say(self, line: str) -> None:
        """Tell a person; on stderr where stdout is for the summary or for scripts alone."""
        aside = self.quiet or self.json
        (Console(stderr=True) if aside else self.console).print(line, highlight=False)


def run(scenario: Scenario, folder: Path, manner: Manner) -> Exit:
    """Run a scenario, or all its variants, and print what came of it.

    Raises Interrupted when signals ended it; what is complete is written by then.
    """
    if scenario.compare is not None:
        return _run_variants(scenario, folder, manner)
    results = _run_one(scenario, folder, manner)
    if not manner.json:
        manner.console.print(summary(results))
        manner.console.print(f"results in {folder}", highlight=False)
    if results.status == "interrupted":
        raise Interrupted
    return _code(results)


def _run_one(scenario: Scenario, folder: Path, manner: Manner) -> Results:
    results = run_loop(_shown, Team(scenario, out=folder), manner)
    if manner.json:
        print_json(RunWritten(results.status, str(folder / "results.json")))
    return results


def _run_variants(scenario: Scenario, folder: Path, manner: Manner) -> Exit:
    """Run every variant with every seed into a folder of its own; the worst exit code is that of all.

    The budget of a variant is what it is to be compared at, so reaching it is no failure.
    """
    finished: list[Results] = []
    for variant in variants(scenario, folder / "cache.sqlite"):
        if not (manner.quiet or manner.json):
            manner.say(f"[bold]{variant.scenario.name}[/], seed {variant.scenario.seed}")
        results = _run_one(variant.scenario, folder / variant.folder, manner)
        if results.status == "interrupted":
            raise Interrupted
        finished.append(results)
    if not manner.json:
        manner.console.print(comparison_table(line_up(finished)))
        manner.console.print(f"results in {folder}", highlight=False)
    codes = [_code(results) for results in finished]
    return next((code for code in codes if code not in (Exit.DONE, Exit.BUDGET)), Exit.DONE)


async def _shown(team: Team, manner: Manner) -> Results:
    async with (
        ungrouped(),
        interruptible(manner.say) as interruption,
        display(manner.console, team.now, quiet=manner.quiet, json=manner.json) as show,
        team,
    ):
        team.bus.subscribe(Event, show)
        interruption.stop = team.stop
        return await team.run()


def _code(results: Results) -> Exit:
    return {"complete": Exit.DONE, "budget": Exit.BUDGET}.get(results.status, Exit.FAILED)
