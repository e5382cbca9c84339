"""The Pareto front: prompts that no other beats in every respect."""

from collections.abc import Mapping

import msgspec

from ..evaluation.scorecard import Scorecard
from ..prompt import Prompt
from .pool import Scores


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
