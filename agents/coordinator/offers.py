"""Offers between searches: what one search found out about a prompt, the others expect of it."""

from collections.abc import Sequence

from ...runtime.record.results import Likeness, Offer
from ...runtime.search.siblings import LEAST, correlation, expected, offers
from .search import Search

SHARE_EVERY = 4
"""Results taken in between two exchanges."""

FEWEST = 5
"""Prompts that two searches must share before their rank correlation is reported."""


class Exchange:
    """Searches of several targets that share what they measured; see `runtime.search.siblings`."""

    def __init__(self, searches: Sequence[Search]) -> None:
        self._searches = searches
        self._taken = 0

    def result_taken(self) -> None:
        """One more result is in; now and then all searches learn from all others."""
        self._taken += 1
        if self._taken % SHARE_EVERY:
            return
        searches = self._searches
        found = [search.evidence() for search in searches]
        correlated = correlation(found)
        if correlated < LEAST:
            correlated = 0.0
        prompts = {
            id: prompt for search in searches for id, prompt in zip(search.ids, search.prompts, strict=True)
        }
        for i, search in enumerate(searches):
            for id in search.ids:
                search.expect(id, expected(id, i, found, correlated))
            known = frozenset(search.ids)
            for key in offers(i, found, known, correlated):
                sources = [other.plan.scope for j, other in enumerate(searches) if j != i and key in found[j]]
                search.offer(prompts[key], sources, lean=expected(key, i, found, correlated))


def offers_made(searches: Sequence[Search]) -> tuple[Offer, ...]:
    """Every prompt that entered a search from elsewhere, and its outcome there."""
    made: list[Offer] = []
    for search in searches:
        kept = search.kept
        for prompt_id, sources in sorted(search.offered.items()):
            objective, rows = search.standing(prompt_id)
            made.append(
                Offer(
                    prompt_id=prompt_id,
                    scope=search.plan.scope,
                    sources=tuple(sorted(sources)),
                    objective=objective,
                    rows=rows,
                    chosen=bool(kept) and kept[0].prompt.id == prompt_id,
                )
            )
    return tuple(made)


def likeness(searches: Sequence[Search]) -> tuple[Likeness, ...]:
    """The rank correlation (Spearman 1904) of the prompts that each two searches have both scored."""
    if len(searches) < 2:
        return ()
    from scipy.stats import spearmanr  # takes a second to load, and only runs of several targets need it

    values = [search.estimates() for search in searches]
    found: list[Likeness] = []
    for i, one in enumerate(searches):
        for j in range(i + 1, len(searches)):
            shared = sorted(values[i].keys() & values[j].keys())
            rho = None
            if len(shared) >= FEWEST:
                ranks = spearmanr([values[i][id] for id in shared], [values[j][id] for id in shared])
                rho = None if ranks.statistic != ranks.statistic else float(ranks.statistic)
            scopes = (one.plan.scope, searches[j].plan.scope)
            found.append(Likeness(scopes=scopes, prompts=len(shared), correlation=rho))
    return tuple(found)
