"""Readers of files: CSV and TSV, Excel, JSON, JSON Lines, plain text, Parquet."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, time
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, cast

import msgspec

from ....scenarios.errors import InputError
from .rows import Bad, Item, Row, Shape, Values, as_row, lines, whole

_SEPARATORS = ",;\t|"
_FIELD_LIMIT = 2**31 - 1
"""Characters of one field; the csv module's own limit of 131,072 is less than a long document has."""


def read_delimited(path: Path, delimiter: str | None, shape: Shape) -> Iterator[Item]:
    """The rows of a delimited file (RFC 4180 quoting); every value is a text. Holds one row in memory.

    Without a `delimiter` it is found from the first lines: comma, semicolon, tab or bar. The first row names
    the fields; where `shape.names` is given and holds none of them, the file has no header and its fields are
    "0", "1", … A first field without a name is an index that pandas wrote, and is left out, as are empty
    rows and empty fields behind the last name. A row with more or fewer fields than the first is a bad row.
    """
    text = lines(path, shape.encoding)
    head = list(islice(text, 2))
    if head and head[0].lower().startswith("sep=") and len(head[0].strip()) == 5:
        delimiter, head = head[0][4], ["\n", *head[1:]]
    delimiter = delimiter or _delimiter(head)
    records = _records(path, delimiter, chain(head, text))
    first = next(records, None)
    if first is None:
        return
    line, names = first
    if shape.names and not shape.names & {name.strip() for name in names}:
        header = [str(i) for i in range(len(names))]
        yield _row(path, first, header)
    else:
        header = _header(path, line, names)
    for record in records:
        yield _row(path, record, header)


def _delimiter(head: Sequence[str]) -> str:
    """The separator that splits the first line, and the second into as many fields; a comma if in doubt."""
    try:
        counts = {
            sign: [len(record) for line in head for record in csv.reader([line], delimiter=sign)]
            for sign in _SEPARATORS
        }
    except csv.Error:  # named with its line when the records are read
        return ","
    splitting = [sign for sign in _SEPARATORS if counts[sign] and counts[sign][0] > 1]
    even = [sign for sign in splitting if len(set(counts[sign])) == 1]
    return next(iter([*even, *splitting]), ",")


