"""A structured log of a run, bound to its own file: nothing global is configured."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import structlog


@contextmanager
def open_log(path: Path) -> Generator[structlog.typing.FilteringBoundLogger]:
    """A logger that appends one JSON object a line to `path`, each with time and level."""
    with path.open("a", encoding="utf-8", buffering=1) as file:
        yield structlog.wrap_logger(
            structlog.WriteLogger(file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )
