"""The history of a run: every event, in order."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from ...scenarios.errors import InputError
from ...scenarios.files import open_regular
from ..bus import Bus, Event
from ..errors import UNREADABLE
from ..messages import CandidatesProposed, NotesTaken, PromptScored, RunEnded, WorkRefused
from .files import AGAIN, opened, read_lines, writing


class _Line(msgspec.Struct):
    seq: int
    at: datetime
    event: Event


class _Begun(msgspec.Struct):
    at: datetime


def begun(path: Path) -> datetime | None:
    """The time at which the run with this history began; None where it holds no event."""
    try:
        with open_regular(path, "rb") as file:
            return msgspec.json.decode(file.readline(), type=_Begun).at
    except (OSError, *UNREADABLE):
        return None


class RecordedJob(msgspec.Struct, frozen=True):
    """A job of an earlier invocation; `dropped` where its result was not waited for, with a `refusal` where
    a budget of these `caps` refused it.

    The beginning of a search is an entry without a number: how much was `allotted` to it.
    """

    job: int = -1
    dropped: bool = False
    refusal: str = ""
    caps: dict[str, float] = {}
    scope: str = ""
    allotted: int | None = None


class _Recorded(msgspec.Struct):
    seq: int
    event: RecordedJob


class History:
    """An append-only file of numbered events. What has been appended has left the process.

    `order` are the jobs of an earlier invocation of the run in the order in which their results were taken
    in. A resumed run takes them in the same order, its calls replayed from the call ledger, and writes a
    new history beside the earlier one, whose place it takes once it has come as far (or has ended).
    """

    def __init__(
        self,
        file: IO[bytes] | None,
        order: Sequence[RecordedJob] = (),
        publish: Callable[[], None] = lambda: None,
        path: Path = Path("history.jsonl"),
    ) -> None:
        self.order = tuple(recorded for recorded in order if recorded.job >= 0)
        self.allotted = {one.scope: one.allotted for one in order if one.allotted is not None}
        self._file = file
        self._seq = 0
        self._left = len(self.order)
        self._publish = publish
        self._path = path

    def append(self, event: Event) -> None:
        self._seq += 1
        if self._file is None:
            return
        line = msgspec.json.encode(_Line(self._seq, datetime.now(UTC), event))
        with writing(self._path):
            self._file.write(line + b"\n")
            self._file.flush()
            if isinstance(event, CandidatesProposed | PromptScored | NotesTaken | WorkRefused):
                self._left -= 1
            ended = isinstance(event, RunEnded) and event.status in ("complete", "budget")
            if self._left <= 0 or ended:
                self._publish()


@contextmanager
def open_history(path: Path | None) -> Generator[History]:
    """A history that writes to `path`, or nowhere when there is none.

    Raises InputError, and leaves the file as it is, where it holds a line that is no event, or lacks one.
    """
    if path is None:
        yield History(None)
        return
    draft = path.with_name(f"{path.name}.new")
    done = False

    def publish() -> None:
        nonlocal done
        if not done:
            draft.replace(path)
            done = True

    order = _job_order(path)
    with opened(draft) as file:
        history = History(file, order, publish, path)
        if not history.order:
            with writing(path):
                publish()
        yield history
    with suppress(OSError):
        draft.unlink(missing_ok=True)


def _job_order(path: Path) -> list[RecordedJob]:
    """The jobs in a history; empty where there is none. A torn last line is left out. Raises InputError."""
    if not path.exists():
        return []
    order: list[RecordedJob] = []
    decode = msgspec.json.Decoder(_Recorded).decode
    for number, line in read_lines(path):
        try:
            recorded = decode(line)
        except UNREADABLE as error:
            raise _damaged(path, number, str(error)) from None
        if recorded.seq != number:
            raise _damaged(path, number, f"event {recorded.seq} in place of event {number}")
        event = recorded.event
        if event.job >= 0 or event.allotted is not None:
            order.append(event)
    return order


def _damaged(path: Path, number: int, problem: str) -> InputError:
    return InputError(
        f"{path}:{number}: not the history of a run ({problem}); restore it from a copy, or {AGAIN}"
    )


class Record:
    """Appends an event to the history and publishes it to observers."""

    def __init__(self, history: History, bus: Bus) -> None:
        self.order = history.order
        self.allotted = history.allotted
        self._history = history
        self._bus = bus

    async def __call__(self, event: Event) -> None:
        self._history.append(event)
        await self._bus.publish(event)
