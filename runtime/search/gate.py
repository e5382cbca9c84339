"""What may be scored: nothing twice, nothing nearly twice, nothing that quotes held-out rows."""

from collections import Counter
from collections.abc import Iterable

from ..prompt import Prompt
from .leakage import Leakage, tokens

SHARE, MOST = 20, 2
"""Prompts at one position are nearly the same when one word in twenty, and no more than two, differ."""


class Gate:
    """Remembers every prompt of a search, and lets new ones in."""

    def __init__(self, leakage: Leakage) -> None:
        self._leakage = leakage
        self._ids: set[str] = set()
        self._seen: list[tuple[str, Counter[str]]] = []

    def unseen(self, prompts: Iterable[Prompt]) -> list[Prompt]:
        """The prompts not seen before, each once, now remembered: for those that are given, not proposed."""
        fresh: list[Prompt] = []
        for prompt in prompts:
            if prompt.id not in self._ids:
                self._remember(prompt)
                fresh.append(prompt)
        return fresh

    def admit(self, prompts: Iterable[Prompt]) -> tuple[list[Prompt], Counter[str]]:
        """The prompts that may be scored, now remembered, and how many may not, by reason."""
        admitted: list[Prompt] = []
        refused: Counter[str] = Counter()
        for prompt in prompts:
            reason = self._reason(prompt)
            if reason is not None:
                refused[reason] += 1
                continue
            self._remember(prompt)
            admitted.append(prompt)
        return admitted, refused

    def _reason(self, prompt: Prompt) -> str | None:
        if prompt.id in self._ids:
            return "seen before"
        if self._leakage.quotes(prompt.text):
            return "quotes held-out rows"
        words = _words(prompt)
        near = any(place == prompt.position and _alike(words, other) for place, other in self._seen)
        return "nearly seen before" if near else None

    def _remember(self, prompt: Prompt) -> None:
        self._ids.add(prompt.id)
        self._seen.append((prompt.position, _words(prompt)))


def _words(prompt: Prompt) -> Counter[str]:
    return Counter(tokens(prompt.text))


def _alike(one: Counter[str], other: Counter[str]) -> bool:
    most = min(MOST, max(one.total(), other.total()) // SHARE)
    return (one - other).total() <= most and (other - one).total() <= most
