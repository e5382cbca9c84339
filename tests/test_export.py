"""Best prompts exported for use elsewhere: nothing is lost, whatever characters they hold."""

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
import yaml
from jinja2 import Environment

from transfer_prompting.agents.loading import load_tasks
from transfer_prompting.runtime.prompt import Position, Prompt
from transfer_prompting.runtime.record.results import PromptEntry, Results, TargetResult, Targets, in_folder
from transfer_prompting.runtime.record.results import PromptResult as Part
from transfer_prompting.runtime.report.export import (
    ROWS,
    as_dspy,
    as_json,
    as_promptfoo,
    as_text,
    chosen,
    only,
)
from transfer_prompting.runtime.tasks.load import LoadedTask
from transfer_prompting.runtime.tasks.task import Reading, messages
from transfer_prompting.scenarios import Scenario, load
from transfer_prompting.scenarios.errors import InputError

from support.chat_server import chat_server
from support.commands import told, tprompt
from support.runs import finished_folder

NASTY = """Say "it".\n\nUse {{row}} {% raw %} {# no #} {{{ ''' \\n ${a} 漢 \u2028 <b>\nEnd }} %} #}"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished run."""
    return finished_folder(tmp_path_factory.mktemp("run"))


@pytest.fixture
def target(run: Path) -> TargetResult:
    return in_folder(run).targets[0]


@pytest.fixture
def scenario(run: Path) -> Scenario:
    return load(run / "scenario.yaml")


@pytest.fixture
def loaded(scenario: Scenario) -> LoadedTask:
    return load_tasks(scenario)["tickets"]


def with_best(target: TargetResult, prompt: Prompt) -> TargetResult:
    part = Part(PromptEntry.of(prompt), target.best.scorecard)
    return msgspec.structs.replace(target, best=part)


async def test_text_is_the_best_prompt_and_nothing_else(run: Path, target: TargetResult):
    done = await tprompt("export", run)
    assert done.stdout == target.best.prompt.text + "\n"


async def test_json_holds_prompt_scores_and_gains(run: Path, target: TargetResult):
    (entry,) = json.loads((await tprompt("export", run, "--format", "json")).stdout)
    assert (entry["task"], entry["model"], entry["text"]) == ("tickets", "small", target.best.prompt.text)
    assert entry["scorecard"]["accuracy"] == target.best.scorecard.accuracy
    assert entry["gain"]["objective"]["difference"] == target.gain["objective"].difference


async def test_promptfoo_and_dspy_are_printed_whole(run: Path):
    config = yaml.safe_load((await tprompt("export", run, "--format", "promptfoo")).stdout)
    assert [prompt["label"] for prompt in config["prompts"]] == ["original", "best"]
    code = (await tprompt("export", run, "--format", "dspy")).stdout
    assert compile(code, "signature.py", "exec")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task", "weather"], "--task weather: no such task in these results; there are tickets"),
        (["--task", "ticket"], "--task ticket: no such task in these results; did you mean 'tickets'?"),
        (["--model", "smal"], "--model smal: no such model in these results; did you mean 'small'?"),
    ],
)
async def test_an_unknown_task_or_model_is_told_the_nearest(run: Path, arguments: list[str], said: str):
    assert said in told(await tprompt("export", run, *arguments), 2)


async def test_a_folder_without_results_is_told_where_there_are_some(run: Path):
    message = told(await tprompt("export", run.parent / "ou"), 2)
    assert "no results here" in message
    assert f"did you mean '{run}'?" in message


def several(target: TargetResult) -> list[TargetResult]:
    return [target, msgspec.structs.replace(target, model="large")]


def test_several_texts_each_say_where_they_belong(target: TargetResult):
    text = as_text(several(with_best(target, Prompt(text="Decide.", position="system"))))
    assert text == (
        "# tickets with small, placement: as the system message\nDecide.\n\n"
        "# tickets with large, placement: as the system message\nDecide."
    )


def test_what_holds_one_prompt_only_says_what_to_choose_from(target: TargetResult):
    with pytest.raises(InputError, match="--task tickets --model small, --task tickets --model large"):
        only(several(target), "promptfoo")


def test_a_task_and_model_choose_among_the_targets(target: TargetResult):
    results = Results(name="r", status="complete", seed=0, targets=Targets(several(target)))
    assert [one.model for one in chosen(results, model="large")] == ["large"]
    assert len(chosen(results, task="tickets")) == 2
    assert len(json.loads(as_json(chosen(results)))) == 2


def test_a_run_that_finished_no_target_says_so():
    with pytest.raises(InputError, match=r"no target was finished \(interrupted\)"):
        chosen(Results(name="r", status="interrupted", seed=0))


