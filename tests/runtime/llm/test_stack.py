"""The whole stack of a scenario's models over real HTTP."""

import json
import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from transfer_prompting.runtime.concurrency import settle
from transfer_prompting.runtime.errors import BudgetReached, CallFailed, EndpointError
from transfer_prompting.runtime.llm.budget.budget import Budget
from transfer_prompting.runtime.llm.chat import ChatClient, ChatRequest, Message
from transfer_prompting.runtime.llm.ledger.ledger import open_ledger
from transfer_prompting.runtime.llm.probes import probe_json_object, probe_logprobs
from transfer_prompting.runtime.llm.stack import Models, open_models
from transfer_prompting.scenarios.errors import InputError
from transfer_prompting.scenarios.scenario import Scenario

from support.chat_server import ChatServer, Completion, Fault, Reply, Reset, chat_server
from support.clients import FunctionClient


def scenario(base_url: str, **changes: object) -> Scenario:
    endpoint = {"base_url": base_url, "limits": {"concurrency": 256}, "retry": {"attempts": 3}}
    price = {"input_per_million": 1000, "output_per_million": 2000}
    data: dict[str, object] = {
        "name": "trial",
        "endpoints": {"here": endpoint},
        "models": {
            "writer": {"endpoint": "here", "model": "big"},
            "small": {"endpoint": "here", "model": "little", "price": price},
            "same": {"endpoint": "here", "model": "little"},
        },
        "reference": {"model": "writer"},
        "targets": ["small", "same"],
        "tasks": {"t": {"data": "t.jsonl", "kind": "yes_no"}},
        "stages": {"source": {"tasks": ["t"], "seed_prompts": ["Say."]}, "target": {"tasks": ["t"]}},
        **changes,
    }
    return Scenario.model_validate(data)


@asynccontextmanager
async def opened(
    whole: Scenario, path: Path, clients: Mapping[str, ChatClient] | None = None
) -> AsyncGenerator[tuple[Models, Budget]]:
    budget = Budget(whole.budget)
    async with (
        open_ledger(path) as ledger,
        open_models(whole, ledger=ledger, budget=budget, clients=clients) as models,
    ):
        yield models, budget


def asked(number: int = 0, model: str = "little") -> ChatRequest:
    return ChatRequest(model=model, messages=(Message("user", "What?"),), max_tokens=10, sample=number)


async def ask_many(client: ChatClient, numbers: range, at_once: int) -> tuple[int, int, int]:
    """How many were answered, refused by the budget, failed."""
    ends = await settle(
        [asked(number) for number in numbers], client.chat, limit=at_once, catch=(CallFailed, BudgetReached)
    )
    refused = sum(isinstance(end, BudgetReached) for end in ends)
    failed = sum(isinstance(end, Exception) for end in ends) - refused
    return len(ends) - refused - failed, refused, failed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


async def test_under_256_at_once_the_server_counts_exactly_the_budget(path: Path) -> None:
    async with chat_server() as server:
        whole = scenario(server.base_url, budget={"calls": 400})
        async with opened(whole, path) as (models, budget):
            ends = await ask_many(models.client("small", "target"), range(1000), 256)
    assert ends == (400, 600, 0)
    assert server.count == 400
    assert budget.remaining()["calls"].left == 0


@pytest.mark.parametrize("invocations", [1, 3])
async def test_with_faults_and_retries_the_server_never_counts_more_than_the_budget(
    path: Path, invocations: int
) -> None:
    faults: dict[int, Reply] = {10: Fault(500), 20: Reset(), 45: Fault(429, headers={"Retry-After": "0"})}
    number = 0

    def reply(_body: object) -> Reply:
        nonlocal number
        number += 1
        return faults.get(number % 50, "B")

    with anyio.fail_after(60):
        async with chat_server(reply) as server:
            whole = scenario(server.base_url, budget={"calls": 200})
            for _ in range(invocations):
                async with opened(whole, path) as (models, _):
                    answered, _, _ = await ask_many(models.client("small", "target"), range(1000), 256)
                assert answered >= 150
                assert server.count <= 200
    assert server.count >= 199


async def test_a_run_resumes_where_it_was_and_a_raised_budget_goes_on(path: Path) -> None:
    async with chat_server() as server:
        for cap, expected in ((30, 30), (30, 30), (50, 50)):
            whole = scenario(server.base_url, budget={"calls": cap})
            async with opened(whole, path) as (models, _):
                answered, _, _ = await ask_many(models.client("small", "target"), range(80), 8)
                used = models.usage()
            assert answered == server.count == expected
    assert (used.calls, used.replayed) == (20, 30)


