"""Admission of candidates: no duplicates, no near-duplicates, no quotes of held-out rows."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ..prompt import Prompt
from ..tasks.example import Example
from ..tasks.template import altered

WINDOW = 8
"""Tokens in a row that make a quotation; a shorter text counts when it is quoted whole."""

LEAST = 4
"""Texts of fewer tokens are too common to be quotations."""

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")


class Leakage:
    """Knows the texts of held-out rows: context, question, choices, and gold answers that are texts.

    A token is a word, or one character of a script written without spaces; case, punctuation and width do
    not count. What also stands in a row of `open_rows`, which candidates may show, is no leak.
    """

    def __init__(self, held_out: Iterable[Example], open_rows: Iterable[Example]) -> None:
        shown = {window for row in open_rows for window in _row_windows(row)}
        self._windows = {window for row in held_out for window in _row_windows(row)} - shown
        self._lengths = sorted({len(window) for window in self._windows})

    def quotes(self, text: str) -> bool:
        """True when a text quotes a held-out row."""
        said = tokens(text)
        return any(
            tuple(said[i : i + length]) in self._windows
            for length in self._lengths
            for i in range(len(said) - length + 1)
        )


def _row_windows(row: Example) -> Iterator[tuple[str, ...]]:
    for text in (row.context, row.question, *row.choices, row.gold, *row.also):
        yield from _windows(tokens(text))


def _windows(said: Sequence[str]) -> Iterator[tuple[str, ...]]:
    if len(said) >= LEAST:
        for i in range(max(1, len(said) - WINDOW + 1)):
            yield tuple(said[i : i + WINDOW])


def tokens(text: str) -> list[str]:
    """Words, and single characters of scripts without spaces, folded in case and width."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


class Admission:
    """Every prompt of a search, and the check that new ones must pass.

    A candidate keeps the `{field}` variables and chat turns of the `original`: none lost, none invented.
    """

    def __init__(self, leakage: Leakage, original: str = "") -> None:
        self._leakage = leakage
        self._original = original
        self._ids: set[str] = set()
        self._words: set[tuple[str, ...]] = set()

    def unseen(self, prompts: Iterable[Prompt]) -> list[Prompt]:
        """The prompts not seen before, each once, now remembered: for those that are given, not proposed.

        Those with other variables or turns than the original's are left out: they do not fit the application.
        """
        fresh: list[Prompt] = []
        for prompt in prompts:
            if prompt.id not in self._ids and altered(self._original, prompt.text) is None:
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
        if altered(self._original, prompt.text) is not None:
            return "variables changed"
        return "near-duplicate" if _words(prompt) in self._words else None

    def _remember(self, prompt: Prompt) -> None:
        self._ids.add(prompt.id)
        self._words.add(_words(prompt))


def _words(prompt: Prompt) -> tuple[str, ...]:
    """The position and the words: prompts that differ in case and punctuation alone are near-duplicates.

    A single other word can matter as much as a rewrite (Mizrahi et al. 2024), so it is no duplicate.
    """
    return (prompt.position, *tokens(prompt.text))
