"""Estimate of a run before it starts: what its budget buys, in calls, tokens, money and time under the
limits."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import reduce

import msgspec

from ... import prompts
from ...runtime.llm.budget.usage import AgentRole
from ...runtime.llm.chat import Message
from ...runtime.llm.probes import PROBE
from ...runtime.llm.stack import used_models
from ...runtime.search.rows import MOST_ROWS
from ...runtime.search.scores import Pair
from ...runtime.tasks.load import LoadedTask
from ...runtime.tasks.task import Reading, messages
from ...scenarios import Scenario
from ..judge.rubrics import Judging
from ..loading import probed
from ..reference.strategies import Strategy
from ..scorer import Readings
from .allotment import Allotment, Amount
from .plan import (
    CallCounts,
    Plan,
    PlannedCalls,
    hosted,
    original,
    source_plan,
    target_plans,
    tested_beside,
)
from .requests import NOTE_EVERY
from .supply import AHEAD, ROWS_PER_CANDIDATE

CHARACTERS_PER_TOKEN = 3.5
"""English under the tokenizers of today's models; other scripts take more tokens."""

SECONDS_PER_CALL = 1.0
"""Assumed where only concurrency limits an endpoint."""

ANSWER_TOKENS = 16
"""Tokens of a generated answer of two lines."""

RATING_TOKENS = 8
"""Tokens of one rating of the judge."""

SAMPLED_ROWS = 20


class EstimatedCalls(msgspec.Struct, frozen=True):
    """One stage's calls to one model in one role; at most, for equal prompts are never asked twice. `usd` is
    None where the price of the model is not known."""

    stage: str
    role: AgentRole
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None


class SearchEstimate(msgspec.Struct, frozen=True):
    """Limits of one search: rows answered, and candidates seen at most."""

    scope: str
    rows: int
    candidates: int


class Estimate(msgspec.Struct, frozen=True):
    """The searches and parts of a run, their sums, the time they take under the limits, and assumptions.

    `usd` is the cost of the parts with a known price, None where there is none.
    """

    searches: tuple[SearchEstimate, ...]
    parts: tuple[EstimatedCalls, ...]
    calls: int
    tokens: int
    usd: float | None
    seconds: float
    slowest: str
    assumptions: tuple[str, ...]


def estimate(
    scenario: Scenario,
    strategy: Strategy,
    loaded: Mapping[str, LoadedTask],
    readings: Readings,
    judging: Judging,
) -> Estimate:
    """Estimate what the budget buys: calls, and from them tokens, USD and seconds; no call is made."""
    work = _Estimation(scenario, strategy, loaded, readings, judging)
    searches = work.searches()
    parts = tuple(work.parts(searches))
    seconds, slowest = _time(scenario, parts)
    known = [part.usd for part in parts if part.usd is not None]
    return Estimate(
        searches=tuple(SearchEstimate(plan.scope, rows, seen) for plan, rows, seen in searches),
        parts=parts,
        calls=sum(part.calls for part in parts),
        tokens=sum(part.prompt_tokens + part.completion_tokens for part in parts),
        usd=sum(known) if known else None,
        seconds=seconds,
        slowest=slowest,
        assumptions=(*_compared(scenario), *_assumptions(scenario, judging)),
    )


def unpriced(scenario: Scenario) -> Iterable[str]:
    """A warning for each model in use that costs nothing under `budget.usd` because no price is set; a local
    model needs none."""
    if scenario.budget.usd is None:
        return
    for name in used_models(scenario):
        if scenario.endpoint_of(name).local is None and not _priced(scenario, name):
            yield f"budget.usd excludes model {name!r}: it has no price"


def _priced(scenario: Scenario, model: str) -> bool:
    return "price" in scenario.models[model].model_fields_set


