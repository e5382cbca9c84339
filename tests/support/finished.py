"""Output folders of finished runs made by hand: events, responses and results as the runtime writes them."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.evaluation.evaluate import evaluate
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Graded, Outcomes
from transfer_prompting.runtime.evaluation.scorecard import Chance, Scorecard
from transfer_prompting.runtime.evaluation.statistics import corrected, gains
from transfer_prompting.runtime.llm.budget.usage import UsageReport, Used
from transfer_prompting.runtime.messages import (
    CandidatesProposed,
    Cost,
    NotesTaken,
    PromptScored,
    RunEnded,
    RunStarted,
    SearchEnded,
    SearchStarted,
    TargetTested,
)
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.record.history import open_history
from transfer_prompting.runtime.record.responses import open_responses
from transfer_prompting.runtime.record.results import (
    Likeness,
    Offer,
    OnFront,
    PromptEntry,
    PromptResult,
    Results,
    SearchSummary,
    Status,
    TargetResult,
    Targets,
    Transfer,
    write,
)
from transfer_prompting.runtime.report.page import write_page
from transfer_prompting.runtime.search.scores import Merits
from transfer_prompting.runtime.tasks.example import Example

LABELS = ("urgent", "routine")
RUNGS = (5, 10, 20, 40)
WORDS = "stepwise carefully verbatim twice plainly first briefly calmly exactly again".split()  # noqa: SIM905

ORIGINAL = Prompt(text="Decide.")
SOURCE_TASKS = ("reviews", "mails")


def rows(task: str, count: int) -> tuple[Example, ...]:
    """Test rows of a task, in a seeded order of labels."""
    order = random.Random(task)
    return tuple(
        Example(f"{i + 1}", f"{task} row {i + 1}: is this one pressing?", order.choice(LABELS))
        for i in range(count)
    )


def candidates(count: int, extra: str = "") -> list[Prompt]:
    """The original prompt and descendants of it, better ones towards the end; `extra` stands in every one."""
    first = Prompt(text=f"{ORIGINAL.text}{extra}")
    made = [first]
    for i in range(1, count):
        text = f"Decide {' '.join(WORDS[: 1 + i % len(WORDS)])}, case {i}.{extra}"
        made.append(Prompt(text=text, origin="improve", parents=(made[i // 2].id,)))
    return made


def responses(examples: Sequence[Example], skill: float, seed: str, note: str = "") -> list[Graded]:
    """Responses of a prompt of this accuracy, whose confidences say something."""
    draw = random.Random(seed)
    found: list[Graded] = []
    for example in examples:
        right, read = draw.random() < skill, draw.random() > 0.04
        other = next(label for label in LABELS if label != example.gold)
        answer = (example.gold if right else other) if read else None
        sure = min(1.0, max(0.0, draw.gauss(0.8 if right else 0.6, 0.15)))
        found.append(
            Graded(
                example=example.id,
                gold=example.gold,
                answer=answer,
                correct=right and read,
                credit=float(right and read),
                confidence=round(sure, 2) if read else 0.0,
                followed=read,
                rule="strict" if read else "none",
                text=f"Answer: {answer}\nConfidence: {sure:.0%}{note}" if read else f"I cannot say.{note}",
                completion_tokens=9,
                seconds=0.4,
            )
        )
    return found


def scored(
    scope: str,
    job: int,
    prompt: Prompt,
    rows: int,
    objective: float,
    leader: Prompt,
    calls: int,
    card: Scorecard,
) -> PromptScored:
    tasks = SOURCE_TASKS if scope == "source" else ("tickets",)
    model = scope.rpartition(" ")[2] if scope != "source" else "small"
    cards = {task: {model: msgspec.structs.replace(card, n=rows, objective=objective)} for task in tasks}
    return PromptScored(scope, job, prompt, rows, objective, cards, leader.id, calls)


def race(scope: str, prompts: Sequence[Prompt], *, budget: int | None = 600) -> Iterator[Event]:
    """Events of one search: every prompt on the first rung, half of them on each next one."""
    stage = "source" if scope == "source" else "target"
    tasks = SOURCE_TASKS if scope == "source" else ("tickets",)
    model = scope.rpartition(" ")[2] if scope != "source" else "small"
    yield SearchStarted(stage, scope, tasks, (model,), RUNGS, budget)
    yield CandidatesProposed(scope, 1, tuple(prompts[1:]), {"too long": 1, "seen before": 2})
    draw = random.Random(scope)
    value = {prompt.id: 0.5 + 0.3 * i / len(prompts) for i, prompt in enumerate(prompts)}
    estimates: dict[str, float] = {}
    alive, job, calls, before = list(prompts), 1, 0, 0
    for rung in RUNGS:
        for prompt in alive:
            job, calls = job + 1, calls + (rung - before) * len(tasks)
            noise = draw.gauss(0, 0.3 / rung**0.5)
            estimates[prompt.id] = round(min(1.0, max(0.0, value[prompt.id] + noise)), 4)
            leader = max((one for one in prompts if one.id in estimates), key=lambda one: estimates[one.id])
            card = Scorecard(n=rung, accuracy=estimates[prompt.id], ifr=0.9, ece=0.1)
            yield scored(scope, job, prompt, rung, estimates[prompt.id], leader, calls, card)
        alive = sorted(alive, key=lambda one: -estimates[one.id])[: max(1, len(alive) // 2)]
        before = rung
    yield NotesTaken(scope, job + 1, ("Naming the labels first helps.", "Short prompts lose nothing."))
    cost = Cost(calls=calls, tokens=60 * calls, usd=0.0)
    yield SearchEnded(stage, scope, tuple(alive), "the calls allotted to this search are used", cost)


def write_run(
    folder: Path,
    *,
    name: str = "simulated",
    seed: int = 1,
    models: Sequence[str] = ("small", "large"),
    skills: tuple[float, float] = (0.55, 0.85),
    test: int = 120,
    status: Status = "complete",
    extra: str = "",
    page: bool = True,
) -> Results:
    """A finished run in a folder: a source search, a search for each model, and the final test.

    `skills` are the accuracies of the original and of the best prompt; `extra` stands in every prompt and
    response.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prompts = candidates(12, extra)
    examples = rows("tickets", test)
    objective = Objective()
    scopes = ["source", *(f"target tickets {model}" for model in models)]
    history: list[Event] = [
        RunStarted(
            name,
            seed,
            {"tickets": (20, 20, test), "reviews": (20, 20, 40), "mails": (20, 20, 40)},
            tuple(models),
        )
    ]
    kept: dict[str, Prompt] = {}
    for scope in scopes:
        found = list(race(scope, prompts))
        history += found
        ended = next(event for event in found if isinstance(event, SearchEnded))
        kept[scope] = ended.prompts[0]
    with open_responses(folder / "responses.jsonl") as file:
        file.ask("tickets", examples)
        targets, transfer = [], []
        for model in models:
            best = kept[f"target tickets {model}"]
            pairs: list[tuple[Prompt, Outcomes, Scorecard]] = []
            for prompt, skill, part in ((prompts[0], skills[0], "baseline"), (best, skills[1], "best")):
                graded = responses(examples, skill, f"{seed} {model} {prompt.id}", extra)
                file.give("tickets", model, prompt.id, graded)
                outcomes = Outcomes.of(graded)
                card = evaluate(outcomes, objective, seed=seed, intervals=True)
                history.append(TargetTested("tickets", model, part, prompt, card))  # pyright: ignore[reportArgumentType]
                pairs.append((prompt, outcomes, card))
            targets.append(_target(model, pairs, objective, seed))
            source = kept["source"]
            card = evaluate(
                Outcomes.of(responses(examples, 0.65, f"{seed} {model} source")),
                objective,
                seed=seed,
                intervals=False,
            )
            transfer.append(Transfer(source.id, "tickets", model, card, 0.05))
    history.append(RunEnded(status))
    with open_history(folder / "history.jsonl") as log:
        for event in history:
            log.append(event)
    adjusted = corrected([target.gain for target in targets])
    targets = [
        msgspec.structs.replace(target, gain=gain) for target, gain in zip(targets, adjusted, strict=True)
    ]
    used = Used(
        calls=900, retries=3, failed=1, prompt_tokens=40_000, completion_tokens=9_000, usd=0.21, seconds=60.0
    )
    results = Results(
        name=name,
        status=status,
        seed=seed,
        targets=Targets(targets),
        transfer=tuple(transfer),
        searches=tuple(_summary(scope, history, kept[scope]) for scope in scopes),
        offers=(
            Offer(
                prompt_id=kept["source"].id,
                scope=scopes[1],
                sources=("source",),
                objective=0.7,
                rows=20,
                chosen=False,
            ),
        ),
        likeness=(Likeness(scopes=(scopes[1], scopes[-1]), prompts=12, correlation=0.71),)
        if len(models) > 1
        else (),
        usage=UsageReport(**msgspec.structs.asdict(used), by_model={"small": used}, by_role={"target": used}),
    )
    write(results, folder / "results.json")
    if page:
        write_page(folder)
    return results


