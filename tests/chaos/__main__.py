"""`make chaos COUNT=1000 SEED=0`: many seeded runs under faults; ends with a line RESULT {json}.

One run again: `python -m chaos --seed SEED --count 1` in `tests/`, as the failure prints it.
"""

import argparse
import json
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import perf_counter

from chaos.script import Script
from chaos.trials import one


def main() -> int:
    """Run the seeds asked for; 1 where an invariant was broken."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="runs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; the others count on from it")
    parser.add_argument("--jobs", type=int, default=4, help="runs at a time")
    given = parser.parse_args()
    begin, seen, broken = perf_counter(), Counter[str](), list[int]()
    seeds = range(given.seed, given.seed + given.count)
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        for done, (seed, counts) in enumerate(zip(seeds, pool.map(one, seeds), strict=True), start=1):
            if isinstance(counts, str):
                broken.append(seed)
                print(f"seed {seed} failed: {Script.drawn(seed)}\n{counts}", file=sys.stderr)
                print(f"again: cd tests && python -m chaos --seed {seed} --count 1", file=sys.stderr)
            else:
                seen += counts
            if done % 50 == 0:
                print(f"{done} runs, {len(broken)} failed, {perf_counter() - begin:.0f} s", flush=True)
    result = {
        "runs": given.count,
        "failed": broken,
        "seconds": round(perf_counter() - begin),
        **sorted_counts(seen),
    }
    print(f"RESULT {json.dumps(result)}")
    return 1 if broken else 0


def sorted_counts(seen: Counter[str]) -> dict[str, int]:
    """The counts in the order of their names."""
    return dict(sorted(seen.items()))


if __name__ == "__main__":
    sys.exit(main())
