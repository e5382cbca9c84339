"""How long a full scorecard takes: 1,000 rows with intervals (goal: 50 ms), and points alone while searching.

Run with `python tests/benchmarks/bench_scorecard.py`; the last line is `RESULT {json}`, in milliseconds.
"""

import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from transfer_prompting.runtime.evaluation.evaluate import evaluate
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Graded, Outcomes
from transfer_prompting.runtime.evaluation.statistics import gains

LABELS = "ABCD"
GOAL_MS = 50.0


def outcomes(rows: int, seed: int) -> Outcomes:
    """Four labels, confidences without ties but for a twentieth of unread answers."""
    rng = np.random.default_rng(seed)
    return Outcomes.of(_response(row, rng) for row in range(rows))


def _response(row: int, rng: np.random.Generator) -> Graded:
    gold = LABELS[row % 4]
    read = bool(rng.random() > 0.05)
    right = read and bool(rng.random() < 0.6)
    answer = gold if right else LABELS[(row + 1) % 4]
    return Graded(
        example=f"{row:06d}",
        gold=gold,
        answer=answer if read else None,
        correct=right,
        credit=float(right),
        confidence=float(np.clip(rng.normal(0.7 if right else 0.5, 0.2), 0, 1)) if read else 0.0,
        followed=read,
        rule="strict" if read else "none",
        text="",
        completion_tokens=int(rng.integers(5, 40)),
        seconds=float(rng.random()),
    )


def milliseconds(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """The fastest and the median of some repeats, after one that does not count."""
    work()
    taken: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return {"min": round(min(taken), 3), "median": round(statistics.median(taken), 3)}


def main() -> None:
    objective = Objective()
    hundred, thousand, other = outcomes(100, 1), outcomes(1000, 1), outcomes(1000, 2)
    result = {
        "points_100": milliseconds(lambda: evaluate(hundred, objective, seed=1, intervals=False), 200),
        "full_100": milliseconds(lambda: evaluate(hundred, objective, seed=1, intervals=True), 30),
        "full_1000": milliseconds(lambda: evaluate(thousand, objective, seed=1, intervals=True), 30),
        "gains_1000": milliseconds(lambda: gains(thousand, other, objective, seed=1), 5),
    }
    for name, taken in result.items():
        print(f"{name:12} {taken['min']:9.3f} ms at best, {taken['median']:9.3f} ms in the middle")
    met = result["full_1000"]["median"] < GOAL_MS
    print("RESULT " + json.dumps({"benchmark": "scorecard", "goal_ms": GOAL_MS, "met": met, **result}))


if __name__ == "__main__":
    main()
