"""The examples, as programs of their own against a server of the loopback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from support.chat_server import ChatServer, chat_server
from support.sorter import DATA, Sorter

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SECONDS = 240

pytestmark = pytest.mark.timeout(300)  # agent frameworks take their time to be imported


@asynccontextmanager
async def served() -> AsyncGenerator[tuple[ChatServer, dict[str, str]]]:
    """A running model server, and the environment that points a program to it."""
    async with chat_server(Sorter(), api_key="sk-example", logprobs=False) as server:
        yield (
            server,
            {
                **os.environ,
                "OPENAI_BASE_URL": server.base_url,
                "OPENAI_API_KEY": "sk-example",
                "WRITER_MODEL": "writer-1",
                "TARGET_MODEL": "target",
                "PYTHONUNBUFFERED": "1",
            },
        )


async def output(folder: Path, environment: dict[str, str], *command: str) -> str:
    with anyio.fail_after(SECONDS):
        done = await anyio.run_process([sys.executable, *command], check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_the_instructions_of_a_pydantic_ai_agent_get_better(tmp_path: Path):
    async with served() as (server, environment):
        said = await output(tmp_path, environment, str(EXAMPLES / "pydantic_ai_agent.py"))
    before, after, gain = said.splitlines()[-3:]
    assert before == "before: Which label fits this text?"
    assert after.startswith("after:  Which label fits this text? Work ")
    assert gain.startswith("gain on held-out tickets: +")
    structured = [body for body in server.bodies if "response_format" in body]
    assert structured
    assert all(body["model"] == "target" for body in structured)


async def test_the_instructions_of_an_agents_sdk_agent_get_better_and_a_second_run_replays(tmp_path: Path):
    async with served() as (server, environment):
        program = str(EXAMPLES / "openai_agents_sdk.py")
        first = await output(tmp_path, environment, program)
        paid = server.count
        again = await output(tmp_path, environment, program)
    assert server.count == paid
    prompt, spent = first.splitlines()
    assert prompt.startswith("Sort the ticket. Reply with one word. Work ")
    assert spent.startswith(f"{paid} calls paid, ")
    assert again.splitlines()[0] == prompt
    assert again.splitlines()[1].startswith("0 calls paid, ")
    assert (tmp_path / "runs" / "openai-agents-sdk" / "report.html").is_file()


def outputs(notebook: Path) -> list[str]:
    """The text that each cell printed or came to, of those that did."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    found = [output for cell in cells for output in cell.get("outputs", [])]
    return ["".join(output.get("text") or output["data"]["text/plain"]) for output in found]


async def test_a_notebook_runs_a_team_in_its_own_event_loop(tmp_path: Path):
    source, done = EXAMPLES / "notebook.ipynb", tmp_path / "done.ipynb"
    done.write_bytes(source.read_bytes())
    async with served() as (_, environment):
        execute = "from nbclient.cli import main; main()"
        await output(tmp_path, environment, "-c", execute, "--inplace", "--kernel_name=python3", str(done))
    estimate, *searches, table, prompt = outputs(done)
    assert estimate.strip("'").startswith("about ")
    assert "source: the budget is spent" in "".join(searches)
    assert "role" in table
    assert prompt.startswith("Which label fits this text?")


@asynccontextmanager
async def service(folder: Path, environment: dict[str, str]) -> AsyncGenerator[tuple[Process, str]]:
    """The running service and its address; it must end by itself when it is told to."""
    command = [sys.executable, str(EXAMPLES / "service.py"), "0"]
    process = await anyio.open_process(command, cwd=folder, env=environment, stderr=None)
    try:
        assert process.stdout is not None
        line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1000)
        yield process, line.decode().removeprefix("listening on ")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


def order() -> dict[str, object]:
    lines = (DATA / "tickets.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    rows = [json.loads(line) for line in lines]
    return {"prompt": "Which label fits this text?", "labels": ["routine", "urgent"], "rows": rows}


async def streamed(response: aiohttp.ClientResponse) -> list[tuple[int, str, dict[str, object]]]:
    """Number, name and content of each server-sent event, to the end of the stream."""
    events: list[tuple[int, str, dict[str, object]]] = []
    for block in (await response.text()).strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events


async def test_a_service_starts_runs_streams_their_events_and_ends_on_sigterm(tmp_path: Path):
    with anyio.fail_after(SECONDS):
        async with (
            served() as (_, environment),
            service(tmp_path, environment) as (_, url),
            aiohttp.ClientSession(url) as client,
        ):
            async with client.post("/runs", json=order()) as response:
                assert (response.status, await response.json()) == (201, {"run": "1"})
            async with client.get("/runs/1/events") as response:
                assert response.content_type == "text/event-stream"
                events = await streamed(response)
            async with client.get("/runs/1/events", headers={"Last-Event-ID": "2"}) as response:
                later = await streamed(response)
            async with client.get("/runs/1") as response:
                told = await response.json()
    assert [number for number, _, _ in events] == list(range(len(events)))
    assert (events[0][1], events[-1][1]) == ("RunStarted", "RunEnded")
    assert events[-1][2] == {"type": "RunEnded", "status": "complete"}
    assert later == events[3:]
    assert told["status"] == "complete"
    assert told["prompt"].startswith("Which label fits this text?")


async def test_a_service_says_what_is_wrong_and_stops_a_run_when_asked(tmp_path: Path):
    sorter, asked = Sorter(), anyio.Event()

    async def behaviour(body: dict[str, object]) -> str:
        answer = sorter(body)
        probe = "Answer with one letter" in json.dumps(body["messages"])
        if not probe:  # a row of the run, which is never answered
            asked.set()
            await anyio.sleep_forever()
        return answer

    with anyio.fail_after(SECONDS):
        async with (
            served() as (server, environment),
            service(tmp_path, environment) as (_, url),
            aiohttp.ClientSession(url) as client,
        ):
            async with client.post("/runs", json={**order(), "labels": ["urgent"]}) as response:
                assert response.status == 400
                assert "rows[0]: label 'routine' is not among" in (await response.json())["error"]
            async with client.get("/runs/7") as response:
                assert response.status == 404
            server.behaviour = behaviour
            async with client.post("/runs", json=order()) as response:
                assert response.status == 201
            await asked.wait()
            async with client.delete("/runs/1") as response:
                assert response.status == 204
            async with client.get("/runs/1/events") as response:
                events = await streamed(response)
    assert events[-1][2] == {"type": "RunEnded", "status": "interrupted"}


def test_import_agents_stays_the_agents_sdks_own(tmp_path: Path):
    code = (
        "import transfer_prompting, agents\n"
        "from agents import Agent, Runner\n"
        "import transfer_prompting.agents.team as ours\n"
        "assert agents.Agent is Agent\n"
        "assert sys.modules['agents'] is not sys.modules['transfer_prompting.agents']\n"
        "print(Path(agents.__file__).parent.parent.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from pathlib import Path\n{code}"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "site-packages", done.stderr
