"""Runs whose targets are called by workers, over a real nats-server."""

import json
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest

from transfer_prompting.cli.worker import run_worker
from transfer_prompting.runtime.errors import EndpointError
from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import InputError, Scenario, load

from support.chat_server import Body, ChatServer, chat_server
from support.nats import NatsProcess, nats_process, needs_nats
from support.runs import AT_ONCE, finished, helpful_world, lasting, scenario_data, write_scenario
from support.workers import STAGES, bus, serving, worker

pytestmark = needs_nats


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Generator[NatsProcess]:
    with nats_process(tmp_path_factory.mktemp("nats")) as server:
        yield server


class Gate:
    """The simulated world, but the targets' calls are held from the `count`-th on, until `go` is set.

    `held` is set when the first of them is held, `full` when there are as many as the scenario allows,
    `passed` when one of them is answered.
    """

    def __init__(self, count: int) -> None:
        self.held, self.full, self.go, self.passed = (anyio.Event() for _ in range(4))
        self._world = helpful_world()
        self._count = count

    async def __call__(self, body: Body) -> str:
        if body["model"] != "writer-1":
            self._count -= 1
            if self._count <= 0:
                self.held.set()
            if self._count <= 1 - AT_ONCE:
                self.full.set()
            if self._count <= 0:
                await self.go.wait()
                self.passed.set()
        return self._world(body)


@asynccontextmanager
async def simulated(
    folder: Path, gate: Gate | None = None, **changes: object
) -> AsyncGenerator[tuple[Path, ChatServer]]:
    """A server of the world, and a small scenario file that points to it, whose runs can be compared."""
    settings = {"stages": STAGES, "budget": {"evaluations": 2000}, "deterministic": True, **changes}
    async with chat_server(gate or helpful_world()) as server:
        path = write_scenario(folder, scenario_data(server.base_url, **settings))
        with anyio.fail_after(60):
            yield path, server


def relaying(path: Path, url: str, **settings: object) -> Scenario:
    """The scenario with its targets relayed."""
    return load(path).model_copy(update={"bus": bus(url, **settings)})


class Running:
    """A run in a task of its own."""

    def __init__(self) -> None:
        self.results: Results | None = None
        self.ended = anyio.Event()

    async def run(self, scenario: Scenario, out: Path | None = None) -> None:
        self.results = await finished(scenario, out)
        self.ended.set()


def decided(results: Results | None) -> object:
    """What a run came to, without what it took: a lost worker costs attempts."""
    assert results is not None
    searches = tuple(msgspec.structs.replace(search, calls=0) for search in results.searches)
    return lasting(msgspec.structs.replace(results, searches=searches))


async def without_workers(path: Path) -> Results:
    """A run that makes all calls itself."""
    return await finished(load(path))


def repeated(server: ChatServer) -> int:
    """Calls that were made again."""
    return server.count - len({json.dumps(body, sort_keys=True) for body in server.bodies})


async def test_workers_without_data_give_the_results_of_one_process(tmp_path: Path, nats: NatsProcess):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with simulated(tmp_path) as (path, server):
        copy = elsewhere / "scenario.yaml"
        copy.write_text(path.read_text())
        async with worker(copy, nats.url) as first, worker(copy, nats.url, "--model", "small") as second:
            for one in (first, second):
                await one.says("serving model 'small-1'")
            together = await finished(relaying(path, nats.url))
            for one in (first, second):
                one.process.send_signal(signal.SIGTERM)
                assert await one.ends() == 0, one.said
        paid = server.count
        assert repeated(server) == 0
        assert lasting(together) == lasting(await without_workers(path))
    assert together.usage.calls == paid
    assert server.count == 2 * paid


