"""Spans and metrics of a run, written to the host's OpenTelemetry providers."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from ..bus import Header, current_header, headed, route_name
from ..errors import InputError
from .genai import BUCKETS_OF_SECONDS, GenAI, TracedClient

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from ...scenarios.endpoints import Endpoint
    from ..bus import Interceptor, Proceed, Request
    from ..llm.protocol import ChatClient

NAME = "transfer_prompting"
SCHEMA = "https://opentelemetry.io/schemas/1.37.0"


class Telemetry:
    """Traces and measures teams through OpenTelemetry (`Team(..., telemetry=Telemetry())`).

    - One span for the run, below it one for every ask between agents, below those one for every HTTP call to
      a model (or call of the application's function). A replayed call has none.
    - Calls to models follow the semantic conventions for generative AI (1.37), with the histograms
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

    @contextmanager
    def run(self, name: str, run: str) -> Generator[Callable[[str], None]]:
        """The span of a run, and the header it gives all that is asked inside; call what it yields with the
        status the run ended with."""
        attributes = {f"{NAME}.scenario": name, f"{NAME}.run": run}
        with self._tracer.start_as_current_span(f"run {name}", attributes=attributes) as span:

            def ended(status: str) -> None:
                span.set_attribute(f"{NAME}.status", status)

            with headed(Header(0, run=run, trace=self._here())):
                yield ended

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
        told = {**facts, f"{NAME}.run": header.run, f"{NAME}.ask": header.id}
        try:
            with (
                self._tracer.start_as_current_span(
                    f"ask {route_name(header.chain[-1])}", self._above(), attributes=told
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
