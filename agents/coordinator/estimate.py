"""Estimate of a run before it starts: calls, tokens, money and time under the limits."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import reduce

import msgspec

from ... import prompts
from ...runtime.llm.budget.usage import AgentRole
from ...runtime.llm.chat import Message
from ...runtime.llm.probes import PROBE
from ...runtime.llm.stack import used_models
from ...runtime.search.candidates import Pair
from ...runtime.tasks.load import LoadedTask
from ...runtime.tasks.task import Reading, messages
from ...scenarios import Budget, Scenario
from ..judge.rubrics import Judging
from ..loading import probed
from ..reference.strategies import Strategy
from ..scorer import Readings
from .plan import Asked, Calls, Plan, hosted, original, originals, source_plan, target_plans, tested_beside

CHARACTERS_PER_TOKEN = 3.5
"""English under the tokenizers of today's models; other scripts take more tokens."""

SECONDS_PER_CALL = 1.0
"""Assumed where only concurrency limits an endpoint."""

ANSWER_TOKENS = 16
"""What a generated answer of two lines comes to."""

RATING_TOKENS = 8
"""What one rating of the judge comes to."""

SAMPLED_ROWS = 20


class Part(msgspec.Struct, frozen=True):
    """One stage's calls to one model in one role; at most, for equal prompts are never asked twice."""

    stage: str
    role: AgentRole
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float


class Estimate(msgspec.Struct, frozen=True):
    """The parts of a run, their sums, the seconds they take under the limits, and what all this rests on."""

    parts: tuple[Part, ...]
    calls: int
    tokens: int
    usd: float
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
    """Upper bounds on calls, and from them tokens, USD and seconds; no call is made."""
    parts = tuple(_Reckoning(scenario, strategy, loaded, readings, judging).parts())
    seconds, slowest = _time(scenario, parts)
    calls = sum(part.calls for part in parts)
    tokens = sum(part.prompt_tokens + part.completion_tokens for part in parts)
    usd = sum(part.usd for part in parts)
    return Estimate(
        parts=parts,
        calls=calls,
        tokens=tokens,
        usd=usd,
        seconds=seconds,
        slowest=slowest,
        assumptions=(
            *_compared(scenario),
            *_capped(scenario.budget, calls=calls, tokens=tokens, usd=usd, minutes=seconds / 60),
            *_assumptions(scenario, judging),
        ),
    )


def uncounted(scenario: Scenario) -> Iterable[str]:
    """A warning for each model in use that costs nothing under `budget.usd` for want of a price; a model run
    here needs none."""
    if scenario.budget.usd is None:
        return
    for name in used_models(scenario):
        model = scenario.models[name]
        here = scenario.endpoints[model.endpoint].local is not None
        if not here and "price" not in model.model_fields_set:
            yield f"budget.usd counts nothing for model {name!r}: it has no price"


