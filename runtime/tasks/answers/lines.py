"""The strict format: `Answer: …`, and `Confidence: NN%` below it where a confidence is asked for."""

import re

import msgspec

from .clean import without_reasoning

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
