"""Seeded runs under faults, a sample of `make chaos`; and chaos scripts that are the same everywhere."""

from pathlib import Path

import pytest

from chaos.processes import KILLS, killed_run
from chaos.runs import Broken, chaos_run, hold
from chaos.script import FAULTS, Script

linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")


@linux
@pytest.mark.parametrize("seed", [0, 1, 22])
async def test_a_run_under_faults_loses_repeats_and_leaves_nothing(tmp_path: Path, seed: int):
    await chaos_run(Script.drawn(seed), tmp_path / "out")


@linux
@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", KILLS)
async def test_a_run_ended_from_outside_is_resumed_by_the_same_command(tmp_path: Path, kind: str):
    await killed_run(KILLS.index(kind), kind, tmp_path)


def test_a_seed_draws_one_script_and_a_request_one_fault():
    scripts = [Script.drawn(seed) for seed in range(200)]
    assert scripts == [Script.drawn(seed) for seed in range(200)]
    assert {kind for script in scripts for kind in script.kinds} == set(FAULTS)
    busy = next(script for script in scripts if script.rate == 0.6)
    faults = [busy.fault(number) for number in range(1, 400)]
    assert faults == [busy.fault(number) for number in range(1, 400)]
    assert 100 < sum(fault is not None for fault in faults) < 350


def test_an_invariant_that_does_not_hold_is_an_error():
    with pytest.raises(Broken, match="a row is missing"):
        hold(False, "a row is missing")
