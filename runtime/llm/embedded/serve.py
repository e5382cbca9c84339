"""The embedded model: a small GGUF model served by a child process on the loopback."""

import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from .child import running
from .model import check_engine, find_model
from .server import Order

__all__ = ["find_model", "serve_embedded"]

MOST_THREADS = 8  # the pieces of a small model's work are too small to share among many


@asynccontextmanager
async def serve_embedded(
    gguf: Path,
    *,
    name: str,
    parallel: int = 8,
    context: int = 2048,
    threads: int | None = None,
    log: Path | None = None,
    patience: float = 60.0,
) -> AsyncGenerator[str]:
    """Serve `gguf` under `name` in a child process; yields the OpenAI-compatible base URL, ending in /v1.

    No key is needed: the URL holds a random part that keeps other users of the machine out. `parallel`
    calls are computed at once (more wait their turn), each with room for `context` tokens, prompt and
    reply together. `threads` is by default the number of usable cores, 8 at most. The engine's log is
    appended to `log`, or dropped.

    The same request gives the same reply, log-probabilities included, whatever is computed beside it.

    The child ends with the scope, also when the scope is cancelled, and with this process however it dies.
    Raises InputError when the engine is not installed, EndpointError with the errors of the engine's log
    when the child stops while it starts or is not ready within `patience` seconds.
    """
    check_engine()
    order = Order(
        gguf=str(gguf),
        name=name,
        prefix="/" + secrets.token_urlsafe(16),
        parallel=parallel,
        context=context,
        threads=threads or min(_cores(), MOST_THREADS),
        quiet=log is None,
    )
    async with running(order, log=log, patience=patience) as ready:
        yield f"{ready['address']}{order['prefix']}/v1"


def _cores() -> int:
    """The cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
