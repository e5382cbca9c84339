"""One search: propose from the history, race the candidates, keep the best."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import msgspec

from ...runtime.bus import Bus
from ...runtime.concurrency import Done, settle
from ...runtime.errors import BudgetReached, CallFailed, EndpointError
from ...runtime.evaluation.objective import Objective
from ...runtime.messages import (
    Cost,
    NotesTaken,
    ProblemMet,
    PromptScored,
    PromptsKept,
    PromptsProposed,
    Proposed,
    StageStarted,
    StepEnded,
)
from ...runtime.prompt import Prompt
from ...runtime.record.history import Record
from ...runtime.search.admission import Gate, Leakage
from ...runtime.search.candidates import Behind, Candidate, Pool, Scores
from ...runtime.search.race import Block, Racer, Rung, Standing, beaten, blocks, ladder, standings
from ...runtime.tasks.example import Example
from ...runtime.tasks.task import Task
from ...scenarios.stages import Race as Rules
from .evaluator import Panel, Verdict
from .plan import Plan
from .requests import Briefing

AT_ONCE = 64
"""Prompts being scored at once; what runs at once is the endpoints' business, this bounds memory."""


class Finish(msgspec.Struct, frozen=True):
    """How a candidate left the race: its verdict over all rows it answered, and how far it lay behind."""

    prompt: Prompt
    verdict: Verdict
    complete: bool
    behind: Behind | None = None


class Race:
    """Scores candidates over blocks that all of them share; no row is answered twice by one of them.

    Every rung is a barrier: all racers answer the same rows, then those leave that cannot come in among the
    first `places`. `incumbents` answered every row before; they cost nothing and set the bar.
    """

    def __init__(
        self,
        panel: Panel,
        *,
        blocks: Sequence[Block],
        models: Sequence[str],
        rules: Rules,
        places: int,
        objective: Objective,
        seed: int,
        failures: int,
    ) -> None:
        self._panel = panel
        self._blocks = blocks
        self._models = models
        self._rules = rules
        self._places = places
        self._objective = objective
        self._seed = seed
        self._failures = failures

    async def run(self, prompts: Sequence[Prompt], incumbents: Sequence[Candidate]) -> "Raced":
        """Every prompt's finish, sorted by id, whoever answered first.

        When the budget ends, the finishes hold what was answered before, and `spent` the error.
        """
        running = {prompt.id: prompt for prompt in sorted(prompts, key=lambda prompt: prompt.id)}
        verdicts: dict[str, Verdict] = {}
        finishes: list[Finish] = []
        done = 0
        for rung in ladder(self._rules.method, blocks=len(self._blocks), fresh=len(running)):
            spent = await self._answer(list(running.values()), done, rung.blocks, verdicts)
            done = rung.blocks
            if spent is not None:
                rest = [Finish(running[id], verdicts[id], complete=False) for id in running if id in verdicts]
                return Raced(_sorted(finishes + rest), spent)
            if done < len(self._blocks):
                out = self._leavers(running, verdicts, incumbents, rung)
                finishes += [
                    Finish(running.pop(id), verdicts[id], complete=False, behind=out[id]) for id in out
                ]
        finishes += [Finish(prompt, verdicts[id], complete=True) for id, prompt in running.items()]
        return Raced(_sorted(finishes), None)

    async def _answer(
        self, prompts: Sequence[Prompt], done: int, until: int, verdicts: dict[str, Verdict]
    ) -> BudgetReached | None:
        rows = _rows(self._blocks[done:until])

        async def one(prompt: Prompt) -> Verdict:
            return await self._panel.score(prompt, rows, models=self._models, responses=self._failures)

        ends = await settle(prompts, one, limit=AT_ONCE, catch=(BudgetReached,))
        spent: BudgetReached | None = None
        for prompt, end in zip(prompts, ends, strict=True):
            if isinstance(end, Done):
                before = verdicts.get(prompt.id)
                verdicts[prompt.id] = end.value if before is None else before.merged(end.value)
            else:
                assert isinstance(end.error, BudgetReached)
                spent = end.error
        return spent

    def _leavers(
        self,
        running: Mapping[str, Prompt],
        verdicts: Mapping[str, Verdict],
        incumbents: Sequence[Candidate],
        rung: Rung,
    ) -> dict[str, Behind | None]:
        """Who leaves after a rung, by id; without a distance where nothing about it is known."""
        doomed = [id for id in running if self._doomed(verdicts[id])]
        racers = [
            Racer(id, verdicts[id].outcomes, able=self._panel.able(verdicts[id]))
            for id in running
            if id not in doomed
        ]
        racers += [
            Racer(old.prompt.id, old.outcomes, fresh=False, able=self._panel.feasible(old.scores))
            for old in incumbents
        ]
        ranked = standings(racers, self._objective, seed=self._seed)
        out = set(beaten(ranked, places=self._places, alpha=self._rules.alpha)) if self._tests else set[str]()
        fresh = [standing for standing in ranked if standing.fresh]
        if rung.most is not None:
            out |= {standing.id for standing in fresh[rung.most :]}
        leaving: dict[str, Behind | None] = {
            standing.id: _behind(ranked[0], standing) for standing in fresh if standing.id in out
        }
        return leaving | dict.fromkeys(doomed)

    def _doomed(self, verdict: Verdict) -> bool:
        """Whether so many calls have failed already that the candidate may not be chosen in the end."""
        most = {task: self._panel.max_failed * len(rows) for task, rows in _rows(self._blocks).items()}
        return any(len(outcomes.failed) > most[task] for (task, _), outcomes in verdict.outcomes.items())

    @property
    def _tests(self) -> bool:
        return self._rules.method in ("paired", "both")


