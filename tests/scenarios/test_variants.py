"""Variants: one scenario as several runs that differ in named values and in their seed."""

from pathlib import Path

import pytest

from transfer_prompting.scenarios import Scenario, load
from transfer_prompting.scenarios.errors import InputError
from transfer_prompting.scenarios.scenario import variants

from support.runs import scenario_data, write_scenario


def compared(folder: Path, chosen: dict[str, dict[str, object]], seeds: tuple[int, ...] = (1, 2)) -> Scenario:
    compare = {"variants": chosen, "seeds": list(seeds)}
    return load(write_scenario(folder, scenario_data("http://127.0.0.1:9/v1", compare=compare)))


def test_every_variant_runs_once_with_every_seed(tmp_path: Path):
    scenario = compared(tmp_path, {"transfer": {}, "alone": {"strategy": "opro", "budget.calls": 50}})
    found = variants(scenario, tmp_path / "cache.sqlite")
    assert [one.folder for one in found] == ["transfer-1", "transfer-2", "alone-1", "alone-2"]
    assert [one.scenario.seed for one in found] == [1, 2, 1, 2]
    assert {one.scenario.name for one in found} == {"simulated-transfer", "simulated-alone"}
    assert [one.scenario.strategy for one in found] == ["transfer", "transfer", "opro", "opro"]
    assert [one.scenario.budget.calls for one in found] == [None, None, 50, 50]


def test_variants_share_one_call_ledger_and_find_their_data(tmp_path: Path):
    found = variants(compared(tmp_path, {"one": {}}), tmp_path / "cache.sqlite")
    assert {one.scenario.cache for one in found} == {str(tmp_path / "cache.sqlite")}
    assert {one.scenario.folder for one in found} == {tmp_path}
    assert all(one.scenario.compare is None for one in found)


def test_an_unknown_key_of_a_variant_is_named_with_the_nearest_one(tmp_path: Path):
    scenario = compared(tmp_path, {"wrong": {"stratgy": "opro"}})
    with pytest.raises(InputError, match=r"compare\.variants\.wrong.*did you mean 'strategy'"):
        variants(scenario, tmp_path / "cache.sqlite")


def test_a_wrong_value_of_a_variant_is_named(tmp_path: Path):
    scenario = compared(tmp_path, {"wrong": {"stages.target.steps": -1}})
    with pytest.raises(InputError, match=r"compare\.variants\.wrong.*stages\.target\.steps"):
        variants(scenario, tmp_path / "cache.sqlite")


def test_a_variants_name_that_no_run_can_have_is_refused_with_its_line(tmp_path: Path):
    with pytest.raises(InputError, match=r"yaml:\d+: compare\.variants\.target only: this name must match"):
        compared(tmp_path, {"target only": {}})


def test_a_scenario_without_a_comparison_has_no_variants(tmp_path: Path):
    scenario = load(write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1")))
    assert variants(scenario, tmp_path / "cache.sqlite") == []
