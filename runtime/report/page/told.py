"""The events of a run as the report reads them: plain data from the history or from the bus.

Only what the page needs is named here; further fields and other kinds of event are passed over, so that a
history of a later version can be read too. The kinds are those of `agents.messages`, which is a floor above.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

import msgspec

from ...errors import InputError
from ...prompt import Prompt

Split = Literal["train", "validation", "test"]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a scorecard that is shown for every prompt; see `evaluation.scorecard`."""

    n: int = 0
    failed: int = 0
    objective: float | None = None
    accuracy: float | None = None
    ifr: float | None = None
    ece: float | None = None
    auroc: float | None = None
    auprc_p: float | None = None
    auprc_n: float | None = None


class RunStarted(msgspec.Struct, frozen=True, tag=True):
    name: str
    seed: int
    tasks: dict[str, tuple[int, int, int]]
    targets: tuple[str, ...] = ()


class StageStarted(msgspec.Struct, frozen=True, tag=True):
    stage: Literal["source", "target"]
    scope: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    steps: int


class PromptsProposed(msgspec.Struct, frozen=True, tag=True):
    scope: str
    step: int
    prompts: tuple[Prompt, ...]
    refused: dict[str, int] = {}


class NotesTaken(msgspec.Struct, frozen=True, tag=True):
    scope: str
    step: int
    notes: tuple[str, ...]


class PromptScored(msgspec.Struct, frozen=True, tag=True):
    scope: str
    step: int
    split: Split
    prompt: Prompt
    objective: float | None
    scores: dict[str, dict[str, Card]] = {}
    stopped: bool = False


class Cost(msgspec.Struct, frozen=True):
    calls: int
    tokens: int
    usd: float


class StepEnded(msgspec.Struct, frozen=True, tag=True):
    scope: str
    step: int
    best: str
    objective: float | None
    cost: Cost | None = None


class PromptsKept(msgspec.Struct, frozen=True, tag=True):
    scope: str
    prompts: tuple[Prompt, ...]
    reason: str = ""


class TargetTested(msgspec.Struct, frozen=True, tag=True):
    task: str
    model: str
    part: str
    prompt: Prompt
    scorecard: Card


class ProblemMet(msgspec.Struct, frozen=True, tag=True):
    scope: str
    problem: str


class RunEnded(msgspec.Struct, frozen=True, tag=True):
    status: str


class BatchAnswered(msgspec.Struct, frozen=True, tag=True):
    model: str
    task: str
    answered: int
    failed: int


Told = (
    RunStarted
    | StageStarted
    | PromptsProposed
    | NotesTaken
    | PromptScored
    | StepEnded
    | PromptsKept
    | TargetTested
    | ProblemMet
    | RunEnded
    | BatchAnswered
)

_NAMES = frozenset(kind.__name__ for kind in get_args(Told))


class _Kind(msgspec.Struct):
    type: str


class _Line(msgspec.Struct):
    at: datetime
    event: msgspec.Raw


_kind = msgspec.json.Decoder(_Kind)
_told = msgspec.json.Decoder(Told)
_line = msgspec.json.Decoder(_Line)


def told(event: bytes | msgspec.Raw) -> Told | None:
    """The event in some JSON; None for kinds the page has no use for. Raises msgspec.DecodeError."""
    return _told.decode(event) if _kind.decode(event).type in _NAMES else None


def read_history(path: Path) -> Iterator[tuple[datetime, Told]]:
    """The events of `history.jsonl` with their times, in order; none where there is no file.

    A last line without its end, as a killed run leaves it, is passed over. Raises InputError that names the
    line for anything else that is no event.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if not text.endswith(b"\n"):
                return
            try:
                line = _line.decode(text)
                event = told(line.event)
            except msgspec.DecodeError as error:
                raise InputError(f"{path}:{number}: no event of a run ({error})") from None
            if event is not None:
                yield line.at, event
