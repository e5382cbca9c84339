"""Metrics and health of runs and workers, scraped over HTTP."""

import json
import re
import sys
from pathlib import Path
from subprocess import PIPE

import aiohttp
import anyio
import pytest

import transfer_prompting as tp
from transfer_prompting.runtime.llm.stack import SpendingNow
from transfer_prompting.runtime.llm.workers import WorkerCalls, WorkerState
from transfer_prompting.runtime.report.monitor import (
    Family,
    RunMonitor,
    WorkerMonitor,
    address,
    exposition,
    monitored,
)

from support.chat_server import chat_server
from support.runs import helpful_world, scenario_data, write_scenario

SAMPLE = re.compile(r'(tprompt_[a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\.)*",?)+)\})? (\S+)')


async def scraped(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.text()


def samples(text: str) -> dict[tuple[str, str], float]:
    """Every sample; each line is a comment or a sample, and each sample has its TYPE above it."""
    found: dict[tuple[str, str], float] = {}
    typed: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] in typed
            found[match[1], match[2] or ""] = float(match[3])
    return found


def test_the_best_objective_is_that_of_the_leader_also_where_another_prompt_was_scored():
    monitor = RunMonitor("run", lambda: SpendingNow({}, {}))
    first, second = tp.Prompt("Decide."), tp.Prompt("Decide now.")
    for prompt, objective, leader in ((first, 0.9, first), (second, 0.7, first), (first, 0.6, second)):
        monitor.take(tp.PromptScored("source", 1, prompt, 8, objective, {}, leader.id, 8))
    assert samples(exposition(monitor.families()))["tprompt_best_objective", 'search="source"'] == 0.7


async def test_a_run_is_scraped_while_it_goes_on_and_after_its_end(tmp_path: Path):
    async with chat_server(helpful_world()) as server:
        scenario = tp.Scenario.load(write_scenario(tmp_path, scenario_data(server.base_url)))
        team = tp.Team(scenario)
        monitor = RunMonitor(scenario.name, team.now)
        seen: list[tuple[int, str]] = []
        async with monitored(monitor.families, monitor.health, host="127.0.0.1", port=0) as url:
            before = await scraped(f"{url}/health")

            async def look(event: tp.SearchEnded) -> None:
                if event.stage == "target":
                    seen.append(await scraped(f"{url}/metrics"))

            with anyio.fail_after(60):
                async with team:
                    team.bus.subscribe(tp.Event, monitor.take)
                    team.bus.subscribe(tp.SearchEnded, look)
                    results = await team.run()
            after, (_, text) = await scraped(f"{url}/health"), await scraped(f"{url}/metrics")
    assert before == (200, '{"status":"starting"}')
    assert after == (200, '{"status":"complete"}')
    found = samples(text)
    small = results.usage.by_model["small"]
    assert found["tprompt_calls_total", 'model="small",outcome="answered"'] == small.calls
    assert found["tprompt_tokens_total", 'model="small",type="prompt"'] == small.prompt_tokens
    assert found["tprompt_run_status", 'status="complete"'] == 1
    assert found["tprompt_tested_total", ""] == 3
    assert found["tprompt_budget_spent", 'cap="calls"'] == results.usage.calls
    (during,) = seen
    assert samples(during[1])["tprompt_run_status", 'status="running"'] == 1


def test_labels_are_escaped():
    text = exposition([Family("x", "Help.", (({"name": 'a"b\\c\nd'}, 1.0),))])
    assert text.splitlines()[2] == r'tprompt_x{name="a\"b\\c\nd"} 1'


async def test_other_host_names_are_refused_on_the_loopback():
    monitor = WorkerMonitor(lambda: WorkerState("starting"))
    async with monitored(monitor.families, monitor.health, host="127.0.0.1", port=0) as url:
        assert (await scraped(f"{url}/metrics", Host="evil.example"))[0] == 403
        assert (await scraped(f"{url}/health"))[0] == 200


async def test_a_worker_without_its_bus_is_unhealthy():
    state = WorkerState("serving", (WorkerCalls("small", 1, 5, 2),))
    monitor = WorkerMonitor(lambda: state)
    async with monitored(monitor.families, monitor.health, host="127.0.0.1", port=0) as url:
        assert await scraped(f"{url}/health") == (200, '{"status":"serving"}')
        found = samples((await scraped(f"{url}/metrics"))[1])
        state = WorkerState("disconnected", state.calls)
        assert await scraped(f"{url}/health") == (503, '{"status":"disconnected"}')
    assert found["tprompt_worker_calls_total", 'model="small",outcome="answered"'] == 5
    assert found["tprompt_worker_calls_in_hand", 'model="small"'] == 1


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),
        ("[::1]:0", ("::1", 0)),
    ],
)
def test_an_address_is_a_port_or_a_host_and_a_port(text: str, where: tuple[str, int]):
    assert address(text) == where


@pytest.mark.parametrize(
    "text", ["", "localhost", "host:", ":x", "1:70000", "[::1:0", "::1]:0", "1:²", "9" * 5000]
)
def test_a_wrong_address_is_one_message(text: str):
    with pytest.raises(tp.InputError, match=r"--metrics .*: expected PORT or HOST:PORT"):
        address(text)


@pytest.mark.parametrize("host", ["x..y", ".", "a" * 70])
async def test_what_is_no_host_name_is_refused(host: str):
    monitor = WorkerMonitor(lambda: WorkerState("starting"))
    with pytest.raises(tp.InputError, match=r"the metrics endpoint cannot listen on .*:0: not a host name"):
        async with monitored(monitor.families, monitor.health, host=host, port=0):
            pass


async def test_a_run_of_the_command_line_logs_as_json_on_stderr_and_says_where_its_metrics_are(
    tmp_path: Path,
):
    async with chat_server(helpful_world()) as server:
        path = write_scenario(tmp_path, scenario_data(server.base_url, strategy="original"))
        command = [sys.executable, "-m", "transfer_prompting", "run", str(path), "--out", str(tmp_path / "o")]
        options = ["--quiet", "--metrics", "0", "--log-format", "json", "--log-level", "info"]
        with anyio.fail_after(100):
            done = await anyio.run_process([*command, *options], stderr=PIPE, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.decode().splitlines()
    assert re.search(r"metrics: http://127\.0\.0\.1:\d+/metrics", lines[0])
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert [event["event"] for event in events][-1] == "RunEnded"
    assert {event["level"] for event in events} <= {"info", "warning", "error"}
