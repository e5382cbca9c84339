"""What an endpoint says of its limits in headers."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

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
