"""The events of a run as the report reads them: plain data from the history or from the bus.

Only what the page needs is named here; further fields and other kinds of event are passed over, so that a
history of a later version can be read too. The kinds are those of `agents.messages`, which is a floor above.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec

from ....scenarios.errors import InputError
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


class SearchStarted(msgspec.Struct, frozen=True, tag=True):
    stage: Literal["source", "target"]
    scope: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    steps: int


class CandidatesProposed(msgspec.Struct, frozen=True, tag=True):
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


class SearchEnded(msgspec.Struct, frozen=True, tag=True):
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
    | SearchStarted
    | CandidatesProposed
    | NotesTaken
    | PromptScored
    | StepEnded
    | SearchEnded
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


@dataclass
class Step:
    """One step of a search as it is known by now."""

    candidates: int = 0
    refused: int = 0
    answers: int = 0
    objective: float | None = None
    cost: Cost | None = None


class Scoring(NamedTuple):
    """A prompt (its place) scored at a step; `stopped` where it left its race early."""

    step: int
    split: Split
    prompt: int
    objective: float | None
    stopped: bool


SearchEvent = CandidatesProposed | NotesTaken | PromptScored | StepEnded | SearchEnded | SearchStarted


@dataclass
class SearchStory:
    """One search as it is known by now."""

    began: SearchStarted
    steps: dict[int, Step] = field(default_factory=dict)
    scored: list[Scoring] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    refused: dict[str, int] = field(default_factory=dict)
    best: int | None = None
    objective: float | None = None
    reason: str = ""

    def step(self, number: int) -> Step:
        return self.steps.setdefault(number, Step())


class Prompts:
    """Every prompt met so far, each at its place in order of appearance."""

    def __init__(self) -> None:
        self._all: list[Prompt] = []
        self._places: dict[str, int] = {}

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self._all)

    def __getitem__(self, place: int) -> Prompt:
        return self._all[place]

    def place(self, prompt: Prompt) -> int:
        """The place of a prompt, from now on its own."""
        id = prompt.id
        if id not in self._places:
            self._places[id] = len(self._all)
            self._all.append(prompt)
        return self._places[id]

    def find(self, ids: Iterable[str]) -> tuple[int, ...]:
        """The places of those prompts that are known."""
        return tuple(self._places[id] for id in ids if id in self._places)


class Story:
    """The state of a run, as far as its events have told it; apply them in their order with `take`.

    `cells` holds the last scorecard of a prompt (its place) by task, model and split.
    """

    def __init__(self) -> None:
        self.name = ""
        self.seed: int | None = None
        self.status = "running"
        self.splits: dict[str, tuple[int, int, int]] = {}
        self.prompts = Prompts()
        self.searches: dict[str, SearchStory] = {}
        self.cells: dict[tuple[int, str, str, Split], Card] = {}
        self.answered: dict[str, tuple[int, int]] = {}
        self.problems: list[str] = []
        self.began: datetime | None = None
        self.latest: datetime | None = None

    def take(self, at: datetime, event: Told) -> None:
        """Take in one event."""
        self.began = self.began or at
        self.latest = at
        match event:
            case TargetTested():
                self._tested(event)
            case BatchAnswered():
                answered, failed = self.answered.get(event.model, (0, 0))
                self.answered[event.model] = (answered + event.answered, failed + event.failed)
            case RunStarted():
                self.name, self.seed, self.splits = event.name, event.seed, event.tasks
            case ProblemMet():
                self.problems.append(event.problem)
            case RunEnded():
                self.status = event.status
            case _:
                self._search(event)

    def _search(self, event: SearchEvent) -> None:
        if isinstance(event, SearchStarted):
            self.searches[event.scope] = SearchStory(event)
            return
        search = self.searches.get(event.scope)
        if search is None:
            return
        match event:
            case CandidatesProposed():
                self._proposed(search, event)
            case NotesTaken():
                search.notes = event.notes
            case PromptScored():
                self._scored(search, event)
            case StepEnded():
                step = search.step(event.step)
                step.objective, step.cost = event.objective, event.cost
                search.objective = event.objective
                search.best = next(iter(self.prompts.find([event.best])), search.best)
            case SearchEnded():
                search.reason = event.reason
                if event.prompts:
                    search.best = self.prompts.place(event.prompts[0])

    def _proposed(self, search: SearchStory, event: CandidatesProposed) -> None:
        step = search.step(event.step)
        step.candidates += len(event.prompts)
        step.refused += sum(event.refused.values())
        for prompt in event.prompts:
            self.prompts.place(prompt)
        for reason, count in event.refused.items():
            search.refused[reason] = search.refused.get(reason, 0) + count

    def _scored(self, search: SearchStory, event: PromptScored) -> None:
        place = self.prompts.place(event.prompt)
        rows = 0
        for task, models in event.scores.items():
            for model, card in models.items():
                self.cells[place, task, model, event.split] = card
                rows += card.n + card.failed
        search.scored.append(Scoring(event.step, event.split, place, event.objective, event.stopped))
        if event.split == "train":
            search.step(event.step).answers += rows

    def _tested(self, event: TargetTested) -> None:
        place = self.prompts.place(event.prompt)
        self.cells[place, event.task, event.model, "test"] = event.scorecard
