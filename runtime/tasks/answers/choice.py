"""Multiple choice: 2 to 26 options, answered by letter."""

import re

import msgspec

from ..example import LETTERS, Example, Question
from .clean import folded, trimmed
from .closed import Named, recovered
from .lines import answer_of_lines
from .space import Recovered
from .wording import pattern

_LETTER = re.compile(
    r"(?:the\s+)?(?:(?:option|choice|answer|letter|选项|选)\s*:?\s*)?[(\[\"']*([A-Za-z])[)\]\"']*[.:,]?"
    r"(?:\s*选项|\s+is\s+(?:correct|right|true|the\s+(?:correct|right|best)\s+\w+))?"
)
_LETTER_AND_TEXT = re.compile(r"[(\[]?([A-Za-z])(?:[)\].:、,]+\s*|\s+-+\s+)(\S.*)", re.DOTALL)
_FURTHER = re.compile(r"(?:^|[\n,;/]\s*|\s(?:and|or)\s+)\(?([A-Z])\)?(?=[).:,;]|\s*$)")
_NUMBER = re.compile(
    r"(?:the\s+)?(?:option|choice|answer|solution|ending|选项)\s*#?\(?([1-9]\d?)\)?[.:]?", re.IGNORECASE
)
_MENTION = re.compile(
    r"(?<![A-Za-z0-9.'])(?:(?P<marked>\((?P<a>[A-Za-z])\)|\b(?:option|choice|选项)\s+\(?(?P<b>[A-Za-z])\b\)?)"
    r"|(?P<listed>(?P<c>[A-Z])(?=[).:](?:\s|$)))|(?P<bare>(?P<d>[A-Z])))(?![A-Za-z0-9'])",
)
_AFTER_WORD = re.compile(r"\s*(?:$|[.,;:!?)。、选])")
_ARTICLES = "AI"


class Choice(msgspec.Struct, frozen=True):
    """One of a row's options, by its letter.

    Strict: the letter alone, upper or lower case. Lenient: also `(B)`, `B.`, `option B`, `B) its text`, the
    option's number (`answer2`) or its text, wherever `closed.recovered` finds them;
    the letter outranks the text.
    """

    kind: str = "multiple_choice"

    def allowed(self, question: Question) -> tuple[str, ...]:
        return tuple(LETTERS[: len(question.choices)])

    def options(self, question: Question) -> str:
        return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, question.choices, strict=False))

    def hint(self, question: Question) -> str:
        return "one letter of: " + ", ".join(self.allowed(question))

    def strict(self, answer: str, question: Question) -> str | None:
        letter = answer.upper()
        return letter if letter in self.allowed(question) else None

    def lenient(self, text: str, question: Question) -> Recovered | None:
        kept = answer_of_lines(text)
        letter = None if kept is None else self.strict(kept, question)
        return Recovered(letter, "answer line") if letter else recovered(text, _Options(question.choices))

    def credit(self, answer: str, example: Example) -> float:
        return float(answer == example.gold)


class _Options(msgspec.Struct, frozen=True):
    """How the options of one row may be named."""

    texts: tuple[str, ...]

    def exact(self, text: str) -> Named | None:
        text = text.strip()
        if match := _LETTER.fullmatch(text.rstrip("。!?")):
            return self._letter(match[1])
        by_text = self._by_text(text)
        if by_text is None and (match := _NUMBER.fullmatch(text)):
            return self._at(int(match[1]) - 1, "number")
        if by_text is None and (match := _LETTER_AND_TEXT.fullmatch(text)):
            further = {letter.upper() for letter in _FURTHER.findall(match[2])}
            return None if further - {match[1].upper()} else self._letter(match[1])
        return by_text

    def mentions(self, text: str) -> list[Named]:
        """Letters that stand for options; where there are none, option texts."""
        return [named for match in _MENTION.finditer(text) if (named := self._mention(match))] or [
            *self._texts(text)
        ]

    def _mention(self, match: re.Match[str]) -> Named | None:
        letter = match["a"] or match["b"] or match["c"] or match["d"]
        if match["bare"] and letter in _ARTICLES and not _AFTER_WORD.match(match.string, match.end()):
            return None
        named = self._letter(letter)
        return msgspec.structs.replace(named, start=match.start(), end=match.end()) if named else None

    def _texts(self, text: str) -> list[Named]:
        places = {_same(option): place for place, option in reversed(list(enumerate(self.texts)))}
        found = pattern(places).finditer(text)
        named = (self._at(places.get(folded(m[0]), 99), "option text", m.start(), m.end()) for m in found)
        return [one for one in named if one]

    def _by_text(self, text: str) -> Named | None:
        wanted = _same(text)
        for place, option in enumerate(self.texts):
            if wanted and _same(option) == wanted:
                return self._at(place, "option text")
        return None

    def _letter(self, letter: str) -> Named | None:
        return self._at(LETTERS.index(letter.upper()))

    def _at(self, place: int, by: str = "", start: int = 0, end: int = 0) -> Named | None:
        return Named(LETTERS[place], start, end, by) if place < len(self.texts) else None


def _same(text: str) -> str:
    return folded(trimmed(text)) or folded(text)
