"""The ledger's one writer: rows that arrive while a commit runs share the next one."""

import asyncio
import sqlite3
import time
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from queue import SimpleQueue

import anyio
from anyio import CancelScope, CapacityLimiter, to_thread

from ._rows import CALL_WIDTH, INSERT_FAILURE, CallRow, insert_calls
from .records import Batch, LedgerFailed

_MOST_ROWS = 999 // CALL_WIDTH  # rows of one statement: 999 is the least bound on variables SQLite has had
_BEAT = 1.0  # seconds: how much of an invocation's time a `kill -9` may lose


class LedgerWriter:
    """Commits batches in a worker thread, one at a time, in the order they came.

    One thread serves the whole run, and one statement inserts many rows: the event loop pays for one queue
    operation and one wake-up, and the commit releases the interpreter lock once, not once a row.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, *, invocation: int | None) -> None:
        self.error: str | None = None
        self._connection = connection
        self._path = path
        self._invocation = invocation
        self._inode = path.stat().st_ino  # SQLite would go on writing to a file that was removed
        self._started = self._beat = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._batches = SimpleQueue[Batch | None]()
        self._pending = Batch()
        self._busy = False
        self._idle = anyio.Event()
        self._scope: CancelScope | None = None

    def batch(self) -> Batch:
        """The batch that takes the next rows; it is handed over when this turn of the event loop ends."""
        if self.error is not None:
            raise LedgerFailed(self.error)
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._hand_over)
        return self._pending

    async def run(self, scope: CancelScope) -> None:
        """Write until `close`, also when cancelled from outside; cancels `scope` when a write fails."""
        self._scope = scope
        with CancelScope(shield=True):
            await to_thread.run_sync(self._work, limiter=CapacityLimiter(1))

    async def close(self) -> None:
        """Return once everything handed in is committed, or cannot be."""
        with CancelScope(shield=True):
            while self._busy and self.error is None:
                self._idle = anyio.Event()
                await self._idle.wait()
            self._batches.put(None)

    def _hand_over(self) -> None:
        self._batches.put(self._pending)
        self._pending = Batch()

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            error = None
            try:
                self._commit(batch)
            except Exception as failure:  # noqa: BLE001 - tasks that wait for the batch get any error
                error = _unwritable(self._path, failure)
            self._loop.call_soon_threadsafe(self._committed, batch, error)
        with suppress(sqlite3.Error), closing(self._connection):  # at worst the last second is not counted
            self._note_time(time.monotonic())

    def _commit(self, batch: Batch) -> None:
        if not self._path.exists() or self._path.stat().st_ino != self._inode:
            raise LedgerFailed(
                f"{self._path}: the call ledger cannot be written: it was removed during the run, "
                "and the calls in it are lost. Restore it, or run the same command again and pay for them"
            )
        now = time.monotonic()
        due = self._invocation is not None and now - self._beat >= _BEAT
        if not (due or batch.failures or len(batch.calls) > _MOST_ROWS):
            _insert(self._connection, batch.calls)
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(batch.calls), _MOST_ROWS):
                _insert(self._connection, batch.calls[start : start + _MOST_ROWS])
            self._connection.executemany(INSERT_FAILURE, batch.failures)
            if due:
                self._note_time(now)
        except BaseException:
            if self._connection.in_transaction:  # SQLite itself rolls back when the disk is full
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _note_time(self, now: float) -> None:
        if self._invocation is None:
            return
        self._beat = now
        self._connection.execute(
            "UPDATE invocations SET seconds = ? WHERE id = ?", (now - self._started, self._invocation)
        )

    def _committed(self, batch: Batch, error: str | None) -> None:
        batch.finish(error)
        if error is not None:
            self.error = error
            self._pending.finish(error)
            if self._scope is not None:
                self._scope.cancel()
        if self._pending and error is None:
            self._hand_over()
        else:
            self._busy = False
            self._idle.set()


def _insert(connection: sqlite3.Connection, rows: list[CallRow]) -> None:
    connection.execute(insert_calls(len(rows)), list(chain.from_iterable(rows)))


def _unwritable(path: Path, failure: Exception) -> str:
    if isinstance(failure, LedgerFailed):
        return str(failure)
    return (
        f"{path}: the call ledger cannot be written: {failure}. Free space or remount the disk, and run "
        "the same command again: finished calls are kept"
    )
