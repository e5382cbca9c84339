"""A value that is not plausible is missing, and nothing but the usual errors comes out of any answer."""

import gzip
import json
from collections.abc import Mapping
from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.errors import (
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
from transfer_prompting.runtime.llm.chat import ChatRequest, Message, Usage
from transfer_prompting.runtime.llm.http._codec import Codec
from transfer_prompting.runtime.llm.http._refusals import duration, rate_sheet, refusal
from transfer_prompting.runtime.llm.http._text import redacted
from transfer_prompting.runtime.llm.http._wire import decode
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.http.openai_client import OpenAIClient

from support.chat_server import Fault, chat_server

REQUEST = ChatRequest(model="m", messages=(Message("user", "hi"),), max_tokens=4)
NOW, IN_AN_HOUR = "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 08:28:00 GMT"
KEY = 'sk-CANARY/7f+Zq9=abc"d&e'


def completion(content: object = "yes", **parts: object) -> bytes:
    choice = {"message": {"content": content}, **{k: v for k, v in parts.items() if k == "logprobs"}}
    return json.dumps({"choices": [choice], **{k: v for k, v in parts.items() if k != "logprobs"}}).encode()


def refused(
    status: int, body: object, headers: Mapping[str, str] | None = None
) -> CallFailed | EndpointError:
    return refusal(
        endpoint="lab", status=status, headers=headers or {}, body=json.dumps(body).encode(), key=KEY
    )


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 12.2, "completion_tokens": 3.0}, Usage(13, 3)),
        ({"prompt_tokens": "12", "completion_tokens": "3"}, Usage(12, 3)),
        ({"prompt_tokens": -5, "completion_tokens": 3}, Usage()),
        ({"prompt_tokens": 5, "completion_tokens": -3}, Usage()),
        ({"prompt_tokens": 2**63, "completion_tokens": 3}, Usage()),
        ({"prompt_tokens": 1e400, "completion_tokens": 3}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": 3}, Usage()),
        ({"prompt_tokens": 5}, Usage()),
        ({"completion_tokens": 5}, Usage()),
        ({"prompt_tokens": 5, "completion_tokens": 0}, Usage(5, 0)),
        ([], Usage()),
        ("many", Usage()),
        ({"prompt_tokens": [5], "completion_tokens": {}}, Usage()),
    ],
)
def test_token_counts_are_whole_and_possible_or_missing(usage: object, counted: Usage):
    response = decode(completion(usage=usage))
    assert (response.text, response.usage) == ("yes", counted)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "ye"}, {"text": "s"}], "yes"),
        (["y", "es"], "yes"),
        ([{"type": "image_url", "image_url": "…"}], ""),
        (7, ""),
        ({"text": "yes"}, ""),
        ("\ud800 yes", "\ufffd yes"),
    ],
)
def test_content_is_text_whatever_its_form(content: object, text: str):
    assert decode(completion(content)).text == text


def test_the_words_of_a_refusal_are_its_text():
    for content in (None, "", []):
        message = {"content": content, "refusal": "I cannot help with that."}
        body = json.dumps({"choices": [{"message": message}]}).encode()
        assert decode(body).text == "I cannot help with that."


