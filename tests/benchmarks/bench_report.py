"""Size of a big run's report and time until it can be read: 50 prompts on 10 tasks with 10 models, 50,000
responses to held-out rows. Goals: under 15 MB, and ready in Chromium in under 3 s.

Times are from the request: `words_s` until the answer can be read, `ready_s` until what is in view is drawn
and the page can be used, `all_s` until every plot below is drawn and all responses are unpacked. `cpu_s` is
the processor time of the page's main thread until then: on a busy machine it tells more than the clock.
Run with `python tests/benchmarks/bench_report.py`; the last line is `RESULT {json}`.
"""

import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from playwright.sync_api import Browser, sync_playwright

from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.evaluation.evaluate import evaluate
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Graded, Outcomes
from transfer_prompting.runtime.evaluation.scorecard import Chance, Scorecard
from transfer_prompting.runtime.evaluation.statistics import gains
from transfer_prompting.runtime.messages import PromptScored, RunEnded, RunStarted, SearchStarted
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.record.history import open_history
from transfer_prompting.runtime.record.responses import open_responses
from transfer_prompting.runtime.record.results import (
    PromptEntry,
    PromptResult,
    Results,
    TargetResult,
    Targets,
    Transfer,
    write,
)
from transfer_prompting.runtime.report.page import write_page
from transfer_prompting.runtime.tasks.example import Example

sys.path.insert(0, str(Path(__file__).parent.parent))
from support.browser import DRAWN, FLAGS, NAMES, READY

PROMPTS, TASKS, MODELS, ROWS = 50, 10, 10, 10
GOAL_MB, GOAL_SECONDS = 15.0, 3.0
REPEATS = 5
PATIENCE = 600.0

WORDS = Path(__file__).read_text(encoding="utf-8").split()
"""Something to write texts with: this file's own words."""


def text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))


def prompts() -> list[Prompt]:
    """Fifty prompts of some eighty words, each a child of an earlier one."""
    made = [Prompt(text=text(random.Random("prompt 0"), 20))]
    for i in range(1, PROMPTS):
        draw = random.Random(f"prompt {i}")
        parent = draw.choice(made)
        made.append(Prompt(text=f"{parent.text} {text(draw, 8)}", origin="improve", parents=(parent.id,)))
    return made


def response(example: Example, prompt: int, model: str) -> Graded:
    draw = random.Random(f"{example.id} {prompt} {model}")
    right = draw.random() < 0.4 + 0.008 * prompt
    return Graded(
        example=example.id,
        gold=example.gold,
        answer="A" if right else "B",
        correct=right,
        credit=float(right),
        confidence=round(draw.random(), 2),
        followed=draw.random() < 0.8,
        rule="strict",
        text=f"{text(draw, 40)}\nAnswer: {'A' if right else 'B'}\nConfidence: 80%",
    )


def write_run(folder: Path) -> None:
    """A finished run in a folder, as the runtime writes one."""
    made = prompts()
    tasks, models = [f"task-{i}" for i in range(TASKS)], [f"model-{i}" for i in range(MODELS)]
    objective = Objective()
    cards: dict[tuple[int, str, str], Scorecard] = {}
    outcomes: dict[tuple[int, str, str], Outcomes] = {}
    with open_responses(folder / "responses.jsonl") as kept:
        for task in tasks:
            draw = random.Random(task)
            rows = [Example(f"{task}-{i}", text(draw, 60), "A") for i in range(ROWS)]
            kept.ask(task, rows)
            for number, prompt in enumerate(made):
                for model in models:
                    given = [response(row, number, model) for row in rows]
                    kept.give(task, model, prompt.id, given)
                    key = (number, task, model)
                    outcomes[key] = Outcomes.of(given)
                    cards[key] = evaluate(outcomes[key], objective, seed=1, intervals=False)
    with open_history(folder / "history.jsonl") as history:
        for event in events(made, tasks, models, cards):
            history.append(event)
    targets: list[TargetResult] = []
    for task in tasks:
        for model in models:
            best, base = (PROMPTS - 1, task, model), (0, task, model)
            targets.append(
                TargetResult(
                    task=task,
                    model=model,
                    baseline=PromptResult(PromptEntry.of(made[0]), cards[base]),
                    best=PromptResult(PromptEntry.of(made[-1]), cards[best]),
                    gain=gains(outcomes[best], outcomes[base], objective, seed=1),
                    search=cards[best],
                    selection_bias=0.0,
                    chance=Chance(0.5, 0.5),
                )
            )
    transfer = [Transfer(made[n].id, task, model, card, None) for (n, task, model), card in cards.items()]
    results = Results(
        name="large", status="complete", seed=1, targets=Targets(targets), transfer=tuple(transfer)
    )
    write(results, folder / "results.json")


