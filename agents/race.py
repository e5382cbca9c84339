"""A race: a step's candidates answer train rows block by block, and those that cannot win stop."""

from collections.abc import Mapping, Sequence

import msgspec

from ..runtime.concurrency import Done, settle
from ..runtime.errors import BudgetReached
from ..runtime.evaluation.objective import Objective
from ..runtime.prompt import Prompt
from ..runtime.search.blocks import Block
from ..runtime.search.contest import Racer, Standing, beaten, standings
from ..runtime.search.ladder import Rung, ladder
from ..runtime.search.pool import Behind, Candidate
from ..runtime.tasks.example import Example
from ..scenarios.search import Race as Rules
from .panel import Panel, Verdict

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
