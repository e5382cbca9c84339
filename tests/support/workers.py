"""Runs with workers: a coordinator and workers in their own processes, over one nats-server."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from transfer_prompting.runtime.record.results import Results, read

from support.processes import Talking, tprompt


def worker(
    scenario: Path, url: str, host: str = "target:small", **environment: str
) -> AbstractAsyncContextManager[Talking]:
    """A worker of the scenario; it says `waiting`, then `hosting`."""
    return tprompt("worker", str(scenario), "--bus", url, "--host", host, **environment)


def coordinator(scenario: Path, url: str, out: Path, *overrides: str) -> AbstractAsyncContextManager[Talking]:
    """`tprompt run` with this bus."""
    sets = [part for override in (f"bus={url}", *overrides) for part in ("--set", override)]
    return tprompt("run", str(scenario), "--out", str(out), *sets)


def lasting(results: Results) -> object:
    """Results as plain values, without what time and money were spent on them."""
    return _lasting(msgspec.to_builtins(results))


def results_in(out: Path) -> Results:
    return read(out / "results.json")


def _lasting(value: object) -> object:
    if isinstance(value, dict):
        return {key: _lasting(inner) for key, inner in value.items() if key not in {"usage", "seconds"}}
    if isinstance(value, list | tuple):
        return [_lasting(inner) for inner in value]
    return value
