"""The strict formats: `Answer: …` with `Confidence: NN%` below it, and numbered guesses."""

import re
from collections.abc import Sequence

import msgspec

from .cleaning import plain
from .reasoning import without_reasoning

_PERCENT = re.compile(r"Confidence:[ \t]+(\d{1,3})%")


class Lines(msgspec.Struct, frozen=True):
    """The text after `Answer:` and the confidence in [0, 1], None where none was asked for."""

    answer: str
    confidence: float | None = None


def strict_lines(text: str, *, confidence: bool) -> Lines | None:
    """The lines of a reply that holds exactly what was asked for, else None.

    Only surrounding space and a reasoning block are forgiven. The words before the colons are
    case-sensitive; the confidence is a whole number from 0 to 100. The answer itself may span lines: whether
    it is allowed is decided by the answer space, and closed ones refuse it.
    """
    body, percent = without_reasoning(text), None
    if confidence:
        body, _, last = body.rpartition("\n")
        match = _PERCENT.fullmatch(last)
        if match is None or int(match[1]) > 100:
            return None
        body, percent = body.removesuffix("\r").rstrip(" \t"), int(match[1])
    label, colon, answer = body.partition(":")
    if label != "Answer" or not colon or answer[:1] not in (" ", "\t"):
        return None
    answer = answer.lstrip(" \t")
    if not answer or answer != answer.strip():
        return None
    return Lines(answer, None if percent is None else percent / 100)


def answer_of_lines(text: str) -> str | None:
    """The text after `Answer:` of a reply in the strict format, with or without a confidence."""
    lines = strict_lines(text, confidence=True) or strict_lines(text, confidence=False)
    return None if lines is None else lines.answer


MOST = 3
"""Guesses asked for where so many answers are allowed."""

_PAIR = re.compile(
    r"^\W{0,8}G(?:uess\s?)?(?P<rank>[1-9])\s?:\s?(?P<answer>\S.{0,300}?)\s{0,2}\n"
    r"\W{0,8}P(?:robability\s?)?(?P=rank)\s?:\s?(?P<percent>\d{1,3}(?:\.\d{1,6})?)\s?%",
    re.IGNORECASE | re.MULTILINE,
)


class Guess(msgspec.Struct, frozen=True):
    """A guess as it was written, and the probability in [0, 1] given to it."""

    answer: str
    probability: float


def asked(allowed: Sequence[str]) -> int:
    """The number of guesses asked for: `MOST`, fewer where fewer answers are allowed."""
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
    """Every guess with a probability in range that a reply holds, with any text around them."""
    pairs = ((match["answer"], float(match["percent"]) / 100) for match in _PAIR.finditer(plain(text)))
    return [Guess(answer, probability) for answer, probability in pairs if probability <= 1]
