"""Rows as readers yield them, seeded samples of a stream, and decoded text lines."""

import codecs
import gzip
import io
import random
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, TypeVar, cast

import msgspec

from ....scenarios.errors import InputError

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


_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def lines(path: Path, encoding: str | None = None) -> Generator[str]:
    """The lines of a UTF-8 file with their line ends; a byte order mark at the start is not part of the text.

    A file ending in `.gz` is decompressed. Only one line is held in memory. `encoding` is tried for lines
    that are not UTF-8. Raises InputError with line and byte when a line cannot be decoded, or when the file
    cannot be read.
    """
    offset = 0
    try:
        with _opened(path) as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                yield _decoded(line, path, number, offset + len(raw) - len(line), encoding)
                offset += len(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


_BUFFER = 1 << 20
"""Bytes read at a time. A thread that reads a few kilobytes at a time gives the interpreter up so often, and
takes it back so soon, that the thread of the event loop gets no turn between."""


def _opened(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(cast("io.RawIOBase", gzip.open(path, "rb")), _BUFFER)
    return path.open("rb", buffering=_BUFFER)


def whole(path: Path) -> str:
    """The whole of a UTF-8 file."""
    return "".join(lines(path))


def _decoded(line: bytes, path: Path, number: int, offset: int, encoding: str | None) -> str:
    if number == 1 and line.startswith(_UTF16):
        raise InputError(f"{path}:1: UTF-16 text; save the file as UTF-8")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        if encoding is not None:
            return line.decode(encoding)
        where = offset + error.start
        raise InputError(
            f"{path}:{number}: not UTF-8 text (byte 0x{line[error.start]:02x} at file offset {where}); "
            f"save the file as UTF-8{_windows(line)}"
        ) from None


def _windows(line: bytes) -> str:
    """A hint where a line can be read as Windows-1252, in which Excel saves by default."""
    try:
        text = line.decode("cp1252")
    except UnicodeDecodeError:
        return ""
    around = next(i for i, sign in enumerate(text) if not sign.isascii())
    shown = text[max(0, around - 15) : around + 15].strip()
    return f" (as Windows-1252 it reads {shown!r}; Excel: Save As, CSV UTF-8)"
