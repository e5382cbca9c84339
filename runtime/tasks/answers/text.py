"""Free text: short answers compared with accepted ones, and long ones that only a judge rates."""

import re
from collections import Counter

import msgspec

from ..example import Example, Question
from .cleaning import folded, plain, trimmed
from .reasoning import without_reasoning
from .space import Recovered
from .statements import refuses, statements
from .strict import answer_of_lines

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
_ANSWER = re.compile(r"answer\s?[:\uff1a]", re.IGNORECASE)
_CONFIDENCE = re.compile(r"[ \t]{0,9}confidence\s?[:\uff1a]", re.IGNORECASE)
_NOTHING = re.compile(
    r"\W*(?:(?:the |my )?(?:final )?answer(?: is|\s?[:\uff1a])|confidence\s?[:\uff1a][^\n]*)\W*",
    re.IGNORECASE,
)
"""A line that announces an answer and gives none."""
_ARTICLES = frozenset(("a", "an", "the"))


class Text(msgspec.Struct, frozen=True):
    """A few words. Strict: one line. Lenient: what is announced as the answer, else the reply's first line.

    Credit is the best over the accepted answers: 1 for the same words without case, punctuation and articles
    (as SQuAD normalises, arXiv 1606.05250), else the F1 of the shared tokens, or without `partial` 0;
    Chinese, Japanese and Korean letters are tokens of their own.
    """

    partial: bool = True
    kind: str = "text"

    def allowed(self, question: Question) -> tuple[str, ...]:
        return ()

    def options(self, question: Question) -> str:
        return ""

    def hint(self, question: Question) -> str:
        return "a few words"

    def strict(self, answer: str, question: Question) -> str | None:
        return answer if answer.strip() and len(answer.splitlines()) == 1 else None

    def lenient(self, text: str, question: Question) -> Recovered | None:
        kept = answer_of_lines(text)
        answer = None if kept is None else self.strict(kept, question)
        return Recovered(answer, "answer line") if answer else _recovered(text)

    def credit(self, answer: str, example: Example) -> float:
        best = max(token_f1(answer, gold) for gold in (example.gold, *example.also))
        return best if self.partial else float(best == 1)


def token_f1(answer: str, gold: str) -> float:
    """Harmonic mean of the precision and recall of tokens, in [0, 1]; equal texts without tokens give 1."""
    given, wanted = _tokens(answer), _tokens(gold)
    if not given or not wanted:
        return float(folded(answer) == folded(gold))
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))


def _tokens(text: str) -> list[str]:
    tokens: list[str] = _TOKEN.findall(folded(text))
    return [token for token in tokens if token not in _ARTICLES] or tokens


def _recovered(text: str) -> Recovered | None:
    body = plain(text)
    for statement in reversed(statements(body)):
        if answer := trimmed(statement.text):
            return Recovered(answer, statement.rule)
    lines = [line for line in body.splitlines() if trimmed(line) and not _NOTHING.fullmatch(line)]
    if not lines or refuses(body):
        return None
    return Recovered(trimmed(lines[0]), "whole" if len(lines) == 1 else "first line")


class Judged(msgspec.Struct, frozen=True):
    """Anything but an empty reply. Strict: the text after `Answer:`, over as many lines as it takes.

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
        body = _bare(without_reasoning(text))
        return Recovered(body, "whole") if body else None

    def credit(self, answer: str, example: Example) -> float:
        return 0.0


def _bare(text: str) -> str:
    """The text without a word `Answer:` before it and a line `Confidence: …` after it."""
    lead = _ANSWER.match(text)
    text = text[lead.end() :].strip() if lead else text
    body, _, last = text.rpartition("\n")
    return body.rstrip() if body and _CONFIDENCE.match(last) else text
