"""A row on its way to an example: its parts found, its answer not yet read."""

import math
from collections.abc import Mapping
from typing import cast

import msgspec

from .data import Values


class Unfit(ValueError):
    """A row cannot become an example; the message says why, the caller knows where."""


class Raw(msgspec.Struct, frozen=True):
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
    """Whether a dotted path leads to a field."""
    return _follow(values, path) is not _MISSING


def at(values: Values, path: str) -> object:
    """What stands at a dotted path (`question.stem`, `options.0`); a field of that very name goes first.

    Raises Unfit where there is nothing.
    """
    found = _follow(values, path)
    if found is _MISSING:
        raise Unfit(f"no field {path!r}; the row has {', '.join(values)}")
    return found


def text(value: object, what: str) -> str:
    """A field as text, space around it removed; lists of texts are joined by line. May be empty.

    Raises Unfit for NaN and for what is no text.
    """
    match value:
        case None:
            return ""
        case str():
            return _no_nan(value.strip(), what)
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
