"""The open ledger, on disk or in memory, and the filter of the keys it holds."""

import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from struct import Struct
from typing import Any, Self

from anyio import create_task_group, to_thread

from ...concurrency import ungrouped
from ...errors import UNREADABLE, CallFailed
from ..chat import ChatResponse, Unanswered
from ._file import damaged, exclusive, open_ledger_file, reading
from ._rows import (
    SELECT_FAILURE,
    SELECT_KEYS,
    SELECT_RESPONSE,
    FailureOutcome,
    ResponseRow,
    call_row,
    failure_outcome,
    failure_row,
    recorded_failure,
    replayed_response,
    response_row,
)
from ._writer import LedgerWriter
from .records import Batch, CallLedger, Earlier, InFlight, LedgerFailed, begin_invocation, earlier

_CELLS = 1 << 22
_PLACE = _CELLS - 1
_places = Struct("<4I").unpack_from


class Bloom:
    """A set of 16-byte keys without false negatives (Bloom, CACM 13(7), 1970).

    It takes 4 MB regardless of its content. With 300,000 keys one look-up in 250 is a false positive, with
    a million one in 7. Keys must be hashes: their own bits choose the cells.
    """

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells = bytearray(_CELLS)

    def add(self, key: bytes) -> None:
        cells = self._cells
        a, b, c, d = _places(key)
        cells[a & _PLACE] = cells[b & _PLACE] = cells[c & _PLACE] = cells[d & _PLACE] = 1

    def __contains__(self, key: bytes) -> bool:
        cells = self._cells
        a, b, c, d = _places(key)
        return bool(cells[a & _PLACE] and cells[b & _PLACE] and cells[c & _PLACE] and cells[d & _PLACE])


__all__ = ["Ledger", "LedgerFailed", "open_ledger"]


class Ledger:
    """An open ledger. `earlier` is the spending of invocations before this one, `in_flight` the calls that
    are being made.

    Look-ups read on the event loop's thread (some 10 microseconds, and less than one for most calls that were
    never made); rows are written in a worker thread, many in one commit. Of finished calls nothing but a
    filter of fixed size stays in memory. A commit survives `kill -9`.
    """

    def __init__(
        self,
        path: Path,
        reader: sqlite3.Connection,
        writer: LedgerWriter,
        before: Earlier,
        known: Bloom | None,
    ) -> None:
        self.path = path
        self.earlier = before
        self.in_flight: dict[bytes, InFlight] = {}
        self._reader = reader
        self._writer = writer
        self._failures = len(before.failed)
        self._earlier_failures = dict(before.failed)
        # None where other processes write too.
        self._known = known

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, shared: bool = False) -> AsyncGenerator[Self]:
        """The ledger at `path`, made where there is none; all rows are on disk when the scope ends.

        A run's own ledger is refused to a second process. A `shared` one (a cache between runs) is open to
        many at once and does not record spending. Raises InputError as `open_ledger_file` does,
        and when another process holds the ledger. A write that fails cancels the scope; LedgerFailed is
        then raised from it.
        """
        with nullcontext() if shared else exclusive(path):
            connection, reader, before, known, invocation = await to_thread.run_sync(_open, path, shared)
            writer = LedgerWriter(connection, path, invocation=invocation)
            async with ungrouped(), create_task_group() as tasks:
                tasks.start_soon(writer.run, tasks.cancel_scope)
                try:
                    yield cls(path, reader, writer, before, known)
                finally:
                    reader.close()
                    await writer.close()
            if writer.error is not None:
                raise LedgerFailed(writer.error)

    def find(self, key: bytes) -> ChatResponse | None:
        """The recorded response, marked as replayed; None where the call was never finished."""
        if self._known is not None and key not in self._known:
            return None
        row: ResponseRow | None = self._read(SELECT_RESPONSE, key)
        try:
            return None if row is None else replayed_response(row)
        except UNREADABLE as error:
            raise damaged(self.path, f"a response cannot be read: {error}") from None

    def failure(self, key: bytes) -> CallFailed | None:
        """The last final failure of the call; None where there is none, or it was cancelled from outside."""
        if not self._failures:
            return None
        row: FailureOutcome | None = self._read(SELECT_FAILURE, key)
        return None if row is None else recorded_failure(row)

    def earlier_failures(self, key: bytes) -> Unanswered | None:
        """Attempts of earlier invocations at this call that gave no response; returned once, then None."""
        return self._earlier_failures.pop(key, None) if self._earlier_failures else None

    async def record(
        self, key: bytes, endpoint: str, model: str, response: ChatResponse, *, paid: bool = True
    ) -> None:
        """Return once the response is on disk. A key already there keeps its first response.

        `paid` is False for what a shared ledger gave. Raises LedgerFailed. A caller that is cancelled while
        it waits loses nothing: the row is written all the same.
        """
        await self.put(key, endpoint, model, response, paid=paid).committed()

    def put(
        self, key: bytes, endpoint: str, model: str, response: ChatResponse, *, paid: bool = True
    ) -> Batch:
        """Hand the response over to be written; await the batch's `committed` before passing it on."""
        batch = self._writer.batch()
        if self._known is not None:
            self._known.add(key)
        batch.calls.append(call_row(key, endpoint, model, response, paid=paid))
        return batch

    def put_failure(
        self, key: bytes, endpoint: str, model: str, spent: Unanswered, error: BaseException
    ) -> Batch:
        """Record that a call gave no response, and what it spent."""
        batch = self._writer.batch()
        batch.failures.append(failure_row(key, endpoint, model, spent, error))
        self._failures += 1
        return batch

    def _read(self, statement: str, key: bytes) -> Any:
        try:
            return self._reader.execute(statement, (key,)).fetchone()
        except sqlite3.Error as error:
            if "decode" in str(error):  # text that is not UTF-8: sqlite3 has no class for it
                raise damaged(self.path, error) from None
            raise LedgerFailed(f"{self.path}: the call ledger cannot be read: {error}") from error


