"""The prompt of an application, with variables, chat turns and JSON output: in as a file, out as a file."""

import json
import re
from pathlib import Path

from support.chat_server import Body, chat_server
from support.commands import tprompt

PROMPT = """## system
You sort tickets. Reply with JSON such as {"label": "routine"} or {"label": "urgent"}.

## user
From: {customer.name}
Ticket: {{ text }}
"""
BETTER = PROMPT.replace("You sort tickets.", "Someone must act now: urgent. You sort tickets.")
ROWS = [
    {
        "text": f"{'Smoke in' if i % 2 else 'Order for'} room {i}.",
        "customer": {"name": f"Customer {i}"},
        "label": ("routine", "urgent")[i % 2],
    }
    for i in range(60)
]
SCENARIO = """
name: triage
endpoints: {{server: {{base_url: "{url}", logprobs: false}}}}
models: {{m: {{endpoint: server, model: small}}, w: {{endpoint: server, model: writer}}}}
reference: {{model: w}}
targets: [m]
tasks:
  tickets:
    data: rows.json
    kind: classification
    labels: [routine, urgent]
    prompt: prompts/triage.md
    frame: none
    format: json
    confidence: none
    split: {{train: 16, validation: 14, test: 30}}
stages:
  source: {{tasks: [], seed_prompts: [Sort the ticket.]}}
  target: {{tasks: [tickets]}}
budget: {{evaluations: 120}}
""".replace("format: json", "format: {{kind: json, answer: label}}")


def reply(body: Body) -> str:
    """A reply of a model that takes every ticket for routine, unless its prompt speaks of urgency."""
    if body["model"] == "writer":
        return f"<prompt>{BETTER}</prompt>"
    turns = body["messages"]
    assert [turn["role"] for turn in turns] == ["system", "user"], turns
    asked = re.fullmatch(r"From: (Customer \d+)\nTicket: (.*)", turns[1]["content"])
    assert asked is not None, turns
    customer, ticket = asked.groups()
    assert {"text": ticket, "customer": {"name": customer}} in [
        {key: row[key] for key in ("text", "customer")} for row in ROWS
    ]
    assert body["response_format"] == {"type": "json_object"}
    urgent = "act now" in turns[0]["content"] and "Smoke" in ticket
    return json.dumps({"label": "urgent" if urgent else "routine"})


async def test_a_prompt_file_goes_in_and_a_better_one_comes_out_with_held_out_numbers(tmp_path: Path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "triage.md").write_text(PROMPT, encoding="utf-8")
    (tmp_path / "rows.json").write_text(json.dumps(ROWS), encoding="utf-8")
    async with chat_server(reply) as server:
        (tmp_path / "scenario.yaml").write_text(SCENARIO.format(url=server.base_url), encoding="utf-8")
        done = await tprompt("run", "scenario.yaml", "--out", "out", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    (target,) = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))["targets"]
    assert target["baseline"]["scorecard"]["accuracy"] < 0.8
    assert target["best"]["scorecard"] | {"n": 30, "accuracy": 1.0, "ifr": 1.0} == target["best"]["scorecard"]
    text = await tprompt("export", "out", cwd=tmp_path)
    assert text.stdout.strip() == BETTER.strip()
    request = json.loads((await tprompt("export", "out", "--format", "openai", cwd=tmp_path)).stdout)
    assert [turn["role"] for turn in request["messages"]] == ["system", "user"]
    assert request["messages"][1]["content"] == "From: {customer.name}\nTicket: {text}"
    assert '{"label": "urgent"}' in request["messages"][0]["content"]
    assert request["response_format"] == {"type": "json_object"}
    assert request["model"] == "small"


async def test_the_exported_file_is_the_prompt_of_the_next_run(tmp_path: Path):
    (tmp_path / "best.md").write_text(BETTER, encoding="utf-8")
    (tmp_path / "rows.json").write_text(json.dumps(ROWS), encoding="utf-8")
    scenario = SCENARIO.format(url="http://127.0.0.1:9/v1").replace("prompts/triage.md", "best.md")
    (tmp_path / "scenario.yaml").write_text(scenario, encoding="utf-8")
    done = await tprompt("peek", "scenario.yaml", "--rows", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "From: Customer " in done.stdout
    assert "{" not in done.stdout.replace('{"label"', "")
