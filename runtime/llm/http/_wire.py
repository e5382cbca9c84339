"""Chat completions on the wire: the request's body, and the response in an answer's body.

The format is that of OpenAI's `POST /chat/completions`, of which only the fields that are used are read;
servers differ in the rest. Here alone a value from the wire is judged: one that is not plausible is missing.
"""

import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from ...errors import UNREADABLE, ServerFault
from ..chat import ChatRequest, ChatResponse, Message, TokenChoice, TokenLogprob, Usage, finite
from ._dialect import Dialect
from ._text import Key, echoes, excerpt, redacted, secrets

PATH = "/chat/completions"

MOST_NAME = 200
"""Characters of an id or a model's name; what is longer is no name."""

MOST_BYTES = 64 * 2**20
"""An answer may have so many bytes, once decompressed."""

_QUOTED = 2**16
"""Bytes of a body that a message may quote from: so many that no key is cut in two where it is quoted."""

# What OpenAI returns for a token "so unlikely" that it gives no number; other servers return null for it.
_NEVER = -9999.0
_ROUNDING = 1e-3
"""A log-probability above 0 by up to this is a rounding error."""

_PLAIN = Dialect()
_JSON_OBJECT = {"type": "json_object"}
_WITH_USAGE = {"include_usage": True}


class ErrorInside(ServerFault):
    """A body that came with status 200 reports an `error`, as JSON."""

    def __init__(self, error: object, key: Key) -> None:
        self.error = _as_json({"error": error})
        super().__init__(f"the answer is an error: {_quoted(self.error, key)}")


def _as_json(value: object) -> bytes:
    """Any value that was decoded from JSON: also half a surrogate pair, and numbers beyond 64 bits."""
    try:
        return json.dumps(value).encode()
    except (RecursionError, ValueError):
        return b'{"error": "unreadable"}'


class _Body(msgspec.Struct, omit_defaults=True, gc=False):
    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    response_format: dict[str, str] | None = None
    stream: bool | None = None
    stream_options: dict[str, bool] | None = None


class _Alternative(msgspec.Struct, gc=False):
    token: str
    logprob: float | None = None


class _Token(msgspec.Struct, gc=False):
    token: str
    logprob: float | None = None
    top_logprobs: list[_Alternative] | None = None


class _Logprobs(msgspec.Struct, gc=False):
    content: list[_Token] | None = None


class _Reply(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Reply | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None
    error: object = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: object = None
    kind: str | None = msgspec.field(default=None, name="object")
    id: object = None
    model: object = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Completion).decode


def encode(request: ChatRequest, dialect: Dialect = _PLAIN) -> bytes:
    """The JSON body; what the request leaves open is left out, and `sample` is never sent."""
    return _encode(fields(request, dialect) if request.extra_body else _body(request, dialect))


def fields(request: ChatRequest, dialect: Dialect = _PLAIN) -> dict[str, object]:
    """The same body as a dict, for clients that encode it themselves."""
    body = msgspec.to_builtins(_body(request, dialect))
    extra: dict[str, object] = msgspec.json.decode(request.extra_body) if request.extra_body else {}
    return {**body, **{name: value for name, value in extra.items() if name not in dialect.omitted}}


def _body(request: ChatRequest, dialect: Dialect) -> _Body:
    omitted, alternatives = dialect.omitted, dialect.alternatives(request)
    most = max(request.max_tokens, dialect.least_tokens)
    return _Body(
        model=request.model,
        messages=dialect.messages(request),
        max_tokens=most if dialect.token_limit == "max_tokens" else None,
        max_completion_tokens=most if dialect.token_limit == "max_completion_tokens" else None,
        temperature=None if "temperature" in omitted else request.temperature,
        top_p=None if "top_p" in omitted else request.top_p,
        seed=None if "seed" in omitted else request.seed,
        logprobs=alternatives > 0,
        top_logprobs=alternatives,
        response_format=_JSON_OBJECT if request.json_object and "response_format" not in omitted else None,
        stream=None if "stream" in omitted else dialect.stream,
        stream_options=_WITH_USAGE if dialect.stream and "stream_options" not in omitted else None,
    )


