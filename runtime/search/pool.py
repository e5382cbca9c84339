"""The candidates one search has visited, with their scores."""

from collections.abc import Callable, Iterable

import msgspec

from ..evaluation.scorecard import Scorecard
from ..prompt import Prompt

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


class Candidate(msgspec.Struct, frozen=True):
    """A prompt, the step it was proposed at (0: given), and its scorecards on train."""

    prompt: Prompt
    step: int
    scores: Scores


class Pool:
    """Every candidate a search has scored, and every prompt it has seen, scored or not."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._candidates: dict[str, Candidate] = {}
        self._seen: set[str] = set()

    def unseen(self, prompts: Iterable[Prompt]) -> list[Prompt]:
        """The prompts not seen before, each once, now marked as seen: nothing is scored twice."""
        fresh: list[Prompt] = []
        for prompt in prompts:
            if prompt.id not in self._seen:
                self._seen.add(prompt.id)
                fresh.append(prompt)
        return fresh

    def add(self, candidate: Candidate) -> None:
        self._candidates[candidate.prompt.id] = candidate

    def ranked(self) -> list[tuple[Candidate, float]]:
        """The candidates that may be chosen with their measure, best first; ties by id, never by arrival."""
        measured = [(candidate, self._measure(candidate.scores)) for candidate in self._candidates.values()]
        able = [(candidate, value) for candidate, value in measured if value is not None]
        return sorted(able, key=lambda pair: (-pair[1], pair[0].prompt.id))

    def __len__(self) -> int:
        return len(self._candidates)
