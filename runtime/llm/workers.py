"""The state of a worker, for whoever watches it."""

from typing import Literal

import msgspec


class WorkerCalls(msgspec.Struct, frozen=True):
    """Calls of one model that a worker has in flight, and has made since it began."""

    model: str
    in_hand: int
    answered: int
    failed: int


class WorkerState(msgspec.Struct, frozen=True):
    """A worker at one moment; it is `disconnected` while it has no connection to the bus."""

    status: Literal["starting", "serving", "disconnected", "stopping"]
    calls: tuple[WorkerCalls, ...] = ()