def inflated(body: bytes, encoding: str) -> bytes:
    """The body without its content coding. Raises ServerFault when it is garbled or larger than 64 MiB."""
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise ServerFault(f"the answer has a content coding that was not asked for ({excerpt(encoding, 40)})")
    # 32 lets zlib recognise both headers, of gzip and of zlib.
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        text = stream.decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise ServerFault(f"the answer's compression is garbled ({error})") from error
    if len(text) > MOST_BYTES:
        raise too_large()
    if not stream.eof:
        raise ServerFault("the answer's compression ends too early")
    return text


def too_large() -> ServerFault:
    """The error for an answer beyond `MOST_BYTES`."""
    return ServerFault(f"the answer is larger than {MOST_BYTES // 2**20} MiB")


def is_stream(body: bytes) -> bool:
    """True for server-sent events."""
    return body[:64].lstrip().startswith((b"data:", b"event:", b":"))


def decode(body: bytes, *, seconds: float = 0.0, key: Key = None) -> ChatResponse:
    """The response in a body that came with status 200, a stream of chunks included.

    Missing usage, log-probabilities or content are not errors: a reply may be empty. Raises ServerFault when
    the body is no chat completion (truncated, malformed, or without a choice), and ErrorInside, which is one,
    when it reports an error. The `key` is redacted from the text and from errors.
    """
    try:
        completion = _decode(body)
    except UNREADABLE:
        response = _lenient(body, seconds, key)
    else:
        if completion.error or completion.kind == "error":
            raise ErrorInside(completion.error or msgspec.json.decode(body), key)
        if not completion.choices:
            raise ServerFault(f"the answer holds no choice: {_quoted(body, key)}")
        choice = completion.choices[0]
        if choice.error:
            raise ErrorInside(choice.error, key)
        response = ChatResponse(
            text=(choice.message.content or choice.message.refusal or "") if choice.message else "",
            finish_reason=choice.finish_reason,
            tokens=_tokens(choice.logprobs.content) if choice.logprobs and choice.logprobs.content else (),
            usage=_counted(completion.usage),
            seconds=seconds,
            id=_name(completion.id),
            model=_name(completion.model),
        )
    if response.finish_reason == "error":
        raise ServerFault(f"the answer ended with an error: {_quoted(body, key)}")
    return _without(key, response)


def _without(key: Key, response: ChatResponse) -> ChatResponse:
    """The response without the key in any of its texts."""
    key = secrets(key)
    said = [response.text, response.finish_reason or "", response.id, response.model]
    said += [part.token for chosen in response.tokens for part in (chosen, *chosen.top)]
    tokens = "".join(chosen.token for chosen in response.tokens)
    if not echoes("\n".join((tokens, *said)), key):
        return response
    finish = response.finish_reason
    return msgspec.structs.replace(
        response,
        text=redacted(response.text, key),
        finish_reason=None if finish is None else redacted(finish, key),
        # Where it is cut into tokens, their log-probabilities mean nothing without it.
        tokens=() if any(redacted(one, key) != one for one in (tokens, *said[4:])) else response.tokens,
        id=redacted(response.id, key),
        model=redacted(response.model, key),
    )


