"""CSV and TSV files, with or without a header."""

import csv
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from .row import Bad, Item, Row, Shape
from .text import lines


def read_delimited(path: Path, delimiter: str, shape: Shape) -> Iterator[Item]:
    """The rows of a delimited file (RFC 4180 quoting); every value is a text. Holds one row in memory.

    The first row names the fields; where `shape.names` is given and holds none of them, the file has no
    header and its fields are "0", "1", … A row with more or fewer fields than the first is a bad row.
    """
    records = _records(path, delimiter, shape)
    first = next(records, None)
    if first is None:
        return
    _, names = first
    if shape.names and not shape.names & {name.strip() for name in names}:
        names = [str(i) for i in range(len(names))]
        yield _row(path, first, names)
    else:
        names = _header(path, names)
    for record in records:
        yield _row(path, record, names)


def _records(path: Path, delimiter: str, shape: Shape) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it starts on; blank lines are no records."""
    reader = csv.reader(lines(path, shape.encoding), delimiter=delimiter, strict=True)
    start = 1
    while True:
        try:
            record = next(reader, None)
        except csv.Error as error:
            hint = "; a quoted field must end with a quote, and quotes inside it are doubled"
            raise InputError(f"{path}:{start}: not valid {_format(delimiter)} ({error}){hint}") from None
        if record is None:
            return
        if record:
            yield start, record
        start = reader.line_num + 1


def _header(path: Path, names: list[str]) -> list[str]:
    names = [name.strip() for name in names]
    if "" in names:
        raise InputError(f"{path}:1: field {names.index('') + 1} of the header has no name")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}:1: the header names {', '.join(twice)} more than once")
    return names


def _row(path: Path, record: tuple[int, list[str]], names: list[str]) -> Item:
    line, values = record
    place = f"{path}:{line}"
    if len(values) != len(names):
        return Bad(
            place,
            f"{len(values)} fields where the first row has {len(names)}; "
            "a field that holds the delimiter must be quoted",
        )
    return Row(dict(zip(names, values, strict=True)), place)


def _format(delimiter: str) -> str:
    return "TSV" if delimiter == "\t" else "CSV"
