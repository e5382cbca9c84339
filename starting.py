"""From a few answers to a first scenario on disk that is valid as it stands."""

import os
import re
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, TypeVar

from rich.markup import escape
from rich.prompt import InvalidResponse, Prompt, PromptBase

from .agents.team import Team
from .runtime.errors import InputError
from .runtime.tasks.guess import guess
from .runtime.tasks.mapping import ANSWERS, QUESTIONS
from .scenarios.document import parse
from .scenarios.load import build
from .scenarios.starter import GROUNDS, PLACES, Place, Starter, StarterTask

T = TypeVar("T", bound=str)

PROMPT = "Which label fits this text?"

SAMPLES = (
    ("reviews", "Tell whether a review is positive or negative.", ("negative", "positive")),
    ("tickets", "Tell whether a support ticket is urgent or routine.", ("routine", "urgent")),
)


class Answers(NamedTuple):
    """What a person says of a first scenario; None is what was left open."""

    place: Place | None = None
    target: str | None = None
    writer: str | None = None
    data: Path | None = None
    prompt: str | None = None
    source: Path | None = None


class _DataFile(PromptBase[Path]):
    def process_response(self, value: str) -> Path:
        path = Path(value.strip()).expanduser()
        if not path.is_file():
            raise InvalidResponse(f"[prompt.invalid]{escape(value.strip())}: no such data file")
        return path


def at_terminal() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def interview() -> Answers:
    """What the person at the terminal answers."""
    place = _chosen("Where are your models asked", PLACES)
    ground = GROUNDS[place]
    return Answers(
        place=place,
        target=Prompt.ask("Model the prompts are for", default=ground.target),
        writer=Prompt.ask("Model that writes candidates", default=ground.writer),
        data=_DataFile.ask(
            "Rows of your task, a JSONL or CSV file (empty: two small samples)",
            default=None,
            show_default=False,
        ),
        prompt=Prompt.ask("The prompt you use today", default=PROMPT),
    )


def _chosen(question: str, choices: Sequence[T]) -> T:
    answer = Prompt.ask(question, default=choices[0], choices=[*choices])
    return next(choice for choice in choices if choice == answer)


def starter_of(path: Path, answers: Answers) -> Starter:
    """The scenario to write at `path`, with the usual where an answer was left open. Raises InputError."""
    place = answers.place or PLACES[0]
    ground = GROUNDS[place]
    sources, targets = starter_tasks(path.parent, answers.data, answers.source)
    return Starter(
        name=name_of(path),
        place=place,
        writer=answers.writer or ground.writer,
        target=answers.target or ground.target,
        sources=sources,
        targets=targets,
        prompt=answers.prompt or PROMPT,
    )


def starter_tasks(
    folder: Path, data: Path | None, source: Path | None
) -> tuple[list[StarterTask], list[StarterTask]]:
    """The source tasks and the target tasks; two samples where no data is named."""
    if data is None and source is None:
        sample_source, sample_target = sample_tasks(folder)
        return [sample_source], [sample_target]
    if data is None:
        raise InputError("--source-data: also name the rows of your task with --data")
    sources = [] if source is None else [task_of(source, folder)]
    targets = [task_of(data, folder)]
    if [task.name for task in sources] == [task.name for task in targets]:
        targets = [targets[0]._replace(name=f"{targets[0].name}-target")]
    return sources, targets


def task_of(data: Path, folder: Path) -> StarterTask:
    """The task that a data file seems to hold, its path as seen from `folder`. Raises InputError."""
    if not data.is_file():
        raise InputError(f"{data}: no such data file")
    found = guess(data)
    named = (("question", found.question, QUESTIONS), ("answer", found.answer, ANSWERS))
    return StarterTask(
        name=name_of(data),
        data=os.path.relpath(data, folder),
        kind=found.kind,
        labels=found.labels,
        fields=tuple((key, field) for key, field, usual in named if field not in usual),
    )


def name_of(path: Path) -> str:
    """A name for what a file holds: its own, without what names may not hold."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_") or "unnamed"


def sample_tasks(folder: Path) -> tuple[StarterTask, StarterTask]:
    """Two small tasks to try things with; their data is copied to `folder`/data, where it is not yet."""
    bundled = files("transfer_prompting.scenarios").joinpath("data")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    tasks: list[StarterTask] = []
    for name, description, labels in SAMPLES:
        copy = folder / "data" / f"{name}.jsonl"
        if not copy.exists():
            copy.write_text(bundled.joinpath(copy.name).read_text("utf-8"), encoding="utf-8")
        tasks.append(StarterTask(name, f"data/{copy.name}", "classification", labels, (), description))
    return tasks[0], tasks[1]


def write_starter(starter: Starter, path: Path) -> None:
    """Write the scenario, once its text and its data are found valid. Raises InputError."""
    schema = Path(str(files("transfer_prompting.scenarios").joinpath("schema.json"))).absolute().as_uri()
    text = starter.text(file=str(path), schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    Team(build(parse(text, str(path)), path.parent)).prepared()
    path.write_text(text, encoding="utf-8")