def test_dspy_instructions_are_the_prompt_to_the_letter(target: TargetResult, loaded: LoadedTask):
    code = as_dspy([(with_best(target, Prompt(text=NASTY)), loaded)])
    tree = ast.parse(code)
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call))
    (instructions,) = [word.value for word in call.keywords if word.arg == "instructions"]
    assert ast.literal_eval(instructions) == NASTY
    assert 'Literal["urgent", "routine"]' in code


def test_dspy_inputs_are_the_variables_of_the_prompt(target: TargetResult, loaded: LoadedTask):
    task = msgspec.structs.replace(loaded.task, variables=("a.text", "place"))
    code = as_dspy([(target, msgspec.structs.replace(loaded, task=task))])
    assert '"a_text": (str, dspy.InputField())' in code
    assert '"place": (str, dspy.InputField())' in code
    assert '"question"' not in code


def test_dspy_signatures_of_several_models_have_names_of_their_own(target: TargetResult, loaded: LoadedTask):
    code = as_dspy([(one, loaded) for one in several(target)])
    names = [node.targets[0] for node in ast.parse(code).body if isinstance(node, ast.Assign)]
    assert [ast.unparse(name) for name in names] == ["TicketsSmall", "TicketsLarge"]


DSPY = """
import sys
from pathlib import Path

import dspy
from dspy.utils import DummyLM

names = {}
exec(Path(sys.argv[1]).read_text(encoding="utf-8"), names)
model = DummyLM([{"answer": "urgent"}])
dspy.configure(lm=model)
print(dspy.Predict(names["Tickets"])(question="Fire?").answer)
print(model.history[-1]["messages"][0]["content"])
"""


@pytest.mark.skipif(
    "TPROMPT_TEST_SERVERS" not in os.environ, reason="run by `make servers`, which installs DSPy"
)
async def test_dspy_itself_predicts_with_the_signature(
    target: TargetResult, loaded: LoadedTask, tmp_path: Path
):
    path = tmp_path / "signature.py"
    prompt = Prompt(text='Decide "now", by the last line.')
    path.write_text(as_dspy([(with_best(target, prompt), loaded)]), encoding="utf-8")
    python = Path(os.environ["TPROMPT_TEST_SERVERS"], "bin", "python")
    home = {**os.environ, "DSPY_CACHEDIR": str(tmp_path / "cache")}
    done = await anyio.run_process([str(python), "-c", DSPY, str(path)], env=home)
    answer, _, system = done.stdout.decode().partition("\n")
    assert answer == "urgent"
    assert prompt.text in system
    assert "urgent; routine" in system


def filled(raw: str, variables: dict[str, str]) -> list[dict[str, str]]:
    """The chat turns promptfoo makes of a prompt in JSON: each text a template, variables put in as they are.

    Jinja, which Nunjucks is a port of, stands in for it.
    """
    engine = Environment(autoescape=False, keep_trailing_newline=True)
    return [
        {key: engine.from_string(value).render(variables) for key, value in turn.items()}
        for turn in json.loads(raw)
    ]


@pytest.mark.parametrize("position", ["system", "before", "after"])
@pytest.mark.parametrize("read", ["generate", "likelihood"])
def test_promptfoo_sends_what_the_run_sent(
    target: TargetResult, scenario: Scenario, loaded: LoadedTask, position: Position, read: Any
):
    prompt = Prompt(text=NASTY, position=position)
    reading = Reading(read=read, confidence="verbalised")
    model, endpoint = scenario.models["small"], scenario.endpoints["server"]
    text = as_promptfoo(with_best(target, prompt), loaded, reading, model, endpoint)
    config = yaml.safe_load(text)
    assert len(config["tests"]) == min(ROWS, len(loaded.splits.test))
    for test, row in zip(config["tests"], loaded.splits.test, strict=False):
        sent = messages(loaded.task, prompt, row.asked(), reading)
        assert filled(config["prompts"][1]["raw"], test["vars"]) == [*msgspec.to_builtins(sent)]


