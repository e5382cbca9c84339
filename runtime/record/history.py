"""The history of a run: every event, in order, and the output folder that holds it."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
import yaml

from ...scenarios import Scenario
from ...scenarios.errors import InputError
from ..bus import Bus, Event


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


class Record:
    """Appends an event to the history, then lets it change state, then tells the observers."""

    def __init__(self, history: History, bus: Bus) -> None:
        self._history = history
        self._bus = bus

    async def __call__(self, event: Event, believe: Callable[[], None] | None = None) -> None:
        self._history.append(event)
        if believe is not None:
            believe()
        await self._bus.publish(event)


def refuse_another_run(scenario: Scenario, out: Path) -> None:
    """Raises InputError when the folder holds a run of another scenario."""
    path = out / "scenario.yaml"
    if not path.is_file():
        return
    held = yaml.safe_load(path.read_text(encoding="utf-8"))
    name = held.get("name") if isinstance(held, dict) else None
    if name != scenario.name:
        raise InputError(f"{out} holds a run of {name!r}, not of {scenario.name!r}; choose another --out")


def save(scenario: Scenario, path: Path) -> None:
    """The scenario as resolved, runnable from any folder."""
    data = scenario.absolute().model_dump(mode="json", exclude_none=True)
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
