"""Readers of files: CSV and TSV, JSON, JSON Lines, plain text, Parquet."""

import csv
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NoReturn, cast

import msgspec

from ....scenarios.errors import InputError
from .rows import Bad, Item, Row, Shape, Values, as_row, lines, whole


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


KEY = "_key"
"""The field that holds a row's key where the file is an object of rows."""


def read_json(path: Path) -> Iterator[Item]:
    """The rows of a JSON file, one decoded at a time; the text itself is held in memory.

    Accepted are a list, an object with exactly one list of rows among its values (`{"examples": […]}`), and
    an object whose values are all rows; those get their key as the field `_key`.
    """
    scan = _Scan(path)
    start = scan.skip(0)
    match scan.text[start : start + 1]:
        case "[":
            yield from scan.rows(start)
            scan.expect_end()
        case "{":
            yield from _of_object(scan, start)
        case _:
            raise InputError(
                f"{path}:{scan.line(start)}: expected a JSON list of rows, or an object that holds one"
            )


def _of_object(scan: "_Scan", start: int) -> Iterator[Item]:
    members = list(scan.members(start))
    scan.expect_end()
    lists = [
        at for at, _, value in members if isinstance(value, list) and _holds_rows(cast("list[object]", value))
    ]
    if len(lists) == 1:
        yield from scan.rows(lists[0])
    elif members and all(isinstance(value, dict) for _, _, value in members):
        for at, key, value in members:
            yield Row({KEY: key, **cast("Values", value)}, scan.place(at))
    else:
        keys = ", ".join(key for _, key, _ in members[:8])
        raise InputError(
            f"{scan.path}: no single list of rows in this object (keys: {keys}); give a JSON list"
        )


def _holds_rows(values: list[object]) -> bool:
    return bool(values) and all(isinstance(value, dict | list) for value in values)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


class _Scan:
    """A JSON text walked one element at a time, so that every row knows its line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = whole(path)
        self._decoder = json.JSONDecoder(parse_constant=_refuse)
        self._line = (0, 1)
        self._end = 0

    def line(self, at: int) -> int:
        """The line of a position; positions must not go back by much to be cheap."""
        known, line = self._line if self._line[0] <= at else (0, 1)
        self._line = (at, line + self.text.count("\n", known, at))
        return self._line[1]

    def place(self, at: int) -> str:
        return f"{self.path}:{self.line(at)}"

    def skip(self, at: int) -> int:
        """The next position that is no white space."""
        while self.text[at : at + 1] in {" ", "\t", "\n", "\r"}:
            at += 1
        return at

    def value(self, at: int) -> tuple[object, int]:
        """The JSON value at a position and where it ends; InputError where there is none."""
        try:
            return self._decoder.raw_decode(self.text, at)
        except json.JSONDecodeError as error:
            raise self._broken(error.pos, error.msg) from None
        except ValueError as error:
            raise self._broken(at, str(error)) from None

    def rows(self, at: int) -> Iterator[Item]:
        """The elements of the list that starts here."""
        for start in self._elements(at, "]"):
            value, self._end = self.value(start)
            yield as_row(value, self.place(start))

    def expect_end(self) -> None:
        """InputError where text follows what was walked last."""
        end = self.skip(self._end)
        if end != len(self.text):
            raise self._broken(end, "text after the end of the value; one value a line is .jsonl")

    def members(self, at: int) -> Iterator[tuple[int, str, object]]:
        """Position, key and value of each member of the object that starts here."""
        for start in self._elements(at, "}"):
            key, after = self.value(start)
            colon = self.skip(after)
            if self.text[colon : colon + 1] != ":" or not isinstance(key, str):
                raise self._broken(colon, "expected a key and ':'")
            position = self.skip(colon + 1)
            value, self._end = self.value(position)
            yield position, key, value

    def _elements(self, at: int, closing: str) -> Iterator[int]:
        """Where each element starts; the consumer leaves its end in `_end`."""
        self._end = at + 1
        position = self.skip(at + 1)
        if self.text[position : position + 1] == closing:
            self._end = position + 1
            return
        while True:
            yield position
            position = self.skip(self._end)
            sign = self.text[position : position + 1]
            if sign == closing:
                self._end = position + 1
                return
            if sign != ",":
                raise self._broken(position, f"expected ',' or '{closing}'")
            position = self.skip(position + 1)

    def _broken(self, at: int, problem: str) -> InputError:
        return InputError(f"{self.place(at)}: not valid JSON ({problem})")


def read_jsonl(path: Path) -> Iterator[Item]:
    """The rows of a JSON Lines file; blank lines are no rows. Holds one line in memory."""
    for number, line in enumerate(lines(path), start=1):
        if line.strip():
            yield _json_row(line, f"{path}:{number}")


def _json_row(line: str, place: str) -> Item:
    try:
        return as_row(msgspec.json.decode(line), place)
    except msgspec.DecodeError as error:
        return Bad(place, broken(line, str(error)))


def broken(text: str, error: str) -> str:
    """What to say of text that is not JSON."""
    hint = (
        "NaN and Infinity are not JSON" if "NaN" in text or "Infinity" in text else "expected one JSON object"
    )
    return f"not valid JSON ({error}); {hint}"


def read_plain(path: Path, shape: Shape) -> Iterator[Item]:
    """The rows of a text file: `{"line": …}` a line, or `{"lines": […]}` for each `shape.block` lines.

    Blank lines are no rows; inside a block they count. Blank lines after the last block are ignored.
    """
    if shape.block == 1:
        for number, line in enumerate(lines(path, shape.encoding), start=1):
            if line.strip():
                yield Row({"line": line.rstrip("\r\n")}, f"{path}:{number}")
    else:
        yield from _blocks(path, shape)


def _blocks(path: Path, shape: Shape) -> Iterator[Item]:
    block: list[str] = []
    number = 0
    for number, line in enumerate(lines(path, shape.encoding), start=1):
        block.append(line.rstrip("\r\n"))
        if len(block) == shape.block:
            yield Row({"lines": block}, f"{path}:{number - shape.block + 1}")
            block = []
    if any(line.strip() for line in block):
        yield Bad(
            f"{path}:{number - len(block) + 1}",
            f"the file ends after {len(block)} of {shape.block} lines of a row",
        )


_BATCH = 1024


def read_parquet(path: Path) -> Iterator[Item]:
    """The rows of a Parquet file, read in batches. InputError where pyarrow is missing or the file broken."""
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InputError(
            f"{path}: reading Parquet needs pyarrow: pip install 'transfer-prompting[parquet]'"
        ) from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values, f"{path}, row {number}")
    except (OSError, arrow.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from None
