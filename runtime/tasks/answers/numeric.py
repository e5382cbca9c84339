"""Answers that are numbers."""

import re
from fractions import Fraction

import msgspec

from ..example import Example, Question
from .cleaning import plain, refuses, statements
from .closed import denied, outside
from .space import Recovered
from .strict import answer_of_lines

_PLAIN = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[+-]?\.\d+")
_NUMBER = re.compile(
    r"(?<![A-Za-z\d.])(?<!\d,)(?P<sign>(?<![\w)])(?<![\d)]\s)[+-])?[$€£¥]?"
    r"(?:(?:(?P<whole>\d{1,4})\s+)?(?P<over>\d{1,9})\s*/\s*(?P<under>\d{1,9})(?![\d/])"
    r"|(?P<decimal>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,150}(?!\d))(?:\.\d+)?(?:e[+-]?\d{1,2}(?!\w))?|\.\d+)(?!,\d))",
    re.IGNORECASE | re.ASCII,
)
_CONFIDENCE = re.compile(r"(?:\bconfidence\b|置信度|信心)[^\n]*", re.IGNORECASE)
_LONGEST = 300
_DIGITS = 12


class Numeric(msgspec.Struct, frozen=True):
    """A number. Canonical is a plain decimal of at most 12 significant digits: `18`, `-0.75`, `1234.5`.

    Strict: a decimal number, thousands commas allowed, nothing around it. Lenient: also units, currency and
    percent signs (`50%` is 50), fractions (`3/4`, `2 1/2`), exponents, the result of an equation, a number
    after `####` or in a box, and at last the last number of the reply; but none that is denied ("not 5"),
    given as a confidence, or written with a decimal comma. Two numbers are equal when they differ by at most
    `tolerance`, relative to the larger.
    """

    kind: str = "numeric"
    tolerance: float = 1e-6

    def allowed(self, question: Question) -> tuple[str, ...]:
        return ()

    def options(self, question: Question) -> str:
        return ""

    def hint(self, question: Question) -> str:
        return "a number"

    def strict(self, answer: str, question: Question) -> str | None:
        if not _PLAIN.fullmatch(answer):
            return None
        return canonical(answer)

    def lenient(self, text: str, question: Question) -> Recovered | None:
        kept = answer_of_lines(text)
        number = None if kept is None else self.strict(kept, question)
        return Recovered(number, "answer line") if number else _recovered(text)

    def credit(self, answer: str, example: Example) -> float:
        given = number_of(answer)
        wanted = [number_of(gold) for gold in (example.gold, *example.also)]
        return float(
            given is not None and any(gold is not None and self._same(given, gold) for gold in wanted)
        )

    def _same(self, one: Fraction, other: Fraction) -> bool:
        return abs(one - other) <= Fraction(self.tolerance) * max(abs(one), abs(other))


def canonical(text: str) -> str | None:
    """The only number in a text as a plain decimal, None when there is none or several."""
    found = _numbers(plain(text))
    return _decimal(found[0]) if len(found) == 1 else None


def number_of(text: str) -> Fraction | None:
    """The value of the only number in a text."""
    found = _numbers(plain(text))
    return found[0] if len(found) == 1 else None


def _recovered(text: str) -> Recovered | None:
    body = _CONFIDENCE.sub("", plain(text))
    said = statements(body)
    for statement in reversed(said):
        if (found := _result(statement.text)) is not None:
            return Recovered(_decimal(found), statement.rule)
    if refuses(body) or any(map(outside, said)):
        return None
    found = _affirmed(body)
    if len(found) == 1:
        return Recovered(_decimal(found[0]), "only number")
    return Recovered(_decimal(found[-1]), "last number") if found else None


def _result(text: str) -> Fraction | None:
    """The number an announcement comes down to: right of the last equals sign, else its first."""
    found = _affirmed(text.rpartition("=")[2]) or _affirmed(text)
    return found[0] if found else None


def _affirmed(text: str) -> list[Fraction]:
    return [
        value
        for match in _NUMBER.finditer(text)
        if (value := _value(match)) is not None and not denied(text, match.start(), match.end())
    ]


def _numbers(text: str) -> list[Fraction]:
    return [value for match in _NUMBER.finditer(text) if (value := _value(match)) is not None]


def _value(match: re.Match[str]) -> Fraction | None:
    if match["decimal"]:
        value = Fraction(match["decimal"].replace(",", "")[:_LONGEST])
    elif int(match["under"]) == 0:
        return None
    else:
        value = int(match["whole"] or 0) + Fraction(int(match["over"]), int(match["under"]))
    return -value if (match["sign"] or "").startswith("-") else value


def _decimal(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    places = max(0, _DIGITS - len(str(abs(value.numerator) // value.denominator)))
    scaled = round(value * 10**places)
    digits = str(abs(scaled)).rjust(places + 1, "0")
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :].rstrip("0")
    return ("-" if scaled < 0 else "") + whole + (f".{part}" if part else "")
