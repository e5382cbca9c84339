"""The scenarios of the paper's domains run to their table: rows in the hub's layouts, against a stand-in."""

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from transfer_prompting.scenarios import load
from transfer_prompting.scenarios.scenario import bundled

from support.chat_server import chat_server
from support.commands import tprompt
from support.world import draw

PAPER = sorted(name for name in bundled() if name.startswith("paper-"))
KEY = "paper-key"
ROWS = 40
LETTERS = "ABCDE"
WORDS = ("bearish", "bullish", "neutral")


def row(task: str, i: int) -> dict[str, object]:
    """A row of a bundled task in the layout of its data set on the hub."""
    at, text = i % 4, f"Case {i} of {task}: which one holds?"
    options = [f"{word} of case {i}" for word in ("first", "second", "third", "fourth")]
    labelled = {"label": list(LETTERS[:4]), "text": options}
    match task:
        case "commonsenseqa" | "arc_challenge":
            return {"id": f"{i}", "question": text, "choices": labelled, "answerKey": LETTERS[at]}
        case "logiqa":
            return {"context": "Given.", "query": text, "options": options, "correct_option": at}
        case "medmcqa":
            named = dict(zip(("opa", "opb", "opc", "opd"), options, strict=True))
            return {"id": f"{i}", "question": text, **named, "cop": at, "exp": "hidden"}
        case "medqa":
            chosen = dict(zip(LETTERS, options, strict=False))
            return {"question": text, "options": chosen, "answer_idx": LETTERS[at]}
        case "pubmedqa":
            contexts = {"contexts": [f"Abstract {i}."]}
            decision = ("yes", "no", "maybe")[i % 3]
            return {"pubid": i, "question": text, "context": contexts, "final_decision": decision}
        case "hearsay":
            return {"text": text, "answer": ("Yes", "No")[i % 2], "slice": "hidden"}
        case "news":
            return {"text": text, "label": i % 3}
        case _:
            return {"question": text, "choices": options, "answer": at, "subject": task}


def gold(task: str, i: int) -> str:
    """The right answer to a row as a model would write it."""
    if task in ("pubmedqa", "hearsay", "news"):
        return {"pubmedqa": ("yes", "no", "maybe"), "hearsay": ("yes", "no"), "news": WORDS}[task][
            i % (2 if task == "hearsay" else 3)
        ]
    return LETTERS[i % 4]


def answer(body: Mapping[str, object]) -> str:
    """Candidates from the writer; answers of a skill that grows with a word the candidates hold."""
    messages = body["messages"]
    assert isinstance(messages, list)
    text = "\n".join(str(message["content"]) for message in messages)
    if body["model"] == "gpt-4.1":
        if "<notes>" in text:
            return "<notes>\n- Care helps.\n</notes>"
        said = ("Think carefully and answer.", "Answer at once.", "Weigh each option carefully.")
        return "\n".join(f"<prompt>{one} ({draw(text) * 1000:.0f})</prompt>" for one in said)
    found = re.findall(r"Case (\d+) of (\w+):", text)
    if not found:
        return "A"  # a probe of what the endpoint can return
    i, task = int(found[-1][0]), found[-1][1]
    own, skill = draw(body["model"], task, i), 0.85 if "carefully" in text else 0.45
    reply = gold(task, i) if own < skill else gold(task, i + 1)
    return f"Answer: {reply}\nConfidence: {60 + round(35 * (1 - own))}%"


def test_there_is_one_for_each_domain_with_addresses_of_the_hub():
    assert PAPER == ["paper-financial", "paper-general", "paper-legal", "paper-medical"]
    for name in PAPER:
        scenario = load(name)
        assert len(scenario.targets) > 1
        assert all(str(task.data).startswith("hf://") for task in scenario.tasks.values())


@pytest.mark.parametrize("name", PAPER)
async def test_a_key_and_nothing_else_gives_the_table(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    changes = ["compare.seeds=[1, 2]", "budget={evaluations: 160}"]
    tasks = load(name).tasks
    for task in tasks:
        lines = [json.dumps(row(task, i)) for i in range(ROWS)]
        (tmp_path / f"{task}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        changes.append(f"tasks.{task}.data={tmp_path / task}.jsonl")
    async with chat_server(answer, api_key=KEY) as server:
        overrides = [f"endpoints.api.base_url={server.base_url}", *changes]
        sets = [word for override in overrides for word in ("--set", override)]
        done = await tprompt("run", name, *sets, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    table = await tprompt("compare", tmp_path / "out", "--format", "csv")
    assert table.stderr == ""
    cells = list(csv.DictReader(table.stdout.splitlines()))
    scenario = load(name)
    expected = {
        (task, model, metric, prompt)
        for task in scenario.stages.target.tasks
        for model in scenario.targets
        for metric in ("accuracy", "ifr", "ece")
        for prompt in ("original", "source prompt", name)
    }
    assert expected <= {(one["task"], one["model"], one["metric"], one["prompt"]) for one in cells}
    for one in cells:
        if one["metric"] == "accuracy":
            assert one["seeds"] == "2"
            assert float(one["low"]) <= float(one["mean"]) <= float(one["high"])
    means = {
        prompt: sum(
            float(one["mean"]) for one in cells if one["metric"] == "accuracy" and one["prompt"] == prompt
        )
        for prompt in ("original", name)
    }
    assert means[name] > means["original"]
    assert "source prompt" in done.stdout
