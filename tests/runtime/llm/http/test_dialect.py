"""A parameter that an endpoint refuses is learned once, said once, and left out or renamed from then on."""

import json
import random
from typing import Any

import msgspec
import pytest

from transfer_prompting.runtime.errors import CallFailed, ContentFiltered, ContextTooLong, Rejected
from transfer_prompting.runtime.llm._call import Sender
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.http.openai_client import OpenAIClient
from transfer_prompting.runtime.llm.retries import RetryingClient
from transfer_prompting.scenarios.endpoints import Retry

from support.chat_server import Body, ChatServer, Fault, Reply, chat_server

REQUEST = ChatRequest(
    model="m",
    messages=(Message("system", "Be brief."), Message("user", "Rain?")),
    max_tokens=1,
    temperature=0.7,
    top_p=0.5,
    seed=3,
    top_logprobs=20,
    json_object=True,
)


def fault(message: str, *, status: int = 400, **fields: object) -> Fault:
    return Fault(status, body=json.dumps({"error": {"message": message, **fields}}).encode())


def openai_reasoning(body: Body) -> Reply:
    """o-series and gpt-5: other name of the limit, default temperature alone, no log-probabilities."""
    if "max_tokens" in body:
        return fault(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            type="invalid_request_error",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if body.get("temperature", 1) != 1:
        return fault(
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) "
            "value is supported.",
            param="temperature",
            code="unsupported_value",
        )
    for name in ("top_p", "logprobs", "top_logprobs"):
        if name in body:
            return fault(
                f"Unsupported parameter: '{name}' is not supported with this model.",
                param=name,
                code="unsupported_parameter",
            )
    return "ok"


def anthropic(body: Body) -> Reply:
    if "temperature" in body and "top_p" in body:
        return fault(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            type="invalid_request_error",
        )
    return "ok"