class _Estimation:
    def __init__(
        self,
        scenario: Scenario,
        strategy: Strategy,
        loaded: Mapping[str, LoadedTask],
        readings: Readings,
        judging: Judging,
    ) -> None:
        self._scenario = scenario
        self._strategy = strategy
        self._loaded = loaded
        self._readings = readings
        self._judging = judging
        self._counts = CallCounts(loaded, readings, judging)
        self._targets = target_plans(scenario, strategy)
        others = tested_beside(scenario, strategy, len(self._targets))
        self._test = reduce(PlannedCalls.__add__, (self._counts.test(plan, others) for plan in self._targets))

    def searches(self) -> list[tuple[Plan, int, int]]:
        """Every search with the rows of each task it can have answered, and the candidates it can see."""
        scenario = self._scenario
        targets = sum(len(plan.models) for plan in self._targets)
        allotment = Allotment.of(
            scenario.budget,
            scenario.search_rows(targets),
            spent=Amount(),
            reserve=self._test.total(),
        )
        source = source_plan(scenario, self._strategy)
        share = scenario.stages.source.share if source is not None else 0.0
        found: list[tuple[Plan, int, int]] = []
        if source is not None:
            found.append(self._searched(source, allotment.times(self._row(source)) * share))
        for plan in self._targets:
            left = allotment.times(self._row(plan)) * (1 - share) / len(self._targets)
            found.append(self._searched(plan, left))
        return found

    def _searched(self, plan: Plan, rows: float) -> tuple[Plan, int, int]:
        places = max(
            len(self._loaded[task].splits.train) + len(self._loaded[task].splits.validation)
            for task in plan.tasks
        )
        places = min(places, MOST_ROWS)
        rows = rows if math.isfinite(rows) else float(1000 * places)
        if self._strategy.proposals == 0:
            return plan, int(min(rows, places)), 1
        seen = 1 + AHEAD + int(rows / ROWS_PER_CANDIDATE)
        if plan.most is not None:
            seen = min(seen, 1 + plan.most)
        if plan.proposals is not None:
            seen = min(seen, 1 + plan.proposals * plan.per_reply)
        return plan, int(min(rows, seen * places)), seen

    def _row(self, plan: Plan) -> Amount:
        calls = self._counts.rows(plan, 1)
        tokens = usd = 0.0
        for (task, model), count in calls.answers.items():
            reading = self._readings[task, model]
            asked, answered = self._row_tokens(task, reading), _completion(reading)
            tokens += count * (asked + answered)
            usd += count * self._scenario.models[model].price.usd(asked, answered)
        written = 1 / (ROWS_PER_CANDIDATE * plan.per_reply)
        return Amount(calls.total() + written, len(calls.answers), tokens, usd)

    def parts(self, searches: Iterable[tuple[Plan, int, int]]) -> Iterable[EstimatedCalls]:
        scenario = self._scenario
        yield from (self._probed(model) for model in hosted(scenario) if probed(scenario, model))
        for plan, rows, seen in searches:
            if seen > 1:
                notes = seen // NOTE_EVERY if plan.notes else 0
                yield self._written(plan, math.ceil((seen - 1) / plan.per_reply) + notes)
            planned = self._counts.rows(plan, rows)
            yield from self._answered(plan.scope, planned.answers)
            yield from self._rated(plan.scope, planned)
        yield from self._answered("test", self._test.answers)
        yield from self._rated("test", self._test)

    def _probed(self, model: str) -> EstimatedCalls:
        return self._part("start", "target", model, 1, round(len(PROBE) / CHARACTERS_PER_TOKEN), 1)

    def _written(self, plan: Plan, calls: int) -> EstimatedCalls:
        settings = self._scenario.reference
        seed = len(self._scenario.seed_prompts[0])
        rows = [row for task in plan.tasks for row in self._loaded[task].splits.train[:SAMPLED_ROWS]]
        row = sum(len(row.context) + len(row.question) for row in rows) / len(rows)
        shown = settings.history * 2 * seed + (settings.exemplars * len(plan.tasks) + settings.failures) * row
        asked = (len(prompts.template("improve")) + shown) / CHARACTERS_PER_TOKEN
        written = (
            min(settings.max_tokens, plan.per_reply * settings.max_characters / CHARACTERS_PER_TOKEN) / 2
        )
        return self._part(
            plan.scope, "reference", settings.model, calls, round(calls * asked), round(calls * written)
        )

    def _answered(self, stage: str, counts: Mapping[Pair, int]) -> Iterable[EstimatedCalls]:
        by_model: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for (task, model), calls in counts.items():
            reading = self._readings[task, model]
            by_model[model].append((calls, self._row_tokens(task, reading), _completion(reading)))
        for model, rows in by_model.items():
            calls = sum(count for count, _, _ in rows)
            asked = sum(count * tokens for count, tokens, _ in rows)
            answered = sum(count * tokens for count, _, tokens in rows)
            if calls:
                yield self._part(stage, "target", model, calls, asked, answered)

    def _rated(self, stage: str, planned: PlannedCalls) -> Iterable[EstimatedCalls]:
        model = self._scenario.scorer.model
        calls = planned.ratings.total() + planned.prompt_ratings
        if model is None or not calls:
            return
        form = len(prompts.template("judge_response")) / CHARACTERS_PER_TOKEN
        shown = sum(count * self._shown_tokens(task) for task, count in planned.ratings.items())
        rubrics = {**self._judging.responses, **self._judging.prompts}
        form += sum(map(len, rubrics.values())) / CHARACTERS_PER_TOKEN
        yield self._part(
            stage, "scorer", model, calls, round(calls * form + shown), calls * RATING_TOKENS * len(rubrics)
        )

    def _shown_tokens(self, task: str) -> int:
        """A row as a target is asked it, and its answer."""
        readings = [reading for (name, _), reading in self._readings.items() if name == task]
        return max(self._row_tokens(task, reading) + _completion(reading) for reading in readings)

    def _row_tokens(self, task: str, reading: Reading) -> int:
        loaded = self._loaded[task]
        prompt = original(self._scenario, loaded.task.original)
        rows = loaded.splits.train[:SAMPLED_ROWS]
        sizes = [_characters(messages(loaded.task, prompt, row.asked(), reading)) for row in rows]
        return round(sum(sizes) / len(sizes) / CHARACTERS_PER_TOKEN)

    def _part(
        self, stage: str, role: AgentRole, model: str, calls: int, asked: int, answered: int
    ) -> EstimatedCalls:
        batched = stage == "test" and role == "target" and self._scenario.endpoint_of(model).batch is not None
        price = self._scenario.models[model].price
        usd = price.usd(asked, answered, batched=batched) if _priced(self._scenario, model) else None
        return EstimatedCalls(stage, role, model, calls, asked, answered, usd)


