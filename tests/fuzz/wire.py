"""Answers of endpoints: bodies, headers, and the frames of the bus."""

import json
import math
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from hypothesis import strategies as st

from transfer_prompting.runtime.errors import UNREADABLE, CallFailed, EndpointError
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message, TokenChoice, Usage
from transfer_prompting.runtime.llm.http._codec import Codec
from transfer_prompting.runtime.llm.http._refusals import RateSheet, plausible_limits, rate_sheet
from transfer_prompting.runtime.llm.http._wire import inflated
from transfer_prompting.runtime.llm.ledger._rows import call_row, replayed_response, response_row
from transfer_prompting.runtime.llm.limits.limiter import Limiter
from transfer_prompting.runtime.llm.relay import _wire as relay
from transfer_prompting.scenarios.endpoints import Limits

from fuzz.targets import Target
from support.texts import replies
from support.virtual_time import VirtualClock

KEY = "sk-CANARY/7f+Zq9"
REQUEST = ChatRequest(
    model="m", messages=(Message("user", "hi"),), max_tokens=4, temperature=0.5, top_logprobs=3, seed=1
)

_numbers = st.sampled_from([0, 1, -1, 5, 0.5, -0.5, 2**31, 2**63, 2**64, 10**400, 1e308, -1e308, 1e-6])
_odd = (
    st.none()
    | st.booleans()
    | _numbers
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([KEY, "\ud800", "²", "9" * 5000, "", "NaN", "500", "429", "content_filter", "stop"])
)
_keys = st.sampled_from(["", "text", "content", "message", "token", "logprob", "é", KEY])
_flat = st.lists(_odd, max_size=3) | st.dictionaries(_keys, _odd, max_size=3)
# Two levels: st.recursive takes several times as long, and deep nesting is put in among the bytes.
_tree = _odd | _flat | st.lists(_flat, max_size=3) | st.dictionaries(_keys, _flat, max_size=3)


