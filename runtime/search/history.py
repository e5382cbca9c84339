"""The record of a run: every event of the Coordinator, in order, one JSON line each."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..bus import Event


class _Line(msgspec.Struct):
    seq: int
    at: datetime
    event: Event


class _Begun(msgspec.Struct):
    at: datetime


def begun(path: Path) -> datetime | None:
    """When the run with this history began; None where it holds no event."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        first = file.readline()
    try:
        return msgspec.json.decode(first, type=_Begun).at
    except msgspec.DecodeError:
        return None


class History:
    """An append-only file of numbered events. What has been appended has left the process.

    A resumed run takes the same path through its call ledger, so it writes its history anew.
    """

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._seq = 0

    def append(self, event: Event) -> None:
        self._seq += 1
        if self._file is not None:
            line = msgspec.json.encode(_Line(self._seq, datetime.now(UTC), event))
            self._file.write(line + b"\n")
            self._file.flush()


@contextmanager
def open_history(path: Path | None) -> Generator[History]:
    """A history that writes to `path`, or nowhere when there is none."""
    if path is None:
        yield History(None)
        return
    with path.open("wb") as file:
        yield History(file)
