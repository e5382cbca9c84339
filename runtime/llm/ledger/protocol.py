"""What holds the finished calls of a run."""

from typing import Protocol

from ...errors import CallFailed
from ..protocol import ChatResponse
from .batch import Batch
from .earlier import Earlier
from .flight import Flight


class CallLedger(Protocol):
    """Finished calls by key: looked up before a call is made, added to when it ends."""

    @property
    def earlier(self) -> Earlier:
        """What invocations before this one spent."""
        ...

    @property
    def flights(self) -> dict[bytes, Flight]:
        """The calls that are being made now."""
        ...

    def find(self, key: bytes) -> ChatResponse | None:
        """The recorded response, marked as replayed; None where the call was never finished."""
        ...

    def failure(self, key: bytes) -> CallFailed | None:
        """How the call last failed for good; None where it did not, or was cut short from outside."""
        ...

    def earlier_attempts(self, key: bytes) -> int:
        """HTTP calls that earlier invocations made for this call in vain; told once."""
        ...

    def put(
        self, key: bytes, endpoint: str, model: str, response: ChatResponse, *, paid: bool = True
    ) -> Batch:
        """Hand the response over; await the batch's `committed` before passing it on. A key already there
        keeps its first response. `paid` is False for what a shared ledger gave."""
        ...

    def put_failure(
        self, key: bytes, endpoint: str, model: str, attempts: int, error: BaseException
    ) -> Batch:
        """Hand over that a call used up `attempts` HTTP calls and gave no response."""
        ...
