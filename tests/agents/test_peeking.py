"""A look at a scenario's rows before anything is paid for."""

import json
from pathlib import Path

import pytest

from transfer_prompting.agents.loading import peeks
from transfer_prompting.scenarios import Scenario, load
from transfer_prompting.scenarios.errors import InputError

from support.commands import tprompt

SCENARIO = """\
name: tiny
endpoints:
  here: {base_url: "http://127.0.0.1:9/v1"}
models:
  small: {endpoint: here, model: small-1}
reference: {model: small}
targets: [small]
tasks:
  reviews: {data: rows.jsonl, kind: classification, prompt: "Good or bad?"}
  others: {data: rows.jsonl, kind: classification, read: likelihood}
stages:
  source: {tasks: [reviews], seed_prompts: ["Classify."]}
  target: {tasks: [others]}
"""


def tiny(folder: Path, *overrides: str) -> Scenario:
    rows = [{"text": f"text number {i}", "label": ("bad", "good")[i % 2]} for i in range(20)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "tiny.yaml").write_text(SCENARIO, encoding="utf-8")
    return load(folder / "tiny.yaml", overrides)


def test_a_peek_shows_rows_as_they_are_asked_and_what_loading_found(tmp_path: Path):
    both = peeks(tiny(tmp_path), rows=2)
    assert [(found.task, found.model, found.reading.read, len(found.rows)) for found in both] == [
        ("reviews", "small", "generate", 2),
        ("others", "small", "likelihood", 2),
    ]
    first = both[0]
    row = first.rows[0]
    sent = "\n".join(message.content for message in row.messages)
    assert f"text number {int(row.id) - 1}" in sent
    assert "Good or bad?" in sent
    assert (row.allowed, row.gold) == (("bad", "good"), ("bad", "good")[(int(row.id) - 1) % 2])
    assert (first.sizes, first.dropped) == ({"train": 8, "validation": 6, "test": 6}, {})
    assert first.majority is not None
    assert first.majority[1] == 0.5


@pytest.mark.parametrize(
    ("override", "source", "assumed"),
    [
        ("endpoints.here.logprobs=true", "token_probability", False),
        ("endpoints.here.logprobs=null", "token_probability", True),
        ("endpoints.here.logprobs=false", "verbalised", False),
        ("models.small.confidence=top_k", "top_k", False),
    ],
)
def test_a_row_is_asked_as_the_first_target_will_be(
    tmp_path: Path, override: str, source: str, assumed: bool
):
    found = peeks(tiny(tmp_path, override), "reviews")[0]
    assert (found.reading.confidence, found.assumed) == (source, assumed)
    asked = found.rows[0].messages[-1].content
    assert ("Confidence:" in asked) == (source == "verbalised")


async def test_it_says_what_it_takes_an_endpoint_to_return(tmp_path: Path):
    tiny(tmp_path)
    shown = (await tprompt("peek", "tiny.yaml", "--task", "reviews", cwd=tmp_path)).stdout
    said = "confidence by token_probability (assuming the endpoint returns log-probabilities)"
    assert f"small: answers generated and parsed, {said}" in shown


def test_a_peek_at_one_task_names_the_nearest_where_there_is_none(tmp_path: Path):
    scenario = tiny(tmp_path)
    assert [found.task for found in peeks(scenario, "others")] == ["others"]
    with pytest.raises(InputError, match="tiny: no task 'other'; did you mean 'others'"):
        peeks(scenario, "other")
