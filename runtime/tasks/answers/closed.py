"""Closed answer spaces, multiple choice and labels: which answer a reply names."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import groupby, islice
from operator import itemgetter
from typing import Protocol

import msgspec

from ..example import LETTERS, Example, Question
from .cleaning import folded, plain, trimmed
from .space import Recovered
from .statements import Statement, refuses, statements
from .strict import answer_of_lines

_CLAUSE = re.compile(
    r"[,.:;!?]{1,4}(?:\s|$)|[。、]|\s-{1,4}\s|\s(?:because|since|due to|as it)\b|\n", re.IGNORECASE
)
_ALSO = re.compile(r"^\s*(?:or|and)\s(?:(?:maybe|perhaps|possibly|also|even|option)\s){0,2}", re.IGNORECASE)
_CONCLUSION = re.compile(
    r"(?:^|[.!?。,;]\s?)(?:(?:so|thus|hence|therefore|overall|in conclusion|in summary|finally"
    r"|ultimately|on balance)\b|因此|所以|综上(?:所述)?|总之)[,:]?\s?(?P<said>\S.*)",
    re.IGNORECASE,
)
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:no|not|non|never|without|free (?:of|from)|neither|nor|cannot be|rather than|instead of|exclude"
    r"|reject|eliminate|rule out|hardly|barely|scarcely|far from|anything but|no longer|less|least)"
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
"""Characters before and after a name in which it may be denied."""

_MOST = 200
"""Mentions and clauses that are looked at, from the start."""


class Named(msgspec.Struct, frozen=True):
    """An answer where it is named: the span in the text, the canonical answer, and by what other name."""

    answer: str
    start: int = 0
    end: int = 0
    by: str = ""


class Names(Protocol):
    """The names that the answers of one question may have."""

    def exact(self, text: str) -> Named | None:
        """The answer that the whole text names."""
        ...

    def mentions(self, text: str) -> Iterable[Named]:
        """Every place where the text names an answer, in order."""
        ...


_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = rf"[^\W_{_UNSPACED}]"
_NEVER = r"(?!)"


def pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Finds any of the folded names as whole words, the longest where several begin together.

    Case, and spaces against hyphens or underscores, make no difference. A part of a hyphenated word is no
    word: "non-urgent" does not name `urgent`. Between Chinese, Japanese or Korean letters every place is a
    word boundary. Names of one character are left out: they are everywhere.
    """
    return _compiled(tuple(sorted({name for name in names if len(name) > 1}, key=lambda n: (-len(n), n))))


@lru_cache(maxsize=256)
def _compiled(names: tuple[str, ...]) -> re.Pattern[str]:
    alike = groupby(map(_whole, names), key=itemgetter(0))
    found = [f"{start}(?:{'|'.join(rest for _, rest in group)})" for start, group in alike]
    return re.compile("|".join(found) or _NEVER, re.IGNORECASE)


def _whole(name: str) -> tuple[str, str]:
    """Patterns of what may not stand before a name, and of the name up to its end."""
    body = r"[\s_\-]{1,4}".join(re.escape(part) for part in name.split(" "))
    start = rf"(?<!{_WORD})(?<!{_WORD}[-_])" if re.match(_WORD, name[0]) else ""
    end = rf"(?!{_WORD}|[-_]{_WORD})" if re.match(_WORD, name[-1]) else ""
    if name.lstrip("-")[:1].isdigit():
        start += r"(?<![-.,\d])"
        end += r"(?![.,]\d)"
    # "no" before a noun denies the noun and answers nothing.
    return start, body + end + (r"(?!\s+\w)" if name == "no" else "")


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
    if twice(body, said, names):
        return None
    for statement in reversed(said):
        if found := _said(statement.text, names):
            return _rule(statement.rule, found)
    if refuses(body) or any(map(outside, said)):
        return None
    if found := names.exact(body):
        return _rule("whole", found)
    return _from_ends(body, names) or _from_mentions(body, names)


def single(text: str, names: Names) -> Named | None:
    """The only answer that a text names without denying it beside; None for none or several."""
    found: Named | None = None
    for named in islice(names.mentions(text), _MOST):
        if denied(text, named.start, named.end):
            continue
        if found is not None and found.answer != named.answer:
            return None
        found = found or named
    return found


