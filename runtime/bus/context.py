"""Whose request is being handled here: its header travels with the task."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from .message import Header

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
