"""A look at a task's rows as the models will see them; no call is made."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ...scenarios import Scenario
from ...scenarios.nearest import nearest
from ...scenarios.tasks import Task as TaskSettings
from ..errors import InputError
from ..llm.protocol import Message
from ..prompt import Prompt
from .example import Example
from .load import LoadedTask, load_task
from .render import messages
from .split import parts
from .task import Reading


class PeekedRow(msgspec.Struct, frozen=True):
    """One row: what is sent, what may be answered (() where the space is open), and what is right."""

    id: str
    messages: tuple[Message, ...]
    allowed: tuple[str, ...]
    gold: str
    also: tuple[str, ...] = ()


class Peek(msgspec.Struct, frozen=True):
    """A task's first train rows and what loading it found out.

    `sizes` are rows by split, `counts` rows by gold answer for each split, `majority` the commonest answer of
    the test split with its share, `dropped` rows left out by reason.
    """

    task: str
    kind: str
    description: str
    original: str
    reading: Reading
    rows: tuple[PeekedRow, ...]
    sizes: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    majority: tuple[str, float] | None
    dropped: Mapping[str, int]
    warnings: tuple[str, ...]


def peek(scenario: Scenario, task: str | None = None, rows: int = 3) -> list[Peek]:
    """The scenario's tasks, or the one named, each with its first `rows` train rows.

    Rows are shown under the task's original prompt. Where the scenario leaves the reading to `auto`, which
    turns on the endpoint, it is shown as generated with a verbalised confidence. Raises InputError for an
    unknown task and for bad data.
    """
    names = [_known(task, scenario)] if task is not None else list(scenario.tasks)
    return [_peek(scenario, name, rows) for name in names]


def peek_task(loaded: LoadedTask, reading: Reading, rows: int = 3) -> Peek:
    """A loaded task with its first `rows` train rows as `reading` asks them."""
    task, splits = loaded.task, loaded.splits
    return Peek(
        task=task.name,
        kind=task.answers.kind,
        description=task.description,
        original=task.original,
        reading=reading,
        rows=tuple(_row(loaded, reading, example) for example in splits.train[:rows]),
        sizes={part: len(members) for part, members in parts(splits)},
        counts=loaded.counts,
        majority=loaded.majority(),
        dropped=loaded.dropped,
        warnings=loaded.warnings,
    )


def peek_text(found: Peek) -> str:
    """A peek as plain text for a terminal."""
    return "\n".join([*_head(found), *(line for row in found.rows for line in _lines(row))])


def _peek(scenario: Scenario, name: str, rows: int) -> Peek:
    settings = scenario.tasks[name]
    prompt = scenario.stages.source.seed_prompts[0]
    loaded = load_task(name, settings, folder=scenario.folder, seed=scenario.seed, seed_prompt=prompt)
    return peek_task(loaded, _shown(settings), rows)


def _shown(settings: TaskSettings) -> Reading:
    if settings.read == "likelihood":
        return Reading(read="likelihood", confidence="token_probability", max_tokens=1)
    confidence = "verbalised" if settings.confidence == "auto" else settings.confidence
    return Reading(read="generate", confidence=confidence)


def _known(task: str, scenario: Scenario) -> str:
    if task in scenario.tasks:
        return task
    raise InputError(f"{scenario.name}: no task {task!r}; {nearest(task, scenario.tasks)}")


def _row(loaded: LoadedTask, reading: Reading, example: Example) -> PeekedRow:
    question = example.asked()
    return PeekedRow(
        id=example.id,
        messages=messages(loaded.task, Prompt(text=loaded.task.original), question, reading),
        allowed=loaded.task.answers.allowed(question),
        gold=example.gold,
        also=example.also,
    )


def _head(found: Peek) -> Iterator[str]:
    yield f"{found.task}: {found.kind}; {_listed(found.sizes)}"
    if found.description:
        yield f"  {found.description}"
    for part, counts in found.counts.items():
        yield f"  gold answers in {part}: {_listed(counts)}"
    if found.majority is not None:
        yield f"  always answering {found.majority[0]!r} is right for {found.majority[1]:.1%} of test"
    for reason, count in found.dropped.items():
        yield f"  dropped {count}: {reason}"
    if not found.dropped:
        yield "  dropped no row"
    for warning in found.warnings:
        yield f"  ! {warning}"


def _lines(row: PeekedRow) -> Iterator[str]:
    yield ""
    yield f"--- row {row.id}"
    for message in row.messages:
        yield f"[{message.role}]"
        yield message.content
    yield f"allowed: {', '.join(row.allowed) or 'anything that fits the kind'}"
    yield f"gold: {_golds([row.gold, *row.also])}"


def _golds(answers: Sequence[str]) -> str:
    return " or ".join(answer for answer in answers if answer) or "none; answers are judged"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
