"""Graded rows packed into columns, as numpy reads them."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

ROW = np.dtype(
    [
        ("credit", "<f8"),
        ("confidence", "<f8"),  # NaN where the task asks for none
        ("seconds", "<f8"),
        ("tokens", "<i4"),
        ("gold", "<i4"),
        ("answer", "<i4"),  # UNREAD where no answer could be read
        ("correct", "?"),
        ("followed", "?"),
        ("bare", "?"),  # log-probabilities were asked for, and none came
    ]
)
"""One graded row, packed in 39 bytes; `gold` and `answer` index the labels of the outcomes."""

UNREAD = -1
"""The code of an answer that could not be read, and of every label of an open answer space."""

Table = NDArray[np.void]
"""A structured array of `ROW`."""


def pack(records: Iterable[tuple[float | int | bool, ...]]) -> bytes:
    """The records, each in the order of the fields of `ROW`."""
    return np.array(list(records), dtype=ROW).tobytes()


def unpack(rows: bytes) -> Table:
    """The packed rows as a read-only array that shares their memory."""
    return np.frombuffer(rows, dtype=ROW)


def join(tables: Sequence[Table], order: Sequence[int]) -> bytes:
    """All rows of the tables, packed in the order given."""
    return np.concatenate(tables)[order].tobytes()


def used(table: Table) -> list[int]:
    """The codes of the labels that occur as gold or as answer, ascending, without `UNREAD`."""
    codes: list[int] = np.union1d(table["gold"], table["answer"]).tolist()
    return [code for code in codes if code != UNREAD]


def recode(table: Table, old: tuple[str, ...], new: tuple[str, ...]) -> Table:
    """The table with codes that index `new` instead of `old`."""
    if old == new:
        return table
    place = {label: code for code, label in enumerate(new)}
    # The last entry answers index -1, so that UNREAD stays UNREAD.
    codes = np.array([*(place.get(label, UNREAD) for label in old), UNREAD], dtype=np.int32)
    recoded = table.copy()
    recoded["gold"] = codes[table["gold"]]
    recoded["answer"] = codes[table["answer"]]
    return recoded
