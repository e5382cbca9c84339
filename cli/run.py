"""Runs started from the command line: displayed, stopped by signals, ended with an exit code."""

import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import anyio
from rich.console import Console

from ..agents.team import Team
from ..runtime.bus import Event
from ..runtime.concurrency import ungrouped
from ..runtime.record.results import Results
from ..runtime.report.comparison import line_up
from ..runtime.report.live import Feed, serve
from ..scenarios import Scenario
from ..scenarios.errors import InputError
from ..scenarios.scenario import variants
from .signals import SIGNALS, Interrupted, interruptible
from .tables import comparison_table, summary
from .terminal import RunWritten, display, print_json

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

_YOUNG = 20_000  # objects made and not yet gone after which the collector looks; Python's own is 700


def run_event_loop(main: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
    """Run `main` to its end, on uvloop where that is installed, and return or raise what it does.

    The garbage collector is set for many calls at once: it never again walks what imports made (that alone
    costs about as much as a model call), and a burst of calls does not make it look at each of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
    return anyio.run(main, *arguments, backend_options={"use_uvloop": find_spec("uvloop") is not None})


class Exit(IntEnum):
    """What the exit codes mean."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    BUDGET = 3
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Manner:
    """How runs are shown; see `terminal.display`.

    `live` serves the report on loopback as a run goes, on `port` (0: any free one); `keep` goes on after its
    end until a signal comes.
    """

    console: Console
    quiet: bool = False
    json: bool = False
    live: bool = False
    keep: bool = False
    port: int = 0

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
    results = _run_one(scenario, folder, manner, _tell_all)
    if results.status == "interrupted":
        raise Interrupted
    return _code(results)


Tell = Callable[[Results, Path, Manner], None]
"""Says what came of a run."""


def _run_one(scenario: Scenario, folder: Path, manner: Manner, tell: Tell) -> Results:
    return run_event_loop(_served, scenario, folder, manner, tell)


def _tell_all(results: Results, folder: Path, manner: Manner) -> None:
    _tell_scripts(results, folder, manner)
    if not manner.json:
        manner.console.print(summary(results))
        manner.console.print(f"results in {folder}, report in {folder / 'report.html'}", highlight=False)


def _tell_scripts(results: Results, folder: Path, manner: Manner) -> None:
    if manner.json:
        print_json(RunWritten(results.status, str(folder / "results.json")))


def _run_variants(scenario: Scenario, folder: Path, manner: Manner) -> Exit:
    """Run every variant with every seed into a folder of its own; the worst exit code is that of all.

    The budget of a variant is what it is to be compared at, so reaching it is no failure.
    """
    if manner.keep:
        raise InputError("--keep goes with one run, not with a comparison of many; leave it out")
    finished: list[Results] = []
    for variant in variants(scenario, folder / "cache.sqlite"):
        if not (manner.quiet or manner.json):
            manner.say(f"[bold]{variant.scenario.name}[/], seed {variant.scenario.seed}")
        results = _run_one(variant.scenario, folder / variant.folder, manner, _tell_scripts)
        if results.status == "interrupted":
            raise Interrupted
        finished.append(results)
    if not manner.json:
        manner.console.print(comparison_table(line_up(finished)))
        manner.console.print(f"results in {folder}", highlight=False)
    codes = [_code(results) for results in finished]
    return next((code for code in codes if code not in (Exit.DONE, Exit.BUDGET)), Exit.DONE)


async def _served(scenario: Scenario, folder: Path, manner: Manner, tell: Tell) -> Results:
    """A run, told when it ends, and served from before it begins where it is to be seen live."""
    if not manner.live:
        results = await _shown(Team(scenario, out=folder), manner)
        tell(results, folder, manner)
        return results
    feed = Feed(folder)
    async with serve(feed, port=manner.port) as url:
        manner.say(f"live view: {url}")
        results = await _shown(Team(scenario, out=folder), manner, feed.take)
        tell(results, folder, manner)
        await feed.finish()
        if manner.keep and results.status != "interrupted":
            manner.say("still serving; Ctrl-C ends it")
            await _until_told()
    return results


async def _until_told() -> None:
    """Until Ctrl-C or SIGTERM, which then end nothing else."""
    with anyio.open_signal_receiver(*SIGNALS) as signals:
        async for _ in signals:
            return


async def _shown(team: Team, manner: Manner, *observers: Callable[[Event], object]) -> Results:
    async with (
        ungrouped(),
        interruptible(manner.say) as interruption,
        display(manner.console, team.now, quiet=manner.quiet, json=manner.json) as show,
        team,
    ):
        for observer in (show, *observers):
            team.bus.subscribe(Event, observer)
        interruption.stop = team.stop
        return await team.run()


def _code(results: Results) -> Exit:
    return {"complete": Exit.DONE, "budget": Exit.BUDGET}.get(results.status, Exit.FAILED)
