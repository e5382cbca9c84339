"""Strategies: proposal policies of the one search engine. Each chooses what the reference LLM is shown."""

from collections.abc import Mapping
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import cast

import msgspec

from ... import prompts
from ...runtime.errors import TransferPromptingError
from ...runtime.messages import OperatorRecord, ScoredPrompt
from ...runtime.prompt import Prompt
from ...scenarios import Scenario
from ...scenarios.errors import InputError
from ...scenarios.plugins import guarded, load
from .operators import FREE, OPERATORS, Operator, ProposalContext
from .sections import (
    format_exemplars,
    format_failures,
    format_history,
    format_notes,
    format_tasks,
    parse_candidates,
)


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal policy: a function from a context to the candidates of one reply.

    `propose` may look at the history, failures, notes and operator records of its request and keeps no state.
    `staged` runs the source stage first. `notes` has the reference LLM keep notes. `proposals` bounds the
    replies of a search (None: as the budget says), and `per_reply` the candidates asked for in one (None: as
    the scenario says).
    """

    name: str
    propose: Operator
    staged: bool = False
    notes: bool = False
    proposals: int | None = None
    per_reply: int | None = None


async def propose_once(context: ProposalContext) -> list[Prompt]:
    """A direct instruction to write a prompt, with no history."""
    request = context.request
    text = prompts.render(
        "ask",
        tasks=format_tasks(request.tasks),
        exemplars=format_exemplars(request.tasks),
        characters=str(context.max_characters),
    )
    return context.candidates(parse_candidates(await context.ask(text)), "ask", context.best.prompt)


async def propose_nothing(context: ProposalContext) -> list[Prompt]:
    """No candidate at all."""
    del context
    return []


async def propose_by_opro(context: ProposalContext) -> list[Prompt]:
    """OPRO (arXiv 2309.03409): the ascending history and exemplars; replies differ by sampling alone."""
    request = context.request
    text = prompts.render(
        "opro",
        tasks=format_tasks(request.tasks),
        history=format_history(request.history),
        exemplars=format_exemplars(request.tasks),
        request=context.asked(),
    )
    return context.candidates(parse_candidates(await context.ask(text)), "opro", context.best.prompt)


async def propose_by_evolution(context: ProposalContext) -> list[Prompt]:
    """EvoPrompt (arXiv 2309.08532): crossing, and differential evolution on every other proposal.

    The population is the best of the history, which is what survival of the fittest leaves of it.
    """
    if context.turn % 2 and len(context.fittest()) > 2:
        return await differ(context)
    return await cross(context)


async def cross(context: ProposalContext) -> list[Prompt]:
    """Two parents, drawn by roulette on their scores, crossed and then mutated."""
    population = context.fittest()
    first = _roulette(context, population)
    second = _roulette(context, [one for one in population if one != first] or population)
    text = prompts.render(
        "evolve_cross",
        tasks=format_tasks(context.request.tasks),
        first=first.prompt.text,
        first_score=str(first.score),
        second=second.prompt.text,
        second_score=str(second.score),
        characters=str(context.max_characters),
    )
    texts = parse_candidates(await context.ask(text))
    return context.candidates(texts[-1:], "evolution:cross", first.prompt, second.prompt)


async def differ(context: ProposalContext) -> list[Prompt]:
    """Each member in turn is crossed with the best, changed where two others differ."""
    population = context.fittest()
    base = population[context.turn // 2 % len(population)]
    one, other = context.rng.sample([scored for scored in population if scored != base], 2)
    best = context.best
    text = prompts.render(
        "evolve_differ",
        tasks=format_tasks(context.request.tasks),
        a=one.prompt.text,
        b=other.prompt.text,
        base=base.prompt.text,
        base_score=str(base.score),
        best=best.prompt.text,
        best_score=str(best.score),
        characters=str(context.max_characters),
    )
    texts = parse_candidates(await context.ask(text))
    parents = (base.prompt, best.prompt, one.prompt, other.prompt)
    return context.candidates(texts[-1:], "evolution:differ", *parents)


async def propose_by_reflect(context: ProposalContext) -> list[Prompt]:
    """Reflection (GEPA, arXiv 2507.19457): one prompt of the history with its failures, rewritten.

    The prompt is drawn by `ScoredPrompt.wins`, the share of rows on which no other did better: so those that
    are best at something are rewritten too, not only the best on average.
    """
    request = context.request
    wins = [one.wins for one in request.history]
    parent = context.rng.choices(request.history, wins)[0] if any(wins) else context.best
    text = prompts.render(
        "reflect",
        prompt=parent.prompt.text,
        score=str(parent.score),
        tasks=format_tasks(request.tasks),
        failures=format_failures(parent.failures),
        exemplars=format_exemplars(request.tasks),
        notes=format_notes(request.notes),
        request=context.asked(),
    )
    return context.candidates(parse_candidates(await context.ask(text)), "reflect", parent.prompt)


async def propose_by_transfer(context: ProposalContext) -> list[Prompt]:
    """Transfer-Prompting (arXiv 2502.14211): the operators in turn, then those that made better prompts more
    often.

    The choice is by Thompson sampling (1933): one draw of each operator's Beta(1 + wins, 1 + losses), the
    highest goes. Plain edits are tried once in `PLAIN_EVERY` proposals, when there is a prompt worth editing.
    """
    return await OPERATORS[_operator(context)](context)


PLAIN_EVERY = 16


def _operator(context: ProposalContext) -> str:
    plain = [name for name in context.operators if name in FREE]
    written = [name for name in context.operators if name not in FREE] or plain
    turn = context.turn
    if plain and turn % PLAIN_EVERY == PLAIN_EVERY - 1:
        return plain[turn // PLAIN_EVERY % len(plain)]
    if turn < len(written):
        return written[turn]
    records = dict(context.request.operators)
    return max(written, key=lambda name: _sampled_rate(context, name, records))


def _sampled_rate(context: ProposalContext, name: str, records: Mapping[str, OperatorRecord]) -> float:
    had = records.get(name, OperatorRecord())
    return context.rng.betavariate(1 + had.wins, 1 + had.tries - had.wins)


def _roulette(context: ProposalContext, population: list[ScoredPrompt]) -> ScoredPrompt:
    return context.rng.choices(population, [max(1, one.score) for one in population])[0]


STRATEGIES: Mapping[str, Strategy] = {
    "transfer": Strategy(name="transfer", propose=propose_by_transfer, staged=True, notes=True),
    "opro": Strategy(name="opro", propose=propose_by_opro),
    "evolution": Strategy(name="evolution", propose=propose_by_evolution, per_reply=1),
    "reflect": Strategy(name="reflect", propose=propose_by_reflect, notes=True),
    "ask": Strategy(name="ask", propose=propose_once, proposals=1, per_reply=1),
    "original": Strategy(name="original", propose=propose_nothing, proposals=0),
}
"""Every strategy of the package by the name scenarios use."""


def strategy_of(scenario: Scenario) -> Strategy:
    """The strategy that a scenario names. Raises InputError as `load_strategy` does."""
    return load_strategy(scenario.strategy, scenario.folder, allow_code=scenario.allow_code)


def load_strategy(name: str, folder: Path, *, allow_code: bool) -> Strategy:
    """The strategy of that name. One of the user's own is a `Strategy`, or the function of one; what it
    raises is raised as InputError with its line, errors of this package as they are.

    Raises InputError where it cannot be loaded, or is neither.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    found = load("strategy", name, folder, allow_code=allow_code)
    if not isinstance(found, Strategy):
        if not callable(found) or isinstance(found, type):
            raise InputError(
                f"strategy {name}: expected a Strategy, or an async function from a ProposalContext to "
                f"prompts, not {found!r}"
            )
        found = Strategy(name=name, propose=cast("Operator", found))
    return msgspec.structs.replace(found, propose=partial(_propose, name, found.propose))


async def _propose(name: str, propose: Operator, context: ProposalContext) -> list[Prompt]:
    with guarded("strategy", name, passing=(TransferPromptingError,)):
        made = cast("object", propose(context))
        made = await made if isawaitable(made) else made
    if not isinstance(made, list | tuple) or not all(
        isinstance(one, Prompt) for one in cast("list[object]", made)
    ):
        raise InputError(f"strategy {name}: expected a list of prompts, not {made!r}")
    return list(cast("list[Prompt]", made))
