"""Display of a run in progress: lines for what matters, a live panel at a terminal, or JSON for scripts."""

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import msgspec
from anyio.abc import TaskStatus
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..runtime.bus import Event
from ..runtime.formatting import excerpt, format_number, plural
from ..runtime.llm.stack import SpendingNow
from ..runtime.messages import (
    CandidatesProposed,
    NotesTaken,
    ProblemMet,
    PromptScored,
    RunStarted,
    SearchEnded,
    SearchStarted,
    TargetTested,
)
from ..runtime.record.results import Status
from ..runtime.report.progress import search_name
from .progress import Progress
from .screen import discard

Show = Callable[[Event], None]

REFRESH_SECONDS = 0.25
LOG_SECONDS = 30.0
"""Between two lines of progress, where there is no panel."""


class RunWritten(msgspec.Struct, frozen=True, tag=True):
    """The last line of `--json`: how the run ended and where its results are."""

    status: Status
    results: str


@asynccontextmanager
async def display(
    console: Console,
    now: Callable[[], SpendingNow],
    *,
    quiet: bool = False,
    json: bool = False,
    verbose: bool = False,
) -> AsyncGenerator[Show]:
    """Show every event it is called with: at a terminal as lines above a live panel, elsewhere as lines.

    Lines say when searches start, change their best prompt and end, what is tested, and problems; `verbose`
    adds every scored prompt and every reply of the reference LLM. With `json` every event is one line of JSON
    on stdout, with `quiet` nothing is shown. `now` gives what is spent; it is called after the first event.
    """
    if quiet:
        yield _nothing
    elif json:
        yield print_json
    else:
        progress, lines = Progress(now), _Lines(verbose=verbose)

        def show(event: Event) -> None:
            progress.note(event)
            line = lines.of(event)
            if line is not None:
                if console.is_terminal and isinstance(event, PromptScored):
                    console.print(line, overflow="ellipsis", no_wrap=True, highlight=False)
                else:
                    console.print(line, soft_wrap=True, highlight=False)

        shown = _panel if console.is_terminal else _log
        async with anyio.create_task_group() as tasks:
            await tasks.start(shown, console, progress)
            yield show
            tasks.cancel_scope.cancel()


def print_json(fact: msgspec.Struct) -> None:
    """One line of JSON on stdout, flushed; `type` names what it is."""
    try:
        sys.stdout.buffer.write(msgspec.json.encode(fact) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        discard(sys.stdout)
        raise


async def _panel(console: Console, progress: Progress, *, task_status: TaskStatus[None]) -> None:
    # It is drawn in the event loop: a thread of its own would read what the loop is changing.
    with Live(progress.panel(), console=console, auto_refresh=False, transient=True) as live:
        task_status.started()
        while True:
            live.update(progress.panel(), refresh=True)
            await anyio.sleep(REFRESH_SECONDS)


async def _log(console: Console, progress: Progress, *, task_status: TaskStatus[None]) -> None:
    task_status.started()
    while True:
        await anyio.sleep(LOG_SECONDS)
        console.print(f"… {progress.line()}", markup=False, highlight=False, soft_wrap=True)


def _nothing(_event: Event) -> None:
    pass


class _Lines:
    """Lines for events, None for those not worth one. Remembers names of searches and their leaders."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._names: dict[str, str] = {}
        self._most: dict[str, int] = {}
        self._leaders: dict[str, str] = {}

    def of(self, event: Event) -> Text | None:
        match event:
            case RunStarted():
                rows = ", ".join(
                    f"{task} {sum(sizes[:2])} + {sizes[2]}" for task, sizes in event.tasks.items()
                )
                return Text(f"{event.name}: search + test rows: {rows}")
            case SearchStarted():
                return self._started(event)
            case CandidatesProposed():
                return self._proposed(event) if self._verbose else None
            case NotesTaken():
                return Text(f"  {self._name(event.scope)}: notes rewritten") if self._verbose else None
            case PromptScored():
                return self._scored(event)
            case SearchEnded():
                kept = plural(len(event.prompts), "prompt")
                return Text(f"{self._name(event.scope)}: done, keeps {kept}; stopped: {event.reason}")
            case TargetTested():
                return _tested(event)
            case ProblemMet():
                return Text(f"! {event.problem}", style="yellow")
            case _:
                return None

    def _started(self, event: SearchStarted) -> Text:
        name = search_name(event)
        self._names[event.scope] = name
        self._most[event.scope] = event.rungs[-1] if event.rungs else 0
        over = f"{', '.join(event.tasks)} with {', '.join(event.models)}" if event.stage == "source" else name
        calls = "" if event.allotted is None else f", at most {event.allotted:,} {event.unit}"
        rows = plural(self._most[event.scope], "row")
        return Text.assemble((f"{event.stage} search", "bold"), f": {over}; {rows}{calls}")

    def _proposed(self, event: CandidatesProposed) -> Text:
        refused = ", ".join(f"{count} {reason}" for reason, count in event.refused.items())
        words = f"  {self._name(event.scope)}: {plural(len(event.prompts), 'candidate')} proposed"
        return Text(f"{words} (refused: {refused})" if refused else words)

    def _scored(self, event: PromptScored) -> Text | None:
        leads = event.leader == event.prompt.id
        new = leads and self._leaders.get(event.scope) != event.leader
        if leads:
            self._leaders[event.scope] = event.leader
        if not new and not self._verbose:
            return None
        rows, most = event.rows, self._most.get(event.scope, 0)
        of = f"{rows} of {most} rows" if rows < most else plural(rows, "row")
        kind = "best so far " if new else ""
        number = format_number(event.objective)
        about = f"  {self._name(event.scope)}: {kind}{number} ({of})  "
        return Text.assemble(about, (f"{event.prompt.origin}: {excerpt(event.prompt.text, 120)}", "dim"))

    def _name(self, scope: str) -> str:
        return self._names.get(scope, scope)


def _tested(event: TargetTested) -> Text:
    card = event.scorecard
    part = {"baseline": "original", "best": "best prompt", "transfer": "source prompt"}[event.part]
    scores = f"objective {format_number(card.objective)}, accuracy {format_number(card.accuracy)}"
    return Text(f"{event.task} · {event.model}: {part} on test: {scores} ({plural(card.n, 'row')})")
