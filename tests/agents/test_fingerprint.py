"""What a worker must hold like the run, and what may differ."""

from pathlib import Path

import pytest

from transfer_prompting.agents._fingerprint import fingerprint
from transfer_prompting.agents.team import Team
from transfer_prompting.scenarios import load

from support.runs import scenario_data, write_scenario


def parts(folder: Path, *overrides: str) -> dict[str, str]:
    scenario = load(folder / "scenario.yaml", overrides)
    return fingerprint(scenario, Team(scenario).prepared())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1"))
    return tmp_path


@pytest.mark.parametrize(
    ("override", "differing"),
    [
        ("models.small.temperature=0.5", {"models.small"}),
        ("endpoints.server.base_url=http://127.0.0.1:8/v1", {"models.small"}),
        ("scorer.max_failed=0.5", {"scorer"}),
        ("tasks.mails.description=Other.", {"tasks.mails"}),
        ("seed=2", {"the rows of mails", "the rows of reviews", "the rows of tickets"}),
    ],
)
def test_what_hosted_agents_answer_by_is_told_apart_part_by_part(
    folder: Path, override: str, differing: set[str]
):
    ours, theirs = parts(folder), parts(folder, override)
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == differing


@pytest.mark.parametrize(
    "override",
    [
        "endpoints.server.limits.concurrency=2",
        "endpoints.server.retry.attempts=2",
        "models.small.price.input_per_million=3",
        "stages.source.steps=1",
        "budget.calls=5",
        "strategy=opro",
        "reference.candidates_per_step=2",
    ],
)
def test_what_only_the_run_reads_may_differ(folder: Path, override: str):
    assert parts(folder) == parts(folder, override)


def test_files_may_lie_elsewhere(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_scenario(elsewhere, scenario_data("http://127.0.0.1:9/v1"))
    assert parts(folder) == parts(elsewhere)
