"""Calibration on test, from the responses of the prompts that are compared."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from ...evaluation.calibration import Bin, reliability, risk_coverage
from ...evaluation.outcomes import Outcomes
from ...evaluation.response import Graded
from ..responses import Asked, Given
from ..results import Part, TargetResult
from .view import Diagram, Point

POINTS = 40
"""Points of a risk-coverage curve."""

Key = tuple[str, str, str]
"""Task, model and the prompt's id."""


class Confidences:
    """Gathers the graded responses of some prompts, without their texts."""

    def __init__(self, targets: Iterable[TargetResult]) -> None:
        self._graded: dict[Key, list[Graded]] = {}
        for target in targets:
            for part in (target.baseline, target.best):
                self._graded[target.task, target.model, part.prompt.id] = []

    def take(self, line: Asked | Given) -> None:
        if isinstance(line, Given) and isinstance(line.response, Graded):
            kept = self._graded.get((line.task, line.model, line.prompt))
            if kept is not None:
                kept.append(msgspec.structs.replace(line.response, text=""))

    def diagrams(self, target: TargetResult) -> tuple[Diagram, ...]:
        """Of the original and of the best prompt; of one only where they are the same."""
        parts: list[tuple[Literal["original", "best"], Part]] = [("original", target.baseline)]
        if target.best.prompt.id != target.baseline.prompt.id:
            parts.append(("best", target.best))
        found = (self._diagram(name, target, part) for name, part in parts)
        return tuple(diagram for diagram in found if diagram is not None)

    def _diagram(self, name: Literal["original", "best"], target: TargetResult, part: Part) -> Diagram | None:
        graded = self._graded[target.task, target.model, part.prompt.id]
        outcomes = Outcomes.of(graded, closed=False)
        bins = reliability(outcomes)
        if not bins:
            return None
        rows = len(outcomes.ids)
        ece = sum(one.rows * abs(one.accuracy - one.confidence) for one in bins) / rows
        risk = thinned(risk_coverage(outcomes))
        return Diagram(
            part=name,
            rows=rows,
            ece=round(ece, 4),
            bins=tuple(map(_rounded, bins)),
            risk=risk,
            scaled=part.calibration,
        )


def thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    """At most `POINTS` of them, evenly by place, the last among them."""
    if len(points) > POINTS:
        points = [points[round(i * (len(points) - 1) / (POINTS - 1))] for i in range(POINTS)]
    return tuple((round(x, 4), round(y, 4)) for x, y in points)


def _rounded(one: Bin) -> Bin:
    return Bin(one.low, one.high, one.rows, round(one.confidence, 4), round(one.accuracy, 4))