def denied(text: str, start: int, end: int) -> bool:
    """True when a span of the text is negated by the words right before or after it."""
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
    ending = _CONCLUSION.search(body.rpartition("\n")[2])
    if ending and (found := single(ending["said"], names)):
        return _rule("conclusion", found)
    found = single(body, names)
    return _rule("mention", found) if found else None


def _said(text: str, names: Names) -> Named | None:
    """The answer that an announcement comes down to."""
    return names.exact(text) or _leading(text, names) or single(text, names)


def _leading(line: str, names: Names) -> Named | None:
    """The answer that is the first clause, unless another clause is a different answer."""
    clauses = [_ALSO.sub("", clause) for clause in _CLAUSE.split(line) if clause and clause.strip()]
    first = names.exact(clauses[0]) if clauses else None
    if first is None:
        return None
    return _only([first, *(named for clause in clauses[1:_MOST] if (named := names.exact(clause)))])


def _only(named: list[Named]) -> Named | None:
    return named[0] if len({one.answer for one in named}) == 1 else None


def outside(statement: Statement) -> bool:
    """True when an announcement that could not be read is so short that it can only mean something else."""
    return statement.rule in ("answer line", "boxed") and len(statement.text.split()) <= _FEW_WORDS


_AGAIN = re.compile(r"(?P<said>[^\n;]{1,80}?)[\s;.,]{1,4}(?:the\s|my\s)?answer ?[:=]\s?", re.IGNORECASE)


def twice(body: str, said: list[Statement], names: Names) -> bool:
    """True when the last two announcements follow one another and name different answers.

    One that calls itself final is a correction, and so is one after some more words.
    """
    last = max((one.start for one in said if one.rule != "subject phrase"), default=0)
    for one in said:
        between = _AGAIN.fullmatch(body, one.start, last) if one.start < last else None
        if between and (first := _said(between["said"], names)):
            second = _said(body[last:].partition("\n")[0], names)
            return second is not None and second.answer != first.answer
    return False


def _rule(rule: str, named: Named) -> Recovered:
    return Recovered(named.answer, f"{rule}, {named.by}" if named.by else rule)


_LETTER = re.compile(
    r"(?:the\s+)?(?:(?:option|choice|answer|letter|选项|选)\s*:?\s*)?[(\[\"']*([A-Za-z])[)\]\"']*[.:,]?"
    r"(?:\s*选项|\s+is\s+(?:correct|right|true|the\s+(?:correct|right|best)\s+\w+))?"
)
_LETTER_AND_TEXT = re.compile(r"[(\[]?([A-Za-z])(?:[)\].:、,]+\s*|\s+-+\s+)(\S.*)", re.DOTALL)
_FURTHER = re.compile(
    r"(?:^|[\n,;/]\s*|[.!]\s|\b(?:and|or)\s+(?:(?:maybe|perhaps|possibly|also|even|option)\s+){0,2})"
    r"\(?([A-Z])\)?(?=[).:,;]|\s*$)"
)
_NUMBER = re.compile(
    r"(?:the\s+)?(?:option|choice|answer|solution|ending|选项)\s*#?\(?([1-9]\d?)\)?[.:]?", re.IGNORECASE
)
_MENTION = re.compile(
    r"(?<![A-Za-z0-9.'])(?:(?P<marked>\((?P<a>[A-Za-z])\)|\b(?:option|choice|选项)\s+\(?(?P<b>[A-Za-z])\b\)?)"
    r"|(?P<listed>(?P<c>[A-Z])(?=[).:](?:\s|$)))|(?P<bare>(?P<d>[A-Z])))(?![A-Za-z0-9'])",
)
_AFTER_WORD = re.compile(r"\s*(?:$|[.,;:!?)。、选/&])|\s(?:or|and)\s\(?[A-Z]\b")
_ARTICLES = "AI"