@pytest.mark.parametrize("value", [0.5, "NaN", "inf", "soon", [], 1e400])
def test_a_log_probability_that_cannot_be_is_missing(value: object):
    chosen = {"content": [{"token": "a", "logprob": value, "top_logprobs": []}]}
    assert decode(completion(logprobs=chosen)).tokens == ()
    top = [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": value}]
    among = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": top}]}
    (token,) = decode(completion(logprobs=among)).tokens
    assert [other.token for other in token.top] == ["a"]


def test_a_log_probability_just_above_zero_is_zero():
    entry = {"content": [{"token": "a", "logprob": 1e-6, "top_logprobs": []}]}
    assert decode(completion(logprobs=entry)).tokens[0].logprob == 0.0


@pytest.mark.parametrize("space", ["\x1c", "\x85", "\u2003"])
def test_spaces_around_a_number_of_a_header_are_no_part_of_it(space: str):
    sheet = rate_sheet({"x-ratelimit-limit-tokens": f"{space}9000{space}"})
    assert sheet is not None
    assert sheet.tokens.limit == 9000


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"choices":' + b"[" * 900 + b"]" * 900 + b"}"])
def test_deep_nesting_is_a_fault_of_the_server(body: bytes):
    with pytest.raises(ServerFault):
        decode(body)
    assert isinstance(refusal(endpoint="lab", status=400, headers={}, body=body), Rejected)


@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
async def test_a_body_that_unpacks_to_too_much_is_not_read_whole(kind: type[AiohttpClient | OpenAIClient]):
    bomb = gzip.compress(b" " * (80 * 2**20))
    reply = Fault(200, body=bomb, headers={"Content-Encoding": "gzip"})
    async with chat_server(lambda _: reply) as server, kind(server.base_url) as client:
        with pytest.raises(ServerFault, match="64 MiB"):
            await client.chat(REQUEST)


@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_a_garbled_compression_is_a_fault_of_the_server(
    kind: type[AiohttpClient | OpenAIClient], encoding: str
):
    reply = Fault(200, body=b"no archive", headers={"Content-Encoding": encoding})
    async with chat_server(lambda _: reply) as server, kind(server.base_url) as client:
        with pytest.raises(ServerFault):
            await client.chat(REQUEST)


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
async def test_a_redirect_is_not_followed(kind: type[AiohttpClient | OpenAIClient], status: int):
    async with chat_server() as other:
        reply = Fault(status, headers={"Location": f"{other.base_url}/chat/completions"})
        async with chat_server(lambda _: reply) as server, kind(server.base_url, api_key=KEY) as client:
            with pytest.raises(CallFailed):
                await client.chat(REQUEST)
        assert other.count == 0


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        json.dumps(KEY),
        KEY.replace("/", "\\/"),
        "".join(f"\\u{ord(character):04X}" for character in KEY),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower(),
        escape(KEY),
        "".join(f"&#{ord(character)};" for character in KEY),
        json.dumps({"said": json.dumps(KEY)}),
    ],
)
def test_a_key_is_removed_however_it_is_encoded(text: str):
    assert "CANARY" not in redacted(f"your key {text} is bad", KEY)
    assert "your key" in redacted(f"your key {text} is bad", KEY)


@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_an_echoed_key_is_in_no_error_and_no_reply(
    kind: type[AiohttpClient | OpenAIClient], status: int
):
    escaped = "".join(f"\\u{ord(character):04x}" for character in KEY)
    said = f'"your key {escaped} is bad"'
    body = f'{{"error": {{"message": {said}, "code": {said}}}}}' if status != 200 else completion("").decode()
    body = body.replace('"content": ""', f'"content": {said}')
    reply = Fault(status, body=body.encode())
    async with chat_server(lambda _: reply) as server, kind(server.base_url, api_key=KEY) as client:
        try:
            text = (await client.chat(REQUEST)).text
        except (CallFailed, EndpointError) as error:
            text = str(error)
    assert "your key" in text
    assert "CANARY" not in text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "9" * 400,
            "99999999999999999999",
            "-5",
            "nan",
            "inf",
            "٣",
            "1e9",
            "garbage",
            "2026-13-45",
            "1,5",
            "",
        ),
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "9999-12-31T23:59:59-23:59",
        "99999999999999d",
        "Mon, 00 Foo 20 99:99",
    ],
)
def test_a_wait_that_cannot_be_is_no_wait(text: str):
    assert duration(text) is None


@given(st.text(max_size=60))
def test_any_header_is_a_wait_or_nothing(text: str):
    wait = duration(text)
    assert wait is None or 0 <= wait <= 40 * 86400
    rate_sheet({"x-ratelimit-limit-requests": text, "x-ratelimit-reset-requests": text})


