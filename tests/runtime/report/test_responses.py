"""responses.jsonl: every response of the test, row by row."""

from pathlib import Path

import pytest

from transfer_prompting.agents.loading import load_tasks
from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.record.responses import Asked, Given, open_responses, read_responses
from transfer_prompting.runtime.tasks.example import Example
from transfer_prompting.scenarios import InputError

from support.graded import graded
from support.runs import SPLIT, simulated

ROW = Example("7", "Is it?", "yes")


async def test_a_run_keeps_each_tested_prompts_response_to_each_test_row(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, _, _), Team(scenario, out=tmp_path / "out") as team:
        test = {row.id for row in load_tasks(team.scenario)["tickets"].splits.test}
        results = await team.run()
    lines = list(read_responses(tmp_path / "out" / "responses.jsonl"))
    (target,) = results.targets
    tested = {target.baseline.prompt.id, target.best.prompt.id, *(one.prompt_id for one in results.transfer)}
    asked = [line.example.id for line in lines if isinstance(line, Asked)]
    given = [(line.prompt, line.response.example) for line in lines if isinstance(line, Given)]
    assert set(asked) == test
    assert len(asked) == len(test) == SPLIT["test"]
    assert set(given) == {(prompt, row) for prompt in tested for row in test}
    assert len(given) == len(set(given))


def test_what_is_kept_comes_back(tmp_path: Path):
    path = tmp_path / "responses.jsonl"
    response = graded("7")
    with open_responses(path) as kept:
        kept.ask("task", [ROW])
        kept.ask("task", [ROW])
        kept.give("task", "model", "prompt", [response])
        assert list(read_responses(path)) == [Asked("task", ROW), Given("task", "model", "prompt", response)]


def test_the_file_is_written_anew(tmp_path: Path):
    path = tmp_path / "responses.jsonl"
    for _ in range(2):
        with open_responses(path) as kept:
            kept.ask("task", [ROW])
    assert len(list(read_responses(path))) == 1


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path: Path):
    path = tmp_path / "responses.jsonl"
    with open_responses(path) as kept:
        kept.ask("task", [ROW])
    path.write_bytes(path.read_bytes() + b'{"type":"row","task":"ta')
    assert list(read_responses(path)) == [Asked("task", ROW)]


def test_a_line_that_is_no_response_is_an_error(tmp_path: Path):
    path = tmp_path / "responses.jsonl"
    path.write_bytes(b'{"type":"other"}\n')
    with pytest.raises(InputError, match=r"responses\.jsonl:1: not a response of a run"):
        list(read_responses(path))


def test_there_are_none_where_there_is_no_file(tmp_path: Path):
    assert list(read_responses(tmp_path / "responses.jsonl")) == []
