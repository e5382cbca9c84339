"""A prompt: its text and position."""

import hashlib
import re
from typing import Literal

import msgspec

Position = Literal["system", "before", "after"]
"""Position of the instruction: in the system turn, before the question, or after it."""

POSITIONS: tuple[Position, ...] = ("system", "before", "after")


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction at a position, and where it came from.

    `origin` names how it was made: `original`, or the operator or strategy that proposed it. `parents` are
    ids of the prompts it was made from, nearest first. Two prompts are the same when their ids are equal.
    """

    text: str
    position: Position = "before"
    origin: str = "original"
    parents: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """12 hex digits of a hash over position and normalised text; origin and ancestry do not enter."""
        content = f"{self.position}\0{normalised(self.text)}"
        return hashlib.blake2b(content.encode(), digest_size=6).hexdigest()


def normalised(text: str) -> str:
    """The text without surrounding space, runs of spaces and of blank lines folded to one."""
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