def mistral(body: Body) -> Reply:
    for name in ("logprobs", "top_logprobs", "seed"):
        if name in body:
            detail = [
                {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
            ]
            return Fault(422, body=json.dumps({"object": "error", "detail": detail}).encode())
    return "ok"


def gemini(body: Body) -> Reply:
    if "seed" in body:
        error = {
            "code": 400,
            "message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
            "status": "INVALID_ARGUMENT",
        }
        return Fault(400, body=json.dumps([{"error": error}]).encode())
    return "ok"


def few_alternatives(body: Body) -> Reply:
    if body.get("top_logprobs", 0) > 5:
        return fault(
            "Invalid value for 'top_logprobs': must be less than or equal to 5.", param="top_logprobs"
        )
    return "ok"


def vllm(body: Body) -> Reply:
    if body.get("top_logprobs", 0) > 5:
        return fault("Requested sample logprobs of 20, which is greater than max allowed: 5")
    return "ok"


def sixteen_at_least(body: Body) -> Reply:
    if body["max_tokens"] < 16:
        return fault(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 1 "
            "instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )
    return "ok"


def no_system_role(body: Body) -> Reply:
    if any(message["role"] == "system" for message in body["messages"]):
        return fault("System role not supported", type="BadRequestError")
    return "ok"


def no_json(body: Body) -> Reply:
    if "response_format" in body:
        return fault("response_format is not supported by this model")
    return "ok"


def sse(*chunks: object) -> Fault:
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return Fault(
        200, body=f"{events}data: [DONE]\n\n".encode(), headers={"Content-Type": "text/event-stream"}
    )


STREAMED = sse(
    {"choices": [{"delta": {"role": "assistant", "content": None, "reasoning_content": "Hm."}}]},
    {"choices": [{"delta": {"content": "o"}}]},
    {"choices": [{"delta": {"content": "k"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
)


def dashscope_thinking(body: Body) -> Reply:
    """Open Qwen3 models that think: streaming alone, and at most 5 alternatives."""
    if not body.get("stream") and body.get("enable_thinking") is not False:
        return fault(
            "parameter.enable_thinking must be set to false for non-streaming calls",
            type="invalid_request_error",
            param=None,
            code="invalid_parameter_error",
        )
    if body.get("top_logprobs", 0) > 5:
        return fault("<400> InternalError.Algo.InvalidParameter: Range of top_logprobs should be [0, 5]")
    return STREAMED if body.get("stream") else "ok"


def dashscope_streaming(body: Body) -> Reply:
    if not body.get("stream"):
        return fault(
            "This model only support stream mode, please enable the stream parameter to access the model."
        )
    return STREAMED if "stream_options" in body else fault("usage is wanted")


def streams_without_options(body: Body) -> Reply:
    if not body.get("stream"):
        return fault("stream must be set to true", param="stream")
    if "stream_options" in body:
        return fault("Unknown parameter: 'stream_options'", param="stream_options")
    return STREAMED


def openrouter(body: Body) -> Reply:
    """A model whose providers take no log-probabilities and no seed, with `require_parameters`."""
    if "logprobs" in body or "seed" in body:
        return fault("No endpoints found that can handle the requested parameters.", status=404, code=404)
    if "response_format" in body:
        raw = json.dumps({"error": {"message": "response_format is not supported"}})
        return fault("Provider returned error", code=400, metadata={"raw": raw, "provider_name": "Lab"})
    return "ok"


def no_logprobs(body: Body) -> Reply:
    return fault("this backend has not implemented logprobs", status=501) if "logprobs" in body else "ok"


async def asked(client: AiohttpClient | OpenAIClient, request: ChatRequest = REQUEST) -> ChatResponse:
    return await RetryingClient(Sender(client), Retry(attempts=2), random=random.Random(1)).chat(request)


def last(server: ChatServer) -> dict[str, Any]:
    return {key: value for key, value in server.bodies[-1].items() if key not in ("model", "messages")}


ALL = {
    "max_tokens": 1,
    "temperature": 0.7,
    "top_p": 0.5,
    "seed": 3,
    "logprobs": True,
    "top_logprobs": 20,
    "response_format": {"type": "json_object"},
}


STREAMING = {"stream": True, "stream_options": {"include_usage": True}}


def without(*names: str, **changes: object) -> dict[str, object]:
    return {**{key: value for key, value in ALL.items() if key not in names}, **changes}


@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
@pytest.mark.parametrize(
    ("behaviour", "sent"),
    [
        (
            openai_reasoning,
            without(
                "max_tokens",
                "temperature",
                "top_p",
                "logprobs",
                "top_logprobs",
                max_completion_tokens=1,
            ),
        ),
        (anthropic, without("temperature")),
        (mistral, without("logprobs", "top_logprobs", "seed")),
        (gemini, without("seed")),
        (few_alternatives, without(top_logprobs=5)),
        (vllm, without(top_logprobs=5)),
        (sixteen_at_least, without(max_tokens=16)),
        (no_json, without("response_format")),
        (no_logprobs, without("logprobs", "top_logprobs")),
        (dashscope_thinking, without(top_logprobs=5, **STREAMING)),
        (dashscope_streaming, without(**STREAMING)),
        (streams_without_options, without(stream=True)),
        (openrouter, without("logprobs", "top_logprobs", "response_format", "seed")),
    ],
)
async def test_a_refused_parameter_is_left_out_or_renamed_from_then_on(
    kind: type[AiohttpClient | OpenAIClient], behaviour: Any, sent: dict[str, object]
):
    notices: list[str] = []
    async with (
        chat_server(behaviour) as server,
        kind(server.base_url, name="lab", on_notice=lambda _, text: notices.append(text)) as client,
    ):
        first = await asked(client)
        learned = server.count
        second = await asked(client)
        assert last(server) == sent
        assert server.count == learned + 1
    assert (first.text, second.text) == ("ok", "ok")
    assert first.attempts == learned
    assert len(notices) == len(set(notices)) == learned - 1
    assert all(notice.startswith("lab ") for notice in notices)


async def test_streamed_replies_are_whole_and_counted():
    async with chat_server(dashscope_thinking) as server, AiohttpClient(server.base_url) as client:
        response = await asked(client)
        assert (response.text, response.finish_reason) == ("ok", "stop")
        assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (7, 2)
        plain = msgspec.structs.replace(REQUEST, model="other", extra_body='{"enable_thinking":false}')
        await asked(client, plain)
        assert "stream" not in server.bodies[-1]


@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
@pytest.mark.parametrize(
    "words",
    [
        '"granite4:3b" does not support thinking',
        'think value "low" is not supported for this model',
        "Unsupported value: 'reasoning_effort' does not support 'low' with this model.",
    ],
)
async def test_a_refused_reasoning_effort_is_left_out(kind: type[AiohttpClient | OpenAIClient], words: str):
    """As Ollama refuses it for models that do not reason, and OpenAI for unknown values."""
    request = msgspec.structs.replace(REQUEST, extra_body='{"reasoning_effort":"low","keep_alive":60}')
    notices: list[str] = []
    async with (
        chat_server(lambda body: fault(words) if "reasoning_effort" in body else "ok") as server,
        kind(server.base_url, name="lab", on_notice=lambda _, text: notices.append(text)) as client,
    ):
        assert (await asked(client, request)).text == "ok"
        assert last(server) == {**ALL, "keep_alive": 60}
    assert notices == ["lab refuses reasoning_effort: it is left out from now on"]


@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
async def test_a_stream_that_was_asked_for_is_no_news(kind: type[AiohttpClient | OpenAIClient]):
    request = msgspec.structs.replace(REQUEST, extra_body='{"stream":true}')
    notices: list[str] = []
    async with (
        chat_server(lambda body: STREAMED if body.get("stream") else "plain") as server,
        kind(server.base_url, on_notice=lambda _, text: notices.append(text)) as client,
    ):
        assert [(await client.chat(request)).text for _ in range(2)] == ["ok", "ok"]
    assert notices == []


async def test_without_a_system_role_its_text_stands_before_the_users():
    async with chat_server(no_system_role) as server, AiohttpClient(server.base_url) as client:
        assert (await asked(client)).text == "ok"
        assert server.bodies[-1]["messages"] == [{"role": "user", "content": "Be brief.\n\nRain?"}]


async def test_models_of_one_endpoint_learn_apart():
    def behaviour(body: Body) -> Reply:
        return openai_reasoning(body) if body["model"] == "m" else "ok"

    async with chat_server(behaviour) as server, AiohttpClient(server.base_url) as client:
        await asked(client)
        await asked(client, ChatRequest(model="other", messages=REQUEST.messages, max_tokens=9))
        assert last(server) == {"max_tokens": 9, "temperature": 0.0}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (fault("The model `m` does not exist", status=404, code="model_not_found"), Rejected),
        (fault("temperature is hot today", status=400), Rejected),
        (fault("maximum context length is 10 tokens; you sent max_tokens 1"), ContextTooLong),
        (fault("the prompt triggered the content management policy", code="content_filter"), ContentFiltered),
        (fault("'user' must be set", param="user"), Rejected),
    ],
)
async def test_other_refusals_change_nothing(body: Fault, error: type[CallFailed]):
    async with chat_server(lambda _: body) as server, AiohttpClient(server.base_url) as client:
        for _ in range(2):
            with pytest.raises(error):
                await asked(client)
        assert server.count == 2
        assert last(server) == ALL


async def test_an_endpoint_that_refuses_everything_is_not_asked_for_ever():
    async with (
        chat_server(lambda body: fault(f"unsupported parameters: {', '.join(body)}")) as server,
        AiohttpClient(server.base_url) as client,
    ):
        with pytest.raises(CallFailed):
            await asked(client)
        assert server.count <= 12


async def test_an_endpoint_that_streams_is_read_and_told_not_to():
    chunks = [
        {"choices": [{"delta": {"role": "assistant", "content": "Ye"}}]},
        {"choices": [{"delta": {"content": "s"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
    ]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"

    def behaviour(body: Body) -> Reply:
        if body.get("stream") is False:
            return "plain"
        return Fault(200, body=stream.encode(), headers={"Content-Type": "text/event-stream"})

    async with chat_server(behaviour) as server, AiohttpClient(server.base_url) as client:
        first, second = await asked(client), await asked(client)
        assert (first.text, first.finish_reason, first.usage.completion_tokens) == ("Yes", "stop", 2)
        assert second.text == "plain"
        assert server.bodies[1]["stream"] is False


@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
async def test_fields_of_the_request_beyond_the_usual_are_sent(kind: type[AiohttpClient | OpenAIClient]):
    extra = '{"reasoning_effort":"low","chat_template_kwargs":{"enable_thinking":false}}'
    request = ChatRequest(
        model="m", messages=REQUEST.messages, max_tokens=9, temperature=None, extra_body=extra
    )
    async with chat_server() as server, kind(server.base_url) as client:
        await client.chat(request)
        assert last(server) == {"max_tokens": 9, **json.loads(extra)}


@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
async def test_an_endpoint_in_the_manner_of_azure_gets_its_header_and_query(
    kind: type[AiohttpClient | OpenAIClient],
):
    async with (
        chat_server() as server,
        kind(
            server.base_url,
            api_key="sk-1",
            auth_header="api-key",
            auth_scheme="",
            headers={"X-Team": "search"},
            query={"api-version": "2024-10-21"},
        ) as client,
    ):
        await client.chat(REQUEST)
        seen = server.requests[0]
    headers = {name.lower(): value for name, value in seen.headers.items()}
    assert (headers["api-key"], headers["x-team"]) == ("sk-1", "search")
    assert "authorization" not in headers
    assert seen.query == {"api-version": "2024-10-21"}
