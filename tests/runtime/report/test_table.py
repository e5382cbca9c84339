"""Results as a flat table."""

import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import transfer_prompting as tp
from transfer_prompting.runtime.record.results import rows

from support.brief import brief_clients, brief_scenario, brief_task


async def brief_results(**changes: object) -> tp.Results:
    with anyio.fail_after(60):
        async with tp.Team(brief_scenario(**changes), clients=brief_clients()) as team:
            return await team.run()


async def test_each_scored_prompt_task_and_model_has_a_row_with_its_metrics():
    results = await brief_results()
    table = list(rows(results))
    assert [row["role"] for row in table] == ["source", "baseline", "best", "transfer"]
    best = table[2]
    card = results.targets[0].best.scorecard
    assert (best["task"], best["model"], best["split"]) == ("tickets", "small", "test")
    assert best["text"] == results.targets[0].best.prompt.text
    assert (best["n"], best["accuracy"], best["objective"]) == (card.n, card.accuracy, card.objective)
    assert (best["objective_low"], best["objective_high"]) == card.intervals["objective"]
    assert table[3]["prompt_id"] == results.transfer[0].prompt_id


async def test_prompts_of_other_targets_have_their_rows_too():
    results = await brief_results(
        tasks={name: brief_task(name) for name in ("reviews", "tickets", "mails")},
        stages={
            "source": {"tasks": ["reviews"], "steps": 1, "keep": 1, "seed_prompts": ["Decide."]},
            "target": {"tasks": ["tickets", "mails"], "steps": 1, "matrix": True},
        },
    )
    tried = [row for row in rows(results) if row["role"] == "transfer"]
    assert len(tried) == len(results.transfer) > 1
    assert all(row["text"] for row in tried)


async def test_the_dataframe_holds_the_rows():
    results = await brief_results()
    frame = results.to_dataframe()
    assert list(frame["role"]) == [row["role"] for row in rows(results)]
    assert frame["accuracy"].dtype == float


async def test_the_best_prompt_is_found_by_task_and_model():
    results = await brief_results()
    best = results.best("tickets", "small")
    assert best == results.targets[0].best
    assert (best.text, best.scorecard.n) == (best.prompt.text, results.targets[0].baseline.scorecard.n)
    with pytest.raises(tp.InputError, match="no prompt for tickets with large; there is tickets with small"):
        results.best("tickets", "large")


async def test_targets_are_found_by_place_or_by_task_and_model():
    results = await brief_results()
    assert results.targets["tickets", "small"] is results.targets[0]
    assert results.targets[:1] == (results.targets[0],)
    with pytest.raises(KeyError, match="no result for tickets with large; there is tickets with small"):
        results.targets["tickets", "large"]


async def test_results_are_plain_values_as_the_file_of_a_run_holds_them(tmp_path: Path):
    with anyio.fail_after(60):
        async with tp.Team(brief_scenario(), clients=brief_clients(), out=tmp_path) as team:
            results = await team.run()
    assert results.to_dict() == json.loads((tmp_path / "results.json").read_bytes())


def test_without_pandas_the_message_says_what_to_install():
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "import transfer_prompting as tp\n"
        "results = tp.Results(name='x', status='complete', seed=0)\n"
        "try: results.to_dataframe()\n"
        "except tp.InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'transfer-prompting[pandas]'" in done.stdout


async def test_results_are_saved_and_loaded_by_folder_or_file(tmp_path: Path):
    results = await brief_results()
    results.save(tmp_path)
    assert tp.Results.load(tmp_path) == tp.Results.load(tmp_path / "results.json") == results
    with pytest.raises(tp.InputError, match="no results here"):
        tp.Results.load(tmp_path / "none")


async def test_the_only_target_needs_no_name():
    results = await brief_results()
    assert results.best() == results.best("tickets", "small")
