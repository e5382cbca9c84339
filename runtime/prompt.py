"""A prompt: its text and position."""

import hashlib
import re
from collections.abc import Mapping
from typing import Literal, Self

import msgspec

from ..scenarios.named_texts import join_texts, split_texts

Position = Literal["system", "before", "after"]
"""Position of the instruction: in the system turn, before the question, or after it."""

POSITIONS: tuple[Position, ...] = ("system", "before", "after")


class Prompt(msgspec.Struct, frozen=True):
    """An instruction at a position, and where it came from: `Prompt("Is this ticket urgent?")`.

    A prompt of an application that has several texts holds them all, by name (`Prompt.of`, `texts`).
    `origin` names how it was made: `original`, or the operator or strategy that proposed it. `parents` are
    ids of the prompts it was made from, nearest first. Two prompts are the same when their ids are equal.
    """

    text: str
    position: Position = "before"
    origin: str = "original"
    parents: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: str | Mapping[str, str]) -> Self:
        """A prompt of one text, or of several by name.

        Raises ValueError for a name that is no word, and for a text that is empty or that holds the line
        which separates texts (`--- NAME ---`).
        """
        return cls(texts if isinstance(texts, str) else join_texts(texts))

    @property
    def texts(self) -> dict[str, str]:
        """The texts of an application by name; empty where the prompt is one text."""
        return split_texts(self.text)

    @property
    def id(self) -> str:
        """12 hex digits of a hash over position and normalised text; origin and ancestry do not enter."""
        content = f"{self.position}\0{normalised(self.text)}"
        return hashlib.blake2b(content.encode(), digest_size=6).hexdigest()


def normalised(text: str) -> str:
    """The text without surrounding space, runs of spaces and of blank lines folded to one."""
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
