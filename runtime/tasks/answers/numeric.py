"""Answers that are numbers, and the numbers that a text holds."""

import re
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

import msgspec

from ..example import Example, Question
from .cleaning import plain
from .closed import denied, outside
from .space import Recovered
from .statements import refuses, statements
from .strict import answer_of_lines

_PLAIN = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[+-]?\.\d+")

_SCALES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 1_000,
    "thousands": 1_000,
    "k": 1_000,
    "lakh": 100_000,
    "lakhs": 100_000,
    "tausend": 1_000,
    "million": 1_000_000,
    "millions": 1_000_000,
    "millionen": 1_000_000,
    "mio": 1_000_000,
    "mln": 1_000_000,
    "mn": 1_000_000,
    "crore": 10_000_000,
    "crores": 10_000_000,
    "billion": 1_000_000_000,
    "billions": 1_000_000_000,
    "milliarden": 1_000_000_000,
    "mrd": 1_000_000_000,
    "bn": 1_000_000_000,
    "trillion": 1_000_000_000_000,
    "trillions": 1_000_000_000_000,
    "万": 10_000,
    "百万": 1_000_000,
    "千万": 10_000_000,
    "亿": 100_000_000,
    "億": 100_000_000,
}
"""Factors of words after a number; `k` only right behind it."""

_WORDS = "|".join(sorted((word for word in _SCALES if word != "k"), key=len, reverse=True))
_GROUPED = (
    r"\d{1,3}(?:,\d{3}){1,50}(?!\d)(?:\.\d{1,150})?|\d{1,3}(?:\.\d{3}){1,50},\d{1,150}"
    r"|\d{1,3}(?:\.\d{3}){2,50}|\d{1,2}(?:,\d{2}){1,25},\d{3}(?!\d)(?:\.\d{1,150})?"
    r"|\d{1,3}(?:[ '_]\d{3}){1,50}(?:[.,]\d{1,150})?"
)
_SIMPLE = r"\d{1,150}(?:[.,]\d{1,150})?|\.\d{1,150}"
_NUMBER = re.compile(
    r"(?<![A-Za-z\d.^_√])(?<!\d[,/:'-])(?<!^,)(?<!\s,)(?P<sign>(?<![\w)%])(?<![\d)%]\s)[+-])?[$€£¥]?"
    r"(?:(?:(?P<whole>\d{1,9})\s)?(?P<over>\d{1,9})\s?/\s?(?P<under>\d{1,9})(?!\d|[.,/]\d|\s?/\s?\d)"
    rf"|(?P<decimal>{_GROUPED}|{_SIMPLE})(?P<exponent>e[+-]?\d{{1,2}}(?!\w))?)"
    r"(?P<power>(?P<ten>\s?[×x·⋅]\s?10)?\s?\^\s?[({]?(?P<index>-?\d{1,2})(?!\d)[)}]?)?"
    rf"(?P<scale>(?:(?:[\s-]?(?:{_WORDS})){{1,2}}|k)(?![A-Za-z]))?",
    re.IGNORECASE | re.ASCII,
)

_GLUED = re.compile(
    r"\d|[.,:/-]\d|\.\.\d|\s?[MB](?![A-Za-z])|\s[kK](?![A-Za-z])|[)\]}]?\s?\^|[十百千](?![克米瓦卡])"
    r"|x[\da-fA-F]|e[+-]?\d|[h°']\s?\d|\s?\\?sqrt|\s?[√π]|\spi\b",
    re.ASCII,
)
"""Right behind a number: it is a part of something else, such as a range, a ratio, a version or `5M`."""