def _name(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= MOST_NAME else ""


def _counted(usage: _Usage | None) -> Usage:
    return Usage() if usage is None else Usage.stated(usage.prompt_tokens, usage.completion_tokens)


def _tokens(entries: list[_Token]) -> tuple[TokenChoice, ...]:
    """The tokens; none where a log-probability of a chosen token cannot be."""
    tokens: list[TokenChoice] = []
    for entry in entries:
        chosen = _logprob(entry.logprob)
        if chosen is None:
            return ()
        top = [
            TokenLogprob(other.token, logprob)
            for other in entry.top_logprobs or ()
            if (logprob := _logprob(other.logprob)) is not None
        ]
        tokens.append(TokenChoice(entry.token, chosen, tuple(top)))
    return tuple(tokens)


def _logprob(value: float | None) -> float | None:
    if value is None:
        return _NEVER
    return min(value, 0.0) if value <= _ROUNDING else None


def _quoted(body: bytes, key: Key) -> str:
    return excerpt(redacted(body[:_QUOTED].decode(errors="replace"), key))


# What follows reads answers that are odd: parts for content, fractions for counts, streams.


def _lenient(body: bytes, seconds: float, key: Key) -> ChatResponse:
    if is_stream(body):
        return _from_stream(body, seconds, key)
    try:
        completion = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ServerFault(f"the answer is not a chat completion ({said}): {_quoted(body, key)}") from error
    if not isinstance(completion, dict):
        raise ServerFault(f"the answer is not a chat completion: {_quoted(body, key)}")
    completion = cast("dict[str, Any]", completion)
    choice = _first(completion.get("choices"))
    if (error := _error_in(completion, choice)) is not None:
        raise ErrorInside(error, key)
    if choice is None:
        raise ServerFault(f"the answer holds no choice: {_quoted(body, key)}")
    message = _mapping(choice.get("message"))
    return ChatResponse(
        text=_text(message.get("content")) or _text(message.get("refusal")),
        finish_reason=_word(choice.get("finish_reason")),
        tokens=_tokens(_entries(choice.get("logprobs"))),
        usage=_odd_usage(completion.get("usage")),
        seconds=seconds,
    )


def _from_stream(body: bytes, seconds: float, key: Key) -> ChatResponse:
    texts: list[str] = []
    entries: list[_Token] = []
    finish, usage, chunks = None, Usage(), 0
    for chunk in _chunks(body, key):
        if (error := _error_in(chunk, _first(chunk.get("choices")))) is not None:
            raise ErrorInside(error, key)
        chunks += 1
        usage = _odd_usage(chunk.get("usage")) if chunk.get("usage") else usage
        if (choice := _first(chunk.get("choices"))) is None:
            continue
        delta = _mapping(choice.get("delta")) or _mapping(choice.get("message"))
        texts.append(_text(delta.get("content")) or _text(delta.get("refusal")))
        entries += _entries(choice.get("logprobs"))
        finish = _word(choice.get("finish_reason")) or finish
    if not chunks or (finish is None and b"[DONE]" not in body):
        raise ServerFault(f"the streamed answer is incomplete: {_quoted(body, key)}")
    return ChatResponse(
        text="".join(texts), finish_reason=finish, tokens=_tokens(entries), usage=usage, seconds=seconds
    )


def _error_in(completion: Mapping[str, Any], choice: Mapping[str, Any] | None) -> object:
    """The error that a completion, a chunk or its first choice reports; None where there is none."""
    inside = completion.get("error") or (choice or {}).get("error")
    return inside or (completion if completion.get("object") == "error" else None)


def _chunks(body: bytes, key: Key) -> Iterator[dict[str, Any]]:
    # Only these end a line of an event; `splitlines` knows others, which JSON may hold.
    for line in re.split(r"\r\n|\n|\r", body.decode(errors="replace")):
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ServerFault(
                f"the streamed answer is malformed: {excerpt(redacted(data[:_QUOTED], key), 80)}"
            ) from error
        if isinstance(chunk, dict):
            yield cast("dict[str, Any]", chunk)


def _text(content: object) -> str:
    """The text of a message: a string, or the text parts of a list (not what the model thought)."""
    if isinstance(content, str):
        # A lone surrogate cannot be written to any file.
        return content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if not isinstance(content, list):
        return ""
    return "".join(_part(part) for part in cast("list[object]", content))


def _part(part: object) -> str:
    if isinstance(part, str):
        return _text(part)
    part = _mapping(part)
    return _text(part.get("text")) if part.get("type", "text") in ("text", "output_text") else ""


def _entries(logprobs: object) -> list[_Token]:
    content = _mapping(logprobs).get("content")
    if not isinstance(content, list):
        return []
    return [_entry(_mapping(entry)) for entry in cast("list[object]", content)]


def _entry(entry: Mapping[str, Any]) -> _Token:
    others = entry.get("top_logprobs")
    top = [_mapping(other) for other in cast("list[object]", others)] if isinstance(others, list) else []
    return _Token(
        _text(entry.get("token")),
        _odd_logprob(entry),
        [_Alternative(_text(other.get("token")), _odd_logprob(other)) for other in top],
    )


def _odd_logprob(entry: Mapping[str, Any]) -> float | None:
    """The value, None for null, and infinity, which is not plausible, for nonsense."""
    value = entry.get("logprob")
    if value is None:
        return None
    number = finite(value)
    return math.inf if number is None else number


def _odd_usage(usage: object) -> Usage:
    usage = _mapping(usage)
    return Usage.stated(usage.get("prompt_tokens"), usage.get("completion_tokens"))


def _first(choices: object) -> dict[str, Any] | None:
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    return cast("dict[str, Any]", choices[0])


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _word(value: object) -> str | None:
    return _text(value) if isinstance(value, str) else None