def events(
    made: list[Prompt], tasks: list[str], models: list[str], cards: dict[tuple[int, str, str], Scorecard]
) -> Iterator[Event]:
    """Its search: every prompt scored on all rows of every task with every model."""
    yield RunStarted("large", 1, dict.fromkeys(tasks, (ROWS, ROWS, ROWS)), tuple(models))
    yield SearchStarted("source", "source", tuple(tasks), tuple(models), (ROWS,), None)
    for number, prompt in enumerate(made):
        scores = {task: {model: cards[number, task, model] for model in models} for task in tasks}
        values = [card.objective or 0.0 for one in scores.values() for card in one.values()]
        mean, calls = statistics.fmean(values), (number + 1) * ROWS * len(values)
        yield PromptScored("source", number, prompt, ROWS, mean, scores, made[number].id, calls)
    yield RunEnded("complete")


def seconds_to_open(chromium: Browser, page: Path) -> tuple[float, float, float, float]:
    """Until the answer can be read, the page is ready, and all is there in a fresh tab; and its CPU time."""
    tab = chromium.new_page()
    tab.set_default_timeout(1000 * PATIENCE)
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    start = time.perf_counter()
    tab.goto(page.as_uri(), wait_until="commit")
    tab.wait_for_selector("#words", state="attached")
    words = time.perf_counter() - start
    tab.wait_for_selector(READY, state="attached")
    ready = time.perf_counter() - start
    tab.wait_for_selector(DRAWN, state="attached")
    complete = time.perf_counter() - start
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    assert tab.locator("#listing tbody tr").count()
    tab.close()
    return words, ready, complete, metrics["ThreadTime"]


def main() -> None:
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        began = datetime.now(UTC)
        write_run(folder)
        print(
            f"a run of {PROMPTS * TASKS * MODELS * ROWS:,} responses, {datetime.now(UTC) - began} to make up"
        )
        start = time.perf_counter()
        page = write_page(folder)
        built = time.perf_counter() - start
        size = page.stat().st_size / 1e6
        path = next(found for found in map(shutil.which, NAMES) if found)
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        taken = [seconds_to_open(chromium, page) for _ in range(REPEATS)]
        chromium.close()
        shown = msgspec.json.decode(
            page.read_text(encoding="utf-8").split('id="view">')[1].split("</script>")[0]
        )
    words, ready, complete, cpu = (statistics.median(column) for column in zip(*taken, strict=True))
    print(
        f"built in {built:.2f} s, {size:.1f} MB, answer after {words:.2f} s, "
        f"ready after {ready:.2f} s, complete after {complete:.2f} s ({cpu:.2f} s of CPU)"
    )
    result = {
        "benchmark": "report",
        "mb": round(size, 2),
        "build_s": round(built, 2),
        "words_s": round(words, 2),
        "ready_s": round(ready, 2),
        "all_s": round(complete, 2),
        "cpu_s": round(cpu, 2),
        "responses": shown["responses"],
        "goal_mb": GOAL_MB,
        "goal_s": GOAL_SECONDS,
        "met": size < GOAL_MB and ready < GOAL_SECONDS,
    }
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main()
