"""Runs whose targets are called by workers, each in its own process, over a real nats-server."""

import json
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import Scenario

from support.chat_server import Body, ChatServer, chat_server
from support.nats import NatsProcess, nats_process, needs_nats
from support.processes import tprompt
from support.runs import AT_ONCE, finished, helpful_world, lasting, scenario_data, write_scenario
from support.workers import coordinator, results_in, worker

pytestmark = needs_nats


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Generator[NatsProcess]:
    with nats_process(tmp_path_factory.mktemp("nats")) as server:
        yield server


class Gate:
    """The simulated world, but the targets' calls are held from the `count`-th on, until `go` is set."""

    def __init__(self, count: int) -> None:
        self.held, self.go = anyio.Event(), anyio.Event()
        self._world = helpful_world()
        self._count = count

    async def __call__(self, body: Body) -> str:
        if body["model"] != "writer-1":
            self._count -= 1
            if self._count <= 0:
                self.held.set()
                await self.go.wait()
        return self._world(body)


@asynccontextmanager
async def simulated(
    folder: Path, gate: Gate | None = None, **changes: object
) -> AsyncGenerator[tuple[Path, ChatServer]]:
    """A server of the world and a scenario file that points to it."""
    async with chat_server(gate or helpful_world()) as server:
        path = write_scenario(folder, scenario_data(server.base_url, **changes))
        with anyio.fail_after(90):
            yield path, server


async def in_process(scenario: Path) -> Results:
    return await finished(Scenario.load(scenario))


def repeated(server: ChatServer) -> int:
    """Calls that were made again."""
    return server.count - len({json.dumps(body, sort_keys=True) for body in server.bodies})


async def test_workers_without_data_give_the_results_of_one_process(tmp_path: Path, nats: NatsProcess):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with simulated(tmp_path) as (scenario, server):
        alone = await in_process(scenario)
        paid = server.count
        copy = elsewhere / "scenario.yaml"
        copy.write_text(scenario.read_text())
        async with (
            worker(copy, nats.url) as first,
            worker(copy, nats.url, "--model", "small") as second,
            coordinator(scenario, nats.url, tmp_path / "out") as run,
        ):
            assert await run.ends() == 0, run.said
            for one in (first, second):
                await one.says("serving")
                one.process.send_signal(signal.SIGTERM)
                assert await one.ends() == 0, one.said
    together = results_in(tmp_path / "out")
    assert lasting(together) == lasting(alone)
    assert together.usage.calls == alone.usage.calls == paid
    assert server.count == 2 * paid


async def test_a_worker_killed_in_the_middle_of_its_calls_loses_nothing(tmp_path: Path, nats: NatsProcess):
    gate = Gate(150)
    async with simulated(tmp_path, gate) as (scenario, server):
        async with (
            worker(scenario, nats.url) as first,
            worker(scenario, nats.url) as second,
            coordinator(scenario, nats.url, tmp_path / "out") as run,
        ):
            await first.says("serving")
            await second.says("serving")
            await gate.held.wait()
            first.process.send_signal(signal.SIGKILL)
            gate.go.set()
            assert await run.ends() == 0, run.said
        again = repeated(server)
        results = results_in(tmp_path / "out")
        assert lasting(results) == lasting(await in_process(scenario))
    assert 0 < again <= AT_ONCE, "what was in hand is paid again, and no more"
    assert results.usage.retries >= again


async def test_a_run_waits_for_a_late_worker_and_survives_the_loss_of_the_only_one(
    tmp_path: Path, nats: NatsProcess
):
    gate = Gate(150)
    async with simulated(tmp_path, gate) as (scenario, server):
        async with coordinator(scenario, nats.url, tmp_path / "out") as run:
            async with worker(scenario, nats.url) as first:
                await gate.held.wait()
                first.process.send_signal(signal.SIGKILL)
            gate.go.set()
            async with worker(scenario, nats.url):
                assert await run.ends() == 0, run.said
        assert lasting(results_in(tmp_path / "out")) == lasting(await in_process(scenario))


async def test_a_run_survives_a_killed_nats_server(tmp_path: Path):
    gate = Gate(150)
    store = tmp_path / "nats"
    store.mkdir()
    with nats_process(store) as server:
        async with simulated(tmp_path, gate) as (scenario, chat):
            async with (
                worker(scenario, server.url) as first,
                worker(scenario, server.url) as second,
                coordinator(scenario, server.url, tmp_path / "out") as run,
            ):
                await gate.held.wait()
                server.kill()
                for one in (first, second):
                    await one.says("connection lost")
                gate.go.set()
                server.start()
                for one in (first, second):
                    await one.says("connected again")
                assert await run.ends() == 0, run.said
            assert repeated(chat) <= AT_ONCE
            assert lasting(results_in(tmp_path / "out")) == lasting(await in_process(scenario))


