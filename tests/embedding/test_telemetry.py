"""Spans and metrics of a run, through the real SDK."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import transfer_prompting as tp
from transfer_prompting.runtime.bus import headed
from transfer_prompting.runtime.llm.chat import ChatRequest, Message
from transfer_prompting.runtime.telemetry import provider
from transfer_prompting.scenarios.endpoints import Endpoint

from support.brief import brief_clients, brief_scenario
from support.chat_server import ChatServer, Fault, chat_server
from support.clients import FunctionClient
from support.runs import helpful_world


class Watched:
    """Telemetry whose spans and metrics are kept here."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = tp.Telemetry(tracer_provider=tracers, meter_provider=meters)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def points(self, name: str) -> list[HistogramDataPoint]:
        data = self._reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint)
        ]


def facts(span: ReadableSpan) -> Mapping[str, object]:
    assert span.attributes is not None
    return span.attributes


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def above(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


async def finished(scenario: tp.Scenario, watched: Watched, bus: tp.Bus | None = None) -> tp.Results:
    clients = None if scenario.endpoints["server"].base_url else brief_clients()
    with anyio.fail_after(60):
        async with tp.Team(scenario, clients=clients, telemetry=watched.telemetry, bus=bus) as team:
            return await team.run()


def over_http(server: ChatServer) -> tp.Scenario:
    """Without hedging: of a call that is sent twice one is cancelled, and its span and counts say so."""
    server_settings = {"base_url": server.base_url, "logprobs": False, "hedge": False}
    return brief_scenario(endpoints={"server": server_settings})


async def test_the_spans_of_a_run_are_one_tree_from_the_run_through_the_asks_to_the_calls():
    watched = Watched()
    async with chat_server(helpful_world()) as server:
        results = await finished(over_http(server), watched)
    (run,) = watched.named("run brief")
    by_id = {id_of(span): span for span in watched.spans}
    assert above(run) is None
    assert facts(run)["transfer_prompting.status"] == results.status == "complete"
    assert len({span.context.trace_id for span in watched.spans if span.context}) == 1
    parents = Counter(
        (span.name, by_id[parent].name) for span in watched.spans if (parent := above(span)) is not None
    )
    assert set(parents) == {
        ("ask Propose", "run brief"),
        ("ask Reflect", "run brief"),
        ("ask Score for small", "run brief"),
        ("ask Answer for small", "ask Score for small"),
        ("chat writer-1", "ask Propose"),
        ("chat writer-1", "ask Reflect"),
        ("chat small-1", "ask Answer for small"),
    }
    calls = sum(count for (name, _), count in parents.items() if name.startswith("chat "))
    assert calls == server.count == results.usage.calls


async def test_calls_to_models_follow_the_conventions_for_generative_ai():
    watched = Watched()
    async with chat_server(helpful_world()) as server:
        results = await finished(over_http(server), watched)
    port = int(server.base_url.split(":")[2].split("/")[0])
    span = watched.named("chat small-1")[0]
    told = dict(facts(span))
    assert span.kind is SpanKind.CLIENT
    assert str(told.pop("gen_ai.response.id")).startswith("chatcmpl-")
    assert isinstance(told.pop("gen_ai.usage.input_tokens"), int)
    assert isinstance(told.pop("gen_ai.usage.output_tokens"), int)
    place = {"gen_ai.provider.name": "openai", "server.address": "127.0.0.1", "server.port": port}
    same = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "small-1", **place}
    assert told == {
        **same,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.output.type": "text",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.model": "small-1",
    }
    (point,) = [
        point for point in watched.points("gen_ai.client.operation.duration") if point.attributes == same
    ]
    assert point.count == results.usage.by_model["small"].calls
    used: Counter[str] = Counter()
    for point in watched.points("gen_ai.client.token.usage"):
        assert point.attributes is not None
        used[str(point.attributes["gen_ai.token.type"])] += int(point.sum)
    assert used == {"input": results.usage.prompt_tokens, "output": results.usage.completion_tokens}


async def test_probes_of_models_are_a_part_of_the_run():
    watched = Watched()
    async with chat_server(helpful_world()) as server:
        endpoint = {"base_url": server.base_url}  # which does not say whether it returns log-probabilities
        await finished(brief_scenario(endpoints={"server": endpoint}), watched)
    (run,) = watched.named("run brief")
    assert id_of(run) in {above(span) for span in watched.named("chat small-1")}
    assert len({span.context.trace_id for span in watched.spans if span.context}) == 1


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.openai.com", "openai"),
        ("mine.openai.azure.com", "azure.ai.openai"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "aws.bedrock"),
        ("us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("127.0.0.1", "openai"),
        ("notapi.x.ai", "openai"),
    ],
)
def test_a_provider_is_known_by_its_address(host: str, name: str):
    assert provider(host) == name


