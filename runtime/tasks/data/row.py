"""What a reader yields: a row with its place, or a row that cannot be read."""

from collections.abc import Mapping
from typing import cast

import msgspec

Values = Mapping[str, object]
"""The fields of a row. A row that is a list has the fields "0", "1", …"""


class Row(msgspec.Struct, frozen=True):
    """One row as its file holds it. `place` is for messages: `reviews.jsonl:12`."""

    values: Values
    place: str


class Bad(msgspec.Struct, frozen=True):
    """A row that cannot be read, and why."""

    place: str
    problem: str


Item = Row | Bad


class Shape(msgspec.Struct, frozen=True):
    """What a data set's original files need to be known of, beside their extension.

    `names` are field names of its header: a delimited file whose first row holds none of them has no header.
    `block` lines of a `.txt` file make one row. `encoding` is tried where a line is not UTF-8.
    """

    names: frozenset[str] = frozenset()
    block: int = 1
    encoding: str | None = None


def as_row(value: object, place: str) -> Item:
    """A decoded JSON value as a row: an object, or a list whose fields are numbered from 0."""
    if isinstance(value, dict):
        return Row(cast("Values", value), place)
    if isinstance(value, list):
        return Row({str(i): item for i, item in enumerate(cast("list[object]", value))}, place)
    return Bad(place, f"expected an object with named fields, got {str(value)[:60]!r}")
