"""Evaluation of prompts over every task and model of a search, all pairs asked for at once."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from ...runtime.bus import Bus
from ...runtime.concurrency import settle
from ...runtime.errors import UNUSABLE, BudgetReached, OutOfQuota, QuotaExhausted
from ...runtime.evaluation.evaluate import evaluate
from ...runtime.evaluation.objective import Objective
from ...runtime.evaluation.outcomes import FLAWED, FLAWS, Failed, Flaw, Graded, Outcomes
from ...runtime.evaluation.ratings import Preference, Rated, Reliability, preference
from ...runtime.evaluation.scorecard import Scorecard
from ...runtime.messages import CompareResponses, JudgePrompt, ProblemMet, Score, Scored
from ...runtime.prompt import Prompt
from ...runtime.record.history import Record
from ...runtime.search.scores import Pair, Scores, feasible, mean_objective
from ...runtime.tasks.example import Example, Splits
from ..judge.rubrics import Judging

REASON_CHARACTERS = 200
"""Characters of a failed call's reason by which causes are distinguished."""

ALIKE = 4
"""First calls of a model that fail for one reason, after which it is lost."""

Split = Literal["train", "validation", "test"]

K = TypeVar("K", bound=tuple[str, str])


class Evaluation(msgspec.Struct, frozen=True):
    """A prompt and its results so far: answers by (task, model), and the judge's rating of its own words.

    A pure value over the rows answered; `Evaluator.cards` makes scorecards of it.
    """

    prompt: Prompt
    scored: dict[Pair, Scored] = {}
    rated: Rated | None = None

    @property
    def outcomes(self) -> dict[Pair, Outcomes]:
        return {pair: scored.outcomes for pair, scored in self.scored.items()}

    def merged(self, other: "Evaluation") -> "Evaluation":
        """Both together; ValueError when an example is in both for the same task and model."""
        scored = dict(self.scored)
        for pair, more in other.scored.items():
            scored[pair] = scored[pair].merged(more) if pair in scored else more
        return Evaluation(self.prompt, scored, self.rated if _usable(self.rated) else other.rated)


