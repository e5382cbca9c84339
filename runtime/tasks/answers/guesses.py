"""Several guesses with their probabilities (top-k verbalised confidence, arXiv 2306.13063)."""

import re
from collections.abc import Sequence

import msgspec

from .clean import plain, without_reasoning

MOST = 3
"""Guesses asked for where so many answers are allowed."""

_PAIR = re.compile(
    r"^\W*G(?:uess\s*)?(?P<rank>[1-9])\s*:\s*(?P<answer>.+?)\s*\n"
    r"\W*P(?:robability\s*)?(?P=rank)\s*:\s*(?P<percent>\d{1,3}(?:\.\d+)?)\s*%",
    re.IGNORECASE | re.MULTILINE,
)


class Guess(msgspec.Struct, frozen=True):
    """A guess as it was written, and the probability in [0, 1] given to it."""

    answer: str
    probability: float


def asked(allowed: Sequence[str]) -> int:
    """How many guesses are asked for: `MOST`, fewer where fewer answers are allowed."""
    return min(MOST, len(allowed)) if allowed else MOST


def strict_guesses(text: str, count: int) -> list[Guess] | None:
    """The guesses of a reply that holds exactly the lines `G1: …`, `P1: NN%` to `Gk`, `Pk`, else None."""
    lines = [line.rstrip() for line in without_reasoning(text).splitlines()]
    if len(lines) != 2 * count:
        return None
    found: list[Guess] = []
    for rank in range(1, count + 1):
        answer = re.fullmatch(rf"G{rank}:[ \t]+(\S.*)", lines[2 * rank - 2])
        percent = re.fullmatch(rf"P{rank}:[ \t]+(\d{{1,3}})%", lines[2 * rank - 1])
        if answer is None or percent is None or int(percent[1]) > 100:
            return None
        found.append(Guess(answer[1], int(percent[1]) / 100))
    return found


def lenient_guesses(text: str) -> list[Guess]:
    """Every guess with a probability in range that a reply holds, whatever stands around them."""
    pairs = ((match["answer"], float(match["percent"]) / 100) for match in _PAIR.finditer(plain(text)))
    return [Guess(answer, probability) for answer, probability in pairs if probability <= 1]