async def test_dollars_of_earlier_invocations_count(path: Path) -> None:
    async with chat_server(lambda body: Completion("B", usage=(50, 10))) as server:
        each = (50 * 1000 + 10 * 2000) / 1e6
        for budget in ({"usd": 1.0}, {"usd": 1.0}, {"usd": 2.0}):
            whole = scenario(server.base_url, budget=budget)
            async with opened(whole, path) as (models, left):
                await ask_many(models.client("small", "target"), range(100), 8)
                spent = left.remaining()["usd"].spent
            assert spent == pytest.approx(server.count * each)
            assert budget["usd"] * 0.8 < spent <= budget["usd"]


async def test_two_entries_of_one_model_share_calls_and_limits_but_are_counted_apart(path: Path) -> None:
    async with chat_server() as server, opened(scenario(server.base_url), path) as (models, _):
        await models.client("small", "target").chat(asked())
        response = await models.client("same", "scorer").chat(asked())
        report, now = models.usage(), models.snapshots()
    assert response.replayed
    assert server.count == 1
    assert {name: (used.calls, used.replayed) for name, used in report.by_model.items()} == {
        "small": (1, 0),
        "same": (0, 1),
    }
    assert {role: used.replayed for role, used in report.by_role.items()} == {"target": 0, "scorer": 1}
    assert now["small"].limits == now["same"].limits
    assert now["small"].limits.in_flight == 0


async def test_a_model_that_hangs_holds_back_no_other_of_its_endpoint(path: Path) -> None:
    go_on = anyio.Event()

    async def reply(body: dict[str, object]) -> str:
        if body["model"] == "little":
            await go_on.wait()
        return "ok"

    endpoint = {"limits": {"concurrency": 4}}
    with anyio.fail_after(20):
        async with chat_server(reply) as server:
            whole = scenario("", endpoints={"here": {**endpoint, "base_url": server.base_url}})
            async with opened(whole, path) as (models, _), anyio.create_task_group() as tasks:
                slow, fast = models.client("small", "target"), models.client("writer", "reference")
                for number in range(20):
                    tasks.start_soon(slow.chat, asked(number))
                for number in range(20):
                    assert (await fast.chat(asked(number, "big"))).text == "ok"
                assert models.snapshots()["small"].limits.in_flight == 4
                assert models.usage().by_model["small"].calls == 0
                go_on.set()
            assert server.count == 40


async def test_retries_are_counted_as_http_calls(path: Path) -> None:
    fault = Fault(429, headers={"Retry-After": "0"})
    async with (
        chat_server(script=[fault, None, Fault(400)]) as server,
        opened(scenario(server.base_url), path) as (models, budget),
    ):
        client = models.client("small", "target")
        response = await client.chat(asked(1))
        with pytest.raises(CallFailed):
            await client.chat(asked(2))
        used = models.usage()
    assert response.attempts == 2
    assert (used.calls, used.retries, used.failed) == (1, 1, 1)
    assert used.calls + used.retries + used.failed == server.count == budget.remaining()["calls"].spent


async def test_a_shared_ledger_is_used_by_the_next_run(tmp_path: Path) -> None:
    async with chat_server() as server:
        whole = scenario(server.base_url, cache="cache.sqlite").at(tmp_path)
        for run in ("a", "b"):
            async with opened(whole, tmp_path / run / "ledger.sqlite") as (models, _):
                await models.client("small", "target").chat(asked())
                replayed = models.usage().replayed
    assert (server.count, replayed) == (1, 1)


async def test_a_hosts_client_stands_innermost_with_everything_around_it(path: Path) -> None:
    own = FunctionClient(lambda request: f"to {request.model}")
    whole = scenario("http://nobody.invalid/v1", budget={"calls": 2})
    async with opened(whole, path, {"here": own}) as (models, _):
        client = models.client("writer", "reference")
        assert (await client.chat(asked(1, models.spec("writer").model))).text == "to big"
        assert (await client.chat(asked(1, "big"))).replayed
        with pytest.raises(BudgetReached):
            await client.chat(asked(2))
    assert len(own.requests) == 1


async def _refused(whole: Scenario, path: Path, clients: Mapping[str, ChatClient] | None = None) -> None:
    async with opened(whole, path, clients):
        pytest.fail("opened")


async def test_a_client_for_no_endpoint_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match="there: no such endpoint; the scenario has here"):
        await _refused(scenario("http://x/v1"), path, {"there": FunctionClient(lambda request: "")})