class Evaluator:
    """Scores prompts over tasks and models through the Scorer.

    It holds the rows of every split and hands out exactly those that are asked for. A model whose endpoint
    cannot be used is lost: reported once, left out from then on, and the others go on. The same rows of each
    split are judged for every prompt, regardless of the blocks they are asked in.
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
        judging: Judging | None = None,
    ) -> None:
        self.max_failed = max_failed
        self.objective = objective
        self.judging = judging or Judging()
        self.lost: dict[str, str] = {}
        self.unrated: str | None = None
        self.quota: str | None = None
        self._bus = bus
        self._record = record
        self._splits = splits
        self._seed = seed
        self._judged = {task: self.judging.drawn(task, rows, seed) for task, rows in splits.items()}
        self._failures: Counter[tuple[str, str]] = Counter()
        self._answered: set[str] = set()
        self._replies: Counter[str] = Counter()
        self._flaws: Counter[tuple[str, Flaw]] = Counter()
        self._word_ratings: dict[str, Rated] = {}
        self._unmeasured: frozenset[str] = frozenset()

    @property
    def impaired(self) -> bool:
        """True when a target or a weighed rating that the run was to measure could not be measured."""
        return bool(self.lost or self._unmeasured)

    def measure(self, scores: Scores) -> float | None:
        """The mean objective over the models that are not lost.

        None where it must not decide: too many calls failed, or a quality that it weighs was to be rated and
        too few ratings were usable. Sharing out the weight of those would let the judge's failures choose.
        """
        cards = (
            card for models in scores.values() for model, card in models.items() if model not in self.lost
        )
        if any(card.judged.get(name, 0.0) is None for card in cards for name in self.judging.weighed):
            return None
        return mean_objective(scores, max_failed=self.max_failed, without=self.lost)

    def feasible(self, scores: Scores) -> bool:
        """True when every required bound is met on every task, with every model that is not lost."""
        return feasible(scores, without=self.lost)

    def rows(self, task: str, split: Split) -> tuple[Example, ...]:
        splits = self._splits[task]
        return {"train": splits.train, "validation": splits.validation, "test": splits.test}[split]

    def search_rows(self, task: str) -> tuple[Example, ...]:
        """The rows that candidates are compared on: train and validation."""
        return self.rows(task, "train") + self.rows(task, "validation")

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
        final: bool = False,
    ) -> Evaluation:
        """The prompt on these rows, by task, with every model that is not lost.

        The `responses` worst of each pair are kept. Ratings are asked for where the objective or a bound
        needs them; in the `final` test all of them are. Raises BudgetReached, once the pairs in flight have
        ended.
        """
        pairs = [(task, model) for task in rows if rows[task] for model in models if model not in self.lost]
        wanted = self.judging.wants(self.judging.responses, final=final)

        async def one(pair: Pair) -> Scored:
            task, model = pair
            return await self._bus.ask(
                Score(
                    prompt=prompt,
                    task=task,
                    model=model,
                    examples=tuple(rows[task]),
                    responses=responses,
                    judged=tuple(row.id for row in rows[task] if wanted and row.id in self._judged[task]),
                    final=final,
                )
            )

        ends = await settle(pairs, one, limit=max(1, len(pairs)), catch=(BudgetReached, *UNUSABLE))
        scored: dict[Pair, Scored] = {}
        exhausted: BudgetReached | None = None
        for pair, end in zip(pairs, ends, strict=True):
            if isinstance(end, BudgetReached):
                exhausted = end
            elif isinstance(end, QuotaExhausted):
                await self.report_quota(end)
                exhausted = OutOfQuota(str(end))
            elif isinstance(end, Exception):
                await self.lose(pair[1], str(end))
            else:
                scored[pair] = end
        if exhausted is not None:
            raise exhausted from exhausted.__cause__
        await self._count_failures(scored)
        scored = {pair: one for pair, one in scored.items() if pair[1] not in self.lost}
        evaluation = Evaluation(prompt, scored, await self._rating_of(prompt, final))
        await self._check_ratings(evaluation)
        return evaluation

    async def compare(self, one: Scored, other: Scored) -> Preference | None:
        """Share of rows on which the judge prefers the responses of `one`, over the rows both show to it.

        Equal responses are tied without being asked about. None where the judge rates no responses. Raises
        BudgetReached.
        """
        if not self.judging.responses:
            return None
        others = {shown.example: shown for shown in other.exhibits}
        pairs = [(shown, others[shown.example]) for shown in one.exhibits if shown.example in others]
        differing = tuple(pair for pair in pairs if pair[0].response != pair[1].response)
        rated = (await self._bus.ask(CompareResponses(pairs=differing))).rated if differing else ()
        return preference(rated, "one", "other", same=len(pairs) - len(differing))

    def cards(self, evaluation: Evaluation, *, intervals: bool = False) -> Scores:
        """The scorecards of all rows answered so far; equal evaluations give equal scorecards."""
        judging = self.judging
        scores: dict[str, dict[str, Scorecard]] = {}
        for (task, model), scored in evaluation.scored.items():
            own = {name: scored.own[name].value if name in scored.own else None for name in judging.metrics}
            card = evaluate(
                scored.outcomes,
                self.objective,
                seed=self._seed,
                intervals=intervals,
                judged=judging.means(scored.rated, evaluation.rated) | own,
                reliability=judging.reliability(scored.rated, evaluation.rated),
            )
            scores.setdefault(task, {})[model] = card
        return scores

    async def lose(self, model: str, reason: str) -> None:
        """Leave a model out from now on, and report why, once."""
        if model not in self.lost:
            self.lost[model] = reason
            await self._record(ProblemMet(scope=model, problem=f"target {model} is lost: {reason}"))

    async def report_quota(self, error: QuotaExhausted) -> None:
        """Report once that no credit or quota is left; the run ends as where its own budget is used up."""
        if self.quota is None:
            self.quota = f"quota exhausted: {error}"
            await self._record(ProblemMet(scope="budget", problem=self.quota))

    @property
    def failures(self) -> list[str]:
        """Failed calls grouped by model and cause, and flaws of many replies, the most frequent first."""
        failed = [
            f"{count} call{'s' if count > 1 else ''} of {model} failed: {reason}"
            for (model, reason), count in _frequent_first(self._failures)
        ]
        return failed + [
            f"{count} of {self._replies[model]} replies of {model} {FLAWS[flaw]}"
            for (model, flaw), count in _frequent_first(self._flaws)
            if count > FLAWED * self._replies[model]
        ]

    async def _count_failures(self, scored: Mapping[Pair, Scored]) -> None:
        """Count failed calls by cause, and report each cause when it is met first. A model of which no call
        was ever answered, and at least `ALIKE` in a row failed for one reason, is lost."""
        for (_, model), one in scored.items():
            reasons = [_cause(response) for response in one.responses if isinstance(response, Failed)]
            for reason in reasons:
                if (model, reason) not in self._failures:
                    problem = f"a call of {model} failed: {reason}"
                    await self._record(ProblemMet(scope=model, problem=problem))
                self._failures[model, reason] += 1
            if len(reasons) < len(one.responses):
                self._answered.add(model)
            graded = [response for response in one.responses if isinstance(response, Graded)]
            self._replies[model] += len(graded)
            self._flaws.update((model, response.flaw) for response in graded if response.flaw)
            causes = {reason for other, reason in self._failures if other == model}
            if (
                model not in self._answered
                and len(causes) == 1
                and self._failures[model, reasons[0]] >= ALIKE
            ):
                await self.lose(model, f"all of its calls failed: {reasons[0]}")

    async def _rating_of(self, prompt: Prompt, final: bool) -> Rated | None:
        """The ratings of the prompt itself, asked for until they are usable; None where none are wanted."""
        if not self.judging.wants(self.judging.prompts, final=final):
            return None
        if prompt.id not in self._word_ratings:
            rated = await self._bus.ask(JudgePrompt(prompt=prompt))
            if not _usable(rated):
                return rated
            self._word_ratings[prompt.id] = rated
        return self._word_ratings[prompt.id]

    async def _check_ratings(self, evaluation: Evaluation) -> None:
        """Report once when too few of the ratings that were asked for can be used."""
        for scored in evaluation.scored.values():
            lacking = self.judging.lacking(scored.rated, evaluation.rated)
            self._unmeasured |= lacking & self.judging.weighed
            if lacking and self.unrated is None:
                self.unrated = _unrated(lacking, self.judging.reliability(scored.rated, evaluation.rated))
                await self._record(ProblemMet(scope="judge", problem=self.unrated))


def _cause(failed: Failed) -> str:
    """The reason without what differs from call to call: how often and for how long it was tried."""
    return failed.reason.partition(" (gave up after")[0][:REASON_CHARACTERS]


def _frequent_first(counts: Counter[K]) -> list[tuple[K, int]]:
    """The counts, equal ones by name, so that no order of answers shows."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _usable(rated: Rated | None) -> bool:
    return rated is not None and bool(rated.first or rated.second)


def _unrated(names: Collection[str], found: Reliability | None) -> str:
    unusable = found.unusable if found else {}
    reasons = "; ".join(f"{count} ratings: {reason}" for reason, count in unusable.items())
    return f"too few of the judge's ratings of {', '.join(sorted(names))} can be used ({reasons})"
