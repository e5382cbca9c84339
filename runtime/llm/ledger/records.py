"""Contents and interface of a ledger: finished calls, failures, earlier spending, calls in flight."""

import sqlite3
from typing import Protocol

import anyio
import msgspec
from msgspec.structs import replace

from ...errors import CallFailed, WriteFailed
from ..chat import ChatResponse, Unanswered, Usage
from ._rows import CallRow, FailureRow


class InFlight:
    """One call in flight. `response` stays None when it fails or is cancelled."""

    __slots__ = ("_ended", "response")

    def __init__(self) -> None:
        self.response: ChatResponse | None = None
        self._ended: anyio.Event | None = None

    async def ended(self) -> ChatResponse | None:
        """Wait until the call ends; its response as a replay, or None where it gave none."""
        if self._ended is None:
            self._ended = anyio.Event()
        await self._ended.wait()
        return None if self.response is None else replace(self.response, replayed=True)

    def end(self) -> None:
        """Release the tasks that wait."""
        if self._ended is not None:
            self._ended.set()


class LedgerFailed(WriteFailed):
    """The call ledger cannot be written, or read on; the run ends, what is in it is safe."""


class Batch:
    """Rows on their way to the disk, and the tasks that wait for them."""

    __slots__ = ("_done", "_error", "calls", "failures")

    def __init__(self) -> None:
        self.calls: list[CallRow] = []
        self.failures: list[FailureRow] = []
        self._done = anyio.Event()
        self._error: str | None = None

    def __len__(self) -> int:
        return len(self.calls) + len(self.failures)

    async def committed(self) -> None:
        """Return once the rows are on disk. Raises LedgerFailed when they cannot be written."""
        if not self._done.is_set():
            await self._done.wait()
        if self._error is not None:
            raise LedgerFailed(self._error)

    def finish(self, error: str | None = None) -> None:
        """Release every waiting task at once, with success or with `error`."""
        self._error = error
        self._done.set()


class Paid(msgspec.Struct, frozen=True):
    """HTTP calls that gave a response from one model of one endpoint, those in batches apart; tokens as the
    endpoint counted them, and at most where it did not."""

    endpoint: str
    model: str
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    batched: bool = False


class Earlier(msgspec.Struct, frozen=True):
    """`seconds` of earlier invocations, attempts by key at model calls that gave no response, and what was
    paid for."""

    seconds: float = 0.0
    failed: dict[bytes, Unanswered] = {}
    paid: tuple[Paid, ...] = ()

    @property
    def failed_attempts(self) -> int:
        return sum(failed.attempts for failed in self.failed.values())


def earlier(connection: sqlite3.Connection) -> Earlier:
    """Read the sums; walks through the whole ledger once."""
    (seconds,) = connection.execute("SELECT total(seconds) FROM invocations").fetchone()
    failed = connection.execute(
        "SELECT key, sum(attempts), sum(uncounted_prompt), sum(uncounted_completion) FROM failures "
        "GROUP BY key"
    )
    paid = connection.execute(
        "SELECT endpoint, model, sum(attempts), sum(prompt), sum(completion), batched FROM ("
        "SELECT endpoint, model, attempts, prompt_tokens + uncounted_prompt AS prompt, "
        "completion_tokens + uncounted_completion AS completion, batched FROM calls WHERE paid "
        "UNION ALL SELECT endpoint, model, 0, uncounted_prompt, uncounted_completion, 0 FROM failures "
        "WHERE uncounted_prompt > 0) GROUP BY endpoint, model, batched ORDER BY endpoint, model, batched"
    )
    return Earlier(
        seconds=seconds,
        failed={key: Unanswered(calls, Usage(prompt, reply)) for key, calls, prompt, reply in failed},
        paid=tuple(Paid(*row[:5], batched=bool(row[5])) for row in paid),
    )


def begin_invocation(connection: sqlite3.Connection, at: float) -> int:
    """Record that an invocation starts `at` (seconds since 1970); returns the id of its row."""
    (number,) = connection.execute(
        "INSERT INTO invocations (started_at, seconds) VALUES (?, 0) RETURNING id", (at,)
    ).fetchone()
    return int(number)


class CallLedger(Protocol):
    """Finished calls by key: looked up before a call is made, added to when it ends."""

    @property
    def earlier(self) -> Earlier:
        """Spending of the invocations before this one."""
        ...

    @property
    def in_flight(self) -> dict[bytes, InFlight]:
        """The calls that are being made now."""
        ...

    def find(self, key: bytes) -> ChatResponse | None:
        """The recorded response, marked as replayed; None where the call was never finished."""
        ...

    def failure(self, key: bytes) -> CallFailed | None:
        """The last final failure of the call; None where there is none, or it was cancelled from outside."""
        ...

    def earlier_failures(self, key: bytes) -> Unanswered | None:
        """Attempts of earlier invocations at this call that gave no response; returned once, then None."""
        ...

    def put(
        self, key: bytes, endpoint: str, model: str, response: ChatResponse, *, paid: bool = True
    ) -> Batch:
        """Hand the response over; await the batch's `committed` before passing it on. A key already there
        keeps its first response. `paid` is False for what a shared ledger gave."""
        ...

    def put_failure(
        self, key: bytes, endpoint: str, model: str, spent: Unanswered, error: BaseException
    ) -> Batch:
        """Record that a call gave no response, and what it spent."""
        ...
