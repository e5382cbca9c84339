"""Written, believed, told: the one way in which anything becomes a fact of the run."""

from collections.abc import Callable

from ..runtime.bus import Bus, Event
from ..runtime.search.history import History


class Record:
    """Appends an event to the history, then lets it change state, then tells the observers."""

    def __init__(self, history: History, bus: Bus) -> None:
        self._history = history
        self._bus = bus

    async def __call__(self, event: Event, believe: Callable[[], None] | None = None) -> None:
        self._history.append(event)
        if believe is not None:
            believe()
        await self._bus.publish(event)
