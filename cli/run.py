"""Runs started from the command line: displayed, stopped by signals, ended with an exit code."""

import gc
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import anyio
import msgspec
from rich.console import Console
from rich.markup import escape
from structlog.typing import FilteringBoundLogger

from ..agents.coordinator.estimate import unpriced
from ..agents.team import Team
from ..runtime.bus import Event
from ..runtime.concurrency import ungrouped
from ..runtime.record.results import Results
from ..runtime.report.comparison import METRICS
from ..runtime.report.tracking import TRACKERS
from ..scenarios import Scenario
from ..scenarios.errors import InputError
from ..scenarios.scenario import variants
from ._start import raise_on_ctrl_c
from .options import Exit
from .screen import Screen
from .signals import Interrupted, end_signals, interruptible
from .summary import shortfalls, summary
from .tables import results_view
from .terminal import RunWritten, display, print_json

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

_YOUNG = 20_000  # objects made and not yet gone after which the collector looks; Python's own is 700
_FILES = 10_240  # the most that macOS takes


def run_event_loop(main: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
    """Run `main` to its end, on uvloop where that is installed, and return or raise what it does.

    The garbage collector is set for many calls at once: it never again walks what imports made (that alone
    costs about as much as a model call), and a burst of calls does not make it look at each of them. Ctrl-C
    cancels `main`, and raises KeyboardInterrupt once that has ended.
    """
    raise_on_ctrl_c()  # asyncio cancels where it finds Python's own handler
    _allow_open_files()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
    return anyio.run(main, *arguments, backend_options={"use_uvloop": find_spec("uvloop") is not None})


def _allow_open_files() -> None:
    """Let this process open as many files as its user may allow it: each call in flight takes a socket, and
    some systems allow 256 at first."""
    with suppress(ImportError, OSError, ValueError):  # no such limits on Windows
        import resource

        soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class RunOptions(msgspec.Struct, frozen=True):
    """Display of a run, see `terminal.display`, and what else its end decides.

    `live` serves the report on loopback during the run, on `port` (0: any free one); `keep` goes on after its
    end until a signal comes. `metrics` is where metrics and health are served, `trackers` names experiment
    trackers, `log` gets every event.
    `fail_under` is a metric and the least gain of every target on held-out rows.
    """

    console: Console
    quiet: bool = False
    json: bool = False
    verbose: bool = False
    live: bool = False
    keep: bool = False
    port: int = 0
    metrics: str | None = None
    trackers: tuple[str, ...] = ()
    log: FilteringBoundLogger | None = None
    fail_under: tuple[str, float] | None = None

    def say(self, line: str) -> None:
        """Print a line for people; on stderr where stdout is for the summary or for scripts alone."""
        aside = self.quiet or self.json
        (Screen(stderr=True) if aside else self.console).print(line, highlight=False, soft_wrap=True)


def run(scenario: Scenario, folder: Path, options: RunOptions) -> Exit:
    """Run a scenario, or all its variants, and print the results.

    Raises Interrupted when signals ended it; what is complete is written by then.
    """
    for warning in unpriced(scenario):
        options.say(f"[yellow]! {escape(warning)}[/]")
    if scenario.compare is not None:
        return _run_variants(scenario, folder, options)
    results = _run_one(scenario, folder, options, _print_all)
    if results.status == "interrupted":
        raise Interrupted
    return _code(results, options)


Print = Callable[[Results, Path, RunOptions], None]
"""Prints the results of a run."""


def _run_one(scenario: Scenario, folder: Path, options: RunOptions, show: Print) -> Results:
    return run_event_loop(_served, scenario, folder, options, show)


def _print_all(results: Results, folder: Path, options: RunOptions) -> None:
    _print_json(results, folder, options)
    if not options.json:
        options.console.print(summary(results, verbose=options.verbose))
        said = f"results in {folder}, report in {folder / 'report.html'}"
        options.console.print(said, markup=False, highlight=False)


def _print_json(results: Results, folder: Path, options: RunOptions) -> None:
    if options.json:
        print_json(RunWritten(results.status, str(folder / "results.json")))


def _run_variants(scenario: Scenario, folder: Path, options: RunOptions) -> Exit:
    """Run every variant with every seed into a folder of its own; the worst exit code is that of all.

    Variants are compared at the same budget, so reaching it is no failure.
    """
    if options.keep:
        raise InputError("--keep goes with one run, not with a comparison of many; omit it")
    finished: list[Results] = []
    for variant in variants(scenario, folder / "cache.sqlite"):
        if not (options.quiet or options.json):
            options.say(f"[bold]{variant.scenario.name}[/], seed {variant.scenario.seed}")
        results = _run_one(variant.scenario, folder / variant.folder, options, _print_json)
        if results.status == "interrupted":
            raise Interrupted
        finished.append(results)
    if not options.json:
        options.console.print(results_view(finished, METRICS))
        options.console.print(f"results in {folder}", markup=False, highlight=False)
    codes = [_code(results, options) for results in finished]
    return next((code for code in codes if code not in (Exit.DONE, Exit.BUDGET)), Exit.DONE)


async def _served(scenario: Scenario, folder: Path, options: RunOptions, show: Print) -> Results:
    """A run whose results are printed when it ends, served from before it begins where it is to be live."""
    trackers = [TRACKERS[name]() for name in options.trackers]
    team = Team(scenario, out=folder, log=options.log, trackers=trackers)
    async with AsyncExitStack() as served:
        observers: list[Callable[[Event], object]] = []
        if options.metrics is not None:
            observers.append(await _monitored(team, options.metrics, served, options.say))
        if not options.live:
            results = await _displayed(team, options, *observers)
            show(results, folder, options)
            return results
        from ..runtime.report.live import Feed, serve

        feed = Feed(folder, team.now)
        url = await served.enter_async_context(serve(feed, port=options.port))
        options.say(f"live view: {escape(url)}")
        results = await _displayed(team, options, *observers, feed.take)
        show(results, folder, options)
        await feed.finish()
        if options.keep and results.status != "interrupted":
            options.say("still serving; Ctrl-C ends it")
            await _until_signal()
        return results


async def _monitored(
    team: Team, where: str, served: AsyncExitStack, say: Callable[[str], None]
) -> Callable[[Event], object]:
    """Serve metrics and health of a run as long as the stack lasts; what takes its events."""
    from ..runtime.report.monitor import RunMonitor, address, monitored

    host, port = address(where)
    monitor = RunMonitor(team.scenario.name, team.now)
    url = await served.enter_async_context(monitored(monitor.families, monitor.health, host=host, port=port))
    say(f"metrics: {url}/metrics, health: {url}/health")
    return monitor.take


async def _until_signal() -> None:
    """Wait for Ctrl-C, SIGTERM or SIGHUP, which then end nothing else."""
    with anyio.open_signal_receiver(*end_signals()) as signals:
        async for _ in signals:
            return


async def _displayed(team: Team, options: RunOptions, *observers: Callable[[Event], object]) -> Results:
    async with (
        ungrouped(),
        interruptible(options.say) as interruption,
        display(
            options.console, team.now, quiet=options.quiet, json=options.json, verbose=options.verbose
        ) as show,
        team,
        _observed(team.events(), show, *observers),
    ):
        interruption.stop = team.stop
        return await team.run()


@asynccontextmanager
async def _observed(
    events: AsyncIterator[Event], *observers: Callable[[Event], object]
) -> AsyncGenerator[None]:
    """Call the observers for every event. One that raises ends the run, where a subscriber of the bus would
    not: a display whose output nobody reads any more (BrokenPipeError)."""

    async def observe() -> None:
        async for event in events:
            for observer in observers:
                observer(event)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(observe)
        yield


def _code(results: Results, options: RunOptions) -> Exit:
    code = {"complete": Exit.DONE, "budget": Exit.BUDGET}.get(results.status, Exit.FAILED)
    if options.fail_under is None:
        return code
    missed = list(shortfalls(results, *options.fail_under))
    for line in missed:
        options.say(f"[red]{escape(line)}[/]")
    return Exit.FAILED if missed else code
