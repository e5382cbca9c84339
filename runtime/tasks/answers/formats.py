"""Answer formats: the words that ask for an answer, and its place in a reply.

A format is added here: a class that meets `AnswerFormat`, an entry of `FORMATS`, and its name in
`scenarios.tasks.KnownFormat`. One of a user's own is loaded by `_own_format`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import msgspec

from ....prompts import render
from ....scenarios.errors import InputError
from ....scenarios.plugins import guarded, load
from ....scenarios.tasks import FormatSettings
from .cleaning import shortened
from .objects import Object, as_text, json_objects, value_at, whole_object
from .reasoning import without_reasoning
from .stated import verbalised
from .strict import Lines, strict_lines


class AnswerFormat(Protocol):
    """The contract of a reply: what IFR counts, and where a lenient reader looks first."""

    @property
    def name(self) -> str:
        """The scenario's name of this format."""
        ...

    @property
    def states_confidence(self) -> bool:
        """True when a reply in this format can hold a confidence."""
        ...

    def request(self, hint: str, *, confidence: bool) -> str:
        """The words that ask for an answer in this format; `hint` says what may be answered."""
        ...

    def strict(self, text: str, *, confidence: bool) -> Lines | None:
        """The answer of a reply that keeps the format exactly, None of any other.

        With `confidence` a reply without one does not keep it.
        """
        ...

    def lenient(self, text: str) -> Lines | None:
        """The answer where the format has it, with any text around it; None where it is not found."""
        ...


class TwoLines(msgspec.Struct, frozen=True):
    """`Answer: …` and, where asked for, `Confidence: NN%` below it; the default."""

    name: str = "lines"
    states_confidence: bool = True

    def request(self, hint: str, *, confidence: bool) -> str:
        return render("answer_confidence" if confidence else "answer_only", hint=hint)

    def strict(self, text: str, *, confidence: bool) -> Lines | None:
        return strict_lines(text, confidence=confidence)

    def lenient(self, text: str) -> Lines | None:
        return None  # announcements of an answer are read by the answer space


class Json(msgspec.Struct, frozen=True):
    """A JSON object and nothing else, with the answer (and the confidence) at a dotted path."""

    answer: str = "answer"
    confidence: str = "confidence"
    name: str = "json"
    states_confidence: bool = True

    def request(self, hint: str, *, confidence: bool) -> str:
        if not self.answer:
            return render("answer_raw", hint=hint)
        form = _nested({self.answer: "the answer"} | ({self.confidence: "NN%"} if confidence else {}))
        return render("answer_json", hint=hint, form=form, sure=_SURE if confidence else "")

    def strict(self, text: str, *, confidence: bool) -> Lines | None:
        found = whole_object(without_reasoning(text))
        lines = None if found is None else self._read(found, share)
        return None if lines is None or (confidence and lines.confidence is None) else lines

    def lenient(self, text: str) -> Lines | None:
        read = [
            lines
            for found in json_objects(without_reasoning(text))
            if (lines := self._read(found, stated_share))
        ]
        return read[-1] if read else None

    def _read(
        self, found: Mapping[str, object], confidence: Callable[[object], float | None]
    ) -> Lines | None:
        answer = as_text(value_at(found, self.answer))
        return None if answer is None else Lines(answer, confidence(value_at(found, self.confidence)))


class Regex(msgspec.Struct, frozen=True):
    """A pattern of the user's own: its group `answer`, else its first group, else all it matches."""

    pattern: str
    name: str = "regex"
    states_confidence: bool = False

    def request(self, hint: str, *, confidence: bool) -> str:
        return ""  # the prompt itself says what the reply must look like

    def strict(self, text: str, *, confidence: bool) -> Lines | None:
        match = re.fullmatch(self.pattern, shortened(without_reasoning(text)))
        return None if match is None or confidence else self._read(match)

    def lenient(self, text: str) -> Lines | None:
        match = re.search(self.pattern, shortened(without_reasoning(text)))
        return None if match is None else self._read(match)

    def _read(self, match: re.Match[str]) -> Lines | None:
        groups = match.groupdict()
        found = groups.get("answer") or (match[1] if match.re.groups and "answer" not in groups else None)
        found = match[0] if not match.re.groups else found
        return Lines(found.strip()) if found and found.strip() else None