class Raced(msgspec.Struct, frozen=True):
    """The finishes of a race by id, and the error that ended it early, if one did."""

    finishes: tuple[Finish, ...]
    spent: BudgetReached | None


def _behind(leader: Standing, other: Standing) -> Behind:
    return Behind(leader.id, leader.value - other.value)


def _rows(blocks: Sequence[Block]) -> dict[str, tuple[Example, ...]]:
    return {task: tuple(row for block in blocks for row in block[task]) for task in blocks[0]}


def _sorted(finishes: Sequence[Finish]) -> tuple[Finish, ...]:
    return tuple(sorted(finishes, key=lambda finish: finish.prompt.id))


class Finalist(msgspec.Struct, frozen=True):
    """A candidate that met the others on validation, with its scorecards and its measure there.

    Where the budget ended first there is no verdict and no measure, and the scorecards are those on train.
    """

    candidate: Candidate
    verdict: Verdict | None
    scores: Scores
    objective: float | None


class Finals:
    """Scores finalists on every validation row of the search's tasks and models."""

    def __init__(self, plan: Plan, *, record: Record, panel: Panel) -> None:
        self._plan = plan
        self._record = record
        self._panel = panel

    async def hold(self, few: Sequence[Candidate]) -> list[Finalist]:
        """The finalists that could be measured: those that meet every required bound first, then the best.

        Raises BudgetReached.
        """
        rows = {task: self._panel.rows(task, "validation") for task in self._plan.tasks}

        async def one(candidate: Candidate) -> Verdict:
            return await self._panel.score(candidate.prompt, rows, models=self._plan.models)

        ends = await settle(few, one, limit=AT_ONCE, catch=(BudgetReached,))
        finalists: list[Finalist] = []
        for candidate, end in zip(few, ends, strict=True):
            if not isinstance(end, Done):
                raise end.error
            finalists.append(await self._told(candidate, end.value))
        able = [finalist for finalist in finalists if finalist.objective is not None]
        return sorted(
            able,
            key=lambda f: (
                not self._panel.feasible(f.scores),
                -(f.objective or 0.0),
                f.candidate.prompt.id,
            ),
        )

    async def _told(self, candidate: Candidate, verdict: Verdict) -> Finalist:
        scores = self._panel.cards(verdict)
        objective = self._panel.measure(scores)
        scored = PromptScored(
            self._plan.scope,
            candidate.step,
            "validation",
            candidate.prompt,
            objective,
            scores,
        )
        await self._record(scored)
        return Finalist(candidate, verdict, scores, objective)


_Standing = tuple[bool, float]
"""Whether the best prompt meets every required bound, and its objective."""


class _Noted(msgspec.Struct, frozen=True):
    """The notes after a step; None, and why, where the reference LLM could not take them."""

    step: int
    notes: tuple[str, ...] | None
    problem: str = ""


class _Written(msgspec.Struct, frozen=True):
    """What the reference LLM wrote for one step, and the notes it took before."""

    step: int
    proposed: Proposed
    noted: _Noted | None


