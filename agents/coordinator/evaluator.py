"""Evaluation of prompts over every task and model of a search, asked for at once."""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from ...runtime.bus import Bus
from ...runtime.concurrency import Done, settle
from ...runtime.errors import UNUSABLE, BudgetReached
from ...runtime.evaluation.evaluate import evaluate
from ...runtime.evaluation.objective import Objective
from ...runtime.evaluation.outcomes import Outcomes
from ...runtime.evaluation.ratings import Preference, Rated, Reliability, preference
from ...runtime.evaluation.scorecard import Scorecard
from ...runtime.messages import Compare, JudgePrompt, ProblemMet, Score, Scored, Split
from ...runtime.prompt import Prompt
from ...runtime.record.history import Record
from ...runtime.search.candidates import Pair, Scores, feasible, mean_objective
from ...runtime.tasks.example import Example, Splits
from ..judge.rubrics import Judging


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
        return Verdict(scored, self.rated if _usable(self.rated) else other.rated)


class Panel:
    """Scores prompts over tasks and models through the Scorer.

    It holds the rows of every split and hands out exactly those that are asked for. A model whose endpoint
    cannot be used is lost: said once, left out from then on, and no hindrance to the others. Of each split
    the same rows are judged for every prompt, whatever the blocks they are asked in.
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
        self.lost: dict[str, str] = {}
        self.unrated: str | None = None
        self._bus = bus
        self._record = record
        self._splits = splits
        self._objective = objective
        self._seed = seed
        self._judging = judging or Judging()
        self._judged = {task: self._judging.drawn(task, rows, seed) for task, rows in splits.items()}
        self._words: dict[str, Rated] = {}
        self._unmeasured: frozenset[str] = frozenset()

    @property
    def impaired(self) -> bool:
        """Whether something that the run was to measure could not be: a target, or a weighed rating."""
        return bool(self.lost or self._unmeasured)

    def measure(self, scores: Scores) -> float | None:
        """The mean objective over the models that are not lost.

        None where it must not decide: too many calls failed, or a quality that it weighs was to be rated and
        too few ratings were usable. Sharing out the weight of those would let the judge's failures choose.
        """
        cards = (
            card for models in scores.values() for model, card in models.items() if model not in self.lost
        )
        if any(card.judged.get(name, 0.0) is None for card in cards for name in self._judging.weighed):
            return None
        return mean_objective(scores, max_failed=self.max_failed, without=self.lost)

    def feasible(self, scores: Scores) -> bool:
        """Whether every required bound is met on every task, with every model that is not lost."""
        return feasible(scores, without=self.lost)

    def able(self, verdict: Verdict) -> bool:
        """Whether every required bound is met on the rows answered so far."""
        return not self._objective.require or self.feasible(self.cards(verdict))

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
        final: bool = False,
    ) -> Verdict:
        """The prompt on these rows, by task, with every model that is not lost.

        The `responses` worst of each pair are kept. Ratings are asked for where the objective or a bound
        needs them; in the `final` test all of them are. Raises BudgetReached, once the pairs in flight have
        ended.
        """
        pairs = [(task, model) for task in rows for model in models if model not in self.lost]
        wanted = self._judging.wants(self._judging.responses, final=final)

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
                )
            )

        ends = await settle(pairs, one, limit=max(1, len(pairs)), catch=(BudgetReached, *UNUSABLE))
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
        verdict = Verdict(scored, await self._words_of(prompt, final))
        await self._check_ratings(verdict)
        return verdict

    async def compare(self, one: Scored, other: Scored) -> Preference | None:
        """How often the judge prefers the responses of `one`, over the rows of which both hold exhibits.

        Equal responses are tied without being asked about. None where the judge rates no responses. Raises
        BudgetReached.
        """
        if not self._judging.responses:
            return None
        others = {shown.example: shown for shown in other.exhibits}
        pairs = [(shown, others[shown.example]) for shown in one.exhibits if shown.example in others]
        differing = tuple(pair for pair in pairs if pair[0].response != pair[1].response)
        rated = (await self._bus.ask(Compare(pairs=differing))).rated if differing else ()
        return preference(rated, "one", "other", same=len(pairs) - len(differing))

    def cards(self, verdict: Verdict, *, intervals: bool = False) -> Scores:
        """The scorecards of all rows answered so far; equal verdicts give equal scorecards."""
        judging = self._judging
        scores: dict[str, dict[str, Scorecard]] = {}
        for (task, model), scored in verdict.scored.items():
            own = {name: scored.own[name].value if name in scored.own else None for name in judging.metrics}
            card = evaluate(
                scored.outcomes,
                self._objective,
                seed=self._seed,
                intervals=intervals,
                judged=judging.means(scored.rated, verdict.rated) | own,
                reliability=judging.reliability(scored.rated, verdict.rated),
            )
            scores.setdefault(task, {})[model] = card
        return scores

    async def _words_of(self, prompt: Prompt, final: bool) -> Rated | None:
        """The ratings of the prompt itself, asked for until they are had; None where none are wanted."""
        if not self._judging.wants(self._judging.prompts, final=final):
            return None
        if prompt.id not in self._words:
            rated = await self._bus.ask(JudgePrompt(prompt=prompt))
            if not _usable(rated):
                return rated
            self._words[prompt.id] = rated
        return self._words[prompt.id]

    async def _check_ratings(self, verdict: Verdict) -> None:
        """Say once when too few of the ratings that were asked for can be used."""
        for scored in verdict.scored.values():
            lacking = self._judging.lacking(scored.rated, verdict.rated)
            self._unmeasured |= lacking & self._judging.weighed
            if lacking and self.unrated is None:
                self.unrated = _unrated(lacking, self._judging.reliability(scored.rated, verdict.rated))
                await self._record(ProblemMet(scope="judge", problem=self.unrated))

    async def lose(self, model: str, reason: str) -> None:
        """Leave a model out from now on, and say why, once."""
        if model not in self.lost:
            self.lost[model] = reason
            await self._record(ProblemMet(scope=model, problem=f"target {model} is lost: {reason}"))


def _usable(rated: Rated | None) -> bool:
    return rated is not None and bool(rated.first or rated.second)


def _unrated(names: Collection[str], told: Reliability | None) -> str:
    unusable = told.unusable if told else {}
    reasons = "; ".join(f"{count} ratings: {reason}" for reason, count in unusable.items())
    return f"too few of the judge's ratings of {', '.join(sorted(names))} can be used ({reasons})"