async def test_a_call_that_fails_is_a_failed_span_beside_the_one_that_succeeds():
    watched = Watched()
    async with chat_server(helpful_world(), script=[Fault(500)]) as server:
        await finished(over_http(server), watched)
    (failed,) = [span for span in watched.spans if span.status.status_code is StatusCode.ERROR]
    assert facts(failed)["error.type"] == "ServerFault"
    assert facts(failed)["http.response.status_code"] == 500
    counts = {
        (point.attributes or {}).get("error.type"): point.count
        for point in watched.points("gen_ai.client.operation.duration")
        if (point.attributes or {})["gen_ai.request.model"] == "small-1"
    }
    assert counts["ServerFault"] == 1


async def test_asks_are_measured_by_kind_and_key():
    watched = Watched()
    await finished(brief_scenario(), watched)
    counted = {
        (point.attributes or {}).get("transfer_prompting.request"): point.count
        for point in watched.points("transfer_prompting.ask.duration")
    }
    asked = Counter(span.name.split()[1] for span in watched.spans if span.name.startswith("ask "))
    assert counted == asked
    assert set(counted) == {"Propose", "Reflect", "Score", "Answer"}


async def test_neither_prompts_nor_replies_are_recorded():
    watched = Watched()
    await finished(brief_scenario(), watched)
    for span in watched.spans:
        assert "Decide" not in json.dumps(json.loads(span.to_json()))


async def test_runs_on_one_bus_are_each_traced_once_and_by_their_own_telemetry():
    first, second = Watched(), Watched()
    with anyio.fail_after(60):
        async with tp.InProcessBus() as bus:
            await finished(brief_scenario(), first, bus)
            before = len(first.spans)
            await finished(brief_scenario(), second, bus)
    assert len(first.spans) == before == len(second.spans)


async def test_a_call_handled_elsewhere_is_linked_to_who_asked_by_the_header():
    """As on another machine: the header has arrived, and no span is open here."""
    here, there = Watched(), Watched()
    headers: list[tp.Header] = []

    async def note(request: tp.Answer) -> tp.Answered:
        header = tp.current_header()
        assert header is not None
        headers.append(header)
        return tp.Answered(())

    async with tp.InProcessBus() as bus, anyio.create_task_group() as tasks:
        bus.intercept(here.telemetry.asks())
        await tasks.start(lambda task_status: bus.serve(tp.Answer, note, key="m", task_status=task_status))
        await bus.ask(tp.Answer(prompt=tp.Prompt(text="x"), task="t", model="m", questions=()))
        tasks.cancel_scope.cancel()
    (asked,) = here.spans
    client = there.telemetry.model(FunctionClient(lambda _: "ok"), "app", Endpoint(host="app-1"))
    with headed(headers[0]):
        await client.chat(ChatRequest(model="m", messages=(Message("user", "?"),), max_tokens=1))
    (call,) = there.spans
    assert above(call) == id_of(asked)
    assert call.context is not None
    assert asked.context is not None
    assert call.context.trace_id == asked.context.trace_id
    assert call.kind is SpanKind.INTERNAL
    assert facts(call)["gen_ai.provider.name"] == "app"


ABSENT = """
import sys
{hide}
sys.path.insert(0, {tests!r})
import anyio
import transfer_prompting as tp
from support.brief import brief_clients, brief_scenario

async def main():
    async with tp.Team(brief_scenario(), clients=brief_clients(){telemetry}) as team:
        print((await team.run()).status)

try: anyio.run(main)
except tp.InputError as error: print(error)
print("opentelemetry.trace" in sys.modules)
"""


@pytest.mark.parametrize(
    ("hide", "telemetry", "said"),
    [
        ("", "", ["complete", "False"]),
        ("sys.modules['opentelemetry'] = None", "", ["complete", "False"]),
        (
            "sys.modules['opentelemetry'] = None",
            ", telemetry=tp.Telemetry()",
            ["Telemetry needs OpenTelemetry's API: pip install 'transfer-prompting[otel]'", "False"],
        ),
    ],
    ids=["not asked for", "not installed", "asked for and not installed"],
)
def test_opentelemetry_is_imported_only_where_telemetry_is_asked_for(
    hide: str, telemetry: str, said: list[str]
):
    code = ABSENT.format(hide=hide, telemetry=telemetry, tests=str(Path(__file__).parent.parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == said, done.stderr