@pytest.mark.parametrize("name", ["requests", "tokens"])
@pytest.mark.parametrize("value", ["0", "0.0000001", "9" * 400, "-1", "nan"])
def test_a_limit_that_no_run_could_live_with_is_no_limit(name: str, value: str):
    sheet = rate_sheet({f"x-ratelimit-limit-{name}": value})
    assert sheet is not None
    assert getattr(sheet, name).limit is None


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (402, {"error": {"message": "Payment required"}}, {}),
        (429, {"error": {"message": "no", "type": "insufficient_quota", "code": "429"}}, {}),
        (429, {"error": {"message": "no", "type": "tokens", "code": "insufficient_quota"}}, {}),
        (429, {"error": {"message": "Daily limit reached"}}, {"retry-after": "3600"}),
        (
            429,
            {
                "error": {
                    "message": "x",
                    "details": [{"violations": [{"quotaId": "RequestsPerDayPerProject"}]}],
                }
            },
            {},
        ),
        (403, {"error": {"message": "Your credit balance is too low"}}, {}),
        (400, {"error": {"message": "Your credit balance is too low to access the Anthropic API."}}, {}),
        (
            400,
            {"error": {"message": "please make sure your account is in good standing", "code": "Arrearage"}},
            {},
        ),
        (429, {"error": {"message": "Rate limit exceeded: free-models-per-day", "code": 429}}, {}),
        (429, {"error": {"message": "Slow down", "code": 429}}, {"retry-after": "3600"}),
        (429, {"error": {"message": "Slow down"}}, {"retry-after": IN_AN_HOUR, "date": NOW}),
        (429, [{"error": {"message": "Quota exceeded", "details": [{"retryDelay": "3600s"}]}}], {}),
        (
            429,
            [
                {
                    "error": {
                        "message": "You exceeded your current quota. Please retry in 36s.",
                        "status": "RESOURCE_EXHAUSTED",
                        "details": [
                            {
                                "violations": [
                                    {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
                                ]
                            },
                            {"retryDelay": "36s"},
                        ],
                    }
                }
            ],
            {},
        ),
    ],
)
def test_a_quota_that_is_used_up_is_no_rate_limit(status: int, body: object, headers: dict[str, str]):
    error = refused(status, body, headers)
    assert type(error) is QuotaExhausted
    hour = bool(headers) or "3600s" in str(body)
    assert error.retry_after == (3600 if hour else None)
    assert ("1 h 0 min" in str(error)) == hour


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"retry-after": "7"}, 7.0),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": NOW}, 30.0),
        (429, {"retry-after-ms": "1500"}, 1.5),
        (402, {"retry-after": "5"}, 5.0),
        (503, {"retry-after": "20"}, 20.0),
    ],
)
def test_a_short_wait_is_waited_for(status: int, headers: dict[str, str], wait: float):
    error = refused(status, {"error": {"message": "Too many requests"}}, headers)
    assert (type(error), error.retry_after) == (RateLimited, wait)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_short_wait_in_the_body_is_a_rate_limit():
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "6.5s"}]
    message = "You exceeded your current quota, please check your plan"
    error = refused(429, [{"error": {"code": 429, "message": message, "details": details}}])
    assert type(error) is RateLimited
    assert error.retry_after == 6.5


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        ({"message": "Please try again in 1.2s. Visit the console."}, 1.2),
        ({"message": "Rate limit reached. Please try again in 2m12.5s."}, 132.5),
        ({"message": "Please retry after 20 seconds."}, 20.0),
        ({"message": "try again in 150ms"}, 0.15),
        ({"message": "Try again in 2 minutes"}, 120.0),
        ({"message": "Too many requests", "retry_after": 3}, 3.0),
        ({"message": "Please try again later"}, None),
    ],
)
def test_a_short_wait_in_the_message_is_waited_for(error: object, wait: float | None):
    found = refused(429, {"error": error})
    assert (type(found), found.retry_after) == (RateLimited, wait)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096."),
        (413, "Request too large for model `small`: Limit 6000, Requested 7000"),
        (413, "413 Request Entity Too Large"),
    ],
)
def test_a_row_that_is_too_long_is_named_in_many_words(status: int, message: str):
    assert type(refused(status, {"error": {"message": message}})) is ContextTooLong


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}),
        (400, {"code": "content_filter", "message": "The response was filtered"}),
        (400, {"code": "content_policy_violation", "message": "no"}),
        (403, {"message": "Your request was flagged by our moderation", "code": 403}),
    ],
)
def test_what_a_content_filter_refuses_is_told_apart_from_a_refused_key(status: int, error: object):
    assert type(refused(status, {"error": error})) is ContentFiltered


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "busy", "code": 429}, RateLimited),
        ({"message": "upstream", "code": 502}, ServerFault),
        ({"message": "no such model", "code": "404"}, Rejected),
        ({"message": "who knows"}, ServerFault),
        ("broken", ServerFault),
        ({"message": "no credits", "code": "insufficient_quota"}, QuotaExhausted),
        ({"message": "no credits", "code": 402}, QuotaExhausted),
        ({"message": "bad key", "type": "authentication_error"}, EndpointError),
        ({"message": "filtered", "code": "content_filter"}, ContentFiltered),
    ],
)
async def test_an_error_inside_a_good_status_is_a_failed_call(
    error: object, kind: type[CallFailed | EndpointError]
):
    half = {"message": {"content": "half"}}
    outer = {"object": "error", **error} if isinstance(error, dict) else {"error": error}  # pyright: ignore[reportUnknownVariableType]
    bodies = [
        json.dumps({"error": error}),
        json.dumps({"error": error, "choices": [half]}),
        json.dumps({"choices": [{**half, "error": error, "finish_reason": "error"}]}),
        json.dumps(outer),
        f"data: {json.dumps({'choices': [half]})}\n\ndata: {json.dumps({'error': error})}\n\n",
        f"data: {json.dumps(outer)}\n\ndata: [DONE]\n\n",
    ]
    for body in bodies:
        reply = Fault(200, body=body.encode())
        async with (
            chat_server(lambda _, reply=reply: reply) as server,
            AiohttpClient(server.base_url, name="lab") as client,
        ):
            with pytest.raises(kind, match="lab") as raised:
                await client.chat(REQUEST)
        assert type(raised.value) is kind


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": "half"}, "finish_reason": "error"}]}\n\ndata: [DONE]\n\n',
        b": keep-alive\n\ndata: [DONE]\n\n",
        b'{"choices": [{"message": {"content": "half"}, "finish_reason": "error"}]}',
    ],
)
def test_half_an_answer_is_a_fault_of_the_server(body: bytes):
    with pytest.raises(ServerFault):
        decode(body)