class _Reckoning:
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
        self._calls = Calls(loaded, readings, judging)

    def parts(self) -> Iterable[Part]:
        scenario = self._scenario
        yield from (self._probed(model) for model in hosted(scenario) if probed(scenario, model))
        source, targets = source_plan(scenario, self._strategy), target_plans(scenario, self._strategy)
        for plan in (*([] if source is None else [source]), *targets):
            kept = source.keep if source is not None and plan.stage == "target" else 0
            seeds = len(originals(scenario, (self._loaded[name].task for name in plan.tasks))) + kept
            yield self._written(plan)
            asked = self._calls.search(plan, seeds) + self._calls.choice(plan)
            yield from self._answered(plan.scope, asked.answers)
            yield from self._rated(plan.scope, asked)
        others = tested_beside(scenario, self._strategy, len(targets))
        tested = reduce(Asked.__add__, (self._calls.test(plan, others) for plan in targets))
        yield from self._answered("test", tested.answers)
        yield from self._rated("test", tested)

    def _probed(self, model: str) -> Part:
        return self._part("start", "target", model, 1, round(len(PROBE) / CHARACTERS_PER_TOKEN), 1)

    def _written(self, plan: Plan) -> Part:
        settings = self._scenario.reference
        noted = plan.pace.steps if plan.pace.notes else 0
        calls = plan.pace.steps * plan.pace.draws + noted
        seed = len(self._scenario.stages.source.seed_prompts[0])
        rows = [row for task in plan.tasks for row in self._loaded[task].splits.train[:SAMPLED_ROWS]]
        row = sum(len(row.context) + len(row.question) for row in rows) / len(rows)
        shown = settings.history * 2 * seed + (settings.exemplars * len(plan.tasks) + settings.failures) * row
        asked = (len(prompts.template("improve")) + shown) / CHARACTERS_PER_TOKEN
        told = settings.max_tokens / 2
        return self._part(
            plan.scope, "reference", settings.model, calls, round(calls * asked), round(calls * told)
        )

    def _answered(self, stage: str, counts: Mapping[Pair, int]) -> Iterable[Part]:
        by_model: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for (task, model), calls in counts.items():
            reading = self._readings[task, model]
            by_model[model].append((calls, self._row_tokens(task, reading), _completion(reading)))
        for model, rows in by_model.items():
            calls = sum(count for count, _, _ in rows)
            asked = sum(count * tokens for count, tokens, _ in rows)
            told = sum(count * tokens for count, _, tokens in rows)
            yield self._part(stage, "target", model, calls, asked, told)

    def _rated(self, stage: str, asked: Asked) -> Iterable[Part]:
        model = self._scenario.scorer.model
        calls = asked.ratings.total() + asked.words
        if model is None or not calls:
            return
        form = len(prompts.template("judge_response")) / CHARACTERS_PER_TOKEN
        shown = sum(count * self._shown_tokens(task) for task, count in asked.ratings.items())
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

    def _part(self, stage: str, role: AgentRole, model: str, calls: int, asked: int, told: int) -> Part:
        price = self._scenario.models[model].price
        usd = (asked * price.input_per_million + told * price.output_per_million) / 1e6
        return Part(stage, role, model, calls, asked, told, usd)


def _completion(reading: Reading) -> int:
    return 1 if reading.read == "likelihood" else min(reading.max_tokens, ANSWER_TOKENS)


def _characters(turns: Iterable[Message]) -> int:
    return sum(len(turn.content) for turn in turns)


def _time(scenario: Scenario, parts: Iterable[Part]) -> tuple[float, str]:
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
        variants, seeds = len(scenario.compare.variants), len(scenario.compare.seeds)
        yield (
            f"one run, as the scenario stands; compare takes {variants * seeds} ({variants} variants, "
            f"{seeds} seeds), which share a call ledger"
        )


def _capped(budget: Budget, **reckoned: float) -> Iterable[str]:
    """Which caps would end a run before it took all this."""
    for unit, most in reckoned.items():
        cap = getattr(budget, unit)
        if cap is not None and cap < most:
            yield f"the budget ends the run at {cap:,} {'USD' if unit == 'usd' else unit}"


def _assumptions(scenario: Scenario, judging: Judging) -> tuple[str, ...]:
    prices = [model.price for model in scenario.models.values()]
    priced = any(price.input_per_million or price.output_per_million for price in prices)
    return (
        "an upper bound on calls: every step is taken and proposes only new candidates, and no paired test "
        "stops one; nothing is replayed or retried",
        f"{CHARACTERS_PER_TOKEN:g} characters a token; rows as rendered under the original prompt",
        f"{ANSWER_TOKENS} tokens a generated answer, half of max_tokens a candidate",
        *([f"{RATING_TOKENS} tokens a rating of the judge"] if judging.rates else []),
        f"{SECONDS_PER_CALL:g} s a call where only concurrency limits",
        *uncounted(scenario),
        "prices as the scenario gives them" if priced else "no prices given: 0 USD",
    )