async def test_a_missing_key_names_its_variable_and_endpoint(path: Path) -> None:
    endpoint = {"base_url": "http://x/v1", "api_key_env": "TRIAL_KEY_THAT_IS_NOT_SET"}
    with pytest.raises(InputError, match=r"endpoints\.here.*TRIAL_KEY_THAT_IS_NOT_SET is not set"):
        await _refused(scenario("", endpoints={"here": endpoint}), path)


async def test_the_key_is_sent_and_never_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tried(server: ChatServer, key: str) -> str:
        monkeypatch.setenv("TRIAL_KEY", key)
        endpoint = {"base_url": server.base_url, "api_key_env": "TRIAL_KEY"}
        async with opened(scenario("", endpoints={"here": endpoint}), path) as (models, _):
            return (await models.client("small", "target").chat(asked())).text

    async with chat_server(api_key="right-key-1234") as server:
        with pytest.raises(EndpointError) as caught:
            await tried(server, "wrong-key-5678")
        assert "wrong-key-5678" not in repr(caught.value) + str(caught.value)
        assert await tried(server, "right-key-1234") == "ok"
    assert b"-key-" not in await anyio.Path(path).read_bytes()


async def test_the_openai_client_stands_in_the_same_place(path: Path) -> None:
    async with chat_server() as server:
        endpoint = {"base_url": server.base_url, "client": "openai"}
        async with opened(scenario("", endpoints={"here": endpoint}), path) as (models, _):
            client = models.client("small", "target")
            first, again = await client.chat(asked()), await client.chat(asked())
    assert (first.text, first.replayed, again.replayed, server.count) == ("ok", False, True, 1)


async def test_a_model_without_a_role_opens_nothing(path: Path) -> None:
    endpoints = {
        "here": {"base_url": "http://x/v1"},
        "unused": {"base_url": "http://y/v1", "api_key_env": "TRIAL_KEY_THAT_IS_NOT_SET"},
    }
    models = {
        "small": {"endpoint": "here", "model": "little"},
        "idle": {"endpoint": "unused", "model": "idle"},
    }
    whole = scenario("", endpoints=endpoints, models=models, reference={"model": "small"}, targets=["small"])
    async with opened(whole, path) as (opened_models, _):
        with pytest.raises(InputError, match="'idle' is not one that this scenario uses"):
            opened_models.client("idle", "target")


@pytest.mark.parametrize(
    ("logprobs", "most", "able"), [(True, None, True), (False, None, False), (True, 5, True)]
)
async def test_whether_an_endpoint_gives_logprobs_is_asked_once(
    path: Path, logprobs: bool, most: int | None, able: bool
) -> None:
    choice = Completion("A", logprobs=[("A", math.log(0.5), [("A", math.log(0.5)), ("B", -3.0)])])
    async with chat_server(lambda body: choice, logprobs=logprobs, max_logprobs=most) as server:
        for _ in range(2):
            async with opened(scenario(server.base_url), path) as (models, _):
                assert await probe_logprobs(models.client("small", "target"), "little", 20) is able
        (body, *_) = server.bodies
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)
    assert server.count == (1 if most is None else 2)