def test_only_line_ends_of_events_end_a_chunk():
    chunk = '{"choices": [{"delta": {"content": "one\u2028two\x85"}, "finish_reason": "stop"}]}'
    assert decode(f": OPENROUTER PROCESSING\r\n\r\ndata: {chunk}\r\n\r\n".encode()).text == "one\u2028two\x85"


@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
async def test_a_refused_connection_was_no_call(kind: type[AiohttpClient | OpenAIClient], free_tcp_port: int):
    async with kind(f"http://127.0.0.1:{free_tcp_port}/v1", name="lab") as client:
        with pytest.raises(Unreachable, match="no connection to lab") as raised:
            await client.chat(REQUEST)
    assert raised.value.attempts == 0
    assert not raised.value.may_be_billed


def test_half_a_surrogate_pair_is_replaced_wherever_a_text_is_kept():
    entry = {"token": "\ud83d", "logprob": -0.1, "top_logprobs": [{"token": "\ude00", "logprob": -0.1}]}
    body = json.dumps({"choices": [{"finish_reason": "\ud800", "logprobs": {"content": [entry]}}]}).encode()
    response = decode(body)
    assert (response.finish_reason, response.tokens[0].token, response.tokens[0].top[0].token) == (
        "\ufffd",
    ) * 3


@pytest.mark.parametrize(
    "error", [{"message": "\ud800"}, {"code": 10**30}, {"code": "²"}, {"status": "9" * 5000}]
)
def test_an_odd_error_with_status_200_is_a_fault_of_the_server(error: object):
    body = json.dumps({"error": error}).encode()
    with pytest.raises(ServerFault):
        Codec("lab").response(REQUEST, 0, status=200, headers={}, body=body, seconds=0.1)


def test_a_malformed_stream_is_quoted_without_the_key():
    with pytest.raises(ServerFault) as caught:
        decode(f"data: {{ {KEY}\n".encode(), key=KEY)
    assert KEY not in str(caught.value)
