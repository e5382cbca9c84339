"""The log of a process on stderr, for those who collect it."""

import logging
import sys

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from .options import LogFormat, LogLevel
from .screen import visible


def stderr_log(form: LogFormat | None, level: LogLevel | None) -> FilteringBoundLogger | None:
    """A logger that writes a line for each event on stderr; None where neither is given.

    A form alone has the level `info`, a level alone the form `text`.
    """
    if form is None and level is None:
        return None
    renderer = (
        structlog.processors.JSONRenderer()
        if form is LogFormat.JSON
        else structlog.dev.ConsoleRenderer(colors=False)
    )

    def render(logger: object, method: str, event: EventDict) -> str:
        return visible(str(renderer(logger, method, event)))

    least = logging.getLevelNamesMapping()[(level or LogLevel.INFO).upper()]
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
    )
