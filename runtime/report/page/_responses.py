"""Test responses as a page carries them: columns in blocks, each compressed, within a size."""

import base64
import gzip
from collections.abc import Iterable
from typing import Literal

import msgspec

from ...evaluation.outcomes import Failed, Graded
from ...record.responses import Asked, Given
from ...tasks.example import LETTERS, Example

BLOCK = 5_000
"""Responses in a block."""

MOST_CHARACTERS = 7_000_000
"""Characters that all blocks together may take in the page."""

TEXT = 1_000
"""Characters of a question or a response that are carried."""

Outcome = Literal["wrong", "unread", "failed", "right"]
"""Outcomes of a row, the worst first."""


class Block(msgspec.Struct, kw_only=True):
    """Rows that no block before had (`row` counts on over all blocks), and responses as columns.

    `texts` holds every string once; other columns hold places in it. `confidence` is None where none was
    asked for.
    """

    rows: list[tuple[str, str, str, str]] = []
    texts: list[str] = []
    task: list[int] = []
    model: list[int] = []
    prompt: list[int] = []
    row: list[int] = []
    outcome: list[int] = []
    followed: list[int] = []
    rule: list[int] = []
    answer: list[int] = []
    confidence: list[float | None] = []
    text: list[int] = []


OUTCOMES: tuple[Outcome, ...] = ("wrong", "unread", "failed", "right")


class Packed(msgspec.Struct, frozen=True):
    """The blocks as base64 of gzip of JSON, how many responses there were, and how many the blocks hold."""

    blocks: tuple[str, ...]
    total: int
    shown: int


class Packer:
    """Takes lines in, and hands out blocks as they fill up until the page has no room for more.

    Give it all failures first: what no longer fits is left out and counted.
    """

    def __init__(self) -> None:
        self._examples: dict[tuple[str, str], Example] = {}
        self._rows: dict[tuple[str, str], int] = {}
        self._blocks: list[str] = []
        self._size = self._total = self._shown = 0
        self._full = False
        self._open()

    def ask(self, line: Asked) -> None:
        """Learn a row."""
        self._examples[line.task, line.example.id] = line.example

    def give(self, line: Given) -> None:
        """Put a response into the current block."""
        self._total += 1
        if self._full:
            return
        block, response = self._block, line.response
        block.row.append(self._row(line.task, response.example))
        for column, text in ((block.task, line.task), (block.model, line.model), (block.prompt, line.prompt)):
            column.append(self._text(text))
        block.outcome.append(OUTCOMES.index(outcome(response)))
        if isinstance(response, Graded):
            self._graded(response)
        else:
            self._failed(response)
        if len(block.row) == BLOCK:
            self._close()

    def packed(self) -> Packed:
        """Everything taken in so far."""
        if self._block.row and not self._full:
            self._close()
        return Packed(tuple(self._blocks), self._total, self._shown)

    def _graded(self, response: Graded) -> None:
        block = self._block
        block.followed.append(int(response.followed))
        block.rule.append(self._text(response.rule))
        block.answer.append(self._text("" if response.answer is None else response.answer))
        confidence = response.confidence
        block.confidence.append(None if confidence is None else round(confidence, 3))
        block.text.append(self._text(cut(response.text)))

    def _failed(self, response: Failed) -> None:
        block = self._block
        block.followed.append(0)
        block.rule.append(self._text(""))
        block.answer.append(self._text(""))
        block.confidence.append(None)
        block.text.append(self._text(cut(response.reason)))

    def _row(self, task: str, example: str) -> int:
        key = (task, example)
        if key not in self._rows:
            self._rows[key] = len(self._rows)
            known = self._examples.get(key)
            text, gold = ("", "") if known is None else (cut(asked(known)), known.gold)
            self._block.rows.append((task, example, text, gold))
        return self._rows[key]

    def _text(self, text: str) -> int:
        place = self._places.setdefault(text, len(self._places))
        if place == len(self._block.texts):
            self._block.texts.append(text)
        return place

    def _open(self) -> None:
        self._block = Block()
        self._places: dict[str, int] = {}

    def _close(self) -> None:
        content = msgspec.json.encode(self._block)
        packed = base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode()
        if self._size + len(packed) > MOST_CHARACTERS:
            self._full = True
            return
        self._size += len(packed)
        self._shown += len(self._block.row)
        self._blocks.append(packed)
        self._open()


def pack(lines: Iterable[Asked | Given], again: Iterable[Asked | Given]) -> Packed:
    """The same lines twice: the first time failures are taken, the second time the rest."""
    packer = Packer()
    for line in lines:
        if isinstance(line, Asked):
            packer.ask(line)
        elif outcome(line.response) != "right":
            packer.give(line)
    for line in again:
        if isinstance(line, Given) and outcome(line.response) == "right":
            packer.give(line)
    return packer.packed()


def outcome(response: Graded | Failed) -> Outcome:
    """Outcome of a row."""
    if isinstance(response, Failed):
        return "failed"
    if response.correct:
        return "right"
    return "wrong" if response.answer is not None else "unread"


def asked(example: Example) -> str:
    """The row as text: context, question, lettered choices."""
    choices = (f"{letter}. {text}" for letter, text in zip(LETTERS, example.choices, strict=False))
    return "\n".join(part for part in (example.context, example.question, *choices) if part)


def cut(text: str) -> str:
    """The text, ended by an ellipsis where it is longer than a page carries."""
    return text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"
