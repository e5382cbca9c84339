"""From outcomes to a scorecard."""

from collections.abc import Mapping

from .intervals import bootstrap
from .metrics import Values, points, reported, shown
from .objective import Objective, named
from .outcomes import Outcomes
from .ratings import Reliability
from .reasons import reasons
from .scorecard import Scorecard


def evaluate(
    outcomes: Outcomes,
    objective: Objective,
    *,
    seed: int,
    intervals: bool,
    judged: Mapping[str, float | None] | None = None,
    reliability: Reliability | None = None,
) -> Scorecard:
    """The scorecard of one prompt's outcomes; equal outcomes give equal scorecards.

    `intervals` adds 95 % intervals (`intervals.bootstrap`, drawn from `seed`) and has scikit-learn compute
    the ranking metrics; without, it is fast enough to be called for every candidate. `judged` holds mean
    ratings from 1 to 5 by quality, and the values in [0, 1] of metrics of one's own by dotted name; they
    come from other rows than the metrics, so intervals take them as given. `reliability` of the ratings is
    shown beside them.
    """
    rated = dict(judged or {})
    measured = reported if intervals else points
    values = measured(outcomes, binning=objective.binning)
    weighed: Values = {**values, **named(rated)}
    value = objective.value(weighed)
    return Scorecard(
        n=len(outcomes.ids),
        failed=len(outcomes.failed),
        **shown(values),
        judged=rated,
        reliability=reliability,
        objective=value,
        explained=_told(reasons(outcomes, values, objective.binning), objective.explained(weighed)),
        unmet=objective.unmet({**weighed, "objective": value}),
        intervals=bootstrap(outcomes, objective, weighed, seed=seed) if intervals else {},
    )


def _told(how: dict[str, str], entered: dict[str, str]) -> dict[str, str]:
    """Both texts by metric: how it came about, then how it entered the objective."""
    said = {name: [how[name]] for name in how} | {name: [] for name in entered if name not in how}
    for name, text in entered.items():
        said[name].append(text)
    return {name: "; ".join(texts) for name, texts in said.items()}
