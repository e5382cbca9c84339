"""The options of a multiple-choice row, in the shapes data sets keep them in."""

from collections.abc import Mapping, Sequence
from typing import cast

from .data import Values
from .raw import Unfit, at, required

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
    if not isinstance(value, list | tuple):
        raise Unfit(f"{path} holds no list of choices: {str(value)[:60]!r}")
    items = cast("list[object]", value)
    if items and all(isinstance(item, Mapping) for item in items):
        rows = [cast("Values", item) for item in items]
        return _texts([at(row, "text") for row in rows]), _markers([at(row, "label") for row in rows])
    return _texts(items), ()


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
