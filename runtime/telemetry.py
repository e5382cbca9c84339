"""OpenTelemetry spans and metrics of a run; nothing imports it before `Telemetry` is made."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from ..scenarios.errors import InputError
from .bus import Header, current_header, headed, route_name
from .llm.chat import ChatRequest, ChatResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, SpanKind, Tracer
    from opentelemetry.util.types import AttributeValue

    from ..scenarios.endpoints import Endpoint
    from .llm.chat import ChatClient

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
        for name, value in (("id", response.id), ("model", response.model)):
            if value:
                span.set_attribute(f"gen_ai.response.{name}", value)
        if response.finish_reason:
            span.set_attribute("gen_ai.response.finish_reasons", (response.finish_reason,))
        for token, count in _used(response).items():
            span.set_attribute(f"gen_ai.usage.{token}_tokens", count)
        return response


class TracedClient:
    """A chat client whose calls are traced and measured; innermost, so that one is an HTTP call.

    The provider is the one that the server's address belongs to, `openai` for any other server that speaks
    its protocol (`server.address` distinguishes them), and the endpoint's own name for what is run here or
    handed over by the application.
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
    host = url.host or ""
    place: dict[str, AttributeValue] = {"gen_ai.provider.name": provider(host), "server.address": host}
    return {**place, "server.port": url.port} if url.port else place


PROVIDERS = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "amazonaws.com": "aws.bedrock",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "api.mistral.ai": "mistral_ai",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
}
"""The names that the conventions have for providers, by the end of their host names."""


def provider(host: str) -> str:
    """The provider that a host name belongs to; `openai` where the conventions name none."""
    found = (name for end, name in PROVIDERS.items() if host == end or host.endswith(f".{end}"))
    regional = "gcp.vertex_ai" if host.endswith("-aiplatform.googleapis.com") else "openai"
    return next(found, regional)


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


if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from ..scenarios.endpoints import Endpoint
    from .bus import Interceptor, Proceed, Request
    from .llm.chat import ChatClient

NAME = "transfer_prompting"
SCHEMA = "https://opentelemetry.io/schemas/1.41.0"


class RunSpan:
    """The span of a run, which is current only inside `current`: around the start of a team and its run."""

    def __init__(self, span: Span, run: str, here: Callable[[], dict[str, str]]) -> None:
        self._span = span
        self._run = run
        self._here = here

    @contextmanager
    def current(self) -> Generator[None]:
        """Attribute everything inside to the run, also what is asked over the bus; an error is recorded."""
        from opentelemetry.trace import use_span

        with use_span(self._span), headed(Header(0, run=self._run, trace=self._here())):
            yield

    def ended(self, status: str) -> None:
        """Note the status that the run ended with."""
        self._span.set_attribute(f"{NAME}.status", status)

    def end(self) -> None:
        """End the span."""
        self._span.end()


class Telemetry:
    """Traces and measures teams through OpenTelemetry (`Team(..., telemetry=Telemetry())`).

    - One span for the run, from entering its team to leaving it; below it one for every ask between agents
      and every probe of a model, below those one for every HTTP call to a model (or call of the
      application's function). A replayed call has none.
    - Calls to models follow the semantic conventions for generative AI (1.41), with the histograms
      `gen_ai.client.operation.duration` in seconds and `gen_ai.client.token.usage`; asks have
      `transfer_prompting.ask.duration` in seconds. Prompts and replies are not recorded.
    - The trace context travels in the header of each ask (W3C Trace Context), so that spans of agents on
      other machines are linked to those that asked.

    Without providers the global ones are used, as for any instrumented library. Raises InputError when
    OpenTelemetry's API is not installed.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        try:
            from opentelemetry import metrics, trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            raise InputError(
                "Telemetry needs OpenTelemetry's API: pip install 'transfer-prompting[otel]'"
            ) from None
        package = version("transfer-prompting")
        self._trace = trace
        self._tracer = trace.get_tracer(NAME, package, tracer_provider, schema_url=SCHEMA)
        self._propagator = TraceContextTextMapPropagator()
        meter = metrics.get_meter(NAME, package, meter_provider, schema_url=SCHEMA)
        self._asks = meter.create_histogram(
            f"{NAME}.ask.duration",
            unit="s",
            description="Time from asking an agent to its reply, the wait for a free worker included.",
            explicit_bucket_boundaries_advisory=BUCKETS_OF_SECONDS,
        )
        self._genai = GenAI(self._tracer, meter, self._above)

    def model(self, client: ChatClient, name: str, endpoint: Endpoint) -> ChatClient:
        """The client of the endpoint `name`, each of its calls traced and measured."""
        return TracedClient(client, name, endpoint, self._genai)

    def begin(self, name: str, run: str) -> RunSpan:
        """The span of a run, begun when its team is entered; its caller ends it."""
        attributes = {f"{NAME}.scenario": name, f"{NAME}.run": run}
        return RunSpan(self._tracer.start_span(f"run {name}", attributes=attributes), run, self._here)

    def asks(self, run: str | None = None) -> Interceptor:
        """An interceptor that traces and measures the asks of one run, or of any."""

        async def trace(request: Request[Any], proceed: Proceed) -> object:
            header = current_header()
            if header is None or run not in (None, header.run):
                return await proceed(request)
            return await self._asked(header, request, proceed)

        return trace

    async def _asked(self, header: Header, request: Request[Any], proceed: Proceed) -> object:
        start = perf_counter()
        kind, key = header.chain[-1]
        facts = {f"{NAME}.request": kind, **({f"{NAME}.key": key} if key else {})}
        attributes = {**facts, f"{NAME}.run": header.run, f"{NAME}.ask": header.id}
        try:
            with (
                self._tracer.start_as_current_span(
                    f"ask {route_name(header.chain[-1])}", self._above(), attributes=attributes
                ),
                headed(msgspec.structs.replace(header, trace=self._here())),
            ):
                return await proceed(request)
        except Exception as error:
            facts["error.type"] = type(error).__qualname__
            raise
        finally:
            self._asks.record(perf_counter() - start, facts)

    def _here(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier

    def _above(self) -> Context | None:
        """The context to start a span in: None for the current one, or that of who asked from elsewhere."""
        header = current_header()
        if header is None or self._trace.get_current_span().get_span_context().is_valid:
            return None
        return self._propagator.extract(header.trace)
