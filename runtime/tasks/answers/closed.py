"""Reading a reply leniently where the answers are a closed set."""

import re
from typing import Protocol

import msgspec

from .clean import plain
from .refusal import refuses
from .space import Recovered
from .statement import Statement, statements

_CLAUSE = re.compile(r"[,.:;!?]+(?:\s|$)|[。、]|\s-+\s|\s+(?:because|since|due to|as it)\b|\n", re.IGNORECASE)
_CONCLUSION = re.compile(
    r"(?:^|[.!?。\n]\s*|[,;]\s*)(?:(?:so|thus|hence|therefore|overall|in conclusion|in summary|finally"
    r"|ultimately|on balance)\b|因此|所以|综上(?:所述)?|总之)[,:]?\s*(?P<said>[^\n]+)$",
    re.IGNORECASE,
)
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|cannot be|rather than|instead of|exclude|reject|eliminate|rule out)"
    r"|n't|不是|不选|并非|而非|排除|不)\s*"
    r"(?:(?:an?|the|be|as|option|choice|answer|necessarily|really|clearly|选项)\s+){0,3}[\"'(\[]*$"
    r"|\b(?:do not|don't|does not|doesn't|would not|wouldn't)\s+(?:think|believe|seem|look|appear|say|call)\b"
    r"[^.,:;\n]{0,24}$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"^[\"')\].]*\s*(?:(?:is|was|are|seems|would be)\s+(?:not\b|wrong|incorrect|false|implausible|ruled out)"
    r"|(?:isn't|wasn't|cannot|can't)\b|不对|不正确|错误|是错)",
    re.IGNORECASE,
)
_FEW_WORDS = 3
_NEAR = 60


class Named(msgspec.Struct, frozen=True):
    """An answer where it is named: the span in the text, the canonical answer, and by what other name."""

    answer: str
    start: int = 0
    end: int = 0
    by: str = ""


class Names(Protocol):
    """How the answers of one question may be named."""

    def exact(self, text: str) -> Named | None:
        """The answer that the whole text names."""
        ...

    def mentions(self, text: str) -> list[Named]:
        """Every place where the text names an answer, in order."""
        ...


def recovered(text: str, names: Names) -> Recovered | None:
    """The answer a reasonable reader would take a reply for, and the rule that found it; None if unclear.

    In this order: the last announcement of an answer (`answer line`, `boxed`, `tag`, `json`, `phrase`); the
    `whole` reply; its `leading` words; its `last line`; a `conclusion`; the only answer it names (`mention`).
    What is denied ("not B") is not named. A refusal without an announcement, several answers side by side,
    and a short answer line outside the allowed set give None. The rule adds how the answer was named where
    it was not by its own name: `mention, synonym`.
    """
    body = plain(text)
    said = statements(body)
    for statement in reversed(said):
        if found := _said(statement.text, names):
            return _rule(statement.rule, found)
    if refuses(body) or any(map(outside, said)):
        return None
    if found := names.exact(body):
        return _rule("whole", found)
    return _from_ends(body, names) or _from_mentions(body, names)


def affirmed(text: str, names: Names) -> list[Named]:
    """The mentions that are not denied right before or after."""
    return [named for named in names.mentions(text) if not denied(text, named.start, named.end)]


def denied(text: str, start: int, end: int) -> bool:
    """Whether what stands in a span of the text is denied by the words right before or after it."""
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.search(after))


def _from_ends(body: str, names: Names) -> Recovered | None:
    lines = [line for line in body.splitlines() if line.strip()]
    if not lines:
        return None
    first, last = _leading(lines[0], names), names.exact(lines[-1])
    if first and last and first.answer != last.answer:
        return None
    if first:
        return _rule("leading", first)
    return _rule("last line", last) if last else None


def _from_mentions(body: str, names: Names) -> Recovered | None:
    ending = _CONCLUSION.search(body)
    if ending and (found := _only(affirmed(ending["said"], names))):
        return _rule("conclusion", found)
    found = _only(affirmed(body, names))
    return _rule("mention", found) if found else None


def _said(text: str, names: Names) -> Named | None:
    """The answer that an announcement comes down to."""
    return names.exact(text) or _leading(text, names) or _only(affirmed(text, names))


def _leading(line: str, names: Names) -> Named | None:
    """The answer that is the first clause, unless another clause is a different answer."""
    clauses = [clause for clause in _CLAUSE.split(line) if clause and clause.strip()]
    found = [names.exact(clause) for clause in clauses]
    if not found or found[0] is None:
        return None
    return _only([named for named in found if named])


def _only(named: list[Named]) -> Named | None:
    return named[0] if len({one.answer for one in named}) == 1 else None


def outside(statement: Statement) -> bool:
    """Whether an announcement that could not be read is so short that it can only mean something else."""
    return statement.rule == "answer line" and len(statement.text.split()) <= _FEW_WORDS


def _rule(rule: str, named: Named) -> Recovered:
    return Recovered(named.answer, f"{rule}, {named.by}" if named.by else rule)