_IN_WORDS = re.compile(
    r"√|\\(?:sqrt|[dt]?frac|pi|log|ln)\b|\d\s(?:and|&)\s(?:a|one|two|three)[\s-](?:half|halves|thirds?|quarters?"
    r"|fifths?|eighths?)\b|\d\s?(?:hours?|hrs?|h|minutes?|mins?|min|feet|foot|ft|pounds?|lbs?|years?|months?|weeks?|days?"
    r"|degrees?|km|m|kg)(?:,|\sand|,\sand)?\s\d{1,4}\s?(?:minutes?|mins?|min|m|seconds?|secs?|s|inch(?:es)?|in|ounces?"
    r"|oz|months?|weeks?|days?|hours?|hrs?|h|g|cm)\b|\bhalf\sa\b|\bto\sthe\s(?:\w{1,10}\s)?power\b|\d\s(?:squared|cubed|mil|mille|mill)\b",
    re.IGNORECASE,
)
"""A number that goes on in words, roots or a second unit; the digits alone would be another."""

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DATE = re.compile(
    rf"\b{_MONTH}\.?\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s\d{{4}})?\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}\b(?:,?\s\d{{4}})?"
    r"|\b\d{1,4}([-/.])\d{1,2}\1\d{1,4}\b|\b\d{1,2}:\d{2}(?::\d{2})?\b"
    r"|\b\d{1,4}年(?:\d{1,2}月)?(?:\d{1,2}日)?",
    re.IGNORECASE | re.ASCII,
)
_JOINT = re.compile(r"%?\s?(?:[-~,;&×x+*÷·]|to|or|and|and/or)\s?[$€£¥]?| [$€£¥]?", re.IGNORECASE)
_LOOSE_DIGIT = re.compile(r"(?<![A-Za-z\d^])\d")
_STATED = re.compile(r"(?:\bconfidence\b|置信度|信心)[^\n]*", re.IGNORECASE)
_MOST = 200
_DIGITS = 12
_PLACES = 150
"""Decimal places that are written, as many as are read."""

_LARGEST_BASE = 1_000


