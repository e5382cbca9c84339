"""The gate before an endpoint: when a run stops, what is in flight finishes and nothing else starts."""

import anyio

from .protocol import ChatClient, ChatRequest, ChatResponse


class Gate:
    """Counts HTTP calls in flight; once it is closed, no other starts."""

    def __init__(self) -> None:
        self.closed = False
        self.in_flight = 0
        self._quiet = anyio.Event()

    async def close(self) -> None:
        """Let no other call start, and return when none is in flight."""
        self.closed = True
        while self.in_flight:
            self._quiet = anyio.Event()
            await self._quiet.wait()

    def leave(self) -> None:
        """A call in flight has ended."""
        self.in_flight -= 1
        if not self.in_flight:
            self._quiet.set()


class GatedClient:
    """Makes a call while the gate is open. A call that comes later waits until it is cancelled: it is no
    failure, it is what the next invocation of the run begins with."""

    def __init__(self, inner: ChatClient, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate

    async def chat(self, request: ChatRequest) -> ChatResponse:
        if self._gate.closed:
            await anyio.sleep_forever()
        self._gate.in_flight += 1
        try:
            return await self._inner.chat(request)
        finally:
            self._gate.leave()
