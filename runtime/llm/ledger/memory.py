"""The call ledger of a run that keeps nothing: no file, no thread."""

from ...errors import CallFailed
from ..protocol import ChatResponse
from .batch import Batch
from .earlier import Earlier
from .flight import Flight
from .rows import FailureOutcome, ResponseRow, call_row, failure_row, recorded_failure, replayed_response


class MemoryLedger:
    """A `CallLedger` that ends with its process.

    Rows are kept as they would be written, some hundred bytes a call; with the log-probabilities of long
    replies, some kilobytes.
    """

    def __init__(self) -> None:
        self.earlier = Earlier()
        self.flights: dict[bytes, Flight] = {}
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

    def earlier_attempts(self, key: bytes) -> int:
        return 0

    def put(
        self, key: bytes, endpoint: str, model: str, response: ChatResponse, *, paid: bool = True
    ) -> Batch:
        *_, text, reason, tokens, prompt, completion, seconds, attempts, _, _ = call_row(
            key, endpoint, model, response, paid=paid
        )
        self._calls.setdefault(key, (text, reason, tokens, prompt, completion, seconds, attempts))
        return self._written

    def put_failure(
        self, key: bytes, endpoint: str, model: str, attempts: int, error: BaseException
    ) -> Batch:
        *_, kind, message, _ = failure_row(key, endpoint, model, attempts, error)
        self._failures[key] = (kind, message, attempts)
        return self._written
