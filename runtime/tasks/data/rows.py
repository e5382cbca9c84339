"""Rows as readers yield them, and seeded samples of a stream."""

import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar, cast

import msgspec

Values = Mapping[str, object]
"""The fields of a row. A row that is a list has the fields "0", "1", …"""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row as its file holds it. `place` is for messages: `reviews.jsonl:12`."""

    values: Values
    place: str


class Bad(msgspec.Struct, frozen=True):
    """A row that cannot be read, and why."""

    place: str
    problem: str


Item = Row | Bad


class ClassIndex(int):
    """An index of a class, as Hugging Face sets hold labels, with the name of the class."""

    name: str

    def __new__(cls, index: int, name: str) -> "ClassIndex":
        found = super().__new__(cls, index)
        found.name = name
        return found


class Shape(msgspec.Struct, frozen=True):
    """The form of a data set's original files, beyond what their extension says.

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


T = TypeVar("T")


def sample(items: Iterable[T], limit: int | None, *, shuffle: bool, random: random.Random) -> list[T]:
    """At most `limit` items: the first ones, or with `shuffle` a uniform sample in random order.

    Reservoir sampling (Vitter's algorithm R): one pass, at most `limit` items in memory, and it needs neither
    the length of the stream nor a way back, so it serves every format alike. The whole stream is read, so
    a broken row is found wherever it is; without `shuffle` reading stops at the limit.
    """
    if not shuffle:
        return list(islice(items, limit))
    kept: list[T] = []
    for seen, item in enumerate(items):
        if limit is None or seen < limit:
            kept.append(item)
        elif (slot := random.randrange(seen + 1)) < limit:
            kept[slot] = item
    random.shuffle(kept)
    return kept


def given(rows: Iterable[Values], key: str) -> Iterator[Item]:
    """These rows; `key` is their place in the scenario, and their place is their index below it."""
    return (Row(values, f"{key}[{index}]") for index, values in enumerate(rows))