async def test_settings_of_endpoint_and_model_reach_the_wire(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAL_KEY", "sk-1")
    monkeypatch.setenv("TRIAL_TEAM", "search")
    async with chat_server() as server:
        monkeypatch.setenv("TRIAL_URL", server.base_url)
        endpoint = {
            "base_url": "${TRIAL_URL}",
            "api_key_env": "TRIAL_KEY",
            "auth_header": "api-key",
            "headers": {"x-team": "${TRIAL_TEAM}"},
            "query": {"api-version": "2024-10-21"},
        }
        model = {
            "endpoint": "here",
            "model": "little",
            "token_limit": "max_completion_tokens",
            "omit": ["temperature"],
            "reasoning_effort": "low",
            "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
        }
        models_ = dict.fromkeys(("small", "same", "writer"), model)
        whole = scenario("", endpoints={"here": endpoint}, models=models_)
        async with opened(whole, path) as (models, _):
            await models.client("small", "target").chat(asked())
            assert (await models.client("small", "target").chat(asked())).replayed
        (seen,) = server.requests
    assert (seen.headers["api-key"], seen.headers["x-team"]) == ("sk-1", "search")
    assert seen.query == {"api-version": "2024-10-21"}
    assert {name: value for name, value in seen.body.items() if name not in ("model", "messages")} == {
        "max_completion_tokens": 10,
        "reasoning_effort": "low",
        "chat_template_kwargs": {"enable_thinking": False},
    }


@pytest.mark.parametrize("place", ["headers", "query"])
@pytest.mark.parametrize("client", ["aiohttp", "openai"])
async def test_a_secret_in_a_header_or_query_that_the_server_echoes_is_not_shown(
    path: Path, monkeypatch: pytest.MonkeyPatch, place: str, client: str
) -> None:
    secret = "sk-of/the+header"
    monkeypatch.setenv("TRIAL_SECRET", secret)
    said = "denied: " + json.dumps(secret).replace("/", "\\/")
    async with chat_server(lambda body: Fault(401, said)) as server:
        endpoint = {"base_url": server.base_url, "client": client, place: {"x-pass": "Token ${TRIAL_SECRET}"}}
        async with opened(scenario("", endpoints={"here": endpoint}), path) as (models, _):
            with pytest.raises(EndpointError, match="denied") as raised:
                await models.client("small", "target").chat(asked())
    assert "sk-of" not in str(raised.value)


async def test_two_entries_of_one_model_with_different_fields_are_different_calls(path: Path) -> None:
    models = {
        "small": {"endpoint": "here", "model": "little", "reasoning_effort": "low"},
        "same": {"endpoint": "here", "model": "little", "reasoning_effort": "high"},
        "writer": {"endpoint": "here", "model": "big"},
    }
    async with (
        chat_server() as server,
        opened(scenario(server.base_url, models=models), path) as (opened_, _),
    ):
        await opened_.client("small", "target").chat(asked())
        await opened_.client("same", "target").chat(asked())
    assert [body["reasoning_effort"] for body in server.bodies] == ["low", "high"]


async def test_what_is_learned_about_an_endpoint_is_noticed_once(path: Path) -> None:
    def reply(body: dict[str, object]) -> Reply:
        return Fault(400, "Unsupported parameter: 'temperature'") if "temperature" in body else "ok"

    notices: list[tuple[str, str]] = []
    async with chat_server(reply) as server:
        whole = scenario(server.base_url)
        budget = Budget(whole.budget)
        async with (
            open_ledger(path) as ledger,
            open_models(
                whole, ledger=ledger, budget=budget, on_notice=lambda *notice: notices.append(notice)
            ) as models,
        ):
            assert await ask_many(models.client("small", "target"), range(20), 8) == (20, 0, 0)
    assert notices == [("little", "here refuses temperature: it is left out from now on")]
    assert server.count == budget.remaining()["calls"].spent


@pytest.mark.parametrize("key", ["sk-1\nX-Other: 1", "sk 1", "sk-ü", "sk-1\x00"])
async def test_a_key_that_no_header_can_carry_is_refused_by_name(
    path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr("os.environ", {"TRIAL_KEY": key})
    endpoint = {"base_url": "http://x/v1", "api_key_env": "TRIAL_KEY"}
    with pytest.raises(InputError, match=r"endpoints\.here\.api_key_env.*TRIAL_KEY") as caught:
        await _refused(scenario("", endpoints={"here": endpoint}), path)
    assert key not in str(caught.value)


async def test_an_unset_variable_of_a_header_is_named(path: Path) -> None:
    endpoint = {"base_url": "http://x/v1", "headers": {"X-Team": "${TRIAL_TEAM_THAT_IS_NOT_SET}"}}
    with pytest.raises(
        InputError, match=r"endpoints\.here\.headers: .*TRIAL_TEAM_THAT_IS_NOT_SET is not set"
    ):
        await _refused(scenario("", endpoints={"here": endpoint}), path)


@pytest.mark.parametrize("fault", [Fault(500), Fault(400, "no"), Reset()])
async def test_a_probe_that_fails_ends_no_run(path: Path, fault: Reply) -> None:
    def reply(body: dict[str, object]) -> Reply:
        return fault if "logprobs" in body or "response_format" in body else "ok"

    async with chat_server(reply) as server:
        endpoint = {"base_url": server.base_url, "retry": {"attempts": 1}}
        async with opened(scenario("", endpoints={"here": endpoint}), path) as (models, _):
            client = models.client("small", "target")
            assert not await probe_logprobs(client, "little", 20)
            assert (await client.chat(asked())).text == "ok"
            await probe_json_object(client, "little")


async def test_a_probe_names_itself_where_the_endpoint_cannot_be_used(path: Path) -> None:
    async with (
        chat_server(lambda _: Fault(401, "bad key")) as server,
        opened(scenario(server.base_url), path) as (models, _),
    ):
        with pytest.raises(EndpointError, match=r"bad key.*log-probabilities"):
            await probe_logprobs(models.client("small", "target"), "little", 20)
