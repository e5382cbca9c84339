"""Tables: CSV and TSV, Excel, Parquet."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date, time
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from types import ModuleType
from typing import Any

from ....scenarios.errors import InputError
from .rows import Bad, Item, Row, Shape
from .text import lines

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
