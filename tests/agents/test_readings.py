"""Where a confidence comes from: said of a task, of a model, or found out."""

from pathlib import Path

import pytest

from transfer_prompting.agents.checks import check_scenario
from transfer_prompting.runtime.llm.probes import PROBE
from transfer_prompting.scenarios import load
from transfer_prompting.scenarios.errors import InputError

from support.runs import finished, scenario_data, simulated, write_scenario

URL = "http://127.0.0.1:9/v1"


def read_as(folder: Path, model: str, *overrides: str) -> dict[str, str]:
    """By task, where the confidence of a model's answers comes from in a scenario with these overrides."""
    readings = check_scenario(load(write_scenario(folder, scenario_data(URL)), list(overrides))).readings
    return {task: reading.confidence for (task, name), reading in readings.items() if name == model}


def test_a_models_choice_holds_where_the_task_leaves_it_open(tmp_path: Path):
    found = read_as(tmp_path, "small", "tasks.tickets.confidence=auto", "models.small.confidence=agreement")
    assert found == {"reviews": "verbalised", "mails": "verbalised", "tickets": "agreement"}


@pytest.mark.parametrize(("logprobs", "source"), [("true", "token_probability"), ("false", "verbalised")])
def test_where_nobody_chooses_the_endpoint_decides(tmp_path: Path, logprobs: str, source: str):
    found = read_as(
        tmp_path, "small", "tasks.tickets.confidence=auto", f"endpoints.server.logprobs={logprobs}"
    )
    assert found["tickets"] == source


def test_models_of_one_run_may_differ(tmp_path: Path):
    both = (
        "targets=[small, writer]",
        "tasks.tickets.confidence=auto",
        "models.writer.confidence=top_k",
    )
    assert [read_as(tmp_path, model, *both)["tickets"] for model in ("small", "writer")] == [
        "verbalised",
        "top_k",
    ]


def test_what_a_models_endpoint_cannot_give_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="needs log-probabilities, which the endpoint of model 'small'"):
        read_as(
            tmp_path, "small", "tasks.tickets.confidence=auto", "models.small.confidence=token_probability"
        )


async def test_a_run_says_where_confidence_comes_from_without_log_probabilities(tmp_path: Path):
    unsaid = ["strategy=original", "endpoints.server.logprobs=null", "tasks.tickets.confidence=auto"]
    async with simulated(tmp_path) as (_, world, server):
        server.logprobs = False
        server.behaviour = lambda body: "A" if PROBE in str(body) else world(body)
        results = await finished(load(tmp_path / "scenario.yaml", unsaid))
    assert results.problems == ("model small: no log-probabilities, so confidence is verbalised (tickets)",)
