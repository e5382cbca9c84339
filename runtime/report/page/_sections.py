"""Sections of the page: calibration diagrams, ancestry of prompts, score matrix."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Literal

import msgspec

from ...evaluation.calibration import reliability, risk_coverage
from ...evaluation.outcomes import Graded, Outcomes
from ...evaluation.scorecard import Bin, Scorecard
from ...record.responses import Asked, Given
from ...record.results import PromptResult, Results, TargetResult
from ._state import Prompts, RunState, Where
from .view import Cells, Diagram, Lineage, Piece, Point

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
        parts: list[tuple[Literal["original", "best"], PromptResult]] = [("original", target.baseline)]
        if target.best.prompt.id != target.baseline.prompt.id:
            parts.append(("best", target.best))
        found = (self._diagram(name, target, part) for name, part in parts)
        return tuple(diagram for diagram in found if diagram is not None)

    def _diagram(
        self, name: Literal["original", "best"], target: TargetResult, part: PromptResult
    ) -> Diagram | None:
        graded = self._graded[target.task, target.model, part.prompt.id]
        outcomes = Outcomes.of(graded, closed=False)
        bins = reliability(outcomes)
        if not bins or part.scorecard.ece is None:
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


WORDS_COMPARED = 4_000
"""Texts with more words and spaces in all are compared as wholes: comparing takes their product in time."""

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@lru_cache(maxsize=4096)
def change(before: str, after: str) -> tuple[Piece, ...]:
    """The pieces that make `after` out of `before`, word by word; pieces of one kind never follow each other.

    Kept and put-in pieces together are `after`, kept and left-out ones `before`. Words that are changed one
    after another are one change.
    """
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) + len(new) > WORDS_COMPARED:
        return _joined([("-", before), ("+", after)])
    pieces: list[Piece] = []
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    left_out = put_in = ""
    for place, (tag, i, j, k, m) in enumerate(codes):
        removed, added = "".join(old[i:j]), "".join(new[k:m])
        between = 0 < place < len(codes) - 1 and removed.isspace()
        if tag != "equal" or between:
            left_out += removed
            put_in += added
        else:
            pieces.extend((("-", left_out), ("+", put_in), ("=", removed)))
            left_out = put_in = ""
    return _joined([*pieces, ("-", left_out), ("+", put_in)])


def lineage(prompts: Prompts, prompt: int, original: int | None) -> Lineage:
    """The prompt's nearest parents in a line, from the first that is known, with the change at each step."""
    line = _line(prompts, prompt)
    steps = [
        (place, change(prompts[before].text, prompts[place].text) if before is not None else ())
        for before, place in zip([None, *line], line, strict=False)
    ]
    against = () if original is None else change(prompts[original].text, prompts[prompt].text)
    return Lineage(prompt=prompt, original=original, change=against, steps=tuple(steps))


def _line(prompts: Prompts, prompt: int) -> list[int]:
    line = [prompt]
    while parents := prompts.find(prompts[line[0]].parents):
        if parents[0] in line:
            break
        line.insert(0, parents[0])
    return line


def _joined(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    joined: list[Piece] = []
    for kind, text in pieces:
        if not text:
            continue
        if joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + text)
        else:
            joined.append((kind, text))
    return tuple(joined)


PROMPTS = 60
"""Prompts shown at most, beside those that met the test rows: a wider table cannot be read."""

METRICS = ("objective", "accuracy", "ifr", "ece", "auroc", "auprc_p", "auprc_n")


def cells(state: RunState, results: Results | None) -> Cells:
    """The latest scores of the prompts that were tested, then of the best by their rows and estimates."""
    found: dict[Where, Scorecard] = dict(state.cells)
    if results is not None:
        found.update(_tested(state, results))
    chosen = _chosen(found)
    shown = {key: card for key, card in found.items() if key[0] in chosen}
    return Cells(
        prompt=[key[0] for key in shown],
        task=[key[1] for key in shown],
        model=[key[2] for key in shown],
        split=[key[3] for key in shown],
        rows=[card.n for card in shown.values()],
        failed=[card.failed for card in shown.values()],
        values={name: [rounded(getattr(card, name)) for card in shown.values()] for name in METRICS},
    )


def rounded(value: float | None) -> float | None:
    """Round to six decimals, so that what is rounded again to be shown comes out as in the terminal."""
    return None if value is None else round(value, 6)


def _tested(state: RunState, results: Results) -> Iterable[tuple[Where, Scorecard]]:
    for target in results.targets:
        for part in (target.baseline, target.best):
            place = state.prompts.place(part.prompt.prompt())
            yield (place, target.task, target.model, "test"), part.scorecard
    for entry in results.transfer:
        for place in state.prompts.find([entry.prompt_id]):
            yield (place, entry.task, entry.model, "test"), entry.scorecard


def _chosen(found: Mapping[Where, Scorecard]) -> set[int]:
    chosen = {place for place, _, _, split in found if split == "test"}
    for place in _ranked(found):
        if len(chosen) >= PROMPTS:
            break
        chosen.add(place)
    return chosen


def _ranked(found: Mapping[Where, Scorecard]) -> list[int]:
    """Prompts by the rows they answered in a search, then by their mean objective."""
    rows: dict[int, int] = {}
    values: dict[int, list[float]] = {}
    for (place, _, _, split), card in found.items():
        if split == "search":
            rows[place] = max(rows.get(place, 0), card.n)
            values.setdefault(place, []).append(card.objective or 0.0)
    return sorted(values, key=lambda place: (-rows[place], -sum(values[place]) / len(values[place]), place))
