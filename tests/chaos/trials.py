"""From a seed to its chaos run."""

import tempfile
import traceback
from collections import Counter
from pathlib import Path

import anyio

from chaos.processes import KILLS, killed_run
from chaos.runs import chaos_run
from chaos.script import Script

EVERY = 25
"""One in so many runs is a process that is killed, signalled or runs out of disk."""


def one(seed: int) -> Counter[str] | str:
    """What happened in the run of a seed, or the traceback of its failure."""
    try:
        return _one(seed)
    except Exception:  # noqa: BLE001 - every failure is shown and counted
        return traceback.format_exc()


def _one(seed: int) -> Counter[str]:
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        if seed % EVERY == EVERY - 1:
            return anyio.run(killed_run, seed, KILLS[seed // EVERY % len(KILLS)], folder)
        return anyio.run(chaos_run, Script.drawn(seed), folder / "out")
