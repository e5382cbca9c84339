"""EvoPrompt's two ways to breed: a genetic algorithm and differential evolution (arXiv 2309.08532).

The population is the best of the history, which is what survival of the fittest leaves of it. Draws take
turns between crossing two parents and differential evolution of one.
"""

from ... import prompts
from ...runtime.prompt import Prompt
from ..draw import Draw
from ..drawing import candidate_texts
from ..messages import Past
from ..telling import tasks_told
from .strategy import Strategy


async def propose(draw: Draw) -> list[Prompt]:
    """Differential evolution on every other draw, where there are parents enough for it."""
    if draw.turn % 2 and len(draw.fittest()) > 2:
        return await differ(draw)
    return await cross(draw)


async def cross(draw: Draw) -> list[Prompt]:
    """Two parents, drawn by roulette on their scores, crossed and then mutated."""
    population = draw.fittest()
    first = _roulette(draw, population)
    second = _roulette(draw, [past for past in population if past != first] or population)
    text = prompts.render(
        "evolve_cross",
        tasks=tasks_told(draw.request.briefs),
        first=first.prompt.text,
        first_score=str(first.score),
        second=second.prompt.text,
        second_score=str(second.score),
        characters=str(draw.max_characters),
    )
    texts = candidate_texts(await draw.ask(text))
    return draw.candidates(texts[-1:], "evolution:cross", first.prompt, second.prompt)


async def differ(draw: Draw) -> list[Prompt]:
    """Each member in turn is crossed with the best, changed where two others differ."""
    population = draw.fittest()
    base = population[draw.turn // 2 % len(population)]
    one, other = draw.rng.sample([past for past in population if past != base], 2)
    text = prompts.render(
        "evolve_differ",
        tasks=tasks_told(draw.request.briefs),
        a=one.prompt.text,
        b=other.prompt.text,
        base=base.prompt.text,
        base_score=str(base.score),
        best=draw.best.prompt.text,
        best_score=str(draw.best.score),
        characters=str(draw.max_characters),
    )
    texts = candidate_texts(await draw.ask(text))
    return draw.candidates(
        texts[-1:], "evolution:differ", base.prompt, draw.best.prompt, one.prompt, other.prompt
    )


def _roulette(draw: Draw, population: list[Past]) -> Past:
    return draw.rng.choices(population, [max(1, past.score) for past in population])[0]


EVOLUTION = Strategy(name="evolution", propose=propose)
