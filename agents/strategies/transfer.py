"""Two-stage transfer: source prompt construction, then target prompt generation (arXiv 2502.14211)."""

from collections.abc import Mapping

from ...runtime.prompt import Prompt
from ..draw import Draw
from ..messages import Credit
from ..operators import OPERATORS
from .strategy import Strategy


async def propose(draw: Draw) -> list[Prompt]:
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


TRANSFER = Strategy(name="transfer", propose=propose, staged=True, notes=True)
