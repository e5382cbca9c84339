"""Metrics of one's own: any Python function of the graded responses, named in the scenario."""

import math
from collections.abc import Awaitable, Collection, Mapping, Sequence
from functools import wraps
from inspect import isawaitable
from numbers import Real
from pathlib import Path
from typing import Protocol, cast

import msgspec

from ...scenarios import plugins
from ...scenarios.errors import InputError
from ..concurrency import Held, run_all
from .metrics import OWN
from .outcomes import Graded

MetricValue = float | None | tuple[float | None, str]
"""A value in [0, 1] where more is better, None where it is undefined; alone, or with words beside it."""


class OwnMetric(Protocol):
    """A metric of one's own: a function, `async` or not, from graded responses to a number in [0, 1] (more is
    better), or None where it is undefined, alone or as `(number, words)`.

    One that the objective weighs is asked for each response alone; its words (what was wrong, and why) are
    shown to the reference LLM among the failures. Its value for many responses is what it returns for all of
    them together; of one that is `async`, or returns words, it is the mean of its values.
    """

    def __call__(self, responses: list[Graded], /) -> MetricValue | Awaitable[MetricValue]: ...


REMARK_KEPT = 1_000
"""Characters of a metric's words that are kept."""

AT_ONCE = 16
"""Responses that an `async` metric is asked for at once, for one prompt."""


class Own(msgspec.Struct, frozen=True):
    """The value of a metric of one's own, in [0, 1], and the number of graded rows it is over."""

    value: float
    rows: int


def load(name: str, folder: Path, *, allow_code: bool) -> OwnMetric:
    """The function that `package.module:function`, or the entry point of `own.NAME`, stands for. What it
    raises when it is called, SystemExit too, is raised as InputError.

    Raises InputError as `plugins.load` does, and when what is found cannot be called.
    """
    found = plugins.load("metric", name.removeprefix(OWN), folder, allow_code=allow_code)
    if not callable(found):
        raise InputError(f"metric {name}: expected a function, not {found!r}")
    function = cast(OwnMetric, found)

    async def awaited(value: Awaitable[MetricValue]) -> MetricValue:
        with plugins.guarded("metric", name):
            return await value

    @wraps(function)
    def guarded(responses: list[Graded]) -> MetricValue | Awaitable[MetricValue]:
        with plugins.guarded("metric", name):
            value = function(responses)
        return awaited(value) if isawaitable(value) else value

    return guarded


class Measured(msgspec.Struct, frozen=True):
    """The value of a metric in [0, 1], None where it is undefined, and its words beside it.

    `by_row`: its value for many responses is the mean of its values for each.
    """

    value: float | None
    remark: str = ""
    by_row: bool = False


async def measure(name: str, metric: OwnMetric, responses: list[Graded]) -> Measured:
    """The checked value of a metric of one's own; its exceptions are raised here.

    Raises InputError when it returns anything but None or a number in [0, 1], alone or with words.
    """
    found = metric(responses)
    waited = isawaitable(found)
    value = cast(object, await found if waited else found)
    remark: object = ""
    explained = isinstance(value, tuple) and len(cast("tuple[object, ...]", value)) == 2
    if explained:
        value, remark = cast("tuple[object, object]", value)
    number = float(value) if isinstance(value, Real) else math.nan
    if not isinstance(remark, str) or not (value is None or 0 <= number <= 1):
        shown = value if isinstance(remark, str) else (value, remark)
        raise InputError(
            f"metric {name}: expected None or a number from 0 to 1, alone or as (number, words), "
            f"not {shown!r}"
        )
    return Measured(None if value is None else number, remark[:REMARK_KEPT], waited or explained)


async def measured(
    metrics: Mapping[str, OwnMetric], weighed: Collection[str], responses: list[Graded]
) -> tuple[list[Graded], dict[str, Own]]:
    """The responses with the values and words of the metrics that are `weighed`, and every metric over all
    of them; metrics that are undefined on them are missing."""
    totals: dict[str, Own] = {}
    for name, metric in metrics.items() if responses else ():
        rows: Sequence[Measured] = ()
        if name in weighed:
            responses, rows = await _by_row(name, metric, responses)
        if rows and (len(rows) == 1 or any(row.by_row for row in rows)):
            parts = [Own(row.value, 1) for row in rows if row.value is not None]
            if parts:
                totals[name] = _mean(parts)
            continue
        value = (await measure(name, metric, responses)).value
        if value is not None:
            totals[name] = Own(value, len(responses))
    return responses, totals


async def _by_row(
    name: str, metric: OwnMetric, responses: list[Graded]
) -> tuple[list[Graded], Sequence[Measured]]:
    """The responses with the value and the words of one metric for each."""

    held = Held()

    async def one(response: Graded) -> Measured:
        value = await measure(name, metric, [response])
        await held.release()
        return value

    rows = await run_all(responses, one, limit=AT_ONCE)
    return [_with(response, name, row) for response, row in zip(responses, rows, strict=True)], rows


def _with(response: Graded, name: str, row: Measured) -> Graded:
    own = response.own if row.value is None else {**response.own, name: row.value}
    remark = "\n".join(part for part in (response.remark, row.remark) if part)
    return msgspec.structs.replace(response, own=own, remark=remark)


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
