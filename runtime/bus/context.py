"""Whose request is being handled here: its header travels with the task."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio

from ..errors import CycleRefused
from .message import Header, Route, route_name

_header: ContextVar[Header | None] = ContextVar("transfer_prompting_header", default=None)


def current_header() -> Header | None:
    """The header of the request being made or handled here; in the callback of an observer, the one under
    which the event was published. None outside a run."""
    return _header.get()


@contextmanager
def headed(header: Header | None) -> Generator[None]:
    """What happens inside belongs to the request (or the run) of this header."""
    token = _header.set(header)
    try:
        yield
    finally:
        _header.reset(token)


def header_of_ask(id: int, to: Route, timeout: float | None) -> Header:
    """The header of an ask that is made here: what waits for it is known from the request handled here.

    `timeout` is in seconds. Raises CycleRefused.
    """
    above = current_header() or Header(0)
    if to in above.chain:
        path = " -> ".join(route_name(step) for step in (*above.chain, to))
        raise CycleRefused(f"asks must not come back to a route that waits for them: {path}")
    ends = [] if timeout is None else [anyio.current_time() + timeout]
    if above.deadline is not None:
        ends.append(above.deadline)
    return Header(id, (*above.chain, to), min(ends, default=None), above.run, above.trace)