async def test_a_rate_limit_is_shared_by_workers_that_come_and_go(tmp_path: Path, nats: NatsProcess):
    per_minute = 6000
    limits = {"concurrency": 32, "requests_per_minute": per_minute}
    async with chat_server(helpful_world(), requests_per_minute=per_minute) as server:
        endpoint = {"base_url": server.base_url, "limits": limits, "logprobs": False}
        scenario = write_scenario(tmp_path, scenario_data(server.base_url, endpoints={"server": endpoint}))
        with anyio.fail_after(90):
            async with (
                worker(scenario, nats.url) as first,
                worker(scenario, nats.url) as second,
                coordinator(scenario, nats.url, tmp_path / "out") as run,
            ):
                await first.says("serving")
                await second.says("serving")
                async with worker(scenario, nats.url) as third:
                    await third.says("serving")
                    first.process.send_signal(signal.SIGTERM)
                    assert await run.ends() == 0, run.said
    assert server.rejected == 0
    targets = [seen.at for seen in server.requests if seen.body["model"] == "small-1"]
    most = max(sum(at <= later < at + 1 for later in targets) for at in targets)
    assert most <= 2 * per_minute / 60, "a second's worth at the limit, and a second's worth of burst"


async def test_a_budget_holds_over_all_workers(tmp_path: Path, nats: NatsProcess):
    budget = {"calls": 420}
    async with simulated(tmp_path, budget=budget) as (scenario, server):
        async with (
            worker(scenario, nats.url),
            worker(scenario, nats.url),
            coordinator(scenario, nats.url, tmp_path / "out") as run,
        ):
            assert await run.ends() == 3, run.said
        assert server.count <= budget["calls"]
        assert results_in(tmp_path / "out").status == "budget"


async def test_a_run_resumed_with_other_workers_pays_only_for_the_rest(tmp_path: Path, nats: NatsProcess):
    gate = Gate(200)
    async with simulated(tmp_path, gate) as (scenario, server):
        async with (
            worker(scenario, nats.url),
            coordinator(scenario, nats.url, tmp_path / "out") as run,
        ):
            await gate.held.wait()
            run.process.send_signal(signal.SIGKILL)
            await run.ends()
        gate.go.set()
        async with worker(scenario, nats.url), coordinator(scenario, nats.url, tmp_path / "out") as run:
            assert await run.ends() == 0, run.said
        assert repeated(server) <= AT_ONCE
        assert lasting(results_in(tmp_path / "out")) == lasting(await in_process(scenario))


async def test_sigterm_lets_a_worker_finish_its_calls(tmp_path: Path, nats: NatsProcess):
    gate = Gate(100)
    async with simulated(tmp_path, gate) as (scenario, server):
        async with (
            worker(scenario, nats.url) as old,
            coordinator(scenario, nats.url, tmp_path / "out") as run,
        ):
            await gate.held.wait()
            async with worker(scenario, nats.url) as new:
                await new.says("serving")
                old.process.send_signal(signal.SIGTERM)
                await old.says("stopping")
                gate.go.set()
                assert await old.ends() == 0, old.said
                assert await run.ends() == 0, run.said
        assert repeated(server) == 0
        assert results_in(tmp_path / "out").usage.retries == 0


async def test_a_target_without_a_worker_is_said(tmp_path: Path, nats: NatsProcess):
    async with simulated(tmp_path) as (scenario, server):
        bus = f"bus={{url: {nats.url}, patience: 0.2}}"
        async with tprompt("run", str(scenario), "--out", str(tmp_path / "out"), "--set", bus) as run:
            assert await run.ends() == 1
        said = " ".join(" ".join(run.said).split())
        assert "no worker serves model 'small-1'" in said
        assert "tprompt worker SCENARIO" in said
    assert server.count == 0


async def test_wrong_credentials_end_worker_and_run_with_exit_code_2(tmp_path: Path):
    scenario = write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1"))
    with nats_process(tmp_path, "--user", "me", "--pass", "right") as server:
        bus = f"bus={{url: {server.url}, user_env: NATS_USER, password_env: NATS_PASSWORD}}"
        wrong = {"NATS_USER": "me", "NATS_PASSWORD": "wrong"}
        for command in ("worker", "run"):
            out = ("--out", str(tmp_path / "out")) if command == "run" else ()
            async with tprompt(command, str(scenario), "--set", bus, *out, **wrong) as refused:
                assert await refused.ends() == 2
            assert "refuses these credentials" in " ".join(" ".join(refused.said).split())


async def test_credentials_that_are_changed_end_a_worker_with_exit_code_2(tmp_path: Path):
    scenario = write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1"))
    with nats_process(tmp_path) as server:
        async with worker(scenario, server.url) as refused:
            await refused.says("serving")
            server.kill()
            server.start("--user", "me", "--pass", "new")
            assert await refused.ends() == 2
        assert "refuses these credentials" in " ".join(" ".join(refused.said).split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "small"), "--bus: give the address"),
        (("--bus", "nats://h:1", "--model", "smal"), "'smal' is not an entry of models; did you mean 'small'"),
        (("--bus", "nats://me:secret@h:1"), "expected nats://host:port"),
        (("--bus", "nats://h:1", "--set", "endpoints.server.api_key_env=NOT_SET_HERE"), "NOT_SET_HERE is not set"),
    ],
)
async def test_what_a_worker_cannot_do_is_said_with_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], said: str
):
    scenario = write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1"))
    async with tprompt("worker", str(scenario), *arguments) as told:
        assert await told.ends() == 2
    assert said in " ".join(" ".join(told.said).split())
