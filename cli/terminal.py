"""What a run says while it goes on: facts as lines, a live panel at a terminal, or JSON for scripts."""

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import msgspec
from anyio.abc import TaskStatus
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from ..runtime.bus import Event
from ..runtime.llm.stack import SpendingNow
from ..runtime.messages import (
    CandidatesProposed,
    ProblemMet,
    PromptScored,
    SearchEnded,
    SearchStarted,
    StepEnded,
    TargetTested,
)
from ..runtime.record.results import Status
from .progress import Progress

Show = Callable[[Event], None]

REFRESH_SECONDS = 0.25
LOG_SECONDS = 30.0
"""Between two lines on where the run stands, where no panel tells it."""


class RunWritten(msgspec.Struct, frozen=True, tag=True):
    """The last line of `--json`: how the run ended and where its results are."""

    status: Status
    results: str


@asynccontextmanager
async def display(
    console: Console, now: Callable[[], SpendingNow], *, quiet: bool = False, json: bool = False
) -> AsyncGenerator[Show]:
    """Show every event it is called with: at a terminal as lines above a live panel, elsewhere as lines.

    With `json` every event is one line of JSON on stdout, with `quiet` nothing is shown. `now` tells what is
    spent; it is asked once the first event has come.
    """
    if quiet:
        yield _nothing
    elif json:
        yield print_json
    else:
        progress = Progress(now)

        def show(event: Event) -> None:
            progress.note(event)
            line = _line(event)
            if line is not None:
                console.print(line, highlight=False)

        shown = _panel if console.is_terminal else _log
        async with anyio.create_task_group() as tasks:
            await tasks.start(shown, console, progress)
            yield show
            tasks.cancel_scope.cancel()


def print_json(fact: msgspec.Struct) -> None:
    """One line of JSON on stdout, flushed; `type` names what it is."""
    sys.stdout.buffer.write(msgspec.json.encode(fact) + b"\n")
    sys.stdout.buffer.flush()


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
        console.print(f"  … {progress.line()}", markup=False, highlight=False, soft_wrap=True)


def _nothing(_event: Event) -> None:
    pass


def _line(event: Event) -> str | None:
    match event:
        case SearchStarted():
            tasks, models = ", ".join(event.tasks), ", ".join(event.models)
            return f"[bold]{event.stage} stage[/]: {tasks} with {models}, {event.steps} steps"
        case CandidatesProposed():
            refused = ", ".join(f"{count} {reason}" for reason, count in event.refused.items())
            told = f" (refused: {escape(refused)})" if refused else ""
            return f"  {event.scope}, step {event.step}: {len(event.prompts)} candidates{told}"
        case PromptScored():
            objective = "–" if event.objective is None else f"{event.objective:.3f}"
            text = escape(_short(event.prompt.text))
            about = "~" if event.stopped else " "
            return f"   {about}{objective} on {event.split}  [dim]{event.prompt.origin:<10} {text}[/]"
        case StepEnded():
            best = "–" if event.objective is None else f"{event.objective:.3f}"
            return f"  {event.scope}, step {event.step}: best so far {best}" if event.step else None
        case SearchEnded():
            return f"  {event.scope}: keeps {len(event.prompts)}; {escape(event.reason)}"
        case TargetTested():
            card = event.scorecard
            objective = "–" if card.objective is None else f"{card.objective:.3f}"
            return f"  {event.task} with {event.model}: {event.part} {objective} on test ({card.n} rows)"
        case ProblemMet():
            return f"  [yellow]! {escape(event.problem)}[/]"
        case _:
            return None


def _short(text: str, width: int = 70) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