class Search:
    """Source prompt construction, or target prompt generation for one task (paper, section 3).

    Steps are barriers: a step's candidates are proposed together from one history and raced together, and
    what follows depends on their scores, never on who finished first. Where steps overlap, a step is written
    while the one before it is raced, from the history as it was before that: still the same on every replay.
    `cost` tells what the run has cost.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        bus: Bus,
        record: Record,
        panel: Panel,
        tasks: Mapping[str, Task],
        objective: Objective,
        cost: Callable[[], Cost],
    ) -> None:
        self.plan = plan
        self.pool = Pool(panel.measure, panel.feasible)
        self.reason = "not started"
        self.spent = False
        self.faltered = False
        self.refused: Counter[str] = Counter()
        self.kept: list[Finalist] = []
        self.finals: list[Finalist] = []
        self._bus = bus
        self._record = record
        self._panel = panel
        self._cost = cost
        self._briefing = Briefing(plan, panel, tasks, self.pool)
        self._gate = Gate(_leakage(plan.tasks, panel))
        self._race = Race(
            panel,
            blocks=blocks(
                {task: panel.rows(task, "train") for task in plan.tasks},
                size=plan.race.block,
                seed=plan.seed,
            ),
            models=plan.answerers,
            rules=plan.race,
            places=plan.keep,
            objective=objective,
            seed=plan.seed,
            failures=plan.reference.failures,
        )
        self._finals = Finals(plan, record=record, panel=panel)
        self._scored = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reference LLM has noted so far."""
        return self._briefing.notes

    async def climb(self, seeds: Sequence[Prompt], notes: Sequence[str] = ()) -> None:
        """Score the seeds, then take the steps; ends early when the budget or the reference LLM ends, when
        nothing got better for long enough, or when the scores are good enough."""
        plan = self.plan
        self._briefing.remember(tuple(notes))
        await self._record(StageStarted(plan.stage, plan.scope, plan.tasks, plan.models, plan.pace.steps))
        try:
            await self._score(self._gate.unseen(seeds), 0)
            self.reason = await self._steps()
            if plan.stage == "source":  # what the last step taught is for the stage that follows
                await self._note(await self._reflect())
        except BudgetReached as spent:
            self.reason = f"budget reached: {spent}"
            self.spent = True
        except (CallFailed, EndpointError) as lost:
            self.reason = f"reference LLM lost: {lost}"
            self.faltered = True
            await self._record(ProblemMet(plan.scope, self.reason))

    async def choose(self, always: Sequence[Prompt]) -> None:
        """Let the best on train, and the prompts in `always`, meet on the whole of validation; keep the best
        there.

        Those that answered every train row come first. Where the budget ends first, the order on train
        decides, and `reason` says so.
        """
        plan = self.plan
        ranked = [candidate for candidate, _ in self.pool.finishers()]
        ranked += [candidate for candidate, _ in self.pool.ranked() if not candidate.complete]
        most = max(plan.finalists, plan.keep)
        finishers = len(self.pool.finishers())
        few = ranked[: max(plan.keep, min(most, finishers))]
        anyway = {prompt.id for prompt in always}
        few += [candidate for candidate in ranked if candidate.prompt.id in anyway and candidate not in few]
        try:
            self.finals = await self._finals.hold(few)
        except BudgetReached as spent:
            self.reason += f"; chosen on train, for the budget ended before validation ({spent})"
            self.spent = True
            self.finals = [Finalist(candidate, None, candidate.scores, None) for candidate in few]
        self.kept = self.finals[: plan.keep]
        prompts = tuple(finalist.candidate.prompt for finalist in self.kept)
        await self._record(PromptsKept(plan.stage, plan.scope, prompts, self.reason))

    async def _steps(self) -> str:
        """Take the steps; returns why no more are taken."""
        plan = self.plan
        best, stalled = self._best(), 0
        fresh = await self._take(await self._write(1)) if plan.pace.steps else []
        for step in range(1, plan.pace.steps + 1):
            fresh = await self._step(step, fresh)
            now = self._best()
            best, stalled = now, 0 if _above(now, best) else stalled + 1
            if plan.pace.until is not None and best is not None and best >= (True, plan.pace.until):
                return f"objective {best[1]:.3f} on train reaches {plan.pace.until:g} after step {step}"
            if plan.pace.patience is not None and stalled >= plan.pace.patience and step < plan.pace.steps:
                return f"no progress in {stalled} steps, the last was step {step}"
        return "all steps taken"

    async def _step(self, step: int, fresh: Sequence[Prompt]) -> list[Prompt]:
        """Race a step's candidates; returns those of the next step, if there is one."""
        if step == self.plan.pace.steps:
            await self._score(fresh, step)
            return []
        if not self.plan.pace.overlap:
            await self._score(fresh, step)
            return await self._take(await self._write(step + 1))
        return await self._take(await self._while(partial(self._score, fresh, step), step + 1))

    async def _while(self, score: Callable[[], Awaitable[None]], step: int) -> _Written:
        """Write a step while the one before is scored; an error of either is raised when both have ended."""
        jobs: tuple[Callable[[], Awaitable[_Written | None]], ...] = (score, partial(self._write, step))
        catch = (BudgetReached, CallFailed, EndpointError)
        scored, written = await settle(jobs, lambda job: job(), limit=2, catch=catch)
        for end in (scored, written):
            if not isinstance(end, Done):
                raise end.error
        assert isinstance(written, Done)
        assert written.value is not None
        return written.value

    async def _write(self, step: int) -> _Written:
        """Have the reference LLM take notes, then write a step, both from what is known at this moment."""
        proposal, noted = self._briefing.propose(step), await self._reflect()
        if noted is not None and noted.notes is not None:
            proposal = msgspec.structs.replace(proposal, notes=noted.notes)
        return _Written(step, await self._bus.ask(proposal), noted)

    async def _reflect(self) -> _Noted | None:
        """Notes on the last step that was scored; None where there is nothing to note."""
        step = self._scored
        reflect = self._briefing.reflect(step) if step else None
        if reflect is None:
            return None
        try:
            return _Noted(step, (await self._bus.ask(reflect)).notes)
        except CallFailed as failed:
            return _Noted(step, None, f"no notes after step {step}: {failed}")

    async def _take(self, written: _Written) -> list[Prompt]:
        """Record what was written; returns the candidates that may be scored."""
        await self._note(written.noted)
        fresh, refused = self._gate.admit(written.proposed.prompts)
        refused.update(written.proposed.refused)
        self.refused.update(refused)
        told = dict(sorted(refused.items()))
        await self._record(PromptsProposed(self.plan.scope, written.step, tuple(fresh), told))
        return fresh

    async def _note(self, noted: _Noted | None) -> None:
        if noted is None:
            return
        if noted.notes is None:
            await self._record(ProblemMet(self.plan.scope, noted.problem))
            return
        taken = NotesTaken(self.plan.scope, noted.step, noted.notes)
        await self._record(taken, partial(self._briefing.remember, noted.notes))

    async def _score(self, prompts: Sequence[Prompt], step: int) -> None:
        incumbents = [candidate for candidate, _ in self.pool.finishers()[: self.plan.keep]]
        raced = await self._race.run(prompts, incumbents)
        among = {finish.prompt.id: self._candidate(finish, step) for finish in raced.finishes}
        for finish in raced.finishes:
            candidate = among[finish.prompt.id]
            self._briefing.take(finish.prompt, finish.verdict)
            scored = PromptScored(
                self.plan.scope,
                step,
                "train",
                finish.prompt,
                self.pool.value(candidate, among),
                candidate.scores,
                stopped=finish.behind is not None,
            )
            await self._record(scored, partial(self.pool.add, candidate))
        if raced.spent is not None:
            raise raced.spent
        best = next(iter(self.pool.finishers()), None)
        if best is not None:
            candidate, objective = best
            ended = StepEnded(self.plan.scope, step, candidate.prompt.id, objective, self._cost())
            await self._record(ended)
        self._scored = step

    def _candidate(self, finish: Finish, step: int) -> Candidate:
        return Candidate(
            prompt=finish.prompt,
            step=step,
            scores=self._panel.cards(finish.verdict),
            outcomes=finish.verdict.outcomes,
            complete=finish.complete,
            behind=finish.behind,
        )

    def _best(self) -> _Standing | None:
        best = next(iter(self.pool.finishers()), None)
        return None if best is None else (self._panel.feasible(best[0].scores), best[1])


def _leakage(tasks: Sequence[str], panel: Panel) -> Leakage:
    shown = [row for task in tasks for row in panel.rows(task, "train")]
    chosen_by = [row for task in tasks for row in panel.rows(task, "validation")]
    reported_on = [row for task in tasks for row in panel.rows(task, "test")]
    return Leakage(chosen_by + reported_on, shown)


def _above(value: _Standing | None, other: _Standing | None) -> bool:
    return value is not None and (other is None or value > other)
