"""One search: source prompt construction, or target prompt generation for one task (paper, section 3).

The search decides what to do next from results that were taken in, and takes results in; the scheduler makes
the calls. Both are synchronous but for what they record, so equal orders of results give equal searches.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from ...runtime.evaluation.outcomes import Failed, Graded
from ...runtime.messages import (
    Cost,
    Propose,
    Proposed,
    Reflect,
    SearchEnded,
    SearchStarted,
    Unit,
)
from ...runtime.prompt import Prompt
from ...runtime.search.admission import Admission, Leakage
from ...runtime.search.race import Race
from ...runtime.search.rows import Place, arrange
from ...runtime.search.siblings import Evidence
from ...runtime.tasks.example import Example
from ...runtime.tasks.task import Task
from ._row_scores import Handicaps, row_scores
from .allotment import Amount
from .evaluator import Evaluation, Evaluator
from .plan import Plan
from .requests import RequestBuilder
from .selection import Choice, Selection
from .supply import Supply

SPENT = "the budget is spent"

PROGRESS = 0.005
"""Rise of the best estimate that restarts the patience count: leaders also change by chance."""


class Block(msgspec.Struct, frozen=True):
    """Rows for one prompt to answer: places of the race, and the rows themselves by task."""

    number: int
    prompt: Prompt
    places: tuple[int, ...]
    rows: dict[str, tuple[Example, ...]]


Work = Block | Propose | Reflect


class Search:
    """The state of one search; see `Scheduler` for what drives it.

    `seeds` are the prompts it begins with, the original first. `reason` says why it stopped, `cost` what it
    cost, `exhausted` whether the budget ended it and `failed` whether something else did.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        evaluator: Evaluator,
        tasks: Mapping[str, Task],
        seeds: Sequence[Prompt],
        notes: Sequence[str] = (),
    ) -> None:
        self.plan = plan
        self.reason = ""
        self.exhausted = False
        self.failed = False
        self.refused: Counter[str] = Counter()
        self.cost = Amount()
        self.allotted: int | None = None
        self.unit: Unit = "calls"
        self.offered: dict[str, set[str]] = {}
        self._evaluator = evaluator
        self._places: tuple[Place, ...] = arrange(
            {task: evaluator.search_rows(task) for task in plan.tasks}, seed=plan.seed
        )
        self.race = Race(len(self._places))
        self.prompts: list[Prompt] = []
        self.ids: list[str] = []
        self._by_id: dict[str, Prompt] = {}
        self._numbers: dict[str, int] = {}
        train = {task: {row.id for row in evaluator.rows(task, "train")} for task in plan.tasks}
        seen = [all(row.id in train[task] for task, row in place.items()) for place in self._places]
        self._requests = RequestBuilder(plan, evaluator, tasks, self.race, self._by_id, seen)
        self._requests.notes = tuple(notes)
        self._admission = Admission(_leakage(plan.tasks, evaluator), seeds[0].text if seeds else "")
        self.selection = Selection(evaluator, self.race)
        self._supply = Supply(plan, self.race)
        self._noting = False
        self._leader: int | None = None
        self._since, self._best = 0, -1.0
        self._handicaps = Handicaps(evaluator, self.race)
        for prompt in self._admission.unseen(seeds):
            self._add(prompt)

    @property
    def notes(self) -> tuple[str, ...]:
        """The reference LLM's notes so far."""
        return self._requests.notes

    @property
    def rungs(self) -> tuple[int, ...]:
        """Rows at which results are reported in full: doubling, the last one all rows."""
        rows, rungs = self.plan.block, list[int]()
        while rows < len(self._places):
            rungs.append(rows)
            rows *= 2
        return (*rungs, len(self._places))

    def started(self, allotted: int | None, unit: Unit) -> SearchStarted:
        plan = self.plan
        self.allotted, self.unit = allotted, unit
        return SearchStarted(plan.stage, plan.scope, plan.tasks, plan.models, self.rungs, allotted, unit)

    def ended(self, cost: Cost) -> SearchEnded:
        prompts = tuple(choice.prompt for choice in self.kept)
        return SearchEnded(self.plan.stage, self.plan.scope, prompts, self.reason, cost)

    # -- decisions

    def next(self, left: float, progress: float, row: Amount, window: int) -> Work | None:
        """The next piece of work, None when there is none now.

        `left` is how many rows (of every task, with every model) can still be paid for, `progress` the share
        in [0, 1] of the budget that is behind, `row` the cost of a row, and `window` the rows that may be in
        flight.
        """
        if self.reason:
            return None
        if self._stops():
            return None
        if left < 1:
            self.exhausted, self.reason = True, SPENT
            return None
        reflect = None if self._noting else self._requests.reflect(self._supply.asked)
        if reflect is not None:
            self._noting = True
            return reflect
        if self._supply.wanted(left, row, window):
            count = self._supply.count
            return self._requests.propose(self._supply.ask(), count, progress)
        return self._block(left - self._supply.rows_for_first(left, row))

    def _block(self, left: float) -> Block | None:
        most = len(self._places) if math.isinf(left) else int(left)
        size = len(self._places) if self.plan.full else self.plan.block
        found = self.race.next(most, block=size, without=self._excluded())
        if found is None and not self._supply.writing and not self._in_flight():
            found = self.race.next(most, block=size, without=self._excluded(), last=True)
            if found is None:
                self.exhausted = most < 1  # what is left is kept for a candidate, and too little for one
                self.reason = SPENT if self.exhausted else "every candidate has answered every row"
        if found is None:
            return None
        number, places = found
        self.race.ask(number, places)
        rows = {
            task: tuple(self._places[i][task] for i in places if task in self._places[i])
            for task in self.plan.tasks
        }
        return Block(number, self.prompts[number], tuple(places), rows)

    def _stops(self) -> bool:
        plan = self.plan
        if plan.patience is not None and self._since >= plan.patience and not self._supply.writing:
            self.reason = f"no better prompt in {self._since} candidates"
        elif plan.until is not None and self._leader is not None:
            evaluation = self.selection.evaluations[self._leader]
            if self.race.answered[self._leader].all():
                cards = self._evaluator.cards(evaluation)
                value = self._evaluator.measure(cards)
                if value is not None and value >= plan.until and self._evaluator.feasible(cards):
                    self.reason = f"objective {value:.3f} reaches {plan.until:g}"
        return bool(self.reason)

    def _excluded(self) -> frozenset[int]:
        """Prompts of which so many calls have failed already that they may not be chosen."""
        most = self._evaluator.max_failed * len(self._places)
        return frozenset(
            number
            for number, evaluation in self.selection.evaluations.items()
            if any(len(outcomes.failed) > most for outcomes in evaluation.outcomes.values())
        )

    def _in_flight(self) -> bool:
        return self._supply.rows_asked > self._supply.rows_answered

    # -- results

    def take_block(self, block: Block, evaluation: Evaluation) -> int:
        """Take in answers; returns the rows the prompt has answered by now."""
        responses: dict[str, list[Graded | Failed]] = {}
        for (task, _), scored in evaluation.scored.items():
            responses.setdefault(task, []).extend(scored.responses)
        self._requests.take(block.prompt, responses)
        places = [self._places[i] for i in block.places]
        scores = row_scores(places, evaluation, self._evaluator.objective)
        self.race.answer(block.number, block.places, scores)
        self._supply.rows_answered += len(block.places)
        slim = Evaluation(
            evaluation.prompt,
            {
                pair: msgspec.structs.replace(scored, responses=(), most=0)
                for pair, scored in evaluation.scored.items()
            },
            evaluation.rated,
        )
        new = block.number not in self.selection.evaluations
        merged = self.selection.take(block.number, slim)
        self._handicaps.update(block.number, merged)
        leader = self._lead()
        if new:
            self._since += 1
        self._leader = leader
        value = 0.0 if leader is None else self.quick_estimate(leader)
        if value > self._best + PROGRESS:
            self._best, self._since = value, 0
        return int(self.race.answered[block.number].sum())

    def take_proposed(self, request: Propose, proposed: Proposed) -> tuple[list[Prompt], dict[str, int]]:
        """Take in candidates; returns those admitted, and refusals by reason."""
        fresh, refused = self._admission.admit(proposed.prompts)
        refused.update(proposed.refused)
        self.refused.update(refused)
        self._supply.take(request.number, len(fresh))
        for prompt in fresh:
            self._add(prompt)
        return fresh, dict(sorted(refused.items()))

    def take_notes(self, notes: tuple[str, ...]) -> None:
        self._noting = False
        self._requests.notes = notes

    def fail_proposal(self, request: Propose, error: Exception) -> dict[str, int]:
        """A call of the reference LLM failed; after several in a row it counts as lost."""
        lost = self._supply.fail(request.number)
        self.refused["call failed"] += 1
        if lost and not self.reason:
            self.reason, self.failed = f"reference LLM lost: {error}", True
        return {"call failed": 1}

    def drop_proposal(self, request: Propose) -> None:
        """A reply of the reference LLM was not waited for."""
        self._supply.drop(request.number)

    def fail_notes(self) -> None:
        self._noting = False

    def learn_price(self, cost: Amount) -> None:
        """A reply of the reference LLM cost this much."""
        self._supply.learn_price(cost)

    def offer(self, prompt: Prompt, scopes: Sequence[str], *, lean: float | None = None) -> bool:
        """Let a prompt from other searches enter; False when it is here already.

        With `lean` (standard deviations above the mean that others expect) it is tried when it is worth no
        less than a new candidate, or when nothing else is left to try.
        """
        if self.reason or not self._admission.unseen([prompt]):
            return False
        self.offered[prompt.id] = set(scopes)
        self._add(prompt, lean=lean or 0.0, offered=lean is not None)
        return True

    def expect(self, prompt_id: str, lean: float) -> None:
        """Other searches expect this much of a prompt of this one."""
        self.race.expect(self._numbers[prompt_id], lean)

    def evidence(self) -> dict[str, Evidence]:
        """Evidence from the answers about each prompt that is not settled, by id."""
        settled = self.race.settled()
        return {
            self.ids[number]: one for number, one in self.race.evidence().items() if number not in settled
        }

    def stop(self, reason: str, *, exhausted: bool = False, failed: bool = False) -> None:
        """Take no further work."""
        if not self.reason:
            self.reason = reason
            self.exhausted, self.failed = exhausted, failed

    # -- what is known

    @property
    def leader(self) -> str:
        """The id of the prompt that would be chosen now."""
        return "" if self._leader is None else self.ids[self._leader]

    def quick_estimate(self, number: int) -> float:
        """The estimated objective from row scores alone, as of the latest fit."""
        return float(self.race.expected(fit=False)[number])

    def standing(self, prompt_id: str) -> tuple[float | None, int]:
        """The estimated objective of a prompt and the rows it answered; (None, 0) where it was not tried."""
        number = self._numbers[prompt_id]
        if number not in self.selection.evaluations:
            return None, 0
        return self.selection.estimate(number)[0], int(self.race.answered[number].sum())

    def estimates(self) -> dict[str, float]:
        """The expected row score of every prompt that answered any row, by id."""
        values = self.race.expected(fit=False)
        return {self.ids[number]: float(values[number]) for number in self.selection.evaluations}

    def passes_rung(self, rows: int, fresh: int) -> bool:
        """True when the latest `fresh` of `rows` answered rows brought a prompt to a rung."""
        return any(rows - fresh < rung <= rows for rung in self.rungs)

    @property
    def kept(self) -> list[Choice]:
        """The best prompts, as many as the plan hands on."""
        return self.selection.choices()[: self.plan.keep]

    @property
    def rows(self) -> int:
        return len(self._places)

    @property
    def cut_short(self) -> bool:
        """True when the budget ended the search before it saw as many candidates as were planned, or any.

        A source stage that ends with its share of the budget ends as planned.
        """
        most = self.plan.most if self.plan.stage == "target" else None
        return self.exhausted and (not self.kept or (most is not None and self._supply.proposed < most))

    def _add(self, prompt: Prompt, *, lean: float = 0.0, offered: bool = False) -> None:
        id = prompt.id
        plain = self._numbers.get(prompt.parents[0]) if prompt.origin == "exemplify" else None
        self.race.add(lean=lean, offered=offered, variant_of=plain)
        self._numbers[id] = len(self.prompts)
        self._by_id[id] = prompt
        self.prompts.append(prompt)
        self.ids.append(id)

    def _lead(self) -> int | None:
        ranking = self.race.ranking(fit=False)
        return ranking[0] if ranking else None


def _leakage(tasks: Sequence[str], evaluator: Evaluator) -> Leakage:
    shown = [row for task in tasks for row in evaluator.rows(task, "train")]
    held_out = [
        row for task in tasks for row in (*evaluator.rows(task, "validation"), *evaluator.rows(task, "test"))
    ]
    return Leakage(held_out, shown)
