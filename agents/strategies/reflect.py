"""Reflective rewriting: mend a prompt by what went wrong under it, as GEPA does (arXiv 2507.19457)."""

from ... import prompts
from ...runtime.prompt import Prompt
from ..draw import Draw
from ..drawing import candidate_texts
from ..messages import Past
from ..telling import exemplars_told, failures_told, notes_told, tasks_told
from .strategy import Strategy


async def propose(draw: Draw) -> list[Prompt]:
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


REFLECT = Strategy(name="reflect", propose=propose, notes=True)
