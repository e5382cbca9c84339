"""Scores by prompt, task, model and split, for those prompts that are worth comparing."""

from collections.abc import Iterable, Mapping

from ...evaluation.scorecard import Scorecard
from ..results import Results
from .story import Story
from .told import Card, Split
from .view import Cells

PROMPTS = 60
"""Prompts shown at most, beside those that met the test rows: a wider table cannot be read."""

METRICS = ("objective", "accuracy", "ifr", "ece", "auroc", "auprc_p", "auprc_n")

Key = tuple[int, str, str, Split]


def cells(story: Story, results: Results | None) -> Cells:
    """The last scores of the prompts that were tested, then validated, then best on train."""
    found: dict[Key, Card | Scorecard] = dict(story.cells)
    if results is not None:
        found.update(_tested(story, results))
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
    """Four decimals: more than any interval here can tell apart."""
    return None if value is None else round(value, 4)


def _tested(story: Story, results: Results) -> Iterable[tuple[Key, Scorecard]]:
    for target in results.targets:
        for part in (target.baseline, target.best):
            place = story.prompts.place(part.prompt.prompt())
            yield (place, target.task, target.model, "test"), part.scorecard
    for entry in results.transfer:
        for place in story.prompts.find([entry.prompt_id]):
            yield (place, entry.task, entry.model, "test"), entry.scorecard


def _chosen(found: Mapping[Key, Card | Scorecard]) -> set[int]:
    chosen = {place for place, _, _, split in found if split == "test"}
    for split in ("validation", "train"):
        for place in _ranked(found, split):
            if len(chosen) >= PROMPTS:
                return chosen
            chosen.add(place)
    return chosen


def _ranked(found: Mapping[Key, Card | Scorecard], split: Split) -> list[int]:
    values: dict[int, list[float]] = {}
    for (place, _, _, where), card in found.items():
        if where == split:
            values.setdefault(place, []).append(card.objective or 0.0)
    return sorted(values, key=lambda place: (-sum(values[place]) / len(values[place]), place))
