"""The events of a run: streams and callbacks for hosts, and the structured log."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeVar, cast

import anyio
import msgspec

from ..runtime.bus import Bus, Event, current_header, route_name
from ..runtime.bus.in_process import BufferedObserver
from ..runtime.messages import (
    BatchAnswered,
    CandidatesProposed,
    ProblemMet,
    PromptScored,
    RunEnded,
    SearchEnded,
    TargetTested,
)
from ..runtime.record.files import writing
from ..scenarios.files import open_regular


class EventLog(Protocol):
    """The methods of a structlog logger that events are logged with."""

    def debug(self, event: str, /, **facts: Any) -> object: ...
    def info(self, event: str, /, **facts: Any) -> object: ...
    def warning(self, event: str, /, **facts: Any) -> object: ...


@contextmanager
def open_log(path: Path) -> Generator[EventLog]:
    """A logger that appends one JSON object a line to `path`, each with time and level."""
    import structlog

    with writing(path):
        raw = open_regular(path, "ab")
        file = TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    try:
        yield structlog.wrap_logger(
            structlog.WriteLogger(cast("TextIO", _Guarded(file, path))),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )
    finally:
        with suppress(OSError):  # a full disk has been reported by then
            file.close()


class _Guarded:
    """A file whose errors are WriteFailed."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file = file
        self._path = path

    def write(self, text: str) -> None:
        with writing(self._path):
            self._file.write(text)

    def flush(self) -> None:
        with writing(self._path):
            self._file.flush()


E = TypeVar("E", bound=Event)

BUFFER = 8192
"""Events by which all followers together may lag."""


class Following:
    """Hands every event on to callbacks, and to streams that end with the run.

    `over` is set once all have been notified that the run has ended.
    """

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Event], object]] = []
        self._streams: list[BufferedObserver] = []
        self.over = anyio.Event()

    def call(self, callback: Callable[[Event], object]) -> None:
        """Call back for every event; nothing is awaited."""
        self._callbacks.append(callback)

    def stream(self, kinds: tuple[type[E], ...], buffer: int) -> AsyncIterator[E]:
        """The events of these kinds from now on, the newest `buffer` of those not yet read."""
        stream = BufferedObserver(kinds, buffer)
        if self.over.is_set():
            stream.close()
        else:
            self._streams.append(stream)
        return cast("AsyncIterator[E]", aiter(stream))

    @asynccontextmanager
    async def of(self, bus: Bus) -> AsyncGenerator[None]:
        """Follow what is published on a bus inside this scope, to the last event of a run that fails or is
        cancelled."""

        async def follow() -> None:
            with anyio.CancelScope(shield=True):
                await observer.each(self._tell)

        try:
            async with bus.events(buffer=BUFFER) as observer, anyio.create_task_group() as tasks:
                tasks.start_soon(follow)
                try:
                    yield
                finally:
                    observer.close()
        finally:
            self._end()

    def _tell(self, event: Event) -> None:
        for callback in self._callbacks:
            callback(event)
        for stream in self._streams:
            stream.put(event)
        if isinstance(event, RunEnded):
            self._end()

    def _end(self) -> None:
        self.over.set()
        for stream in self._streams:
            stream.close()


def log_events(log: EventLog) -> Callable[[Event], None]:
    """A callback that logs every event under its name, with where in the run it was published: `run`, and for
    an event of a request's handler `ask` (the request's id) and `chain` (the requests that wait, outermost
    first)."""

    def write(event: Event) -> None:
        name, facts = type(event).__name__, {**_correlation(), **_facts(event)}
        if isinstance(event, ProblemMet):
            log.warning(name, **facts)
        elif isinstance(event, BatchAnswered):
            log.debug(name, **facts)
        else:
            log.info(name, **facts)

    return write


def _correlation() -> dict[str, object]:
    header = current_header()
    if header is None:
        return {}
    asked = {"ask": header.id, "chain": [route_name(step) for step in header.chain]} if header.chain else {}
    return {"run": header.run, **asked}


def _facts(event: Event) -> dict[str, object]:
    match event:
        case CandidatesProposed():
            ids = [prompt.id for prompt in event.prompts]
            return {"scope": event.scope, "job": event.job, "prompts": ids, "refused": event.refused}
        case PromptScored():
            return {
                "scope": event.scope,
                "job": event.job,
                "rows": event.rows,
                "prompt": event.prompt.id,
                "origin": event.prompt.origin,
                "objective": event.objective,
            }
        case SearchEnded():
            ids = [prompt.id for prompt in event.prompts]
            return {
                "scope": event.scope,
                "prompts": ids,
                "reason": event.reason,
                "cost": msgspec.structs.asdict(event.cost),
            }
        case TargetTested():
            return {
                "task": event.task,
                "model": event.model,
                "part": event.part,
                "prompt": event.prompt.id,
                "objective": event.scorecard.objective,
            }
        case _:
            return msgspec.structs.asdict(event)