class Choice(msgspec.Struct, frozen=True):
    """One of a row's options, by its letter.

    Strict: the letter alone, upper or lower case. Lenient: also `(B)`, `B.`, `option B`, `B) its text`, the
    option's number (`answer2`) or its text, wherever `recovered` finds them; the letter
    outranks the text.
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
    """The names that the options of one row may have."""

    texts: tuple[str, ...]

    def exact(self, text: str) -> Named | None:
        text = text.strip()
        if match := _LETTER.fullmatch(text.rstrip("。!?")):
            return self._letter(match[1])
        by_text = self._by_text(text)
        if by_text is None and (match := _NUMBER.fullmatch(text)):
            return self._at(int(match[1]) - 1, "number")
        if by_text is None and (match := _LETTER_AND_TEXT.fullmatch(text)):
            further = set(_FURTHER.findall(match[2])) & {*LETTERS[: len(self.texts)]}
            return None if further - {match[1].upper()} else self._letter(match[1])
        return by_text

    def mentions(self, text: str) -> Iterable[Named]:
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
        places = _places(self.texts)
        found = pattern(places).finditer(text)
        named = (self._at(places.get(folded(m[0]), 99), "option text", m.start(), m.end()) for m in found)
        return [one for one in named if one]

    def _by_text(self, text: str) -> Named | None:
        place = _places(self.texts).get(_same(text))
        return None if place is None else self._at(place, "option text")

    def _letter(self, letter: str) -> Named | None:
        return self._at(LETTERS.index(letter.upper()))

    def _at(self, place: int, by: str = "", start: int = 0, end: int = 0) -> Named | None:
        return Named(LETTERS[place], start, end, by) if place < len(self.texts) else None


@lru_cache(maxsize=1024)
def _places(texts: tuple[str, ...]) -> Mapping[str, int]:
    """The place of the first option of each text."""
    return {name: place for place, option in reversed(list(enumerate(texts))) if (name := _same(option))}


def _same(text: str) -> str:
    return folded(trimmed(text)) or folded(text)


YES_NO_SYNONYMS: dict[str, tuple[str, ...]] = {
    "yes": ("true", "correct", "right", "yeah", "yep", "是", "是的", "对", "正确"),
    "no": ("false", "incorrect", "wrong", "nope", "否", "不", "不是", "不对", "错", "错误", "不正确"),
    "maybe": ("possibly", "perhaps", "unclear", "uncertain", "也许", "可能", "不确定"),
}


class Labels(msgspec.Struct, frozen=True):
    """One of a fixed set of labels. `synonyms` maps other names, as a reply may use them, to labels.

    Strict: the label as it is, without regard to case. Lenient: see `recovered`; synonyms count, and
    underscores, hyphens and full-width forms make no difference.
    """

    kind: str
    labels: tuple[str, ...]
    synonyms: dict[str, str] = {}

    def allowed(self, question: Question) -> tuple[str, ...]:
        return self.labels

    def options(self, question: Question) -> str:
        return ""

    def hint(self, question: Question) -> str:
        return "one of: " + ", ".join(self.labels)

    def strict(self, answer: str, question: Question) -> str | None:
        if answer in self.labels:
            return answer
        wanted = answer.casefold()
        return next((label for label in self.labels if label.casefold() == wanted), None)

    def lenient(self, text: str, question: Question) -> Recovered | None:
        kept = answer_of_lines(text)
        label = None if kept is None else self.strict(kept, question)
        return Recovered(label, "answer line") if label else recovered(text, self)

    def credit(self, answer: str, example: Example) -> float:
        return float(answer == example.gold)

    def exact(self, text: str) -> Named | None:
        """The label or synonym that the text is, apart from quotes and punctuation around it."""
        name = folded(trimmed(text)) or folded(text)
        return self._names().get(name)

    def mentions(self, text: str) -> Iterable[Named]:
        """Every label or synonym in the text, the longest where several begin together.

        Names of one character count only where they are the whole answer, and `no` not before a noun.
        """
        names = self._names()
        return (
            msgspec.structs.replace(names[name], start=match.start(), end=match.end())
            for match in pattern(names).finditer(text)
            if (name := folded(match[0])) in names
        )

    def _names(self) -> Mapping[str, Named]:
        return _by_name(self.labels, tuple(self.synonyms.items()))


@lru_cache(maxsize=256)
def _by_name(labels: tuple[str, ...], synonyms: tuple[tuple[str, str], ...]) -> Mapping[str, Named]:
    """The answer that each folded name means; a label precedes a synonym, and another label without the
    punctuation around it."""
    other = {folded(name): Named(label, by="synonym") for name, label in synonyms}
    bare = {name: Named(label) for label in reversed(labels) if (name := folded(trimmed(label)))}
    return other | bare | {folded(label): Named(label) for label in labels}
