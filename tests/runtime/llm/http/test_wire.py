"""What goes over the wire, and what is made of what comes back."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.errors import (
    CallFailed,
    ContextTooLong,
    EndpointError,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message, TokenLogprob, Usage
from transfer_prompting.runtime.llm.http._refusals import LONGEST, refusal
from transfer_prompting.runtime.llm.http._wire import decode, encode, fields

PLAIN = ChatRequest(model="m", messages=(Message("user", "hi"),), max_tokens=4)


def refused(
    status: int, body: object = None, headers: dict[str, str] | None = None
) -> CallFailed | EndpointError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return refusal(endpoint="lab", status=status, headers=headers or {}, body=content, key="sk-secret")


def test_what_a_request_leaves_open_is_not_sent():
    assert json.loads(encode(PLAIN)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 4,
        "temperature": 0.0,
    }


def test_everything_a_request_gives_is_sent_but_the_sample():
    request = msgspec.structs.replace(
        PLAIN, temperature=1.5, top_p=0.5, top_logprobs=20, seed=0, json_object=True, sample=9
    )
    assert json.loads(encode(request)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 4,
        "temperature": 1.5,
        "top_p": 0.5,
        "logprobs": True,
        "top_logprobs": 20,
        "seed": 0,
        "response_format": {"type": "json_object"},
    }


@given(st.text(), st.integers(0, 5), st.none() | st.integers(0, 2**31))
def test_any_text_arrives_unchanged_and_both_forms_are_the_same(text: str, top: int, seed: int | None):
    request = msgspec.structs.replace(PLAIN, messages=(Message("system", text),), top_logprobs=top, seed=seed)
    body = json.loads(encode(request))
    assert body["messages"][0]["content"] == text
    assert body == json.loads(json.dumps(fields(request)))


def test_a_full_answer_is_read():
    entry = {
        "token": " A",
        "logprob": -0.25,
        "bytes": [32, 65],
        "top_logprobs": [{"token": " B", "logprob": -3}],
    }
    answer = {
        "id": "x",
        "choices": [
            {
                "message": {"role": "assistant", "content": " A", "reasoning_content": "…"},
                "finish_reason": "length",
                "logprobs": {"content": [entry], "refusal": None},
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}},
    }
    response = decode(json.dumps(answer).encode(), seconds=0.5)
    assert (response.text, response.finish_reason, response.seconds) == (" A", "length", 0.5)
    assert response.usage == Usage(9, 1)
    assert response.tokens[0].logprob == -0.25
    assert response.tokens[0].top == (TokenLogprob(" B", -3.0),)


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"message": None},
        {"message": {"content": None}},
        {"message": {"content": "", "tool_calls": []}, "logprobs": None},
        {"message": {}, "logprobs": {"content": None}},
        {"message": {}, "logprobs": {"content": []}},
    ],
)
def test_a_reply_without_content_usage_or_logprobs_is_an_empty_one(choice: dict[str, object]):
    assert decode(json.dumps({"choices": [choice]}).encode()) == ChatResponse(text="")
    assert decode(json.dumps({"choices": [choice], "usage": None}).encode()) == ChatResponse(text="")


def test_a_token_that_can_never_come_has_a_logprob_all_the_same():
    entry = {"token": "x", "logprob": None, "top_logprobs": [{"token": "y", "logprob": None}]}
    body = json.dumps({"choices": [{"logprobs": {"content": [entry]}}]}).encode()
    token = decode(body).tokens[0]
    assert (token.logprob, token.top[0].logprob) == (-9999.0, -9999.0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"<html>",
        b'{"choices": []}',
        b'{"error": {"message": "upstream sk-secret"}}',
        b"\xff",
        b'{"choices": [{"message": {"content": "cut o',
        b'{"choices": "none"}',
        b'{"choices": [{"message": {"content": "\xff"}}]}',
    ],
)
def test_a_body_that_is_no_completion_is_a_fault_of_the_server(body: bytes):
    with pytest.raises(ServerFault) as raised:
        decode(body, key="sk-secret")
    assert "sk-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (302, {}, Rejected),
        (400, {}, Rejected),
        (401, {}, EndpointError),
        (403, {}, EndpointError),
        (404, {}, Rejected),
        (408, {}, Unreachable),
        (413, {}, Rejected),
        (422, {}, Rejected),
        (429, {}, RateLimited),
        (500, {}, ServerFault),
        (502, {}, ServerFault),
        (503, {}, ServerFault),
        (503, {"retry-after": "2"}, RateLimited),
        (529, {}, ServerFault),
    ],
)
def test_each_status_has_its_error_which_names_the_endpoint(
    status: int, headers: dict[str, str], error: type[Exception]
):
    raised = refused(status, {"error": {"message": "so it is"}}, headers)
    assert type(raised) is error
    assert "lab" in str(raised)
    assert "so it is" in str(raised)
    if isinstance(raised, CallFailed):
        assert raised.status == status
        assert raised.retry_after == (2 if headers else None)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "too many tokens", "code": "context_length_exceeded"}},
        {"error": {"code": 400, "message": "the request exceeds n_ctx", "type": "exceed_context_size_error"}},
        {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400},
        {"error": "prompt is too long: 9000 tokens"},
    ],
)
def test_a_prompt_beyond_the_context_is_told_apart(body: dict[str, object]):
    assert type(refused(400, body)) is ContextTooLong


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": {"message": "no such model"}}, "no such model"),
        ({"error": "no such model"}, "no such model"),
        ({"message": "no such model"}, "no such model"),
        ({"detail": "no such model"}, "no such model"),
        ({"detail": [{"loc": ["body"], "msg": "no such model"}]}, "no such model"),
        (b"no such\n model", "no such model"),
        (["no such model"], "no such model"),
        (b"", "empty body"),
    ],
)
def test_the_endpoints_own_words_are_found_wherever_it_puts_them(body: object, told: str):
    assert told in str(refused(404, body))


def test_the_endpoints_words_are_cut_and_never_hold_the_key():
    error = refused(400, {"error": {"message": "sk-secret is bad. " * 100}})
    assert len(str(error)) < LONGEST + 40
    assert "sk-secret" not in str(error)
    assert "sk-secret" not in str(refused(502, b"<html>" + b"x" * 590 + b"sk-secret"))
    assert "sk-se" not in str(refused(502, b"x" * 295 + b"sk-secret"))


def test_a_quota_that_is_used_up_is_not_waited_for():
    error = refused(429, {"error": {"message": "check your plan", "code": "insufficient_quota"}})
    assert isinstance(error, EndpointError)


@given(st.sampled_from([400, 429, 500]), st.binary(max_size=50) | st.text(max_size=50).map(str.encode))
def test_any_error_body_makes_an_error(status: int, body: bytes):
    assert isinstance(refused(status, body), CallFailed)
