"""Offers: prompts that did well in searches of several targets enter the others.

One that rose for a single target carries no further than any other prompt (measured on published accuracies
of prompts, Mizrahi et al. 2024); one that rose for two does where the targets are alike. An offered prompt
enters like a new candidate: a good one rises, any other costs one block of rows.
"""

from collections.abc import Sequence

from scipy.stats import spearmanr

from ...runtime.prompt import Prompt
from ...runtime.record.results import Likeness, Offer
from .search import Search

RISEN_ROWS = 16
"""Rows a prompt must have answered before it counts as risen."""

RISEN_SHARE = 0.25
"""It must be among so large a share of the best of its search."""

SCOPES = 2
"""Searches in which a prompt must have risen."""

FEWEST = 5
"""Prompts that two searches must share before their likeness is stated."""


class Offers:
    """The prompts that rose, by the searches in which they did."""

    def __init__(self) -> None:
        self._risen: dict[str, set[str]] = {}
        self._prompts: dict[str, Prompt] = {}

    def after(self, search: Search, number: int, searches: Sequence[Search]) -> None:
        """A prompt of a search has answered further rows."""
        if not search.has_risen(number, RISEN_ROWS, RISEN_SHARE):
            return
        prompt = search.prompts[number]
        scopes = self._risen.setdefault(prompt.id, set())
        scopes.add(search.plan.scope)
        if len(scopes) == SCOPES:
            for other in searches:
                if other.plan.scope not in scopes:
                    other.offer(prompt, sorted(scopes))


def offers_made(searches: Sequence[Search]) -> tuple[Offer, ...]:
    """Every prompt that entered a search from elsewhere, and what became of it there."""
    made: list[Offer] = []
    for search in searches:
        leader = search.kept[0].prompt.id if search.kept else ""
        for prompt_id, sources in sorted(search.offered.items()):
            objective, rows = search.standing(prompt_id)
            made.append(
                Offer(
                    prompt_id=prompt_id,
                    scope=search.plan.scope,
                    sources=tuple(sorted(sources)),
                    objective=objective,
                    rows=rows,
                    chosen=prompt_id == leader,
                )
            )
    return tuple(made)


def likeness(searches: Sequence[Search]) -> tuple[Likeness, ...]:
    """The rank correlation (Spearman 1904) of the prompts that each two searches have both scored."""
    values = [search.estimates() for search in searches]
    found: list[Likeness] = []
    for i, one in enumerate(searches):
        for j in range(i + 1, len(searches)):
            shared = sorted(values[i].keys() & values[j].keys())
            correlation = None
            if len(shared) >= FEWEST:
                rho = spearmanr([values[i][id] for id in shared], [values[j][id] for id in shared]).statistic
                correlation = None if rho != rho else float(rho)
            found.append(
                Likeness(
                    scopes=(one.plan.scope, searches[j].plan.scope),
                    prompts=len(shared),
                    correlation=correlation,
                )
            )
    return tuple(found)