def _target(
    model: str, pairs: Sequence[tuple[Prompt, Outcomes, Scorecard]], objective: Objective, seed: int
) -> TargetResult:
    (original, base, base_card), (best, outcomes, card) = pairs
    return TargetResult(
        task="tickets",
        model=model,
        baseline=PromptResult(PromptEntry.of(original), base_card),
        best=PromptResult(PromptEntry.of(best), card),
        gain=gains(outcomes, base, objective, seed=seed),
        search=card,
        selection_bias=0.01,
        chance=Chance(0.55, 0.5),
    )


def _summary(scope: str, history: Sequence[Event], best: Prompt) -> SearchSummary:
    started = next(one for one in history if isinstance(one, SearchStarted) and one.scope == scope)
    ended = next(one for one in history if isinstance(one, SearchEnded) and one.scope == scope)
    found = [one for one in history if isinstance(one, PromptScored) and one.scope == scope]
    latest = {one.prompt.id: one for one in found}
    merits = Merits(accuracy=0.8, ifr=0.95, calibration=0.9, output_tokens=9.0, length=len(best.text))
    return SearchSummary(
        scope=scope,
        stage=started.stage,
        tasks=started.tasks,
        models=started.models,
        candidates=len(latest),
        finished=sum(one.rows == RUNGS[-1] for one in latest.values()),
        rows=RUNGS[-1],
        calls=found[-1].calls,
        allotted=started.allotted,
        reason=ended.reason,
        refused={"too long": 1, "seen before": 2},
        front=(OnFront(prompt=PromptEntry.of(best), merits=merits, objective=0.8),) * 2,
        notes=("Naming the labels first helps.",),
    )
