"""Progress of a run at the terminal, told by its events."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from .agents.messages import (
    BatchAnswered,
    ProblemMet,
    PromptScored,
    PromptsKept,
    PromptsProposed,
    StageStarted,
    StepEnded,
    TargetTested,
)
from .runtime.bus import Event


class Board:
    """Shows what has happened: a line per fact, and below them a counter per model."""

    def __init__(self, console: Console, progress: Progress | None) -> None:
        self._console = console
        self._progress = progress
        self._rows: dict[str, object] = {}

    def show(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, BatchAnswered):
            self._count(event)
            return
        line = _line(event)
        if line is not None:
            self._console.print(line, highlight=False)

    def _count(self, event: BatchAnswered) -> None:
        if self._progress is None:
            return
        if event.model not in self._rows:
            self._rows[event.model] = self._progress.add_task(event.model, total=None, failed=0)
        row = self._rows[event.model]
        task = next(task for task in self._progress.tasks if task.id == row)
        failed = task.fields["failed"] + event.failed
        self._progress.update(task.id, advance=event.answered + event.failed, failed=failed)


@contextmanager
def board(console: Console) -> Generator[Board]:
    """A board on this console; without counters where it is no terminal."""
    if not console.is_terminal:
        yield Board(console, None)
        return
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f} answers, {task.fields[failed]} failed"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with progress:
        yield Board(console, progress)


def _line(event: Event) -> str | None:
    match event:
        case StageStarted():
            tasks, models = ", ".join(event.tasks), ", ".join(event.models)
            return f"[bold]{event.stage} stage[/]: {tasks} with {models}, {event.steps} steps"
        case PromptsProposed():
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
        case PromptsKept():
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
