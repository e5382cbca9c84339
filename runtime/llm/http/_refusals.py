"""Answers with an error status: their meaning, the limits in their headers, when to try again."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import msgspec

from ...errors import (
    UNREADABLE,
    CallFailed,
    ContentFiltered,
    ContextTooLong,
    EndpointError,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from ._text import Key, excerpt, redacted

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
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_PART = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)(ns|us|µs|ms|s|m|h|d)")
_WAIT_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s?(ms|s|m(?!s)|h|d)[a-z]{0,8}", re.IGNORECASE)
_WAIT = re.compile(
    rf"(?:try again|retry|come back) (?:after|in) ((?:{_WAIT_PART.pattern}[\s,]{{0,2}})+)", re.IGNORECASE
)
# A bare number this large is a moment since 1970 (in seconds, or in milliseconds), not a wait.
_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e12
# A wait or a limit outside these bounds is no statement at all.
LONGEST_WAIT = 40 * 86400.0
_LEAST_REQUESTS, _LEAST_TOKENS, _MOST_UNITS = 1.0, 1000.0, 1e12


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
    """The limits an answer states; None when it states none. `headers` finds names in any case."""
    if "x-ratelimit-limit-requests" not in headers and "x-ratelimit-limit-tokens" not in headers:
        return None
    return _sheet(headers)


def least_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds an endpoint asks to wait before the next call; None when it does not ask.

    `retry-after-ms` takes precedence over `Retry-After` (seconds or an HTTP date, RFC 9110 section 10.2.3),
    and both over the resets of quotas of which nothing remains. Never negative.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _plausible(milliseconds / 1000)
    seconds = duration(headers.get("retry-after"), headers.get("date"))
    if seconds is not None:
        return seconds
    sheet = _sheet(headers)
    spent = [quota.reset for quota in (sheet.requests, sheet.tokens) if quota.remaining == 0]
    return max((reset for reset in spent if reset is not None), default=None)


def duration(text: str | None, reference: str | None = None) -> float | None:
    """Seconds meant by `90`, `1s`, `6m0s`, `120ms`, `1h2m`, or a date (HTTP, ISO 8601, seconds since 1970).

    Dates count from `reference` (the answer's own Date header, so that clocks need not agree), else from now.
    None when the text is nothing of the kind, or more than 40 days; never negative.
    """
    if text is None:
        return None
    try:
        return _plausible(_duration(text.strip(), reference))
    except (ValueError, OverflowError, OSError):
        return None


def _duration(text: str, reference: str | None) -> float | None:
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


def _plausible(seconds: float | None) -> float | None:
    return _between(seconds, 0, LONGEST_WAIT)


def _until(moment: datetime, reference: datetime | None) -> float:
    return max(0.0, (moment - (reference or datetime.now(UTC))).total_seconds())


def _number(text: str | None) -> float | None:
    # Stripped once: `strip` takes away characters that `float` does not.
    number = (text or "").strip()
    return float(number) if _NUMBER.fullmatch(number) else None


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text[:100])
        except (ValueError, OverflowError, IndexError, TypeError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _sheet(headers: Mapping[str, str]) -> RateSheet:
    return plausible_limits(RateSheet(_quota(headers, "requests"), _quota(headers, "tokens")))


def _quota(headers: Mapping[str, str], of: str) -> Quota:
    return Quota(
        limit=_number(headers.get(f"x-ratelimit-limit-{of}")),
        remaining=_number(headers.get(f"x-ratelimit-remaining-{of}")),
        reset=duration(headers.get(f"x-ratelimit-reset-{of}"), headers.get("date")),
    )


def plausible_limits(sheet: RateSheet) -> RateSheet:
    """The limits without values that cannot be meant: no limit below one request or 1,000 tokens."""
    return RateSheet(
        _within(sheet.requests, _LEAST_REQUESTS),
        _within(sheet.tokens, _LEAST_TOKENS),
    )


def _within(quota: Quota, least: float) -> Quota:
    return Quota(
        limit=_between(quota.limit, least, _MOST_UNITS),
        remaining=_between(quota.remaining, 0, _MOST_UNITS),
        reset=_between(quota.reset, 0, LONGEST_WAIT),
    )


def _between(value: float | None, least: float, most: float) -> float | None:
    return value if value is not None and least <= value <= most else None


LONGEST = 300
LONG_WAIT = 900.0
"""Seconds from which a wait that an endpoint asks for is taken for a quota that is used up."""

_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size_error|maximum context length|context length|context size"
    r"|context window|(?:prompt|input) is too long|maximum number of tokens|reduce the length"
    r"|range of input length|max_new_tokens`? must be|request[_ ](?:entity[_ ])?too[_ ]large"
    r"|too many (?:input |prompt )?tokens",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content[_ -]?(?:filter|policy|management|moderation)|responsible_?ai|data_inspection_failed"
    r"|inappropriate content|sensitive content|不安全或敏感|敏感内容|(?:was|been) flagged|safety system"
    r"|prompt[^.]{0,40}(?:flagged|blocked)",
    re.IGNORECASE,
)
_NO_QUOTA = re.compile(
    r"insufficient[_ ](?:quota|balance|credits?|funds)|quota[_ ]exhausted|billing_(?:hard_limit|not_active)"
    r"|credit balance is too low|(?:per[-_ ]?day|daily|monthly)[^.]{0,40}(?:limit|quota)"
    r"|limit[^.]{0,60}per[-_ ]?day|exceeded your (?:current|monthly|daily) quota|out of call volume quota",
    re.IGNORECASE,
)
_NO_CREDIT = re.compile(
    r"insufficient[_ ](?:balance|credits?|funds)|billing_(?:hard_limit|not_active)|credit balance is too low"
    r"|arrearage",
    re.IGNORECASE,
)
"""Words with status 400 for an account without credit, as Anthropic and DashScope have them."""
_OF_A_DAY = re.compile(r"per[-_ ]?day", re.IGNORECASE)
_CODES_OF_LENGTH = frozenset({400, 413, 422})


class Refusal(msgspec.Struct, frozen=True):
    """An error body: its code and type in one text, its message, the field it names, the wait it asks for.

    `details` is the text in which quotas of a day are named (Google's `QuotaFailure`).
    """

    code: str
    message: str
    param: str = ""
    details: str = ""
    wait: float | None = None

    @property
    def text(self) -> str:
        """Code and message."""
        return f"{self.code} {self.message}"


def read_refusal(body: bytes, key: Key = None) -> Refusal:
    """The error in a body, wherever this server puts it; `key` is redacted from it."""
    text = redacted(body[: 2**16].decode(errors="replace"), key)
    try:
        outer: object = msgspec.json.decode(text)
    except UNREADABLE:
        return Refusal("", excerpt(text, LONGEST * 2))
    if isinstance(outer, list) and outer and isinstance(outer[0], dict):
        outer = cast("object", outer[0])
    error: object = cast("dict[str, Any]", outer).get("error", outer) if isinstance(outer, dict) else outer
    if not isinstance(error, dict):
        return Refusal("", redacted(str(cast("object", error)), key))
    error = cast("dict[str, Any]", error)
    message = _with_cause(error.get("message"), error.get("metadata")) or error.get("detail")
    words = {
        str(error[name]): None for name in ("code", "type", "status") if isinstance(error.get(name), str)
    }
    return Refusal(
        code=redacted(" ".join(words), key),
        message=redacted(message if isinstance(message, str) else excerpt(text, LONGEST * 2), key),
        param=_param(error),
        details=_details(error),
        wait=_wait_in(error),
    )


def _with_cause(message: object, metadata: object) -> object:
    """The message, with the words of the provider that a router (OpenRouter) puts beside its own."""
    raw: object = cast("dict[str, Any]", metadata).get("raw") if isinstance(metadata, dict) else None
    return f"{message}: {raw}" if isinstance(message, str) and isinstance(raw, str) and raw else message


def _param(error: Mapping[str, Any]) -> str:
    """The field that is refused: OpenAI's `param`, or the last name of `loc` (FastAPI, Mistral)."""
    if isinstance(error.get("param"), str):
        return str(error["param"])
    detail: object = error.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place: object = cast("dict[str, Any]", detail[0]).get("loc")
        if isinstance(place, list) and place:
            return str(cast("list[object]", place)[-1])
    return ""


def _listed(error: Mapping[str, Any]) -> list[dict[str, Any]]:
    details: object = error.get("details")
    entries = cast("list[object]", details) if isinstance(details, list) else []
    return [cast("dict[str, Any]", entry) for entry in entries if isinstance(entry, dict)]


def _details(error: Mapping[str, Any]) -> str:
    return " ".join(str(entry.get("violations", "")) for entry in _listed(error))[:2000]


def _wait_in(error: Mapping[str, Any]) -> float | None:
    """The seconds that a body asks to wait: Google's `RetryInfo.retryDelay`, a number under `retry_after`, or
    in the message ("try again in 1m2.5s", "retry after 20 seconds")."""
    for entry in _listed(error):
        if isinstance(delay := entry.get("retryDelay"), str):
            return duration(delay)
    if isinstance(seconds := error.get("retry_after"), int | float) and not isinstance(seconds, bool):
        return _plausible(float(seconds))
    message: object = error.get("message")
    found = _WAIT.search(message) if isinstance(message, str) else None
    if found is None:
        return None
    parts = _WAIT_PART.findall(found[1])
    return _plausible(sum(float(number) * _UNIT[unit.lower()] for number, unit in parts))


def refusal(
    *, endpoint: str, status: int, headers: Mapping[str, str], body: bytes, key: Key = None
) -> CallFailed | EndpointError:
    """The error for an answer whose status is not 200.

    429 is RateLimited, and so are 503 and 402 with a short Retry-After; any other 402, a 400 that says that
    there is no credit, and a 429 or 403 that says that the quota is used up or asks to wait 15 minutes or
    more, are QuotaExhausted. 408 is Unreachable; other 5xx are ServerFault.
    A prompt or a row that a content filter refuses (400, 403) is ContentFiltered, a 400, 413 or 422 about the
    context's length ContextTooLong. Other 401 and 403, and 407, are EndpointError; the rest is Rejected. The
    message carries the endpoint's own, cut to 300 characters; `key` is redacted from it.
    """
    said = read_refusal(body, key)
    wait = least_wait(headers)
    if wait is None:
        wait = said.wait
    return _error(endpoint, status, said, wait, stated="retry-after" in headers)


def _error(
    endpoint: str, status: int, said: Refusal, wait: float | None, *, stated: bool
) -> CallFailed | EndpointError:
    words = _cut(said.message)
    if _used_up(status, said, wait, stated=stated):
        wait = wait if wait is None or wait >= LONG_WAIT else None
        when = "" if not wait else f"; it asks to come back in {_spell(wait)}"
        text = f"{endpoint} has no quota left for this key (status {status}): {words.rstrip('.')}{when}"
        return QuotaExhausted(text, retry_after=wait)
    if status in (400, 403) and _FILTERED.search(said.text):
        return ContentFiltered(f"{endpoint} answered {status}: {words}", status=status)
    if status in (401, 403):
        return EndpointError(f"{endpoint} refuses the key (status {status}): {words}")
    if status == 407:
        return EndpointError(f"the proxy before {endpoint} refuses the call (407): {words}; check HTTP_PROXY")
    failed = _kind(status, said, stated=stated)
    return failed(
        f"{endpoint} answered {status}: {words}",
        retry_after=wait if failed.retryable else None,
        status=status,
    )


def _used_up(status: int, said: Refusal, wait: float | None, *, stated: bool) -> bool:
    short = wait is not None and 0 < wait < LONG_WAIT
    if status == 402:
        return not (short and stated)
    if status == 400:
        return _NO_CREDIT.search(said.text) is not None
    if status not in (403, 429):
        return False
    # Google calls every rate limit a quota; the wait distinguishes them, but for the quota of a day, with
    # which a short wait comes too.
    named = _NO_QUOTA.search(said.code) or (not short and _NO_QUOTA.search(said.message))
    return bool(named or _OF_A_DAY.search(said.details)) or (
        status == 429 and wait is not None and wait >= LONG_WAIT
    )


def _kind(status: int, said: Refusal, *, stated: bool) -> type[CallFailed]:
    if status == 429 or (status in (402, 503) and stated):
        return RateLimited
    if status == 408:
        return Unreachable
    if status >= 500 or status < 300:
        return ServerFault
    return ContextTooLong if status in _CODES_OF_LENGTH and _TOO_LONG.search(said.text) else Rejected


def _spell(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        return "(empty body)"
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
