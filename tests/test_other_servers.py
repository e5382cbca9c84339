"""Runs in front of servers that were not written here: LiteLLM's proxy and public mock servers, unmodified.

They are no dependencies: `make servers` installs them into an environment of their own, and names its folder
in `TPROMPT_TEST_SERVERS`. Without it these tests are skipped.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message
from transfer_prompting.runtime.llm.embedded import find_model, serve_embedded
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient

SERVERS = os.environ.get("TPROMPT_TEST_SERVERS", "")
pytestmark = [
    pytest.mark.skipif(not SERVERS, reason="run by `make servers`, which installs the servers"),
    pytest.mark.timeout(900),
]

URGENT, ROUTINE = "Answer: urgent\nConfidence: 90%", "Answer: routine\nConfidence: 90%"
WRITTEN = "<prompt>Decide whether someone must act now.</prompt>"

FAKELLM = {
    "version": 1,
    "rules": [
        {"name": "writer", "when": {"messages_contain": "</prompt>"}, "respond": {"content": WRITTEN}},
        {"name": "urgent", "when": {"messages_contain": "smoke"}, "respond": {"content": URGENT}},
        {"name": "routine", "when": {"messages_contain": "order"}, "respond": {"content": ROUTINE}},
    ],
}
STUBLLM = {
    "fixtures": [
        {
            "name": name,
            "match": {"provider": "openai", "messages": [{"role": "user", "content": {"contains": words}}]},
            "response": {"content": content},
        }
        for name, words, content in (("writer", "</prompt>", WRITTEN), ("urgent", "smoke", URGENT))
    ]
    + [{"name": "routine", "match": {"provider": "any"}, "response": {"content": ROUTINE}}]
}
MOCKLLM = {
    "responses": {"nothing": "nothing"},
    "defaults": {"unknown_response": ROUTINE},
    "settings": {"lag_enabled": False},
}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@asynccontextmanager
async def serving(folder: Path, port: int, program: str, *arguments: str) -> AsyncGenerator[str]:
    """The base URL of a server's process, once it accepts connections; it ends with the scope."""
    command: Sequence[str] = [str(Path(SERVERS) / "bin" / program), *arguments]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": ""}
    with (folder / "log").open("wb") as log:
        process = await anyio.open_process(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        try:
            with anyio.fail_after(300):
                while process.returncode is None:
                    try:
                        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                    except OSError:
                        await anyio.sleep(0.2)
                    else:
                        break
            assert process.returncode is None, (folder / "log").read_text()
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


@pytest.mark.parametrize(
    ("program", "config", "arguments", "accuracy"),
    [
        ("fakellm", FAKELLM, ["serve", "--config", "config.yaml", "--port"], 1.0),
        ("stubllm", STUBLLM, ["serve", "--fixture-file", "config.yaml", "--port"], 1.0),
        ("mockllm", MOCKLLM, ["start", "--responses", "config.yaml", "--host", "127.0.0.1", "--port"], 0.5),
    ],
)
async def test_a_run_in_front_of_a_public_mock_server(
    tmp_path: Path, program: str, config: object, arguments: list[str], accuracy: float
):
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    port = free_port()
    async with serving(tmp_path / "server", port, program, *arguments, str(port)) as url:
        results = await run(tmp_path, url)
    assert results["status"] == "complete"
    assert results["usage"]["failed"] == 0
    (target,) = results["targets"]
    assert target["baseline"]["scorecard"]["accuracy"] == accuracy
    assert target["baseline"]["scorecard"]["ifr"] == 1.0


async def run(folder: Path, url: str) -> dict[str, Any]:
    """The results of a run of the command line against an endpoint."""
    rows = [
        {"text": text.format(i), "label": label}
        for i in range(14)
        for text, label in (("There is smoke in hall {}.", "urgent"), ("We order chair {}.", "routine"))
    ]
    scenario = {
        "name": "servers",
        "endpoints": {"e": {"base_url": url}},
        "models": {"m": {"endpoint": "e", "model": "gpt-4o"}},
        "reference": {"model": "m"},
        "targets": ["m"],
        "tasks": {
            "tickets": {
                "data": "rows.json",
                "kind": "classification",
                "labels": ["routine", "urgent"],
                "split": {"train": 8, "validation": 8, "test": 12},
            }
        },
        "stages": {
            "source": {"tasks": [], "seed_prompts": ["Is this ticket urgent?"]},
            "target": {"tasks": ["tickets"]},
        },
        "budget": {"evaluations": 60},
    }
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario), encoding="utf-8")
    command = [sys.executable, "-m", "transfer_prompting", "run", "scenario.yaml", "--out", "out", "--quiet"]
    with anyio.fail_after(400):
        done = await anyio.run_process(command, cwd=folder, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return json.loads((folder / "out" / "results.json").read_text("utf-8"))


async def test_litellms_proxy_passes_on_what_the_embedded_model_answers(tmp_path: Path):
    """Replies, log-probabilities and usage are those of the model itself."""
    request = ChatRequest(
        model="small",
        messages=(Message("system", "Be brief."), Message("user", "Is smoke urgent? Answer yes or no.")),
        max_tokens=1,
        top_logprobs=5,
        seed=3,
    )
    port = free_port()
    async with serve_embedded(find_model("smollm2-135m-instruct", tmp_path), name="embedded") as direct:
        config = {
            "model_list": [
                {
                    "model_name": "small",
                    "litellm_params": {"model": "openai/small", "api_base": direct, "api_key": "none"},
                }
            ],
            "general_settings": {"master_key": "sk-of-the-proxy"},
            "litellm_settings": {"num_retries": 0, "telemetry": False},
        }
        (tmp_path / "proxy").mkdir()
        (tmp_path / "proxy" / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        arguments = ["--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
        async with serving(tmp_path / "proxy", port, "litellm", *arguments) as url:
            through = await asked(url, request, "sk-of-the-proxy")
            plain = await asked(direct, request, None)
    assert through.text == plain.text
    assert through.finish_reason == plain.finish_reason
    assert [choice.token for choice in through.tokens] == [choice.token for choice in plain.tokens]
    assert [top.token for top in through.tokens[0].top] == [top.token for top in plain.tokens[0].top]
    assert through.usage == plain.usage


async def asked(url: str, request: ChatRequest, key: str | None) -> ChatResponse:
    async with AiohttpClient(url, api_key=key, timeout=300) as client:
        return await client.chat(request)
