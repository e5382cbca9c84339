"""The objective: one number in [0, 1] from the metrics, and bounds that a chosen prompt should meet."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from ...scenarios.errors import InputError, nearest
from ...scenarios.stages import DEFAULT_OBJECTIVE, ScorerSettings
from .metrics import JUDGED, METRICS, SAFE, Binning, is_own, metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Objective(msgspec.Struct, frozen=True):
    """Weights of metrics, thresholds by metric, and how ECE bins.

    The value is the weighted mean of each metric's part in [0, 1]: errors (ece, brier, aurc) enter as
    1 - error, a judged quality rated r as (r - 1) / 4, a metric of one's own (`package.module:function`) as
    it is. Replies that could not be read enter the metrics of confidence as wrong with confidence 1
    (`Meter`), so that breaking the format of a wrong answer never raises the objective. What is undefined
    leaves the mean, and its weight is shared out over the rest in proportion.
    `require` holds floors, or ceilings for metrics that are better lower.

    Raises InputError for an unknown metric, a negative weight, weights that are all zero, or a bound outside
    its metric's range.
    """

    weights: dict[str, float] = msgspec.field(default_factory=lambda: dict(DEFAULT_OBJECTIVE))
    require: dict[str, float] = {}
    binning: Binning = "width"

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            _check(f"scorer.objective: {name}", name, [m.name for m in METRICS.values() if m.unit])
            if not (math.isfinite(weight) and weight >= 0):
                raise InputError(
                    f"scorer.objective: {name}: a weight is a number of at least 0, not {weight}"
                )
        if not any(self.weights.values()):
            raise InputError("scorer.objective: at least one metric needs a weight above 0")
        for name, bound in self.require.items():
            _check(f"scorer.require: {name}", name, [*METRICS, "objective"])
            least, most = _range(name)
            if not least <= bound <= most:
                above = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
                raise InputError(f"scorer.require: {name}: a bound on it is {above}, not {bound:g}")

    @classmethod
    def of(cls, scorer: ScorerSettings) -> "Objective":
        """The objective a scenario's `scorer` section describes."""
        return cls(dict(scorer.objective), dict(scorer.require), scorer.ece_binning)

    @property
    def by_rows(self) -> bool:
        """True when all it weighs or requires is measured row by row, so prompts can be tested on rows."""
        weighed = [name for name, weight in self.weights.items() if weight > 0]
        return all(name in METRICS or name == "objective" for name in (*weighed, *self.require))

    def value(self, values: Mapping[str, float | None]) -> float | None:
        """The objective of one prompt's metrics; None when everything with a weight is undefined.

        Judged qualities are named `judged.QUALITY`, rated from 1 to 5.
        """
        parts = [(weight, part) for _, weight, part in self.parts(values) if part is not None]
        total = sum(weight for weight, _ in parts)
        return sum(weight * part for weight, part in parts) / total if total else None

    def parts(self, values: Mapping[str, float | None]) -> list[tuple[str, float, float | None]]:
        """Metric, weight and part in [0, 1] (None: undefined) of everything with a weight above 0."""
        found: list[tuple[str, float, float | None]] = []
        for name, weight in self.weights.items():
            if weight > 0:
                value = values.get(SAFE + name, values.get(name))
                offset, slope = _scale(name)
                found.append((name, weight, None if value is None else offset + slope * value))
        return found

    def vector(self, values: "Mapping[str, NDArray[np.float64]]") -> "NDArray[np.float64]":
        """The objective of each position of aligned vectors, where NaN is undefined."""
        import numpy as np

        names = [name for name, weight in self.weights.items() if weight > 0 and name in values]
        if not names:
            return np.full(len(next(iter(values.values()))), np.nan)
        weighed = [values.get(SAFE + name, values[name]) for name in names]
        scales = [_scale(name) for name in names]
        parts = np.stack([o + slope * value for value, (o, slope) in zip(weighed, scales, strict=True)])
        weights = np.array([self.weights[name] for name in names])[:, None] * ~np.isnan(parts)
        with np.errstate(invalid="ignore"):
            return (weights * np.nan_to_num(parts)).sum(axis=0) / weights.sum(axis=0)

    def explained(self, values: Mapping[str, float | None]) -> dict[str, str]:
        """By metric with a weight: how it entered the mean."""
        parts = self.parts(values)
        total = sum(weight for _, weight, part in parts if part is not None)
        return {
            name: f"undefined here: its weight {weight:g} is shared out"
            if part is None
            else f"{_formula(name)} = {part:.4f}, weight {weight / total:.4g}{_guard(name, values)}"
            for name, weight, part in parts
        }

    def shortfall(self, values: Mapping[str, float | None]) -> float:
        """The largest amount, as a share of its metric's range, by which a bound is missed; 0 where all are
        met or undefined."""
        short = 0.0
        for name, bound in self.require.items():
            value = values.get(name)
            if value is not None:
                lower = metric(name).better == "lower"
                short = max(short, (value - bound if lower else bound - value) / _unit(name))
        return short

    def unmet(self, values: Mapping[str, float | None]) -> dict[str, str]:
        """The thresholds that one prompt's metrics, and the objective among them, miss, as text by metric.

        An undefined metric meets none.
        """
        missed: dict[str, str] = {}
        for name, bound in self.require.items():
            value = values.get(name)
            lower = metric(name).better == "lower"
            if value is None:
                missed[name] = "undefined on these rows"
            elif (value > bound) if lower else (value < bound):
                missed[name] = f"{value:.4f} is {'above' if lower else 'below'} {bound:g}"
        return missed


def _unit(name: str) -> float:
    """Width of a metric's range."""
    return 4.0 if name.startswith(JUDGED) else 1.0


def _range(name: str) -> tuple[float, float]:
    """Least and largest value of a metric; a metric of one's own may have any."""
    known = metric(name)
    match known.family:
        case "own":
            return -math.inf, math.inf
        case "judged":
            return 1.0, 5.0
        case "cost":
            return 0.0, math.inf
        case _:
            return 0.0 if known.unit else -1.0, 1.0


def named(judged: Mapping[str, float | None]) -> dict[str, float | None]:
    """Judged values under the names an objective knows them by: `judged.QUALITY`, or their own."""
    return {name if is_own(name) else JUDGED + name: value for name, value in judged.items()}


def _scale(name: str) -> tuple[float, float]:
    """Offset and slope that take a metric to its part in [0, 1], where more is better."""
    if name.startswith(JUDGED):
        return -0.25, 0.25
    return (1.0, -1.0) if metric(name).better == "lower" else (0.0, 1.0)


def _formula(name: str) -> str:
    if name.startswith(JUDGED):
        return f"({name} - 1) / 4"
    return name if _scale(name)[1] > 0 else f"1 - {name}"


def _guard(name: str, values: Mapping[str, float | None]) -> str:
    return "; unreadable replies count as wrong with confidence 1" if SAFE + name in values else ""


def _check(where: str, name: str, known: list[str]) -> None:
    if name in known or is_own(name) or (name.startswith(JUDGED) and len(name) > len(JUDGED)):
        return
    hint = nearest(name, known, all_are="known are", cutoff=0.5)
    raise InputError(
        f"{where}: no such metric; {hint} (also judged.QUALITY, package.module:function and own.NAME)"
    )
