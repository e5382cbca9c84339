"""From a row of data to its parts: field names, options, templates."""

import ast
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import msgspec

from ...scenarios.errors import InputError
from ...scenarios.tasks import FieldSettings, Kind
from .data import Values
from .template import fill, placeholders

_LISTED = 20


class Unfit(ValueError):
    """A row that cannot become an example; the message holds the reason, the caller knows the place."""


class Raw(msgspec.Struct, frozen=True, gc=False):
    """The parts of a row, cleaned. `answer` is as the data has it; a number counts choices or labels from 0.

    `markers` are the data's own names of the choices ("A", "1"), where it has them.
    """

    question: str
    answer: object
    context: str = ""
    choices: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    id: str = ""


class Drop(msgspec.Struct, frozen=True):
    """A row left out on purpose; rows are counted by reason."""

    reason: str


def has(values: Values, path: str) -> bool:
    """True when a dotted path leads to a field."""
    return _follow(values, path) is not _MISSING


def at(values: Values, path: str) -> object:
    """The value at a dotted path (`question.stem`, `options.0`); a field of that very name goes first.

    Raises Unfit where there is nothing.
    """
    found = _follow(values, path)
    if found is _MISSING:
        raise Unfit(f"no field {path!r}; the row has {listed(values)}")
    return found


def listed(names: Iterable[str]) -> str:
    """The names of fields for a message, at most twenty of them."""
    every = list(names)
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return f"{', '.join(every[:_LISTED])}{more}"


def text(value: object, what: str) -> str:
    """A field as text, space around it removed; lists of texts are joined by line. May be empty.

    Raises Unfit for NaN and for what is no text.
    """
    match value:
        case None:
            return ""
        case str():
            return _whole(_no_nan(value.strip(), what), what)
        case float() if math.isnan(value):
            raise Unfit(f"{what} is NaN")
        case bool() | int() | float():
            return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        case list() | tuple():
            return "\n".join(text(part, what) for part in cast("list[object]", value))
        case _:
            raise Unfit(f"{what} is no text: {str(value)[:60]!r}")


def required(value: object, what: str) -> str:
    """A field as text that must not be empty."""
    found = text(value, what)
    if not found:
        raise Unfit(f"{what} is empty")
    return found


_MISSING = object()


def _no_nan(value: str, what: str) -> str:
    if value in {"nan", "NaN"}:
        raise Unfit(f"{what} is NaN")
    return value


def _whole(value: str, what: str) -> str:
    """The text; Unfit where it holds half of a surrogate pair, which no program can send or save."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        half = value[error.start].encode("unicode_escape").decode()
        raise Unfit(
            f"{what} holds half a character ({half}): the text was cut inside it; repair or remove it"
        ) from None
    return value


def _follow(values: object, path: str) -> object:
    if isinstance(values, Mapping):
        fields = cast("Values", values)
        if path in fields:
            return fields[path]
        head, dot, rest = path.partition(".")
        return _follow(fields[head], rest) if dot and head in fields else _MISSING
    if isinstance(values, list | tuple):
        return _item(cast("list[object]", values), path)
    return _MISSING


def _item(values: list[object], path: str) -> object:
    head, dot, rest = path.partition(".")
    if not head.isdecimal() or int(head) >= len(values):
        return _MISSING
    return _follow(values[int(head)], rest) if dot else values[int(head)]


Choices = tuple[tuple[str, ...], tuple[str, ...]]
"""Option texts in order, and the data's own markers for them (or nothing)."""


def read_choices(values: Values, paths: str | Sequence[str]) -> Choices:
    """Options from one field, or from one field each.

    One field may hold a list of texts, an object from marker to text (`{"A": …}`), a list of
    `{"label": …, "text": …}`, or `{"text": […], "label": […]}`. Raises Unfit for anything else.
    """
    if isinstance(paths, str):
        return _of_field(at(values, paths), paths)
    return _texts([at(values, path) for path in paths]), ()


def _of_field(value: object, path: str) -> Choices:
    if isinstance(value, Mapping):
        return _of_mapping(cast("Values", value), path)
    if isinstance(value, str) and (written := written_list(value)) is not None:
        value = written
    if not isinstance(value, list | tuple):
        raise Unfit(f"{path} holds no list of choices: {str(value)[:60]!r}")
    items = cast("list[object]", value)
    if items and all(isinstance(item, Mapping) for item in items):
        rows = [cast("Values", item) for item in items]
        return _texts([at(row, "text") for row in rows]), _markers([at(row, "label") for row in rows])
    return _texts(items), ()