def _records(path: Path, delimiter: str, text: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it starts on; empty lines, and lines of empty fields, are no records."""
    if csv.field_size_limit() < _FIELD_LIMIT:
        csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    start = 1
    while True:
        try:
            record = next(reader, None)
        except csv.Error as error:
            hint = "; a quoted field must end with a quote, and quotes inside it are doubled"
            raise InputError(f"{path}:{start}: not valid {_format(delimiter)} ({error}){hint}") from None
        if record is None:
            return
        if any(field and not field.isspace() for field in record):
            yield start, record
        start = reader.line_num + 1


INDEX = ""
"""The name of a column that pandas wrote as its index; it is no field."""


def _header(path: Path, line: int, names: Sequence[str]) -> list[str]:
    """The names of the fields, the first one perhaps `INDEX`."""
    names = [name.strip() for name in names]
    while names and not names[-1]:
        names.pop()
    if "" in names[1:]:
        raise InputError(f"{path}:{line}: field {names.index('', 1) + 1} of the header has no name")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}:{line}: the header names {', '.join(twice)} more than once")
    return names


def _row(path: Path, record: tuple[int, list[str]], names: Sequence[str]) -> Item:
    line, values = record
    return _fields(f"{path}:{line}", values, names)


def _fields(place: str, values: Sequence[object], names: Sequence[str]) -> Item:
    """A row of a table whose header holds these names."""
    beyond = values[len(names) :]
    if len(values) < len(names) or any(value is not None and str(value).strip() for value in beyond):
        return Bad(
            place,
            f"{len(values)} fields where the first row has {len(names)}; "
            "a field that holds the delimiter must be quoted",
        )
    named = zip(names, values, strict=False)
    return Row({name: value for name, value in named if name != INDEX}, place)


def _format(delimiter: str) -> str:
    return "TSV" if delimiter == "\t" else "CSV"


def read_excel(path: Path) -> Iterator[Item]:
    """The rows of the first sheet of an `.xlsx` file, its first row that is not empty being the header.

    InputError where openpyxl is missing or the file cannot be read.
    """
    try:
        openpyxl = import_module("openpyxl")
    except ImportError:
        raise InputError(
            f"{path}: reading Excel files needs openpyxl: pip install 'transfer-prompting[excel]'"
        ) from None
    header: list[str] | None = None
    for number, values in enumerate(_cells(path, openpyxl), start=1):
        if all(value is None or str(value).isspace() for value in values):
            continue
        if header is None:
            header = _header(path, number, ["" if value is None else str(value) for value in values])
        else:
            yield _fields(f"{path}:{number}", [_cell(value) for value in values], header)


def _cells(path: Path, openpyxl: ModuleType) -> Iterator[Sequence[object]]:
    """The values of each row of the first sheet."""
    try:
        with path.open("rb") as file, closing(openpyxl.load_workbook(file, True, data_only=True)) as book:
            yield from book.worksheets[0].iter_rows(values_only=True)
    except Exception as error:  # noqa: BLE001 - the library raises anything where a file is damaged
        raise InputError(f"{path}: cannot be read as an Excel file: {error!r}") from None


def _cell(value: object) -> object:
    """A date or time of a cell as ISO text; anything else as it is."""
    return value.isoformat() if isinstance(value, date | time) else value


KEY = "_key"
"""The field that holds a row's key where the file is an object of rows."""


def read_json(path: Path) -> Iterator[Item]:
    """The rows of a JSON file, one decoded at a time; the text itself is held in memory.

    Accepted are a list, an object with exactly one list of rows among its values (`{"examples": […]}`), an
    object of columns (as `to_json` of pandas writes it, or one list a column), and an object whose values are
    all rows; those get their key as the field `_key`.
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
    columns = _columns({key: value for _, key, value in members})
    if columns is not None:
        for number, values in enumerate(zip(*columns.values(), strict=True), start=1):
            yield Row(dict(zip(columns, values, strict=True)), f"{scan.path}, row {number}")
        return
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


def _columns(members: Mapping[str, object]) -> Mapping[str, Sequence[object]] | None:
    """The columns of a table by name, where an object holds these; None where it holds something else."""
    found = list(members.values())
    if len(found) < 2:
        return None
    if set(members) == {"columns", "index", "data"} and all(isinstance(value, list) for value in found):
        names = cast("list[object]", members["columns"])
        given = cast("list[object]", members["data"])
        rows = [cast("list[object]", row) for row in given if isinstance(row, list)]
        if len(rows) < len(given) or any(len(row) != len(names) for row in rows):
            return None
        return {str(name): [row[i] for row in rows] for i, name in enumerate(names)}
    if all(isinstance(value, list) for value in found):
        lists = cast("list[list[object]]", found)
        scalars = all(not isinstance(one, dict | list) for column in lists[:1] for one in column)
        return dict(zip(members, lists, strict=True)) if scalars and len(set(map(len, lists))) == 1 else None
    if not all(isinstance(value, dict) for value in found):
        return None
    tables = cast("list[dict[str, object]]", found)
    numbers = list(tables[0])
    if not numbers or not all(number.isdecimal() for number in numbers):
        return None
    if any(list(table) != numbers for table in tables):
        return None
    return {name: list(table.values()) for name, table in zip(members, tables, strict=True)}


def _holds_rows(values: list[object]) -> bool:
    return bool(values) and all(isinstance(value, dict | list) for value in values)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of half a surrogate pair, with or without its other half."""


_HALF = "half a surrogate pair is no character"


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
        except (ValueError, RecursionError) as error:
            raise self._broken(at, str(error)) from None

    def rows(self, at: int) -> Iterator[Item]:
        """The elements of the list that starts here."""
        for start in self._elements(at, "]"):
            value, self._end = self.value(start)
            place = self.place(start)
            yield as_row(value, place) if self._is_text(start, value) else Bad(place, _HALF)

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
            if not self._is_text(start, {key: value}):
                raise self._broken(start, _HALF)
            yield position, key, value

    def _is_text(self, start: int, value: object) -> bool:
        """False where a value up to `_end` holds half a surrogate pair."""
        if _SURROGATE.search(self.text, start, self._end):
            try:
                json.dumps(value, ensure_ascii=False).encode()
            except (UnicodeEncodeError, RecursionError):
                return False
        return True

    def _elements(self, at: int, closing: str) -> Iterator[int]:
        """The start of each element; the consumer leaves its end in `_end`."""
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
    except (msgspec.DecodeError, RecursionError) as error:
        return Bad(place, broken(line, str(error)))


def broken(text: str, error: str) -> str:
    """A description of the problem in text that is not JSON."""
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
                for values in _without_times(batch, arrow).to_pylist():
                    number += 1
                    yield Row(values, f"{path}, row {number}")
    except Exception as error:  # noqa: BLE001 - as in `_cells`
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from None


def _without_times(batch: Any, arrow: Any) -> Any:
    """The batch with dates and times as text: Python has none of nanoseconds."""
    for place, field in enumerate(batch.schema):
        if arrow.types.is_temporal(field.type):
            batch = batch.set_column(place, field.name, batch.column(place).cast(arrow.string()))
    return batch
