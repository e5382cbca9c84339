"""JSON and JSON Lines files."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, cast

import msgspec

from ....scenarios.errors import InputError
from .rows import Bad, Item, Row, Values, as_row
from .text import lines, whole

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
        return Bad(place, _problem(line, str(error)))


def _problem(text: str, error: str) -> str:
    """A description of the problem in text that is not JSON."""
    hint = (
        "NaN and Infinity are not JSON" if "NaN" in text or "Infinity" in text else "expected one JSON object"
    )
    return f"not valid JSON ({error}); {hint}"
