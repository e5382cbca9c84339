"""A look at a scenario's rows before anything is paid for."""

import json
from pathlib import Path

import pytest

from transfer_prompting.runtime.errors import InputError
from transfer_prompting.runtime.tasks.peek import peek, peek_text
from transfer_prompting.scenarios import Scenario, load

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


def tiny(folder: Path) -> Scenario:
    rows = [{"text": f"text number {i}", "label": ("bad", "good")[i % 2]} for i in range(20)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "tiny.yaml").write_text(SCENARIO, encoding="utf-8")
    return load(folder / "tiny.yaml")


def test_a_peek_shows_rows_as_they_are_asked_and_what_loading_found(tmp_path: Path):
    scenario = tiny(tmp_path)
    both = peek(scenario, rows=2)
    assert [(found.task, found.reading.read, len(found.rows)) for found in both] == [
        ("reviews", "generate", 2),
        ("others", "likelihood", 2),
    ]
    row = both[0].rows[0]
    sent = "\n".join(message.content for message in row.messages)
    assert f"text number {int(row.id) - 1}" in sent
    assert "Good or bad?" in sent
    assert (row.allowed, row.gold) == (("bad", "good"), ("bad", "good")[(int(row.id) - 1) % 2])
    text = peek_text(both[0])
    for part in (
        "reviews: classification; 8 train, 6 validation, 6 test",
        "dropped no row",
        f"gold: {row.gold}",
        sent,
    ):
        assert part in text
    assert "50.0% of test" in text


def test_a_peek_at_one_task_names_the_nearest_where_there_is_none(tmp_path: Path):
    scenario = tiny(tmp_path)
    assert [found.task for found in peek(scenario, "others")] == ["others"]
    with pytest.raises(InputError, match="tiny: no task 'other'; did you mean 'others'"):
        peek(scenario, "other")