def row_characters(
    scenario: Scenario, loaded: Mapping[str, LoadedTask], readings: Readings
) -> dict[str, float]:
    """Mean characters of the messages that ask one row of each task under its original prompt."""
    found: dict[str, float] = {}
    for (name, _), reading in readings.items():
        task = loaded[name]
        prompt = original(scenario, task.task.original)
        rows = task.splits.train[:SAMPLED_ROWS]
        sizes = [_characters(messages(task.task, prompt, row.asked(), reading)) for row in rows]
        found[name] = sum(sizes) / len(sizes)
    return found


def _completion(reading: Reading) -> int:
    return 1 if reading.read == "likelihood" else min(reading.max_tokens, ANSWER_TOKENS)


def _characters(turns: Iterable[Message]) -> int:
    return sum(len(turn.content) for turn in turns)


def _time(scenario: Scenario, parts: Iterable[EstimatedCalls]) -> tuple[float, str]:
    """The seconds of the slowest model under its limits, and what limits it.

    Entries of `models` that are one model of one endpoint share its limits.
    """
    calls: dict[tuple[str, str], int] = defaultdict(int)
    tokens: dict[tuple[str, str], int] = defaultdict(int)
    names: dict[tuple[str, str], str] = {}
    for part in parts:
        spec = scenario.models[part.model]
        shared = (spec.endpoint, spec.model)
        names.setdefault(shared, part.model)
        calls[shared] += part.calls
        tokens[shared] += part.prompt_tokens + part.completion_tokens
    times: list[tuple[float, str]] = []
    for shared, name in names.items():
        limits = scenario.endpoints[shared[0]].limits
        times.append((calls[shared] * SECONDS_PER_CALL / limits.concurrency, f"the concurrency of {name}"))
        if limits.requests_per_minute:
            times.append((60 * calls[shared] / limits.requests_per_minute, f"the requests/minute of {name}"))
        if limits.tokens_per_minute:
            times.append((60 * tokens[shared] / limits.tokens_per_minute, f"the tokens/minute of {name}"))
    return max(times, default=(0.0, "nothing"))


def _compared(scenario: Scenario) -> Iterable[str]:
    if scenario.compare is not None:
        variants, seeds = max(1, len(scenario.compare.variants)), len(scenario.compare.seeds)
        yield (
            f"one run, as the scenario stands; compare takes {variants * seeds} ({variants} variants, "
            f"{seeds} seeds), which share a call ledger"
        )


def _prices(scenario: Scenario) -> str:
    used = [*used_models(scenario)]
    without = [name for name in used if not _priced(scenario, name)]
    if not without:
        return "prices as the scenario gives them"
    if len(without) == len(used):
        return "no prices given, so the cost is not estimated"
    return f"prices as the scenario gives them; no price, so not included: {', '.join(without)}"


def _assumptions(scenario: Scenario, judging: Judging) -> tuple[str, ...]:
    return (
        "the search spends the budget less the final test; candidates are the most it can see; nothing is "
        "replayed or retried",
        f"{CHARACTERS_PER_TOKEN:g} characters a token; rows as rendered under the original prompt",
        f"{ANSWER_TOKENS} tokens a generated answer, half of the most a reply may hold for candidates",
        *([f"{RATING_TOKENS} tokens a rating of the judge"] if judging.rates else []),
        f"{SECONDS_PER_CALL:g} s a call where only concurrency limits",
        *unpriced(scenario),
        _prices(scenario),
        *(
            f"the final test of {name} waits for its batches, up to {batch.window}"
            for name in hosted(scenario)
            if (batch := scenario.endpoint_of(name).batch) is not None
        ),
    )
