"""Free text of any length that only a judge can rate."""

import re

import msgspec

from ..example import Example, Question
from .clean import without_reasoning
from .lines import answer_of_lines
from .space import Recovered

_ANSWER = re.compile(r"\A\s*answer\s*[:\uff1a]\s*", re.IGNORECASE)
_CONFIDENCE = re.compile(r"\n\s*confidence\s*[:\uff1a][^\n]*\s*\Z", re.IGNORECASE)


class Judged(msgspec.Struct, frozen=True):
    """Anything but an empty reply. Strict: what stands after `Answer:`, over as many lines as it takes.

    There is no gold answer to compare with: `credit` is 0 until a judge's rating replaces it.
    """

    kind: str = "judged"

    def allowed(self, question: Question) -> tuple[str, ...]:
        return ()

    def options(self, question: Question) -> str:
        return ""

    def hint(self, question: Question) -> str:
        return "a text"

    def strict(self, answer: str, question: Question) -> str | None:
        return answer.strip() or None

    def lenient(self, text: str, question: Question) -> Recovered | None:
        kept = answer_of_lines(text)
        if kept is not None:
            return Recovered(kept, "answer line")
        body = _CONFIDENCE.sub("", _ANSWER.sub("", without_reasoning(text))).strip()
        return Recovered(body, "whole") if body else None

    def credit(self, answer: str, example: Example) -> float:
        return 0.0
