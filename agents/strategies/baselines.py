"""Baselines: the original prompt as it is, and what the reference LLM writes when it is asked once."""

from ... import prompts
from ...runtime.prompt import Prompt
from ..draw import Draw
from ..drawing import candidate_texts
from ..telling import exemplars_told, tasks_told
from .strategy import Strategy


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