def written_list(value: str) -> list[object] | None:
    """The list that a text writes as JSON, Python or numpy does (`["a", "b"]`, `['a' 'b']`), as tables hold
    it; None for any other text."""
    text = value.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found: object = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        # Python joins texts without a comma between them, as numpy writes them.
        if isinstance(found, list) and not re.search(r"(['\"])\s+\1", text):
            return cast("list[object]", found)
    quoted = re.fullmatch(r"\[\s*(?:'[^']*'|\"[^\"]*\")(?:\s+(?:'[^']*'|\"[^\"]*\"))*\s*\]", text)
    return [one[1:-1] for one in re.findall(r"'[^']*'|\"[^\"]*\"", text)] if quoted else None


def _of_mapping(value: Values, path: str) -> Choices:
    texts, labels = value.get("text"), value.get("label")
    if isinstance(texts, list | tuple) and isinstance(labels, list | tuple):
        return _texts(cast("list[object]", texts)), _markers(cast("list[object]", labels))
    if not value:
        raise Unfit(f"{path} holds no choices")
    return _texts(list(value.values())), _markers(list(value))


def _texts(items: Sequence[object]) -> tuple[str, ...]:
    return tuple(required(item, f"choice {number}") for number, item in enumerate(items, start=1))


def _markers(items: Sequence[object]) -> tuple[str, ...]:
    return tuple(required(item, "a choice's label") for item in items)


Mapper = Callable[[Values], Raw | Drop]
"""Finds the parts of a row; raises Unfit where it cannot."""

QUESTIONS = ("question", "text", "input")
ANSWERS = ("answer", "label", "target")
CHOICES = ("choices", "options")
CONTEXTS = ("context", "passage")


class FieldMapper(msgspec.Struct, frozen=True):
    """Maps rows by dotted paths; with a template the question comes from that."""

    question: str
    answer: str | tuple[str, ...] | None
    context: str | None = None
    choices: str | tuple[str, ...] | None = None
    id: str | None = None
    template: str | None = None

    def __call__(self, values: Values) -> Raw:
        """The parts of a row. Raises Unfit: a field is missing, empty or NaN."""
        choices, markers = ((), ()) if self.choices is None else read_choices(values, self.choices)
        return Raw(
            question=self._question(values),
            answer=self._answer(values),
            context="" if self.context is None else text(at(values, self.context), self.context),
            choices=choices,
            markers=markers,
            id="" if self.id is None else required(at(values, self.id), self.id),
        )

    def _answer(self, values: Values) -> object:
        if isinstance(self.answer, tuple):
            return {path.rpartition(".")[2]: at(values, path) for path in self.answer}
        return None if self.answer is None else at(values, self.answer)

    def _question(self, values: Values) -> str:
        if self.template is not None:
            shown = fill(self.template, lambda path: text(at(values, path), path))
            return required(shown, "the filled template")
        return required(at(values, self.question), self.question)


def by_fields(fields: FieldSettings, template: str | None, kind: Kind, first: Values) -> FieldMapper:
    """The mapper that a task's `fields` and `template` describe.

    What is left out is looked for in the first row under its usual names. Raises InputError where none or
    several of them are there, and where the template shows the answer.
    """
    question = fields.question or ("" if template else _usual("question", QUESTIONS, first))
    answer = fields.answer or _answer(kind, first)
    answer = tuple(answer) if isinstance(answer, list) else answer
    shown = placeholders(template) if template else [question, fields.context]
    leaked = {*answer} & {*shown} if isinstance(answer, tuple) else {answer} & {*shown}
    if answer is not None and leaked:
        where = "template" if template else "fields"
        raise InputError(f"{where}: {leaked.pop()!r} holds the answer and must not be shown in the question")
    return FieldMapper(
        question=question,
        answer=answer,
        context=fields.context or (None if template else _one_of(CONTEXTS, first)),
        choices=_choices(fields.choices, kind, first),
        id=fields.id,
        template=template,
    )


def _answer(kind: Kind, first: Values) -> str | None:
    if kind == "judged" and not any(name in first for name in ANSWERS):
        return None
    return _usual("answer", ANSWERS, first)


def _choices(given: str | list[str] | None, kind: Kind, first: Values) -> str | tuple[str, ...] | None:
    if given is not None:
        return given if isinstance(given, str) else tuple(given)
    return _usual("choices", CHOICES, first) if kind == "multiple_choice" else None


def _usual(part: str, names: Sequence[str], first: Values) -> str:
    found = [name for name in names if name in first]
    if len(found) == 1:
        return found[0]
    problem = f"both {' and '.join(found)} could be" if found else f"none of {', '.join(names)} is there for"
    raise InputError(f"fields.{part}: {problem} the {part}; name one of the row's fields: {listed(first)}")


def _one_of(names: Sequence[str], first: Values) -> str | None:
    found = [name for name in names if has(first, name)]
    return found[0] if len(found) == 1 else None


__all__ = ["FieldMapper", "Mapper", "Unfit", "by_fields"]
