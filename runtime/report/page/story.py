"""What the events of a run tell, taken in one at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from ...prompt import Prompt
from .told import (
    BatchAnswered,
    Card,
    Cost,
    NotesTaken,
    ProblemMet,
    PromptScored,
    PromptsKept,
    PromptsProposed,
    RunEnded,
    RunStarted,
    Split,
    StageStarted,
    StepEnded,
    TargetTested,
    Told,
)


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


SearchEvent = PromptsProposed | NotesTaken | PromptScored | StepEnded | PromptsKept | StageStarted


@dataclass
class SearchStory:
    """One search as it is known by now."""

    began: StageStarted
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
        if isinstance(event, StageStarted):
            self.searches[event.scope] = SearchStory(event)
            return
        search = self.searches.get(event.scope)
        if search is None:
            return
        match event:
            case PromptsProposed():
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
            case PromptsKept():
                search.reason = event.reason
                if event.prompts:
                    search.best = self.prompts.place(event.prompts[0])

    def _proposed(self, search: SearchStory, event: PromptsProposed) -> None:
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
