"""What an answer with an error status means, and what is said about it."""

import re
from collections.abc import Mapping

import msgspec

from ...errors import (
    CallFailed,
    ContextTooLong,
    EndpointError,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from .headers import least_wait
from .wire import excerpt, redacted

LONGEST = 300
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size_error|maximum context length|context length|context size"
    r"|context window|prompt is too long|maximum number of tokens|reduce the length",
    re.IGNORECASE,
)
_CODES_OF_LENGTH = frozenset({400, 413, 422})


def refusal(
    *, endpoint: str, status: int, headers: Mapping[str, str], body: bytes, key: str | None = None
) -> CallFailed | EndpointError:
    """The error for an answer whose status is not 200.

    429 is RateLimited, and so is 503 with Retry-After; 408 is Unreachable; other 5xx are ServerFault; 401
    and 403 are EndpointError, and so is a 429 that says there is no quota left to wait for; 400, 413 and 422
    about the context's length are ContextTooLong; the rest is Rejected. The message carries the endpoint's
    own, cut to 300 characters; `key` is redacted from it.
    """
    code, told = _told(redacted(body, key))
    said = _cut(told)
    message = f"{endpoint} answered {status}: {said}"
    if status in (401, 403):
        return EndpointError(f"{endpoint} refuses the key (status {status}): {said}")
    if status == 429 and code == "insufficient_quota":
        return EndpointError(f"{endpoint} has no quota left for this key (status {status}): {said}")
    failed = _kind(status, headers, f"{code} {told}")
    return failed(message, retry_after=least_wait(headers) if failed.retryable else None, status=status)


def _kind(status: int, headers: Mapping[str, str], told: str) -> type[CallFailed]:
    if status == 429 or (status == 503 and "retry-after" in headers):
        return RateLimited
    if status == 408:
        return Unreachable
    if status >= 500 or status < 300:
        return ServerFault
    return ContextTooLong if status in _CODES_OF_LENGTH and _TOO_LONG.search(told) else Rejected


def _told(body: bytes) -> tuple[str, str]:
    """The error's code (or type) and message, wherever this server puts them."""
    try:
        outer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", excerpt(body, LONGEST * 2)
    error = outer.get("error", outer) if isinstance(outer, dict) else outer
    if not isinstance(error, dict):
        return "", str(error)
    code = error.get("code") if isinstance(error.get("code"), str) else error.get("type")
    message = error.get("message") or error.get("detail")
    return str(code or ""), message if isinstance(message, str) else excerpt(body, LONGEST * 2)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
