"""Fuzz everything that is read: `make fuzz`.

    python tests/fuzz/run.py [--cases 1000000] [--seed 1] [--only NAME ...] [--engine hypothesis|atheris]

Each target gets its share of the cases. Every case has a limit of CPU time (see `Target`), and all of them
one of memory. `hypothesis` makes cases from strategies, in batches with seeds of their own, so that a batch
can be run again alone; `atheris` (`pip install '.[fuzz]'`) drives the same checks by the branches that they
reach. Ends with a line RESULT {json} and exit code 1 where anything was found.
"""

import argparse
import json
import resource
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from hypothesis import Phase, Verbosity, given, seed, settings

from fuzz import files, replies, wire
from fuzz.targets import SUPPRESSED, Target, TooSlow, bounded

TARGETS: tuple[Target, ...] = (*replies.TARGETS, *wire.TARGETS, *files.TARGETS)
BATCH = 2_000
MEMORY = 2 * 2**30
"""Bytes of address space that cases may add to what the process has when it starts."""


def property_of(target: Target, cases: int, slowest: list[float]) -> Callable[[], None]:
    """A property test of a target over so many cases; `slowest` gets the CPU seconds of the slowest."""

    def check(case: Any) -> None:
        start = process_time()
        with bounded(target.seconds):
            target.check(case)
        slowest[0] = max(slowest[0], process_time() - start)

    configured = settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=SUPPRESSED,
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    return configured(given(target.cases)(check))


def by_hypothesis(target: Target, cases: int, first: int, slowest: list[float]) -> list[str]:
    """The distinct failures of a target in this many cases."""
    found: dict[str, str] = {}
    for batch, start in enumerate(range(0, cases, BATCH)):
        test = property_of(target, min(BATCH, cases - start), slowest)
        try:
            seed(first * 1_000_000 + batch)(test)()
        except (Exception, TooSlow) as error:  # noqa: BLE001 - whatever a check raises is what is looked for
            text = "".join(traceback.format_exception(error))
            found.setdefault(f"{type(error).__name__}: {text.splitlines()[-1]}", text)
    return list(found.values())


def by_atheris(target: Target, cases: int) -> None:
    """Drive one target by coverage; ends the process, as libFuzzer does."""
    atheris: Any = import_module("atheris")
    slowest = [0.0]
    test: Any = property_of(target, cases, slowest)
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-runs={cases}", "-max_len=4096"], test.hypothesis.fuzz_one_input)
    atheris.Fuzz()


def limit_memory() -> None:
    """Let what takes more memory fail with MemoryError; where the system has no such limit, do nothing."""
    status = Path("/proc/self/statm")
    if status.exists():
        used = int(status.read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))


def main(arguments: argparse.Namespace) -> int:
    chosen = [target for target in TARGETS if not arguments.only or target.name in arguments.only]
    if not chosen:
        raise SystemExit(f"no such target; there are {', '.join(target.name for target in TARGETS)}")
    limit_memory()
    shares = sum(target.share for target in chosen)
    result: dict[str, dict[str, float]] = {}
    failures = 0
    for target in chosen:
        cases = max(1, round(arguments.cases * target.share / shares))
        if arguments.engine == "atheris":
            by_atheris(target, cases)
        slowest = [0.0]
        found = by_hypothesis(target, cases, arguments.seed, slowest)
        failures += len(found)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        result[target.name] = {
            "cases": cases,
            "failures": len(found),
            "slowest_ms": round(1000 * slowest[0], 1),
            "peak_mb": round(peak),
        }
        print(
            f"{target.name}: {cases:,} cases, {len(found)} failures, slowest {1000 * slowest[0]:.0f} ms",
            flush=True,
        )
        for text in found:
            print(text.encode(errors="backslashreplace").decode(), flush=True)
    total = sum(round(one["cases"]) for one in result.values())
    print("RESULT", json.dumps({"cases": total, "failures": failures, "targets": result}))
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    sys.exit(main(parser.parse_args()))
