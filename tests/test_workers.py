"""Runs whose targets are hosted by workers, each in its own process, over a real nats-server."""

import json
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.errors import EndpointError
from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import Scenario

from support.chat_server import Body, ChatServer, chat_server
from support.nats import NatsProcess, nats_process, needs_nats
from support.processes import tprompt
from support.runs import helpful_world, scenario_data, write_scenario
from support.workers import coordinator, lasting, results_in, worker

CONCURRENCY = 16
"""Calls that the scenario allows in flight."""

pytestmark = [needs_nats, pytest.mark.timeout(300)]


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
        name = f"run-{folder.name}"
        path = write_scenario(folder, scenario_data(server.base_url, name=name, **changes))
        with anyio.fail_after(240):
            yield path, server


async def in_process(scenario: Path) -> Results:
    async with Team(Scenario.load(scenario)) as team:
        return await team.run()


def repeated(server: ChatServer) -> int:
    """Calls that were made again."""
    return server.count - len({json.dumps(body, sort_keys=True) for body in server.bodies})


async def test_four_workers_give_the_results_of_one_process(tmp_path: Path, nats: NatsProcess):
    async with simulated(tmp_path) as (scenario, server), AsyncExitStack() as running:
        alone = await in_process(scenario)
        paid = server.count
        hosts = ("target:small", "target:small,scorer", "target:small", "target:small,scorer")
        workers = [await running.enter_async_context(worker(scenario, nats.url, host)) for host in hosts]
        run = await running.enter_async_context(coordinator(scenario, nats.url, tmp_path / "out"))
        assert await run.ends() == 0, run.said
        together = results_in(tmp_path / "out")
        for one in workers:
            await one.says("waiting for a run")
            one.process.send_signal(signal.SIGTERM)
            assert await one.ends() == 0, one.said
    assert lasting(together) == lasting(alone)
    assert together.usage.calls == alone.usage.calls == paid
    assert server.count == 2 * paid


async def test_a_worker_killed_in_the_middle_of_its_batches_loses_nothing(tmp_path: Path, nats: NatsProcess):
    gate = Gate(150)
    async with simulated(tmp_path, gate) as (scenario, server):
        async with (
            worker(scenario, nats.url) as first,
            worker(scenario, nats.url) as second,
            coordinator(scenario, nats.url, tmp_path / "out") as run,
        ):
            await first.says("hosting")
            await second.says("hosting")
            await gate.held.wait()
            first.process.send_signal(signal.SIGKILL)
            gate.go.set()
            assert await run.ends() == 0, run.said
        again = repeated(server)
        results = results_in(tmp_path / "out")
        assert lasting(results) == lasting(await in_process(scenario))
    assert again <= CONCURRENCY, "more was paid again than was in flight"
    assert results.usage.retries + results.usage.failed >= again


async def test_a_run_survives_a_killed_nats_server_and_pays_no_call_twice(tmp_path: Path):
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
                await first.says("hosting")
                await second.says("hosting")
                await gate.held.wait()
                server.kill()
                gate.go.set()
                server.start()
                assert await run.ends() == 0, run.said
            assert repeated(chat) == 0
            assert lasting(results_in(tmp_path / "out")) == lasting(await in_process(scenario))


async def test_a_rate_limit_is_shared_by_workers_that_come_and_go(tmp_path: Path, nats: NatsProcess):
    per_minute = 3000
    limits = {"concurrency": 32, "requests_per_minute": per_minute}
    async with chat_server(helpful_world(), requests_per_minute=per_minute) as server:
        endpoint = {"base_url": server.base_url, "limits": limits, "logprobs": False}
        data = scenario_data(server.base_url, name="limited", endpoints={"server": endpoint})
        scenario = write_scenario(tmp_path, data)
        with anyio.fail_after(240):
            async with AsyncExitStack() as running:
                first, second = [
                    await running.enter_async_context(worker(scenario, nats.url)) for _ in range(2)
                ]
                run = await running.enter_async_context(coordinator(scenario, nats.url, tmp_path / "out"))
                await first.says("hosting")
                await second.says("hosting")
                third = await running.enter_async_context(worker(scenario, nats.url))
                await third.says("hosting")
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
            worker(scenario, nats.url) as first,
            coordinator(scenario, nats.url, tmp_path / "out") as run,
        ):
            await first.says("hosting")
            await gate.held.wait()
            run.process.send_signal(signal.SIGKILL)
            await first.says("waiting for a run")
            gate.go.set()
        async with worker(scenario, nats.url), coordinator(scenario, nats.url, tmp_path / "out") as run:
            assert await run.ends() == 0, run.said
        assert repeated(server) <= CONCURRENCY
        assert lasting(results_in(tmp_path / "out")) == lasting(await in_process(scenario))


async def test_sigterm_lets_a_worker_finish_what_it_has(tmp_path: Path, nats: NatsProcess):
    gate = Gate(100)
    async with simulated(tmp_path, gate) as (scenario, server):
        async with (
            worker(scenario, nats.url) as old,
            coordinator(scenario, nats.url, tmp_path / "out") as run,
        ):
            await old.says("hosting")
            await gate.held.wait()
            async with worker(scenario, nats.url) as new:
                await new.says("hosting")
                old.process.send_signal(signal.SIGTERM)
                await old.says("finishing what is in hand")
                gate.go.set()
                assert await old.ends() == 0, old.said
                assert await run.ends() == 0, run.said
        assert repeated(server) == 0


async def test_a_worker_with_another_scenario_is_refused(tmp_path: Path, nats: NatsProcess):
    async with (
        simulated(tmp_path, Gate(1)) as (scenario, _),
        worker(scenario, nats.url) as good,
        coordinator(scenario, nats.url, tmp_path / "out"),
    ):
        await good.says("hosting")
        rows = (tmp_path / "tickets.jsonl").read_text().splitlines()
        (tmp_path / "tickets.jsonl").write_text("\n".join(reversed(rows)))
        async with worker(scenario, nats.url) as other:
            assert await other.ends() == 2
        said = " ".join(" ".join(other.said).split())
        assert "holds another scenario" in said
        assert "the rows of tickets differ" in said


async def test_a_target_that_nobody_hosts_is_said(tmp_path: Path, nats: NatsProcess):
    bus = {"url": nats.url, "patience": 0.5}
    async with simulated(tmp_path, bus=bus) as (scenario, _):
        with pytest.raises(EndpointError, match=r"small.*no worker hosts it.*--host target:small"):
            await in_process(scenario)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "target:small"), "--bus: give the address"),
        (("--bus", "nats://h:1", "--host", "target:big"), "known are target:small, scorer"),
        (("--bus", "nats://me:secret@h:1", "--host", "scorer"), "expected nats://host:port"),
    ],
)
async def test_what_a_worker_cannot_do_is_said_with_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], said: str
):
    scenario = write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1"))
    async with tprompt("worker", str(scenario), *arguments) as told:
        assert await told.ends() == 2
    assert said in " ".join(" ".join(told.said).split())
