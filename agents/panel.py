"""The panel: every task and model a prompt is scored on, asked at once."""

from collections.abc import Mapping, Sequence

import msgspec

from ..runtime.bus import Bus
from ..runtime.concurrency import Done, settle
from ..runtime.errors import BudgetReached, EndpointError
from ..runtime.evaluation.evaluate import evaluate
from ..runtime.evaluation.objective import Objective
from ..runtime.evaluation.outcomes import Outcomes
from ..runtime.evaluation.ratings import Rated
from ..runtime.evaluation.scorecard import Scorecard
from ..runtime.prompt import Prompt
from ..runtime.search.pool import Scores, mean_objective
from ..runtime.tasks.example import Example, Splits
from .messages import ProblemMet, Score, Scored, Split
from .record import Record

Pair = tuple[str, str]
"""A task and a model."""


class Verdict(msgspec.Struct, frozen=True):
    """What is known of a prompt: by (task, model) what its answers came to, and the ratings of its own words.

    A pure value over the rows answered so far; `Panel.cards` makes scorecards of it.
    """

    scored: dict[Pair, Scored]
    rated: Rated | None = None

    @property
    def outcomes(self) -> dict[Pair, Outcomes]:
        return {pair: scored.outcomes for pair, scored in self.scored.items()}

    def merged(self, other: "Verdict") -> "Verdict":
        """Both together; ValueError when an example is in both for the same task and model."""
        scored = dict(self.scored)
        for pair, more in other.scored.items():
            scored[pair] = scored[pair].merged(more) if pair in scored else more
        return Verdict(scored, self.rated or other.rated)


class Panel:
    """Scores prompts over tasks and models through the Scorer.

    It holds the rows of every split and hands out exactly those that are asked for. A model whose endpoint
    cannot be used is lost: said once, left out from then on, and no hindrance to the others.
    """

    def __init__(
        self,
        bus: Bus,
        record: Record,
        *,
        splits: Mapping[str, Splits],
        objective: Objective,
        max_failed: float,
        seed: int,
    ) -> None:
        self.max_failed = max_failed
        self.lost: dict[str, str] = {}
        self._bus = bus
        self._record = record
        self._splits = splits
        self._objective = objective
        self._seed = seed

    def measure(self, scores: Scores) -> float | None:
        """The mean objective over the models that are not lost."""
        return mean_objective(scores, max_failed=self.max_failed, without=self.lost)

    def rows(self, task: str, split: Split) -> tuple[Example, ...]:
        splits = self._splits[task]
        return {"train": splits.train, "validation": splits.validation, "test": splits.test}[split]

    def sizes(self, task: str) -> tuple[int, int, int]:
        """Rows in train, validation and test."""
        splits = self._splits[task]
        return len(splits.train), len(splits.validation), len(splits.test)

    async def score(
        self,
        prompt: Prompt,
        rows: Mapping[str, Sequence[Example]],
        *,
        models: Sequence[str],
        responses: int = 0,
    ) -> Verdict:
        """The prompt on these rows, by task, with every model that is not lost.

        The `responses` worst of each pair are kept. Raises BudgetReached, once those in flight have ended.
        """
        pairs = [(task, model) for task in rows for model in models if model not in self.lost]

        async def one(pair: Pair) -> Scored:
            task, model = pair
            return await self._bus.ask(
                Score(prompt=prompt, task=task, model=model, examples=tuple(rows[task]), responses=responses)
            )

        ends = await settle(pairs, one, limit=max(1, len(pairs)), catch=(BudgetReached, EndpointError))
        scored: dict[Pair, Scored] = {}
        spent: BudgetReached | None = None
        for pair, end in zip(pairs, ends, strict=True):
            if isinstance(end, Done):
                scored[pair] = end.value
            elif isinstance(end.error, BudgetReached):
                spent = end.error
            else:
                await self.lose(pair[1], str(end.error))
        if spent is not None:
            raise spent
        return Verdict(scored)

    def cards(self, verdict: Verdict, *, intervals: bool = False) -> Scores:
        """The scorecards of all rows answered so far; equal verdicts give equal scorecards."""
        scores: dict[str, dict[str, Scorecard]] = {}
        for (task, model), scored in verdict.scored.items():
            card = evaluate(scored.outcomes, self._objective, seed=self._seed, intervals=intervals)
            scores.setdefault(task, {})[model] = card
        return scores

    async def lose(self, model: str, reason: str) -> None:
        """Leave a model out from now on, and say why, once."""
        if model not in self.lost:
            self.lost[model] = reason
            await self._record(ProblemMet(scope=model, problem=f"target {model} is lost: {reason}"))