def either(plausible: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what is plausible, and now and then anything."""
    return plausible | plausible | plausible | _tree


def record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with all of these fields, each plausible, or with some of them, plausible or not."""
    some = st.fixed_dictionaries({}, optional={name: either(value) for name, value in fields.items()})
    return st.fixed_dictionaries(fields) | some


_logprob = st.floats(max_value=0) | _numbers
_token = record(token=st.text(max_size=4), logprob=_logprob)
_entry = record(
    token=st.text(max_size=4), logprob=_logprob, top_logprobs=st.lists(either(_token), max_size=3)
)
_content = replies() | st.lists(
    record(type=st.sampled_from(["text", "thinking"]), text=replies()), max_size=3
)
_turn = record(role=st.just("assistant"), content=_content)
_choice = record(
    message=_turn,
    delta=_turn,
    finish_reason=st.sampled_from(["stop", "length", "content_filter"]),
    logprobs=record(content=st.lists(either(_entry), max_size=3)),
)
_usage = record(prompt_tokens=st.integers(0, 10**4), completion_tokens=st.integers(0, 10**4))
_details = st.lists(record(violations=_tree, retryDelay=st.sampled_from(["3s", "1e9s", "-1s"])), max_size=2)
_error = record(
    message=st.sampled_from(
        ["temperature is not supported", f"bad key {KEY}", "maximum context length", "\\" * 99]
    ),
    code=st.sampled_from(["429", 400, "²", "insufficient_quota", "unsupported_parameter"]),
    status=st.sampled_from(["RESOURCE_EXHAUSTED", 503]),
    type=st.text(max_size=5),
    param=st.sampled_from(["temperature", "logprobs", "seed"]),
    detail=st.lists(record(loc=st.lists(st.just("top_p"), max_size=2)), max_size=2),
    details=_details,
)
COMPLETIONS = record(choices=st.lists(either(_choice), min_size=1, max_size=2), usage=_usage)
_errors = record(error=_error) | st.lists(record(error=_error), max_size=2)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Bodies of answers: completions and errors, sound, odd or damaged, as JSON or as a stream of it."""
    texts = [
        json.dumps(draw(COMPLETIONS | _errors), ensure_ascii=draw(st.booleans()))
        for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3])))
    ]
    stream = len(texts) > 1 or draw(st.booleans())
    text = "".join(f"data: {text}\n\n" for text in texts) + "data: [DONE]\n" if stream else texts[0]
    body = text.encode(errors="surrogatepass")
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(body)))
        cut = draw(st.integers(0, 5))
        body = (
            body[:at]
            + draw(st.binary(max_size=3) | st.sampled_from([b"[" * 2000, b'"', b"{"]))
            + body[at + cut :]
        )
    return body


_quantity = st.sampled_from(
    ["0", "1", "-1", "60", "1e3", "99999999999999999999", "²", "", "6m0s", "NaN", "2h"]
)
_dates = st.sampled_from(
    ["Wed, 21 Oct 2015 07:28:00 GMT", "0001-01-01T00:00:00+23:59", "9999-12-31", "Mon, 99 Foo 0 0:0 +9999"]
)
_names = [
    *(
        f"x-ratelimit-{what}-{of}"
        for what in ("limit", "remaining", "reset")
        for of in ("requests", "tokens")
    ),
    "retry-after",
    "retry-after-ms",
    "date",
    "content-type",
]
HEADERS = st.dictionaries(
    st.sampled_from(_names), _quantity | _dates | st.text(max_size=12) | st.integers().map(str), max_size=6
)


def plausible(response: ChatResponse) -> None:
    """A response holds only values that can be."""
    for usage in (response.usage, response.uncounted):
        assert 0 <= usage.prompt_tokens < 2**31
        assert 0 <= usage.completion_tokens < 2**31
    for choice in response.tokens:
        assert all(token.logprob <= 0 for token in (choice, *choice.top))
    assert math.isfinite(response.seconds)
    assert response.seconds >= 0
    assert response.attempts >= 0


def written(response: ChatResponse) -> None:
    """A response comes out of the ledger as it went in, but for what a layer above leaves out."""
    row = response_row(call_row(b"k" * 16, "http://host/v1", "m", response, paid=True))
    again = replayed_response(row)
    kept = msgspec.structs.replace(response, id="", model="", replayed=False)
    assert msgspec.structs.replace(again, replayed=False) == kept


def sensible(sheet: RateSheet | None) -> None:
    """Limits that are stated leave a limiter able to go on within the day that a wait may last."""
    if sheet is None:
        return
    for quota in (sheet.requests, sheet.tokens):
        for value in (quota.limit, quota.remaining, quota.reset):
            assert value is None or (math.isfinite(value) and value >= 0)
    limiter = Limiter(Limits(), VirtualClock())
    limiter.stated(sheet)
    assert limiter.enter(10.0) is not None


def answer(case: tuple[int, Mapping[str, str], bytes]) -> None:
    """An answer is a plausible response, or one of the errors of a call."""
    status, headers, body = case
    sheets: list[RateSheet] = []
    codec = Codec("lab", key=KEY, on_limits=lambda _, sheet: sheets.append(sheet))
    try:
        response = codec.response(REQUEST, 0, status=status, headers=headers, body=body, seconds=0.5)
    except (CallFailed, EndpointError) as error:
        assert KEY not in str(error)
        assert str(error).encode()
        assert len(str(error)) < 2000
        wait = getattr(error, "retry_after", None)
        assert wait is None or 0 <= wait <= 40 * 86400
    else:
        plausible(response)
        written(response)
        assert KEY not in response.text
    for sheet in sheets:
        sensible(sheet)
    sensible(rate_sheet(headers))


def packed(case: tuple[bytes, str]) -> None:
    """A body is unpacked within its bounds, or refused as an answer that is no use."""
    body, coding = case
    try:
        assert len(inflated(body, coding)) <= 64 * 2**20
    except CallFailed as error:
        assert str(error)


def frame(data: bytes) -> None:
    """A frame of the bus is a message with values that can be, or is refused when it is decoded."""
    for decode in (relay.decode_send, relay.decode_reply):
        try:
            message = decode(data)
        except UNREADABLE:
            continue
        assert decode(relay.encode(message)) == message or b"\x7f\xf8" in data  # NaN equals nothing
        if isinstance(message, relay.Sent):
            plausible(message.response)
            written(message.response)
        elif isinstance(message, relay.Failure):
            wait = getattr(message.error(), "retry_after", None)
            assert wait is None or 0 <= wait <= 40 * 86400
        if isinstance(message, relay.Sent | relay.Failure):
            sensible(message.limits and plausible_limits(message.limits))


_response = st.builds(
    ChatResponse,
    text=replies(),
    tokens=st.lists(st.builds(TokenChoice, st.text(max_size=3), st.floats(max_value=0)), max_size=2).map(
        tuple
    ),
    usage=st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**6)),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Messages of the relay with a value or two exchanged, or some of their bytes."""
    failure = relay.Failure("RateLimited", "slow down", 3.0, 429, limits=RateSheet())
    message = draw(
        st.sampled_from([relay.Send(REQUEST, "inbox", 1.0), failure, relay.Working()])
        | st.builds(relay.Sent, _response, st.just(RateSheet()) | st.none())
    )
    tree: Any = msgspec.msgpack.decode(msgspec.msgpack.encode(message))
    for _ in range(draw(st.integers(0, 2))):
        tree = exchanged(draw, tree)
    data = relay.encode(tree)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 4)) :]
    return data


_value = st.sampled_from(
    [-1, 0, 2**62, math.nan, math.inf, -math.inf, -0.5, 1e300, "", None, [], {}, "RateLimited"]
)


def exchanged(draw: st.DrawFn, tree: Any) -> Any:
    """The tree with one of its values replaced by something else."""
    if isinstance(tree, dict | list) and tree and draw(st.integers(0, 5)):
        place = draw(st.sampled_from(list(tree) if isinstance(tree, dict) else list(range(len(tree)))))
        changed = tree.copy()
        changed[place] = exchanged(draw, tree[place])
        return changed
    return draw(_value)


_codings = st.sampled_from(["gzip", "deflate", "x-gzip", "br", "", "identity", " GZIP "])
_zipped = st.binary(max_size=64).map(zlib.compress) | st.binary(max_size=64)

TARGETS = (
    Target("bodies", st.tuples(st.just(HTTPStatus.OK), st.just({}), bodies()), answer, share=6, fresh=0.1),
    Target(
        "headers",
        st.tuples(
            st.sampled_from(list(map(HTTPStatus, (200, 400, 401, 403, 404, 408, 413, 422, 429, 500, 503)))),
            HEADERS,
            bodies(),
        ),
        answer,
        share=6,
        fresh=0.1,
    ),
    Target("compressed bodies", st.tuples(_zipped, _codings), packed, share=1),
    Target("bus frames", frames() | st.binary(max_size=40), frame, share=5),
)
