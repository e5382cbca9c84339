"""Answers with an error status: what they mean, what their headers say of limits, when to try again."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

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
from ._wire import excerpt, redacted

_UNIT = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
# A bare number this large is a moment since 1970 (in seconds, or in milliseconds), not a wait.
_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e12


class Quota(msgspec.Struct, frozen=True):
    """One of an endpoint's limits as it stands (`reset` in seconds); None where the endpoint does not say."""

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


class RateSheet(msgspec.Struct, frozen=True):
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}` of one answer."""

    requests: Quota = Quota()
    tokens: Quota = Quota()


OnLimits = Callable[[str, RateSheet], None]
"""Takes a model's name and the limits that an answer's headers state."""


def rate_sheet(headers: Mapping[str, str]) -> RateSheet | None:
    """The limits an answer tells of; None when it tells of none. `headers` finds names in any case."""
    if "x-ratelimit-limit-requests" not in headers and "x-ratelimit-limit-tokens" not in headers:
        return None
    return _sheet(headers)


def least_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds an endpoint asks to wait before the next call; None when it does not ask.

    `retry-after-ms` goes before `Retry-After` (seconds or an HTTP date, RFC 9110 section 10.2.3), and both
    before the resets of quotas of which nothing remains. Never negative.
    """
    told = _number(headers.get("retry-after-ms"))
    if told is not None:
        return told / 1000
    told = duration(headers.get("retry-after"), headers.get("date"))
    if told is not None:
        return told
    sheet = _sheet(headers)
    spent = [quota.reset for quota in (sheet.requests, sheet.tokens) if quota.remaining == 0]
    return max((reset for reset in spent if reset is not None), default=None)


def duration(text: str | None, reference: str | None = None) -> float | None:
    """Seconds meant by `90`, `1s`, `6m0s`, `120ms`, `1h2m`, or a date (HTTP, ISO 8601, seconds since 1970).

    Dates count from `reference` (the answer's own Date header, so that clocks need not agree), else from now.
    None when the text means nothing of the kind; never negative.
    """
    if text is None:
        return None
    text = text.strip()
    number = _number(text)
    if number is not None and number < _EPOCH_SECONDS:
        return number
    if number is not None:
        since = number / 1000 if number >= _EPOCH_MILLISECONDS else number
        return _until(datetime.fromtimestamp(since, UTC), None)
    if (parts := _PART.findall(text)) and "".join(n + unit for n, unit in parts) == text:
        return sum(float(n) * _UNIT[unit] for n, unit in parts)
    moment = _date(text)
    return None if moment is None else _until(moment, _date(reference))


def _until(moment: datetime, reference: datetime | None) -> float:
    return max(0.0, (moment - (reference or datetime.now(UTC))).total_seconds())


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.fullmatch(text.strip()) else None


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text)
        except (ValueError, OverflowError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _sheet(headers: Mapping[str, str]) -> RateSheet:
    return RateSheet(_quota(headers, "requests"), _quota(headers, "tokens"))


def _quota(headers: Mapping[str, str], of: str) -> Quota:
    return Quota(
        limit=_number(headers.get(f"x-ratelimit-limit-{of}")),
        remaining=_number(headers.get(f"x-ratelimit-remaining-{of}")),
        reset=duration(headers.get(f"x-ratelimit-reset-{of}"), headers.get("date")),
    )


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