async def test_a_worker_killed_in_the_middle_of_its_calls_loses_nothing(tmp_path: Path, nats: NatsProcess):
    gate, running = Gate(100), Running()
    async with simulated(tmp_path, gate) as (path, server):
        async with (
            worker(path, nats.url) as first,
            serving(load(path), bus(nats.url)),
            anyio.create_task_group() as tasks,
        ):
            await first.says("serving")
            tasks.start_soon(running.run, relaying(path, nats.url))
            await gate.held.wait()
            await gate.full.wait()
            first.process.send_signal(signal.SIGKILL)
            await first.ends()
            gate.go.set()
        again = repeated(server)
        assert 0 < again < AT_ONCE, "what it had in hand is paid again, and no more"
        assert decided(running.results) == decided(await without_workers(path))
    assert running.results is not None
    assert running.results.usage.retries == again


async def test_a_run_waits_for_a_late_worker_and_for_another_when_that_is_lost(
    tmp_path: Path, nats: NatsProcess
):
    gate, running = Gate(100), Running()
    async with simulated(tmp_path, gate) as (path, server):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.run, relaying(path, nats.url))
            async with worker(path, nats.url) as first:
                await gate.held.wait()
                first.process.send_signal(signal.SIGKILL)
                await first.ends()
            gate.go.set()
            async with serving(load(path), bus(nats.url)):
                await running.ended.wait()
        assert repeated(server) <= AT_ONCE
        assert decided(running.results) == decided(await without_workers(path))