class Raw(msgspec.Struct, frozen=True):
    """The whole reply is the answer."""

    name: str = "raw"
    states_confidence: bool = False

    def request(self, hint: str, *, confidence: bool) -> str:
        return render("answer_raw", hint=hint)

    def strict(self, text: str, *, confidence: bool) -> Lines | None:
        answer = without_reasoning(text)
        return Lines(answer) if answer and not confidence else None

    def lenient(self, text: str) -> Lines | None:
        return None


FORMATS: Mapping[str, Callable[[FormatSettings], AnswerFormat]] = {
    "lines": lambda _: TwoLines(),
    "json": lambda given: Json(given.answer, given.confidence),
    "regex": lambda given: Regex(_compiled(given.pattern)),
    "raw": lambda _: Raw(),
}
"""By the scenario's name, how a format is made from its settings."""

LINES = TwoLines()

_SURE = ", where NN is how sure you are, from 0 to 100"


def answer_format(
    given: FormatSettings, folder: Path | None = None, *, allow_code: bool = False
) -> AnswerFormat:
    """The format that a task's settings name; modules of a user's own may lie in `folder`.

    Raises InputError for a pattern that cannot be compiled, and where a format of the user's own cannot be
    loaded.
    """
    known = FORMATS.get(given.kind)
    return known(given) if known else _own_format(given.kind, folder or Path.cwd(), allow_code=allow_code)


def _own_format(name: str, folder: Path, *, allow_code: bool) -> AnswerFormat:
    found = load("format", name, folder, allow_code=allow_code)
    if isinstance(found, type):
        with guarded("format", name):
            found = found()
    lacking = [key for key in _MEMBERS if not hasattr(found, key)]
    if lacking:
        raise InputError(
            f"format {name}: expected an AnswerFormat, or a class of one that is made without arguments; "
            f"{type(found).__name__} lacks {', '.join(lacking)}"
        )
    return OwnFormat(name, cast("AnswerFormat", found))


_MEMBERS = ("states_confidence", "request", "strict", "lenient")


class OwnFormat:
    """A format of the user's own; what its code raises is raised as InputError with the line."""

    def __init__(self, name: str, inner: AnswerFormat) -> None:
        self._name = name
        self._inner = inner

    @property
    def name(self) -> str:
        return self._name

    @property
    def states_confidence(self) -> bool:
        return bool(self._inner.states_confidence)

    def request(self, hint: str, *, confidence: bool) -> str:
        with guarded("format", self._name):
            words = cast("object", self._inner.request(hint, confidence=confidence))
        if not isinstance(words, str):
            raise InputError(f"format {self._name}: request returned {words!r}; expected a text")
        return words

    def strict(self, text: str, *, confidence: bool) -> Lines | None:
        with guarded("format", self._name):
            return self._checked(self._inner.strict(text, confidence=confidence))

    def lenient(self, text: str) -> Lines | None:
        with guarded("format", self._name):
            return self._checked(self._inner.lenient(text))

    def _checked(self, found: object) -> Lines | None:
        if found is None or (
            isinstance(found, Lines)
            and isinstance(cast("object", found.answer), str)
            and (found.confidence is None or 0 <= found.confidence <= 1)
        ):
            return found
        raise ValueError(f"expected None or Lines with a confidence from 0 to 1, not {found!r}")


def share(value: object) -> float | None:
    """A confidence in [0, 1] from a JSON value: `0.9`, `90`, `"90%"`; None where it is none."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s{0,3}(\d{1,3}(?:\.\d{1,9})?)\s{0,3}(%?)\s{0,3}", value)
        if match is None:
            return None
        value = float(match[1]) / (100 if match[2] else 1)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= 100:
        return None
    return value / 100 if value > 1 else float(value)


def stated_share(value: object) -> float | None:
    """A confidence in [0, 1] from a JSON value, also one in other words: `"high (90%)"`, `"9/10"`."""
    return verbalised(f"confidence: {value}") if isinstance(value, str) else share(value)


def _compiled(pattern: str | None) -> str:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise InputError(f"format.pattern: {pattern!r} is no regular expression: {error}") from None
    return pattern or ""


def _nested(paths: Mapping[str, str]) -> str:
    """A JSON object with a text at each dotted path."""
    found: Object = {}
    for path, text in paths.items():
        found = _with(found, path.split("."), text)
    return msgspec.json.encode(found).decode()


def _with(found: Object, path: Sequence[str], text: str) -> Object:
    head, *rest = path
    inner = found.get(head)
    value = _with(cast("Object", inner) if isinstance(inner, Mapping) else {}, rest, text) if rest else text
    return {**found, head: value}
