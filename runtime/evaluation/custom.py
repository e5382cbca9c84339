"""Metrics of one's own: any Python function of the graded responses, named in the scenario."""

import math
from collections.abc import Callable
from importlib import import_module
from typing import cast

from ..errors import InputError
from .objective import is_own
from .response import Graded

OwnMetric = Callable[[list[Graded]], float | None]
"""From graded responses to a value in [0, 1] where more is better; None where it is undefined."""


def load(name: str) -> OwnMetric:
    """The function named `package.module:function`.

    Raises InputError when the name has another form, or its module cannot be imported or lacks the function.
    """
    if not is_own(name):
        raise InputError(f"metric {name}: expected package.module:function")
    module_name, _, function_name = name.partition(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"metric {name}: module {module_name} cannot be imported ({error}); install it or mend the name"
        ) from error
    found: object = getattr(module, function_name, None)
    if not callable(found):
        raise InputError(f"metric {name}: module {module_name} has no function {function_name}")
    return cast(OwnMetric, found)


def measure(name: str, metric: OwnMetric, responses: list[Graded]) -> float | None:
    """What a metric of one's own says, checked; what it raises is raised here.

    Raises InputError when it returns anything but None or a number in [0, 1].
    """
    value = cast(object, metric(responses))
    if value is None:
        return None
    number = float(value) if isinstance(value, int | float) else math.nan
    if not 0 <= number <= 1:
        raise InputError(f"metric {name}: expected None or a number from 0 to 1, not {value!r}")
    return number