async def test_a_run_survives_a_killed_nats_server(tmp_path: Path):
    gate, running = Gate(100), Running()
    store = tmp_path / "nats"
    store.mkdir()
    with nats_process(store) as nats:
        async with simulated(tmp_path, gate) as (path, server):
            async with (
                serving(load(path), bus(nats.url)),
                serving(load(path), bus(nats.url)),
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(running.run, relaying(path, nats.url))
                await gate.held.wait()
                nats.kill()
                gate.go.set()
                await gate.passed.wait()  # answers are under way while there is no server
                nats.start()
                await running.ended.wait()
            assert repeated(server) <= AT_ONCE
            assert decided(running.results) == decided(await without_workers(path))


async def test_a_rate_limit_is_shared_by_workers_that_come_and_go(tmp_path: Path, nats: NatsProcess):
    per_minute = 6000
    limits = {"concurrency": 32, "requests_per_minute": per_minute}
    running = Running()
    async with chat_server(helpful_world(), requests_per_minute=per_minute) as server:
        endpoint = {"base_url": server.base_url, "limits": limits, "logprobs": False}
        data = scenario_data(server.base_url, endpoints={"server": endpoint}, stages=STAGES)
        path = write_scenario(tmp_path, data)
        with anyio.fail_after(60):
            async with serving(load(path), bus(nats.url)) as first, anyio.create_task_group() as tasks:
                tasks.start_soon(running.run, relaying(path, nats.url))
                async with serving(load(path), bus(nats.url)), serving(load(path), bus(nats.url)):
                    first.stop()
                    await running.ended.wait()
    assert server.rejected == 0
    targets = [seen.at for seen in server.requests if seen.body["model"] == "small-1"]
    most = max(sum(at <= later < at + 1 for later in targets) for at in targets)
    assert most <= 2 * per_minute / 60, "a second's worth at the limit, and a second's worth of burst"


async def test_a_budget_holds_over_all_workers(tmp_path: Path, nats: NatsProcess):
    budget = {"calls": 250}
    async with (
        simulated(tmp_path, budget=budget) as (path, server),
        serving(load(path), bus(nats.url)),
        serving(load(path), bus(nats.url)),
    ):
        results = await finished(relaying(path, nats.url))
    assert server.count <= budget["calls"]
    assert results.usage.calls == server.count


async def test_a_run_resumed_with_another_worker_pays_only_for_the_rest(tmp_path: Path, nats: NatsProcess):
    gate, running, out = Gate(100), Running(), tmp_path / "out"
    async with simulated(tmp_path, gate) as (path, server):
        async with serving(load(path), bus(nats.url)), anyio.create_task_group() as tasks:
            tasks.start_soon(running.run, relaying(path, nats.url), out)
            await gate.held.wait()
            tasks.cancel_scope.cancel()
        gate.go.set()
        async with serving(load(path), bus(nats.url)):
            results = await finished(relaying(path, nats.url), out)
        assert repeated(server) <= AT_ONCE
        assert decided(results) == decided(await without_workers(path))


async def test_sigterm_lets_a_worker_finish_its_calls(tmp_path: Path, nats: NatsProcess):
    gate, running = Gate(100), Running()
    async with simulated(tmp_path, gate) as (path, server):
        async with worker(path, nats.url) as old, anyio.create_task_group() as tasks:
            await old.says("serving")
            tasks.start_soon(running.run, relaying(path, nats.url))
            await gate.held.wait()
            async with serving(load(path), bus(nats.url)):
                old.process.send_signal(signal.SIGTERM)
                await old.says("stopping")
                gate.go.set()
                assert await old.ends() == 0, old.said
                await running.ended.wait()
        assert repeated(server) == 0
    assert running.results is not None
    assert running.results.usage.retries == 0


async def test_a_second_sigterm_ends_a_worker_at_once(tmp_path: Path, nats: NatsProcess):
    gate, running = Gate(1), Running()
    async with (
        simulated(tmp_path, gate) as (path, _),
        worker(path, nats.url) as one,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(running.run, relaying(path, nats.url))
        await gate.held.wait()
        one.process.send_signal(signal.SIGTERM)
        await one.says("stopping")
        one.process.send_signal(signal.SIGTERM)
        assert await one.ends() == 0
        tasks.cancel_scope.cancel()


async def test_a_target_without_a_worker_is_reported_before_anything_is_paid(
    tmp_path: Path, nats: NatsProcess
):
    async with simulated(tmp_path) as (path, server):
        with pytest.raises(
            EndpointError, match=r"no worker serves model 'small-1'.*tprompt worker SCENARIO.*--model small"
        ):
            await finished(relaying(path, nats.url, patience=0.2))
    assert server.count == 0


async def test_wrong_credentials_end_a_worker_with_exit_code_2(tmp_path: Path):
    path = write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1", stages=STAGES))
    with nats_process(tmp_path, "--user", "me", "--pass", "right") as server:
        named = f"bus={{url: {server.url}, user_env: NATS_USER, password_env: NATS_PASSWORD}}"
        wrong = {"NATS_USER": "me", "NATS_PASSWORD": "wrong"}
        async with worker(path, server.url, "--set", named, **wrong) as refused:
            assert await refused.ends() == 2
    assert "refuses these credentials" in " ".join(" ".join(refused.said).split())


@pytest.mark.parametrize(
    ("models", "url", "override", "said"),
    [
        ((), None, "seed=1", "--bus: give the address"),
        ((), "nats://me:secret@h:1", "seed=1", "expected nats://host:port"),
        ((), "nats://h:99999", "seed=1", "expected nats://host:port"),
        (("smal",), "nats://h:1", "seed=1", "'smal' is not an entry of models; did you mean 'small'"),
        ((), "nats://h:1", "endpoints.server.api_key_env=NOT_SET_HERE", "NOT_SET_HERE is not set"),
        ((), "nats://h:1", "endpoints.server={host: mine}", "answered by the application"),
        ((), "nats://h:1", "bus={url: 'nats://h:1', token_env: NOT_SET_HERE}", "NOT_SET_HERE is not set"),
    ],
)
def test_what_is_wrong_with_a_worker_is_reported_before_it_connects(
    tmp_path: Path, models: tuple[str, ...], url: str | None, override: str, said: str
):
    path = write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1", stages=STAGES))
    with pytest.raises(InputError, match=said) as refused:
        run_worker(load(path, [override]), models, url=url, say=print)
    assert "secret" not in str(refused.value)
