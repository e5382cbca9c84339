"""Fuzz everything that is read: `make fuzz`.

    python tests/fuzz/run.py [--cases 1000000] [--seed 1] [--only NAME ...] [--engine mutations|atheris]
    python tests/fuzz/run.py --again build/fuzz/FAILURE.pickle

Each target gets its share of the cases. One case in twenty, of some targets up to one in two, is drawn by
hypothesis, the others are mutations of those (`mutations.py`). Every case has a limit of CPU time (see
`Target`), and all of them one of memory. A case that fails is printed and kept in build/fuzz, to be run again
alone. `atheris`, of the extra `fuzz`, drives the same checks by the branches that they reach. Ends
with a line RESULT {json} and exit code 1 where anything was found; atheris takes one target, the first.
"""

import argparse
import json
import pickle
import resource
import sys
import traceback
from importlib import import_module
from pathlib import Path
from time import thread_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import msgspec
from hypothesis import given, settings

from fuzz import files, replies, wire
from fuzz.targets import SUPPRESSED, Target, TooSlow, batch, bounded

TARGETS: tuple[Target, ...] = (*replies.TARGETS, *wire.TARGETS, *files.TARGETS)
BATCH = 2_000
SHOWN_AFTER = 50_000
"""The figures so far are printed each time after so many cases."""
MEMORY = 2 * 2**30
"""Bytes of address space that cases may add to what the process has when it starts."""
KEPT = Path(__file__).parents[2] / "build" / "fuzz"
LONGEST_CASE = 2_000
"""Characters of a case that are printed; the file has all of it."""


class Seen(msgspec.Struct):
    """What a target has had: cases of so many, the pool of drawn ones, failures by their last lines, and CPU
    seconds of the slowest case and of all."""

    target: Target
    planned: int
    cases: int = 0
    pool: list[Any] = []
    failures: dict[str, str] = {}
    slowest: float = 0.0
    slowest_case: Any = None
    seconds: float = 0.0

    def figures(self) -> dict[str, float]:
        """The line of this target in the result."""
        return {
            "cases": self.cases,
            "failures": len(self.failures),
            "slowest_ms": round(1000 * self.slowest, 1),
            "cpu_s": round(self.seconds, 1),
        }


def timed(target: Target, case: Any) -> float:
    """The CPU seconds of a case that passes; raises what its check raises, and TooSlow."""
    start = thread_time()  # process_time has steps of 4 ms while the timer of `bounded` runs
    with bounded(target.seconds):
        target.check(case)
    spent = thread_time() - start
    if spent > target.seconds:  # the signal can come where an exception is ignored
        raise TooSlow(f"{spent:.3f} s of CPU time")
    return spent


def least(target: Target, case: Any, times: int) -> float:
    """As `timed`, the least of several times: other programs make a case slower, never faster."""
    spent = list[float]()
    for left in reversed(range(times)):
        try:
            spent.append(timed(target, case))
        except TooSlow:
            if not spent and not left:
                raise
    return min(spent)


def run(seen: Seen, first: int) -> None:
    """Give a target the next batch of its cases."""
    target = seen.target
    start = thread_time()
    count = min(BATCH, seen.planned - seen.cases)
    number = first * 1_000_000 + seen.cases // BATCH
    fresh = round(count * target.fresh)
    for case in batch(target, count, number, fresh=fresh, pool=seen.pool):
        try:
            try:
                spent = timed(target, case)
            except TooSlow:
                spent = least(target, case, 2)
            if spent > seen.slowest:
                spent = least(target, case, 2)
            if spent > seen.slowest:
                seen.slowest, seen.slowest_case = spent, case
        except (Exception, TooSlow) as error:  # noqa: BLE001 - whatever a check raises is what is looked for
            keep(case, error, seen)
    seen.cases += count
    seen.seconds += thread_time() - start


def keep(case: Any, error: BaseException, seen: Seen) -> None:
    """Print a failure that was not there before, with its case, and write the case to a file."""
    text = "".join(traceback.format_exception(error))
    line = f"{type(error).__name__}: {text.splitlines()[-1]}"
    if line in seen.failures:
        return
    seen.failures[line] = text
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{seen.target.name.replace(' ', '-')}-{len(seen.failures)}.pickle"
    path.write_bytes(pickle.dumps((seen.target.name, case)))
    shown = f"{text}case: {ascii(case)[:LONGEST_CASE]}\nagain: python tests/fuzz/run.py --again {path}"
    print(shown.encode(errors="backslashreplace").decode(), flush=True)


def again(path: str) -> int:
    """Run the case of a file that `keep` wrote; its error, if it is still there, is raised."""
    name, case = pickle.loads(Path(path).read_bytes())
    target = next(target for target in TARGETS if target.name == name)
    print(f"passed in {1000 * least(target, case, 3):.1f} ms")
    return 0


def by_atheris(target: Target, cases: int) -> None:
    """Drive one target by coverage; ends the process, as libFuzzer does."""
    atheris: Any = import_module("atheris")

    def check(case: Any) -> None:
        timed(target, case)

    test: Any = settings(database=None, deadline=None, suppress_health_check=SUPPRESSED)(
        given(target.cases)(check)
    )
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
    if arguments.again:
        return again(arguments.again)
    chosen = [target for target in TARGETS if not arguments.only or target.name in arguments.only]
    if not chosen:
        raise SystemExit(f"no such target; there are {', '.join(target.name for target in TARGETS)}")
    limit_memory()
    shares = sum(target.share for target in chosen)
    every = [Seen(target, max(1, round(arguments.cases * target.share / shares))) for target in chosen]
    if arguments.engine == "atheris":
        by_atheris(every[0].target, every[0].planned)
    shown = 0
    while unfinished := [seen for seen in every if seen.cases < seen.planned]:
        run(min(unfinished, key=lambda seen: seen.cases / seen.planned), arguments.seed)
        if sum(seen.cases for seen in every) >= shown + SHOWN_AFTER:
            shown = report(every)
    for seen in every:
        print(f"{seen.target.name}: the slowest case was {ascii(seen.slowest_case)[:LONGEST_CASE]}")
    report(every)
    return 1 if any(seen.failures for seen in every) else 0


def report(every: list[Seen]) -> int:
    """Print the figures so far; the number of cases."""
    targets = {seen.target.name: seen.figures() for seen in every}
    total = {key: round(sum(one[key] for one in targets.values())) for key in ("cases", "failures", "cpu_s")}
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print("RESULT", json.dumps({**total, "peak_mb": peak, "targets": targets}), flush=True)
    return total["cases"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--engine", choices=("mutations", "atheris"), default="mutations")
    parser.add_argument("--again", help="a file of a case that failed")
    sys.exit(main(parser.parse_args()))
