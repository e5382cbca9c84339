"""Errors, as a tree.

TransferPromptingError
├── InputError            what was handed in is wrong; exit code 2
├── BusError
│   ├── NoServer          nobody serves this kind of request (and key)
│   ├── ServerClosed      the server went away before it answered
│   ├── AskTimeout        the ask's own deadline passed
│   └── CycleRefused      an ask came back to a route that is still waiting for it
├── WriteFailed           a file of the run cannot be written: a full disk, a folder that is gone
├── BudgetReached         the next call would pass a cap of the scenario's budget
├── EndpointError         an endpoint cannot be used at all (did not start, unreachable, refuses the key)
│   ├── CircuitOpen       an endpoint failed so often in a row that calls fail fast
│   └── QuotaExhausted    no credit or quota is left for this key (402, or 429 for long)
└── CallFailed            one model call failed and gave no response
    ├── RateLimited       429, or 503 with Retry-After
    ├── ServerFault       other 5xx, or a truncated or malformed body
    ├── Unreachable       connection refused, reset or timed out
    ├── ParameterRefused  the endpoint refused a parameter, and is called again without it
    └── Rejected          the endpoint will never accept this request (400, 404, 413, 422)
        ├── ContextTooLong    the prompt does not fit the model's context
        └── ContentFiltered   a content filter refused the messages
"""

import msgspec

from ..scenarios.errors import InputError, TransferPromptingError

__all__ = [
    "AskTimeout",
    "BudgetReached",
    "BusError",
    "CallFailed",
    "CircuitOpen",
    "ContentFiltered",
    "ContextTooLong",
    "CycleRefused",
    "EndpointError",
    "InputError",
    "NoServer",
    "ParameterRefused",
    "QuotaExhausted",
    "RateLimited",
    "Rejected",
    "ServerClosed",
    "ServerFault",
    "TransferPromptingError",
    "Unreachable",
    "WriteFailed",
]


class BusError(TransferPromptingError):
    """A request could not be delivered or was not answered."""


class NoServer(BusError):
    """Nobody serves this kind of request, or nobody serves it for this key."""


class ServerClosed(BusError):
    """The server stopped before it answered."""


class AskTimeout(BusError):
    """The ask's own deadline passed; a TimeoutError raised by the handler is never turned into this."""


class CycleRefused(BusError):
    """The request would come back to a route that is already waiting in this chain of asks."""


class WriteFailed(TransferPromptingError):
    """A file of the run cannot be written (a full disk, a lost volume); finished calls are in the ledger."""


class BudgetReached(TransferPromptingError):
    """The next call would pass a cap of the budget; nothing was sent."""


class OutOfQuota(BudgetReached):
    """A provider's quota ended the run as a budget does; it may be there again when the run is resumed."""


class EndpointError(TransferPromptingError):
    """An endpoint cannot be used: it did not start, cannot be reached, or refuses the key."""


class CircuitOpen(EndpointError):
    """An endpoint failed so often in a row that calls fail fast until it answers again."""


class QuotaExhausted(EndpointError):
    """No credit or quota is left for the key (402, `insufficient_quota`, a daily limit): all calls fail.

    `retry_after` is in how many seconds the endpoint asks to come back, None where it does not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CallFailed(TransferPromptingError):
    """One model call failed in the world and gave no response.

    `retry_after` is the least wait in seconds that the endpoint asked for, None where it asked for none.
    `status` is the HTTP status of the (last) answer, None where there was none. `attempts` counts the HTTP
    calls that were made; 0 where no connection could be opened.
    """

    retryable: bool = False

    @property
    def may_be_billed(self) -> bool:
        """True where the model may have answered all the same: the answer was lost, or cannot be read."""
        lost = self.attempts > 0 and self.status in (None, 200, 408, 502, 504)
        return lost and isinstance(self, ServerFault | Unreachable)

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.attempts = attempts


class RateLimited(CallFailed):
    """The endpoint is over its limits (429, or 503 with Retry-After; RFC 6585, RFC 9110 section 10.2.3)."""

    retryable = True


class ServerFault(CallFailed):
    """The endpoint failed (5xx), or its body was truncated or malformed."""

    retryable = True


class Unreachable(CallFailed):
    """The connection was refused or reset, or the call timed out."""

    retryable = True


class ParameterRefused(CallFailed):
    """The endpoint refused a parameter or its value. The client has learned it, and leaves it out or renames
    it from now on: the call may be sent again at once."""

    retryable = True


class Rejected(CallFailed):
    """The endpoint refused the request for good (400, 404, 413, 422); sending it again cannot help."""


class ContextTooLong(Rejected):
    """The messages do not fit the model's context: the prompt caused it, so it is graded, not failed."""


class ContentFiltered(Rejected):
    """A content filter refused the messages (400, 403): the prompt or the row caused it, so it is graded, as
    a reply with the finish reason `content_filter` is."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of msgspec's decoders, which are about the text they decode."""

UNUSABLE = (EndpointError, NoServer, ServerClosed)
"""Errors that say a target cannot be used: its endpoint, or its host."""