@pytest.mark.skipif(
    "TPROMPT_TEST_PROMPTFOO" not in os.environ,
    reason="run by `make servers`, which installs promptfoo where Node 22 is there",
)
@pytest.mark.timeout(900)
async def test_promptfoo_itself_sends_what_the_run_sent_and_passes_right_answers(
    target: TargetResult, scenario: Scenario, loaded: LoadedTask, tmp_path: Path
):
    reading, best = Reading(read="generate", confidence="verbalised"), Prompt(text=NASTY, position="system")
    rows = loaded.splits.test[:3]
    few = msgspec.structs.replace(loaded, splits=msgspec.structs.replace(loaded.splits, test=rows))
    prompts = {"original": target.baseline.prompt.prompt(), "best": best}
    asked = {
        msgspec.json.encode(messages(loaded.task, prompt, row.asked(), reading)): (name, row)
        for name, prompt in prompts.items()
        for row in rows
    }
    met: list[str] = []

    def reply(body: dict[str, Any]) -> str:
        name, row = asked[msgspec.json.encode(body["messages"])]
        met.append(name)
        return f"Answer: {row.gold if name == 'best' else 'unknown'}\nConfidence: 90%"

    quiet = ("DISABLE_TELEMETRY", "DISABLE_UPDATE", "DISABLE_REMOTE_GENERATION", "DISABLE_SHARING")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        **{f"PROMPTFOO_{name}": "1" for name in quiet},
        "PROMPTFOO_CONFIG_DIR": str(tmp_path / "home"),
    }
    async with chat_server(reply) as server:
        endpoint = scenario.endpoints["server"].model_copy(update={"base_url": server.base_url})
        text = as_promptfoo(with_best(target, best), few, reading, scenario.models["small"], endpoint)
        (tmp_path / "promptfooconfig.yaml").write_text(text, encoding="utf-8")
        command = [os.environ["TPROMPT_TEST_PROMPTFOO"], "eval", "--no-cache", "--output", "found.json"]
        done = await anyio.run_process(command, cwd=tmp_path, env=environment, check=False)
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["results"]
    assert sorted(met) == 3 * ["best"] + 3 * ["original"], done.stdout.decode()
    passed = [(one["prompt"]["label"], one["success"]) for one in found["results"]]
    assert sorted(passed) == 3 * [("best", True)] + 3 * [("original", False)]


@pytest.mark.parametrize(
    "text",
    ["Sort this {a.text} in {place}.", "## system\nSort {place} {{ nicely }}.\n## user\nIt is: {a.text}"],
)
def test_promptfoo_fills_in_the_variables_of_a_prompt(
    target: TargetResult, scenario: Scenario, loaded: LoadedTask, text: str
):
    names = ("a.text", "place")
    row = msgspec.structs.replace(
        loaded.splits.test[0], fields=(("a.text", "{{ no }} {place}"), ("place", "the 'shop'"))
    )
    changed = msgspec.structs.replace(
        loaded,
        task=msgspec.structs.replace(loaded.task, variables=names),
        splits=msgspec.structs.replace(loaded.splits, test=(row,)),
    )
    prompt, reading = Prompt(text=text), Reading(read="generate", confidence="verbalised")
    model, endpoint = scenario.models["small"], scenario.endpoints["server"]
    config = yaml.safe_load(as_promptfoo(with_best(target, prompt), changed, reading, model, endpoint))
    sent = messages(changed.task, prompt, row.asked(), reading)
    assert filled(config["prompts"][1]["raw"], config["tests"][0]["vars"]) == [*msgspec.to_builtins(sent)]


@pytest.mark.parametrize("read", ["generate", "likelihood"])
def test_a_row_of_promptfoo_passes_with_the_right_answer_only(
    target: TargetResult, scenario: Scenario, loaded: LoadedTask, read: Any
):
    rows = [msgspec.structs.replace(loaded.splits.test[0], gold="C++ (a|b)")]
    odd = msgspec.structs.replace(loaded, splits=msgspec.structs.replace(loaded.splits, test=tuple(rows)))
    reading = Reading(read=read, confidence="none")
    text = as_promptfoo(target, odd, reading, scenario.models["small"], scenario.endpoints["server"])
    (check,) = yaml.safe_load(text)["tests"][0]["assert"]
    assert check["type"] == "regex"
    lead = "Answer: " if read == "generate" else " "
    assert re.search(check["value"], f"{lead}C++ (a|b)\nConfidence: 90%")
    assert not re.search(check["value"], f"{lead}C++ (a|b)er")
    assert not re.search(check["value"], f"{lead}C (a|b)")


def test_promptfoo_speaks_to_the_endpoint_of_the_scenario(
    target: TargetResult, scenario: Scenario, loaded: LoadedTask
):
    model = scenario.models["small"]
    endpoint = scenario.endpoints["server"].model_copy(update={"api_key_env": "MY_KEY"})
    reading = Reading(read="generate", confidence="none", max_tokens=64)
    (provider,) = yaml.safe_load(as_promptfoo(target, loaded, reading, model, endpoint))["providers"]
    assert provider["id"] == "openai:chat:small-1"
    assert provider["config"] == {
        "apiBaseUrl": str(endpoint.base_url),
        "temperature": 0,
        "max_tokens": 64,
        "apiKeyEnvar": "MY_KEY",
    }
