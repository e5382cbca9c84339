"""Strategies: policies that choose what the reference LLM is shown and asked for."""

from collections.abc import Mapping

import msgspec

from ... import prompts
from ...runtime.messages import Credit, Past
from ...runtime.prompt import Prompt
from ...scenarios.stages import StrategyName
from .operators import OPERATORS, Draw, Operator
from .sections import candidate_texts, exemplars_told, failures_told, history_told, notes_told, tasks_told


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """How candidates come about: a function from one draw to candidates, and how the search goes around it.

    `propose` is asked once per candidate of a step, all draws of a step at once; it may look at the history,
    failures, notes and credit of its request and keeps no state. `staged` takes the source stage first.
    `notes` has the reference LLM keep notes between steps. `steps` and `draws` bound the steps of a search
    and the draws of a step (None: as the scenario says).
    """

    name: str
    propose: Operator
    staged: bool = False
    notes: bool = False
    steps: int | None = None
    draws: int | None = None


async def ask(draw: Draw) -> list[Prompt]:
    """A direct instruction to write a prompt, with no history."""
    request = draw.request
    text = prompts.render(
        "ask",
        tasks=tasks_told(request.briefs),
        exemplars=exemplars_told(request.briefs),
        characters=str(draw.max_characters),
    )
    return draw.candidates(candidate_texts(await draw.ask(text)), "ask", draw.best.prompt)


async def nothing(draw: Draw) -> list[Prompt]:
    """No candidate at all."""
    del draw
    return []


ASK = Strategy(name="ask", propose=ask, steps=1, draws=1)
ORIGINAL = Strategy(name="original", propose=nothing, steps=0)


async def propose_by_opro(draw: Draw) -> list[Prompt]:
    """The draws of a step differ by sampling alone."""
    request = draw.request
    text = prompts.render(
        "opro",
        tasks=tasks_told(request.briefs),
        history=history_told(request.history),
        exemplars=exemplars_told(request.briefs),
        characters=str(draw.max_characters),
    )
    return draw.candidates(candidate_texts(await draw.ask(text)), "opro", draw.best.prompt)


OPRO = Strategy(name="opro", propose=propose_by_opro)


async def propose_by_evolution(draw: Draw) -> list[Prompt]:
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


EVOLUTION = Strategy(name="evolution", propose=propose_by_evolution)


async def propose_by_reflect(draw: Draw) -> list[Prompt]:
    """One prompt of the history with its failures, rewritten.

    Which one is drawn by `Past.lead`, the share of rows on which no other prompt did better: so those that
    are best at something are mended too, not only the best on average.
    """
    request = draw.request
    parent = _parent(draw)
    text = prompts.render(
        "reflect",
        prompt=parent.prompt.text,
        score=str(parent.score),
        tasks=tasks_told(request.briefs),
        failures=failures_told(parent.failures),
        exemplars=exemplars_told(request.briefs),
        notes=notes_told(request.notes),
        characters=str(draw.max_characters),
    )
    texts = candidate_texts(await draw.ask(text))
    return draw.candidates(texts[-1:], "reflect", parent.prompt)


def _parent(draw: Draw) -> Past:
    history = draw.request.history
    leads = [past.lead for past in history]
    return draw.rng.choices(history, leads)[0] if any(leads) else draw.best


REFLECT = Strategy(name="reflect", propose=propose_by_reflect, notes=True)


async def propose_by_transfer(draw: Draw) -> list[Prompt]:
    """The operators take turns until each had one; then those that made better prompts come oftener.

    The choice is by Thompson sampling (1933): one draw of each operator's Beta(1 + wins, 1 + losses), the
    highest goes.
    """
    return await OPERATORS[_operator(draw)](draw)


def _operator(draw: Draw) -> str:
    if draw.turn < len(draw.operators):
        return draw.operators[draw.turn]
    credit = dict(draw.request.credit)
    return max(draw.operators, key=lambda name: _promise(draw, name, credit))


def _promise(draw: Draw, name: str, credit: Mapping[str, Credit]) -> float:
    had = credit.get(name, Credit())
    return draw.rng.betavariate(1 + had.wins, 1 + had.tries - had.wins)


TRANSFER = Strategy(name="transfer", propose=propose_by_transfer, staged=True, notes=True)


STRATEGIES: Mapping[StrategyName, Strategy] = {
    "transfer": TRANSFER,
    "opro": OPRO,
    "evolution": EVOLUTION,
    "reflect": REFLECT,
    "ask": ASK,
    "original": ORIGINAL,
}
"""Every strategy by the name scenarios use."""

__all__ = ["STRATEGIES", "Strategy"]
