"""A call that is being made now, and those who ask the same and wait for it."""

import anyio
from msgspec.structs import replace

from ..protocol import ChatResponse


class Flight:
    """One call in flight. `response` stays None when it fails or is cancelled."""

    __slots__ = ("_landed", "response")

    def __init__(self) -> None:
        self.response: ChatResponse | None = None
        self._landed: anyio.Event | None = None

    async def landed(self) -> ChatResponse | None:
        """Wait until the call ends; its response as a replay, or None where it gave none."""
        if self._landed is None:
            self._landed = anyio.Event()
        await self._landed.wait()
        return None if self.response is None else replace(self.response, replayed=True)

    def land(self) -> None:
        """Release those who wait."""
        if self._landed is not None:
            self._landed.set()
