"""A guard against candidates that quote rows they will be judged on."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from ..tasks.example import Example

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
        """Whether a text quotes a held-out row."""
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