class Numeric(msgspec.Struct, frozen=True):
    """A number. Canonical is a plain decimal of at most 12 significant digits: `18`, `-0.75`, `1234.5`.

    Strict: a decimal number, thousands commas allowed, nothing around it. Lenient: see `numbers`; also the
    result of an equation, a number after `####` or in a box, and at last the last number of the reply; but
    none that is denied ("not 5") or given as a confidence, and none of several given side by side ("3 or 4",
    "3-5"). Two numbers are equal when they differ by at most `tolerance`, relative to the larger.
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


class Number(msgspec.Struct, frozen=True):
    """A number and its span in a text."""

    value: Fraction
    start: int
    end: int


def numbers(text: str, most: int | None = None) -> Iterator[Number]:
    """The numbers of a text as `cleaning.plain` leaves it, in order, or only those of the last `most` digits
    and signs that may be one.

    Read are signs, currency and percent signs (`50%` is 50), thousands commas and spaces (`1,50,000` too),
    decimal points and commas (`1.234,5`, `0,85`), fractions and mixed numbers (`3/4`, `2 1/2`), powers
    (`10^3`, `3.2 × 10^5`, `1e3`) and scales (`1.5 million`, `20k`, `3万`). Dates, times, ranges, ratios and
    versions are no numbers.
    """
    text = _DATE.sub(lambda match: "\x00" * len(match[0]), text)
    found = _NUMBER.finditer(text)
    for match in found if most is None else deque(found, most):
        value = None if _GLUED.match(text, match.end()) else _value(match)
        if value is not None:
            yield Number(value, match.start(), match.end())


def canonical(text: str) -> str | None:
    """The only number in a text as a plain decimal, None when there is none or several."""
    found = number_of(text)
    return None if found is None else _decimal(found)


def number_of(text: str) -> Fraction | None:
    """The value of the only number in a text; None where a part of it could be another number."""
    text = plain(text)
    found = list(islice(numbers(text), 2))
    if len(found) != 1:
        return None
    rest = text[: found[0].start] + " " + text[found[0].end :]
    if _IN_WORDS.search(text):
        return None
    return None if _LOOSE_DIGIT.search(rest) else found[0].value


def _recovered(text: str) -> Recovered | None:
    body = _STATED.sub("", plain(text))
    said = statements(body)
    for statement in reversed(said):
        right = _right(statement.text)
        if _IN_WORDS.search(right):
            return None
        if (found := _result(right)) is not None:
            return Recovered(_decimal(found), statement.rule)
    if refuses(body) or any(map(outside, said)):
        return None
    found = _affirmed(body, last=True)
    if not found or _side_by_side(body, found):
        return None
    return Recovered(_decimal(found[-1].value), "only number" if len(found) == 1 else "last number")


def _right(text: str) -> str:
    """The part of an announcement right of the last equals sign, where there is a number."""
    right = text.rpartition("=")[2]
    return right if _affirmed(right) else text


def _result(text: str) -> Fraction | None:
    """The first number of an announcement; None where a second one is beside it, as in "3 or 4"."""
    found = _affirmed(text)
    return None if not found or _side_by_side(text, found) else found[0].value


def _side_by_side(text: str, found: list[Number]) -> bool:
    """True when two numbers are given together, as in "3 or 4" or "3 4"."""
    return len(found) == 2 and _JOINT.fullmatch(text, found[0].end, found[1].start) is not None


def _affirmed(text: str, *, last: bool = False) -> list[Number]:
    """The first two numbers that are not denied, of the last `_MOST`, or the `last` two."""
    found = list(numbers(text, _MOST))[:: -1 if last else 1]
    two = list(islice((one for one in found if not denied(text, one.start, one.end)), 2))
    return two[::-1] if last else two


def _value(match: re.Match[str]) -> Fraction | None:
    if match["decimal"]:
        value = _from_decimal(match["decimal"])
    elif int(match["under"]) == 0:
        return None
    else:
        value = int(match["whole"] or 0) + Fraction(int(match["over"]), int(match["under"]))
    if match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"][1:])
    if match["power"]:
        powered = _powered(value, int(match["index"]), ten=bool(match["ten"]))
        if powered is None:
            return None
        value = powered
    if match["scale"]:
        value *= _scale(match["scale"])
    return -value if (match["sign"] or "").startswith("-") else value


def _scale(words: str) -> int:
    """The factor of the words after a number: `million`, `hundred thousand`."""
    factor, rest = 1, words.replace("-", " ").lower().strip()
    while rest:
        word = max((word for word in _SCALES if rest.startswith(word)), key=len)
        factor, rest = factor * _SCALES[word], rest[len(word) :].strip()
    return factor


def _from_decimal(text: str) -> Fraction:
    """The value of digits and separators.

    Where both comma and point occur the last one is the decimal sign. Several of one kind, and one comma
    before three digits (`1,234`), group thousands; any other comma is a decimal comma.
    """
    if text.isdecimal():
        return Fraction(int(text))
    digits = text.replace(" ", "").replace("'", "").replace("_", "")
    signs = [sign for sign in digits if sign in ",."]
    if len(set(signs)) == 2:
        decimal = signs[-1]
    elif len(signs) == 1:
        whole, _, part = digits.partition(signs[0])
        groups = signs[0] == "," and len(part) == 3 and 1 <= len(whole) <= 3 and whole != "0"
        decimal = "" if groups else signs[0]
    else:
        decimal = ""
    whole, _, part = digits.rpartition(decimal) if decimal else (digits, "", "")
    return Fraction(f"{whole.replace(',', '').replace('.', '') or '0'}.{part or '0'}")


def _powered(value: Fraction, index: int, *, ten: bool) -> Fraction | None:
    """`3.2 × 10^5` where `ten`, else `2^10`; None where that is no plausible number."""
    if ten:
        return value * Fraction(10) ** index
    if value == 0 or value > _LARGEST_BASE or value.denominator > _LARGEST_BASE:
        return None
    return value**index


def _decimal(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    over, under = abs(value.numerator), value.denominator
    whole, zeros = len(str(over // under)), len(str(under // over))
    places = min(max(0, _DIGITS - whole if over > under else _DIGITS - 1 + zeros), _PLACES)
    scaled = round(value * 10**places)
    digits = str(abs(scaled)).rjust(places + 1, "0")
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :].rstrip("0")
    return ("-" if scaled < 0 else "") + whole + (f".{part}" if part else "")
