"""Rubrics and own metrics of a scenario: what is rated and measured beside the answers, and when."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from ... import prompts
from ...runtime.evaluation.metrics import JUDGED, is_own
from ...runtime.evaluation.objective import Objective
from ...runtime.evaluation.own_metrics import OwnMetric, load
from ...runtime.evaluation.ratings import Rated, Reliability, means, reliability
from ...runtime.randomness import generator
from ...runtime.tasks.example import Splits
from ...runtime.tasks.split import parts
from ...runtime.tasks.task import Task
from ...scenarios.errors import InputError
from ...scenarios.plugins import check_arguments
from ...scenarios.stages import PROMPT_QUALITIES, ScorerSettings

READINGS = 2
"""Number of ratings per item, in opposite orders."""


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """The judge's rubrics for responses and for prompts, by quality (none: not rated); own metrics by name.

    `sample` responses are rated per prompt, split, task and model. `weighed` names the qualities that the
    objective or a required bound needs, and that are therefore rated while searching too;
    `weighed_metrics` those of `metrics` that the objective weighs, and that are asked for each response.
    """

    responses: dict[str, str] = {}
    prompts: dict[str, str] = {}
    sample: int = 0
    weighed: frozenset[str] = frozenset()
    metrics: dict[str, OwnMetric] = {}
    weighed_metrics: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        scorer: ScorerSettings,
        objective: Objective,
        metrics: Mapping[str, OwnMetric] | None = None,
        *,
        folder: Path,
        allow_code: bool = False,
    ) -> "Judging":
        """Judging as a scenario's `scorer` section asks for it; `metrics` are those of its own metrics that
        are not to be imported, and `folder` holds modules of others, imported where code is allowed.

        Raises InputError when a quality is weighed or required that is not rated, a metric of one's own
        cannot be loaded, or one of `metrics` is not asked for.
        """
        responses = {quality.name: quality.rubric or _rubric(quality.name) for quality in scorer.judge}
        words = {name: _rubric(name) for name in PROMPT_QUALITIES} if scorer.judge_prompt else {}
        needed = _needed(objective)
        for name, key in needed.items():
            if name.startswith(JUDGED) and name.removeprefix(JUDGED) not in {**responses, **words}:
                raise InputError(f"{key}: {name} is not rated; {_remedy(name.removeprefix(JUDGED))}")
        own = {name: key for name, key in needed.items() if is_own(name)}
        return cls(
            responses=responses,
            prompts=words,
            sample=scorer.judge_sample,
            weighed=frozenset(name.removeprefix(JUDGED) for name in needed if name.startswith(JUDGED)),
            metrics=_loaded(
                {**dict.fromkeys(scorer.metrics, "scorer.metrics"), **own},
                metrics or {},
                lambda name: load(name, folder, allow_code=allow_code),
            ),
            weighed_metrics=frozenset(name for name in own if objective.weights.get(name, 0) > 0),
        )

    @property
    def rates(self) -> bool:
        """True when there is anything for a judge to rate."""
        return bool(self.responses or self.prompts)

    def wants(self, rubrics: Mapping[str, str], *, final: bool) -> bool:
        """True when any of these qualities is to be rated: all in the final test, before it the weighed."""
        return bool(rubrics) if final else not self.weighed.isdisjoint(rubrics)

    def drawn(self, task: str, splits: Splits, seed: int) -> frozenset[str]:
        """The ids of the rows of a task whose responses are rated: `sample` of each split."""
        if not self.responses:
            return frozenset()
        ids: set[str] = set()
        for split, rows in parts(splits):
            draw = generator(seed, "judged", task, split)
            every = sorted(row.id for row in rows)
            ids.update(draw.sample(every, min(self.sample, len(every))))
        return frozenset(ids)

    def check(self, tasks: Mapping[str, Task]) -> None:
        """Raises InputError when a task's answers get their credit from a judge that rates no responses, and
        the objective weighs no metric of one's own either."""
        for name, task in tasks.items():
            if task.answers.kind == "judged" and not (self.responses or self.weighed_metrics):
                raise InputError(
                    f"tasks.{name}.kind: judged answers get their credit from the judge; name at least one "
                    "quality in scorer.judge, and its model in scorer.model (or weigh a metric of your own)"
                )

    def credits(self, task: Task) -> bool:
        """True when the judge rates every response of a task, and so gives it its credit.

        Where it rates none, metrics of one's own give it.
        """
        return task.answers.kind == "judged" and bool(self.responses)

    def means(self, responses: Sequence[Rated], prompt: Rated | None) -> dict[str, float | None]:
        """Mean ratings by quality of what was rated; None where too few ratings were usable."""
        found = means(responses, self.responses) if responses else {}
        return found | (means([prompt], self.prompts) if prompt else {})

    def reliability(self, responses: Sequence[Rated], prompt: Rated | None) -> Reliability | None:
        """The reliability of these ratings; None where nothing was rated."""
        items = [*responses, prompt] if prompt else list(responses)
        qualities = {**(self.responses if responses else {}), **(self.prompts if prompt else {})}
        return reliability(items, qualities) if items else None

    def lacking(self, responses: Sequence[Rated], prompt: Rated | None) -> frozenset[str]:
        """The qualities that were to be rated here and have too few usable ratings."""
        return frozenset(name for name, mean in self.means(responses, prompt).items() if mean is None)


def _needed(objective: Objective) -> dict[str, str]:
    """Metrics that the objective weighs or bounds, each with the key of the scenario that says so."""
    weighed = [name for name, weight in objective.weights.items() if weight > 0]
    return {
        **dict.fromkeys(objective.require, "scorer.require"),
        **dict.fromkeys(weighed, "scorer.objective"),
    }


def _remedy(quality: str) -> str:
    if quality in PROMPT_QUALITIES:
        return "set scorer.judge_prompt: true and name a scorer.model"
    return f"add {quality} to scorer.judge and name a scorer.model"


def _rubric(quality: str) -> str:
    return prompts.template(f"judge_rubric_{quality}")


def _loaded(
    keys: Mapping[str, str], given: Mapping[str, OwnMetric], imported: Callable[[str], OwnMetric]
) -> dict[str, OwnMetric]:
    if unasked := sorted(given.keys() - keys.keys()):
        raise InputError(
            f"metrics: {', '.join(unasked)}: not asked for; name it in scorer.objective, scorer.require or "
            "scorer.metrics"
        )
    found: dict[str, OwnMetric] = {}
    for name, key in keys.items():
        try:
            found[name] = given[name] if name in given else imported(name)
            check_arguments(f"metric {name}", found[name], "responses")
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
    return found
