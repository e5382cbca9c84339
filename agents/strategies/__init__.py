"""The strategies: ways to come from a history to candidates, all with the same agents and messages."""

from collections.abc import Mapping

from ...scenarios.search import StrategyName
from .baselines import ASK, ORIGINAL
from .evolution import EVOLUTION
from .opro import OPRO
from .reflect import REFLECT
from .strategy import Strategy
from .transfer import TRANSFER

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
