"""What a strategy is."""

import msgspec

from ..draw import Operator


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
