"""OPRO: one stage, one meta-prompt with the ascending history and exemplars (arXiv 2309.03409)."""

from ... import prompts
from ...runtime.prompt import Prompt
from ..draw import Draw
from ..drawing import candidate_texts
from ..telling import exemplars_told, history_told, tasks_told
from .strategy import Strategy


async def propose(draw: Draw) -> list[Prompt]:
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


OPRO = Strategy(name="opro", propose=propose)
