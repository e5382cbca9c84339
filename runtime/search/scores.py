"""Scores of a prompt over tasks and models, and the Pareto front over prompts."""

from collections.abc import Iterable, Mapping

import msgspec

from ..evaluation.scorecard import Scorecard
from ..prompt import Prompt

Pair = tuple[str, str]
"""A task and a model."""

Scores = dict[str, dict[str, Scorecard]]
"""Scorecards by task, then by model."""


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
    """True when a prompt meets every required bound on every task and model but those in `without`."""
    lost = frozenset(without)
    return not any(
        card.unmet for models in scores.values() for model, card in models.items() if model not in lost
    )


class Merits(msgspec.Struct, frozen=True):
    """The merits of a prompt: means over tasks and models, None where undefined.

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
        """True when these merits are at least as good in every respect and better in one."""
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
