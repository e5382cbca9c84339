"""The whole way of a score, as a run goes it: bus, Scorer, Target, budget, ledger on disk, limits, HTTP."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from contenders import MAX_TOKENS, MODEL, SYSTEM

from transfer_prompting.agents.coordinator.evaluator import Evaluator
from transfer_prompting.agents.scorer import Scorer
from transfer_prompting.agents.target import Sampling, Target
from transfer_prompting.runtime.bus import InProcessBus
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.llm.budget.budget import Budget
from transfer_prompting.runtime.llm.chat import ChatClient
from transfer_prompting.runtime.llm.ledger.ledger import open_ledger
from transfer_prompting.runtime.llm.stack import Models, open_models
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.record.history import History, Record
from transfer_prompting.runtime.tasks.answers.closed import Choice
from transfer_prompting.runtime.tasks.example import Example, Splits
from transfer_prompting.runtime.tasks.task import Reading, Task
from transfer_prompting.scenarios import Scenario

TASK = Task(
    name="reviews",
    description="Tell good reviews from bad ones.",
    answers=Choice(),
    original="Decide.",
)
READING = Reading(read="generate", confidence="verbalised", max_tokens=MAX_TOKENS)
ENDPOINT = "simulated"


def examples(count: int, first: int = 0) -> tuple[Example, ...]:
    choices = ("good", "bad", "neither", "both")
    return tuple(
        Example(f"r{i:06}", f"Review {i}: it works, mostly.", "ABCD"[i % 4], choices=choices)
        for i in range(first, first + count)
    )


def prompts(count: int, first: int = 0) -> list[Prompt]:
    return [Prompt(text=f"{SYSTEM}Manner {i}.", position="system") for i in range(first, first + count)]


def scenario(base_url: str, *, concurrency: int, models: Sequence[str] = (MODEL,)) -> Scenario:
    """One endpoint with every model on it."""
    endpoint = {"base_url": base_url, "limits": {"concurrency": concurrency}}
    return spread({ENDPOINT: endpoint}, dict.fromkeys(models, ENDPOINT))


def spread(endpoints: Mapping[str, object], models: Mapping[str, str]) -> Scenario:
    """These endpoints and models (name: endpoint), under a budget that is counted and never reached."""
    price = {"input_per_million": 0.01, "output_per_million": 0.01}
    data: dict[str, object] = {
        "name": "benchmark",
        "endpoints": endpoints,
        "models": {
            name: {"endpoint": endpoint, "model": name, "price": price} for name, endpoint in models.items()
        },
        "reference": {"model": next(iter(models))},
        "targets": list(models),
        "tasks": {TASK.name: {"data": "none.jsonl", "kind": "multiple_choice"}},
        "stages": {
            "source": {"tasks": [TASK.name], "seed_prompts": [TASK.original]},
            "target": {"tasks": [TASK.name]},
        },
        "budget": {"calls": 10**9, "tokens": 10**12, "usd": 10**6, "minutes": 10**4},
    }
    return Scenario.model_validate(data)


class Watch:
    """Stands between Target and stack; what it hands on is what Target asks. The default does nothing."""

    def around(self, client: ChatClient) -> ChatClient:
        return client


@asynccontextmanager
async def pipeline(
    whole: Scenario,
    *,
    folder: Path,
    splits: Splits,
    clients: Mapping[str, ChatClient] | None = None,
    watch: Watch | None = None,
) -> AsyncGenerator[tuple[Evaluator, Models]]:
    """An evaluator whose scores go all the way to the endpoints; its new ledger lies in `folder`."""
    watch = watch or Watch()
    readings = {(TASK.name, name): READING for name in whole.targets}
    async with (
        open_ledger(folder / "ledger.sqlite") as ledger,
        open_models(whole, ledger=ledger, budget=Budget(whole.budget), clients=clients) as opened,
        InProcessBus() as bus,
        anyio.create_task_group() as tasks,
    ):
        scorer = Scorer(bus, tasks={TASK.name: TASK}, readings=readings)
        for name in whole.targets:
            client = watch.around(opened.client(name, "target"))
            target = Target(
                bus,
                name=name,
                client=client,
                sampling=Sampling(name),
                tasks={TASK.name: TASK},
                readings={TASK.name: READING},
            )
            await target.start(tasks, workers=_workers(whole, name))
            await scorer.start(tasks, model=name, workers=_workers(whole, name))
        yield (
            Evaluator(
                bus,
                Record(History(None), bus),
                splits={TASK.name: splits},
                objective=Objective.of(whole.scorer),
                max_failed=0.02,
                seed=1,
            ),
            opened,
        )
        tasks.cancel_scope.cancel()


def _workers(whole: Scenario, model: str) -> int:
    """As many as a team gives to a model."""
    return 2 * whole.endpoint_of(model).limits.concurrency
