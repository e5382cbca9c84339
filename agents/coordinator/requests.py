"""Requests to the reference LLM: history with scores, failures and notes of one search."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ...runtime.evaluation.outcomes import Graded
from ...runtime.messages import Brief, Credit, Exemplar, Failure, Past, Propose, Reflect
from ...runtime.prompt import Prompt
from ...runtime.randomness import generator
from ...runtime.search.candidates import Candidate, Pool
from ...runtime.search.race import leads
from ...runtime.tasks.example import Example
from ...runtime.tasks.task import Task
from .evaluator import Panel, Verdict
from .plan import Plan


class Briefing:
    """Tells the history of one search: prompts with scores, failures, notes and what operators achieved.

    Every request is made of what is known at that moment; only train rows are ever shown.
    """

    def __init__(self, plan: Plan, panel: Panel, tasks: Mapping[str, Task], pool: Pool) -> None:
        self.notes: tuple[str, ...] = ()
        self._plan = plan
        self._panel = panel
        self._tasks = tasks
        self._pool = pool
        self._failures: dict[str, tuple[Failure, ...]] = {}

    def remember(self, notes: tuple[str, ...]) -> None:
        """Take these notes in place of the earlier ones."""
        self.notes = notes

    def take(self, prompt: Prompt, verdict: Verdict) -> None:
        """Keep what went wrong under a prompt."""
        self._failures[prompt.id] = self._told(verdict)

    def propose(self, step: int) -> Propose:
        """Ask for a step's candidates."""
        plan = self._plan
        ranked = self._pool.ranked()[: plan.reference.history]
        best = leads(
            {candidate.prompt.id: candidate.outcomes for candidate, _ in ranked if candidate.complete}
        )
        history = [self._past(candidate, value, best) for candidate, value in ranked]
        return Propose(
            stage=plan.stage,
            step=step,
            steps=plan.pace.steps,
            count=plan.pace.draws,
            key=plan.scope,
            briefs=self._briefs(step),
            history=tuple(reversed(history)),
            notes=self.notes,
            credit=self._credit(),
        )

    def reflect(self, step: int) -> Reflect | None:
        """Ask for new notes on the candidates of a step; None where notes are not kept or none was scored."""
        ranked = self._pool.ranked()
        tried = [self._past(candidate, value, {}) for candidate, value in ranked if candidate.step == step]
        if not (self._plan.pace.notes and tried):
            return None
        return Reflect(
            step=step,
            key=self._plan.scope,
            briefs=self._briefs(step),
            tried=tuple(reversed(tried)),
            notes=self.notes,
        )

    def _past(self, candidate: Candidate, value: float, best: Mapping[str, float]) -> Past:
        id = candidate.prompt.id
        parent = self._parent(candidate)
        before = None if parent is None else self._pool.value(parent)
        return Past(
            candidate.prompt,
            round(100 * value),
            lead=best.get(id, 0.0),
            failures=self._failures.get(id, ())[: self._plan.reference.failures],
            before=None if before is None else round(100 * before),
        )

    def _parent(self, candidate: Candidate) -> Candidate | None:
        parents = candidate.prompt.parents
        return self._pool.get(parents[0]) if parents else None

    def _credit(self) -> tuple[tuple[str, Credit], ...]:
        tries, wins = Counter[str](), Counter[str]()
        for candidate, value in self._pool.ranked():
            parent = self._parent(candidate)
            before = None if parent is None else self._pool.value(parent)
            if candidate.step and before is not None:
                tries[candidate.prompt.origin] += 1
                wins[candidate.prompt.origin] += value > before
        return tuple((origin, Credit(tries[origin], wins[origin])) for origin in sorted(tries))

    def _briefs(self, step: int) -> tuple[Brief, ...]:
        return tuple(self._brief(task, step) for task in self._plan.tasks)

    def _brief(self, name: str, step: int) -> Brief:
        task = self._tasks[name]
        rows = self._panel.rows(name, "train")
        draw = generator(self._plan.seed, "exemplars", self._plan.scope, step, name)
        shown = draw.sample(rows, min(self._plan.reference.exemplars, len(rows)))
        exemplars = tuple(Exemplar(_shown(task, row), row.gold) for row in shown)
        return Brief(name, task.description, task.answers.hint(rows[0].asked()), exemplars)

    def _told(self, verdict: Verdict) -> tuple[Failure, ...]:
        return tuple(
            failure
            for (task, _), scored in sorted(verdict.scored.items())
            for failure in self._failed(task, scored.responses)
        )

    def _failed(self, task: str, responses: Sequence[object]) -> Iterable[Failure]:
        rows = {row.id: row for row in self._panel.rows(task, "train")}
        for response in responses:
            if isinstance(response, Graded) and not (response.correct and response.followed):
                row = rows[response.example]
                fault = "answer" if not response.correct else "format"
                yield Failure(task, _shown(self._tasks[task], row), response.text, row.gold, fault)


def _shown(task: Task, row: Example) -> str:
    parts = (row.context, row.question, task.answers.options(row.asked()))
    return "\n".join(part for part in parts if part)
