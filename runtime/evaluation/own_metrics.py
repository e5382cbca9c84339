"""Metrics of one's own: any Python function of the graded responses, named in the scenario."""

import math
import sys
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import cast

import msgspec

from ...scenarios.errors import InputError
from .metrics import is_own
from .outcomes import Graded

OwnMetric = Callable[[list[Graded]], float | None]
"""From graded responses to a value in [0, 1] where more is better; None where it is undefined."""


class Own(msgspec.Struct, frozen=True):
    """The value of a metric of one's own, in [0, 1], and the number of graded rows it is over."""

    value: float
    rows: int


def load(name: str, folder: Path, *, allow_code: bool) -> OwnMetric:
    """The function named `package.module:function`, of a module that is installed, in `folder` or in the
    working directory. What it raises when it is called, SystemExit too, is raised as InputError.

    Raises InputError when the name has another form, is of the standard library, or nobody allows code; when
    its module cannot be imported, raises, exits, or lacks the function.
    """
    if not is_own(name):
        raise InputError(f"metric {name}: expected package.module:function")
    module_name, _, function_name = name.partition(":")
    if module_name.partition(".")[0] in sys.stdlib_module_names | {"__main__"}:
        raise InputError(f"metric {name}: a module of Python itself has no metrics; name one of your own")
    if not allow_code:
        raise InputError(
            f"metric {name}: names Python code, which this scenario would run; if you trust it, give "
            "--allow-code (from Python: Scenario.load(…, allow_code=True))"
        )
    try:
        with _importable(folder, Path.cwd()):
            module = import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"metric {name}: module {module_name} cannot be imported ({error}); install it, put it beside "
            "the scenario file, or correct the name"
        ) from error
    except (Exception, SystemExit) as error:
        raise InputError(f"metric {name}: module {module_name} {_raised(error)}") from error
    found: object = getattr(module, function_name, None)
    if not callable(found):
        raise InputError(f"metric {name}: module {module_name} has no function {function_name}")
    function = cast(OwnMetric, found)

    def guarded(responses: list[Graded]) -> float | None:
        try:
            return function(responses)
        except (Exception, SystemExit) as error:
            raise InputError(f"metric {name}: {_raised(error)}") from error

    return guarded


def _raised(error: BaseException) -> str:
    """The error and the line it comes from, in one sentence."""
    if isinstance(error, SyntaxError):
        return f"is not valid Python ({error})"
    frames = traceback.extract_tb(error.__traceback__)
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"raised {said} ({frames[-1].filename}:{frames[-1].lineno})" if frames else f"raised {said}"


@contextmanager
def _importable(*folders: Path) -> Generator[None]:
    """Modules in these folders can be imported too; what is installed goes before them."""
    added = [
        path for path in dict.fromkeys(str(folder.absolute()) for folder in folders) if path not in sys.path
    ]
    sys.path += added
    try:
        yield
    finally:
        sys.path[:] = [path for path in sys.path if path not in added]


def measure(name: str, metric: OwnMetric, responses: list[Graded]) -> float | None:
    """The checked value of a metric of one's own; its exceptions are raised here.

    Raises InputError when it returns anything but None or a number in [0, 1].
    """
    value = cast(object, metric(responses))
    if value is None:
        return None
    number = float(value) if isinstance(value, int | float) else math.nan
    if not 0 <= number <= 1:
        raise InputError(f"metric {name}: expected None or a number from 0 to 1, not {value!r}")
    return number


def measured(metrics: Mapping[str, OwnMetric], responses: list[Graded]) -> dict[str, Own]:
    """Every metric over the graded rows of one ask; those that are undefined on them are missing."""
    values = {name: measure(name, metric, responses) for name, metric in metrics.items()} if responses else {}
    return {name: Own(value, len(responses)) for name, value in values.items() if value is not None}


def merged(one: Mapping[str, Own], other: Mapping[str, Own]) -> dict[str, Own]:
    """The metrics over the rows of both: their means, weighted by rows.

    For a metric that is itself a mean over rows this is the metric of all rows. For any other it is what
    blocks of rows come to: the responses of earlier blocks are not kept. Rows on which a metric is undefined
    have no weight.
    """
    return {name: _mean([part[name] for part in (one, other) if name in part]) for name in {**one, **other}}


def _mean(parts: list[Own]) -> Own:
    rows = sum(part.rows for part in parts)
    return Own(sum(part.value * part.rows for part in parts) / rows, rows)
