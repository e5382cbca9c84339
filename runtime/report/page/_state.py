"""State of a run as its events give it, read from the history or taken from the bus."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import get_args

import msgspec

from ....scenarios.errors import InputError
from ...bus import Event
from ...errors import UNREADABLE
from ...evaluation.scorecard import Scorecard
from ...messages import (
    BatchAnswered,
    CandidatesProposed,
    Cost,
    NotesTaken,
    ProblemMet,
    PromptScored,
    RunEnded,
    RunStarted,
    SearchEnded,
    SearchStarted,
    TargetTested,
)
from ...prompt import Prompt
from ...record.files import read_lines

Known = (
    RunStarted
    | SearchStarted
    | CandidatesProposed
    | NotesTaken
    | PromptScored
    | SearchEnded
    | TargetTested
    | ProblemMet
    | RunEnded
    | BatchAnswered
)
_NAMES = frozenset(kind.__name__ for kind in get_args(Known))
_EARLIER = frozenset({"StageStarted", "PromptsProposed", "StepEnded", "PromptsKept"})
"""Events of versions that searched in steps."""


class _Kind(msgspec.Struct):
    type: str


class _Line(msgspec.Struct):
    at: datetime
    event: msgspec.Raw


_kind = msgspec.json.Decoder(_Kind)
_event = msgspec.json.Decoder(Known)
_line = msgspec.json.Decoder(_Line)


def read_history(path: Path) -> Iterator[tuple[datetime, Event]]:
    """The events of `history.jsonl` with their times, in order; none where there is no file.

    Unknown kinds of events are skipped, and so is a last line without its end, as a killed run leaves it.
    Raises InputError that names the line for anything else that is no event, and for the history of an
    earlier version.
    """
    if not path.exists():
        return
    for number, text in read_lines(path):
        try:
            line = _line.decode(text)
            name = _kind.decode(line.event).type
            if name in _EARLIER:
                raise InputError(f"{path}: made by an earlier version; run the scenario again")
            if name in _NAMES:
                yield line.at, _event.decode(line.event)
        except UNREADABLE as error:
            raise InputError(f"{path}:{number}: not an event of a run of this version ({error})") from None


class Prompts:
    """Every prompt so far, each at its place in order of appearance."""

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


class Scoring(msgspec.Struct, frozen=True, gc=False):
    """One `PromptScored`: places of prompt and leader, rows answered, estimate, calls of the search."""

    job: int
    prompt: int
    rows: int
    objective: float | None
    leader: int | None
    calls: int


class SearchState:
    """One search so far; `leader` is the prompt that would be chosen now, or the kept one after the end."""

    def __init__(self, started: SearchStarted) -> None:
        self.started = started
        self.scored: list[Scoring] = []
        self.latest: dict[int, Scoring] = {}
        self.proposals = 0
        self.refused: dict[str, int] = {}
        self.notes: tuple[str, ...] = ()
        self.leader: int | None = None
        self.reason = ""
        self.cost: Cost | None = None

    @property
    def calls(self) -> int:
        """Calls of the search by its last event."""
        return self.scored[-1].calls if self.scored else 0

    @property
    def rows(self) -> int:
        """Search rows of each task."""
        return self.started.rungs[-1] if self.started.rungs else 0

    @property
    def finished(self) -> int:
        """Prompts that have answered all search rows."""
        return sum(one.rows >= self.rows for one in self.latest.values())

    def objective(self) -> float | None:
        """The leader's estimate, None before there is one."""
        scoring = None if self.leader is None else self.latest.get(self.leader)
        return None if scoring is None else scoring.objective

    def leaders(self) -> Iterator[Scoring]:
        """The scorings after which the leader or its estimate changed, with the leader's own values."""
        latest: dict[int, Scoring] = {}
        before: tuple[int, float | None] | None = None
        for one in self.scored:
            latest[one.prompt] = one
            leader = None if one.leader is None else latest.get(one.leader)
            if leader is not None and before != (leader.prompt, leader.objective):
                before = (leader.prompt, leader.objective)
                yield msgspec.structs.replace(leader, job=one.job, calls=one.calls)


Where = tuple[int, str, str, str]
"""A prompt's place, a task, a model, and the rows: `search` or `test`."""


class RunState:
    """The state of a run, as far as its events give it; apply them in order with `apply`.

    `cells` holds the latest scorecards, `answered` responses and failures by target model.
    """

    def __init__(self) -> None:
        self.name = ""
        self.seed: int | None = None
        self.status = "running"
        self.splits: dict[str, tuple[int, int, int]] = {}
        self.prompts = Prompts()
        self.searches: dict[str, SearchState] = {}
        self.cells: dict[Where, Scorecard] = {}
        self.answered: dict[str, tuple[int, int]] = {}
        self.problems: list[str] = []
        self.began: datetime | None = None
        self.latest: datetime | None = None

    def apply(self, at: datetime, event: Event) -> None:
        """Apply one event; kinds that are not known here change nothing."""
        self.began = self.began or at
        self.latest = at
        match event:
            case TargetTested():
                self.cells[self.prompts.place(event.prompt), event.task, event.model, "test"] = (
                    event.scorecard
                )
            case BatchAnswered():
                answered, failed = self.answered.get(event.model, (0, 0))
                self.answered[event.model] = (answered + event.answered, failed + event.failed)
            case RunStarted():
                self.name, self.seed, self.splits = event.name, event.seed, event.tasks
            case ProblemMet():
                self.problems.append(event.problem)
            case RunEnded():
                self.status = event.status
            case SearchStarted():
                self.searches[event.scope] = SearchState(event)
            case CandidatesProposed() | NotesTaken() | PromptScored() | SearchEnded():
                search = self.searches.get(event.scope)
                if search is not None:
                    self._search(search, event)
            case _:
                pass

    def _search(
        self, search: SearchState, event: CandidatesProposed | NotesTaken | PromptScored | SearchEnded
    ) -> None:
        match event:
            case CandidatesProposed():
                search.proposals += 1
                for prompt in event.prompts:
                    self.prompts.place(prompt)
                for reason, count in event.refused.items():
                    search.refused[reason] = search.refused.get(reason, 0) + count
            case NotesTaken():
                search.notes = event.notes
            case PromptScored():
                self._scored(search, event)
            case SearchEnded():
                search.reason, search.cost = event.reason, event.cost
                if event.prompts:
                    search.leader = self.prompts.place(event.prompts[0])

    def _scored(self, search: SearchState, event: PromptScored) -> None:
        place = self.prompts.place(event.prompt)
        for task, models in event.scores.items():
            for model, card in models.items():
                self.cells[place, task, model, "search"] = card
        search.leader = next(iter(self.prompts.find([event.leader])), None)
        scoring = Scoring(event.job, place, event.rows, event.objective, search.leader, event.calls)
        search.scored.append(scoring)
        search.latest[place] = scoring
