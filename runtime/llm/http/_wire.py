"""Chat completions on the wire: the request's body, and what an answer's body means.

The format is that of OpenAI's `POST /chat/completions` without streaming, of which only the fields that are
used are read; servers differ in the rest.
"""

import msgspec

from ...errors import ServerFault
from ..chat import ChatRequest, ChatResponse, Message, TokenChoice, TokenLogprob, Usage

PATH = "/chat/completions"

# What OpenAI returns for a token "so unlikely" that it gives no number; other servers return null for it.
_NEVER = -9999.0


class _Body(msgspec.Struct, omit_defaults=True, gc=False):
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float
    top_p: float | None = None
    seed: int | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    response_format: dict[str, str] | None = None


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


class _Choice(msgspec.Struct, gc=False):
    message: _Reply | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Completion, strict=False).decode
_JSON_OBJECT = {"type": "json_object"}


def encode(request: ChatRequest) -> bytes:
    """The JSON body; what the request leaves open is left out, and `sample` is never sent."""
    return _encode(_body(request))


def fields(request: ChatRequest) -> dict[str, object]:
    """The same body as a dict, for clients that encode it themselves."""
    return msgspec.to_builtins(_body(request))


def decode(body: bytes, *, seconds: float = 0.0, key: str | None = None) -> ChatResponse:
    """The response in a body that came with status 200.

    Missing usage, log-probabilities or content are not errors: a reply may be empty. Raises ServerFault when
    the body is no chat completion (truncated, malformed, or without a choice); `key` is redacted from it.
    """
    try:
        completion = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServerFault(
            f"the answer is not a chat completion ({error}): {excerpt(redacted(body, key))}"
        ) from error
    if not completion.choices:
        raise ServerFault(f"the answer holds no choice: {excerpt(redacted(body, key))}")
    choice = completion.choices[0]
    return ChatResponse(
        text=(choice.message.content if choice.message else None) or "",
        finish_reason=choice.finish_reason,
        tokens=_tokens(choice.logprobs.content) if choice.logprobs and choice.logprobs.content else (),
        usage=_usage(completion.usage),
        seconds=seconds,
    )


def excerpt(body: bytes, length: int = 200) -> str:
    """The beginning of a body on one line, for messages."""
    text = " ".join(body[: 4 * length].decode(errors="replace").split())
    if not text:
        return "(empty body)"
    return text if len(text) <= length else text[: length - 1] + "…"


def redacted(body: bytes, key: str | None) -> bytes:
    """The body without the key, should the endpoint have echoed it."""
    return body.replace(key.encode(), b"[key]") if key else body


def _body(request: ChatRequest) -> _Body:
    return _Body(
        model=request.model,
        messages=request.messages,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        seed=request.seed,
        logprobs=request.top_logprobs > 0,
        top_logprobs=request.top_logprobs,
        response_format=_JSON_OBJECT if request.json_object else None,
    )


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    return Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0)


def _tokens(entries: list[_Token]) -> tuple[TokenChoice, ...]:
    return tuple(
        TokenChoice(
            entry.token,
            _known(entry.logprob),
            tuple([TokenLogprob(top.token, _known(top.logprob)) for top in entry.top_logprobs or ()]),
        )
        for entry in entries
    )


def _known(logprob: float | None) -> float:
    return _NEVER if logprob is None else logprob
