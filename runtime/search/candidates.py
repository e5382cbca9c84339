"""Candidates of one search with their scores, and the Pareto front over them."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from ..evaluation.outcomes import Outcomes
from ..evaluation.scorecard import Scorecard
from ..prompt import Prompt

Pair = tuple[str, str]
"""A task and a model."""

Scores = dict[str, dict[str, Scorecard]]
"""Scorecards by task, then by model."""

Measure = Callable[[Scores], float | None]
"""One number in [0, 1] for all scorecards of a prompt; None when it must not be chosen by them."""


def mean_objective(scores: Scores, *, max_failed: float, without: Iterable[str] = ()) -> float | None:
    """The mean objective in [0, 1] over tasks and models, so that scores compare across stages.

    Models in `without` are left out. None when nothing counts, or when more than `max_failed` of any part's
    calls failed: such a prompt was not measured well enough to be chosen.
    """
    lost = frozenset(without)
    cards = [card for models in scores.values() for model, card in models.items() if model not in lost]
    if any(card.failed_share > max_failed for card in cards):
        return None
    objectives = [card.objective for card in cards if card.objective is not None]
    return sum(objectives) / len(objectives) if objectives else None


def feasible(scores: Scores, *, without: Iterable[str] = ()) -> bool:
    """Whether a prompt meets every required bound on every task and model but those in `without`."""
    lost = frozenset(without)
    return not any(
        card.unmet for models in scores.values() for model, card in models.items() if model not in lost
    )


class Behind(msgspec.Struct, frozen=True):
    """How far a candidate that left its race lay behind the leader, on the rows that both had answered."""

    leader: str
    by: float


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt, the step it was proposed at (0: given), and what it scored on the train rows it answered.

    `behind` is None for a candidate that answered every row, or all that the budget let it.
    """

    prompt: Prompt
    step: int
    scores: Scores
    outcomes: Mapping[Pair, Outcomes] = {}
    complete: bool = True
    behind: Behind | None = None


class Pool:
    """Every candidate a search has scored."""

    def __init__(self, measure: Measure, feasible: Callable[[Scores], bool]) -> None:
        self._measure = measure
        self._feasible = feasible
        self._candidates: dict[str, Candidate] = {}

    def add(self, candidate: Candidate) -> None:
        self._candidates[candidate.prompt.id] = candidate

    def get(self, id: str) -> Candidate | None:
        """The candidate of that prompt id."""
        return self._candidates.get(id)

    def value(self, candidate: Candidate, among: Mapping[str, Candidate] | None = None) -> float | None:
        """The measure of a candidate in [0, 1], on the footing of those that answered every row.

        Few rows are easier or harder than all, so one that left its race early counts as the leader's measure
        less what it lay behind on the rows they share. `among` are others of its race that are not in the
        pool yet. None when it may not be chosen.
        """
        own = self._measure(candidate.scores)
        if own is None or candidate.behind is None:
            return own
        leader = (among or {}).get(candidate.behind.leader) or self.get(candidate.behind.leader)
        measured = None if leader is None else self.value(leader, among)
        return own if measured is None else min(1.0, max(0.0, measured - candidate.behind.by))

    def ranked(self) -> list[tuple[Candidate, float]]:
        """The candidates that may be chosen with their measure: those that meet every required bound come
        first, then the best; ties by id, never by arrival."""
        measured = [(candidate, self.value(candidate)) for candidate in self._candidates.values()]
        able = [(candidate, value) for candidate, value in measured if value is not None]
        return sorted(
            able, key=lambda pair: (not self._feasible(pair[0].scores), -pair[1], pair[0].prompt.id)
        )

    def finishers(self) -> list[tuple[Candidate, float]]:
        """Those of `ranked` that answered every row."""
        return [pair for pair in self.ranked() if pair[0].complete]

    @property
    def stopped(self) -> int:
        """How many left their race early."""
        return sum(candidate.behind is not None for candidate in self._candidates.values())

    def __len__(self) -> int:
        return len(self._candidates)


class Merits(msgspec.Struct, frozen=True):
    """What a prompt is worth: means over tasks and models, None where undefined.

    `accuracy`, `ifr` and `calibration` (1 - ECE) are in [0, 1] and better higher; `output_tokens` per answer
    and `length` of the instruction in characters are better lower.
    """

    accuracy: float | None
    ifr: float | None
    calibration: float | None
    output_tokens: float | None
    length: int

    @classmethod
    def of(cls, prompt: Prompt, scores: Scores) -> "Merits":
        cards = [card for by_model in scores.values() for card in by_model.values()]
        ece = _mean(cards, "ece")
        return cls(
            accuracy=_mean(cards, "accuracy"),
            ifr=_mean(cards, "ifr"),
            calibration=None if ece is None else 1 - ece,
            output_tokens=_mean(cards, "output_tokens"),
            length=len(prompt.text),
        )

    def beats(self, other: "Merits") -> bool:
        """Whether these merits are at least as good in every respect and better in one."""
        mine, theirs = self._ascending(), other._ascending()
        return mine != theirs and all(a >= b for a, b in zip(mine, theirs, strict=True))

    def _ascending(self) -> tuple[float, ...]:
        low = float("-inf")
        higher = (self.accuracy, self.ifr, self.calibration)
        tokens = low if self.output_tokens is None else -self.output_tokens
        return (*(low if value is None else value for value in higher), tokens, -float(self.length))


def front(merits: Mapping[str, Merits]) -> tuple[str, ...]:
    """The ids that no other id beats, sorted."""
    return tuple(
        sorted(id for id, own in merits.items() if not any(other.beats(own) for other in merits.values()))
    )


def _mean(cards: list[Scorecard], metric: str) -> float | None:
    values: list[float | None] = [getattr(card, metric) for card in cards]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
