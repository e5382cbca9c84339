"""A call to a model as OpenTelemetry's semantic conventions for generative AI describe it."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from ..llm.protocol import ChatRequest, ChatResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, SpanKind, Tracer
    from opentelemetry.util.types import AttributeValue

    from ...scenarios.endpoints import Endpoint
    from ..llm.protocol import ChatClient

BUCKETS_OF_SECONDS = [0.01 * 2**power for power in range(14)]
BUCKETS_OF_TOKENS = [4**power for power in range(14)]


class GenAI:
    """Gives calls to models a span each, and records their durations and tokens."""

    def __init__(self, tracer: Tracer, meter: Meter, above: Callable[[], Context | None]) -> None:
        self._tracer = tracer
        self._above = above
        self._seconds = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=BUCKETS_OF_SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=BUCKETS_OF_TOKENS,
        )

    async def call(
        self, client: ChatClient, request: ChatRequest, place: Mapping[str, AttributeValue], kind: SpanKind
    ) -> ChatResponse:
        """The response of `client`, which is at `place`."""
        facts: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": request.model,
            **place,
        }
        asked = {**facts, **_asked(request)}
        start = perf_counter()
        try:
            with self._tracer.start_as_current_span(
                f"chat {request.model}", self._above(), kind=kind, attributes=asked
            ) as span:
                response = await self._answered(client, request, span)
        except Exception as error:
            facts["error.type"] = type(error).__qualname__
            raise
        finally:
            self._seconds.record(perf_counter() - start, facts)
        for token, count in _used(response).items():
            self._tokens.record(count, {**facts, "gen_ai.token.type": token})
        return response

    async def _answered(self, client: ChatClient, request: ChatRequest, span: Span) -> ChatResponse:
        try:
            response = await client.chat(request)
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            status: object = getattr(error, "status", None)
            if isinstance(status, int):
                span.set_attribute("http.response.status_code", status)
            raise
        if response.finish_reason:
            span.set_attribute("gen_ai.response.finish_reasons", (response.finish_reason,))
        for token, count in _used(response).items():
            span.set_attribute(f"gen_ai.usage.{token}_tokens", count)
        return response


class TracedClient:
    """A chat client whose calls are traced and measured; innermost, so that one is an HTTP call.

    The provider is `openai` for every server that speaks its protocol (`server.address` tells them apart),
    and the endpoint's own name for what is run here or handed over by the application.
    """

    def __init__(self, inner: ChatClient, name: str, endpoint: Endpoint, genai: GenAI) -> None:
        from opentelemetry.trace import SpanKind

        self._inner = inner
        self._genai = genai
        self._place = _place(name, endpoint)
        self._kind = SpanKind.INTERNAL if endpoint.host is not None else SpanKind.CLIENT

    async def chat(self, request: ChatRequest) -> ChatResponse:
        return await self._genai.call(self._inner, request, self._place, self._kind)


def _place(name: str, endpoint: Endpoint) -> dict[str, AttributeValue]:
    url = endpoint.base_url
    if url is None:
        return {"gen_ai.provider.name": name}
    place: dict[str, AttributeValue] = {"gen_ai.provider.name": "openai", "server.address": url.host or ""}
    return {**place, "server.port": url.port} if url.port else place


def _asked(request: ChatRequest) -> dict[str, AttributeValue]:
    asked: dict[str, AttributeValue | None] = {
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p,
        "gen_ai.request.seed": request.seed,
        "gen_ai.output.type": "json" if request.json_object else "text",
    }
    return {key: value for key, value in asked.items() if value is not None}


def _used(response: ChatResponse) -> dict[str, int]:
    """Tokens by kind; nothing where the endpoint counted none."""
    usage = response.usage
    if not usage.prompt_tokens:
        return {}
    return {"input": usage.prompt_tokens, "output": usage.completion_tokens}
