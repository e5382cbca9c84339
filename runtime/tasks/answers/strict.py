"""The strict formats: `Answer: …` with `Confidence: NN%` below it, and numbered guesses."""

import re
from collections.abc import Sequence

import msgspec

from .cleaning import plain, without_reasoning

_ANSWER = r"Answer:[ \t]+(?P<answer>\S(?:.*\S)?)"
_CONFIDENCE = r"[ \t]*\r?\nConfidence:[ \t]+(?P<percent>\d{1,3})%"
_ONE = re.compile(_ANSWER, re.DOTALL)
_TWO = re.compile(_ANSWER + _CONFIDENCE, re.DOTALL)


class Lines(msgspec.Struct, frozen=True):
    """The text after `Answer:` and the confidence in [0, 1], None where none was asked for."""

    answer: str
    confidence: float | None = None


def strict_lines(text: str, *, confidence: bool) -> Lines | None:
    """The lines of a reply that holds exactly what was asked for, else None.

    Only surrounding space and a reasoning block are forgiven. The words before the colons are
    case-sensitive; the confidence is a whole number from 0 to 100. The answer itself may span lines: whether
    it is allowed is for the answer space to say, and closed ones refuse it.
    """
    match = (_TWO if confidence else _ONE).fullmatch(without_reasoning(text))
    if match is None:
        return None
    if not confidence:
        return Lines(match["answer"])
    percent = int(match["percent"])
    return Lines(match["answer"], percent / 100) if percent <= 100 else None


def answer_of_lines(text: str) -> str | None:
    """The text after `Answer:` of a reply in the strict format, with or without a confidence."""
    lines = strict_lines(text, confidence=True) or strict_lines(text, confidence=False)
    return None if lines is None else lines.answer


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
