"""Model calls that workers make, over a real nats-server: what arrives, and what stays in the run."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import get_args

import anyio
import msgspec
import pytest

from transfer_prompting.runtime import errors
from transfer_prompting.runtime.errors import (
    UNREADABLE,
    CallFailed,
    ContextTooLong,
    EndpointError,
    QuotaExhausted,
    RateLimited,
    Rejected,
)
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message, TokenChoice, Usage
from transfer_prompting.runtime.llm.http._refusals import Quota, RateSheet, plausible_limits
from transfer_prompting.runtime.llm.relay import _wire
from transfer_prompting.scenarios import Scenario

from support.chat_server import Body, ChatServer, Completion, Fault, chat_server
from support.nats import NatsProcess, needs_nats
from support.runs import scenario_data
from support.workers import STAGES, bus, relayed, serving

pytestmark = needs_nats

LIMITS = {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "599"}


def asking(text: str, model: str = "small-1") -> ChatRequest:
    return ChatRequest(model=model, messages=(Message("user", text),), max_tokens=5)


def scenario(server: ChatServer, **changes: object) -> Scenario:
    return Scenario.build(scenario_data(server.base_url, stages=STAGES, **changes))


@contextmanager
def soon() -> Generator[None]:
    with anyio.fail_after(20):
        yield


async def test_a_call_is_made_by_the_worker_and_counted_recorded_and_replayed_in_the_run(nats: NatsProcess):
    async with chat_server(lambda body: "yes") as server:
        one = scenario(server)
        with soon():
            async with relayed(one, bus(nats.url)) as models:
                client = models.client("small", "target")
                async with serving(one, bus(nats.url)):
                    first = await client.chat(asking("a"))
                replayed = await client.chat(asking("a"))  # no worker is left
    assert (first.text, first.replayed, replayed.text, replayed.replayed) == ("yes", False, "yes", True)
    usage = models.usage().by_model["small"]
    assert (usage.calls, usage.replayed, server.count) == (1, 1, 1)


async def test_limits_in_headers_reach_the_runs_limiter(nats: NatsProcess):
    async with chat_server(lambda body: Completion("yes", headers=LIMITS)) as server:
        one = scenario(server)
        with soon():
            async with serving(one, bus(nats.url)), relayed(one, bus(nats.url)) as models:
                await models.client("small", "target").chat(asking("a"))
                rate = models.snapshots()["small"].limits.requests_per_minute
    assert rate == pytest.approx(600, rel=0.05)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (Fault(400, "no such thing"), Rejected, "no such thing"),
        (Fault(400, "maximum context length is 5"), ContextTooLong, "maximum context"),
        (Fault(429, "slow down", headers={"Retry-After": "400"}), RateLimited, "slow down"),
        (Fault(401, "who are you"), EndpointError, r"who are you.*\(worker on "),
        (Fault(402, "no credit left"), QuotaExhausted, r"no credit left.*\(worker on "),
    ],
)
async def test_an_error_of_the_endpoint_arrives_as_itself(
    nats: NatsProcess, fault: Fault, kind: type[Exception], said: str
):
    async with chat_server(lambda body: fault) as server:
        one = scenario(server)
        with soon():
            async with serving(one, bus(nats.url)), relayed(one, bus(nats.url)) as models:
                with pytest.raises(kind, match=said) as caught:
                    await models.client("small", "target").chat(asking("a"))
    if isinstance(caught.value, CallFailed):
        assert type(caught.value) is kind
        assert caught.value.status == fault.status
        assert caught.value.retry_after == (None if fault.status == 400 else 400)


async def test_a_call_waits_for_a_worker_that_comes_late(nats: NatsProcess):
    async with chat_server(lambda body: "late") as server:
        one = scenario(server)
        answers: list[str] = []
        with soon():
            async with relayed(one, bus(nats.url)) as models, anyio.create_task_group() as tasks:

                async def ask() -> None:
                    answers.append((await models.client("small", "target").chat(asking("a"))).text)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                async with serving(one, bus(nats.url)):
                    await anyio.sleep_forever()
    assert answers == ["late"]
    assert models.usage().by_model["small"].retries == 0


async def test_a_model_without_a_worker_is_unusable_and_the_error_says_how_to_start_one(nats: NatsProcess):
    async with chat_server() as server, relayed(scenario(server), bus(nats.url, patience=0.3)) as models:
        with (
            soon(),
            pytest.raises(EndpointError, match=r"no worker serves .*tprompt worker.*--model small"),
        ):
            await models.client("small", "target").chat(asking("a"))
    assert server.count == 0


async def test_a_call_that_is_given_up_is_cancelled_on_the_worker(nats: NatsProcess):
    begun, ended = anyio.Event(), anyio.Event()

    async def hang(body: Body) -> str:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return "never"

    async with chat_server(hang) as server:
        one = scenario(server)
        with soon():
            async with serving(one, bus(nats.url)), relayed(one, bus(nats.url)) as models:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(models.client("small", "target").chat, asking("a"))
                    await begun.wait()
                    tasks.cancel_scope.cancel()
                await ended.wait()


async def test_a_worker_makes_no_more_calls_at_once_than_its_endpoint_allows(nats: NatsProcess):
    async def work(body: Body) -> str:
        await anyio.sleep(0.02)
        return "yes"

    async with chat_server(work) as server:
        limited = {"server": {"base_url": server.base_url, "limits": {"concurrency": 2}, "logprobs": False}}
        with soon():
            async with (
                serving(scenario(server, endpoints=limited), bus(nats.url)),
                relayed(scenario(server), bus(nats.url)) as models,
                anyio.create_task_group() as tasks,
            ):
                for i in range(12):
                    tasks.start_soon(models.client("small", "target").chat, asking(str(i)))
    assert (server.count, server.most_at_once) == (12, 2)


async def test_runs_share_workers(nats: NatsProcess):
    async with chat_server(lambda body: body["messages"][0]["content"]) as server:
        one, other = scenario(server), scenario(server, name="another", seed=7)
        with soon():
            async with (
                serving(one, bus(nats.url)),
                serving(one, bus(nats.url)),
                relayed(one, bus(nats.url)) as first,
                relayed(other, bus(nats.url)) as second,
                anyio.create_task_group() as tasks,
            ):

                async def ask(i: int) -> None:
                    models = (first, second)[i % 2]
                    assert (await models.client("small", "target").chat(asking(str(i)))).text == str(i)

                for i in range(40):
                    tasks.start_soon(ask, i)
    assert server.count == 40


async def test_models_are_relayed_as_the_bus_names_them(nats: NatsProcess):
    """Another model of the same endpoint is called from here."""
    async with chat_server(lambda body: "yes") as server:
        one = scenario(server)
        settings = bus(nats.url, models=["writer"], patience=0.2)
        with soon():
            async with relayed(one, settings) as models:
                await models.client("small", "target").chat(asking("a"))
                with pytest.raises(EndpointError, match="--model writer"):
                    await models.client("writer", "reference").chat(asking("a", "writer-1"))
                async with serving(one, settings):
                    await models.client("writer", "reference").chat(asking("a", "writer-1"))
    assert [body["model"] for body in server.bodies] == ["small-1", "writer-1"]


async def test_a_worker_of_another_endpoint_does_not_serve_the_model(nats: NatsProcess):
    async with chat_server(lambda body: "one") as server, chat_server(lambda body: "other") as other:
        with soon():
            async with (
                serving(scenario(other), bus(nats.url)),
                relayed(scenario(server), bus(nats.url, patience=0.2)) as models,
            ):
                with pytest.raises(EndpointError, match="no worker serves"):
                    await models.client("small", "target").chat(asking("a"))
    assert (server.count, other.count) == (0, 0)


async def test_messages_larger_than_the_server_takes_are_refused_with_their_size(nats: NatsProcess):
    text = "word " * 220_000
    async with chat_server(lambda body: text) as server:
        one = scenario(server)
        with soon():
            async with serving(one, bus(nats.url)), relayed(one, bus(nats.url)) as models:
                client = models.client("small", "target")
                with pytest.raises(
                    Rejected, match=r"request takes 1,1\d\d,\d+ bytes.*1,048,576.*`max_payload`"
                ):
                    await client.chat(asking(text))
                assert server.count == 0
                with pytest.raises(Rejected, match=r"the response takes 1,1\d\d,\d+ bytes.*`max_payload`"):
                    await client.chat(asking("a"))
    assert server.count == 1


async def test_a_worker_that_stops_finishes_what_it_has_and_takes_no_more(nats: NatsProcess):
    begun, go = anyio.Event(), anyio.Event()

    async def work(body: Body) -> str:
        begun.set()
        await go.wait()
        return "done"

    async with chat_server(work) as server:
        one = scenario(server)
        with soon():
            async with serving(one, bus(nats.url)) as worker, relayed(one, bus(nats.url)) as models:
                client = models.client("small", "target")
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.chat, asking("a"))
                    await begun.wait()
                    worker.stop()
                    async with relayed(one, bus(nats.url, patience=0.5)) as later:
                        with pytest.raises(EndpointError, match="no worker"):
                            await later.client("small", "target").chat(asking("b"))
                    go.set()
    assert models.usage().by_model["small"].calls == 1
    assert server.count == 1


CALL_ERRORS = [
    kind
    for kind in map(errors.__dict__.get, errors.__all__)
    if isinstance(kind, type) and issubclass(kind, (CallFailed, EndpointError))
]


@pytest.mark.parametrize("kind", CALL_ERRORS)
def test_every_error_of_a_call_crosses_with_what_it_states(kind: type[CallFailed | EndpointError]):
    error = kind("why")
    vars(error).update({name: 7.0 for name in ("retry_after", "status", "attempts") if hasattr(error, name)})
    again = _wire.Failure.of(error, None).error()
    assert type(again) is kind
    assert str(again).startswith("why")
    assert vars(again) == vars(error)


def test_a_defect_of_a_worker_is_an_error_of_its_endpoint():
    again = _wire.Failure.of(KeyError("missing"), None).error()
    assert type(again) is EndpointError
    assert "KeyError: 'missing' (worker on " in str(again)


COUNT = "Annotated[int, Meta(ge=0, lt=2147483648)]"

CROSSES = {
    "Send": "request: ChatRequest, inbox: str, heartbeat: Annotated[float, Meta(ge=0.05, le=60)]",
    "ChatRequest": "model: str, messages: tuple[Message, ...], max_tokens: int, "
    "temperature: float | None, top_p: float | None, top_logprobs: int, seed: int | None, json_object: bool, "
    "extra_body: str, sample: int, can_wait: bool",
    "Message": "role: Literal['system', 'user', 'assistant'], content: str",
    "Working": "",
    "Sent": "response: ChatResponse, limits: RateSheet | None",
    "ChatResponse": "text: str, finish_reason: str | None, tokens: tuple[TokenChoice, ...], usage: Usage, "
    f"seconds: Annotated[float, Meta(ge=0, le=1000000000.0)], attempts: {COUNT}, "
    "uncounted: Usage, batched: bool, replayed: bool, id: str, model: str",
    "TokenChoice": "token: str, logprob: Annotated[float, Meta(le=0)], top: tuple[TokenLogprob, ...]",
    "TokenLogprob": "token: str, logprob: Annotated[float, Meta(le=0)]",
    "Usage": f"prompt_tokens: {COUNT}, completion_tokens: {COUNT}",
    "RateSheet": "requests: Quota, tokens: Quota",
    "Quota": "limit: float | None, remaining: float | None, reset: float | None",
    "Failure": "kind: str, message: str, retry_after: Optional[Annotated[float, Meta(ge=0, le=3456000.0)]], "
    f"status: Optional[Annotated[int, Meta(ge=100, le=599)]], attempts: {COUNT}, "
    "limits: RateSheet | None",
    "Metadata": "host: str, protocol: str, package: str, endpoint: str, model: str",
}
"""The structs of protocol 1. Where one changes, raise `PROTOCOL`."""


def structs_of(kind: object) -> dict[str, str]:
    """The fields of a struct and of every struct in it."""
    found: dict[str, str] = {}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        found[kind.__name__] = ", ".join(f"{field.name}: {name_of(field.type)}" for field in fields)
        for field in fields:
            found |= structs_of(field.type)
    for inner in get_args(kind):
        found |= structs_of(inner)
    return found


def name_of(kind: object) -> str:
    """A type without its module."""
    return (
        kind.__name__
        if isinstance(kind, type) and not get_args(kind)
        else re.sub(r"[a-z_]+[.]", "", str(kind))
    )


def test_what_crosses_is_what_the_protocol_says():
    crossing = structs_of(_wire.Send) | structs_of(_wire.Reply) | structs_of(_wire.Metadata)
    assert (crossing, _wire.PROTOCOL) == (CROSSES, 1)


@pytest.mark.parametrize(
    "response",
    [
        ChatResponse(text="a", usage=Usage(-1, 0)),
        ChatResponse(text="a", usage=Usage(0, 2**40)),
        ChatResponse(text="a", attempts=-1),
        ChatResponse(text="a", seconds=float("nan")),
        ChatResponse(text="a", tokens=(TokenChoice("a", float("nan")),)),
        ChatResponse(text="a", tokens=(TokenChoice("a", 0.5),)),
    ],
)
def test_a_response_with_values_that_cannot_be_does_not_cross(response: ChatResponse):
    with pytest.raises(msgspec.ValidationError):
        _wire.decode_reply(_wire.encode(_wire.Sent(response)))


def test_limits_that_cannot_be_meant_are_left_out():
    nonsense = RateSheet(Quota(0.001, -5.0, 1e300), Quota(1.0, 5.0, 3.0))
    assert plausible_limits(nonsense) == RateSheet(Quota(), Quota(None, 5.0, 3.0))


def test_a_frame_that_is_cut_off_within_a_character_is_unreadable():
    whole = _wire.encode(_wire.Failure("Rejected", "é" * 3))
    for end in range(len(whole)):
        with pytest.raises(UNREADABLE):
            _wire.decode_reply(whole[:end])