@asynccontextmanager
async def open_ledger(path: Path | None, *, shared: bool = False) -> AsyncGenerator[CallLedger]:
    """`Ledger.open`; without a path a ledger in memory, which starts empty and writes nothing."""
    if path is None:
        yield MemoryLedger()
        return
    async with Ledger.open(path, shared=shared) as ledger:
        yield ledger


def _open(
    path: Path, shared: bool
) -> tuple[sqlite3.Connection, sqlite3.Connection, Earlier, Bloom | None, int | None]:
    writer, reader = open_ledger_file(path)
    try:
        if shared:
            return writer, reader, Earlier(), None, None
        with reading(path):
            known = Bloom()
            for (key,) in reader.execute(SELECT_KEYS):
                known.add(key)
            return writer, reader, earlier(reader), known, begin_invocation(writer, time.time())
    except BaseException:
        reader.close()
        writer.close()
        raise


class MemoryLedger:
    """A `CallLedger` that ends with its process.

    Rows are kept as they would be written, some hundred bytes a call; with the log-probabilities of long
    replies, some kilobytes.
    """

    def __init__(self) -> None:
        self.earlier = Earlier()
        self.in_flight: dict[bytes, InFlight] = {}
        self._calls: dict[bytes, ResponseRow] = {}
        self._failures: dict[bytes, FailureOutcome] = {}
        self._written = Batch()
        self._written.finish()

    def find(self, key: bytes) -> ChatResponse | None:
        row = self._calls.get(key)
        return None if row is None else replayed_response(row)

    def failure(self, key: bytes) -> CallFailed | None:
        row = self._failures.get(key)
        return None if row is None else recorded_failure(row)

    def earlier_failures(self, key: bytes) -> Unanswered | None:
        return None

    def put(
        self, key: bytes, endpoint: str, model: str, response: ChatResponse, *, paid: bool = True
    ) -> Batch:
        self._calls.setdefault(key, response_row(call_row(key, endpoint, model, response, paid=paid)))
        return self._written

    def put_failure(
        self, key: bytes, endpoint: str, model: str, spent: Unanswered, error: BaseException
    ) -> Batch:
        self._failures[key] = failure_outcome(failure_row(key, endpoint, model, spent, error))
        return self._written
