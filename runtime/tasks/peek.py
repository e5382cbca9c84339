"""A look at a task's rows as the models will see them; no call is made."""

from collections.abc import Mapping

import msgspec

from ..llm.chat import Message
from ..prompt import Prompt
from .example import Example
from .load import LoadedTask
from .split import parts
from .task import Reading, messages


class PeekedRow(msgspec.Struct, frozen=True):
    """One row: what is sent, what may be answered (() where the space is open), and what is right."""

    id: str
    messages: tuple[Message, ...]
    allowed: tuple[str, ...]
    gold: str
    also: tuple[str, ...] = ()


class Peek(msgspec.Struct, frozen=True):
    """A task's first train rows, as `model` is asked them, and what loading it found out.

    `assumed` says that the reading rests on log-probabilities which the endpoint is only taken to return.
    `sizes` are rows by split, `counts` rows by gold answer for each split, `majority` the commonest answer of
    the test split with its share, `dropped` rows left out by reason.
    """

    task: str
    kind: str
    model: str
    reading: Reading
    assumed: bool
    rows: tuple[PeekedRow, ...]
    sizes: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    majority: tuple[str, float] | None
    dropped: Mapping[str, int]
    warnings: tuple[str, ...]


def peek(loaded: LoadedTask, model: str, reading: Reading, rows: int = 3, *, assumed: bool = False) -> Peek:
    """A loaded task with its first `rows` train rows as `reading` asks them of `model`; `assumed` says that
    the endpoint is only taken to return log-probabilities."""
    task, splits = loaded.task, loaded.splits
    return Peek(
        task=task.name,
        kind=task.answers.kind,
        model=model,
        reading=reading,
        assumed=assumed and reading.confidence == "token_probability",
        rows=tuple(_row(loaded, reading, example) for example in splits.train[:rows]),
        sizes={part: len(members) for part, members in parts(splits)},
        counts=loaded.counts,
        majority=loaded.majority(),
        dropped=loaded.dropped,
        warnings=loaded.warnings,
    )


def _row(loaded: LoadedTask, reading: Reading, example: Example) -> PeekedRow:
    question = example.asked()
    return PeekedRow(
        id=example.id,
        messages=messages(loaded.task, Prompt(text=loaded.task.original), question, reading),
        allowed=loaded.task.answers.allowed(question),
        gold=example.gold,
        also=example.also,
    )
