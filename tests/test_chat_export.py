"""Best prompts exported as chat turns: what OpenAI's SDK and LangChain send is what the run sent."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from openai import AsyncOpenAI

from transfer_prompting.agents.loading import load_tasks
from transfer_prompting.runtime.prompt import Position, Prompt
from transfer_prompting.runtime.record.results import PromptEntry, TargetResult, in_folder
from transfer_prompting.runtime.report.chat_export import as_langchain, as_openai
from transfer_prompting.runtime.tasks.load import LoadedTask
from transfer_prompting.runtime.tasks.task import Reading, messages, shown
from transfer_prompting.scenarios import Scenario, load
from transfer_prompting.scenarios.errors import InputError

from support.chat_server import chat_server
from support.commands import tprompt
from support.runs import finished_folder

NASTY = 'Say "it".\n\nUse {row} {{row}} {0} {x!r} {% raw %} \\n ${a} 漢 <b>\nEnd }} { }'
READING = Reading(read="generate", confidence="verbalised", max_tokens=64)

FILL = """
import json, runpy, sys
template = runpy.run_path(sys.argv[1])["prompt"]
filled = template.format_messages(**json.loads(sys.argv[2]))
print(json.dumps([[turn.type, turn.content] for turn in filled]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished run."""
    return finished_folder(tmp_path_factory.mktemp("run"))


@pytest.fixture
def scenario(run: Path) -> Scenario:
    return load(run / "scenario.yaml")


@pytest.fixture
def loaded(scenario: Scenario) -> LoadedTask:
    return load_tasks(scenario)["tickets"]


def best(run: Path, prompt: Prompt) -> TargetResult:
    target = in_folder(run).targets[0]
    part = msgspec.structs.replace(target.best, prompt=PromptEntry.of(prompt))
    return msgspec.structs.replace(target, best=part)


def with_variable(loaded: LoadedTask) -> LoadedTask:
    """The task as a prompt with the variable `{ticket.text}` has it, and its rows."""
    rows = tuple(
        msgspec.structs.replace(row, fields=(("ticket.text", row.question),)) for row in loaded.splits.test
    )
    task = msgspec.structs.replace(loaded.task, variables=("ticket.text",))
    return msgspec.structs.replace(
        loaded, task=task, splits=msgspec.structs.replace(loaded.splits, test=rows)
    )


def sent(loaded: LoadedTask, prompt: Prompt) -> list[dict[str, Any]]:
    """The messages of the first test row."""
    row = loaded.splits.test[0].asked()
    return [*msgspec.to_builtins(messages(loaded.task, prompt, row, READING))]


@pytest.mark.parametrize("position", ["system", "before", "after"])
async def test_the_openai_sdk_sends_what_the_run_sent(
    run: Path, scenario: Scenario, loaded: LoadedTask, position: Position
):
    prompt = Prompt("Decide {now}, or not.", position)
    body = json.loads(as_openai(best(run, prompt), loaded, READING, scenario.models["small"]))
    row = shown(loaded.task, loaded.splits.test[0].asked())
    for turn in body["messages"]:
        turn["content"] = turn["content"].replace("{row}", row)
    async with (
        chat_server(lambda _: "Answer: urgent") as server,
        AsyncOpenAI(base_url=server.base_url, api_key="none") as sdk,
    ):
        await sdk.chat.completions.create(**body)
    (seen,) = server.requests
    assert seen.body["messages"] == sent(loaded, prompt)
    assert (seen.body["model"], seen.body["temperature"], seen.body["max_tokens"]) == ("small-1", 0, 64)


def test_variables_and_turns_of_a_prompt_are_kept(run: Path, scenario: Scenario, loaded: LoadedTask):
    prompt = Prompt("## system\nDecide.\n\n## user\n<ticket>{ticket.text}</ticket>")
    body = json.loads(as_openai(best(run, prompt), with_variable(loaded), READING, scenario.models["small"]))
    assert [turn["role"] for turn in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"].startswith("<ticket>{ticket.text}</ticket>\n\nThe answer is one of")


def langchain(code: str, values: dict[str, str], folder: Path) -> list[list[str]]:
    """What LangChain makes of the code with these values: type and text of each turn."""
    if importlib.util.find_spec("langchain_core") is None:
        pytest.skip("run: pip install langchain-core")
    (folder / "prompt.py").write_text(code, "utf-8")
    command = [sys.executable, "-c", FILL, str(folder / "prompt.py"), json.dumps(values)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_langchain_names(turns: list[dict[str, Any]]) -> list[list[str]]:
    return [["human" if turn["role"] == "user" else turn["role"], turn["content"]] for turn in turns]


@pytest.mark.parametrize("position", ["system", "before", "after"])
def test_langchain_sends_what_the_run_sent(run: Path, loaded: LoadedTask, position: Position, tmp_path: Path):
    prompt = Prompt(NASTY, position)
    row = shown(loaded.task, loaded.splits.test[0].asked())
    found = langchain(as_langchain(best(run, prompt), loaded, READING), {"row": row}, tmp_path)
    assert found == as_langchain_names(sent(loaded, prompt))


def test_langchain_fills_in_the_variables_of_a_prompt(run: Path, loaded: LoadedTask, tmp_path: Path):
    prompt, task = Prompt("Is {{ticket.text}} or {ticket.text} urgent? {x}"), with_variable(loaded)
    question = task.splits.test[0].question
    found = langchain(as_langchain(best(run, prompt), task, READING), {"ticket_text": question}, tmp_path)
    assert found == as_langchain_names(sent(task, prompt))


def test_several_texts_are_no_chat(run: Path, loaded: LoadedTask):
    with pytest.raises(InputError, match="tickets with small: a prompt of several texts is no chat"):
        as_langchain(best(run, Prompt.of({"plan": "Plan.", "reply": "Reply."})), loaded, READING)


@pytest.mark.parametrize(("form", "said"), [("openai", '"messages"'), ("langchain", "ChatPromptTemplate")])
async def test_the_command_prints_both(run: Path, form: str, said: str):
    done = await tprompt("export", run, "--format", form)
    assert done.returncode == 0
    assert said in done.stdout


async def test_the_command_prints_what_was_sent_where_log_probabilities_were_tried(run: Path, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    settings = yaml.safe_load((folder / "scenario.yaml").read_text())
    del settings["endpoints"]["server"]["logprobs"]
    settings["tasks"]["tickets"]["confidence"] = "auto"
    (folder / "scenario.yaml").write_text(yaml.safe_dump(settings))
    done = await tprompt("export", folder, "--format", "openai")
    assert "Confidence: NN%" in json.loads(done.stdout)["messages"][-1]["content"]
